/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "vmferry.check/1":
 *
 *   {"schema", "vm", "from", "status": 0|1|3, "reports": [
 *     {"vm", "from", "to", "verdict": "pass"|"fail"|"unknown", "findings": [
 *       {"id", "title", "result", "judged", "subject", "account", "host", "object", "message",
 *        "fix": [...], "evidence": {name: text|number|true|false}}]}]}
 *
 * "from" and "to" are "" for a definition alone. Members are only ever added within schema 1.
 */
#include "policy/catalogue.h"
#include "policy/report.h"

typedef struct {
    GString *out;
    guint depth;
    gboolean first; /* nothing in this object or list yet */
} Writer;

static void
append_string(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        if (c == '"' || c == '\\')
            g_string_append_printf(out, "\\%c", (char)c);
        else if (c == '\n')
            g_string_append(out, "\\n");
        else if (c < 0x20 || c == 0x7f || c == 0x2028 || c == 0x2029)
            g_string_append_printf(out, "\\u%04x", c);
        else
            g_string_append_unichar(out, c);
    }
    g_string_append_c(out, '"');
}

static void
begin_value(Writer *writer, const char *name)
{
    g_string_append_printf(writer->out, "%s\n%*s", writer->first ? "" : ",", (int)writer->depth * 2,
                           "");
    writer->first = FALSE;
    if (name) {
        append_string(writer->out, name);
        g_string_append(writer->out, ": ");
    }
}

static void
open_group(Writer *writer, const char *name, char bracket)
{
    if (writer->depth > 0)
        begin_value(writer, name);
    g_string_append_c(writer->out, bracket);
    writer->depth++;
    writer->first = TRUE;
}

static void
close_group(Writer *writer, char bracket)
{
    writer->depth--;
    if (!writer->first)
        g_string_append_printf(writer->out, "\n%*s", (int)writer->depth * 2, "");
    g_string_append_c(writer->out, bracket);
    writer->first = FALSE;
}

static void
write_text(Writer *writer, const char *name, const char *text)
{
    begin_value(writer, name);
    append_string(writer->out, text);
}

static void
write_evidence(Writer *writer, const VmfEvidence *evidence)
{
    switch (evidence->kind) {
    case VMF_EVIDENCE_TEXT:
        write_text(writer, evidence->name, evidence->text);
        return;
    case VMF_EVIDENCE_NUMBER:
        begin_value(writer, evidence->name);
        g_string_append_printf(writer->out, "%" G_GINT64_FORMAT, evidence->number);
        return;
    case VMF_EVIDENCE_FLAG:
        begin_value(writer, evidence->name);
        g_string_append(writer->out, evidence->number ? "true" : "false");
        return;
    }
    g_assert_not_reached();
}

static void
write_finding(Writer *writer, const VmfFinding *finding)
{
    const VmfCatalogueEntry *check = vmf_catalogue_find(finding->id);
    g_autofree gchar *subject = vmf_finding_subject(finding);
    open_group(writer, NULL, '{');
    write_text(writer, "id", finding->id);
    write_text(writer, "title", check ? check->title : "");
    write_text(writer, "result", vmf_result_name(finding->result));
    write_text(writer, "judged", vmf_result_name(finding->judged));
    write_text(writer, "subject", subject);
    write_text(writer, "account", finding->account);
    write_text(writer, "host", finding->host);
    write_text(writer, "object", finding->object);
    write_text(writer, "message", finding->message);
    open_group(writer, "fix", '[');
    for (guint i = 0; finding->fix[i]; i++)
        write_text(writer, NULL, finding->fix[i]);
    close_group(writer, ']');
    open_group(writer, "evidence", '{');
    for (guint i = 0; i < finding->evidence->len; i++)
        write_evidence(writer, finding->evidence->pdata[i]);
    close_group(writer, '}');
    close_group(writer, '}');
}

static void
write_report(Writer *writer, const VmfReport *report)
{
    guint status = vmf_report_status(report);
    open_group(writer, NULL, '{');
    write_text(writer, "vm", report->vm);
    write_text(writer, "from", report->from);
    write_text(writer, "to", report->to);
    write_text(writer, "verdict", status == 0 ? "pass" : status == 1 ? "fail" : "unknown");
    open_group(writer, "findings", '[');
    for (guint i = 0; i < report->findings->len; i++)
        write_finding(writer, report->findings->pdata[i]);
    close_group(writer, ']');
    close_group(writer, '}');
}

gchar *
vmf_report_set_to_json(const VmfReportSet *set)
{
    Writer writer = {g_string_new(NULL), 0, TRUE};
    open_group(&writer, NULL, '{');
    write_text(&writer, "schema", "vmferry.check/1");
    write_text(&writer, "vm", set->vm);
    write_text(&writer, "from", set->from);
    begin_value(&writer, "status");
    g_string_append_printf(writer.out, "%u", vmf_report_set_status(set));
    open_group(&writer, "reports", '[');
    for (guint i = 0; i < set->reports->len; i++)
        write_report(&writer, set->reports->pdata[i]);
    close_group(&writer, ']');
    close_group(&writer, '}');
    g_string_append_c(writer.out, '\n');
    return g_string_free(writer.out, FALSE);
}
