/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/report.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "case.h"
#include "src/base/error.h"

static VmfFinding *
add(VmfReport *report, const char *id, VmfResult result, const char *object, const char *message)
{
    VmfFinding *finding = vmf_fact_new(&vmf_finding_shape);
    vmf_fact_set(&finding->id, id);
    finding->result = finding->judged = result;
    vmf_fact_set(&finding->object, object);
    vmf_fact_set(&finding->message, message);
    g_ptr_array_add(report->findings, finding);
    return finding;
}

static VmfReport *
report_to(VmfReportSet *set, const char *to)
{
    VmfReport *report = vmf_report_new();
    vmf_fact_set(&report->vm, "web1");
    vmf_fact_set(&report->from, "hv1.lab.test");
    vmf_fact_set(&report->to, to);
    g_ptr_array_add(set->reports, report);
    return report;
}

/* Three hosts: one is fine, one fails, one could not be judged. */
static VmfReportSet *
example(void)
{
    VmfReportSet *set = vmf_report_set_new();
    vmf_fact_set(&set->vm, "web1");
    vmf_fact_set(&set->from, "hv1.lab.test");
    VmfReport *fine = report_to(set, "hv2.lab.test");
    add(fine, "SMB-110", VMF_RESULT_PASS, "//fs1.lab.test/vms", "speaks SMB 3");
    add(fine, "SMB-121", VMF_RESULT_NOT_APPLICABLE, "", "the VM has no read-only file on a share");
    VmfReport *bad = report_to(set, "hv3.lab.test");
    add(bad, "SMB-111", VMF_RESULT_UNKNOWN, "//fs1.lab.test/vms", "timed out");
    VmfFinding *finding = add(bad, "SMB-120", VMF_RESULT_FAIL,
                              "//fs1.lab.test/vms/a \"b\" <c> & \\",
                              "may read but not write: no entry\n(live: access denied)");
    vmf_fact_set(&finding->account, "HV3$");
    vmf_fact_set(&finding->host, "hv3.lab.test");
    vmf_finding_fix(finding, "smbcacls //fs1.lab.test/vms %s", "'a b'");
    vmf_finding_text(finding, "granted", "0x00120089");
    vmf_finding_number(finding, "ace", -1);
    vmf_finding_flag(finding, "held", TRUE);
    VmfReport *dark = report_to(set, "hv10-with-a-long-name.lab.test");
    add(dark, "SMB-150", VMF_RESULT_UNKNOWN, "//fs1.lab.test/vms",
        "no client can see whether it makes each answered write durable, and the policy file does "
        "not state it");
    add(dark, "HOST-340", VMF_RESULT_WARN, "eth0", "the default route\x01 leaves by it too");
    return set;
}

static void
assert_golden(const char *name, const char *text)
{
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "tests", "unit", "policy", "golden",
                                                   name, NULL);
    g_autofree gchar *golden = NULL;
    g_autoptr(GError) error = NULL;
    if (g_getenv("VMFERRY_GOLDEN_WRITE")) {
        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
        return;
    }
    g_file_get_contents(path, &golden, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, golden);
}

static void
test_matrix(void)
{
    g_autoptr(VmfReportSet) set = example();
    g_autofree gchar *text = vmf_report_set_to_matrix(set);
    assert_golden("matrix.txt", text);
}

static void
test_json(void)
{
    g_autoptr(VmfReportSet) set = example();
    g_autoptr(GError) error = NULL;
    g_autofree gchar *text = vmf_report_set_to_json(set);
    assert_golden("report.json", text);
    g_autoptr(JsonNode) root = json_from_string(text, &error);
    g_assert_no_error(error);
    JsonObject *object = json_node_get_object(root);
    g_assert_cmpstr(json_object_get_string_member(object, "schema"), ==, "vmferry.check/1");
    g_assert_cmpint(json_object_get_int_member(object, "status"), ==, 1);
    JsonArray *reports = json_object_get_array_member(object, "reports");
    JsonObject *bad = json_array_get_object_element(reports, 1);
    JsonObject *finding = json_array_get_object_element(
        json_object_get_array_member(bad, "findings"), 1);
    g_assert_cmpstr(json_object_get_string_member(finding, "object"), ==,
                    "//fs1.lab.test/vms/a \"b\" <c> & \\");
    g_assert_cmpstr(json_object_get_string_member(finding, "message"), ==,
                    "may read but not write: no entry\n(live: access denied)");
    JsonObject *evidence = json_object_get_object_member(finding, "evidence");
    g_assert_cmpint(json_object_get_int_member(evidence, "ace"), ==, -1);
    g_assert_true(json_object_get_boolean_member(evidence, "held"));
}

