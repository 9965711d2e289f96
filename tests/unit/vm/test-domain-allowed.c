/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All that the table allows is in corpus/allowed.xml, and comes through whole: another one is
 * libvirt's business (tests/lab/test_definitions.py). What somebody hides anywhere in such a
 * definition does not come through, but in the places that are listed here.
 */
#include <string.h>

#include "src/base/error.h"
#include "src/vm/domain-table.h"
#include "src/vm/domain.h"
#include "tests/unit/vm/definitions.h"

#define EMULATOR "/usr/bin/qemu-local"

static const char *const boot_files[] = {"/boot/lab/vmlinuz", "/boot/lab/initrd", NULL};
static const char *const loaders[] = {
    "/usr/share/seabios/bios-256k.bin",   "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/OVMF/OVMF_VARS_4M.fd",    "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
    "/usr/share/OVMF/OVMF_VARS_4M.ms.fd", "/usr/share/OVMF/OVMF_CODE.qcow2",
    "/usr/share/OVMF/OVMF_VARS.qcow2",    NULL};
static const VmfDomainRules rules = {
    .emulator = EMULATOR, .run_dir = "/run/vmferry", .boot_files = boot_files, .loaders = loaders};

static gchar *
rebuilt(const char *xml, GError **error)
{
    g_autoptr(VmfDomain) domain = vmf_domain_rebuild(xml, strlen(xml), &rules, error);
    return domain != NULL ? vmf_domain_to_xml(domain) : NULL;
}

