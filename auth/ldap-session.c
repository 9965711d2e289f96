/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/ldap-session.h"

#include "src/base/error.h"
#include "src/base/text.h"

#include <gio/gio.h>
#include <gssapi/gssapi_krb5.h>
#include <ldap.h>
#include <sasl/sasl.h>
#include <string.h>

#define MAX_SERVERS  4
#define MAX_ENTRIES  65536
#define PAGE_ENTRIES 500
#define TIMEOUT_S    5
#define MIN_SSF      128
#define DETAIL_BYTES 1000

struct _VmfLdapSession {
    VmfHostIdentity *me;
    gchar *ccache_name; /* "FILE:…" */
    LDAP *ld;           /* NULL: not connected */
    gchar *server;      /* of @ld, or of the one before */
    gchar *naming_context;
};

/* ---- entries ---- */

VmfLdapEntry *
vmf_ldap_entry_new(const char *dn)
{
    VmfLdapEntry *entry = g_new0(VmfLdapEntry, 1);
    entry->dn = g_utf8_make_valid(dn, -1);
    entry->attributes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                              (GDestroyNotify)g_ptr_array_unref);
    return entry;
}

void
vmf_ldap_entry_free(VmfLdapEntry *entry)
{
    g_free(entry->dn);
    g_hash_table_unref(entry->attributes);
    g_free(entry);
}

/* With one NUL more than the value has, so that it can be used as text. */
void
vmf_ldap_entry_add(VmfLdapEntry *entry, const char *attribute, gconstpointer value, gsize size)
{
    g_autofree gchar *lower = g_ascii_strdown(attribute, -1);
    GPtrArray *values = g_hash_table_lookup(entry->attributes, lower);
    if (values == NULL) {
        values = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        g_hash_table_insert(entry->attributes, g_steal_pointer(&lower), values);
    }
    gchar *copy = g_malloc(size + 1);
    if (size > 0)
        memcpy(copy, value, size);
    copy[size] = '\0';
    g_ptr_array_add(values, g_bytes_new_take(copy, size + 1));
}

/* ---- the session ---- */

VmfLdapSession *
vmf_ldap_session_new(const VmfHostIdentity *me, const char *ccache)
{
    VmfLdapSession *session = g_new0(VmfLdapSession, 1);
    session->me = vmf_host_identity_copy(me);
    session->ccache_name = g_strconcat("FILE:", ccache, NULL);
    return session;
}

static void
disconnect(VmfLdapSession *session)
{
    if (session->ld)
        ldap_unbind_ext(session->ld, NULL, NULL);
    session->ld = NULL;
    g_clear_pointer(&session->naming_context, g_free);
}

void
vmf_ldap_session_free(VmfLdapSession *session)
{
    if (session == NULL)
        return;
    disconnect(session);
    vmf_host_identity_free(session->me);
    g_free(session->ccache_name);
    g_free(session->server);
    g_free(session);
}

const char *
vmf_ldap_session_server(VmfLdapSession *session)
{
    return session->server;
}

/* The one place where LDAP's codes become ours. Returns: whether a new session may help. */
static gboolean
fail_ldap(GError **error, LDAP *ld, int rc, const char *server, const char *what)
{
    VmfError code = VMF_ERROR_PROTOCOL;
    gboolean dead = FALSE;
    switch (rc) {
    case LDAP_SERVER_DOWN:
    case LDAP_UNAVAILABLE:
    case LDAP_BUSY:
    case LDAP_TIMEOUT:
    case LDAP_CONNECT_ERROR:
    case LDAP_TIMELIMIT_EXCEEDED:
    case LDAP_ENCODING_ERROR: /* the sealing layer, once the ticket has expired */
    case LDAP_DECODING_ERROR:
        code = VMF_ERROR_UNREACHABLE;
        dead = TRUE;
        break;
    case LDAP_OPERATIONS_ERROR: /* Active Directory's word for "you are not bound (any more)" */
    case LDAP_LOCAL_ERROR:
    case LDAP_AUTH_UNKNOWN:
    case LDAP_INVALID_CREDENTIALS:
    case LDAP_STRONG_AUTH_REQUIRED:
    case LDAP_INAPPROPRIATE_AUTH:
        code = VMF_ERROR_AUTH;
        dead = TRUE;
        break;
    case LDAP_INSUFFICIENT_ACCESS:
        code = VMF_ERROR_DENIED;
        break;
    case LDAP_NO_MEMORY:
        code = VMF_ERROR_INTERNAL;
        break;
    default:
        break;
    }
    char *detail = NULL;
    if (ld)
        ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &detail);
    g_autofree gchar *told = vmf_text_tame(detail ? detail : "", DETAIL_BYTES);
    g_set_error(error, VMF_ERROR, code, "cannot %s the domain controller '%s': %s%s%s", what,
                server, ldap_err2string(rc), told[0] ? ": " : "", told);
    ldap_memfree(detail);
    return dead;
}

