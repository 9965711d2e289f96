/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/sid.h"

#include <string.h>

static const char *const texts[] = {
    "S-1-0-0",
    "S-1-1-0",
    "S-1-5-18",
    "S-1-5-32-544",
    "S-1-5-21-2457507606-2709100691-398136650-1104",
    "S-1-0x123456789abc-7",
    "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-4294967295",
};

static void
test_round_trip(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        guint8 bytes[VMF_SID_MAX_BYTES];
        gsize size = vmf_sid_to_bytes(texts[i], bytes), used = 0;
        g_assert_cmpuint(size, >, 0);
        g_autofree gchar *back = vmf_sid_from_bytes(bytes, size, &used);
        g_assert_cmpstr(back, ==, texts[i]);
        g_assert_cmpuint(used, ==, size);
    }
}

/* BUILTIN\Administrators as in MS-DTYP 2.4.2.4. */
static void
test_known_bytes(void)
{
    static const guint8 expected[] = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0};
    guint8 bytes[VMF_SID_MAX_BYTES];
    gsize size = vmf_sid_to_bytes("S-1-5-32-544", bytes);
    g_assert_cmpmem(bytes, size, expected, sizeof expected);
}

static void
test_every_truncation(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        guint8 bytes[VMF_SID_MAX_BYTES];
        gsize size = vmf_sid_to_bytes(texts[i], bytes);
        for (gsize cut = 0; cut < size; cut++) {
            g_autofree guint8 *exact = cut ? g_memdup2(bytes, cut) : g_malloc(1);
            g_assert_null(vmf_sid_from_bytes(exact, cut, NULL));
        }
    }
}

static void
test_refused(void)
{
    static const char *const bad[] = {
        "",
        "S",
        "S-1",
        "S-1-",
        "S-2-5-18",
        "S-1-5-",
        "S-1-5-18-",
        "S-1-5--18",
        "S-1-5-4294967296",
        "S-1-5-0x12",
        "S-1-281474976710656-1",
        "S-1-5-18 ",
        " S-1-5-18",
        "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(vmf_sid_is_valid(bad[i]));
    g_assert_false(vmf_sid_is_valid(NULL));
}

static void
test_domain_and_rid(void)
{
    g_autofree gchar *domain = vmf_sid_domain("S-1-5-21-1-2-3-1104");
    g_assert_cmpstr(domain, ==, "S-1-5-21-1-2-3");
    g_autofree gchar *sid = vmf_sid_with_rid(domain, 515);
    g_assert_cmpstr(sid, ==, "S-1-5-21-1-2-3-515");
    g_assert_null(vmf_sid_domain("S-1-1-0"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sid/text-bytes-text/equal", test_round_trip);
    g_test_add_func("/sid/builtin-administrators/known-bytes", test_known_bytes);
    g_test_add_func("/sid/every-truncation/refused", test_every_truncation);
    g_test_add_func("/sid/bad-text/refused", test_refused);
    g_test_add_func("/sid/domain-and-rid/split-and-joined", test_domain_and_rid);
    return g_test_run();
}
