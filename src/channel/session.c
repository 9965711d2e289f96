/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/session.h"

#include "src/base/error.h"
#include "src/channel/handshake.h"
#include "src/channel/owned-fd.h"
#include "src/channel/relay.h"
#include "src/channel/wire.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    VmfChannel base;
    int sock;
    VmfTls *tls;
    VmfRelayCounters *counters; /* NULL: the relay's own */

    pthread_mutex_t lock; /* see tls.c for why not GMutex; guards what follows */
    gboolean started;     /* pump has been called */
    VmfRelay *relay;      /* set once, then lives as long as the channel */
} Session;

static gboolean
session_pump(VmfChannel *channel, int local_fd, GError **error)
{
    Session *session = (Session *)channel;
    g_auto(VmfOwnedFd) owned = local_fd;
    pthread_mutex_lock(&session->lock);
    gboolean first = !session->started;
    session->started = TRUE;
    if (first)
        session->relay = vmf_relay_start(session->tls, session->sock, vmf_owned_fd_steal(&owned),
                                         session->counters, error);
    gboolean ok = session->relay != NULL;
    pthread_mutex_unlock(&session->lock);
    if (!first)
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                            "this channel is relayed, or was closed, already");
    return first && ok;
}

static VmfRelay *
get_relay(Session *session)
{
    pthread_mutex_lock(&session->lock);
    VmfRelay *relay = session->relay;
    pthread_mutex_unlock(&session->lock);
    return relay;
}

static gboolean
session_wait(VmfChannel *channel, GError **error)
{
    VmfRelay *relay = get_relay((Session *)channel);
    if (relay)
        return vmf_relay_wait(relay, error);
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INTERNAL, "this channel was never relayed");
    return FALSE;
}

static void
session_close(VmfChannel *channel)
{
    Session *session = (Session *)channel;
    pthread_mutex_lock(&session->lock);
    session->started = TRUE;
    if (session->relay)
        vmf_relay_cut(session->relay);
    else
        shutdown(session->sock, SHUT_RDWR);
    pthread_mutex_unlock(&session->lock);
}

static guint64
session_bytes(VmfChannel *channel, gboolean in)
{
    VmfRelay *relay = get_relay((Session *)channel);
    if (relay == NULL)
        return 0;
    return in ? vmf_relay_bytes_in(relay) : vmf_relay_bytes_out(relay);
}

static gchar *
session_address(VmfChannel *channel)
{
    return vmf_channel_address_of(((Session *)channel)->sock);
}

static void
session_free(VmfChannel *channel)
{
    Session *session = (Session *)channel;
    vmf_relay_free(session->relay);
    vmf_tls_free(session->tls);
    close(session->sock);
    pthread_mutex_destroy(&session->lock);
    g_free(session);
}

static const VmfChannelOps session_ops = {
    .pump = session_pump,
    .wait = session_wait,
    .close = session_close,
    .bytes = session_bytes,
    .address = session_address,
    .free = session_free,
};

VmfChannel *
vmf_session_new(int sock, VmfTls *tls, VmfPeerIdentity *peer, const char *stream_name,
                GError **error)
{
    guint8 secret[VMF_TLS_KEY_BYTES];
    if (!vmf_tls_export(tls, "streams", secret, error)) {
        close(sock);
        vmf_tls_free(tls);
        vmf_peer_identity_free(peer);
        return NULL;
    }
    Session *session = g_new0(Session, 1);
    vmf_channel_init(&session->base, &session_ops, peer, stream_name, secret);
    explicit_bzero(secret, sizeof secret);
    session->sock = sock;
    session->tls = tls;
    pthread_mutex_init(&session->lock, NULL);
    return &session->base;
}

VmfTls *
vmf_session_tls(VmfChannel *channel)
{
    return ((Session *)channel)->tls;
}

void
vmf_session_count_in(VmfChannel *channel, VmfRelayCounters *counters)
{
    ((Session *)channel)->counters = counters;
}

/* ---- handshakes ---- */

static gint64
handshake_deadline(void)
{
    return g_get_monotonic_time() + VMF_HANDSHAKE_TIMEOUT_S * G_USEC_PER_SEC;
}

static gint64
verdict_deadline(const VmfSessionHost *host)
{
    guint seconds = host->timeout_s ? host->timeout_s : VMF_VERDICT_TIMEOUT_S;
    return g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
}

/* Steps 2 and 3; @key and @peer come from step 1, or from a stream's control channel. */
static VmfChannel *
finish(const VmfSessionHost *host, VmfOwnedFd *sock, gboolean server,
       const guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity *peer_taken, const char *stream_name,
       gint64 deadline, GError **error)
{
    g_autoptr(VmfPeerIdentity) peer = peer_taken;
    g_autoptr(VmfTls) tls = vmf_handshake_tls(*sock, server, key, deadline, error);
    if (tls == NULL)
        return NULL;
    g_autoptr(GError) refusal = NULL;
    if (!host->judge(host->host, peer, stream_name, &refusal) && refusal == NULL)
        g_set_error(&refusal, VMF_ERROR, VMF_ERROR_DENIED, "'%s' is not accepted as a peer",
                    peer->principal);
    if (!vmf_handshake_verdicts(tls, *sock, refusal, peer->principal, verdict_deadline(host),
                                error))
        return NULL;
    return vmf_session_new(vmf_owned_fd_steal(sock), g_steal_pointer(&tls), g_steal_pointer(&peer),
                           stream_name, error);
}

