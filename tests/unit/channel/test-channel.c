/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions, relays and streams with a given key; who the peer is, is test-handshake's matter. */
#include "src/base/error.h"
#include "src/channel/session.h"
#include "src/channel/channel.h"
#include "src/channel/greeting.h"
#include "tests/unit/channel/pair.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int
fd_of(VmfChannel *channel)
{
    g_autoptr(GError) error = NULL;
    int fd = vmf_channel_steal_fd(channel, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void
assert_ended_in_order(VmfChannel *channel)
{
    g_autoptr(GError) error = NULL;
    gboolean ok = vmf_channel_wait(channel, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

static void
assert_failed(VmfChannel *channel, VmfError code)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(vmf_channel_wait(channel, &error));
    g_assert_error(error, VMF_ERROR, (gint)code);
}

static void
test_both_ways(void)
{
    Pair pair = pair_new();
    int a = fd_of(pair.client), b = fd_of(pair.server);
    char got[6] = "";
    pair_write(a, "there", 5);
    pair_read(b, got, 5);
    g_assert_cmpstr(got, ==, "there");
    pair_write(b, "again", 5);
    pair_read(a, got, 5);
    g_assert_cmpstr(got, ==, "again");
    close(a);
    pair_expect_end(b);
    close(b);
    assert_ended_in_order(pair.client);
    assert_ended_in_order(pair.server);
    g_assert_cmpuint(vmf_channel_bytes_out(pair.client), ==, 5);
    g_assert_cmpuint(vmf_channel_bytes_in(pair.client), ==, 5);
    pair_clear(&pair);
}

/* One side says that it has no more to say, and goes on listening. */
static void
test_half_close(void)
{
    Pair pair = pair_new();
    int a = fd_of(pair.client), b = fd_of(pair.server);
    g_autofree guint8 *large = g_malloc0(3000000);
    char got[8] = "";
    pair_write(a, "request", 7);
    shutdown(a, SHUT_WR);
    pair_read(b, got, 7);
    pair_expect_end(b);
    /* much later than our end, in the other direction */
    for (int round = 0; round < 3; round++) {
        struct pollfd nothing = {a, POLLIN, 0};
        g_assert_cmpint(poll(&nothing, 1, 50), ==, 0);
        pair_write(b, "answer!", 7);
        pair_read(a, got, 7);
        g_assert_cmpstr(got, ==, "answer!");
    }
    close(b);
    pair_expect_end(a);
    close(a);
    assert_ended_in_order(pair.client);
    assert_ended_in_order(pair.server);
    pair_clear(&pair);
}

/* ---- much data ---- */

typedef struct {
    int fd;
    gsize size;
    guint32 seed;
} Bulk;

static void
fill(guint8 *block, gsize size, guint32 *state)
{
    for (gsize i = 0; i < size; i++) {
        *state = *state * 1664525u + 1013904223u;
        block[i] = (guint8)(*state >> 24);
    }
}

static gpointer
write_bulk(gpointer data)
{
    const Bulk *bulk = data;
    guint32 state = bulk->seed;
    guint8 block[40961]; /* no multiple of anything */
    for (gsize done = 0; done < bulk->size;) {
        gsize n = MIN(sizeof block, bulk->size - done);
        fill(block, n, &state);
        pair_write(bulk->fd, block, n);
        done += n;
    }
    shutdown(bulk->fd, SHUT_WR);
    return NULL;
}

static gpointer
read_bulk(gpointer data)
{
    const Bulk *bulk = data;
    guint32 state = bulk->seed;
    guint8 block[32749], expected[32749];
    for (gsize done = 0; done < bulk->size;) {
        gsize n = MIN(sizeof block, bulk->size - done);
        pair_read(bulk->fd, block, n);
        fill(expected, n, &state);
        g_assert_cmpmem(block, n, expected, n);
        done += n;
    }
    pair_expect_end(bulk->fd);
    return NULL;
}

static void
run_bulk(Pair *pair, gsize size, int a, int b)
{
    Bulk one = {a, size, 1}, two = {b, size, 2}, back_one = {b, size, 1}, back_two = {a, size, 2};
    GThread *threads[] = {
        g_thread_new("w1", write_bulk, &one), g_thread_new("w2", write_bulk, &two),
        g_thread_new("r1", read_bulk, &back_one), g_thread_new("r2", read_bulk, &back_two)};
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    close(a);
    close(b);
    assert_ended_in_order(pair->client);
    assert_ended_in_order(pair->server);
    g_assert_cmpuint(vmf_channel_bytes_in(pair->server), ==, size);
    g_assert_cmpuint(vmf_channel_bytes_out(pair->server), ==, size);
}

static void
test_bulk(void)
{
    Pair pair = pair_new();
    int a = fd_of(pair.client), b = fd_of(pair.server);
    run_bulk(&pair, 20 * 1000 * 1000 + 7, a, b);
    pair_clear(&pair);
}

#define UPDATED_BULK ((gsize)60 * 1000 * 1000)

/* Changes keys each time another sixth has gone out. Returns: how often. */
static gpointer
update_keys(gpointer data)
{
    VmfChannel *channel = data;
    guint updates = 0;
    for (guint i = 1; i < 5; i++) {
        while (vmf_channel_bytes_out(channel) < UPDATED_BULK / 6 * i)
            g_usleep(100);
        g_autoptr(GError) error = NULL;
        if (vmf_tls_update_keys(vmf_session_tls(channel), &error))
            updates++;
        else /* this thread was not scheduled in all the time that the rest took */
            g_assert_cmpuint(vmf_channel_bytes_out(channel), ==, UPDATED_BULK);
    }
    return GUINT_TO_POINTER(updates);
}

/* Keys change under full load in both directions. */
static void
test_key_update(void)
{
    Pair pair = pair_new();
    int a = fd_of(pair.client), b = fd_of(pair.server);
    GThread *threads[] = {g_thread_new("k1", update_keys, pair.client),
                          g_thread_new("k2", update_keys, pair.server)};
    run_bulk(&pair, UPDATED_BULK, a, b);
    guint updates = 0;
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        updates += GPOINTER_TO_UINT(g_thread_join(threads[i]));
    g_test_message("%u key updates", updates);
    g_assert_cmpuint(updates, >, 0);
    pair_clear(&pair);
}

static void
test_pump(void)
{
    Pair pair = pair_new();
    int local[2][2];
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, local[i]), ==, 0);
        g_assert_true(vmf_channel_pump(i ? pair.server : pair.client, local[i][0], NULL));
    }
    g_autoptr(GError) error = NULL;
    int extra = dup(local[0][1]);
    g_assert_false(vmf_channel_pump(pair.client, extra, &error)); /* once only; closes it */
    g_assert_error(error, VMF_ERROR, VMF_ERROR_INTERNAL);
    g_assert_cmpint(vmf_channel_steal_fd(pair.client, NULL), ==, -1);
    run_bulk(&pair, 1000000, local[0][1], local[1][1]);
    pair_clear(&pair);
}

