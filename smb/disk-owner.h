/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/owner-record.h"

#include <glib.h>

/* What a Claim or Release is asked for and answers, on both sides of the control socket. */

/** VmfOwnerExpect - what the record must say for a claim; a missing record is owner "", epoch 0 */
typedef struct {
    const char *owner_sid; /* NULL or "": whoever, if the record's state is stopped */
    guint64 epoch;
} VmfOwnerExpect;

/** VmfOwnerNext - what the record shall say; owner_* only for a release with state RETURNED */
typedef struct {
    guint64 epoch;
    VmfOwnerState state;
    const char *migration_id; /* may be NULL; at most 48 characters */
    const char *reason;       /* may be NULL; at most 128 characters, printable ASCII */
    const char *owner_sid;
    const char *owner_account;
} VmfOwnerNext;

/** VmfDiskTimes - what a Claim or Release spent where, microseconds; 0: not done */
typedef struct {
    guint64 open_us;
    guint64 record_us;
    guint64 drain_us;
    guint64 close_us;
} VmfDiskTimes;
