/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/migrate/context.h"

/*
 * After a restart of vmferryd: the moves that its predecessor left unfinished.
 *
 * The journal says what may have begun; the owner record says whose the VM is; the disk process
 * has kept libvirt's connections, so that the phases can be ended in order.
 */

/** vmf_recover_source() - end a move that began here: the VM is kept, or followed. Blocking */
void vmf_recover_source(const VmfContext *context, const VmfJournalEntry *entry);
