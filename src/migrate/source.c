/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/source-private.h"

#include <string.h>

#include "src/base/error.h"
#include "src/base/fault-point.h"
#include "src/migrate/move-note.h"
#include "src/migrate/vm-disks.h"
#include "src/vm/cookie.h"
#include "src/vm/domain-edit.h"

#define SUCCESSOR_WAIT_S 10

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

static gboolean
still_wanted(VmfSource *source, GError **error)
{
    if (!g_cancellable_is_cancelled(vmf_job_cancellable(source->job)))
        return TRUE;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the move of '%s' was cancelled",
                source->name);
    return FALSE;
}

static GVariant *
bytes_to_variant(GBytes *bytes)
{
    return g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
}

static gboolean
answered(VmfSource *source, gboolean ok, GError **error)
{
    if (ok)
        return TRUE;
    gboolean says_the_peer = (*error)->domain == VMF_ERROR;
    vmf_error_from_dbus(error, source->to);
    if (says_the_peer)
        g_prefix_error(error, "%s: ", source->to);
    return FALSE;
}

/* ---- setup ---- */

static void
note_event(const char *uuid, VmfVmEvent event, gint64 monotonic_us, gpointer data)
{
    VmfSource *source = data;
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&source->lock);
    if (event == VMF_EVENT_SUSPENDED) {
        source->suspended_us = monotonic_us;
        vmf_fault_point_call(VMF_FAULT_POINT_PAUSED);
    }
}

/* For recovery: a host that was restarted asks the record through them. */
static gboolean
note_disks(VmfSource *source, const char *xml, GError **error)
{
    g_autoptr(GPtrArray) disks = vmf_domain_edit_urls(xml, error);
    if (disks == NULL)
        return FALSE;
    source->disks_text = vmf_vm_disks_to_text((const VmfDomainDisk *const *)disks->pdata,
                                              disks->len);
    VmfJournalEntry note = {
        .migration = (gchar *)source->migration,
        .role = VMF_ROLE_SOURCE,
        .vm_uuid = (gchar *)source->uuid,
        .vm_name = (gchar *)source->name,
        .peer = (gchar *)source->to,
        .disks = source->disks_text,
    };
    if (!vmf_move_note_write(source->context, &note, error))
        return FALSE;
    return vmf_journal_set_disks(source->context->journal, vmf_job_facts(source->job)->number,
                                 source->disks_text, error);
}

/* libvirt would only say "unsafe": here is which disk, and what to do. */
static gboolean
all_disks_on_shares(VmfSource *source, GError **error)
{
    g_autofree gchar *xml = vmf_host_dump_xml(source->context->host, source->uuid, VMF_XML_LIVE,
                                              error);
    g_auto(GStrv) others = xml ? vmf_domain_edit_other_disks(xml, error) : NULL;
    if (others == NULL)
        return FALSE;
    if (others[0] == NULL)
        return note_disks(source, xml, error);
    g_autofree gchar *list = g_strjoinv(", ", others);
    g_set_error(
        error, VMF_ERROR, VMF_ERROR_CONFIG,
        "'%s' has disks that are on no share (%s), and only what is on a share can be reached "
        "from another host; shut it down, copy each to a share, and: vmferry attach %s DEV "
        "smb://server/share/folder/file",
        source->name, list, source->name);
    return FALSE;
}

static gboolean
find_disks(VmfSource *source, GError **error)
{
    if (!all_disks_on_shares(source, error))
        return FALSE;
    source->disks = vmf_disk_client_connect(source->context->run_dir, source->uuid, NULL);
    if (source->disks == NULL) {
        g_set_error(
            error, VMF_ERROR, VMF_ERROR_CONFIG,
            "'%s' has no disk process on this host: it has no disk behind a share connection, "
            "or was started without vmferry's libvirt hook; see: vmferry doctor",
            source->name);
        return FALSE;
    }
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(source->disks, error);
    if (state == NULL)
        return FALSE;
    source->epoch = state->epoch;
    vmf_job_set_epoch(source->job, state->epoch);
    if (!vmf_journal_set_epoch(source->context->journal, vmf_job_facts(source->job)->number,
                               state->epoch, error))
        return FALSE;
    /* without room on the share, QEMU could not be paused: it waits for its writes */
    if (state->held && state->gate == VMF_GATE_OPEN && state->trouble[0] == '\0')
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "the disks of '%s' are not usable here now: %s",
                source->name, state->trouble[0] ? state->trouble : "their gate is not open");
    return FALSE;
}

static gboolean
check_vm(VmfSource *source, GError **error)
{
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(source->context->host, source->uuid, error);
    if (info == NULL)
        return FALSE;
    source->persistent = info->persistent;
    source->autostart = info->autostart;
    if (info->state == VMF_VM_RUNNING)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                "'%s' is %s on %s; only a running VM can be moved (a VM that is shut off can be "
                "started on any host: its disks are on the share)",
                source->name, vmf_vm_state_name(info->state), source->context->me->fqdn);
    return FALSE;
}

