/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/directory.h"
#include "policy/facts.h"

/*
 * The directory's part of what the checks rest on. Asked now, never cached, but for the domain's SID
 * and name. Blocks as directory.h says; a failure is the struct's reason.
 */

/**
 * vmf_directory_facts_gather() - this host in its domain
 * @group: the allowed group, as the policy file names it: sAMAccountName or SID
 * @facts: (inout): fresh from vmf_fact_directory_new(), or a member that is
 * @kvno:  (out) (optional): key version of this host's account (msDS-KeyVersionNumber), for
 *         VmfFactKeytab.kvno; 0: the directory does not tell
 *
 * The clock is asked for anonymously: @facts->skew_ms may be known (->skew_known) where the rest is
 * not.
 */
void vmf_directory_facts_gather(VmfDirectory *directory, const char *group, VmfFactDirectory *facts,
                                guint *kvno);

/**
 * vmf_computer_facts_gather() - any computer account
 * @name:  "HV2$", "hv2" or "hv2.lab.test"
 * @facts: (inout): fresh from vmf_fact_computer_new(), or a member that is; matches 0 when there
 *         is none
 * @kvno:  (out) (optional): as above
 */
void vmf_computer_facts_gather(VmfDirectory *directory, const char *name, VmfFactComputer *facts,
                               guint *kvno);
