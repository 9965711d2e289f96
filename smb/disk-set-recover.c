/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-set-internal.h"

#include "src/base/error.h"

/*
 * What the owner thread does by itself: make new sessions, judge whose the disks are after a loss,
 * make lost writes again, replace the session before its ticket ends, settle the record. Each
 * step leaves the set in a state from which the next call goes on.
 */

#define TIDY_DELAY_US  50000
#define TIDY_RETRY_US  G_USEC_PER_SEC
#define FIRST_RETRY_US 100000
#define LAST_RETRY_US  (2 * G_USEC_PER_SEC)

/* --- tidying up --- */

void
vmf_disk_set_plan_tidying(VmfDiskSet *set)
{
    set->tidy_at = g_get_monotonic_time() + TIDY_DELAY_US;
    if (set->wake != NULL)
        set->wake(set->data);
}

gboolean
vmf_disk_set_tidy(VmfDiskSet *set, GError **error)
{
    VmfDiskSession *session = set->current;
    if (set->tidy_at == 0 || session == NULL || session->store.file == NULL) {
        set->tidy_at = 0;
        return TRUE;
    }
    g_autoptr(GError) cause = NULL;
    gboolean settled = vmf_owner_store_settle(session->share, &session->store, set->list,
                                              set->account, &cause);
    if (settled) {
        set->tidy_at = 0;
        vmf_owner_store_close(&session->store);
        return TRUE;
    }
    if (session->share->dead) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    g_warning("the owner record's second slot: %s", cause->message);
    set->tidy_at = g_get_monotonic_time() + TIDY_RETRY_US;
    return TRUE;
}

static void
tidy_if_due(VmfDiskSet *set)
{
    if (set->tidy_at == 0 || g_get_monotonic_time() < set->tidy_at)
        return;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    if (!vmf_disk_set_tidy(set, NULL))
        vmf_disk_set_note_lost(set);
}

/* --- a later attempt --- */

static void
try_later(VmfDiskSet *set, const char *why)
{
    set->retry_delay = CLAMP(set->retry_delay * 2, FIRST_RETRY_US, LAST_RETRY_US);
    set->retry_at = g_get_monotonic_time() + set->retry_delay;
    vmf_disk_set_say(set, "%s", why);
}

static void
all_is_well(VmfDiskSet *set)
{
    set->retry_at = 0;
    set->retry_delay = 0;
    vmf_disk_set_say(set, NULL);
}

/* --- the gate is closed: keep a session --- */

static void
reconnect(VmfDiskSet *set)
{
    g_autoptr(GError) error = NULL;
    if (set->current != NULL && !vmf_share_hung_up(set->current->share))
        return;
    if (g_get_monotonic_time() < set->retry_at)
        return;
    g_mutex_lock(&set->share_lock);
    gboolean ok = vmf_disk_set_ensure_session(set, &error);
    g_mutex_unlock(&set->share_lock);
    if (ok)
        all_is_well(set);
    else
        try_later(set, error->message);
}

/* --- fenced: recover --- */

typedef enum {
    JUDGED_MINE,    /* the disks are held, and the record names this owner and epoch */
    JUDGED_FOREIGN, /* it names another: nothing is held, for good */
    JUDGED_GAVE_UP, /* it is this host's own release, whose answer was lost */
    JUDGED_LATER,   /* cannot be told now; why was said */
} Judgement;

static void
forget_candidate(VmfDiskSet *set)
{
    g_mutex_lock(&set->share_lock);
    vmf_disk_session_free(g_steal_pointer(&set->candidate));
    g_mutex_unlock(&set->share_lock);
    set->quarantine_until = 0;
}

/* A request may be waiting on it, with the share lock held: the cut lets it go. */
static void
drop_lost_session(VmfDiskSet *set)
{
    if (set->current == NULL)
        return;
    vmf_share_session_break(set->current->share);
    g_mutex_lock(&set->share_lock);
    set->current->share->dead = TRUE;
    vmf_disk_set_drop_current(set);
    g_mutex_unlock(&set->share_lock);
}

static gboolean
make_candidate(VmfDiskSet *set)
{
    g_autoptr(GError) error = NULL;
    if (set->candidate != NULL && vmf_share_hung_up(set->candidate->share))
        forget_candidate(set);
    if (set->candidate != NULL)
        return TRUE;
    g_mutex_lock(&set->share_lock);
    set->candidate = vmf_disk_session_new(set->share, set->list, set->account, &error);
    g_mutex_unlock(&set->share_lock);
    if (set->candidate == NULL)
        try_later(set, error->message);
    else
        set->sessions++;
    return set->candidate != NULL;
}

