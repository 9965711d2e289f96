/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/vm/definitions.h"

#include <string.h>

static gboolean
is_named(const xmlNode *node, const char *name)
{
    return strcmp((const char *)node->name, name) == 0;
}

/* ---- variants ---- */

static void
definition_free(gpointer data)
{
    Definition *definition = data;
    g_free(definition->name);
    xmlFreeDoc(definition->doc);
    g_free(definition);
}

static xmlNode *
child(xmlNode *parent, const char *name)
{
    for (xmlNode *at = xmlFirstElementChild(parent); at != NULL; at = xmlNextElementSibling(at)) {
        if (is_named(at, name))
            return at;
    }
    return NULL;
}

static void
remove_all(xmlNode *parent, const char *name)
{
    for (xmlNode *old = child(parent, name); old != NULL; old = child(parent, name)) {
        xmlUnlinkNode(old);
        xmlFreeNode(old);
    }
}

/* What @over has takes the place of all that @under has of that name; <devices> is gone into. */
static void
lay_over(xmlNode *under, xmlNode *over)
{
    for (xmlNode *at = xmlFirstElementChild(over); at != NULL; at = xmlNextElementSibling(at)) {
        if (!is_named(at, "devices"))
            remove_all(under, (const char *)at->name);
    }
    for (xmlNode *at = xmlFirstElementChild(over); at != NULL; at = xmlNextElementSibling(at)) {
        if (is_named(at, "devices"))
            lay_over(child(under, "devices"), at);
        else
            xmlAddChild(under, xmlDocCopyNode(at, under->doc, 1));
    }
}

static Definition *
definition_of(xmlNode *base, xmlNode *variant)
{
    Definition *definition = g_new0(Definition, 1);
    definition->doc = xmlNewDoc((const xmlChar *)"1.0");
    xmlNode *root = xmlDocCopyNode(base, definition->doc, 1);
    xmlDocSetRootElement(definition->doc, root);
    for (xmlAttr *at = variant->properties; at != NULL; at = at->next) {
        g_autoptr(xmlChar) value = xmlGetProp(variant, at->name);
        if (strcmp((const char *)at->name, "name") == 0)
            definition->name = g_strdup((const char *)value);
        else if (strcmp((const char *)at->name, "here") != 0)
            xmlSetProp(root, at->name, value);
    }
    lay_over(root, variant);
    return definition;
}

GPtrArray *
definitions_read(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *own = path != NULL
                                ? g_strdup(path)
                                : g_test_build_filename(G_TEST_DIST, "corpus", "allowed.xml", NULL);
    g_autofree gchar *text = NULL;
    gsize size;
    g_file_get_contents(own, &text, &size, &error);
    g_assert_no_error(error);
    g_autoptr(xmlDoc) doc = vmf_xml_read("allowed.xml", text, size, G_MAXINT32, &error);
    g_assert_no_error(error);
    xmlNode *root = xmlDocGetRootElement(doc);
    xmlNode *base = xmlFirstElementChild(child(root, "base"));
    GPtrArray *all = g_ptr_array_new_with_free_func(definition_free);
    for (xmlNode *at = xmlFirstElementChild(root); at != NULL; at = xmlNextElementSibling(at)) {
        if (is_named(at, "variant"))
            g_ptr_array_add(all, definition_of(base, at));
    }
    return all;
}

gchar *
definitions_text(xmlDoc *doc)
{
    xmlChar *text = NULL;
    int size = 0;
    xmlDocDumpMemoryEnc(doc, &text, &size, "UTF-8");
    gchar *copy = g_strndup((const gchar *)text, (gsize)size);
    xmlFree(text);
    return copy;
}

/* ---- comparing ---- */

/* The emulator is ours, whether the definition names one or not. */
static xmlNode *
but_emulator(xmlNode *node)
{
    return node != NULL && is_named(node, "emulator") ? xmlNextElementSibling(node) : node;
}

static void
same_attributes(xmlNode *in, xmlNode *out)
{
    guint n_in = 0, n_out = 0;
    for (xmlAttr *at = out->properties; at != NULL; at = at->next)
        n_out++;
    for (xmlAttr *at = in->properties; at != NULL; at = at->next, n_in++) {
        g_autoptr(xmlChar) had = xmlGetProp(in, at->name);
        g_autoptr(xmlChar) has = xmlGetProp(out, at->name);
        g_assert_cmpstr((const char *)has, ==, (const char *)had);
    }
    g_assert_cmpuint(n_out, ==, n_in);
}

static void
same_elements(xmlNode *in, xmlNode *out)
{
    g_assert_cmpstr((const char *)out->name, ==, (const char *)in->name);
    if (in->ns != NULL)
        g_assert_cmpstr((const char *)out->ns->href, ==, (const char *)in->ns->href);
    same_attributes(in, out);
    xmlNode *from = but_emulator(xmlFirstElementChild(in));
    xmlNode *to = but_emulator(xmlFirstElementChild(out));
    if (from == NULL && !is_named(in, "nvram")) { /* its path is this libvirt's own */
        g_autoptr(xmlChar) had = xmlNodeGetContent(in);
        g_autoptr(xmlChar) has = xmlNodeGetContent(out);
        g_assert_cmpstr(g_strstrip((char *)has), ==, g_strstrip((char *)had));
    }
    while (from != NULL) {
        g_assert_nonnull(to);
        same_elements(from, to);
        from = but_emulator(xmlNextElementSibling(from));
        to = but_emulator(xmlNextElementSibling(to));
    }
    g_assert_null(to);
}

/* What a rebuild adds: QEMU is to look for no backing file of a disk on a share. */
static void
end_chains(xmlNode *root)
{
    xmlNode *devices = child(root, "devices");
    for (xmlNode *at = devices != NULL ? xmlFirstElementChild(devices) : NULL; at != NULL;
         at = xmlNextElementSibling(at)) {
        if (is_named(at, "disk") && child(at, "source") != NULL &&
            child(at, "backingStore") == NULL)
            xmlNewChild(at, NULL, (const xmlChar *)"backingStore", NULL);
    }
}

void
definitions_same(const char *in, const char *out)
{
    g_autoptr(xmlDoc) had = vmf_xml_read("in", in, strlen(in), G_MAXINT32, NULL);
    g_autoptr(xmlDoc) has = vmf_xml_read("out", out, strlen(out), G_MAXINT32, NULL);
    g_assert_nonnull(had);
    g_assert_nonnull(has);
    end_chains(xmlDocGetRootElement(had));
    same_elements(xmlDocGetRootElement(had), xmlDocGetRootElement(has));
}
