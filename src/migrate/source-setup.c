/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/source-private.h"

#include <string.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/base/fault-point.h"
#include "src/migrate/move-note.h"
#include "src/migrate/qemu-socket.h"
#include "src/migrate/vm-disks.h"
#include "src/vm/domain-edit.h"

/* For each answer of the destination: a share and libvirt there may take their time, a peer may not. */
#define SETUP_PATIENCE_S 180

/*
 * The first stage of a move: what is moved, where to, may it, and room for it there. Nothing has
 * changed when it fails.
 */

static GVariant *
bytes_to_variant(GBytes *bytes)
{
    return g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
}

gboolean
vmf_source_still_wanted(VmfSource *source, GError **error)
{
    if (!g_cancellable_is_cancelled(vmf_job_cancellable(source->job)))
        return TRUE;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the move of '%s' was cancelled",
                source->name);
    return FALSE;
}

VmfPeerAsked
vmf_source_asked(const VmfSource *source)
{
    return (VmfPeerAsked){source->to, source->uuid, source->name, source->epoch};
}

gboolean
vmf_source_answered(VmfSource *source, gboolean ok, GError **error)
{
    if (ok)
        return TRUE;
    if (vmf_peer_answer_cancelled(*error, vmf_job_cancellable(source->job))) {
        g_clear_error(error);
        vmf_source_still_wanted(source, error);
        return FALSE;
    }
    vmf_peer_link_explain(source->peer, error);
    return FALSE;
}

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
    g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                "the disks of '%s' are not usable here now: %s; see: vmferry doctor", source->name,
                state->trouble[0] ? state->trouble : "their gate is not open");
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
    return vmf_source_answered(source,
                               vmf_peer1_call_offer_sync(vmf_peer_link_proxy(source->peer),
                                                         source->migration, g_variant_dict_end(&vm),
                                                         xml, vmf_job_cancellable(source->job),
                                                         error),
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
    if (!vmf_source_answered(source,
                             vmf_peer1_call_prepare_sync(
                                 vmf_peer_link_proxy(source->peer), source->migration,
                                 g_variant_dict_end(&parameters), bytes_to_variant(begin_cookie),
                                 &answer, stream, vmf_job_cancellable(source->job), error),
                             error))
        return FALSE;
    const VmfPeerAsked asked = vmf_source_asked(source);
    *prepare_cookie = vmf_peer_answer_prepare(&asked, answer, error);
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
    g_autofree gchar *path = vmf_qemu_socket_out(source->context->run_dir, source->uuid);
    source->memory = vmf_memory_stream_listen(channel, path, uid, gid, error);
    return source->memory != NULL;
}

static gboolean
keep_phases_socket(VmfSource *source, GError **error)
{
    int fd = vmf_phases_dup_fd(source->phases, error);
    if (fd < 0)
        return FALSE;
    gboolean kept = vmf_holder_keep(source->context->holder, source->migration, fd, error);
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
    return vmf_check_against(source->check, source->to, source->peer,
                             vmf_job_cancellable(source->job));
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
    if (!begin(source, &begin_cookie, &xml, error) || !vmf_source_still_wanted(source, error))
        return FALSE;
    vmf_source_lap(source, "begin");
    if (!offer(source, xml, error) || !vmf_source_still_wanted(source, error))
        return FALSE;
    vmf_source_lap(source, "offer");
    start_judging(source);
    vmf_fault_point("source.setup.middle");
    if (!prepare(source, begin_cookie, prepare_cookie, &stream, error))
        return FALSE;
    vmf_source_lap(source, "prepare");
    return open_memory_stream(source, stream, error) && vmf_source_still_wanted(source, error);
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
    if (!vmf_source_still_wanted(source, NULL)) {
        g_clear_error(error);
        return vmf_source_still_wanted(source, error);
    }
    if (vmf_check_verdict(result->report, &why) &&
        (source->options->plan == NULL ||
         vmf_check_compare(source->check, result, source->options->plan, &why)))
        return TRUE;
    g_clear_error(error);
    if (vmf_peer_link_was_cut(source->peer, error))
        return FALSE;
    if (vmf_peer_link_is_lost(source->peer)) /* not each check that it left open */
        g_set_error(
            error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
            "the connection to vmferryd on %s was lost while the move was prepared; nothing "
            "has moved; look there why it ended, and try again",
            source->to);
    else
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
    if (source->peer)
        vmf_peer_link_set_patience(source->peer, SETUP_PATIENCE_S);
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
gboolean
vmf_source_set_up(VmfSource *source, GBytes **prepare_cookie, GError **error)
{
    if (!reach_destination(source, error))
        return FALSE;
    gboolean allocated = allocate(source, prepare_cookie, error);
    vmf_fault_point("source.setup.end");
    return may_move(source, error) && allocated;
}
