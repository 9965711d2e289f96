/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <netdb.h>
#include <string.h>

#include "src/base/error.h"
#include "src/cli/cli.h"

static const char *
text(JsonObject *object, const char *member)
{
    return json_object_get_string_member_with_default(object, member, "");
}

static const char *
error_message(JsonObject *report)
{
    JsonNode *node = json_object_get_member(report, "error");
    if (node == NULL || !JSON_NODE_HOLDS_OBJECT(node))
        return "";
    return text(json_node_get_object(node), "message");
}

/* hv2.lab.test is hv2 to people; an address stays whole. */
static gchar *
short_name(const char *host)
{
    const char *dot = strchr(host, '.');
    return g_ascii_isdigit(host[0]) || dot == NULL ? g_strdup(host)
                                                   : g_strndup(host, (gsize)(dot - host));
}

static void
add_figure(GString *line, JsonObject *report, const char *member, const char *what, int digits)
{
    JsonNode *node = json_object_get_member(report, member);
    if (node && !JSON_NODE_HOLDS_NULL(node))
        g_string_append_printf(line, "%s %.*f ms, ", what, digits, json_node_get_double(node));
}

static gchar *
moved_line(JsonObject *report)
{
    g_autofree gchar *to = short_name(text(report, "to"));
    GString *line = g_string_new(NULL);
    g_string_append_printf(line, "%s now runs on %s: ", text(report, "vm"), to);
    add_figure(line, report, "downtime_ms", "downtime", 0);
    add_figure(line, report, "handover_ms", "share handover", 1);
    g_string_append_printf(
        line, "%.0f MiB in %.1f s, encrypted",
        (double)json_object_get_int_member_with_default(report, "memory_bytes", 0) / (1 << 20),
        json_object_get_double_member_with_default(report, "total_ms", 0) / 1000);
    return g_string_free(line, FALSE);
}

gchar *
vmf_cli_report_line(JsonObject *report)
{
    const char *outcome = text(report, "outcome"), *vm = text(report, "vm");
    g_autofree gchar *from = short_name(text(report, "from"));
    if (strcmp(outcome, "runs-on-destination") == 0)
        return moved_line(report);
    if (strcmp(outcome, "continues-on-source") == 0)
        return g_strdup_printf("%s was not moved and stays on %s: %s", vm, from,
                               error_message(report));
    if (strcmp(outcome, "paused-waiting") == 0)
        return g_strdup_printf("%s is paused on %s and waits: %s", vm, from, error_message(report));
    if (strcmp(outcome, "vm-down") == 0)
        return g_strdup_printf("%s is down: %s", vm, error_message(report));
    return g_strdup_printf("%s: the move is under way", vm);
}

int
vmf_cli_report_status(JsonObject *report)
{
    const char *outcome = text(report, "outcome");
    if (strcmp(outcome, "runs-on-destination") == 0)
        return VMF_EXIT_DONE;
    return strcmp(outcome, "continues-on-source") == 0 ? VMF_EXIT_FAILED : VMF_EXIT_ATTENTION;
}

gchar *
vmf_cli_own_fqdn(void)
{
    const struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    gchar *name = NULL;
    if (getaddrinfo(g_get_host_name(), NULL, &hints, &found) == 0) {
        name = g_ascii_strdown(found->ai_canonname, -1);
        freeaddrinfo(found);
    }
    return name ? name : g_strdup(g_get_host_name());
}

static void
add_text(JsonBuilder *out, const char *name, const char *value)
{
    json_builder_set_member_name(out, name);
    if (value)
        json_builder_add_string_value(out, value);
    else
        json_builder_add_null_value(out);
}

gchar *
vmf_cli_report_empty(const char *vm, const char *from, const char *to, const char *outcome,
                     const GError *error)
{
    static const char *const figures[] = {"downtime_ms", "handover_ms", "total_ms", "memory_bytes",
                                          "epoch"};
    g_autoptr(JsonBuilder) out = json_builder_new();
    json_builder_begin_object(out);
    add_text(out, "schema", "vmferry.migrate/1");
    add_text(out, "vm", vm);
    add_text(out, "from", from);
    add_text(out, "to", to);
    add_text(out, "outcome", outcome);
    json_builder_set_member_name(out, "stages");
    json_builder_begin_array(out);
    json_builder_end_array(out);
    for (gsize i = 0; i < G_N_ELEMENTS(figures); i++)
        add_text(out, figures[i], NULL);
    json_builder_set_member_name(out, "error");
    if (error) {
        json_builder_begin_object(out);
        add_text(out, "code", vmf_error_code_name(error));
        add_text(out, "message", error->message);
        json_builder_end_object(out);
    } else {
        json_builder_add_null_value(out);
    }
    json_builder_end_object(out);
    g_autoptr(JsonNode) root = json_builder_get_root(out);
    return json_to_string(root, FALSE);
}
