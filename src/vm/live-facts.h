/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/vm/definition-facts.h"
#include "src/vm/host.h"

/**
 * vmf_vm_facts_gather() - a VM of this host: its definition as it runs, and how it is
 * @uuid_or_name: which
 * @rules:        as for vmf_domain_examine()
 * @vm:           (inout): fresh from vmf_fact_vm_new()
 * @xml:          (out) (optional): the definition the facts are of; NULL with @vm->reason
 *
 * A definition that cannot be had is @vm->reason, a state that cannot is @vm->live.reason.
 */
void vmf_vm_facts_gather(VmfHost *host, const char *uuid_or_name, const VmfDomainRules *rules,
                         VmfFactVm *vm, gchar **xml);
