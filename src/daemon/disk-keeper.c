/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/daemon/disk-keeper.h"

#include <string.h>

#include "smb/disk-client.h"
#include "src/base/error.h"
#include "src/migrate/vm-disks.h"
#include "src/vm/qemu-process.h"

#define RETRY_FIRST_MS  20
#define RETRY_LAST_MS   5000
#define KILL_MS         10000
#define LAUNCH_FIRST_US 100000
#define LAUNCH_LAST_US  (10 * G_USEC_PER_SEC)
/* QEMU 7.2 connects again by itself after 1, 3, 7 … s, and errors each request until then. A guest
   that errors for longer is resumed ever more seldom. */
#define RESUME_FIRST_US 20000
#define RESUME_SOON_US  500000
#define RESUME_LAST_US  (30 * G_USEC_PER_SEC)
#define SOON_US         (60 * G_USEC_PER_SEC)

static const char help_server[] = "see that the file server answers and lets this host's account "
                                  "open the VM's files; the VM then goes on by itself";
static const char help_libvirt[] = "systemctl start libvirtd; the VM then goes on by itself";
static const char help_log[] = "see its log, disk.log in the VM's folder below /run/vmferry";
static const char help_fenced[] = "the VM belongs to the host that the message names; see: vmferry "
                                  "list on it";

struct _VmfDiskKeeper {
    const VmfContext *context;
    GMutex lock;         /* guards all below, and every Watch */
    GCond changed;       /* somebody was kicked */
    GHashTable *watches; /* UUID to Watch */
    GHashTable *ended;   /* UUID to VmfDiskCare: VMs that were ended here, until they come again */
};

typedef struct {
    VmfDiskKeeper *keeper;
    gchar *uuid;
    gchar *name;
    VmfDiskClient *client; /* whose signals are heard; NULL: none */
    guint signals;
    gulong closed;
    gboolean told_end; /* its process has said that it ends */
    gboolean vm_ended;
    guint ends;        /* how often it has */
    gboolean io_error; /* the guest may have been paused by one */
    gboolean working;  /* in a thread of its own */
    gboolean again;    /* something has happened meanwhile */
    /* its thread's */
    gint64 came_up_at, resumed_at, resume_delay;
    gint64 launch_delay; /* after it came up: it may die again and again */
    gchar *trouble;
    const char *help;
    gint64 since_us;
} Watch;

typedef enum { DONE, LATER, FORGET } Step;

static void kick(Watch *watch);

/* ---- what is told ---- */

/* The lock is held. @trouble: (transfer full) (nullable) */
static void
set_trouble(Watch *watch, gchar *trouble, const char *help)
{
    if (trouble == NULL || watch->trouble == NULL)
        watch->since_us = g_get_real_time();
    if (trouble && g_strcmp0(trouble, watch->trouble) != 0)
        g_message("disks of VM %s: %s", watch->name, trouble);
    g_free(watch->trouble);
    watch->trouble = trouble;
    watch->help = help;
}

static void
learn_name(Watch *watch, const VmfVmInfo *info)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&watch->keeper->lock);
    if (g_strcmp0(watch->name, info->name) == 0)
        return;
    g_free(watch->name);
    watch->name = g_strdup(info->name);
}

/* For messages; libvirt may be away. */
static void
ask_name(Watch *watch)
{
    if (strcmp(watch->name, watch->uuid) != 0)
        return;
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(watch->keeper->context->host, watch->uuid, NULL);
    if (info)
        learn_name(watch, info);
}

static Step
say(Watch *watch, Step step, const char *help, const char *what, const GError *error)
{
    if (what)
        ask_name(watch);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&watch->keeper->lock);
    set_trouble(watch, what ? g_strconcat(what, error ? error->message : NULL, NULL) : NULL, help);
    return step;
}

static gboolean
is_set(Watch *watch, const gboolean *flag)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&watch->keeper->lock);
    return *flag;
}

static void
set(Watch *watch, gboolean *flag, gboolean to)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&watch->keeper->lock);
    *flag = to;
}

