/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "src/cli/cli.h"

typedef struct {
    GMainLoop *loop;
    const char *vm;
    gchar *done;
    GError *error;
} Wait;

static void
on_recovering(VmfDbusManager *manager, const char *vm, const char *text, Wait *wait)
{
    if (strcmp(vm, wait->vm) == 0)
        g_printerr("%s\n", text);
}

static void
on_done(GObject *manager, GAsyncResult *result, gpointer data)
{
    Wait *wait = data;
    vmf_dbus_manager_call_recover_finish(VMF_DBUS_MANAGER(manager), &wait->done, result,
                                         &wait->error);
    g_main_loop_quit(wait->loop);
}

int
vmf_verb_recover(int argc, char **argv)
{
    if (!vmf_cli_parse(
            &argc, &argv, NULL,
            "VM - start a VM whose host is dead, from the share; VM: its name, its UUID, "
            "or the smb:// URL of its folder",
            1))
        return VMF_EXIT_USAGE;
    g_autoptr(VmfDbusManager) manager = vmf_cli_manager_to_act();
    if (manager == NULL)
        return VMF_EXIT_UNKNOWN;
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Wait wait = {.loop = loop, .vm = argv[1]};
    g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(manager), G_MAXINT);
    g_signal_connect(manager, "recovering", G_CALLBACK(on_recovering), &wait);
    vmf_dbus_manager_call_recover(manager, argv[1], NULL, on_done, &wait);
    g_main_loop_run(loop);
    if (wait.error)
        return vmf_cli_fail(wait.error);
    g_print("%s\n", wait.done);
    g_free(wait.done);
    return VMF_EXIT_DONE;
}
