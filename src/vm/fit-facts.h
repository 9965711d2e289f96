/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/facts.h"
#include "src/vm/domain.h"
#include "src/vm/host.h"

/**
 * vmf_fit_facts_gather() - could this host's hypervisor run the VM?
 * @domain:  the VM as vmf_definition_facts() or vmf_domain_examine() read it. May have come from a
 *           peer: only what the list of what moves allows is looked at, so no path of its choice
 * @vm:      its facts; of these, the boot files
 * @kernels: (nullable): what [guests] kernels of this host allows; NULL-terminated
 * @fit:     (inout): fresh from vmf_fact_fit_new(), or a member that is
 *
 * libvirt's answers about machines are asked for once per connection to it. A failure to ask is
 * @fit->reason; a "no" is a fact with libvirt's words.
 */
void vmf_fit_facts_gather(VmfHost *host, const VmfDomain *domain, const VmfFactVm *vm,
                          const char *const *kernels, VmfFactFit *fit);
