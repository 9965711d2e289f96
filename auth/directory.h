/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/host-identity.h"

/*
 * Facts from Active Directory, read as the computer account: LDAP with SASL GSSAPI, signed and sealed
 * (ssf ≥ 128). Servers come from DNS (SRV _ldap._tcp.dc._msdcs.REALM), in its order.
 *
 * Connects at first use and again after a loss; each question is repeated once on a new connection
 * when the old one turns out dead. Thread-safe: one mutex, one question at a time. Blocking, up to
 * about 5 s for each server that does not answer.
 *
 * Failure model: no answer is VMF_ERROR_UNREACHABLE, never an empty result. An answer may be as old
 * as the replication between domain controllers.
 */

typedef struct _VmfDirectory VmfDirectory;

#define VMF_UAC_DISABLED     0x00000002u
#define VMF_UAC_WORKSTATION  0x00001000u
#define VMF_UAC_SERVER_TRUST 0x00002000u

/**
 * VmfComputer - a computer account
 * @account:     sAMAccountName, "HV2$"
 * @fqdn:        dNSHostName in lower case; %NULL when the account has none
 * @sid:         "S-1-5-21-…"
 * @dn:          distinguished name
 * @uac:         userAccountControl (MS-ADTS 2.2.16), VMF_UAC_…
 * @enabled:     VMF_UAC_DISABLED is not set
 * @workstation: VMF_UAC_WORKSTATION is set
 * @expires:     accountExpires (MS-ADA1 2.2): when it is good no more, unix seconds; 0: never. Shown
 *               to whoever may see userAccountControl: both are of one property set
 * @group_sids:  (element-type utf8): tokenGroups: all groups, nested ones too, and the primary
 *               group; empty in the results of vmf_directory_group_computers()
 */
typedef struct {
    gchar *account;
    gchar *fqdn;
    gchar *sid;
    gchar *dn;
    guint32 uac;
    gboolean enabled;
    gboolean workstation;
    gint64 expires;
    GPtrArray *group_sids;
} VmfComputer;

void vmf_computer_free(VmfComputer *computer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfComputer, vmf_computer_free)

/**
 * vmf_directory_new() - a directory of @me's realm
 * @me:     as whom to ask; copied
 * @ccache: path of a file ticket cache kept fresh by a VmfTicketKeeper, without "FILE:"
 */
VmfDirectory *vmf_directory_new(const VmfHostIdentity *me, const char *ccache);
void vmf_directory_free(VmfDirectory *directory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfDirectory, vmf_directory_free)

/**
 * vmf_directory_computer() - one computer account, asked now, never cached
 * @account_or_fqdn: "HV2$", or "hv2.lab.test" (looked up by its host/ service principal or
 *                   dNSHostName: both must lead to the same single account)
 *
 * Returns: (transfer full): the account, or %NULL and
 *   VMF_ERROR_CONFIG       no such computer account, or more than one
 *   VMF_ERROR_UNREACHABLE  no domain controller answered; the message says how each failed
 *   VMF_ERROR_AUTH         the domain controller refused us, or our ticket
 *   VMF_ERROR_PROTOCOL     an attribute has an impossible value
 */
VmfComputer *
vmf_directory_computer(VmfDirectory *directory, const char *account_or_fqdn, GError **error);

/**
 * vmf_directory_group_sid() - the SID of a group
 * @name_or_sid: sAMAccountName ("VM Hosts") or SID in text form
 *
 * It must be a security group: a distribution list is in nobody's token.
 *
 * Returns: (transfer full): "S-1-…", or %NULL and the errors of vmf_directory_computer().
 */
gchar *vmf_directory_group_sid(VmfDirectory *directory, const char *name_or_sid, GError **error);

/**
 * vmf_directory_group_computers() - the computer accounts of a group, nested groups included
 *
 * Returns: (transfer full) (element-type VmfComputer): sorted by fqdn, or by account where there is
 *   none; disabled ones are in it. %NULL and the errors of vmf_directory_computer().
 */
GPtrArray *
vmf_directory_group_computers(VmfDirectory *directory, const char *group_sid, GError **error);

/**
 * vmf_directory_domain_sid() - the SID of our own domain (cached after the first answer)
 *
 * Returns: (transfer full): "S-1-5-21-a-b-c", or %NULL and the errors of vmf_directory_computer().
 */
gchar *vmf_directory_domain_sid(VmfDirectory *directory, GError **error);

/** vmf_directory_expiry() - unix seconds of an accountExpires; 0: never, also for %NULL; -1: no number */
gint64 vmf_directory_expiry(const char *account_expires);

/**
 * vmf_directory_server() - the domain controller that answered last
 *
 * Returns: (transfer full) (nullable): "dc1.lab.test".
 */
gchar *vmf_directory_server(VmfDirectory *directory);
