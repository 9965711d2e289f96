/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/recover.h"

#include <string.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/migrate/move-note.h"
#include "src/migrate/source-private.h"
#include "src/migrate/vm-disks.h"
#include "src/vm/phase-file.h"

#define PHASE_WAIT_MS 120000

VmfPhases *
vmf_recover_adopt_phases(const VmfContext *context, const char *migration)
{
    g_autoptr(GError) error = NULL;
    int fd = vmf_holder_take(context->holder, migration, &error);
    VmfPhases *phases = fd >= 0 ? vmf_phases_adopt(fd, &error) : NULL;
    if (error)
        g_message("libvirt's connection of migration %s: %s", migration, error->message);
    return phases;
}

void
vmf_recover_settle_phases(VmfPhases **phases, const char *name)
{
    VmfLibvirtPhase phase = VMF_LIBVIRT_IDLE;
    g_autoptr(GError) error = NULL;
    if (*phases == NULL)
        return;
    if (!vmf_phase_file_wait(NULL, name, PHASE_WAIT_MS, &phase, &error))
        g_warning("'%s': %s", name, error->message);
    if (error || phase == VMF_LIBVIRT_IDLE)
        g_clear_pointer(phases, vmf_phases_free);
}

/* The predecessor's copy of memory ends; the guest was never paused. In the window: not asked. */
static void
end_copy(VmfSource *source)
{
    VmfLibvirtPhase phase;
    if (source->qemu)
        vmf_qemu_process_stop(source->qemu, FALSE, NULL);
    if (vmf_phase_file_read(NULL, source->name, &phase, NULL) && phase == VMF_LIBVIRT_PERFORMING)
        vmf_host_abort_job(source->context->host, source->uuid, NULL);
}

static gboolean
take_note(const VmfContext *context, const VmfJournalEntry *note, GError **error)
{
    g_autoptr(VmfJournalEntry) entry = vmf_journal_find(context->journal, note->migration);
    if (entry == NULL) {
        g_message("move of '%s': the journal has lost it; its note is used", note->vm_name);
        return vmf_journal_restore(context->journal, note, error);
    }
    if (vmf_state_is_final(entry->state))
        vmf_move_note_remove(context, note->vm_uuid, note->migration);
    return TRUE;
}

/* An older copy of the journal may not know yet what its note does. */
static void
add_disks(VmfJournalEntry *entry, const GPtrArray *notes)
{
    for (guint i = 0; i < notes->len && entry->disks == NULL; i++) {
        const VmfJournalEntry *note = notes->pdata[i];
        if (strcmp(note->migration, entry->migration) == 0)
            entry->disks = g_strdup(note->disks);
    }
}

GPtrArray *
vmf_recover_list(const VmfContext *context, GError **error)
{
    g_autoptr(GPtrArray) notes = vmf_move_note_list(context);
    for (guint i = 0; i < notes->len; i++)
        if (!take_note(context, notes->pdata[i], error))
            return NULL;
    GPtrArray *open = vmf_journal_list(context->journal, G_MAXINT, TRUE, error);
    for (guint i = 0; open && i < open->len; i++)
        add_disks(open->pdata[i], notes);
    return open;
}

static gboolean
runs_by(const VmfContext *context, const char *uuid, const char *migration)
{
    VmfOwnerRecord record;
    gboolean present = FALSE;
    g_autoptr(VmfDiskClient) disks = vmf_disk_client_connect(context->run_dir, uuid, NULL);
    if (disks == NULL || !vmf_disk_client_read_record(disks, &present, &record, NULL) || !present ||
        strcmp(record.owner_sid, context->sid) != 0 || strcmp(record.migration_id, migration) != 0)
        return FALSE;
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(context->host, uuid, NULL);
    return info && info->state == VMF_VM_RUNNING;
}

gboolean
vmf_recover_runs_by(const VmfContext *context, const char *migration)
{
    g_auto(GStrv) uuids = vmf_vm_disks_list(context);
    for (guint i = 0; uuids[i]; i++)
        if (runs_by(context, uuids[i], migration))
            return TRUE;
    return FALSE;
}

/* Moved away, or undefined since: neither a process nor a definition is left to decide about. */
gboolean
vmf_recover_nothing_left(const VmfContext *context, const VmfJournalEntry *entry)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDiskClient)
        disks = vmf_disk_client_connect(context->run_dir, entry->vm_uuid, NULL);
    if (disks || entry->disks)
        return FALSE;
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(context->host, entry->vm_uuid, &error);
    return info == NULL && g_error_matches(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

static VmfOutcome
decide(VmfSource *source, gboolean nothing_left, GError **why)
{
    g_set_error(why, VMF_ERROR, VMF_ERROR_INTERNAL, "vmferryd was restarted during the move");
    if (nothing_left) {
        vmf_source_enter_last(source, VMF_STATE_KEPT);
        return VMF_OUTCOME_CONTINUES_ON_SOURCE;
    }
    gboolean ours = vmf_source_ask_record(source) == VMF_VERDICT_OURS;
    if (ours)
        end_copy(source);
    else if (source->qemu)
        vmf_qemu_process_stop(source->qemu, TRUE, NULL); /* it is, but for an older vmferryd */
    source->phases = vmf_recover_adopt_phases(source->context, source->migration);
    vmf_recover_settle_phases(&source->phases, source->name);
    return ours ? vmf_source_keep(source, why) : vmf_source_see_it_run(source, why);
}

void
vmf_recover_source(const VmfContext *context, const VmfJournalEntry *entry)
{
    VmfMigrateOptions options = {.max_downtime_ms = context->policy->max_downtime_ms};
    VmfJobFacts facts = {
        .number = entry->job,
        .migration = entry->migration,
        .vm_uuid = entry->vm_uuid,
        .vm_name = entry->vm_name,
        .from = context->me->fqdn,
        .to = entry->peer,
        .role = VMF_ROLE_SOURCE,
    };
    g_autoptr(VmfJob) job = vmf_job_new(&facts);
    g_autoptr(GError) why = NULL;
    VmfSource source;
    vmf_source_init(&source, context, job, &options);
    source.recovering = TRUE;
    source.state = entry->state;
    source.epoch = entry->epoch;
    source.disks_text = g_strdup(entry->disks);
    source.begun = TRUE;
    source.persistent = TRUE; /* a definition that is not there is soon removed */
    source.qemu = vmf_qemu_process_find(NULL, source.name, source.uuid, NULL);
    VmfOutcome outcome = decide(&source, vmf_recover_nothing_left(context, entry), &why);
    g_message("move of '%s' (job %" G_GINT64_FORMAT ") recovered: %s", source.name, entry->job,
              vmf_outcome_name(outcome));
    vmf_source_report(&source, outcome, why);
    vmf_source_clear(&source);
}
