/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/security-descriptor.h"

#include "src/base/error.h"

/*
 * Self-relative bytes. What is read lies in a Span: a pointer and how many bytes may be used;
 * every function looks at the size before it looks at a byte.
 */

#define HEADER_SIZE 20
#define ACL_HEADER  8
#define ACE_HEADER  8 /* with the mask, which every type has */
#define SID_MIN     8

typedef struct {
    const guint8 *data;
    gsize size;
} Span;

static guint16
get16(const guint8 *at)
{
    return (guint16)(at[0] | at[1] << 8);
}

static guint32
get32(const guint8 *at)
{
    return at[0] | (guint32)at[1] << 8 | (guint32)at[2] << 16 | (guint32)at[3] << 24;
}

static gboolean G_GNUC_PRINTF(2, 3) refuse(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree gchar *what = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "bad security descriptor: %s", what);
    return FALSE;
}

/* The part of @all from @offset on. */
static gboolean
part_at(Span all, guint32 offset, const char *name, Span *part, GError **error)
{
    if (offset < HEADER_SIZE || offset >= all.size)
        return refuse(error, "the %s starts at byte %u of %" G_GSIZE_FORMAT, name, offset,
                      all.size);
    *part = (Span){all.data + offset, all.size - offset};
    return TRUE;
}

/* Reads a SID at the start of @span and cuts it off. */
static gboolean
take_sid(Span *span, VmfSid *sid)
{
    if (span->size < SID_MIN || span->data[0] != 1 || span->data[1] > VMF_SID_MAX_SUB_AUTHORITIES)
        return FALSE;
    gsize size = SID_MIN + 4 * (gsize)span->data[1];
    if (span->size < size)
        return FALSE;
    memset(sid, 0, sizeof *sid);
    memcpy(sid->data, span->data, size);
    span->data += size;
    span->size -= size;
    return TRUE;
}

static gboolean
read_sid_at(Span all, guint32 offset, const char *name, gboolean *has, VmfSid *sid, GError **error)
{
    Span part = {0};
    *has = offset != 0;
    if (offset == 0)
        return TRUE;
    if (!part_at(all, offset, name, &part, error))
        return FALSE;
    if (!take_sid(&part, sid))
        return refuse(error, "the %s is no whole SID", name);
    return TRUE;
}

/* Object flags and the GUIDs they announce (MS-DTYP 2.4.4.3). */
static gboolean
take_object(Span *span, VmfAce *ace)
{
    if (span->size < 4)
        return FALSE;
    ace->object_flags = get32(span->data);
    gsize used = 4;
    if (ace->object_flags & ~(guint32)3)
        return FALSE;
    if (ace->object_flags & VMF_ACE_OBJECT_TYPE_PRESENT) {
        if (span->size < used + 16)
            return FALSE;
        memcpy(ace->object_type, span->data + used, 16);
        used += 16;
    }
    if (ace->object_flags & VMF_ACE_INHERITED_OBJECT_TYPE_PRESENT) {
        if (span->size < used + 16)
            return FALSE;
        memcpy(ace->inherited_type, span->data + used, 16);
        used += 16;
    }
    span->data += used;
    span->size -= used;
    return TRUE;
}

/* @span is exactly one entry. */
static gboolean
read_ace(VmfSecurityDescriptor *sd, Span span, VmfAce *ace, guint index, GError **error)
{
    ace->type = span.data[0];
    ace->flags = span.data[1];
    if (!vmf_ace_type_known(ace->type)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNSUPPORTED,
                    "ace %u is of the reserved type %u: what it would deny is not known", index,
                    ace->type);
        return FALSE;
    }
    if (span.size < ACE_HEADER)
        return refuse(error, "ace %u ends before its mask", index);
    ace->mask = get32(span.data + 4);
    span.data += ACE_HEADER;
    span.size -= ACE_HEADER;
    if (vmf_ace_is_object(ace->type) && !take_object(&span, ace))
        return refuse(error, "ace %u has no valid object part", index);
    if (!take_sid(&span, &ace->sid))
        return refuse(error, "ace %u has no whole SID", index);
    if (vmf_ace_has_extra(ace->type)) {
        ace->extra_at = sd->extra->len;
        ace->extra_size = (guint32)span.size;
        g_byte_array_append(sd->extra, span.data, (guint)span.size);
    } else if (span.size != 0) {
        return refuse(error, "ace %u has %" G_GSIZE_FORMAT " bytes behind its SID", index,
                      span.size);
    }
    return TRUE;
}

