/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/finding.h"

static const char *const results[] = {"pass", "fail", "warn", "not-applicable", "unknown", NULL};
static const char *const kinds[] = {"text", "number", "flag", NULL};
G_STATIC_ASSERT(G_N_ELEMENTS(results) == VMF_RESULT_UNKNOWN + 2);
G_STATIC_ASSERT(G_N_ELEMENTS(kinds) == VMF_EVIDENCE_FLAG + 2);

static const VmfFactField evidence_fields[] = {
    {"name", VMF_FACT_TEXT, G_STRUCT_OFFSET(VmfEvidence, name)},
    {"kind", VMF_FACT_WORD, G_STRUCT_OFFSET(VmfEvidence, kind), .words = kinds},
    {"text", VMF_FACT_TEXT, G_STRUCT_OFFSET(VmfEvidence, text)},
    {"number", VMF_FACT_SIGNED, G_STRUCT_OFFSET(VmfEvidence, number)},
};
const VmfFactShape vmf_evidence_shape = {"evidence", sizeof(VmfEvidence), evidence_fields,
                                         G_N_ELEMENTS(evidence_fields)};

static const VmfFactField finding_fields[] = {
    {"id", VMF_FACT_TEXT, G_STRUCT_OFFSET(VmfFinding, id)},
    {"result", VMF_FACT_WORD, G_STRUCT_OFFSET(VmfFinding, result), .words = results},
    {"judged", VMF_FACT_WORD, G_STRUCT_OFFSET(VmfFinding, judged), .words = results},
    {"account", VMF_FACT_TEXT, G_STRUCT_OFFSET(VmfFinding, account)},
    {"host", VMF_FACT_TEXT, G_STRUCT_OFFSET(VmfFinding, host)},
    {"object", VMF_FACT_TEXT, G_STRUCT_OFFSET(VmfFinding, object)},
    {"message", VMF_FACT_TEXT, G_STRUCT_OFFSET(VmfFinding, message)},
    {"fix", VMF_FACT_TEXTS, G_STRUCT_OFFSET(VmfFinding, fix)},
    {"evidence", VMF_FACT_LIST, G_STRUCT_OFFSET(VmfFinding, evidence),
     .shape = &vmf_evidence_shape},
};
const VmfFactShape vmf_finding_shape = {"finding", sizeof(VmfFinding), finding_fields,
                                        G_N_ELEMENTS(finding_fields)};

const char *
vmf_result_name(VmfResult result)
{
    return results[result];
}

gboolean
vmf_finding_blocks(const VmfFinding *finding)
{
    return finding->result == VMF_RESULT_FAIL || finding->result == VMF_RESULT_UNKNOWN;
}

gchar *
vmf_finding_subject(const VmfFinding *finding)
{
    const char *who = finding->account[0] ? finding->account : finding->host;
    if (who[0] == '\0' || finding->object[0] == '\0')
        return g_strconcat(who, finding->object, NULL);
    return g_strconcat(who, " on ", finding->object, NULL);
}

void
vmf_finding_fix(VmfFinding *finding, const char *format, ...)
{
    va_list args;
    guint n = g_strv_length(finding->fix);
    va_start(args, format);
    finding->fix = g_renew(gchar *, finding->fix, n + 2);
    finding->fix[n] = g_strdup_vprintf(format, args);
    finding->fix[n + 1] = NULL;
    va_end(args);
}

static VmfEvidence *
add_evidence(VmfFinding *finding, const char *name, VmfEvidenceKind kind)
{
    VmfEvidence *evidence = vmf_fact_new(&vmf_evidence_shape);
    vmf_fact_set(&evidence->name, name);
    evidence->kind = kind;
    g_ptr_array_add(finding->evidence, evidence);
    return evidence;
}

void
vmf_finding_text(VmfFinding *finding, const char *name, const char *text)
{
    vmf_fact_set(&add_evidence(finding, name, VMF_EVIDENCE_TEXT)->text, text);
}

void
vmf_finding_number(VmfFinding *finding, const char *name, gint64 number)
{
    add_evidence(finding, name, VMF_EVIDENCE_NUMBER)->number = number;
}

void
vmf_finding_flag(VmfFinding *finding, const char *name, gboolean flag)
{
    add_evidence(finding, name, VMF_EVIDENCE_FLAG)->number = flag ? 1 : 0;
}
