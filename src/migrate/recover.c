/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/recover.h"

#include <string.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/migrate/incoming-private.h"
#include "src/migrate/source-private.h"
#include "src/migrate/vm-disks.h"
#include "src/vm/phase-file.h"

/* (transfer full) (nullable): libvirt's connection of this migration, kept by the disk process */
static VmfPhases *
adopt_phases(VmfDiskClient *disks, const char *migration)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) sockets = vmf_disk_client_take_sockets(disks, &error);
    VmfPhases *phases = NULL;
    for (guint i = 0; sockets && i < sockets->len; i++) {
        VmfKeptSocket *kept = sockets->pdata[i];
        if (phases == NULL && strcmp(kept->name, migration) == 0) {
            phases = vmf_phases_adopt(kept->fd, &error);
            kept->fd = -1;
        }
    }
    if (error)
        g_message("libvirt's connection of migration %s: %s", migration, error->message);
    return phases;
}

#define PHASE_WAIT_MS 120000

/*
 * The predecessor's call may still run in libvirtd, and a second one beside it crashes libvirtd
 * (phase-file.h). Waits for its end, and lets go of the connection when there is nothing left to
 * end on it: then libvirt's API serves.
 */
static void
settle_phases(VmfPhases **phases, const char *name)
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

/* No disk process: the host was restarted, and QEMU with it. Nothing here can be resumed. */
static void
close_entry(const VmfContext *context, const VmfJournalEntry *entry, VmfState state)
{
    g_autoptr(GError) error = NULL;
    g_message("move of '%s' (job %" G_GINT64_FORMAT "): nothing of it is left on this host",
              entry->vm_name, entry->job);
    if (!vmf_journal_enter(context->journal, entry->job, state, &error))
        g_warning("%s", error->message);
}

static VmfOutcome
decide(VmfSource *source, GError **why)
{
    g_set_error(why, VMF_ERROR, VMF_ERROR_INTERNAL, "vmferryd was restarted during the move");
    if (source->state < VMF_STATE_RELEASING) {
        /* Perform may still run for the predecessor: it ends, and the guest was never paused. */
        vmf_host_abort_job(source->context->host, source->uuid, NULL);
        settle_phases(&source->phases, source->name);
        return vmf_source_keep(source, *why);
    }
    settle_phases(&source->phases, source->name);
    if (vmf_source_ask_record(source) == VMF_VERDICT_OURS)
        return vmf_source_keep(source, *why);
    return vmf_source_see_it_run(source, why);
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
    g_autoptr(VmfDiskClient)
        disks = vmf_disk_client_connect(context->run_dir, entry->vm_uuid, NULL);
    if (disks == NULL) {
        close_entry(context, entry, VMF_STATE_KEPT);
        return;
    }
    g_autoptr(VmfJob) job = vmf_job_new(&facts);
    g_autoptr(GError) why = NULL;
    VmfSource source;
    vmf_source_init(&source, context, job, &options);
    source.state = entry->state;
    source.disks = g_steal_pointer(&disks);
    source.phases = adopt_phases(source.disks, source.migration);
    source.begun = TRUE;
    source.qemu = vmf_qemu_process_find(NULL, source.name, source.uuid, NULL);
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(context->host, source.uuid, NULL);
    source.persistent = info && info->persistent;
    VmfOutcome outcome = decide(&source, &why);
    g_message("move of '%s' (job %" G_GINT64_FORMAT ") recovered: %s", source.name, entry->job,
              vmf_outcome_name(outcome));
    vmf_source_report(&source, outcome, why);
    vmf_source_clear(&source);
}

/* ---- destination ---- */

static gboolean
is_committed(VmfIncoming *incoming)
{
    if (incoming->state < VMF_STATE_ALLOCATED)
        return FALSE;
    for (guint wait_ms = 100;; wait_ms = MIN(wait_ms * 2, 5000)) {
        g_autoptr(GError) error = NULL;
        gboolean ours = vmf_incoming_record_names_us(incoming, &error);
        if (error == NULL)
            return ours;
        g_message("'%s': waiting for the share to say who owns it: %s", incoming->name,
                  error->message);
        g_usleep((gulong)wait_ms * 1000);
    }
}

static void
open_gate(VmfIncoming *incoming)
{
    VmfOwnerExpect expected = {incoming->peer_sid, incoming->epoch};
    g_autoptr(GError) error = NULL;
    VmfOwnerNext again = {.epoch = incoming->epoch + 1,
                          .state = VMF_OWNER_RUNNING,
                          .migration_id = incoming->migration,
                          .reason = "moved"};
    if (!vmf_disk_client_take(incoming->disks, &expected, &again, 5000, NULL, &error))
        g_warning("'%s': its gate opens later: %s", incoming->name, error->message);
}

void
vmf_incoming_recover(VmfIncoming *incoming)
{
    const VmfContext *context = incoming->context;
    VmfJournalEntry entry = {.job = incoming->job, .vm_name = incoming->name};
    incoming->disks = vmf_disk_client_connect(context->run_dir, incoming->uuid, NULL);
    if (incoming->disks == NULL) {
        gboolean committed = incoming->state == VMF_STATE_COMMITTED;
        incoming->state = committed ? VMF_STATE_DOWN : VMF_STATE_ABORTED;
        close_entry(context, &entry, incoming->state);
        return;
    }
    incoming->phases = adopt_phases(incoming->disks, incoming->migration);
    settle_phases(&incoming->phases, incoming->name);
    if (!is_committed(incoming)) {
        vmf_incoming_give_up(incoming, "vmferryd was restarted during the move");
        vmf_host_destroy(context->host, incoming->uuid, NULL);
        return;
    }
    g_autoptr(VmfComputer)
        peer = vmf_directory_computer(context->directory, incoming->peer_fqdn, NULL);
    incoming->peer_sid = g_strdup(peer ? peer->sid : "");
    if (incoming->state == VMF_STATE_ALLOCATED)
        vmf_incoming_enter(incoming, VMF_STATE_ACQUIRING, NULL);
    if (incoming->state == VMF_STATE_ACQUIRING)
        vmf_incoming_enter(incoming, VMF_STATE_COMMITTED, NULL);
    open_gate(incoming);
    vmf_incoming_complete(vmf_incoming_ref(incoming));
}
