/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/migrate/state.h"

/*
 * The journal of one host: what was going on, one row per move and role.
 *
 * SQLite in WAL mode. A move's begin and its report are on the disk when their functions return. A
 * state is with the kernel: it survives the death of vmferryd, not of the host, with which the
 * disk process and QEMU would have died too, and with them all that the state could be about. That
 * keeps the disk's fsync out of the guest's pause. The journal is a hint for recovery and the
 * memory behind `vmferry jobs`; the owner record on the share stays the authority. Thread-safe:
 * one connection under one lock.
 *
 * Failure model. A write that fails is an error of the move (nothing is done that was not
 * written first). Each row is sealed by a checksum: one whose bits have changed is not used, and
 * told. A database that is damaged as a whole is set aside, and a new one begun: that loses
 * history, not ownership, and the moves under way are known by their notes (move-note.h). One that
 * cannot be opened for another reason stops vmferryd with its path, SQLite's reason and the cure.
 */

typedef struct _VmfJournal VmfJournal;

typedef struct {
    gint64 job;       /* this host's number of the move, from 1 */
    gchar *migration; /* the move's UUID, the same on both hosts */
    VmfRole role;
    VmfState state;
    gchar *vm_uuid, *vm_name;
    gchar *peer;                   /* the other host's FQDN */
    guint64 epoch;                 /* the source's when the move began; 0: not known yet */
    gchar *disks;                  /* as vmf_vm_disks_to_text() has them; NULL: not known yet */
    gint64 started_us, updated_us; /* Unix time */
    gchar *report;                 /* JSON, "vmferry.migrate/1"; NULL while under way */
} VmfJournalEntry;

void vmf_journal_entry_free(VmfJournalEntry *entry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfJournalEntry, vmf_journal_entry_free)

/**
 * vmf_journal_open() - open or create
 *
 * Returns: VMF_ERROR_CONFIG when @path cannot be written, VMF_ERROR_PROTOCOL when it is no journal
 *   of this version or is damaged.
 */
VmfJournal *vmf_journal_open(const char *path, GError **error);

/**
 * vmf_journal_open_or_renew() - the same; a damaged one is renamed to @path.damaged-TIME, and told
 *
 * Returns: VMF_ERROR_CONFIG when @path cannot be written, or not be moved aside
 */
VmfJournal *vmf_journal_open_or_renew(const char *path, GError **error);
void vmf_journal_close(VmfJournal *journal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfJournal, vmf_journal_close)

#define VMF_JOURNAL_KEPT 500

/**
 * vmf_journal_begin() - a new move, in the first state of @entry->role
 *
 * Of those of that role that are over, all but the newest VMF_JOURNAL_KEPT go.
 *
 * Returns: the job number, or 0. VMF_ERROR_PROTOCOL: this migration id was used before.
 */
gint64 vmf_journal_begin(VmfJournal *journal, const VmfJournalEntry *entry, GError **error);

/** vmf_journal_restore() - a move whose row is missing or damaged; gets a new job number */
gboolean vmf_journal_restore(VmfJournal *journal, const VmfJournalEntry *entry, GError **error);

/** vmf_journal_enter() - the move's next state; survives this process. Judges nothing. */
gboolean vmf_journal_enter(VmfJournal *journal, gint64 job, VmfState state, GError **error);

/** vmf_journal_set_epoch() - under which the source owns the VM; like a state, with the kernel */
gboolean vmf_journal_set_epoch(VmfJournal *journal, gint64 job, guint64 epoch, GError **error);

/**
 * vmf_journal_set_disks() - which disks the VM has, durable: after a restart of the host they lead to
 *   the owner record, when neither libvirt nor a disk process knows the VM any more
 */
gboolean vmf_journal_set_disks(VmfJournal *journal, gint64 job, const char *disks, GError **error);

/** vmf_journal_finish() - the final report; also for moves that wait ("paused-waiting") */
gboolean vmf_journal_finish(VmfJournal *journal, gint64 job, const char *report, GError **error);

/**
 * vmf_journal_list() - the newest @limit moves, newest first; with @open only, those not final
 *
 * Damaged ones are left out.
 *
 * Returns: (element-type VmfJournalEntry) (transfer full)
 */
GPtrArray *vmf_journal_list(VmfJournal *journal, guint limit, gboolean open_only, GError **error);

/** vmf_journal_find() - the row of a migration id. Returns: NULL also when there is none */
VmfJournalEntry *vmf_journal_find(VmfJournal *journal, const char *migration);

/** vmf_journal_get_meta() - a fact kept across restarts, e.g. "owner-sid"; NULL: none */
gchar *vmf_journal_get_meta(VmfJournal *journal, const char *key);
gboolean
vmf_journal_set_meta(VmfJournal *journal, const char *key, const char *value, GError **error);
