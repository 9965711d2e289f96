/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/report.h"

#include <string.h>

#define REASON_CHARACTERS 100 /* of the matrix */

static const char *const labels[] = {
    [VMF_RESULT_PASS] = "PASS",           [VMF_RESULT_FAIL] = "FAIL",    [VMF_RESULT_WARN] = "WARN",
    [VMF_RESULT_NOT_APPLICABLE] = "n/a ", [VMF_RESULT_UNKNOWN] = "????",
};

/* Names come from files, peers and directories: nothing of theirs may steer a terminal. */
static void
append_safe(GString *out, const char *text, const char *indent)
{
    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        if (c == '\n')
            g_string_append_printf(out, "\n%s", indent);
        else
            g_string_append_unichar(out, g_unichar_isprint(c) ? c : '?');
    }
}

static void
append_finding(GString *out, const VmfFinding *finding)
{
    g_autofree gchar *subject = vmf_finding_subject(finding);
    gboolean passes = finding->result == VMF_RESULT_PASS ||
                      finding->result == VMF_RESULT_NOT_APPLICABLE;
    g_string_append_printf(out, "%-4.4s  ", labels[finding->result]);
    append_safe(out, finding->id, "");
    g_string_append(out, "  ");
    append_safe(out, subject, "");
    g_string_append(out, subject[0] == '\0' ? "" : passes ? ": " : "\n      ");
    append_safe(out, finding->message, "      ");
    if (finding->judged != finding->result)
        g_string_append_printf(out, "\n      (judged '%s'; the policy file's [checks] changes it)",
                               vmf_result_name(finding->judged));
    g_string_append_c(out, '\n');
    for (guint i = 0; finding->fix[i]; i++) {
        g_string_append(out, i == 0 ? " fix  " : "      ");
        append_safe(out, finding->fix[i], "      ");
        g_string_append_c(out, '\n');
    }
}

gchar *
vmf_finding_to_text(const VmfFinding *finding)
{
    GString *out = g_string_new(NULL);
    append_finding(out, finding);
    return g_string_free(out, FALSE);
}

static void
append_count(GString *out, const VmfReport *report, VmfResult result, const char *what)
{
    guint n = vmf_report_count(report, result);
    if (n)
        g_string_append_printf(out, "%s%u %s", out->len ? ", " : "", n, what);
}

static const char *
verdict_text(const VmfReport *report)
{
    switch (vmf_report_status(report)) {
    case 0:
        return report->to[0] ? "can move" : "has nothing in it that keeps it from moving";
    case 1:
        return report->to[0] ? "cannot move" : "cannot move as it is";
    default:
        return "could not be judged";
    }
}

static void
append_verdict(GString *out, const VmfReport *report)
{
    g_autoptr(GString) counts = g_string_new(NULL);
    append_count(counts, report, VMF_RESULT_FAIL, "failed");
    append_count(counts, report, VMF_RESULT_UNKNOWN, "unknown");
    append_count(counts, report, VMF_RESULT_WARN, "warned");
    append_count(counts, report, VMF_RESULT_PASS, "passed");
    append_count(counts, report, VMF_RESULT_NOT_APPLICABLE, "not applicable");
    append_safe(out, report->vm[0] ? report->vm : "the definition", "");
    g_string_append_printf(out, " %s", verdict_text(report));
    if (report->to[0]) {
        g_string_append(out, " to ");
        append_safe(out, report->to, "");
    }
    g_string_append_printf(out, ": %s\n", counts->len ? counts->str : "no check was made");
    if (report->to[0] == '\0')
        g_string_append(out, "(what needs a host was not judged: vmferry check VM --to HOST)\n");
}

/* Both are unknown for one reason, which often is long and true of half the checks. */
static gboolean
same_unknown(const VmfFinding *a, const VmfFinding *b)
{
    return a->result == VMF_RESULT_UNKNOWN && b->result == VMF_RESULT_UNKNOWN &&
           a->judged == a->result && b->judged == b->result && a->fix[0] == NULL &&
           b->fix[0] == NULL && strcmp(a->message, b->message) == 0;
}