static VmfDiskCare *
care_new(const Watch *watch, const char *trouble, const char *help, gint64 since_us)
{
    VmfDiskCare *care = g_new0(VmfDiskCare, 1);
    *care = (VmfDiskCare){g_strdup(watch->uuid), g_strdup(watch->name), g_strdup(trouble), help,
                          since_us};
    return care;
}

void
vmf_disk_care_free(VmfDiskCare *care)
{
    g_free(care->uuid);
    g_free(care->name);
    g_free(care->trouble);
    g_free(care);
}

GPtrArray *
vmf_disk_keeper_look(VmfDiskKeeper *keeper)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_disk_care_free);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&keeper->lock);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, keeper->watches);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Watch *watch = value;
        if (watch->trouble != NULL)
            g_ptr_array_add(all, care_new(watch, watch->trouble, watch->help, watch->since_us));
    }
    g_hash_table_iter_init(&iter, keeper->ended);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VmfDiskCare *care = g_memdup2(value, sizeof *care);
        care->uuid = g_strdup(care->uuid);
        care->name = g_strdup(care->name);
        care->trouble = g_strdup(care->trouble);
        g_ptr_array_add(all, care);
    }
    return all;
}

/* ---- what the disk process tells, in the main loop ---- */

static Watch *
find(VmfDiskKeeper *keeper, const char *uuid)
{
    return g_hash_table_lookup(keeper->watches, uuid);
}

typedef struct {
    VmfDiskKeeper *keeper;
    gchar *uuid;
} Hearer;

static void
hearer_free(gpointer data)
{
    Hearer *hearer = data;
    g_free(hearer->uuid);
    g_free(hearer);
}

static Hearer *
hearer_new(const Watch *watch)
{
    Hearer *hearer = g_new(Hearer, 1);
    *hearer = (Hearer){watch->keeper, g_strdup(watch->uuid)};
    return hearer;
}

/* Each handover moves gates: nothing is to be done then, and nothing is, in the guest's pause. */
static gboolean
is_news(const Watch *watch, GVariant *parameters)
{
    const char *gate, *trouble;
    gboolean foreign;
    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sbs)")))
        return FALSE;
    g_variant_get(parameters, "(&sb&s)", &gate, &foreign, &trouble);
    return foreign || *trouble != '\0' || watch->trouble != NULL || watch->io_error ||
           watch->vm_ended;
}

static void
on_signal(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
          const char *signal, GVariant *parameters, gpointer data)
{
    Hearer *hearer = data;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&hearer->keeper->lock);
    Watch *watch = find(hearer->keeper, hearer->uuid);
    if (watch == NULL || watch->client == NULL ||
        vmf_disk_client_connection(watch->client) != connection)
        return;
    if (strcmp(signal, "Ending") == 0)
        watch->told_end = TRUE;
    else if (strcmp(signal, "GateChanged") == 0 && is_news(watch, parameters))
        kick(watch);
}

static void
on_closed(GDBusConnection *connection, gboolean vanished, GError *error, gpointer data)
{
    Hearer *hearer = data;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&hearer->keeper->lock);
    Watch *watch = find(hearer->keeper, hearer->uuid);
    if (watch != NULL)
        kick(watch);
}

static void
hearer_free_closure(gpointer data, GClosure *closure)
{
    hearer_free(data);
}

/* The lock is held. */
static void
stop_hearing(Watch *watch)
{
    if (watch->client == NULL)
        return;
    GDBusConnection *connection = vmf_disk_client_connection(watch->client);
    g_dbus_connection_signal_unsubscribe(connection, watch->signals);
    g_signal_handler_disconnect(connection, watch->closed);
    g_clear_pointer(&watch->client, vmf_disk_client_unref);
}

/* The lock is held. Work threads have no main context of their own: the main loop hears. */
static void
hear(Watch *watch, VmfDiskClient *client)
{
    GDBusConnection *connection = vmf_disk_client_connection(client);
    stop_hearing(watch);
    watch->client = vmf_disk_client_ref(client);
    watch->told_end = FALSE;
    watch->signals = g_dbus_connection_signal_subscribe(
        connection, NULL, VMF_DISK_INTERFACE, NULL, VMF_DISK_OBJECT_PATH, NULL,
        G_DBUS_SIGNAL_FLAGS_NONE, on_signal, hearer_new(watch), hearer_free);
    watch->closed = g_signal_connect_data(connection, "closed", G_CALLBACK(on_closed),
                                          hearer_new(watch), hearer_free_closure, 0);
}

