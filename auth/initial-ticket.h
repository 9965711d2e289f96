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

/**
 * vmf_recent_ticket() - the same, or the last one it got, for at most %VMF_RECENT_TICKET_S seconds
 *
 * A ticket tells of the groups its account was in when it was made: of a new group it knows nothing.
 * Hence the short time, and vmf_recent_ticket_forget().
 */
gboolean vmf_recent_ticket(krb5_context context, const VmfHostIdentity *me, const char *keytab,
                           krb5_creds *creds, GError **error);

#define VMF_RECENT_TICKET_S 60

/** vmf_recent_ticket_forget() - somebody was not content with it */
void vmf_recent_ticket_forget(void);
