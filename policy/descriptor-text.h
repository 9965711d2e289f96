/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/security-descriptor.h"

/*
 * The text that smbc_getxattr("system.nt_sec_desc.*") gives:
 *
 *     REVISION:1,OWNER:S-1-…,GROUP:S-1-…,ACL:S-1-…:0/16/0x001f01ff,ACL:…
 *
 * Each entry is SID:type/flags/mask. The text drops the control flags, the SACL, conditions and
 * object GUIDs, and shows a NULL, an absent and an empty DACL alike: without entries the list is
 * VMF_ACL_UNSEEN. Types that carry a condition are marked extra_unread.
 */

/**
 * vmf_descriptor_text_parse() - read it
 *
 * Returns: (transfer full): %NULL with
 *   VMF_ERROR_PROTOCOL     another shape, a part twice, a revision other than 1, or names instead
 *                          of SIDs (the attribute was asked for with "*+")
 *   VMF_ERROR_UNSUPPORTED  an entry of a reserved type
 */
VmfSecurityDescriptor *vmf_descriptor_text_parse(const char *text, GError **error);

/**
 * vmf_descriptor_text_entry_name() - whom an entry is about, as written
 * @text:  the attribute's text, with SIDs or with names ("*+"); may be anything
 * @index: of the entry, from 0
 *
 * Returns: (transfer full) (nullable): "LAB\\VM Hosts"; %NULL: there is no such entry
 */
gchar *vmf_descriptor_text_entry_name(const char *text, guint index);
