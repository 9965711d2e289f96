/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/channel.h"

#include "src/base/error.h"
#include "src/channel/channel-private.h"
#include "src/channel/door.h"
#include "src/channel/exchange.h"
#include "src/channel/greeting.h"
#include "src/channel/owned-fd.h"
#include "src/channel/session.h"
#include "src/channel/streams.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PLAIN_BUFFER (1024 * 1024)

void
vmf_channel_init(VmfChannel *channel, const VmfChannelOps *ops, VmfPeerIdentity *peer,
                 const char *stream_name, const guint8 secret[VMF_TLS_KEY_BYTES])
{
    channel->ops = ops;
    channel->refs = 1;
    channel->peer = peer;
    channel->stream_name = g_strdup(stream_name);
    memcpy(channel->stream_secret, secret, VMF_TLS_KEY_BYTES);
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
    vmf_peer_identity_free(channel->peer);
    g_free(channel->stream_name);
    explicit_bzero(channel->stream_secret, sizeof channel->stream_secret);
    channel->ops->free(channel);
}

/* ---- made in this process ---- */

/* What a session asks, answered from a VmfChannelConfig. */
typedef struct {
    const VmfChannelConfig *config;
    VmfChannelStreams *streams;
} Local;

static gboolean
local_exchange(gpointer data, GBytes *token, GBytes **answer, guint8 key[VMF_TLS_KEY_BYTES],
               VmfPeerIdentity **peer, GError **error)
{
    const VmfChannelConfig *config = ((Local *)data)->config;
    g_autoptr(VmfGss) gss = vmf_gss_acceptor(config->me, config->keytab, error);
    return gss && vmf_exchange_accept(gss, token, answer, key, peer, error);
}

static gboolean
local_look_up(gpointer data, const char *name, guint8 key[VMF_TLS_KEY_BYTES],
              VmfPeerIdentity **peer, GError **error)
{
    VmfChannelStreams *streams = ((Local *)data)->streams;
    if (streams)
        return vmf_channel_streams_look_up(streams, name, key, peer, error);
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                        "a stream was opened where none is expected");
    return FALSE;
}

static gboolean
local_judge(gpointer data, const VmfPeerIdentity *peer, const char *stream_name, GError **error)
{
    Local *local = data;
    g_autoptr(GError) refusal = NULL;
    if (stream_name == NULL ? local->config->judge(peer, local->config->judge_data, &refusal)
                            : local->streams == NULL || /* we opened it */
                                  vmf_channel_streams_use_up(local->streams, stream_name, &refusal))
        return TRUE;
    if (refusal) {
        vmf_refusal_number(&refusal);
        g_propagate_error(error, g_steal_pointer(&refusal));
    }
    return FALSE;
}

