/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/tls.h"

#include "src/base/error.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <string.h>

#define PRIORITIES                                                                                 \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK:-CIPHER-ALL:+AES-128-GCM:"                   \
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1"
#define IDENTITY         "vmferry"
#define EXPORTER_LABEL   "EXPORTER-vmferry-stream-1"
#define INPUT_BYTES      ((gsize)512 * 1024)
#define INPUT_ROOM_BYTES ((gsize)64 * 1024)
#define MAX_HANDSHAKE    16384

struct _VmfTls {
    gboolean server;
    gnutls_session_t session;
    gnutls_psk_client_credentials_t client_cred;
    gnutls_psk_server_credentials_t server_cred;
    guint8 key[VMF_TLS_KEY_BYTES];

    /* pthread's mutex, not GLib's: ThreadSanitizer does not see the latter's futexes */
    pthread_mutex_t lock; /* around each call into @session; also guards @output */
    GByteArray *output;

    /* of the thread that feeds and opens */
    guint8 *input;
    gsize input_start, input_end;
    gboolean input_over;
    int open_rc; /* how opening has ended: 0 not, 1 in order, below 0 GnuTLS's code */
};

static gssize
push(gnutls_transport_ptr_t data, const void *bytes, size_t size)
{
    VmfTls *tls = data;
    g_byte_array_append(tls->output, bytes, (guint)size);
    return (gssize)size;
}

static gssize
pull(gnutls_transport_ptr_t data, void *bytes, size_t size)
{
    VmfTls *tls = data;
    gsize there = tls->input_end - tls->input_start;
    if (there == 0) {
        if (tls->input_over)
            return 0;
        gnutls_transport_set_errno(tls->session, EAGAIN);
        return -1;
    }
    size = MIN(size, there);
    memcpy(bytes, tls->input + tls->input_start, size);
    tls->input_start += size;
    return (gssize)size;
}

static int
pull_timeout(gnutls_transport_ptr_t data, unsigned milliseconds)
{
    const VmfTls *tls = data;
    return tls->input_end > tls->input_start || tls->input_over;
}

/* GnuTLS frees what it is given in these two, and zeroes the key (not so a key set once for all). */
static gboolean
give_copy(gnutls_datum_t *to, const void *data, gsize size)
{
    to->data = gnutls_malloc(size);
    if (to->data == NULL)
        return FALSE;
    memcpy(to->data, data, size);
    to->size = (unsigned)size;
    return TRUE;
}

static int
server_key(gnutls_session_t session, const gnutls_datum_t *username, gnutls_datum_t *key)
{
    const VmfTls *tls = gnutls_session_get_ptr(session);
    if (username->size != strlen(IDENTITY) || memcmp(username->data, IDENTITY, username->size) != 0)
        return -1;
    return give_copy(key, tls->key, sizeof tls->key) ? 0 : -1;
}

static int
client_key(gnutls_session_t session, gnutls_datum_t *username, gnutls_datum_t *key)
{
    const VmfTls *tls = gnutls_session_get_ptr(session);
    return give_copy(username, IDENTITY, strlen(IDENTITY)) &&
                   give_copy(key, tls->key, sizeof tls->key)
               ? 0
               : -1;
}

/* The one place where GnuTLS's codes become ours. */
static void
fail_tls(GError **error, VmfTls *tls, int code, gboolean handshake)
{
    if (code == GNUTLS_E_UNEXPECTED_PACKET_LENGTH && tls->input_over)
        code = GNUTLS_E_PREMATURE_TERMINATION; /* within a record, of which the rest is missing */
    switch (code) {
    case GNUTLS_E_PREMATURE_TERMINATION:
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                            "the connection was cut: the stream ended without its end mark");
        return;
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
        g_set_error(error, VMF_ERROR, handshake ? VMF_ERROR_AUTH : VMF_ERROR_PROTOCOL,
                    "the other end reports a TLS failure: %s",
                    gnutls_alert_get_name(gnutls_alert_get(tls->session)));
        return;
    case GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER: /* what a wrong binder gives */
    case GNUTLS_E_DECRYPTION_FAILED:
    case GNUTLS_E_INSUFFICIENT_CREDENTIALS:
        if (handshake) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_AUTH,
                        "the other end does not hold the key of this session (TLS: %s): somebody "
                        "else's connection was relayed, repeated or changed",
                        gnutls_strerror(code));
            return;
        }
        G_GNUC_FALLTHROUGH;
    default:
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "TLS failed: %s", gnutls_strerror(code));
        return;
    }
}

