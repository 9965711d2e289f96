/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/relay.h"

#include "src/base/error.h"
#include "src/base/fault-point.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK_BYTES    ((gsize)256 * 1024)
#define LOCAL_BUFFER   (1024 * 1024)
#define THREAD_STACK   ((size_t)256 * 1024) /* a child of vmferry-door has little memory */
#define LINGER_S       10
#define LINGER_TICK_MS 500
#define MEMORY_MIDDLE  ((guint64)16 * 1024 * 1024) /* of a fault point */

struct _VmfRelay {
    VmfTls *tls;
    int sock;
    int local;
    pthread_t out_thread, in_thread;
    VmfRelayCounters *counters, own;

    pthread_mutex_t lock; /* see tls.c for why not GMutex; guards what follows */
    pthread_cond_t ended; /* a direction has ended */
    guint running;        /* directions that have not */
    gint64 out_ended_at;  /* monotonic; 0: has not */
    gboolean failed;
    GError *error; /* set with @failed */
};

/* The first failure counts, and ends everything. Takes @error. */
static void
fail(VmfRelay *relay, GError *error)
{
    pthread_mutex_lock(&relay->lock);
    gboolean first = !relay->failed && relay->running > 0;
    if (first) {
        relay->failed = TRUE;
        relay->error = error;
        /* under the lock: nobody closes the fds before both threads are joined */
        shutdown(relay->sock, SHUT_RDWR);
        shutdown(relay->local, SHUT_RDWR);
    }
    pthread_mutex_unlock(&relay->lock);
    if (!first)
        g_clear_error(&error);
}

static gboolean
has_failed(VmfRelay *relay)
{
    pthread_mutex_lock(&relay->lock);
    gboolean failed = relay->failed;
    pthread_mutex_unlock(&relay->lock);
    return failed;
}

static void
end_direction(VmfRelay *relay, gboolean out)
{
    pthread_mutex_lock(&relay->lock);
    relay->running--;
    if (out)
        relay->out_ended_at = g_get_monotonic_time();
    pthread_cond_broadcast(&relay->ended);
    pthread_mutex_unlock(&relay->lock);
}

/* Waits for @events on @fd. An error condition counts as ready: the next call on @fd tells it. */
static void
wait_for(int fd, short events)
{
    struct pollfd one = {fd, events, 0};
    while (poll(&one, 1, -1) < 0 && errno == EINTR)
        ;
}

