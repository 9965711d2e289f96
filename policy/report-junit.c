/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * JUnit's XML, as CI systems read it: fail is a <failure>, an unknown that blocks an <error>,
 * not-applicable is <skipped>, a warning passes with its text in <system-out>.
 */
#include "policy/report.h"

/* XML 1.0 has no way to write most control characters. */
static gchar *
escaped(const char *text)
{
    g_autoptr(GString) clean = g_string_new(NULL);
    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        gboolean allowed = c == '\n' || c == '\t' ||
                           (c >= 0x20 && c != 0x7f && c != 0xfffe && c != 0xffff);
        g_string_append_unichar(clean, allowed ? c : '?');
    }
    return g_markup_escape_text(clean->str, -1);
}

static void
append_outcome(GString *out, const VmfFinding *finding, const char *element)
{
    g_autofree gchar *text = vmf_finding_to_text(finding);
    g_autofree gchar *body = escaped(text), *message = escaped(finding->message);
    g_autofree gchar *id = escaped(finding->id);
    g_strdelimit(message, "\n", ' ');
    g_string_append_printf(out,
                           ">\n      <%s message=\"%s\" type=\"%s\">%s</%s>\n    </testcase>\n",
                           element, message, id, body, element);
}

static void
append_case(GString *out, const VmfFinding *finding)
{
    g_autofree gchar *subject = vmf_finding_subject(finding);
    g_autofree gchar *name = escaped(subject), *message = escaped(finding->message);
    g_autofree gchar *id = escaped(finding->id);
    g_string_append_printf(out, "    <testcase classname=\"vmferry.check.%s\" name=\"%s%s%s\"", id,
                           id, name[0] ? " " : "", name);
    switch (finding->result) {
    case VMF_RESULT_PASS:
        g_string_append(out, "/>\n");
        return;
    case VMF_RESULT_FAIL:
        append_outcome(out, finding, "failure");
        return;
    case VMF_RESULT_UNKNOWN:
        append_outcome(out, finding, "error");
        return;
    case VMF_RESULT_NOT_APPLICABLE:
        g_string_append_printf(out, ">\n      <skipped message=\"%s\"/>\n    </testcase>\n",
                               message);
        return;
    case VMF_RESULT_WARN: {
        g_autofree gchar *text = vmf_finding_to_text(finding);
        g_autofree gchar *body = escaped(text);
        g_string_append_printf(out, ">\n      <system-out>%s</system-out>\n    </testcase>\n",
                               body);
        return;
    }
    }
    g_assert_not_reached();
}

static void
append_suite(GString *out, const VmfReport *report)
{
    g_autofree gchar *vm = escaped(report->vm), *to = escaped(report->to);
    g_string_append_printf(out,
                           "  <testsuite name=\"%s%s%s\" tests=\"%u\" failures=\"%u\" "
                           "errors=\"%u\" skipped=\"%u\">\n",
                           vm, to[0] ? " to " : "", to, report->findings->len,
                           vmf_report_count(report, VMF_RESULT_FAIL),
                           vmf_report_count(report, VMF_RESULT_UNKNOWN),
                           vmf_report_count(report, VMF_RESULT_NOT_APPLICABLE));
    for (guint i = 0; i < report->findings->len; i++)
        append_case(out, report->findings->pdata[i]);
    g_string_append(out, "  </testsuite>\n");
}

gchar *
vmf_report_set_to_junit(const VmfReportSet *set)
{
    GString *out = g_string_new("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (guint i = 0; i < set->reports->len; i++)
        append_suite(out, set->reports->pdata[i]);
    g_string_append(out, "</testsuites>\n");
    return g_string_free(out, FALSE);
}
