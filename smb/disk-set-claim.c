/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-set-internal.h"

#include "src/base/error.h"
#include "src/base/fault-point.h"

#include <string.h>

/* Becoming owner, and opening the gate. The owner thread only. */

#define BUSY_RETRY_US 5000

typedef struct {
    const VmfOwnerExpect *expected;
    const VmfOwnerRecord *next;
    VmfDiskTimes times;
    gboolean handover; /* another host's guest is paused meanwhile: the second slot follows later */
    gboolean continuous;
    gboolean waited; /* somebody else held the disks: how that ended is not known */
    gboolean judged; /* all disks were held, and the record was looked at: not to be tried again */
} Claim;

static gboolean
names_the_same_claim(const VmfOwnerRecord *record, const VmfOwnerRecord *next)
{
    return record->epoch == next->epoch && record->state == next->state &&
           strcmp(record->owner_sid, next->owner_sid) == 0 &&
           g_ascii_strcasecmp(record->boot_id, next->boot_id) == 0 &&
           strcmp(record->migration_id, next->migration_id) == 0;
}

static gboolean
record_is_expected(const VmfDiskSet *set, const VmfOwnerStore *store, const Claim *claim,
                   GError **error)
{
    const VmfOwnerExpect *expected = claim->expected;
    gboolean anybody = expected->owner_sid == NULL || *expected->owner_sid == '\0';

    if (!store->present)
        return expected->epoch == 0 ||
               vmf_disk_set_refuse(set, VMF_ERROR_PROTOCOL, error,
                                   "the owner record is gone; epoch %" G_GUINT64_FORMAT
                                   " was expected: was the share set back to an older state?",
                                   expected->epoch);
    g_autofree gchar *owner = vmf_owner_record_describe(&store->record);
    if (store->record.epoch != expected->epoch ||
        (anybody ? store->record.state != VMF_OWNER_STOPPED
                 : strcmp(store->record.owner_sid, expected->owner_sid) != 0))
        return vmf_disk_set_refuse(
            set, VMF_ERROR_BUSY, error,
            "the owner record names %s; expected was '%s' with epoch %" G_GUINT64_FORMAT, owner,
            anybody ? "anybody, stopped" : expected->owner_sid, expected->epoch);
    if (memcmp(store->record.disks_digest, set->list->digest, sizeof set->list->digest) != 0 &&
        store->record.state != VMF_OWNER_STOPPED &&
        strcmp(store->record.owner_sid, set->owner_sid) != 0)
        return vmf_disk_set_refuse(
            set, VMF_ERROR_CONFIG, error,
            "the owner record of %s is about other disks than this host's definition "
            "of the VM; define it from the share's domain.xml",
            owner);
    return TRUE;
}

/* Whether nobody else can have written since the disks were last held by this process. */
static gboolean
is_continuous(const VmfDiskSet *set, const VmfOwnerStore *store)
{
    const VmfOwnerRecord *record = &store->record;
    if (set->last_epoch == 0 || !store->present)
        return FALSE;
    if (vmf_disk_set_names_me(set, record, set->last_epoch))
        return TRUE;
    if (set->maybe_epoch != 0 && vmf_disk_set_names_me(set, record, set->maybe_epoch))
        return set->maybe_continuous;
    return record->state == VMF_OWNER_RETURNED && record->epoch == set->last_epoch + 2 &&
           strcmp(record->owner_sid, set->owner_sid) == 0;
}

/* The disks are held. R1 and R2: read the record, compare, write it, through this session. */
static gboolean
compare_and_set(VmfDiskSet *set, Claim *claim, GError **error)
{
    VmfDiskSession *session = set->current;
    VmfOwnerStore *store = &session->store;
    GError *cause = NULL;

    claim->continuous = is_continuous(set, store);
    if (store->present && names_the_same_claim(&store->record, claim->next))
        return vmf_owner_store_settle(session->share, store, set->list, set->account, error);
    if (!record_is_expected(set, store, claim, error))
        return FALSE;
    if (claim->continuous && set->maybe_epoch == store->record.epoch)
        set->last_epoch = set->maybe_epoch; /* that one was written, and this one may be not */
    set->maybe_epoch = claim->next->epoch;
    set->ledger->maybe_epoch = set->maybe_epoch;
    set->maybe_continuous = claim->continuous;
    set->gave_up = FALSE;
    if (claim->handover ? vmf_owner_store_write_once(session->share, store, set->list, set->account,
                                                     claim->next, &cause)
                        : vmf_owner_store_write(session->share, store, set->list, set->account,
                                                claim->next, &cause))
        return TRUE;
    set->claim_lost_at = g_get_monotonic_time();
    if (!g_error_matches(cause, VMF_ERROR, VMF_ERROR_UNREACHABLE))
        set->maybe_epoch = 0;
    g_propagate_error(error, cause);
    return FALSE;
}