static gboolean
offer(VmfSource *source, const char *xml, GError **error)
{
    GVariantDict vm;
    if (!vmf_source_enter(source, VMF_STATE_OFFERED, error))
        return FALSE;
    g_variant_dict_init(&vm, NULL);
    g_variant_dict_insert(&vm, "uuid", "s", source->uuid);
    g_variant_dict_insert(&vm, "name", "s", source->name);
    g_variant_dict_insert(&vm, "epoch", "t", source->epoch);
    g_variant_dict_insert(&vm, "persistent", "b", source->persistent);
    g_variant_dict_insert(&vm, "autostart", "b", source->autostart);
    return answered(source,
                    vmf_peer1_call_offer_sync(vmf_peer_link_proxy(source->peer), source->migration,
                                              g_variant_dict_end(&vm), xml, NULL, error),
                    error);
}

static gboolean
prepare(VmfSource *source, GBytes *begin_cookie, GBytes **prepare_cookie, gchar **stream,
        GError **error)
{
    GVariantDict parameters;
    if (!vmf_source_enter(source, VMF_STATE_PREPARED, error))
        return FALSE;
    g_variant_dict_init(&parameters, NULL);
    g_variant_dict_insert(&parameters, "auto-converge", "b", source->params.auto_converge);
    g_variant_dict_insert(&parameters, "bandwidth-mib", "t", source->params.bandwidth_mib);
    g_autoptr(GVariant) answer = NULL;
    if (!answered(source,
                  vmf_peer1_call_prepare_sync(vmf_peer_link_proxy(source->peer), source->migration,
                                              g_variant_dict_end(&parameters),
                                              bytes_to_variant(begin_cookie), &answer, stream, NULL,
                                              error),
                  error))
        return FALSE;
    g_autoptr(GBytes) raw = g_variant_get_data_as_bytes(answer);
    *prepare_cookie = vmf_cookie_rebuild(VMF_COOKIE_PREPARE, raw, source->uuid, source->name,
                                         error);
    return *prepare_cookie != NULL;
}

static gboolean
open_memory_stream(VmfSource *source, const char *stream, GError **error)
{
    uid_t uid;
    gid_t gid;
    if (!vmf_local_user(source->context->policy->qemu_user, "[libvirt] qemu-user", &uid, &gid,
                        error))
        return FALSE;
    VmfChannel *channel = vmf_peer_link_stream(source->peer, stream, error);
    if (channel == NULL)
        return FALSE;
    g_autofree gchar *path = vmf_vm_disks_mig_socket(source->context, source->uuid, "out");
    source->memory = vmf_memory_stream_listen(channel, path, uid, gid, error);
    return source->memory != NULL;
}

static gboolean
keep_phases_socket(VmfSource *source, GError **error)
{
    int fd = vmf_phases_dup_fd(source->phases, error);
    if (fd < 0)
        return FALSE;
    gboolean kept = vmf_disk_client_keep_socket(source->disks, source->migration, fd, error);
    close(fd);
    return kept;
}

static gboolean
begin(VmfSource *source, GBytes **cookie, gchar **xml, GError **error)
{
    source->phases = vmf_phases_open(source->context->policy->libvirt_socket, error);
    if (source->phases == NULL ||
        vmf_phases_begin(source->phases, &source->params, cookie, xml, error) != VMF_PHASE_DONE)
        return FALSE;
    source->begun = TRUE;
    return keep_phases_socket(source, error);
}

/* ---- the check, beside it ---- */

static gpointer
judge(gpointer data)
{
    VmfSource *source = data;
    return vmf_check_against(source->check, source->to, source->peer);
}

/* Once the destination has nothing more to ask of the share; while libvirt there makes room. */
static void
start_judging(VmfSource *source)
{
    if (source->judging == NULL)
        source->judging = g_thread_new("vmf-check", judge, source);
}

static gboolean
allocate(VmfSource *source, GBytes **prepare_cookie, GError **error)
{
    g_autoptr(GBytes) begin_cookie = NULL;
    g_autofree gchar *xml = NULL, *stream = NULL;
    if (!begin(source, &begin_cookie, &xml, error) || !still_wanted(source, error))
        return FALSE;
    vmf_source_lap(source, "begin");
    if (!offer(source, xml, error) || !still_wanted(source, error))
        return FALSE;
    vmf_source_lap(source, "offer");
    start_judging(source);
    vmf_fault_point("source.setup.middle");
    if (!prepare(source, begin_cookie, prepare_cookie, &stream, error))
        return FALSE;
    vmf_source_lap(source, "prepare");
    return open_memory_stream(source, stream, error) && still_wanted(source, error);
}

/* ---- the check ---- */