/* (transfer full) (nullable): the disk process that runs, heard from now on */
static VmfDiskClient *
listen_to(Watch *watch)
{
    g_mutex_lock(&watch->keeper->lock);
    gboolean alive = watch->client != NULL &&
                     !g_dbus_connection_is_closed(vmf_disk_client_connection(watch->client));
    VmfDiskClient *client = alive ? vmf_disk_client_ref(watch->client) : NULL;
    g_mutex_unlock(&watch->keeper->lock);
    if (client != NULL)
        return client;
    client = vmf_disk_client_connect(watch->keeper->context->run_dir, watch->uuid, NULL);
    if (client == NULL)
        return NULL;
    g_mutex_lock(&watch->keeper->lock);
    hear(watch, client);
    g_mutex_unlock(&watch->keeper->lock);
    return client;
}

/* ---- what is done, in a thread that may wait ---- */

/* @info: (out) (nullable): %NULL with DONE: there is no such VM */
static Step
ask_libvirt(Watch *watch, VmfVmInfo **info)
{
    g_autoptr(GError) error = NULL;
    *info = vmf_host_lookup(watch->keeper->context->host, watch->uuid, &error);
    if (*info)
        learn_name(watch, *info);
    else if (!g_error_matches(error, VMF_ERROR, VMF_ERROR_CONFIG))
        return say(watch, LATER, help_libvirt, "waiting for libvirt: ", error);
    return DONE;
}

static gboolean
is_active(const VmfVmInfo *info)
{
    return info != NULL && info->state != VMF_VM_OFF && info->state != VMF_VM_CRASHED;
}

/* No disk process. Its VM needs one, or it has gone with it. */
static Step
succeed(Watch *watch)
{
    g_autoptr(VmfVmInfo) info = NULL;
    g_autoptr(GError) error = NULL;
    if (is_set(watch, &watch->told_end) || is_set(watch, &watch->vm_ended))
        return FORGET;
    if (ask_libvirt(watch, &info) != DONE)
        return LATER;
    if (!is_active(info))
        return FORGET;
    if (g_get_monotonic_time() < watch->came_up_at + watch->launch_delay)
        return say(watch, LATER, help_log, "its disk process dies again and again", NULL);
    g_message("the disk process of '%s' has died: another one takes up its disks", info->name);
    g_mutex_lock(&watch->keeper->lock);
    watch->io_error = TRUE;
    guint ends = watch->ends;
    g_mutex_unlock(&watch->keeper->lock);
    g_autoptr(VmfDiskClient)
        client = vmf_vm_disks_find(watch->keeper->context, watch->uuid, info->name, NULL, &error);
    if (client == NULL)
        return say(watch, LATER, help_server,
                   "its disk process has died, and another one cannot come up: ", error);
    watch->came_up_at = g_get_monotonic_time();
    watch->launch_delay = CLAMP(watch->launch_delay * 2, LAUNCH_FIRST_US, LAUNCH_LAST_US);
    watch->resume_delay = 0;
    /* The hook of a VM that has ended meanwhile found no disk process to end. */
    g_mutex_lock(&watch->keeper->lock);
    watch->vm_ended = watch->ends != ends;
    g_mutex_unlock(&watch->keeper->lock);
    return LATER; /* look at it at once */
}

static void
note_ended(Watch *watch, const char *why)
{
    g_autofree gchar *told = g_strconcat("was ended on this host: ", why, NULL);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&watch->keeper->lock);
    VmfDiskCare *care = care_new(watch, told, help_fenced, g_get_real_time());
    g_hash_table_replace(watch->keeper->ended, care->uuid, care);
}

