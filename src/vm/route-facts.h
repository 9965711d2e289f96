/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/facts.h"

/**
 * vmf_route_facts_gather() - how this host reaches a peer
 * @peer:  its numeric address, as the connection to it has it: "10.0.0.2", "fd00::2"
 * @route: (inout): fresh from vmf_fact_route_new(), or a member that is
 *
 * Asks the kernel (netlink, sysfs) and nobody else; sends no packet. A failure is @route->reason.
 */
void vmf_route_facts_gather(const char *peer, VmfFactRoute *route);

/** vmf_same_subnet() - do two addresses of @bytes bytes agree in their first @prefix bits? */
gboolean vmf_same_subnet(const guint8 *a, const guint8 *b, gsize bytes, guint prefix);
