/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/daemon/own-threads.h"
#include "src/migrate/vmf-peer1.h"

#include <sys/socket.h>

#define CALLS 200 /* GTask's pool has ten threads, and takes a quarter of an hour to have as many */
#define PATH  "/org/vmferry/Peer1"

static GMutex lock;
static GCond changed;
static guint waiting;
static gint destroyed; /* atomic: the last call's thread does it */
static gboolean go_on;

static gboolean
on_await_running(VmfPeer1 *object, GDBusMethodInvocation *call, const char *migration,
                 gpointer data)
{
    g_assert_cmpstr(migration, ==, "m1");
    g_assert_true(data == &waiting);
    g_mutex_lock(&lock);
    waiting++;
    g_cond_broadcast(&changed);
    while (!go_on)
        g_cond_wait(&changed, &lock);
    g_mutex_unlock(&lock);
    vmf_peer1_complete_await_running(object, call);
    return TRUE;
}

static void
on_destroyed(gpointer data, GClosure *closure)
{
    g_atomic_int_inc(&destroyed);
}

static void
on_answer(GObject *proxy, GAsyncResult *result, gpointer answers)
{
    g_autoptr(GError) error = NULL;
    vmf_peer1_call_await_running_finish(VMF_PEER1(proxy), result, &error);
    g_assert_no_error(error);
    (*(guint *)answers)++;
}

static void
do_nothing(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    g_task_return_boolean(task, TRUE);
}

static gpointer
serve(gpointer stream)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *guid = g_dbus_generate_guid();
    GDBusConnection *bus = g_dbus_connection_new_sync(
        stream, guid,
        G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
            G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_ALLOW_ANONYMOUS,
        NULL, NULL, &error);
    g_assert_no_error(error);
    return bus;
}

static GIOStream *
stream_of(int fd)
{
    g_autoptr(GSocket) socket = g_socket_new_from_fd(fd, NULL);
    return G_IO_STREAM(g_socket_connection_factory_create_connection(socket));
}

/* All of them wait, and a task of somebody else's finds a thread. */
static void
test_waiting(void)
{
    int pair[2];
    guint answers = 0;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    g_autoptr(GIOStream) theirs = stream_of(pair[0]);
    g_autoptr(GIOStream) ours = stream_of(pair[1]);
    GThread *thread = g_thread_new("serve", serve, theirs);
    g_autoptr(GDBusConnection) client = g_dbus_connection_new_sync(
        ours, NULL, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(GDBusConnection) server = g_thread_join(thread);
    VmfPeer1 *skeleton = vmf_peer1_skeleton_new();
    vmf_own_threads_connect(skeleton, "handle-await-running", G_CALLBACK(on_await_running),
                            &waiting, on_destroyed);
    g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(skeleton), server, PATH, &error);
    g_assert_no_error(error);
    g_autoptr(VmfPeer1) proxy = vmf_peer1_proxy_new_sync(
        client, G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES, NULL, PATH, NULL, &error);
    g_assert_no_error(error);

    g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(proxy), G_MAXINT);
    for (guint i = 0; i < CALLS; i++)
        vmf_peer1_call_await_running(proxy, "m1", NULL, on_answer, &answers);
    g_mutex_lock(&lock);
    while (waiting < CALLS) { /* the calls come by the main loop here */
        g_mutex_unlock(&lock);
        g_main_context_iteration(NULL, FALSE);
        g_thread_yield();
        g_mutex_lock(&lock);
    }
    g_mutex_unlock(&lock);
    g_autoptr(GTask) task = g_task_new(NULL, NULL, NULL, NULL);
    g_task_run_in_thread_sync(task, do_nothing);

    g_mutex_lock(&lock);
    go_on = TRUE;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
    while (answers < CALLS)
        g_main_context_iteration(NULL, TRUE);
    g_dbus_interface_skeleton_unexport(G_DBUS_INTERFACE_SKELETON(skeleton));
    g_object_add_weak_pointer(G_OBJECT(skeleton), (gpointer *)&skeleton);
    g_object_unref(skeleton);
    /* the last call's thread lets the skeleton go after its answer, and then the handler */
    while (g_atomic_pointer_get(&skeleton) != NULL || g_atomic_int_get(&destroyed) == 0)
        g_main_context_iteration(NULL, FALSE);
    g_assert_cmpint(g_atomic_int_get(&destroyed), ==, 1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/own-threads/many-wait/nobody-else", test_waiting);
    return g_test_run();
}
