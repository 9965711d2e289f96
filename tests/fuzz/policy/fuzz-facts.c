/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/facts.h"
#include "policy/judge.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static VmfLocalPolicy *
a_policy(void)
{
    static const char text[] = "[vmferry]\ngroup=g\n[shares]\nallow=//fs1.lab.test/vms\n";
    static VmfLocalPolicy *policy;
    if (policy == NULL)
        policy = vmf_local_policy_parse(text, sizeof text - 1, "fuzz.conf", NULL);
    return policy;
}

/*
 * What a peer sends as facts: refused, or read and written again the same; and whatever was read,
 * the judges say something to every check and every rendering works.
 */
int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(GVariant)
        dict = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE_VARDICT, bytes, FALSE));
    g_autoptr(VmfFactCase) facts = vmf_fact_case_from_variant(dict, &error);
    g_assert_true((facts == NULL) == (error != NULL));
    if (facts == NULL)
        return 0;
    g_autoptr(GVariant) again = g_variant_ref_sink(vmf_fact_case_to_variant(facts));
    g_autoptr(VmfFactCase) same = vmf_fact_case_from_variant(again, NULL);
    g_autoptr(GPtrArray) changed = vmf_fact_differences(&vmf_fact_case_shape, facts, same);
    g_assert_cmpuint(changed->len, ==, 0);

    VmfCheckCase check = vmf_check_case(a_policy(), facts);
    g_autoptr(VmfReportSet) set = vmf_report_set_new();
    g_ptr_array_add(set->reports, vmf_judge(&check));
    g_autofree gchar *text = vmf_report_to_text(set->reports->pdata[0], TRUE);
    g_autofree gchar *matrix = vmf_report_set_to_matrix(set);
    g_autofree gchar *json = vmf_report_set_to_json(set);
    g_autofree gchar *junit = vmf_report_set_to_junit(set);
    g_assert_true(g_utf8_validate(text, -1, NULL) && g_utf8_validate(matrix, -1, NULL));
    g_assert_true(g_utf8_validate(json, -1, NULL) && g_utf8_validate(junit, -1, NULL));
    return 0;
}
