/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/cli/cli.h"

#include <string.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/cli/agent.h"

gboolean
vmf_cli_parse(int *argc, char ***argv, const GOptionEntry *options, const char *usage, int n)
{
    g_autofree gchar *verb = g_strdup((*argv)[0]);
    g_autofree gchar *program = g_strconcat("vmferry ", verb, NULL);
    g_set_prgname(program);
    g_autoptr(GOptionContext) context = g_option_context_new(usage);
    if (options)
        g_option_context_add_main_entries(context, options, NULL);
    g_autoptr(GError) error = NULL;
    if (!g_option_context_parse(context, argc, argv, &error)) {
        g_printerr("vmferry %s: %s\n", verb, error->message);
        return FALSE;
    }
    if (*argc == n + 1)
        return TRUE;
    g_printerr("Usage: vmferry %s %s\n", verb, usage);
    return FALSE;
}

/* polkit may put the question to somebody: only where somebody sits. */
static GDBusMessage *
allow_questions(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data)
{
    if (incoming || g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
        return message;
    GDBusMessage *changed = g_dbus_message_copy(message, NULL);
    if (changed == NULL)
        return message;
    g_object_unref(message);
    g_dbus_message_set_flags(changed, g_dbus_message_get_flags(changed) |
                                          G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION);
    return changed;
}

VmfDbusManager *
vmf_cli_find_manager(GError **error)
{
    g_autoptr(GError) why = NULL;
    VmfDbusManager *manager = vmf_dbus_manager_proxy_new_for_bus_sync(
        G_BUS_TYPE_SYSTEM,
        G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START | G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES,
        "org.vmferry1", "/org/vmferry1", NULL, &why);
    g_autofree gchar *owner = manager ? g_dbus_proxy_get_name_owner(G_DBUS_PROXY(manager)) : NULL;
    if (owner == NULL) {
        g_set_error(
            error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
            "%s%svmferryd does not run on this host; start it: systemctl start vmferryd; if it "
            "ends again: journalctl -u vmferryd",
            why ? why->message : "", why ? "; " : "");
        g_clear_object(&manager);
        return NULL;
    }
    g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(manager), G_MAXINT);
    if (isatty(STDIN_FILENO))
        g_dbus_connection_add_filter(g_dbus_proxy_get_connection(G_DBUS_PROXY(manager)),
                                     allow_questions, NULL, NULL);
    return manager;
}

VmfDbusManager *
vmf_cli_manager(void)
{
    GError *error = NULL;
    VmfDbusManager *manager = vmf_cli_find_manager(&error);
    if (manager == NULL)
        vmf_cli_fail(error);
    return manager;
}

VmfDbusManager *
vmf_cli_manager_to_act(void)
{
    VmfDbusManager *manager = vmf_cli_manager();
    if (manager)
        vmf_cli_agent_start();
    return manager;
}

void
vmf_cli_error_from_dbus(GError **error)
{
    if (g_error_matches(*error, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED)) {
        g_clear_error(error);
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "the system bus lets nothing through to vmferryd; is the org.vmferry1.conf of "
                    "this version installed?");
    }
    vmf_error_from_dbus(error, "vmferryd");
}

int
vmf_cli_fail(GError *error)
{
    vmf_cli_error_from_dbus(&error);
    g_printerr("vmferry: %s\n", error->message);
    int status = g_error_matches(error, VMF_ERROR, VMF_ERROR_UNREACHABLE) ? VMF_EXIT_UNKNOWN
                                                                          : VMF_EXIT_FAILED;
    g_error_free(error);
    return status;
}

const char *
vmf_cli_text(GVariant *dict, const char *key)
{
    const char *value = "";
    g_variant_lookup(dict, key, "&s", &value);
    return value;
}

gboolean
vmf_cli_flag(GVariant *dict, const char *key)
{
    gboolean value = FALSE;
    g_variant_lookup(dict, key, "b", &value);
    return value;
}

guint
vmf_cli_number(GVariant *dict, const char *key)
{
    guint value = 0;
    g_variant_lookup(dict, key, "u", &value);
    return value;
}

void
vmf_cli_table(const char *const *head, GPtrArray *rows)
{
    guint n = g_strv_length((gchar **)head);
    g_autofree glong *width = g_new0(glong, n);
    for (guint c = 0; c < n; c++) {
        width[c] = g_utf8_strlen(head[c], -1);
        for (guint r = 0; r < rows->len; r++)
            width[c] = MAX(width[c], g_utf8_strlen(((gchar **)rows->pdata[r])[c], -1));
    }
    for (guint r = 0; r <= rows->len; r++) {
        const char *const *cells = r == 0 ? head : (const char *const *)rows->pdata[r - 1];
        g_autoptr(GString) line = g_string_new(NULL);
        for (guint c = 0; c < n; c++) {
            g_string_append(line, cells[c]);
            for (glong pad = g_utf8_strlen(cells[c], -1); c + 1 < n && pad < width[c] + 2; pad++)
                g_string_append_c(line, ' ');
        }
        g_print("%s\n", g_strchomp(line->str));
    }
}

void
vmf_cli_json(const char *schema, const char *name, GVariant *list)
{
    g_autoptr(JsonBuilder) out = json_builder_new();
    json_builder_begin_object(out);
    json_builder_set_member_name(out, "schema");
    json_builder_add_string_value(out, schema);
    json_builder_set_member_name(out, name);
    json_builder_add_value(out, json_gvariant_serialize(list));
    json_builder_end_object(out);
    g_autoptr(JsonNode) root = json_builder_get_root(out);
    g_autofree gchar *text = json_to_string(root, TRUE);
    g_print("%s\n", text);
}