/* SASL asks for an authorization identity: none but our own. */
static int
interact(LDAP *ld, unsigned flags, void *defaults, void *prompts)
{
    for (sasl_interact_t *prompt = prompts; prompt->id != SASL_CB_LIST_END; prompt++) {
        prompt->result = "";
        prompt->len = 0;
    }
    return LDAP_SUCCESS;
}

static LDAP *
new_handle(const char *server, guint16 port, GError **error)
{
    const struct timeval timeout = {TIMEOUT_S, 0};
    const int version = LDAP_VERSION3;
    LDAP *ld = NULL;
    g_autofree gchar *uri = g_strdup_printf("ldap://%s:%u", server, port);
    int rc = ldap_initialize(&ld, uri);
    if (rc != LDAP_SUCCESS) {
        fail_ldap(error, NULL, rc, server, "use LDAP with");
        return NULL;
    }
    if (ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version) != 0 ||
        ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) != 0 ||
        ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &timeout) != 0 ||
        ldap_set_option(ld, LDAP_OPT_TIMEOUT, &timeout) != 0 ||
        ldap_set_option(ld, LDAP_OPT_X_SASL_NOCANON, LDAP_OPT_ON) != 0 ||
        ldap_set_option(ld, LDAP_OPT_X_SASL_SECPROPS, "minssf=128,noanonymous,noplain") != 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "libldap refuses an option");
        ldap_unbind_ext(ld, NULL, NULL);
        return NULL;
    }
    return ld;
}

/* GSSAPI's default credentials are per thread in MIT Kerberos: ours are set for this bind alone. */
static int
bind_sealed(VmfLdapSession *session, LDAP *ld)
{
    OM_uint32 minor;
    if (GSS_ERROR(gss_krb5_ccache_name(&minor, session->ccache_name, NULL)))
        return LDAP_NO_MEMORY;
    int rc = ldap_sasl_interactive_bind_s(ld, NULL, "GSSAPI", NULL, NULL, LDAP_SASL_QUIET, interact,
                                          NULL);
    gss_krb5_ccache_name(&minor, NULL, NULL);
    if (rc != LDAP_SUCCESS)
        return rc;
    ber_len_t ssf = 0;
    if (ldap_get_option(ld, LDAP_OPT_X_SASL_SSF, &ssf) != 0 || ssf < MIN_SSF)
        return LDAP_STRONG_AUTH_REQUIRED;
    return LDAP_SUCCESS;
}

static gboolean
connect_to(VmfLdapSession *session, const char *server, guint16 port, GError **error)
{
    LDAP *ld = new_handle(server, port, error);
    if (ld == NULL)
        return FALSE;
    int rc = bind_sealed(session, ld);
    if (rc != LDAP_SUCCESS) {
        g_autofree gchar *what = g_strdup_printf("authenticate as '%s' to", session->me->principal);
        fail_ldap(error, ld, rc, server, what);
        ldap_unbind_ext(ld, NULL, NULL);
        return FALSE;
    }
    session->ld = ld;
    if (session->server == NULL || strcmp(session->server, server) != 0) {
        g_free(session->server);
        session->server = g_strdup(server);
    }
    return TRUE;
}

static GList *
find_servers(VmfLdapSession *session, GError **error)
{
    g_autoptr(GResolver) resolver = g_resolver_get_default();
    g_autofree gchar *lower = g_ascii_strdown(session->me->realm, -1);
    g_autofree gchar *domain = g_strconcat("dc._msdcs.", lower, NULL);
    g_autoptr(GError) reason = NULL;
    GList *found = g_resolver_lookup_service(resolver, "ldap", "tcp", domain, NULL, &reason);
    if (found == NULL)
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                    "cannot find the domain controllers of '%s': DNS has no _ldap._tcp.%s: %s; let "
                    "/etc/resolv.conf name the domain's DNS server",
                    session->me->realm, domain, reason ? reason->message : "no answer");
    return found;
}

/* Tries servers in DNS's order; @error gathers how each failed. */
static gboolean
connect_any(VmfLdapSession *session, GError **error)
{
    GList *servers = find_servers(session, error);
    if (servers == NULL)
        return FALSE;
    g_autoptr(GString) reasons = g_string_new(NULL);
    gint code = VMF_ERROR_UNREACHABLE;
    guint tried = 0;
    for (GList *at = servers; at && session->ld == NULL && tried < MAX_SERVERS; at = at->next) {
        g_autoptr(GError) reason = NULL;
        tried++;
        if (connect_to(session, g_srv_target_get_hostname(at->data),
                       g_srv_target_get_port(at->data), &reason))
            break;
        if (reason == NULL) /* cannot be; said for gcc's analyzer */
            continue;
        if (reason->code != VMF_ERROR_UNREACHABLE)
            code = reason->code;
        g_string_append_printf(reasons, "%s%s", reasons->len ? "; " : "", reason->message);
    }
    g_resolver_free_targets(servers);
    if (session->ld)
        return TRUE;
    g_set_error_literal(error, VMF_ERROR, code, reasons->str);
    return FALSE;
}

