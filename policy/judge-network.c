/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/judge-private.h"

#include <string.h>

#define VM(judge) ((judge)->facts->vm)

/* ---- HOST-330 ---- */

static const VmfFactNet *
find_net(const VmfJudgeSide *side, const VmfFactNic *nic)
{
    if (side->host == NULL || side->host->machine.reason[0])
        return NULL;
    const GPtrArray *nets = side->host->machine.nets;
    for (guint i = 0; i < nets->len; i++) {
        const VmfFactNet *net = nets->pdata[i];
        if (net->kind == nic->kind && strcmp(net->name, nic->name) == 0)
            return net;
    }
    return NULL;
}

static const char *
kind_name(VmfFactNetKind kind)
{
    return kind == VMF_FACT_NET_BRIDGE ? "bridge" : "libvirt network";
}

static gchar *
vlan_text(gchar *const *vlans)
{
    return vlans[0] ? g_strjoinv(",", (gchar **)vlans) : g_strdup("none");
}

static gboolean
same_vlans(gchar *const *a, gchar *const *b)
{
    return g_strv_equal((const gchar *const *)a, (const gchar *const *)b);
}

/* What is wrong with @there for this interface; NULL: nothing. */
static gchar *
net_fault(const VmfFactNic *nic, const VmfFactNet *here, const VmfFactNet *there)
{
    if (there == NULL)
        return g_strdup("is not there");
    if (!there->active)
        return g_strdup("is there, but not active");
    if (nic->mtu && there->mtu && there->mtu < nic->mtu)
        return g_strdup_printf("has MTU %u there, the VM's interface asks for %u", there->mtu,
                               nic->mtu);
    if (here && here->mtu && there->mtu && here->mtu != there->mtu)
        return g_strdup_printf("has MTU %u there, %u here", there->mtu, here->mtu);
    if (here && !same_vlans(here->vlans, there->vlans)) {
        g_autofree gchar *ours = vlan_text(here->vlans), *theirs = vlan_text(there->vlans);
        return g_strdup_printf("has the VLANs %s there, %s here", theirs, ours);
    }
    return NULL;
}

static void
fix_net(VmfFinding *finding, const VmfJudgeSide *side, const VmfFactNic *nic,
        const VmfFactNet *there)
{
    g_autofree gchar *virsh = vmf_judge_virsh(side);
    if (nic->kind == VMF_FACT_NET_BRIDGE && there == NULL)
        vmf_finding_fix(finding,
                        "on %s: ip link add %s type bridge, with the ports it has on the "
                        "source; and in the network configuration, to last",
                        side->fqdn, nic->name);
    else if (there == NULL)
        vmf_finding_fix(finding,
                        "virsh net-dumpxml %s > net.xml; %s net-define net.xml; %s "
                        "net-start %s",
                        nic->name, virsh, virsh, nic->name);
    else if (!there->active && nic->kind == VMF_FACT_NET_NETWORK)
        vmf_finding_fix(finding, "%s net-start %s; %s net-autostart %s", virsh, nic->name, virsh,
                        nic->name);
    else if (!there->active)
        vmf_finding_fix(finding, "on %s: ip link set %s up", side->fqdn, nic->name);
    else
        vmf_finding_fix(finding, "make it the same on both: ip -d link show; bridge vlan show");
}

static void
judge_nic(VmfJudge *judge, const VmfJudgeSide *source, const VmfJudgeSide *side,
          const VmfFactNic *nic)
{
    g_autofree gchar *object = g_strdup_printf("%s '%s'", kind_name(nic->kind), nic->name);
    gchar **allowed = judge->facts->policy->networks;
    VmfFinding *finding;
    if (allowed[0] && !g_strv_contains((const gchar *const *)allowed, nic->name)) {
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, NULL, object,
                                "is not among the networks VMs may use (interface %s)", nic->mac);
        vmf_finding_fix(finding, "[networks] allow=...;%s in " VMF_LOCAL_POLICY_FILE, nic->name);
        return;
    }
    const VmfFactNet *here = find_net(source, nic), *there = find_net(side, nic);
    g_autofree gchar *fault = net_fault(nic, here, there);
    if (fault) {
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, object, "%s (interface %s)", fault,
                                nic->mac);
        fix_net(finding, side, nic, there);
    } else {
        finding = vmf_judge_add(judge, VMF_RESULT_PASS, side, object,
                                "is there and active (interface %s)", nic->mac);
    }
    if (there)
        vmf_finding_number(finding, "mtu", there->mtu);
}

