/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/channel/pair.h"

#include "src/channel/handshake.h"
#include "src/channel/session.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const guint8 key[VMF_TLS_KEY_BYTES] = "a key that no Kerberos has made";

static gint64
soon(void)
{
    return g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
}

static gpointer
serve(gpointer data)
{
    g_autoptr(GError) error = NULL;
    VmfTls *tls = vmf_handshake_tls(GPOINTER_TO_INT(data), TRUE, key, soon(), &error);
    g_assert_no_error(error);
    return tls;
}

static VmfPeerIdentity *
somebody(const char *principal)
{
    VmfPeerIdentity *peer = vmf_peer_identity_new();
    peer->principal = g_strdup(principal);
    return peer;
}

/* Both handshakes over one socketpair; then each session is given the socket it is to go on with. */
static Pair
make(const int client_sock, const int server_sock)
{
    Pair pair = {NULL, NULL, {-1, -1}};
    int wire[2];
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), ==, 0);
    GThread *thread = g_thread_new("serve", serve, GINT_TO_POINTER(wire[1]));
    VmfTls *client = vmf_handshake_tls(wire[0], FALSE, key, soon(), &error);
    g_assert_no_error(error);
    VmfTls *server = g_thread_join(thread);
    pair.client = vmf_session_new(client_sock < 0 ? wire[0] : client_sock, client,
                                  somebody("host/server"), NULL, NULL);
    pair.server = vmf_session_new(server_sock < 0 ? wire[1] : server_sock, server,
                                  somebody("CLIENT$"), NULL, NULL);
    if (client_sock >= 0) {
        close(wire[0]);
        close(wire[1]);
    }
    return pair;
}

Pair
pair_new(void)
{
    return make(-1, -1);
}

Pair
pair_over(int client_sock, int server_sock)
{
    return make(client_sock, server_sock);
}

Pair
pair_with_middle(void)
{
    int left[2], right[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, left), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, right), ==, 0);
    Pair pair = make(left[0], right[0]);
    pair.middle[0] = left[1];
    pair.middle[1] = right[1];
    return pair;
}

void
pair_clear(Pair *pair)
{
    vmf_channel_unref(pair->client);
    vmf_channel_unref(pair->server);
    for (int i = 0; i < 2; i++)
        if (pair->middle[i] >= 0)
            close(pair->middle[i]);
}

void
pair_read(int fd, void *data, gsize size)
{
    for (guint8 *at = data; size > 0;) {
        gssize n = read(fd, at, size);
        g_assert_cmpint(n, >, 0);
        at += n;
        size -= (gsize)n;
    }
}

void
pair_write(int fd, const void *data, gsize size)
{
    for (const guint8 *at = data; size > 0;) {
        gssize n = send(fd, at, size, MSG_NOSIGNAL);
        g_assert_cmpint(n, >, 0);
        at += n;
        size -= (gsize)n;
    }
}

void
pair_expect_end(int fd)
{
    char byte;
    g_assert_cmpint(read(fd, &byte, 1), ==, 0);
}

static guint
count_entries(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint count = 0;
    while (g_dir_read_name(dir))
        count++;
    return count;
}

guint
pair_count_fds(void)
{
    return count_entries("/proc/self/fd");
}

guint
pair_count_threads(void)
{
    return count_entries("/proc/self/task");
}
