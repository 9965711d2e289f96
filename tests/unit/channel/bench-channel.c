/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a channel costs beside plain TCP, on the loopback interface of one machine: both ends, their
 * relays and the programs behind them share its processors. `meson test --benchmark`, or by hand:
 *
 *   unshare -n sh -c 'ip link set lo up; build/tests/unit/channel/bench-channel 2048'
 *
 * Wall time means something on an idle machine only; processor time on any.
 */
#include "src/channel/session.h"
#include "src/channel/handshake.h"
#include "tests/unit/channel/pair.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK  (256 * 1024) /* about what QEMU hands to its socket at once */
#define ECHOES 2000

static gsize total;

typedef struct {
    double wall_ms, cpu_ms;
} Mark;

static Mark
mark(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (Mark){(double)g_get_monotonic_time() / 1e3,
                  (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e3 +
                      (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e3};
}

static void
connect_tcp(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    g_assert_cmpint(bind(listener, (struct sockaddr *)&address, size), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    g_assert_cmpint(getsockname(listener, (struct sockaddr *)&address, &size), ==, 0);
    ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(ends[0], (struct sockaddr *)&address, size), ==, 0);
    ends[1] = accept(listener, NULL, NULL);
    for (int i = 0; i < 2; i++)
        setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(listener);
}

static gpointer
send_all(gpointer data)
{
    int fd = GPOINTER_TO_INT(data);
    g_autofree guint8 *block = g_malloc0(BLOCK);
    for (gsize done = 0; done < total; done += BLOCK)
        pair_write(fd, block, BLOCK);
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void
bulk(const char *what, int from, int to)
{
    g_autofree guint8 *block = g_malloc(BLOCK);
    Mark before = mark();
    GThread *sender = g_thread_new("sender", send_all, GINT_TO_POINTER(from));
    gsize got = 0;
    for (gssize n; (n = read(to, block, BLOCK)) > 0;)
        got += (gsize)n;
    g_thread_join(sender);
    Mark after = mark();
    g_assert_cmpuint(got, ==, total);
    double gib = (double)total / (1 << 30);
    printf("%-14s %7.0f MiB/s   %6.0f ms of processor per GiB\n", what,
           (double)(total >> 20) / (after.wall_ms - before.wall_ms) * 1e3,
           (after.cpu_ms - before.cpu_ms) / gib);
}

static gpointer
echo(gpointer data)
{
    int fd = GPOINTER_TO_INT(data);
    guint8 block[100];
    for (int i = 0; i < ECHOES; i++) {
        pair_read(fd, block, sizeof block);
        pair_write(fd, block, sizeof block);
    }
    return NULL;
}

static void
echoes(const char *what, int a, int b)
{
    guint8 block[100] = {0};
    GThread *other = g_thread_new("echo", echo, GINT_TO_POINTER(b));
    Mark before = mark();
    for (int i = 0; i < ECHOES; i++) {
        pair_write(a, block, sizeof block);
        pair_read(a, block, sizeof block);
    }
    Mark after = mark();
    g_thread_join(other);
    printf("%-14s %7.1f µs there and back\n", what,
           (after.wall_ms - before.wall_ms) * 1e3 / ECHOES);
}

static void
handshakes(void)
{
    const int count = 200;
    Mark before = mark();
    for (int i = 0; i < count; i++) {
        Pair pair = pair_new();
        pair_clear(&pair);
    }
    Mark after = mark();
    printf("TLS handshake  %7.2f ms (both ends), %.2f ms of processor\n",
           (after.wall_ms - before.wall_ms) / count, (after.cpu_ms - before.cpu_ms) / count);
}

int
main(int argc, char **argv)
{
    setlinebuf(stdout);
    total = (gsize)(argc > 1 ? atoi(argv[1]) : 512) << 20;
    int ends[2];
    connect_tcp(ends);
    echoes("plain TCP", ends[0], ends[1]);
    bulk("plain TCP", ends[0], ends[1]);
    close(ends[0]);
    close(ends[1]);

    connect_tcp(ends);
    Pair pair = pair_over(ends[0], ends[1]);
    int a = vmf_channel_steal_fd(pair.client, NULL), b = vmf_channel_steal_fd(pair.server, NULL);
    echoes("channel", a, b);
    bulk("channel", a, b);
    close(a);
    close(b);
    pair_clear(&pair);
    handshakes();
    return 0;
}
