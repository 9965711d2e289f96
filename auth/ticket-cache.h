/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/host-identity.h"

/**
 * vmf_ticket_cache_owner() - whose tickets are in a cache file
 * @path: without "FILE:"
 *
 * Returns: (transfer full): account and realm of its principal, the fqdn empty; %NULL with
 *   VMF_ERROR_AUTH    no such file, none of Kerberos, or no ticket in it that is still good: the caller
 *                     knows who keeps it, and says what to do
 *   VMF_ERROR_CONFIG  the file may not be read
 */
VmfHostIdentity *vmf_ticket_cache_owner(const char *path, GError **error);
