/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/machine-facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/error.h"
#include "src/vm/definition-files.h"
#include "src/vm/domain.h"
#include "src/vm/host-private.h"
#include "src/vm/libvirt-error.h"
#include "src/vm/net-facts.h"

#define NODES_MAX 1024

/* ---- memory, as the kernel tells ---- */

/* KiB of a line such as "MemAvailable:  123 kB" or "Node 0 MemFree:  123 kB"; 0: none. */
static guint64
line_kib(const char *text, const char *key)
{
    g_autofree gchar *label = g_strconcat(" ", key, ":", NULL);
    gboolean first = g_str_has_prefix(text, label + 1);
    const char *at = first ? text : strstr(text, label);
    if (at == NULL) {
        label[0] = '\n';
        at = strstr(text, label);
    }
    return at != NULL ? g_ascii_strtoull(strchr(at, ':') + 1, NULL, 10) : 0;
}

static gchar *
read_below(const char *root, const char *path)
{
    g_autofree gchar *whole = g_build_filename(root, path, NULL);
    gchar *text = NULL;
    g_file_get_contents(whole, &text, NULL, NULL);
    return text;
}

static void
read_nodes(const char *root, VmfFactMachine *machine)
{
    for (guint id = 0; id < NODES_MAX; id++) {
        g_autofree gchar *path = g_strdup_printf("sys/devices/system/node/node%u/meminfo", id);
        g_autofree gchar *text = read_below(root, path);
        if (text == NULL)
            continue;
        VmfFactNode *node = vmf_fact_node_new();
        node->id = id;
        node->free_kib = line_kib(text, "MemFree") + line_kib(text, "Inactive(file)");
        g_ptr_array_add(machine->nodes, node);
    }
}

static int
by_size(gconstpointer a, gconstpointer b)
{
    guint x = (*(VmfFactHugepages *const *)a)->size_kib,
          y = (*(VmfFactHugepages *const *)b)->size_kib;
    return (x > y) - (x < y);
}

static guint64
read_count(const char *folder, const char *pool, const char *name)
{
    g_autofree gchar *path = g_build_filename(folder, pool, name, NULL);
    g_autofree gchar *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static void
read_hugepages(const char *root, VmfFactMachine *machine)
{
    g_autofree gchar *folder = g_build_filename(root, "sys/kernel/mm/hugepages", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        guint size_kib;
        if (sscanf(name, "hugepages-%ukB", &size_kib) != 1)
            continue;
        guint64 free_pages = read_count(folder, name, "free_hugepages");
        guint64 promised = read_count(folder, name, "resv_hugepages");
        VmfFactHugepages *pages = vmf_fact_hugepages_new();
        pages->size_kib = size_kib;
        pages->free_pages = free_pages > promised ? free_pages - promised : 0;
        g_ptr_array_add(machine->hugepages, pages);
    }
    g_ptr_array_sort(machine->hugepages, by_size);
}

void
vmf_machine_facts_memory(const char *root, VmfFactMachine *machine)
{
    g_autofree gchar *text = read_below(root, "proc/meminfo");
    if (text != NULL) {
        machine->memory_kib = line_kib(text, "MemTotal");
        machine->free_kib = line_kib(text, "MemAvailable");
    }
    read_nodes(root, machine);
    read_hugepages(root, machine);
}

/* ---- domains ---- */

static int
by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

gchar **
vmf_machine_facts_macs(const char *xml)
{
    g_autoptr(GPtrArray) macs = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(xmlDoc)
        doc = vmf_xml_read("a definition", xml, strlen(xml), VMF_DOMAIN_XML_MAX, NULL);
    const xmlNode *devices = doc != NULL ? vmf_xml_child(xmlDocGetRootElement(doc), "devices")
                                         : NULL;
    for (xmlNode *at = vmf_xml_child(devices, "interface"); at != NULL; at = vmf_xml_next(at)) {
        g_autofree gchar *mac = vmf_xml_value(vmf_xml_child(at, "mac"), "address");
        if (mac[0] != '\0')
            g_ptr_array_add(macs, g_ascii_strdown(mac, -1));
    }
    g_ptr_array_sort(macs, by_text);
    g_ptr_array_add(macs, NULL);
    return (gchar **)g_ptr_array_free(g_steal_pointer(&macs), FALSE);
}

/* NULL: it ended since the list was made. */
static VmfFactDomain *
describe(virDomain *domain)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    int autostart = 0;
    char *xml = virDomainGetXMLDesc(domain, 0);
    if (xml == NULL || virDomainGetUUIDString(domain, uuid) < 0) {
        free(xml);
        return NULL;
    }
    VmfFactDomain *fact = vmf_fact_domain_new();
    vmf_fact_set(&fact->uuid, uuid);
    vmf_fact_set(&fact->name, virDomainGetName(domain));
    g_strfreev(fact->macs);
    fact->macs = vmf_machine_facts_macs(xml);
    fact->running = virDomainIsActive(domain) == 1;
    fact->autostart = virDomainGetAutostart(domain, &autostart) == 0 && autostart;
    free(xml);
    return fact;
}

