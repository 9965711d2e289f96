/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

/*
 * Sockets that the disk process keeps for vmferryd: libvirt forgets a migration when the
 * connection that drives it closes, so a second holder lets a successor of a killed vmferryd go
 * on. Not thread-safe.
 */

typedef struct _VmfKeptSockets VmfKeptSockets;

#define VMF_MAX_KEPT_SOCKETS 16

VmfKeptSockets *vmf_kept_sockets_new(void);

/** vmf_kept_sockets_free() - and close them all */
void vmf_kept_sockets_free(VmfKeptSockets *kept);

/**
 * vmf_kept_sockets_keep() - @fd (taken) under @name; what had that name is closed
 *
 * Returns: %FALSE with VMF_ERROR_CONFIG: no name, a long one, or there are too many.
 */
gboolean vmf_kept_sockets_keep(VmfKeptSockets *kept, const char *name, int fd, GError **error);

/** vmf_kept_sockets_drop() - "": all; an unknown name is none */
void vmf_kept_sockets_drop(VmfKeptSockets *kept, const char *name);

/** vmf_kept_sockets_list() - Returns: (floating): a{sh} whose handles are of @fds (out) */
GVariant *vmf_kept_sockets_list(VmfKeptSockets *kept, GUnixFDList **fds, GError **error);
