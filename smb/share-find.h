/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/owner-record.h"
#include "smb/share-probe.h"

/*
 * Which VM lies where: the folders of the allowed shares that hold an owner record.
 *
 * For a host that has never seen the VM: all it has is a name. Folders are searched breadth-first,
 * at most four deep, at most 20,000 of them. Read-only, under this host's computer account; what
 * that account may not list is not found.
 *
 * Failure model. What is found was written by whoever may write to the share: the definition is
 * untrusted text for vmf_domain_rebuild(), the record is what it is (owner-record.h).
 */

/**
 * VmfFoundVm - one VM on a share
 * @folder:     "smb://fs1.lab.test/vms/web1"
 * @name:       as the definition says; "" when it says none
 * @definition: content of domain.xml; "" with @problem
 * @problem:    why there is no definition, or no record: "" when both are there
 */
typedef struct {
    gchar *folder, *uuid, *name, *definition, *problem;
    VmfOwnerRecord record;
} VmfFoundVm;

void vmf_found_vm_free(VmfFoundVm *found);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfFoundVm, vmf_found_vm_free)

/**
 * vmf_share_find_vm() - find one VM
 * @vm: its name, its UUID, or the smb:// URL of its folder
 *
 * Blocks, up to a minute. Returns: (transfer full): the one that there is.
 *   VMF_ERROR_CONFIG       none; or several: names their folders
 *   VMF_ERROR_DENIED       the URL is on a share that is not allowed here
 *   VMF_ERROR_UNREACHABLE  a share could not be searched, and nothing was found on the others
 */
VmfFoundVm *vmf_share_find_vm(const VmfShareProbe *probe, const VmfLocalPolicy *policy,
                              const char *vm, GError **error);

/**
 * vmf_share_find_answer() - what vmf_share_find_vm() makes of the process's answer. Pure
 * @answer: VMF_FIND_ANSWER: its texts are those of whoever may write to a share
 */
VmfFoundVm *vmf_share_find_answer(const VmfLocalPolicy *policy, const char *vm, GVariant *answer,
                                  GError **error);

/* Between vmferryd and the process. */
#define VMF_FIND_REQUEST "(sas)" /* name or UUID, "": any; where to begin */
#define VMF_FIND_ANSWER                                                                            \
    "(a(sssays)as)" /* folder, UUID, definition, record file, problem; what failed */
#define VMF_FIND_ANSWER_MAX ((gsize)16 * 1024 * 1024)
