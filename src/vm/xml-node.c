/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/xml-node.h"

#include <string.h>

static const struct {
    const char *prefix;
    const char *href;
} namespaces[] = {
    {"vmferry", "urn:vmferry:1"},
    {"libosinfo", "http://libosinfo.org/xmlns/libvirt/domain/1.0"},
};

const char *
vmf_xml_namespace_prefix(const char *href)
{
    for (gsize i = 0; i < G_N_ELEMENTS(namespaces); i++) {
        if (strcmp(namespaces[i].href, href) == 0)
            return namespaces[i].prefix;
    }
    return NULL;
}

static void
clear_attribute(gpointer data)
{
    VmfXmlAttribute *attribute = data;
    g_free(attribute->name);
    g_free(attribute->value);
}

VmfXmlNode *
vmf_xml_node_new(const char *name, guint line)
{
    VmfXmlNode *node = g_new0(VmfXmlNode, 1);
    node->name = g_strdup(name);
    node->line = line;
    node->attributes = g_array_new(FALSE, FALSE, sizeof(VmfXmlAttribute));
    g_array_set_clear_func(node->attributes, clear_attribute);
    node->children = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_xml_node_free);
    return node;
}

void
vmf_xml_node_free(VmfXmlNode *node)
{
    if (node == NULL)
        return;
    g_free(node->name);
    g_free(node->text);
    g_array_unref(node->attributes);
    g_ptr_array_unref(node->children);
    g_free(node);
}

void
vmf_xml_node_set(VmfXmlNode *node, const char *attribute, const char *value)
{
    VmfXmlAttribute added = {g_strdup(attribute), g_strdup(value)};
    g_array_append_val(node->attributes, added);
}

VmfXmlNode *
vmf_xml_node_add(VmfXmlNode *node, const char *child)
{
    VmfXmlNode *added = vmf_xml_node_new(child, node->line);
    g_ptr_array_add(node->children, added);
    return added;
}

static VmfXmlNode *
first_child(const VmfXmlNode *node, const char *name, gsize length)
{
    for (guint i = 0; i < node->children->len; i++) {
        VmfXmlNode *child = g_ptr_array_index(node->children, i);
        if (strlen(child->name) == length && memcmp(child->name, name, length) == 0)
            return child;
    }
    return NULL;
}

VmfXmlNode *
vmf_xml_node_find(const VmfXmlNode *node, const char *path)
{
    const char *slash = strchrnul(path, '/');
    VmfXmlNode *child = first_child(node, path, (gsize)(slash - path));
    return child == NULL || *slash == '\0' ? child : vmf_xml_node_find(child, slash + 1);
}

const char *
vmf_xml_node_attribute(const VmfXmlNode *node, const char *attribute)
{
    for (guint i = 0; i < node->attributes->len; i++) {
        const VmfXmlAttribute *at = &g_array_index(node->attributes, VmfXmlAttribute, i);
        if (strcmp(at->name, attribute) == 0)
            return at->value;
    }
    return NULL;
}

const char *
vmf_xml_node_find_attribute(const VmfXmlNode *node, const char *path, const char *attribute)
{
    const VmfXmlNode *found = vmf_xml_node_find(node, path);
    return found != NULL ? vmf_xml_node_attribute(found, attribute) : NULL;
}

const char *
vmf_xml_node_find_text(const VmfXmlNode *node, const char *path)
{
    const VmfXmlNode *found = vmf_xml_node_find(node, path);
    return found != NULL ? found->text : NULL;
}

static gsize
prefix_length(const char *name)
{
    const char *colon = strchr(name, ':');
    return colon != NULL ? (gsize)(colon - name) : 0;
}

/* Declared where it is first needed: on an element whose parent is not of that namespace. */
static void
write_declaration(const VmfXmlNode *node, const char *parent, GString *out)
{
    gsize length = prefix_length(node->name);
    if (length == 0 ||
        (prefix_length(parent) == length && strncmp(parent, node->name, length) == 0))
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(namespaces); i++) {
        if (strlen(namespaces[i].prefix) == length &&
            memcmp(namespaces[i].prefix, node->name, length) == 0)
            g_string_append_printf(out, " xmlns:%s='%s'", namespaces[i].prefix, namespaces[i].href);
    }
}

static void
write_node(const VmfXmlNode *node, const char *parent, guint depth, GString *out)
{
    g_string_append_printf(out, "%*s<%s", (int)depth * 2, "", node->name);
    write_declaration(node, parent, out);
    for (guint i = 0; i < node->attributes->len; i++) {
        const VmfXmlAttribute *at = &g_array_index(node->attributes, VmfXmlAttribute, i);
        g_autofree gchar *value = g_markup_escape_text(at->value, -1);
        g_string_append_printf(out, " %s='%s'", at->name, value);
    }
    if (node->text == NULL && node->children->len == 0) {
        g_string_append(out, "/>\n");
        return;
    }
    g_string_append_c(out, '>');
    if (node->text != NULL) {
        g_autofree gchar *text = g_markup_escape_text(node->text, -1);
        g_string_append(out, text);
    }
    if (node->children->len > 0) {
        g_string_append_c(out, '\n');
        for (guint i = 0; i < node->children->len; i++)
            write_node(g_ptr_array_index(node->children, i), node->name, depth + 1, out);
        g_string_append_printf(out, "%*s", (int)depth * 2, "");
    }
    g_string_append_printf(out, "</%s>\n", node->name);
}

gchar *
vmf_xml_node_write(const VmfXmlNode *node)
{
    GString *out = g_string_new(NULL);
    write_node(node, "", 0, out);
    return g_string_free(out, FALSE);
}
