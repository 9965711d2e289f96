/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * What a disk process leaves behind for the one that comes after it when it is killed: a page
 * shared with the file RUN_DIR/UUID/ledger. That is on a tmpfs: it ends with the host's uptime, as
 * every QEMU does. The owner record stays the truth; this says what to look for in it.
 *
 * Why. A disk process that is killed may have had a write under way: an old copy of it may land
 * later, beside what its successor writes (owner-record.h, "late writes"). If none was under way,
 * and that is nearly always so with an idle guest, the successor need not wait for it.
 *
 * One writer, the living disk process; each field is written by itself, before what it announces.
 */
typedef struct {
    _Atomic guint64 epoch;       /* with which the gate was opened, 0: it is closed */
    _Atomic guint64 maybe_epoch; /* of a claim under way by the same owner; 0: none */
    _Atomic gint64 late_since;   /* monotonic us: a write was sent then, not answered; 0: none */
    _Atomic guint32 written;     /* the guest has written since the disks were claimed */
    _Atomic guint32 unanswered;  /* writes that QEMU waits for: sent, or waiting for the share */
    _Atomic guint32 dropped;     /* since the claim, one that was never answered: QEMU has to repeat it */
} VmfDiskLedger;

/**
 * vmf_disk_ledger_write_is_open() - a write of the guest's may not be on the disk, though nobody else
 * than QEMU knows of it: the disk process that it was given to was killed
 */
static inline gboolean
vmf_disk_ledger_write_is_open(const VmfDiskLedger *ledger)
{
    return ledger->late_since != 0 || ledger->unanswered != 0 || ledger->dropped != 0;
}

/** vmf_disk_ledger_tells_open_write() - the same, of a folder's file; %TRUE when it tells nothing */
gboolean vmf_disk_ledger_tells_open_write(const char *folder);

/**
 * vmf_disk_ledger_map() - the ledger of a folder, made if there is none, empty if it is another's
 * @folder:  of the disk process, RUN_DIR/UUID
 * @boot_id: of now; what was written under another one counts for nothing
 *
 * Returns: (transfer full): for vmf_disk_ledger_unmap(), or NULL with VMF_ERROR_INTERNAL.
 */
VmfDiskLedger *vmf_disk_ledger_map(const char *folder, const char *boot_id, GError **error);

/** vmf_disk_ledger_unmap() - the file stays. NULL: nothing to do */
void vmf_disk_ledger_unmap(VmfDiskLedger *ledger);
