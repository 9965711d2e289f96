/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/peer.h"

/*
 * A VmfPeerIdentity as bytes, between the process that opened the ticket and the one that judges. Pure.
 *
 *   1       flags: 1 proven by service key, 2 transited, 4 forwarded, 8 s4u, 16 delegated
 *   4 4 4   pac_uac, ticket_enctype, session_enctype
 *   8 8     auth_time, end_time
 *   7 texts account, realm, principal, fqdn, sid, domain_sid, pac_account: a length of 2 bytes and
 *           as many of UTF-8 without NUL; 0xffff: none
 *   2       number of groups, and as many texts
 *
 * All numbers big-endian. Anything else, or behind it, is an error.
 */

#define VMF_PEER_MAX_TEXT   512
#define VMF_PEER_MAX_GROUPS 1200 /* Active Directory knows 1015 in a token */
#define VMF_PEER_MAX_BYTES  (96 * 1024)

/** vmf_peer_identity_to_bytes() - (transfer full); %NULL and VMF_ERROR_PROTOCOL when it is beyond the limits */
GBytes *vmf_peer_identity_to_bytes(const VmfPeerIdentity *peer, GError **error);

/** vmf_peer_identity_from_bytes() - (transfer full); %NULL and VMF_ERROR_PROTOCOL */
VmfPeerIdentity *vmf_peer_identity_from_bytes(const guint8 *data, gsize size, GError **error);
