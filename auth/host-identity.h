/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/**
 * VmfHostIdentity - who this host is in its domain, as its keytab says
 * @account:   sAMAccountName of the computer account, "HV1$"
 * @realm:     "LAB.TEST"
 * @principal: "HV1$@LAB.TEST"
 * @fqdn:      "hv1.lab.test", from the keytab's host/ entries, lower case
 *
 * Immutable once made, so that threads may share it.
 */
typedef struct {
    gchar *account;
    gchar *realm;
    gchar *principal;
    gchar *fqdn;
} VmfHostIdentity;

/**
 * vmf_host_identity_read() - read the host's identity from a keytab
 * @keytab: path of the keytab; %NULL for /etc/krb5.keytab
 *
 * A joined host's keytab holds COMPUTER$ and host/fqdn of one realm. Both must have an AES key: keys
 * that are only DES or RC4 do not count (RC4 is refused everywhere in vmferry, CVE-2025-3576).
 *
 * Returns: (transfer full): the identity, or %NULL and
 *   VMF_ERROR_CONFIG  the keytab is missing or unreadable, holds no COMPUTER$ or no host/fqdn entry,
 *                     more than one of either, or no AES key; the message names the cure (join)
 */
VmfHostIdentity *vmf_host_identity_read(const char *keytab, GError **error);

/**
 * vmf_host_identity_new() - an identity from its parts, for tests and tools
 * @account: "HV1$"
 * @realm:   "LAB.TEST"
 * @fqdn:    "hv1.lab.test"
 */
VmfHostIdentity *vmf_host_identity_new(const char *account, const char *realm, const char *fqdn);
VmfHostIdentity *vmf_host_identity_copy(const VmfHostIdentity *me);
void vmf_host_identity_free(VmfHostIdentity *me);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfHostIdentity, vmf_host_identity_free)
