/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/hostile/hostile-peer.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static VmfChannel *stream;
static int stream_fd = -1, listener = -1;

static gboolean
accept_everybody(const VmfPeerIdentity *peer, gpointer data, GError **error)
{
    return TRUE;
}

static VmfChannelConfig
config(void)
{
    return (VmfChannelConfig){.me = hostile.me, .judge = accept_everybody};
}

static int
dial(const char *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *found = NULL;
    if (getaddrinfo(host, value("port"), &hints, &found) != 0)
        wrong("no address of %s", host);
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        wrong("cannot connect to %s: %s", host, g_strerror(errno));
    freeaddrinfo(found);
    return fd;
}

/* ---- channels ---- */

void
do_connect(const char *host)
{
    g_autoptr(GError) error = NULL;
    VmfChannelConfig with = config();
    hostile.control = vmf_channel_connect(&with, dial(host), host, &error);
    if (hostile.control == NULL)
        wrong("%s", error->message);
    set("host", g_strdup(host));
    hostile.plain = vmf_channel_steal_fd(hostile.control, NULL);
}

void
do_listen(const char *ignored)
{
    int one = 1;
    struct sockaddr_in any = {.sin_family = AF_INET,
                              .sin_port = htons((guint16)patience(value("port")))};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) != 0 || listen(listener, 16) != 0)
        wrong("cannot listen: %s", g_strerror(errno));
    printf("listening\n");
}

static VmfChannel *
take(const char *seconds)
{
    g_autoptr(GError) error = NULL;
    VmfChannelConfig with = config();
    struct pollfd one = {listener, POLLIN, 0};
    if (poll(&one, 1, (int)patience(seconds) * 1000) != 1)
        wrong("nobody connects");
    VmfChannel *taken = vmf_channel_accept(&with, accept4(listener, NULL, NULL, SOCK_CLOEXEC),
                                           hostile.streams, &error);
    if (taken == NULL)
        wrong("%s", error->message);
    return taken;
}

void
do_take(const char *seconds)
{
    hostile.control = take(seconds);
    if (vmf_channel_is_stream(hostile.control))
        wrong("a stream came where a control channel was awaited");
    hostile.plain = vmf_channel_steal_fd(hostile.control, NULL);
    hostile.serving = TRUE;
}

/* A plain connection, on which the other end finds no channel. */
void
do_accept_raw(const char *seconds)
{
    struct pollfd one = {listener, POLLIN, 0};
    if (poll(&one, 1, (int)patience(seconds) * 1000) != 1)
        wrong("nobody connects");
    hostile.plain = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

void
do_cut_raw(const char *ignored)
{
    close(hostile.plain);
}

void
do_pour_raw(const char *mib)
{
    g_autofree guint8 *block = g_malloc0(BLOCK);
    for (int left = atoi(mib); left > 0; left--)
        if (send(hostile.plain, block, BLOCK, MSG_NOSIGNAL) <= 0)
            return; /* "gone" asks for it */
}

void
do_gone(const char *seconds)
{
    guint8 block[4096];
    gint64 until = g_get_monotonic_time() + (gint64)patience(seconds) * G_USEC_PER_SEC;
    for (;;) {
        struct pollfd one = {hostile.plain, POLLIN, 0};
        gint64 left = (until - g_get_monotonic_time()) / 1000;
        if (left <= 0 || poll(&one, 1, (int)left) != 1)
            wrong("the connection is still open");
        if (recv(hostile.plain, block, sizeof block, 0) <= 0)
            return;
    }
}

void
do_expect_stream(const char *ignored)
{
    gchar *name = NULL;
    if (!vmf_channel_stream_expect(hostile.control, hostile.streams, 0, &name, NULL))
        wrong("no stream can be expected");
    set("stream", name);
}

void
do_take_stream(const char *seconds)
{
    stream = take(seconds);
    if (!vmf_channel_is_stream(stream))
        wrong("a control channel came where a stream was awaited");
    stream_fd = vmf_channel_steal_fd(stream, NULL);
}

void
do_stream(const char *name)
{
    g_autoptr(GError) error = NULL;
    stream = vmf_channel_stream_connect(hostile.control, dial(value("host")), name, &error);
    if (stream == NULL)
        wrong("%s", error->message);
    stream_fd = vmf_channel_steal_fd(stream, NULL);
}

void
do_reject_stream(const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfChannel)
        opened = vmf_channel_stream_connect(hostile.control, dial(value("host")), name, &error);
    if (opened != NULL)
        wrong("a stream '%s' was opened", name);
}

