/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/channel.h"

#include "src/base/error.h"
#include "src/channel/channel-private.h"
#include "src/channel/handshake.h"
#include "src/channel/relay.h"
#include "src/channel/streams.h"
#include "src/channel/wire.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PLAIN_BUFFER (1024 * 1024)

struct _VmfChannel {
    gint refs;             /* atomic */
    VmfPeerIdentity *peer; /* immutable, as are the next three */
    gchar *stream_name;    /* NULL: control */
    int sock;
    VmfTls *tls;

    pthread_mutex_t lock; /* see tls.c for why not GMutex; guards what follows */
    gboolean started;     /* steal_fd or pump has been called */
    VmfRelay *relay;      /* set once, then lives as long as the channel */
};

/* A socket that is closed unless it is stolen. */
typedef int OwnedFd;

static void
close_owned(OwnedFd *fd)
{
    if (*fd >= 0)
        close(*fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(OwnedFd, close_owned)

static int
steal(OwnedFd *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

VmfChannel *
vmf_channel_from_session(int sock, VmfTls *tls, VmfPeerIdentity *peer, const char *stream_name)
{
    VmfChannel *channel = g_new0(VmfChannel, 1);
    channel->refs = 1;
    channel->sock = sock;
    channel->tls = tls;
    channel->peer = peer;
    channel->stream_name = g_strdup(stream_name);
    pthread_mutex_init(&channel->lock, NULL);
    return channel;
}

VmfTls *
vmf_channel_session(VmfChannel *channel)
{
    return channel->tls;
}

VmfChannel *
vmf_channel_ref(VmfChannel *channel)
{
    g_atomic_int_inc(&channel->refs);
    return channel;
}

void
vmf_channel_unref(VmfChannel *channel)
{
    if (channel == NULL || !g_atomic_int_dec_and_test(&channel->refs))
        return;
    vmf_relay_free(channel->relay);
    vmf_tls_free(channel->tls);
    close(channel->sock);
    vmf_peer_identity_free(channel->peer);
    g_free(channel->stream_name);
    pthread_mutex_destroy(&channel->lock);
    g_free(channel);
}

static gint64
verdict_deadline(const VmfChannelConfig *config)
{
    guint seconds = config && config->timeout_s ? config->timeout_s : VMF_VERDICT_TIMEOUT_S;
    return g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
}

/* Steps 2 and 3 of a control channel; @key and @peer come from step 1. */
static VmfChannel *
finish_control(const VmfChannelConfig *config, int sock, gboolean server,
               const guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity *peer_taken, gint64 deadline,
               GError **error)
{
    g_autoptr(VmfPeerIdentity) peer = peer_taken;
    g_autoptr(VmfTls) tls = vmf_handshake_tls(sock, server, key, deadline, error);
    if (tls == NULL)
        return NULL;

    g_autoptr(GError) refusal = NULL;
    if (!config->judge(peer, config->judge_data, &refusal) && refusal == NULL)
        g_set_error(&refusal, VMF_ERROR, VMF_ERROR_DENIED, "'%s' is not accepted as a peer",
                    peer->principal);
    if (!vmf_handshake_verdicts(tls, sock, refusal, peer->principal, verdict_deadline(config),
                                error))
        return NULL;
    return vmf_channel_from_session(sock, g_steal_pointer(&tls), g_steal_pointer(&peer), NULL);
}

static gboolean
valid_peer_name(const VmfChannelConfig *config, const char *fqdn, GError **error)
{
    gsize length = strlen(fqdn);
    gboolean ok = length > 0 && length < 254 && strchr(fqdn, '.') != NULL;
    for (const char *p = fqdn; ok && *p; p++)
        ok = g_ascii_isalnum(*p) || *p == '-' || *p == '.';
    if (!ok)
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "'%s' is not a full host name; give it as in the directory (hv2.example.com)",
                    fqdn);
    else if (g_ascii_strcasecmp(fqdn, config->me->fqdn) == 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "'%s' is this host itself; name another one", fqdn);
        ok = FALSE;
    }
    return ok;
}

VmfChannel *
vmf_channel_connect(const VmfChannelConfig *config, int sock, const char *peer_fqdn, GError **error)
{
    g_auto(OwnedFd) owned = sock;
    g_return_val_if_fail(config->judge != NULL, NULL);
    g_autoptr(GError) reason = NULL;
    guint8 key[VMF_TLS_KEY_BYTES];
    VmfPeerIdentity *peer = NULL;
    gint64 deadline = 0;
    VmfChannel *channel = NULL;

    if (!valid_peer_name(config, peer_fqdn, error))
        return NULL;
    vmf_wire_tune(sock, FALSE);
    if (vmf_handshake_gss_initiate(config, sock, peer_fqdn, key, &peer, &deadline, &reason))
        channel = finish_control(config, sock, FALSE, key, g_steal_pointer(&peer), deadline,
                                 &reason);
    explicit_bzero(key, sizeof key);
    vmf_peer_identity_free(peer);
    if (channel)
        steal(&owned);
    else
        g_propagate_prefixed_error(error, g_steal_pointer(&reason),
                                   "cannot connect to '%s': ", peer_fqdn);
    return channel;
}

static VmfChannel *
accept_control(const VmfChannelConfig *config, int sock, const guint8 greeting[VMF_GREETING_BYTES],
               guint32 length, gint64 deadline, GError **error)
{
    guint8 key[VMF_TLS_KEY_BYTES];
    VmfPeerIdentity *peer = NULL;
    VmfChannel *channel = NULL;
    if (vmf_handshake_gss_accept(config, sock, greeting, length, key, &peer, deadline, error))
        channel = finish_control(config, sock, TRUE, key, g_steal_pointer(&peer), deadline, error);
    explicit_bzero(key, sizeof key);
    vmf_peer_identity_free(peer);
    return channel;
}

/* Steps 2 and 3 of a stream. */
static VmfChannel *
finish_stream(int sock, gboolean server, const guint8 key[VMF_TLS_KEY_BYTES],
              const VmfPeerIdentity *peer, VmfChannelStreams *streams, const char *name,
              gint64 deadline, GError **error)
{
    g_autoptr(VmfTls) tls = vmf_handshake_tls(sock, server, key, deadline, error);
    if (tls == NULL)
        return NULL;
    g_autoptr(GError) refusal = NULL;
    if (streams)
        vmf_channel_streams_use_up(streams, name, &refusal);
    if (!vmf_handshake_verdicts(tls, sock, refusal, peer->principal, deadline, error))
        return NULL;
    return vmf_channel_from_session(sock, g_steal_pointer(&tls), vmf_peer_identity_copy(peer),
                                    name);
}

static VmfChannel *
accept_stream(int sock, VmfChannelStreams *streams, gint64 deadline, GError **error)
{
    char name[VMF_STREAM_NAME_CHARS + 1] = {0};
    guint8 key[VMF_TLS_KEY_BYTES];
    g_autoptr(VmfPeerIdentity) peer = NULL;
    if (!vmf_wire_read(sock, (guint8 *)name, VMF_STREAM_NAME_CHARS, deadline, error))
        return NULL;
    if (streams == NULL || !vmf_stream_name_valid(name)) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "a stream was opened where none is expected, or by an impossible name");
        return NULL;
    }
    if (!vmf_channel_streams_look_up(streams, name, key, &peer, error))
        return NULL;
    VmfChannel *channel = finish_stream(sock, TRUE, key, peer, streams, name, deadline, error);
    explicit_bzero(key, sizeof key);
    return channel;
}

