/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/facts.h"
#include "src/vm/host-private.h"
#include "src/vm/netlink.h"

/**
 * vmf_net_facts() - every libvirt network, then every bridge device of this host
 * @nets: (element-type VmfFactNet): added to
 *
 * The VLAN tags of a network or bridge are those of the VLAN devices in its bridge and, of a
 * network, those of its own <vlan>. Returns: FALSE: libvirt or the kernel does not tell.
 */
gboolean vmf_net_facts(virConnect *conn, GPtrArray *nets, GError **error);

/**
 * vmf_net_facts_bridge() - facts of one bridge device; for the above, and for tests
 * @xml: (nullable): the libvirt network's definition
 */
void
vmf_net_facts_bridge(const GPtrArray *links, const char *bridge, const char *xml, VmfFactNet *net);
