/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/handshake.h"

#include "auth/gss.h"
#include "src/base/error.h"
#include "src/channel/wire.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define HASH_BYTES       32
#define REFUSAL_LINGER_S ((gint64)2)

static const char psk_label[] = "vmferry psk 1";

/* Who of the two is TLS client. It is always the GSS initiator; the byte keeps a future otherwise. */
#define ROLE_CLIENT_IS_INITIATOR 1

/* "vmferry psk 1" ‖ SHA-256(everything said so far) ‖ role → key */
static gboolean
derive_psk(VmfGss *gss, GChecksum *transcript, guint8 key[VMF_TLS_KEY_BYTES], GError **error)
{
    G_STATIC_ASSERT(VMF_TLS_KEY_BYTES == VMF_GSS_KEY_BYTES);
    guint8 label[sizeof psk_label - 1 + HASH_BYTES + 1];
    gsize hash_size = HASH_BYTES;
    memcpy(label, psk_label, sizeof psk_label - 1);
    g_checksum_get_digest(transcript, label + sizeof psk_label - 1, &hash_size);
    g_assert(hash_size == HASH_BYTES);
    label[sizeof label - 1] = ROLE_CLIENT_IS_INITIATOR;
    return vmf_gss_derive(gss, label, sizeof label, key, error);
}

static gboolean
send_hashed(int sock, GChecksum *transcript, const guint8 *head, gsize head_size, GBytes *token,
            gint64 deadline, GError **error)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(token, &size);
    g_autoptr(GByteArray) both = g_byte_array_sized_new((guint)(head_size + size));
    g_byte_array_append(both, head, (guint)head_size);
    g_byte_array_append(both, data, (guint)size);
    g_checksum_update(transcript, both->data, (gssize)both->len);
    return vmf_wire_write(sock, both->data, both->len, deadline, error);
}

static GBytes *
read_hashed(int sock, GChecksum *transcript, guint32 length, gint64 deadline, GError **error)
{
    g_autofree guint8 *data = g_malloc(length);
    if (!vmf_wire_read(sock, data, length, deadline, error))
        return NULL;
    g_checksum_update(transcript, data, (gssize)length);
    return g_bytes_new_take(g_steal_pointer(&data), length);
}

static gboolean
token_fits(GBytes *token, GError **error)
{
    if (token && g_bytes_get_size(token) <= VMF_CHANNEL_TOKEN_BYTES)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_AUTH,
                "this host's Kerberos token has %" G_GSIZE_FORMAT
                " bytes, and %d are the most; its "
                "computer account is in too many groups",
                token ? g_bytes_get_size(token) : 0, VMF_CHANNEL_TOKEN_BYTES);
    return FALSE;
}

gboolean
vmf_handshake_gss_initiate(const VmfChannelConfig *config, int sock, const char *peer_fqdn,
                           guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity **peer, gint64 *deadline,
                           GError **error)
{
    g_autoptr(VmfGss)
        gss = vmf_gss_initiator(config->me, config->keytab, config->ccache, peer_fqdn, error);
    if (gss == NULL)
        return FALSE;
    g_autoptr(GBytes) token = NULL;
    gboolean done;
    if (!vmf_gss_step(gss, NULL, &token, &done, error) || !token_fits(token, error))
        return FALSE;

    /* our own KDC was slow or not; from here on it is the peer's time */
    *deadline = g_get_monotonic_time() + VMF_HANDSHAKE_TIMEOUT_S * G_USEC_PER_SEC;
    g_autoptr(GChecksum) transcript = g_checksum_new(G_CHECKSUM_SHA256);
    guint8 greeting[VMF_GREETING_BYTES], head[VMF_ANSWER_BYTES];
    guint32 length;
    vmf_greeting_encode(VMF_CHANNEL_CONTROL, (guint32)g_bytes_get_size(token), greeting);
    if (!send_hashed(sock, transcript, greeting, sizeof greeting, token, *deadline, error) ||
        !vmf_wire_read(sock, head, sizeof head, *deadline, error) ||
        !vmf_answer_decode(head, sizeof head, &length, error))
        return FALSE;
    g_checksum_update(transcript, head, sizeof head);
    g_autoptr(GBytes) answer = read_hashed(sock, transcript, length, *deadline, error);
    g_autoptr(GBytes) nothing = NULL;
    if (answer == NULL || !vmf_gss_step(gss, answer, &nothing, &done, error))
        return FALSE;
    if (!done || nothing != NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "the Kerberos exchange with '%s' did not end where it must", peer_fqdn);
        return FALSE;
    }
    *peer = vmf_gss_peer(gss, error);
    return *peer && derive_psk(gss, transcript, key, error);
}

