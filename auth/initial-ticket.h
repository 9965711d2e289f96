/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/host-identity.h"

#include <krb5.h>

/**
 * vmf_initial_ticket() - one AS exchange: a ticket-granting ticket for @me from its keytab
 * @creds: (out): caller frees with krb5_free_cred_contents(), which zeroes the key
 *
 * AES only; not forwardable, not proxiable. Blocking; libkrb5 tries the realm's KDCs in turn.
 *
 * Returns: %TRUE, or %FALSE and the errors of vmf_ticket_keeper_refresh().
 */
gboolean vmf_initial_ticket(krb5_context context, const VmfHostIdentity *me, const char *keytab,
                            krb5_creds *creds, GError **error);
