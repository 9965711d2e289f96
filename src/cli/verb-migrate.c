/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/cli/agent.h"
#include "src/cli/cli.h"
#include "src/cli/plan.h"

#define STAYS "continues-on-source"

static const char *const stages[] = {"setup", "memory", "state", "storage", "resume", "network"};

typedef struct {
    const char *vm, *to;
    gboolean json, detach;
} Wanted;

typedef struct {
    GMainLoop *loop;
    VmfDbusJob *job;
    gboolean json, terminal, line_open;
    gsize printed; /* how many of the stages */
} Watch;

static void
clear_line(Watch *watch)
{
    if (watch->line_open)
        g_printerr("\r\033[K");
    watch->line_open = FALSE;
}

static gchar *
progress_text(VmfDbusJob *job)
{
    guint64 total = vmf_dbus_job_get_memory_total(job);
    guint64 left = vmf_dbus_job_get_memory_remaining(job);
    guint64 rate = vmf_dbus_job_get_rate(job), dirty = vmf_dbus_job_get_dirty_rate(job);
    const char *stage = vmf_dbus_job_get_stage(job);
    if (strcmp(stage, "memory") != 0 || total == 0)
        return g_strdup(stage);
    g_autoptr(GString) line = g_string_new(stage);
    g_string_append_printf(line, "  %3.0f %%",
                           100.0 - 100.0 * (double)MIN(left, total) / (double)total);
    g_string_append_printf(line, "  %.0f MiB/s", (double)rate / (1 << 20));
    if (dirty)
        g_string_append_printf(line, ", dirtied %.0f MiB/s", (double)dirty / (1 << 20));
    if (rate > dirty)
        g_string_append_printf(line, ", %.0f s left", (double)left / (double)(rate - dirty));
    return g_string_free(g_steal_pointer(&line), FALSE);
}

/* One line each, also for those too short to be seen. */
static void
print_stages(Watch *watch, const char *stage)
{
    gsize reached = watch->printed;
    while (reached < G_N_ELEMENTS(stages) && strcmp(stages[reached], stage) != 0)
        reached++;
    for (; reached < G_N_ELEMENTS(stages) && watch->printed <= reached; watch->printed++)
        g_printerr("%s\n", stages[watch->printed]);
}

static void
on_changed(Watch *watch)
{
    const char *stage = vmf_dbus_job_get_stage(watch->job);
    const char *waits = vmf_dbus_job_get_waiting_for(watch->job);
    const char *outcome = vmf_dbus_job_get_outcome(watch->job);
    gboolean over = outcome && outcome[0];
    if (over) {
        clear_line(watch);
        g_main_loop_quit(watch->loop);
    }
    if (watch->json || stage == NULL)
        return;
    if (!watch->terminal) {
        print_stages(watch, stage); /* the last ones may come with the outcome */
    } else if (!over) {
        g_autofree gchar *text = waits && waits[0]
                                     ? g_strdup_printf("%s  waiting: %s", stage, waits)
                                     : progress_text(watch->job);
        g_printerr("\r\033[K%s  %s", vmf_dbus_job_get_vm(watch->job), text);
        watch->line_open = TRUE;
    }
}

static void
on_owner_changed(Watch *watch)
{
    g_autofree gchar *owner = g_dbus_proxy_get_name_owner(G_DBUS_PROXY(watch->job));
    if (owner == NULL)
        g_main_loop_quit(watch->loop);
}

/*
 * A move without a report: it was refused, or nobody is there who knows. With --json the end is
 * one object all the same.
 */
static int
end_without_report(const Wanted *wanted, GError *error, const char *outcome)
{
    int status = outcome ? VMF_EXIT_FAILED : VMF_EXIT_UNKNOWN;
    if (!wanted->json) {
        vmf_cli_fail(error);
        return status;
    }
    vmf_cli_error_from_dbus(&error);
    g_autofree gchar *from = vmf_cli_own_fqdn();
    g_autofree gchar *text = vmf_cli_report_empty(wanted->vm, from, wanted->to, outcome, error);
    g_print("%s\n", text);
    g_error_free(error);
    return status;
}

/* vmferryd said no: the VM stays. It said nothing: nobody knows whether it had begun. */
static int
report_refusal(const Wanted *wanted, GError *error)
{
    gboolean said_by_vmferryd = error->domain == VMF_ERROR;
    vmf_cli_error_from_dbus(&error);
    if (said_by_vmferryd || !g_error_matches(error, VMF_ERROR, VMF_ERROR_UNREACHABLE))
        return end_without_report(wanted, error, STAYS);
    g_prefix_error(&error, "whether the move of '%s' has begun is not known (vmferry jobs tells): ",
                   wanted->vm);
    return end_without_report(wanted, error, NULL);
}

