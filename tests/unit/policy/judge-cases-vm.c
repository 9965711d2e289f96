/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "judge-cases.h"

static void
shut_off(VmfFactCase *f)
{
    SET(f->vm.live.state, "shut off");
}

static void
stopped_by_error(VmfFactCase *f)
{
    SET(f->vm.live.state, "paused (I/O error)");
    case_texts(&f->vm.live.io_errors, "vda");
}

static void
busy_vm(VmfFactCase *f)
{
    SET(f->vm.live.job, "backup");
    case_texts(&f->vm.live.io_errors, "vda vdb"); /* vda stops the VM at errors, and it runs */
    case_texts(&f->vm.live.block_jobs, "vdb:copy");
}

static void
libvirt_gone(VmfFactCase *f)
{
    SET(f->vm.live.reason, "libvirtd does not answer on /run/libvirt/libvirt-sock");
}

static void
host_devices(VmfFactCase *f)
{
    VmfFactRefusal *refusal = vmf_fact_refusal_new();
    SET(refusal->element, "domain/devices/hostdev");
    refusal->line = 88;
    SET(refusal->why, "a device of this host is passed through: it does not move");
    g_ptr_array_add(f->vm.refusals, refusal);
    refusal = vmf_fact_refusal_new();
    SET(refusal->element, "domain/devices/filesystem");
    refusal->line = 97;
    SET(refusal->why, "a folder of the host does not move with the VM");
    g_ptr_array_add(f->vm.refusals, refusal);
}

static void
unreadable(VmfFactCase *f)
{
    SET(f->vm.reason, "the definition, line 3: Opening and ending tag mismatch");
}

static void
snapshots(VmfFactCase *f)
{
    case_texts(&f->vm.live.snapshots, "before-update monday");
    case_texts(&f->vm.live.checkpoints, "backup-1");
}

static void
writeback(VmfFactCase *f)
{
    SET(case_file(f, CASE_DISK)->cache, "writeback");
    SET(case_file(f, CASE_DISK)->error_policy, "report");
}

static void
nothing_stated(VmfFactCase *f)
{
    SET(case_file(f, CASE_DISK)->cache, "");
    SET(case_file(f, CASE_DISK)->error_policy, "");
}

static VmfFactDomain *
add_domain(VmfFactSide *side, const char *name, const char *uuid)
{
    VmfFactDomain *domain = vmf_fact_domain_new();
    SET(domain->name, name);
    SET(domain->uuid, uuid);
    g_ptr_array_add(side->host.machine.domains, domain);
    return domain;
}

static void
leftover(VmfFactCase *f)
{
    add_domain(THERE(f), "web1", f->vm.uuid)->autostart = TRUE;
}

static void
autostart_here(VmfFactCase *f)
{
    f->vm.live.autostart = TRUE;
}

static void
no_disks(VmfFactCase *f)
{
    while (f->vm.files->len)
        vmf_fact_file_free(g_ptr_array_remove_index(f->vm.files, 0));
}

const JudgeCase judge_cases_vm[] = {
    {"VM-200", "shut-off", VMF_RESULT_FAIL, shut_off},
    {"VM-200", "busy", VMF_RESULT_FAIL, busy_vm},
    {"VM-200", "io-error", VMF_RESULT_FAIL, stopped_by_error},
    {"VM-200", "libvirt-gone", VMF_RESULT_UNKNOWN, libvirt_gone},
    {"VM-210", "host-devices", VMF_RESULT_FAIL, host_devices},
    {"VM-210", "unreadable", VMF_RESULT_FAIL, unreadable},
    {"VM-220", "snapshots", VMF_RESULT_FAIL, snapshots},
    {"VM-230", "writeback", VMF_RESULT_FAIL, writeback},
    {"VM-230", "nothing-stated", VMF_RESULT_FAIL, nothing_stated},
    {"VM-240", "leftover", VMF_RESULT_FAIL, leftover},
    {"VM-240", "on-here", VMF_RESULT_PASS, autostart_here},
    {"VM-230", "no-disks", VMF_RESULT_NOT_APPLICABLE, no_disks},
    {NULL},
};
