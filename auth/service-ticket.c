/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/service-ticket.h"

#include "auth/gss.h"
#include "auth/initial-ticket.h"
#include "auth/krb5-util.h"

#include <string.h>

void
vmf_service_ticket_free(VmfServiceTicket *ticket)
{
    if (ticket == NULL)
        return;
    krb5_free_creds(ticket->context, ticket->creds);
    g_free(ticket);
}

VmfServiceTicket *
vmf_service_ticket_read(krb5_context context, GBytes *bytes, GError **error)
{
    gsize size;
    const char *data = g_bytes_get_data(bytes, &size);
    krb5_data raw = {0, (unsigned)size, (char *)data};
    krb5_creds *creds = NULL;
    krb5_error_code code = krb5_unmarshal_credentials(context, &raw, &creds);
    if (code != 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "a Kerberos ticket cannot be read");
        return NULL;
    }
    VmfServiceTicket *ticket = g_new0(VmfServiceTicket, 1);
    *ticket = (VmfServiceTicket){context, creds};
    return ticket;
}

/* ---- asked for ---- */

typedef struct {
    krb5_context context;
    krb5_ccache cache;
    gboolean in_memory;
} Source;

static void
source_clear(Source *source)
{
    if (source->cache && source->in_memory)
        krb5_cc_destroy(source->context, source->cache);
    else if (source->cache)
        krb5_cc_close(source->context, source->cache);
    if (source->context)
        krb5_free_context(source->context);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Source, source_clear)

/* A cache with a TGT: the caller's file, or one in memory with that of an exchange a moment ago. */
static krb5_error_code
open_source(Source *source, const VmfHostIdentity *me, const char *keytab, const char *ccache,
            GError **error)
{
    g_autofree gchar *file = ccache ? g_strconcat("FILE:", ccache, NULL) : NULL;
    if (file)
        return krb5_cc_resolve(source->context, file, &source->cache);
    krb5_creds tgt = {0};
    if (!vmf_recent_ticket(source->context, me, keytab ? keytab : VMF_DEFAULT_KEYTAB, &tgt, error))
        return 0;
    krb5_error_code code = krb5_cc_new_unique(source->context, "MEMORY", NULL, &source->cache);
    source->in_memory = TRUE;
    if (code == 0)
        code = krb5_cc_initialize(source->context, source->cache, tgt.client);
    if (code == 0)
        code = krb5_cc_store_cred(source->context, source->cache, &tgt);
    krb5_free_cred_contents(source->context, &tgt);
    return code;
}

static krb5_error_code
ask(Source *source, const VmfHostIdentity *me, const char *server, krb5_data **raw)
{
    krb5_creds wanted = {0}, *got = NULL;
    krb5_enctype enctypes[G_N_ELEMENTS(vmf_aes_enctypes) + 1] = {0};
    memcpy(enctypes, vmf_aes_enctypes, sizeof vmf_aes_enctypes);
    krb5_error_code code = krb5_set_default_tgs_enctypes(source->context, enctypes);
    if (code == 0)
        code = krb5_parse_name(source->context, me->principal, &wanted.client);
    if (code == 0)
        code = krb5_parse_name(source->context, server, &wanted.server);
    if (code == 0)
        code = krb5_get_credentials(source->context, 0, source->cache, &wanted, &got);
    if (code == 0)
        code = krb5_marshal_credentials(source->context, got, raw);
    if (got)
        krb5_free_creds(source->context, got);
    krb5_free_cred_contents(source->context, &wanted);
    return code;
}

static void
zero_and_free(gpointer data)
{
    GByteArray *array = data;
    explicit_bzero(array->data, array->len);
    g_byte_array_unref(array);
}

GBytes *
vmf_gss_ticket(const VmfHostIdentity *me, const char *keytab, const char *ccache,
               const char *peer_fqdn, GError **error)
{
    g_auto(Source) source = {vmf_krb5_context(error), NULL, FALSE};
    g_autofree gchar *host = g_ascii_strdown(peer_fqdn, -1);
    g_autofree gchar *server = g_strdup_printf("host/%s@%s", host, me->realm);
    krb5_data *raw = NULL;
    if (source.context == NULL)
        return NULL;
    krb5_error_code code = open_source(&source, me, keytab, ccache, error);
    if (code == 0 && source.cache == NULL)
        return NULL; /* no TGT; @error says why */
    if (code == 0)
        code = ask(&source, me, server, &raw);
    if (code != 0) {
        vmf_krb5_fail(error, source.context, code, "cannot authenticate '%s' to '%s'",
                      me->principal, server);
        return NULL;
    }
    GByteArray *array = g_byte_array_sized_new(raw->length);
    g_byte_array_append(array, (const guint8 *)raw->data, raw->length);
    explicit_bzero(raw->data, raw->length);
    krb5_free_data(source.context, raw);
    return g_bytes_new_with_free_func(array->data, array->len, zero_and_free, array);
}
