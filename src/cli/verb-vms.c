/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "src/cli/cli.h"

static gchar **
vm_row(GVariant *vm)
{
    guint64 epoch = 0;
    g_variant_lookup(vm, "epoch", "t", &epoch);
    GStrvBuilder *row = g_strv_builder_new();
    g_autofree gchar *number = epoch ? g_strdup_printf("%" G_GUINT64_FORMAT, epoch) : g_strdup("-");
    g_strv_builder_add_many(row, vmf_cli_text(vm, "name"),
                            vmf_cli_flag(vm, "moving") ? "moving" : vmf_cli_text(vm, "state"),
                            !vmf_cli_flag(vm, "managed")  ? "not on a share"
                            : vmf_cli_text(vm, "gate")[0] ? vmf_cli_text(vm, "gate")
                                                          : "on the share",
                            number, vmf_cli_text(vm, "trouble"), NULL);
    gchar **cells = g_strv_builder_end(row);
    g_strv_builder_unref(row);
    return cells;
}

int
vmf_verb_list(int argc, char **argv)
{
    gboolean json = FALSE;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "Print a vmferry.list/1 object", NULL}, {NULL}};
    if (!vmf_cli_parse(&argc, &argv, options, "- the VMs of this host", 0))
        return VMF_EXIT_USAGE;
    g_autoptr(VmfDbusManager) manager = vmf_cli_manager();
    g_autoptr(GVariant) vms = NULL;
    GError *error = NULL;
    if (manager == NULL)
        return VMF_EXIT_UNKNOWN;
    if (!vmf_dbus_manager_call_list_vms_sync(manager, &vms, NULL, &error))
        return vmf_cli_fail(error);
    if (json) {
        vmf_cli_json("vmferry.list/1", "vms", vms);
        return VMF_EXIT_DONE;
    }
    static const char *const head[] = {"VM", "STATE", "DISKS", "EPOCH", "", NULL};
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    for (gsize i = 0; i < g_variant_n_children(vms); i++) {
        g_autoptr(GVariant) vm = g_variant_get_child_value(vms, i);
        g_ptr_array_add(rows, vm_row(vm));
    }
    vmf_cli_table(head, rows);
    return VMF_EXIT_DONE;
}

int
vmf_verb_define(int argc, char **argv)
{
    if (!vmf_cli_parse(&argc, &argv, NULL,
                       "VM.xml - define a VM whose disks are on shares: <source file='smb://...'/>",
                       1))
        return VMF_EXIT_USAGE;
    g_autofree gchar *xml = NULL, *name = NULL;
    g_auto(GStrv) notes = NULL;
    GError *error = NULL;
    if (!g_file_get_contents(argv[1], &xml, NULL, &error)) {
        g_printerr("vmferry: %s\n", error->message);
        g_error_free(error);
        return VMF_EXIT_USAGE;
    }
    if (!g_utf8_validate(xml, -1, NULL)) {
        g_printerr("vmferry: '%s' is not UTF-8 text\n", argv[1]);
        return VMF_EXIT_USAGE;
    }
    g_autoptr(VmfDbusManager) manager = vmf_cli_manager_to_act();
    if (manager == NULL)
        return VMF_EXIT_UNKNOWN;
    if (!vmf_dbus_manager_call_define_sync(manager, xml, &name, &notes, NULL, &error))
        return vmf_cli_fail(error);
    g_print("%s is defined\n", name);
    for (gsize i = 0; notes[i]; i++)
        g_print("  %s\n", notes[i]);
    return VMF_EXIT_DONE;
}

int
vmf_verb_attach(int argc, char **argv)
{
    g_autofree gchar *format = NULL;
    const GOptionEntry options[] = {{"format", 0, 0, G_OPTION_ARG_STRING, &format,
                                     "raw or qcow2; default: by the file's name", "FORMAT"},
                                    {NULL}};
    if (!vmf_cli_parse(&argc, &argv, options,
                       "VM DEV smb://server/share/folder/file - the VM is shut off", 3))
        return VMF_EXIT_USAGE;
    g_autoptr(VmfDbusManager) manager = vmf_cli_manager_to_act();
    GError *error = NULL;
    if (manager == NULL)
        return VMF_EXIT_UNKNOWN;
    if (!vmf_dbus_manager_call_attach_sync(manager, argv[1], argv[2], argv[3], format ? format : "",
                                           NULL, &error))
        return vmf_cli_fail(error);
    g_print("%s of %s is behind %s\n", argv[2], argv[1], argv[3]);
    return VMF_EXIT_DONE;
}
