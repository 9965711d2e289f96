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
    gboolean as_written;
    VmfXmlRefusals *refusals; /* NULL: the first refusal is the error */
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
    vmf_xml_refusals_free(domain->refusals);
    g_free(domain);
}

/* Lists it, or makes it the error. Returns: FALSE: what it is about is not for the model. */
static gboolean refuse(VmfDomain *domain, GError **error, VmfError code, const VmfXmlNode *node,
                       const char *path, const char *format, ...) G_GNUC_PRINTF(6, 7);

static gboolean
refuse(VmfDomain *domain, GError **error, VmfError code, const VmfXmlNode *node, const char *path,
       const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree gchar *said = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (domain->refusals == NULL)
        g_set_error(error, VMF_ERROR, code, WHAT ", line %u, %s: %s", node->line, path, said);
    else
        vmf_xml_refusals_take(domain->refusals, path, node->line, code, g_steal_pointer(&said));
    return FALSE;
}

/* After a failure: does the walk go on to what comes next? */
static gboolean
goes_on(const VmfDomain *domain)
{
    return domain->refusals != NULL;
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

/* The table has refused this element, or something in it. */
static gboolean
was_refused(const VmfDomain *domain, const char *path)
{
    for (guint i = 0; domain->refusals != NULL && i < domain->refusals->list->len; i++) {
        const VmfXmlRefusal *refusal = g_ptr_array_index(domain->refusals->list, i);
        if (g_str_has_prefix(refusal->path, path))
            return TRUE;
    }
    return FALSE;
}

static gboolean
has_machine(const VmfDomain *domain)
{
    return vmf_xml_node_attribute(domain->root, "type") != NULL &&
           vmf_xml_node_find_text(domain->root, "os/type") != NULL &&
           (domain->as_written ||
            (vmf_xml_node_find_attribute(domain->root, "os/type", "arch") != NULL &&
             vmf_xml_node_find_attribute(domain->root, "os/type", "machine") != NULL));
}

static gboolean
read_identity(VmfDomain *domain, const VmfDomainRules *rules, GError **error)
{
    gboolean ok = TRUE;
    const char *uuid = vmf_xml_node_find_text(domain->root, "uuid");
    const char *name = vmf_xml_node_find_text(domain->root, "name");
    domain->uuid = uuid != NULL ? g_ascii_strdown(uuid, -1) : NULL;
    if ((uuid == NULL && !domain->as_written && !was_refused(domain, "domain/uuid")) ||
        (name == NULL && !was_refused(domain, "domain/name")))
        ok = refuse(domain, error, VMF_ERROR_PROTOCOL, domain->root, "domain", "%s",
                    domain->as_written ? "a VM has a <name>" : "a VM has a <name> and a <uuid>");
    if (!ok && !goes_on(domain))
        return FALSE;
    if (rules->uuid != NULL && uuid != NULL && g_ascii_strcasecmp(rules->uuid, uuid) != 0)
        return refuse(domain, error, VMF_ERROR_PROTOCOL, domain->root, "domain/uuid",
                      "the UUID is %s, not %s as announced", domain->uuid, rules->uuid);
    if (rules->name != NULL && name != NULL && strcmp(rules->name, name) != 0)
        return refuse(domain, error, VMF_ERROR_PROTOCOL, domain->root, "domain/name",
                      "the name is '%s', not '%s' as announced", name, rules->name);
    if (!has_machine(domain) && !was_refused(domain, "domain/os") &&
        !was_refused(domain, "domain/@type"))
        return refuse(domain, error, VMF_ERROR_PROTOCOL, domain->root, "domain/os",
                      "a VM has a type and, in <os>, a <type> with arch and machine");
    return ok;
}

guint64
vmf_domain_unit_bytes(const char *unit)
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
        return !was_refused(domain, "domain/memory") &&
               refuse(domain, error, VMF_ERROR_PROTOCOL, domain->root, "domain/memory",
                      "a VM has a <memory>");
    amount = g_ascii_strtoull(memory->text, NULL, 10);
    if (!g_uint64_checked_mul(&bytes, amount,
                              vmf_domain_unit_bytes(vmf_xml_node_attribute(memory, "unit"))) ||
        bytes / 1024 == 0)
        return refuse(domain, error, VMF_ERROR_PROTOCOL, memory, "domain/memory",
                      "%s is no size of a memory", memory->text);
    domain->memory_kib = bytes / 1024;
    guint64 vcpus = vcpu != NULL && vcpu->text != NULL ? g_ascii_strtoull(vcpu->text, NULL, 10) : 1;
    if (vcpus == 0 || vcpus > G_MAXINT32)
        return refuse(domain, error, VMF_ERROR_PROTOCOL, vcpu, "domain/vcpu",
                      "%s is no number of CPUs", vcpu->text);
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

#define METADATA_DISK "domain/metadata/vmferry:vm/vmferry:disk"
#define DISK          "domain/devices/disk"
#define INTERFACE     "domain/devices/interface"

static gboolean
is_disk(const VmfDomain *domain, const char *target)
{
    const VmfXmlNode *devices = vmf_xml_node_find(domain->root, "devices");
    for (guint i = 0; i < devices->children->len; i++) {
        const VmfXmlNode *device = g_ptr_array_index(devices->children, i);
        const char *kind = vmf_xml_node_attribute(device, "device");
        if (is(device->name, "disk") && (kind == NULL || is(kind, "disk")) &&
            is(vmf_xml_node_find_attribute(device, "target", "dev"), target))
            return TRUE;
    }
    return FALSE;
}

static gboolean
check_metadata_disk(VmfDomain *domain, const VmfXmlNode *disk, GError **error)
{
    const char *target = vmf_xml_node_attribute(disk, "target");
    if (target == NULL || vmf_xml_node_attribute(disk, "url") == NULL ||
        vmf_xml_node_attribute(disk, "format") == NULL)
        return !disk->cut && refuse(domain, error, VMF_ERROR_CONFIG, disk, METADATA_DISK,
                                    "<vmferry:disk> has a target, a url and a format");
    if (metadata_disk(domain, target) != disk)
        return refuse(domain, error, VMF_ERROR_CONFIG, disk, METADATA_DISK,
                      "the metadata name '%s' twice", target);
    if (!is_disk(domain, target))
        return refuse(domain, error, VMF_ERROR_CONFIG, disk, METADATA_DISK,
                      "the metadata name '%s', which is no disk", target);
    return TRUE;
}

/* Each share disk in the metadata once, and each with a device. */
static gboolean
check_metadata(VmfDomain *domain, GError **error)
{
    const VmfXmlNode *vm = vmf_xml_node_find(domain->root, "metadata/vmferry:vm");
    for (guint i = 0; vm != NULL && i < vm->children->len; i++) {
        if (!check_metadata_disk(domain, g_ptr_array_index(vm->children, i), error) &&
            !goes_on(domain))
            return FALSE;
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
check_source(VmfDomain *domain, const VmfXmlNode *node, const char *target, const char *run_dir,
             GError **error)
{
    const VmfXmlNode *source = vmf_xml_node_find(node, "source");
    g_autofree gchar *socket = g_strdup_printf("%s/%s/nbd", run_dir, stated(domain->uuid));
    if (!is(vmf_xml_node_attribute(node, "type"), "network") || source == NULL ||
        !is(vmf_xml_node_attribute(source, "protocol"), "nbd") ||
        vmf_xml_node_attribute(source, "file") != NULL ||
        vmf_xml_node_attribute(source, "dev") != NULL ||
        !is(vmf_xml_node_find_attribute(source, "host", "transport"), "unix"))
        return refuse(domain, error, VMF_ERROR_UNSUPPORTED, node, DISK "/source",
                      "disk '%s' is on '%s', not behind a share: put it on one with "
                      "'vmferry attach'",
                      target, place(source));
    if (!is(vmf_xml_node_find_attribute(source, "host", "socket"), socket))
        return refuse(domain, error, VMF_ERROR_UNSUPPORTED, node, DISK "/source/host/@socket",
                      "disk '%s' is on the socket '%s'; the VM's own is '%s'", target,
                      stated(vmf_xml_node_find_attribute(source, "host", "socket")), socket);
    if (!is(vmf_xml_node_attribute(source, "name"), target))
        return refuse(domain, error, VMF_ERROR_UNSUPPORTED, node, DISK "/source/@name",
                      "disk '%s' is the export '%s'; an export has its disk's name", target,
                      stated(vmf_xml_node_attribute(source, "name")));
    return TRUE;
}

static gboolean
check_share(VmfDomain *domain, const VmfXmlNode *node, const char *target, const char *format,
            GError **error)
{
    const VmfXmlNode *share = metadata_disk(domain, target);
    if (share == NULL || vmf_xml_node_attribute(share, "url") == NULL)
        return refuse(domain, error, VMF_ERROR_CONFIG, node, DISK,
                      "the metadata do not say on which share disk '%s' is: 'vmferry attach' it",
                      target);
    if (format == NULL || !is(vmf_xml_node_attribute(share, "format"), format))
        return refuse(domain, error, VMF_ERROR_CONFIG, node, DISK "/driver/@type",
                      "disk '%s' is '%s' in its driver and '%s' in the metadata", target,
                      stated(format), stated(vmf_xml_node_attribute(share, "format")));
    return TRUE;
}

/* <source file='smb://…'>, which 'vmferry define' puts behind the VM's socket. */
static const char *
written_url(const VmfDomain *domain, const VmfXmlNode *node)
{
    const char *file = vmf_xml_node_find_attribute(node, "source", "file");
    return domain->as_written && file != NULL && g_str_has_prefix(file, "smb://") ? file : NULL;
}

static void
add_disk(VmfDomain *domain, const VmfXmlNode *node, const char *url)
{
    VmfDomainDisk *disk = g_new0(VmfDomainDisk, 1);
    disk->target = g_strdup(vmf_xml_node_find_attribute(node, "target", "dev"));
    disk->bus = g_strdup(stated(vmf_xml_node_find_attribute(node, "target", "bus")));
    disk->format = g_strdup(vmf_xml_node_find_attribute(node, "driver", "type"));
    disk->url = g_strdup(url);
    disk->cache = g_strdup(stated(vmf_xml_node_find_attribute(node, "driver", "cache")));
    g_ptr_array_add(domain->disks, disk);
}

/* libvirt cannot look behind a socket: without this QEMU would open what the disk's head names. */
static void
end_chain(const VmfXmlNode *node)
{
    if (vmf_xml_node_find(node, "backingStore") == NULL)
        g_ptr_array_add(node->children, vmf_xml_node_new("backingStore", node->line));
}

/* What libvirt writes for a drive without a medium. */
static const char *const empty_kinds[] = {"file", "block", "network", "volume", NULL};

static gboolean
read_disk(VmfDomain *domain, const VmfXmlNode *node, const char *run_dir, GError **error)
{
    const char *target = vmf_xml_node_find_attribute(node, "target", "dev");
    const char *device = vmf_xml_node_attribute(node, "device");
    const char *format = vmf_xml_node_find_attribute(node, "driver", "type");
    if (target == NULL && node->cut && goes_on(domain))
        return FALSE; /* its name is what was refused */
    if (target == NULL || !target_is_new(domain, node, target))
        return refuse(domain, error, VMF_ERROR_PROTOCOL, node, DISK "/target",
                      "disk '%s' is there twice, or has no name", stated(target));
    if (device != NULL && !is(device, "disk")) {
        const VmfXmlNode *medium = vmf_xml_node_find(node, "source");
        const char *kind = vmf_xml_node_attribute(node, "type");
        if (kind != NULL && !g_strv_contains(empty_kinds, kind))
            return refuse(domain, error, VMF_ERROR_UNSUPPORTED, node, DISK "/@type",
                          "%s '%s' is of type '%s'; an empty one is of type file", device, target,
                          kind);
        return medium == NULL ||
               refuse(domain, error, VMF_ERROR_UNSUPPORTED, node, DISK "/source",
                      "%s '%s' holds '%s', which stays on its host: eject it (virsh change-media "
                      "--eject)",
                      device, target, place(medium));
    }
    const char *url = written_url(domain, node);
    if (url != NULL && format == NULL)
        return refuse(domain, error, VMF_ERROR_CONFIG, node, DISK "/driver/@type",
                      "disk '%s' has no format: say raw or qcow2 in its <driver type>", target);
    if (url == NULL && (!check_source(domain, node, target, run_dir, error) ||
                        !check_share(domain, node, target, format, error)))
        return FALSE;
    end_chain(node);
    add_disk(domain, node,
             url != NULL ? url : vmf_xml_node_attribute(metadata_disk(domain, target), "url"));
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
    if ((source == NULL || mac == NULL) && node->cut && goes_on(domain))
        return FALSE;
    if (source == NULL || (mac == NULL && !domain->as_written))
        return refuse(domain, error, VMF_ERROR_PROTOCOL, node, INTERFACE,
                      "an interface has a type, a <source> of that type and a <mac>");
    VmfDomainInterface *interface = g_new0(VmfDomainInterface, 1);
    interface->kind = g_strdup(kind);
    interface->source = g_strdup(source);
    interface->mac = g_ascii_strdown(stated(mac), -1);
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
read_device(VmfDomain *domain, const VmfXmlNode *device, const char *run_dir, GError **error)
{
    if (is(device->name, "disk"))
        return read_disk(domain, device, run_dir, error);
    if (!is(device->name, "interface"))
        return TRUE;
    forget_actual_bridge(device);
    return read_interface(domain, device, error);
}

static gboolean
read_devices(VmfDomain *domain, const VmfDomainRules *rules, GError **error)
{
    VmfXmlNode *devices = vmf_xml_node_find(domain->root, "devices");
    if (devices == NULL)
        return refuse(domain, error, VMF_ERROR_PROTOCOL, domain->root, "domain/devices",
                      "a VM has <devices>");
    for (guint i = 0; i < devices->children->len; i++) {
        if (!read_device(domain, g_ptr_array_index(devices->children, i), rules->run_dir, error) &&
            !goes_on(domain))
            return FALSE;
    }
    if (rules->emulator != NULL) {
        VmfXmlNode *emulator = vmf_xml_node_new("emulator", devices->line);
        emulator->text = g_strdup(rules->emulator);
        g_ptr_array_insert(devices->children, 0, emulator);
    }
    return check_metadata(domain, error);
}

/* ---- the whole ---- */

static VmfDomain *
read_table(const char *xml, gsize length, const VmfDomainRules *rules, VmfXmlRefusals *refusals,
           GError **error)
{
    g_autoptr(VmfDomain) domain = g_new0(VmfDomain, 1);
    domain->disks = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_domain_disk_free);
    domain->interfaces = g_ptr_array_new_with_free_func(interface_free);
    domain->as_written = refusals != NULL && rules->as_written;
    domain->refusals = refusals;
    const VmfXmlContext context = {.what = refusals != NULL ? "the VM's definition" : WHAT,
                                   .boot_files = rules->boot_files,
                                   .firmware = rules->loaders,
                                   .refusals = refusals};
    g_autoptr(xmlDoc) doc = vmf_xml_read(context.what, xml, length, VMF_DOMAIN_XML_MAX, error);
    if (doc == NULL)
        return NULL;
    domain->root = vmf_xml_apply(vmf_domain_rules(), &context, doc, "domain", error);
    return domain->root != NULL ? g_steal_pointer(&domain) : NULL;
}

VmfDomain *
vmf_domain_rebuild(const char *xml, gsize length, const VmfDomainRules *rules, GError **error)
{
    g_autoptr(VmfDomain) domain = read_table(xml, length, rules, NULL, error);
    if (domain == NULL || !read_identity(domain, rules, error) || !read_size(domain, error) ||
        !read_devices(domain, rules, error))
        return NULL;
    return g_steal_pointer(&domain);
}

static int
by_line(gconstpointer a, gconstpointer b)
{
    guint x = (*(VmfXmlRefusal *const *)a)->line, y = (*(VmfXmlRefusal *const *)b)->line;
    return (x > y) - (x < y);
}

VmfDomain *
vmf_domain_examine(const char *xml, gsize length, const VmfDomainRules *rules, GError **error)
{
    g_autoptr(VmfDomain) domain = read_table(xml, length, rules, vmf_xml_refusals_new(), error);
    if (domain == NULL)
        return NULL;
    read_identity(domain, rules, NULL);
    read_size(domain, NULL);
    read_devices(domain, rules, NULL);
    g_ptr_array_sort(domain->refusals->list, by_line); /* stable: GLib's is a merge sort */
    return g_steal_pointer(&domain);
}

const VmfXmlRefusals *
vmf_domain_refusals(const VmfDomain *domain)
{
    return domain->refusals;
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

gchar *
vmf_domain_cpu_xml(const VmfDomain *domain)
{
    const VmfXmlNode *cpu = vmf_xml_node_find(domain->root, "cpu");
    return cpu != NULL ? vmf_xml_node_write(cpu) : NULL;
}

const char *
vmf_domain_loader(const VmfDomain *domain)
{
    return vmf_xml_node_find_text(domain->root, "os/loader");
}

const char *
vmf_domain_nvram_template(const VmfDomain *domain)
{
    return vmf_xml_node_find_attribute(domain->root, "os/nvram", "template");
}
