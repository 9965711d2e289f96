/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/channel/channel.h"
#include "src/channel/tls.h"

/*
 * The registry of expected streams, as the handshake sees it (see channel.h for the rest).
 *
 * A name is looked up before the TLS handshake and used up after it: somebody who has seen the name on
 * the wire but does not hold its key cannot use it up.
 */

/**
 * vmf_channel_streams_add() - expect @name
 * @key:  copied; zeroed when the name is used up, forgotten, or has expired
 * @peer: copied
 *
 * Returns: %FALSE and VMF_ERROR_BUSY when too many are expected already.
 */
gboolean vmf_channel_streams_add(VmfChannelStreams *streams, const char *name,
                                 const guint8 key[VMF_TLS_KEY_BYTES], const VmfPeerIdentity *peer,
                                 guint life_s, GError **error);

/**
 * vmf_channel_streams_look_up() - the key and the peer of an expected name
 * @key:  (out): the caller zeroes it
 * @peer: (out) (transfer full)
 *
 * Returns: %FALSE and VMF_ERROR_DENIED: never expected, used up, or expired.
 */
gboolean
vmf_channel_streams_look_up(VmfChannelStreams *streams, const char *name,
                            guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity **peer, GError **error);

/** vmf_channel_streams_use_up() - %FALSE and VMF_ERROR_DENIED: somebody else was first */
gboolean vmf_channel_streams_use_up(VmfChannelStreams *streams, const char *name, GError **error);
