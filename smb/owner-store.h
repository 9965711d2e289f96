/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-list.h"
#include "smb/owner-record.h"
#include "smb/share.h"

/*
 * The owner record on the share. Reading needs nothing; writing is rule R1's: only by whoever
 * holds all the VM's disks deny-write, which the caller answers for. The record's file is itself
 * held deny-write while it is changed. All calls go through one session, so that an answer also
 * proves that this session's other open files still stand (share.h).
 */

typedef struct {
    VmfShareFile *file; /* NULL: no record yet */
    gboolean present;
    VmfOwnerRecord record; /* the current one, if present */
    guint slot;            /* where it is */
    gboolean settled;      /* the other slot says the same */
} VmfOwnerStore;

/**
 * vmf_owner_store_peek() - read the record, holding nothing
 * @store: (out): its file is NULL
 *
 * Returns: %FALSE with VMF_ERROR_PROTOCOL (damaged), VMF_ERROR_DENIED or VMF_ERROR_UNREACHABLE.
 */
gboolean vmf_owner_store_peek(VmfShareSession *session, const VmfDiskList *list,
                              const char *account, VmfOwnerStore *store, GError **error);

/**
 * vmf_owner_store_open() - hold the record's file deny-write, and read it
 *
 * Returns: as vmf_owner_store_peek(), and VMF_ERROR_BUSY while another holds it.
 */
gboolean vmf_owner_store_open(VmfShareSession *session, const VmfDiskList *list,
                              const char *account, VmfOwnerStore *store, GError **error);

/** vmf_owner_store_read_again() - through the file held open */
gboolean vmf_owner_store_read_again(VmfOwnerStore *store, const VmfDiskList *list,
                                    const char *account, GError **error);

/**
 * vmf_owner_store_write() - make @next the record, in both slots, durable when answered
 * @next: its sequence is set here; the first record makes folder and file
 *
 * Returns: %FALSE with VMF_ERROR_UNREACHABLE: the record may or may not say @next, and what it says
 *   now need not last; any other code: it does not.
 */
gboolean
vmf_owner_store_write(VmfShareSession *session, VmfOwnerStore *store, const VmfDiskList *list,
                      const char *account, const VmfOwnerRecord *next, GError **error);

/**
 * vmf_owner_store_write_once() - make @next the record, in one slot
 *
 * For a handover, where each write lengthens the guest's pause: vmf_owner_store_settle() has to
 * follow soon. Errors as vmf_owner_store_write().
 */
gboolean
vmf_owner_store_write_once(VmfShareSession *session, VmfOwnerStore *store, const VmfDiskList *list,
                           const char *account, const VmfOwnerRecord *next, GError **error);

/**
 * vmf_owner_store_settle() - have the current record in both slots; nothing to do if it is
 *
 * Returns: as vmf_owner_store_write()
 */
gboolean vmf_owner_store_settle(VmfShareSession *session, VmfOwnerStore *store,
                                const VmfDiskList *list, const char *account, GError **error);

/** vmf_owner_store_close() - let the file go; nothing to do when there is none */
void vmf_owner_store_close(VmfOwnerStore *store);
