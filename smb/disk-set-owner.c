/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-set-internal.h"

#include "src/base/error.h"

#include <string.h>

/* What claim, release and recovery have in common; reading the record. The owner thread only. */

#define BUSY_RETRY_US      5000
#define RECORD_PATIENCE_US (2 * G_USEC_PER_SEC)

#define NO_BOOT "00000000-0000-0000-0000-000000000000"

gboolean
vmf_disk_set_refuse(const VmfDiskSet *set, VmfError code, GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree gchar *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VMF_ERROR, code, "disks of VM %s as %s: %s", set->list->vm_uuid,
                set->account, text);
    return FALSE;
}

gboolean
vmf_disk_set_gate_permits(VmfDiskSet *set, const VmfGateFacts *gate, GError **error)
{
    if (gate->state == VMF_GATE_CLOSED || gate->state == VMF_GATE_OPEN)
        return TRUE;
    g_autofree gchar *trouble = vmf_disk_set_trouble(set);
    return vmf_disk_set_refuse(set, gate->foreign ? VMF_ERROR_BUSY : VMF_ERROR_UNREACHABLE, error,
                               "the gate is %s: %s", vmf_gate_state_name(gate->state), trouble);
}

static gboolean
put(const VmfDiskSet *set, char *field, gsize size, const char *text, const char *what,
    GError **error)
{
    if (text == NULL || g_strlcpy(field, text, size) < size)
        return TRUE;
    return vmf_disk_set_refuse(set, VMF_ERROR_CONFIG, error,
                               "the %s '%s' is too long for the owner record", what, text);
}

gboolean
vmf_disk_set_make_record(const VmfDiskSet *set, const VmfOwnerNext *next, VmfOwnerRecord *record,
                         GError **error)
{
    gboolean mine = next->state != VMF_OWNER_RETURNED;
    guint8 slot[VMF_OWNER_SLOT_SIZE];
    *record = (VmfOwnerRecord){
        .state = next->state,
        .sequence = 1,
        .epoch = next->epoch,
        .written_at_us = g_get_real_time(),
    };
    memcpy(record->disks_digest, set->list->digest, sizeof record->disks_digest);

#define PUT(field, text, what) put(set, record->field, sizeof record->field, text, what, error)
    gboolean fits = PUT(vm_uuid, set->list->vm_uuid, "VM's UUID") &&
                    PUT(boot_id, mine ? set->boot_id : NO_BOOT, "boot id") &&
                    PUT(migration_id, next->migration_id, "migration id") &&
                    PUT(owner_sid, mine ? set->owner_sid : next->owner_sid, "SID") &&
                    PUT(owner_account, mine ? set->account : next->owner_account, "account") &&
                    PUT(reason, next->reason, "reason");
#undef PUT
    return fits && vmf_owner_record_encode(record, slot, error);
}

gboolean
vmf_disk_set_hold_record(VmfDiskSet *set, VmfDiskSession *session, GError **error)
{
    gint64 until = g_get_monotonic_time() + RECORD_PATIENCE_US;
    if (session->store.file != NULL)
        return vmf_owner_store_read_again(&session->store, set->list, set->account, error);
    while (TRUE) {
        GError *cause = NULL;
        if (vmf_owner_store_open(session->share, set->list, set->account, &session->store, &cause))
            return TRUE;
        if (!g_error_matches(cause, VMF_ERROR, VMF_ERROR_BUSY) || g_get_monotonic_time() >= until) {
            g_propagate_error(error, cause);
            return FALSE;
        }
        g_error_free(cause);
        /* another host's probe has it open for an instant */
        g_usleep(BUSY_RETRY_US);
    }
}

gboolean
vmf_disk_set_peek(VmfDiskSet *set, VmfDiskSession *session, gboolean *present,
                  VmfOwnerRecord *record, GError **error)
{
    VmfOwnerStore store;
    if (!vmf_owner_store_peek(session->share, set->list, set->account, &store, error))
        return FALSE;
    *present = store.present;
    if (store.present)
        *record = store.record;
    return TRUE;
}

VmfDiskSession *
vmf_disk_set_look_through(VmfDiskSet *set, VmfDiskSession **own, GError **error)
{
    if (vmf_gate_facts(set->gate).state == VMF_GATE_CLOSED)
        return vmf_disk_set_ensure_session(set, error) ? set->current : NULL;
    if (set->current != NULL && !set->current->share->dead)
        return set->current;
    *own = vmf_disk_session_new(set->share, set->list, set->account, error);
    return *own;
}

/*
 * A claim of this host, whose answer was lost, may still land in the record that names another. Who
 * asks would take the other for the owner, and give up what this host is about to own.
 */
static gboolean
may_still_change(const VmfDiskSet *set, const VmfOwnerRecord *record)
{
    gint64 until = set->claim_lost_at + (gint64)set->quarantine_ms * 1000;
    return set->claim_lost_at != 0 && set->maybe_epoch > record->epoch &&
           strcmp(record->owner_sid, set->owner_sid) != 0 && g_get_monotonic_time() < until;
}

gboolean
vmf_disk_set_read_record(VmfDiskSet *set, gboolean *present, VmfOwnerRecord *record, gboolean *mine,
                         GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    VmfDiskSession *own = NULL;
    VmfDiskSession *session = vmf_disk_set_look_through(set, &own, error);
    gboolean ok = session != NULL && vmf_disk_set_peek(set, session, present, record, error);
    vmf_disk_session_free(own);
    vmf_disk_set_note_if_lost(set);
    if (ok && *present && may_still_change(set, record))
        return vmf_disk_set_refuse(set, VMF_ERROR_UNREACHABLE, error,
                                   "a claim of this host was not answered, and may still land: the "
                                   "record is not believed for %u ms",
                                   set->quarantine_ms);
    if (ok && mine != NULL)
        *mine = *present && vmf_disk_set_names_me(set, record, record->epoch);
    return ok;
}

gboolean
vmf_disk_set_probe(VmfDiskSet *set, GError **error)
{
    VmfGateFacts gate = vmf_gate_facts(set->gate);
    if (gate.epoch != 0)
        return vmf_disk_set_gate_permits(set, &gate, error);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    gboolean ok = vmf_disk_set_ensure_session(set, error) &&
                  vmf_disk_session_probe(set->current, error);
    vmf_disk_set_note_if_lost(set);
    return ok;
}
