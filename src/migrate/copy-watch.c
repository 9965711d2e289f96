/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/copy-watch.h"

#define LOOK_EVERY_MS    100
#define PASSES_PER_STEP  3
#define LARGEST_MULTIPLE 8

struct _VmfCopyWatch {
    VmfHost *host;
    VmfJob *job;
    GThread *thread;
    gulong on_cancel;
    guint downtime_ms, wanted_ms, largest_ms; /* set at libvirt; to be set; the limit */
    guint64 step_at;                          /* iteration at which the pause grows */
    guint64 still_bytes;                      /* processed when the guest was seen to stand still */
    gint64 still_us;                          /* since then; 0: it runs */
    gboolean stuck;

    GMutex lock;
    GCond changed;
    gboolean over, cancelled; /* guarded by lock */
};

/* libvirt refuses until QEMU's migration exists: wanted stays wanted until it is taken. */
static void
set_downtime(VmfCopyWatch *watch)
{
    if (watch->downtime_ms != watch->wanted_ms &&
        vmf_host_set_max_downtime(watch->host, vmf_job_facts(watch->job)->vm_uuid, watch->wanted_ms,
                                  NULL))
        watch->downtime_ms = watch->wanted_ms;
}

/* The guest stands still, and nothing more is taken of it. */
static gboolean
stands_still(VmfCopyWatch *watch, const VmfJobProgress *now)
{
    gint64 us = g_get_monotonic_time();
    /* "completed" by the figures of its memory: QEMU's own word is still out while Perform runs */
    gboolean last = now->stage == VMF_JOB_SWITCHOVER || now->stage == VMF_JOB_COMPLETED;
    if (!last || now->bytes_processed != watch->still_bytes)
        watch->still_us = 0;
    watch->still_bytes = now->bytes_processed;
    if (last && watch->still_us == 0)
        watch->still_us = us;
    return watch->still_us != 0 && us - watch->still_us > VMF_COPY_STILL_S * G_USEC_PER_SEC;
}

static void
look(VmfCopyWatch *watch)
{
    VmfJobProgress now;
    set_downtime(watch);
    if (!vmf_host_job_progress(watch->host, vmf_job_facts(watch->job)->vm_uuid, &now, NULL) ||
        now.stage == VMF_JOB_NONE)
        return;
    if (now.iteration >= watch->step_at) {
        watch->wanted_ms = MIN(watch->wanted_ms * 2, watch->largest_ms);
        watch->step_at = now.iteration + PASSES_PER_STEP;
    }
    if (stands_still(watch, &now))
        watch->stuck = vmf_host_abort_job(watch->host, vmf_job_facts(watch->job)->vm_uuid, NULL) ||
                       watch->stuck;
    if (now.stage == VMF_JOB_SWITCHOVER || now.stage == VMF_JOB_COMPLETED)
        vmf_job_enter_stage(watch->job, VMF_STAGE_STATE);
    VmfProgress progress = {
        .memory_total = now.bytes_total,
        .memory_processed = now.bytes_processed,
        .memory_remaining = now.bytes_remaining,
        .rate = now.bytes_per_s,
        .dirty_rate = now.dirty_bytes_per_s,
        .iteration = now.iteration,
    };
    vmf_job_set_progress(watch->job, &progress);
}

static gpointer
watch_copy(gpointer data)
{
    VmfCopyWatch *watch = data;
    g_mutex_lock(&watch->lock);
    while (!watch->over) {
        gboolean cancelled = watch->cancelled;
        g_mutex_unlock(&watch->lock);
        if (cancelled)
            /* Refused while there is nothing to abort yet: asked again until Perform returns. */
            vmf_host_abort_job(watch->host, vmf_job_facts(watch->job)->vm_uuid, NULL);
        else
            look(watch);
        g_mutex_lock(&watch->lock);
        gint64 until = g_get_monotonic_time() + LOOK_EVERY_MS * G_TIME_SPAN_MILLISECOND;
        while (!watch->over && watch->cancelled == cancelled &&
               g_cond_wait_until(&watch->changed, &watch->lock, until))
            continue;
    }
    g_mutex_unlock(&watch->lock);
    return NULL;
}

static void
note_cancel(GCancellable *cancellable, gpointer data)
{
    VmfCopyWatch *watch = data;
    g_mutex_lock(&watch->lock);
    watch->cancelled = TRUE;
    g_cond_signal(&watch->changed);
    g_mutex_unlock(&watch->lock);
}

VmfCopyWatch *
vmf_copy_watch_start(VmfHost *host, VmfJob *job, guint max_downtime_ms)
{
    VmfCopyWatch *watch = g_new0(VmfCopyWatch, 1);
    watch->host = host;
    watch->job = job;
    watch->wanted_ms = max_downtime_ms;
    watch->largest_ms = max_downtime_ms * LARGEST_MULTIPLE;
    watch->step_at = 1 + PASSES_PER_STEP;
    g_mutex_init(&watch->lock);
    g_cond_init(&watch->changed);
    set_downtime(watch);
    watch->on_cancel = g_cancellable_connect(vmf_job_cancellable(job), G_CALLBACK(note_cancel),
                                             watch, NULL);
    watch->thread = g_thread_new("vmf-watch", watch_copy, watch);
    return watch;
}

void
vmf_copy_watch_end(VmfCopyWatch *watch)
{
    g_mutex_lock(&watch->lock);
    watch->over = TRUE;
    g_cond_signal(&watch->changed);
    g_mutex_unlock(&watch->lock);
    if (watch->thread)
        g_thread_join(g_steal_pointer(&watch->thread));
}

gboolean
vmf_copy_watch_was_stuck(VmfCopyWatch *watch)
{
    return watch->stuck;
}

void
vmf_copy_watch_free(VmfCopyWatch *watch)
{
    if (watch == NULL)
        return;
    vmf_copy_watch_end(watch);
    g_cancellable_disconnect(vmf_job_cancellable(watch->job), watch->on_cancel);
    g_mutex_clear(&watch->lock);
    g_cond_clear(&watch->changed);
    g_free(watch);
}
