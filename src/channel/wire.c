/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/wire.h"

#include "src/base/error.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

/*
 * A control channel's peer is given up after 10 s without an answer, be it idle (keep-alive) or not
 * (user time-out). The kernel counts a receiver that has closed its window as no answer too; a
 * hypervisor may do that for a while, so streams wait longer: their control channel notices first.
 */
#define CONTROL_TIMEOUT_MS 10000
#define STREAM_TIMEOUT_MS  60000

static void
set_option(int sock, int level, int option, int value)
{
    /* none of these is needed for correctness, and they all fail on a socketpair */
    (void)setsockopt(sock, level, option, &value, sizeof value);
}

void
vmf_wire_tune(int sock, gboolean stream)
{
    set_option(sock, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(sock, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(sock, IPPROTO_TCP, TCP_KEEPIDLE, 4);
    set_option(sock, IPPROTO_TCP, TCP_KEEPINTVL, 2);
    set_option(sock, IPPROTO_TCP, TCP_KEEPCNT, 3);
    set_option(sock, IPPROTO_TCP, TCP_USER_TIMEOUT,
               stream ? STREAM_TIMEOUT_MS : CONTROL_TIMEOUT_MS);
}

gboolean
vmf_wire_wait(int sock, short events, gint64 deadline, GError **error)
{
    for (;;) {
        gint64 left = deadline - g_get_monotonic_time();
        if (left <= 0)
            break;
        struct pollfd fd = {sock, events, 0};
        int rc = poll(&fd, 1, (int)MIN(left / 1000 + 1, G_MAXINT));
        if (rc > 0)
            return TRUE;
        if (rc < 0 && errno != EINTR) {
            int saved = errno;
            g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "poll: %s", g_strerror(saved));
            return FALSE;
        }
    }
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                        "the other end does not answer in time; see that vmferryd there is up and "
                        "not blocked");
    return FALSE;
}

static void
fail_cut(GError **error, int saved)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "the connection broke: %s",
                g_strerror(saved));
}

gssize
vmf_wire_read_some(int sock, guint8 *data, gsize size, gint64 deadline, GError **error)
{
    for (;;) {
        gssize n = recv(sock, data, size, MSG_DONTWAIT);
        if (n >= 0)
            return n;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            fail_cut(error, errno);
            return -1;
        }
        if (!vmf_wire_wait(sock, POLLIN, deadline, error))
            return -1;
    }
}

gboolean
vmf_wire_read(int sock, guint8 *data, gsize size, gint64 deadline, GError **error)
{
    while (size > 0) {
        gssize n = vmf_wire_read_some(sock, data, size, deadline, error);
        if (n < 0)
            return FALSE;
        if (n == 0) {
            g_set_error_literal(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                                "the other end closed the connection; its log says why");
            return FALSE;
        }
        data += n;
        size -= (gsize)n;
        /* the deadline binds a peer that always has one more byte, too */
        if (size > 0 && !vmf_wire_wait(sock, POLLIN, deadline, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vmf_wire_write(int sock, const guint8 *data, gsize size, gint64 deadline, GError **error)
{
    while (size > 0) {
        gssize n = send(sock, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            data += n;
            size -= (gsize)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (!vmf_wire_wait(sock, POLLOUT, deadline, error))
                return FALSE;
        } else if (n < 0 && errno != EINTR) {
            fail_cut(error, errno);
            return FALSE;
        }
    }
    return TRUE;
}
