/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/gss.h"
#include "src/channel/tls.h"

/*
 * What a Kerberos exchange is made into: the PSK of the TLS handshake that follows it.
 *
 *   PSK = gss_pseudo_random(FULL, "vmferry psk 1" ‖ SHA-256(greeting ‖ token ‖ answer's head ‖ answer) ‖ role)
 *
 * Greeting and head follow from the tokens' lengths (greeting.h), so the two tokens are all it takes, and
 * who holds the key needs not to be who holds the socket.
 */

/**
 * vmf_exchange_derive() - the PSK; after both tokens have been taken
 * @key: (out): the caller zeroes it
 */
gboolean vmf_exchange_derive(VmfGss *gss, GBytes *token, GBytes *answer,
                             guint8 key[VMF_TLS_KEY_BYTES], GError **error);

/**
 * vmf_exchange_accept() - the acceptor's half, whole
 * @gss:    an acceptor that has not taken a step
 * @answer: (out) (nullable): to be told to the initiator; also on failure, a KRB-ERROR
 * @peer:   (out) (transfer full): not confirmed before TLS
 *
 * Returns: %FALSE and the errors of vmf_gss_step() and vmf_gss_peer().
 */
gboolean vmf_exchange_accept(VmfGss *gss, GBytes *token, GBytes **answer,
                             guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity **peer, GError **error);
