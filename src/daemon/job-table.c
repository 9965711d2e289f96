/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/daemon/job-table.h"

#include <string.h>

#include "src/base/error.h"
#include "src/daemon/vmf-dbus.h"

#define KEEP_FINISHED_S 600
#define TELL_DELAY_MS   20

struct _VmfJobTable {
    const VmfContext *context;
    GDBusConnection *bus;
    VmfAuthority *authority;
    GMutex lock;
    GPtrArray *moves; /* of Move */
};

typedef struct {
    VmfJobTable *table;
    VmfJob *job;
    VmfDbusJob *object;
    gchar *path;
    gint telling; /* atomic: what has changed will be told */
    VmfMigrateOptions options;
} Move;

VmfJobTable *
vmf_job_table_new(const VmfContext *context, GDBusConnection *bus, VmfAuthority *authority)
{
    VmfJobTable *table = g_new0(VmfJobTable, 1);
    table->context = context;
    table->bus = g_object_ref(bus);
    table->authority = authority;
    g_mutex_init(&table->lock);
    table->moves = g_ptr_array_new();
    return table;
}

static void
move_free(Move *move)
{
    g_dbus_interface_skeleton_unexport(G_DBUS_INTERFACE_SKELETON(move->object));
    g_object_unref(move->object);
    vmf_job_unref(move->job);
    g_clear_pointer(&move->options.plan, g_variant_unref);
    g_free(move->path);
    g_free(move);
}

static gboolean
on_cancel(VmfDbusJob *object, GDBusMethodInvocation *call, VmfJob *job)
{
    g_autoptr(GError) error = NULL;
    if (vmf_job_cancel(job, &error))
        vmf_dbus_job_complete_cancel(object, call);
    else
        g_dbus_method_invocation_return_gerror(call, error);
    return TRUE;
}

static void
unref_job(gpointer job, GClosure *closure)
{
    vmf_job_unref(job);
}

/* Properties first, the outcome last: who sees it sees the whole report. */
static void
publish(VmfJob *job, gpointer data)
{
    Move *move = data;
    g_auto(VmfJobView) view = {0};
    vmf_job_look(job, &view);
    VmfDbusJob *object = move->object;
    vmf_dbus_job_set_stage(object, vmf_stage_name(view.stage));
    vmf_dbus_job_set_memory_total(object, view.progress.memory_total);
    vmf_dbus_job_set_memory_processed(object, view.progress.memory_processed);
    vmf_dbus_job_set_memory_remaining(object, view.progress.memory_remaining);
    vmf_dbus_job_set_rate(object, view.progress.rate);
    vmf_dbus_job_set_dirty_rate(object, view.progress.dirty_rate);
    vmf_dbus_job_set_waiting_for(object, view.waiting_for ? view.waiting_for : "");
    if (view.outcome != VMF_OUTCOME_NONE) {
        g_autofree gchar *report = vmf_job_report(job);
        vmf_dbus_job_set_report(object, report);
        vmf_dbus_job_set_outcome(object, vmf_outcome_name(view.outcome));
    }
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(object));
}

static gboolean
is_under_way(const Move *move)
{
    g_auto(VmfJobView) view = {0};
    vmf_job_look(move->job, &view);
    return view.outcome == VMF_OUTCOME_NONE;
}

static gboolean
tell_now(gpointer data)
{
    Move *move = data;
    g_atomic_int_set(&move->telling, FALSE);
    publish(move->job, move);
    return G_SOURCE_REMOVE;
}

/*
 * The end is told at once. All else a little later, and together: two stages last a few
 * milliseconds, in which the guest is paused, and whoever draws progress would take the processor.
 */
static void
tell(VmfJob *job, gpointer data)
{
    Move *move = data;
    if (!is_under_way(move))
        publish(job, move);
    else if (g_atomic_int_compare_and_exchange(&move->telling, FALSE, TRUE))
        g_timeout_add(TELL_DELAY_MS, tell_now, move);
}

static gboolean
forget(gpointer data)
{
    Move *move = data;
    g_mutex_lock(&move->table->lock);
    g_ptr_array_remove(move->table->moves, move);
    g_mutex_unlock(&move->table->lock);
    move_free(move);
    return G_SOURCE_REMOVE;
}

static gpointer
run(gpointer data)
{
    Move *move = data;
    vmf_source_run(move->table->context, move->job, &move->options);
    g_timeout_add_seconds(KEEP_FINISHED_S, forget, move);
    return NULL;
}

/* The lock is held. @under_way: (out): moves of all VMs. Returns: (nullable): the move of this one */
static const Move *
move_of(VmfJobTable *table, const char *uuid, guint *under_way)
{
    const Move *found = NULL;
    *under_way = 0;
    for (guint i = 0; i < table->moves->len; i++) {
        const Move *move = table->moves->pdata[i];
        if (!is_under_way(move))
            continue;
        (*under_way)++;
        if (strcmp(vmf_job_facts(move->job)->vm_uuid, uuid) == 0)
            found = move;
    }
    return found;
}

