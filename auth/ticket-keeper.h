/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/host-identity.h"

#include <sys/types.h>

/*
 * Keeps one ticket cache file fresh from the host's keytab.
 *
 * The file is an MIT file cache, format version 4, with the ticket-granting ticket of COMPUTER$ in
 * it: what MIT's libraries and the Heimdal inside libsmbclient both read (libsmbclient sees neither
 * KRB5_CLIENT_KTNAME nor MEMORY: caches). A new ticket is written into a private directory beside the
 * file, given its owner and mode 0600 there, and renamed into place: a reader sees the old file or
 * the new one, never half of one. Readers add service tickets to the file themselves; these are
 * gone after a refresh, as they should be.
 *
 * Failure model: any failure leaves the old file as it was. A crash can leave the private directory
 * (CACHE.new, 0700) behind; the next refresh removes it.
 */

typedef struct _VmfTicketKeeper VmfTicketKeeper;

/**
 * vmf_ticket_keeper_new() - a keeper for @cache_path
 * @me:         whose ticket; copied
 * @keytab:     path of the keytab; %NULL for /etc/krb5.keytab
 * @cache_path: path of the file, without "FILE:"; its directory exists and only root or @owner
 *              may write to it
 * @owner:      owner of the file; (uid_t)-1 leaves the caller's
 * @group:      group of the file; (gid_t)-1 leaves the caller's
 *
 * No I/O but one look whether the file already holds a ticket of @me (after a restart): its end
 * time then counts. Thread-safe: calls from several threads wait for each other.
 */
VmfTicketKeeper *vmf_ticket_keeper_new(const VmfHostIdentity *me, const char *keytab,
                                       const char *cache_path, uid_t owner, gid_t group);
void vmf_ticket_keeper_free(VmfTicketKeeper *keeper);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfTicketKeeper, vmf_ticket_keeper_free)

/**
 * vmf_ticket_keeper_refresh() - get a new ticket now
 *
 * One AS exchange with the domain's KDC (2–5 ms when it is near), AES keys only.
 *
 * Returns: %TRUE when the new ticket is in place. On %FALSE the file is untouched, and
 *   VMF_ERROR_AUTH         the KDC refused: account disabled or unknown, password changed (keytab
 *                          stale), clock skew, no AES key; the message says which, and the cure
 *   VMF_ERROR_UNREACHABLE  no KDC of the realm answered
 *   VMF_ERROR_CONFIG       keytab unreadable, or the cache's directory not writable
 */
gboolean vmf_ticket_keeper_refresh(VmfTicketKeeper *keeper, GError **error);

/**
 * vmf_ticket_keeper_ensure() - refresh when less than @min_left_s seconds are left
 *
 * Not an error when even a new ticket has less than @min_left_s left (short ticket lives).
 *
 * Returns: as vmf_ticket_keeper_refresh(); %FALSE even if the old ticket is still good for a while:
 *   look at vmf_ticket_keeper_end_time() to judge how bad that is.
 */
gboolean vmf_ticket_keeper_ensure(VmfTicketKeeper *keeper, gint64 min_left_s, GError **error);

/** vmf_ticket_keeper_end_time() - when the ticket in place ends, unix seconds; 0: there is none */
gint64 vmf_ticket_keeper_end_time(VmfTicketKeeper *keeper);

/** vmf_ticket_keeper_start_time() - when it began; life is end less start; 0: there is none */
gint64 vmf_ticket_keeper_start_time(VmfTicketKeeper *keeper);

/** vmf_ticket_keeper_cache_path() - path given to _new(); valid as long as the keeper */
const char *vmf_ticket_keeper_cache_path(VmfTicketKeeper *keeper);
