/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/connection-limits.h"

#include <pthread.h>
#include <string.h>

#define DEFAULT_PER_ADDRESS 16
#define DEFAULT_IN_ALL      64
#define IPV6_NETWORK_BYTES  8

struct _VmfChannelLimits {
    guint per_address, in_all;
    pthread_mutex_t lock; /* see tls.c for why not GMutex; guards what follows */
    guint taken;
    GHashTable *by_address; /* text → count, only those above 0 */
};

VmfChannelLimits *
vmf_channel_limits_new(guint per_address, guint in_all)
{
    VmfChannelLimits *limits = g_new0(VmfChannelLimits, 1);
    limits->per_address = per_address ? per_address : DEFAULT_PER_ADDRESS;
    limits->in_all = in_all ? in_all : DEFAULT_IN_ALL;
    pthread_mutex_init(&limits->lock, NULL);
    limits->by_address = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return limits;
}

void
vmf_channel_limits_free(VmfChannelLimits *limits)
{
    if (limits == NULL)
        return;
    g_hash_table_unref(limits->by_address);
    pthread_mutex_destroy(&limits->lock);
    g_free(limits);
}

static gchar *
address_key(GInetAddress *address)
{
    if (g_inet_address_get_family(address) != G_SOCKET_FAMILY_IPV6)
        return g_inet_address_to_string(address);
    guint8 network[16] = {0};
    memcpy(network, g_inet_address_to_bytes(address), IPV6_NETWORK_BYTES);
    /* ::ffff:a.b.c.d is IPv4 on a socket that takes both: the whole address counts */
    static const guint8 mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (memcmp(g_inet_address_to_bytes(address), mapped, sizeof mapped) == 0)
        memcpy(network, g_inet_address_to_bytes(address), sizeof network);
    g_autoptr(GInetAddress) whole = g_inet_address_new_from_bytes(network, G_SOCKET_FAMILY_IPV6);
    return g_inet_address_to_string(whole);
}

VmfChannelLimitsVerdict
vmf_channel_limits_enter(VmfChannelLimits *limits, GInetAddress *from)
{
    g_autofree gchar *key = address_key(from);
    pthread_mutex_lock(&limits->lock);
    guint count = GPOINTER_TO_UINT(g_hash_table_lookup(limits->by_address, key));
    VmfChannelLimitsVerdict verdict = count >= limits->per_address      ? VMF_CHANNEL_LIMITS_ADDRESS
                                      : limits->taken >= limits->in_all ? VMF_CHANNEL_LIMITS_ALL
                                                                        : VMF_CHANNEL_LIMITS_OK;
    if (verdict == VMF_CHANNEL_LIMITS_OK) {
        limits->taken++;
        g_hash_table_replace(limits->by_address, g_steal_pointer(&key),
                             GUINT_TO_POINTER(count + 1));
    }
    pthread_mutex_unlock(&limits->lock);
    return verdict;
}

void
vmf_channel_limits_leave(VmfChannelLimits *limits, GInetAddress *from)
{
    g_autofree gchar *key = address_key(from);
    pthread_mutex_lock(&limits->lock);
    guint count = GPOINTER_TO_UINT(g_hash_table_lookup(limits->by_address, key));
    g_assert(count > 0 && limits->taken > 0);
    limits->taken--;
    if (count == 1)
        g_hash_table_remove(limits->by_address, key);
    else
        g_hash_table_replace(limits->by_address, g_steal_pointer(&key),
                             GUINT_TO_POINTER(count - 1));
    pthread_mutex_unlock(&limits->lock);
}
