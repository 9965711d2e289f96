/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/domain-edit.h"

#include <string.h>

#include "src/base/error.h"
#include "src/vm/domain.h"
#include "src/vm/xml-read.h"

#define RECONNECT_SECONDS "10"
#define WHAT              "the definition"
#define SCHEME            "smb://"

/* ---- reading ---- */

static const char *
text_of(const xmlNode *node)
{
    const xmlNode *text = node != NULL ? node->children : NULL;
    return text != NULL && text->type == XML_TEXT_NODE ? (const char *)text->content : NULL;
}

/* An attribute's value, as it stands in the tree; NULL: none. */
static const char *
attribute(const xmlNode *node, const char *name)
{
    for (const xmlAttr *at = node != NULL ? node->properties : NULL; at != NULL; at = at->next) {
        if (strcmp((const char *)at->name, name) == 0)
            return at->children != NULL ? (const char *)at->children->content : "";
    }
    return NULL;
}

static gboolean
is(const char *value, const char *wanted)
{
    return g_strcmp0(value, wanted) == 0;
}

/* The first, or next after @after, child element of that name (and namespace; NULL: none). */
static xmlNode *
find_child(xmlNode *node, const char *name, const char *href, xmlNode *after)
{
    xmlNode *at = after != NULL ? xmlNextElementSibling(after)
                                : (node != NULL ? xmlFirstElementChild(node) : NULL);
    for (; at != NULL; at = xmlNextElementSibling(at)) {
        const char *its = at->ns != NULL ? (const char *)at->ns->href : NULL;
        if (is((const char *)at->name, name) && is(its, href))
            return at;
    }
    return NULL;
}

static xmlNode *
child(xmlNode *node, const char *name)
{
    return find_child(node, name, NULL, NULL);
}

static xmlDoc *
open_definition(const char *xml, GError **error)
{
    g_autoptr(GError) fault = NULL;
    g_autoptr(xmlDoc) doc = vmf_xml_read(WHAT, xml, strlen(xml), VMF_DOMAIN_XML_MAX, &fault);
    if (doc == NULL)
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_CONFIG, fault->message);
    else if (!is((const char *)xmlDocGetRootElement(doc)->name, "domain"))
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    WHAT " begins with <%s>, not with <domain>; see 'virsh dumpxml'",
                    xmlDocGetRootElement(doc)->name);
    else
        return g_steal_pointer(&doc);
    return NULL;
}

static xmlNode *
metadata_vm(xmlNode *root)
{
    return find_child(child(root, "metadata"), "vm", VMF_DOMAIN_NAMESPACE, NULL);
}

static xmlNode *
metadata_disk(xmlNode *root, const char *target)
{
    xmlNode *vm = metadata_vm(root), *disk = NULL;
    while ((disk = find_child(vm, "disk", VMF_DOMAIN_NAMESPACE, disk)) != NULL) {
        if (is(attribute(disk, "target"), target))
            return disk;
        if (vm == NULL)
            break;
    }
    return NULL;
}

static xmlNode *
device_disk(xmlNode *root, const char *target)
{
    xmlNode *devices = child(root, "devices"), *disk = NULL;
    while (devices != NULL && (disk = find_child(devices, "disk", NULL, disk)) != NULL) {
        if (is(attribute(child(disk, "target"), "dev"), target))
            return disk;
    }
    return NULL;
}

static gboolean
is_removable(const xmlNode *disk)
{
    const char *device = attribute(disk, "device");
    return device != NULL && !is(device, "disk");
}

/* ---- what a definition asks for ---- */

static VmfDomainDisk *
new_disk(const char *target, const char *bus, const char *format, const char *url)
{
    VmfDomainDisk *disk = g_new0(VmfDomainDisk, 1);
    disk->target = g_strdup(target);
    disk->bus = g_strdup(bus != NULL ? bus : "");
    disk->format = g_strdup(format);
    disk->url = g_strdup(url);
    disk->cache = g_strdup("none");
    return disk;
}

static gboolean
add_wanted(GPtrArray *wanted, const char *target, const char *bus, const char *format,
           const char *url, GError **error)
{
    if (target == NULL || url == NULL || (!is(format, "raw") && !is(format, "qcow2"))) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    WHAT ": disk '%s' on '%s' has the format '%s'; say raw or qcow2 in its "
                         "<driver type>",
                    target != NULL ? target : "", url != NULL ? url : "",
                    format != NULL ? format : "");
        return FALSE;
    }
    g_ptr_array_add(wanted, new_disk(target, bus, format, url));
    return TRUE;
}

static gboolean
add_device(GPtrArray *wanted, xmlNode *root, xmlNode *disk, GError **error)
{
    const char *target = attribute(child(disk, "target"), "dev");
    const char *bus = attribute(child(disk, "target"), "bus");
    const char *file = attribute(child(disk, "source"), "file");
    const xmlNode *known = target != NULL ? metadata_disk(root, target) : NULL;
    if (file != NULL && g_str_has_prefix(file, SCHEME))
        return add_wanted(wanted, target, bus, attribute(child(disk, "driver"), "type"), file,
                          error);
    return known == NULL || add_wanted(wanted, target, bus, attribute(known, "format"),
                                       attribute(known, "url"), error);
}