static gboolean
read_aces(VmfSecurityDescriptor *sd, Span span, guint count, VmfAcl *acl, GError **error)
{
    for (guint i = 0; i < count; i++) {
        gsize size = span.size < 4 ? 0 : get16(span.data + 2);
        if (size < 4 || size > span.size)
            return refuse(error, "ace %u does not fit into its list", i);
        if (!read_ace(sd, (Span){span.data, size}, vmf_acl_add(acl), i, error))
            return FALSE;
        span.data += size;
        span.size -= size;
    }
    for (gsize i = 0; i < span.size; i++)
        if (span.data[i] != 0)
            return refuse(error, "bytes that are not zero behind the last ace");
    return TRUE;
}

static gboolean
read_acl_at(VmfSecurityDescriptor *sd, Span all, guint32 offset, const char *name, VmfAcl *acl,
            GError **error)
{
    Span part = {0};
    acl->state = VMF_ACL_NULL;
    if (offset == 0)
        return TRUE;
    if (!part_at(all, offset, name, &part, error))
        return FALSE;
    if (part.size < ACL_HEADER)
        return refuse(error, "the %s is cut off", name);
    gsize size = get16(part.data + 2);
    guint count = get16(part.data + 4);
    if (part.data[0] < 2 || part.data[0] > 4)
        return refuse(error, "the %s has revision %u", name, part.data[0]);
    if (size < ACL_HEADER || size > part.size)
        return refuse(
            error, "the %s is %" G_GSIZE_FORMAT " bytes long, where %" G_GSIZE_FORMAT " are left",
            name, size, part.size);
    if (count > (size - ACL_HEADER) / (ACE_HEADER + SID_MIN))
        return refuse(error, "the %s claims %u aces in %" G_GSIZE_FORMAT " bytes", name, count,
                      size);
    acl->state = VMF_ACL_PRESENT;
    acl->revision = part.data[0];
    g_autoptr(GError) why = NULL;
    if (read_aces(sd, (Span){part.data + ACL_HEADER, size - ACL_HEADER}, count, acl, &why))
        return TRUE;
    g_propagate_prefixed_error(error, g_steal_pointer(&why), "%s: ", name);
    return FALSE;
}

gboolean
vmf_security_descriptor_read(VmfSecurityDescriptor *sd, const guint8 *data, gsize size,
                             GError **error)
{
    Span all = {data, size};
    vmf_security_descriptor_clear(sd);
    if (size < HEADER_SIZE)
        return refuse(error, "%" G_GSIZE_FORMAT " bytes are no header", size);
    if (data[0] != 1)
        return refuse(error, "revision %u", data[0]);
    sd->rm_control = data[1];
    sd->control = get16(data + 2);
    if (!(sd->control & VMF_SD_SELF_RELATIVE))
        return refuse(error, "it is not self-relative");
    if (!read_sid_at(all, get32(data + 4), "owner", &sd->has_owner, &sd->owner, error) ||
        !read_sid_at(all, get32(data + 8), "group", &sd->has_group, &sd->group, error))
        return FALSE;
    /* Without the flag an offset means nothing: Windows does not look at it. */
    if (sd->control & VMF_SD_SACL_PRESENT &&
        !read_acl_at(sd, all, get32(data + 12), "SACL", &sd->sacl, error))
        return FALSE;
    if (sd->control & VMF_SD_DACL_PRESENT &&
        !read_acl_at(sd, all, get32(data + 16), "DACL", &sd->dacl, error))
        return FALSE;
    return TRUE;
}

VmfSecurityDescriptor *
vmf_security_descriptor_from_bytes(const guint8 *data, gsize size, GError **error)
{
    g_autoptr(VmfSecurityDescriptor) sd = vmf_security_descriptor_new();
    return vmf_security_descriptor_read(sd, data, size, error) ? g_steal_pointer(&sd) : NULL;
}

static void
put16(GByteArray *out, gsize at, guint value)
{
    out->data[at] = (guint8)value;
    out->data[at + 1] = (guint8)(value >> 8);
}

