/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/pac.h"

#include "auth/reader.h"
#include "policy/sid.h"
#include "src/base/error.h"

/*
 * NDR in short (MS-RPCE, C706 chapter 14): a structure's fixed part comes first, with a non-zero
 * 32-bit number where it holds a pointer; what the pointers lead to follows in the order of the
 * pointers. An array whose length is not fixed is preceded by its count. Everything here is aligned
 * to 4 bytes.
 */

#define SE_GROUP_ENABLED           0x00000004u
#define SE_GROUP_USE_FOR_DENY_ONLY 0x00000010u

#define HEADER_BYTES 16 /* common and private type header, MS-RPCE 2.2.6.1 and 2.2.6.2 */
#define MAX_PADDING  7

/* An RPC_UNICODE_STRING's fixed part. */
typedef struct {
    guint16 length;  /* bytes in use */
    guint16 maximum; /* bytes of room */
    guint32 pointer;
} NdrString;

/* The fixed part of KERB_VALIDATION_INFO, of which only what leads on is kept. */
typedef struct {
    NdrString account, full_name, script, profile, home, drive;
    guint32 user_id, primary_group_id;
    guint32 group_count, groups;
    NdrString server, domain;
    guint32 domain_sid;
    guint32 uac;
    guint32 sid_count, sids;
    guint32 resource_domain_sid, resource_count, resources;
} NdrLogon;

typedef struct {
    VmfReader in;
    GError **error;
} Parser;

static gboolean
fail(Parser *p, const char *field)
{
    /* the first reason is the one that helps */
    if (p->error && *p->error == NULL)
        g_set_error(
            p->error, VMF_ERROR, VMF_ERROR_PROTOCOL,
            "the ticket's PAC is malformed: %s of KERB_VALIDATION_INFO, at byte %" G_GSIZE_FORMAT
            " of %" G_GSIZE_FORMAT,
            field, p->in.at, p->in.size);
    return FALSE;
}

static gboolean
read_header(Parser *p)
{
    VmfReader *in = &p->in;
    guint8 version = vmf_reader_u8(in);
    guint8 endianness = vmf_reader_u8(in);
    guint16 header_length = vmf_reader_le16(in);
    vmf_reader_le32(in); /* filler */
    guint32 length = vmf_reader_le32(in);
    vmf_reader_le32(in); /* filler */
    guint32 pointer = vmf_reader_le32(in);
    if (!vmf_reader_ok(in) || version != 1 || endianness != 0x10 || header_length != 8 ||
        pointer == 0)
        return fail(p, "type header");
    gsize whole = in->size;
    vmf_reader_cut(in, HEADER_BYTES + (gsize)length);
    if (!vmf_reader_ok(in) || whole - in->size > MAX_PADDING)
        return fail(p, "object length");
    return TRUE;
}

static NdrString
read_string_fixed(VmfReader *in)
{
    NdrString string;
    string.length = vmf_reader_le16(in);
    string.maximum = vmf_reader_le16(in);
    string.pointer = vmf_reader_le32(in);
    return string;
}

static gboolean
read_fixed(Parser *p, NdrLogon *fixed)
{
    VmfReader *in = &p->in;
    vmf_reader_bytes(in, 48); /* six times */
    fixed->account = read_string_fixed(in);
    fixed->full_name = read_string_fixed(in);
    fixed->script = read_string_fixed(in);
    fixed->profile = read_string_fixed(in);
    fixed->home = read_string_fixed(in);
    fixed->drive = read_string_fixed(in);
    vmf_reader_bytes(in, 4); /* logon and bad password count */
    fixed->user_id = vmf_reader_le32(in);
    fixed->primary_group_id = vmf_reader_le32(in);
    fixed->group_count = vmf_reader_le32(in);
    fixed->groups = vmf_reader_le32(in);
    vmf_reader_bytes(in, 20); /* user flags, session key */
    fixed->server = read_string_fixed(in);
    fixed->domain = read_string_fixed(in);
    fixed->domain_sid = vmf_reader_le32(in);
    vmf_reader_bytes(in, 8); /* reserved */
    fixed->uac = vmf_reader_le32(in);
    vmf_reader_bytes(in, 28); /* sub-authentication, interactive logon statistics, reserved */
    fixed->sid_count = vmf_reader_le32(in);
    fixed->sids = vmf_reader_le32(in);
    fixed->resource_domain_sid = vmf_reader_le32(in);
    fixed->resource_count = vmf_reader_le32(in);
    fixed->resources = vmf_reader_le32(in);
    return vmf_reader_ok(in) || fail(p, "fixed part");
}

