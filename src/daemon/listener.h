/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gio/gio.h>

#include "src/daemon/peer-table.h"

/**
 * vmf_listener_start() - meet peers on the policy's TCP port, all addresses
 *
 * Each connection's handshake runs in a thread of its own, within the channel's limits per address
 * and in all. Returns: VMF_ERROR_CONFIG when the port is taken or not permitted
 */
GSocketService *vmf_listener_start(const VmfContext *context, VmfPeerTable *peers, GError **error);