VmfChannel *
vmf_channel_accept(const VmfChannelConfig *config, int sock, VmfChannelStreams *streams,
                   GError **error)
{
    g_auto(OwnedFd) owned = sock;
    g_return_val_if_fail(config->judge != NULL, NULL);
    gint64 deadline = g_get_monotonic_time() + VMF_HANDSHAKE_TIMEOUT_S * G_USEC_PER_SEC;
    guint8 greeting[VMF_GREETING_BYTES];
    VmfChannelKind kind;
    guint32 length;
    if (!vmf_wire_read(sock, greeting, sizeof greeting, deadline, error) ||
        !vmf_greeting_decode(greeting, sizeof greeting, &kind, &length, error))
        return NULL;

    VmfChannel *channel = NULL;
    switch (kind) {
    case VMF_CHANNEL_CONTROL:
        vmf_wire_tune(sock, FALSE);
        channel = accept_control(config, sock, greeting, length, deadline, error);
        break;
    case VMF_CHANNEL_STREAM:
        vmf_wire_tune(sock, TRUE);
        channel = accept_stream(sock, streams, deadline, error);
        break;
    }
    if (channel)
        steal(&owned);
    return channel;
}

const VmfPeerIdentity *
vmf_channel_peer(VmfChannel *channel)
{
    return channel->peer;
}

gchar *
vmf_channel_peer_address(VmfChannel *channel)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char text[NI_MAXHOST];
    if (getpeername(channel->sock, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, text, sizeof text, NULL, 0,
                    NI_NUMERICHOST) != 0)
        return g_strdup("");
    static const char mapped[] = "::ffff:"; /* IPv4 on a socket for both (RFC 4291 2.5.5.2) */
    gboolean is_mapped = g_str_has_prefix(text, mapped) && strchr(text, '.') != NULL;
    return g_strdup(is_mapped ? text + strlen(mapped) : text);
}

gboolean
vmf_channel_is_stream(VmfChannel *channel)
{
    return channel->stream_name != NULL;
}

