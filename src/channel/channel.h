/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/host-identity.h"
#include "auth/peer.h"

/*
 * Channels between hosts: in goes a connected socket, out come the peer's identity and a plain fd.
 *
 * Theory of operation
 *   1. The initiator sends a 16-byte prologue and its GSS token (AP-REQ), the acceptor answers with
 *      its own (AP-REP). Lengths are bounded before anything is allocated or parsed.
 *   2. Both derive a PSK: gss_pseudo_random() over a hash of every byte said so far. TLS 1.3 with this
 *      external PSK and (EC)DHE runs over the same socket. Who cannot finish this handshake (a relay, a
 *      replay, a reflection) has proven nothing, and nothing of it has been acted on.
 *   3. Each side's judge rules over the peer's identity, and tells the other its verdict inside TLS.
 *      The channel exists when both said yes.
 *   4. Two relay threads pump between TLS and a local fd, from the moment that fd is asked for.
 *   Memory streams skip 1: they present a one-use name that the control channel carried, and their
 *   PSK is HMAC-SHA256 of that name under a secret that the control channel's TLS has exported.
 *   In vmferryd all of this but 3's judgement happens in unprivileged processes: see door.h.
 *
 * Failure model
 *   - Everything up to the verdict has one deadline (10 s for 1 and 2 together, @timeout_s for 3).
 *   - End of stream is authenticated (TLS close_notify). A connection that just ends is an error:
 *     the plain fd then ends in both directions at once, and vmf_channel_wait() tells the error.
 *     Whoever must know that he got everything asks vmf_channel_wait(), or has an end mark of his own.
 *   - A peer that vanishes is noticed in about 10 s (TCP keep-alive and user time-out).
 */

typedef struct _VmfChannel VmfChannel;
typedef struct _VmfChannelStreams VmfChannelStreams;
typedef struct _VmfDoor VmfDoor;

/**
 * VmfChannelJudge - whether @peer may be our peer; vmf_peer_judge() with the caller's group
 *
 * Called once the peer's identity is confirmed by TLS, on the thread that called connect or accept. Its
 * error stays on this host, with a number behind it ("… (record 3f2a91c0)"): the peer hears only that.
 */
typedef gboolean (*VmfChannelJudge)(const VmfPeerIdentity *peer, gpointer data, GError **error);

/**
 * VmfChannelConfig - what a channel needs of this host; everything outlives the call
 * @me:         this host
 * @keytab:     path; %NULL for /etc/krb5.keytab
 * @ccache:     path of a fresh file cache to initiate from. %NULL (recommended): a new ticket from the
 *              keytab for this one connection (+5 ms): current groups, no stale service ticket
 *              after a re-join of the peer, nothing written
 * @judge:      required; the channel is not given out when it says no
 * @judge_data: for @judge
 * @timeout_s:  longest wait for the peer's verdict (it may have to ask its directory); 0: 30
 * @door:       the unprivileged processes that connect for us (src/channel/door.h), as in vmferryd; %NULL:
 *              this process speaks with the peer itself (tools and tests)
 */
typedef struct {
    const VmfHostIdentity *me;
    const char *keytab;
    const char *ccache;
    VmfChannelJudge judge;
    gpointer judge_data;
    guint timeout_s;
    VmfDoor *door;
} VmfChannelConfig;

/**
 * vmf_channel_connect() - make a control channel to @peer_fqdn as initiator
 * @sock:      (transfer full): connected stream socket; closed on failure too
 * @peer_fqdn: the one name the other end must hold the key of: host/@peer_fqdn
 *
 * Blocking: call it from a worker thread.
 *
 * Returns: (transfer full): the channel, or %NULL and
 *   VMF_ERROR_AUTH         no ticket, no such service principal, or the peer does not hold its key
 *   VMF_ERROR_DENIED       our judge or the peer's judge said no; the message says whose, and why
 *   VMF_ERROR_UNREACHABLE  the peer closed, or did not answer in time
 *   VMF_ERROR_PROTOCOL     it answered something else
 *   VMF_ERROR_CONFIG       @peer_fqdn is this host, or not a host name
 */
VmfChannel *vmf_channel_connect(const VmfChannelConfig *config, int sock, const char *peer_fqdn,
                                GError **error);

/**
 * vmf_channel_accept() - serve one incoming connection
 * @sock:    (transfer full): accepted stream socket; closed on failure too
 * @streams: (nullable): where vmf_channel_stream_expect() registered names; %NULL: no streams here
 *
 * In this process: for tools and tests. vmferryd has its connections from vmf_door_accept(). Blocking.
 *
 * Returns: (transfer full): a control channel or a stream (vmf_channel_is_stream()), or %NULL and the
 *   errors of vmf_channel_connect().
 */
