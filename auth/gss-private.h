/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/gss.h"
#include "auth/service-keytab.h"

#include <gssapi/gssapi_ext.h>

/* Shared by gss.c (the exchange) and gss-peer.c (what it proves). */

struct _VmfGss {
    gboolean initiator;
    VmfHostIdentity *me;
    gss_cred_id_t cred;
    gss_ctx_id_t handle;
    guint steps; /* taken so far */

    /* initiator only */
    gchar *peer_fqdn;
    gchar *peer_principal;
    gss_name_t target;
    krb5_context context; /* with @cache, when the ticket is our own in memory */
    krb5_ccache cache;

    /* acceptor only */
    VmfServiceKeytab *keys;
    GBytes *initial_token;
    gsize ticket_offset, ticket_size; /* Ticket's DER inside @initial_token */
    gboolean delegated;
};

extern gss_OID_desc vmf_gss_krb5_oid;

/** vmf_gss_fail() - set @error from GSS codes: "WHAT: library's text; cure". Returns: %FALSE. */
gboolean vmf_gss_fail(GError **error, OM_uint32 major, OM_uint32 minor, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/**
 * vmf_gss_describe_ticket() - " for 'host/hv1…' encrypted with …" from the clear part of the ticket
 *
 * Returns: (transfer full): "" when it cannot be read. Not proven: for error messages only.
 */
gchar *vmf_gss_describe_ticket(VmfGss *gss);
