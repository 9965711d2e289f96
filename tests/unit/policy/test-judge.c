/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each check: at least one case in which it passes and one in which it does not, with the text a
 * person would read held against tests/unit/policy/golden/CASE.txt.
 *
 * VMFERRY_GOLDEN_WRITE=1 writes the files anew: look at the difference before it is committed.
 */
#include <string.h>

#include "judge-cases.h"
#include "policy/catalogue.h"

static GPtrArray *cases; /* of JudgeCase */

static void
collect_cases(void)
{
    static const JudgeCase *const families[] = {judge_cases_directory, judge_cases_share,
                                                judge_cases_access, judge_cases_vm,
                                                judge_cases_host};
    cases = g_ptr_array_new();
    for (gsize i = 0; i < G_N_ELEMENTS(families); i++)
        for (const JudgeCase *test = families[i]; test->id; test++)
            g_ptr_array_add(cases, (gpointer)test);
}

static void
spoil(VmfFactCase *facts, const char *id, const char *name)
{
    for (guint i = 0; i < cases->len; i++) {
        const JudgeCase *test = cases->pdata[i];
        if (strcmp(test->id, id) == 0 && strcmp(test->name, name) == 0) {
            test->spoil(facts);
            return;
        }
    }
    g_error("no case %s %s", id, name);
}

/* ---- golden files ---- */

static gchar *
text_of_check(const VmfReport *report, const char *id)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < report->findings->len; i++) {
        const VmfFinding *finding = report->findings->pdata[i];
        if (strcmp(finding->id, id) != 0)
            continue;
        g_autofree gchar *text = vmf_finding_to_text(finding);
        g_string_append(out, text);
    }
    return g_string_free(out, FALSE);
}

static void
assert_golden(const char *name, const char *text)
{
    g_autofree gchar *file = g_strconcat(name, ".txt", NULL);
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "tests", "unit", "policy", "golden",
                                                   file, NULL);
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

static VmfReport *
judge(const VmfFactCase *facts, const char *more_policy)
{
    g_autoptr(VmfLocalPolicy) policy = case_policy(more_policy ? more_policy : "");
    VmfCheckCase check = vmf_check_case(policy, facts);
    return vmf_judge(&check);
}

static void
run_case(gconstpointer data)
{
    const JudgeCase *test = data;
    g_autoptr(VmfFactCase) facts = case_good();
    if (test->spoil)
        test->spoil(facts);
    g_autoptr(VmfReport) report = judge(facts, test->policy);
    const VmfFinding *worst = vmf_report_find(report, test->id);
    g_autofree gchar *text = text_of_check(report, test->id);
    g_autofree gchar *name = g_strdup_printf("%s-%s", test->id, test->name);
    if (worst->result != test->expected)
        g_error("%s is '%s', not '%s':\n%s", name, vmf_result_name(worst->result),
                vmf_result_name(test->expected), text);
    assert_golden(name, text);
}

/* Whatever does not pass says what to do, unless only somebody else can know. */
static void
test_fixes(void)
{
    for (guint c = 0; c < cases->len; c++) {
        const JudgeCase *test = cases->pdata[c];
        g_autoptr(VmfFactCase) facts = case_good();
        if (test->spoil)
            test->spoil(facts);
        g_autoptr(VmfReport) report = judge(facts, test->policy);
        for (guint i = 0; i < report->findings->len; i++) {
            const VmfFinding *finding = report->findings->pdata[i];
            if (finding->judged == VMF_RESULT_FAIL && finding->fix[0] == NULL)
                g_error("%s-%s: a failure without a fix: %s", test->id, test->name,
                        finding->message);
        }
    }
}

/* Each check has a case here that fails, and passes or does not apply when all is well. */
static void
test_coverage(void)
{
    g_autoptr(VmfFactCase) facts = case_good();
    g_autoptr(VmfReport) report = judge(facts, NULL);
    for (gsize i = 0; i < vmf_catalogue_rows; i++) {
        gboolean fails = FALSE;
        for (guint c = 0; c < cases->len; c++) {
            const JudgeCase *test = cases->pdata[c];
            fails |= strcmp(test->id, vmf_catalogue[i].id) == 0 &&
                     test->expected == VMF_RESULT_FAIL;
        }
        if (!fails)
            g_error("no case in which %s fails", vmf_catalogue[i].id);
        const VmfFinding *worst = vmf_report_find(report, vmf_catalogue[i].id);
        if (worst->result != VMF_RESULT_PASS)
            g_error("%s does not pass when all is well: %s", vmf_catalogue[i].id, worst->message);
    }
}

static void
test_all_well(void)
{
    g_autoptr(VmfFactCase) facts = case_good();
    g_autoptr(VmfReport) report = judge(facts, NULL);
    g_autofree gchar *text = vmf_report_to_text(report, TRUE);
    assert_golden("all-well", text);
    g_assert_cmpuint(vmf_report_status(report), ==, 0);
}

/* Nothing stated about the share: SMB-150 is unknown. */
static void
test_unstated(void)
{
    static const char policy_text[] = "[vmferry]\ngroup=VM Hosts\n[shares]\n"
                                      "allow=//fs1.lab.test/vms\n";
    g_autoptr(VmfFactCase) facts = case_good();
    g_autoptr(VmfLocalPolicy)
        policy = vmf_local_policy_parse(policy_text, sizeof policy_text - 1, "test.conf", NULL);
    VmfCheckCase check = vmf_check_case(policy, facts);
    g_autoptr(VmfReport) report = vmf_judge(&check);
    g_autofree gchar *text = text_of_check(report, "SMB-150");
    assert_golden("SMB-150-unstated", text);
    g_assert_cmpuint(vmf_report_status(report), ==, 3);
}

