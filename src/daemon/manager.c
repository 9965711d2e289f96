/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/daemon/manager.h"

#include "src/base/error.h"
#include "src/daemon/doctor.h"
#include "src/daemon/vm-admin.h"
#include "src/daemon/vmf-dbus.h"
#include "src/migrate/check.h"
#include "src/migrate/peer-link.h"
#include "src/migrate/take-over.h"
#include "src/migrate/waiting.h"

#define JOBS_AT_MOST 1000

static gboolean
refuse(GDBusMethodInvocation *call, const GError *error)
{
    g_dbus_method_invocation_return_gerror(call, error);
    return TRUE;
}

static gboolean
on_list_vms(VmfDbusManager *object, GDBusMethodInvocation *call, VmfDaemon *daemon)
{
    g_autoptr(GError) error = NULL;
    GVariant *vms = vmf_vm_admin_list(daemon, &error);
    if (vms == NULL)
        return refuse(call, error);
    vmf_dbus_manager_complete_list_vms(object, call, vms);
    return TRUE;
}

static gboolean
on_hosts(VmfDbusManager *object, GDBusMethodInvocation *call, VmfDaemon *daemon)
{
    g_autoptr(GError) error = NULL;
    GVariant *hosts = vmf_doctor_hosts(daemon, &error);
    if (hosts == NULL)
        return refuse(call, error);
    vmf_dbus_manager_complete_hosts(object, call, hosts);
    return TRUE;
}

static gboolean
on_doctor(VmfDbusManager *object, GDBusMethodInvocation *call, VmfDaemon *daemon)
{
    vmf_dbus_manager_complete_doctor(object, call, vmf_doctor_examine(daemon));
    return TRUE;
}

static gboolean
on_define(VmfDbusManager *object, GDBusMethodInvocation *call, const char *definition,
          VmfDaemon *daemon)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) notes = NULL;
    g_autofree gchar *name = vmf_vm_admin_define(daemon, definition, &notes, &error);
    if (name == NULL)
        return refuse(call, error);
    vmf_dbus_manager_complete_define(object, call, name, (const char *const *)notes);
    return TRUE;
}

static gboolean
on_attach(VmfDbusManager *object, GDBusMethodInvocation *call, const char *vm, const char *target,
          const char *url, const char *format, VmfDaemon *daemon)
{
    g_autoptr(GError) error = NULL;
    if (!vmf_vm_admin_attach(daemon, vm, target, url, format, &error))
        return refuse(call, error);
    vmf_dbus_manager_complete_attach(object, call);
    return TRUE;
}

/* Not beside a move of the VM: the files are in no host's hands for an instant, and must not be in ours. */
static gboolean
on_check(VmfDbusManager *object, GDBusMethodInvocation *call, const char *vm,
         const char *const *hosts, GVariant *options, VmfDaemon *daemon)
{
    gboolean wanted = FALSE;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) facts = NULL;
    g_variant_lookup(options, "facts", "b", &wanted);
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(daemon->context.host, vm, &error);
    if (info == NULL || !vmf_job_table_rests(daemon->jobs, info->uuid, info->name, &error))
        return refuse(call, error);
    g_autoptr(VmfReportSet)
        reports = vmf_check_all(&daemon->context, info, hosts, wanted ? &facts : NULL, &error);
    if (reports == NULL)
        return refuse(call, error);
    GVariantDict answer;
    g_variant_dict_init(&answer, NULL);
    g_variant_dict_insert_value(&answer, "report", vmf_report_set_to_variant(reports));
    if (facts)
        g_variant_dict_insert_value(&answer, "facts", facts);
    vmf_dbus_manager_complete_check(object, call, g_variant_dict_end(&answer));
    return TRUE;
}

