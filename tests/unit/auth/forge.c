/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/auth/forge.h"

#include "policy/sid.h"

#include <glib/gstdio.h>
#include <string.h>

/* exported by libkrb5, declared by nobody (krb5's k5-int.h) */
krb5_error_code
krb5_encrypt_tkt_part(krb5_context context, const krb5_keyblock *key, krb5_ticket *ticket);
krb5_error_code encode_krb5_ticket(const krb5_ticket *ticket, krb5_data **der);

static gchar *folder;

#define MUST(call)                                                                                 \
    do {                                                                                           \
        krb5_error_code must_code = (call);                                                        \
        if (must_code != 0)                                                                        \
            g_error("%s: %s", #call, krb5_get_error_message(NULL, must_code));                     \
    } while (0)

void
forge_begin(void)
{
    folder = g_dir_make_tmp("vmferry-forge-XXXXXX", NULL);
    g_assert_nonnull(folder);
    g_autofree gchar *conf = forge_path("krb5.conf");
    g_autofree gchar *cache = g_strconcat("FILE:", folder, "/default.cc", NULL);
    g_autofree gchar *replay = g_strconcat("file2:", folder, "/replay", NULL);
    static const char text[] = "[libdefaults]\n"
                               " default_realm = LAB.TEST\n"
                               " dns_lookup_kdc = false\n"
                               " dns_canonicalize_hostname = false\n"
                               " rdns = false\n"
                               " allow_rc4 = true\n"
                               "[realms]\n"
                               " LAB.TEST = {\n"
                               "  kdc = 127.0.0.1:9\n"
                               " }\n";
    g_assert_true(g_file_set_contents(conf, text, -1, NULL));
    g_setenv("KRB5_CONFIG", conf, TRUE);
    g_setenv("KRB5CCNAME", cache, TRUE);
    g_setenv("KRB5RCACHENAME", replay, TRUE);
}

void
forge_end(void)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree gchar *path = forge_path(name);
        g_remove(path);
    }
    g_rmdir(folder);
    g_clear_pointer(&folder, g_free);
}

