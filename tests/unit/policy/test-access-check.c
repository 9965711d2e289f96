/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/access-check.h"
#include "policy/descriptor-text.h"
#include "policy/sddl.h"

/* tests/oracle holds the walk through the entries against Samba; here each rule is met once. */

#define DOMAIN "S-1-5-21-1-2-3"
#define ME     DOMAIN "-1104"
#define HOSTS  DOMAIN "-1105"

static VmfToken *
hv2(void)
{
    static const char *const groups[] = {HOSTS, NULL};
    return vmf_token_new_computer(ME, 515, groups, NULL, NULL);
}

/* Checks verdict, maximum, deciding entry, and that the explanation says @says. */
static void
judge(const char *sddl, guint32 desired, VmfVerdict verdict, guint32 granted, gint ace,
      const char *says)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfToken) token = hv2();
    g_autoptr(VmfSecurityDescriptor) sd = vmf_sddl_parse(sddl, DOMAIN, &error);
    g_assert_no_error(error);
    VmfAccess access = vmf_access_check(sd, token, desired);
    g_autofree gchar *why = vmf_access_describe(sd, &access);
    g_test_message("%s: %s: %s", sddl, vmf_verdict_name(access.verdict), why);
    g_assert_cmpint(access.verdict, ==, verdict);
    g_assert_cmphex(access.granted, ==, granted);
    g_assert_cmpint(access.ace, ==, ace);
    g_assert_cmphex(access.missing, ==,
                    verdict == VMF_VERDICT_GRANT ? 0 : access.desired & ~granted);
    if (strstr(why, says) == NULL)
        g_error("%s: '%s' does not say '%s'", sddl, why, says);
}

static void
test_entries(void)
{
    judge("O:SYD:(A;;FR;;;AU)(A;;FA;;;" HOSTS ")", VMF_ACCESS_READ_WRITE, VMF_VERDICT_GRANT,
          VMF_ACCESS_FULL, 1, "ace 1 (allow " HOSTS " 0x001f01ff) grants what was still missing");
    judge("O:SYD:(A;;FR;;;AU)", VMF_ACCESS_READ_WRITE, VMF_VERDICT_DENY, VMF_ACCESS_READ_ONLY, -1,
          "no entry grants write data, append data, write extended attributes, write attributes");
    judge("O:SYD:(D;;0x2;;;" ME ")(A;;FA;;;" HOSTS ")", VMF_ACCESS_READ_WRITE, VMF_VERDICT_DENY,
          VMF_ACCESS_FULL & ~2u, 0, "ace 0 (deny " ME " 0x00000002) denies write data");
    /* not canonical: stored order decides */
    judge("O:SYD:(A;;FA;;;" HOSTS ")(D;;0x2;;;" ME ")", VMF_ACCESS_READ_WRITE, VMF_VERDICT_GRANT,
          VMF_ACCESS_FULL, 0, "grants");
    judge("O:SYD:(A;OICIIO;FA;;;" ME ")", 1, VMF_VERDICT_DENY, 0, -1, "no entry grants read data");
    judge("O:SYD:", 1, VMF_VERDICT_DENY, 0, -1, "no entry grants");
    judge("O:SYD:(A;;FA;;;CO)(A;;FA;;;CG)", 1, VMF_VERDICT_DENY, 0, -1, "no entry grants");
    judge("O:SYD:(A;;FA;;;DU)", 1, VMF_VERDICT_DENY, 0, -1, "no entry grants");
}

static void
test_owner(void)
{
    judge("O:" ME "D:", 0x60000, VMF_VERDICT_GRANT, 0x60000, -1, "owner");
    judge("O:" ME "D:(D;;FA;;;WD)", 0x60000, VMF_VERDICT_GRANT, 0x60000, -1, "owner");
    judge("O:" ME "D:(A;;FR;;;OW)", 0x40000, VMF_VERDICT_DENY, 0x120089, -1, "change permissions");
    judge("O:" ME "D:(A;;FR;;;OW)", 1, VMF_VERDICT_GRANT, 0x120089, 0, "ace 0");
    judge("O:" ME "D:(A;IO;FR;;;OW)", 0x40000, VMF_VERDICT_GRANT, 0x60000, -1, "owner");
    judge("O:SYD:(A;;FA;;;OW)", 1, VMF_VERDICT_DENY, 0, -1, "no entry");
    judge("D:(A;;FA;;;WD)", 1, VMF_VERDICT_DENY, 0, -1, "no owner");
}

