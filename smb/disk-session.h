/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-list.h"
#include "smb/owner-store.h"
#include "smb/share.h"

/*
 * One SMB session with a VM's disks open on it: each for reading, denying nobody, for as long
 * as the session lives; and, while they are held, each once more read-write, denying others to
 * write.
 *
 * Not thread-safe: the caller's share lock is held around every call.
 */

typedef struct {
    VmfShareSession *share;
    const VmfDiskList *list;
    const char *account;
    VmfShareFile **readers; /* as the list's entries */
    VmfShareFile **owners;  /* all or none */
    gboolean held;
    VmfOwnerStore store; /* its file is open only for a while after a claim */
} VmfDiskSession;

/**
 * vmf_disk_session_new() - connect, open each disk for reading
 *
 * Returns: NULL with VMF_ERROR_AUTH, _UNREACHABLE, _DENIED, _CONFIG (no such file).
 */
VmfDiskSession *
vmf_disk_session_new(VmfShare *share, const VmfDiskList *list, const char *account, GError **error);

/**
 * vmf_disk_session_measure() - how large each disk's export has to be
 * @sizes: (out): one for each disk
 *
 * Asked once, when the disk process starts: what is in the file's header later is the guest's, or
 * of whoever else may write to the share: it is judged again, by what follows.
 *
 * Returns: %FALSE with VMF_ERROR_UNREACHABLE, _CONFIG (not a qcow2 file), _UNSUPPORTED (a backing
 *   file …).
 */
gboolean vmf_disk_session_measure(VmfDiskSession *session, guint64 *sizes, GError **error);

/** vmf_disk_session_free() - close what is open if the session lives, and drop it */
void vmf_disk_session_free(VmfDiskSession *session);

/**
 * vmf_disk_session_acquire() - hold all disks deny-write: sorted order, all or nothing
 *
 * Returns: %FALSE, none held, with VMF_ERROR_BUSY (another holds one), _DENIED, _UNREACHABLE.
 */
gboolean vmf_disk_session_acquire(VmfDiskSession *session, GError **error);

/**
 * vmf_disk_session_judge_head() - whether a qcow2 disk still stands alone
 * @head, @size: the beginning of its file, at least VMF_QCOW2_HEADER_SIZE bytes if it has them
 *
 * Returns: %FALSE with the errors of vmf_qcow2_still_alone(), which name the disk then
 */
gboolean vmf_disk_session_judge_head(const VmfDiskEntry *entry, const guint8 *head, gsize size,
                                     GError **error);

/**
 * vmf_disk_session_judge() - that, of all qcow2 disks; they are held: nobody else changes them now
 *
 * Returns: %FALSE with that error, or VMF_ERROR_UNREACHABLE, _DENIED
 */
gboolean vmf_disk_session_judge(VmfDiskSession *session, GError **error);

/**
 * vmf_disk_session_release() - close the held disks and wait for each answer
 *
 * Returns: not VMF_SHARE_OK: the session is lost; no handle is left here, and which ones the
 *   server has closed is not known.
 */
VmfShareAnswer vmf_disk_session_release(VmfDiskSession *session);

/**
 * vmf_disk_session_probe() - open each disk and the record as an owner would, then close
 *
 * Returns: %TRUE also when another holds them: permission is judged before the share mode.
 */
gboolean vmf_disk_session_probe(VmfDiskSession *session, GError **error);
