/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/channel/door.h"
#include "src/channel/keys.h"

/* Shared by door.c (the processes) and door-channel.c (one connection of theirs). */

struct _VmfArrival {
    VmfDoor *door;
    int line;
    int control; /* of the vmferry-door it came from: dup; -1: none */
    guint32 number;
    gchar *address;
};

void vmf_arrival_free(VmfArrival *arrival);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfArrival, vmf_arrival_free)

/** vmf_arrival_tell() - PROVEN or SETTLED to its vmferry-door; it may have ended */
void vmf_arrival_tell(const VmfArrival *arrival, int type);

/**
 * vmf_door_enter_account() - @sid begins to be waited for: whether it accepts us
 *
 * Returns: %FALSE and VMF_ERROR_BUSY: as many of its connections are as may be at once
 */
gboolean vmf_door_enter_account(VmfDoor *door, const VmfPeerIdentity *peer, GError **error);

/** vmf_door_leave_account() - after vmf_door_enter_account(), whatever it has said */
void vmf_door_leave_account(VmfDoor *door, const VmfPeerIdentity *peer);

/** vmf_door_keys() */
VmfKeys *vmf_door_keys(VmfDoor *door);

/**
 * vmf_door_child() - a child for a connection of ours
 * @sock: (transfer full)
 *
 * Waits while vmferry-door is being started. Returns: the line, or -1 and VMF_ERROR_INTERNAL.
 */
int vmf_door_child(VmfDoor *door, int sock, GError **error);
