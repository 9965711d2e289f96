/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/source-private.h"

#include "src/base/error.h"
#include "src/base/fault-point.h"
#include "src/migrate/move-note.h"
#include "src/migrate/qemu-socket.h"
#include "src/migrate/vm-disks.h"

#define SUCCESSOR_WAIT_S 10
/*
 * The guest stands still meanwhile. A destination that grants later than that finds the record
 * taken back, or is found in it: each of both is good.
 */
#define GRANT_PATIENCE_S 15
/* Long enough for libvirt to end a QEMU; nothing here depends on the answer. */
#define ABORT_PATIENCE_S  10
#define FINISH_PATIENCE_S 60

gboolean
vmf_source_enter(VmfSource *source, VmfState next, GError **error)
{
    g_assert(vmf_state_may_follow(source->state, next) ||
             (source->recovering && vmf_state_may_be_found(source->state, next)));
    if (!vmf_journal_enter(source->context->journal, vmf_job_facts(source->job)->number, next,
                           error))
        return FALSE;
    source->state = next;
    return TRUE;
}

void
vmf_source_enter_last(VmfSource *source, VmfState next)
{
    g_autoptr(GError) error = NULL;
    if (vmf_source_enter(source, next, &error))
        return;
    g_warning("%s", error->message);
    source->state = next;
    source->unnoted = TRUE;
}

void
vmf_source_lap(VmfSource *source, const char *what)
{
    gint64 now = g_get_monotonic_time();
    g_string_append_printf(source->laps, " %s %.1f", what, (double)(now - source->lap_us) / 1e3);
    source->lap_us = now;
}

static GVariant *
bytes_to_variant(GBytes *bytes)
{
    return g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
}

/* ---- memory and state ---- */

/* libvirt only knows that a socket broke, or that its job was aborted; we know why. */
static void
explain_perform(VmfSource *source, GError **error)
{
    if (!vmf_source_still_wanted(source, NULL)) {
        g_clear_error(error);
        vmf_source_still_wanted(source, error);
    } else if (vmf_copy_watch_was_stuck(source->watch)) {
        g_clear_error(error);
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                    "QEMU on %s did not say within %d s that it has the guest's state, and the "
                    "guest stood still for it; it goes on here; look at that host before the next "
                    "try",
                    source->to, VMF_COPY_STILL_S);
    } else if (vmf_peer_link_was_cut(source->peer, error)) {
        return;
    } else if (vmf_peer_link_is_lost(source->peer)) {
        g_autofree gchar *said = g_strdup((*error)->message);
        g_clear_error(error);
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                    "the connection to vmferryd on %s was lost while memory was copied; look there "
                    "why it ended, and try again (%s)",
                    source->to, said);
    }
}

static gboolean
copy_memory(VmfSource *source, GBytes *prepare_cookie, GBytes **perform_cookie, GError **error)
{
    vmf_job_enter_stage(source->job, VMF_STAGE_MEMORY);
    if (!vmf_source_enter(source, VMF_STATE_COPYING, error))
        return FALSE;
    vmf_fault_point("source.memory.start");
    vmf_disk_client_open_line(source->disks); /* for the Release: the guest runs still */
    g_autofree gchar *path = vmf_qemu_socket_out(source->context->run_dir, source->uuid);
    g_autofree gchar *uri = g_strconcat("unix://", path, NULL);
    source->watch = vmf_copy_watch_start(source->context->host, source->job,
                                         source->options->max_downtime_ms);
    VmfPhaseResult result = vmf_phases_perform(source->phases, &source->params, uri, prepare_cookie,
                                               perform_cookie, error);
    /* Its question would stay unanswered by a stopped QEMU, and keep libvirtd's Confirm waiting. */
    vmf_copy_watch_end(source->watch);
    gboolean stopped = result == VMF_PHASE_DONE && vmf_source_stop_qemu(source, error);
    if (result == VMF_PHASE_REFUSED)
        source->begun = FALSE; /* libvirt has ended the job: there is nothing to confirm */
    vmf_source_lap(source, "perform");
    if (result != VMF_PHASE_DONE)
        explain_perform(source, error);
    if (!stopped)
        return FALSE;
    vmf_job_enter_stage(source->job, VMF_STAGE_STATE);
    vmf_fault_point("source.state.start");
    if (!vmf_job_close_cancel(source->job, error))
        return FALSE;
    vmf_fault_point("source.state.middle");
    return vmf_source_enter(source, VMF_STATE_QUIESCED, error) && vmf_source_look(source, error);
}