GPtrArray *
vmf_domain_edit_urls(const char *xml, GError **error)
{
    g_autoptr(xmlDoc) doc = open_definition(xml, error);
    if (doc == NULL)
        return NULL;
    xmlNode *root = xmlDocGetRootElement(doc);
    xmlNode *devices = child(root, "devices"), *vm = metadata_vm(root), *at = NULL;
    g_autoptr(GPtrArray)
        wanted = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_domain_disk_free);
    while (devices != NULL && (at = find_child(devices, "disk", NULL, at)) != NULL) {
        if (!add_device(wanted, root, at, error))
            return NULL;
    }
    while (vm != NULL && (at = find_child(vm, "disk", VMF_DOMAIN_NAMESPACE, at)) != NULL) {
        const char *target = attribute(at, "target");
        if ((target == NULL || device_disk(root, target) == NULL) &&
            !add_wanted(wanted, target, NULL, attribute(at, "format"), attribute(at, "url"), error))
            return NULL;
    }
    return g_steal_pointer(&wanted);
}

static gboolean
is_behind_share(xmlNode *root, xmlNode *disk)
{
    const char *target = attribute(child(disk, "target"), "dev");
    const char *file = attribute(child(disk, "source"), "file");
    return (target != NULL && metadata_disk(root, target) != NULL) ||
           (file != NULL && g_str_has_prefix(file, SCHEME));
}

static const char *
place(xmlNode *disk)
{
    static const char *const names[] = {"file", "dev", "name", "volume", "dir"};
    xmlNode *source = child(disk, "source");
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        if (attribute(source, names[i]) != NULL)
            return attribute(source, names[i]);
    }
    return "somewhere else";
}

gchar **
vmf_domain_edit_other_disks(const char *xml, GError **error)
{
    g_autoptr(xmlDoc) doc = open_definition(xml, error);
    if (doc == NULL)
        return NULL;
    xmlNode *root = xmlDocGetRootElement(doc), *devices = child(root, "devices"), *disk = NULL;
    g_autoptr(GStrvBuilder) others = g_strv_builder_new();
    while (devices != NULL && (disk = find_child(devices, "disk", NULL, disk)) != NULL) {
        const char *target = attribute(child(disk, "target"), "dev");
        if (is_behind_share(root, disk) || (is_removable(disk) && child(disk, "source") == NULL))
            continue;
        g_autofree gchar *said = g_strdup_printf("%s: %s", target != NULL ? target : "?",
                                                 place(disk));
        g_strv_builder_add(others, said);
    }
    return g_strv_builder_end(others);
}

static gchar *
text_below_root(const char *xml, const char *name, GError **error)
{
    g_autoptr(xmlDoc) doc = open_definition(xml, error);
    if (doc == NULL)
        return NULL;
    const char *text = text_of(child(xmlDocGetRootElement(doc), name));
    if (text == NULL)
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, WHAT " has no <%s>", name);
    return text != NULL ? g_strstrip(g_strdup(text)) : NULL;
}

/* (transfer full): in lower case: it becomes a path */
static gchar *
uuid_of(const char *stated, GError **error)
{
    g_autofree gchar *uuid = g_ascii_strdown(stated, -1);
    if (g_uuid_string_is_valid(g_strstrip(uuid)))
        return g_steal_pointer(&uuid);
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, WHAT ": '%s' is no UUID", uuid);
    return NULL;
}

gchar *
vmf_domain_edit_uuid(const char *xml, GError **error)
{
    g_autofree gchar *stated = text_below_root(xml, "uuid", error);
    return stated != NULL ? uuid_of(stated, error) : NULL;
}

gchar *
vmf_domain_edit_name(const char *xml, GError **error)
{
    return text_below_root(xml, "name", error);
}

/* ---- writing ---- */

static void
set(xmlNode *node, const char *name, const char *value)
{
    xmlSetProp(node, (const xmlChar *)name, (const xmlChar *)value);
}

static xmlNode *
add(xmlNode *parent, const char *name)
{
    return xmlNewChild(parent, NULL, (const xmlChar *)name, NULL);
}

static xmlNode *
ensure(xmlNode *parent, const char *name)
{
    xmlNode *found = child(parent, name);
    return found != NULL ? found : add(parent, name);
}

static void
remove_child(xmlNode *parent, const char *name)
{
    xmlNode *found;
    while ((found = child(parent, name)) != NULL) {
        xmlUnlinkNode(found);
        xmlFreeNode(found);
    }
}

/* The VM's UUID; made up and written down when there is none. (transfer full) */
static gchar *
ensure_uuid(xmlNode *root, GError **error)
{
    const char *stated = text_of(child(root, "uuid"));
    if (stated == NULL) {
        gchar *made = g_uuid_string_random();
        remove_child(root, "uuid");
        xmlNewTextChild(root, NULL, (const xmlChar *)"uuid", (const xmlChar *)made);
        return made;
    }
    return uuid_of(stated, error);
}

