/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-ledger.h"
#include "smb/disk-list.h"
#include "smb/disk-owner.h"
#include "smb/gate.h"
#include "smb/owner-record.h"
#include "smb/share.h"

/*
 * The disks of one VM on a share: who may touch them, and when. The heart of the disk process; it
 * knows neither NBD nor D-Bus nor libsmbclient.
 *
 * Operations. Guest requests come from many threads (vmf_disk_set_read(), _write()), pass the
 * gate, and go one at a time through one SMB session. Ownership is changed by one thread, the
 * owner thread, which makes all other calls, and vmf_disk_set_work() when it is due.
 *
 *   R1  the record is written only while all disks are held deny-write: each write of it here
 *       is between an acquire and the release of the same session.
 *   R2  the gate is opened only when the record, read through the session that holds the disks,
 *       names this account, this boot and the claimed epoch.
 *
 * Failure model.
 * - Session lost while the gate is open: FENCED. A new session is made, the disks are taken
 *   deny-write, the record must still name this owner and epoch. If a write was unanswered, an
 *   old copy of it may still land: the quarantine is waited for, holding the disks. Then the
 *   unanswered writes are made again, in order, before the gate opens. Their clients never see
 *   any of it. The new session's handles are published only with the opening of the gate, so a
 *   request that passed before the fence and was slow finds no handle in between.
 * - Killed while the gate was open: a successor that is told to ("resume") begins FENCED with what
 *   the ledger says, and recovers as after a lost session: the server lets the disks go, the record
 *   has to name this owner and epoch. QEMU makes its unanswered requests again by itself. The
 *   quarantine is waited for only if the ledger says that a write was under way.
 * - The record names another: FENCED for good ("foreign"); nothing is written any more.
 * - Session lost at a closed gate: nothing is held any more, whatever was; reads wait for the
 *   next session. Who had claimed claims again; the record remembers.
 * - No room on the share: the write waits and is tried again; the gate stays open.
 * - A release whose CLOSE was not answered is no release, unless the record gave the disks up
 *   before: then the record counts.
 * - Another host's disks were held by somebody when they were to be claimed as running, and then were
 *   not: what a lost session of his had sent may still land. They are held for the quarantine before
 *   the record is believed.
 * No timeout decides who is owner; those that are here only end an attempt.
 */

typedef struct _VmfDiskSet VmfDiskSet;

/**
 * VmfDiskSetConfig - what a disk set is made of
 * @list, @share:  taken
 * @quarantine_ms: how long an unanswered write of a lost session may still land
 * @ledger:        for a successor, and of the predecessor; outlives the set. NULL: none
 * @resume:        be the successor of the process that left @ledger
 * @changed:       gate or trouble have changed. From any thread, with locks held: it must not call
 *                 back; may be NULL
 * @wake:          vmf_disk_set_work() is due; as @changed
 * @touched:       the first write since the last claim is about to be sent: once, before it is;
 *                 as @changed
 */
typedef struct {
    VmfDiskList *list;
    VmfShare *share;
    const char *account;
    const char *owner_sid;
    const char *boot_id;
    guint quarantine_ms;
    VmfDiskLedger *ledger;
    gboolean resume;
    void (*changed)(gpointer data);
    void (*wake)(gpointer data);
    void (*touched)(gpointer data);
    gpointer data;
} VmfDiskSetConfig;

typedef struct {
    VmfGateFacts gate;
    guint unanswered; /* writes that wait for the recovery of a lost session */
    gint64 ticket_end;
    guint64 read_bytes;
    guint64 written_bytes;
    guint64 written_since_open; /* bytes; 1 at least if a predecessor has written */
    guint sessions;
} VmfDiskSetFacts;

/**
 * vmf_disk_set_new() - make the first session and open each disk for reading
 *
 * Returns: NULL with the error of that; @config->list and ->share are freed then.
 */
VmfDiskSet *vmf_disk_set_new(const VmfDiskSetConfig *config, GError **error);

/** vmf_disk_set_free() - after the last guest request; held disks are closed */
void vmf_disk_set_free(VmfDiskSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfDiskSet, vmf_disk_set_free)

/* --- any thread --- */

const VmfDiskList *vmf_disk_set_list(VmfDiskSet *set);

/** vmf_disk_set_gate() - for leases, and vmf_gate_end() */
VmfGate *vmf_disk_set_gate(VmfDiskSet *set);

/** vmf_disk_set_facts() - never waits for the share */
VmfDiskSetFacts vmf_disk_set_facts(VmfDiskSet *set);

/** vmf_disk_set_trouble() - why the gate is fenced or what is tried again; "" when all is well */
gchar *vmf_disk_set_trouble(VmfDiskSet *set);

/** vmf_disk_set_export_size() - bytes */
guint64 vmf_disk_set_export_size(VmfDiskSet *set, guint disk);

/**
 * vmf_disk_set_read() - what lies beyond the end of the file is zeros
 *
 * Returns: 0; ESHUTDOWN when the client is gone or must not go on; EIO for the head of a qcow2 disk
 *   that names another file by now, with the reason as the trouble. No other error exists: what the
 *   share cannot do now is waited for.
 */
int vmf_disk_set_read(VmfDiskSet *set, const VmfGateLease *lease, guint disk, void *buffer,
                      gsize count, guint64 offset);

/** vmf_disk_set_write() - durable when it returns 0 (share.h), or ESHUTDOWN */
int vmf_disk_set_write(VmfDiskSet *set, const VmfGateLease *lease, guint disk, const void *buffer,
                       gsize count, guint64 offset);

/** vmf_disk_set_flush() - what was answered is durable; nothing to do at a closed gate */
int vmf_disk_set_flush(VmfDiskSet *set, const VmfGateLease *lease, guint disk);

/* --- the owner thread; meanings and errors are those of org.vmferry.Disk1.xml --- */

/* UNREACHABLE also while a lost claim of this host may still land in it, for a quarantine */
gboolean vmf_disk_set_read_record(VmfDiskSet *set, gboolean *present, VmfOwnerRecord *record,
                                  gboolean *mine, GError **error);
gboolean vmf_disk_set_probe(VmfDiskSet *set, GError **error);
gboolean
vmf_disk_set_claim(VmfDiskSet *set, const VmfOwnerExpect *expected, const VmfOwnerNext *next,
                   guint wait_ms, VmfDiskTimes *times, GError **error);
gboolean vmf_disk_set_open_gate(VmfDiskSet *set, guint64 epoch, GError **error);
gboolean vmf_disk_set_release(VmfDiskSet *set, const VmfOwnerNext *next, VmfDiskTimes *times,
                              GError **error);
gboolean
vmf_disk_set_write_file(VmfDiskSet *set, const char *name, const char *content, GError **error);
gchar *vmf_disk_set_read_file(VmfDiskSet *set, const char *name, GError **error);

/**
 * vmf_disk_set_work() - recover, rotate, tidy up: whatever is due now
 *
 * Returns: the monotonic time (us) at which it wants to be called again; G_MAXINT64: when woken
 */
gint64 vmf_disk_set_work(VmfDiskSet *set);

/**
 * vmf_disk_set_watch_fd() - a descriptor that hangs up (POLLRDHUP) when the session is lost; -1:
 *   none. Work is due then. It changes with each session: ask again after vmf_disk_set_work().
 */
int vmf_disk_set_watch_fd(VmfDiskSet *set);
