/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/job.h"

#include <json-glib/json-glib.h>

#include "src/base/error.h"

static VmfJob *
new_job(void)
{
    VmfJobFacts facts = {.number = 3,
                         .migration = (gchar *)"m",
                         .vm_uuid = (gchar *)"u",
                         .vm_name = (gchar *)"demo",
                         .from = (gchar *)"hv1.lab.test",
                         .to = (gchar *)"hv2"};
    return vmf_job_new(&facts);
}

static JsonObject *
report_of(VmfJob *job, JsonNode **root)
{
    g_autofree gchar *text = vmf_job_report(job);
    *root = json_from_string(text, NULL);
    g_assert_nonnull(*root);
    return json_node_get_object(*root);
}

static void
test_report_of_a_move(void)
{
    g_autoptr(VmfJob) job = new_job();
    VmfProgress progress = {.memory_total = 100, .memory_processed = 130};
    for (gsize i = 0; i < VMF_N_STAGES; i++)
        vmf_job_enter_stage(job, (VmfStage)i);
    vmf_job_enter_stage(job, VMF_STAGE_MEMORY); /* late news from the watcher */
    vmf_job_set_progress(job, &progress);
    vmf_job_set_downtime(job, 61400);
    vmf_job_set_handover(job, 4100);
    vmf_job_set_epoch(job, 8);
    vmf_job_finish(job, VMF_OUTCOME_RUNS_ON_DESTINATION, NULL);

    g_autoptr(JsonNode) root = NULL;
    JsonObject *report = report_of(job, &root);
    g_assert_cmpstr(json_object_get_string_member(report, "schema"), ==, "vmferry.migrate/1");
    g_assert_cmpstr(json_object_get_string_member(report, "outcome"), ==, "runs-on-destination");
    g_assert_cmpfloat(json_object_get_double_member(report, "downtime_ms"), ==, 61.4);
    g_assert_cmpfloat(json_object_get_double_member(report, "handover_ms"), ==, 4.1);
    g_assert_cmpint(json_object_get_int_member(report, "memory_bytes"), ==, 130);
    g_assert_cmpint(json_object_get_int_member(report, "epoch"), ==, 8);
    g_assert_true(json_object_get_null_member(report, "error"));
    JsonArray *stages = json_object_get_array_member(report, "stages");
    g_assert_cmpuint(json_array_get_length(stages), ==, VMF_N_STAGES);
    gdouble sum = 0;
    for (guint i = 0; i < VMF_N_STAGES; i++)
        sum += json_object_get_double_member(json_array_get_object_element(stages, i), "ms");
    g_assert_cmpfloat_with_epsilon(sum, json_object_get_double_member(report, "total_ms"), 0.001);
}

static void
test_report_of_a_refusal(void)
{
    g_autoptr(VmfJob) job = new_job();
    g_autoptr(GError) why = g_error_new(VMF_ERROR, VMF_ERROR_DENIED, "HV2$ may not write");
    vmf_job_finish(job, VMF_OUTCOME_CONTINUES_ON_SOURCE, why);
    vmf_job_finish(job, VMF_OUTCOME_VM_DOWN, NULL); /* only the first one counts */
    g_autoptr(JsonNode) root = NULL;
    JsonObject *report = report_of(job, &root);
    g_assert_cmpstr(json_object_get_string_member(report, "outcome"), ==, "continues-on-source");
    JsonObject *error = json_object_get_object_member(report, "error");
    g_assert_cmpstr(json_object_get_string_member(error, "code"), ==, "denied");
    g_assert_cmpstr(json_object_get_string_member(error, "message"), ==, "HV2$ may not write");
    g_assert_true(json_object_get_null_member(report, "downtime_ms"));
}

static void
test_cancel_in_time(void)
{
    g_autoptr(VmfJob) job = new_job();
    g_autoptr(GError) error = NULL;
    g_assert_true(vmf_job_cancel(job, &error));
    g_assert_true(g_cancellable_is_cancelled(vmf_job_cancellable(job)));
    g_assert_false(vmf_job_close_cancel(job, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_cancel_too_late(void)
{
    g_autoptr(VmfJob) job = new_job();
    g_autoptr(GError) error = NULL;
    g_assert_true(vmf_job_close_cancel(job, &error));
    g_assert_false(vmf_job_cancel(job, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_BUSY);
    g_assert_false(g_cancellable_is_cancelled(vmf_job_cancellable(job)));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/job/moved/whole-report", test_report_of_a_move);
    g_test_add_func("/job/refused/error-in-report", test_report_of_a_refusal);
    g_test_add_func("/job/cancel-before-handover/taken", test_cancel_in_time);
    g_test_add_func("/job/cancel-in-handover/refused", test_cancel_too_late);
    return g_test_run();
}
