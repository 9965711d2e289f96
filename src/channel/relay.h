/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/channel/tls.h"

/*
 * Two threads that pump between a TLS session on a socket and a plain local fd.
 *
 *   out:  local ──recv──► seal ──send──► socket      local's end  → close_notify, FIN
 *   in:   socket ──recv──► open ──send──► local      close_notify → shutdown(local, WR)
 *
 * Each direction ends by itself: a half-closed stream goes on in the other direction.
 *
 * When the local side is gone altogether (closed, not half-closed):
 *   - what it wrote before is still sent, then the end mark;
 *   - bytes that arrive for it cannot be delivered: that is a failure, as it is in TCP;
 *   - otherwise `in` waits LINGER_S for the peer's end mark, so that the last bytes are not lost to
 *     a reset of the connection.
 *
 * Failure model: the first failure of either direction ends both at once, on both sides (socket and
 * local are shut down), and is what vmf_relay_wait() reports. No thread waits for anything that
 * shutting down its two sockets does not end.
 */

typedef struct _VmfRelay VmfRelay;

/**
 * VmfRelayCounters - plain bytes that have passed; perhaps in memory shared with another process
 * @hold: for fault points only (see src/base/fault-point.h)
 */
typedef struct {
    _Atomic guint64 in, out;
    _Atomic guint32 hold;
} VmfRelayCounters;

/**
 * vmf_relay_start() - make the threads
 * @tls:   handshake done; must outlive the relay
 * @sock:  its socket; stays the caller's, must outlive the relay
 * @local: (transfer full): closed by vmf_relay_free()
 * @counters: where bytes are counted; must outlive the relay; %NULL: in the relay
 *
 * Returns: (transfer full): %NULL and VMF_ERROR_INTERNAL (no thread to be had).
 */
VmfRelay *
vmf_relay_start(VmfTls *tls, int sock, int local, VmfRelayCounters *counters, GError **error);

/** vmf_relay_cut() - end both directions now; any thread; no-op once they have ended */
void vmf_relay_cut(VmfRelay *relay);

/** vmf_relay_wait() - until both directions have ended; any thread. See vmf_channel_wait() */
gboolean vmf_relay_wait(VmfRelay *relay, GError **error);

/** vmf_relay_free() - cut, join the threads, close @local */
void vmf_relay_free(VmfRelay *relay);

guint64 vmf_relay_bytes_in(VmfRelay *relay);
guint64 vmf_relay_bytes_out(VmfRelay *relay);
