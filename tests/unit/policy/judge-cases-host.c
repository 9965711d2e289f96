/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "judge-cases.h"

#define ONLY_BR9 "[networks]\nallow=br9\n"

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
intel_there(VmfFactCase *f)
{
    SET(THERE(f)->host.machine.cpu_vendor, "Intel");
    SET(THERE(f)->host.machine.cpu_model, "Cascadelake-Server");
}

static void
cpu_too_old(VmfFactCase *f)
{
    THERE(f)->view.fit.cpu = VMF_FACT_CPU_INCOMPATIBLE;
    SET(THERE(f)->view.fit.cpu_problem, "missing features: avx2, xsaves");
}

static void
passthrough(VmfFactCase *f)
{
    SET(f->vm.cpu_mode, "host-passthrough");
    SET(THERE(f)->host.machine.cpu_model, "EPYC-Milan");
}

static void
cpu_unknown(VmfFactCase *f)
{
    THERE(f)->view.fit.cpu = VMF_FACT_CPU_UNKNOWN;
    SET(THERE(f)->view.fit.cpu_problem, "libvirt: this function is not supported");
}

static void
no_kvm(VmfFactCase *f)
{
    THERE(f)->view.fit.type = FALSE;
    SET(THERE(f)->view.fit.problem, "libvirt: the accel 'kvm' is not supported by '/usr/bin/qemu'");
}

static void
no_machine(VmfFactCase *f)
{
    THERE(f)->view.fit.machine = FALSE;
}

static void
other_firmware(VmfFactCase *f)
{
    SET(THERE(f)->view.fit.loader_sha256, "ffffffffffffffff");
}

static void
no_memory(VmfFactCase *f)
{
    THERE(f)->host.machine.free_kib = 3 * 1024 * 1024;
}

static void
no_hugepages(VmfFactCase *f)
{
    VmfFactHugepages *pages = vmf_fact_hugepages_new();
    pages->size_kib = f->vm.hugepage_kib = 2048;
    pages->free_pages = 100;
    g_ptr_array_add(THERE(f)->host.machine.hugepages, pages);
    case_texts(&f->vm.nodes, "0 1");
}

static void
many_cpus(VmfFactCase *f)
{
    f->vm.vcpus = 16;
}

static VmfFactNet *
net_there(VmfFactCase *f)
{
    return THERE(f)->host.machine.nets->pdata[0];
}

static void
no_bridge(VmfFactCase *f)
{
    SET(net_there(f)->name, "br1");
}

static void
network_off(VmfFactCase *f)
{
    ((VmfFactNic *)f->vm.nics->pdata[0])->kind = VMF_FACT_NET_NETWORK;
    net_there(f)->kind = VMF_FACT_NET_NETWORK;
    net_there(f)->active = FALSE;
}

static void
other_mtu(VmfFactCase *f)
{
    net_there(f)->mtu = 1400;
}

static void
other_vlan(VmfFactCase *f)
{
    case_texts(&net_there(f)->vlans, "20 30");
}

static void
routed(VmfFactCase *f)
{
    HERE(f)->peer.route.on_link = FALSE;
    SET(HERE(f)->peer.route.peer_address, "10.8.0.2");
}

static void
slow_network(VmfFactCase *f)
{
    HERE(f)->peer.route.default_route = TRUE;
    HERE(f)->peer.route.speed_mbit = 100;
}

static void
mtu_differs(VmfFactCase *f)
{
    THERE(f)->peer.route.mtu = 1500;
}

static void
taken(VmfFactCase *f)
{
    add_domain(THERE(f), "web1", "99999999-2222-4333-8444-555555555555");
    VmfFactDomain *clone = add_domain(THERE(f), "web1-clone",
                                      "88888888-2222-4333-8444-555555555555");
    case_texts(&clone->macs, "52:54:00:AA:BB:01");
    clone->running = TRUE;
}

static void
older_definition(VmfFactCase *f)
{
    add_domain(THERE(f), f->vm.name, f->vm.uuid);
}

static void
older_definition_runs(VmfFactCase *f)
{
    add_domain(THERE(f), f->vm.name, f->vm.uuid)->running = TRUE;
}

static void
old_libvirt(VmfFactCase *f)
{
    THERE(f)->host.machine.libvirt_version = 8005000;
}

static void
older_qemu(VmfFactCase *f)
{
    HERE(f)->host.machine.qemu_version = 10000002;
}

static void
no_slot(VmfFactCase *f)
{
    THERE(f)->host.queue.used = 2;
}

static void
other_job(VmfFactCase *f)
{
    SET(HERE(f)->view.job, "job 3, to hv3.lab.test");
}

