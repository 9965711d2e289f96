/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/base/text.h"

#include <string.h>

int
vmf_text_head(const char *text, guint most)
{
    const char *end;
    g_utf8_validate(text, (gssize)strnlen(text, most), &end);
    return (int)(end - text);
}

gchar *
vmf_text_tame(const char *text, guint most)
{
    g_autofree gchar *valid = g_utf8_make_valid(text, (gssize)strnlen(text, most));
    GString *out = g_string_new(NULL);
    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        g_string_append_unichar(out, c == '\n' || g_unichar_isprint(c) ? c : '?');
    }
    g_string_truncate(out, (gsize)vmf_text_head(out->str, most));
    return g_string_free(out, FALSE);
}
