/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/turns.h"

#include "src/base/error.h"

struct _VmfTurns {
    GMutex lock;
    GCond judged;
    GHashTable *own;     /* UUID → how many of this host's own doings */
    GHashTable *offered; /* UUIDs whose offer is being judged */
};

VmfTurns *
vmf_turns_new(void)
{
    VmfTurns *turns = g_new0(VmfTurns, 1);
    g_mutex_init(&turns->lock);
    g_cond_init(&turns->judged);
    turns->own = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    turns->offered = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return turns;
}

void
vmf_turns_free(VmfTurns *turns)
{
    if (turns == NULL)
        return;
    g_hash_table_unref(turns->own);
    g_hash_table_unref(turns->offered);
    g_cond_clear(&turns->judged);
    g_mutex_clear(&turns->lock);
    g_free(turns);
}

static void
count_own(VmfTurns *turns, const char *vm, gint by)
{
    gint now = GPOINTER_TO_INT(g_hash_table_lookup(turns->own, vm)) + by;
    g_assert(now >= 0);
    if (now == 0)
        g_hash_table_remove(turns->own, vm);
    else
        g_hash_table_insert(turns->own, g_strdup(vm), GINT_TO_POINTER(now));
}

void
vmf_turns_own_begin(VmfTurns *turns, const char *uuid)
{
    g_autofree gchar *vm = g_ascii_strdown(uuid, -1);
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&turns->lock);
    count_own(turns, vm, 1); /* before the wait: no further offer comes in between */
    while (g_hash_table_contains(turns->offered, vm))
        g_cond_wait(&turns->judged, &turns->lock);
}

void
vmf_turns_own_end(VmfTurns *turns, const char *uuid)
{
    g_autofree gchar *vm = g_ascii_strdown(uuid, -1);
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&turns->lock);
    count_own(turns, vm, -1);
}

gboolean
vmf_turns_offer_begin(VmfTurns *turns, const char *uuid, GError **error)
{
    g_autofree gchar *vm = g_ascii_strdown(uuid, -1);
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&turns->lock);
    const char *who = g_hash_table_contains(turns->own, vm) ? "is being started, ended or recovered"
                      : g_hash_table_contains(turns->offered, vm) ? "is being offered"
                                                                  : NULL;
    if (who == NULL)
        return g_hash_table_add(turns->offered, g_steal_pointer(&vm));
    g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "VM %s %s there at this moment; try again later",
                vm, who);
    return FALSE;
}

void
vmf_turns_offer_end(VmfTurns *turns, const char *uuid)
{
    g_autofree gchar *vm = g_ascii_strdown(uuid, -1);
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&turns->lock);
    g_hash_table_remove(turns->offered, vm);
    g_cond_broadcast(&turns->judged);
}