/*
 * The disks are held, and somebody had them before: what a lost session of the former owner had sent may
 * still land, his record as well. Who takes a VM only to own it for now (state owned) waits by himself
 * before he runs it.
 */
static void
settle(VmfDiskSet *set, const Claim *claim)
{
    if (!claim->waited || !claim->handover || claim->next->state != VMF_OWNER_RUNNING)
        return;
    vmf_disk_set_say(set,
                     "the disks were still held by somebody when they were given up: waiting %u ms "
                     "for what the former owner may still write",
                     set->quarantine_ms);
    g_usleep((gulong)set->quarantine_ms * 1000);
    vmf_disk_set_say(set, NULL);
}

/* Returns: %FALSE: nothing is held */
static gboolean
acquire_and_set(VmfDiskSet *set, Claim *claim, GError **error)
{
    gint64 mark = g_get_monotonic_time();
    gboolean held = vmf_disk_set_ensure_session(set, error) &&
                    vmf_disk_session_acquire(set->current, error);
    claim->times.open_us = vmf_microseconds_since(&mark);
    if (!held)
        return FALSE;
    vmf_fault_point("disks.claim.held");
    settle(set, claim);
    gboolean ok = vmf_disk_set_hold_record(set, set->current, error) &&
                  vmf_disk_session_judge(set->current, error) && compare_and_set(set, claim, error);
    vmf_fault_point("disks.claim.written");
    claim->times.record_us = vmf_microseconds_since(&mark);
    claim->judged = TRUE;
    if (!ok && vmf_share_is_lost(vmf_disk_session_release(set->current)))
        vmf_disk_set_drop_current(set);
    return ok;
}

static gboolean
try_claim(VmfDiskSet *set, Claim *claim, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    gboolean ok = acquire_and_set(set, claim, error);
    if (!ok)
        vmf_disk_set_note_if_lost(set);
    return ok;
}

/* The disks are held already: only the record moves on. */
static gboolean
move_on(VmfDiskSet *set, Claim *claim, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    VmfDiskSession *session = set->current;
    gint64 mark = g_get_monotonic_time();

    if (session == NULL || !session->held) {
        vmf_disk_set_note_lost(set);
        return vmf_disk_set_refuse(set, VMF_ERROR_UNREACHABLE, error,
                                   "the session with the file server was lost");
    }
    gboolean ok = vmf_disk_set_hold_record(set, session, error) &&
                  compare_and_set(set, claim, error);
    claim->times.record_us = vmf_microseconds_since(&mark);
    if (!ok && session->share->dead && set->maybe_epoch != 0)
        vmf_disk_set_note_late(set, TRUE);
    if (!ok && !(session->store.present &&
                 vmf_disk_set_names_me(set, &session->store.record, set->last_epoch)))
        vmf_disk_set_note_lost(set); /* R2 does not hold any more: let the recovery judge */
    else
        vmf_disk_set_note_if_lost(set);
    return ok;
}

/* Whoever holds a disk, the record says who the owner is. */
static void
name_the_owner(VmfDiskSet *set, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    gboolean present = FALSE;
    VmfOwnerRecord record;
    if (set->current == NULL || !vmf_disk_set_peek(set, set->current, &present, &record, NULL) ||
        !present)
        return;
    g_autofree gchar *owner = vmf_owner_record_describe(&record);
    g_autofree gchar *message = g_strdup_printf("%s; the owner record names %s", (*error)->message,
                                                owner);
    g_free((*error)->message);
    (*error)->message = g_steal_pointer(&message);
}

static gboolean
acquire_patiently(VmfDiskSet *set, Claim *claim, guint wait_ms, GError **error)
{
    gint64 until = g_get_monotonic_time() + (gint64)wait_ms * 1000;
    while (TRUE) {
        GError *cause = NULL;
        if (try_claim(set, claim, &cause))
            return TRUE;
        gboolean busy = !claim->judged && g_error_matches(cause, VMF_ERROR, VMF_ERROR_BUSY);
        if (!busy || g_get_monotonic_time() >= until) {
            if (busy)
                name_the_owner(set, &cause);
            g_propagate_error(error, cause);
            return FALSE;
        }
        g_error_free(cause);
        claim->waited = TRUE;
        /* The server tells nobody when a share mode is given up: ask again. */
        g_usleep(BUSY_RETRY_US);
    }
}

static gboolean
claim_makes_sense(const VmfDiskSet *set, const VmfOwnerExpect *expected, const VmfOwnerNext *next,
                  const VmfGateFacts *gate, GError **error)
{
    if (next->epoch <= expected->epoch || next->epoch < gate->epoch)
        return vmf_disk_set_refuse(set, VMF_ERROR_CONFIG, error,
                                   "a claim with epoch %" G_GUINT64_FORMAT
                                   " cannot follow epoch %" G_GUINT64_FORMAT,
                                   next->epoch, MAX(expected->epoch, gate->epoch));
    if (next->state != VMF_OWNER_OWNED && next->state != VMF_OWNER_RUNNING)
        return vmf_disk_set_refuse(set, VMF_ERROR_CONFIG, error,
                                   "a claim's state is owned or running, not %s",
                                   vmf_owner_state_name(next->state));
    return TRUE;
}