static gboolean
on_migrate(VmfDbusManager *object, GDBusMethodInvocation *call, const char *vm, const char *to,
           GVariant *options, VmfDaemon *daemon)
{
    const VmfLocalPolicy *policy = daemon->context.policy;
    VmfMigrateOptions wanted = {policy->max_downtime_ms, policy->bandwidth_mib, NULL};
    g_autoptr(GVariant) plan = g_variant_lookup_value(options, "plan", G_VARIANT_TYPE_VARDICT);
    wanted.plan = plan;
    g_variant_lookup(options, "max-downtime-ms", "u", &wanted.max_downtime_ms);
    g_variant_lookup(options, "bandwidth-mib", "t", &wanted.bandwidth_mib);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(daemon->context.host, vm, &error);
    if (info == NULL)
        return refuse(call, error);
    if (wanted.max_downtime_ms == 0 || wanted.max_downtime_ms > 60000) {
        g_set_error(&error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "a largest downtime of %u ms is not from 1 to 60000", wanted.max_downtime_ms);
        return refuse(call, error);
    }
    g_autoptr(VmfComputer) peer = vmf_peer_find(&daemon->context, to, &error);
    if (peer == NULL) {
        g_prefix_error(&error, "'%s' cannot move to '%s': ", info->name, to);
        return refuse(call, error);
    }
    g_autofree gchar *path = vmf_job_table_start(daemon->jobs, info->uuid, info->name, peer->fqdn,
                                                 &wanted, &error);
    if (path == NULL)
        return refuse(call, error);
    vmf_dbus_manager_complete_migrate(object, call, path);
    return TRUE;
}

/* Of a move that comes to this host, or that a vmferryd before this one began: it has no job. */
static void
add_waiting(const VmfJournalEntry *entry, GVariantDict *out)
{
    g_autoptr(GPtrArray) waiting = vmf_waiting_list();
    for (guint i = 0; i < waiting->len; i++) {
        const VmfWaiting *one = waiting->pdata[i];
        if (g_ascii_strcasecmp(one->uuid, entry->vm_uuid) == 0)
            g_variant_dict_insert(out, "waiting-for", "s", one->what);
    }
}

/* What only a move under way has. */
static void
add_live_facts(VmfDaemon *daemon, const VmfJournalEntry *entry, GVariantDict *out)
{
    g_autoptr(VmfJob) job = vmf_job_table_find(daemon->jobs, entry->job);
    if (job == NULL) {
        if (!vmf_state_is_final(entry->state))
            add_waiting(entry, out);
        return;
    }
    g_auto(VmfJobView) view = {0};
    vmf_job_look(job, &view);
    if (view.outcome != VMF_OUTCOME_NONE)
        return;
    g_variant_dict_insert(out, "stage", "s", vmf_stage_name(view.stage));
    g_variant_dict_insert(out, "waiting-for", "s", view.waiting_for ? view.waiting_for : "");
}

static GVariant *
entry_to_variant(VmfDaemon *daemon, const VmfJournalEntry *entry)
{
    GVariantDict out;
    g_variant_dict_init(&out, NULL);
    g_variant_dict_insert(&out, "id", "u", (guint)entry->job);
    g_variant_dict_insert(&out, "vm", "s", entry->vm_name);
    g_variant_dict_insert(&out, "role", "s",
                          entry->role == VMF_ROLE_SOURCE ? "source" : "destination");
    g_variant_dict_insert(&out, "peer", "s", entry->peer);
    g_variant_dict_insert(&out, "state", "s", vmf_state_name(entry->state));
    g_variant_dict_insert(&out, "started", "x", entry->started_us);
    g_variant_dict_insert(&out, "updated", "x", entry->updated_us);
    g_variant_dict_insert(&out, "report", "s", entry->report ? entry->report : "");
    add_live_facts(daemon, entry, &out);
    return g_variant_dict_end(&out);
}

