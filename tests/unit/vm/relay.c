/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/vm/relay.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CHUNK (1024 * 1024)

struct Relay {
    gchar *from, *to;
    int listener;
    int stop[2]; /* a pipe; its read end is readable once the relay is to end */
    GThread *acceptor;
    GMutex lock;
    GPtrArray *carriers; /* of GThread */
    guint64 bytes;
};

typedef struct {
    Relay *relay;
    int near, far;
} Carried;

static struct sockaddr_un
address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (g_strlcpy(address.sun_path, path, sizeof address.sun_path) >= sizeof address.sun_path)
        g_error("relay: the path '%s' is too long", path);
    return address;
}

static gboolean
write_all(int fd, const guint8 *data, ssize_t length)
{
    while (length > 0) {
        ssize_t written = send(fd, data, (size_t)length, MSG_NOSIGNAL);
        if (written < 0)
            return FALSE;
        data += written;
        length -= written;
    }
    return TRUE;
}

/* One read and its writes. FALSE: this direction has ended. */
static gboolean
carry_some(Carried *carried, int from, int to, guint8 *buffer)
{
    ssize_t got = recv(from, buffer, CHUNK, 0);
    if (got <= 0 || !write_all(to, buffer, got)) {
        shutdown(to, SHUT_WR);
        return FALSE;
    }
    g_mutex_lock(&carried->relay->lock);
    carried->relay->bytes += (guint64)got;
    g_mutex_unlock(&carried->relay->lock);
    return TRUE;
}

static gpointer
carry(gpointer data)
{
    Carried *carried = data;
    g_autofree guint8 *buffer = g_malloc(CHUNK);
    int open = 2;
    struct pollfd polled[] = {{.fd = carried->near, .events = POLLIN},
                              {.fd = carried->far, .events = POLLIN},
                              {.fd = carried->relay->stop[0], .events = POLLIN}};
    while (open > 0 && (poll(polled, 3, -1) > 0 || errno == EINTR) && polled[2].revents == 0) {
        for (int i = 0; i < 2; i++) {
            if (polled[i].revents != 0 &&
                !carry_some(carried, polled[i].fd, i == 0 ? carried->far : carried->near, buffer)) {
                polled[i].fd = -1;
                open--;
            }
        }
    }
    close(carried->near);
    close(carried->far);
    g_free(carried);
    return NULL;
}

static void
accept_one(Relay *relay)
{
    struct sockaddr_un to = address_of(relay->to);
    Carried *carried = g_new0(Carried, 1);
    carried->relay = relay;
    carried->near = accept(relay->listener, NULL, NULL);
    carried->far = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (carried->near < 0 || connect(carried->far, (struct sockaddr *)&to, sizeof to) < 0) {
        g_message("relay: no connection to '%s': %s", relay->to, g_strerror(errno));
        close(carried->near);
        close(carried->far);
        g_free(carried);
        return;
    }
    g_ptr_array_add(relay->carriers, g_thread_new("carry", carry, carried));
}

static gpointer
accept_all(gpointer data)
{
    Relay *relay = data;
    struct pollfd polled[] = {{.fd = relay->listener, .events = POLLIN},
                              {.fd = relay->stop[0], .events = POLLIN}};
    while ((poll(polled, 2, -1) > 0 || errno == EINTR) && polled[1].revents == 0) {
        if (polled[0].revents != 0)
            accept_one(relay);
    }
    return NULL;
}

Relay *
relay_start(const char *from, const char *to)
{
    struct sockaddr_un address = address_of(from);
    Relay *relay = g_new0(Relay, 1);
    relay->from = g_strdup(from);
    relay->to = g_strdup(to);
    relay->carriers = g_ptr_array_new();
    g_mutex_init(&relay->lock);
    unlink(from);
    relay->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (relay->listener < 0 ||
        bind(relay->listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(from, 0666) < 0 || listen(relay->listener, 64) < 0 ||
        !g_unix_open_pipe(relay->stop, FD_CLOEXEC, NULL))
        g_error("relay: cannot listen on '%s': %s", from, g_strerror(errno));
    relay->acceptor = g_thread_new("accept", accept_all, relay);
    return relay;
}

void
relay_stop(Relay *relay)
{
    if (relay == NULL)
        return;
    close(relay->stop[1]); /* its end of file wakes every thread */
    g_thread_join(relay->acceptor);
    for (guint i = 0; i < relay->carriers->len; i++)
        g_thread_join(g_ptr_array_index(relay->carriers, i));
    close(relay->stop[0]);
    close(relay->listener);
    unlink(relay->from);
    g_ptr_array_unref(relay->carriers);
    g_mutex_clear(&relay->lock);
    g_free(relay->from);
    g_free(relay->to);
    g_free(relay);
}

guint64
relay_bytes(Relay *relay)
{
    g_mutex_lock(&relay->lock);
    guint64 bytes = relay->bytes;
    g_mutex_unlock(&relay->lock);
    return bytes;
}