static int
set_credentials(VmfTls *tls)
{
    int rc;
    if (tls->server) {
        rc = gnutls_psk_allocate_server_credentials(&tls->server_cred);
        if (rc < 0)
            return rc;
        gnutls_psk_set_server_credentials_function2(tls->server_cred, server_key);
        return gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK, tls->server_cred);
    }
    rc = gnutls_psk_allocate_client_credentials(&tls->client_cred);
    if (rc < 0)
        return rc;
    gnutls_psk_set_client_credentials_function2(tls->client_cred, client_key);
    return gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK, tls->client_cred);
}

VmfTls *
vmf_tls_new(gboolean server, const guint8 key[VMF_TLS_KEY_BYTES], GError **error)
{
    g_autoptr(VmfTls) tls = g_new0(VmfTls, 1);
    tls->server = server;
    memcpy(tls->key, key, VMF_TLS_KEY_BYTES);
    pthread_mutex_init(&tls->lock, NULL);
    tls->output = g_byte_array_new();
    tls->input = g_malloc(INPUT_BYTES);

    int rc = gnutls_init(&tls->session, (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK |
                                            GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS);
    if (rc == 0)
        rc = gnutls_priority_set_direct(tls->session, PRIORITIES, NULL);
    if (rc == 0)
        rc = set_credentials(tls);
    if (rc < 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                    "GnuTLS cannot do TLS 1.3 with a pre-shared key here: %s", gnutls_strerror(rc));
        return NULL;
    }
    gnutls_session_set_ptr(tls->session, tls);
    gnutls_handshake_set_max_packet_length(tls->session, MAX_HANDSHAKE);
    gnutls_transport_set_ptr(tls->session, tls);
    gnutls_transport_set_push_function(tls->session, push);
    gnutls_transport_set_pull_function(tls->session, pull);
    gnutls_transport_set_pull_timeout_function(tls->session, pull_timeout);
    return g_steal_pointer(&tls);
}

void
vmf_tls_free(VmfTls *tls)
{
    if (tls == NULL)
        return;
    if (tls->session)
        gnutls_deinit(tls->session);
    if (tls->client_cred)
        gnutls_psk_free_client_credentials(tls->client_cred);
    if (tls->server_cred)
        gnutls_psk_free_server_credentials(tls->server_cred);
    explicit_bzero(tls->key, sizeof tls->key);
    g_byte_array_unref(tls->output);
    g_free(tls->input);
    pthread_mutex_destroy(&tls->lock);
    g_free(tls);
}

/* That GnuTLS has negotiated what the priorities say: a changed system policy must not weaken it. */
static gboolean
check_parameters(VmfTls *tls, GError **error)
{
    if (gnutls_protocol_get_version(tls->session) == GNUTLS_TLS1_3 &&
        gnutls_cipher_get(tls->session) == GNUTLS_CIPHER_AES_128_GCM &&
        gnutls_kx_get(tls->session) == GNUTLS_KX_ECDHE_PSK &&
        !gnutls_session_is_resumed(tls->session))
        return TRUE;
    g_autofree char *text = NULL;
    char *description = gnutls_session_get_desc(tls->session);
    text = g_strdup(description ? description : "?");
    gnutls_free(description);
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "TLS has settled on %s instead of TLS 1.3 with a pre-shared key and ECDHE", text);
    return FALSE;
}

static gsize
input_left(const VmfTls *tls)
{
    return tls->input_end - tls->input_start;
}

/* GnuTLS says "again" as well when it has thrown something away, and has more to look at. */
static gboolean
has_more(const VmfTls *tls, gsize before)
{
    return input_left(tls) > 0 && input_left(tls) < before;
}

/* For a part of a record and no more, GnuTLS says "again" as if more could come. */
static int
ended_or_again(const VmfTls *tls)
{
    return tls->input_over ? GNUTLS_E_PREMATURE_TERMINATION : GNUTLS_E_AGAIN;
}

VmfTlsResult
vmf_tls_handshake(VmfTls *tls, GError **error)
{
    pthread_mutex_lock(&tls->lock);
    int rc;
    gsize before;
    do {
        before = input_left(tls);
        rc = gnutls_handshake(tls->session);
    } while (rc < 0 && !gnutls_error_is_fatal(rc) &&
             (rc != GNUTLS_E_AGAIN || has_more(tls, before)));
    if (rc == GNUTLS_E_AGAIN)
        rc = ended_or_again(tls);
    if (rc < 0 && rc != GNUTLS_E_AGAIN)
        gnutls_alert_send_appropriate(tls->session, rc);
    pthread_mutex_unlock(&tls->lock);

    if (rc == GNUTLS_E_AGAIN)
        return VMF_TLS_AGAIN;
    explicit_bzero(tls->key, sizeof tls->key);
    if (rc < 0) {
        fail_tls(error, tls, rc, TRUE);
        return VMF_TLS_FAILED;
    }
    return check_parameters(tls, error) ? VMF_TLS_OK : VMF_TLS_FAILED;
}

