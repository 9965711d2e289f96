/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/**
 * vmf_ap_req_find_ticket() - where in an initial GSS token the Kerberos ticket lies
 * @token:       the first token of an initiator
 * @ticket:      (out): start of the DER of Ticket, inside @token
 * @ticket_size: (out): its length
 *
 * The token must be what RFC 2743 3.1 and RFC 4121 4.1 make of a KRB_AP_REQ (RFC 4120 5.5.1): no
 * other mechanism, no negotiation (SPNEGO), no IAKERB. Pure; only the frame is looked at, the
 * ticket's own contents are libkrb5's to decode.
 *
 * Returns: %TRUE when there is exactly that and nothing after it.
 */
gboolean
vmf_ap_req_find_ticket(const guint8 *token, gsize size, const guint8 **ticket, gsize *ticket_size);