/* What the check finds is told rather than what it made fail: it names the cure. */
static gboolean
may_move(VmfSource *source, GError **error)
{
    g_autoptr(GError) why = NULL;
    start_judging(source);
    g_autoptr(VmfCheckResult) result = g_thread_join(g_steal_pointer(&source->judging));
    vmf_source_lap(source, "check");
    if (vmf_check_verdict(result->report, &why) &&
        (source->options->plan == NULL ||
         vmf_check_compare(source->check, result, source->options->plan, &why)))
        return TRUE;
    g_clear_error(error);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean
reach_destination(VmfSource *source, GError **error)
{
    if (!check_vm(source, error))
        return FALSE;
    source->check = vmf_check_begin(source->context, source->uuid, source->migration,
                                    source->options->plan == NULL);
    if (!find_disks(source, error))
        return FALSE;
    source->peer = vmf_peer_link_open(source->context, source->to, error);
    source->qemu = source->peer ? vmf_qemu_process_find(NULL, source->name, source->uuid, error)
                                : NULL;
    if (source->qemu == NULL)
        return FALSE;
    source->subscription = vmf_host_subscribe(source->context->host, source->uuid, note_event,
                                              source, NULL);
    vmf_source_lap(source, "connect");
    return TRUE;
}

/* Nothing has moved before both have ended. */
static gboolean
set_up(VmfSource *source, GBytes **prepare_cookie, GError **error)
{
    if (!reach_destination(source, error))
        return FALSE;
    gboolean allocated = allocate(source, prepare_cookie, error);
    vmf_fault_point("source.setup.end");
    return may_move(source, error) && allocated;
}

/* ---- memory and state ---- */

/* libvirt only knows that a socket broke, or that its job was aborted; we know why. */
static void
explain_perform(VmfSource *source, GError **error)
{
    if (!still_wanted(source, NULL)) {
        g_clear_error(error);
        still_wanted(source, error);
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
    g_autofree gchar *path = vmf_vm_disks_mig_socket(source->context, source->uuid, "out");
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

/* Takes up what the dead process had, which proves that its handles are gone, and gives it up. */
static gboolean
release_by_successor(VmfSource *source, VmfDiskTimes *times, GError **error)
{
    g_clear_pointer(&source->disks, vmf_disk_client_unref);
    source->disks = vmf_vm_disks_find(source->context, source->uuid, source->name,
                                      source->disks_text, error);
    g_autoptr(VmfDiskState) state = source->disks ? vmf_disk_client_describe(source->disks, error)
                                                  : NULL;
    if (state == NULL)
        return FALSE;
    if (state->gate == VMF_GATE_OPEN && state->epoch == source->epoch)
        return keep_phases_socket(source, error) &&
               vmf_disk_client_release(source->disks, NULL, times, error);
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "its new disk process is not ready: %s",
                state->trouble);
    return FALSE;
}

/*
 * A disk process that dies here takes nothing with it that QEMU waits for: Perform has returned. To
 * go on is better than to go back: QEMU 7.2 loses a qcow2 image that it takes up again while its
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
        if (release_by_successor(source, times, &local))
            return TRUE;
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
    vmf_fault_point("source.state.end");
    vmf_job_enter_stage(source->job, VMF_STAGE_STORAGE);
    gint64 began = g_get_monotonic_time();
    if (!release(source, &times, error))
        return FALSE;
    vmf_fault_point("source.storage.middle");
    gint64 released = g_get_monotonic_time();
    if (!answered(source,
                  vmf_peer1_call_grant_sync(vmf_peer_link_proxy(source->peer), source->migration,
                                            source->epoch, bytes_to_variant(perform_cookie),
                                            &new_epoch, &acquire_us, NULL, error),
                  error))
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
    if (source->suspended_us)
        vmf_job_set_downtime(source->job, g_get_monotonic_time() - source->suspended_us);
}

static GBytes *
finish_cookie(VmfSource *source)
{
    g_autoptr(GVariant) answer = NULL;
    g_autoptr(GError) error = NULL;
    if (source->peer == NULL ||
        !vmf_peer1_call_await_finished_sync(vmf_peer_link_proxy(source->peer), source->migration,
                                            &answer, NULL, &error))
        return NULL; /* Confirm does without: the record has decided */
    g_autoptr(GBytes) raw = g_variant_get_data_as_bytes(answer);
    return g_bytes_get_size(raw) == 0
               ? NULL
               : vmf_cookie_rebuild(VMF_COOKIE_FINISH, raw, source->uuid, source->name, NULL);
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
        g_dbus_error_strip_remote_error(error);
        g_warning("'%s' on %s: %s", source->name, source->to, error->message);
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
    if (source->state >= VMF_STATE_OFFERED && source->peer)
        vmf_peer1_call_abort_sync(vmf_peer_link_proxy(source->peer), source->migration,
                                  *why ? (*why)->message : "", NULL, NULL);
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
    if (!set_up(source, &prepare_cookie, why) ||
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
    if (source->disks)
        vmf_disk_client_drop_socket(source->disks, source->migration, NULL);
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
