/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/host-identity.h"

#include <krb5.h>

/**
 * VmfServiceKeytab - the AES keys of host/FQDN, and no others, in a keytab in memory
 * @name:    "MEMORY:…", for libraries that want a name
 * @server:  host/FQDN@REALM
 *
 * A ticket that is for another service, or encrypted with RC4, finds no key here. The keys are
 * zeroed when it is freed.
 */
typedef struct {
    krb5_context context;
    krb5_keytab keytab;
    krb5_principal server;
    gchar *name;
    gchar *server_name;
} VmfServiceKeytab;

/**
 * vmf_service_keytab_new() - read them from the keytab file
 *
 * Returns: (transfer full): at least one key; or %NULL and VMF_ERROR_CONFIG.
 */
VmfServiceKeytab *
vmf_service_keytab_new(const VmfHostIdentity *me, const char *path, GError **error);

/**
 * vmf_service_keytab_to_fd() - the same keys as a file without a name, for a process that may open none
 *
 * Returns: an fd, close-on-exec: for whoever inherits it a keytab "/proc/self/fd/N"; -1 and VMF_ERROR_INTERNAL
 */
int vmf_service_keytab_to_fd(VmfServiceKeytab *keys, GError **error);
void vmf_service_keytab_free(VmfServiceKeytab *keys);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfServiceKeytab, vmf_service_keytab_free)
