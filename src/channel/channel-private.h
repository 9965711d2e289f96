/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/channel/channel.h"
#include "src/channel/tls.h"

/**
 * vmf_channel_from_session() - a channel of a finished handshake; for channel.c and tests
 * @sock: (transfer full)
 * @tls:  (transfer full)
 * @peer: (transfer full)
 * @stream_name: (nullable)
 */
VmfChannel *
vmf_channel_from_session(int sock, VmfTls *tls, VmfPeerIdentity *peer, const char *stream_name);

/** vmf_channel_session() - its TLS session, for tests that change keys */
VmfTls *vmf_channel_session(VmfChannel *channel);
