/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/daemon/peer-table.h"

/**
 * vmf_listener_door() - the unprivileged processes that speak with other hosts (src/channel/door.h)
 *
 * Returns: (transfer full): lives until the process ends; %NULL and VMF_ERROR_CONFIG (no user vmferry-door,
 *   no usable keytab) or VMF_ERROR_INTERNAL
 */
VmfDoor *vmf_listener_door(const VmfContext *context, GError **error);

/**
 * vmf_listener_start() - meet peers on the policy's TCP port, all addresses, through @context's door
 *
 * Returns: VMF_ERROR_CONFIG when the port is taken or not permitted
 */
gboolean vmf_listener_start(const VmfContext *context, VmfPeerTable *peers, GError **error);
