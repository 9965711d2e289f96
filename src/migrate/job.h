/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gio/gio.h>

#include "src/migrate/state.h"

/*
 * A move as its watchers see it: stage, progress, how it ended.
 *
 * The worker thread writes, the main loop and D-Bus threads read: every function is thread-safe.
 * Times are of the monotonic clock of this host.
 */

typedef struct _VmfJob VmfJob;

typedef struct {
    guint64 memory_total, memory_processed, memory_remaining; /* bytes */
    guint64 rate, dirty_rate;                                 /* bytes per second */
    guint64 iteration;
} VmfProgress;

/** VmfJobFacts - what a move is called; strings owned by the job */
typedef struct {
    gint64 number;
    gchar *migration, *vm_uuid, *vm_name;
    gchar *from, *to; /* FQDNs */
    VmfRole role;
} VmfJobFacts;

/** VmfJobView - one consistent look at a job; clear with vmf_job_view_clear() */
typedef struct {
    VmfStage stage;
    VmfProgress progress;
    VmfOutcome outcome; /* VMF_OUTCOME_NONE: under way, or waiting when @waiting_for is set */
    gint64 elapsed_us;
    gchar *waiting_for; /* "fs1.lab.test to answer": a paused move says what would help */
    GError *error;      /* why it failed */
} VmfJobView;

/** VmfJobChanged - called in the thread that changed the job; must not call back into it */
typedef void (*VmfJobChanged)(VmfJob *job, gpointer data);

/** vmf_job_new() - @facts is copied. The clock starts now, in stage setup. */
VmfJob *vmf_job_new(const VmfJobFacts *facts);
VmfJob *vmf_job_ref(VmfJob *job);
void vmf_job_unref(VmfJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfJob, vmf_job_unref)

const VmfJobFacts *vmf_job_facts(VmfJob *job);
void vmf_job_watch(VmfJob *job, VmfJobChanged changed, gpointer data);

/** vmf_job_enter_stage() - stages only go forward; an earlier or equal one changes nothing */
void vmf_job_enter_stage(VmfJob *job, VmfStage stage);
void vmf_job_set_progress(VmfJob *job, const VmfProgress *progress);
void vmf_job_set_waiting(VmfJob *job, const char *waiting_for);
void vmf_job_set_epoch(VmfJob *job, guint64 epoch);
void vmf_job_set_downtime(VmfJob *job, gint64 us);
void vmf_job_set_handover(VmfJob *job, gint64 us);

/** vmf_job_set_memory_bytes() - what was sent in all, when it is known exactly */
void vmf_job_set_memory_bytes(VmfJob *job, guint64 bytes);

/**
 * vmf_job_finish() - how it ended; once. Its watcher is told by vmf_job_publish()
 * @error: (nullable) (transfer none)
 */
void vmf_job_finish(VmfJob *job, VmfOutcome outcome, const GError *error);

/** vmf_job_publish() - tell the watcher; after the report has reached the journal */
void vmf_job_publish(VmfJob *job);

/** vmf_job_report() - the "vmferry.migrate/1" object as JSON text. (transfer full) */
gchar *vmf_job_report(VmfJob *job);

/**
 * vmf_job_cancel() - ask a move to stop
 *
 * Returns: VMF_ERROR_BUSY once the share connection moves: from there it ends by itself.
 */
gboolean vmf_job_cancel(VmfJob *job, GError **error);

/** vmf_job_cancellable() - cancelled by vmf_job_cancel(). (transfer none) */
GCancellable *vmf_job_cancellable(VmfJob *job);

/**
 * vmf_job_close_cancel() - the last moment to cancel; afterwards vmf_job_cancel() refuses
 *
 * Returns: %FALSE with G_IO_ERROR_CANCELLED when the job was cancelled before.
 */
gboolean vmf_job_close_cancel(VmfJob *job, GError **error);

void vmf_job_look(VmfJob *job, VmfJobView *view);
void vmf_job_view_clear(VmfJobView *view);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmfJobView, vmf_job_view_clear)
