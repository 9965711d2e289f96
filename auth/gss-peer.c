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

/* What the ticket says beside its PAC; it is opened with our key, so the KDC has written it. */
static gboolean
note_ticket(VmfGss *gss, VmfPeerIdentity *peer, GError **error)
{
    krb5_context context = gss->keys->context;
    krb5_ticket *ticket = decode_ticket(gss);
    krb5_error_code code = ticket ? krb5_server_decrypt_ticket_keytab(context, gss->keys->keytab,
                                                                      ticket)
                                  : KRB5KRB_AP_ERR_BADVERSION;
    /* libkrb5 also judges the realms on the way; the judge does that more strictly */
    const krb5_enc_tkt_part *part = ticket ? ticket->enc_part2 : NULL;
    if (part) {
        note_client(peer, context, part);
        peer->ticket_enctype = ticket->enc_part.enctype;
        peer->transited = part->transited.tr_contents.length > 0;
        peer->forwarded = (part->flags & (TKT_FLG_FORWARDED | TKT_FLG_PROXY | TKT_FLG_ANONYMOUS)) !=
                          0;
        peer->auth_time = (guint32)part->times.authtime;
        peer->end_time = (guint32)part->times.endtime;
    } else {
        vmf_krb5_fail(error, context, code, "cannot look into the peer's Kerberos ticket");
    }
    krb5_free_ticket(context, ticket);
    return part != NULL;
}

/*
 * The value of @attribute of the peer's name; empty when there is none. MIT checks the PAC against
 * the ticket's key and client, and says so by @authenticated: what is not, is as good as absent.
 */
static void
name_attribute(gss_name_t name, const char *attribute, gss_buffer_t value)
{
    gss_buffer_desc key = {strlen(attribute), (void *)attribute}, shown = GSS_C_EMPTY_BUFFER;
    int authenticated = 0, complete = 0, more = -1;
    OM_uint32 minor;
    OM_uint32 major = gss_get_name_attribute(&minor, name, &key, &authenticated, &complete, value,
                                             &shown, &more);
    gss_release_buffer(&minor, &shown);
    if (GSS_ERROR(major) || !authenticated)
        gss_release_buffer(&minor, value);
}

static gboolean
note_pac(VmfGss *gss, VmfPeerIdentity *peer, GError **error)
{
    OM_uint32 minor, major;
    gss_name_t name = GSS_C_NO_NAME;
    major = gss_inquire_context(&minor, gss->handle, &name, NULL, NULL, NULL, NULL, NULL, NULL);
    if (GSS_ERROR(major))
        return vmf_gss_fail(error, major, minor, "cannot tell who the Kerberos peer is");

    gss_buffer_desc info = GSS_C_EMPTY_BUFFER, delegation = GSS_C_EMPTY_BUFFER;
    name_attribute(name, "urn:mspac:logon-info", &info);
    name_attribute(name, "urn:mspac:delegation-info", &delegation);
    peer->s4u = delegation.length > 0;

    gboolean ok = TRUE;
    if (info.length > 0) {
        g_autoptr(VmfPacLogon) logon = vmf_pac_logon_parse(info.value, info.length, error);
        ok = logon != NULL;
        if (ok) {
            peer->pac_account = g_steal_pointer(&logon->account);
            peer->sid = g_steal_pointer(&logon->sid);
            peer->domain_sid = g_steal_pointer(&logon->domain_sid);
            peer->pac_uac = logon->uac;
            g_ptr_array_extend_and_steal(peer->group_sids, g_ptr_array_ref(logon->group_sids));
            if (g_ptr_array_find_with_equal_func(peer->group_sids, SID_SERVICE_ASSERTED,
                                                 g_str_equal, NULL))
                peer->s4u = TRUE;
        }
    }
    gss_release_buffer(&minor, &info);
    gss_release_buffer(&minor, &delegation);
    gss_release_name(&minor, &name);
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
    if (!note_ticket(gss, peer, error) || !note_pac(gss, peer, error))
        return NULL;
    return g_steal_pointer(&peer);
}
