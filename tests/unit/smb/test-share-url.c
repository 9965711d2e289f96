/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/share-url.h"
#include "src/base/error.h"

#include <string.h>

static void
test_good(void)
{
    static const struct {
        const char *text, *url, *server, *share, *path;
    } cases[] = {
        {"smb://fs1.lab.test/vms/web1/vda.raw", "smb://fs1.lab.test/vms/web1/vda.raw",
         "fs1.lab.test", "vms", "web1/vda.raw"},
        {"SMB://FS1.Lab.Test/vms/a", "smb://fs1.lab.test/vms/a", "fs1.lab.test", "vms", "a"},
        {"smb://fs1/vms$/a%20b/c.raw", "smb://fs1/vms%24/a%20b/c.raw", "fs1", "vms$", "a b/c.raw"},
        {"smb://fs1/vms/%41%42", "smb://fs1/vms/AB", "fs1", "vms", "AB"},
        {"smb://fs1/vms/100%25", "smb://fs1/vms/100%25", "fs1", "vms", "100%"},
        {"smb://fs1/vms/m\xc3\xbcller", "smb://fs1/vms/m%C3%BCller", "fs1", "vms", "m\xc3\xbcller"},
        {"smb://fs1/vms/.hidden", "smb://fs1/vms/.hidden", "fs1", "vms", ".hidden"},
        {"smb://fs1.123a/vms/a", "smb://fs1.123a/vms/a", "fs1.123a", "vms", "a"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfShareUrl) url = vmf_share_url_parse(cases[i].text, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(url->url, ==, cases[i].url);
        g_assert_cmpstr(url->server, ==, cases[i].server);
        g_assert_cmpstr(url->share, ==, cases[i].share);
        g_assert_cmpstr(url->path, ==, cases[i].path);
        /* what is canonical stays as it is */
        g_autoptr(VmfShareUrl) again = vmf_share_url_parse(url->url, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(again->url, ==, url->url);
    }
}

static void
test_refused(void)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "does not begin"},
        {"http://fs1/vms/a", "does not begin"},
        {"//fs1/vms/a", "does not begin"},
        {"smb://", "share's name is missing"},
        {"smb:///vms/a", "server's name is missing"},
        {"smb://fs1", "share's name is missing"},
        {"smb://fs1/vms", "below the share is missing"},
        {"smb://fs1/vms/", "is empty"},
        {"smb://fs1//a", "is empty"},
        {"smb://fs1/vms//a", "is empty"},
        {"smb://fs1/vms/a/", "is empty"},
        {"smb://fs1/vms/../a", "'.' and '..'"},
        {"smb://fs1/vms/a/..", "'.' and '..'"},
        {"smb://fs1/vms/a/./b", "'.' and '..'"},
        {"smb://fs1/vms/%2e%2e/b", "'.' and '..'"},
        {"smb://fs1/vms/a%2fb", "a character"},
        {"smb://fs1/vms/a%5c..%5cb", "a character"},
        {"smb://fs1/vms/a\\b", "a character"},
        {"smb://fs1/vms/a:stream", "a character"},
        {"smb://fs1/vms/a%3astream", "a character"},
        {"smb://fs1/vms/a*", "a character"},
        {"smb://fs1/vms/a%3f", "a character"},
        {"smb://fs1/vms/a%0a", "a character"},
        {"smb://fs1/vms/a%7f", "a character"},
        {"smb://fs1/vms/a ", "begins with a space or ends"},
        {"smb://fs1/vms/a.", "begins with a space or ends"},
        {"smb://fs1/vms/ a", "begins with a space or ends"},
        {"smb://fs1/vms/a%00b", "'%'"},
        {"smb://fs1/vms/a%2", "'%'"},
        {"smb://fs1/vms/a%zz", "'%'"},
        {"smb://fs1/vms/%ff", "not UTF-8"},
        {"smb://fs1/vms/a?b", "query"},
        {"smb://fs1/vms/a#b", "query"},
        {"smb://user@fs1/vms/a", "user name"},
        {"smb://user:pw@fs1/vms/a", "user name"},
        {"smb://fs1:445/vms/a", "port"},
        {"smb://10.0.0.1/vms/a", "DNS name"},
        {"smb://[::1]/vms/a", "not a DNS name|port"},
        {"smb://::1/vms/a", "DNS name"},
        {"smb://1.2/vms/a", "DNS name"},
        {"smb://-fs1/vms/a", "not a DNS name"},
        {"smb://fs1./vms/a", "not a DNS name"},
        {"smb://fs1..lab/vms/a", "not a DNS name"},
        {"smb://fs%31/vms/a", "not a DNS name"},
        {"smb://fs1/v[ms/a", "a character"},
        {"smb://fs1/v,ms/a", "a character"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfShareUrl) url = vmf_share_url_parse(cases[i].text, &error);
        g_test_message("'%s': %s", cases[i].text, error != NULL ? error->message : "accepted");
        g_assert_null(url);
        g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
        g_assert_true(g_regex_match_simple(cases[i].why, error->message, 0, 0));
    }
}