VmfChannel *
vmf_session_connect(const VmfSessionHost *host, VmfGss *gss, int sock, GError **error)
{
    g_auto(VmfOwnedFd) owned = sock;
    guint8 key[VMF_TLS_KEY_BYTES];
    VmfPeerIdentity *peer = NULL;
    gint64 deadline = handshake_deadline();
    VmfChannel *channel = NULL;
    vmf_wire_tune(sock, FALSE);
    if (vmf_handshake_initiate(gss, sock, key, &peer, deadline, error))
        channel = finish(host, &owned, FALSE, key, peer, NULL, deadline, error);
    explicit_bzero(key, sizeof key);
    return channel;
}

VmfChannel *
vmf_session_stream(const VmfSessionHost *host, int sock, const char *name,
                   const guint8 key[VMF_TLS_KEY_BYTES], const VmfPeerIdentity *peer, GError **error)
{
    g_auto(VmfOwnedFd) owned = sock;
    gint64 deadline = handshake_deadline();
    guint8 opening[VMF_GREETING_BYTES + VMF_STREAM_NAME_CHARS];
    vmf_wire_tune(sock, TRUE);
    vmf_greeting_encode(VMF_CHANNEL_STREAM, VMF_STREAM_NAME_CHARS, opening);
    memcpy(opening + VMF_GREETING_BYTES, name, VMF_STREAM_NAME_CHARS);
    if (!vmf_wire_write(sock, opening, sizeof opening, deadline, error))
        return NULL;
    VmfChannel *channel = finish(host, &owned, FALSE, key, vmf_peer_identity_copy(peer), name,
                                 deadline, error);
    return channel;
}

static VmfChannel *
accept_control(const VmfSessionHost *host, VmfOwnedFd *sock, guint32 length, gint64 deadline,
               GError **error)
{
    g_autoptr(GBytes) token = vmf_handshake_read_token(*sock, length, deadline, error);
    if (token == NULL)
        return NULL;
    g_autoptr(GBytes) answer = NULL;
    VmfPeerIdentity *peer = NULL;
    guint8 key[VMF_TLS_KEY_BYTES] = {0};
    gboolean ok = host->exchange(host->host, token, &answer, key, &peer, error);
    VmfChannel *channel = NULL;
    /* the answer to a failed exchange tells the other end of a wrong clock, for example */
    gboolean told = answer == NULL ||
                    vmf_handshake_say_answer(*sock, answer, deadline, ok ? error : NULL);
    if (ok && told)
        channel = finish(host, sock, TRUE, key, g_steal_pointer(&peer), NULL, deadline, error);
    explicit_bzero(key, sizeof key);
    vmf_peer_identity_free(peer);
    return channel;
}

static VmfChannel *
accept_stream(const VmfSessionHost *host, VmfOwnedFd *sock, gint64 deadline, GError **error)
{
    char name[VMF_STREAM_NAME_CHARS + 1] = {0};
    guint8 key[VMF_TLS_KEY_BYTES] = {0};
    VmfPeerIdentity *peer = NULL;
    if (!vmf_wire_read(*sock, (guint8 *)name, VMF_STREAM_NAME_CHARS, deadline, error))
        return NULL;
    if (!vmf_stream_name_valid(name)) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "a stream was opened by an impossible name");
        return NULL;
    }
    VmfChannel *channel = NULL;
    if (host->look_up(host->host, name, key, &peer, error))
        channel = finish(host, sock, TRUE, key, peer, name, deadline, error);
    explicit_bzero(key, sizeof key);
    return channel;
}

VmfChannel *
vmf_session_accept(const VmfSessionHost *host, int sock, GError **error)
{
    g_auto(VmfOwnedFd) owned = sock;
    gint64 deadline = handshake_deadline();
    guint8 greeting[VMF_GREETING_BYTES];
    VmfChannelKind kind;
    guint32 length;
    vmf_wire_tune(sock, FALSE);
    if (!vmf_wire_read(sock, greeting, sizeof greeting, deadline, error) ||
        !vmf_greeting_decode(greeting, sizeof greeting, &kind, &length, error))
        return NULL;

    VmfChannel *channel = NULL;
    switch (kind) {
    case VMF_CHANNEL_CONTROL:
        channel = accept_control(host, &owned, length, deadline, error);
        break;
    case VMF_CHANNEL_STREAM:
        vmf_wire_tune(sock, TRUE);
        channel = accept_stream(host, &owned, deadline, error);
        break;
    }
    return channel;
}