/* ---- storage ---- */

static gboolean
have_successor(VmfSource *source, GError **error)
{
    if (!vmf_vm_disks_has_ended(source->disks))
        return TRUE;
    g_clear_pointer(&source->disks, vmf_disk_client_unref);
    source->disks = vmf_vm_disks_find(source->context, source->uuid, source->name,
                                      source->disks_text, error);
    return source->disks != NULL;
}

/* It has taken up what the dead process had, which proves that that one's handles are gone. */
static gboolean
successor_is_ready(VmfSource *source, GError **error)
{
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(source->disks, error);
    if (state && state->gate == VMF_GATE_OPEN && state->epoch == source->epoch)
        return TRUE;
    if (state)
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                    "the new disk process of '%s' is not ready: %s", source->name, state->trouble);
    return FALSE;
}

/*
 * A disk process that dies here takes nothing with it that QEMU waits for: Perform has returned, and
 * the ledger says so too (where it does not, the VM is kept). To go on is better than to go back: QEMU 7.2 loses a qcow2 image that it takes up again while its
 * disk process is away [measured: the guest's I/O fails from then on].
 */
static gboolean
give_up_disks(VmfSource *source, VmfDiskTimes *times, GError **error)
{
    g_autoptr(GError) local = NULL;
    if (vmf_disk_client_release(source->disks, NULL, times, &local))
        return TRUE;
    gint64 until = g_get_monotonic_time() + SUCCESSOR_WAIT_S * G_USEC_PER_SEC;
    gboolean died = vmf_vm_disks_has_ended(source->disks) &&
                    !vmf_vm_disks_write_was_lost(source->context, source->uuid);
    for (guint wait_ms = 20; died && g_get_monotonic_time() < until; wait_ms *= 2) {
        g_clear_error(&local);
        if (have_successor(source, &local) && successor_is_ready(source, &local))
            return vmf_disk_client_release(source->disks, NULL, times, error);
        g_usleep((gulong)wait_ms * 1000);
    }
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
release(VmfSource *source, VmfDiskTimes *times, GError **error)
{
    if (!vmf_source_enter(source, VMF_STATE_RELEASING, error))
        return FALSE;
    vmf_fault_point("source.storage.start");
    return give_up_disks(source, times, error) &&
           vmf_source_enter(source, VMF_STATE_RELEASED, error);
}

/* Returns FALSE without having entered RELEASING, or in it: then the record is to be asked. */
static gboolean
hand_over(VmfSource *source, GBytes *perform_cookie, GError **error)
{
    guint64 new_epoch = 0, acquire_us = 0;
    VmfDiskTimes times = {0};
    const VmfPeerAsked asked = vmf_source_asked(source);
    vmf_fault_point("source.state.end");
    vmf_job_enter_stage(source->job, VMF_STAGE_STORAGE);
    gint64 began = g_get_monotonic_time();
    if (!release(source, &times, error))
        return FALSE;
    vmf_fault_point("source.storage.middle");
    gint64 released = g_get_monotonic_time();
    vmf_peer_link_set_patience(source->peer, GRANT_PATIENCE_S);
    if (!vmf_source_answered(source,
                             vmf_peer1_call_grant_sync(vmf_peer_link_proxy(source->peer),
                                                       source->migration, source->epoch,
                                                       bytes_to_variant(perform_cookie), &new_epoch,
                                                       &acquire_us, NULL, error),
                             error) ||
        !vmf_peer_answer_grant(&asked, new_epoch, error))
        return FALSE;
    gint64 granted = g_get_monotonic_time();
    vmf_fault_point("source.storage.end");
    vmf_job_set_handover(source->job, granted - began);
    vmf_job_set_epoch(source->job, new_epoch);
    vmf_source_lap(source, "handover");
    g_info(
        "'%s': released in %.1f ms (drained %.1f, closed %.1f), granted in %.1f ms (acquired %.1f)",
        source->name, (double)(released - began) / 1e3, (double)times.drain_us / 1e3,
        (double)times.close_us / 1e3, (double)(granted - released) / 1e3, (double)acquire_us / 1e3);
    return TRUE;
}

/* ---- resume and network ---- */

static void
measure_downtime(VmfSource *source)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&source->lock);
    if (source->suspended_us && source->runs_us)
        vmf_job_set_downtime(source->job, source->runs_us - source->suspended_us);
}