/* ---- ends out of order ---- */

/* Moves bytes from @from to @to until @limit of them have passed or there are none for 50 ms. */
static gsize
move(int from, int to, gsize limit)
{
    gsize moved = 0;
    guint8 block[65536];
    struct pollfd one = {from, POLLIN, 0};
    while (moved < limit && poll(&one, 1, 50) > 0) {
        gssize n = read(from, block, MIN(sizeof block, limit - moved));
        if (n <= 0)
            break;
        pair_write(to, block, (gsize)n);
        moved += (gsize)n;
    }
    return moved;
}

/* The wire ends with a FIN instead of the authenticated end, after whole records or within one. */
static void
test_truncated(void)
{
    for (gsize missing = 0; missing < 30; missing++) {
        Pair pair = pair_with_middle();
        int a = fd_of(pair.client), b = fd_of(pair.server);
        char got[1000];
        pair_write(a, got, sizeof got);
        /* one record: 5 of head, the bytes, 1 of type, 16 of tag */
        gsize passes = sizeof got + 22 - missing;
        g_assert_cmpuint(move(pair.middle[0], pair.middle[1], passes), ==, passes);
        shutdown(pair.middle[1], SHUT_WR);
        if (missing == 0)
            pair_read(b, got, sizeof got);
        pair_expect_end(b);
        assert_failed(pair.server, VMF_ERROR_UNREACHABLE);
        /* both directions have ended: the other one too would be wrong to go on */
        g_assert_cmpint(send(b, "x", 1, MSG_NOSIGNAL), ==, -1);
        vmf_channel_close(pair.client);
        assert_failed(pair.client, VMF_ERROR_INTERNAL);
        close(a);
        close(b);
        pair_clear(&pair);
    }
}

