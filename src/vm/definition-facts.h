/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a definition alone tells of a VM, for the checks. No libvirt, no I/O.
 *
 * The facts are what is written, also where the list of what moves (domain-table.c) refuses it: a
 * judge wants to say that a disk is on /var/lib, not that it is nowhere. Nothing of it is for use.
 */
#pragma once

#include "policy/facts.h"
#include "src/vm/domain.h"

/**
 * vmf_definition_facts() - of one definition
 * @rules: as for vmf_domain_examine()
 * @vm:    (inout): fresh from vmf_fact_vm_new(); all but ->live is set, which says that only the
 *         definition is known
 *
 * A definition that cannot be read is a fact: @vm->reason.
 *
 * Returns: (transfer full) (nullable): the examined model; NULL with @vm->reason
 */
VmfDomain *
vmf_definition_facts(const char *xml, gsize length, const VmfDomainRules *rules, VmfFactVm *vm);
