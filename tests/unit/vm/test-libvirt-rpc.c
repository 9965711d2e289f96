/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a call does when the other end of its socket misbehaves: the end is this test. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/vm/libvirt-rpc.h"
#include "src/vm/libvirt-wire.h"
#include "src/vm/phases.h"
#include "src/vm/xdr.h"

typedef struct {
    int daemon; /* libvirtd's end of the socket */
    VmfRpc *rpc;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    int ends[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    fixture->daemon = ends[0];
    fixture->rpc = vmf_rpc_adopt(ends[1], NULL);
    g_assert_nonnull(fixture->rpc);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    vmf_rpc_free(fixture->rpc);
    if (fixture->daemon >= 0)
        close(fixture->daemon);
}

typedef struct {
    int fd;
    guint32 serial_offset; /* subtracted from the caller's serial */
    gsize cut;             /* bytes left away at the end; then the socket is closed */
    gboolean event_first;
} Daemon;

static void
append_frame(GByteArray *out, guint32 type, guint32 serial, const char *body, gsize length)
{
    const guint32 words[] = {
        28 + (guint32)length, 0x20008086, 1, VMF_PROC_CONNECT_GET_LIB_VERSION, type, serial, 0};
    for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
        vmf_xdr_put_u32(out, words[i]);
    g_byte_array_append(out, (const guint8 *)body, (guint)length);
}

/* Answers one call. */
static gpointer
answer(gpointer data)
{
    const Daemon *daemon = data;
    guint8 call[28];
    VmfXdrReader reader;
    g_assert_cmpint(recv(daemon->fd, call, sizeof call, MSG_WAITALL), ==, sizeof call);
    vmf_xdr_init(&reader, call + 20, 4);
    guint32 serial = vmf_xdr_u32(&reader);
    g_autoptr(GByteArray) out = g_byte_array_new();
    if (daemon->event_first)
        append_frame(out, 2, 0, "event!!!", 8);
    if (daemon->serial_offset > 0)
        append_frame(out, 1, serial - daemon->serial_offset, "stale!!!", 8);
    append_frame(out, 1, serial, "01234567", 8);
    for (gsize at = 0; at < out->len - daemon->cut; at++) /* byte by byte: the worst case */
        g_assert_cmpint(send(daemon->fd, out->data + at, 1, MSG_NOSIGNAL), ==, 1);
    if (daemon->cut > 0)
        shutdown(daemon->fd, SHUT_RDWR);
    return NULL;
}

static VmfRpcResult
call(Fixture *fixture, Daemon *daemon, GBytes **reply, GError **error)
{
    int code;
    daemon->fd = fixture->daemon;
    GThread *thread = g_thread_new("daemon", answer, daemon);
    VmfRpcResult result = vmf_rpc_call(fixture->rpc, VMF_PROC_CONNECT_GET_LIB_VERSION, NULL, reply,
                                       &code, error);
    g_thread_join(thread);
    return result;
}

static void
test_answer(Fixture *fixture, gconstpointer data)
{
    for (int i = 0; i < 3; i++) {
        g_autoptr(GBytes) reply = NULL;
        g_autoptr(GError) error = NULL;
        Daemon daemon = {.event_first = TRUE, .serial_offset = 5};
        g_assert_cmpint(call(fixture, &daemon, &reply, &error), ==, VMF_RPC_OK);
        g_assert_no_error(error);
        g_assert_cmpmem(g_bytes_get_data(reply, NULL), g_bytes_get_size(reply), "01234567", 8);
    }
}

static void
check_dead(Fixture *fixture)
{
    int code;
    g_autoptr(GBytes) reply = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(
        vmf_rpc_call(fixture->rpc, VMF_PROC_CONNECT_GET_LIB_VERSION, NULL, &reply, &code, &error),
        ==, VMF_RPC_UNKNOWN);
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
}

static void
test_cut_at_every_byte(void)
{
    for (gsize cut = 1; cut <= 36; cut++) {
        Fixture fixture;
        Daemon daemon = {.cut = cut};
        g_autoptr(GBytes) reply = NULL;
        g_autoptr(GError) error = NULL;
        set_up(&fixture, NULL);
        g_assert_cmpint(call(&fixture, &daemon, &reply, &error), ==, VMF_RPC_UNKNOWN);
        g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
        g_assert_null(reply);
        check_dead(&fixture);
        tear_down(&fixture, NULL);
    }
}

static void
test_closed_before(Fixture *fixture, gconstpointer data)
{
    close(fixture->daemon);
    fixture->daemon = -1;
    check_dead(fixture);
}

static gpointer
cancel_when_called(gpointer data)
{
    gpointer *both = data;
    guint8 call_bytes[28];
    g_assert_cmpint(recv(GPOINTER_TO_INT(both[0]), call_bytes, sizeof call_bytes, MSG_WAITALL), ==,
                    sizeof call_bytes);
    g_cancellable_cancel(both[1]);
    return NULL;
}

static void
test_no_longer_waited_for(Fixture *fixture, gconstpointer data)
{
    int code;
    g_autoptr(GBytes) reply = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    gpointer both[] = {GINT_TO_POINTER(fixture->daemon), cancellable};
    vmf_rpc_set_cancellable(fixture->rpc, cancellable);
    GThread *thread = g_thread_new("daemon", cancel_when_called, both);
    g_assert_cmpint(
        vmf_rpc_call(fixture->rpc, VMF_PROC_CONNECT_GET_LIB_VERSION, NULL, &reply, &code, &error),
        ==, VMF_RPC_UNKNOWN);
    g_thread_join(thread);
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    check_dead(fixture);
}

static void
test_not_a_socket(void)
{
    g_autoptr(GError) error = NULL;
    int ends[2];
    g_assert_cmpint(pipe2(ends, 0), ==, 0);
    g_assert_null(vmf_rpc_adopt(ends[0], &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_INTERNAL);
    close(ends[1]);
}

static void
test_nobody_there(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(vmf_phases_open("/nonexistent/libvirt-sock", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    g_assert_nonnull(strstr(error->message, "'/nonexistent/libvirt-sock'"));
    g_clear_error(&error);
    g_autofree gchar *longer = g_strnfill(200, 'x');
    g_assert_null(vmf_phases_open(longer, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

static void
test_empty_cookie(void)
{
    int ends[2];
    g_autoptr(GBytes) empty = g_bytes_new("", 0), out = NULL;
    g_autoptr(GError) error = NULL;
    const VmfPhaseParams params = {.uuid = "11111111-2222-4333-8444-555555555555", .name = "x"};
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
    Daemon daemon = {.fd = ends[0]};
    GThread *thread = g_thread_new("daemon", answer, &daemon);
    g_autoptr(VmfPhases) phases = vmf_phases_adopt(ends[1], &error);
    g_thread_join(thread);
    g_assert_no_error(error);
    g_assert_cmpint(vmf_phases_perform(phases, &params, "unix:///x", empty, &out, &error), ==,
                    VMF_PHASE_REFUSED);
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_clear_error(&error);
    g_assert_cmpint(vmf_phases_prepare(phases, &params, "unix:///x", "", NULL, &out, &error), ==,
                    VMF_PHASE_REFUSED);
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    guint8 byte; /* nothing was sent */
    g_assert_cmpint(recv(ends[0], &byte, 1, MSG_DONTWAIT), ==, -1);
    close(ends[0]);
}

#define ADD(path, func) g_test_add(path, Fixture, NULL, set_up, func, tear_down)

/* What is still to be read does not hide that the other end is closed. */
static void
test_connected(Fixture *fixture, gconstpointer data)
{
    g_assert_true(vmf_rpc_is_connected(fixture->rpc));
    g_assert_cmpint(send(fixture->daemon, "unread", 6, MSG_NOSIGNAL), ==, 6);
    g_assert_true(vmf_rpc_is_connected(fixture->rpc));
    close(fixture->daemon);
    fixture->daemon = -1;
    g_assert_false(vmf_rpc_is_connected(fixture->rpc));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/libvirt-rpc/answer-byte-by-byte/after-event-and-stale-reply", test_answer);
    g_test_add_func("/libvirt-rpc/connection-lost-at-every-byte/unknown", test_cut_at_every_byte);
    ADD("/libvirt-rpc/connection-closed-before/unknown", test_closed_before);
    ADD("/libvirt-rpc/no-longer-waited-for/unknown", test_no_longer_waited_for);
    ADD("/libvirt-rpc/other-end-closed/not-connected", test_connected);
    g_test_add_func("/libvirt-rpc/adopt-pipe/refused", test_not_a_socket);
    g_test_add_func("/phases/no-libvirtd/unreachable", test_nobody_there);
    g_test_add_func("/phases/empty-cookie/not-sent", test_empty_cookie);
    return g_test_run();
}
