/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/json-line.h"

#include <string.h>

void
vmf_json_line_init(VmfJsonLine *line, char *text, gsize size)
{
    *line = (VmfJsonLine){.at = text, .end = text + size, .start = text};
}

gboolean
vmf_json_line_fail(VmfJsonLine *line, const char *why)
{
    if (line->why == NULL)
        line->why = why;
    return FALSE;
}

char
vmf_json_line_peek(VmfJsonLine *line)
{
    while (line->at < line->end &&
           (*line->at == ' ' || *line->at == '\t' || *line->at == '\r' || *line->at == '\n'))
        line->at++;
    return line->at < line->end ? *line->at : '\0';
}

static gboolean
take(VmfJsonLine *line, char letter, const char *why)
{
    if (line->why != NULL || vmf_json_line_peek(line) != letter || line->at == line->end)
        return vmf_json_line_fail(line, why);
    line->at++;
    return TRUE;
}

gboolean
vmf_json_line_open(VmfJsonLine *line, char bracket)
{
    return take(line, bracket, bracket == '{' ? "an object is expected" : "a list is expected");
}

gboolean
vmf_json_line_next(VmfJsonLine *line, char close, gboolean *first)
{
    if (line->why != NULL)
        return FALSE;
    if (vmf_json_line_peek(line) == close) {
        line->at++;
        return FALSE;
    }
    if (!*first && !take(line, ',', "a comma or the end of the list or object is expected"))
        return FALSE;
    *first = FALSE;
    if (vmf_json_line_peek(line) == '\0')
        return vmf_json_line_fail(line, "it ends too early");
    return TRUE;
}

gboolean
vmf_json_line_key(VmfJsonLine *line, const char **key)
{
    gsize size;
    return vmf_json_line_string(line, key, &size) &&
           take(line, ':', "':' is expected after a name");
}

static gboolean
hex4(const char *at, const char *end, guint *value)
{
    *value = 0;
    if (end - at < 4)
        return FALSE;
    for (guint i = 0; i < 4; i++) {
        if (!g_ascii_isxdigit(at[i]))
            return FALSE;
        *value = *value << 4 | (guint)g_ascii_xdigit_value(at[i]);
    }
    return TRUE;
}

/* \uXXXX, or two of them for a character above U+FFFF; never longer in UTF-8 than it was. */
static gboolean
unescape_unicode(VmfJsonLine *line, char **in, char **out)
{
    guint high, low;
    if (!hex4(*in, line->end, &high) || high == 0)
        return vmf_json_line_fail(line, "bad \\u escape");
    *in += 4;
    gunichar character = high;
    if (high >= 0xd800 && high < 0xe000) {
        if (high >= 0xdc00 || line->end - *in < 6 || (*in)[0] != '\\' || (*in)[1] != 'u' ||
            !hex4(*in + 2, line->end, &low) || low < 0xdc00 || low >= 0xe000)
            return vmf_json_line_fail(line, "half of a surrogate pair");
        *in += 6;
        character = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
    *out += g_unichar_to_utf8(character, *out);
    return TRUE;
}

/* @in stands behind the backslash. */
static gboolean
unescape(VmfJsonLine *line, char **in, char **out)
{
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (*in >= line->end)
        return vmf_json_line_fail(line, "a string does not end");
    char letter = *(*in)++;
    if (letter == 'u')
        return unescape_unicode(line, in, out);
    const char *found = letter ? strchr(letters, letter) : NULL;
    if (found == NULL)
        return vmf_json_line_fail(line, "unknown escape in a string");
    *(*out)++ = values[found - letters];
    return TRUE;
}

/* Behind the first escape: the rest moves down. */
static gboolean
read_escaped(VmfJsonLine *line, char **in, char **out, guchar *seen)
{
    while (*in < line->end && **in != '"') {
        guchar byte = (guchar)(*in)[0];
        *in += 1;
        if (byte == '\\') {
            *seen |= 0x80;
            if (!unescape(line, in, out))
                return FALSE;
            continue;
        }
        if (byte < 0x20)
            return vmf_json_line_fail(line, "a control character in a string");
        *seen |= byte;
        *(*out)++ = (char)byte;
    }
    return TRUE;
}

gboolean
vmf_json_line_string(VmfJsonLine *line, const char **text, gsize *size)
{
    if (!take(line, '"', "a string is expected"))
        return FALSE;
    char *in = line->at;
    guchar seen = 0;
    while ((guchar)*in >= 0x20 && *in != '"' && *in != '\\')
        seen |= (guchar)*in++; /* stops at the NUL behind the line */
    char *out = in;
    if (!read_escaped(line, &in, &out, &seen))
        return FALSE;
    if (in == line->end)
        return vmf_json_line_fail(line, "a string does not end");
    *text = line->at;
    *size = (gsize)(out - line->at);
    if (seen & 0x80 && !g_utf8_validate_len(*text, *size, NULL))
        return vmf_json_line_fail(line, "a string is not UTF-8");
    line->at = in + 1;
    *out = '\0';
    return TRUE;
}

gboolean
vmf_json_line_u32(VmfJsonLine *line, guint32 *value)
{
    guint64 number = 0;
    if (!g_ascii_isdigit(vmf_json_line_peek(line)))
        return vmf_json_line_fail(line, "a number without sign is expected");
    const char *first = line->at;
    for (; line->at < line->end && g_ascii_isdigit(*line->at); line->at++) {
        number = number * 10 + (guint)(*line->at - '0');
        if (number > G_MAXUINT32)
            return vmf_json_line_fail(line, "a number above 4294967295");
    }
    gboolean leading_zero = *first == '0' && line->at - first > 1;
    if (leading_zero || (line->at < line->end && strchr(".eE", *line->at) && *line->at))
        return vmf_json_line_fail(line, "a whole number is expected");
    *value = (guint32)number;
    return TRUE;
}

gboolean
vmf_json_line_boolean(VmfJsonLine *line, gboolean *value)
{
    char letter = vmf_json_line_peek(line);
    const char *word = letter == 't' ? "true" : "false";
    gsize size = strlen(word);
    if ((gsize)(line->end - line->at) < size || memcmp(line->at, word, size) != 0)
        return vmf_json_line_fail(line, "true or false is expected");
    line->at += size;
    *value = letter == 't';
    return TRUE;
}

gboolean
vmf_json_line_end(VmfJsonLine *line)
{
    vmf_json_line_peek(line);
    if (line->why == NULL && line->at != line->end)
        vmf_json_line_fail(line, "something follows the end");
    return line->why == NULL;
}

void
vmf_json_append_string(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const char *p = text; *p != '\0'; p++) {
        gsize plain = 0;
        while ((guchar)p[plain] >= 0x20 && p[plain] != '"' && p[plain] != '\\' && p[plain] != 0x7f)
            plain++;
        g_string_append_len(out, p, (gssize)plain);
        p += plain;
        guchar byte = (guchar)*p;
        if (byte == '\0')
            break;
        if (byte == '"' || byte == '\\') {
            g_string_append_c(out, '\\');
            g_string_append_c(out, *p);
        } else {
            g_string_append_printf(out, "\\u%04x", byte);
        }
    }
    g_string_append_c(out, '"');
}
