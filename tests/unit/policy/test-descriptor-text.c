/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/descriptor-text.h"
#include "src/base/error.h"

/* In the shape that libsmbclient prints: types and flags decimal, masks of 8 digits. */
static const char sample[] = "REVISION:1,OWNER:S-1-5-21-1-2-3-500,GROUP:S-1-5-21-1-2-3-513,"
                             "ACL:S-1-5-21-1-2-3-1105:0/16/0x001f01ff,ACL:S-1-1-0:1/0/0x00000002";

static void
test_read(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfSecurityDescriptor) sd = vmf_descriptor_text_parse(sample, &error);
    g_assert_no_error(error);
    g_autofree gchar *owner = vmf_sid_format(&sd->owner), *group = vmf_sid_format(&sd->group);
    g_assert_cmpstr(owner, ==, "S-1-5-21-1-2-3-500");
    g_assert_cmpstr(group, ==, "S-1-5-21-1-2-3-513");
    g_assert_cmpint(sd->dacl.state, ==, VMF_ACL_PRESENT);
    g_assert_cmpint(sd->sacl.state, ==, VMF_ACL_UNSEEN);
    g_assert_cmpuint(sd->dacl.n_aces, ==, 2);
    g_autofree gchar *first = vmf_ace_describe(&sd->dacl.aces[0]);
    g_autofree gchar *second = vmf_ace_describe(&sd->dacl.aces[1]);
    g_assert_cmpstr(first, ==, "allow S-1-5-21-1-2-3-1105 0x001f01ff, inherited");
    g_assert_cmpstr(second, ==, "deny S-1-1-0 0x00000002");
}

static void
test_parts_missing(void)
{
    g_autoptr(VmfSecurityDescriptor) bare = vmf_descriptor_text_parse("REVISION:1", NULL);
    g_assert_false(bare->has_owner);
    g_assert_cmpint(bare->dacl.state, ==, VMF_ACL_UNSEEN);
    g_autoptr(VmfSecurityDescriptor) condition = vmf_descriptor_text_parse(
        "REVISION:1,OWNER:S-1-1-0,ACL:S-1-1-0:9/0/0x00000001", NULL);
    g_assert_true(condition->dacl.aces[0].extra_unread);
}

static void
test_refused(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "REVISION:1"},
        {"REVISION:2", "REVISION:1"},
        {"OWNER:S-1-1-0", "REVISION:1"},
        {"REVISION:1,", "unknown part ''"},
        {"REVISION:1,REVISION:1", "unknown part"},
        {"REVISION:1,MODE:0x20", "MODE"},
        {"REVISION:1,OWNER:", "OWNER ''"},
        {"REVISION:1,OWNER:LAB\\Administrator", "names are not read"},
        {"REVISION:1,OWNER:S-1-1-0,OWNER:S-1-1-0", "twice"},
        {"REVISION:1,GROUP:S-1-1-0,GROUP:S-1-1-0", "twice"},
        {"REVISION:1,ACL:", "type/flags/mask"},
        {"REVISION:1,ACL:LAB\\VM Hosts:0/0/0x00000001", "names are not read"},
        {"REVISION:1,ACL:S-1-1-0:ALLOWED/0x0/FULL", "type/flags/mask"},
        {"REVISION:1,ACL:S-1-1-0:0/0/0x001f01f", "type/flags/mask"},
        {"REVISION:1,ACL:S-1-1-0:0/0/0x001f01ff0", "type/flags/mask"},
        {"REVISION:1,ACL:S-1-1-0:0/0/0x001f01fg", "type/flags/mask"},
        {"REVISION:1,ACL:S-1-1-0:256/0/0x00000001", "type/flags/mask"},
        {"REVISION:1,ACL:S-1-1-0:-1/0/0x00000001", "type/flags/mask"},
        {"REVISION:1,ACL:S-1-1-0:0//0x00000001", "type/flags/mask"},
        {"REVISION:1,ACL:S-1-1-0:4/0/0x00000001", "reserved type 4"},
        {"REVISION:1,OWNER:M\xc3\xbcller", "ASCII"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(vmf_descriptor_text_parse(cases[i].text, &error));
        g_assert_true(error && error->domain == VMF_ERROR);
        if (strstr(error->message, cases[i].says) == NULL)
            g_error("'%s': '%s' does not say '%s'", cases[i].text, error->message, cases[i].says);
    }
}

static void
test_too_many(void)
{
    g_autoptr(GString) text = g_string_new("REVISION:1");
    for (guint i = 0; i < VMF_ACL_MAX_ACES; i++)
        g_string_append(text, ",ACL:S-1-1-0:0/0/0x00000001");
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfSecurityDescriptor) most = vmf_descriptor_text_parse(text->str, &error);
    g_assert_no_error(error);
    g_string_append(text, ",ACL:S-1-1-0:0/0/0x00000001");
    g_assert_null(vmf_descriptor_text_parse(text->str, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

/* Never an entry less than its text shows, and never half a mask. */
static void
test_every_truncation(void)
{
    for (gsize cut = 0; cut < strlen(sample); cut++) {
        g_autofree gchar *exact = g_strndup(sample, cut);
        g_autoptr(VmfSecurityDescriptor) sd = vmf_descriptor_text_parse(exact, NULL);
        if (sd == NULL)
            continue;
        guint shown = 0;
        for (const char *p = exact; (p = strstr(p, "ACL:")) != NULL; p++)
            shown++;
        g_assert_cmpuint(sd->dacl.n_aces, ==, shown);
        g_assert_true(shown == 0 || g_str_has_suffix(exact, "0x001f01ff"));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/descriptor-text/file/read", test_read);
    g_test_add_func("/descriptor-text/parts-missing/unseen", test_parts_missing);
    g_test_add_func("/descriptor-text/bad-text/refused-by-name", test_refused);
    g_test_add_func("/descriptor-text/too-many-entries/refused", test_too_many);
    g_test_add_func("/descriptor-text/every-truncation/whole-entries-only", test_every_truncation);
    return g_test_run();
}