static gboolean
refuse_moving(const Move *move, const char *name, GError **error)
{
    const VmfJobFacts *facts = vmf_job_facts(move->job);
    g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                "'%s' is being moved already: job %" G_GINT64_FORMAT
                " to %s; wait for it, or: vmferry cancel %" G_GINT64_FORMAT,
                name, facts->number, facts->to, facts->number);
    return FALSE;
}

/* The lock is held. */
static gboolean
slot_is_free(VmfJobTable *table, const char *uuid, const char *name, GError **error)
{
    guint under_way;
    const Move *other = move_of(table, uuid, &under_way);
    if (other)
        return refuse_moving(other, name, error);
    if (under_way < table->context->policy->parallel_jobs)
        return TRUE;
    g_set_error(
        error, VMF_ERROR, VMF_ERROR_BUSY,
        "this host moves %u VMs at a time ([migration] parallel-jobs of %s); try again later",
        table->context->policy->parallel_jobs, VMF_LOCAL_POLICY_FILE);
    return FALSE;
}

static Move *
move_new(VmfJobTable *table, const VmfJobFacts *facts, const VmfMigrateOptions *options,
         GError **error)
{
    Move *move = g_new0(Move, 1);
    move->table = table;
    move->job = vmf_job_new(facts);
    move->options = *options;
    if (move->options.plan)
        g_variant_ref(move->options.plan);
    move->path = g_strdup_printf("/org/vmferry1/job/%" G_GINT64_FORMAT, facts->number);
    move->object = vmf_dbus_job_skeleton_new();
    vmf_dbus_job_set_id(move->object, (guint)facts->number);
    vmf_dbus_job_set_vm(move->object, facts->vm_name);
    vmf_dbus_job_set_from(move->object, facts->from);
    vmf_dbus_job_set_to(move->object, facts->to);
    vmf_dbus_job_set_outcome(move->object, "");
    vmf_dbus_job_set_report(move->object, "");
    g_signal_connect_data(move->object, "handle-cancel", G_CALLBACK(on_cancel),
                          vmf_job_ref(move->job), unref_job, G_CONNECT_DEFAULT);
    vmf_authority_guard(table->authority, G_DBUS_INTERFACE_SKELETON(move->object));
    publish(move->job, move);
    vmf_job_watch(move->job, tell, move);
    if (g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(move->object), table->bus,
                                         move->path, error))
        return move;
    move_free(move);
    return NULL;
}

static gint64
note_in_journal(VmfJobTable *table, const VmfJobFacts *facts, GError **error)
{
    VmfJournalEntry entry = {
        .migration = facts->migration,
        .role = VMF_ROLE_SOURCE,
        .vm_uuid = facts->vm_uuid,
        .vm_name = facts->vm_name,
        .peer = facts->to,
    };
    return vmf_journal_begin(table->context->journal, &entry, error);
}

gchar *
vmf_job_table_start(VmfJobTable *table, const char *uuid, const char *name, const char *to,
                    const VmfMigrateOptions *options, GError **error)
{
    g_autofree gchar *migration = g_uuid_string_random();
    VmfJobFacts facts = {
        .migration = migration,
        .vm_uuid = (gchar *)uuid,
        .vm_name = (gchar *)name,
        .from = table->context->me->fqdn,
        .to = (gchar *)to,
        .role = VMF_ROLE_SOURCE,
    };
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&table->lock);
    if (!slot_is_free(table, uuid, name, error))
        return NULL;
    facts.number = note_in_journal(table, &facts, error);
    Move *move = facts.number ? move_new(table, &facts, options, error) : NULL;
    if (move == NULL)
        return NULL;
    g_ptr_array_add(table->moves, move);
    gchar *path = g_strdup(move->path);
    g_thread_unref(g_thread_new("vmf-move", run, move));
    return path;
}

VmfJob *
vmf_job_table_find(VmfJobTable *table, gint64 number)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&table->lock);
    for (guint i = 0; i < table->moves->len; i++) {
        const Move *move = table->moves->pdata[i];
        if (vmf_job_facts(move->job)->number == number)
            return vmf_job_ref(move->job);
    }
    return NULL;
}

gboolean
vmf_job_table_moves(VmfJobTable *table, const char *uuid)
{
    guint under_way;
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&table->lock);
    return move_of(table, uuid, &under_way) != NULL;
}

gboolean
vmf_job_table_rests(VmfJobTable *table, const char *uuid, const char *name, GError **error)
{
    guint under_way;
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&table->lock);
    const Move *move = move_of(table, uuid, &under_way);
    return move == NULL || refuse_moving(move, name, error);
}