static void
passthrough_without_kvm(VmfFactCase *f)
{
    SET(f->vm.cpu_mode, "host-passthrough");
    SET(f->vm.type, "qemu");
}

static void
other_arch(VmfFactCase *f)
{
    SET(THERE(f)->host.machine.cpu_arch, "aarch64");
}

static void
no_emulator(VmfFactCase *f)
{
    SET(THERE(f)->view.fit.emulator, "");
}

static void
no_firmware(VmfFactCase *f)
{
    SET(THERE(f)->view.fit.loader_sha256, "");
}

static void
firmware_unread_here(VmfFactCase *f)
{
    SET(HERE(f)->view.fit.loader_sha256, "");
}

static void
no_network(VmfFactCase *f)
{
    ((VmfFactNic *)f->vm.nics->pdata[0])->kind = VMF_FACT_NET_NETWORK;
}

static void
bridge_down(VmfFactCase *f)
{
    net_there(f)->active = FALSE;
}

static void
nic_mtu(VmfFactCase *f)
{
    ((VmfFactNic *)f->vm.nics->pdata[0])->mtu = 9000;
}

static void
no_nics(VmfFactCase *f)
{
    vmf_fact_nic_free(g_ptr_array_remove_index(f->vm.nics, 0));
}

static void
journal_broken(VmfFactCase *f)
{
    SET(THERE(f)->host.queue.reason, "the journal cannot be read: disk I/O error");
}

const JudgeCase judge_cases_host[] = {
    {"HOST-300", "other-vendor", VMF_RESULT_FAIL, intel_there},
    {"HOST-300", "too-old", VMF_RESULT_FAIL, cpu_too_old},
    {"HOST-300", "passthrough", VMF_RESULT_FAIL, passthrough},
    {"HOST-300", "unknown", VMF_RESULT_UNKNOWN, cpu_unknown},
    {"HOST-310", "no-kvm", VMF_RESULT_FAIL, no_kvm},
    {"HOST-310", "no-machine", VMF_RESULT_FAIL, no_machine},
    {"HOST-310", "other-firmware", VMF_RESULT_FAIL, other_firmware},
    {"HOST-320", "no-memory", VMF_RESULT_FAIL, no_memory},
    {"HOST-320", "no-hugepages", VMF_RESULT_FAIL, no_hugepages},
    {"HOST-320", "many-cpus", VMF_RESULT_WARN, many_cpus},
    {"HOST-330", "no-bridge", VMF_RESULT_FAIL, no_bridge},
    {"HOST-330", "network-off", VMF_RESULT_FAIL, network_off},
    {"HOST-330", "other-mtu", VMF_RESULT_FAIL, other_mtu},
    {"HOST-330", "other-vlan", VMF_RESULT_FAIL, other_vlan},
    {"HOST-330", "not-allowed", VMF_RESULT_FAIL, NULL, ONLY_BR9},
    {"HOST-340", "routed", VMF_RESULT_FAIL, routed},
    {"HOST-340", "slow", VMF_RESULT_WARN, slow_network},
    {"HOST-340", "mtu-differs", VMF_RESULT_FAIL, mtu_differs},
    {"HOST-350", "taken", VMF_RESULT_FAIL, taken},
    {"HOST-350", "older-definition", VMF_RESULT_PASS, older_definition},
    {"HOST-350", "older-definition-runs", VMF_RESULT_FAIL, older_definition_runs},
    {"HOST-360", "old-libvirt", VMF_RESULT_FAIL, old_libvirt},
    {"HOST-360", "older-qemu", VMF_RESULT_WARN, older_qemu},
    {"JOB-400", "no-slot", VMF_RESULT_FAIL, no_slot},
    {"JOB-400", "other-job", VMF_RESULT_FAIL, other_job},
    {"HOST-300", "passthrough-without-kvm", VMF_RESULT_FAIL, passthrough_without_kvm},
    {"HOST-300", "other-arch", VMF_RESULT_FAIL, other_arch},
    {"HOST-310", "no-emulator", VMF_RESULT_FAIL, no_emulator},
    {"HOST-310", "no-firmware", VMF_RESULT_FAIL, no_firmware},
    {"HOST-310", "firmware-unread-here", VMF_RESULT_UNKNOWN, firmware_unread_here},
    {"HOST-330", "no-network", VMF_RESULT_FAIL, no_network},
    {"HOST-330", "bridge-down", VMF_RESULT_FAIL, bridge_down},
    {"HOST-330", "interface-mtu", VMF_RESULT_FAIL, nic_mtu},
    {"HOST-330", "no-interface", VMF_RESULT_NOT_APPLICABLE, no_nics},
    {"JOB-400", "journal-broken", VMF_RESULT_UNKNOWN, journal_broken},
    {NULL},
};
