/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-set-internal.h"

#include "src/base/error.h"
#include "src/base/fault-point.h"

/* Giving the disks up. The owner thread only. */

#define DRAIN_TIMEOUT_MS 140000 /* longer than the share's longest answer */

static gboolean
release_makes_sense(const VmfDiskSet *set, const VmfOwnerNext *next, guint64 epoch, GError **error)
{
    switch (next->state) {
    case VMF_OWNER_STOPPED:
        return next->epoch >= epoch || vmf_disk_set_refuse(set, VMF_ERROR_CONFIG, error,
                                                           "a release cannot lower the epoch");
    case VMF_OWNER_RETURNED:
        if (next->epoch <= epoch)
            return vmf_disk_set_refuse(set, VMF_ERROR_CONFIG, error,
                                       "what is returned needs a greater epoch");
        if (next->owner_sid == NULL || next->owner_account == NULL)
            return vmf_disk_set_refuse(set, VMF_ERROR_CONFIG, error,
                                       "to whom the disks are returned is missing");
        return TRUE;
    case VMF_OWNER_OWNED:
    case VMF_OWNER_RUNNING:
        break;
    }
    return vmf_disk_set_refuse(set, VMF_ERROR_CONFIG, error,
                               "a release's state is stopped or returned, not %s",
                               vmf_owner_state_name(next->state));
}

/* Not held: fine, unless a record was to be written that is not there. */
static gboolean
release_of_nothing(VmfDiskSet *set, const VmfOwnerNext *next, GError **error)
{
    gboolean present = FALSE;
    VmfOwnerRecord record;
    if (next == NULL)
        return TRUE;
    if (!vmf_disk_set_read_record(set, &present, &record, NULL, error))
        return FALSE;
    if (present && record.epoch == next->epoch && record.state == next->state)
        return TRUE;
    return vmf_disk_set_refuse(set, VMF_ERROR_BUSY, error,
                               "they are not held here, so the owner record cannot be changed");
}

/* Fenced for good: nothing here may be written any more, the requests' VM has to go. */
static gboolean
release_foreign(VmfDiskSet *set)
{
    g_mutex_lock(&set->share_lock);
    vmf_disk_set_drop_unanswered(set);
    if (set->current != NULL)
        vmf_disk_set_drop_current(set);
    vmf_disk_set_note_late(set, FALSE);
    g_mutex_unlock(&set->share_lock);
    vmf_gate_close(set->gate);
    vmf_disk_set_write_ledger(set, 0, 0);
    set->last_epoch = 0;
    vmf_disk_set_say(set, NULL);
    vmf_disk_set_note_lost(set);
    return TRUE;
}

static gboolean
write_last_record(VmfDiskSet *set, const VmfOwnerRecord *record, GError **error)
{
    VmfDiskSession *session = set->current;
    VmfOwnerStore *store = &session->store;

    if (!vmf_disk_set_hold_record(set, session, error))
        return FALSE;
    if (!store->present || !vmf_disk_set_names_me(set, &store->record, set->last_epoch))
        return vmf_disk_set_refuse(set, VMF_ERROR_BUSY, error,
                                   "the owner record does not name this host");
    set->maybe_epoch = record->epoch;
    set->gave_up = TRUE;
    GError *cause = NULL;
    if (vmf_owner_store_write(session->share, store, set->list, set->account, record, &cause))
        return TRUE;
    if (g_error_matches(cause, VMF_ERROR, VMF_ERROR_UNREACHABLE)) {
        vmf_disk_set_note_late(set, TRUE);
    } else {
        set->maybe_epoch = 0;
        set->gave_up = FALSE;
    }
    g_propagate_error(error, cause);
    return FALSE;
}

/*
 * Drained. Returns: %FALSE: not released; the gate was opened again, or is fenced and recovers.
 */