/* @text is set to a new string, "" for an absent one; it may be NULL when nobody wants it. */
static gboolean
read_string(Parser *p, const NdrString *fixed, const char *field, gchar **text)
{
    VmfReader *in = &p->in;
    if (fixed->length % 2 != 0 || fixed->maximum < fixed->length)
        return fail(p, field);
    if (fixed->pointer == 0) {
        if (fixed->length != 0)
            return fail(p, field);
        if (text)
            *text = g_strdup("");
        return TRUE;
    }

    vmf_reader_align(in, 4);
    guint32 maximum = vmf_reader_le32(in);
    guint32 offset = vmf_reader_le32(in);
    guint32 count = vmf_reader_le32(in);
    if (!vmf_reader_ok(in) || offset != 0 || count > maximum || count != fixed->length / 2u)
        return fail(p, field);
    const guint8 *bytes = vmf_reader_bytes(in, 2 * (gsize)count);
    if (bytes == NULL)
        return fail(p, field);
    if (text == NULL)
        return TRUE;

    g_autofree gunichar2 *units = g_new(gunichar2, count + 1);
    for (gsize i = 0; i < count; i++)
        units[i] = (gunichar2)(bytes[2 * i] | bytes[2 * i + 1] << 8);
    units[count] = 0;
    glong used = 0;
    g_autofree gchar *utf8 = g_utf16_to_utf8(units, count, &used, NULL, NULL);
    if (utf8 == NULL || used != (glong)count) /* a lone surrogate, or a NUL inside */
        return fail(p, field);
    *text = g_steal_pointer(&utf8);
    return TRUE;
}

static gboolean
read_sid(Parser *p, const char *field, gchar **sid)
{
    VmfReader *in = &p->in;
    vmf_reader_align(in, 4);
    guint32 count = vmf_reader_le32(in);
    if (!vmf_reader_ok(in) || count > VMF_SID_MAX_SUB_AUTHORITIES)
        return fail(p, field);
    gsize size = 8 + 4 * (gsize)count, used = 0;
    const guint8 *bytes = vmf_reader_bytes(in, size);
    if (bytes == NULL)
        return fail(p, field);
    *sid = vmf_sid_from_bytes(bytes, size, &used);
    if (*sid == NULL || used != size)
        return fail(p, field);
    return TRUE;
}

static void
add_group(VmfPacLogon *logon, gchar *sid, guint32 attributes)
{
    if ((attributes & SE_GROUP_ENABLED) && !(attributes & SE_GROUP_USE_FOR_DENY_ONLY))
        g_ptr_array_add(logon->group_sids, sid);
    else
        g_free(sid);
}

/* The head of an array of @count elements of 8 bytes, the only kind there is here. */
static gboolean
read_array_head(Parser *p, guint32 pointer, guint32 count, const char *field)
{
    if (pointer == 0)
        return count == 0 || fail(p, field);
    vmf_reader_align(&p->in, 4);
    guint32 maximum = vmf_reader_le32(&p->in);
    if (!vmf_reader_ok(&p->in) || maximum != count || count > vmf_reader_left(&p->in) / 8)
        return fail(p, field);
    return TRUE;
}

/* GROUP_MEMBERSHIP: appends relative identifier and attributes of each to @rids. */
static gboolean
read_rids(Parser *p, guint32 pointer, guint32 count, const char *field, GArray *rids)
{
    if (!read_array_head(p, pointer, count, field))
        return FALSE;
    for (guint32 i = 0; i < count; i++) {
        guint32 pair[2];
        pair[0] = vmf_reader_le32(&p->in);
        pair[1] = vmf_reader_le32(&p->in);
        g_array_append_vals(rids, pair, 2);
    }
    return vmf_reader_ok(&p->in) || fail(p, field);
}

static void
add_rids(VmfPacLogon *logon, const char *domain_sid, const GArray *rids)
{
    for (guint i = 0; i + 1 < rids->len; i += 2)
        add_group(logon, vmf_sid_with_rid(domain_sid, g_array_index(rids, guint32, i)),
                  g_array_index(rids, guint32, i + 1));
}