static void
test_lists(void)
{
    judge("O:SYD:NO_ACCESS_CONTROL", VMF_ACCESS_READ_WRITE, VMF_VERDICT_GRANT, VMF_ACCESS_FULL, -1,
          "NULL");
    judge("O:SY", 1, VMF_VERDICT_UNKNOWN, 0, -1, "Windows would grant, Samba deny");
    judge("O:SYD:(A;;FA;;;WD)S:(SP;;;;;S-1-17-1)", 1, VMF_VERDICT_UNKNOWN, 0, -1,
          "central access policy");
    judge("O:SYD:(A;;FA;;;WD)S:(ML;;NW;;;HI)", 2, VMF_VERDICT_UNKNOWN, 0, -1, "integrity label");
    judge("O:SYD:(A;;FA;;;WD)S:(ML;;NW;;;ME)(AU;FA;FA;;;WD)", 2, VMF_VERDICT_GRANT, VMF_ACCESS_FULL,
          0, "ace 0");

    g_autoptr(VmfToken) token = hv2();
    g_autoptr(VmfSecurityDescriptor)
        text = vmf_descriptor_text_parse("REVISION:1,OWNER:S-1-5-18,GROUP:S-1-5-18", NULL);
    VmfAccess access = vmf_access_check(text, token, 1);
    g_assert_cmpint(access.verdict, ==, VMF_VERDICT_UNKNOWN);
    g_assert_cmpint(access.reason, ==, VMF_ACCESS_UNSEEN_DACL);
}

static void
test_conditions(void)
{
    judge("O:SYD:(XA;;FA;;;WD;(a))", 1, VMF_VERDICT_DENY, 0, -1,
          "no entry grants read data; ace 0 (conditional allow S-1-1-0 0x001f01ff) is conditional "
          "and was not counted");
    judge("O:SYD:(XA;;FA;;;WD;(a))(A;;FR;;;WD)", 1, VMF_VERDICT_GRANT, 0x120089, 1, "ace 1");
    judge("O:SYD:(XD;;0x2;;;WD;(a))(A;;FA;;;WD)", 2, VMF_VERDICT_DENY, VMF_ACCESS_FULL & ~2u, 0,
          "denies write data under a condition");
    judge("O:SYD:(XD;;0x2;;;SY;(a))(A;;FA;;;WD)", 2, VMF_VERDICT_GRANT, VMF_ACCESS_FULL, 1,
          "ace 1");
    judge("O:SYD:(OA;;FA;;;WD)", 1, VMF_VERDICT_DENY, 0, -1, "no entry");
    judge("O:SYD:(OD;;0x1;;;WD)(A;;FA;;;WD)", 1, VMF_VERDICT_DENY, VMF_ACCESS_FULL & ~1u, 0,
          "object deny");
}

