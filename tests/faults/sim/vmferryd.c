/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/world.h"

#include "src/base/error.h"
#include "src/migrate/incoming-private.h"
#include "src/migrate/move-note.h"
#include "src/migrate/recover.h"
#include "src/migrate/vm-disks.h"

#include <string.h>

/* What vmferryd keeps of its moves (journal, notes), and how it starts and ends (src/daemon/main.c). */

/* --- the journal --- */

static SimHost *
host_of_journal(VmfJournal *journal)
{
    return (SimHost *)journal;
}

static gboolean
journal_works(SimHost *host, GError **error)
{
    if (host->journal_broken_until <= sim_now())
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "the journal cannot be written");
    return FALSE;
}

gint64
vmf_journal_begin(VmfJournal *journal, const VmfJournalEntry *entry, GError **error)
{
    SimHost *host = host_of_journal(journal);
    sim_point("hv%d begins a journal entry", host->index + 1);
    sim_travel(200);
    if (!journal_works(host, error))
        return 0;
    for (guint i = 0; i < G_N_ELEMENTS(host->rows); i++) {
        SimJournalRow *row = &host->rows[i];
        if (row->used && strcmp(row->entry.migration, entry->migration) == 0) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "the migration id was used before");
            return 0;
        }
        if (row->used)
            continue;
        row->used = TRUE;
        row->entry = *entry;
        row->entry.job = (gint64)i + 1;
        row->entry.migration = g_strdup(entry->migration);
        row->entry.vm_uuid = g_strdup(entry->vm_uuid);
        row->entry.vm_name = g_strdup(entry->vm_name);
        row->entry.peer = g_strdup(entry->peer);
        row->entry.state = vmf_role_first_state(entry->role);
        row->older[0] = row->older[1] = row->older[2] = row->entry.state;
        return row->entry.job;
    }
    g_assert_not_reached();
}

gboolean
vmf_journal_enter(VmfJournal *journal, gint64 job, VmfState state, GError **error)
{
    SimHost *host = host_of_journal(journal);
    SimJournalRow *row = &host->rows[job - 1];
    sim_point("hv%d enters %s", host->index + 1, vmf_state_name(state));
    sim_travel(200);
    if (!journal_works(host, error))
        return FALSE;
    if (world.mark[state] == 0)
        world.mark[state] = world.points;
    row->older[2] = row->older[1];
    row->older[1] = row->older[0];
    row->older[0] = row->entry.state;
    row->entry.state = state;
    return TRUE;
}

gboolean
vmf_journal_set_epoch(VmfJournal *journal, gint64 job, guint64 epoch, GError **error)
{
    SimHost *host = host_of_journal(journal);
    sim_travel(200);
    if (!journal_works(host, error))
        return FALSE;
    host->rows[job - 1].entry.epoch = epoch;
    return TRUE;
}

gboolean
vmf_journal_set_disks(VmfJournal *journal, gint64 job, const char *disks, GError **error)
{
    SimHost *host = host_of_journal(journal);
    sim_point("hv%d notes the disks", host->index + 1);
    sim_travel(500);
    if (!journal_works(host, error))
        return FALSE;
    host->rows[job - 1].entry.disks = g_strdup(disks);
    return TRUE;
}

gboolean
vmf_journal_finish(VmfJournal *journal, gint64 job, const char *report, GError **error)
{
    sim_travel(200);
    return journal_works(host_of_journal(journal), error);
}

void
vmf_journal_entry_free(VmfJournalEntry *entry)
{
    if (entry == NULL)
        return;
    g_free(entry->migration);
    g_free(entry->vm_uuid);
    g_free(entry->vm_name);
    g_free(entry->peer);
    g_free(entry->disks);
    g_free(entry);
}

void
sim_journal_set_back(SimHost *host, guint states)
{
    for (guint i = 0; i < G_N_ELEMENTS(host->rows); i++)
        if (host->rows[i].used)
            host->rows[i].entry.state = host->rows[i].older[states - 1];
}

void
sim_journal_lose(SimHost *host)
{
    for (guint i = 0; i < G_N_ELEMENTS(host->rows); i++)
        host->rows[i].used = FALSE;
}

static VmfJournalEntry *
copy_entry(const VmfJournalEntry *entry)
{
    VmfJournalEntry *copy = g_new(VmfJournalEntry, 1);
    *copy = *entry;
    copy->migration = g_strdup(entry->migration);
    copy->vm_uuid = g_strdup(entry->vm_uuid);
    copy->vm_name = g_strdup(entry->vm_name);
    copy->peer = g_strdup(entry->peer);
    copy->report = NULL;
    copy->disks = g_strdup(entry->disks);
    return copy;
}

VmfJournalEntry *
vmf_journal_find(VmfJournal *journal, const char *migration)
{
    SimHost *host = host_of_journal(journal);
    for (guint i = 0; i < G_N_ELEMENTS(host->rows); i++)
        if (host->rows[i].used && strcmp(host->rows[i].entry.migration, migration) == 0)
            return copy_entry(&host->rows[i].entry);
    return NULL;
}

GPtrArray *
vmf_journal_list(VmfJournal *journal, guint limit, gboolean open_only, GError **error)
{
    SimHost *host = host_of_journal(journal);
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_journal_entry_free);
    for (guint i = G_N_ELEMENTS(host->rows); i-- > 0;)
        if (host->rows[i].used && !vmf_state_is_final(host->rows[i].entry.state))
            g_ptr_array_add(list, copy_entry(&host->rows[i].entry));
    return list;
}

