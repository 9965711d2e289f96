/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/ldap-filter.h"

static void
test_text(void)
{
    static const char *const pairs[][2] = {
        {"HV1$", "HV1$"},
        {"VM Hosts", "VM Hosts"},
        {"*", "\\2a"},
        {"a)(objectClass=*", "a\\29\\28objectClass=\\2a"},
        {"back\\slash", "back\\5cslash"},
        {"K\xc3\xb6ln", "K\\c3\\b6ln"},
        {"line\nend", "line\\0aend"},
        {"", ""},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autofree gchar *escaped = vmf_ldap_escape(pairs[i][0]);
        g_assert_cmpstr(escaped, ==, pairs[i][1]);
    }
}

static void
test_bytes(void)
{
    g_autofree gchar *escaped = vmf_ldap_escape_bytes((const guint8 *)"\x01\x00\xff", 3);
    g_assert_cmpstr(escaped, ==, "\\01\\00\\ff");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ldap-filter/text/escaped", test_text);
    g_test_add_func("/ldap-filter/bytes/escaped", test_bytes);
    return g_test_run();
}