/* Well-formed by GLib's own parser, and the counts are those of the cases. */
typedef struct {
    guint cases, failures, errors, skipped;
} Seen;

static void
count_element(GMarkupParseContext *context, const gchar *name, const gchar **names,
              const gchar **values, gpointer data, GError **error)
{
    Seen *seen = data;
    seen->cases += strcmp(name, "testcase") == 0;
    seen->failures += strcmp(name, "failure") == 0;
    seen->errors += strcmp(name, "error") == 0;
    seen->skipped += strcmp(name, "skipped") == 0;
}

static void
test_junit(void)
{
    static const GMarkupParser parser = {.start_element = count_element};
    g_autoptr(VmfReportSet) set = example();
    g_autoptr(GError) error = NULL;
    g_autofree gchar *text = vmf_report_set_to_junit(set);
    assert_golden("report.junit.xml", text);
    Seen seen = {0};
    g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&parser, 0, &seen, NULL);
    g_markup_parse_context_parse(context, text, -1, &error);
    g_assert_no_error(error);
    g_assert_true(g_markup_parse_context_end_parse(context, &error));
    g_assert_cmpuint(seen.cases, ==, 6);
    g_assert_cmpuint(seen.failures, ==, 1);
    g_assert_cmpuint(seen.errors, ==, 2);
    g_assert_cmpuint(seen.skipped, ==, 1);
}

static void
test_variant(void)
{
    g_autoptr(VmfReportSet) set = example();
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) dict = g_variant_ref_sink(vmf_report_set_to_variant(set));
    g_autoptr(VmfReportSet) back = vmf_report_set_from_variant(dict, &error);
    g_assert_no_error(error);
    g_autofree gchar *before = vmf_report_set_to_json(set), *after = vmf_report_set_to_json(back);
    g_assert_cmpstr(before, ==, after);

    GVariantDict more;
    g_variant_dict_init(&more, dict);
    g_variant_dict_insert(&more, "surprise", "b", TRUE);
    g_autoptr(GVariant) bad = g_variant_ref_sink(g_variant_dict_end(&more));
    g_assert_null(vmf_report_set_from_variant(bad, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_assert_nonnull(strstr(error->message, "'report-set.surprise'"));
}

static void
test_status(void)
{
    g_autoptr(VmfReportSet) set = example(), none = vmf_report_set_new();
    g_assert_cmpuint(vmf_report_status(set->reports->pdata[0]), ==, 0);
    g_assert_cmpuint(vmf_report_status(set->reports->pdata[1]), ==, 1);
    g_assert_cmpuint(vmf_report_status(set->reports->pdata[2]), ==, 3);
    g_assert_cmpuint(vmf_report_set_status(set), ==, 1);
    g_assert_cmpuint(vmf_report_set_status(none), ==, 3);
    g_autoptr(VmfReport) empty = vmf_report_new(), idle = vmf_report_new();
    g_assert_cmpuint(vmf_report_status(empty), ==, 3);
    add(idle, "SMB-121", VMF_RESULT_NOT_APPLICABLE, "", "nothing");
    g_assert_cmpuint(vmf_report_status(idle), ==, 3);
    g_assert_null(vmf_report_blocker(idle));
    g_assert_cmpstr(vmf_report_blocker(set->reports->pdata[1])->id, ==, "SMB-120");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/report/matrix/golden", test_matrix);
    g_test_add_func("/report/json/golden-and-parsed", test_json);
    g_test_add_func("/report/junit/golden-and-parsed", test_junit);
    g_test_add_func("/report/variant/round-trip", test_variant);
    g_test_add_func("/report/status/as-promised", test_status);
    return g_test_run();
}
