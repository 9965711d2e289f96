/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/xdr.h"

#include <string.h>

static gsize
padding(gsize length)
{
    return (4 - length % 4) % 4;
}

void
vmf_xdr_put_u32(GByteArray *out, guint32 value)
{
    guint32 wire = GUINT32_TO_BE(value);
    g_byte_array_append(out, (const guint8 *)&wire, sizeof wire);
}

void
vmf_xdr_put_u64(GByteArray *out, guint64 value)
{
    guint64 wire = GUINT64_TO_BE(value);
    g_byte_array_append(out, (const guint8 *)&wire, sizeof wire);
}

void
vmf_xdr_put_fixed(GByteArray *out, const void *data, gsize length)
{
    static const guint8 zero[4];
    g_assert(length <= G_MAXUINT32);
    if (length > 0)
        g_byte_array_append(out, data, (guint)length);
    g_byte_array_append(out, zero, (guint)padding(length));
}

void
vmf_xdr_put_opaque(GByteArray *out, const void *data, gsize length)
{
    vmf_xdr_put_u32(out, (guint32)length);
    vmf_xdr_put_fixed(out, data, length);
}

void
vmf_xdr_put_string(GByteArray *out, const char *string)
{
    vmf_xdr_put_opaque(out, string, strlen(string));
}

void
vmf_xdr_put_optional_string(GByteArray *out, const char *string)
{
    vmf_xdr_put_u32(out, string != NULL);
    if (string != NULL)
        vmf_xdr_put_string(out, string);
}

void
vmf_xdr_init(VmfXdrReader *reader, const void *data, gsize length)
{
    *reader = (VmfXdrReader){.data = data, .length = length};
}

/* The next @length bytes and their padding, or NULL for ever. */
static const guint8 *
take(VmfXdrReader *reader, gsize length)
{
    static const guint8 nothing[1];
    gsize left = reader->length - reader->at;
    if (reader->failed || length > left || padding(length) > left - length) {
        reader->failed = TRUE;
        return NULL;
    }
    const guint8 *start = reader->data != NULL ? reader->data + reader->at : nothing;
    for (gsize i = 0; i < padding(length); i++) {
        if (start[length + i] != 0) {
            reader->failed = TRUE;
            return NULL;
        }
    }
    reader->at += length + padding(length);
    return start;
}

guint32
vmf_xdr_u32(VmfXdrReader *reader)
{
    guint32 wire = 0;
    const guint8 *start = take(reader, sizeof wire);
    if (start != NULL)
        memcpy(&wire, start, sizeof wire);
    return GUINT32_FROM_BE(wire);
}

guint64
vmf_xdr_u64(VmfXdrReader *reader)
{
    guint64 wire = 0;
    const guint8 *start = take(reader, sizeof wire);
    if (start != NULL)
        memcpy(&wire, start, sizeof wire);
    return GUINT64_FROM_BE(wire);
}

gboolean
vmf_xdr_fixed(VmfXdrReader *reader, void *out, gsize length)
{
    const guint8 *start = take(reader, length);
    if (start == NULL)
        return FALSE;
    memcpy(out, start, length);
    return TRUE;
}

/* Length word and bytes of an opaque<> or string<>. */
static const guint8 *
take_counted(VmfXdrReader *reader, gsize max, gsize *length)
{
    *length = vmf_xdr_u32(reader);
    if (*length > max)
        reader->failed = TRUE;
    return take(reader, *length);
}

GBytes *
vmf_xdr_opaque(VmfXdrReader *reader, gsize max)
{
    gsize length;
    const guint8 *start = take_counted(reader, max, &length);
    return start != NULL ? g_bytes_new(start, length) : NULL;
}

gchar *
vmf_xdr_string(VmfXdrReader *reader, gsize max)
{
    gsize length;
    const guint8 *start = take_counted(reader, max, &length);
    if (start == NULL)
        return NULL;
    if (!g_utf8_validate_len((const char *)start, length, NULL)) {
        reader->failed = TRUE;
        return NULL;
    }
    return g_strndup((const char *)start, length);
}

gchar *
vmf_xdr_optional_string(VmfXdrReader *reader, gsize max)
{
    guint32 present = vmf_xdr_u32(reader);
    if (present > 1)
        reader->failed = TRUE;
    return present == 1 ? vmf_xdr_string(reader, max) : NULL;
}

gboolean
vmf_xdr_end(const VmfXdrReader *reader)
{
    return !reader->failed && reader->at == reader->length;
}
