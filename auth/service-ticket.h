/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

#include <krb5.h>

/** VmfServiceTicket - a ticket for one service, and its session key; zeroed when freed */
typedef struct {
    krb5_context context; /* the caller's; outlives it */
    krb5_creds *creds;
} VmfServiceTicket;

void vmf_service_ticket_free(VmfServiceTicket *ticket);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfServiceTicket, vmf_service_ticket_free)

/**
 * vmf_service_ticket_read() - from libkrb5's own form (krb5_marshal_credentials(): a ccache entry)
 *
 * Returns: (transfer full): %NULL and VMF_ERROR_PROTOCOL.
 */
VmfServiceTicket *vmf_service_ticket_read(krb5_context context, GBytes *bytes, GError **error);
