/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What needs no KDC; tickets from a real one are the lab's (tests/unit/channel/lab-test). */
#include "auth/ticket-keeper.h"
#include "src/base/error.h"
#include "tests/unit/auth/forge.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

static const krb5_enctype aes[] = {ENCTYPE_AES256_CTS_HMAC_SHA1_96, 0};

static VmfTicketKeeper *
keeper_of(const char *keytab, const char *cache)
{
    g_autoptr(VmfHostIdentity) me = vmf_host_identity_new("HV1$", "LAB.TEST", "hv1.lab.test");
    return vmf_ticket_keeper_new(me, keytab, cache, (uid_t)-1, (gid_t)-1);
}

static gchar *
forge_tgt(const char *name, const char *client, gint64 ends)
{
    const ForgedTicket tgt = {.client = client, .server = "krbtgt/LAB.TEST@LAB.TEST", .ends = ends};
    return forge_ccache(name, &tgt);
}

static void
test_after_restart(void)
{
    g_autofree gchar *keytab = forge_keytab("keytab", aes, "HV1$@LAB.TEST", NULL);
    g_autofree gchar *cache = forge_tgt("restart.cc", "HV1$@LAB.TEST", 7200);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    g_autoptr(VmfTicketKeeper) keeper = keeper_of(keytab, cache);
    g_assert_cmpint(ABS(vmf_ticket_keeper_end_time(keeper) - (now + 7200)), <=, 2);
    g_assert_cmpint(ABS(vmf_ticket_keeper_start_time(keeper) - now), <=, 2);

    /* enough is left: nothing is asked of the KDC (there is none) */
    g_autoptr(GError) error = NULL;
    g_assert_true(vmf_ticket_keeper_ensure(keeper, 3600, &error));
    g_assert_no_error(error);
    g_assert_false(vmf_ticket_keeper_ensure(keeper, 7300, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
}

static void
test_others_cache(void)
{
    g_autofree gchar *keytab = forge_keytab("keytab", aes, "HV1$@LAB.TEST", NULL);
    g_autofree gchar *cache = forge_tgt("others.cc", "HV9$@LAB.TEST", 7200);
    g_autoptr(VmfTicketKeeper) keeper = keeper_of(keytab, cache);
    g_assert_cmpint(vmf_ticket_keeper_end_time(keeper), ==, 0);
    g_assert_cmpint(vmf_ticket_keeper_start_time(keeper), ==, 0);
}

static void
test_removed(void)
{
    g_autofree gchar *keytab = forge_keytab("keytab", aes, "HV1$@LAB.TEST", NULL);
    g_autofree gchar *cache = forge_tgt("removed.cc", "HV1$@LAB.TEST", 7200);
    g_autoptr(VmfTicketKeeper) keeper = keeper_of(keytab, cache);
    g_remove(cache);
    g_assert_false(vmf_ticket_keeper_ensure(keeper, 60, NULL));
}

static void
test_no_kdc(void)
{
    g_autofree gchar *keytab = forge_keytab("keytab", aes, "HV1$@LAB.TEST", NULL);
    g_autofree gchar *cache = forge_tgt("kept.cc", "HV1$@LAB.TEST", 7200);
    g_autofree gchar *before = NULL, *after = NULL;
    gsize size_before, size_after;
    g_assert_true(g_file_get_contents(cache, &before, &size_before, NULL));
    g_autoptr(VmfTicketKeeper) keeper = keeper_of(keytab, cache);
    gint64 end = vmf_ticket_keeper_end_time(keeper);
    g_autoptr(GError) error = NULL;
    g_assert_false(vmf_ticket_keeper_refresh(keeper, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    g_assert_nonnull(strstr(error->message, "HV1$@LAB.TEST"));

    g_assert_true(g_file_get_contents(cache, &after, &size_after, NULL));
    g_assert_cmpmem(before, size_before, after, size_after);
    g_assert_cmpint(vmf_ticket_keeper_end_time(keeper), ==, end);
    g_autofree gchar *work = g_strconcat(cache, ".new", NULL);
    g_assert_false(g_file_test(work, G_FILE_TEST_EXISTS));
}

static void
test_bad_keytab(void)
{
    static const char *const why[] = {"HV1$@LAB.TEST", "keytab"};
    g_autofree gchar *cache = forge_path("none.cc");
    g_autofree gchar *others = forge_keytab("others", aes, "HV9$@LAB.TEST", NULL);
    const char *const keytabs[] = {"/nonexistent/keytab", others};
    for (gsize i = 0; i < G_N_ELEMENTS(keytabs); i++) {
        g_autoptr(VmfTicketKeeper) keeper = keeper_of(keytabs[i], cache);
        g_autoptr(GError) error = NULL;
        g_assert_false(vmf_ticket_keeper_refresh(keeper, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
        for (gsize w = 0; w < G_N_ELEMENTS(why); w++)
            g_assert_nonnull(strstr(error->message, why[w]));
        g_assert_nonnull(strstr(error->message, "join"));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    forge_begin();
    g_test_add_func("/ticket-keeper/after-restart/knows-its-ticket", test_after_restart);
    g_test_add_func("/ticket-keeper/others-cache/ignored", test_others_cache);
    g_test_add_func("/ticket-keeper/removed-file/missed", test_removed);
    g_test_add_func("/ticket-keeper/no-kdc/old-ticket-kept", test_no_kdc);
    g_test_add_func("/ticket-keeper/bad-keytab/config-error", test_bad_keytab);
    int rc = g_test_run();
    forge_end();
    return rc;
}