static xmlNode *
ensure_metadata(xmlNode *root)
{
    xmlNode *vm = metadata_vm(root);
    if (vm != NULL)
        return vm;
    vm = add(ensure(root, "metadata"), "vm");
    xmlSetNs(vm, xmlNewNs(vm, (const xmlChar *)VMF_DOMAIN_NAMESPACE, (const xmlChar *)"vmferry"));
    return vm;
}

static void
write_metadata(xmlNode *root, const VmfDiskEdit *edit)
{
    xmlNode *vm = ensure_metadata(root);
    xmlNode *disk = metadata_disk(root, edit->target);
    if (disk == NULL)
        disk = xmlNewChild(vm, vm->ns, (const xmlChar *)"disk", NULL);
    set(disk, "target", edit->target);
    set(disk, "url", edit->url);
    set(disk, "format", edit->format);
}

static void
write_driver(xmlNode *disk, const VmfDiskEdit *edit)
{
    xmlNode *driver = ensure(disk, "driver");
    set(driver, "name", "qemu");
    set(driver, "type", edit->format);
    set(driver, "cache", "none");
    set(driver, "io", "threads");
    set(driver, "error_policy", "stop");
    xmlUnsetProp(driver, (const xmlChar *)"rerror_policy");
}

static void
write_source(xmlNode *disk, const VmfDiskEdit *edit, const char *socket)
{
    static const char *const replaced[] = {"source", "backingStore", "auth",      "encryption",
                                           "mirror", "readonly",     "shareable", "transient"};
    for (gsize i = 0; i < G_N_ELEMENTS(replaced); i++)
        remove_child(disk, replaced[i]);
    xmlNode *source = add(disk, "source");
    set(source, "protocol", "nbd");
    set(source, "name", edit->target);
    xmlNode *host = add(source, "host");
    set(host, "transport", "unix");
    set(host, "socket", socket);
    /* libvirt 9.2: a disk process that dies is back within this time, and QEMU's requests wait for
       it. Before, libvirt drops it: QEMU stops the VM, and vmferryd lets it go on. */
    set(add(source, "reconnect"), "delay", RECONNECT_SECONDS);
    add(disk, "backingStore"); /* QEMU looks for none then, whatever the disk's head says */
}

static const char *
default_bus(const char *target)
{
    return g_str_has_prefix(target, "sd")   ? "scsi"
           : g_str_has_prefix(target, "hd") ? "ide"
                                            : "virtio";
}

/* Another bus makes the old bus's address meaningless: libvirt finds a new one. */
static void
write_target(xmlNode *disk, const VmfDiskEdit *edit)
{
    xmlNode *target = ensure(disk, "target");
    const char *had = attribute(target, "bus");
    const char *bus = edit->bus != NULL && edit->bus[0] != '\0' ? edit->bus
                      : had != NULL                             ? had
                                                                : default_bus(edit->target);
    if (had != NULL && !is(had, bus))
        remove_child(disk, "address");
    g_autofree gchar *kept = g_strdup(bus); /* @had is freed by the next line */
    set(target, "dev", edit->target);
    set(target, "bus", kept);
}

static gboolean
write_device(xmlNode *root, const VmfDiskEdit *edit, const char *socket, GError **error)
{
    xmlNode *disk = device_disk(root, edit->target);
    if (disk != NULL && is_removable(disk)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    WHAT ": '%s' is a %s; take another target for the disk '%s'", edit->target,
                    attribute(disk, "device"), edit->url);
        return FALSE;
    }
    if (disk == NULL)
        disk = add(ensure(root, "devices"), "disk");
    set(disk, "type", "network");
    set(disk, "device", "disk");
    write_driver(disk, edit);
    write_source(disk, edit, socket);
    write_target(disk, edit);
    return TRUE;
}

gchar *
vmf_domain_edit_disks(const char *xml, const char *run_dir, const VmfDiskEdit *disks, guint n_disks,
                      GError **error)
{
    /* what it says of disks must hold before one is added: nobody could read the result */
    g_autoptr(GPtrArray) urls = vmf_domain_edit_urls(xml, error);
    g_autoptr(xmlDoc) doc = urls != NULL ? open_definition(xml, error) : NULL;
    if (doc == NULL)
        return NULL;
    xmlNode *root = xmlDocGetRootElement(doc);
    g_autofree gchar *uuid = ensure_uuid(root, error);
    if (uuid == NULL)
        return NULL;
    g_autofree gchar *socket = g_strdup_printf("%s/%s/nbd", run_dir, uuid);
    for (guint i = 0; i < n_disks; i++) {
        if (!write_device(root, &disks[i], socket, error))
            return NULL;
        write_metadata(root, &disks[i]);
    }
    g_autoptr(xmlChar) written = NULL;
    int size;
    xmlDocDumpMemoryEnc(doc, &written, &size, "UTF-8");
    return g_strndup((const char *)written, (gsize)size);
}
