/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-control.h"

#include "smb/disk-line.h"
#include "smb/disk-verbs.h"
#include "smb/disk-wire.h"
#include "smb/disk1-dbus.h"
#include "smb/runner.h"
#include "src/base/error.h"

#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define OBJECT_PATH     "/org/vmferry/Disk1"
#define MAX_CONNECTIONS 32
#define TELL_DELAY_US   5000

typedef struct {
    GSource base;
    VmfDiskControl *self;
} OwnSource;

struct _VmfDiskControl {
    VmfDiskSet *set;
    void (*quit)(void);
    VmfRunner control;
    VmfRunner owner;
    VmfDiskLines lines;

    /* the owner thread's, except woken */
    GSource *work;
    atomic_int woken;
    int watched_fd;
    gpointer watch_tag;

    /* the control thread's */
    GSource *tell;
    GDBusServer *server;
    VmfDbusDisk1 *skeleton;
    GPtrArray *connections;
};

/* --- the disk set's own work, on the owner thread --- */

static void
watch_session(VmfDiskControl *self)
{
    int fd = vmf_disk_set_watch_fd(self->set);
    if (fd == self->watched_fd)
        return;
    if (self->watch_tag != NULL)
        g_source_remove_unix_fd(self->work, self->watch_tag);
    self->watch_tag = fd >= 0
                          ? g_source_add_unix_fd(self->work, fd, G_IO_HUP | G_IO_ERR | POLLRDHUP)
                          : NULL;
    self->watched_fd = fd;
}

static gboolean
work_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    VmfDiskControl *self = ((OwnSource *)source)->self;
    atomic_store(&self->woken, 0);
    gint64 next = vmf_disk_set_work(self->set);
    watch_session(self);
    g_source_set_ready_time(source, next == G_MAXINT64 ? -1 : next);
    if (atomic_load(&self->woken)) /* woken while it worked: what is new may be due now */
        g_source_set_ready_time(source, 0);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs work_funcs = {.dispatch = work_dispatch};

void
vmf_disk_control_wake(gpointer data)
{
    VmfDiskControl *self = data;
    atomic_store(&self->woken, 1);
    g_source_set_ready_time(self->work, 0);
}

/* --- verbs of the owner thread --- */

typedef struct {
    VmfDiskControl *self;
    GDBusMethodInvocation *call; /* its reply takes the reference */
    void (*run)(VmfDiskControl *self, GDBusMethodInvocation *call);
} Order;

static gboolean
run_order(gpointer data)
{
    g_autofree Order *order = data;
    order->run(order->self, order->call);
    vmf_disk_control_wake(order->self);
    return G_SOURCE_REMOVE;
}

static gboolean
let_owner_do(VmfDiskControl *self, GDBusMethodInvocation *call,
             void (*run)(VmfDiskControl *self, GDBusMethodInvocation *call))
{
    Order *order = g_new(Order, 1);
    *order = (Order){self, call, run};
    vmf_runner_do(&self->owner, run_order, order);
    return TRUE;
}

static void
run_verb(VmfDiskControl *self, GDBusMethodInvocation *call)
{
    GError *error = NULL;
    const VmfDiskVerb *verb = vmf_disk_verb_find(g_dbus_method_invocation_get_method_name(call));
    GVariant *results = verb->run(self->set, g_dbus_method_invocation_get_parameters(call), &error);
    if (results != NULL)
        g_dbus_method_invocation_return_value(call, results);
    else
        g_dbus_method_invocation_take_error(call, error);
}

static gboolean
tell_ending(gpointer data)
{
    VmfDiskControl *self = data;
    vmf_dbus_disk1_emit_ending(self->skeleton);
    for (guint i = 0; i < self->connections->len; i++)
        g_dbus_connection_flush_sync(self->connections->pdata[i], NULL, NULL);
    self->quit();
    return G_SOURCE_REMOVE;
}

