/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/definition-facts.h"

#include <string.h>

#include "src/vm/definition-files.h"

#define WHAT                 "the VM's definition"
#define MAX_NODES            1024
#define DEFAULT_HUGEPAGE_KIB 2048 /* x86-64's, unless its kernel was told otherwise */

/* Takes @value. */
static void
take(gchar **member, gchar *value)
{
    g_free(*member);
    *member = value;
}

static void
read_identity(const xmlNode *root, VmfFactVm *vm)
{
    const xmlNode *type = vmf_xml_at(root, "os/type"), *cpu = vmf_xml_child(root, "cpu");
    g_autofree gchar *uuid = vmf_xml_text(vmf_xml_child(root, "uuid"));
    take(&vm->uuid, g_ascii_strdown(uuid, -1));
    take(&vm->name, vmf_xml_text(vmf_xml_child(root, "name")));
    take(&vm->type, vmf_xml_value(root, "type"));
    take(&vm->arch, vmf_xml_value(type, "arch"));
    take(&vm->machine, vmf_xml_value(type, "machine"));
    take(&vm->cpu_mode, vmf_xml_value(cpu, "mode"));
    take(&vm->cpu_model, vmf_xml_text(vmf_xml_child(cpu, "model")));
    if (vm->cpu_mode[0] == '\0' && vm->cpu_model[0] != '\0')
        vmf_fact_set(&vm->cpu_mode, "custom"); /* libvirt's default for <cpu> with a model */
    take(&vm->loader, vmf_xml_text(vmf_xml_at(root, "os/loader")));
    take(&vm->nvram_template, vmf_xml_value(vmf_xml_at(root, "os/nvram"), "template"));
}

/* "0-2,^1,5" as libvirt writes sets, into a sorted list without doubles; a limit on its size. */
static void
add_set(const char *set, gboolean *chosen)
{
    g_auto(GStrv) parts = g_strsplit(set, ",", -1);
    for (guint i = 0; parts[i] != NULL; i++) {
        gboolean out = parts[i][0] == '^';
        gchar *end = NULL;
        guint64 first = g_ascii_strtoull(parts[i] + out, &end, 10);
        guint64 last = *end == '-' ? g_ascii_strtoull(end + 1, NULL, 10) : first;
        if (end == parts[i] + out)
            continue;
        for (guint64 node = first; node <= last && node < MAX_NODES; node++)
            chosen[node] = !out;
    }
}

static void
read_nodes(const xmlNode *root, VmfFactVm *vm)
{
    g_autofree gboolean *chosen = g_new0(gboolean, MAX_NODES);
    g_autoptr(GStrvBuilder) nodes = g_strv_builder_new();
    const xmlNode *numatune = vmf_xml_child(root, "numatune");
    static const char *const names[] = {"memory", "memnode"};
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        for (xmlNode *at = vmf_xml_child(numatune, names[i]); at; at = vmf_xml_next(at)) {
            g_autofree gchar *set = vmf_xml_value(at, "nodeset");
            add_set(set, chosen);
        }
    }
    for (guint node = 0; node < MAX_NODES; node++) {
        g_autofree gchar *text = g_strdup_printf("%u", node);
        if (chosen[node])
            g_strv_builder_add(nodes, text);
    }
    g_strfreev(vm->nodes);
    vm->nodes = g_strv_builder_end(nodes);
}

static void
read_hugepages(const xmlNode *root, VmfFactVm *vm)
{
    const xmlNode *hugepages = vmf_xml_at(root, "memoryBacking/hugepages");
    const xmlNode *page = vmf_xml_child(hugepages, "page");
    g_autofree gchar *size = vmf_xml_value(page, "size");
    g_autofree gchar *unit = vmf_xml_value(page, "unit");
    if (hugepages == NULL)
        return;
    guint64 bytes = g_ascii_strtoull(size, NULL, 10) *
                    vmf_domain_unit_bytes(unit[0] != '\0' ? unit : NULL);
    vm->hugepage_kib = page != NULL && bytes / 1024 > 0 && bytes / 1024 <= G_MAXUINT
                           ? (guint)(bytes / 1024)
                           : DEFAULT_HUGEPAGE_KIB;
}

