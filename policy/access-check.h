/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/security-descriptor.h"
#include "policy/token.h"

/*
 * May this account do that with this file? (MS-DTYP 2.5.3.2, MS-FSA 2.1.5.1.2.1; Samba's
 * libcli/security/access_check.c is held against it by tests/oracle.)
 *
 * The static half of the judgement: it explains the server's live answer, names the deciding
 * entry, and covers hosts that are not asked. It fails closed: what cannot be told from the
 * descriptor and the token is VMF_VERDICT_UNKNOWN. The share's own list is not seen here.
 */

/* Rights to files and folders (MS-SMB2 2.2.13.1). */
#define VMF_RIGHT_READ_DATA        0x00000001 /* folder: list */
#define VMF_RIGHT_WRITE_DATA       0x00000002 /* folder: add file */
#define VMF_RIGHT_APPEND_DATA      0x00000004 /* folder: add folder */
#define VMF_RIGHT_READ_EA          0x00000008
#define VMF_RIGHT_WRITE_EA         0x00000010
#define VMF_RIGHT_EXECUTE          0x00000020 /* folder: traverse */
#define VMF_RIGHT_DELETE_CHILD     0x00000040
#define VMF_RIGHT_READ_ATTRIBUTES  0x00000080
#define VMF_RIGHT_WRITE_ATTRIBUTES 0x00000100
#define VMF_RIGHT_DELETE           0x00010000
#define VMF_RIGHT_READ_CONTROL     0x00020000
#define VMF_RIGHT_WRITE_DAC        0x00040000
#define VMF_RIGHT_WRITE_OWNER      0x00080000
#define VMF_RIGHT_SYNCHRONIZE      0x00100000
#define VMF_RIGHT_SYSTEM_SECURITY  0x01000000
#define VMF_RIGHT_MAXIMUM_ALLOWED  0x02000000
#define VMF_RIGHT_GENERIC_ALL      0x10000000
#define VMF_RIGHT_GENERIC_EXECUTE  0x20000000
#define VMF_RIGHT_GENERIC_WRITE    0x40000000
#define VMF_RIGHT_GENERIC_READ     0x80000000

/* What a host needs: libsmbclient opens read-write with the first, read-only with the second. */
#define VMF_ACCESS_READ_WRITE 0x0012019f
#define VMF_ACCESS_READ_ONLY  0x00120089
#define VMF_ACCESS_FULL       0x001f01ff
#define VMF_ACCESS_FOLDER_USE                                                                      \
    (VMF_RIGHT_READ_DATA | VMF_RIGHT_WRITE_DATA | VMF_RIGHT_DELETE_CHILD) /* list, add, delete */

typedef enum {
    VMF_VERDICT_GRANT,
    VMF_VERDICT_DENY,
    VMF_VERDICT_UNKNOWN,
} VmfVerdict;

/**
 * VmfAccessReason - the rule that decided
 * @VMF_ACCESS_ENTRIES:          grant: entries cover all that is asked for; ace completed it
 * @VMF_ACCESS_OWNER:            grant: the rights every owner has cover it, or complete it
 * @VMF_ACCESS_NULL_DACL:        grant: a NULL list lets everyone do everything
 * @VMF_ACCESS_NOTHING_ASKED:    grant: no right is asked for
 * @VMF_ACCESS_PARENT:           grant: the folder's list gives what the file's does not
 * @VMF_ACCESS_DENIED_ENTRY:     deny: ace denies it
 * @VMF_ACCESS_DENIED_CONDITION: deny: ace denies it under a condition, taken as met
 * @VMF_ACCESS_NO_ENTRY:         deny: no entry grants all of it
 * @VMF_ACCESS_NO_OWNER:         deny: the descriptor has no owner
 * @VMF_ACCESS_READONLY:         deny: the file has the attribute READONLY
 * @VMF_ACCESS_NO_DACL:          unknown: no list; MS-DTYP grants, Samba denies
 * @VMF_ACCESS_UNSEEN_DACL:      unknown: no entries in libsmbclient's text: NULL or empty
 * @VMF_ACCESS_CENTRAL_POLICY:   unknown: a central access policy applies as well
 * @VMF_ACCESS_LABEL:            unknown: an integrity label above medium may refuse it
 * @VMF_ACCESS_MAYBE:            unknown: hangs on ace's SID (-1: on the owner), which only the file
 *                               server can expand
 * @VMF_ACCESS_PARENT_MAYBE:     unknown: the folder's list may give what the file's does not
 * @VMF_ACCESS_MAXIMUM_EMPTY:    unknown: MAXIMUM_ALLOWED and no right: Samba grants, Windows denies
 */