static void
run_quit(VmfDiskControl *self, GDBusMethodInvocation *call)
{
    VmfGateFacts gate = vmf_disk_set_facts(self->set).gate;
    if (gate.epoch != 0 && !gate.foreign) {
        g_dbus_method_invocation_return_error(
            call, VMF_ERROR, VMF_ERROR_BUSY,
            "the disk process of VM %s holds its disks: they have to be released first",
            vmf_disk_set_list(self->set)->vm_uuid);
        return;
    }
    g_autoptr(GDBusConnection)
        connection = g_object_ref(g_dbus_method_invocation_get_connection(call));
    g_dbus_method_invocation_return_value(call, NULL);
    g_dbus_connection_flush_sync(connection, NULL, NULL);
    vmf_runner_do(&self->control, tell_ending, self); /* the connections are that thread's */
}

/* --- D-Bus, on the control thread --- */

/* Those of disk-verbs.h that have no arguments, one, two, three: GDBus gives each by itself. */

static gboolean
on_verb(VmfDbusDisk1 *object, GDBusMethodInvocation *call, gpointer data)
{
    return let_owner_do(data, call, run_verb);
}

static gboolean
on_verb_of_facts(VmfDbusDisk1 *object, GDBusMethodInvocation *call, GVariant *facts, gpointer data)
{
    return let_owner_do(data, call, run_verb);
}

static gboolean
on_verb_of_text(VmfDbusDisk1 *object, GDBusMethodInvocation *call, const char *text, gpointer data)
{
    return let_owner_do(data, call, run_verb);
}

static gboolean
on_verb_of_texts(VmfDbusDisk1 *object, GDBusMethodInvocation *call, const char *first,
                 const char *second, gpointer data)
{
    return let_owner_do(data, call, run_verb);
}

static gboolean
on_open_gate(VmfDbusDisk1 *object, GDBusMethodInvocation *call, guint64 epoch, gpointer data)
{
    return let_owner_do(data, call, run_verb);
}

static gboolean
on_claim(VmfDbusDisk1 *object, GDBusMethodInvocation *call, GVariant *expected, GVariant *next,
         guint wait_ms, gpointer data)
{
    return let_owner_do(data, call, run_verb);
}

static gboolean
on_quit(VmfDbusDisk1 *object, GDBusMethodInvocation *call, gpointer data)
{
    return let_owner_do(data, call, run_quit);
}

static gboolean
on_open_line(VmfDbusDisk1 *object, GDBusMethodInvocation *call, GUnixFDList *ignored, gpointer data)
{
    VmfDiskControl *self = data;
    GError *error = NULL;
    int fd = vmf_disk_line_open(&self->lines, &error);
    if (fd < 0) {
        g_dbus_method_invocation_take_error(call, error);
        return TRUE;
    }
    g_autoptr(GUnixFDList) fds = g_unix_fd_list_new_from_array(&fd, 1);
    vmf_dbus_disk1_complete_open_line(object, call, fds, g_variant_new_handle(0));
    return TRUE;
}

static gboolean
on_describe(VmfDbusDisk1 *object, GDBusMethodInvocation *call, gpointer data)
{
    VmfDiskControl *self = data;
    VmfDiskSetFacts facts = vmf_disk_set_facts(self->set);
    const VmfDiskList *list = vmf_disk_set_list(self->set);
    g_autofree gchar *trouble = vmf_disk_set_trouble(self->set);
    g_autofree VmfDiskFact *disks = g_new0(VmfDiskFact, list->n_entries);

    for (guint i = 0; i < list->n_entries; i++)
        disks[i] = (VmfDiskFact){list->entries[i].target, list->entries[i].url->url,
                                 vmf_disk_set_export_size(self->set, i)};
    const VmfDiskState state = {
        .gate = facts.gate.state,
        .held = facts.gate.epoch != 0,
        .epoch = facts.gate.epoch,
        .trouble = trouble,
        .foreign = facts.gate.foreign,
        .disks = disks,
        .n_disks = list->n_entries,
        .in_flight = facts.gate.in_flight,
        .waiting = facts.gate.waiting + facts.unanswered,
        .ticket_end = facts.ticket_end,
        .read_bytes = facts.read_bytes,
        .written_bytes = facts.written_bytes,
        .written_since_open = facts.written_since_open,
        .sessions = facts.sessions,
        .pid = getpid(),
    };
    vmf_dbus_disk1_complete_describe(object, call, vmf_disk_wire_from_state(&state));
    return TRUE;
}