/* Self-fence. libvirt is told nothing: it would ask the guest, or wait for its disks. */
static Step
end_foreign(Watch *watch, VmfDiskClient *client, const VmfDiskState *state)
{
    g_autoptr(GError) error = NULL;
    ask_name(watch);
    g_autoptr(VmfQemuProcess) qemu = vmf_qemu_process_find(NULL, watch->name, watch->uuid, &error);
    if (qemu == NULL && !g_error_matches(error, VMF_ERROR, VMF_ERROR_CONFIG))
        return say(watch, LATER, help_fenced, "its VM has to end: ", error);
    g_clear_error(&error);
    if (qemu) {
        g_warning("'%s' belongs to another host: its QEMU process here (%" G_GINT64_FORMAT
                  ") is killed: %s",
                  watch->name, vmf_qemu_process_pid(qemu), state->trouble);
        if (!vmf_qemu_process_kill(qemu, KILL_MS, &error))
            return say(watch, LATER, help_fenced, "its VM has to end: ", error);
        note_ended(watch, state->trouble);
    }
    if (!vmf_disk_client_release(client, NULL, NULL, &error) ||
        !vmf_disk_client_quit(client, &error))
        return say(watch, LATER, help_fenced, "its disk process has to end: ", error);
    return LATER; /* until it is gone */
}

/* The gate is open. */
static Step
let_guest_go_on(Watch *watch)
{
    g_autoptr(VmfVmInfo) info = NULL;
    g_autoptr(GError) error = NULL;
    set(watch, &watch->io_error, FALSE); /* an event that comes from now on sets it again */
    Step asked = ask_libvirt(watch, &info);
    gboolean paused = info != NULL && info->state == VMF_VM_PAUSED_IOERROR;
    if (asked == LATER || paused)
        set(watch, &watch->io_error, TRUE);
    if (asked == LATER)
        return LATER;
    if (!paused)
        return say(watch, DONE, NULL, NULL, NULL);
    gint64 now = g_get_monotonic_time();
    if (now < watch->resumed_at + watch->resume_delay)
        return LATER;
    gint64 longest = now < watch->came_up_at + SOON_US ? RESUME_SOON_US : RESUME_LAST_US;
    watch->resume_delay = CLAMP(watch->resume_delay * 2, RESUME_FIRST_US, longest);
    watch->resumed_at = now;
    if (!vmf_host_resume(watch->keeper->context->host, watch->uuid, &error))
        return say(watch, LATER, NULL,
                   "was paused by an I/O error; its disks are back, but: ", error);
    if (watch->resume_delay == RESUME_FIRST_US)
        g_message("'%s' was paused by an I/O error, and goes on: its disks are back", info->name);
    return LATER; /* QEMU makes its requests again: see that they are answered */
}

/* The hook could not: the file server did not answer. */
static Step
end_after_vm(Watch *watch)
{
    g_autoptr(GError) error = NULL;
    if (vmf_vm_disks_stop(watch->keeper->context, watch->uuid, &error))
        return LATER;
    return say(watch, LATER, help_server, "has ended, but its disks are not released: ", error);
}

static Step
care(Watch *watch)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDiskClient) client = listen_to(watch);
    if (client == NULL)
        return succeed(watch);
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(client, &error);
    if (state == NULL)
        return say(watch, LATER, NULL, "its disk process does not answer: ", error);
    if (state->foreign)
        return end_foreign(watch, client, state);
    if (is_set(watch, &watch->vm_ended))
        return end_after_vm(watch);
    if (state->gate == VMF_GATE_OPEN)
        watch->launch_delay = 0;
    if (state->gate == VMF_GATE_OPEN && is_set(watch, &watch->io_error))
        return let_guest_go_on(watch);
    if (state->trouble[0])
        return say(watch, DONE, help_server, state->trouble, NULL); /* GateChanged follows */
    return say(watch, DONE, NULL, NULL, NULL);
}

static void
watch_free(gpointer data)
{
    Watch *watch = data;
    stop_hearing(watch);
    g_free(watch->uuid);
    g_free(watch->name);
    g_free(watch->trouble);
    g_free(watch);
}

