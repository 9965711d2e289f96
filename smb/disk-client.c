/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-client.h"

#include "smb/disk-order.h"
#include "src/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_RUN_DIR "/run/vmferry"

/* The disk process answers each verb in its own time; these only end waiting for one that hangs. */
#define QUICK_MS   10000  /* verbs that do not touch the share */
#define SHARE_MS   150000 /* one request to the share, which may take 125 s */
#define RELEASE_MS 600000 /* draining, the record, one CLOSE per disk */
#define QUIT_MS    30000

struct _VmfDiskClient {
    gint references;
    GDBusConnection *connection;
    gchar *vm_uuid;
    gchar *nbd_socket;
    gchar *whom; /* for messages */
    GMutex lock; /* one order at a time on the line; guards it */
    int line;    /* -1: orders go by D-Bus */
};

static VmfDiskClient *
client_new(GDBusConnection *connection, const char *folder, const char *vm_uuid)
{
    VmfDiskClient *client = g_new0(VmfDiskClient, 1);
    client->references = 1;
    client->connection = connection;
    client->line = -1;
    g_mutex_init(&client->lock);
    client->vm_uuid = g_strdup(vm_uuid);
    client->nbd_socket = g_build_filename(folder, "nbd", NULL);
    client->whom = g_strdup_printf("the disk process of VM %s", vm_uuid);
    return client;
}

VmfDiskClient *
vmf_disk_client_connect(const char *run_dir, const char *vm_uuid, GError **error)
{
    g_autofree gchar *folder = g_build_filename(run_dir != NULL ? run_dir : DEFAULT_RUN_DIR,
                                                vm_uuid, NULL);
    g_autofree gchar *socket = g_build_filename(folder, "control", NULL);
    g_autofree gchar *escaped = g_dbus_address_escape_value(socket);
    g_autofree gchar *address = g_strconcat("unix:path=", escaped, NULL);
    g_autoptr(GError) cause = NULL;

    vmf_error_quark(); /* registers the errors' names before the first is received */
    GDBusConnection *connection = g_dbus_connection_new_for_address_sync(
        address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, &cause);
    if (connection != NULL) {
        g_dbus_connection_set_exit_on_close(connection, FALSE);
        return client_new(connection, folder, vm_uuid);
    }
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                "no disk process of VM %s runs here ('%s': %s)", vm_uuid, socket, cause->message);
    return NULL;
}

VmfDiskClient *
vmf_disk_client_ref(VmfDiskClient *client)
{
    g_atomic_int_inc(&client->references);
    return client;
}

void
vmf_disk_client_unref(VmfDiskClient *client)
{
    if (client == NULL || !g_atomic_int_dec_and_test(&client->references))
        return;
    g_dbus_connection_close(client->connection, NULL, NULL, NULL);
    g_object_unref(client->connection);
    if (client->line >= 0)
        close(client->line);
    g_mutex_clear(&client->lock);
    g_free(client->vm_uuid);
    g_free(client->nbd_socket);
    g_free(client->whom);
    g_free(client);
}

GDBusConnection *
vmf_disk_client_connection(VmfDiskClient *client)
{
    return client->connection;
}

const char *
vmf_disk_client_nbd_socket(VmfDiskClient *client)
{
    return client->nbd_socket;
}

static GVariant *
call_with_fds(VmfDiskClient *client, const char *method, GVariant *parameters, const char *type,
              int timeout_ms, GUnixFDList **received, GError **error)
{
    GVariant *reply = g_dbus_connection_call_with_unix_fd_list_sync(
        client->connection, NULL, VMF_DISK_OBJECT_PATH, VMF_DISK_INTERFACE, method, parameters,
        type != NULL ? G_VARIANT_TYPE(type) : NULL, G_DBUS_CALL_FLAGS_NONE, timeout_ms, NULL,
        received, NULL, error);
    if (reply == NULL)
        vmf_error_from_dbus(error, client->whom);
    return reply;
}

static GVariant *
call(VmfDiskClient *client, const char *method, GVariant *parameters, const char *type,
     int timeout_ms, GError **error)
{
    return call_with_fds(client, method, parameters, type, timeout_ms, NULL, error);
}