/* @epoch: (inout): of the gate; moved on when the record says what a lost claim was to write */
static Judgement
judge_record(VmfDiskSet *set, gboolean present, const VmfOwnerRecord *record, guint64 *epoch)
{
    gboolean named = present && vmf_disk_set_names_me(set, record, *epoch);
    if (named && (record->state == VMF_OWNER_OWNED || record->state == VMF_OWNER_RUNNING))
        return JUDGED_MINE;
    /* By this process or by one before it, which died then: the VM had ended. */
    if (named && record->state == VMF_OWNER_STOPPED)
        return JUDGED_GAVE_UP;
    if (present && set->maybe_epoch != 0 && record->epoch == set->maybe_epoch) {
        if (set->gave_up)
            return JUDGED_GAVE_UP;
        if (vmf_disk_set_names_me(set, record, set->maybe_epoch)) {
            *epoch = set->maybe_epoch;
            return JUDGED_MINE;
        }
    }
    g_autofree gchar *owner = present ? vmf_owner_record_describe(record) : g_strdup("nobody");
    if (present && record->epoch > *epoch) {
        vmf_disk_set_say(set,
                         "the owner record names %s; this host had epoch %" G_GUINT64_FORMAT
                         ": nothing is written any more, and the VM on this host has to end",
                         owner, *epoch);
        return JUDGED_FOREIGN;
    }
    g_autofree gchar *why = g_strdup_printf(
        "the owner record names %s, less than this host's epoch %" G_GUINT64_FORMAT
        ": the share was set back to an older state; nothing is written until it says more",
        owner, *epoch);
    try_later(set, why);
    return JUDGED_LATER;
}

/*
 * Another holds a disk: whoever it is, the record says whether it is the owner. What this process may
 * have written itself proves nothing before it is held: it may be the first of two slots.
 */
static Judgement
judge_busy(VmfDiskSet *set, const char *why, guint64 *epoch)
{
    gboolean present = FALSE;
    VmfOwnerRecord record;
    if (vmf_disk_set_peek(set, set->candidate, &present, &record, NULL) && present &&
        record.epoch > *epoch && record.epoch != set->maybe_epoch)
        return judge_record(set, present, &record, epoch);
    try_later(set, why);
    return JUDGED_LATER;
}

/* A claim whose answer was lost may have been written once only: before all waiting, see that no
   latecomer can undo it. */
static gboolean
settle(VmfDiskSet *set, VmfDiskSession *candidate)
{
    g_autoptr(GError) error = NULL;
    if (vmf_owner_store_settle(candidate->share, &candidate->store, set->list, set->account,
                               &error))
        return TRUE;
    try_later(set, error->message);
    return FALSE;
}

static Judgement
acquire_and_judge(VmfDiskSet *set, guint64 *epoch)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    g_autoptr(GError) error = NULL;
    VmfDiskSession *candidate = set->candidate;

    if (!candidate->held && !vmf_disk_session_acquire(candidate, &error)) {
        if (g_error_matches(error, VMF_ERROR, VMF_ERROR_BUSY))
            return judge_busy(set, error->message, epoch);
        try_later(set, error->message);
        return JUDGED_LATER;
    }
    Judgement judgement = JUDGED_LATER;
    if (vmf_disk_set_hold_record(set, candidate, &error))
        judgement = judge_record(set, candidate->store.present, &candidate->store.record, epoch);
    else
        try_later(set, error->message);
    if (judgement == JUDGED_MINE && !settle(set, candidate))
        judgement = JUDGED_LATER;
    if (judgement != JUDGED_MINE)
        vmf_disk_session_release(candidate);
    return judgement;
}

/* Returns: 0: none needed or over; else when it is */
static gint64
quarantine_end(VmfDiskSet *set)
{
    if (!set->late_write_possible)
        return 0;
    if (set->quarantine_until == 0) {
        set->quarantine_until = g_get_monotonic_time() + (gint64)set->quarantine_ms * 1000;
        vmf_disk_set_say(set,
                         "a write was not answered when the connection ended; an old copy of it "
                         "may still land: waiting %u ms before any other is made",
                         set->quarantine_ms);
    }
    return g_get_monotonic_time() < set->quarantine_until ? set->quarantine_until : 0;
}

/* In the order in which they were lost. Returns: %FALSE: not all; why was said */
static gboolean
make_lost_writes_again(VmfDiskSet *set)
{
    for (GList *at = set->unanswered.head; at != NULL; at = at->next) {
        VmfUnansweredWrite *write = at->data;
        if (write->done)
            continue;
        VmfShareAnswer answer = vmf_share_write(set->candidate->owners[write->disk], write->buffer,
                                                write->count, write->offset);
        if (answer.status != VMF_SHARE_OK) {
            g_autoptr(GError) error = NULL;
            vmf_share_set_error(&error, set->candidate->share, answer,
                                "cannot make a lost write again on",
                                set->list->entries[write->disk].url, set->account, TRUE);
            try_later(set, error->message);
            return FALSE;
        }
        write->done = TRUE;
        g_cond_broadcast(&set->unanswered_changed);
    }
    vmf_disk_set_note_late(set, FALSE);
    return TRUE;
}

