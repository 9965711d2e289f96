/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a keytab and a domain controller's clock tell; a real domain is asked in tests/lab. */
#include "auth/keytab-facts.h"
#include "auth/ldap-session.h"
#include "tests/unit/auth/forge.h"

#include <string.h>

static const krb5_enctype aes_and_rc4[] = {ENCTYPE_ARCFOUR_HMAC, ENCTYPE_AES256_CTS_HMAC_SHA1_96,
                                           0};

static void
test_keys(void)
{
    g_autofree gchar *path = forge_keytab("facts", aes_and_rc4, "HV1$@LAB.TEST",
                                          "host/hv1.lab.test@LAB.TEST", NULL);
    g_autoptr(VmfFactKeytab) facts = vmf_fact_keytab_new();
    vmf_keytab_facts_gather(NULL, path, FALSE, facts);
    g_assert_cmpstr(facts->reason, ==, "");
    g_assert_cmpstr(facts->path, ==, path);
    g_assert_cmpuint(facts->keys->len, ==, 4);
    guint own = 0, rc4 = 0;
    for (guint i = 0; i < facts->keys->len; i++) {
        const VmfFactKey *key = g_ptr_array_index(facts->keys, i);
        own += strcmp(key->principal, "HV1$@LAB.TEST") == 0;
        rc4 += key->enctype == 23;
        g_assert_cmpuint(key->kvno, >, 0);
    }
    g_assert_cmpuint(own, ==, 2);
    g_assert_cmpuint(rc4, ==, 2);
    g_assert_false(facts->works);
    g_assert_cmpstr(facts->problem, !=, "");
}

static void
test_no_keytab(void)
{
    g_autoptr(VmfFactKeytab) facts = vmf_fact_keytab_new();
    vmf_keytab_facts_gather(NULL, "/nonexistent/krb5.keytab", FALSE, facts);
    g_assert_nonnull(strstr(facts->reason, "/nonexistent/krb5.keytab"));
    g_assert_false(facts->works);
}

static void
test_time(void)
{
    static const char *const wrong[] = {"",
                                        "Z",
                                        "20261122044700",
                                        "20261122044700.0",
                                        "20261322044700.0Z",
                                        "2026112204470Z",
                                        "2026112204470xZ",
                                        "20261122044700.0+0100",
                                        "20261122044700.0ZZ"};
    g_assert_cmpint(vmf_ldap_time_parse("20261122044700.0Z"), ==, G_GINT64_CONSTANT(1795322820000));
    g_assert_cmpint(vmf_ldap_time_parse("19700101000001Z"), ==, 1000);
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_assert_cmpint(vmf_ldap_time_parse(wrong[i]), ==, -1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    forge_begin();
    g_test_add_func("/auth-facts/keytab/every-key", test_keys);
    g_test_add_func("/auth-facts/keytab-missing/reason", test_no_keytab);
    g_test_add_func("/auth-facts/clock/generalized-time", test_time);
    int failed = g_test_run();
    forge_end();
    return failed;
}
