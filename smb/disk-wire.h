/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-owner.h"
#include "smb/gate.h"

#include <sys/types.h>

/*
 * The a{sv} of org.vmferry.Disk1.xml, to structs and back; used on both sides. A key that is
 * missing is its type's zero; one of the wrong type is an error where safety hangs on it.
 */

typedef struct {
    gchar *target;
    gchar *url;
    guint64 size; /* of the export, bytes */
} VmfDiskFact;

/** VmfDiskState - Describe's answer; the fields' meanings are in org.vmferry.Disk1.xml */
typedef struct {
    VmfGateState gate;
    gboolean held;
    guint64 epoch;
    gchar *trouble; /* "" when all is well */
    gboolean foreign;
    VmfDiskFact *disks;
    guint n_disks;
    guint in_flight;
    guint waiting;
    gint64 ticket_end;
    guint64 read_bytes;
    guint64 written_bytes;
    guint64 written_since_open;
    guint sessions;
    pid_t pid;
} VmfDiskState;

void vmf_disk_state_free(VmfDiskState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfDiskState, vmf_disk_state_free)

/* Writers return floating references; readers fail with VMF_ERROR_PROTOCOL. */

GVariant *vmf_disk_wire_from_state(const VmfDiskState *state);
VmfDiskState *vmf_disk_wire_to_state(GVariant *facts, GError **error);

/** vmf_disk_wire_from_record() - @record NULL: there is none */
GVariant *vmf_disk_wire_from_record(const VmfOwnerRecord *record, gboolean mine);
gboolean
vmf_disk_wire_to_record(GVariant *facts, gboolean *present, VmfOwnerRecord *record, GError **error);

GVariant *vmf_disk_wire_from_expected(const VmfOwnerExpect *expected);
/** vmf_disk_wire_to_expected() - its texts live as long as @facts */
gboolean vmf_disk_wire_to_expected(GVariant *facts, VmfOwnerExpect *expected, GError **error);

/** vmf_disk_wire_from_next() - @next NULL: an empty one */
GVariant *vmf_disk_wire_from_next(const VmfOwnerNext *next);
/** vmf_disk_wire_to_next() - its texts live as long as @facts; @given %FALSE: @facts is empty */
gboolean
vmf_disk_wire_to_next(GVariant *facts, gboolean *given, VmfOwnerNext *next, GError **error);

GVariant *vmf_disk_wire_from_times(const VmfDiskTimes *times);
void vmf_disk_wire_to_times(GVariant *facts, VmfDiskTimes *times);
