/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "src/cli/cli.h"

#define SHOWN_BY_DEFAULT 20
#define SEARCHED         1000

static gchar *
started(GVariant *job)
{
    gint64 us = 0;
    g_variant_lookup(job, "started", "x", &us);
    g_autoptr(GDateTime) when = g_date_time_new_from_unix_local(us / G_USEC_PER_SEC);
    return when ? g_date_time_format(when, "%F %T") : g_strdup("?");
}

static JsonNode *
report_of(GVariant *job)
{
    const char *report = vmf_cli_text(job, "report");
    return report[0] ? json_from_string(report, NULL) : NULL;
}

static const char *
state_or_stage(GVariant *job)
{
    return vmf_cli_text(job, "stage")[0] ? vmf_cli_text(job, "stage") : vmf_cli_text(job, "state");
}

static gchar *
summary(GVariant *job)
{
    if (vmf_cli_text(job, "waiting-for")[0])
        return g_strdup_printf("waiting: %s", vmf_cli_text(job, "waiting-for"));
    g_autoptr(JsonNode) report = report_of(job);
    return report && JSON_NODE_HOLDS_OBJECT(report)
               ? vmf_cli_report_line(json_node_get_object(report))
               : g_strdup("");
}

static GVariant *
fetch(guint limit, int *status)
{
    GVariant *jobs = NULL;
    GError *error = NULL;
    g_autoptr(VmfDbusManager) manager = vmf_cli_manager();
    *status = VMF_EXIT_UNKNOWN;
    if (manager && !vmf_dbus_manager_call_jobs_sync(manager, limit, &jobs, NULL, &error))
        *status = vmf_cli_fail(error);
    return jobs;
}

int
vmf_verb_jobs(int argc, char **argv)
{
    gboolean json = FALSE;
    gint limit = SHOWN_BY_DEFAULT;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "Print a vmferry.jobs/1 object", NULL},
        {"limit", 'n', 0, G_OPTION_ARG_INT, &limit, "How many; default 20", "N"},
        {NULL}};
    if (!vmf_cli_parse(&argc, &argv, options, "- the newest moves of this host", 0))
        return VMF_EXIT_USAGE;
    if (limit < 1) {
        g_printerr("vmferry jobs: --limit is a number from 1 on, not %d\n", limit);
        return VMF_EXIT_USAGE;
    }
    int status;
    g_autoptr(GVariant) jobs = fetch((guint)limit, &status);
    if (jobs == NULL)
        return status;
    if (json) {
        vmf_cli_json("vmferry.jobs/1", "jobs", jobs);
        return VMF_EXIT_DONE;
    }
    static const char *const head[] = {"ID", "STARTED", "VM", "ROLE", "PEER", "STATE", "", NULL};
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    for (gsize i = 0; i < g_variant_n_children(jobs); i++) {
        g_autoptr(GVariant) job = g_variant_get_child_value(jobs, i);
        g_autofree gchar *id = g_strdup_printf("%u", vmf_cli_number(job, "id"));
        g_autofree gchar *when = started(job), *line = summary(job);
        const char *const cells[] = {id,
                                     when,
                                     vmf_cli_text(job, "vm"),
                                     vmf_cli_text(job, "role"),
                                     vmf_cli_text(job, "peer"),
                                     state_or_stage(job),
                                     line,
                                     NULL};
        g_ptr_array_add(rows, g_strdupv((gchar **)cells));
    }
    vmf_cli_table(head, rows);
    return VMF_EXIT_DONE;
}

static void
print_stages(JsonObject *report)
{
    JsonArray *stages = json_object_get_array_member(report, "stages");
    for (guint i = 0; stages && i < json_array_get_length(stages); i++) {
        JsonObject *stage = json_array_get_object_element(stages, i);
        g_print("  %-8s %9.1f ms\n", json_object_get_string_member(stage, "name"),
                json_object_get_double_member(stage, "ms"));
    }
}

/* While it is under way its outcome is null, and nothing else is known for good. */
static int
print_job_json(GVariant *job)
{
    g_autofree gchar *me = vmf_cli_own_fqdn();
    const char *peer = vmf_cli_text(job, "peer");
    gboolean source = strcmp(vmf_cli_text(job, "role"), "source") == 0;
    g_autofree gchar *text = vmf_cli_text(job, "report")[0]
                                 ? g_strdup(vmf_cli_text(job, "report"))
                                 : vmf_cli_report_empty(vmf_cli_text(job, "vm"), source ? me : peer,
                                                        source ? peer : me, NULL, NULL);
    g_print("%s\n", text);
    return VMF_EXIT_DONE;
}

static int
print_job(GVariant *job)
{
    g_autofree gchar *when = started(job), *line = summary(job);
    g_print("job %u: %s, %s, with %s, begun %s, %s\n", vmf_cli_number(job, "id"),
            vmf_cli_text(job, "vm"), vmf_cli_text(job, "role"), vmf_cli_text(job, "peer"), when,
            state_or_stage(job));
    g_autoptr(JsonNode) report = report_of(job);
    if (report && JSON_NODE_HOLDS_OBJECT(report))
        print_stages(json_node_get_object(report));
    if (line[0])
        g_print("%s\n", line);
    return VMF_EXIT_DONE;
}

static gboolean
parse_id(const char *given, guint64 *id)
{
    if (g_ascii_string_to_unsigned(given, 10, 1, G_MAXUINT, id, NULL))
        return TRUE;
    g_printerr("vmferry: '%s' is no job's number; vmferry jobs lists them\n", given);
    return FALSE;
}

int
vmf_verb_job(int argc, char **argv)
{
    gboolean json = FALSE;
    guint64 id;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "Print its vmferry.migrate/1 object", NULL},
        {NULL}};
    if (!vmf_cli_parse(&argc, &argv, options, "ID - one move in full", 1) ||
        !parse_id(argv[1], &id))
        return VMF_EXIT_USAGE;
    int status;
    g_autoptr(GVariant) jobs = fetch(SEARCHED, &status);
    if (jobs == NULL)
        return status;
    for (gsize i = 0; i < g_variant_n_children(jobs); i++) {
        g_autoptr(GVariant) job = g_variant_get_child_value(jobs, i);
        if (vmf_cli_number(job, "id") == id)
            return json ? print_job_json(job) : print_job(job);
    }
    g_printerr("vmferry: no job %" G_GUINT64_FORMAT " among the newest %d of this host\n", id,
               SEARCHED);
    return VMF_EXIT_FAILED;
}

int
vmf_verb_cancel(int argc, char **argv)
{
    guint64 id;
    if (!vmf_cli_parse(&argc, &argv, NULL, "ID - stop a move; the VM stays where it is", 1) ||
        !parse_id(argv[1], &id))
        return VMF_EXIT_USAGE;
    g_autoptr(VmfDbusManager) manager = vmf_cli_manager_to_act();
    GError *error = NULL;
    if (manager == NULL)
        return VMF_EXIT_UNKNOWN;
    if (!vmf_dbus_manager_call_cancel_sync(manager, (guint)id, NULL, &error))
        return vmf_cli_fail(error);
    return VMF_EXIT_DONE;
}