/* Returns: 0, or the errno that ended it. */
static int
send_all(int fd, const guint8 *data, gsize size)
{
    while (size > 0) {
        gssize n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            data += n;
            size -= (gsize)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_for(fd, POLLOUT);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Returns: bytes; 0 at the end; -1 with errno. */
static gssize
receive(int fd, guint8 *data, gsize size)
{
    for (;;) {
        gssize n = recv(fd, data, size, MSG_DONTWAIT);
        if (n >= 0)
            return n;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            wait_for(fd, POLLIN);
        else if (errno != EINTR)
            return -1;
    }
}

static void
fail_connection(VmfRelay *relay, int saved)
{
    fail(relay, g_error_new(VMF_ERROR, VMF_ERROR_UNREACHABLE,
                            "the connection to the other host broke: %s", g_strerror(saved)));
}

/* Sends what TLS has to say. */
static gboolean
flush(VmfRelay *relay, GByteArray **buffer)
{
    vmf_tls_take_output(relay->tls, buffer);
    int rc = send_all(relay->sock, (*buffer)->data, (*buffer)->len);
    g_byte_array_set_size(*buffer, 0);
    if (rc != 0)
        fail_connection(relay, rc);
    return rc == 0;
}

/* Returns: %TRUE at the end of the local stream, with all of it sent. */
static gboolean
pump_out(VmfRelay *relay, guint8 *block, GByteArray **buffer, GError **error)
{
    for (;;) {
        gssize n = receive(relay->local, block, BLOCK_BYTES);
        /* a reset says that the local end closed with bytes of ours unread: `in` finds out as well,
         * and here everything it wrote has been read */
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return TRUE;
        if (n < 0) {
            int saved = errno;
            g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                        "cannot read from the local end of a channel: %s", g_strerror(saved));
            return FALSE;
        }
        if (!vmf_tls_seal(relay->tls, block, (gsize)n, error) || !flush(relay, buffer))
            return FALSE;
        atomic_fetch_add_explicit(&relay->counters->out, (guint64)n, memory_order_relaxed);
        vmf_fault_point_past("source.memory.middle", MEMORY_MIDDLE, relay->counters->out,
                             (guint64)n);
        vmf_fault_point_called(VMF_FAULT_POINT_PAUSED);
        vmf_fault_point_raised(VMF_FAULT_POINT_PAUSED, &relay->counters->hold);
    }
}

static void *
run_out(void *data)
{
    VmfRelay *relay = data;
    pthread_setname_np(pthread_self(), "channel-out");
    g_autofree guint8 *block = g_malloc(BLOCK_BYTES);
    GByteArray *buffer = g_byte_array_new();
    GError *error = NULL;

    /* a local end that was shut down by a failure elsewhere is no end of stream */
    if (pump_out(relay, block, &buffer, &error) && !has_failed(relay) &&
        vmf_tls_seal_end(relay->tls, &error) && flush(relay, &buffer))
        shutdown(relay->sock, SHUT_WR);
    if (error)
        fail(relay, error);
    g_byte_array_unref(buffer);
    end_direction(relay, TRUE);
    return NULL;
}

static void
fail_undeliverable(VmfRelay *relay)
{
    fail(relay, g_error_new_literal(VMF_ERROR, VMF_ERROR_INTERNAL,
                                    "the local end of a channel closed before it had read "
                                    "everything the other host sent"));
}

/* Whether the wait for the peer's end mark is over; @local_gone as below. */
static gboolean
lingered(VmfRelay *relay)
{
    pthread_mutex_lock(&relay->lock);
    gint64 since = relay->out_ended_at;
    pthread_mutex_unlock(&relay->lock);
    return since != 0 && g_get_monotonic_time() - since > (gint64)LINGER_S * G_USEC_PER_SEC;
}

/*
 * Waits for input from the socket, and meanwhile for the local side to go away, which sets
 * @local_gone. Returns: %FALSE when there is nothing more to wait for.
 */
static gboolean
wait_for_input(VmfRelay *relay, gboolean *local_gone)
{
    struct pollfd fds[2] = {{relay->sock, POLLIN, 0}, {relay->local, 0, 0}};
    int rc = poll(fds, *local_gone ? 1 : 2, *local_gone ? LINGER_TICK_MS : -1);
    if (rc > 0 && !*local_gone && (fds[1].revents & (POLLHUP | POLLERR | POLLNVAL)))
        *local_gone = TRUE;
    if (rc == 0 && *local_gone && lingered(relay)) {
        fail(relay,
             g_error_new(VMF_ERROR, VMF_ERROR_UNREACHABLE,
                         "the other host did not end its stream within %d s of ours", LINGER_S));
        return FALSE;
    }
    return TRUE;
}

/* More bytes from the socket for TLS. Returns: %FALSE when the relay has failed. */
static gboolean
feed(VmfRelay *relay, gboolean *local_gone)
{
    gsize room;
    guint8 *to = vmf_tls_input_room(relay->tls, &room);
    for (;;) {
        gssize n = recv(relay->sock, to, room, MSG_DONTWAIT);
        if (n >= 0) {
            vmf_tls_input_added(relay->tls, (gsize)n);
            return TRUE;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for_input(relay, local_gone))
                return FALSE;
        } else if (errno != EINTR) {
            fail_connection(relay, errno);
            return FALSE;
        }
    }
}

