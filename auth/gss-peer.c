/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/gss-private.h"
#include "auth/krb5-util.h"
#include "auth/pac.h"

#include <string.h>

/* "Service asserted identity" (MS-KILE 3.3.5.6.4.8): in the PAC of every S4U2Self ticket. */
#define SID_SERVICE_ASSERTED "S-1-18-2"

static krb5_ticket *
decode_ticket(VmfGss *gss)
{
    gsize size;
    const char *token = g_bytes_get_data(gss->initial_token, &size);
    krb5_data der = {0, (unsigned)gss->ticket_size, (char *)token + gss->ticket_offset};
    krb5_ticket *ticket = NULL;
    return krb5_decode_ticket(&der, &ticket) == 0 ? ticket : NULL;
}

gchar *
vmf_gss_describe_ticket(VmfGss *gss)
{
    krb5_ticket *ticket = decode_ticket(gss);
    if (ticket == NULL)
        return g_strdup("");
    char *server = NULL;
    krb5_context context = gss->keys->context;
    g_autofree gchar *enctype = vmf_enctype_name(ticket->enc_part.enctype);
    gchar *text = NULL;
    if (krb5_unparse_name(context, ticket->server, &server) == 0) {
        g_autofree gchar *safe = g_utf8_make_valid(server, -1);
        text = g_strdup_printf(" for '%s' encrypted with %s%s", safe, enctype,
                               vmf_enctype_is_aes(ticket->enc_part.enctype)
                                   ? ""
                                   : " (refused: only AES is good enough)");
    }
    krb5_free_unparsed_name(context, server);
    krb5_free_ticket(context, ticket);
    return text ? text : g_strdup("");
}

/* The encryption type is the last arc of the OID that comes with the key (MS SSPI's way). */
static gint
session_enctype(VmfGss *gss)
{
    static const guint8 prefix[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x04};
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    OM_uint32 minor;
    gint enctype = 0;
    if (GSS_ERROR(
            gss_inquire_sec_context_by_oid(&minor, gss->handle, GSS_C_INQ_SSPI_SESSION_KEY, &set)))
        return 0;
    if (set->count == 2 && set->elements[1].length == sizeof prefix + 1 &&
        memcmp(set->elements[1].value, prefix, sizeof prefix) == 0)
        enctype = ((const guint8 *)set->elements[1].value)[sizeof prefix];
    for (gsize i = 0; i < set->count; i++)
        explicit_bzero(set->elements[i].value, set->elements[i].length);
    gss_release_buffer_set(&minor, &set);
    return enctype;
}

static void
note_client(VmfPeerIdentity *peer, krb5_context context, const krb5_enc_tkt_part *part)
{
    const krb5_principal_data *client = part->client;
    char *name = NULL;
    if (krb5_unparse_name(context, client, &name) == 0)
        peer->principal = g_utf8_make_valid(name, -1);
    krb5_free_unparsed_name(context, name);
    peer->realm = g_strndup(client->realm.data, client->realm.length);
    if (client->length == 1)
        peer->account = g_strndup(client->data[0].data, client->data[0].length);
}

/* What the ticket says beside its PAC. */
static void
note_ticket(VmfPeerIdentity *peer, krb5_context context, const krb5_ticket *ticket)
{
    const krb5_enc_tkt_part *part = ticket->enc_part2;
    note_client(peer, context, part);
    peer->ticket_enctype = ticket->enc_part.enctype;
    peer->transited = part->transited.tr_contents.length > 0;
    peer->forwarded = (part->flags & (TKT_FLG_FORWARDED | TKT_FLG_PROXY | TKT_FLG_ANONYMOUS)) != 0;
    peer->auth_time = (guint32)part->times.authtime;
    peer->end_time = (guint32)part->times.endtime;
}

/*
 * Whether the PAC is signed with one of our keys and about the ticket's client. GSSAPI's name attributes
 * would say so too, but krb5 1.21 (pac.c, verify_pac_checksums()) lost the check of the server
 * signature on the way to the flag that they report; the return value here is right in all versions.
 */
static gboolean
pac_is_genuine(const VmfServiceKeytab *keys, krb5_pac pac, const krb5_ticket *ticket)
{
    const krb5_enc_tkt_part *part = ticket->enc_part2;
    krb5_kt_cursor cursor = NULL;
    krb5_keytab_entry entry;
    gboolean genuine = FALSE;
    if (krb5_kt_start_seq_get(keys->context, keys->keytab, &cursor) != 0)
        return FALSE;
    while (!genuine && krb5_kt_next_entry(keys->context, keys->keytab, &entry, &cursor) == 0) {
        genuine = entry.key.enctype == ticket->enc_part.enctype &&
                  krb5_pac_verify(keys->context, pac, part->times.authtime, part->client,
                                  &entry.key, NULL) == 0;
        krb5_free_keytab_entry_contents(keys->context, &entry);
    }
    krb5_kt_end_seq_get(keys->context, keys->keytab, &cursor);
    return genuine;
}

