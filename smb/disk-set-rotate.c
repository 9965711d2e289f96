/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-set-internal.h"

#include "smb/ticket-times.h"
#include "src/base/error.h"

/*
 * An SMB session ends with its Kerberos ticket, and libsmbclient cannot renew it. So it is followed
 * by another in time: the new one is made ready while the old one serves; then the gate is
 * drained, the old one closes the disks, the new one takes them, the record is read, and the gate
 * opens again. In between another host could take the disks: then the record says so, and the
 * recovery judges.
 */

#define ROTATE_RETRY_US    (5 * G_USEC_PER_SEC)
#define ROTATE_PATIENCE_US (2 * G_USEC_PER_SEC)
#define ROTATE_BUSY_US     1000
#define ROTATE_DRAIN_MS    140000

gint64
vmf_disk_set_rotation_due(const VmfDiskSet *set)
{
    if (set->current == NULL || set->current->share->ticket_end == 0)
        return G_MAXINT64;
    const VmfTicketTimes times = {.start = set->current->share->ticket_start,
                                  .end = set->current->share->ticket_end};
    gint64 left_us = vmf_ticket_rotation_due(times) * G_USEC_PER_SEC - g_get_real_time();
    return MAX(g_get_monotonic_time() + left_us, set->rotate_retry_at);
}

/* A session with a later end, or NULL */
static VmfDiskSession *
make_later_session(VmfDiskSet *set)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    if (vmf_share_ticket_end(set->share) <= set->current->share->ticket_end)
        return NULL;
    VmfDiskSession *later = vmf_disk_session_new(set->share, set->list, set->account, &error);
    if (later == NULL) {
        g_warning("a session to follow the present one: %s", error->message);
        return NULL;
    }
    if (later->share->ticket_end > set->current->share->ticket_end) {
        set->sessions++;
        return later;
    }
    vmf_disk_session_free(later);
    return NULL;
}

static gboolean
acquire_after_rotation(VmfDiskSession *later)
{
    gint64 until = g_get_monotonic_time() + ROTATE_PATIENCE_US;
    while (TRUE) {
        g_autoptr(GError) error = NULL;
        if (vmf_disk_session_acquire(later, &error))
            return TRUE;
        if (!g_error_matches(error, VMF_ERROR, VMF_ERROR_BUSY) || g_get_monotonic_time() >= until) {
            g_warning("after rotating the session: %s", error->message);
            return FALSE;
        }
        g_usleep(ROTATE_BUSY_US); /* another host's probe slipped in between */
    }
}

/* Nothing is in flight. The disks change hands from one of our sessions to the other. */
static gboolean
hand_over_to_later(VmfDiskSet *set, VmfDiskSession *later, guint64 epoch)
{
    if (!set->current->held)
        return epoch == 0;
    return !vmf_share_is_lost(vmf_disk_session_release(set->current)) &&
           acquire_after_rotation(later) && vmf_disk_set_hold_record(set, later, NULL) &&
           later->store.present && vmf_disk_set_names_me(set, &later->store.record, epoch) &&
           vmf_owner_store_settle(later->share, &later->store, set->list, set->account, NULL);
}

void
vmf_disk_set_rotate(VmfDiskSet *set)
{
    set->rotate_retry_at = g_get_monotonic_time() + ROTATE_RETRY_US;
    VmfDiskSession *later = make_later_session(set);
    if (later == NULL)
        return;

    VmfGateFacts gate = vmf_gate_facts(set->gate);
    gboolean was_open = gate.state == VMF_GATE_OPEN;
    gboolean ok = !was_open || vmf_gate_drain(set->gate, ROTATE_DRAIN_MS) == VMF_DRAIN_DONE;
    g_mutex_lock(&set->share_lock);
    gboolean moved = ok && hand_over_to_later(set, later, gate.epoch);
    if (moved) {
        vmf_disk_session_free(g_steal_pointer(&set->current));
        vmf_disk_set_publish(set, g_steal_pointer(&later));
        if (gate.epoch != 0)
            vmf_disk_set_plan_tidying(set);
        set->rotate_retry_at = 0;
    } else if (ok) {
        /* Whose the disks are now is for the recovery to judge, or for the next claim. */
        set->current->share->dead = TRUE;
        vmf_disk_set_note_lost(set);
    }
    vmf_disk_session_free(later);
    if (moved && was_open)
        vmf_gate_resume(set->gate);
    g_mutex_unlock(&set->share_lock);
}
