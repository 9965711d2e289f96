/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/report.h"

#include <string.h>

static const VmfFactField report_fields[] = {
    {"vm", VMF_FACT_TEXT, G_STRUCT_OFFSET(VmfReport, vm)},
    {"from", VMF_FACT_TEXT, G_STRUCT_OFFSET(VmfReport, from)},
    {"to", VMF_FACT_TEXT, G_STRUCT_OFFSET(VmfReport, to)},
    {"findings", VMF_FACT_LIST, G_STRUCT_OFFSET(VmfReport, findings), .shape = &vmf_finding_shape},
};
const VmfFactShape vmf_report_shape = {"report", sizeof(VmfReport), report_fields,
                                       G_N_ELEMENTS(report_fields)};

static const VmfFactField set_fields[] = {
    {"vm", VMF_FACT_TEXT, G_STRUCT_OFFSET(VmfReportSet, vm)},
    {"from", VMF_FACT_TEXT, G_STRUCT_OFFSET(VmfReportSet, from)},
    {"reports", VMF_FACT_LIST, G_STRUCT_OFFSET(VmfReportSet, reports), .shape = &vmf_report_shape},
};
const VmfFactShape vmf_report_set_shape = {"report-set", sizeof(VmfReportSet), set_fields,
                                           G_N_ELEMENTS(set_fields)};

guint
vmf_report_count(const VmfReport *report, VmfResult result)
{
    guint n = 0;
    for (guint i = 0; i < report->findings->len; i++)
        n += ((const VmfFinding *)report->findings->pdata[i])->result == result;
    return n;
}

guint
vmf_report_status(const VmfReport *report)
{
    if (vmf_report_count(report, VMF_RESULT_FAIL) > 0)
        return 1;
    if (vmf_report_count(report, VMF_RESULT_UNKNOWN) > 0)
        return 3;
    guint judged = vmf_report_count(report, VMF_RESULT_PASS) +
                   vmf_report_count(report, VMF_RESULT_WARN);
    return judged > 0 ? 0 : 3;
}

guint
vmf_report_set_status(const VmfReportSet *set)
{
    guint worst = set->reports->len > 0 ? 0 : 3;
    for (guint i = 0; i < set->reports->len; i++) {
        guint status = vmf_report_status(set->reports->pdata[i]);
        if (status == 1)
            return 1;
        worst = MAX(worst, status);
    }
    return worst;
}

static const VmfFinding *
first_with(const VmfReport *report, VmfResult result)
{
    for (guint i = 0; i < report->findings->len; i++) {
        const VmfFinding *finding = report->findings->pdata[i];
        if (finding->result == result)
            return finding;
    }
    return NULL;
}

const VmfFinding *
vmf_report_blocker(const VmfReport *report)
{
    const VmfFinding *failed = first_with(report, VMF_RESULT_FAIL);
    return failed ? failed : first_with(report, VMF_RESULT_UNKNOWN);
}

/* Worse is larger. */
static guint
rank(VmfResult result)
{
    switch (result) {
    case VMF_RESULT_NOT_APPLICABLE:
        return 0;
    case VMF_RESULT_PASS:
        return 1;
    case VMF_RESULT_WARN:
        return 2;
    case VMF_RESULT_UNKNOWN:
        return 3;
    case VMF_RESULT_FAIL:
        return 4;
    }
    g_assert_not_reached();
}

const VmfFinding *
vmf_report_find(const VmfReport *report, const char *id)
{
    const VmfFinding *worst = NULL;
    for (guint i = 0; i < report->findings->len; i++) {
        const VmfFinding *finding = report->findings->pdata[i];
        if (strcmp(finding->id, id) == 0 &&
            (worst == NULL || rank(finding->result) > rank(worst->result)))
            worst = finding;
    }
    return worst;
}
