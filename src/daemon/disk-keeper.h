/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/migrate/context.h"

/*
 * Watches the disk process of each VM of this host.
 *
 * Operations.
 * - One that dies while libvirt runs its VM is followed by another, which takes up what it had
 *   (smb/disk-ledger.h). A guest that QEMU has paused by an I/O error meanwhile goes on once the
 *   gate is open. In every state of a move: a process that held nothing resumes nothing, and what
 *   the disks are worth is judged by the record.
 * - One whose record names another owner ("foreign") has its VM ended: the QEMU process is killed,
 *   not asked, and nothing is written any more. Then it is ended itself.
 * - One that cannot be ended yet though its VM has ended (the file server is away) is ended later.
 *
 * Failure model. libvirt or the file server away: tried again until they are there, told by
 * vmf_disk_keeper_look(). vmferryd killed: its successor watches all it finds in the run folder. A
 * disk process that hangs is not replaced: it may hold the disks.
 *
 * Threads. Any thread may call; work that waits is done in a thread for each VM, while there is any.
 */

typedef struct _VmfDiskKeeper VmfDiskKeeper;

/** vmf_disk_keeper_new() - @context: outlives it; needs the default main context to run */
VmfDiskKeeper *vmf_disk_keeper_new(const VmfContext *context);

/**
 * vmf_disk_keeper_watch() - a VM's disk process was started, or is to be looked for
 * @keeper: a VmfDiskKeeper: the type of VmfContext.disks_started
 */
void vmf_disk_keeper_watch(gpointer keeper, const char *uuid);

/** vmf_disk_keeper_adopt() - what a vmferryd before this one has left: its guest may be paused */
void vmf_disk_keeper_adopt(VmfDiskKeeper *keeper, const char *uuid);

/**
 * vmf_disk_keeper_end() - the VM has ended: its disk process is ended as soon as it can be
 * @keeper: a VmfDiskKeeper: the type of VmfContext.disks_ended
 */
void vmf_disk_keeper_end(gpointer keeper, const char *uuid);

/**
 * VmfDiskCare - what the keeper knows of a VM
 * @trouble:  NULL: none
 * @help:     what would help; NULL: nothing that is known
 * @since_us: real time since which @trouble lasts
 */
typedef struct {
    gchar *uuid;
    gchar *name; /* its UUID when libvirt has not told */
    gchar *trouble;
    const char *help;
    gint64 since_us;
} VmfDiskCare;

void vmf_disk_care_free(VmfDiskCare *care);

/** vmf_disk_keeper_look() - Returns: (transfer full) (element-type VmfDiskCare): those in trouble */
GPtrArray *vmf_disk_keeper_look(VmfDiskKeeper *keeper);
