/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/finding.h"

/*
 * What a check found: for one VM and one destination (VmfReport), and for one VM and all the
 * destinations that were asked for (VmfReportSet).
 *
 * A set travels as a{sv} (vmf_report_set_to_variant(), fact-codec.h). org.vmferry1.Manager.Check
 * answers {"report": a{sv} of the set} and, asked with the option "facts" and one destination, also
 * "facts": a{sv} of the VmfFactCase. Four renderings: table and matrix for people, JSON
 * "vmferry.check/1" for programs, JUnit for CI.
 */

/**
 * VmfReport
 * @vm, @from, @to: name, and hosts; "" from and to: a definition alone
 * @findings:       of VmfFinding, in the catalogue's order; every check has at least one
 */
typedef struct {
    gchar *vm, *from, *to;
    GPtrArray *findings;
} VmfReport;

typedef struct {
    gchar *vm, *from;
    GPtrArray *reports; /* of VmfReport */
} VmfReportSet;

extern const VmfFactShape vmf_report_shape, vmf_report_set_shape;

static inline VmfReport *
vmf_report_new(void)
{
    return vmf_fact_new(&vmf_report_shape);
}

static inline void
vmf_report_free(VmfReport *report)
{
    vmf_fact_free(&vmf_report_shape, report);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfReport, vmf_report_free)

static inline VmfReportSet *
vmf_report_set_new(void)
{
    return vmf_fact_new(&vmf_report_set_shape);
}

static inline void
vmf_report_set_free(VmfReportSet *set)
{
    vmf_fact_free(&vmf_report_set_shape, set);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfReportSet, vmf_report_set_free)

static inline GVariant *
vmf_report_set_to_variant(const VmfReportSet *set)
{
    return vmf_fact_to_variant(&vmf_report_set_shape, set);
}

/** vmf_report_set_from_variant() - VMF_ERROR_PROTOCOL names the field; see fact-codec.h */
static inline VmfReportSet *
vmf_report_set_from_variant(GVariant *dict, GError **error)
{
    return vmf_fact_from_variant(&vmf_report_set_shape, dict, error);
}

/**
 * vmf_report_status() - the verdict, as the command's exit status (product.md)
 *
 * Returns: 0: no finding blocks and at least one check was judged; 1: a check fails; 3: none
 *   fails, but one could not be judged, or none was judged at all.
 */
guint vmf_report_status(const VmfReport *report);

/** vmf_report_set_status() - 1 when a report's is 1, else 3 when one's is 3 or there is none */
guint vmf_report_set_status(const VmfReportSet *set);

/** vmf_report_blocker() - the first failure, else the first unknown that blocks. (nullable) */
const VmfFinding *vmf_report_blocker(const VmfReport *report);

guint vmf_report_count(const VmfReport *report, VmfResult result);

/** vmf_report_find() - the worst finding of a check (fail, unknown, warn, pass, not-applicable) */
const VmfFinding *vmf_report_find(const VmfReport *report, const char *id);

/**
 * vmf_report_to_text() - the table for people, closing with a line that says the verdict
 * @all: also what passed and what does not apply, and each thing that is unknown by itself; else what is
 *       unknown for one reason is told once, with the checks it stands for
 */
gchar *vmf_report_to_text(const VmfReport *report, gboolean all);

/** vmf_report_blockers_to_text() - of the same table, what blocks, without the verdict */
gchar *vmf_report_blockers_to_text(const VmfReport *report);

/** vmf_finding_to_text() - one finding as the table shows it, with a newline at the end */
gchar *vmf_finding_to_text(const VmfFinding *finding);

/** vmf_report_set_to_matrix() - host × first blocking reason, one line per host */
gchar *vmf_report_set_to_matrix(const VmfReportSet *set);

/** vmf_report_set_to_json() - {"schema": "vmferry.check/1", …}, indented, newline at the end */
gchar *vmf_report_set_to_json(const VmfReportSet *set);

/** vmf_report_set_to_junit() - one testsuite per destination, one testcase per finding */
gchar *vmf_report_set_to_junit(const VmfReportSet *set);
