/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/host-identity.h"
#include "src/base/error.h"
#include "tests/unit/auth/forge.h"

#include <string.h>

static const krb5_enctype aes[] = {ENCTYPE_AES256_CTS_HMAC_SHA1_96, ENCTYPE_AES128_CTS_HMAC_SHA1_96,
                                   0};
static const krb5_enctype aes_and_rc4[] = {ENCTYPE_ARCFOUR_HMAC, ENCTYPE_AES128_CTS_HMAC_SHA256_128,
                                           0};
static const krb5_enctype rc4[] = {ENCTYPE_ARCFOUR_HMAC, 0};

static void
assert_refused(const char *path, const char *why)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(vmf_host_identity_read(path, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    if (strstr(error->message, why) == NULL || strstr(error->message, path) == NULL)
        g_error("'%s' does not name '%s' and '%s'", error->message, path, why);
}

static void
test_joined(void)
{
    g_autofree gchar *path = forge_keytab(
        "joined", aes_and_rc4, "host/HV1@LAB.TEST", "host/hv1.lab.test@LAB.TEST",
        "RestrictedKrbHost/hv1.lab.test@LAB.TEST", "HV1$@LAB.TEST", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfHostIdentity) me = vmf_host_identity_read(path, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(me->account, ==, "HV1$");
    g_assert_cmpstr(me->realm, ==, "LAB.TEST");
    g_assert_cmpstr(me->principal, ==, "HV1$@LAB.TEST");
    g_assert_cmpstr(me->fqdn, ==, "hv1.lab.test");
}

static void
test_capitals(void)
{
    g_autofree gchar *path = forge_keytab("capitals", aes, "HV1$@LAB.TEST",
                                          "host/Hv1.Lab.Test@LAB.TEST", NULL);
    g_autoptr(VmfHostIdentity) me = vmf_host_identity_read(path, NULL);
    g_assert_cmpstr(me->fqdn, ==, "hv1.lab.test");
}

static void
test_alias(void)
{
    g_autofree gchar *path = forge_keytab("alias", aes, "host/www.lab.test@LAB.TEST",
                                          "HV1$@LAB.TEST", "host/hv1.lab.test@LAB.TEST",
                                          "host/hv1.other@OTHER", NULL);
    g_autoptr(VmfHostIdentity) me = vmf_host_identity_read(path, NULL);
    g_assert_cmpstr(me->fqdn, ==, "hv1.lab.test");
}

static void
test_refused(void)
{
    g_autofree gchar *missing = forge_path("missing");
    assert_refused(missing, "join");
    g_autofree gchar *no_computer = forge_keytab("no-computer", aes, "host/hv1.lab.test@LAB.TEST",
                                                 NULL);
    assert_refused(no_computer, "COMPUTER$");
    g_autofree gchar *no_host = forge_keytab("no-host", aes, "HV1$@LAB.TEST", "host/HV1@LAB.TEST",
                                             NULL);
    assert_refused(no_host, "host/FQDN");
    g_autofree gchar *two = forge_keytab("two", aes, "HV1$@LAB.TEST", "HV2$@LAB.TEST",
                                         "host/hv1.lab.test@LAB.TEST", NULL);
    assert_refused(two, "HV2$@LAB.TEST");
    g_autofree gchar *ambiguous = forge_keytab("ambiguous", aes, "HV1$@LAB.TEST",
                                               "host/a.lab.test@LAB.TEST",
                                               "host/b.lab.test@LAB.TEST", NULL);
    assert_refused(ambiguous, "a.lab.test@LAB.TEST, b.lab.test@LAB.TEST");
    g_autofree gchar *weak = forge_keytab("weak", rc4, "HV1$@LAB.TEST",
                                          "host/hv1.lab.test@LAB.TEST", NULL);
    assert_refused(weak, "AES");
    g_autofree gchar *other_realm = forge_keytab("other-realm", aes, "HV1$@LAB.TEST",
                                                 "host/hv1.lab.test@OTHER.TEST", NULL);
    assert_refused(other_realm, "host/FQDN");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    forge_begin();
    g_test_add_func("/host-identity/joined/read", test_joined);
    g_test_add_func("/host-identity/capitals/lower-case", test_capitals);
    g_test_add_func("/host-identity/alias/own-name-chosen", test_alias);
    g_test_add_func("/host-identity/unfit-keytab/refused", test_refused);
    int rc = g_test_run();
    forge_end();
    return rc;
}
