/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The model between an untrusted document and the one written anew: elements that a table
 * allows (xml-rules.h), with checked attributes and text, in their order.
 */
#pragma once

#include <glib.h>

typedef struct VmfXmlNode VmfXmlNode;

typedef struct {
    gchar *name;
    gchar *value;
} VmfXmlAttribute;

struct VmfXmlNode {
    gchar *name; /* "disk", "vmferry:disk": the prefix is ours, not the document's */
    guint line;
    gboolean cut;        /* something in it was refused, and is not here (xml-rules.h) */
    gchar *text;         /* NULL: none */
    GArray *attributes;  /* of VmfXmlAttribute */
    GPtrArray *children; /* of VmfXmlNode, owned */
};

VmfXmlNode *vmf_xml_node_new(const char *name, guint line);
void vmf_xml_node_free(VmfXmlNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfXmlNode, vmf_xml_node_free)

void vmf_xml_node_set(VmfXmlNode *node, const char *attribute, const char *value);
VmfXmlNode *vmf_xml_node_add(VmfXmlNode *node, const char *child); /* owned by @node */

/* NULL: none. All results are owned by the node. */
VmfXmlNode *vmf_xml_node_find(const VmfXmlNode *node, const char *path); /* "os/type"; the first */
const char *vmf_xml_node_attribute(const VmfXmlNode *node, const char *attribute);
const char *
vmf_xml_node_find_attribute(const VmfXmlNode *node, const char *path, const char *attribute);
const char *vmf_xml_node_find_text(const VmfXmlNode *node, const char *path);

/* Elements, indented. Returns: (transfer full) */
gchar *vmf_xml_node_write(const VmfXmlNode *node);

/* The namespaces whose elements the model knows. NULL: not one of them. */
const char *vmf_xml_namespace_prefix(const char *href);
