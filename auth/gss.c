/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/gss.h"

#include "auth/ap-req.h"
#include "auth/gss-private.h"
#include "auth/initial-ticket.h"
#include "auth/krb5-util.h"
#include "auth/service-ticket.h"

#include <gssapi/gssapi_krb5.h>
#include <string.h>

#define WANTED_FLAGS                                                                               \
    (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_INTEG_FLAG |              \
     GSS_C_CONF_FLAG)

static gss_OID_set_desc krb5_only = {1, (gss_OID)&vmf_gss_krb5_oid};

gss_OID_desc vmf_gss_krb5_oid = {9, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};

static void
append_status(GString *text, OM_uint32 status, int type)
{
    OM_uint32 more = 0, minor;
    do {
        gss_buffer_desc part = GSS_C_EMPTY_BUFFER;
        if (GSS_ERROR(gss_display_status(&minor, status, type, &vmf_gss_krb5_oid, &more, &part)))
            return;
        g_string_append_printf(text, "%s%.*s", text->len ? ": " : "", (int)part.length,
                               (char *)part.value);
        gss_release_buffer(&minor, &part);
    } while (more != 0);
}

gboolean
vmf_gss_fail(GError **error, OM_uint32 major, OM_uint32 minor, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree gchar *what = g_strdup_vprintf(format, args);
    va_end(args);

    /* the mechanism's text says all that matters; the generic one ("Unspecified GSS failure") is
     * for when there is none */
    g_autoptr(GString) why = g_string_new(NULL);
    if (minor != 0)
        append_status(why, minor, GSS_C_MECH_CODE);
    if (why->len == 0)
        append_status(why, major, GSS_C_GSS_CODE);

    VmfError code = vmf_krb5_error_code((krb5_error_code)minor);
    const char *cure = vmf_krb5_cure((krb5_error_code)minor);
    if (GSS_ROUTINE_ERROR(major) == GSS_S_DEFECTIVE_TOKEN)
        code = VMF_ERROR_PROTOCOL;
    g_set_error(error, VMF_ERROR, code, "%s: %s%s%s", what, why->str, cure ? "; " : "",
                cure ? cure : "");
    return FALSE;
}

static gboolean
import_principal(const char *principal, gss_name_t *name, GError **error)
{
    OM_uint32 minor;
    gss_buffer_desc text = {strlen(principal), (void *)principal};
    OM_uint32 major = gss_import_name(&minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, name);
    return !GSS_ERROR(major) ||
           vmf_gss_fail(error, major, minor, "'%s' is no Kerberos name", principal);
}

/* Credentials of @principal from one place in @key = @value, good for AES only. */
static gboolean
acquire(VmfGss *gss, const char *principal, gss_cred_usage_t usage, const char *key,
        const char *value, GError **error)
{
    gss_name_t name = GSS_C_NO_NAME;
    if (!import_principal(principal, &name, error))
        return FALSE;
    gss_key_value_element_desc element = {key, value};
    gss_key_value_set_desc store = {1, &element};
    OM_uint32 minor, ignored;
    OM_uint32 major = gss_acquire_cred_from(&minor, name, GSS_C_INDEFINITE, &krb5_only, usage,
                                            &store, &gss->cred, NULL, NULL);
    gss_release_name(&ignored, &name);
    if (!GSS_ERROR(major)) {
        krb5_enctype enctypes[G_N_ELEMENTS(vmf_aes_enctypes)];
        memcpy(enctypes, vmf_aes_enctypes, sizeof enctypes);
        major = gss_krb5_set_allowable_enctypes(&minor, gss->cred, G_N_ELEMENTS(enctypes),
                                                enctypes);
    }
    return !GSS_ERROR(major) ||
           vmf_gss_fail(error, major, minor, "cannot use the Kerberos credentials of '%s' in '%s'",
                        principal, value);
}

/* A cache in memory with one ticket; its name is returned, vmf_gss_free() destroys it. */
static gchar *
new_memory_cache(VmfGss *gss, krb5_creds *creds, GError **error)
{
    krb5_error_code code = krb5_cc_new_unique(gss->context, "MEMORY", NULL, &gss->cache);
    if (code == 0)
        code = krb5_cc_initialize(gss->context, gss->cache, creds->client);
    if (code == 0)
        code = krb5_cc_store_cred(gss->context, gss->cache, creds);
    char *name = NULL;
    if (code == 0)
        code = krb5_cc_get_full_name(gss->context, gss->cache, &name);
    if (code != 0) {
        vmf_krb5_fail(error, gss->context, code, "cannot keep a Kerberos ticket in memory");
        return NULL;
    }
    gchar *copy = g_strdup(name);
    krb5_free_string(gss->context, name);
    return copy;
}

