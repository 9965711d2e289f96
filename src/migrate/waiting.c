/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/waiting.h"

static GMutex lock;
static GPtrArray *all; /* of VmfWaiting, by since_us */

static void
waiting_free(gpointer data)
{
    VmfWaiting *waiting = data;
    g_free(waiting->uuid);
    g_free(waiting->name);
    g_free(waiting->what);
    g_free(waiting);
}

static VmfWaiting *
waiting_new(const char *uuid, const char *name, const char *what, gint64 since_us)
{
    VmfWaiting *waiting = g_new0(VmfWaiting, 1);
    *waiting = (VmfWaiting){g_ascii_strdown(uuid, -1), g_strdup(name), g_strdup(what), since_us};
    return waiting;
}

static guint
find(const char *uuid)
{
    guint i = 0;
    while (i < all->len && g_ascii_strcasecmp(((VmfWaiting *)all->pdata[i])->uuid, uuid) != 0)
        i++;
    return i;
}

void
vmf_waiting_set(const char *uuid, const char *name, const char *what)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&lock);
    if (all == NULL)
        all = g_ptr_array_new_with_free_func(waiting_free);
    guint at = find(uuid);
    const char *before = at < all->len ? ((VmfWaiting *)all->pdata[at])->what : NULL;
    if (what && g_strcmp0(what, before) != 0)
        g_message("'%s' waits: %s", name, what);
    else if (what == NULL && before)
        g_message("'%s' waits no more", name);
    if (at == all->len && what)
        g_ptr_array_add(all, waiting_new(uuid, name, what, g_get_real_time()));
    else if (at < all->len && what == NULL)
        g_ptr_array_remove_index(all, at);
    else if (at < all->len) {
        VmfWaiting *waiting = all->pdata[at];
        g_free(waiting->what);
        waiting->what = g_strdup(what);
    }
}

GPtrArray *
vmf_waiting_list(void)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(waiting_free);
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&lock);
    for (guint i = 0; all && i < all->len; i++) {
        const VmfWaiting *one = all->pdata[i];
        g_ptr_array_add(list, waiting_new(one->uuid, one->name, one->what, one->since_us));
    }
    return list;
}
