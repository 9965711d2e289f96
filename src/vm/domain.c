/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/domain.h"

#include <string.h>

#include "src/base/error.h"
#include "src/vm/domain-table.h"
#include "src/vm/xml-read.h"

#define WHAT "the definition that came from another host"

struct VmfDomain {
    VmfXmlNode *root;
    gchar *uuid; /* lower case */
    guint64 memory_kib;
    guint vcpus;
    GPtrArray *disks;      /* of VmfDomainDisk */
    GPtrArray *interfaces; /* of VmfDomainInterface */
};

void
vmf_domain_disk_free(VmfDomainDisk *disk)
{
    if (disk == NULL)
        return;
    g_free(disk->target);
    g_free(disk->bus);
    g_free(disk->format);
    g_free(disk->url);
    g_free(disk->cache);
    g_free(disk);
}

static void
interface_free(gpointer data)
{
    VmfDomainInterface *interface = data;
    g_free(interface->kind);
    g_free(interface->source);
    g_free(interface->mac);
    g_free(interface);
}

void
vmf_domain_free(VmfDomain *domain)
{
    if (domain == NULL)
        return;
    vmf_xml_node_free(domain->root);
    g_free(domain->uuid);
    g_ptr_array_unref(domain->disks);
    g_ptr_array_unref(domain->interfaces);
    g_free(domain);
}