static gboolean
tell_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    VmfDiskControl *self = ((OwnSource *)source)->self;
    g_source_set_ready_time(source, -1);
    VmfGateFacts gate = vmf_disk_set_facts(self->set).gate;
    g_autofree gchar *trouble = vmf_disk_set_trouble(self->set);
    vmf_dbus_disk1_emit_gate_changed(self->skeleton, vmf_gate_state_name(gate.state), gate.foreign,
                                     trouble);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs tell_funcs = {.dispatch = tell_dispatch};

/* A little later: not in the way of the reply to the verb that made the change. */
void
vmf_disk_control_changed(gpointer data)
{
    VmfDiskControl *self = data;
    g_source_set_ready_time(self->tell, g_get_monotonic_time() + TELL_DELAY_US);
}

/* --- listening --- */

static gboolean
allow_mechanism(GDBusAuthObserver *observer, const char *mechanism, gpointer data)
{
    return strcmp(mechanism, "EXTERNAL") == 0;
}

static gboolean
authorize_peer(GDBusAuthObserver *observer, GIOStream *stream, GCredentials *credentials,
               gpointer data)
{
    uid_t user = credentials != NULL ? g_credentials_get_unix_user(credentials, NULL) : (uid_t)-1;
    return user == 0 || user == geteuid();
}

static void
on_closed(GDBusConnection *connection, gboolean remote_vanished, GError *error, gpointer data)
{
    VmfDiskControl *self = data;
    g_dbus_interface_skeleton_unexport_from_connection(G_DBUS_INTERFACE_SKELETON(self->skeleton),
                                                       connection);
    g_ptr_array_remove(self->connections, connection);
}

static gboolean
on_connection(GDBusServer *server, GDBusConnection *connection, gpointer data)
{
    VmfDiskControl *self = data;
    g_autoptr(GError) error = NULL;
    if (self->connections->len >= MAX_CONNECTIONS ||
        !g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(self->skeleton), connection,
                                          OBJECT_PATH, &error)) {
        g_warning("control socket: a connection is refused: %s",
                  error != NULL ? error->message : "too many");
        return FALSE;
    }
    g_ptr_array_add(self->connections, g_object_ref(connection));
    g_signal_connect(connection, "closed", G_CALLBACK(on_closed), self);
    return TRUE;
}

static void
connect_verbs(VmfDiskControl *self)
{
    static const struct {
        const char *signal;
        GCallback handler;
    } verbs[] = {
        {"handle-describe", G_CALLBACK(on_describe)},
        {"handle-read-record", G_CALLBACK(on_verb)},
        {"handle-probe", G_CALLBACK(on_verb)},
        {"handle-claim", G_CALLBACK(on_claim)},
        {"handle-take", G_CALLBACK(on_claim)},
        {"handle-open-gate", G_CALLBACK(on_open_gate)},
        {"handle-release", G_CALLBACK(on_verb_of_facts)},
        {"handle-open-line", G_CALLBACK(on_open_line)},
        {"handle-write-file", G_CALLBACK(on_verb_of_texts)},
        {"handle-read-file", G_CALLBACK(on_verb_of_text)},
        {"handle-quit", G_CALLBACK(on_quit)},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++)
        g_signal_connect(self->skeleton, verbs[i].signal, verbs[i].handler, self);
}