void
vmf_judge_host_330(VmfJudge *judge)
{
    VmfJudgeSide source = vmf_judge_side(judge, TRUE), side = vmf_judge_side(judge, FALSE);
    const VmfFactMachine *there = side.host ? &side.host->machine : NULL;
    if (!vmf_judge_known(judge, &side, NULL, there, there ? there->reason : NULL))
        return;
    for (guint i = 0; i < VM(judge)->nics->len; i++)
        judge_nic(judge, &source, &side, VM(judge)->nics->pdata[i]);
    if (VM(judge)->nics->len == 0)
        vmf_judge_add(judge, VMF_RESULT_NOT_APPLICABLE, &side, NULL,
                      "the VM has no network interface");
}

/* ---- HOST-340 ---- */

static void
judge_route(VmfJudge *judge, const VmfJudgeSide *side, const VmfFactRoute *route)
{
    guint before = judge->report->findings->len;
    guint minimum = judge->facts->policy->min_speed_mbit;
    const char *interface = route->interface;
    if (!route->on_link)
        vmf_finding_fix(vmf_judge_add(judge, VMF_RESULT_FAIL, side, interface,
                                      "%s is behind a router: it is not in the subnet of %s/%u",
                                      route->peer_address, route->address, route->prefix),
                        "give both hosts an address in one subnet, and let their names lead there "
                        "(DNS or /etc/hosts)");
    if (route->default_route)
        vmf_finding_fix(vmf_judge_add(judge, VMF_RESULT_WARN, side, interface,
                                      "the default route leaves by it too: moves share it with "
                                      "everything else"),
                        "a network of its own for moves, to which the hosts' names lead");
    if (route->speed_mbit && route->speed_mbit < minimum)
        vmf_finding_fix(vmf_judge_add(judge, VMF_RESULT_WARN, side, interface,
                                      "runs at %u Mbit/s, less than %u", route->speed_mbit,
                                      minimum),
                        "on %s: ethtool %s", side->fqdn, interface);
    if (judge->report->findings->len == before)
        vmf_judge_add(judge, VMF_RESULT_PASS, side, interface,
                      "%s is on the same subnet as %s/%u, MTU %u", route->peer_address,
                      route->address, route->prefix, route->mtu);
}

void
vmf_judge_host_340(VmfJudge *judge)
{
    const VmfFactRoute *routes[2] = {NULL, NULL};
    VmfJudgeSide sides[2];
    for (guint i = 0; i < 2; i++) {
        sides[i] = vmf_judge_side(judge, i == 0);
        const VmfFactRoute *route = sides[i].peer ? &sides[i].peer->route : NULL;
        if (!vmf_judge_known(judge, &sides[i], NULL, route, route ? route->reason : NULL))
            continue;
        routes[i] = route;
        judge_route(judge, &sides[i], route);
    }
    if (routes[0] == NULL || routes[1] == NULL || routes[0]->mtu == routes[1]->mtu)
        return;
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, NULL, routes[0]->interface,
                                        "MTUs differ: %u at %s, %u at %s: large packets get lost",
                                        routes[0]->mtu, sides[0].fqdn, routes[1]->mtu,
                                        sides[1].fqdn);
    vmf_finding_fix(finding, "on the one that is wrong: ip link set DEV mtu %u",
                    MAX(routes[0]->mtu, routes[1]->mtu));
}
