/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/cli/plan.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/error.h"
#include "tests/unit/policy/case.h"

typedef struct {
    gchar *folder, *path;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    fixture->folder = g_dir_make_tmp("vmferry-plan-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->path = g_build_filename(fixture->folder, "plan.json", NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    g_unlink(fixture->path);
    g_rmdir(fixture->folder);
    g_free(fixture->path);
    g_free(fixture->folder);
}

static GVariant *
write_plan(const Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfFactCase) facts = case_good();
    g_autoptr(VmfLocalPolicy) policy = case_policy("");
    VmfCheckCase check = vmf_check_case(policy, facts);
    g_autoptr(VmfReportSet) set = vmf_report_set_new();
    g_ptr_array_add(set->reports, vmf_judge(&check));
    GVariant *dict = g_variant_ref_sink(vmf_fact_case_to_variant(facts));
    g_assert_true(vmf_cli_plan_write(fixture->path, set, dict, &error));
    g_assert_no_error(error);
    return dict;
}

static void
test_round_trip(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *vm = NULL, *to = NULL;
    g_autoptr(GVariant) before = write_plan(fixture);
    g_autoptr(GVariant) after = vmf_cli_plan_read(fixture->path, &vm, &to, &error);
    g_assert_no_error(error);
    g_assert_true(g_variant_equal(before, after));
    g_assert_cmpstr(vm, ==, "web1");
    g_assert_cmpstr(to, ==, "hv2.lab.test");
    g_autoptr(GVariant) again = vmf_cli_plan_read(fixture->path, NULL, NULL, &error);
    g_assert_no_error(error);
}

/* Of another version, by hand, or cut off: refused, and the message says where. */
static void
test_refused(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *old, *new, *says;
    } changes[] = {
        {"\"vmferry.plan/1\"", "\"vmferry.plan/2\"", "schema"},
        {"\"epoch\" : 7", "\"epoch\" : \"7\"", "epoch"},
        {"\"epoch\" : 7", "\"epoch\" : -7", "out of range"},
        {"\"cpu-vendor\"", "\"cpu-seller\"", "'case.source.host.machine.cpu-seller'"},
        {"\"superset\"", "\"super\"", "unknown word"},
        {"}", "", "is no plan"},
    };
    g_autoptr(GVariant) dict = write_plan(fixture);
    g_autofree gchar *good = NULL;
    g_assert_true(g_file_get_contents(fixture->path, &good, NULL, NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(GError) error = NULL;
        const char *from = i == 0 ? good : strstr(good, "\"facts\"");
        const char *at = strstr(from, changes[i].old);
        g_assert_nonnull(at);
        g_autofree gchar *bad = g_strdup_printf("%.*s%s%s", (int)(at - good), good, changes[i].new,
                                                at + strlen(changes[i].old));
        g_assert_true(g_file_set_contents(fixture->path, bad, -1, NULL));
        g_assert_null(vmf_cli_plan_read(fixture->path, NULL, NULL, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
        if (strstr(error->message, changes[i].says) == NULL)
            g_error("'%s' does not say %s", error->message, changes[i].says);
    }
}

/* json-glib would take them: of several values the last, behind what looks like a comment as well. */
static void
test_not_one_object(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *before, *after, *says;
    } changes[] = {
        {"", "{}", "something follows"},
        {"{}", "", "something follows"},
        {"\"a\"", "", "no JSON object"},
        {"[", "]", "no JSON object"},
        {"// {\n", "", "no JSON object"},
        {"{ /* \" */ }", "", "it is no JSON"},
        {"{\"a\" # }\n", "", "no JSON"},
        {"{", "", "cut short"},
        {"var plan = ", "", "JSON object"},
        {"{\"\xe9\":1}", "", "no UTF-8"},
        {"{\"a\\ud800\":1}", "", "stands for no character"},
        {"{\"a\\245\":1}", "", "stands for no character"},
        {"{\"a\\u12\":1}", "", "stands for no character"},
        {"", "\n  \t\r\n", NULL},
    };
    g_autoptr(GVariant) dict = write_plan(fixture);
    g_autofree gchar *good = NULL;
    g_assert_true(g_file_get_contents(fixture->path, &good, NULL, NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree gchar *text = g_strconcat(changes[i].before, good, changes[i].after, NULL);
        g_assert_true(g_file_set_contents(fixture->path, text, -1, NULL));
        g_autoptr(GVariant) read = vmf_cli_plan_read(fixture->path, NULL, NULL, &error);
        if (changes[i].says == NULL) {
            g_assert_no_error(error);
            continue;
        }
        g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
        if (strstr(error->message, changes[i].says) == NULL)
            g_error("'%s' does not say %s", error->message, changes[i].says);
    }
}

/* Of empty facts, which are all there and short. */
static void
test_every_truncation(Fixture *fixture, gconstpointer data)
{
    g_autofree gchar *good = NULL;
    gsize size;
    g_autoptr(VmfFactCase) facts = vmf_fact_case_new();
    g_autoptr(VmfReportSet) set = vmf_report_set_new();
    g_ptr_array_add(set->reports, vmf_report_new());
    g_autoptr(GVariant) dict = g_variant_ref_sink(vmf_fact_case_to_variant(facts));
    g_assert_true(vmf_cli_plan_write(fixture->path, set, dict, NULL));
    g_assert_true(g_file_get_contents(fixture->path, &good, &size, NULL));
    size = strlen(g_strchomp(good)); /* behind it, nothing is missing */
    for (gsize cut = size + 1; cut-- > 0;) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(truncate(fixture->path, (off_t)cut), ==, 0);
        g_autoptr(GVariant) read = vmf_cli_plan_read(fixture->path, NULL, NULL, &error);
        g_assert_true((read != NULL) == (cut == size));
        if (read == NULL)
            g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
        else
            g_assert_true(g_variant_equal(read, dict));
    }
}

static void
test_missing(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(vmf_cli_plan_read(fixture->path, NULL, NULL, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, fixture->path));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/plan/written/read-again", Fixture, NULL, set_up, test_round_trip, tear_down);
    g_test_add("/plan/changed/refused", Fixture, NULL, set_up, test_refused, tear_down);
    g_test_add("/plan/every-truncation/refused", Fixture, NULL, set_up, test_every_truncation,
               tear_down);
    g_test_add("/plan/not-one-object/refused", Fixture, NULL, set_up, test_not_one_object,
               tear_down);
    g_test_add("/plan/missing/says-which", Fixture, NULL, set_up, test_missing, tear_down);
    return g_test_run();
}