static void
test_kept(void)
{
    g_autoptr(GPtrArray) all = definitions_read(NULL);
    for (guint i = 0; i < all->len; i++) {
        const Definition *one = all->pdata[i];
        g_autoptr(GError) error = NULL;
        g_autofree gchar *xml = definitions_text(one->doc);
        g_autofree gchar *once = rebuilt(xml, &error);
        if (error != NULL)
            g_error("%s: %s", one->name, error->message);
        g_test_message("%s", one->name);
        definitions_same(xml, once);
        g_autofree gchar *twice = rebuilt(once, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(twice, ==, once);
    }
    g_assert_cmpuint(all->len, >=, 60);
}

/* ---- the corpus has each row of the table ---- */

static void
note(GHashTable *seen, const char *path, xmlNode *node)
{
    for (xmlAttr *at = node->properties; at != NULL; at = at->next)
        g_hash_table_add(seen, g_strdup_printf("%s/@%s", path, (const char *)at->name));
    if (xmlFirstElementChild(node) == NULL && node->children != NULL)
        g_hash_table_add(seen, g_strdup_printf("%s/text()", path));
    g_hash_table_add(seen, g_strdup(path));
}

static void
walk(GHashTable *seen, const char *parent, xmlNode *node)
{
    static const char devices[] = "domain/devices/";
    const char *prefix = node->ns != NULL ? vmf_xml_namespace_prefix((const char *)node->ns->href)
                                          : NULL;
    g_autofree gchar *path = g_strdup_printf("%s%s%s%s%s", parent, parent[0] ? "/" : "",
                                             prefix ? prefix : "", prefix ? ":" : "",
                                             (const char *)node->name);
    note(seen, path, node);
    const char *below = g_str_has_prefix(path, devices) ? strchr(path + strlen(devices), '/')
                                                        : NULL;
    if (below != NULL) {
        g_autofree gchar *any = g_strconcat(devices, "*", below, NULL);
        note(seen, any, node);
    }
    for (xmlNode *at = xmlFirstElementChild(node); at != NULL; at = xmlNextElementSibling(at))
        walk(seen, path, at);
}

static guint
missing(GHashTable *seen, const char *path, const char *what)
{
    g_autofree gchar *wanted = g_strconcat(path, what, NULL);
    if (g_hash_table_contains(seen, wanted))
        return 0;
    g_test_message("no variant has %s", wanted);
    return 1;
}

static guint
missing_of(GHashTable *seen, const VmfXmlRule *rule)
{
    guint n = missing(seen, rule->path, "") +
              (rule->text != NULL ? missing(seen, rule->path, "/text()") : 0);
    g_auto(GStrv) items = g_strsplit(rule->attributes != NULL ? rule->attributes : "", " ", -1);
    for (guint i = 0; items[i] != NULL; i++) {
        if (strchr("-!", items[i][0]) != NULL) /* dropped, refused, or between two blanks */
            continue;
        g_autofree gchar *attribute = g_strdup_printf("/@%.*s", (int)strcspn(items[i], ":="),
                                                      items[i]);
        n += missing(seen, rule->path, attribute);
    }
    return n;
}

static void
test_whole_table(void)
{
    g_autoptr(GPtrArray) all = definitions_read(NULL);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    guint n = 0;
    for (guint i = 0; i < all->len; i++)
        walk(seen, "", xmlDocGetRootElement(((const Definition *)all->pdata[i])->doc));
    /* A source may also name a file or device: only to be refused with its name (domain.c). */
    g_hash_table_add(seen, g_strdup("domain/devices/disk/source/@file"));
    g_hash_table_add(seen, g_strdup("domain/devices/disk/source/@dev"));
    for (gsize i = 0; i < vmf_domain_table_rows; i++) {
        const VmfXmlRule *rule = &vmf_domain_table[i];
        if (g_str_has_prefix(rule->path, "domain") && rule->act != VMF_XML_REFUSE &&
            rule->act != VMF_XML_DROP && rule->act != VMF_XML_DROP_FORM)
            n += missing_of(seen, rule);
    }
    g_assert_cmpuint(n, ==, 0);
}

/* ---- marks ---- */

#define MARK "Zmark"
/* As nasty as a value can be: it would end an attribute, and be an element. */
#define NASTY "Zmark\"'/><hostdev/>&<!--"

typedef struct {
    xmlNode *node;
    xmlAttr *attribute; /* the one that is meant */
} Place;

static void
hide_comment(Place *at)
{
    xmlAddChild(at->node, xmlNewComment((const xmlChar *)MARK));
}
static void
hide_instruction(Place *at)
{
    xmlAddChild(at->node, xmlNewPI((const xmlChar *)MARK, (const xmlChar *)MARK));
}
static void
hide_cdata(Place *at)
{
    xmlAddChild(at->node, xmlNewCDataBlock(at->node->doc, (const xmlChar *)MARK, strlen(MARK)));
}
static void
hide_text(Place *at)
{
    xmlAddChild(at->node, xmlNewText((const xmlChar *)NASTY));
}
static void
hide_entity(Place *at)
{
    xmlAddChild(at->node, xmlNewReference(at->node->doc, (const xmlChar *)MARK));
}
static void
hide_attribute(Place *at)
{
    xmlNewProp(at->node, (const xmlChar *)MARK, (const xmlChar *)MARK);
}
static void
hide_child(Place *at)
{
    xmlNewChild(at->node, NULL, (const xmlChar *)MARK, (const xmlChar *)MARK);
}
static void
hide_foreign_child(Place *at)
{
    xmlNode *child = xmlNewChild(at->node, NULL, (const xmlChar *)"name", (const xmlChar *)MARK);
    xmlSetNs(child, xmlNewNs(child, (const xmlChar *)"urn:" MARK, (const xmlChar *)"qemu"));
}
static void
hide_foreign_attribute(Place *at)
{
    xmlNs *ns = xmlNewNs(at->node, (const xmlChar *)"urn:" MARK, (const xmlChar *)MARK);
    xmlNewNsProp(at->node, ns, (const xmlChar *)"type", (const xmlChar *)MARK);
}
static void
hide_declaration(Place *at)
{
    xmlNewNs(at->node, (const xmlChar *)"urn:" MARK, (const xmlChar *)MARK);
}
static void
hide_name(Place *at)
{
    xmlNodeSetName(at->node, (const xmlChar *)MARK);
}
static void
hide_whole_text(Place *at)
{
    if (xmlFirstElementChild(at->node) == NULL) {
        xmlNodeSetContent(at->node, NULL);
        xmlNodeAddContent(at->node, (const xmlChar *)MARK);
    }
}
static void
hide_prefix(Place *at)
{
    if (at->node->nsDef != NULL) {
        xmlFree((xmlChar *)at->node->nsDef->prefix);
        at->node->nsDef->prefix = xmlStrdup((const xmlChar *)MARK);
    }
}

static void
hide_value(Place *at)
{
    xmlSetProp(at->node, at->attribute->name, (const xmlChar *)MARK);
}
static void
hide_nasty_value(Place *at)
{
    xmlSetProp(at->node, at->attribute->name, (const xmlChar *)NASTY);
}
static void
hide_attribute_name(Place *at)
{
    g_autoptr(xmlChar) value = xmlGetProp(at->node, at->attribute->name);
    xmlUnsetProp(at->node, at->attribute->name);
    xmlNewProp(at->node, (const xmlChar *)MARK, value);
}

typedef void (*Hide)(Place *at);

static const Hide in_elements[] = {
    hide_comment,     hide_instruction, hide_cdata,      hide_text,
    hide_entity,      hide_attribute,   hide_child,      hide_foreign_child,
    hide_declaration, hide_name,        hide_whole_text, hide_foreign_attribute,
    hide_prefix,
};
static const Hide in_attributes[] = {hide_value, hide_nasty_value, hide_attribute_name};

/*
 * Where a peer's own words reach libvirt: names and texts that are about the VM, its guest or its
 * viewers. None of them is a path, program, address or option of this host by libvirt's reading.
 */
static const char *const words[] = {
    "domain/clock/@timezone",
    "domain/cpu/feature/@name",
    "domain/cpu/model",
    "domain/cpu/model/@vendor_id",
    "domain/cpu/vendor",
    "domain/description",
    "domain/devices/channel/address/@port",
    "domain/devices/channel/target/@name",
    "domain/devices/controller/@model",
    "domain/devices/controller/model/@name",
    "domain/devices/disk/boot/@loadparm",
    "domain/devices/disk/iotune/group_name",
    "domain/devices/disk/product",
    "domain/devices/disk/serial",
    "domain/devices/disk/vendor",
    "domain/devices/disk/wwn",
    "domain/devices/graphics/@keymap",
    "domain/devices/graphics/@listen",
    "domain/devices/graphics/@passwd",
    "domain/devices/graphics/@passwdValidTo",
    "domain/devices/graphics/listen/@address",
    "domain/devices/graphics/listen/@network",
    "domain/devices/interface/filterref/@filter",
    "domain/devices/interface/filterref/parameter/@name",
    "domain/devices/interface/filterref/parameter/@value",
    "domain/devices/interface/source/@bridge",
    "domain/devices/interface/source/@network",
    "domain/devices/interface/source/@portgroup",
    "domain/devices/serial/target/model/@name",
    "domain/features/hyperv/vendor_id/@value",
    "domain/metadata/libosinfo/os/@id",
    "domain/metadata/vm/disk/@url",
    "domain/name",
    "domain/os/cmdline",
    "domain/os/firmware/feature/@name",
    "domain/os/type/@arch",
    "domain/os/type/@machine",
    "domain/sysinfo/baseBoard/entry",
    "domain/sysinfo/baseBoard/entry/@name",
    "domain/sysinfo/bios/entry",
    "domain/sysinfo/bios/entry/@name",
    "domain/sysinfo/chassis/entry",
    "domain/sysinfo/chassis/entry/@name",
    "domain/sysinfo/oemStrings/entry",
    "domain/sysinfo/system/entry",
    "domain/sysinfo/system/entry/@name",
    "domain/title",
    NULL,
};

static gchar *
place_of(xmlNode *node, const xmlAttr *attribute)
{
    GString *path = g_string_new(NULL);
    for (xmlNode *at = node; at != NULL && at->type == XML_ELEMENT_NODE; at = at->parent) {
        if (path->len > 0)
            g_string_prepend_c(path, '/');
        g_string_prepend(path, (const char *)at->name);
    }
    if (attribute != NULL)
        g_string_append_printf(path, "/@%s", (const char *)attribute->name);
    return g_string_free(path, FALSE);
}

static guint
count_elements(xmlNode *node)
{
    guint n = 1;
    for (xmlNode *at = xmlFirstElementChild(node); at != NULL; at = xmlNextElementSibling(at))
        n += count_elements(at);
    return n;
}

/* It came through: as a value in a place that is listed, and as nothing but a value. */
static void
check_words(const char *place, const char *written, guint elements, GHashTable *used)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(xmlDoc) doc = vmf_xml_read("rebuilt", written, strlen(written), G_MAXINT32, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(count_elements(xmlDocGetRootElement(doc)), ==, elements);
    if (!g_strv_contains(words, place))
        g_error("'%s' reaches libvirt: %s", place, written);
    g_hash_table_add(used, g_strdup(place));
}

/* The @n-th element of a copy, and the attribute of that number. */
static xmlNode *
nth(xmlNode *node, guint *n)
{
    if ((*n)-- == 0)
        return node;
    for (xmlNode *at = xmlFirstElementChild(node); at != NULL; at = xmlNextElementSibling(at)) {
        xmlNode *found = nth(at, n);
        if (found != NULL)
            return found;
    }
    return NULL;
}

static void
try_one(xmlDoc *original, guint element, gint attribute, Hide hide, guint elements,
        GHashTable *used)
{
    g_autoptr(xmlDoc) doc = xmlCopyDoc(original, 1);
    Place at = {nth(xmlDocGetRootElement(doc), &element), NULL};
    xmlAttr *property = at.node->properties;
    for (gint i = 0; i < attribute; i++)
        property = property->next;
    at.attribute = attribute >= 0 ? property : NULL;
    g_autofree gchar *place = place_of(at.node, at.attribute);
    hide(&at);
    g_autofree gchar *xml = definitions_text(doc);
    g_autofree gchar *written = rebuilt(xml, NULL);
    if (written != NULL && strstr(written, MARK) != NULL)
        check_words(place, written, elements, used);
}

static guint
try_all(xmlDoc *doc, GHashTable *used)
{
    guint elements = count_elements(xmlDocGetRootElement(doc)), tried = 0;
    g_autofree gchar *xml = definitions_text(doc);
    g_autofree gchar *plain = rebuilt(xml, NULL);
    g_autoptr(xmlDoc) kept = vmf_xml_read("kept", plain, strlen(plain), G_MAXINT32, NULL);
    guint after = count_elements(xmlDocGetRootElement(kept));
    for (guint i = 0; i < elements; i++) {
        guint n = i;
        gint attributes = 0;
        for (xmlAttr *at = nth(xmlDocGetRootElement(doc), &n)->properties; at; at = at->next)
            attributes++;
        for (gsize h = 0; h < G_N_ELEMENTS(in_elements); h++, tried++)
            try_one(doc, i, -1, in_elements[h], after, used);
        for (gint a = 0; a < attributes; a++)
            for (gsize h = 0; h < G_N_ELEMENTS(in_attributes); h++, tried++)
                try_one(doc, i, a, in_attributes[h], after, used);
    }
    return tried;
}

static void
test_marks(void)
{
    g_autoptr(GPtrArray) all = definitions_read(NULL);
    g_autoptr(GHashTable) used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    guint tried = 0;
    for (guint i = 0; i < all->len; i++)
        tried += try_all(((const Definition *)all->pdata[i])->doc, used);
    g_test_message("%u places", tried);
    for (guint i = 0; words[i] != NULL; i++)
        if (!g_hash_table_contains(used, words[i]))
            g_error("nothing comes through at '%s': it is listed for nothing", words[i]);
}

/* Around the root there is nothing of the model at all. */
static void
test_around(void)
{
    g_autoptr(GPtrArray) all = definitions_read(NULL);
    g_autofree gchar *text = definitions_text(((const Definition *)all->pdata[0])->doc);
    const char *root = strstr(text, "<domain");
    static const char *const before[] = {"<!-- " MARK " -->", "<?" MARK " " MARK "?>",
                                         "<?xml version='1.0' encoding='" MARK "'?>",
                                         "<!DOCTYPE domain SYSTEM '" MARK "'>"};
    for (gsize i = 0; i < G_N_ELEMENTS(before); i++) {
        g_autofree gchar *xml = g_strconcat(before[i], root, "<!-- " MARK " -->", NULL);
        g_autofree gchar *written = rebuilt(xml, NULL);
        g_assert_true(written == NULL || strstr(written, MARK) == NULL);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/domain-allowed/each-variant/kept", test_kept);
    g_test_add_func("/domain-allowed/each-row/in-the-corpus", test_whole_table);
    g_test_add_func("/domain-allowed/mark-anywhere/stays-out", test_marks);
    g_test_add_func("/domain-allowed/mark-around-the-root/stays-out", test_around);
    return g_test_run();
}
