/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/gss.h"
#include "src/channel/channel-private.h"
#include "src/channel/relay.h"

/*
 * Channels whose handshake and TLS run in this process: in a child of vmferry-door, and in tools.
 *
 * What needs a key, a directory or a list of expected streams is asked of somebody else through
 * VmfSessionHost: the tool's own functions, or vmferryd at the other end of the child's line.
 */
typedef struct {
    /**
     * exchange() - the acceptor's half of the Kerberos exchange
     * @answer: (out) (nullable): to be told, also on failure
     * @peer:   (out) (transfer full): at least with @principal, for messages
     */
    gboolean (*exchange)(gpointer host, GBytes *token, GBytes **answer,
                         guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity **peer, GError **error);
    /** look_up() - an expected stream's key and peer */
    gboolean (*look_up)(gpointer host, const char *name, guint8 key[VMF_TLS_KEY_BYTES],
                        VmfPeerIdentity **peer, GError **error);
    /** judge() - TLS has confirmed the key: may @peer be ours; or is the stream's name still good */
    gboolean (*judge)(gpointer host, const VmfPeerIdentity *peer, const char *stream_name,
                      GError **error);
    gpointer host;
    guint timeout_s; /* for the peer's verdict; 0: 30 */
} VmfSessionHost;

/** vmf_session_accept() - see vmf_channel_accept(); @sock: (transfer full) */
VmfChannel *vmf_session_accept(const VmfSessionHost *host, int sock, GError **error);

/**
 * vmf_session_connect() - see vmf_channel_connect(); of @host, judge() alone is asked
 * @gss:  an initiator that has not taken a step
 * @sock: (transfer full)
 */
VmfChannel *vmf_session_connect(const VmfSessionHost *host, VmfGss *gss, int sock, GError **error);

/**
 * vmf_session_stream() - see vmf_channel_stream_connect(); of @host, judge() alone is asked
 * @sock: (transfer full)
 * @peer: copied
 */
VmfChannel *vmf_session_stream(const VmfSessionHost *host, int sock, const char *name,
                               const guint8 key[VMF_TLS_KEY_BYTES], const VmfPeerIdentity *peer,
                               GError **error);

/**
 * vmf_session_new() - a channel of a finished handshake
 * @sock: (transfer full)
 * @tls:  (transfer full)
 * @peer: (transfer full)
 * @stream_name: (nullable)
 *
 * Returns: %NULL and VMF_ERROR_INTERNAL; what it was given is gone then, too.
 */
VmfChannel *vmf_session_new(int sock, VmfTls *tls, VmfPeerIdentity *peer, const char *stream_name,
                            GError **error);

/** vmf_session_tls() - for tests that change keys */
VmfTls *vmf_session_tls(VmfChannel *channel);

/** vmf_session_count_in() - count bytes there, from the start of the relay */
void vmf_session_count_in(VmfChannel *channel, VmfRelayCounters *counters);
