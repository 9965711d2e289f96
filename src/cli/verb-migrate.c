/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/cli/cli.h"
#include "src/cli/plan.h"

static const char *const stages[] = {"setup", "memory", "state", "storage", "resume", "network"};

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

/* A move that was refused before it became a job is reported in the same form. */
static int
report_refusal(GError *error, const char *vm, const char *to, gboolean json)
{
    if (!json)
        return vmf_cli_fail(error);
    vmf_error_from_dbus(&error, "vmferryd");
    g_autoptr(JsonBuilder) out = json_builder_new();
    json_builder_begin_object(out);
    const char *const texts[][2] = {
        {"schema", "vmferry.migrate/1"}, {"vm", vm}, {"from", g_get_host_name()}, {"to", to}};
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        json_builder_set_member_name(out, texts[i][0]);
        json_builder_add_string_value(out, texts[i][1]);
    }
    json_builder_set_member_name(out, "outcome");
    json_builder_add_string_value(out, "continues-on-source");
    json_builder_set_member_name(out, "stages");
    json_builder_begin_array(out);
    json_builder_end_array(out);
    static const char *const nulls[] = {"downtime_ms", "handover_ms", "total_ms", "memory_bytes",
                                        "epoch"};
    for (gsize i = 0; i < G_N_ELEMENTS(nulls); i++) {
        json_builder_set_member_name(out, nulls[i]);
        json_builder_add_null_value(out);
    }
    json_builder_set_member_name(out, "error");
    json_builder_begin_object(out);
    json_builder_set_member_name(out, "code");
    json_builder_add_string_value(out, vmf_error_code_name(error));
    json_builder_set_member_name(out, "message");
    json_builder_add_string_value(out, error->message);
    json_builder_end_object(out);
    json_builder_end_object(out);
    g_autoptr(JsonNode) root = json_builder_get_root(out);
    g_autofree gchar *text = json_to_string(root, FALSE);
    g_print("%s\n", text);
    g_error_free(error);
    return VMF_EXIT_FAILED;
}

static int
finish(VmfDbusJob *job, gboolean json)
{
    const char *report = vmf_dbus_job_get_report(job);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) root = report ? json_from_string(report, &error) : NULL;
    if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root)) {
        g_printerr(
            "vmferry: vmferryd ended before the move did; when it runs again: vmferry job %u\n",
            vmf_dbus_job_get_id(job));
        return VMF_EXIT_UNKNOWN;
    }
    JsonObject *object = json_node_get_object(root);
    int status = vmf_cli_report_status(object);
    g_autofree gchar *line = vmf_cli_report_line(object);
    if (json)
        g_print("%s\n", report);
    else if (status == VMF_EXIT_DONE)
        g_print("%s\n", line);
    else
        g_printerr("vmferry: %s\n", line);
    return status;
}

static int
watch_job(const char *path, gboolean json)
{
    GError *error = NULL;
    g_autoptr(VmfDbusJob) job = vmf_dbus_job_proxy_new_for_bus_sync(
        G_BUS_TYPE_SYSTEM, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START, "org.vmferry1", path, NULL,
        &error);
    if (job == NULL)
        return vmf_cli_fail(error);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Watch watch = {loop, job, json, isatty(STDERR_FILENO) != 0};
    g_signal_connect_swapped(job, "g-properties-changed", G_CALLBACK(on_changed), &watch);
    g_signal_connect_swapped(job, "notify::g-name-owner", G_CALLBACK(on_owner_changed), &watch);
    on_changed(&watch);
    const char *outcome = vmf_dbus_job_get_outcome(job);
    if (outcome == NULL || outcome[0] == '\0')
        g_main_loop_run(loop);
    clear_line(&watch);
    return finish(job, json);
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
    if (to == NULL || downtime < 0 || bandwidth < -1) {
        g_printerr(to == NULL
                       ? "vmferry migrate: --to HOST is missing; vmferry hosts lists them\n"
                       : "vmferry migrate: --max-downtime and --bandwidth are not negative\n");
        return VMF_EXIT_USAGE;
    }
    GError *error = NULL;
    g_autofree gchar *plan_vm = NULL, *plan_to = NULL; /* vmferryd compares them */
    g_autoptr(GVariant) facts = plan ? vmf_cli_plan_read(plan, &plan_vm, &plan_to, &error) : NULL;
    if (error)
        return report_refusal(error, argv[1], to, json);
    g_autoptr(VmfDbusManager) manager = vmf_cli_manager_to_act();
    if (manager == NULL)
        return VMF_EXIT_UNKNOWN;
    GVariantDict wanted;
    g_variant_dict_init(&wanted, NULL);
    if (facts)
        g_variant_dict_insert_value(&wanted, "plan", facts);
    if (downtime)
        g_variant_dict_insert(&wanted, "max-downtime-ms", "u", (guint)downtime);
    if (bandwidth >= 0)
        g_variant_dict_insert(&wanted, "bandwidth-mib", "t", (guint64)bandwidth);
    g_autofree gchar *path = NULL;
    if (!vmf_dbus_manager_call_migrate_sync(manager, argv[1], to, g_variant_dict_end(&wanted),
                                            &path, NULL, &error))
        return report_refusal(error, argv[1], to, json);
    if (!detach)
        return watch_job(path, json);
    g_print("%s\n", strrchr(path, '/') + 1);
    return VMF_EXIT_DONE;
}
