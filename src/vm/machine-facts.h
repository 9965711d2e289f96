/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/facts.h"
#include "src/vm/host.h"

/**
 * vmf_machine_facts_gather() - this host: CPUs, memory, networks, domains
 * @machine: (inout): fresh from vmf_fact_machine_new(), or a member that is
 *
 * What libvirtd cannot change while it runs (its version, the CPU) is read once per connection to
 * it; everything else anew. A failure is @machine->reason.
 */
void vmf_machine_facts_gather(VmfHost *host, VmfFactMachine *machine);

/**
 * vmf_machine_facts_memory() - what the kernel tells of memory
 * @root: "/", or a copy of /proc/meminfo and /sys/… for tests
 *
 * free_kib is what a new VM could get: page cache that can be dropped counts as free, as in
 * MemAvailable; of a NUMA node, the file pages that are not in use. Of hugepages, those that
 * nobody has and nobody has been promised.
 */
void vmf_machine_facts_memory(const char *root, VmfFactMachine *machine);

/**
 * vmf_machine_facts_macs() - the MACs of a definition's interfaces, lower case, sorted
 *
 * Returns: (transfer full): NULL-terminated, maybe empty
 */
gchar **vmf_machine_facts_macs(const char *xml);