static GSource *
add_source(VmfDiskControl *self, GSourceFuncs *funcs, GMainContext *context)
{
    GSource *source = g_source_new(funcs, sizeof(OwnSource));
    ((OwnSource *)source)->self = self;
    g_source_attach(source, context);
    return source;
}

VmfDiskControl *
vmf_disk_control_new(void (*quit)(void))
{
    VmfDiskControl *self = g_new0(VmfDiskControl, 1);
    vmf_error_quark(); /* registers the errors' names before the first is sent */
    self->quit = quit;
    self->watched_fd = -1;
    /* GDBusServer makes its connections in a thread of its own: they tell their end to the default
       context, so somebody has to run it. */
    vmf_runner_init(&self->control, g_main_context_ref(g_main_context_default()));
    vmf_runner_init(&self->owner, NULL);
    self->lines = (VmfDiskLines){.context = g_main_context_ref(self->owner.context),
                                 .done = vmf_disk_control_wake,
                                 .data = self};
    self->work = add_source(self, &work_funcs, self->owner.context);
    self->tell = add_source(self, &tell_funcs, self->control.context);
    self->skeleton = vmf_dbus_disk1_skeleton_new();
    self->connections = g_ptr_array_new_with_free_func(g_object_unref);
    connect_verbs(self);
    return self;
}

gboolean
vmf_disk_control_serve(VmfDiskControl *self, VmfDiskSet *set, const char *socket_path,
                       GError **error)
{
    g_autofree gchar *escaped = g_dbus_address_escape_value(socket_path);
    g_autofree gchar *address = g_strconcat("unix:path=", escaped, NULL);
    g_autofree gchar *guid = g_dbus_generate_guid();
    g_autoptr(GDBusAuthObserver) observer = g_dbus_auth_observer_new();
    g_autoptr(GError) cause = NULL;

    g_signal_connect(observer, "allow-mechanism", G_CALLBACK(allow_mechanism), NULL);
    g_signal_connect(observer, "authorize-authenticated-peer", G_CALLBACK(authorize_peer), NULL);
    g_main_context_push_thread_default(self->control.context);
    unlink(socket_path); /* of a process that was killed: the lock file says there is no other */
    self->server = g_dbus_server_new_sync(address, G_DBUS_SERVER_FLAGS_NONE, guid, observer, NULL,
                                          &cause);
    if (self->server != NULL) {
        g_signal_connect(self->server, "new-connection", G_CALLBACK(on_connection), self);
        g_dbus_server_start(self->server);
    }
    g_main_context_pop_thread_default(self->control.context);
    if (self->server == NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "cannot listen on '%s': %s", socket_path,
                    cause->message);
        return FALSE;
    }
    self->set = set;
    self->lines.set = set;
    vmf_runner_start(&self->owner, "owner");
    vmf_runner_start(&self->control, "control");
    vmf_disk_control_wake(self);
    return TRUE;
}

void
vmf_disk_control_free(VmfDiskControl *self)
{
    if (self == NULL)
        return;
    if (self->server != NULL)
        g_dbus_server_stop(self->server);
    g_source_destroy(self->work);
    g_source_destroy(self->tell);
    vmf_runner_clear(&self->owner);
    vmf_runner_clear(&self->control);
    g_main_context_unref(self->lines.context); /* ends the lines */
    for (guint i = 0; i < self->connections->len; i++) {
        GDBusConnection *connection = g_ptr_array_index(self->connections, i);
        g_signal_handlers_disconnect_by_data(connection, self);
        g_dbus_interface_skeleton_unexport_from_connection(
            G_DBUS_INTERFACE_SKELETON(self->skeleton), connection);
    }
    g_ptr_array_unref(self->connections);
    g_clear_object(&self->server);
    g_clear_object(&self->skeleton);
    g_source_unref(self->work);
    g_source_unref(self->tell);
    g_free(self);
}