static gboolean
note_logon(VmfPeerIdentity *peer, const krb5_data *info, GError **error)
{
    g_autoptr(VmfPacLogon)
        logon = vmf_pac_logon_parse((const guint8 *)info->data, info->length, error);
    if (logon == NULL)
        return FALSE;
    peer->pac_account = g_steal_pointer(&logon->account);
    peer->sid = g_steal_pointer(&logon->sid);
    peer->domain_sid = g_steal_pointer(&logon->domain_sid);
    peer->pac_uac = logon->uac;
    g_ptr_array_extend_and_steal(peer->group_sids, g_ptr_array_ref(logon->group_sids));
    if (g_ptr_array_find_with_equal_func(peer->group_sids, SID_SERVICE_ASSERTED, g_str_equal, NULL))
        peer->s4u = TRUE;
    return TRUE;
}

static gboolean
read_pac(const VmfServiceKeytab *keys, VmfPeerIdentity *peer, const krb5_ticket *ticket,
         const krb5_authdata *bytes, GError **error)
{
    krb5_context context = keys->context;
    krb5_pac pac = NULL;
    krb5_data info = {0}, delegation = {0};
    gboolean ok = TRUE;
    if (krb5_pac_parse(context, bytes->contents, bytes->length, &pac) != 0)
        return TRUE; /* as good as none */
    if (pac_is_genuine(keys, pac, ticket) &&
        krb5_pac_get_buffer(context, pac, KRB5_PAC_LOGON_INFO, &info) == 0) {
        peer->s4u = krb5_pac_get_buffer(context, pac, KRB5_PAC_DELEGATION_INFO, &delegation) == 0;
        ok = note_logon(peer, &info, error);
    }
    krb5_free_data_contents(context, &info);
    krb5_free_data_contents(context, &delegation);
    krb5_pac_free(context, pac);
    return ok;
}

/* A PAC that is absent or not genuine leaves @peer without a SID: the judge has words for that. */
static gboolean
note_pac(const VmfServiceKeytab *keys, VmfPeerIdentity *peer, const krb5_ticket *ticket,
         GError **error)
{
    krb5_authdata **found = NULL;
    if (krb5_find_authdata(keys->context, ticket->enc_part2->authorization_data, NULL,
                           KRB5_AUTHDATA_WIN2K_PAC, &found) != 0 ||
        found == NULL)
        return TRUE;
    gboolean ok = found[0] == NULL;
    if (found[0] && found[1])
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "the Kerberos ticket of '%s' carries more than one PAC", peer->principal);
    else if (found[0])
        ok = read_pac(keys, peer, ticket, found[0], error);
    krb5_free_authdata(keys->context, found);
    return ok;
}

/* The ticket, opened with our key: the KDC has written what is in it. */
static gboolean
note_all(VmfGss *gss, VmfPeerIdentity *peer, GError **error)
{
    krb5_context context = gss->keys->context;
    krb5_ticket *ticket = decode_ticket(gss);
    krb5_error_code code = KRB5KRB_AP_ERR_BADVERSION;
    if (ticket)
        code = krb5_server_decrypt_ticket_keytab(context, gss->keys->keytab, ticket);
    gboolean ok = FALSE;
    /* libkrb5 also judges the realms on the way; the judge does that more strictly */
    if (ticket && ticket->enc_part2) {
        note_ticket(peer, context, ticket);
        ok = note_pac(gss->keys, peer, ticket, error);
    } else {
        vmf_krb5_fail(error, context, code, "cannot look into the peer's Kerberos ticket");
    }
    krb5_free_ticket(context, ticket);
    return ok;
}

VmfPeerIdentity *
vmf_gss_peer(VmfGss *gss, GError **error)
{
    g_autoptr(VmfPeerIdentity) peer = vmf_peer_identity_new();
    peer->session_enctype = session_enctype(gss);
    if (gss->initiator) {
        peer->proof = VMF_PEER_PROVEN_BY_SERVICE_KEY;
        peer->realm = g_strdup(gss->me->realm);
        peer->principal = g_strdup(gss->peer_principal);
        peer->fqdn = g_strdup(gss->peer_fqdn);
        return g_steal_pointer(&peer);
    }
    peer->proof = VMF_PEER_PROVEN_BY_TICKET;
    peer->delegated = gss->delegated;
    if (!note_all(gss, peer, error))
        return NULL;
    return g_steal_pointer(&peer);
}
