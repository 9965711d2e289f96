/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/gss.h"
#include "src/channel/greeting.h"
#include "src/channel/tls.h"

/*
 * The steps that make a channel of a socket, one function each, in the order of channel.h's theory of
 * operation. channel.c strings them together; unit tests use them with keys that no KDC has made.
 */

#define VMF_HANDSHAKE_TIMEOUT_S ((gint64)10)
#define VMF_VERDICT_TIMEOUT_S   30

/**
 * vmf_handshake_initiate() - step 1 as initiator: who the peer is, and the PSK
 * @gss:  an initiator that has not taken a step
 * @key:  (out): the caller zeroes it
 * @peer: (out) (transfer full): not confirmed before vmf_handshake_tls()
 */
gboolean vmf_handshake_initiate(VmfGss *gss, int sock, guint8 key[VMF_TLS_KEY_BYTES],
                                VmfPeerIdentity **peer, gint64 deadline, GError **error);

/**
 * vmf_handshake_read_token() - step 1 as acceptor, after the greeting
 * @length: from the greeting
 *
 * Returns: (transfer full): what vmf_exchange_accept() takes.
 */
GBytes *vmf_handshake_read_token(int sock, guint32 length, gint64 deadline, GError **error);

/** vmf_handshake_say_answer() - and what that gave */
gboolean vmf_handshake_say_answer(int sock, GBytes *answer, gint64 deadline, GError **error);

/**
 * vmf_handshake_tls() - step 2: the peer proves to hold @key, and we do
 *
 * Returns: (transfer full): the session, or %NULL and VMF_ERROR_AUTH, _UNREACHABLE or _PROTOCOL.
 */
VmfTls *vmf_handshake_tls(int sock, gboolean server, const guint8 key[VMF_TLS_KEY_BYTES],
                          gint64 deadline, GError **error);

/**
 * vmf_handshake_verdicts() - step 3: tell ours, hear theirs
 * @refusal: (nullable): ours; %NULL: accepted
 * @peer:    how messages call the other end
 *
 * Of @refusal the peer hears its reference (vmf_refusal_number()), nothing else.
 *
 * Returns: %TRUE when both accepted. %FALSE and a copy of @refusal, or VMF_ERROR_DENIED: the peer refuses
 *   us, and where its reason is to be found; or VMF_ERROR_UNREACHABLE or _PROTOCOL.
 */
gboolean vmf_handshake_verdicts(VmfTls *tls, int sock, const GError *refusal, const char *peer,
                                gint64 deadline, GError **error);