static gboolean
write_and_close(VmfDiskSet *set, const VmfOwnerRecord *record, VmfDiskTimes *times, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    gint64 mark = g_get_monotonic_time();

    if (set->current == NULL || !set->current->held) {
        vmf_disk_set_note_lost(set);
        return vmf_disk_set_refuse(set, VMF_ERROR_UNREACHABLE, error,
                                   "the session with the server was lost");
    }
    gboolean ok = record != NULL ? write_last_record(set, record, error)
                                 : vmf_disk_set_tidy(set, error);
    times->record_us = vmf_microseconds_since(&mark);
    if (!ok) {
        /* Unless the server merely refused to write it: let the recovery judge whose the disks
           are before the guest goes on. */
        if (set->current->share->dead || set->maybe_epoch != 0 || !set->current->store.present ||
            !vmf_disk_set_names_me(set, &set->current->store.record, set->last_epoch))
            vmf_disk_set_note_lost(set);
        return FALSE;
    }
    vmf_fault_point("disks.release.drained");
    VmfShareAnswer answer = vmf_disk_session_release(set->current);
    vmf_fault_point("disks.release.closed");
    times->close_us = vmf_microseconds_since(&mark);
    if (answer.status == VMF_SHARE_OK)
        return TRUE;
    if (record != NULL) {
        /* The record has given the disks up; every write was answered before. What the server
           still holds for us ends with the session. */
        vmf_disk_set_drop_current(set);
        return TRUE;
    }
    vmf_disk_set_note_lost(set);
    return vmf_disk_set_refuse(set, VMF_ERROR_UNREACHABLE, error,
                               "not released: closing them was not answered (%s)",
                               g_strerror(answer.os_error));
}

static gboolean
drain(VmfDiskSet *set, GError **error)
{
    switch (vmf_gate_drain(set->gate, DRAIN_TIMEOUT_MS)) {
    case VMF_DRAIN_DONE:
        return TRUE;
    case VMF_DRAIN_FENCED:
        return vmf_disk_set_refuse(set, VMF_ERROR_UNREACHABLE, error,
                                   "not released: the session with the file server was lost");
    case VMF_DRAIN_TIMEOUT:
        return vmf_disk_set_refuse(
            set, VMF_ERROR_UNREACHABLE, error,
            "not released: the file server has not answered all requests within %d s",
            DRAIN_TIMEOUT_MS / 1000);
    case VMF_DRAIN_STALLED:
        return vmf_disk_set_refuse(set, VMF_ERROR_CONFIG, error,
                                   "not released: the guest has written what the share has no room "
                                   "for; make room on it, and try again");
    }
    g_assert_not_reached();
}

/* Not released. What is still held serves the guest again. */
static void
go_on(VmfDiskSet *set, VmfGateState before)
{
    if (before == VMF_GATE_OPEN && vmf_gate_facts(set->gate).state == VMF_GATE_DRAINING)
        vmf_gate_resume(set->gate);
    vmf_disk_set_note_change(set);
}

static gboolean
release_held(VmfDiskSet *set, const VmfOwnerNext *next, VmfGateState before, VmfDiskTimes *times,
             GError **error)
{
    VmfOwnerRecord record;
    gint64 mark = g_get_monotonic_time();

    if (next != NULL && !vmf_disk_set_make_record(set, next, &record, error))
        return FALSE;
    if (!drain(set, error))
        return FALSE;
    times->drain_us = vmf_microseconds_since(&mark);
    if (next != NULL && next->state == VMF_OWNER_RETURNED &&
        vmf_gate_facts(set->gate).writes_passed != 0) {
        go_on(set, before);
        return vmf_disk_set_refuse(
            set, VMF_ERROR_CONFIG, error,
            "they cannot be returned as untouched: the guest has written to them here");
    }
    if (!write_and_close(set, next != NULL ? &record : NULL, times, error)) {
        go_on(set, before);
        return FALSE;
    }
    vmf_gate_close(set->gate);
    vmf_disk_set_write_ledger(set, 0, 0);
    set->tidy_at = 0;
    set->maybe_epoch = 0;
    set->gave_up = FALSE;
    if (next != NULL)
        set->last_epoch = 0; /* whoever comes next, it is not this guest going on */
    vmf_disk_set_note_change(set);
    return TRUE;
}

gboolean
vmf_disk_set_release(VmfDiskSet *set, const VmfOwnerNext *next, VmfDiskTimes *times, GError **error)
{
    VmfDiskTimes ignored;
    if (times == NULL)
        times = &ignored;
    *times = (VmfDiskTimes){0};

    VmfGateFacts gate = vmf_gate_facts(set->gate);
    if (gate.epoch == 0)
        return release_of_nothing(set, next, error);
    if (gate.foreign && next == NULL)
        return release_foreign(set);
    if (!vmf_disk_set_gate_permits(set, &gate, error) ||
        (next != NULL && !release_makes_sense(set, next, gate.epoch, error)))
        return FALSE;
    return release_held(set, next, gate.state, times, error);
}
