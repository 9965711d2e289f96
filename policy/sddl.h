/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/security-descriptor.h"

/*
 * Security descriptors as text in the Security Descriptor Definition Language (MS-DTYP 2.5.1).
 *
 * Conditional expressions (XA, XD, XU, ZA) and resource attributes (RA) are not interpreted: the
 * entry is read, its expression skipped, and the entry marked (extra_unread).
 */

/**
 * vmf_sddl_parse() - read SDDL
 * @domain: (nullable): "S-1-5-21-a-b-c", for names relative to a domain (DA, DU, LA …)
 *
 * Returns: (transfer full): %NULL with
 *   VMF_ERROR_PROTOCOL     no SDDL; the message names the place, counted in bytes from 1
 *   VMF_ERROR_UNSUPPORTED  a name relative to a domain, and @domain is %NULL; an unknown type
 */
VmfSecurityDescriptor *vmf_sddl_parse(const char *text, const char *domain, GError **error);

/** vmf_sddl_read() - the same into @sd, which is cleared first; unusable on %FALSE */
gboolean
vmf_sddl_read(VmfSecurityDescriptor *sd, const char *text, const char *domain, GError **error);

/**
 * vmf_sddl_format() - write SDDL
 *
 * Masks and SIDs are written as numbers, so that the text means the same everywhere. A SACL that
 * is VMF_ACL_UNSEEN is left out.
 *
 * Returns: (transfer full): %NULL with
 *   VMF_ERROR_UNSUPPORTED  an entry has a condition or attribute, or the DACL is VMF_ACL_UNSEEN
 */
gchar *vmf_sddl_format(const VmfSecurityDescriptor *sd, GError **error);