static void
test_changed_byte(void)
{
    Pair pair = pair_with_middle();
    int a = fd_of(pair.client), b = fd_of(pair.server);
    guint8 record[22 + 100] = {0};
    pair_write(a, record, 100);
    pair_read(pair.middle[0], record, sizeof record);
    record[50] ^= 1;
    pair_write(pair.middle[1], record, sizeof record);
    pair_expect_end(b);
    assert_failed(pair.server, VMF_ERROR_PROTOCOL);
    close(a);
    close(b);
    pair_clear(&pair);
}

static void
test_repeated_record(void)
{
    Pair pair = pair_with_middle();
    int a = fd_of(pair.client), b = fd_of(pair.server);
    guint8 record[22 + 100] = {0};
    pair_write(a, record, 100);
    pair_read(pair.middle[0], record, sizeof record);
    pair_write(pair.middle[1], record, sizeof record);
    pair_write(pair.middle[1], record, sizeof record);
    pair_read(b, record, 100);
    pair_expect_end(b);
    assert_failed(pair.server, VMF_ERROR_PROTOCOL);
    close(a);
    close(b);
    pair_clear(&pair);
}

/* Bytes behind the authenticated end do not reach the reader, and do no harm. */
static void
test_bytes_after_end(void)
{
    Pair pair = pair_with_middle();
    int a = fd_of(pair.client), b = fd_of(pair.server);
    pair_write(a, "x", 1);
    shutdown(a, SHUT_WR);
    move(pair.middle[0], pair.middle[1], G_MAXSIZE);
    pair_write(pair.middle[1], "garbage behind the end", 22);
    char got;
    pair_read(b, &got, 1);
    pair_expect_end(b);
    shutdown(b, SHUT_WR);
    move(pair.middle[1], pair.middle[0], G_MAXSIZE);
    pair_expect_end(a);
    close(a);
    close(b);
    assert_ended_in_order(pair.server);
    assert_ended_in_order(pair.client);
    pair_clear(&pair);
}

static void
test_peer_gone(void)
{
    Pair pair = pair_new();
    int a = fd_of(pair.client), b = fd_of(pair.server);
    g_clear_pointer(&pair.server, vmf_channel_unref); /* as if killed */
    pair_expect_end(a);
    assert_failed(pair.client, VMF_ERROR_UNREACHABLE);
    close(a);
    close(b);
    pair_clear(&pair);
}

/* The local reader goes away; what comes for it has nowhere to go, and the sender must learn that. */
static void
test_reader_gone(void)
{
    Pair pair = pair_new();
    int a = fd_of(pair.client), b = fd_of(pair.server);
    guint8 block[65536] = {0};
    close(b);
    while (send(a, block, sizeof block, MSG_NOSIGNAL) > 0)
        ;
    assert_failed(pair.server, VMF_ERROR_INTERNAL);
    assert_failed(pair.client, VMF_ERROR_UNREACHABLE);
    close(a);
    pair_clear(&pair);
}