static gboolean refuse(GError **error, int code, const VmfXmlNode *node, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

static gboolean
refuse(GError **error, int code, const VmfXmlNode *node, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree gchar *said = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error(error, VMF_ERROR, code, WHAT ", line %u: %s", node->line, said);
    return FALSE;
}

/* "" for what is not stated: the words below are compared, never printed as if stated. */
static const char *
stated(const char *value)
{
    return value != NULL ? value : "";
}

static gboolean
is(const char *value, const char *wanted)
{
    return g_strcmp0(value, wanted) == 0;
}

/* ---- who it is, how large ---- */

static gboolean
read_identity(VmfDomain *domain, const VmfDomainRules *rules, GError **error)
{
    const char *uuid = vmf_xml_node_find_text(domain->root, "uuid");
    const char *name = vmf_xml_node_find_text(domain->root, "name");
    if (uuid == NULL || name == NULL)
        return refuse(error, VMF_ERROR_PROTOCOL, domain->root, "a VM has a <name> and a <uuid>");
    domain->uuid = g_ascii_strdown(uuid, -1);
    if (rules->uuid != NULL && g_ascii_strcasecmp(rules->uuid, uuid) != 0)
        return refuse(error, VMF_ERROR_PROTOCOL, domain->root,
                      "the UUID is %s, not %s as announced", domain->uuid, rules->uuid);
    if (rules->name != NULL && strcmp(rules->name, name) != 0)
        return refuse(error, VMF_ERROR_PROTOCOL, domain->root,
                      "the name is '%s', not '%s' as announced", name, rules->name);
    if (vmf_xml_node_attribute(domain->root, "type") == NULL ||
        vmf_xml_node_find_text(domain->root, "os/type") == NULL ||
        vmf_xml_node_find_attribute(domain->root, "os/type", "arch") == NULL ||
        vmf_xml_node_find_attribute(domain->root, "os/type", "machine") == NULL)
        return refuse(error, VMF_ERROR_PROTOCOL, domain->root,
                      "a VM has a type and, in <os>, a <type> with arch and machine");
    return TRUE;
}

/* Bytes of a unit libvirt knows; K without B is 1024. */
static guint64
unit_bytes(const char *unit)
{
    static const char powers[] = "kmgt";
    if (unit == NULL)
        return 1024;
    const char *power = strchr(powers, g_ascii_tolower(unit[0]));
    if (power == NULL)
        return 1; /* b, B, bytes */
    guint64 base = strlen(unit) == 2 && g_ascii_toupper(unit[1]) == 'B' ? 1000 : 1024;
    guint64 bytes = base;
    for (gsize i = 0; i < (gsize)(power - powers); i++)
        bytes *= base;
    return bytes;
}

static gboolean
read_size(VmfDomain *domain, GError **error)
{
    const VmfXmlNode *memory = vmf_xml_node_find(domain->root, "memory");
    const VmfXmlNode *vcpu = vmf_xml_node_find(domain->root, "vcpu");
    guint64 amount, bytes;
    if (memory == NULL || memory->text == NULL)
        return refuse(error, VMF_ERROR_PROTOCOL, domain->root, "a VM has a <memory>");
    amount = g_ascii_strtoull(memory->text, NULL, 10);
    if (!g_uint64_checked_mul(&bytes, amount, unit_bytes(vmf_xml_node_attribute(memory, "unit"))) ||
        bytes / 1024 == 0)
        return refuse(error, VMF_ERROR_PROTOCOL, memory, "%s is no size of a memory", memory->text);
    domain->memory_kib = bytes / 1024;
    guint64 vcpus = vcpu != NULL && vcpu->text != NULL ? g_ascii_strtoull(vcpu->text, NULL, 10) : 1;
    if (vcpus == 0 || vcpus > G_MAXINT32)
        return refuse(error, VMF_ERROR_PROTOCOL, vcpu, "%s is no number of CPUs", vcpu->text);
    domain->vcpus = (guint)vcpus;
    return TRUE;
}

/* ---- disks ---- */

static const VmfXmlNode *
metadata_disk(const VmfDomain *domain, const char *target)
{
    const VmfXmlNode *vm = vmf_xml_node_find(domain->root, "metadata/vmferry:vm");
    for (guint i = 0; vm != NULL && i < vm->children->len; i++) {
        const VmfXmlNode *disk = g_ptr_array_index(vm->children, i);
        if (is(vmf_xml_node_attribute(disk, "target"), target))
            return disk;
    }
    return NULL;
}

/* Each share disk in the metadata once, and each with a device. */
static gboolean
check_metadata(const VmfDomain *domain, GError **error)
{
    const VmfXmlNode *vm = vmf_xml_node_find(domain->root, "metadata/vmferry:vm");
    for (guint i = 0; vm != NULL && i < vm->children->len; i++) {
        const VmfXmlNode *disk = g_ptr_array_index(vm->children, i);
        const char *target = vmf_xml_node_attribute(disk, "target");
        gboolean found = FALSE;
        if (target == NULL || vmf_xml_node_attribute(disk, "url") == NULL ||
            vmf_xml_node_attribute(disk, "format") == NULL)
            return refuse(error, VMF_ERROR_CONFIG, disk,
                          "<vmferry:disk> has a target, a url and a format");
        if (metadata_disk(domain, target) != disk)
            return refuse(error, VMF_ERROR_CONFIG, disk, "the metadata name '%s' twice", target);
        for (guint j = 0; !found && j < domain->disks->len; j++)
            found = is(((VmfDomainDisk *)g_ptr_array_index(domain->disks, j))->target, target);
        if (!found)
            return refuse(error, VMF_ERROR_CONFIG, disk, "the metadata name '%s', which is no disk",
                          target);
    }
    return TRUE;
}

static gboolean
target_is_new(const VmfDomain *domain, const VmfXmlNode *node, const char *target)
{
    const VmfXmlNode *devices = vmf_xml_node_find(domain->root, "devices");
    for (guint i = 0; i < devices->children->len; i++) {
        const VmfXmlNode *other = g_ptr_array_index(devices->children, i);
        if (other == node)
            return TRUE;
        if (is(other->name, "disk") &&
            is(vmf_xml_node_find_attribute(other, "target", "dev"), target))
            return FALSE;
    }
    return TRUE;
}

/* Where the disk is, as a person would say it. */
static const char *
place(const VmfXmlNode *source)
{
    static const char *const names[] = {"file", "dev", "name"};
    for (gsize i = 0; source != NULL && i < G_N_ELEMENTS(names); i++) {
        if (vmf_xml_node_attribute(source, names[i]) != NULL)
            return vmf_xml_node_attribute(source, names[i]);
    }
    return "elsewhere";
}

static gboolean
check_source(const VmfDomain *domain, const VmfXmlNode *node, const char *target,
             const char *run_dir, GError **error)
{
    const VmfXmlNode *source = vmf_xml_node_find(node, "source");
    g_autofree gchar *socket = g_strdup_printf("%s/%s/nbd", run_dir, domain->uuid);
    if (!is(vmf_xml_node_attribute(node, "type"), "network") || source == NULL ||
        !is(vmf_xml_node_attribute(source, "protocol"), "nbd") ||
        vmf_xml_node_attribute(source, "file") != NULL ||
        vmf_xml_node_attribute(source, "dev") != NULL ||
        !is(vmf_xml_node_find_attribute(source, "host", "transport"), "unix"))
        return refuse(error, VMF_ERROR_UNSUPPORTED, node,
                      "disk '%s' is on '%s', not behind a share: put it on one with "
                      "'vmferry attach'",
                      target, place(source));
    if (!is(vmf_xml_node_find_attribute(source, "host", "socket"), socket))
        return refuse(error, VMF_ERROR_UNSUPPORTED, node,
                      "disk '%s' is on the socket '%s'; the VM's own is '%s'", target,
                      stated(vmf_xml_node_find_attribute(source, "host", "socket")), socket);
    if (!is(vmf_xml_node_attribute(source, "name"), target))
        return refuse(error, VMF_ERROR_UNSUPPORTED, node,
                      "disk '%s' is the export '%s'; an export has its disk's name", target,
                      stated(vmf_xml_node_attribute(source, "name")));
    return TRUE;
}

static gboolean
read_disk(VmfDomain *domain, const VmfXmlNode *node, const char *run_dir, GError **error)
{
    const char *target = vmf_xml_node_find_attribute(node, "target", "dev");
    const char *device = vmf_xml_node_attribute(node, "device");
    const char *format = vmf_xml_node_find_attribute(node, "driver", "type");
    if (target == NULL || !target_is_new(domain, node, target))
        return refuse(error, VMF_ERROR_PROTOCOL, node, "disk '%s' is there twice, or has no name",
                      stated(target));
    if (device != NULL && !is(device, "disk")) {
        const VmfXmlNode *medium = vmf_xml_node_find(node, "source");
        return medium == NULL ||
               refuse(error, VMF_ERROR_UNSUPPORTED, node,
                      "%s '%s' holds '%s', which stays on its host: eject it (virsh change-media "
                      "--eject)",
                      device, target, place(medium));
    }
    const VmfXmlNode *share = metadata_disk(domain, target);
    if (!check_source(domain, node, target, run_dir, error))
        return FALSE;
    if (share == NULL || vmf_xml_node_attribute(share, "url") == NULL)
        return refuse(error, VMF_ERROR_CONFIG, node,
                      "the metadata do not say on which share disk '%s' is: 'vmferry attach' it",
                      target);
    if (format == NULL || !is(vmf_xml_node_attribute(share, "format"), format))
        return refuse(error, VMF_ERROR_CONFIG, node,
                      "disk '%s' is '%s' in its driver and '%s' in the metadata", target,
                      stated(format), stated(vmf_xml_node_attribute(share, "format")));
    VmfDomainDisk *disk = g_new0(VmfDomainDisk, 1);
    disk->target = g_strdup(target);
    disk->bus = g_strdup(stated(vmf_xml_node_find_attribute(node, "target", "bus")));
    disk->format = g_strdup(format);
    disk->url = g_strdup(vmf_xml_node_attribute(share, "url"));
    disk->cache = g_strdup(stated(vmf_xml_node_find_attribute(node, "driver", "cache")));
    g_ptr_array_add(domain->disks, disk);
    return TRUE;
}

/* ---- interfaces ---- */

static gboolean
read_interface(VmfDomain *domain, const VmfXmlNode *node, GError **error)
{
    const char *kind = vmf_xml_node_attribute(node, "type");
    const char *source = kind != NULL ? vmf_xml_node_find_attribute(node, "source", kind) : NULL;
    const char *mac = vmf_xml_node_find_attribute(node, "mac", "address");
    const char *mtu = vmf_xml_node_find_attribute(node, "mtu", "size");
    if (source == NULL || mac == NULL)
        return refuse(error, VMF_ERROR_PROTOCOL, node,
                      "an interface has a type, a <source> of that type and a <mac>");
    VmfDomainInterface *interface = g_new0(VmfDomainInterface, 1);
    interface->kind = g_strdup(kind);
    interface->source = g_strdup(source);
    interface->mac = g_ascii_strdown(mac, -1);
    interface->mtu = mtu != NULL ? (guint)MIN(g_ascii_strtoull(mtu, NULL, 10), G_MAXUINT) : 0;
    g_ptr_array_add(domain->interfaces, interface);
    return TRUE;
}

/* The bridge behind a libvirt network is this host's own: only the network's name travels. */
static void
forget_actual_bridge(const VmfXmlNode *node)
{
    VmfXmlNode *source = vmf_xml_node_find(node, "source");
    if (source == NULL || !is(vmf_xml_node_attribute(node, "type"), "network"))
        return;
    for (guint i = source->attributes->len; i-- > 0;) {
        if (is(g_array_index(source->attributes, VmfXmlAttribute, i).name, "bridge"))
            g_array_remove_index(source->attributes, i);
    }
}

static gboolean
read_devices(VmfDomain *domain, const VmfDomainRules *rules, GError **error)
{
    VmfXmlNode *devices = vmf_xml_node_find(domain->root, "devices");
    if (devices == NULL)
        return refuse(error, VMF_ERROR_PROTOCOL, domain->root, "a VM has <devices>");
    for (guint i = 0; i < devices->children->len; i++) {
        const VmfXmlNode *device = g_ptr_array_index(devices->children, i);
        if (is(device->name, "disk") && !read_disk(domain, device, rules->run_dir, error))
            return FALSE;
        if (is(device->name, "interface")) {
            forget_actual_bridge(device);
            if (!read_interface(domain, device, error))
                return FALSE;
        }
    }
    if (rules->emulator != NULL) {
        VmfXmlNode *emulator = vmf_xml_node_new("emulator", devices->line);
        emulator->text = g_strdup(rules->emulator);
        g_ptr_array_insert(devices->children, 0, emulator);
    }
    return check_metadata(domain, error);
}

/* ---- the whole ---- */

VmfDomain *
vmf_domain_rebuild(const char *xml, gsize length, const VmfDomainRules *rules, GError **error)
{
    const VmfXmlContext context = {
        .what = WHAT, .boot_files = rules->boot_files, .firmware = rules->loaders};
    g_autoptr(xmlDoc) doc = vmf_xml_read(WHAT, xml, length, VMF_DOMAIN_XML_MAX, error);
    if (doc == NULL)
        return NULL;
    g_autoptr(VmfDomain) domain = g_new0(VmfDomain, 1);
    domain->disks = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_domain_disk_free);
    domain->interfaces = g_ptr_array_new_with_free_func(interface_free);
    domain->root = vmf_xml_apply(vmf_domain_rules(), &context, doc, "domain", error);
    if (domain->root == NULL || !read_identity(domain, rules, error) || !read_size(domain, error) ||
        !read_devices(domain, rules, error))
        return NULL;
    return g_steal_pointer(&domain);
}