gchar *
forge_path(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

/* The key of @server: made of its name, so that keytab and ticket agree. */
static void
key_of(krb5_context context, const char *server, krb5_enctype enctype, krb5_keyblock *key)
{
    krb5_data text = {0, (unsigned)strlen(server), (char *)server};
    MUST(krb5_c_string_to_key(context, enctype, &text, &text, key));
}

gchar *
forge_keytab(const char *name, const krb5_enctype *enctypes, ...)
{
    krb5_context context;
    krb5_keytab keytab;
    gchar *path = forge_path(name);
    g_autofree gchar *full = g_strconcat("WRFILE:", path, NULL);
    MUST(krb5_init_context(&context));
    MUST(krb5_kt_resolve(context, full, &keytab));
    va_list args;
    va_start(args, enctypes);
    for (const char *who; (who = va_arg(args, const char *));) {
        for (const krb5_enctype *enctype = enctypes; *enctype; enctype++) {
            krb5_keytab_entry entry = {.vno = 1};
            MUST(krb5_parse_name(context, who, &entry.principal));
            key_of(context, who, *enctype, &entry.key);
            MUST(krb5_kt_add_entry(context, keytab, &entry));
            krb5_free_keytab_entry_contents(context, &entry);
        }
    }
    va_end(args);
    krb5_kt_close(context, keytab);
    krb5_free_context(context);
    return path;
}

static krb5_authdata **
make_pac(krb5_context context, const ForgedTicket *ticket, const krb5_keyblock *server_key,
         krb5_principal client, krb5_timestamp auth_time)
{
    gsize size;
    krb5_pac pac;
    krb5_data logon = {0}, signed_pac = {0};
    krb5_keyblock wrong;
    logon.data = (char *)g_bytes_get_data(ticket->logon, &size);
    logon.length = (unsigned)size;
    key_of(context, "somebody else", ENCTYPE_AES256_CTS_HMAC_SHA1_96, &wrong);
    MUST(krb5_pac_init(context, &pac));
    MUST(krb5_pac_add_buffer(context, pac, KRB5_PAC_LOGON_INFO, &logon));
    if (ticket->pac_delegated) {
        krb5_data info = {0, 8, (char *)"whatever"};
        MUST(krb5_pac_add_buffer(context, pac, KRB5_PAC_DELEGATION_INFO, &info));
    }
    krb5_principal other = NULL;
    if (ticket->pac_client)
        MUST(krb5_parse_name(context, ticket->pac_client, &other));
    MUST(krb5_pac_sign(context, pac, auth_time, other ? other : client,
                       ticket->pac_forged ? &wrong : server_key, &wrong, &signed_pac));
    krb5_free_principal(context, other);
    krb5_authdata one = {0, KRB5_AUTHDATA_WIN2K_PAC, signed_pac.length,
                         (krb5_octet *)signed_pac.data};
    krb5_authdata *list[] = {&one, ticket->pac_twice ? &one : NULL, NULL}, **container;
    MUST(krb5_encode_authdata_container(context, KRB5_AUTHDATA_IF_RELEVANT, list, &container));
    krb5_free_data_contents(context, &signed_pac);
    krb5_free_keyblock_contents(context, &wrong);
    krb5_pac_free(context, pac);
    return container;
}

gchar *
forge_ccache(const char *name, const ForgedTicket *ticket)
{
    krb5_context context;
    krb5_enctype ticket_enctype = ticket->ticket_enctype ? ticket->ticket_enctype
                                                         : ENCTYPE_AES256_CTS_HMAC_SHA1_96;
    krb5_enctype session_enctype = ticket->session_enctype ? ticket->session_enctype
                                                           : ENCTYPE_AES256_CTS_HMAC_SHA1_96;
    krb5_keyblock server_key, session;
    krb5_creds creds = {0};
    krb5_timestamp now = (krb5_timestamp)(g_get_real_time() / G_USEC_PER_SEC);
    MUST(krb5_init_context(&context));
    key_of(context, ticket->server, ticket_enctype, &server_key);
    MUST(krb5_c_make_random_key(context, session_enctype, &session));
    MUST(krb5_parse_name(context, ticket->client, &creds.client));
    MUST(krb5_parse_name(context, ticket->server, &creds.server));
    creds.keyblock = session;
    creds.times.authtime = creds.times.starttime = now + (krb5_timestamp)ticket->starts;
    creds.times.endtime = now + (krb5_timestamp)(ticket->ends ? ticket->ends : 3600);
    creds.ticket_flags = TKT_FLG_PRE_AUTH | ticket->flags;

    krb5_enc_tkt_part part = {0};
    part.flags = creds.ticket_flags;
    part.session = &session;
    part.client = creds.client;
    part.times = creds.times;
    part.transited.tr_type = KRB5_DOMAIN_X500_COMPRESS;
    if (ticket->transited) {
        part.transited.tr_contents.data = (char *)ticket->transited;
        part.transited.tr_contents.length = (unsigned)strlen(ticket->transited);
    }
    if (ticket->logon)
        part.authorization_data = make_pac(context, ticket, &server_key, creds.client,
                                           creds.times.authtime);

    krb5_ticket whole = {0};
    krb5_data *der;
    whole.server = creds.server;
    whole.enc_part2 = &part;
    MUST(krb5_encrypt_tkt_part(context, &server_key, &whole));
    whole.enc_part.kvno = 1;
    MUST(encode_krb5_ticket(&whole, &der));
    creds.ticket = *der;

    krb5_ccache cache;
    gchar *path = forge_path(name);
    g_autofree gchar *full = g_strconcat("FILE:", path, NULL);
    MUST(krb5_cc_resolve(context, full, &cache));
    MUST(krb5_cc_initialize(context, cache, creds.client));
    MUST(krb5_cc_store_cred(context, cache, &creds));
    krb5_cc_close(context, cache);

    krb5_free_data_contents(context, &whole.enc_part.ciphertext);
    krb5_free_authdata(context, part.authorization_data);
    krb5_free_data(context, der);
    creds.ticket = (krb5_data){0};
    krb5_free_cred_contents(context, &creds); /* the session key too */
    krb5_free_keyblock_contents(context, &server_key);
    krb5_free_context(context);
    return path;
}

/* Length of @size bytes in DER */
static void
put_length(GByteArray *out, gsize size)
{
    const guint8 bytes[] = {0x82, (guint8)(size >> 8), (guint8)size};
    g_assert_cmpuint(size, <=, G_MAXUINT16);
    g_byte_array_append(out, bytes, sizeof bytes);
}

GBytes *
forge_token(const ForgedTicket *ticket, gint ahead_s)
{
    /* RFC 4121 4.1.1: length of channel bindings, none of them, flags: mutual, replay, sequence, conf, integ */
    static guint8 checksum[24] = {16, [20] = 0x3e};
    static const guint8 frame[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                   0x12, 0x01, 0x02, 0x02, 0x01, 0x00};
    static const guint8 application = 0x60;
    g_autofree gchar *cache_path = forge_ccache("token.cc", ticket);
    g_autofree gchar *full = g_strconcat("FILE:", cache_path, NULL);
    krb5_context context;
    krb5_ccache cache;
    krb5_auth_context auth = NULL;
    krb5_creds wanted = {0}, creds;
    krb5_data in = {0, sizeof checksum, (char *)checksum}, request;
    MUST(krb5_init_context(&context));
    MUST(krb5_cc_resolve(context, full, &cache));
    MUST(krb5_parse_name(context, ticket->client, &wanted.client));
    MUST(krb5_parse_name(context, ticket->server, &wanted.server));
    MUST(krb5_cc_retrieve_cred(context, cache, 0, &wanted, &creds));
    MUST(krb5_set_real_time(context, (krb5_timestamp)(g_get_real_time() / G_USEC_PER_SEC + ahead_s),
                            0));
    MUST(krb5_auth_con_init(context, &auth));
    MUST(krb5_auth_con_set_req_cksumtype(context, auth, 0x8003));
    MUST(krb5_mk_req_extended(context, &auth, AP_OPTS_MUTUAL_REQUIRED, &in, &creds, &request));

    GByteArray *token = g_byte_array_new();
    g_byte_array_append(token, &application, 1);
    put_length(token, sizeof frame + request.length);
    g_byte_array_append(token, frame, sizeof frame);
    g_byte_array_append(token, (const guint8 *)request.data, request.length);

    krb5_free_data_contents(context, &request);
    krb5_auth_con_free(context, auth);
    krb5_free_cred_contents(context, &creds);
    krb5_free_cred_contents(context, &wanted);
    krb5_cc_close(context, cache);
    krb5_free_context(context);
    return g_byte_array_free_to_bytes(token);
}

/* ---- NDR ---- */

static void
put16(GByteArray *out, guint16 value)
{
    const guint8 bytes[] = {(guint8)value, (guint8)(value >> 8)};
    g_byte_array_append(out, bytes, sizeof bytes);
}

static void
put32(GByteArray *out, guint32 value)
{
    put16(out, (guint16)value);
    put16(out, (guint16)(value >> 16));
}

static void
put_zeros(GByteArray *out, guint count)
{
    static const guint8 zeros[64];
    g_byte_array_append(out, zeros, count);
}

static void
align4(GByteArray *out)
{
    put_zeros(out, (4 - out->len % 4) % 4);
}

static void
put_string_fixed(GByteArray *out, const char *text, guint32 *pointer)
{
    guint16 size = (guint16)(2 * strlen(text));
    put16(out, size);
    put16(out, size);
    put32(out, *pointer += 4);
}

static void
put_string(GByteArray *out, const char *text)
{
    guint32 count = (guint32)strlen(text);
    align4(out);
    put32(out, count);
    put32(out, 0);
    put32(out, count);
    for (guint32 i = 0; i < count; i++)
        put16(out, (guint8)text[i]);
}

static void
put_sid(GByteArray *out, const char *text)
{
    guint8 bytes[VMF_SID_MAX_BYTES];
    gsize size = vmf_sid_to_bytes(text, bytes);
    g_assert_cmpuint(size, >, 0);
    align4(out);
    put32(out, bytes[1]);
    g_byte_array_append(out, bytes, (guint)size);
}

static guint32
count_rids(const guint32 *rids)
{
    guint32 count = 0;
    while (rids && rids[count])
        count++;
    return count;
}

static void
put_rids(GByteArray *out, const guint32 *rids, guint32 attributes)
{
    align4(out);
    put32(out, count_rids(rids));
    for (guint32 i = 0; i < count_rids(rids); i++) {
        put32(out, rids[i]);
        put32(out, attributes);
    }
}

GBytes *
forge_logon(const ForgedLogon *logon)
{
    static const char *const none[] = {NULL};
    const char *const *extra = logon->extra ? logon->extra : none;
    guint32 attributes = logon->attributes ? logon->attributes : 7;
    guint32 extras = g_strv_length((gchar **)extra), groups = count_rids(logon->groups),
            resources = count_rids(logon->resources), pointer = 0x20000;
    GByteArray *out = g_byte_array_new();
    static const guint8 header[] = {1, 0x10, 8, 0, 0xcc, 0xcc, 0xcc, 0xcc};
    g_byte_array_append(out, header, sizeof header);
    put_zeros(out, 8); /* length, set below; filler */
    put32(out, pointer);
    put_zeros(out, 48); /* times */
    put_string_fixed(out, logon->account, &pointer);
    for (int i = 0; i < 5; i++)
        put_string_fixed(out, "", &pointer);
    put32(out, 0); /* counts */
    put32(out, logon->rid);
    put32(out, 515);
    put32(out, groups);
    put32(out, groups ? pointer += 4 : 0);
    put_zeros(out, 4 + 16);
    put_string_fixed(out, "DC1", &pointer);
    put_string_fixed(out, "LAB", &pointer);
    put32(out, pointer += 4);
    put_zeros(out, 8);
    put32(out, logon->uac);
    put_zeros(out, 28);
    put32(out, extras);
    put32(out, extras ? pointer += 4 : 0);
    put32(out, logon->resource_sid ? pointer += 4 : 0);
    put32(out, resources);
    put32(out, resources ? pointer += 4 : 0);

    put_string(out, logon->account);
    for (int i = 0; i < 5; i++)
        put_string(out, "");
    if (groups)
        put_rids(out, logon->groups, attributes);
    put_string(out, "DC1");
    put_string(out, "LAB");
    put_sid(out, logon->domain_sid);
    if (extras) {
        align4(out);
        put32(out, extras);
        for (guint32 i = 0; i < extras; i++) {
            put32(out, pointer += 4);
            put32(out, attributes);
        }
        for (guint32 i = 0; i < extras; i++)
            put_sid(out, extra[i]);
    }
    if (logon->resource_sid)
        put_sid(out, logon->resource_sid);
    if (resources)
        put_rids(out, logon->resources, attributes);
    put_zeros(out, (8 - out->len % 8) % 8);
    guint32 length = out->len - 16;
    for (int i = 0; i < 4; i++)
        out->data[8 + i] = (guint8)(length >> (8 * i));
    return g_byte_array_free_to_bytes(out);
}