static GBytes *
finish_cookie(VmfSource *source)
{
    g_autoptr(GVariant) answer = NULL;
    g_autoptr(GError) error = NULL;
    if (source->peer)
        vmf_peer_link_set_patience(source->peer, FINISH_PATIENCE_S);
    if (source->peer == NULL ||
        !vmf_peer1_call_await_finished_sync(vmf_peer_link_proxy(source->peer), source->migration,
                                            &answer, NULL, &error))
        return NULL; /* Confirm does without: the record has decided */
    const VmfPeerAsked asked = vmf_source_asked(source);
    return vmf_peer_answer_finished(&asked, answer);
}

static void
clean_up(VmfSource *source, gboolean down)
{
    g_autoptr(GError) error = NULL;
    vmf_job_enter_stage(source->job, VMF_STAGE_NETWORK);
    vmf_fault_point("source.network.start");
    g_autoptr(GBytes) cookie = finish_cookie(source);
    vmf_source_lap(source, "finish");
    vmf_fault_point("source.network.middle");
    if (!vmf_source_end_here(source, cookie, &error)) {
        g_warning("'%s' runs on %s, but its paused copy here could not be removed: %s",
                  source->name, source->to, error->message);
        g_clear_error(&error);
    }
    vmf_source_lap(source, "confirm");
    vmf_fault_point("source.network.end");
    vmf_source_enter_last(source, VMF_STATE_GONE);
    if (!down && source->peer &&
        !vmf_peer1_call_await_announced_sync(vmf_peer_link_proxy(source->peer), source->migration,
                                             NULL, &error)) {
        vmf_peer_answer_error(&error, source->to);
        g_warning("'%s': %s", source->name, error->message);
    }
}

/* ---- the whole ---- */

/* The disks of a guest that has ended here; libvirt's hook may have been first, or started it anew. */
static void
put_disks_down(VmfSource *source)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDiskState) state = source->disks ? vmf_disk_client_describe(source->disks, NULL)
                                                  : NULL;
    if (state && (!state->held || state->epoch == source->epoch) &&
        !vmf_vm_disks_stop(source->context, source->uuid, &error))
        g_warning("'%s': %s", source->name, error->message);
}

VmfOutcome
vmf_source_keep(VmfSource *source, GError **why)
{
    g_autoptr(GError) error = NULL;
    VmfOutcome outcome = VMF_OUTCOME_CONTINUES_ON_SOURCE;
    if (source->state >= VMF_STATE_OFFERED && source->peer) {
        vmf_peer_link_set_patience(source->peer, ABORT_PATIENCE_S);
        vmf_peer1_call_abort_sync(vmf_peer_link_proxy(source->peer), source->migration,
                                  *why ? (*why)->message : "", NULL, NULL);
    }
    if (source->begun ? !vmf_source_resume_here(source, &error)
                      : vmf_source_guest_is_gone(source, &error)) {
        g_warning("'%s' does not run here any more: %s", source->name, error->message);
        put_disks_down(source);
        outcome = VMF_OUTCOME_VM_DOWN;
        g_clear_error(why);
        *why = g_steal_pointer(&error);
    }
    vmf_source_enter_last(source, VMF_STATE_KEPT);
    return outcome;
}

VmfOutcome
vmf_source_see_it_run(VmfSource *source, GError **why)
{
    gboolean down = FALSE;
    vmf_job_enter_stage(source->job, VMF_STAGE_RESUME);
    vmf_fault_point("source.resume.start");
    if (vmf_source_follow(source, &down, why) == VMF_VERDICT_OURS)
        return vmf_source_keep(source, why);
    if (!down) {
        measure_downtime(source);
        vmf_source_lap(source, "resume");
        vmf_fault_point("source.resume.end");
        g_clear_error(why); /* a reply was lost on the way; the VM was not */
    }
    clean_up(source, down);
    return down ? VMF_OUTCOME_VM_DOWN : VMF_OUTCOME_RUNS_ON_DESTINATION;
}