static void
test_too_long(void)
{
    g_autofree gchar *name = g_strnfill(256, 'a');
    g_autofree gchar *longest = g_strnfill(255, 'a');
    g_autofree gchar *bad = g_strconcat("smb://fs1/vms/", name, NULL);
    g_autofree gchar *good = g_strconcat("smb://fs1/vms/", longest, NULL);
    g_autofree gchar *huge = g_strnfill(5000, 'a');
    g_autofree gchar *deep = g_strconcat("smb://fs1/vms/", longest, "/", longest, "/", longest, "/",
                                         longest, "/b", NULL);
    g_autoptr(VmfShareUrl) url = vmf_share_url_parse(good, NULL);
    g_assert_nonnull(url);
    g_assert_null(vmf_share_url_parse(bad, NULL));
    g_assert_null(vmf_share_url_parse(huge, NULL));
    g_assert_null(vmf_share_url_parse(deep, NULL));
}

static void
test_every_truncation(void)
{
    static const char text[] = "smb://fs1.lab.test/vms/web%201/vda.raw";
    for (gsize length = 0; length < sizeof text - 1; length++) {
        g_autofree gchar *cut = g_strndup(text, length);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfShareUrl) url = vmf_share_url_parse(cut, &error);
        g_assert_true((url == NULL) == (error != NULL));
    }
}

static void
test_sibling(void)
{
    g_autoptr(VmfShareUrl) disk = vmf_share_url_parse("smb://fs1/vms/web1/vda.raw", NULL);
    g_autoptr(VmfShareUrl) record = vmf_share_url_sibling(disk, ".vmferry/u.own", NULL);
    g_autoptr(VmfShareUrl) other = vmf_share_url_parse("smb://fs1/vms/web1/vdb.raw", NULL);
    g_autoptr(VmfShareUrl) elsewhere = vmf_share_url_parse("smb://fs1/vms/web2/vdb.raw", NULL);
    g_autoptr(VmfShareUrl) longer = vmf_share_url_parse("smb://fs1/vms/web11/vdb.raw", NULL);
    g_autoptr(VmfShareUrl) top = vmf_share_url_parse("smb://fs1/vms/vda.raw", NULL);
    g_autoptr(VmfShareUrl) beside_top = vmf_share_url_sibling(top, "domain.xml", NULL);
    g_autoptr(GError) error = NULL;
    g_autofree gchar *unc = vmf_share_url_unc(disk);

    g_assert_cmpstr(record->url, ==, "smb://fs1/vms/web1/.vmferry/u.own");
    g_assert_cmpstr(beside_top->url, ==, "smb://fs1/vms/domain.xml");
    g_assert_cmpstr(vmf_share_url_base_name(disk), ==, "vda.raw");
    g_assert_cmpstr(vmf_share_url_base_name(top), ==, "vda.raw");
    g_assert_cmpstr(unc, ==, "//fs1/vms/web1/vda.raw");
    g_assert_true(vmf_share_url_same_folder(disk, other));
    g_assert_false(vmf_share_url_same_folder(disk, elsewhere));
    g_assert_false(vmf_share_url_same_folder(disk, longer));
    g_assert_false(vmf_share_url_same_folder(disk, top));
    g_assert_null(vmf_share_url_sibling(disk, "../x", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/share-url/good/canonical", test_good);
    g_test_add_func("/share-url/bad/refused-with-reason", test_refused);
    g_test_add_func("/share-url/too-long/refused", test_too_long);
    g_test_add_func("/share-url/every-truncation/no-crash", test_every_truncation);
    g_test_add_func("/share-url/sibling/same-folder", test_sibling);
    return g_test_run();
}
