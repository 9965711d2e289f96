/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/job.h"

#include <json-glib/json-glib.h>

#include "src/base/error.h"
#include "src/migrate/waiting.h"

struct _VmfJob {
    gatomicrefcount refs;
    VmfJobFacts facts;
    GCancellable *cancellable;
    VmfJobChanged changed;
    gpointer changed_data;

    GMutex lock; /* guards all below */
    VmfStage stage;
    gint64 began_us, ended_us;
    gint64 entered_us[VMF_N_STAGES]; /* 0: never entered */
    VmfProgress progress;
    VmfOutcome outcome;
    gchar *waiting_for;
    GError *error;
    guint64 epoch;
    gint64 downtime_us, handover_us; /* -1: not measured */
    gboolean uncancellable;
};

VmfJob *
vmf_job_new(const VmfJobFacts *facts)
{
    VmfJob *job = g_new0(VmfJob, 1);
    g_atomic_ref_count_init(&job->refs);
    job->facts = (VmfJobFacts){
        .number = facts->number,
        .migration = g_strdup(facts->migration),
        .vm_uuid = g_strdup(facts->vm_uuid),
        .vm_name = g_strdup(facts->vm_name),
        .from = g_strdup(facts->from),
        .to = g_strdup(facts->to),
        .role = facts->role,
    };
    job->cancellable = g_cancellable_new();
    g_mutex_init(&job->lock);
    job->began_us = job->entered_us[VMF_STAGE_SETUP] = g_get_monotonic_time();
    job->downtime_us = job->handover_us = -1;
    return job;
}

VmfJob *
vmf_job_ref(VmfJob *job)
{
    g_atomic_ref_count_inc(&job->refs);
    return job;
}

void
vmf_job_unref(VmfJob *job)
{
    if (job == NULL || !g_atomic_ref_count_dec(&job->refs))
        return;
    g_free(job->facts.migration);
    g_free(job->facts.vm_uuid);
    g_free(job->facts.vm_name);
    g_free(job->facts.from);
    g_free(job->facts.to);
    g_object_unref(job->cancellable);
    g_mutex_clear(&job->lock);
    g_free(job->waiting_for);
    g_clear_error(&job->error);
    g_free(job);
}

const VmfJobFacts *
vmf_job_facts(VmfJob *job)
{
    return &job->facts;
}

void
vmf_job_watch(VmfJob *job, VmfJobChanged changed, gpointer data)
{
    job->changed = changed;
    job->changed_data = data;
}

static void
tell(VmfJob *job)
{
    if (job->changed)
        job->changed(job, job->changed_data);
}

void
vmf_job_enter_stage(VmfJob *job, VmfStage stage)
{
    g_mutex_lock(&job->lock);
    gboolean forward = stage > job->stage;
    if (forward) {
        job->stage = stage;
        job->entered_us[stage] = g_get_monotonic_time();
    }
    g_mutex_unlock(&job->lock);
    if (forward)
        tell(job);
}

void
vmf_job_set_progress(VmfJob *job, const VmfProgress *progress)
{
    g_mutex_lock(&job->lock);
    job->progress = *progress;
    g_mutex_unlock(&job->lock);
    tell(job);
}

void
vmf_job_set_waiting(VmfJob *job, const char *waiting_for)
{
    g_mutex_lock(&job->lock);
    g_free(job->waiting_for);
    job->waiting_for = g_strdup(waiting_for);
    g_mutex_unlock(&job->lock);
    vmf_waiting_set(job->facts.vm_uuid, job->facts.vm_name, waiting_for);
    tell(job);
}

void
vmf_job_set_epoch(VmfJob *job, guint64 epoch)
{
    g_mutex_lock(&job->lock);
    job->epoch = epoch;
    g_mutex_unlock(&job->lock);
}

void
vmf_job_set_downtime(VmfJob *job, gint64 us)
{
    g_mutex_lock(&job->lock);
    job->downtime_us = us;
    g_mutex_unlock(&job->lock);
}

void
vmf_job_set_handover(VmfJob *job, gint64 us)
{
    g_mutex_lock(&job->lock);
    job->handover_us = us;
    g_mutex_unlock(&job->lock);
}

void
vmf_job_finish(VmfJob *job, VmfOutcome outcome, const GError *error)
{
    g_mutex_lock(&job->lock);
    if (job->outcome == VMF_OUTCOME_NONE) {
        job->outcome = outcome;
        job->ended_us = g_get_monotonic_time();
        job->uncancellable = TRUE;
        job->error = error ? g_error_copy(error) : NULL;
        g_clear_pointer(&job->waiting_for, g_free);
    }
    g_mutex_unlock(&job->lock);
    vmf_waiting_set(job->facts.vm_uuid, job->facts.vm_name, NULL);
}

void
vmf_job_publish(VmfJob *job)
{
    tell(job);
}

void
vmf_job_set_memory_bytes(VmfJob *job, guint64 bytes)
{
    g_mutex_lock(&job->lock);
    job->progress.memory_processed = bytes;
    g_mutex_unlock(&job->lock);
}

