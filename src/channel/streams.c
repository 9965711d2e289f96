/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/streams.h"

#include "src/base/error.h"

#include <pthread.h>
#include <string.h>

#define MAX_EXPECTED   1024
#define DEFAULT_LIFE_S 60

typedef struct {
    guint8 key[VMF_TLS_KEY_BYTES];
    VmfPeerIdentity *peer;
    gint64 expires; /* monotonic */
} Expected;

struct _VmfChannelStreams {
    gint refs;            /* atomic */
    pthread_mutex_t lock; /* see tls.c for why not GMutex; guards @expected */
    GHashTable *expected; /* name → Expected */
};

static void
expected_free(gpointer data)
{
    Expected *expected = data;
    explicit_bzero(expected->key, sizeof expected->key);
    vmf_peer_identity_free(expected->peer);
    g_free(expected);
}

VmfChannelStreams *
vmf_channel_streams_new(void)
{
    VmfChannelStreams *streams = g_new0(VmfChannelStreams, 1);
    streams->refs = 1;
    pthread_mutex_init(&streams->lock, NULL);
    streams->expected = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, expected_free);
    return streams;
}

VmfChannelStreams *
vmf_channel_streams_ref(VmfChannelStreams *streams)
{
    g_atomic_int_inc(&streams->refs);
    return streams;
}

void
vmf_channel_streams_unref(VmfChannelStreams *streams)
{
    if (streams == NULL || !g_atomic_int_dec_and_test(&streams->refs))
        return;
    g_hash_table_unref(streams->expected);
    pthread_mutex_destroy(&streams->lock);
    g_free(streams);
}

static gboolean
has_expired(gpointer name, gpointer value, gpointer now)
{
    return ((Expected *)value)->expires <= *(gint64 *)now;
}

static void
drop_expired(VmfChannelStreams *streams)
{
    gint64 now = g_get_monotonic_time();
    g_hash_table_foreach_remove(streams->expected, has_expired, &now);
}

gboolean
vmf_channel_streams_add(VmfChannelStreams *streams, const char *name,
                        const guint8 key[VMF_TLS_KEY_BYTES], const VmfPeerIdentity *peer,
                        guint life_s, GError **error)
{
    pthread_mutex_lock(&streams->lock);
    drop_expired(streams);
    gboolean room = g_hash_table_size(streams->expected) < MAX_EXPECTED;
    if (room) {
        Expected *expected = g_new0(Expected, 1);
        memcpy(expected->key, key, sizeof expected->key);
        expected->peer = vmf_peer_identity_copy(peer);
        expected->expires = g_get_monotonic_time() +
                            (gint64)(life_s ? life_s : DEFAULT_LIFE_S) * G_USEC_PER_SEC;
        g_hash_table_replace(streams->expected, g_strdup(name), expected);
    }
    pthread_mutex_unlock(&streams->lock);
    if (!room)
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                    "%d memory streams are already expected here; let some migrations finish first",
                    MAX_EXPECTED);
    return room;
}

static void
fail_unknown(GError **error)
{
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_DENIED,
                        "a stream was opened that is not expected: unknown, used up or expired");
}

gboolean
vmf_channel_streams_look_up(VmfChannelStreams *streams, const char *name,
                            guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity **peer, GError **error)
{
    pthread_mutex_lock(&streams->lock);
    drop_expired(streams);
    const Expected *expected = g_hash_table_lookup(streams->expected, name);
    if (expected) {
        memcpy(key, expected->key, sizeof expected->key);
        *peer = vmf_peer_identity_copy(expected->peer);
    }
    pthread_mutex_unlock(&streams->lock);
    if (expected == NULL)
        fail_unknown(error);
    return expected != NULL;
}

gboolean
vmf_channel_streams_use_up(VmfChannelStreams *streams, const char *name, GError **error)
{
    pthread_mutex_lock(&streams->lock);
    gboolean was_there = g_hash_table_remove(streams->expected, name);
    pthread_mutex_unlock(&streams->lock);
    if (!was_there)
        fail_unknown(error);
    return was_there;
}

void
vmf_channel_stream_forget(VmfChannelStreams *streams, const char *name)
{
    vmf_channel_streams_use_up(streams, name, NULL);
}
