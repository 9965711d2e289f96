/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/net-facts.h"

#include <stdlib.h>
#include <string.h>

#include <libvirt/virterror.h>

#include "src/base/error.h"
#include "src/vm/definition-files.h"
#include "src/vm/libvirt-error.h"

#define NETWORK_MAX ((gsize)1024 * 1024)

static int
by_number(gconstpointer a, gconstpointer b)
{
    guint64 x = g_ascii_strtoull(*(const char *const *)a, NULL, 10);
    guint64 y = g_ascii_strtoull(*(const char *const *)b, NULL, 10);
    return (x > y) - (x < y);
}

static void
add_tag(GPtrArray *tags, gchar *tag)
{
    if (tag[0] == '\0' || g_ptr_array_find_with_equal_func(tags, tag, g_str_equal, NULL))
        g_free(tag);
    else
        g_ptr_array_add(tags, tag);
}

static void
add_network_tags(const char *xml, GPtrArray *tags)
{
    g_autoptr(xmlDoc) doc = vmf_xml_read("a network", xml, strlen(xml), NETWORK_MAX, NULL);
    const xmlNode *vlan = doc != NULL ? vmf_xml_child(xmlDocGetRootElement(doc), "vlan") : NULL;
    for (xmlNode *tag = vmf_xml_child(vlan, "tag"); tag != NULL; tag = vmf_xml_next(tag))
        add_tag(tags, vmf_xml_value(tag, "id"));
}

void
vmf_net_facts_bridge(const GPtrArray *links, const char *bridge, const char *xml, VmfFactNet *net)
{
    g_autoptr(GPtrArray) tags = g_ptr_array_new_with_free_func(g_free);
    const VmfLink *device = bridge != NULL ? vmf_link_by_name(links, bridge) : NULL;
    if (device != NULL)
        net->mtu = device->mtu;
    for (guint i = 0; device != NULL && i < links->len; i++) {
        const VmfLink *port = g_ptr_array_index(links, i);
        if (port->master == device->index && port->vlan != 0)
            add_tag(tags, g_strdup_printf("%u", port->vlan));
    }
    if (xml != NULL)
        add_network_tags(xml, tags);
    g_ptr_array_sort(tags, by_number);
    g_ptr_array_add(tags, NULL);
    g_strfreev(net->vlans);
    net->vlans = (gchar **)g_ptr_array_free(g_steal_pointer(&tags), FALSE);
}

static VmfFactNet *
describe_network(virNetwork *network, const GPtrArray *links)
{
    char *bridge = virNetworkGetBridgeName(network); /* NULL: of a kind that has none */
    char *xml = virNetworkGetXMLDesc(network, 0);
    VmfFactNet *net = vmf_fact_net_new();
    net->kind = VMF_FACT_NET_NETWORK;
    net->active = virNetworkIsActive(network) == 1;
    vmf_fact_set(&net->name, virNetworkGetName(network));
    vmf_net_facts_bridge(links, bridge, xml, net);
    free(bridge);
    free(xml);
    return net;
}

static void
add_bridges(const GPtrArray *links, GPtrArray *nets)
{
    for (guint i = 0; i < links->len; i++) {
        const VmfLink *link = g_ptr_array_index(links, i);
        if (strcmp(link->kind, "bridge") != 0)
            continue;
        VmfFactNet *net = vmf_fact_net_new();
        net->kind = VMF_FACT_NET_BRIDGE;
        net->active = link->up;
        vmf_fact_set(&net->name, link->name);
        vmf_net_facts_bridge(links, link->name, NULL, net);
        g_ptr_array_add(nets, net);
    }
}

gboolean
vmf_net_facts(virConnect *conn, GPtrArray *nets, GError **error)
{
    virNetworkPtr *networks = NULL;
    g_autoptr(GPtrArray) links = vmf_netlink_links(error);
    if (links == NULL)
        return FALSE;
    int n = virConnectListAllNetworks(conn, &networks, 0);
    if (n < 0 && virGetLastErrorCode() != VIR_ERR_NO_SUPPORT) {
        vmf_libvirt_set_error(error, "cannot list this host's networks");
        return FALSE;
    }
    for (int i = 0; i < n; i++) {
        g_ptr_array_add(nets, describe_network(networks[i], links));
        virNetworkFree(networks[i]);
    }
    free(networks);
    add_bridges(links, nets);
    return TRUE;
}
