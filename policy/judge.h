/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/facts.h"
#include "policy/local-policy.h"
#include "policy/report.h"

/*
 * The judges: facts in, findings out. Pure: the same facts always give the same report.
 *
 * Every check of the catalogue gives at least one finding, in the catalogue's order. A fact that
 * is not known makes the check that rests on it "unknown", with the gatherer's reason.
 */

/**
 * VmfCheckCase - one VM, one destination
 *
 * What was not gathered is NULL, and what rests on it "unknown". Nothing is owned.
 *
 * @policy:      of the source, which judges; never NULL
 * @source, @destination:                what each host says about itself
 * @source_peer, @destination_peer:      what each says about the other
 * @source_view, @destination_view:      what each sees of the VM
 * @unreachable: why there is nothing from the destination; NULL when there is
 */
typedef struct {
    const VmfLocalPolicy *policy;
    const VmfFactVm *vm;
    const VmfFactHost *source, *destination;
    const VmfFactPeer *source_peer, *destination_peer;
    const VmfFactView *source_view, *destination_view;
    const char *from, *to; /* names of the hosts, as far as known; never NULL */
    const char *unreachable;
} VmfCheckCase;

/** vmf_check_case() - the parts of gathered facts. @facts and @policy must outlive the result */
VmfCheckCase vmf_check_case(const VmfLocalPolicy *policy, const VmfFactCase *facts);

/** vmf_judge() - every check of the catalogue. Returns: (transfer full), never NULL */
VmfReport *vmf_judge(const VmfCheckCase *facts);

/**
 * vmf_judge_definition() - what a definition alone tells: VM-210, VM-230, SMB-100
 * @policy: (nullable): without one, any share is allowed
 *
 * The other checks are "not-applicable", and say so.
 */
VmfReport *vmf_judge_definition(const VmfLocalPolicy *policy, const VmfFactVm *vm);

/**
 * vmf_judge_arrival() - what the host that a VM comes to decides by its own file: SMB-150, HOST-320,
 *   HOST-330, HOST-350; those alone are in the report
 * @policy: of that host
 * @here:   of it: ->fqdn, ->account and ->machine
 */
VmfReport *
vmf_judge_arrival(const VmfLocalPolicy *policy, const VmfFactVm *vm, const VmfFactHost *here);
