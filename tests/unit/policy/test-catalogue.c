/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/catalogue.h"

#include <string.h>

#include "case.h"

/* docs/man/vmferry-checks.7 is the catalogue. VMFERRY_GOLDEN_WRITE=1 writes it anew. */
static void
test_man(void)
{
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "docs", "man", "vmferry-checks.7",
                                                   NULL);
    g_autofree gchar *text = vmf_catalogue_to_man(), *there = NULL;
    g_autoptr(GError) error = NULL;
    if (g_getenv("VMFERRY_GOLDEN_WRITE")) {
        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
        return;
    }
    g_file_get_contents(path, &there, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, there);
}

/* The ids of design and documentation: none may vanish or change its place. */
static void
test_ids(void)
{
    static const char *const ids[] = {
        "DIR-010",  "DIR-020",  "DIR-030",  "DIR-040",  "DIR-050",  "SMB-100",  "SMB-110",
        "SMB-111",  "SMB-120",  "SMB-121",  "SMB-122",  "SMB-123",  "SMB-130",  "SMB-140",
        "SMB-150",  "VM-200",   "VM-210",   "VM-220",   "VM-230",   "VM-240",   "HOST-300",
        "HOST-310", "HOST-320", "HOST-330", "HOST-340", "HOST-350", "HOST-360", "JOB-400",
    };
    g_autofree gchar *help = vmf_catalogue_to_help();
    g_assert_cmpuint(vmf_catalogue_rows, ==, G_N_ELEMENTS(ids));
    for (gsize i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_assert_cmpstr(vmf_catalogue[i].id, ==, ids[i]);
        g_assert_true(vmf_catalogue_find(ids[i]) == &vmf_catalogue[i]);
        g_assert_nonnull(strstr(help, ids[i]));
        g_assert_cmpuint(strlen(vmf_catalogue[i].cause), >, 0);
        g_assert_cmpuint(strlen(vmf_catalogue[i].cure), >, 0);
    }
    g_assert_null(vmf_catalogue_find("SMB-12"));
}

/* Each id that doctor says, in its source, is one of the page's. */
static void
test_doctor(void)
{
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "src", "daemon", "doctor.c", NULL);
    g_autofree gchar *page = vmf_catalogue_to_man(), *source = NULL;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(path, &source, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(GRegex) regex = g_regex_new("\"([A-Z]+)-([0-9]{3})\"", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    guint said = 0;
    for (g_regex_match(regex, source, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL), said++) {
        g_autofree gchar *area = g_match_info_fetch(match, 1);
        g_autofree gchar *number = g_match_info_fetch(match, 2);
        g_autofree gchar *head = g_strdup_printf("\n.B \"%s\\-%s  ", area, number);
        if (strstr(page, head) == NULL)
            g_error("vmferry-checks(7) does not tell of %s-%s", area, number);
    }
    g_assert_cmpuint(said, >, 15);
    for (gsize i = 0; i < vmf_doctor_catalogue_rows; i++) {
        g_assert_nonnull(strstr(source, vmf_doctor_catalogue[i].id));
        g_assert_null(vmf_catalogue_find(vmf_doctor_catalogue[i].id));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/catalogue/ids/complete", test_ids);
    g_test_add_func("/catalogue/man-page/equal", test_man);
    g_test_add_func("/catalogue/doctor/told-of", test_doctor);
    return g_test_run();
}
