/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/* When the tickets of the process's default Kerberos cache (KRB5CCNAME) begin and end. */

typedef struct {
    gint64 start; /* unix seconds */
    gint64 end;   /* of the ticket-granting ticket, or of the share's ticket if that ends earlier */
} VmfTicketTimes;

/* libsmbclient's Kerberos refuses a ticket that ends sooner than this (facts.md) */
#define VMF_TICKET_MIN_LEFT_S 120

/**
 * vmf_ticket_times_read() - of the cache as it is now
 * @server: the file server, whose cifs/ ticket may be in the cache
 *
 * Returns: %FALSE with VMF_ERROR_AUTH: no cache, no ticket-granting ticket in it.
 */
gboolean vmf_ticket_times_read(const char *server, VmfTicketTimes *times, GError **error);

/**
 * vmf_ticket_rotation_due() - when a session that began with these tickets is to be replaced
 *
 * At 80 % of the ticket's life, or one hour before its end, whichever is earlier; the hour only
 * counts for tickets that live for at least five. Pure.
 */
gint64 vmf_ticket_rotation_due(VmfTicketTimes times);