static void
test_masks(void)
{
    g_assert_cmphex(vmf_access_map_generic(VMF_RIGHT_GENERIC_READ), ==, 0x120089);
    g_assert_cmphex(vmf_access_map_generic(VMF_RIGHT_GENERIC_WRITE), ==, 0x120116);
    g_assert_cmphex(vmf_access_map_generic(VMF_RIGHT_GENERIC_EXECUTE), ==, 0x1200a0);
    g_assert_cmphex(vmf_access_map_generic(VMF_RIGHT_GENERIC_ALL), ==, 0x1f01ff);
    g_assert_cmphex(vmf_access_map_generic(0x80010040), ==, 0x130089 | 0x40);
    judge("O:SYD:(A;;FR;;;WD)", VMF_RIGHT_GENERIC_READ, VMF_VERDICT_GRANT, 0x120089, 0, "ace 0");
    judge("O:SYD:(A;;FR;;;WD)", VMF_RIGHT_GENERIC_WRITE, VMF_VERDICT_DENY, 0x120089, -1,
          "write data");
    judge("O:SYD:(A;;GA;;;WD)", 1, VMF_VERDICT_DENY, VMF_RIGHT_GENERIC_ALL, -1,
          "ace 0 (allow S-1-1-0 0x10000000) holds generic rights, which grant nothing");
    judge("O:SYD:(A;;FR;;;WD)", VMF_RIGHT_MAXIMUM_ALLOWED, VMF_VERDICT_GRANT, 0x120089, -1, "");
    judge("O:SYD:(A;;FR;;;WD)", VMF_RIGHT_MAXIMUM_ALLOWED | 2, VMF_VERDICT_DENY, 0x120089, -1,
          "write data");
    judge("O:SYD:", VMF_RIGHT_MAXIMUM_ALLOWED, VMF_VERDICT_UNKNOWN, 0, -1, "maximum");
    judge("O:SYD:", 0, VMF_VERDICT_GRANT, 0, -1, "no right in particular");
}

static void
test_maybe(void)
{
    judge("O:SYD:(A;;FR;;;AU)(A;;FA;;;BU)", VMF_ACCESS_READ_WRITE, VMF_VERDICT_UNKNOWN, 0x120089, 1,
          "ace 1 (allow S-1-5-32-545 0x001f01ff) is about a group that only the file server can");
    /* the verdict does not hang on it */
    judge("O:SYD:(A;;FR;;;BU)(A;;FA;;;AU)", 1, VMF_VERDICT_GRANT, VMF_ACCESS_FULL, 1, "ace 1");
    judge("O:SYD:(A;;FR;;;BU)", 2, VMF_VERDICT_DENY, 0, -1, "no entry grants write data");
    judge("O:SYD:(D;;0x2;;;BG)(A;;FA;;;AU)", 2, VMF_VERDICT_UNKNOWN, VMF_ACCESS_FULL & ~2u, 0,
          "ace 0 (deny S-1-5-32-546");
    judge("O:SYD:(D;;0x2;;;BG)(A;;FA;;;AU)", 1, VMF_VERDICT_GRANT, VMF_ACCESS_FULL & ~2u, 1,
          "ace 1");
    judge("O:SYD:(A;;0x2;;;BU)(D;;0x2;;;WD)", 2, VMF_VERDICT_UNKNOWN, 0, 0, "ace 0 (allow");
    judge("O:SYD:(D;;0x2;;;WD)(A;;0x2;;;BU)", 2, VMF_VERDICT_DENY, 0, 0, "ace 0 (deny");
    /* the owner is a group of the server */
    judge("O:BAD:(A;;FR;;;AU)", 0x40000, VMF_VERDICT_UNKNOWN, 0x120089, -1, "the owner");
    judge("O:BAD:(A;;FR;;;AU)", 1, VMF_VERDICT_GRANT, 0x120089, 0, "ace 0");
}

static VmfAccess
in_folder(const char *file, const char *folder, gboolean readonly, guint32 desired)
{
    g_autoptr(VmfToken) token = hv2();
    g_autoptr(VmfSecurityDescriptor) a = vmf_sddl_parse(file, DOMAIN, NULL);
    g_autoptr(VmfSecurityDescriptor) b = folder ? vmf_sddl_parse(folder, DOMAIN, NULL) : NULL;
    g_assert_nonnull(a);
    return vmf_access_check_file(a, b, readonly, token, desired);
}