static int
by_number(gconstpointer a, gconstpointer b)
{
    guint64 x = g_ascii_strtoull(*(const char *const *)a, NULL, 10);
    guint64 y = g_ascii_strtoull(*(const char *const *)b, NULL, 10);
    return (x > y) - (x < y);
}

static gchar **
read_vlans(const xmlNode *interface)
{
    GPtrArray *tags = g_ptr_array_new();
    xmlNode *tag = vmf_xml_child(vmf_xml_child(interface, "vlan"), "tag");
    for (; tag != NULL; tag = vmf_xml_next(tag))
        g_ptr_array_add(tags, vmf_xml_value(tag, "id"));
    g_ptr_array_sort(tags, by_number);
    g_ptr_array_add(tags, NULL);
    return (gchar **)g_ptr_array_free(tags, FALSE);
}

/* An interface of another type is refused by the table, and has no network to look for. */
static void
add_nic(const xmlNode *interface, VmfFactVm *vm)
{
    g_autofree gchar *type = vmf_xml_value(interface, "type");
    gboolean bridge = strcmp(type, "bridge") == 0;
    if (!bridge && strcmp(type, "network") != 0)
        return;
    g_autofree gchar *mtu = vmf_xml_value(vmf_xml_child(interface, "mtu"), "size");
    g_autofree gchar *mac = vmf_xml_value(vmf_xml_child(interface, "mac"), "address");
    VmfFactNic *nic = vmf_fact_nic_new();
    nic->kind = bridge ? VMF_FACT_NET_BRIDGE : VMF_FACT_NET_NETWORK;
    take(&nic->name, vmf_xml_value(vmf_xml_child(interface, "source"), type));
    take(&nic->mac, g_ascii_strdown(mac, -1));
    nic->mtu = (guint)MIN(g_ascii_strtoull(mtu, NULL, 10), G_MAXUINT);
    g_strfreev(nic->vlans);
    nic->vlans = read_vlans(interface);
    g_ptr_array_add(vm->nics, nic);
}

static void
add_refusal(VmfFactVm *vm, const char *element, guint line, const char *why)
{
    VmfFactRefusal *refusal = vmf_fact_refusal_new();
    vmf_fact_set(&refusal->element, element);
    vmf_fact_set(&refusal->why, why);
    refusal->line = line;
    g_ptr_array_add(vm->refusals, refusal);
}

static void
add_refusals(const VmfXmlRefusals *refusals, VmfFactVm *vm)
{
    for (guint i = 0; i < refusals->list->len; i++) {
        const VmfXmlRefusal *at = g_ptr_array_index(refusals->list, i);
        add_refusal(vm, at->path, at->line, at->reason);
    }
    if (refusals->omitted > 0) {
        g_autofree gchar *more = g_strdup_printf("%u more things do not move", refusals->omitted);
        add_refusal(vm, "domain", 0, more);
    }
}

static void
read_document(xmlNode *root, const VmfDomain *domain, gboolean as_written, VmfFactVm *vm)
{
    const xmlNode *devices = vmf_xml_child(root, "devices");
    read_identity(root, vm);
    vm->vcpus = vmf_domain_vcpus(domain);
    vm->memory_kib = MIN(vmf_domain_memory_kib(domain), (guint64)G_MAXINT64);
    read_hugepages(root, vm);
    read_nodes(root, vm);
    for (xmlNode *at = vmf_xml_child(devices, "interface"); at != NULL; at = vmf_xml_next(at))
        add_nic(at, vm);
    vmf_definition_files(root, as_written, vm);
    add_refusals(vmf_domain_refusals(domain), vm);
}

VmfDomain *
vmf_definition_facts(const char *xml, gsize length, const VmfDomainRules *rules, VmfFactVm *vm)
{
    g_autoptr(GError) error = NULL;
    vmf_fact_set(&vm->live.reason, "only its definition is judged");
    VmfDomain *domain = vmf_domain_examine(xml, length, rules, &error);
    g_autoptr(xmlDoc)
        doc = domain != NULL ? vmf_xml_read(WHAT, xml, length, VMF_DOMAIN_XML_MAX, &error) : NULL;
    if (doc == NULL) {
        vmf_fact_set(&vm->reason, error->message);
        g_clear_pointer(&domain, vmf_domain_free);
        return NULL;
    }
    read_document(xmlDocGetRootElement(doc), domain, rules->as_written, vm);
    return domain;
}
