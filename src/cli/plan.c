/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/cli/plan.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "src/base/error.h"

#define SCHEMA       "vmferry.plan/1"
#define SIZE_MAX_MIB 16
#define DEPTH_MAX    32

gboolean
vmf_cli_plan_write(const char *path, const VmfReportSet *set, GVariant *facts, GError **error)
{
    g_autoptr(VmfFactCase) parsed = vmf_fact_case_from_variant(facts, error);
    if (parsed == NULL)
        return FALSE;
    const VmfReport *report = set->reports->pdata[0];
    g_autofree gchar *report_text = vmf_report_set_to_json(set);
    g_autoptr(JsonBuilder) out = json_builder_new();
    json_builder_begin_object(out);
    json_builder_set_member_name(out, "schema");
    json_builder_add_string_value(out, SCHEMA);
    json_builder_set_member_name(out, "vm");
    json_builder_add_string_value(out, report->vm);
    json_builder_set_member_name(out, "from");
    json_builder_add_string_value(out, report->from);
    json_builder_set_member_name(out, "to");
    json_builder_add_string_value(out, report->to);
    json_builder_set_member_name(out, "report");
    json_builder_add_value(out, json_from_string(report_text, NULL));
    json_builder_set_member_name(out, "facts");
    json_builder_add_value(out, json_gvariant_serialize(facts));
    json_builder_end_object(out);
    g_autoptr(JsonNode) root = json_builder_get_root(out);
    g_autofree gchar *text = json_to_string(root, TRUE);
    return g_file_set_contents(path, text, -1, error);
}

static gboolean
bad(GError **error, const char *path, const char *why)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                "'%s' is no plan: %s; make one with: vmferry check VM --to HOST --save %s", path,
                why, path);
    return FALSE;
}

/* Outside of texts, white space aside */
static gboolean
belongs_to_json(char c)
{
    return g_ascii_isalnum(c) || (c != '\0' && strchr("{}[]\":,+-.", c) != NULL);
}

/*
 * RFC 8259 section 7, at the backslash. No "\uD800" to "\uDFFF": half a character outside of the first 65,536;
 * we write none, and alone it is no text. json-glib knows C's octal numbers as well: any byte.
 */
static gboolean
is_escape(const char *at, gsize size)
{
    if (size < 2 || at[1] != 'u')
        return size >= 2 && at[1] != '\0' && strchr("\"\\/bfnrt", at[1]) != NULL;
    for (gsize i = 2; i < 6; i++)
        if (i >= size || !g_ascii_isxdigit(at[i]))
            return FALSE;
    return g_ascii_toupper(at[2]) != 'D' || g_ascii_xdigit_value(at[3]) < 8;
}

/*
 * What json-glib would take: its parser calls itself for each level, so that a file of brackets alone would
 * end the process; of several values in a row it believes the last; it knows comments; and it hands
 * on texts that are none.
 *
 * Returns: (nullable): why it is not one object
 */
static const char *
find_fault(const char *text, gsize size)
{
    guint depth = 0;
    gboolean quoted = FALSE, ended = FALSE;
    if (!g_utf8_validate(text, (gssize)size, NULL))
        return "it is no UTF-8 text";
    for (gsize i = 0; i < size; i++) {
        char c = text[i];
        if (quoted && c == '\\' && !is_escape(text + i, size - i))
            return "a text in it has an escape that stands for no character";
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
            continue;
        }
        if (g_ascii_isspace(c))
            continue;
        if (ended)
            return "something follows the end of its JSON object";
        if (depth == 0 && c != '{')
            return "it is no JSON object";
        if (!belongs_to_json(c))
            return "it is no JSON";
        quoted = c == '"';
        if ((c == '[' || c == '{') && ++depth > DEPTH_MAX)
            return "it is nested too deep";
        if (c == ']' || c == '}')
            ended = --depth == 0;
    }
    return ended ? NULL : "it is cut short";
}

static JsonNode *
read_json(const char *path, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(GMappedFile) file = g_mapped_file_new(path, FALSE, &local);
    if (file == NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "cannot read the plan '%s': %s", path,
                    local->message);
        return NULL;
    }
    if (g_mapped_file_get_length(file) > (gsize)SIZE_MAX_MIB * 1024 * 1024) {
        bad(error, path, "it is larger than 16 MiB");
        return NULL;
    }
    const char *text = g_mapped_file_get_contents(file); /* NULL: nothing is in it */
    gsize size = g_mapped_file_get_length(file);
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    const char *fault = text ? find_fault(text, size) : "it is empty";
    if (fault) {
        bad(error, path, fault);
        return NULL;
    }
    if (!json_parser_load_from_data(parser, text, (gssize)size, &local)) {
        bad(error, path, local->message);
        return NULL;
    }
    JsonNode *root = json_parser_get_root(parser);
    if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root)) {
        bad(error, path, "it is no JSON object");
        return NULL;
    }
    return json_node_copy(root);
}

static gboolean
take_text(JsonObject *object, const char *member, gchar **text)
{
    JsonNode *node = json_object_get_member(object, member);
    if (node == NULL || json_node_get_value_type(node) != G_TYPE_STRING)
        return FALSE;
    *text = json_node_dup_string(node);
    return TRUE;
}

GVariant *
vmf_cli_plan_read(const char *path, gchar **vm, gchar **to, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree gchar *schema = NULL, *its_vm = NULL, *its_to = NULL;
    g_autoptr(JsonNode) root = read_json(path, error);
    if (root == NULL)
        return NULL;
    JsonObject *object = json_node_get_object(root);
    if (!take_text(object, "schema", &schema) || strcmp(schema, SCHEMA) != 0 ||
        !take_text(object, "vm", &its_vm) || !take_text(object, "to", &its_to) ||
        json_object_get_member(object, "facts") == NULL) {
        bad(error, path, "it is not of schema " SCHEMA);
        return NULL;
    }
    g_autoptr(GVariant)
        loose = json_gvariant_deserialize(json_object_get_member(object, "facts"), "a{sv}", &local);
    if (loose)
        g_variant_ref_sink(loose);
    g_autoptr(VmfFactCase)
        facts = loose ? vmf_fact_from_json_variant(&vmf_fact_case_shape, loose, &local) : NULL;
    if (facts == NULL) {
        bad(error, path, local->message);
        return NULL;
    }
    if (vm)
        *vm = g_steal_pointer(&its_vm);
    if (to)
        *to = g_steal_pointer(&its_to);
    return g_variant_ref_sink(vmf_fact_case_to_variant(facts));
}
