/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/ldap-filter.h"

#include <string.h>

gchar *
vmf_ldap_escape(const char *text)
{
    GString *out = g_string_new(NULL);
    for (const char *p = text; *p; p++) {
        if (strchr("*()\\", *p) || !g_ascii_isprint(*p))
            g_string_append_printf(out, "\\%02x", (guint8)*p);
        else
            g_string_append_c(out, *p);
    }
    return g_string_free(out, FALSE);
}

gchar *
vmf_ldap_escape_bytes(const guint8 *bytes, gsize size)
{
    GString *out = g_string_sized_new(3 * size);
    for (gsize i = 0; i < size; i++)
        g_string_append_printf(out, "\\%02x", bytes[i]);
    return g_string_free(out, FALSE);
}