/* The same with a TGT of the last minute. */
static gchar *
new_own_cache(VmfGss *gss, const char *keytab, GError **error)
{
    krb5_creds creds = {0};
    if (!vmf_recent_ticket(gss->context, gss->me, keytab, &creds, error))
        return NULL;
    gchar *name = new_memory_cache(gss, &creds, error);
    krb5_free_cred_contents(gss->context, &creds);
    return name;
}

static VmfGss *
new_initiator(const VmfHostIdentity *me, const char *peer_fqdn, GError **error)
{
    g_autoptr(VmfGss) gss = g_new0(VmfGss, 1);
    gss->initiator = TRUE;
    gss->me = vmf_host_identity_copy(me);
    gss->peer_fqdn = g_ascii_strdown(peer_fqdn, -1);
    gss->peer_principal = g_strdup_printf("host/%s@%s", gss->peer_fqdn, me->realm);
    gss->context = vmf_krb5_context(error);
    return gss->context && import_principal(gss->peer_principal, &gss->target, error)
               ? g_steal_pointer(&gss)
               : NULL;
}

VmfGss *
vmf_gss_initiator(const VmfHostIdentity *me, const char *keytab, const char *ccache,
                  const char *peer_fqdn, GError **error)
{
    g_autoptr(VmfGss) gss = new_initiator(me, peer_fqdn, error);
    if (gss == NULL)
        return NULL;
    g_autofree gchar *cache = ccache
                                  ? g_strconcat("FILE:", ccache, NULL)
                                  : new_own_cache(gss, keytab ? keytab : VMF_DEFAULT_KEYTAB, error);
    if (cache == NULL || !acquire(gss, me->principal, GSS_C_INITIATE, "ccache", cache, error))
        return NULL;
    return g_steal_pointer(&gss);
}

VmfGss *
vmf_gss_initiator_with(const VmfHostIdentity *me, GBytes *ticket, const char *peer_fqdn,
                       GError **error)
{
    g_autoptr(VmfGss) gss = new_initiator(me, peer_fqdn, error);
    if (gss == NULL)
        return NULL;
    g_autoptr(VmfServiceTicket) creds = vmf_service_ticket_read(gss->context, ticket, error);
    g_autofree gchar *cache = creds ? new_memory_cache(gss, creds->creds, error) : NULL;
    if (cache == NULL || !acquire(gss, me->principal, GSS_C_INITIATE, "ccache", cache, error))
        return NULL;
    return g_steal_pointer(&gss);
}

VmfGss *
vmf_gss_acceptor(const VmfHostIdentity *me, const char *keytab, GError **error)
{
    g_autoptr(VmfGss) gss = g_new0(VmfGss, 1);
    gss->me = vmf_host_identity_copy(me);
    gss->keys = vmf_service_keytab_new(me, keytab ? keytab : VMF_DEFAULT_KEYTAB, error);
    if (gss->keys == NULL ||
        !acquire(gss, gss->keys->server_name, GSS_C_ACCEPT, "keytab", gss->keys->name, error))
        return NULL;
    return g_steal_pointer(&gss);
}

void
vmf_gss_warm_up(void)
{
    OM_uint32 minor;
    gss_OID_set mechanisms = GSS_C_NO_OID_SET;
    gss_indicate_mechs(&minor, &mechanisms);
    gss_release_oid_set(&minor, &mechanisms);
}

void
vmf_gss_free(VmfGss *gss)
{
    if (gss == NULL)
        return;
    OM_uint32 minor;
    gss_delete_sec_context(&minor, &gss->handle, GSS_C_NO_BUFFER);
    gss_release_cred(&minor, &gss->cred);
    gss_release_name(&minor, &gss->target);
    if (gss->cache)
        krb5_cc_destroy(gss->context, gss->cache);
    if (gss->context)
        krb5_free_context(gss->context);
    vmf_service_keytab_free(gss->keys);
    vmf_host_identity_free(gss->me);
    g_clear_pointer(&gss->initial_token, g_bytes_unref);
    g_free(gss->peer_fqdn);
    g_free(gss->peer_principal);
    g_free(gss);
}

static GBytes *
take_output(gss_buffer_t output)
{
    OM_uint32 minor;
    GBytes *bytes = output->length > 0 ? g_bytes_new(output->value, output->length) : NULL;
    gss_release_buffer(&minor, output);
    return bytes;
}

static gboolean
check_result(const VmfGss *gss, OM_uint32 flags, gss_OID mechanism, GError **error)
{
    const char *lacking = NULL;
    if (mechanism == GSS_C_NO_OID || mechanism->length != vmf_gss_krb5_oid.length ||
        memcmp(mechanism->elements, vmf_gss_krb5_oid.elements, mechanism->length) != 0)
        lacking = "it is not the Kerberos mechanism";
    else if ((flags & WANTED_FLAGS) != WANTED_FLAGS)
        lacking = "not mutual, protected against replay and reordering, signed and sealed";
    else if (flags & (GSS_C_DCE_STYLE | GSS_C_ANON_FLAG))
        lacking = "DCE style or anonymous";
    if (lacking == NULL)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_AUTH,
                "the Kerberos exchange with '%s' is refused: %s; both ends must run vmferry",
                gss->initiator ? gss->peer_principal : "the peer", lacking);
    return FALSE;
}

