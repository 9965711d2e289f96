/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/sddl.h"
#include "src/base/error.h"

#define DOMAIN "S-1-5-21-1-2-3"

/* What is read, written again: numbers for names. */
static void
test_written_again(void)
{
    static const struct {
        const char *sddl, *again;
    } cases[] = {
        {"O:BAG:SY", "O:S-1-5-32-544G:S-1-5-18"},
        {"G:DUO:LA", "O:S-1-5-21-1-2-3-500G:S-1-5-21-1-2-3-513"},
        {"D:", "D:"},
        {"D:NO_ACCESS_CONTROL", "D:NO_ACCESS_CONTROL"},
        {"D:PAI(A;;FA;;;WD)", "D:PAI(A;;0x1f01ff;;;S-1-1-0)"},
        {"d:par(a;oici;gr;;;wd)", "D:PAR(A;OICI;0x80000000;;;S-1-1-0)"},
        {"D:(A;OICINPIOIDSAFA;FRFW;;;S-1-5-21-1-2-3-4)",
         "D:(A;OICINPIOIDSAFA;0x12019f;;;S-1-5-21-1-2-3-4)"},
        {"D:(D;;0x2;;;SY)(A;;10;;;SY)(A;;010;;;SY)(A;;;;;SY)",
         "D:(D;;0x2;;;S-1-5-18)(A;;0xa;;;S-1-5-18)(A;;0x8;;;S-1-5-18)(A;;0x0;;;S-1-5-18)"},
        {"D:(OA;;RP;bf967aba-0de6-11d0-a285-00aa003049e2;;AU)",
         "D:(OA;;0x10;bf967aba-0de6-11d0-a285-00aa003049e2;;S-1-5-11)"},
        {"D:(OD;;RP;;BF967ABA-0de6-11d0-a285-00aa003049e2;AU)",
         "D:(OD;;0x10;;bf967aba-0de6-11d0-a285-00aa003049e2;S-1-5-11)"},
        {"O:S-1-0x123456789abc-7D:S:AI(AU;SAFA;WD;;;WD)(ML;;NW;;;HI)",
         "O:S-1-0x123456789abc-7D:S:AI(AU;SAFA;0x40000;;;S-1-1-0)(ML;;0x1;;;S-1-16-12288)"},
        {"O:S-1-0xff0000d40014D:AI", "O:S-1-0xff0000d40014D:AI"},
        {"O:S-1-5-21-1-2-3-500D:(A;;CC;;;OW)", "O:S-1-5-21-1-2-3-500D:(A;;0x1;;;S-1-3-4)"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfSecurityDescriptor) sd = vmf_sddl_parse(cases[i].sddl, DOMAIN, &error);
        g_assert_no_error(error);
        g_autofree gchar *again = vmf_sddl_format(sd, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(again, ==, cases[i].again);
    }
}

static void
test_conditions(void)
{
    static const char *const texts[] = {
        "D:(XA;;FA;;;WD;(Member_of SID(WD)))",
        "D:(XA;;FA;;;WD;(@USER.x == \")(\"))",
        "D:(XA;;FA;;;WD;((a) && (b || !(c))))",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree gchar *two = g_strconcat(texts[i], "(D;;0x2;;;SY)", NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfSecurityDescriptor) sd = vmf_sddl_parse(two, NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(sd->dacl.n_aces, ==, 2);
        g_assert_true(sd->dacl.aces[0].extra_unread);
        g_assert_cmpuint(sd->dacl.aces[0].type, ==, VMF_ACE_ALLOWED_CALLBACK);
        g_assert_cmpuint(sd->dacl.aces[1].type, ==, VMF_ACE_DENIED);
        g_assert_null(vmf_security_descriptor_to_bytes(sd, NULL));
        g_assert_null(vmf_sddl_format(sd, NULL));
    }
}

static void
test_refused(void)
{
    static const struct {
        const char *sddl, *says;
    } cases[] = {
        {"", "byte 1:"},
        {"X:", "byte 1:"},
        {"O", "byte 1:"},
        {"O:", "byte 3:"},
        {"O:B", "two letters"},
        {"O:QQ", "no account"},
        {"O:S-1-", "no valid SID"},
        {"O:S-1-5-4294967296", "no valid SID"},
        {"O:S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16", "no valid SID"},
        {"O:BAO:BA", "twice"},
        {"D:D:", "twice"},
        {"D:Q", "byte 3:"},
        {"D:NO_ACCESS_CONTROL(A;;FA;;;WD)", "NO_ACCESS_CONTROL"},
        {"D:(", "type"},
        {"D:()", "type"},
        {"D:(A)", "';'"},
        {"D:(Q;;FA;;;WD)", "unknown type"},
        {"D:(AL;;FA;;;WD)", "unknown type"},
        {"D:(A;XX;FA;;;WD)", "unknown flag"},
        {"D:(A;O;FA;;;WD)", "unknown flag"},
        {"D:(A;;F;;;WD)", "unknown right"},
        {"D:(A;;0x;;;WD)", "hexadecimal"},
        {"D:(A;;0x100000000;;;WD)", "32 bits"},
        {"D:(A;;09;;;WD)", "32 bits"},
        {"D:(A;;1f;;;WD)", "32 bits"},
        {"D:(A;;FA;bf967aba-0de6-11d0-a285-00aa003049e2;;WD)", "not about objects"},
        {"D:(OA;;FA;bf967aba-0de6-11d0-a285-00aa003049e;;WD)", "GUID"},
        {"D:(A;;FA;;;)", "two letters"},
        {"D:(A;;FA;;;WD", "')'"},
        {"D:(A;;FA;;;WD;)", "')'"},
        {"D:(A;;FA;;;WD) ", "byte 15"},
        {"D:(XA;;FA;;;WD)", "condition"},
        {"D:(XA;;FA;;;WD;)", "condition"},
        {"D:(XA;;FA;;;WD;(a)", "does not end"},
        {"D:(XA;;FA;;;WD;(\")))", "does not end"},
        {"O:DA", "domain"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(vmf_sddl_parse(cases[i].sddl, NULL, &error));
        g_assert_true(error && error->domain == VMF_ERROR);
        if (strstr(error->message, cases[i].says) == NULL)
            g_error("'%s': '%s' does not say '%s'", cases[i].sddl, error->message, cases[i].says);
    }
}

static void
test_too_many(void)
{
    g_autoptr(GString) text = g_string_new("D:");
    for (guint i = 0; i < VMF_ACL_MAX_ACES; i++)
        g_string_append(text, "(A;;FA;;;WD)");
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfSecurityDescriptor) most = vmf_sddl_parse(text->str, NULL, &error);
    g_assert_no_error(error);
    g_string_append(text, "(A;;FA;;;WD)");
    g_assert_null(vmf_sddl_parse(text->str, NULL, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

/* No prefix of it is read beyond its end; those that are whole parts are read. */
static void
test_every_truncation(void)
{
    const char *whole = "O:S-1-5-21-1-2-3-500G:BAD:PAI(A;OICI;0x1f01ff;;;WD)"
                        "(OA;;RP;bf967aba-0de6-11d0-a285-00aa003049e2;;AU)"
                        "(XA;;FA;;;SY;(@USER.x == \"y\"))S:(AU;SA;FA;;;WD)";
    guint read = 0;
    for (gsize cut = 0; cut < strlen(whole); cut++) {
        g_autofree gchar *exact = g_strndup(whole, cut);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfSecurityDescriptor) sd = vmf_sddl_parse(exact, NULL, &error);
        g_assert_true((sd == NULL) == (error != NULL));
        if (sd == NULL)
            continue;
        g_assert_nonnull(strchr("0123456789A:PI)", exact[cut - 1]));
        read++;
    }
    /* 9 lengths of the owner's SID, the group, D: with 0 to 2 flags, three entries, S: */
    g_assert_cmpuint(read, ==, 17);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sddl/descriptor/written-again", test_written_again);
    g_test_add_func("/sddl/conditions/marked", test_conditions);
    g_test_add_func("/sddl/bad-text/refused-by-place", test_refused);
    g_test_add_func("/sddl/too-many-entries/refused", test_too_many);
    g_test_add_func("/sddl/every-truncation/whole-parts-only", test_every_truncation);
    return g_test_run();
}
