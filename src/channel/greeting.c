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

/* What a numbered message ends in, around the reference */
#define RECORD     "(record "
#define RECORD_END ")"

gboolean
vmf_reference_valid(const char *text, gsize size)
{
    for (gsize i = 0; i < size; i++)
        if (!g_ascii_isdigit(text[i]) && !(text[i] >= 'a' && text[i] <= 'f'))
            return FALSE;
    return size == VMF_REFERENCE_CHARS;
}

/* In @refusal's message, VMF_REFERENCE_CHARS of it; NULL: it has none. */
static const char *
reference_of(const GError *refusal)
{
    const gsize tail = strlen(RECORD) + VMF_REFERENCE_CHARS + strlen(RECORD_END);
    gsize size = strlen(refusal->message);
    if (size < tail)
        return NULL;
    const char *end = refusal->message + size - tail, *reference = end + strlen(RECORD);
    return g_str_has_prefix(end, RECORD) && vmf_reference_valid(reference, VMF_REFERENCE_CHARS) &&
                   strcmp(reference + VMF_REFERENCE_CHARS, RECORD_END) == 0
               ? reference
               : NULL;
}

void
vmf_refusal_number(GError **refusal)
{
    GError *numbered = g_error_new((*refusal)->domain, (*refusal)->code,
                                   "%s " RECORD "%08x" RECORD_END, (*refusal)->message,
                                   g_random_int());
    g_error_free(*refusal);
    *refusal = numbered;
}

GError *
vmf_refusal_public(const GError *refusal)
{
    const char *reference = reference_of(refusal);
    return reference ? g_error_new(VMF_ERROR, VMF_ERROR_DENIED, RECORD "%.*s" RECORD_END,
                                   VMF_REFERENCE_CHARS, reference)
                     : g_error_new_literal(VMF_ERROR, VMF_ERROR_DENIED, "");
}

GBytes *
vmf_verdict_encode(const GError *refusal)
{
    GByteArray *out = g_byte_array_new();
    const char *reference = refusal ? reference_of(refusal) : NULL;
    const guint8 head[VMF_VERDICT_BYTES] = {refusal != NULL, 0, 0,
                                            reference ? VMF_REFERENCE_CHARS : 0};
    g_byte_array_append(out, head, sizeof head);
    if (reference)
        g_byte_array_append(out, (const guint8 *)reference, VMF_REFERENCE_CHARS);
    return g_byte_array_free_to_bytes(out);
}

gboolean
vmf_verdict_head_decode(const guint8 *data, gsize size, gboolean *accepted, gsize *length,
                        GError **error)
{
    VmfReader in = vmf_reader(data, size);
    guint8 refused = vmf_reader_u8(&in);
    guint16 zero = vmf_reader_be16(&in);
    guint8 follows = vmf_reader_u8(&in);
    if (!vmf_reader_ok(&in) || vmf_reader_left(&in) != 0 || refused > 1 || zero != 0 ||
        (follows != 0 && (follows != VMF_REFERENCE_CHARS || !refused)))
        return malformed(error, "its verdict is malformed");
    *accepted = !refused;
    *length = follows;
    return TRUE;
}

gchar *
vmf_peer_text(const guint8 *data, gsize size)
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
