/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/base/fault-point.h"

#ifdef VMF_FAULT_POINTS

#include <errno.h>
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

void
vmf_fault_point_call(const char *name)
{
    g_atomic_pointer_set(&called, name);
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
