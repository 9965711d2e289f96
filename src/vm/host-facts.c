/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/host-private.h"

#include <string.h>

#include <libvirt/virterror.h>

#include "src/base/error.h"
#include "src/vm/libvirt-error.h"
#include "src/vm/xml-read.h"

#define CAPABILITIES_MAX ((gsize)4 * 1024 * 1024)

void
vmf_host_facts_free(VmfHostFacts *facts)
{
    if (facts == NULL)
        return;
    g_free(facts->hostname);
    g_free(facts->host_uuid);
    g_free(facts->cpu_arch);
    g_free(facts->cpu_model);
    g_free(facts->cpu_vendor);
    g_free(facts);
}

/* Text of an element by its path below the root: "host/cpu/arch". (transfer full) (nullable) */
static gchar *
text_at(xmlDoc *doc, const char *path)
{
    g_auto(GStrv) steps = g_strsplit(path, "/", -1);
    xmlNode *node = xmlDocGetRootElement(doc);
    for (guint i = 0; node != NULL && steps[i] != NULL; i++) {
        node = xmlFirstElementChild(node);
        while (node != NULL && strcmp((const char *)node->name, steps[i]) != 0)
            node = xmlNextElementSibling(node);
    }
    g_autoptr(xmlChar) text = node != NULL ? xmlNodeGetContent(node) : NULL;
    return g_strdup((const char *)text);
}

/* @xml is libvirt's own, to be freed with free(). */
static xmlDoc *
read_libvirt_xml(char *xml, const char *what, GError **error)
{
    xmlDoc *doc = NULL;
    if (xml == NULL)
        vmf_libvirt_set_error(error, "cannot read %s", what);
    else
        doc = vmf_xml_read(what, xml, strlen(xml), CAPABILITIES_MAX, error);
    free(xml);
    return doc;
}

VmfHostFacts *
vmf_host_facts(VmfHost *host, GError **error)
{
    unsigned long libvirt = 0, qemu = 0;
    virNodeInfo node;
    g_autoptr(virConnect) conn = vmf_host_connection(host, error);
    if (conn == NULL)
        return NULL;
    g_autoptr(xmlDoc)
        doc = read_libvirt_xml(virConnectGetCapabilities(conn), "libvirt's capabilities", error);
    if (doc == NULL)
        return NULL;
    if (virConnectGetLibVersion(conn, &libvirt) < 0 || virConnectGetVersion(conn, &qemu) < 0 ||
        virNodeGetInfo(conn, &node) < 0) {
        vmf_libvirt_set_error(error, "cannot read the facts of this host");
        return NULL;
    }
    char *hostname = virConnectGetHostname(conn);
    VmfHostFacts *facts = g_new0(VmfHostFacts, 1);
    facts->hostname = g_strdup(hostname);
    free(hostname);
    facts->host_uuid = text_at(doc, "host/uuid");
    facts->cpu_arch = text_at(doc, "host/cpu/arch");
    facts->cpu_model = text_at(doc, "host/cpu/model");
    facts->cpu_vendor = text_at(doc, "host/cpu/vendor");
    facts->libvirt_version = libvirt;
    facts->qemu_version = qemu;
    facts->cpus = node.cpus;
    facts->memory_kib = node.memory;
    facts->memory_free_kib = virNodeGetFreeMemory(conn) / 1024;
    return facts;
}

gchar *
vmf_host_emulator(VmfHost *host, const char *type, const char *arch, const char *machine,
                  GError **error)
{
    g_autoptr(virConnect) conn = vmf_host_connection(host, error);
    if (conn == NULL)
        return NULL;
    char *xml = virConnectGetDomainCapabilities(conn, NULL, arch, machine, type, 0);
    if (xml == NULL) {
        const char *why = virGetLastErrorMessage();
        int code = vmf_libvirt_error_code(virGetLastErrorCode(), virGetLastErrorDomain());
        g_set_error(error, VMF_ERROR, code == VMF_ERROR_UNREACHABLE ? code : VMF_ERROR_UNSUPPORTED,
                    "this host cannot run a '%s' machine '%s' for '%s': libvirt: %s", type, machine,
                    arch, why);
        return NULL;
    }
    g_autoptr(xmlDoc) doc = read_libvirt_xml(xml, "libvirt's domain capabilities", error);
    gchar *path = doc != NULL ? text_at(doc, "path") : NULL;
    if (doc != NULL && path == NULL)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                    "libvirt names no emulator for a '%s' machine '%s'", type, machine);
    return path;
}

gboolean
vmf_host_has_network(VmfHost *host, const char *name, GError **error)
{
    g_autoptr(virConnect) conn = vmf_host_connection(host, error);
    if (conn == NULL)
        return FALSE;
    g_autoptr(virNetwork) network = virNetworkLookupByName(conn, name);
    if (network == NULL) {
        const char *why = virGetLastErrorMessage();
        int code = vmf_libvirt_error_code(virGetLastErrorCode(), virGetLastErrorDomain());
        g_set_error(error, VMF_ERROR, code == VMF_ERROR_UNSUPPORTED ? VMF_ERROR_CONFIG : code,
                    "this host has no libvirt network '%s' (libvirt: %s): define one of that name",
                    name, why);
        return FALSE;
    }
    if (virNetworkIsActive(network) == 1)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                "the libvirt network '%s' is not active on this host: virsh net-start %s", name,
                name);
    return FALSE;
}

gboolean
vmf_host_has_bridge(const char *name, GError **error)
{
    g_autofree gchar *folder = g_build_filename("/sys/class/net", name, "bridge", NULL);
    if (strchr(name, '/') == NULL && g_file_test(folder, G_FILE_TEST_IS_DIR))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                "this host has no network bridge '%s': make one of that name", name);
    return FALSE;
}
