/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/sid.h"

#include <string.h>

static char *
put_decimal(char *at, guint64 number)
{
    char digits[20];
    guint n = 0;
    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

gchar *
vmf_sid_from_bytes(const guint8 *data, gsize size, gsize *consumed)
{
    if (size < 8 || data[0] != 1 || data[1] > VMF_SID_MAX_SUB_AUTHORITIES)
        return NULL;
    gsize count = data[1], need = 8 + 4 * count;
    if (size < need)
        return NULL;

    guint64 authority = 0;
    for (gsize i = 2; i < 8; i++)
        authority = authority << 8 | data[i];
    char text[32 + 11 * VMF_SID_MAX_SUB_AUTHORITIES] = "S-1-", *at = text + 4;
    if (authority >> 32)
        at += g_snprintf(at, 16, "0x%012" G_GINT64_MODIFIER "x", authority);
    else
        at = put_decimal(at, authority);
    for (gsize i = 0; i < count; i++) {
        guint32 sub;
        memcpy(&sub, data + 8 + 4 * i, sizeof sub);
        *at++ = '-';
        at = put_decimal(at, GUINT32_FROM_LE(sub));
    }
    if (consumed)
        *consumed = need;
    return g_strndup(text, (gsize)(at - text));
}

static gboolean
read_hexadecimal(const char **at, guint64 max, guint64 *value)
{
    const char *p = *at;
    for (*value = 0; g_ascii_isxdigit(*p); p++) {
        *value = *value * 16 + (guint)g_ascii_xdigit_value(*p);
        if (*value > max)
            return FALSE;
    }
    gboolean any = p != *at;
    *at = p;
    return any;
}

static gboolean
read_decimal(const char **at, guint64 max, guint64 *value)
{
    const char *p = *at;
    for (*value = 0; *p >= '0' && *p <= '9'; p++) {
        *value = *value * 10 + (guint)(*p - '0');
        if (*value > max)
            return FALSE;
    }
    gboolean any = p != *at;
    *at = p;
    return any;
}

/* A decimal number, or 0x and hexadecimal where @hex allows it, ending at '-' or the end. */
static gboolean
read_number(const char **at, gboolean hex, guint64 max, guint64 *value)
{
    const char *p = *at;
    hex = hex && p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
    if (hex)
        p += 2;
    if (!(hex ? read_hexadecimal(&p, max, value) : read_decimal(&p, max, value)))
        return FALSE;
    *at = p;
    return *p == '-' || *p == '\0';
}

gsize
vmf_sid_to_bytes(const char *text, guint8 out[VMF_SID_MAX_BYTES])
{
    guint8 bytes[VMF_SID_MAX_BYTES];
    if (text == NULL || (text[0] != 'S' && text[0] != 's') || strncmp(text + 1, "-1-", 3) != 0)
        return 0;

    const char *p = text + 4;
    guint64 authority;
    if (!read_number(&p, TRUE, (G_GUINT64_CONSTANT(1) << 48) - 1, &authority))
        return 0;
    gsize count = 0;
    while (*p == '-') {
        guint64 sub;
        p++;
        if (count == VMF_SID_MAX_SUB_AUTHORITIES || !read_number(&p, FALSE, G_MAXUINT32, &sub))
            return 0;
        guint32 le = GUINT32_TO_LE((guint32)sub);
        memcpy(bytes + 8 + 4 * count++, &le, sizeof le);
    }
    bytes[0] = 1;
    bytes[1] = (guint8)count;
    for (gsize i = 0; i < 6; i++)
        bytes[2 + i] = (guint8)(authority >> (8 * (5 - i)));
    gsize size = 8 + 4 * count;
    memcpy(out, bytes, size);
    return size;
}

gboolean
vmf_sid_is_valid(const char *text)
{
    guint8 bytes[VMF_SID_MAX_BYTES];
    return vmf_sid_to_bytes(text, bytes) != 0;
}

gchar *
vmf_sid_with_rid(const char *domain, guint32 rid)
{
    return g_strdup_printf("%s-%u", domain, rid);
}

gchar *
vmf_sid_domain(const char *sid)
{
    guint8 bytes[VMF_SID_MAX_BYTES];
    if (vmf_sid_to_bytes(sid, bytes) == 0 || bytes[1] < 2)
        return NULL;
    return g_strndup(sid, (gsize)(strrchr(sid, '-') - sid));
}

gboolean
vmf_sid_parse(const char *text, VmfSid *out)
{
    VmfSid sid = {0};
    if (vmf_sid_to_bytes(text, sid.data) == 0)
        return FALSE;
    *out = sid;
    return TRUE;
}

gchar *
vmf_sid_format(const VmfSid *sid)
{
    return vmf_sid_from_bytes(sid->data, sizeof sid->data, NULL);
}