static gboolean
on_jobs(VmfDbusManager *object, GDBusMethodInvocation *call, guint limit, VmfDaemon *daemon)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) entries = vmf_journal_list(daemon->context.journal,
                                                    MIN(limit, JOBS_AT_MOST), FALSE, &error);
    if (entries == NULL)
        return refuse(call, error);
    GVariantBuilder list;
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < entries->len; i++)
        g_variant_builder_add_value(&list, entry_to_variant(daemon, entries->pdata[i]));
    vmf_dbus_manager_complete_jobs(object, call, g_variant_builder_end(&list));
    return TRUE;
}

static gboolean
on_cancel(VmfDbusManager *object, GDBusMethodInvocation *call, guint id, VmfDaemon *daemon)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfJob) job = vmf_job_table_find(daemon->jobs, id);
    if (job == NULL)
        g_set_error(&error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "no move with number %u is under way from this host; see: vmferry jobs", id);
    if (job == NULL || !vmf_job_cancel(job, &error))
        return refuse(call, error);
    vmf_dbus_manager_complete_cancel(object, call);
    return TRUE;
}

typedef struct {
    VmfDbusManager *object;
    const char *vm;
} Recovery;

static void
tell_recovery(const char *text, gpointer data)
{
    Recovery *recovery = data;
    vmf_dbus_manager_emit_recovering(recovery->object, recovery->vm, text);
}

/* One at a time: two of the same VM would wait for each other's handles. */
static gboolean
on_recover(VmfDbusManager *object, GDBusMethodInvocation *call, const char *vm, VmfDaemon *daemon)
{
    static GMutex one;
    Recovery recovery = {object, vm};
    g_autoptr(GError) error = NULL;
    if (!g_mutex_trylock(&one)) {
        g_set_error(&error, VMF_ERROR, VMF_ERROR_BUSY,
                    "another recovery is under way on this host; try again when it has ended");
        return refuse(call, error);
    }
    g_autofree gchar *done = vmf_take_over(&daemon->context, vm, tell_recovery, &recovery, &error);
    g_mutex_unlock(&one);
    if (done == NULL)
        return refuse(call, error);
    vmf_dbus_manager_complete_recover(object, call, done);
    return TRUE;
}

static gboolean
on_hook(VmfDbusManager *object, GDBusMethodInvocation *call, const char *operation,
        const char *phase, const char *definition, VmfDaemon *daemon)
{
    g_autoptr(GError) error = NULL;
    if (!vmf_vm_admin_hook(daemon, operation, phase, definition, &error))
        return refuse(call, error);
    vmf_dbus_manager_complete_hook(object, call);
    return TRUE;
}

gboolean
vmf_manager_export(VmfDaemon *daemon, GError **error)
{
    static const struct {
        const char *signal;
        GCallback handler;
    } verbs[] = {
        {"handle-list-vms", G_CALLBACK(on_list_vms)}, {"handle-hosts", G_CALLBACK(on_hosts)},
        {"handle-doctor", G_CALLBACK(on_doctor)},     {"handle-define", G_CALLBACK(on_define)},
        {"handle-attach", G_CALLBACK(on_attach)},     {"handle-check", G_CALLBACK(on_check)},
        {"handle-migrate", G_CALLBACK(on_migrate)},   {"handle-jobs", G_CALLBACK(on_jobs)},
        {"handle-cancel", G_CALLBACK(on_cancel)},     {"handle-hook", G_CALLBACK(on_hook)},
        {"handle-recover", G_CALLBACK(on_recover)},
    };
    VmfDbusManager *object = vmf_dbus_manager_skeleton_new(); /* lives as long as the daemon */
    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++)
        g_signal_connect(object, verbs[i].signal, verbs[i].handler, daemon);
    vmf_authority_guard(daemon->authority, G_DBUS_INTERFACE_SKELETON(object));
    vmf_dbus_manager_set_version(object, VMF_VERSION);
    g_dbus_interface_skeleton_set_flags(
        G_DBUS_INTERFACE_SKELETON(object),
        G_DBUS_INTERFACE_SKELETON_FLAGS_HANDLE_METHOD_INVOCATIONS_IN_THREAD);
    return g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(object), daemon->bus,
                                            "/org/vmferry1", error);
}