const char *
vmf_channel_stream_name(VmfChannel *channel)
{
    return channel->stream_name;
}

gboolean
vmf_channel_pump(VmfChannel *channel, int local_fd, GError **error)
{
    g_auto(OwnedFd) owned = local_fd;
    pthread_mutex_lock(&channel->lock);
    gboolean first = !channel->started;
    channel->started = TRUE;
    if (first)
        channel->relay = vmf_relay_start(channel->tls, channel->sock, steal(&owned), error);
    gboolean ok = channel->relay != NULL;
    pthread_mutex_unlock(&channel->lock);
    if (!first)
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                            "this channel is relayed, or was closed, already");
    return first && ok;
}

int
vmf_channel_steal_fd(VmfChannel *channel, GError **error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        int saved = errno;
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "cannot make a socket pair: %s",
                    g_strerror(saved));
        return -1;
    }
    int room = PLAIN_BUFFER;
    (void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room); /* as in relay.c */
    if (vmf_channel_pump(channel, pair[0], error))
        return pair[1];
    close(pair[1]);
    return -1;
}

static VmfRelay *
get_relay(VmfChannel *channel)
{
    pthread_mutex_lock(&channel->lock);
    VmfRelay *relay = channel->relay;
    pthread_mutex_unlock(&channel->lock);
    return relay;
}

gboolean
vmf_channel_wait(VmfChannel *channel, GError **error)
{
    VmfRelay *relay = get_relay(channel);
    if (relay)
        return vmf_relay_wait(relay, error);
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INTERNAL, "this channel was never relayed");
    return FALSE;
}

void
vmf_channel_close(VmfChannel *channel)
{
    pthread_mutex_lock(&channel->lock);
    channel->started = TRUE;
    if (channel->relay)
        vmf_relay_cut(channel->relay);
    else
        shutdown(channel->sock, SHUT_RDWR);
    pthread_mutex_unlock(&channel->lock);
}

guint64
vmf_channel_bytes_in(VmfChannel *channel)
{
    VmfRelay *relay = get_relay(channel);
    return relay ? vmf_relay_bytes_in(relay) : 0;
}

guint64
vmf_channel_bytes_out(VmfChannel *channel)
{
    VmfRelay *relay = get_relay(channel);
    return relay ? vmf_relay_bytes_out(relay) : 0;
}

gboolean
vmf_channel_stream_expect(VmfChannel *control, VmfChannelStreams *streams, guint life_s,
                          gchar **name_out, GError **error)
{
    guint8 random[VMF_STREAM_NAME_CHARS / 2], key[VMF_TLS_KEY_BYTES];
    int rc = gnutls_rnd(GNUTLS_RND_KEY, random, sizeof random);
    if (rc < 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "no random numbers: %s",
                    gnutls_strerror(rc));
        return FALSE;
    }
    char name[VMF_STREAM_NAME_CHARS + 1];
    for (gsize i = 0; i < sizeof random; i++)
        g_snprintf(name + 2 * i, 3, "%02x", random[i]);

    gboolean ok = vmf_tls_export(control->tls, name, key, error) &&
                  vmf_channel_streams_add(streams, name, key, control->peer, life_s, error);
    explicit_bzero(key, sizeof key);
    if (ok)
        *name_out = g_strdup(name);
    return ok;
}

VmfChannel *
vmf_channel_stream_connect(VmfChannel *control, int sock, const char *name, GError **error)
{
    g_auto(OwnedFd) owned = sock;
    if (!vmf_stream_name_valid(name)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "'%s' is no name of a stream", name);
        return NULL;
    }
    vmf_wire_tune(sock, TRUE);
    gint64 deadline = g_get_monotonic_time() + VMF_HANDSHAKE_TIMEOUT_S * G_USEC_PER_SEC;
    guint8 opening[VMF_GREETING_BYTES + VMF_STREAM_NAME_CHARS], key[VMF_TLS_KEY_BYTES];
    vmf_greeting_encode(VMF_CHANNEL_STREAM, VMF_STREAM_NAME_CHARS, opening);
    memcpy(opening + VMF_GREETING_BYTES, name, VMF_STREAM_NAME_CHARS);

    g_autoptr(GError) reason = NULL;
    VmfChannel *channel = NULL;
    if (vmf_tls_export(control->tls, name, key, &reason) &&
        vmf_wire_write(sock, opening, sizeof opening, deadline, &reason))
        channel = finish_stream(sock, FALSE, key, control->peer, NULL, name, deadline, &reason);
    explicit_bzero(key, sizeof key);
    if (channel)
        steal(&owned);
    else
        g_propagate_prefixed_error(
            error, g_steal_pointer(&reason),
            "cannot open a memory stream to '%s': ", control->peer->principal);
    return channel;
}