VmfChannel *vmf_channel_accept(const VmfChannelConfig *config, int sock, VmfChannelStreams *streams,
                               GError **error);

VmfChannel *vmf_channel_ref(VmfChannel *channel);

/**
 * vmf_channel_unref() - drop a reference; the last one cuts the connection and joins its threads
 *
 * What was relayed but not yet read by the peer may be lost: vmf_channel_wait() first where that
 * matters. The plain fd given out stays open, at its end.
 */
void vmf_channel_unref(VmfChannel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfChannel, vmf_channel_unref)

/** vmf_channel_peer() - who is at the other end; of a stream: of its control channel */
const VmfPeerIdentity *vmf_channel_peer(VmfChannel *channel);
/** vmf_channel_peer_address() - numeric, "10.0.0.2"; "" when the connection is gone. (transfer full) */
gchar *vmf_channel_peer_address(VmfChannel *channel);
gboolean vmf_channel_is_stream(VmfChannel *channel);
/** vmf_channel_stream_name() - the stream's one-use name; %NULL for a control channel */
const char *vmf_channel_stream_name(VmfChannel *channel);

/**
 * vmf_channel_steal_fd() - start relaying to a new socketpair and take its other end
 *
 * The fd is blocking and close-on-exec. Shutting down one direction, or reading its end, leaves the
 * other direction alone. Closing it ends the channel once everything written has gone out.
 * At most one of steal_fd and pump, once, per channel.
 *
 * Returns: the fd, the caller's; or -1 and VMF_ERROR_INTERNAL.
 */
int vmf_channel_steal_fd(VmfChannel *channel, GError **error);

/**
 * vmf_channel_pump() - start relaying to an fd that exists already (QEMU's migration socket)
 * @local_fd: (transfer full): connected stream socket; closed on failure too
 */
gboolean vmf_channel_pump(VmfChannel *channel, int local_fd, GError **error);

/**
 * vmf_channel_wait() - wait until both directions have ended
 *
 * Returns: %TRUE when both ended in order (peer's close_notify seen, ours sent and acknowledged by its
 *   end of stream), or %FALSE and
 *   VMF_ERROR_UNREACHABLE  the connection was cut, the stream is truncated
 *   VMF_ERROR_PROTOCOL     a record failed authentication
 *   VMF_ERROR_INTERNAL     the local fd failed, or vmf_channel_close() was called before the end
 */
gboolean vmf_channel_wait(VmfChannel *channel, GError **error);

/**
 * vmf_channel_close() - cut the connection now; the threads end soon; safe from any thread, idempotent
 */
void vmf_channel_close(VmfChannel *channel);

/** vmf_channel_bytes_in() - plain bytes received from the peer so far; any thread */
guint64 vmf_channel_bytes_in(VmfChannel *channel);
/** vmf_channel_bytes_out() - plain bytes sent to the peer so far; any thread */
guint64 vmf_channel_bytes_out(VmfChannel *channel);

/**
 * vmf_channel_streams_new() - a registry of expected streams; one per listener; thread-safe
 */
VmfChannelStreams *vmf_channel_streams_new(void);
VmfChannelStreams *vmf_channel_streams_ref(VmfChannelStreams *streams);
void vmf_channel_streams_unref(VmfChannelStreams *streams);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfChannelStreams, vmf_channel_streams_unref)

/**
 * vmf_channel_stream_expect() - let the peer of @control open one stream here
 * @life_s:   how long the name is good for; 0: 60
 * @name_out: (out) (transfer full): 32 hex digits: tell them to the peer over @control
 *
 * The name is used up by the first connection that proves to know its key; connections that fail
 * do not use it up.
 */
gboolean vmf_channel_stream_expect(VmfChannel *control, VmfChannelStreams *streams, guint life_s,
                                   gchar **name_out, GError **error);

/** vmf_channel_stream_forget() - the name is good no longer (an aborted migration); no-op if unknown */
void vmf_channel_stream_forget(VmfChannelStreams *streams, const char *name);

/**
 * vmf_channel_stream_connect() - open the stream the peer of @control expects as @name
 * @sock: (transfer full): connected stream socket; closed on failure too
 *
 * Returns: (transfer full): the stream, or %NULL and the errors of vmf_channel_connect().
 */
VmfChannel *
vmf_channel_stream_connect(VmfChannel *control, int sock, const char *name, GError **error);