static VmfLdapEntry *
copy_entry(LDAP *ld, LDAPMessage *message)
{
    char *dn = ldap_get_dn(ld, message);
    VmfLdapEntry *entry = vmf_ldap_entry_new(dn ? dn : "");
    ldap_memfree(dn);
    BerElement *cursor = NULL;
    for (char *name = ldap_first_attribute(ld, message, &cursor); name;
         name = ldap_next_attribute(ld, message, cursor)) {
        struct berval **values = ldap_get_values_len(ld, message, name);
        for (gsize i = 0; values && values[i]; i++)
            vmf_ldap_entry_add(entry, name, values[i]->bv_val, values[i]->bv_len);
        ldap_value_free_len(values);
        ldap_memfree(name);
    }
    ber_free(cursor, 0);
    return entry;
}

/* One page; @cookie is the place to go on from, empty at the beginning and at the end. */
static int
ask_page(LDAP *ld, const char *base, const VmfLdapQuery *query, struct berval *cookie,
         GPtrArray *entries)
{
    LDAPControl *page = NULL;
    int rc = ldap_create_page_control(ld, PAGE_ENTRIES, cookie, 0, &page);
    if (rc != LDAP_SUCCESS)
        return rc;
    LDAPControl *controls[] = {page, NULL};
    struct timeval timeout = {TIMEOUT_S, 0};
    LDAPMessage *answer = NULL;
    rc = ldap_search_ext_s(ld, base, query->whole_tree ? LDAP_SCOPE_SUBTREE : LDAP_SCOPE_BASE,
                           query->filter, (char **)query->attributes, 0,
                           query->whole_tree ? controls : NULL, NULL, &timeout, LDAP_NO_LIMIT,
                           &answer);
    ldap_control_free(page);
    ber_memfree(cookie->bv_val);
    *cookie = (struct berval){0, NULL};

    /* without an answer there is nothing to look at, and libldap aborts the program on NULL */
    for (LDAPMessage *m = answer ? ldap_first_entry(ld, answer) : NULL; m && rc == LDAP_SUCCESS;
         m = ldap_next_entry(ld, m)) {
        g_ptr_array_add(entries, copy_entry(ld, m));
        if (entries->len > MAX_ENTRIES)
            rc = LDAP_SIZELIMIT_EXCEEDED;
    }
    LDAPControl **returned = NULL;
    if (rc == LDAP_SUCCESS && query->whole_tree && answer)
        rc = ldap_parse_result(ld, answer, NULL, NULL, NULL, NULL, &returned, 0);
    LDAPControl *next = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, returned, NULL);
    if (rc == LDAP_SUCCESS && next)
        rc = ldap_parse_pageresponse_control(ld, next, NULL, cookie);
    ldap_controls_free(returned);
    ldap_msgfree(answer);
    return rc;
}

static int
ask_once(LDAP *ld, const char *base, const VmfLdapQuery *query, GPtrArray *entries)
{
    struct berval cookie = {0, NULL};
    int rc;
    do
        rc = ask_page(ld, base, query, &cookie, entries);
    while (rc == LDAP_SUCCESS && cookie.bv_len > 0);
    ber_memfree(cookie.bv_val);
    return rc == LDAP_NO_SUCH_OBJECT ? LDAP_SUCCESS : rc;
}

static int
learn_naming_context(VmfLdapSession *session)
{
    static const char *const wanted[] = {"defaultNamingContext", NULL};
    const VmfLdapQuery query = {"", FALSE, "(objectClass=*)", wanted};
    g_autoptr(GPtrArray)
        entries = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_ldap_entry_free);
    int rc = ask_once(session->ld, "", &query, entries);
    if (rc != LDAP_SUCCESS)
        return rc;
    const char *context = entries->len == 1
                              ? vmf_ldap_entry_text(entries->pdata[0], "defaultNamingContext")
                              : NULL;
    if (context == NULL)
        return LDAP_PROTOCOL_ERROR;
    session->naming_context = g_strdup(context);
    return LDAP_SUCCESS;
}

