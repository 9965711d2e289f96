/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/base/fault-point.h"

#ifdef VMF_FAULT_POINTS

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FOLDER "/run/vmferry-faults/"

static const char *called; /* atomic */

void
vmf_fault_point(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_snprintf(address.sun_path, sizeof address.sun_path, FOLDER "%s", name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    char byte;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        g_message("fault point %s: held", name);
        while (read(fd, &byte, 1) < 0 && errno == EINTR)
            continue;
        g_message("fault point %s: goes on", name);
    }
    close(fd);
}

void
vmf_fault_point_past(const char *name, guint64 threshold, guint64 total, guint64 added)
{
    if (total >= threshold && total - added < threshold)
        vmf_fault_point(name);
}

static GMutex shared_lock;
static GPtrArray *shared; /* of flags */

void
vmf_fault_point_share(_Atomic guint32 *flag, gboolean on)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&shared_lock);
    if (shared == NULL)
        shared = g_ptr_array_new();
    g_ptr_array_remove_fast(shared, flag);
    if (on)
        g_ptr_array_add(shared, flag);
}

void
vmf_fault_point_raised(const char *name, _Atomic guint32 *flag)
{
    if (*flag && atomic_exchange(flag, 0))
        vmf_fault_point(name);
}

void
vmf_fault_point_call(const char *name)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&shared_lock);
    g_atomic_pointer_set(&called, name);
    for (guint i = 0; shared && i < shared->len; i++)
        *(_Atomic guint32 *)shared->pdata[i] = 1;
}

void
vmf_fault_point_called(const char *name)
{
    const char *wanted = g_atomic_pointer_get(&called);
    if (wanted && strcmp(wanted, name) == 0 &&
        g_atomic_pointer_compare_and_exchange(&called, wanted, NULL))
        vmf_fault_point(name);
}

#endif
