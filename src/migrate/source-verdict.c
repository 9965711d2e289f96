/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/source-private.h"

#include <string.h>

#include "src/base/error.h"
#include "src/migrate/record-table.h"
#include "src/migrate/vm-disks.h"

/*
 * Whose the VM is, as seen from the source: the owner record is asked (record-table.h), and obeyed.
 * It is asked until it answers; meanwhile the guest stays as it is, and the job says what is waited
 * for. A disk process that has died is replaced by one that owns nothing, to ask through.
 */

#define CLAIM_WAIT_MS 1000
/* Then the record is looked at, and the destination asked again. */
#define RUNNING_PATIENCE_S 60

static VmfRecordKnown
known(const VmfSource *source)
{
    return (VmfRecordKnown){VMF_ROLE_SOURCE, source->context->sid, source->epoch,
                            MAX(source->epoch, source->seen_epoch)};
}

/* @record: (out): what it says, unless it cannot be read. @error: set for what is waited for */
static VmfRecordSays
ask(VmfSource *source, VmfOwnerRecord *record, GError **error)
{
    gboolean present = FALSE;
    if (source->disks == NULL)
        source->disks = vmf_vm_disks_find(source->context, source->uuid, source->name,
                                          source->disks_text, error);
    if (source->disks == NULL)
        return VMF_RECORD_UNREADABLE;
    if (!vmf_disk_client_read_record(source->disks, &present, record, error)) {
        /* It may have died: the next time another one is looked for. */
        g_clear_pointer(&source->disks, vmf_disk_client_unref);
        return VMF_RECORD_UNREADABLE;
    }
    VmfRecordKnown here = known(source);
    VmfRecordSays says = vmf_record_judge(&here, present ? record : NULL);
    if (present)
        source->seen_epoch = MAX(source->seen_epoch, record->epoch);
    if (says == VMF_RECORD_SET_BACK) {
        g_autofree gchar *why = vmf_record_explain(source->name, &here, present ? record : NULL);
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL, why);
    }
    return says;
}

gboolean
vmf_source_has_ended(const VmfSource *source)
{
    return source->qemu == NULL || !vmf_qemu_process_alive(source->qemu);
}

static gboolean
claim(VmfSource *source, const VmfOwnerRecord *record, guint64 next_epoch, const char *reason,
      GError **error)
{
    VmfOwnerExpect expected = {record->owner_sid, record->epoch};
    VmfOwnerNext next = {.epoch = next_epoch,
                         .state = VMF_OWNER_RUNNING,
                         .migration_id = source->migration,
                         .reason = reason};
    if (!vmf_disk_client_take(source->disks, &expected, &next, CLAIM_WAIT_MS, NULL, error))
        return FALSE;
    source->epoch = next.epoch;
    vmf_job_set_epoch(source->job, next.epoch);
    return TRUE;
}

/* The gate is open, and was all the time: nothing was given up, so nothing can have been granted. */
static gboolean
was_never_released(VmfSource *source, const VmfOwnerRecord *record)
{
    g_autoptr(VmfDiskState) disks = vmf_disk_client_describe(source->disks, NULL);
    return disks && disks->held && disks->gate == VMF_GATE_OPEN && disks->epoch == record->epoch;
}

/* Takes the VM back where @record allows it. A guest that has ended is nobody to take it for. */
static gboolean
take_back(VmfSource *source, VmfRecordSays says, const VmfOwnerRecord *record, GError **error)
{
    if (vmf_source_has_ended(source) || was_never_released(source, record))
        return TRUE;
    if (says == VMF_RECORD_RETURNED)
        return claim(source, record, record->epoch + 1, "returned by the destination", error);
    return claim(source, record, record->epoch + 2, "move not completed", error);
}

static void
keep_waiting(VmfSource *source, const GError *why, guint *wait_ms)
{
    const char *text = why ? why->message : "the owner record";
    vmf_job_set_waiting(source->job, text);
    vmf_source_back_off(wait_ms);
}

VmfVerdict
vmf_source_ask_record(VmfSource *source)
{
    for (guint wait_ms = VMF_RETRY_FIRST_MS;;) {
        g_autoptr(GError) error = NULL;
        VmfOwnerRecord record;
        VmfRecordSays says = ask(source, &record, &error);
        switch (vmf_record_act(VMF_ROLE_SOURCE, says)) {
        case VMF_ACT_TAKE_BACK:
            if (!take_back(source, says, &record, &error))
                break;
            vmf_job_set_waiting(source->job, NULL);
            return VMF_VERDICT_OURS;
        case VMF_ACT_FOLLOW:
            vmf_job_set_waiting(source->job, NULL);
            return VMF_VERDICT_THEIRS;
        case VMF_ACT_WAIT:
        case VMF_ACT_FREEZE:
            break;
        case VMF_ACT_COMPLETE:
        case VMF_ACT_GIVE_UP:
        case VMF_ACT_CLEAN_UP:
            g_assert_not_reached();
        }
        keep_waiting(source, error, &wait_ms);
    }
}

