/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/host-identity.h"

/*
 * A signed and sealed LDAP session with one of the realm's domain controllers, kept alive.
 *
 * Not thread-safe: VmfDirectory holds the lock.
 *
 * Failure model: a question that fails because the session is dead (server gone, idle time-out, ticket
 * expired) is asked once more on a new session, with each server in turn; the caller never sees half
 * an answer. Server names come from DNS, which nobody signs: a false name cannot pass, because the
 * server must hold the key of ldap/NAME in our realm.
 */

typedef struct _VmfLdapSession VmfLdapSession;

/**
 * VmfLdapEntry - one entry of an answer
 * @dn:         its distinguished name
 * @attributes: name in lower case → GPtrArray of GBytes, one per value, each with a NUL after
 *              the value that is counted in its size; absent when without values
 */
typedef struct {
    gchar *dn;
    GHashTable *attributes;
} VmfLdapEntry;

/** vmf_ldap_entry_new() - without attributes; what is no UTF-8 in @dn is replaced */
VmfLdapEntry *vmf_ldap_entry_new(const char *dn);
void vmf_ldap_entry_free(VmfLdapEntry *entry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfLdapEntry, vmf_ldap_entry_free)

/** vmf_ldap_entry_add() - one value more of an attribute */
void
vmf_ldap_entry_add(VmfLdapEntry *entry, const char *attribute, gconstpointer value, gsize size);

/**
 * VmfLdapQuery - a question
 * @base:       %NULL: the domain's naming context; "": the server's own entry
 * @whole_tree: below @base too; else only @base itself
 * @filter:     RFC 4515 text, values escaped
 * @attributes: %NULL-terminated
 */
typedef struct {
    const char *base;
    gboolean whole_tree;
    const char *filter;
    const char *const *attributes;
} VmfLdapQuery;

VmfLdapSession *vmf_ldap_session_new(const VmfHostIdentity *me, const char *ccache);
void vmf_ldap_session_free(VmfLdapSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfLdapSession, vmf_ldap_session_free)

/**
 * vmf_ldap_session_ask() - all entries that answer @query (paged, at most 65536)
 *
 * Returns: (transfer full) (element-type VmfLdapEntry): maybe empty; %NULL and the errors of
 *   vmf_directory_computer(), a missing @base counts as no entries.
 */
GPtrArray *vmf_ldap_session_ask(VmfLdapSession *session, const VmfLdapQuery *query, GError **error);

/**
 * vmf_ldap_session_clock() - the clock of a domain controller (its rootDSE's currentTime)
 * @ahead_ms: (out): this host's clock less its own, to within a second
 * @server:   (out) (transfer full): which one
 *
 * Asked anonymously on a connection of its own: that also works when the clocks are so far apart
 * that Kerberos does not. Returns: %FALSE with VMF_ERROR_UNREACHABLE or VMF_ERROR_PROTOCOL.
 */
gboolean
vmf_ldap_session_clock(VmfLdapSession *session, gint64 *ahead_ms, gchar **server, GError **error);

/** vmf_ldap_time_parse() - "20261122044700.0Z" (RFC 4517 3.3.13, in UTC). Returns: unix ms; -1: no */
gint64 vmf_ldap_time_parse(const char *text);

/** vmf_ldap_session_server() - host name of the present or last server; may be %NULL */
const char *vmf_ldap_session_server(VmfLdapSession *session);

/** vmf_ldap_entry_text() - the only value as text, owned by the entry; %NULL: none, several, not UTF-8 */
const char *vmf_ldap_entry_text(const VmfLdapEntry *entry, const char *attribute);

/** vmf_ldap_entry_values() - (nullable) (element-type GBytes): owned by the entry */
GPtrArray *vmf_ldap_entry_values(const VmfLdapEntry *entry, const char *attribute);
