/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/probe-memory.h"

#include <string.h>

#define MAX_KEPT 4096

typedef struct {
    VmfFactCrypt encryption;
    gint64 learnt_us;
} Verdict;

typedef struct {
    gchar *stamp, *text, *names;
} Descriptor;

static GMutex lock;
static GHashTable *verdicts;    /* "//server/share", lower case: Verdict */
static GHashTable *descriptors; /* URL: Descriptor */

static void
free_descriptor(gpointer data)
{
    Descriptor *known = data;
    g_free(known->stamp);
    g_free(known->text);
    g_free(known->names);
    g_free(known);
}

/* The lock is held. */
static void
remember(GHashTable **table, gchar *key, gpointer value, GDestroyNotify destroy)
{
    if (*table == NULL)
        *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, destroy);
    if (g_hash_table_size(*table) >= MAX_KEPT)
        g_hash_table_remove_all(*table);
    g_hash_table_replace(*table, key, value);
}

static gchar *
share_key(const char *server, const char *share)
{
    g_autofree gchar *name = g_strdup_printf("//%s/%s", server, share);
    return g_ascii_strdown(name, -1);
}

void
vmf_probe_memory_learn_share(const VmfFactShare *share)
{
    if (share->encryption == VMF_FACT_CRYPT_UNKNOWN)
        return;
    Verdict *verdict = g_new(Verdict, 1);
    *verdict = (Verdict){share->encryption, g_get_monotonic_time()};
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&lock);
    remember(&verdicts, share_key(share->server, share->share), verdict, g_free);
}

VmfFactCrypt
vmf_probe_memory_encryption(const char *server, const char *share)
{
    g_autofree gchar *key = share_key(server, share);
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&lock);
    const Verdict *verdict = verdicts ? g_hash_table_lookup(verdicts, key) : NULL;
    gint64 since = g_get_monotonic_time() - (gint64)VMF_PROBE_MEMORY_S * G_USEC_PER_SEC;
    return verdict && verdict->learnt_us >= since ? verdict->encryption : VMF_FACT_CRYPT_UNKNOWN;
}

void
vmf_probe_memory_learn_descriptor(const VmfFactProbe *probe, const char *stamp)
{
    if (stamp[0] == '\0' || probe->descriptor[0] == '\0')
        return;
    Descriptor *known = g_new(Descriptor, 1);
    *known = (Descriptor){g_strdup(stamp), g_strdup(probe->descriptor),
                          g_strdup(probe->descriptor_names)};
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&lock);
    remember(&descriptors, g_strdup(probe->url), known, free_descriptor);
}

/* The lock is held. */
static const Descriptor *
find(const char *url)
{
    return descriptors ? g_hash_table_lookup(descriptors, url) : NULL;
}

gchar *
vmf_probe_memory_stamp(const char *url)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&lock);
    const Descriptor *known = find(url);
    return g_strdup(known ? known->stamp : "");
}

gboolean
vmf_probe_memory_recall(VmfFactProbe *probe, const char *stamp)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&lock);
    const Descriptor *known = find(probe->url);
    if (known == NULL || strcmp(known->stamp, stamp) != 0)
        return FALSE;
    vmf_fact_set(&probe->descriptor, known->text);
    vmf_fact_set(&probe->descriptor_names, known->names);
    return TRUE;
}
