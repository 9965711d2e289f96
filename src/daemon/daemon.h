/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/daemon/authority.h"
#include "src/daemon/disk-keeper.h"
#include "src/daemon/job-table.h"
#include "src/daemon/peer-table.h"
#include "src/migrate/context.h"

/*
 * vmferryd: one per host. Everything here outlives the main loop's run.
 *
 * Threads. The main loop serves D-Bus messages, libvirt's events and timers, and never blocks.
 * Calls of D-Bus interfaces run in GLib's pool, each move in a thread of its own, each incoming
 * connection's handshake in a thread of its own.
 */
typedef struct {
    VmfContext context;
    GDBusConnection *bus;
    VmfAuthority *authority;
    VmfJobTable *jobs;
    VmfPeerTable *peers;
    VmfDiskKeeper *keeper;
    GMutex hooks;       /* one of libvirt's hooks, or the reconciler, at a time per daemon */
    GHashTable *hooked; /* (element-type utf8): UUIDs libvirt has started since; by hooks */
} VmfDaemon;
