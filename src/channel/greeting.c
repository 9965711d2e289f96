/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/greeting.h"

#include "auth/reader.h"
#include "src/base/error.h"

#include <string.h>

static const guint8 magic[8] = {'V', 'M', 'F', 'E', 'R', 'R', 'Y', '1'};

static void
put_be32(guint8 *out, guint32 value)
{
    out[0] = (guint8)(value >> 24);
    out[1] = (guint8)(value >> 16);
    out[2] = (guint8)(value >> 8);
    out[3] = (guint8)value;
}

static gboolean
malformed(GError **error, const char *what)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "the other end does not speak vmferry's channel protocol: %s; see that both hosts "
                "run the same version",
                what);
    return FALSE;
}

void
vmf_greeting_encode(VmfChannelKind kind, guint32 length, guint8 out[VMF_GREETING_BYTES])
{
    memset(out, 0, VMF_GREETING_BYTES);
    memcpy(out, magic, sizeof magic);
    out[8] = (guint8)kind;
    put_be32(out + 12, length);
}

gboolean
vmf_greeting_decode(const guint8 *data, gsize size, VmfChannelKind *kind, guint32 *length,
                    GError **error)
{
    VmfReader in = vmf_reader(data, size);
    const guint8 *start = vmf_reader_bytes(&in, sizeof magic);
    guint8 what = vmf_reader_u8(&in);
    const guint8 *zero = vmf_reader_bytes(&in, 3);
    guint32 follows = vmf_reader_be32(&in);
    if (!vmf_reader_ok(&in) || vmf_reader_left(&in) != 0)
        return malformed(error, "the greeting has another length");
    if (memcmp(start, magic, sizeof magic) != 0)
        return malformed(error, "the greeting begins otherwise");
    if (zero[0] != 0 || zero[1] != 0 || zero[2] != 0)
        return malformed(error, "reserved bytes of the greeting are not zero");
    if (what == VMF_CHANNEL_CONTROL) {
        if (follows < 1 || follows > VMF_CHANNEL_TOKEN_BYTES)
            return malformed(error, "the token's length is out of bounds");
    } else if (what == VMF_CHANNEL_STREAM) {
        if (follows != VMF_STREAM_NAME_CHARS)
            return malformed(error, "the stream's name has another length");
    } else {
        return malformed(error, "the greeting is of an unknown kind");
    }
    *kind = what;
    *length = follows;
    return TRUE;
}

void
vmf_answer_encode(guint32 length, guint8 out[VMF_ANSWER_BYTES])
{
    put_be32(out, length);
}

gboolean
vmf_answer_decode(const guint8 *data, gsize size, guint32 *length, GError **error)
{
    VmfReader in = vmf_reader(data, size);
    guint32 follows = vmf_reader_be32(&in);
    if (!vmf_reader_ok(&in) || vmf_reader_left(&in) != 0 || follows < 1 ||
        follows > VMF_CHANNEL_TOKEN_BYTES)
        return malformed(error, "the answer's length is out of bounds");
    *length = follows;
    return TRUE;
}

gboolean
vmf_stream_name_valid(const char *name)
{
    gsize i;
    for (i = 0; i < VMF_STREAM_NAME_CHARS; i++)
        if (!g_ascii_isdigit(name[i]) && !(name[i] >= 'a' && name[i] <= 'f'))
            return FALSE;
    return name[i] == '\0';
}

GBytes *
vmf_verdict_encode(const GError *refusal)
{
    GByteArray *out = g_byte_array_new();
    const char *text = refusal ? refusal->message : "";
    gsize size = strlen(text);
    if (size > VMF_VERDICT_TEXT_MAX)
        size = (gsize)(g_utf8_find_prev_char(text, text + VMF_VERDICT_TEXT_MAX + 1) - text);
    gint code = refusal && refusal->domain == VMF_ERROR ? refusal->code : VMF_ERROR_INTERNAL;
    const guint8 head[VMF_VERDICT_BYTES] = {refusal != NULL, refusal ? (guint8)code : 0,
                                            (guint8)(size >> 8), (guint8)size};
    g_byte_array_append(out, head, sizeof head);
    g_byte_array_append(out, (const guint8 *)text, (guint)size);
    return g_byte_array_free_to_bytes(out);
}

gboolean
vmf_verdict_head_decode(const guint8 *data, gsize size, gboolean *accepted, gint *code,
                        guint16 *text_length, GError **error)
{
    VmfReader in = vmf_reader(data, size);
    guint8 refused = vmf_reader_u8(&in), why = vmf_reader_u8(&in);
    guint16 length = vmf_reader_be16(&in);
    if (!vmf_reader_ok(&in) || vmf_reader_left(&in) != 0 || refused > 1 ||
        why > VMF_ERROR_INTERNAL || length > VMF_VERDICT_TEXT_MAX ||
        (!refused && (why != 0 || length != 0)))
        return malformed(error, "its verdict is malformed");
    *accepted = !refused;
    *code = why;
    *text_length = length;
    return TRUE;
}

gchar *
vmf_verdict_text(const guint8 *data, gsize size)
{
    g_autofree gchar *raw = g_strndup((const gchar *)data, size);
    g_autofree gchar *valid = g_utf8_make_valid(raw, -1);
    GString *out = g_string_new(NULL);
    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        g_string_append_unichar(out, g_unichar_isprint(c) ? c : ' ');
    }
    return g_string_free(out, FALSE);
}
