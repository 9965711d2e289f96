/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>
#include <unistd.h>

/* VmfOwnedFd - with g_auto(): closed at the end of the scope unless stolen; -1: none */
typedef int VmfOwnedFd;

static inline void
vmf_owned_fd_close(VmfOwnedFd *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmfOwnedFd, vmf_owned_fd_close)

static inline int
vmf_owned_fd_steal(VmfOwnedFd *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}