gchar *
vmf_domain_to_xml(const VmfDomain *domain)
{
    return vmf_xml_node_write(domain->root);
}

const char *
vmf_domain_uuid(const VmfDomain *domain)
{
    return domain->uuid;
}

const char *
vmf_domain_name(const VmfDomain *domain)
{
    return vmf_xml_node_find_text(domain->root, "name");
}

const char *
vmf_domain_type(const VmfDomain *domain)
{
    return vmf_xml_node_attribute(domain->root, "type");
}

const char *
vmf_domain_arch(const VmfDomain *domain)
{
    return vmf_xml_node_find_attribute(domain->root, "os/type", "arch");
}

const char *
vmf_domain_machine(const VmfDomain *domain)
{
    return vmf_xml_node_find_attribute(domain->root, "os/type", "machine");
}

const char *
vmf_domain_cpu_mode(const VmfDomain *domain)
{
    return stated(vmf_xml_node_find_attribute(domain->root, "cpu", "mode"));
}

guint64
vmf_domain_memory_kib(const VmfDomain *domain)
{
    return domain->memory_kib;
}

guint
vmf_domain_vcpus(const VmfDomain *domain)
{
    return domain->vcpus;
}

guint
vmf_domain_n_disks(const VmfDomain *domain)
{
    return domain->disks->len;
}

const VmfDomainDisk *
vmf_domain_disk(const VmfDomain *domain, guint index)
{
    return g_ptr_array_index(domain->disks, index);
}

guint
vmf_domain_n_interfaces(const VmfDomain *domain)
{
    return domain->interfaces->len;
}

const VmfDomainInterface *
vmf_domain_interface(const VmfDomain *domain, guint index)
{
    return g_ptr_array_index(domain->interfaces, index);
}