static int
finish(const Wanted *wanted, VmfDbusJob *job, const char *number)
{
    const char *report = vmf_dbus_job_get_report(job);
    g_autoptr(JsonNode) root = report ? json_from_string(report, NULL) : NULL;
    if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root))
        return end_without_report(
            wanted,
            g_error_new(VMF_ERROR, VMF_ERROR_UNREACHABLE,
                        "vmferryd ended before the move of '%s' did, which it settles when it runs "
                        "again: systemctl start vmferryd, then: vmferry job %s",
                        wanted->vm, number),
            NULL);
    JsonObject *object = json_node_get_object(root);
    int status = vmf_cli_report_status(object);
    g_autofree gchar *line = vmf_cli_report_line(object);
    if (wanted->json)
        g_print("%s\n", report);
    else if (status == VMF_EXIT_DONE)
        g_print("%s\n", line);
    else
        g_printerr("vmferry: %s\n", line);
    return status;
}

static int
watch_job(const Wanted *wanted, const char *path)
{
    GError *error = NULL;
    g_autoptr(VmfDbusJob) job = vmf_dbus_job_proxy_new_for_bus_sync(
        G_BUS_TYPE_SYSTEM, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START, "org.vmferry1", path, NULL,
        &error);
    if (job == NULL)
        return end_without_report(wanted, error, NULL);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Watch watch = {loop, job, wanted->json, isatty(STDERR_FILENO) != 0};
    g_signal_connect_swapped(job, "g-properties-changed", G_CALLBACK(on_changed), &watch);
    g_signal_connect_swapped(job, "notify::g-name-owner", G_CALLBACK(on_owner_changed), &watch);
    on_changed(&watch);
    const char *outcome = vmf_dbus_job_get_outcome(job);
    g_autofree gchar *owner = g_dbus_proxy_get_name_owner(G_DBUS_PROXY(job));
    if (owner && (outcome == NULL || outcome[0] == '\0'))
        g_main_loop_run(loop);
    clear_line(&watch);
    return finish(wanted, job, strrchr(path, '/') + 1);
}

static int
start_and_watch(const Wanted *wanted, GVariant *options)
{
    g_autoptr(GVariant) given = g_variant_ref_sink(options);
    GError *error = NULL;
    g_autoptr(VmfDbusManager) manager = vmf_cli_find_manager(&error);
    if (manager == NULL)
        return end_without_report(wanted, error, NULL);
    vmf_cli_agent_start();
    g_autofree gchar *path = NULL;
    if (!vmf_dbus_manager_call_migrate_sync(manager, wanted->vm, wanted->to, given, &path, NULL,
                                            &error))
        return report_refusal(wanted, error);
    if (!wanted->detach)
        return watch_job(wanted, path);
    g_print("%s\n", strrchr(path, '/') + 1);
    return VMF_EXIT_DONE;
}

int
vmf_verb_migrate(int argc, char **argv)
{
    g_autofree gchar *to = NULL;
    g_autofree gchar *plan = NULL;
    gint downtime = 0, bandwidth = -1;
    gboolean json = FALSE, detach = FALSE;
    const GOptionEntry options[] = {
        {"to", 0, 0, G_OPTION_ARG_STRING, &to, "Destination: a host of the allowed group", "HOST"},
        {"plan", 0, 0, G_OPTION_ARG_FILENAME, &plan,
         "Refuse when a fact has changed since: vmferry check --save PLAN", "PLAN"},
        {"max-downtime", 0, 0, G_OPTION_ARG_INT, &downtime, "How long the guest may pause at first",
         "MS"},
        {"bandwidth", 0, 0, G_OPTION_ARG_INT, &bandwidth, "Limit for memory, 0: none", "MIB"},
        {"detach", 0, 0, G_OPTION_ARG_NONE, &detach, "Start it and print the job's number", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "End with one vmferry.migrate/1 object", NULL},
        {NULL},
    };
    if (!vmf_cli_parse(&argc, &argv, options, "VM --to HOST - move a running VM", 1))
        return VMF_EXIT_USAGE;
    const char *wrong = to == NULL ? "--to HOST is missing; vmferry hosts lists them"
                        : downtime < 0 || bandwidth < -1
                            ? "--max-downtime and --bandwidth are not negative"
                        : detach && json ? "--detach and --json exclude each other; later: "
                                           "vmferry job ID --json"
                                         : NULL;
    if (wrong) {
        g_printerr("vmferry migrate: %s\n", wrong);
        return VMF_EXIT_USAGE;
    }
    const Wanted wanted = {argv[1], to, json, detach};
    GError *error = NULL;
    g_autofree gchar *plan_vm = NULL, *plan_to = NULL; /* vmferryd compares them */
    g_autoptr(GVariant) facts = plan ? vmf_cli_plan_read(plan, &plan_vm, &plan_to, &error) : NULL;
    if (error)
        return end_without_report(&wanted, error, STAYS);
    GVariantDict given;
    g_variant_dict_init(&given, NULL);
    if (facts)
        g_variant_dict_insert_value(&given, "plan", facts);
    if (downtime)
        g_variant_dict_insert(&given, "max-downtime-ms", "u", (guint)downtime);
    if (bandwidth >= 0)
        g_variant_dict_insert(&given, "bandwidth-mib", "t", (guint64)bandwidth);
    return start_and_watch(&wanted, g_variant_dict_end(&given));
}