static void
put32(GByteArray *out, gsize at, guint32 value)
{
    put16(out, at, value & 0xffff);
    put16(out, at + 2, value >> 16);
}

static gsize
grow(GByteArray *out, gsize by)
{
    gsize at = out->len;
    g_byte_array_set_size(out, (guint)(at + by));
    memset(out->data + at, 0, by);
    return at;
}

static gboolean
write_ace(GByteArray *out, const VmfSecurityDescriptor *sd, const VmfAce *ace, guint index,
          GError **error)
{
    if (ace->extra_unread) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNSUPPORTED,
                    "ace %u has a condition that was not read: it cannot be written", index);
        return FALSE;
    }
    gsize at = grow(out, ACE_HEADER);
    if (vmf_ace_is_object(ace->type)) {
        put32(out, grow(out, 4), ace->object_flags);
        if (ace->object_flags & VMF_ACE_OBJECT_TYPE_PRESENT)
            g_byte_array_append(out, ace->object_type, 16);
        if (ace->object_flags & VMF_ACE_INHERITED_OBJECT_TYPE_PRESENT)
            g_byte_array_append(out, ace->inherited_type, 16);
    }
    g_byte_array_append(out, ace->sid.data, (guint)vmf_sid_size(&ace->sid));
    if (ace->extra_size)
        g_byte_array_append(out, sd->extra->data + ace->extra_at, ace->extra_size);
    gsize size = out->len - at;
    if (size > G_MAXUINT16)
        return refuse(error, "ace %u would be %" G_GSIZE_FORMAT " bytes long", index, size);
    out->data[at] = ace->type;
    out->data[at + 1] = ace->flags;
    put16(out, at + 2, (guint)size);
    put32(out, at + 4, ace->mask);
    return TRUE;
}

static gboolean
write_acl(GByteArray *out, const VmfSecurityDescriptor *sd, const VmfAcl *acl, gsize offset_at,
          GError **error)
{
    guint8 revision = acl->revision ? acl->revision : 2;
    if (acl->state != VMF_ACL_PRESENT)
        return TRUE;
    gsize at = grow(out, ACL_HEADER);
    put32(out, offset_at, (guint32)at);
    for (guint i = 0; i < acl->n_aces; i++) {
        if (!write_ace(out, sd, &acl->aces[i], i, error))
            return FALSE;
        if (vmf_ace_is_object(acl->aces[i].type))
            revision = 4;
    }
    gsize size = out->len - at;
    if (size > G_MAXUINT16)
        return refuse(error, "a list would be %" G_GSIZE_FORMAT " bytes long", size);
    out->data[at] = revision;
    put16(out, at + 2, (guint)size);
    put16(out, at + 4, acl->n_aces);
    return TRUE;
}

static void
write_sid(GByteArray *out, gboolean has, const VmfSid *sid, gsize offset_at)
{
    if (!has)
        return;
    put32(out, offset_at, out->len);
    g_byte_array_append(out, sid->data, (guint)vmf_sid_size(sid));
}

GBytes *
vmf_security_descriptor_to_bytes(const VmfSecurityDescriptor *sd, GError **error)
{
    if (sd->dacl.state == VMF_ACL_UNSEEN) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNSUPPORTED,
                    "the descriptor's list is not known: it cannot be written");
        return NULL;
    }
    g_autoptr(GByteArray) out = g_byte_array_new();
    guint control = sd->control | VMF_SD_SELF_RELATIVE;
    control &= ~(guint)(VMF_SD_DACL_PRESENT | VMF_SD_SACL_PRESENT);
    if (sd->dacl.state != VMF_ACL_ABSENT)
        control |= VMF_SD_DACL_PRESENT;
    if (sd->sacl.state == VMF_ACL_NULL || sd->sacl.state == VMF_ACL_PRESENT)
        control |= VMF_SD_SACL_PRESENT;
    grow(out, HEADER_SIZE);
    out->data[0] = 1;
    out->data[1] = sd->rm_control;
    put16(out, 2, control);
    if (!write_acl(out, sd, &sd->sacl, 12, error) || !write_acl(out, sd, &sd->dacl, 16, error))
        return NULL;
    write_sid(out, sd->has_owner, &sd->owner, 4);
    write_sid(out, sd->has_group, &sd->group, 8);
    return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}
