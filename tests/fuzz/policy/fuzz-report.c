/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What vmferryd tells a user's program of its checks: read and written again the same, or refused; and
 * every rendering of it is text that steers no terminal, JSON, and XML.
 */
#include "policy/report.h"

#include <json-glib/json-glib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void
check_text(const char *text)
{
    g_assert_true(g_utf8_validate(text, -1, NULL));
    for (const char *at = text; *at; at = g_utf8_next_char(at))
        g_assert_true(*at == '\n' || g_unichar_isprint(g_utf8_get_char(at)));
}

static void
check_formats(const VmfReportSet *set)
{
    static const GMarkupParser ignore = {0};
    g_autoptr(GError) error = NULL;
    g_autofree gchar *json = vmf_report_set_to_json(set);
    g_autofree gchar *junit = vmf_report_set_to_junit(set);
    g_autoptr(JsonNode) node = json_from_string(json, &error);
    g_assert_no_error(error);
    g_assert_true(JSON_NODE_HOLDS_OBJECT(node));
    g_autoptr(GMarkupParseContext) xml = g_markup_parse_context_new(&ignore, 0, NULL, NULL);
    gboolean whole = g_markup_parse_context_parse(xml, junit, -1, &error) &&
                     g_markup_parse_context_end_parse(xml, &error);
    g_assert_no_error(error);
    g_assert_true(whole);
}

static void
check_report(const VmfReport *report)
{
    g_autofree gchar *all = vmf_report_to_text(report, TRUE);
    g_autofree gchar *some = vmf_report_to_text(report, FALSE);
    check_text(all);
    check_text(some);
    guint status = vmf_report_status(report);
    const VmfFinding *blocker = vmf_report_blocker(report);
    g_assert_true(status == 0 || status == 1 || status == 3);
    g_assert_true(blocker == NULL || vmf_finding_blocks(blocker));
    g_assert_true(status != 0 || blocker == NULL);
    g_assert_true(status != 1 || blocker->result == VMF_RESULT_FAIL);
    for (guint i = 0; i < report->findings->len; i++) {
        const VmfFinding *finding = report->findings->pdata[i];
        g_autofree gchar *text = vmf_finding_to_text(finding);
        check_text(text);
        g_assert_nonnull(vmf_report_find(report, finding->id));
    }
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(GVariant)
        dict = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE_VARDICT, bytes, FALSE));
    g_autoptr(VmfReportSet) set = vmf_report_set_from_variant(dict, &error);
    g_assert_true((set == NULL) == (error != NULL));
    if (set == NULL) {
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        return 0;
    }
    g_autoptr(GVariant) again = g_variant_ref_sink(vmf_report_set_to_variant(set));
    g_autoptr(VmfReportSet) same = vmf_report_set_from_variant(again, &error);
    g_assert_no_error(error);
    g_autoptr(GPtrArray) changed = vmf_fact_differences(&vmf_report_set_shape, set, same);
    g_assert_cmpuint(changed->len, ==, 0);
    for (guint i = 0; i < set->reports->len; i++)
        check_report(set->reports->pdata[i]);
    g_autofree gchar *matrix = vmf_report_set_to_matrix(set);
    check_text(matrix);
    check_formats(set);
    guint status = vmf_report_set_status(set);
    g_assert_true(status == 0 || status == 1 || status == 3);
    return 0;
}