gboolean
vmf_tls_seal(VmfTls *tls, const guint8 *data, gsize size, GError **error)
{
    gssize rc = 0;
    pthread_mutex_lock(&tls->lock);
    while (size > 0 && rc >= 0) {
        rc = gnutls_record_send(tls->session, data, size);
        if (rc > 0) {
            data += rc;
            size -= (gsize)rc;
        }
    }
    pthread_mutex_unlock(&tls->lock);
    if (rc < 0)
        fail_tls(error, tls, (int)rc, FALSE);
    return rc >= 0;
}

gboolean
vmf_tls_seal_end(VmfTls *tls, GError **error)
{
    pthread_mutex_lock(&tls->lock);
    int rc = gnutls_bye(tls->session, GNUTLS_SHUT_WR);
    pthread_mutex_unlock(&tls->lock);
    if (rc < 0)
        fail_tls(error, tls, rc, FALSE);
    return rc >= 0;
}

void
vmf_tls_take_output(VmfTls *tls, GByteArray **out)
{
    g_assert((*out)->len == 0);
    pthread_mutex_lock(&tls->lock);
    GByteArray *full = tls->output;
    tls->output = *out;
    pthread_mutex_unlock(&tls->lock);
    *out = full;
}

guint8 *
vmf_tls_input_room(VmfTls *tls, gsize *size)
{
    if (tls->input_start == tls->input_end)
        tls->input_start = tls->input_end = 0;
    if (INPUT_BYTES - tls->input_end < INPUT_ROOM_BYTES) {
        memmove(tls->input, tls->input + tls->input_start, tls->input_end - tls->input_start);
        tls->input_end -= tls->input_start;
        tls->input_start = 0;
    }
    *size = INPUT_BYTES - tls->input_end;
    return tls->input + tls->input_end;
}

void
vmf_tls_input_added(VmfTls *tls, gsize size)
{
    g_assert(size <= INPUT_BYTES - tls->input_end);
    tls->input_end += size;
    if (size == 0)
        tls->input_over = TRUE;
}

VmfTlsResult
vmf_tls_open(VmfTls *tls, guint8 *data, gsize size, gsize *used, GError **error)
{
    *used = 0;
    pthread_mutex_lock(&tls->lock);
    while (tls->open_rc == 0 && *used < size) {
        gsize before = input_left(tls);
        gssize rc = gnutls_record_recv(tls->session, data + *used, size - *used);
        if (rc == GNUTLS_E_AGAIN && has_more(tls, before))
            continue;
        if (rc > 0)
            *used += (gsize)rc;
        else if (rc == 0)
            tls->open_rc = 1;
        else if (rc == GNUTLS_E_AGAIN)
            rc = ended_or_again(tls);
        if (rc == GNUTLS_E_AGAIN)
            break;
        if (rc < 0 && gnutls_error_is_fatal((int)rc))
            tls->open_rc = (int)rc;
    }
    pthread_mutex_unlock(&tls->lock);

    if (*used > 0) /* an end or a failure behind these bytes is for the next call */
        return VMF_TLS_OK;
    if (tls->open_rc == 0)
        return VMF_TLS_AGAIN;
    if (tls->open_rc > 0)
        return VMF_TLS_END;
    fail_tls(error, tls, tls->open_rc, FALSE);
    return VMF_TLS_FAILED;
}

gboolean
vmf_tls_export(VmfTls *tls, const char *context, guint8 key[VMF_TLS_KEY_BYTES], GError **error)
{
    pthread_mutex_lock(&tls->lock);
    int rc = gnutls_prf_rfc5705(tls->session, strlen(EXPORTER_LABEL), EXPORTER_LABEL,
                                strlen(context), context, VMF_TLS_KEY_BYTES, (char *)key);
    pthread_mutex_unlock(&tls->lock);
    if (rc < 0)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "TLS cannot export a key: %s",
                    gnutls_strerror(rc));
    return rc >= 0;
}

gboolean
vmf_tls_update_keys(VmfTls *tls, GError **error)
{
    pthread_mutex_lock(&tls->lock);
    int rc = gnutls_session_key_update(tls->session, 0);
    pthread_mutex_unlock(&tls->lock);
    if (rc < 0)
        fail_tls(error, tls, rc, FALSE);
    return rc >= 0;
}