static gboolean
initiate(VmfGss *gss, GBytes *token, GBytes **reply, gboolean *done, GError **error)
{
    gss_buffer_desc input = GSS_C_EMPTY_BUFFER, output = GSS_C_EMPTY_BUFFER;
    if (token)
        input.value = (void *)g_bytes_get_data(token, &input.length);
    gss_OID mechanism = GSS_C_NO_OID;
    OM_uint32 minor, flags = 0;
    OM_uint32 major = gss_init_sec_context(
        &minor, gss->cred, &gss->handle, gss->target, &vmf_gss_krb5_oid, WANTED_FLAGS, 0,
        GSS_C_NO_CHANNEL_BINDINGS, &input, &mechanism, &output, &flags, NULL);
    *reply = take_output(&output);
    if (GSS_ERROR(major))
        return vmf_gss_fail(error, major, minor, "cannot authenticate '%s' to '%s'",
                            gss->me->principal, gss->peer_principal);
    if (major & GSS_S_CONTINUE_NEEDED)
        return TRUE;
    *done = TRUE;
    return check_result(gss, flags, mechanism, error);
}

static gboolean
accept_token(VmfGss *gss, GBytes *token, GBytes **reply, gboolean *done, GError **error)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(token, &size), *ticket;
    if (!vmf_ap_req_find_ticket(data, size, &ticket, &gss->ticket_size)) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "the peer's first token is not a Kerberos AP-REQ");
        return FALSE;
    }
    gss->initial_token = g_bytes_ref(token);
    gss->ticket_offset = (gsize)(ticket - data);

    gss_buffer_desc input = {size, (void *)data}, output = GSS_C_EMPTY_BUFFER;
    gss_cred_id_t delegated = GSS_C_NO_CREDENTIAL;
    gss_OID mechanism = GSS_C_NO_OID;
    OM_uint32 minor, ignored, flags = 0;
    OM_uint32 major = gss_accept_sec_context(&minor, &gss->handle, gss->cred, &input,
                                             GSS_C_NO_CHANNEL_BINDINGS, NULL, &mechanism, &output,
                                             &flags, NULL, &delegated);
    *reply = take_output(&output);
    gss->delegated = (flags & GSS_C_DELEG_FLAG) || delegated != GSS_C_NO_CREDENTIAL;
    gss_release_cred(&ignored, &delegated);
    if (GSS_ERROR(major)) {
        g_autofree gchar *seen = vmf_gss_describe_ticket(gss);
        return vmf_gss_fail(error, major, minor, "cannot accept a Kerberos ticket%s as '%s'", seen,
                            gss->keys->server_name);
    }
    if (!check_result(gss, flags, mechanism, error))
        return FALSE;
    if (major & GSS_S_CONTINUE_NEEDED) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "the peer's Kerberos exchange wants more steps than it may have");
        return FALSE;
    }
    *done = TRUE;
    return TRUE;
}

gboolean
vmf_gss_step(VmfGss *gss, GBytes *token, GBytes **reply, gboolean *done, GError **error)
{
    *reply = NULL;
    *done = FALSE;
    guint most = gss->initiator ? 2 : 1;
    if (gss->steps++ >= most || (token && g_bytes_get_size(token) > VMF_GSS_MAX_TOKEN) ||
        (token == NULL) != (gss->initiator && gss->steps == 1)) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "a Kerberos token out of turn, or too long");
        return FALSE;
    }
    if (!gss->initiator)
        return accept_token(gss, token, reply, done, error);
    if (!initiate(gss, token, reply, done, error))
        return FALSE;
    if (*done != (gss->steps == 2)) {
        *done = FALSE;
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "the Kerberos exchange with '%s' did not take the steps it must",
                    gss->peer_principal);
        return FALSE;
    }
    return TRUE;
}

gboolean
vmf_gss_derive(VmfGss *gss, const guint8 *label, gsize label_size, guint8 key[VMF_GSS_KEY_BYTES],
               GError **error)
{
    gss_buffer_desc input = {label_size, (void *)label}, output = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    OM_uint32 major = gss_pseudo_random(&minor, gss->handle, GSS_C_PRF_KEY_FULL, &input,
                                        VMF_GSS_KEY_BYTES, &output);
    gboolean ok = !GSS_ERROR(major) && output.length == VMF_GSS_KEY_BYTES;
    if (ok)
        memcpy(key, output.value, VMF_GSS_KEY_BYTES);
    else
        vmf_gss_fail(error, major, minor, "cannot derive a key from the Kerberos session");
    if (output.value)
        explicit_bzero(output.value, output.length);
    gss_release_buffer(&minor, &output);
    return ok;
}