/* for verbs that answer nothing but success */
static gboolean
order(VmfDiskClient *client, const char *method, GVariant *parameters, int timeout_ms,
      GError **error)
{
    g_autoptr(GVariant) reply = call(client, method, parameters, "()", timeout_ms, error);
    return reply != NULL;
}

VmfDiskState *
vmf_disk_client_describe(VmfDiskClient *client, GError **error)
{
    g_autoptr(GVariant) reply = call(client, "Describe", NULL, "(a{sv})", QUICK_MS, error);
    if (reply == NULL)
        return NULL;
    g_autoptr(GVariant) facts = g_variant_get_child_value(reply, 0);
    return vmf_disk_wire_to_state(facts, error);
}

gboolean
vmf_disk_client_read_record(VmfDiskClient *client, gboolean *present, VmfOwnerRecord *record,
                            GError **error)
{
    g_autoptr(GVariant) reply = call(client, "ReadRecord", NULL, "(a{sv})", SHARE_MS, error);
    if (reply == NULL)
        return FALSE;
    g_autoptr(GVariant) facts = g_variant_get_child_value(reply, 0);
    return vmf_disk_wire_to_record(facts, present, record, error);
}

gboolean
vmf_disk_client_probe(VmfDiskClient *client, GError **error)
{
    return order(client, "Probe", NULL, SHARE_MS, error);
}

/* --- the line --- */

void
vmf_disk_client_open_line(VmfDiskClient *client)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&client->lock);
    if (client->line >= 0)
        return;
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GVariant)
        reply = call_with_fds(client, "OpenLine", NULL, "(h)", QUICK_MS, &fds, NULL);
    gint32 handle;
    if (reply == NULL || fds == NULL)
        return; /* one of a version before, or too many */
    g_variant_get(reply, "(h)", &handle);
    client->line = g_unix_fd_list_get(fds, handle, NULL);
}

/* Returns: the answer; NULL: there is none, with @timed_out when it might still come */
static GBytes *
say(int line, GBytes *order, int timeout_ms, gboolean *timed_out)
{
    gint64 until = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    struct pollfd watch = {.fd = line, .events = POLLIN};
    gsize size;
    const void *bytes = g_bytes_get_data(order, &size);
    g_autofree guint8 *room = g_malloc(VMF_DISK_ORDER_MAX);
    if (send(line, bytes, size, MSG_NOSIGNAL) != (gssize)size)
        return NULL;
    int ready;
    do {
        gint64 left_ms = MAX(until - g_get_monotonic_time(), 0) / 1000;
        ready = poll(&watch, 1, (int)left_ms);
    } while (ready < 0 && errno == EINTR);
    *timed_out = ready == 0;
    gssize got = ready > 0 ? recv(line, room, VMF_DISK_ORDER_MAX, MSG_DONTWAIT | MSG_TRUNC) : -1;
    return got > 0 && got <= VMF_DISK_ORDER_MAX
               ? g_bytes_new_take(g_steal_pointer(&room), (gsize)got)
               : NULL;
}

/* The lock is held. An answer that came late would be taken for the next one's: no line any more. */
static void
give_up_line(VmfDiskClient *client, gboolean timed_out, GError **error)
{
    close(client->line);
    client->line = -1;
    /* If it has died, that is known of the connection when this has returned. */
    g_autoptr(GVariant)
        ignored = timed_out ? NULL : call(client, "Describe", NULL, "(a{sv})", QUICK_MS, NULL);
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "%s does not answer: %s", client->whom,
                timed_out ? "timed out" : "its line has ended");
}

static GVariant *
call_on_line(VmfDiskClient *client, GBytes *order, const char *type, int timeout_ms, GError **error)
{
    gboolean timed_out = FALSE;
    g_autoptr(GBytes) answer = say(client->line, order, timeout_ms, &timed_out);
    if (answer == NULL) {
        give_up_line(client, timed_out, error);
        return NULL;
    }
    GVariant *results = vmf_disk_answer_decode(answer, type, error);
    if (results == NULL)
        vmf_error_from_dbus(error, client->whom);
    return results;
}

