/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/sid.h"

/*
 * Security descriptors (MS-DTYP 2.4.6): who owns an object, and who may do what with it.
 *
 * Three formats are read into one structure: self-relative bytes (here), SDDL (policy/sddl.h) and
 * the text libsmbclient gives (policy/descriptor-text.h). What a format cannot tell is marked, so
 * that the access check (policy/access-check.h) answers "unknown" and never a guess.
 *
 * Failure model: a descriptor is read whole or refused. Every offset, size and count is checked
 * against the buffer before it is used; an entry of an unknown type, or one with bytes behind its
 * end, refuses the descriptor, because what it would deny is not known.
 */

/* Control flags (MS-DTYP 2.4.6) that mean something here. */
#define VMF_SD_OWNER_DEFAULTED       0x0001
#define VMF_SD_GROUP_DEFAULTED       0x0002
#define VMF_SD_DACL_PRESENT          0x0004
#define VMF_SD_DACL_DEFAULTED        0x0008
#define VMF_SD_SACL_PRESENT          0x0010
#define VMF_SD_SACL_DEFAULTED        0x0020
#define VMF_SD_DACL_AUTO_INHERIT_REQ 0x0100
#define VMF_SD_SACL_AUTO_INHERIT_REQ 0x0200
#define VMF_SD_DACL_AUTO_INHERITED   0x0400
#define VMF_SD_SACL_AUTO_INHERITED   0x0800
#define VMF_SD_DACL_PROTECTED        0x1000
#define VMF_SD_SACL_PROTECTED        0x2000
#define VMF_SD_SELF_RELATIVE         0x8000

/* Entry types (MS-DTYP 2.4.4.1). 3, 4, 8, 14, 16 and all above 20 are reserved: refused. */
typedef enum {
    VMF_ACE_ALLOWED = 0x00,
    VMF_ACE_DENIED = 0x01,
    VMF_ACE_AUDIT = 0x02,
    VMF_ACE_ALLOWED_OBJECT = 0x05,
    VMF_ACE_DENIED_OBJECT = 0x06,
    VMF_ACE_AUDIT_OBJECT = 0x07,
    VMF_ACE_ALLOWED_CALLBACK = 0x09,
    VMF_ACE_DENIED_CALLBACK = 0x0a,
    VMF_ACE_ALLOWED_CALLBACK_OBJECT = 0x0b,
    VMF_ACE_DENIED_CALLBACK_OBJECT = 0x0c,
    VMF_ACE_AUDIT_CALLBACK = 0x0d,
    VMF_ACE_AUDIT_CALLBACK_OBJECT = 0x0f,
    VMF_ACE_MANDATORY_LABEL = 0x11,
    VMF_ACE_RESOURCE_ATTRIBUTE = 0x12,
    VMF_ACE_SCOPED_POLICY = 0x13,
    VMF_ACE_PROCESS_TRUST_LABEL = 0x14,
} VmfAceType;

/* Entry flags (MS-DTYP 2.4.4.1). */
#define VMF_ACE_OBJECT_INHERIT    0x01
#define VMF_ACE_CONTAINER_INHERIT 0x02
#define VMF_ACE_NO_PROPAGATE      0x04
#define VMF_ACE_INHERIT_ONLY      0x08
#define VMF_ACE_INHERITED         0x10
#define VMF_ACE_SUCCESSFUL_ACCESS 0x40
#define VMF_ACE_FAILED_ACCESS     0x80

/* Which GUIDs an object entry carries (MS-DTYP 2.4.4.3). */
#define VMF_ACE_OBJECT_TYPE_PRESENT           0x1
#define VMF_ACE_INHERITED_OBJECT_TYPE_PRESENT 0x2

/**
 * VmfAce - one entry of an access control list
 * @type:           a VmfAceType
 * @flags:          VMF_ACE_OBJECT_INHERIT …
 * @mask:           rights (policy/access-check.h names them)
 * @sid:            whom it is about
 * @object_flags:   object entries: which of the two GUIDs are there
 * @object_type:    GUID as in the bytes, zero when not there
 * @inherited_type: the same
 * @extra_at:       where its condition or attribute starts in the descriptor's @extra
 * @extra_size:     bytes of it; 0 when the type has none
 * @extra_unread:   it has a condition or attribute that was not read (SDDL, libsmbclient's text):
 *                  the entry cannot be written as bytes or SDDL
 */
typedef struct {
    guint8 type, flags;
    gboolean extra_unread;
    guint32 mask;
    VmfSid sid;
    guint32 object_flags;
    guint8 object_type[16], inherited_type[16];
    guint32 extra_at, extra_size;
} VmfAce;