static gboolean
read_extra_sids(Parser *p, const NdrLogon *fixed, VmfPacLogon *logon)
{
    if (!read_array_head(p, fixed->sids, fixed->sid_count, "ExtraSids"))
        return FALSE;
    g_autofree guint32 *attributes = g_new(guint32, fixed->sid_count + (gsize)1);
    for (guint32 i = 0; i < fixed->sid_count; i++) {
        guint32 pointer = vmf_reader_le32(&p->in);
        attributes[i] = vmf_reader_le32(&p->in);
        if (pointer == 0)
            return fail(p, "ExtraSids");
    }
    for (guint32 i = 0; i < fixed->sid_count; i++) {
        gchar *sid = NULL;
        if (!read_sid(p, "ExtraSids", &sid)) {
            g_free(sid);
            return FALSE;
        }
        add_group(logon, sid, attributes[i]);
    }
    return TRUE;
}

static gboolean
read_resource_groups(Parser *p, const NdrLogon *fixed, VmfPacLogon *logon)
{
    g_autofree gchar *domain_sid = NULL;
    g_autoptr(GArray) rids = g_array_new(FALSE, FALSE, sizeof(guint32));
    if (fixed->resource_domain_sid != 0 && !read_sid(p, "ResourceGroupDomainSid", &domain_sid))
        return FALSE;
    if (!read_rids(p, fixed->resources, fixed->resource_count, "ResourceGroupIds", rids))
        return FALSE;
    if (rids->len > 0 && domain_sid == NULL)
        return fail(p, "ResourceGroupDomainSid");
    if (domain_sid)
        add_rids(logon, domain_sid, rids);
    return TRUE;
}

static gboolean
read_pointed_to(Parser *p, const NdrLogon *fixed, VmfPacLogon *logon)
{
    g_autoptr(GArray) rids = g_array_new(FALSE, FALSE, sizeof(guint32));
    if (!read_string(p, &fixed->account, "EffectiveName", &logon->account) ||
        !read_string(p, &fixed->full_name, "FullName", NULL) ||
        !read_string(p, &fixed->script, "LogonScript", NULL) ||
        !read_string(p, &fixed->profile, "ProfilePath", NULL) ||
        !read_string(p, &fixed->home, "HomeDirectory", NULL) ||
        !read_string(p, &fixed->drive, "HomeDirectoryDrive", NULL) ||
        !read_rids(p, fixed->groups, fixed->group_count, "GroupIds", rids) ||
        !read_string(p, &fixed->server, "LogonServer", NULL) ||
        !read_string(p, &fixed->domain, "LogonDomainName", &logon->domain))
        return FALSE;
    if (fixed->domain_sid == 0)
        return fail(p, "LogonDomainId");
    if (!read_sid(p, "LogonDomainId", &logon->domain_sid))
        return FALSE;

    logon->sid = vmf_sid_with_rid(logon->domain_sid, fixed->user_id);
    add_group(logon, vmf_sid_with_rid(logon->domain_sid, fixed->primary_group_id),
              SE_GROUP_ENABLED);
    add_rids(logon, logon->domain_sid, rids);
    return read_extra_sids(p, fixed, logon) && read_resource_groups(p, fixed, logon);
}

VmfPacLogon *
vmf_pac_logon_parse(const guint8 *data, gsize size, GError **error)
{
    g_autoptr(GError) reason = NULL;
    Parser p = {vmf_reader(data, size), &reason};
    g_autoptr(VmfPacLogon) logon = g_new0(VmfPacLogon, 1);
    logon->group_sids = g_ptr_array_new_with_free_func(g_free);

    NdrLogon fixed;
    gboolean ok = size <= VMF_PAC_MAX_BYTES ? TRUE : fail(&p, "size");
    ok = ok && read_header(&p) && read_fixed(&p, &fixed) && read_pointed_to(&p, &fixed, logon);
    if (ok && vmf_reader_left(&p.in) > MAX_PADDING)
        ok = fail(&p, "bytes after the end");
    if (!ok) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return NULL;
    }
    logon->uac = fixed.uac;
    return g_steal_pointer(&logon);
}

void
vmf_pac_logon_free(VmfPacLogon *logon)
{
    if (logon == NULL)
        return;
    g_free(logon->account);
    g_free(logon->domain);
    g_free(logon->domain_sid);
    g_free(logon->sid);
    g_ptr_array_unref(logon->group_sids);
    g_free(logon);
}
