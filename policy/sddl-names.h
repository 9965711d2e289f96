/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/sid.h"

/*
 * The words of SDDL (MS-DTYP 2.5.1.1): types, flags, rights and names of accounts.
 */

/** vmf_sddl_type_code() - the type called @name (up to the end of it), -1 for none */
gint vmf_sddl_type_code(const char *name, gsize size);

/** vmf_sddl_type_name() - "A" for VMF_ACE_ALLOWED …; %NULL for a type without a name */
const char *vmf_sddl_type_name(guint8 type);

/** vmf_sddl_flag() - the entry flag of two letters, 0 for none */
guint8 vmf_sddl_flag(const char *letters);

/** vmf_sddl_flag_name() - its letters; %NULL for a bit without a name */
const char *vmf_sddl_flag_name(guint8 bit);

/**
 * vmf_sddl_rights() - the rights of two letters
 *
 * "CR" is a right to a directory object here; "NW", "NR", "NX" belong to integrity labels.
 *
 * Returns: 0 for none.
 */
guint32 vmf_sddl_rights(const char *letters);

/** VmfSddlName - what a name of two letters stands for */
typedef enum {
    VMF_SDDL_NAME_UNKNOWN,
    VMF_SDDL_NAME_FOUND,
    VMF_SDDL_NAME_NEEDS_DOMAIN,
} VmfSddlName;

/** vmf_sddl_account() - the SID of a two-letter name; @domain as for vmf_sddl_parse() */
VmfSddlName vmf_sddl_account(const char *letters, const char *domain, VmfSid *sid);
