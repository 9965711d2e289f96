/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-set-internal.h"

#include "src/base/error.h"

void
vmf_disk_set_note_change(VmfDiskSet *set)
{
    if (set->changed != NULL)
        set->changed(set->data);
}

void
vmf_disk_set_say(VmfDiskSet *set, const char *format, ...)
{
    g_autofree gchar *text = NULL;
    if (format != NULL) {
        va_list args;
        va_start(args, format);
        text = g_strdup_vprintf(format, args);
        va_end(args);
    }
    g_mutex_lock(&set->trouble_lock);
    gboolean new = g_strcmp0(text, set->trouble) != 0;
    if (new) {
        g_free(set->trouble);
        set->trouble = g_steal_pointer(&text);
        if (set->trouble != NULL)
            g_warning("%s", set->trouble);
    }
    g_mutex_unlock(&set->trouble_lock);
    if (new)
        vmf_disk_set_note_change(set);
}

gchar *
vmf_disk_set_trouble(VmfDiskSet *set)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->trouble_lock);
    return g_strdup(set->trouble != NULL ? set->trouble : "");
}

const VmfDiskList *
vmf_disk_set_list(VmfDiskSet *set)
{
    return set->list;
}

VmfGate *
vmf_disk_set_gate(VmfDiskSet *set)
{
    return set->gate;
}

guint64
vmf_disk_set_export_size(VmfDiskSet *set, guint disk)
{
    return set->sizes[disk];
}

VmfDiskSetFacts
vmf_disk_set_facts(VmfDiskSet *set)
{
    return (VmfDiskSetFacts){
        .gate = vmf_gate_facts(set->gate),
        .unanswered = set->n_unanswered,
        .ticket_end = set->ticket_end,
        .read_bytes = set->read_bytes,
        .written_bytes = set->written_bytes,
        .written_since_open = set->written_since_open,
        .sessions = set->sessions,
    };
}

gboolean
vmf_disk_set_names_me(const VmfDiskSet *set, const VmfOwnerRecord *record, guint64 epoch)
{
    return vmf_owner_record_names(record, set->owner_sid, set->boot_id, epoch);
}

/* --- the ledger --- */

void
vmf_disk_set_note_late(VmfDiskSet *set, gboolean possible)
{
    set->late_write_possible = possible;
    set->ledger->late_since = possible ? g_get_monotonic_time() : 0;
}

void
vmf_disk_set_write_ledger(VmfDiskSet *set, guint64 epoch, guint64 maybe_epoch)
{
    if (epoch != 0 && epoch != set->ledger->epoch)
        set->ledger->dropped = FALSE;
    set->ledger->maybe_epoch = maybe_epoch;
    set->ledger->epoch = epoch;
}

/* What was sent long ago has landed, or never will. */
#define FORGET_AFTER_QUARANTINES 10

static void
read_ledger(VmfDiskSet *set, gboolean resume)
{
    if (set->ledger->unanswered != 0)
        set->ledger->dropped = TRUE;
    set->ledger->unanswered = 0;
    gint64 late_since = set->ledger->late_since;
    gint64 age = g_get_monotonic_time() - late_since;
    gint64 forget = (gint64)set->quarantine_ms * 1000 * FORGET_AFTER_QUARANTINES;
    set->late_write_possible = late_since != 0 && age >= 0 && age < forget;
    if (!set->late_write_possible)
        set->ledger->late_since = 0;
    if (!resume)
        vmf_disk_set_write_ledger(set, 0, 0);
    set->maybe_epoch = set->ledger->maybe_epoch;
    if (set->maybe_epoch != 0)
        set->claim_lost_at = g_get_monotonic_time();
}

/* --- sessions --- */

void
vmf_disk_set_note_lost(VmfDiskSet *set)
{
    vmf_gate_set_offline(set->gate, TRUE);
    vmf_gate_fence(set->gate);
    vmf_disk_set_note_change(set);
    if (set->wake != NULL)
        set->wake(set->data);
}

void
vmf_disk_set_note_if_lost(VmfDiskSet *set)
{
    if (set->current == NULL || set->current->share->dead)
        vmf_disk_set_note_lost(set);
}

void
vmf_disk_set_publish(VmfDiskSet *set, VmfDiskSession *session)
{
    g_assert(set->current == NULL);
    set->current = session;
    set->ticket_end = session->share->ticket_end;
    vmf_gate_set_offline(set->gate, FALSE);
}

void
vmf_disk_set_drop_current(VmfDiskSet *set)
{
    vmf_gate_set_offline(set->gate, TRUE);
    vmf_disk_session_free(g_steal_pointer(&set->current));
    set->ticket_end = 0;
    set->tidy_at = 0;
}

gboolean
vmf_disk_set_ensure_session(VmfDiskSet *set, GError **error)
{
    if (set->current != NULL && !vmf_share_hung_up(set->current->share))
        return TRUE;
    VmfGateFacts gate = vmf_gate_facts(set->gate);
    g_assert(gate.state == VMF_GATE_CLOSED);
    if (gate.epoch != 0)
        vmf_gate_close(set->gate);
    vmf_disk_set_drop_current(set);

    VmfDiskSession *session = vmf_disk_session_new(set->share, set->list, set->account, error);
    if (session == NULL)
        return FALSE;
    set->sessions++;
    vmf_disk_set_publish(set, session);
    return TRUE;
}

int
vmf_disk_set_watch_fd(VmfDiskSet *set)
{
    /* both are changed by this thread only */
    VmfDiskSession *session = set->current != NULL ? set->current : set->candidate;
    return session != NULL && !session->share->dead ? session->share->watch_fd : -1;
}

/* --- making and ending --- */

VmfDiskSet *
vmf_disk_set_new(const VmfDiskSetConfig *config, GError **error)
{
    g_autoptr(VmfDiskSet) set = g_new0(VmfDiskSet, 1);
    set->list = config->list;
    set->share = config->share;
    set->account = g_strdup(config->account);
    set->owner_sid = g_strdup(config->owner_sid);
    set->boot_id = g_strdup(config->boot_id);
    set->quarantine_ms = config->quarantine_ms;
    set->ledger = config->ledger != NULL ? config->ledger : &set->no_ledger;
    set->changed = config->changed;
    set->wake = config->wake;
    set->touch = config->touched;
    set->data = config->data;
    set->gate = vmf_gate_new();
    g_mutex_init(&set->share_lock);
    g_mutex_init(&set->trouble_lock);
    g_cond_init(&set->unanswered_changed);
    g_queue_init(&set->unanswered);
    set->sizes = g_new0(guint64, set->list->n_entries);

    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    if (!vmf_disk_set_ensure_session(set, error) ||
        !vmf_disk_session_measure(set->current, set->sizes, error))
        return NULL;
    read_ledger(set, config->resume);
    if (set->ledger->epoch != 0)
        vmf_disk_set_resume(set);
    return g_steal_pointer(&set);
}

void
vmf_disk_set_free(VmfDiskSet *set)
{
    if (set == NULL)
        return;
    vmf_disk_session_free(set->candidate);
    vmf_disk_session_free(set->current);
    vmf_gate_free(set->gate);
    vmf_share_free(set->share);
    vmf_disk_list_free(set->list);
    g_mutex_clear(&set->share_lock);
    g_mutex_clear(&set->trouble_lock);
    g_cond_clear(&set->unanswered_changed);
    g_free(set->trouble);
    g_free(set->sizes);
    g_free(set->account);
    g_free(set->owner_sid);
    g_free(set->boot_id);
    g_free(set);
}
