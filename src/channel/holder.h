/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * Sockets that outlive vmferryd: libvirt forgets a migration when the connection that drives it closes,
 * so that a second holder lets a successor of a killed vmferryd go on.
 *
 * Theory of operation. Such a connection is root's to libvirtd: who has it may do anything on this host.
 * So its holder is a process that hears nobody but root: vmferry-holder, started by vmferryd with the first
 * socket that is to be kept, found by the next vmferryd by a unix socket (0600), ended with the last one.
 * It is root without capabilities, may open, make and start nothing, and never reads what it keeps. Each
 * request is a connection of its own: one message (line.h), one answer.
 *
 * Failure model. The holder that is killed takes its sockets with it: whoever uses one still has his own, and
 * a vmferryd that is started then finds none, as if libvirtd had ended. A socket whose other end has closed
 * is dropped; so are, at vmferryd's start, those of moves that it knows nothing of. One that ends at the
 * moment it is asked to keep another one is followed by the next.
 */

#define VMF_HOLDER_MAX 64 /* sockets */

typedef struct _VmfHolder VmfHolder;

/**
 * vmf_holder_new() - nothing is started yet
 * @path:    its unix socket, in a folder that only root writes to
 * @program: %NULL: vmferry-holder where it is installed
 */
VmfHolder *vmf_holder_new(const char *path, const char *program);
void vmf_holder_free(VmfHolder *holder);

/**
 * vmf_holder_keep() - a duplicate of @fd under @name (1 to 128 bytes); what had that name is closed
 *
 * Thread-safe, as all of these. @fd stays the caller's. Returns: %FALSE and
 *   VMF_ERROR_BUSY  there are VMF_HOLDER_MAX already;  VMF_ERROR_INTERNAL, _UNREACHABLE  it does not run
 */
gboolean vmf_holder_keep(VmfHolder *holder, const char *name, int fd, GError **error);

/** vmf_holder_take() - Returns: a duplicate, which stays kept; -1: none, or VMF_ERROR_UNREACHABLE */
int vmf_holder_take(VmfHolder *holder, const char *name, GError **error);

/** vmf_holder_drop() - close it; none is none */
void vmf_holder_drop(VmfHolder *holder, const char *name);

/** vmf_holder_retain() - close all but those of @names (element-type utf8) */
void vmf_holder_retain(VmfHolder *holder, const GPtrArray *names);
