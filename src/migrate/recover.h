/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-client.h"
#include "src/migrate/context.h"
#include "src/vm/phases.h"

/*
 * After a restart of vmferryd: the moves that its predecessor left unfinished.
 *
 * Operations. The owner record is asked first, whatever the journal says: it may be older than what
 * it tells of. Then libvirt's phases are ended in order, on the connection that vmferry-holder
 * has kept. The record is asked until it answers, through a disk process that owns nothing where
 * none runs any more.
 *
 * Failure model. Nothing of the journal decides: it names the VM, its disks and the other host,
 * and an epoch which the record must have reached.
 */

/**
 * vmf_recover_list() - the moves to be recovered: of the journal, and of notes it knows nothing of
 *
 * Returns: (transfer full) (element-type VmfJournalEntry): newest first
 */
GPtrArray *vmf_recover_list(const VmfContext *context, GError **error);

/** vmf_recover_source() - end a move that began here: the VM is kept, or followed. Blocking */
void vmf_recover_source(const VmfContext *context, const VmfJournalEntry *entry);

/**
 * vmf_recover_runs_by() - a VM runs here, and the owner record says: by @migration
 *
 * For a source that asks about a move of which the journal knows nothing (any more).
 */
gboolean vmf_recover_runs_by(const VmfContext *context, const char *migration);

/** vmf_recover_nothing_left() - this host has nothing of @entry's VM, and does not know its disks */
gboolean vmf_recover_nothing_left(const VmfContext *context, const VmfJournalEntry *entry);

/** vmf_recover_adopt_phases() - (transfer full) (nullable): libvirt's connection, kept by vmferry-holder */
VmfPhases *vmf_recover_adopt_phases(const VmfContext *context, const char *migration);

/**
 * vmf_recover_settle_phases() - until no phase of the predecessor's runs
 * @phases: (inout): NULL when nothing is left to end on it: then libvirt's API serves
 *
 * The predecessor's call may still run in libvirtd, and a second one beside it crashes libvirtd
 * (phase-file.h).
 */
void vmf_recover_settle_phases(VmfPhases **phases, const char *name);