gboolean
vmf_handshake_gss_accept(const VmfChannelConfig *config, int sock,
                         const guint8 greeting[VMF_GREETING_BYTES], guint32 length,
                         guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity **peer, gint64 deadline,
                         GError **error)
{
    g_autoptr(GChecksum) transcript = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(transcript, greeting, VMF_GREETING_BYTES);
    g_autoptr(GBytes) token = read_hashed(sock, transcript, length, deadline, error);
    if (token == NULL)
        return FALSE;
    g_autoptr(VmfGss) gss = vmf_gss_acceptor(config->me, config->keytab, error);
    if (gss == NULL)
        return FALSE;

    gboolean done;
    g_autoptr(GBytes) answer = NULL;
    gboolean ok = vmf_gss_step(gss, token, &answer, &done, error);
    if (answer && g_bytes_get_size(answer) <= VMF_CHANNEL_TOKEN_BYTES) {
        /* a KRB-ERROR too: it tells the other end of a wrong clock, for example */
        guint8 head[VMF_ANSWER_BYTES];
        vmf_answer_encode((guint32)g_bytes_get_size(answer), head);
        if (!send_hashed(sock, transcript, head, sizeof head, answer, deadline, ok ? error : NULL))
            return FALSE;
    }
    if (!ok)
        return FALSE;
    if (!done || answer == NULL) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "the peer's Kerberos exchange is not mutual");
        return FALSE;
    }
    *peer = vmf_gss_peer(gss, error);
    return *peer && derive_psk(gss, transcript, key, error);
}

static gboolean
flush(VmfTls *tls, int sock, gint64 deadline, GError **error)
{
    GByteArray *out = g_byte_array_new();
    vmf_tls_take_output(tls, &out);
    gboolean ok = vmf_wire_write(sock, out->data, out->len, deadline, error);
    g_byte_array_unref(out);
    return ok;
}

static gboolean
feed(VmfTls *tls, int sock, gint64 deadline, GError **error)
{
    gsize room;
    guint8 *to = vmf_tls_input_room(tls, &room);
    /* readiness first: the deadline binds a peer that always has one more byte, too */
    gssize n = vmf_wire_wait(sock, POLLIN, deadline, error)
                   ? vmf_wire_read_some(sock, to, room, deadline, error)
                   : -1;
    if (n >= 0)
        vmf_tls_input_added(tls, (gsize)n);
    return n >= 0;
}

VmfTls *
vmf_handshake_tls(int sock, gboolean server, const guint8 key[VMF_TLS_KEY_BYTES], gint64 deadline,
                  GError **error)
{
    g_autoptr(VmfTls) tls = vmf_tls_new(server, key, error);
    if (tls == NULL)
        return NULL;
    for (;;) {
        VmfTlsResult result = vmf_tls_handshake(tls, error);
        if (result == VMF_TLS_FAILED) {
            flush(tls, sock, deadline, NULL); /* the alert */
            return NULL;
        }
        if (!flush(tls, sock, deadline, error))
            return NULL;
        if (result == VMF_TLS_OK)
            return g_steal_pointer(&tls);
        if (!feed(tls, sock, deadline, error))
            return NULL;
    }
}

static gboolean
read_plain(VmfTls *tls, int sock, guint8 *data, gsize size, gint64 deadline, GError **error)
{
    while (size > 0) {
        gsize used;
        switch (vmf_tls_open(tls, data, size, &used, error)) {
        case VMF_TLS_OK:
            data += used;
            size -= used;
            break;
        case VMF_TLS_AGAIN:
            if (!feed(tls, sock, deadline, error))
                return FALSE;
            break;
        case VMF_TLS_END:
            g_set_error_literal(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                                "the other end closed the connection; its log says why");
            return FALSE;
        case VMF_TLS_FAILED:
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
tell_verdict(VmfTls *tls, int sock, const GError *refusal, gint64 deadline, GError **error)
{
    g_autoptr(GBytes) verdict = vmf_verdict_encode(refusal);
    gsize size;
    const guint8 *data = g_bytes_get_data(verdict, &size);
    return vmf_tls_seal(tls, data, size, error) &&
           (refusal == NULL || vmf_tls_seal_end(tls, error)) && flush(tls, sock, deadline, error);
}

/*
 * Gives the refusal time to be read: closing a socket with the peer's own verdict unread in it would
 * reset the connection, and a reset discards what the peer has not read yet.
 */
static void
let_refusal_arrive(int sock)
{
    gint64 deadline = g_get_monotonic_time() + REFUSAL_LINGER_S * G_USEC_PER_SEC;
    guint8 ignored[4096];
    shutdown(sock, SHUT_WR);
    while (vmf_wire_wait(sock, POLLIN, deadline, NULL) &&
           vmf_wire_read_some(sock, ignored, sizeof ignored, deadline, NULL) > 0)
        ;
}

gboolean
vmf_handshake_verdicts(VmfTls *tls, int sock, const GError *refusal, const char *peer,
                       gint64 deadline, GError **error)
{
    if (refusal) {
        if (tell_verdict(tls, sock, refusal, deadline, NULL))
            let_refusal_arrive(sock);
        g_propagate_error(error, g_error_copy(refusal));
        return FALSE;
    }
    guint8 head[VMF_VERDICT_BYTES], text[VMF_VERDICT_TEXT_MAX];
    gboolean accepted;
    gint code;
    guint16 length;
    if (!tell_verdict(tls, sock, NULL, deadline, error) ||
        !read_plain(tls, sock, head, sizeof head, deadline, error) ||
        !vmf_verdict_head_decode(head, sizeof head, &accepted, &code, &length, error) ||
        !read_plain(tls, sock, text, length, deadline, error))
        return FALSE;
    if (accepted)
        return TRUE;
    g_autofree gchar *words = vmf_verdict_text(text, length);
    g_set_error(error, VMF_ERROR, code, "'%s' refuses this host: %s", peer, words);
    return FALSE;
}