static void
reconnect(VmfSource *source)
{
    VmfPeerLink *again = vmf_peer_link_open(source->context, source->to, NULL);
    if (again == NULL)
        return;
    vmf_peer_link_free(source->peer); /* none yet after a restart */
    source->peer = again;
}

/* What the destination says of the guest that is its own now. */
typedef enum { SAYS_RUNS, SAYS_ENDED, SAYS_NOTHING } Said;

static Said
ask_destination(VmfSource *source, GError **error)
{
    if (source->peer == NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "no connection to %s", source->to);
        return SAYS_NOTHING;
    }
    vmf_peer_link_set_patience(source->peer, RUNNING_PATIENCE_S);
    if (vmf_peer1_call_await_running_sync(vmf_peer_link_proxy(source->peer), source->migration,
                                          NULL, error))
        return SAYS_RUNS;
    /* "unreachable" may be its answer as well: about libvirtd there */
    gboolean answered = vmf_peer_answer_error(error, source->to);
    if (!answered && g_error_matches(*error, VMF_ERROR, VMF_ERROR_UNREACHABLE))
        return SAYS_NOTHING;
    /* Also one that knows nothing of this move: neither journal, note nor a VM of it are left there. */
    return SAYS_ENDED;
}

/* What the record alone says, while the destination says nothing. */
typedef enum { STILL_ITS_MOVE, GAVE_IT_BACK, NEVER_TOOK_IT, WENT_ON, WAS_SHUT_DOWN } Since;

static Since
look_since(VmfSource *source)
{
    VmfOwnerRecord record;
    VmfRecordSays says = ask(source, &record, NULL);
    if (says == VMF_RECORD_RETURNED)
        return GAVE_IT_BACK;
    if (says == VMF_RECORD_OURS || says == VMF_RECORD_OURS_STOPPED)
        return NEVER_TOOK_IT;
    if (says != VMF_RECORD_THEIRS)
        return STILL_ITS_MOVE;
    /* Shut down, started or moved again by whoever owns it: this copy is of a guest that was. */
    if (record.state == VMF_OWNER_STOPPED)
        return WAS_SHUT_DOWN;
    return strcmp(record.migration_id, source->migration) == 0 ? STILL_ITS_MOVE : WENT_ON;
}

/*
 * It says that it took the disks, or that the guest runs there. The copy here is thrown away for the
 * record's word only: a destination that never took the disks has no guest on them, whatever it says.
 */
static VmfVerdict
believe(VmfSource *source, GError **why)
{
    if (vmf_source_ask_record(source) == VMF_VERDICT_THEIRS)
        return VMF_VERDICT_THEIRS;
    g_clear_error(why);
    g_set_error(why, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "%s said that '%s' is its own, but had not taken its disks: the owner record named "
                "this host; look at vmferryd there before you move anything to it",
                source->to, source->name);
    return VMF_VERDICT_OURS;
}

VmfVerdict
vmf_source_follow(VmfSource *source, gboolean *down, GError **why)
{
    for (guint wait_ms = VMF_RETRY_FIRST_MS;;) {
        g_autoptr(GError) error = NULL;
        Said said = ask_destination(source, &error);
        if (said == SAYS_NOTHING) {
            g_prefix_error(&error, "'%s' belongs to %s now, which does not say that it runs: ",
                           source->name, source->to);
            Since since = look_since(source);
            if (since != STILL_ITS_MOVE)
                vmf_job_set_waiting(source->job, NULL);
            if (since == GAVE_IT_BACK)
                return vmf_source_ask_record(source);
            if (since == NEVER_TOOK_IT)
                return believe(source, why);
            if (since == WENT_ON || since == WAS_SHUT_DOWN) {
                *down = since == WAS_SHUT_DOWN;
                return VMF_VERDICT_THEIRS;
            }
            keep_waiting(source, error, &wait_ms);
            reconnect(source);
            continue;
        }
        vmf_job_set_waiting(source->job, NULL);
        if (said == SAYS_RUNS) {
            source->runs_us = g_get_monotonic_time();
            return believe(source, why);
        }
        /* It failed after its claim: did it give the VM back, or is the guest lost? */
        g_clear_error(why);
        *why = g_steal_pointer(&error);
        *down = TRUE;
        return vmf_source_ask_record(source);
    }
}