/* Asks on the present session. @dead: a new one may do better. */
static GPtrArray *
ask_here(VmfLdapSession *session, const VmfLdapQuery *query, gboolean *dead, GError **error)
{
    g_autoptr(GPtrArray)
        entries = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_ldap_entry_free);
    int rc = LDAP_SUCCESS;
    *dead = FALSE;
    if (query->base == NULL && session->naming_context == NULL)
        rc = learn_naming_context(session);
    if (rc == LDAP_SUCCESS)
        rc = ask_once(session->ld, query->base ? query->base : session->naming_context, query,
                      entries);
    if (rc == LDAP_SUCCESS)
        return g_steal_pointer(&entries);
    *dead = fail_ldap(error, session->ld, rc, session->server, "get an answer from");
    return NULL;
}

GPtrArray *
vmf_ldap_session_ask(VmfLdapSession *session, const VmfLdapQuery *query, GError **error)
{
    gboolean dead = FALSE;
    if (session->ld) {
        g_autoptr(GError) reason = NULL;
        GPtrArray *entries = ask_here(session, query, &dead, &reason);
        if (entries)
            return entries;
        if (!dead) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return NULL;
        }
        disconnect(session);
    }
    if (!connect_any(session, error))
        return NULL;
    GPtrArray *entries = ask_here(session, query, &dead, error);
    if (entries == NULL && dead)
        disconnect(session);
    return entries;
}

/* ---- the clock ---- */

static gboolean
two_digits(const char *at, int *value)
{
    *value = g_ascii_isdigit(at[0]) && g_ascii_isdigit(at[1]) ? (at[0] - '0') * 10 + at[1] - '0'
                                                              : -1;
    return *value >= 0;
}

gint64
vmf_ldap_time_parse(const char *text)
{
    int parts[7]; /* century, year, month, day, hour, minute, second */
    gsize length = strlen(text);
    if (length < 15 || text[length - 1] != 'Z' || strspn(text + 14, ".,0123456789") != length - 15)
        return -1;
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++)
        if (!two_digits(text + 2 * i, &parts[i]))
            return -1;
    g_autoptr(GDateTime) time = g_date_time_new_utc(parts[0] * 100 + parts[1], parts[2], parts[3],
                                                    parts[4], parts[5], parts[6]);
    return time != NULL ? g_date_time_to_unix(time) * 1000 : -1;
}

static gboolean
ask_clock(LDAP *ld, const char *server, gint64 *ahead_ms, GError **error)
{
    static const char *const wanted[] = {"currentTime", NULL};
    const VmfLdapQuery query = {"", FALSE, "(objectClass=*)", wanted};
    g_autoptr(GPtrArray)
        entries = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_ldap_entry_free);
    gint64 before_ms = g_get_real_time() / 1000;
    int rc = ask_once(ld, "", &query, entries);
    gint64 after_ms = g_get_real_time() / 1000;
    if (rc != LDAP_SUCCESS) {
        fail_ldap(error, ld, rc, server, "ask the time of");
        return FALSE;
    }
    const char *text = entries->len == 1 ? vmf_ldap_entry_text(entries->pdata[0], "currentTime")
                                         : NULL;
    gint64 its_ms = text != NULL ? vmf_ldap_time_parse(text) : -1;
    if (its_ms < 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "the domain controller '%s' does not tell its time", server);
        return FALSE;
    }
    *ahead_ms = (before_ms + after_ms) / 2 - (its_ms + 500); /* it tells whole seconds */
    return TRUE;
}

gboolean
vmf_ldap_session_clock(VmfLdapSession *session, gint64 *ahead_ms, gchar **server, GError **error)
{
    GList *servers = find_servers(session, error);
    g_autoptr(GError) reason = NULL;
    gboolean known = FALSE;
    guint tried = 0;
    for (GList *at = servers; at && !known && tried < MAX_SERVERS; at = at->next, tried++) {
        const char *name = g_srv_target_get_hostname(at->data);
        g_clear_error(&reason);
        LDAP *ld = new_handle(name, g_srv_target_get_port(at->data), &reason);
        known = ld != NULL && ask_clock(ld, name, ahead_ms, &reason);
        if (known)
            *server = g_strdup(name);
        if (ld)
            ldap_unbind_ext(ld, NULL, NULL);
    }
    if (servers == NULL)
        return FALSE;
    g_resolver_free_targets(servers);
    if (!known)
        g_propagate_error(error, g_steal_pointer(&reason));
    return known;
}

GPtrArray *
vmf_ldap_entry_values(const VmfLdapEntry *entry, const char *attribute)
{
    g_autofree gchar *lower = g_ascii_strdown(attribute, -1);
    return g_hash_table_lookup(entry->attributes, lower);
}

const char *
vmf_ldap_entry_text(const VmfLdapEntry *entry, const char *attribute)
{
    GPtrArray *values = vmf_ldap_entry_values(entry, attribute);
    if (values == NULL || values->len != 1)
        return NULL;
    gsize size;
    const char *text = g_bytes_get_data(values->pdata[0], &size);
    return g_utf8_validate(text, (gssize)size - 1, NULL) ? text : NULL; /* rejects a NUL inside */
}
