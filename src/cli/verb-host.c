/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "src/cli/cli.h"

static const GOptionEntry *
json_option(gboolean *json)
{
    static GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, NULL, "Print one JSON object", NULL}, {NULL}};
    options[0].arg_data = json;
    return options;
}

int
vmf_verb_hosts(int argc, char **argv)
{
    gboolean json = FALSE;
    if (!vmf_cli_parse(&argc, &argv, json_option(&json), "- the members of the allowed group", 0))
        return VMF_EXIT_USAGE;
    g_autoptr(VmfDbusManager) manager = vmf_cli_manager();
    g_autoptr(GVariant) hosts = NULL;
    GError *error = NULL;
    if (manager == NULL)
        return VMF_EXIT_UNKNOWN;
    if (!vmf_dbus_manager_call_hosts_sync(manager, &hosts, NULL, &error))
        return vmf_cli_fail(error);
    if (json) {
        vmf_cli_json("vmferry.hosts/1", "hosts", hosts);
        return VMF_EXIT_DONE;
    }
    static const char *const head[] = {"HOST", "ACCOUNT", "STATE", "", NULL};
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    for (gsize i = 0; i < g_variant_n_children(hosts); i++) {
        g_autoptr(GVariant) host = g_variant_get_child_value(hosts, i);
        const char *state = vmf_cli_flag(host, "this")        ? "this host"
                            : !vmf_cli_flag(host, "enabled")  ? "account disabled"
                            : vmf_cli_flag(host, "reachable") ? "ready"
                                                              : "not reachable";
        const char *const cells[] = {vmf_cli_text(host, "fqdn"), vmf_cli_text(host, "account"),
                                     state, vmf_cli_text(host, "error"), NULL};
        g_ptr_array_add(rows, g_strdupv((gchar **)cells));
    }
    vmf_cli_table(head, rows);
    return VMF_EXIT_DONE;
}

static int
print_findings(GVariant *findings)
{
    int status = g_variant_n_children(findings) ? VMF_EXIT_DONE : VMF_EXIT_UNKNOWN;
    for (gsize i = 0; i < g_variant_n_children(findings); i++) {
        g_autoptr(GVariant) finding = g_variant_get_child_value(findings, i);
        g_autofree gchar *result = g_ascii_strup(vmf_cli_text(finding, "result"), -1);
        g_print("%-4s  %s  %s: %s\n", result, vmf_cli_text(finding, "id"),
                vmf_cli_text(finding, "subject"), vmf_cli_text(finding, "message"));
        if (strcmp(result, "PASS") != 0 && vmf_cli_text(finding, "fix")[0])
            g_print(" fix  %s\n", vmf_cli_text(finding, "fix"));
        if (strcmp(result, "FAIL") == 0)
            status = VMF_EXIT_FAILED;
    }
    return status;
}

int
vmf_verb_doctor(int argc, char **argv)
{
    gboolean json = FALSE;
    if (!vmf_cli_parse(&argc, &argv, json_option(&json), "- is this host set up right", 0))
        return VMF_EXIT_USAGE;
    g_autoptr(VmfDbusManager) manager = vmf_cli_manager();
    g_autoptr(GVariant) findings = NULL;
    GError *error = NULL;
    if (manager == NULL)
        return VMF_EXIT_UNKNOWN;
    if (!vmf_dbus_manager_call_doctor_sync(manager, &findings, NULL, &error))
        return vmf_cli_fail(error);
    if (!json)
        return print_findings(findings);
    vmf_cli_json("vmferry.doctor/1", "findings", findings);
    for (gsize i = 0; i < g_variant_n_children(findings); i++) {
        g_autoptr(GVariant) finding = g_variant_get_child_value(findings, i);
        if (strcmp(vmf_cli_text(finding, "result"), "fail") == 0)
            return VMF_EXIT_FAILED;
    }
    return VMF_EXIT_DONE;
}