/* By the line when there is one that is free, or as any other verb. */
static GVariant *
call_soon(VmfDiskClient *client, const char *method, GVariant *parameters, const char *type,
          int timeout_ms, GError **error)
{
    g_autoptr(GVariant) mine = g_variant_ref_sink(parameters);
    if (g_mutex_trylock(&client->lock)) {
        g_autoptr(GBytes) order = client->line >= 0 ? vmf_disk_order_encode(method, mine, NULL)
                                                    : NULL;
        GVariant *results = order ? call_on_line(client, order, type, timeout_ms, error) : NULL;
        g_mutex_unlock(&client->lock);
        if (order)
            return results;
    }
    return call(client, method, mine, type, timeout_ms, error);
}

static gboolean
timed_order(VmfDiskClient *client, const char *method, GVariant *parameters, int timeout_ms,
            VmfDiskTimes *times, GError **error)
{
    g_autoptr(GVariant) reply = call_soon(client, method, parameters, "(a{sv})", timeout_ms, error);
    if (reply == NULL)
        return FALSE;
    g_autoptr(GVariant) facts = g_variant_get_child_value(reply, 0);
    if (times != NULL)
        vmf_disk_wire_to_times(facts, times);
    return TRUE;
}

static gboolean
become_owner(VmfDiskClient *client, const char *method, const VmfOwnerExpect *expected,
             const VmfOwnerNext *next, guint wait_ms, VmfDiskTimes *times, GError **error)
{
    int timeout_ms = (int)MIN(SHARE_MS + (guint64)wait_ms, G_MAXINT);
    GVariant *parameters = g_variant_new("(@a{sv}@a{sv}u)", vmf_disk_wire_from_expected(expected),
                                         vmf_disk_wire_from_next(next), wait_ms);
    return timed_order(client, method, parameters, timeout_ms, times, error);
}

gboolean
vmf_disk_client_claim(VmfDiskClient *client, const VmfOwnerExpect *expected,
                      const VmfOwnerNext *next, guint wait_ms, VmfDiskTimes *times, GError **error)
{
    return become_owner(client, "Claim", expected, next, wait_ms, times, error);
}

gboolean
vmf_disk_client_take(VmfDiskClient *client, const VmfOwnerExpect *expected,
                     const VmfOwnerNext *next, guint wait_ms, VmfDiskTimes *times, GError **error)
{
    return become_owner(client, "Take", expected, next, wait_ms, times, error);
}

gboolean
vmf_disk_client_open_gate(VmfDiskClient *client, guint64 epoch, GError **error)
{
    return order(client, "OpenGate", g_variant_new("(t)", epoch), SHARE_MS, error);
}

gboolean
vmf_disk_client_release(VmfDiskClient *client, const VmfOwnerNext *next, VmfDiskTimes *times,
                        GError **error)
{
    return timed_order(client, "Release", g_variant_new("(@a{sv})", vmf_disk_wire_from_next(next)),
                       RELEASE_MS, times, error);
}

/* --- files --- */

gboolean
vmf_disk_client_write_file(VmfDiskClient *client, const char *name, const char *content,
                           GError **error)
{
    return order(client, "WriteFile", g_variant_new("(ss)", name, content), SHARE_MS, error);
}

gchar *
vmf_disk_client_read_file(VmfDiskClient *client, const char *name, GError **error)
{
    gchar *content = NULL;
    g_autoptr(GVariant)
        reply = call(client, "ReadFile", g_variant_new("(s)", name), "(s)", SHARE_MS, error);
    if (reply != NULL)
        g_variant_get(reply, "(s)", &content);
    return content;
}

/* --- the end --- */

/* The kernel says when it is gone, whosever child it is. */
static gboolean
wait_until_gone(VmfDiskClient *client, int process, GError **error)
{
    struct pollfd watch = {.fd = process, .events = POLLIN};
    if (poll(&watch, 1, QUIT_MS) == 1)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "%s has not ended within %d s", client->whom,
                QUIT_MS / 1000);
    return FALSE;
}

gboolean
vmf_disk_client_quit(VmfDiskClient *client, GError **error)
{
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(client, error);
    if (state == NULL)
        return FALSE;
    int process = (int)syscall(SYS_pidfd_open, state->pid, 0);
    gboolean ok = order(client, "Quit", NULL, SHARE_MS, error) &&
                  (process < 0 || wait_until_gone(client, process, error));
    if (process >= 0)
        close(process);
    return ok;
}
