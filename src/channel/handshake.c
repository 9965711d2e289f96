/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/handshake.h"

#include "src/base/error.h"
#include "src/channel/exchange.h"
#include "src/channel/wire.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define REFUSAL_LINGER_S ((gint64)2)

/* The most a peer may send in step 2; an honest one needs some hundred */
#define HANDSHAKE_BYTES ((gsize)16384)

static gboolean
send_token(int sock, const guint8 *head, gsize head_size, GBytes *token, gint64 deadline,
           GError **error)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(token, &size);
    g_autoptr(GByteArray) both = g_byte_array_sized_new((guint)(head_size + size));
    g_byte_array_append(both, head, (guint)head_size);
    g_byte_array_append(both, data, (guint)size);
    return vmf_wire_write(sock, both->data, both->len, deadline, error);
}

GBytes *
vmf_handshake_read_token(int sock, guint32 length, gint64 deadline, GError **error)
{
    g_autofree guint8 *data = g_malloc(length);
    if (!vmf_wire_read(sock, data, length, deadline, error))
        return NULL;
    return g_bytes_new_take(g_steal_pointer(&data), length);
}

gboolean
vmf_handshake_say_answer(int sock, GBytes *answer, gint64 deadline, GError **error)
{
    guint8 head[VMF_ANSWER_BYTES];
    vmf_answer_encode((guint32)g_bytes_get_size(answer), head);
    return send_token(sock, head, sizeof head, answer, deadline, error);
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
vmf_handshake_initiate(VmfGss *gss, int sock, guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity **peer,
                       gint64 deadline, GError **error)
{
    g_autoptr(GBytes) token = NULL;
    gboolean done;
    if (!vmf_gss_step(gss, NULL, &token, &done, error) || !token_fits(token, error))
        return FALSE;
    guint8 greeting[VMF_GREETING_BYTES], head[VMF_ANSWER_BYTES];
    guint32 length;
    vmf_greeting_encode(VMF_CHANNEL_CONTROL, (guint32)g_bytes_get_size(token), greeting);
    if (!send_token(sock, greeting, sizeof greeting, token, deadline, error) ||
        !vmf_wire_read(sock, head, sizeof head, deadline, error) ||
        !vmf_answer_decode(head, sizeof head, &length, error))
        return FALSE;
    g_autoptr(GBytes) answer = vmf_handshake_read_token(sock, length, deadline, error);
    g_autoptr(GBytes) nothing = NULL;
    if (answer == NULL || !vmf_gss_step(gss, answer, &nothing, &done, error))
        return FALSE;
    if (!done || nothing != NULL) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "the Kerberos exchange did not end where it must");
        return FALSE;
    }
    if (!vmf_exchange_derive(gss, token, answer, key, error))
        return FALSE;
    *peer = vmf_gss_peer(gss, error);
    return *peer != NULL;
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

/* @most: bytes; lowered by what came */
static gboolean
feed(VmfTls *tls, int sock, gsize *most, gint64 deadline, GError **error)
{
    gsize room;
    guint8 *to = vmf_tls_input_room(tls, &room);
    if (*most == 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "the other end has sent %" G_GSIZE_FORMAT
                    " bytes without an end of its TLS handshake or verdict",
                    HANDSHAKE_BYTES);
        return FALSE;
    }
    /* readiness first: the deadline binds a peer that always has one more byte, too */
    gssize n = vmf_wire_wait(sock, POLLIN, deadline, error)
                   ? vmf_wire_read_some(sock, to, MIN(room, *most), deadline, error)
                   : -1;
    if (n < 0)
        return FALSE;
    vmf_tls_input_added(tls, (gsize)n);
    *most -= (gsize)n;
    return TRUE;
}

VmfTls *
vmf_handshake_tls(int sock, gboolean server, const guint8 key[VMF_TLS_KEY_BYTES], gint64 deadline,
                  GError **error)
{
    g_autoptr(VmfTls) tls = vmf_tls_new(server, key, error);
    gsize most = HANDSHAKE_BYTES;
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
        if (!feed(tls, sock, &most, deadline, error))
            return NULL;
    }
}

static gboolean
read_plain(VmfTls *tls, int sock, guint8 *data, gsize size, gint64 deadline, GError **error)
{
    gsize most = HANDSHAKE_BYTES;
    while (size > 0) {
        gsize used;
        switch (vmf_tls_open(tls, data, size, &used, error)) {
        case VMF_TLS_OK:
            data += used;
            size -= used;
            break;
        case VMF_TLS_AGAIN:
            if (!feed(tls, sock, &most, deadline, error))
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
    guint8 head[VMF_VERDICT_BYTES], reference[VMF_REFERENCE_CHARS];
    gboolean accepted;
    gsize length;
    if (!tell_verdict(tls, sock, NULL, deadline, error) ||
        !read_plain(tls, sock, head, sizeof head, deadline, error) ||
        !vmf_verdict_head_decode(head, sizeof head, &accepted, &length, error) ||
        !read_plain(tls, sock, reference, length, deadline, error))
        return FALSE;
    if (accepted)
        return TRUE;
    gboolean named = vmf_reference_valid((const char *)reference, length);
    g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                "'%s' refuses this host; the reason is told only by the log there: "
                "journalctl -u vmferryd%s%.*s",
                peer, named ? " --grep=" : "", named ? VMF_REFERENCE_CHARS : 0,
                (const char *)reference);
    return FALSE;
}