static int
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(VmfFactDomain *const *)a)->name, (*(VmfFactDomain *const *)b)->name);
}

static gboolean
read_domains(virConnect *conn, VmfFactMachine *machine, GError **error)
{
    virDomainPtr *domains = NULL;
    int n = virConnectListAllDomains(conn, &domains, 0);
    if (n < 0) {
        vmf_libvirt_set_error(error, "cannot list this host's VMs");
        return FALSE;
    }
    for (int i = 0; i < n; i++) {
        VmfFactDomain *fact = describe(domains[i]);
        if (fact != NULL)
            g_ptr_array_add(machine->domains, fact);
        virDomainFree(domains[i]);
    }
    free(domains);
    g_ptr_array_sort(machine->domains, by_name);
    return TRUE;
}

/* ---- CPU and versions ---- */

static char *
get_capabilities(virConnect *conn, gconstpointer unused)
{
    return virConnectGetCapabilities(conn);
}

static gboolean
read_processor(VmfHost *host, virConnect *conn, VmfFactMachine *machine, GError **error)
{
    unsigned long libvirt = 0, qemu = 0;
    virNodeInfo node;
    g_autofree gchar *xml = vmf_host_remembered(host, conn, "capabilities", get_capabilities, NULL,
                                                error);
    g_autoptr(xmlDoc) doc = xml != NULL ? vmf_xml_read("libvirt's capabilities", xml, strlen(xml),
                                                       VMF_DOMAIN_XML_MAX, error)
                                        : NULL;
    if (doc == NULL)
        return FALSE;
    if (virConnectGetLibVersion(conn, &libvirt) < 0 || virConnectGetVersion(conn, &qemu) < 0 ||
        virNodeGetInfo(conn, &node) < 0) {
        vmf_libvirt_set_error(error, "cannot read the facts of this host");
        return FALSE;
    }
    const xmlNode *cpu = vmf_xml_at(xmlDocGetRootElement(doc), "host/cpu");
    g_autofree gchar *arch = vmf_xml_text(vmf_xml_child(cpu, "arch"));
    g_autofree gchar *vendor = vmf_xml_text(vmf_xml_child(cpu, "vendor"));
    g_autofree gchar *model = vmf_xml_text(vmf_xml_child(cpu, "model"));
    vmf_fact_set(&machine->cpu_arch, arch);
    vmf_fact_set(&machine->cpu_vendor, vendor);
    vmf_fact_set(&machine->cpu_model, model);
    machine->libvirt_version = libvirt;
    machine->qemu_version = qemu;
    machine->cpus = node.cpus;
    machine->memory_kib = node.memory;
    machine->free_kib = virNodeGetFreeMemory(conn) / 1024;
    return TRUE;
}

void
vmf_machine_facts_gather(VmfHost *host, VmfFactMachine *machine)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virConnect) conn = vmf_host_connection(host, &error);
    if (conn == NULL || !read_processor(host, conn, machine, &error) ||
        !read_domains(conn, machine, &error) || !vmf_net_facts(conn, machine->nets, &error)) {
        vmf_fact_set(&machine->reason, error->message);
        return;
    }
    vmf_machine_facts_memory("/", machine);
}