void
do_pour(const char *mib)
{
    g_autofree guint8 *block = g_malloc(BLOCK);
    for (gsize i = 0; i < BLOCK; i++)
        block[i] = (guint8)(i * 7 + 1);
    guint64 wanted = (guint64)atoi(mib) * BLOCK, done = 0;
    while (wanted == 0 || done < wanted) {
        gssize n = send(stream_fd, block, BLOCK, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        done += (guint64)n;
    }
    printf("poured %" G_GUINT64_FORMAT "\n", done);
    set("poured", g_strdup_printf("%" G_GUINT64_FORMAT, done));
}

void
do_drain(const char *mib)
{
    g_autofree guint8 *block = g_malloc(BLOCK);
    guint64 wanted = (guint64)atoi(mib) * BLOCK, done = 0;
    gssize n = 1;
    for (; n > 0 && (wanted == 0 || done < wanted); done += n > 0 ? (guint64)n : 0)
        n = recv(stream_fd, block, BLOCK, 0);
    printf("drained %" G_GUINT64_FORMAT "\n", done);
}

/* How the last that QEMU says begins, behind its length (its migration/savevm.c): the machine's description */
#define DESCRIPTION "{\"page_size\""
#define LENGTH_SIZE 4

/* Returns: how much of the description is still to come; -1: it has not begun */
static gint64
find_description(const guint8 *bytes, gsize size)
{
    guint32 length;
    const guint8 *at = memmem(bytes, size, DESCRIPTION, strlen(DESCRIPTION));
    if (at == NULL || at - bytes < LENGTH_SIZE)
        return -1;
    memcpy(&length, at - LENGTH_SIZE, sizeof length);
    return (gint64)GUINT32_FROM_BE(length) - (bytes + size - at);
}

/* Until the other QEMU has said everything, and waits for an answer: it may pause before that. */
void
do_drain_state(const char *ignored)
{
    const gsize kept_most = LENGTH_SIZE + strlen(DESCRIPTION) - 1;
    g_autofree guint8 *block = g_malloc(kept_most + BLOCK);
    guint64 done = 0;
    gsize kept = 0;
    gint64 left = -1;
    while (left != 0) {
        gssize n = recv(stream_fd, block + kept, BLOCK, 0);
        if (n <= 0 || (left > 0 && n > left))
            wrong("the stream does not end with the machine's description");
        done += (guint64)n;
        left = left > 0 ? left - n : find_description(block, kept + (gsize)n);
        gsize size = kept + (gsize)n;
        kept = left < 0 ? MIN(size, kept_most) : 0;
        memmove(block, block + size - kept, kept);
    }
    printf("drained %" G_GUINT64_FORMAT ", and is waited for\n", done);
}

/* What QEMU says when it has taken all: MIG_RP_MSG_SHUT, no error (its migration/migration.h). */
void
do_shut_return_path(const char *ignored)
{
    static const guint8 shut[] = {0, 1, 0, 4, 0, 0, 0, 0};
    if (send(stream_fd, shut, sizeof shut, MSG_NOSIGNAL) != sizeof shut)
        wrong("the stream has ended");
}

void
do_cut_stream(const char *ignored)
{
    vmf_channel_close(stream);
    close(stream_fd);
    g_clear_pointer(&stream, vmf_channel_unref);
}

void
do_end_stream(const char *ignored)
{
    shutdown(stream_fd, SHUT_WR);
}

void
do_cut(const char *ignored)
{
    vmf_channel_close(hostile.control);
}

/* Text in which \ooo, \r and \n stand for bytes. */
static GByteArray *
bytes_of(const char *text)
{
    GByteArray *out = g_byte_array_new();
    for (const char *at = text; *at != '\0';) {
        gboolean octal = at[0] == '\\' && g_ascii_isdigit(at[1]) && at[2] != '\0' && at[3] != '\0';
        gboolean letter = at[0] == '\\' && (at[1] == 'r' || at[1] == 'n');
        guint8 byte = octal    ? (guint8)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'))
                      : letter ? (at[1] == 'r' ? '\r' : '\n')
                               : (guint8)*at;
        g_byte_array_append(out, &byte, 1);
        at += octal ? 4 : letter ? 2 : 1;
    }
    return out;
}

void
do_raw(const char *text)
{
    g_autoptr(GByteArray) bytes = bytes_of(g_str_has_prefix(text, "$") ? value(text + 1) : text);
    for (gsize at = 0; at < bytes->len;) {
        gssize n = send(hostile.plain, bytes->data + at, bytes->len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* "closed" asks for it */
        at += (gsize)n;
    }
}

/* ---- the end of the control channel ---- */

typedef struct {
    GMutex lock;
    GCond changed;
    gboolean ended;
} Ending;

static Ending ending;

static gpointer
watch_ending(gpointer data)
{
    if (hostile.bus == NULL) {
        gchar block[4096];
        while (recv(hostile.plain, block, sizeof block, 0) > 0)
            continue;
        /* An end is the other side's; that it takes nothing more either shows when it is sent something. */
        while (send(hostile.plain, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
            g_usleep(50000);
    }
    vmf_channel_wait(hostile.control, NULL);
    g_mutex_lock(&ending.lock);
    ending.ended = TRUE;
    g_cond_broadcast(&ending.changed);
    g_mutex_unlock(&ending.lock);
    return NULL;
}

static gboolean
has_ended(guint seconds)
{
    static GThread *watcher;
    gint64 until = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
    if (hostile.bus != NULL) {
        while (!g_dbus_connection_is_closed(hostile.bus) && g_get_monotonic_time() < until)
            g_usleep(10000);
        return g_dbus_connection_is_closed(hostile.bus);
    }
    if (watcher == NULL)
        watcher = g_thread_new("ending", watch_ending, NULL);
    g_mutex_lock(&ending.lock);
    while (!ending.ended && g_cond_wait_until(&ending.changed, &ending.lock, until))
        continue;
    gboolean ended = ending.ended;
    g_mutex_unlock(&ending.lock);
    return ended;
}

void
do_closed(const char *seconds)
{
    if (!has_ended(patience(seconds)))
        wrong("the control channel is still open");
}

void
do_open(const char *ignored)
{
    if (has_ended(0))
        wrong("the control channel was closed");
}