static void
fill_row(SimJournalRow *row, const VmfJournalEntry *entry)
{
    g_autoptr(VmfJournalEntry) copy = copy_entry(entry);
    gint64 job = row->entry.job;
    row->entry = *copy;
    row->entry.job = job;
    row->older[0] = row->older[1] = row->older[2] = entry->state;
    row->used = TRUE;
    *copy = (VmfJournalEntry){0}; /* its texts are the row's */
}

gboolean
vmf_journal_restore(VmfJournal *journal, const VmfJournalEntry *entry, GError **error)
{
    SimHost *host = host_of_journal(journal);
    guint at = 0;
    sim_travel(200);
    if (!journal_works(host, error))
        return FALSE;
    while (host->rows[at].used)
        at++;
    host->rows[at].entry.job = (gint64)at + 1;
    fill_row(&host->rows[at], entry);
    return TRUE;
}

/* --- move-note.h --- */

gboolean
vmf_move_note_write(const VmfContext *context, const VmfJournalEntry *entry, GError **error)
{
    SimHost *host = sim_host_of_context(context);
    sim_travel(20);
    fill_row(&host->note, entry);
    host->note.entry.state = vmf_role_first_state(entry->role);
    return TRUE;
}

void
vmf_move_note_remove(const VmfContext *context, const char *uuid, const char *migration)
{
    sim_host_of_context(context)->note.used = FALSE;
}

GPtrArray *
vmf_move_note_list(const VmfContext *context)
{
    SimHost *host = sim_host_of_context(context);
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_journal_entry_free);
    if (host->note.used)
        g_ptr_array_add(list, copy_entry(&host->note.entry));
    return list;
}

/* --- vmferryd --- */

typedef struct {
    SimHost *host;
    VmfJournalEntry *entry;
    VmfIncoming *incoming;
} Unfinished;

/* vm-admin.c: vmf_vm_admin_wait_for_libvirt() */
static void
wait_for_libvirt(SimHost *host)
{
    for (guint wait_ms = 200;; wait_ms = MIN(wait_ms * 2, 10000)) {
        if (host->libvirtd.alive && !host->libvirtd.stopped)
            return;
        sim_sleep((gint64)wait_ms * 1000);
    }
}

static gboolean
expects(const SimHost *host)
{
    for (guint i = 0; i < host->n_incoming; i++)
        if (!vmf_state_is_final(vmf_incoming_state(host->incoming[i])))
            return TRUE;
    return FALSE;
}

/* vm-admin.c: vmf_vm_admin_reconcile() */
static void
reconcile(gpointer data)
{
    SimHost *host = data;
    wait_for_libvirt(host);
    if (host->disks == NULL || expects(host) || host->qemu.proc.alive)
        return;
    vmf_vm_disks_stop(&host->context, SIM_VM, NULL);
}

/* main.c: recover() */
static void
recover(gpointer data)
{
    Unfinished *move = data;
    wait_for_libvirt(move->host);
    if (move->entry)
        vmf_recover_source(&move->host->context, move->entry);
    else
        vmf_incoming_recover(move->incoming);
    reconcile(move->host);
    g_free(move);
}

/* vm-admin.c: vmf_vm_admin_hook() */
gboolean
sim_hook_ended(SimHost *host)
{
    if (expects(host))
        return TRUE;
    return vmf_vm_disks_stop(&host->context, SIM_VM, NULL);
}

static void
start_again(gpointer host)
{
    sim_vmferryd_start(host);
}

/* main.c: recover_all() */
static void
start_up(gpointer data)
{
    SimHost *host = data;
    g_autoptr(GPtrArray) open = vmf_recover_list(&host->context, NULL);
    if (open == NULL) { /* it ends, and systemd starts it again */
        sim_spawn(NULL, G_USEC_PER_SEC, start_again, host);
        sim_vmferryd_kill(host);
    }
    if (open->len == 0) /* forget_connections(): the only move there is has ended */
        sim_holder_kill(host);
    for (guint i = 0; i < open->len; i++) {
        VmfJournalEntry *entry = open->pdata[i];
        Unfinished *move = g_new0(Unfinished, 1);
        move->host = host;
        if (entry->role == VMF_ROLE_SOURCE) {
            move->entry = copy_entry(entry);
        } else {
            move->incoming = vmf_incoming_resume(&host->context, entry);
            host->incoming[host->n_incoming++] = move->incoming;
        }
        sim_spawn(&host->vmferryd, sim_delay(1000), recover, move);
    }
    host->serves = TRUE;
    if (open->len == 0)
        sim_spawn(&host->vmferryd, sim_delay(1000), reconcile, host);
}

void
sim_vmferryd_start(SimHost *host)
{
    if (host->vmferryd.alive || !host->up)
        return;
    sim_trace("hv%d: vmferryd starts", host->index + 1);
    host->vmferryd.alive = TRUE;
    host->vmferryd.stopped = FALSE;
    host->n_incoming = 0;
    host->serves = FALSE;
    host->vm_ended = FALSE;
    sim_spawn(&host->vmferryd, 0, start_up, host);
    sim_spawn(&host->vmferryd, 0, sim_keeper, host);
}

void
sim_vmferryd_kill(SimHost *host)
{
    if (!host->vmferryd.alive)
        return;
    sim_trace("hv%d: vmferryd ends", host->index + 1);
    sim_peers_host_gone(host, host->up);
    sim_libvirt_tell_lost(host);
    sim_conn_release_all(&host->vmferryd);
    sim_kill_tasks(&host->vmferryd);
}
