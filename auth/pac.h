/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * KERB_VALIDATION_INFO (MS-PAC 2.5), the part of a ticket's PAC that says who its client is and in
 * which groups, as the domain controller knew it when the ticket was made. Pure: bytes in, facts
 * out. The caller has had the PAC's signature verified; even so nothing here trusts a length.
 *
 * Format: NDR type serialization version 1 (MS-RPCE 2.2.6), little-endian, one top-level pointer.
 */

#define VMF_PAC_MAX_BYTES 65536

/**
 * VmfPacLogon - what is used of KERB_VALIDATION_INFO
 * @account:     EffectiveName: "HV1$"
 * @domain:      LogonDomainName: NetBIOS name "LAB"; may be empty
 * @domain_sid:  "S-1-5-21-…"
 * @sid:         of the account
 * @group_sids:  (element-type utf8): groups of the domain, extra SIDs, resource groups; only those
 *               that are enabled and not for deny only; one may be in it twice
 * @uac:         UserAccountControl in SAMR coding (MS-SAMR 2.2.1.12): VMF_PAC_UAC_…
 */
typedef struct {
    gchar *account;
    gchar *domain;
    gchar *domain_sid;
    gchar *sid;
    GPtrArray *group_sids;
    guint32 uac;
} VmfPacLogon;

#define VMF_PAC_UAC_DISABLED          0x00000001u
#define VMF_PAC_UAC_WORKSTATION_TRUST 0x00000080u

/**
 * vmf_pac_logon_parse() - read KERB_VALIDATION_INFO
 *
 * Every field is read, in order, through one bounded reader; pointers to missing or doubled data,
 * counts that contradict each other and bytes after the end (other than up to 7 of padding) are
 * errors.
 *
 * Returns: (transfer full): the facts, or %NULL and VMF_ERROR_PROTOCOL with the field and offset.
 */
VmfPacLogon *vmf_pac_logon_parse(const guint8 *data, gsize size, GError **error);
void vmf_pac_logon_free(VmfPacLogon *logon);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPacLogon, vmf_pac_logon_free)