static void
add_ms(JsonBuilder *out, const char *name, gint64 us)
{
    json_builder_set_member_name(out, name);
    if (us < 0)
        json_builder_add_null_value(out);
    else
        json_builder_add_double_value(out, (double)us / 1000.0);
}

static void
add_text(JsonBuilder *out, const char *name, const char *value)
{
    json_builder_set_member_name(out, name);
    if (value)
        json_builder_add_string_value(out, value);
    else
        json_builder_add_null_value(out);
}

static void
add_number(JsonBuilder *out, const char *name, guint64 value)
{
    json_builder_set_member_name(out, name);
    json_builder_add_int_value(out, (gint64)value);
}

/* A stage lasts until the next one that was entered, or until now. */
static gint64
stage_us(VmfJob *job, gsize stage, gint64 end)
{
    for (gsize next = stage + 1; next < VMF_N_STAGES; next++)
        if (job->entered_us[next])
            return job->entered_us[next] - job->entered_us[stage];
    return end - job->entered_us[stage];
}

static void
add_stages(JsonBuilder *out, VmfJob *job, gint64 end)
{
    json_builder_set_member_name(out, "stages");
    json_builder_begin_array(out);
    for (gsize i = 0; i < VMF_N_STAGES; i++) {
        if (job->entered_us[i] == 0)
            continue;
        json_builder_begin_object(out);
        add_text(out, "name", vmf_stage_name((VmfStage)i));
        add_ms(out, "ms", stage_us(job, i, end));
        json_builder_end_object(out);
    }
    json_builder_end_array(out);
}

static void
add_error(JsonBuilder *out, const GError *error)
{
    json_builder_set_member_name(out, "error");
    if (error == NULL) {
        json_builder_add_null_value(out);
        return;
    }
    json_builder_begin_object(out);
    add_text(out, "code",
             g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ? "cancelled"
                                                                      : vmf_error_code_name(error));
    add_text(out, "message", error->message);
    json_builder_end_object(out);
}

gchar *
vmf_job_report(VmfJob *job)
{
    g_autoptr(JsonBuilder) out = json_builder_new();
    g_mutex_lock(&job->lock);
    gint64 end = job->ended_us ? job->ended_us : g_get_monotonic_time();
    json_builder_begin_object(out);
    add_text(out, "schema", "vmferry.migrate/1");
    add_text(out, "vm", job->facts.vm_name);
    add_text(out, "from", job->facts.from);
    add_text(out, "to", job->facts.to);
    add_text(out, "outcome", vmf_outcome_name(job->outcome));
    add_stages(out, job, end);
    add_ms(out, "downtime_ms", job->downtime_us);
    add_ms(out, "handover_ms", job->handover_us);
    add_ms(out, "total_ms", end - job->began_us);
    add_number(out, "memory_bytes", job->progress.memory_processed);
    add_number(out, "epoch", job->epoch);
    add_error(out, job->error);
    json_builder_end_object(out);
    g_mutex_unlock(&job->lock);

    g_autoptr(JsonNode) root = json_builder_get_root(out);
    return json_to_string(root, FALSE);
}

gboolean
vmf_job_cancel(VmfJob *job, GError **error)
{
    g_mutex_lock(&job->lock);
    gboolean late = job->uncancellable;
    gboolean over = job->outcome != VMF_OUTCOME_NONE;
    /* Under the lock: vmf_job_close_cancel() then either sees it or has closed the door. */
    if (!late)
        g_cancellable_cancel(job->cancellable);
    g_mutex_unlock(&job->lock);
    if (!late)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                over ? "job %" G_GINT64_FORMAT " of '%s' is over"
                     : "job %" G_GINT64_FORMAT " of '%s' can no longer be cancelled: its share "
                       "connection is being handed over, and it ends by itself with one owner",
                job->facts.number, job->facts.vm_name);
    return FALSE;
}

GCancellable *
vmf_job_cancellable(VmfJob *job)
{
    return job->cancellable;
}

gboolean
vmf_job_close_cancel(VmfJob *job, GError **error)
{
    g_mutex_lock(&job->lock);
    gboolean cancelled = g_cancellable_is_cancelled(job->cancellable);
    job->uncancellable = TRUE;
    g_mutex_unlock(&job->lock);
    if (cancelled)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the move of '%s' was cancelled",
                    job->facts.vm_name);
    return !cancelled;
}

void
vmf_job_look(VmfJob *job, VmfJobView *view)
{
    g_mutex_lock(&job->lock);
    *view = (VmfJobView){
        .stage = job->stage,
        .progress = job->progress,
        .outcome = job->outcome,
        .elapsed_us = (job->ended_us ? job->ended_us : g_get_monotonic_time()) - job->began_us,
        .waiting_for = g_strdup(job->waiting_for),
        .error = job->error ? g_error_copy(job->error) : NULL,
    };
    g_mutex_unlock(&job->lock);
}

void
vmf_job_view_clear(VmfJobView *view)
{
    g_clear_pointer(&view->waiting_for, g_free);
    g_clear_error(&view->error);
}
