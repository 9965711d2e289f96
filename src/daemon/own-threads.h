/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gio/gio.h>

/*
 * Handlers of D-Bus calls that may wait for long, in threads that nobody else waits for.
 *
 * GDBus would run them in GTask's pool, as it does those of this host's own callers (libvirt's hook, the
 * administrator): ten threads, and one more now and then. A peer may have many calls that wait, so they have
 * as many threads as there are calls. The limits of peer-bus.h bound them.
 */

/**
 * vmf_own_threads_connect() - g_signal_connect_data() to a skeleton's "handle-…"
 *
 * @handler completes the call, and returns %TRUE. The skeleton has no
 * G_DBUS_INTERFACE_SKELETON_FLAGS_HANDLE_METHOD_INVOCATIONS_IN_THREAD.
 */
void vmf_own_threads_connect(gpointer skeleton, const char *signal, GCallback handler,
                             gpointer data, GClosureNotify destroy);