typedef enum {
    VMF_ACCESS_ENTRIES,
    VMF_ACCESS_OWNER,
    VMF_ACCESS_NULL_DACL,
    VMF_ACCESS_NOTHING_ASKED,
    VMF_ACCESS_PARENT,
    VMF_ACCESS_DENIED_ENTRY,
    VMF_ACCESS_DENIED_CONDITION,
    VMF_ACCESS_NO_ENTRY,
    VMF_ACCESS_NO_OWNER,
    VMF_ACCESS_READONLY,
    VMF_ACCESS_NO_DACL,
    VMF_ACCESS_UNSEEN_DACL,
    VMF_ACCESS_CENTRAL_POLICY,
    VMF_ACCESS_LABEL,
    VMF_ACCESS_MAYBE,
    VMF_ACCESS_PARENT_MAYBE,
    VMF_ACCESS_MAXIMUM_EMPTY,
} VmfAccessReason;

/**
 * VmfAccess - the answer; plain values, nothing to free
 * @desired:  what was asked for, generic bits mapped, without MAXIMUM_ALLOWED
 * @granted:  the most this account gets for certain, whatever was asked for: bits granted
 *            first-come and not denied before
 * @missing:  of @desired, what is not granted for certain; 0 on a grant
 * @ace:      index of the deciding entry of the DACL, -1 when no single entry decides
 * @skipped:  index of a conditional allow entry that was skipped and would have helped, or -1
 * @generic:  index of an entry for this account that holds generic bits, which grant nothing, or -1
 */
typedef struct {
    VmfVerdict verdict;
    VmfAccessReason reason;
    guint32 desired, granted, missing;
    gint ace, skipped, generic;
} VmfAccess;

/** vmf_access_map_generic() - GENERIC_READ … to the rights to files they stand for */
guint32 vmf_access_map_generic(guint32 mask);

/** vmf_access_check() - judge one descriptor. Allocates nothing */
VmfAccess vmf_access_check(const VmfSecurityDescriptor *sd, const VmfToken *token, guint32 desired);

/**
 * vmf_access_check_file() - judge a file together with its folder, as a file server does
 * @folder:   (nullable): the folder's descriptor; NULL when it is not known
 * @readonly: the file has the attribute READONLY: no write or append
 *
 * DELETE also comes from DELETE_CHILD on the folder, READ_ATTRIBUTES from the right to list it
 * (MS-FSA 2.1.5.1.2.1). Creating a file is judged with vmf_access_check() on the folder:
 * VMF_RIGHT_WRITE_DATA.
 */
VmfAccess
vmf_access_check_file(const VmfSecurityDescriptor *file, const VmfSecurityDescriptor *folder,
                      gboolean readonly, const VmfToken *token, guint32 desired);

/** vmf_verdict_name() - "grant", "deny", "unknown" */
const char *vmf_verdict_name(VmfVerdict verdict);

/** vmf_access_append_mask() - "0x0012019f" */
void vmf_access_append_mask(GString *out, guint32 mask);

/** vmf_access_rights_name() - "read data, write data"; "nothing" for 0. (transfer full) */
gchar *vmf_access_rights_name(guint32 mask);

/**
 * vmf_access_describe() - the reason as a sentence without a full stop
 *
 * "ace 2 (deny S-1-1-0 0x00000002) denies write data", "no entry grants write data".
 *
 * Returns: (transfer full)
 */
gchar *vmf_access_describe(const VmfSecurityDescriptor *sd, const VmfAccess *access);
