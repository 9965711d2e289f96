/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/migrate/context.h"

/*
 * A note of a move that is under way on this host: @run_dir/UUID.move, a key file.
 *
 * Why. The journal outlives the host, and can be lost, damaged or replaced by an older copy of
 * itself. What can still be recovered then lives as long as the host does: QEMU, the disk
 * process, libvirt's job. So does the note: @run_dir is a tmpfs, and root's alone. It says which VM,
 * which migration and which peer; it never says whose the VM is.
 */

/** vmf_move_note_write() - replaces one of the same VM. VMF_ERROR_INTERNAL: it cannot be written */
gboolean
vmf_move_note_write(const VmfContext *context, const VmfJournalEntry *entry, GError **error);

/** vmf_move_note_remove() - the move of @migration has its final state in the journal */
void vmf_move_note_remove(const VmfContext *context, const char *uuid, const char *migration);

/**
 * vmf_move_note_list() - Returns: (transfer full) (element-type VmfJournalEntry): in the first state
 *   of their role; a note that cannot be read is left out, and told
 */
GPtrArray *vmf_move_note_list(const VmfContext *context);