gboolean
vmf_disk_set_claim(VmfDiskSet *set, const VmfOwnerExpect *expected, const VmfOwnerNext *next,
                   guint wait_ms, VmfDiskTimes *times, GError **error)
{
    VmfOwnerRecord record;
    Claim claim = {.expected = expected, .next = &record};
    VmfGateFacts gate = vmf_gate_facts(set->gate);

    if (!vmf_disk_set_gate_permits(set, &gate, error) ||
        !claim_makes_sense(set, expected, next, &gate, error) ||
        !vmf_disk_set_make_record(set, next, &record, error))
        return FALSE;
    gboolean again = gate.epoch != 0;
    claim.handover = expected->owner_sid != NULL && *expected->owner_sid != '\0' &&
                     strcmp(expected->owner_sid, set->owner_sid) != 0;
    if (again ? !move_on(set, &claim, error) : !acquire_patiently(set, &claim, wait_ms, error))
        return FALSE;
    if (!again) {
        set->written_since_open = 0;
        set->touched = FALSE; /* the gate is closed: nobody reads it now */
        set->ledger->written = FALSE;
    }
    set->maybe_epoch = 0;
    set->last_epoch = next->epoch;
    vmf_disk_set_write_ledger(set, gate.state == VMF_GATE_OPEN ? next->epoch : 0, 0);
    vmf_gate_own(set->gate, next->epoch, claim.continuous);
    vmf_disk_set_say(set, NULL); /* what kept the session away while the gate was closed is over */
    vmf_disk_set_plan_tidying(set);
    vmf_disk_set_note_change(set);
    if (times != NULL)
        *times = claim.times;
    return TRUE;
}

/* --- opening the gate --- */

/* R2. Through the session that holds the disks: if it answers, their share modes stand. */
static gboolean
record_names_me_now(VmfDiskSet *set, guint64 epoch, GError **error)
{
    VmfDiskSession *session = set->current;
    gboolean present = FALSE;
    VmfOwnerRecord record;
    gboolean ok;

    if (session == NULL || !session->held)
        return vmf_disk_set_refuse(
            set, VMF_ERROR_UNREACHABLE, error,
            "the session with the file server was lost since the claim: claim again");
    if (session->store.file != NULL) {
        ok = vmf_owner_store_read_again(&session->store, set->list, set->account, error);
        present = session->store.present;
        record = session->store.record;
    } else {
        ok = vmf_disk_set_peek(set, session, &present, &record, error);
    }
    if (!ok)
        return FALSE;
    if (present && vmf_disk_set_names_me(set, &record, epoch))
        return TRUE;
    g_autofree gchar *owner = present ? vmf_owner_record_describe(&record) : g_strdup("nobody");
    return vmf_disk_set_refuse(
        set, VMF_ERROR_BUSY, error,
        "the gate stays closed: the owner record names %s, not this host with epoch "
        "%" G_GUINT64_FORMAT,
        owner, epoch);
}

gboolean
vmf_disk_set_open_gate(VmfDiskSet *set, guint64 epoch, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    VmfGateFacts gate = vmf_gate_facts(set->gate);

    if (!vmf_disk_set_gate_permits(set, &gate, error))
        return FALSE;
    if (gate.epoch == 0 || gate.epoch != epoch)
        return vmf_disk_set_refuse(set, VMF_ERROR_CONFIG, error,
                                   "the gate cannot be opened with epoch %" G_GUINT64_FORMAT
                                   ": the disks are held with epoch %" G_GUINT64_FORMAT
                                   " (0: not held)",
                                   epoch, gate.epoch);
    if (gate.state == VMF_GATE_OPEN)
        return TRUE;
    if (!record_names_me_now(set, epoch, error)) {
        /* lost, or not ours any more: nothing is held from here on */
        if (set->current != NULL && vmf_share_is_lost(vmf_disk_session_release(set->current)))
            vmf_disk_set_drop_current(set);
        vmf_gate_close(set->gate);
        vmf_disk_set_note_if_lost(set);
        return FALSE;
    }
    vmf_disk_set_write_ledger(set, epoch, 0);
    gboolean opened = vmf_gate_open(set->gate, epoch);
    g_assert(opened); /* this thread alone moves a closed gate */
    if (set->late_write_possible)
        vmf_disk_set_note_lost(set); /* a predecessor's: the recovery waits for it, and opens */
    vmf_disk_set_note_change(set);
    return TRUE;
}
