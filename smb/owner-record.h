/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * The owner record of a VM: `.vmferry/UUID.own` in the VM's folder. Who owns the disks, and with
 * which epoch. The record is the truth; journals and memories are hints. This file is pure: bytes
 * to record and back. Reading and writing it on the share is owner-store.h.
 *
 * Format. Two slots of 512 bytes, written one after the other: a torn write leaves the other slot.
 * Integers are little-endian, texts are printable ASCII padded with zero bytes, unused bytes are 0.
 *
 *     0  8  magic "VMFOWNER"           120  32  SHA-256 of the disk list
 *     8  4  version, 1                 152 128  owner: SID of the computer account, text
 *    12  4  state (VmfOwnerState)      280  32  owner: account name ("HV1$"), for messages only
 *    16  8  sequence: +1 each write    312 128  reason, text, may be empty
 *    24  8  epoch: +1 each new owner   440   8  written at, unix microseconds, for people only
 *    32 16  VM's UUID                  448  32  zero
 *    48 16  owner's boot id            480  32  SHA-256 of the 480 bytes before
 *    64 48  migration id, text, may be empty        (112: 8 zero bytes)
 *
 * The current record is the valid slot with the greatest (epoch, sequence).
 *
 * Failure model. A write that was not answered may land at any later time (facts.md, "late
 * writes"). So each record is written to both slots: a latecomer replaces one copy, and loses by
 * its lower epoch against the other. Which slot is first matters until the second is written:
 * - a claim (e to e+1) begins with the slot that is not the current one. If its answer is lost, that
 *   is where it may land later;
 * - so who takes the VM back with e+2 begins with the current slot, where it cannot land: not for an
 *   instant does the record say e+1 after e+2. The current one is then the other slot, and the next
 *   claim again begins where the latecomer cannot land.
 * The current slot is overwritten only while the other holds the same: a torn write loses nothing.
 */

#define VMF_OWNER_SLOT_SIZE 512
#define VMF_OWNER_FILE_SIZE (2 * VMF_OWNER_SLOT_SIZE)

typedef enum {
    VMF_OWNER_OWNED = 1, /* the owner holds the disks; its VM need not run yet */
    VMF_OWNER_RUNNING,   /* the owner runs the VM, or is about to */
    VMF_OWNER_RETURNED,  /* given back, untouched, to the owner named */
    VMF_OWNER_STOPPED,   /* the VM was shut down: anyone may claim it */
} VmfOwnerState;

typedef struct {
    gchar vm_uuid[37];
    VmfOwnerState state;
    guint64 sequence;
    guint64 epoch;
    gchar boot_id[37];
    gchar migration_id[49];
    guint8 disks_digest[32];
    gchar owner_sid[129];
    gchar owner_account[33];
    gchar reason[129];
    gint64 written_at_us;
} VmfOwnerRecord;

/** vmf_owner_state_name() - "owned", "running", "returned", "stopped" */
const char *vmf_owner_state_name(VmfOwnerState state);

/** vmf_owner_state_from_name() - Returns: %FALSE when @name is none of them */
gboolean vmf_owner_state_from_name(const char *name, VmfOwnerState *state);

/**
 * vmf_owner_record_encode() - write one slot
 * @slot: (out): VMF_OWNER_SLOT_SIZE bytes; untouched on failure
 *
 * Returns: %FALSE with VMF_ERROR_INTERNAL when a field cannot be stored: text too long or not
 *   printable ASCII, a UUID not in its 36-character form, epoch or sequence 0.
 */
gboolean vmf_owner_record_encode(const VmfOwnerRecord *record, guint8 *slot, GError **error);

/**
 * vmf_owner_record_decode() - read one slot
 * @size: must be VMF_OWNER_SLOT_SIZE
 *
 * Returns: %FALSE with VMF_ERROR_PROTOCOL; @record is untouched then.
 */
gboolean
vmf_owner_record_decode(const guint8 *slot, gsize size, VmfOwnerRecord *record, GError **error);

/**
 * vmf_owner_record_decode_file() - the current record of a whole file
 * @bytes, @size: the file's content, up to VMF_OWNER_FILE_SIZE bytes
 * @vm_uuid:      the VM whose file it is
 * @slot_index:   (out): 0 or 1, the slot that holds it
 *
 * One bad slot is what a torn write leaves: the other is current. Both valid with the same epoch
 * and sequence but different owners cannot come from this code.
 *
 * Returns: %FALSE with VMF_ERROR_PROTOCOL when no slot is valid, both claim the same epoch and
 *   sequence with different content, the file is longer than two slots, or it is another VM's.
 */
gboolean vmf_owner_record_decode_file(const guint8 *bytes, gsize size, const char *vm_uuid,
                                      VmfOwnerRecord *record, guint *slot_index, GError **error);

/** vmf_owner_record_is_settled() - whether both slots of a file are valid, and say the same */
gboolean vmf_owner_record_is_settled(const guint8 *bytes, gsize size);

/**
 * vmf_owner_record_names() - whether the record names this account and boot as owner with @epoch
 */
gboolean vmf_owner_record_names(const VmfOwnerRecord *record, const char *owner_sid,
                                const char *boot_id, guint64 epoch);

/** vmf_owner_record_describe() - "HV1$ (S-1-5-…), epoch 7, running", for messages */
gchar *vmf_owner_record_describe(const VmfOwnerRecord *record);
