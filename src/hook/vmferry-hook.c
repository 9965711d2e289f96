/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/daemon/vmf-dbus.h"

/*
 * libvirt's qemu hook: /etc/libvirt/hooks/qemu.d/vmferry NAME OPERATION PHASE EXTRA < definition.
 *
 * Operations. Before QEMU starts (prepare begin) and after it has ended (release end), vmferryd is
 * told, and the hook returns when the disks may be used or are closed. Everything else, and every VM
 * without our metadata, is none of our business: exit 0 at once.
 *
 * Failure model. A VM of ours does not start without vmferryd; libvirt shows our message. An
 * ended VM is noted by vmferryd when it comes back, so release never fails.
 */

#define OUR_NAMESPACE  "urn:vmferry:1"
#define DEFINITION_MAX (10 * 1024 * 1024)

static gchar *
read_all(int fd)
{
    g_autoptr(GString) text = g_string_new(NULL);
    gchar buffer[65536];
    ssize_t n;
    while (text->len <= DEFINITION_MAX && (n = read(fd, buffer, sizeof buffer)) > 0)
        g_string_append_len(text, buffer, n);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static gboolean
tell(const char *operation, const char *phase, const char *definition, GError **error)
{
    g_autoptr(VmfDbusManager) manager = vmf_dbus_manager_proxy_new_for_bus_sync(
        G_BUS_TYPE_SYSTEM,
        G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES | G_DBUS_PROXY_FLAGS_DO_NOT_CONNECT_SIGNALS,
        "org.vmferry1", "/org/vmferry1", NULL, error);
    if (manager == NULL)
        return FALSE;
    g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(manager), G_MAXINT);
    return vmf_dbus_manager_call_hook_sync(manager, operation, phase, definition, NULL, error);
}

int
main(int argc, char **argv)
{
    if (argc < 4) {
        g_printerr("vmferry-hook: libvirt runs this as NAME OPERATION PHASE EXTRA\n");
        return 2;
    }
    gboolean starts = strcmp(argv[2], "prepare") == 0 && strcmp(argv[3], "begin") == 0;
    gboolean ended = strcmp(argv[2], "release") == 0 && strcmp(argv[3], "end") == 0;
    if (!starts && !ended)
        return 0;
    g_autofree gchar *definition = read_all(STDIN_FILENO);
    if (strstr(definition, OUR_NAMESPACE) == NULL)
        return 0;
    g_autoptr(GError) error = NULL;
    if (tell(argv[2], argv[3], definition, &error))
        return 0;
    vmf_error_from_dbus(&error, "vmferryd");
    g_printerr("vmferry: '%s': %s\n", argv[1], error->message);
    return starts ? 1 : 0;
}