/* Under one hold of the lock: lost writes, then the new session, then the open gate. */
static void
go_on_with_candidate(VmfDiskSet *set, guint64 epoch)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    if (!make_lost_writes_again(set))
        return;
    set->quarantine_until = 0;
    set->maybe_epoch = 0;
    set->last_epoch = epoch;
    vmf_disk_set_write_ledger(set, epoch, 0);
    vmf_gate_own(set->gate, epoch, TRUE);
    vmf_disk_set_publish(set, g_steal_pointer(&set->candidate));
    vmf_disk_set_plan_tidying(set);
    all_is_well(set);
    gboolean opened = vmf_gate_unfence(set->gate, epoch);
    g_assert(opened); /* this thread alone moves a fenced gate */
    vmf_disk_set_note_change(set);
}

static void
finish_lost_release(VmfDiskSet *set)
{
    vmf_gate_set_foreign(set->gate);
    vmf_gate_close(set->gate);
    g_mutex_lock(&set->share_lock);
    vmf_disk_set_drop_unanswered(set);
    vmf_disk_set_publish(set, g_steal_pointer(&set->candidate));
    g_mutex_unlock(&set->share_lock);
    set->maybe_epoch = 0;
    set->gave_up = FALSE;
    set->last_epoch = 0;
    vmf_disk_set_write_ledger(set, 0, 0);
    vmf_disk_set_note_late(set, FALSE);
    all_is_well(set);
    vmf_disk_set_note_change(set);
}

static void
recover(VmfDiskSet *set)
{
    guint64 epoch = vmf_gate_facts(set->gate).epoch;

    drop_lost_session(set);
    if (!make_candidate(set))
        return;
    switch (acquire_and_judge(set, &epoch)) {
    case JUDGED_MINE:
        if (quarantine_end(set) == 0)
            go_on_with_candidate(set, epoch);
        else
            set->retry_at = set->quarantine_until;
        return;
    case JUDGED_FOREIGN:
        forget_candidate(set);
        vmf_gate_set_foreign(set->gate);
        vmf_disk_set_note_change(set);
        return;
    case JUDGED_GAVE_UP:
        finish_lost_release(set);
        return;
    case JUDGED_LATER:
        set->quarantine_until = 0;
        return;
    }
    g_assert_not_reached();
}

/* The session that was just made is the candidate; nothing is in flight yet. */
void
vmf_disk_set_resume(VmfDiskSet *set)
{
    guint64 epoch = set->ledger->epoch;
    set->last_epoch = epoch;
    set->maybe_epoch = set->ledger->maybe_epoch;
    set->candidate = g_steal_pointer(&set->current);
    set->ticket_end = 0;
    vmf_gate_own(set->gate, epoch, TRUE);
    if (set->ledger->written) {
        set->written_since_open = 1;
        vmf_gate_note_written(set->gate);
    }
    gboolean opened = vmf_gate_open(set->gate, epoch);
    g_assert(opened);
    vmf_disk_set_note_lost(set);
    vmf_disk_set_say(set,
                     "taking up the disks with epoch %" G_GUINT64_FORMAT
                     ", as the disk process before this one has ended",
                     epoch);
}

/* --- all of it --- */

static gint64
work_fenced(VmfDiskSet *set, gboolean foreign)
{
    if (foreign)
        return G_MAXINT64;
    if (g_get_monotonic_time() >= set->retry_at)
        recover(set);
    return set->retry_at;
}

/* A connection that is closed is noticed without a request: the disks are soon held again. */
static void
notice_hang_up(VmfDiskSet *set)
{
    VmfDiskSession *sessions[] = {set->current, set->candidate};
    for (guint i = 0; i < G_N_ELEMENTS(sessions); i++) {
        if (sessions[i] == NULL || sessions[i]->share->dead ||
            !vmf_share_hung_up(sessions[i]->share))
            continue;
        sessions[i]->share->dead = TRUE;
        vmf_disk_set_note_lost(set);
        set->retry_at = 0;
    }
}

gint64
vmf_disk_set_work(VmfDiskSet *set)
{
    notice_hang_up(set);
    VmfGateFacts gate = vmf_gate_facts(set->gate);

    gint64 next = G_MAXINT64;
    if (gate.state == VMF_GATE_FENCED)
        next = work_fenced(set, gate.foreign);
    else if (gate.state == VMF_GATE_CLOSED)
        reconnect(set);

    if (vmf_gate_facts(set->gate).state == VMF_GATE_FENCED)
        return next;
    tidy_if_due(set);
    if (vmf_disk_set_rotation_due(set) <= g_get_monotonic_time())
        vmf_disk_set_rotate(set);
    if (set->current == NULL)
        next = MIN(next, set->retry_at);
    if (set->tidy_at != 0)
        next = MIN(next, set->tidy_at);
    return MIN(next, vmf_disk_set_rotation_due(set));
}
