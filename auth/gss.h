/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/host-identity.h"
#include "auth/peer.h"

/*
 * One GSS exchange between two hosts, Kerberos mechanism only.
 *
 *   initiator                                acceptor
 *   vmf_gss_step(NULL)   ── AP-REQ ─────►    vmf_gss_step(token): done
 *   vmf_gss_step(token)  ◄── AP-REP ─────    (its output, also when it fails: a KRB-ERROR)
 *   done
 *
 * MUTUAL, REPLAY, SEQUENCE, INTEG and CONF are asked for and insisted on by both; credentials are
 * never delegated. The initiator asks for host/PEER@REALM, the acceptor answers for host/ME@REALM
 * only, with its AES keys only (it never sees its RC4 keys). Once done, both ends can derive
 * equal keys, and see who the other is.
 *
 * Nothing here decides whether that is good enough: see auth/peer.h.
 *
 * Failure model: a failed exchange is over; free it. Tokens of the other end go to libkrb5 as they
 * are, at most VMF_GSS_MAX_TOKEN bytes of them.
 */

#define VMF_GSS_MAX_TOKEN 65536
#define VMF_GSS_KEY_BYTES 32

typedef struct _VmfGss VmfGss;

/**
 * vmf_gss_initiator() - begin an exchange with host/@peer_fqdn
 * @ccache: path of a file cache, without "FILE:", with a ticket of @me; %NULL: get a ticket
 *          from @keytab, in memory, or take that of an exchange less than a minute ago
 * @keytab: path
 *
 * Returns: (transfer full): %NULL and the errors of vmf_ticket_keeper_refresh().
 */
VmfGss *vmf_gss_initiator(const VmfHostIdentity *me, const char *keytab, const char *ccache,
                          const char *peer_fqdn, GError **error);

/**
 * vmf_gss_ticket() - what a process without keytab and network needs for an exchange with host/@peer_fqdn
 *
 * Asks the KDC. @ccache and @keytab as for vmf_gss_initiator().
 *
 * Returns: (transfer full): one service ticket with its session key, in libkrb5's own form; %NULL and
 *   VMF_ERROR_AUTH, _UNREACHABLE or _CONFIG.
 */
GBytes *vmf_gss_ticket(const VmfHostIdentity *me, const char *keytab, const char *ccache,
                       const char *peer_fqdn, GError **error);

/** vmf_gss_initiator_with() - begin an exchange with host/@peer_fqdn with a ticket of vmf_gss_ticket() */
VmfGss *vmf_gss_initiator_with(const VmfHostIdentity *me, GBytes *ticket, const char *peer_fqdn,
                               GError **error);

/**
 * vmf_gss_acceptor() - wait for an exchange as host/@me->fqdn
 *
 * Returns: (transfer full): %NULL and VMF_ERROR_CONFIG (no usable key in the keytab).
 */
VmfGss *vmf_gss_acceptor(const VmfHostIdentity *me, const char *keytab, GError **error);
/** vmf_gss_warm_up() - load libraries, for a process that will not be able to open files later */
void vmf_gss_warm_up(void);
void vmf_gss_free(VmfGss *gss);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfGss, vmf_gss_free)

/**
 * vmf_gss_step() - take the other end's token, make ours
 * @token: (nullable): %NULL only in the initiator's first step
 * @reply: (out) (transfer full) (nullable): to be sent if not %NULL, also when %FALSE is returned
 * @done:  (out): the exchange is complete on this side
 *
 * Returns: %TRUE, or %FALSE and
 *   VMF_ERROR_AUTH         refused by libkrb5; the message says by which side, and the cure
 *   VMF_ERROR_PROTOCOL     not a Kerberos token, or more steps than the protocol has
 *   VMF_ERROR_UNREACHABLE  the initiator found no KDC
 */
gboolean vmf_gss_step(VmfGss *gss, GBytes *token, GBytes **reply, gboolean *done, GError **error);

/**
 * vmf_gss_derive() - a key that both ends and nobody else can derive; after done
 * @label: says what for; both ends give the same bytes
 * @key:   (out): the caller zeroes it
 *
 * gss_pseudo_random(), RFC 4401, with GSS_C_PRF_KEY_FULL.
 */
gboolean vmf_gss_derive(VmfGss *gss, const guint8 *label, gsize label_size,
                        guint8 key[VMF_GSS_KEY_BYTES], GError **error);

/**
 * vmf_gss_peer() - who the other end has proven to be; after done
 *
 * Returns: (transfer full): %NULL and VMF_ERROR_PROTOCOL (malformed PAC) or VMF_ERROR_AUTH.
 */
VmfPeerIdentity *vmf_gss_peer(VmfGss *gss, GError **error);