/* Returns: %TRUE at the peer's end mark. */
static gboolean
pump_in(VmfRelay *relay, guint8 *block, GError **error)
{
    gboolean local_gone = FALSE;
    for (;;) {
        gsize used;
        switch (vmf_tls_open(relay->tls, block, BLOCK_BYTES, &used, error)) {
        case VMF_TLS_OK:
            if (local_gone || send_all(relay->local, block, used) != 0) {
                fail_undeliverable(relay);
                return FALSE;
            }
            atomic_fetch_add_explicit(&relay->counters->in, used, memory_order_relaxed);
            break;
        case VMF_TLS_AGAIN:
            if (!feed(relay, &local_gone))
                return FALSE;
            break;
        case VMF_TLS_END:
            return TRUE;
        case VMF_TLS_FAILED:
            return FALSE;
        }
    }
}

static void *
run_in(void *data)
{
    VmfRelay *relay = data;
    pthread_setname_np(pthread_self(), "channel-in");
    g_autofree guint8 *block = g_malloc(BLOCK_BYTES);
    GError *error = NULL;
    if (pump_in(relay, block, &error))
        shutdown(relay->local, SHUT_WR);
    if (error)
        fail(relay, error);
    end_direction(relay, FALSE);
    return NULL;
}

/* Threads that take no signals: those are the main loop's. */
static int
start_thread(pthread_t *thread, void *(*run)(void *), VmfRelay *relay)
{
    sigset_t all, before;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, THREAD_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(thread, &small, run, relay);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&small);
    return rc;
}

VmfRelay *
vmf_relay_start(VmfTls *tls, int sock, int local, VmfRelayCounters *counters, GError **error)
{
    VmfRelay *relay = g_new0(VmfRelay, 1);
    relay->tls = tls;
    relay->sock = sock;
    relay->local = local;
    relay->counters = counters ? counters : &relay->own;
    relay->running = 2;
    /* at most net.core.wmem_max, and twice the default even then: fewer switches per block */
    int room = LOCAL_BUFFER;
    (void)setsockopt(local, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    pthread_mutex_init(&relay->lock, NULL);
    pthread_cond_init(&relay->ended, NULL);

    int rc = start_thread(&relay->out_thread, run_out, relay);
    if (rc == 0) {
        rc = start_thread(&relay->in_thread, run_in, relay);
        if (rc != 0) {
            vmf_relay_cut(relay);
            pthread_join(relay->out_thread, NULL);
        }
    }
    if (rc == 0)
        return relay;

    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "cannot make a thread: %s", g_strerror(rc));
    close(local);
    g_clear_error(&relay->error);
    pthread_cond_destroy(&relay->ended);
    pthread_mutex_destroy(&relay->lock);
    g_free(relay);
    return NULL;
}

void
vmf_relay_cut(VmfRelay *relay)
{
    fail(relay, g_error_new_literal(VMF_ERROR, VMF_ERROR_INTERNAL,
                                    "the channel was closed before its streams had ended"));
}

gboolean
vmf_relay_wait(VmfRelay *relay, GError **error)
{
    pthread_mutex_lock(&relay->lock);
    while (relay->running > 0)
        pthread_cond_wait(&relay->ended, &relay->lock);
    gboolean ok = !relay->failed;
    if (!ok)
        g_propagate_error(error, g_error_copy(relay->error));
    pthread_mutex_unlock(&relay->lock);
    return ok;
}

void
vmf_relay_free(VmfRelay *relay)
{
    if (relay == NULL)
        return;
    vmf_relay_cut(relay);
    pthread_join(relay->out_thread, NULL);
    pthread_join(relay->in_thread, NULL);
    close(relay->local);
    g_clear_error(&relay->error);
    pthread_cond_destroy(&relay->ended);
    pthread_mutex_destroy(&relay->lock);
    g_free(relay);
}

guint64
vmf_relay_bytes_in(VmfRelay *relay)
{
    return atomic_load_explicit(&relay->counters->in, memory_order_relaxed);
}

guint64
vmf_relay_bytes_out(VmfRelay *relay)
{
    return atomic_load_explicit(&relay->counters->out, memory_order_relaxed);
}