/* A destination that did not answer: one failure that says so, everything else of it unknown. */
static void
test_unreachable(void)
{
    g_autoptr(VmfFactCase) facts = case_good();
    g_autoptr(VmfLocalPolicy) policy = case_policy("");
    VmfCheckCase check = vmf_check_case(policy, facts);
    check.destination = NULL;
    check.destination_peer = NULL;
    check.destination_view = NULL;
    check.unreachable = "hv2.lab.test:16016: No route to host";
    g_autoptr(VmfReport) report = vmf_judge(&check);
    g_autofree gchar *text = vmf_report_to_text(report, FALSE);
    assert_golden("unreachable", text);
    g_assert_cmpuint(vmf_report_status(report), ==, 1);
    g_assert_cmpstr(vmf_report_blocker(report)->id, ==, "DIR-050");
}

/* No facts at all: no check passes, and none is left out. */
static void
test_no_facts(void)
{
    g_autoptr(VmfFactVm) vm = vmf_fact_vm_new();
    g_autoptr(VmfLocalPolicy) policy = case_policy("");
    vmf_fact_set(&vm->reason, "nothing is known");
    vmf_fact_set(&vm->live.reason, "nothing is known");
    VmfCheckCase check = {.policy = policy, .vm = vm, .from = "hv1", .to = "hv2"};
    g_autoptr(VmfReport) report = vmf_judge(&check);
    for (gsize i = 0; i < vmf_catalogue_rows; i++) {
        const VmfFinding *worst = vmf_report_find(report, vmf_catalogue[i].id);
        g_assert_nonnull(worst);
        g_assert_cmpint(worst->result, !=, VMF_RESULT_PASS);
    }
    g_assert_cmpuint(vmf_report_status(report), !=, 0);
}

static void
test_definition(void)
{
    g_autoptr(VmfFactCase) facts = case_good();
    spoil(facts, "VM-210", "host-devices");
    spoil(facts, "SMB-100", "local-cd");
    spoil(facts, "SMB-100", "kernel-there");
    g_autoptr(VmfReport) report = vmf_judge_definition(NULL, &facts->vm);
    g_autofree gchar *text = vmf_report_to_text(report, TRUE);
    assert_golden("definition", text);
    g_assert_cmpuint(vmf_report_status(report), ==, 1);
}

/* What a peer or a file says cannot move the cursor. */
static void
test_control_characters(void)
{
    g_autoptr(VmfFactCase) facts = case_good();
    SET(facts->vm.live.state, "paused\x1b[2J\r\xe2\x80\xae");
    g_autoptr(VmfReport) report = judge(facts, NULL);
    g_autofree gchar *text = text_of_check(report, "VM-200");
    g_assert_nonnull(strstr(text, "is paused?[2J??; only"));
    g_assert_null(strpbrk(text, "\x1b\r"));
}

/* The host that a VM comes to judges some checks by its own file, and only those. */
static void
test_arrival(void)
{
    g_autoptr(VmfFactCase) facts = case_good();
    static const struct {
        const char *policy, *blocks;
    } files[] = {
        {"", NULL},
        {"[networks]\nallow=other\n", "HOST-330"},
        {"[networks]\nallow=other\n[checks]\nHOST-330=warn\n", NULL},
        {"[limits]\nmemory-reserve-mib=1048576\n", "HOST-320"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autoptr(VmfLocalPolicy) policy = case_policy(files[i].policy);
        g_autoptr(VmfReport)
            report = vmf_judge_arrival(policy, &facts->vm, &facts->destination.host);
        const VmfFinding *blocker = vmf_report_blocker(report);
        g_assert_cmpstr(blocker ? blocker->id : NULL, ==, files[i].blocks);
        for (guint k = 0; k < report->findings->len; k++) {
            const VmfFinding *finding = report->findings->pdata[k];
            static const char *const own[] = {"SMB-150", "HOST-320", "HOST-330", "HOST-350", NULL};
            g_assert_true(g_strv_contains(own, finding->id));
        }
    }
    static const char careless_text[] = "[vmferry]\ngroup=g\n[shares]\nallow=//fs1.lab.test/vms\n";
    g_autoptr(VmfLocalPolicy)
        careless = vmf_local_policy_parse(careless_text, strlen(careless_text), "test", NULL);
    g_autoptr(VmfReport) report = vmf_judge_arrival(careless, &facts->vm, &facts->destination.host);
    g_assert_cmpstr(vmf_report_blocker(report)->id, ==, "SMB-150");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    collect_cases();
    for (guint i = 0; i < cases->len; i++) {
        const JudgeCase *test = cases->pdata[i];
        g_autofree gchar *path = g_strdup_printf("/judge/%s/%s", test->id, test->name);
        g_test_add_data_func(path, test, run_case);
    }
    g_test_add_func("/judge/all-well/passes", test_all_well);
    g_test_add_func("/judge/each-check/fails-and-passes", test_coverage);
    g_test_add_func("/judge/each-failure/has-a-fix", test_fixes);
    g_test_add_func("/judge/share-unstated/unknown", test_unstated);
    g_test_add_func("/judge/unreachable/says-why", test_unreachable);
    g_test_add_func("/judge/no-facts/nothing-passes", test_no_facts);
    g_test_add_func("/judge/definition/alone", test_definition);
    g_test_add_func("/judge/control-characters/harmless", test_control_characters);
    g_test_add_func("/judge/arrival/own-checks", test_arrival);
    return g_test_run();
}