static gboolean
is_told_before(const VmfReport *report, guint at)
{
    for (guint i = 0; i < at; i++)
        if (same_unknown(report->findings->pdata[i], report->findings->pdata[at]))
            return TRUE;
    return FALSE;
}

/* The checks for which one reason stands: "(and so DIR-020, SMB-110)" */
static void
append_same(GString *out, const VmfReport *report, guint at)
{
    const VmfFinding *first = report->findings->pdata[at];
    const char *last = first->id;
    g_autoptr(GString) ids = g_string_new(NULL);
    for (guint i = at + 1; i < report->findings->len; i++) {
        const VmfFinding *other = report->findings->pdata[i];
        if (!same_unknown(first, other) || strcmp(last, other->id) == 0)
            continue;
        g_string_append(ids, ids->len ? ", " : "");
        append_safe(ids, other->id, "");
        last = other->id;
    }
    if (ids->len)
        g_string_append_printf(out, "      (and so %s)\n", ids->str);
}

gchar *
vmf_report_blockers_to_text(const VmfReport *report)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < report->findings->len; i++) {
        const VmfFinding *finding = report->findings->pdata[i];
        if (!vmf_finding_blocks(finding) || is_told_before(report, i))
            continue;
        append_finding(out, finding);
        append_same(out, report, i);
    }
    return g_string_free(out, FALSE);
}

gchar *
vmf_report_to_text(const VmfReport *report, gboolean all)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < report->findings->len; i++) {
        const VmfFinding *finding = report->findings->pdata[i];
        gboolean well = finding->result == VMF_RESULT_PASS ||
                        finding->result == VMF_RESULT_NOT_APPLICABLE;
        if (!all && (well || is_told_before(report, i)))
            continue;
        append_finding(out, finding);
        if (!all)
            append_same(out, report, i);
    }
    append_verdict(out, report);
    return g_string_free(out, FALSE);
}

/* ---- matrix ---- */

/* First line only, and not more than a line of a terminal holds. */
static gchar *
short_reason(const VmfFinding *finding)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree gchar *subject = vmf_finding_subject(finding);
    g_autofree gchar *line = g_strndup(finding->message, strcspn(finding->message, "\n"));
    g_autofree gchar *whole = g_strdup_printf("%s%s%s", subject, subject[0] ? ": " : "", line);
    append_safe(out, whole, "");
    if (g_utf8_strlen(out->str, -1) <= REASON_CHARACTERS)
        return g_strdup(out->str);
    g_autofree gchar *head = g_utf8_substring(out->str, 0, REASON_CHARACTERS - 3);
    return g_strconcat(head, "...", NULL);
}

static void
append_row(GString *out, const char *host, glong width, const char *result, const char *check,
           const char *reason)
{
    g_autoptr(GString) line = g_string_new(NULL);
    append_safe(line, host, "");
    for (glong pad = g_utf8_strlen(line->str, -1); pad < width + 2; pad++)
        g_string_append_c(line, ' ');
    g_string_append_printf(line, "%-7s  %-8s  %s", result, check, reason);
    g_string_append_printf(out, "%s\n", g_strchomp(line->str));
}

gchar *
vmf_report_set_to_matrix(const VmfReportSet *set)
{
    GString *out = g_string_new(NULL);
    glong width = 4;
    for (guint i = 0; i < set->reports->len; i++)
        width = MAX(width, g_utf8_strlen(((const VmfReport *)set->reports->pdata[i])->to, -1));
    append_row(out, "HOST", width, "VERDICT", "CHECK", "FIRST REASON");
    for (guint i = 0; i < set->reports->len; i++) {
        const VmfReport *report = set->reports->pdata[i];
        const VmfFinding *blocker = vmf_report_blocker(report);
        g_autofree gchar *reason = blocker ? short_reason(blocker) : g_strdup("");
        g_autoptr(GString) id = g_string_new(NULL);
        append_safe(id, blocker ? blocker->id : "", "");
        guint status = vmf_report_status(report);
        append_row(out, report->to, width,
                   status == 0   ? "yes"
                   : status == 1 ? "no"
                                 : "unknown",
                   id->str, reason);
    }
    return g_string_free(out, FALSE);
}