/**
 * VmfAclState - what is known of a list
 * @VMF_ACL_ABSENT:  the control flag says that there is none
 * @VMF_ACL_NULL:    present and NULL
 * @VMF_ACL_PRESENT: present, with 0 or more entries
 * @VMF_ACL_UNSEEN:  the source cannot tell; no entries
 */
typedef enum {
    VMF_ACL_ABSENT,
    VMF_ACL_NULL,
    VMF_ACL_PRESENT,
    VMF_ACL_UNSEEN,
} VmfAclState;

/* A list is at most 65,535 bytes long, its header 8, an entry at least 16 (MS-DTYP 2.4.5). */
#define VMF_ACL_MAX_ACES 4095

/** VmfAcl - a list: @aces (owned, @n_aces of them) in stored order; @revision 0 when not known */
typedef struct {
    VmfAclState state;
    guint8 revision;
    VmfAce *aces;
    guint n_aces, room;
} VmfAcl;

/**
 * VmfSecurityDescriptor - a descriptor in memory
 * @control: control flags; VMF_SD_SELF_RELATIVE always set; 0 beyond that from libsmbclient's text
 * @rm_control: the byte "Sbz1" of the bytes
 * @sacl:    VMF_ACL_UNSEEN from libsmbclient's text
 * @extra:   conditions and attributes of the entries, see VmfAce
 */
typedef struct {
    guint16 control;
    guint8 rm_control;
    gboolean has_owner, has_group;
    VmfSid owner, group;
    VmfAcl dacl, sacl;
    GByteArray *extra;
} VmfSecurityDescriptor;

VmfSecurityDescriptor *vmf_security_descriptor_new(void);
void vmf_security_descriptor_free(VmfSecurityDescriptor *sd);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfSecurityDescriptor, vmf_security_descriptor_free)

/** vmf_security_descriptor_clear() - make it empty (no owner, lists absent); memory is kept for reuse */
void vmf_security_descriptor_clear(VmfSecurityDescriptor *sd);

/**
 * vmf_security_descriptor_from_bytes() - read self-relative bytes (MS-DTYP 2.4.6)
 * @data: need not be aligned
 *
 * Bytes outside what the header's offsets reach are ignored; parts may overlap, as Windows allows.
 *
 * Returns: (transfer full): %NULL with
 *   VMF_ERROR_PROTOCOL     an offset, size or count does not fit, or trailing bytes in an entry
 *   VMF_ERROR_UNSUPPORTED  an entry of a reserved type
 */
VmfSecurityDescriptor *
vmf_security_descriptor_from_bytes(const guint8 *data, gsize size, GError **error);

/** vmf_security_descriptor_read() - the same into @sd, which is cleared first; unusable on %FALSE */
gboolean vmf_security_descriptor_read(VmfSecurityDescriptor *sd, const guint8 *data, gsize size,
                                      GError **error);

/**
 * vmf_security_descriptor_to_bytes() - write self-relative bytes as Windows lays them out
 *
 * Header, SACL, DACL, owner, group. A list's revision is 4 when it holds object entries. A SACL
 * that is VMF_ACL_UNSEEN is left out.
 *
 * Returns: (transfer full): %NULL with
 *   VMF_ERROR_UNSUPPORTED  an entry's condition was not read, or the DACL is VMF_ACL_UNSEEN
 *   VMF_ERROR_PROTOCOL     a list is larger than 65,535 bytes
 */
GBytes *vmf_security_descriptor_to_bytes(const VmfSecurityDescriptor *sd, GError **error);

/**
 * vmf_acl_add() - append a zeroed entry
 *
 * Returns: (transfer none): it; valid until the next one is added.
 */
VmfAce *vmf_acl_add(VmfAcl *acl);

/** vmf_ace_is_object() - whether entries of @type carry object GUIDs (5, 6, 7, 11, 12, 15) */
gboolean vmf_ace_is_object(guint8 type);

/** vmf_ace_has_extra() - whether entries of @type end in a condition or an attribute (9–13, 15, 18) */
gboolean vmf_ace_has_extra(guint8 type);

/** vmf_ace_type_known() - whether @type is a VmfAceType */
gboolean vmf_ace_type_known(guint8 type);

/** vmf_ace_type_describe() - "deny", "conditional allow" …; "unknown" for a reserved type */
const char *vmf_ace_type_describe(guint8 type);

/** vmf_ace_describe() - "deny S-1-1-0 0x00000002, inherited", for messages. (transfer full) */
gchar *vmf_ace_describe(const VmfAce *ace);
