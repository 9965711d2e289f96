/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * A connected socket during the handshake: whole reads and writes with one deadline.
 *
 * A deadline is a g_get_monotonic_time() value; it covers the whole phase, so a peer that sends a
 * byte now and then gains nothing. All I/O is with MSG_DONTWAIT and MSG_NOSIGNAL: whether the socket
 * itself is blocking does not matter.
 */

/** vmf_wire_tune() - no delay, and notice a vanished peer; no-op for sockets that are not TCP */
void vmf_wire_tune(int sock, gboolean stream);

/**
 * vmf_wire_wait() - wait until @sock is ready for @events (POLLIN, POLLOUT), or broken
 *
 * Returns: %FALSE and VMF_ERROR_UNREACHABLE at the deadline.
 */
gboolean vmf_wire_wait(int sock, short events, gint64 deadline, GError **error);

/**
 * vmf_wire_read() - exactly @size bytes
 *
 * Returns: %FALSE and VMF_ERROR_UNREACHABLE: closed, cut, or too slow.
 */
gboolean vmf_wire_read(int sock, guint8 *data, gsize size, gint64 deadline, GError **error);

/** vmf_wire_read_some() - at least one byte. Returns: bytes read, 0 at the end, -1 and @error */
gssize vmf_wire_read_some(int sock, guint8 *data, gsize size, gint64 deadline, GError **error);

/** vmf_wire_write() - all @size bytes */
gboolean vmf_wire_write(int sock, const guint8 *data, gsize size, gint64 deadline, GError **error);