static VmfSessionHost
session_host(Local *local)
{
    return (VmfSessionHost){.exchange = local_exchange,
                            .look_up = local_look_up,
                            .judge = local_judge,
                            .host = local,
                            .timeout_s = local->config ? local->config->timeout_s : 0};
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

static VmfChannel *
connect_here(const VmfChannelConfig *config, int sock, const char *peer_fqdn, GError **error)
{
    g_auto(VmfOwnedFd) owned = sock;
    g_autoptr(VmfGss)
        gss = vmf_gss_initiator(config->me, config->keytab, config->ccache, peer_fqdn, error);
    if (gss == NULL)
        return NULL;
    Local local = {config, NULL};
    VmfSessionHost host = session_host(&local);
    return vmf_session_connect(&host, gss, vmf_owned_fd_steal(&owned), error);
}

VmfChannel *
vmf_channel_connect(const VmfChannelConfig *config, int sock, const char *peer_fqdn, GError **error)
{
    g_auto(VmfOwnedFd) owned = sock;
    g_return_val_if_fail(config->judge != NULL, NULL);
    g_autoptr(GError) reason = NULL;
    if (!valid_peer_name(config, peer_fqdn, error))
        return NULL;
    VmfChannel *channel = config->door ? vmf_door_connect(config, vmf_owned_fd_steal(&owned),
                                                          peer_fqdn, &reason)
                                       : connect_here(config, vmf_owned_fd_steal(&owned), peer_fqdn,
                                                      &reason);
    if (channel == NULL)
        g_propagate_prefixed_error(error, g_steal_pointer(&reason),
                                   "cannot connect to '%s': ", peer_fqdn);
    return channel;
}

VmfChannel *
vmf_channel_accept(const VmfChannelConfig *config, int sock, VmfChannelStreams *streams,
                   GError **error)
{
    g_return_val_if_fail(config->judge != NULL, NULL);
    Local local = {config, streams};
    VmfSessionHost host = session_host(&local);
    return vmf_session_accept(&host, sock, error);
}

VmfChannel *
vmf_channel_stream_connect(VmfChannel *control, int sock, const char *name, GError **error)
{
    g_auto(VmfOwnedFd) owned = sock;
    if (!vmf_stream_name_valid(name)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "'%s' is no name of a stream", name);
        return NULL;
    }
    g_autoptr(GError) reason = NULL;
    guint8 key[VMF_TLS_KEY_BYTES];
    vmf_channel_stream_key(control, name, key);
    VmfChannel *channel;
    if (control->door) {
        channel = vmf_door_stream(control->door, vmf_owned_fd_steal(&owned), name, key,
                                  control->peer, &reason);
    } else {
        Local local = {NULL, NULL};
        VmfSessionHost host = session_host(&local);
        channel = vmf_session_stream(&host, vmf_owned_fd_steal(&owned), name, key, control->peer,
                                     &reason);
    }
    explicit_bzero(key, sizeof key);
    if (channel == NULL)
        g_propagate_prefixed_error(
            error, g_steal_pointer(&reason),
            "cannot open a memory stream to '%s': ", control->peer->principal);
    return channel;
}

/* ---- made ---- */

const VmfPeerIdentity *
vmf_channel_peer(VmfChannel *channel)
{
    return channel->peer;
}

gchar *
vmf_channel_address_of(int sock)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char text[NI_MAXHOST];
    if (getpeername(sock, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, text, sizeof text, NULL, 0,
                    NI_NUMERICHOST) != 0)
        return g_strdup("");
    static const char mapped[] = "::ffff:"; /* IPv4 on a socket for both (RFC 4291 2.5.5.2) */
    gboolean is_mapped = g_str_has_prefix(text, mapped) && strchr(text, '.') != NULL;
    return g_strdup(is_mapped ? text + strlen(mapped) : text);
}

gchar *
vmf_channel_peer_address(VmfChannel *channel)
{
    return channel->ops->address(channel);
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
    return channel->ops->pump(channel, local_fd, error);
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

gboolean
vmf_channel_wait(VmfChannel *channel, GError **error)
{
    return channel->ops->wait(channel, error);
}

void
vmf_channel_close(VmfChannel *channel)
{
    channel->ops->close(channel);
}

guint64
vmf_channel_bytes_in(VmfChannel *channel)
{
    return channel->ops->bytes(channel, TRUE);
}

guint64
vmf_channel_bytes_out(VmfChannel *channel)
{
    return channel->ops->bytes(channel, FALSE);
}

/* ---- streams ---- */

void
vmf_channel_stream_key(VmfChannel *control, const char *name, guint8 key[VMF_TLS_KEY_BYTES])
{
    gsize size = VMF_TLS_KEY_BYTES;
    GHmac *hmac = g_hmac_new(G_CHECKSUM_SHA256, control->stream_secret, VMF_TLS_KEY_BYTES);
    g_hmac_update(hmac, (const guchar *)name, (gssize)strlen(name));
    g_hmac_get_digest(hmac, key, &size);
    g_hmac_unref(hmac);
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

    vmf_channel_stream_key(control, name, key);
    gboolean ok = vmf_channel_streams_add(streams, name, key, control->peer, life_s, error);
    explicit_bzero(key, sizeof key);
    if (ok)
        *name_out = g_strdup(name);
    return ok;
}