static void
test_folder(void)
{
    static const struct {
        const char *file, *folder;
        gboolean readonly;
        guint32 desired;
        VmfVerdict verdict;
        VmfAccessReason reason;
        guint32 missing;
    } cases[] = {
        {"O:SYD:", "O:SYD:", FALSE, 0x10000, VMF_VERDICT_DENY, VMF_ACCESS_NO_ENTRY, 0x10000},
        {"O:SYD:", NULL, FALSE, 0x10000, VMF_VERDICT_UNKNOWN, VMF_ACCESS_PARENT_MAYBE, 0x10000},
        {"O:SYD:", NULL, FALSE, 0x10002, VMF_VERDICT_DENY, VMF_ACCESS_NO_ENTRY, 0x10002},
        {"O:SYD:", "O:SYD:(A;;0x40;;;WD)", FALSE, 0x10000, VMF_VERDICT_GRANT, VMF_ACCESS_PARENT, 0},
        {"O:SYD:(D;;SD;;;WD)", "O:SYD:(A;;0x40;;;WD)", FALSE, 0x10000, VMF_VERDICT_GRANT,
         VMF_ACCESS_PARENT, 0},
        {"O:SYD:", "O:SYD:(A;;0x1;;;WD)", FALSE, 0x80, VMF_VERDICT_GRANT, VMF_ACCESS_PARENT, 0},
        {"O:SYD:", "O:SYD:(A;;0x1;;;WD)", FALSE, 0x81, VMF_VERDICT_DENY, VMF_ACCESS_NO_ENTRY, 1},
        {"O:SYD:(A;;0x1;;;WD)", "O:SYD:(A;;0x1;;;WD)", FALSE, 0x81, VMF_VERDICT_GRANT,
         VMF_ACCESS_PARENT, 0},
        {"O:SYD:", "O:SYD:(A;;0x40;;;BU)", FALSE, 0x10000, VMF_VERDICT_UNKNOWN,
         VMF_ACCESS_PARENT_MAYBE, 0x10000},
        {"O:SYD:", "O:SYD:(A;;0x40;;;BU)", FALSE, 0x10001, VMF_VERDICT_DENY, VMF_ACCESS_NO_ENTRY,
         0x10001},
        {"O:SYD:(A;;FA;;;WD)", NULL, TRUE, VMF_ACCESS_READ_WRITE, VMF_VERDICT_DENY,
         VMF_ACCESS_READONLY, 6},
        {"O:SYD:(A;;FA;;;WD)", NULL, TRUE, VMF_ACCESS_READ_ONLY, VMF_VERDICT_GRANT,
         VMF_ACCESS_ENTRIES, 0},
        {"O:SY", "O:SYD:(A;;FA;;;WD)", FALSE, 0x10000, VMF_VERDICT_UNKNOWN, VMF_ACCESS_NO_DACL, 0},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        VmfAccess access = in_folder(cases[i].file, cases[i].folder, cases[i].readonly,
                                     cases[i].desired);
        g_test_message("case %u", (guint)i);
        g_assert_cmpint(access.verdict, ==, cases[i].verdict);
        g_assert_cmpint(access.reason, ==, cases[i].reason);
        g_assert_cmphex(access.desired, ==, cases[i].desired);
        g_assert_cmphex(access.missing, ==, cases[i].missing);
    }
}

static void
test_names(void)
{
    g_autofree gchar *nothing = vmf_access_rights_name(0);
    g_autofree gchar *some = vmf_access_rights_name(0x00010041);
    g_autofree gchar *strange = vmf_access_rights_name(0x08000001);
    g_assert_cmpstr(nothing, ==, "nothing");
    g_assert_cmpstr(some, ==, "read data, delete children, delete");
    g_assert_cmpstr(strange, ==, "read data, 0x08000000");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/access-check/entries/in-stored-order", test_entries);
    g_test_add_func("/access-check/owner/implicit-rights", test_owner);
    g_test_add_func("/access-check/lists/null-absent-empty", test_lists);
    g_test_add_func("/access-check/conditions/allow-skipped-deny-counted", test_conditions);
    g_test_add_func("/access-check/masks/mapped", test_masks);
    g_test_add_func("/access-check/groups-of-the-server/unknown", test_maybe);
    g_test_add_func("/access-check/folder/gives-more", test_folder);
    g_test_add_func("/access-check/rights/named", test_names);
    return g_test_run();
}