/* The last words of somebody who closes at once arrive. */
static void
test_last_words(void)
{
    for (int round = 0; round < 50; round++) {
        Pair pair = pair_new();
        int a = fd_of(pair.client), b = fd_of(pair.server);
        g_autofree guint8 *words = g_malloc0(300000), *heard = g_malloc(300000);
        words[299999] = (guint8)round;
        pair_write(a, words, 100000);
        close(a);
        pair_read(b, heard, 100000);
        pair_expect_end(b);
        close(b);
        assert_ended_in_order(pair.server);
        assert_ended_in_order(pair.client);
        pair_clear(&pair);
    }
}

static gpointer
close_later(gpointer data)
{
    g_usleep(50000); /* so that the other thread is most likely waiting; right either way */
    vmf_channel_close(data);
    return NULL;
}

static void
test_close(void)
{
    Pair pair = pair_new();
    int a = fd_of(pair.client), b = fd_of(pair.server);
    GThread *thread = g_thread_new("close", close_later, pair.client);
    pair_expect_end(a);
    assert_failed(pair.client, VMF_ERROR_INTERNAL);
    g_thread_join(thread);
    vmf_channel_close(pair.client);
    pair_expect_end(b);
    assert_failed(pair.server, VMF_ERROR_UNREACHABLE);
    close(a);
    close(b);
    pair_clear(&pair);
}

/* While both relays are blocked, because nobody reads at either end. */
static void
test_close_when_full(void)
{
    Pair pair = pair_new();
    int a = fd_of(pair.client), b = fd_of(pair.server);
    g_autofree guint8 *block = g_malloc0(65536);
    struct pollfd fds[2] = {{a, POLLOUT, 0}, {b, POLLOUT, 0}};
    while (poll(fds, 2, 100) > 0)
        for (int i = 0; i < 2; i++)
            if (fds[i].revents)
                send(fds[i].fd, block, 65536, MSG_DONTWAIT | MSG_NOSIGNAL);
    pair_clear(&pair);
    close(a);
    close(b);
}

static void
test_never_relayed(void)
{
    Pair pair = pair_new();
    assert_failed(pair.client, VMF_ERROR_INTERNAL);
    vmf_channel_close(pair.client);
    g_assert_cmpint(vmf_channel_steal_fd(pair.client, NULL), ==, -1);
    g_assert_cmpuint(vmf_channel_bytes_in(pair.client), ==, 0);
    pair_clear(&pair);
}

/* ---- streams ---- */

typedef struct {
    int sock;
    VmfChannelStreams *streams;
    VmfChannel *accepted;
    GError *error;
} Acceptance;

static gboolean
judge_nobody(const VmfPeerIdentity *peer, gpointer data, GError **error)
{
    g_assert_not_reached();
}

static gpointer
accept_stream(gpointer data)
{
    Acceptance *acceptance = data;
    g_autoptr(VmfHostIdentity) me = vmf_host_identity_new("HV2$", "LAB.TEST", "hv2.lab.test");
    const VmfChannelConfig config = {me, NULL, NULL, judge_nobody, NULL, 0};
    acceptance->accepted = vmf_channel_accept(&config, acceptance->sock, acceptance->streams,
                                              &acceptance->error);
    return NULL;
}

/* @control asks for stream @name at the host that keeps @streams. */
static VmfChannel *
open_stream(VmfChannel *control, VmfChannelStreams *streams, const char *name,
            Acceptance *acceptance, GError **error)
{
    int wire[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), ==, 0);
    *acceptance = (Acceptance){wire[1], streams, NULL, NULL};
    GThread *thread = g_thread_new("accept", accept_stream, acceptance);
    VmfChannel *stream = vmf_channel_stream_connect(control, wire[0], name, error);
    g_thread_join(thread);
    return stream;
}