static VmfOutcome
move(VmfSource *source, GError **why)
{
    g_autoptr(GBytes) prepare_cookie = NULL;
    g_autoptr(GBytes) perform_cookie = NULL;
    vmf_fault_point("source.setup.start");
    if (!vmf_source_set_up(source, &prepare_cookie, why) ||
        !copy_memory(source, prepare_cookie, &perform_cookie, why))
        return vmf_source_keep(source, why);
    if (hand_over(source, perform_cookie, why))
        return vmf_source_see_it_run(source, why);
    source->recovering = TRUE;
    if (source->state == VMF_STATE_QUIESCED || vmf_source_ask_record(source) == VMF_VERDICT_OURS)
        return vmf_source_keep(source, why);
    return vmf_source_see_it_run(source, why);
}

void
vmf_source_init(VmfSource *source, const VmfContext *context, VmfJob *job,
                const VmfMigrateOptions *options)
{
    const VmfJobFacts *facts = vmf_job_facts(job);
    *source = (VmfSource){
        .context = context,
        .job = job,
        .options = options,
        .migration = facts->migration,
        .uuid = facts->vm_uuid,
        .name = facts->vm_name,
        .to = facts->to,
        .state = vmf_role_first_state(VMF_ROLE_SOURCE),
        .params = {.uuid = facts->vm_uuid,
                   .name = facts->vm_name,
                   .auto_converge = TRUE,
                   .bandwidth_mib = options->bandwidth_mib},
    };
    source->laps = g_string_new(NULL);
    source->lap_us = g_get_monotonic_time();
    g_mutex_init(&source->lock);
}

void
vmf_source_clear(VmfSource *source)
{
    if (source->subscription)
        vmf_host_unsubscribe(source->context->host, source->subscription);
    vmf_holder_drop(source->context->holder, source->migration);
    g_clear_pointer(&source->check, vmf_check_free);
    g_clear_pointer(&source->memory, vmf_memory_stream_free);
    g_clear_pointer(&source->phases, vmf_phases_free);
    g_clear_pointer(&source->peer, vmf_peer_link_free);
    g_clear_pointer(&source->disks, vmf_disk_client_unref);
    g_clear_pointer(&source->qemu, vmf_qemu_process_free);
    g_clear_pointer(&source->watch, vmf_copy_watch_free);
    g_string_free(source->laps, TRUE);
    g_free(source->disks_text);
    g_mutex_clear(&source->lock);
}

static gboolean
note_end(VmfSource *source, const char *report, GError **error)
{
    gint64 number = vmf_job_facts(source->job)->number;
    if (source->unnoted &&
        !vmf_journal_enter(source->context->journal, number, source->state, error))
        return FALSE;
    source->unnoted = FALSE;
    vmf_move_note_remove(source->context, source->uuid, source->migration);
    return vmf_journal_finish(source->context->journal, number, report, error);
}

void
vmf_source_report(VmfSource *source, VmfOutcome outcome, const GError *why)
{
    if (source->memory)
        vmf_job_set_memory_bytes(source->job, vmf_memory_stream_bytes(source->memory));
    vmf_source_lap(source, "end");
    g_info("'%s': ms:%s", source->name, source->laps->str);
    vmf_job_finish(source->job, outcome, why);
    g_autofree gchar *report = vmf_job_report(source->job);
    gboolean told = FALSE;
    for (guint wait_ms = VMF_RETRY_FIRST_MS;; vmf_source_back_off(&wait_ms)) {
        g_autoptr(GError) error = NULL;
        gboolean noted = note_end(source, report, &error);
        if (!told)
            vmf_job_publish(source->job);
        told = TRUE;
        if (noted)
            return;
        g_warning("%s; it is tried again", error->message);
    }
}

void
vmf_source_run(const VmfContext *context, VmfJob *job, const VmfMigrateOptions *options)
{
    VmfSource source;
    g_autoptr(GError) why = NULL;
    vmf_source_init(&source, context, job, options);
    VmfOutcome outcome = move(&source, &why);
    vmf_source_report(&source, outcome, why);
    vmf_source_clear(&source);
}
