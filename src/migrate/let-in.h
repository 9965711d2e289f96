/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/migrate/context.h"
#include "src/vm/domain.h"

/*
 * A definition that comes from outside, from a peer or from a share, and this host.
 */

/**
 * vmf_let_in_rebuild() - read it, judge it, write it anew for this host
 * @uuid, @name: the VM that was announced; another one is refused. @name: (nullable)
 *
 * Returns: (transfer full): with this host's own emulator; or the errors of vmf_domain_rebuild(), or
 *   VMF_ERROR_CONFIG: this host has no such machine
 */
VmfDomain *vmf_let_in_rebuild(const VmfContext *context, const char *definition, const char *uuid,
                              const char *name, GError **error);

/** vmf_let_in_networks() - has this host each of its networks? VMF_ERROR_CONFIG names the missing one */
gboolean vmf_let_in_networks(const VmfContext *context, const VmfDomain *domain, const char *name,
                             GError **error);