static void
test_stream(void)
{
    Pair pair = pair_new();
    g_autoptr(VmfChannelStreams) streams = vmf_channel_streams_new();
    g_autoptr(GError) error = NULL;
    g_autofree gchar *name = NULL, *other = NULL;
    Acceptance acceptance;
    g_assert_true(vmf_channel_stream_expect(pair.server, streams, 0, &name, &error));
    g_assert_true(vmf_channel_stream_expect(pair.server, streams, 0, &other, &error));
    g_assert_cmpstr(name, !=, other);
    g_assert_true(vmf_stream_name_valid(name));

    g_autoptr(VmfChannel) source = open_stream(pair.client, streams, name, &acceptance, &error);
    g_assert_no_error(error);
    g_assert_no_error(acceptance.error);
    g_assert_true(vmf_channel_is_stream(acceptance.accepted));
    g_assert_cmpstr(vmf_channel_stream_name(acceptance.accepted), ==, name);
    g_assert_cmpstr(vmf_channel_peer(acceptance.accepted)->principal, ==, "CLIENT$");

    Pair ends = {source, acceptance.accepted, {-1, -1}};
    int a = fd_of(ends.client), b = fd_of(ends.server);
    run_bulk(&ends, 1000000, a, b);

    /* used up */
    Acceptance again;
    g_assert_null(open_stream(pair.client, streams, name, &again, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    g_assert_null(again.accepted);
    g_assert_error(again.error, VMF_ERROR, VMF_ERROR_DENIED);
    g_clear_error(&again.error);
    vmf_channel_unref(acceptance.accepted);
    pair_clear(&pair);
}

/* Somebody has seen the name on the wire; the name stays good for whom it was made. */
static void
test_stream_stolen_name(void)
{
    Pair pair = pair_new(), other = pair_new();
    g_autoptr(VmfChannelStreams) streams = vmf_channel_streams_new();
    g_autoptr(GError) error = NULL;
    g_autofree gchar *name = NULL;
    Acceptance acceptance;
    g_assert_true(vmf_channel_stream_expect(pair.server, streams, 0, &name, NULL));
    for (int i = 0; i < 3; i++) {
        g_autoptr(GError) refused = NULL;
        g_assert_null(open_stream(other.client, streams, name, &acceptance, &refused));
        g_assert_nonnull(refused);
        g_assert_error(acceptance.error, VMF_ERROR, VMF_ERROR_AUTH);
        g_clear_error(&acceptance.error);
    }
    g_autoptr(VmfChannel) source = open_stream(pair.client, streams, name, &acceptance, &error);
    g_assert_no_error(error);
    g_assert_nonnull(acceptance.accepted);
    vmf_channel_unref(acceptance.accepted);
    pair_clear(&pair);
    pair_clear(&other);
}

static void
test_stream_unknown(void)
{
    Pair pair = pair_new();
    g_autoptr(VmfChannelStreams) streams = vmf_channel_streams_new();
    Acceptance acceptance;
    g_autoptr(GError) error = NULL;
    g_assert_null(
        open_stream(pair.client, streams, "0123456789abcdef0123456789abcdef", &acceptance, &error));
    g_assert_error(acceptance.error, VMF_ERROR, VMF_ERROR_DENIED);
    g_clear_error(&acceptance.error);

    /* expected, then forgotten */
    g_autofree gchar *name = NULL;
    g_autoptr(GError) forgotten = NULL;
    g_assert_true(vmf_channel_stream_expect(pair.server, streams, 0, &name, NULL));
    vmf_channel_stream_forget(streams, name);
    vmf_channel_stream_forget(streams, name);
    g_assert_null(open_stream(pair.client, streams, name, &acceptance, &forgotten));
    g_assert_error(acceptance.error, VMF_ERROR, VMF_ERROR_DENIED);
    g_clear_error(&acceptance.error);

    /* nobody expects streams here */
    g_autoptr(GError) nowhere = NULL;
    g_assert_null(open_stream(pair.client, NULL, name, &acceptance, &nowhere));
    g_assert_error(acceptance.error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_clear_error(&acceptance.error);

    g_autoptr(GError) no_name = NULL;
    g_assert_null(vmf_channel_stream_connect(pair.client, dup(0), "../../etc", &no_name));
    g_assert_error(no_name, VMF_ERROR, VMF_ERROR_PROTOCOL);
    pair_clear(&pair);
}

static void
test_stream_expired(void)
{
    Pair pair = pair_new();
    g_autoptr(VmfChannelStreams) streams = vmf_channel_streams_new();
    g_autofree gchar *name = NULL;
    Acceptance acceptance;
    g_autoptr(GError) error = NULL;
    g_assert_true(vmf_channel_stream_expect(pair.server, streams, 1, &name, NULL));
    g_usleep(1100000); /* what is tested is time itself */
    g_assert_null(open_stream(pair.client, streams, name, &acceptance, &error));
    g_assert_error(acceptance.error, VMF_ERROR, VMF_ERROR_DENIED);
    g_clear_error(&acceptance.error);
    pair_clear(&pair);
}

static void
test_too_many_expected(void)
{
    Pair pair = pair_new();
    g_autoptr(VmfChannelStreams) streams = vmf_channel_streams_new();
    g_autoptr(GError) error = NULL;
    guint count = 0;
    for (;; count++) {
        g_autofree gchar *name = NULL;
        if (!vmf_channel_stream_expect(pair.server, streams, 0, &name, &error))
            break;
    }
    g_assert_error(error, VMF_ERROR, VMF_ERROR_BUSY);
    g_assert_cmpuint(count, ==, 1024);
    pair_clear(&pair);
}

/* ---- nothing is left behind ---- */

static void
test_no_leaks(void)
{
    static void (*const rounds[])(void) = {
        test_both_ways, test_half_close,         test_peer_gone,      test_reader_gone,
        test_close,     test_stream_stolen_name, test_stream_unknown, test_never_relayed};
    guint fds = pair_count_fds(), threads = pair_count_threads();
    for (int again = 0; again < 3; again++)
        for (gsize i = 0; i < G_N_ELEMENTS(rounds); i++)
            rounds[i]();
    g_assert_cmpuint(pair_count_fds(), ==, fds);
    g_assert_cmpuint(pair_count_threads(), ==, threads);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/channel/both-ways/arrives", test_both_ways);
    g_test_add_func("/channel/half-close/other-direction-goes-on", test_half_close);
    g_test_add_func("/channel/bulk/arrives", test_bulk);
    g_test_add_func("/channel/key-update/arrives", test_key_update);
    g_test_add_func("/channel/pump/existing-fd", test_pump);
    g_test_add_func("/channel/truncated/failed-not-ended", test_truncated);
    g_test_add_func("/channel/changed-byte/failed", test_changed_byte);
    g_test_add_func("/channel/repeated-record/failed", test_repeated_record);
    g_test_add_func("/channel/bytes-after-end/ignored", test_bytes_after_end);
    g_test_add_func("/channel/peer-gone/failed", test_peer_gone);
    g_test_add_func("/channel/reader-gone/sender-learns", test_reader_gone);
    g_test_add_func("/channel/last-words/arrive", test_last_words);
    g_test_add_func("/channel/close/ends-both", test_close);
    g_test_add_func("/channel/close-when-full/ends", test_close_when_full);
    g_test_add_func("/channel/never-relayed/says-so", test_never_relayed);
    g_test_add_func("/channel/stream/one-use", test_stream);
    g_test_add_func("/channel/stream/stolen-name-useless", test_stream_stolen_name);
    g_test_add_func("/channel/stream/unknown-refused", test_stream_unknown);
    g_test_add_func("/channel/stream/expired-refused", test_stream_expired);
    g_test_add_func("/channel/stream/too-many-refused", test_too_many_expected);
    g_test_add_func("/channel/all/nothing-left-behind", test_no_leaks);
    return g_test_run();
}