/* Returns: whether there is more to do; else @watch is not this thread's any more */
static gboolean
go_on(Watch *watch, Step step, guint *wait_ms)
{
    VmfDiskKeeper *keeper = watch->keeper;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&keeper->lock);
    gint64 until = g_get_monotonic_time() + (gint64)*wait_ms * 1000;
    while (step == LATER && !watch->again &&
           g_cond_wait_until(&keeper->changed, &keeper->lock, until))
        continue;
    gboolean again = watch->again;
    watch->again = FALSE;
    *wait_ms = again || step != LATER ? RETRY_FIRST_MS : MIN(*wait_ms * 2, RETRY_LAST_MS);
    if (step == FORGET && !again) {
        g_hash_table_remove(keeper->watches, watch->uuid);
        return FALSE;
    }
    watch->working = again || step == LATER;
    return watch->working;
}

static gpointer
work(gpointer data)
{
    Watch *watch = data;
    guint wait_ms = RETRY_FIRST_MS;
    Step step = care(watch);
    while (go_on(watch, step, &wait_ms))
        step = care(watch);
    return NULL;
}

/* The lock is held. */
static void
kick(Watch *watch)
{
    watch->again = watch->working;
    if (watch->working) {
        g_cond_broadcast(&watch->keeper->changed);
        return;
    }
    watch->working = TRUE;
    g_thread_unref(g_thread_new("vmf-disks", work, watch));
}

/* ---- who is watched ---- */

/* A disk's error has paused a guest; or libvirtd has come back, and nobody knows what has been. */
static void
on_event(const char *uuid, VmfVmEvent event, gint64 when, gpointer data)
{
    VmfDiskKeeper *keeper = data;
    if (event != VMF_EVENT_IO_ERROR && event != VMF_EVENT_LIBVIRT_RETURNED)
        return;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&keeper->lock);
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, keeper->watches);
    while (g_hash_table_iter_next(&iter, &key, &value))
        if (uuid == NULL || g_ascii_strcasecmp(uuid, key) == 0) {
            ((Watch *)value)->io_error = TRUE;
            kick(value);
        }
}

VmfDiskKeeper *
vmf_disk_keeper_new(const VmfContext *context)
{
    VmfDiskKeeper *keeper = g_new0(VmfDiskKeeper, 1);
    keeper->context = context;
    g_mutex_init(&keeper->lock);
    g_cond_init(&keeper->changed);
    keeper->ended = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
                                          (GDestroyNotify)vmf_disk_care_free);
    keeper->watches = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, watch_free);
    vmf_host_subscribe(context->host, NULL, on_event, keeper, NULL);
    return keeper;
}

static void
watch_and_kick(VmfDiskKeeper *keeper, const char *uuid, gboolean vm_ended)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&keeper->lock);
    g_autofree gchar *key = g_ascii_strdown(uuid, -1);
    Watch *watch = find(keeper, key);
    if (watch == NULL) {
        watch = g_new0(Watch, 1);
        watch->keeper = keeper;
        watch->uuid = g_steal_pointer(&key);
        watch->name = g_strdup(watch->uuid);
        g_hash_table_insert(keeper->watches, watch->uuid, watch);
    }
    gboolean known = vm_ended && watch->vm_ended;
    watch->vm_ended = vm_ended;
    watch->ends += vm_ended;
    if (known)
        return; /* it may be its own thread that tells */
    if (!vm_ended)
        g_hash_table_remove(keeper->ended, watch->uuid);
    kick(watch);
}

void
vmf_disk_keeper_watch(gpointer keeper, const char *uuid)
{
    watch_and_kick(keeper, uuid, FALSE);
}

void
vmf_disk_keeper_adopt(VmfDiskKeeper *keeper, const char *uuid)
{
    watch_and_kick(keeper, uuid, FALSE);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&keeper->lock);
    Watch *watch = find(keeper, uuid);
    if (watch == NULL)
        return;
    watch->io_error = TRUE;
    kick(watch);
}

void
vmf_disk_keeper_end(gpointer keeper, const char *uuid)
{
    watch_and_kick(keeper, uuid, TRUE);
}
