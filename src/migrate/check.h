/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/judge.h"
#include "src/migrate/gather.h"
#include "src/migrate/peer-link.h"

/*
 * The check: both hosts gather what they know, the source judges.
 *
 * Operations. vmf_check_begin() looks at the VM. vmf_check_against() asks one destination and this
 * host what they see of it, at the same time, and judges; a move calls it beside its
 * own preparations, `vmferry check` for each host in a thread. Nothing is changed anywhere.
 *
 * Failure model. A destination that cannot be reached or does not answer is a finding, not an error.
 */

typedef struct _VmfCheck VmfCheck;

/**
 * vmf_check_begin() - of a VM of this host
 * @migration: (nullable): the move that asks: its own job and its own copy of the VM do not count
 * @brief:     what was learnt lately may serve (VmfShareProbe); not for a plan's comparison
 */
VmfCheck *
vmf_check_begin(const VmfContext *context, const char *uuid, const char *migration, gboolean brief);
void vmf_check_free(VmfCheck *check);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfCheck, vmf_check_free)

/**
 * VmfCheckResult - of one destination
 * @source_peer: what this host found out about it
 * @destination: what it told; NULL when @unreachable says why not
 * @report:      the verdict, never NULL
 */
typedef struct {
    gchar *to, *unreachable;
    VmfFactPeer *source_peer;
    VmfFactSide *destination;
    VmfReport *report;
} VmfCheckResult;

void vmf_check_result_free(VmfCheckResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfCheckResult, vmf_check_result_free)

/**
 * vmf_check_against() - ask @fqdn and judge. Thread-safe
 * @link:      (nullable): a connection to it; without one it is connected to
 * @cancelled: (nullable): ends the wait for its answer; without @link there is an end to it anyway
 */
VmfCheckResult *
vmf_check_against(VmfCheck *check, const char *fqdn, VmfPeerLink *link, GCancellable *cancelled);

/** vmf_check_facts() - a{sv} of the VmfFactCase behind @result; NULL when it was unreachable */
GVariant *vmf_check_facts(VmfCheck *check, const VmfCheckResult *result);

/**
 * vmf_check_compare() - with the facts of an earlier check
 * @plan: a{sv} of a VmfFactCase
 *
 * Returns: FALSE with VMF_ERROR_CONFIG naming each fact that has changed, or VMF_ERROR_PROTOCOL:
 *   @plan is not of this form, or of another VM or destination
 */
gboolean
vmf_check_compare(VmfCheck *check, const VmfCheckResult *result, GVariant *plan, GError **error);

/**
 * vmf_check_verdict() - may the VM move? FALSE: an error that tells all that blocks, with the cures
 */
gboolean vmf_check_verdict(const VmfReport *report, GError **error);

/**
 * vmf_check_all() - one VM against several hosts, at the same time
 * @hosts: names as users call them; none: every other member of the allowed group
 * @facts: (out) (optional): as vmf_check_facts(), with one host; else NULL
 *
 * Returns: VMF_ERROR_CONFIG: no such host; VMF_ERROR_UNREACHABLE: no directory
 */
VmfReportSet *vmf_check_all(const VmfContext *context, const VmfVmInfo *vm,
                            const char *const *hosts, GVariant **facts, GError **error);
