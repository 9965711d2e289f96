/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each check: at least one case in which it passes and one in which it does not, with the text a
 * person would read held against tests/unit/policy/golden/CASE.txt.
 *
 * VMFERRY_GOLDEN_WRITE=1 writes the files anew: look at the difference before it is committed.
 */
#include <string.h>

#include "case.h"
#include "policy/catalogue.h"

#define SET(member, text) vmf_fact_set(&(member), text)
#define HERE(f)           (&(f)->source)
#define THERE(f)          (&(f)->destination)

/**
 * Case - @id: of the check; @name: of test and file, unique; @expected: the check's worst result;
 *   @policy: what is appended to the good policy; @spoil: what is wrong
 */
typedef struct {
    const char *id, *name;
    VmfResult expected;
    void (*spoil)(VmfFactCase *facts);
    const char *policy;
} Case;

/* ---- what can be wrong: directory ---- */

static void
rc4_only(VmfFactCase *f)
{
    for (guint i = 0; i < 2; i++)
        ((VmfFactKey *)THERE(f)->host.keytab.keys->pdata[i])->enctype = 23;
}

static void
joined_again(VmfFactCase *f)
{
    HERE(f)->host.keytab.kvno = 3;
}

static void
no_ticket(VmfFactCase *f)
{
    HERE(f)->host.keytab.works = FALSE;
    SET(HERE(f)->host.keytab.problem, "Preauthentication failed");
}

static void
keytab_unreadable(VmfFactCase *f)
{
    SET(THERE(f)->host.keytab.reason, "cannot read '/etc/krb5.keytab': Permission denied");
}

static void
no_dc(VmfFactCase *f)
{
    SET(HERE(f)->host.directory.reason,
        "dc1.lab.test: Can't contact LDAP server; dc2.lab.test: timed out");
}

static void
skew_90(VmfFactCase *f)
{
    THERE(f)->host.directory.skew_ms = -90500;
}

static void
skew_400(VmfFactCase *f)
{
    HERE(f)->peer.skew_ms = 400000;
}

static void
disabled(VmfFactCase *f)
{
    HERE(f)->peer.computer.uac = 0x1002;
}

static void
controller(VmfFactCase *f)
{
    HERE(f)->peer.computer.uac = 0x82000;
}

static void
two_accounts(VmfFactCase *f)
{
    HERE(f)->peer.computer.matches = 2;
}

static void
other_domain(VmfFactCase *f)
{
    SET(HERE(f)->peer.computer.sid, "S-1-5-21-9-9-9-1104");
}

static void
not_member(VmfFactCase *f)
{
    case_texts(&THERE(f)->host.directory.self.group_sids, CASE_DOMAIN "-515");
    case_texts(&HERE(f)->peer.computer.group_sids, CASE_DOMAIN "-515");
}

static void
old_ticket(VmfFactCase *f)
{
    case_texts(&THERE(f)->peer.channel.group_sids, CASE_DOMAIN "-515");
}

static void
no_group(VmfFactCase *f)
{
    SET(HERE(f)->host.directory.group_sid, "");
    SET(HERE(f)->host.directory.group_problem, "no group of this name in LAB.TEST");
}

static void
refused_peer(VmfFactCase *f)
{
    SET(HERE(f)->peer.channel.reason,
        "hv2.lab.test:16016: connection refused; is vmferryd running there?");
}

static void
rc4_session(VmfFactCase *f)
{
    THERE(f)->peer.channel.ticket_enctype = 23;
}

/* ---- share ---- */

static void
local_disk(VmfFactCase *f)
{
    VmfFactFile *disk = case_file(f, CASE_DISK);
    SET(disk->place, "/var/lib/libvirt/images/web1.qcow2");
    SET(disk->url, "");
    disk->line = 31;
}

static void
local_cd(VmfFactCase *f)
{
    VmfFactFile *cd = case_file(f, CASE_CD);
    SET(cd->place, "/srv/iso/debian.iso");
    SET(cd->url, "");
}

static void
local_nvram(VmfFactCase *f)
{
    VmfFactFile *file = vmf_fact_file_new();
    file->role = VMF_FACT_ROLE_NVRAM;
    file->writable = TRUE;
    SET(file->place, "/var/lib/libvirt/qemu/nvram/web1_VARS.fd");
    g_ptr_array_add(f->vm.files, file);
}

static void
other_share(VmfFactCase *f)
{
    SET(case_file(f, CASE_DISK)->url, "smb://fs1.lab.test/scratch/web1.qcow2");
}

static void
not_allowed_there(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_DISK)->allowed = FALSE;
}

static void
kernel(VmfFactCase *f)
{
    VmfFactFile *file = vmf_fact_file_new();
    file->role = VMF_FACT_ROLE_BOOT;
    SET(file->place, "/boot/lab/vmlinuz");
    g_ptr_array_add(f->vm.files, file);
}

static void
kernel_missing(VmfFactCase *f)
{
    kernel(f);
    case_texts(&THERE(f)->view.fit.boot_missing, "/boot/lab/vmlinuz");
}

static void
old_dialect(VmfFactCase *f)
{
    VmfFactShare *share = THERE(f)->view.shares->pdata[0];
    share->smb3 = FALSE;
    SET(share->smb3_problem, "Function not implemented");
}

static void
no_server(VmfFactCase *f)
{
    VmfFactShare *share = THERE(f)->view.shares->pdata[0];
    SET(share->reason, "fs1.lab.test: Connection refused");
}

static void
clear_text(VmfFactCase *f)
{
    ((VmfFactShare *)HERE(f)->view.shares->pdata[0])->encryption = VMF_FACT_CRYPT_OPTIONAL;
}

static void
crypt_unknown(VmfFactCase *f)
{
    VmfFactShare *share = HERE(f)->view.shares->pdata[0];
    share->encryption = VMF_FACT_CRYPT_UNKNOWN;
    SET(share->encryption_problem, "timed out");
}

static void
other_file(VmfFactCase *f)
{
    VmfFactProbe *probe = case_probe(THERE(f), CASE_DISK);
    SET(probe->file_id, "b0099");
    probe->size_bytes = 196616;
}

static void
no_id(VmfFactCase *f)
{
    SET(case_probe(THERE(f), CASE_DISK)->file_id, "");
}

static void
other_owner(VmfFactCase *f)
{
    SET(HERE(f)->view.owner.owner_account, "HV3$");
    SET(HERE(f)->view.owner.owner_sid, CASE_DOMAIN "-1110");
    HERE(f)->view.owner.epoch = 8;
}

static void
no_record(VmfFactCase *f)
{
    HERE(f)->view.owner.present = FALSE;
}

static void
fenced(VmfFactCase *f)
{
    HERE(f)->view.disks.held = FALSE;
    SET(HERE(f)->view.disks.gate, "fenced");
    SET(HERE(f)->view.disks.trouble, "the file server was restarted");
}

static void
other_record(VmfFactCase *f)
{
    THERE(f)->view.owner.epoch = 3;
}

/* ---- access ---- */

static void
deny_live(VmfFactSide *side, const char *url)
{
    VmfFactProbe *probe = case_probe(side, url);
    probe->write = VMF_FACT_ANSWER_DENIED;
    SET(probe->descriptor, "");
    SET(probe->descriptor_problem, "Permission denied");
}

/* product.md's example: hv2 may read, nobody lets it write. */
static void
read_only_entry(VmfFactCase *f)
{
    case_descriptor(case_probe(HERE(f), CASE_DISK), "LAB\\Administrator=500:0/0/0x001f01ff",
                    "LAB\\HV1$=1103:0/0/0x001f01ff", "LAB\\VM Hosts=1105:0/0/0x001200a9", NULL);
    case_descriptor(case_probe(THERE(f), CASE_DISK), "LAB\\Administrator=500:0/0/0x001f01ff",
                    "LAB\\HV1$=1103:0/0/0x001f01ff", "LAB\\VM Hosts=1105:0/0/0x001200a9", NULL);
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_DENIED;
}

/* hv2 may not even read the list: hv1's reading explains it. */
static void
explained_by_other(VmfFactCase *f)
{
    deny_live(THERE(f), CASE_DISK);
    case_probe(THERE(f), CASE_DISK)->read = VMF_FACT_ANSWER_DENIED;
    case_descriptor(case_probe(HERE(f), CASE_DISK), "LAB\\Administrator=500:0/0/0x001f01ff",
                    "LAB\\HV1$=1103:0/0/0x001f01ff", NULL);
}

static void
denied_entry(VmfFactCase *f)
{
    for (guint i = 0; i < 2; i++)
        case_descriptor(case_probe(i ? THERE(f) : HERE(f), CASE_DISK),
                        "LAB\\HV2$=1104:1/0/0x00000002", "LAB\\VM Hosts=1105:0/0/0x001f01ff", NULL);
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_DENIED;
}

static void
denied_and_missing(VmfFactCase *f)
{
    case_descriptor(case_probe(THERE(f), CASE_DISK), "Everyone=S-1-1-0:1/16/0x00000006",
                    "LAB\\Administrator=500:0/0/0x001f01ff", NULL);
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_DENIED;
}

static void
denied_and_missing_here(VmfFactCase *f)
{
    case_descriptor(case_probe(THERE(f), CASE_DISK), "Everyone=S-1-1-0:1/0/0x00000006",
                    "LAB\\Administrator=500:0/0/0x001f01ff", NULL);
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_DENIED;
}

static void
read_only_attribute(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_DISK)->read_only = TRUE;
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_DENIED;
}

static void
nobody_reads(VmfFactCase *f)
{
    deny_live(HERE(f), CASE_DISK);
    deny_live(THERE(f), CASE_DISK);
}

static void
disk_gone(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_MISSING;
    case_probe(THERE(f), CASE_DISK)->read = VMF_FACT_ANSWER_MISSING;
}

static void
share_denies(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_DENIED;
}

static void
server_allows(VmfFactCase *f)
{
    case_descriptor(case_probe(THERE(f), CASE_DISK), "LAB\\Administrator=500:0/0/0x001f01ff", NULL);
}

static void
not_asked(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_NOT_TRIED;
}

static void
probe_failed(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_FAILED;
    SET(case_probe(THERE(f), CASE_DISK)->problem, "fs1.lab.test: Connection timed out");
}

static void
not_probed(VmfFactCase *f)
{
    SET(case_probe(THERE(f), CASE_DISK)->url, "smb://fs1.lab.test/vms/else");
}

/* A list that hangs on the server's own BUILTIN\Users, and a server that let hv2 in. */
static void
builtin_users(VmfFactCase *f)
{
    case_descriptor(case_probe(THERE(f), CASE_DISK), "BUILTIN\\Users=S-1-5-32-545:0/0/0x001f01ff",
                    NULL);
}

static void
record_not_there(VmfFactCase *f)
{
    VmfFactFile *file = vmf_fact_file_new();
    file->role = VMF_FACT_ROLE_DEFINITION;
    file->writable = TRUE;
    SET(file->url, CASE_FOLDER "/domain.xml");
    SET(file->place, CASE_FOLDER "/domain.xml");
    g_ptr_array_add(f->vm.files, file);
    for (guint i = 0; i < 2; i++) {
        VmfFactProbe *probe = vmf_fact_probe_new();
        SET(probe->url, CASE_FOLDER "/domain.xml");
        probe->allowed = TRUE;
        probe->read = probe->write = VMF_FACT_ANSWER_MISSING;
        g_ptr_array_add((i ? THERE(f) : HERE(f))->view.probes, probe);
    }
}

static void
cd_denied(VmfFactCase *f)
{
    VmfFactProbe *probe = case_probe(THERE(f), CASE_CD);
    probe->read = VMF_FACT_ANSWER_DENIED;
    case_descriptor(probe, "LAB\\Administrator=500:0/0/0x001f01ff", NULL);
}

static void
no_cd(VmfFactCase *f)
{
    vmf_fact_file_free(g_ptr_array_remove_index(f->vm.files, 1));
}

static void
folder_list_only(VmfFactCase *f)
{
    case_descriptor(case_probe(THERE(f), CASE_FOLDER), "LAB\\Administrator=500:0/3/0x001f01ff",
                    "LAB\\VM Hosts=1105:0/3/0x001200a9", NULL);
}

static void
folder_unread(VmfFactCase *f)
{
    for (guint i = 0; i < 2; i++) {
        VmfFactProbe *probe = case_probe(i ? THERE(f) : HERE(f), CASE_FOLDER);
        SET(probe->descriptor, "");
        SET(probe->descriptor_problem, "Operation not supported");
    }
}

static void
folder_refused(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_FOLDER)->read = VMF_FACT_ANSWER_DENIED;
    case_descriptor(case_probe(THERE(f), CASE_FOLDER), "LAB\\HV1$=1103:0/3/0x001f01ff", NULL);
}

/* ---- VM ---- */

static void
shut_off(VmfFactCase *f)
{
    SET(f->vm.live.state, "shut off");
}

static void
busy_vm(VmfFactCase *f)
{
    SET(f->vm.live.job, "backup");
    case_texts(&f->vm.live.io_errors, "vda vdb");
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

/* ---- host ---- */

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

#define UNSTATED "[share //fs1.lab.test/vms]\ndurable=no\n"
#define NOT_SOON "[share //fs1.lab.test/vms]\ndead-client-seconds=7200\n"
#define PREFER   "[share //fs1.lab.test/vms]\nencryption=prefer\n"
#define ONLY_BR9 "[networks]\nallow=br9\n"
#define LENIENT  "[checks]\nSMB-120=warn\n"
#define UNKNOWNS "[checks]\nunknown=warn\n"

static const Case cases[] = {
    {"DIR-010", "rc4-only", VMF_RESULT_FAIL, rc4_only},
    {"DIR-010", "joined-again", VMF_RESULT_FAIL, joined_again},
    {"DIR-010", "no-ticket", VMF_RESULT_FAIL, no_ticket},
    {"DIR-010", "unreadable", VMF_RESULT_UNKNOWN, keytab_unreadable},
    {"DIR-020", "no-dc", VMF_RESULT_FAIL, no_dc},
    {"DIR-020", "skew-90-s", VMF_RESULT_WARN, skew_90},
    {"DIR-020", "skew-400-s", VMF_RESULT_FAIL, skew_400},
    {"DIR-030", "disabled", VMF_RESULT_FAIL, disabled},
    {"DIR-030", "domain-controller", VMF_RESULT_FAIL, controller},
    {"DIR-030", "two-accounts", VMF_RESULT_FAIL, two_accounts},
    {"DIR-030", "other-domain", VMF_RESULT_FAIL, other_domain},
    {"DIR-040", "not-member", VMF_RESULT_FAIL, not_member},
    {"DIR-040", "old-ticket", VMF_RESULT_FAIL, old_ticket},
    {"DIR-040", "no-group", VMF_RESULT_FAIL, no_group},
    {"DIR-050", "refused", VMF_RESULT_FAIL, refused_peer},
    {"DIR-050", "rc4", VMF_RESULT_FAIL, rc4_session},
    {"SMB-100", "local-disk", VMF_RESULT_FAIL, local_disk},
    {"SMB-100", "local-nvram", VMF_RESULT_WARN, local_nvram},
    {"SMB-100", "local-cd", VMF_RESULT_FAIL, local_cd},
    {"SMB-100", "other-share", VMF_RESULT_FAIL, other_share},
    {"SMB-100", "not-allowed-there", VMF_RESULT_FAIL, not_allowed_there},
    {"SMB-100", "kernel-there", VMF_RESULT_PASS, kernel},
    {"SMB-100", "kernel-missing", VMF_RESULT_FAIL, kernel_missing},
    {"SMB-110", "old-dialect", VMF_RESULT_FAIL, old_dialect},
    {"SMB-110", "no-server", VMF_RESULT_UNKNOWN, no_server},
    {"SMB-111", "clear-text", VMF_RESULT_FAIL, clear_text},
    {"SMB-111", "clear-text-preferred", VMF_RESULT_WARN, clear_text, PREFER},
    {"SMB-111", "unknown", VMF_RESULT_UNKNOWN, crypt_unknown},
    {"SMB-120", "read-only-entry", VMF_RESULT_FAIL, read_only_entry},
    {"SMB-120", "explained-by-other-host", VMF_RESULT_FAIL, explained_by_other},
    {"SMB-120", "denied-entry", VMF_RESULT_FAIL, denied_entry},
    {"SMB-120", "denied-by-inheritance-and-missing", VMF_RESULT_FAIL, denied_and_missing},
    {"SMB-120", "denied-and-missing", VMF_RESULT_FAIL, denied_and_missing_here},
    {"SMB-120", "definition-unreadable", VMF_RESULT_UNKNOWN, unreadable},
    {"SMB-120", "read-only-attribute", VMF_RESULT_FAIL, read_only_attribute},
    {"SMB-120", "list-unread", VMF_RESULT_FAIL, nobody_reads},
    {"SMB-120", "disk-gone", VMF_RESULT_FAIL, disk_gone},
    {"SMB-120", "share-denies", VMF_RESULT_UNKNOWN, share_denies},
    {"SMB-120", "server-allows", VMF_RESULT_UNKNOWN, server_allows},
    {"SMB-120", "not-asked", VMF_RESULT_WARN, not_asked},
    {"SMB-120", "probe-failed", VMF_RESULT_UNKNOWN, probe_failed},
    {"SMB-120", "probe-failed-counts-little", VMF_RESULT_WARN, probe_failed, UNKNOWNS},
    {"SMB-120", "not-probed", VMF_RESULT_UNKNOWN, not_probed},
    {"SMB-120", "builtin-users", VMF_RESULT_PASS, builtin_users},
    {"SMB-120", "made-later", VMF_RESULT_PASS, record_not_there},
    {"SMB-120", "made-a-warning", VMF_RESULT_WARN, read_only_entry, LENIENT},
    {"SMB-121", "cd-denied", VMF_RESULT_FAIL, cd_denied},
    {"SMB-121", "no-cd", VMF_RESULT_NOT_APPLICABLE, no_cd},
    {"SMB-122", "list-only", VMF_RESULT_FAIL, folder_list_only},
    {"SMB-122", "list-unread", VMF_RESULT_UNKNOWN, folder_unread},
    {"SMB-122", "refused", VMF_RESULT_FAIL, folder_refused},
    {"SMB-123", "share-denies", VMF_RESULT_FAIL, share_denies},
    {"SMB-123", "server-allows", VMF_RESULT_FAIL, server_allows},
    {"SMB-123", "agree-on-denial", VMF_RESULT_PASS, denied_entry},
    {"SMB-130", "other-file", VMF_RESULT_FAIL, other_file},
    {"SMB-130", "no-id", VMF_RESULT_UNKNOWN, no_id},
    {"SMB-140", "other-owner", VMF_RESULT_FAIL, other_owner},
    {"SMB-140", "no-record", VMF_RESULT_FAIL, no_record},
    {"SMB-140", "fenced", VMF_RESULT_FAIL, fenced},
    {"SMB-140", "other-record", VMF_RESULT_FAIL, other_record},
    {"SMB-150", "not-durable", VMF_RESULT_FAIL, NULL, UNSTATED},
    {"SMB-150", "not-soon", VMF_RESULT_WARN, NULL, NOT_SOON},
    {"VM-200", "shut-off", VMF_RESULT_FAIL, shut_off},
    {"VM-200", "busy", VMF_RESULT_FAIL, busy_vm},
    {"VM-200", "libvirt-gone", VMF_RESULT_UNKNOWN, libvirt_gone},
    {"VM-210", "host-devices", VMF_RESULT_FAIL, host_devices},
    {"VM-210", "unreadable", VMF_RESULT_FAIL, unreadable},
    {"VM-220", "snapshots", VMF_RESULT_FAIL, snapshots},
    {"VM-230", "writeback", VMF_RESULT_FAIL, writeback},
    {"VM-230", "nothing-stated", VMF_RESULT_FAIL, nothing_stated},
    {"VM-240", "leftover", VMF_RESULT_FAIL, leftover},
    {"VM-240", "on-here", VMF_RESULT_PASS, autostart_here},
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
    {"HOST-360", "old-libvirt", VMF_RESULT_FAIL, old_libvirt},
    {"HOST-360", "older-qemu", VMF_RESULT_WARN, older_qemu},
    {"JOB-400", "no-slot", VMF_RESULT_FAIL, no_slot},
    {"JOB-400", "other-job", VMF_RESULT_FAIL, other_job},
};

/* ---- golden files ---- */

static gchar *
text_of_check(const VmfReport *report, const char *id)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < report->findings->len; i++) {
        const VmfFinding *finding = report->findings->pdata[i];
        if (strcmp(finding->id, id) != 0)
            continue;
        g_autofree gchar *text = vmf_finding_to_text(finding);
        g_string_append(out, text);
    }
    return g_string_free(out, FALSE);
}

static void
assert_golden(const char *name, const char *text)
{
    g_autofree gchar *file = g_strconcat(name, ".txt", NULL);
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "tests", "unit", "policy", "golden",
                                                   file, NULL);
    g_autofree gchar *golden = NULL;
    g_autoptr(GError) error = NULL;
    if (g_getenv("VMFERRY_GOLDEN_WRITE")) {
        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
        return;
    }
    g_file_get_contents(path, &golden, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, golden);
}

static VmfReport *
judge(const VmfFactCase *facts, const char *more_policy)
{
    g_autoptr(VmfLocalPolicy) policy = case_policy(more_policy ? more_policy : "");
    VmfCheckCase check = vmf_check_case(policy, facts);
    return vmf_judge(&check);
}

static void
run_case(gconstpointer data)
{
    const Case *test = data;
    g_autoptr(VmfFactCase) facts = case_good();
    if (test->spoil)
        test->spoil(facts);
    g_autoptr(VmfReport) report = judge(facts, test->policy);
    const VmfFinding *worst = vmf_report_find(report, test->id);
    g_autofree gchar *text = text_of_check(report, test->id);
    g_autofree gchar *name = g_strdup_printf("%s-%s", test->id, test->name);
    if (worst->result != test->expected)
        g_error("%s is '%s', not '%s':\n%s", name, vmf_result_name(worst->result),
                vmf_result_name(test->expected), text);
    assert_golden(name, text);
}

/* Whatever does not pass says what to do, unless only somebody else can know. */
static void
test_fixes(void)
{
    for (gsize c = 0; c < G_N_ELEMENTS(cases); c++) {
        g_autoptr(VmfFactCase) facts = case_good();
        if (cases[c].spoil)
            cases[c].spoil(facts);
        g_autoptr(VmfReport) report = judge(facts, cases[c].policy);
        for (guint i = 0; i < report->findings->len; i++) {
            const VmfFinding *finding = report->findings->pdata[i];
            if (finding->judged == VMF_RESULT_FAIL && finding->fix[0] == NULL)
                g_error("%s-%s: a failure without a fix: %s", cases[c].id, cases[c].name,
                        finding->message);
        }
    }
}

/* Each check has a case here that fails, and passes or does not apply when all is well. */
static void
test_coverage(void)
{
    g_autoptr(VmfFactCase) facts = case_good();
    g_autoptr(VmfReport) report = judge(facts, NULL);
    for (gsize i = 0; i < vmf_catalogue_rows; i++) {
        gboolean fails = FALSE;
        for (gsize c = 0; c < G_N_ELEMENTS(cases); c++)
            fails |= strcmp(cases[c].id, vmf_catalogue[i].id) == 0 &&
                     cases[c].expected == VMF_RESULT_FAIL;
        if (!fails)
            g_error("no case in which %s fails", vmf_catalogue[i].id);
        const VmfFinding *worst = vmf_report_find(report, vmf_catalogue[i].id);
        if (worst->result != VMF_RESULT_PASS)
            g_error("%s does not pass when all is well: %s", vmf_catalogue[i].id, worst->message);
    }
}

static void
test_all_well(void)
{
    g_autoptr(VmfFactCase) facts = case_good();
    g_autoptr(VmfReport) report = judge(facts, NULL);
    g_autofree gchar *text = vmf_report_to_text(report, TRUE);
    assert_golden("all-well", text);
    g_assert_cmpuint(vmf_report_status(report), ==, 0);
}

/* Nothing stated about the share: SMB-150 is unknown. */
static void
test_unstated(void)
{
    static const char policy_text[] = "[vmferry]\ngroup=VM Hosts\n[shares]\n"
                                      "allow=//fs1.lab.test/vms\n";
    g_autoptr(VmfFactCase) facts = case_good();
    g_autoptr(VmfLocalPolicy)
        policy = vmf_local_policy_parse(policy_text, sizeof policy_text - 1, "test.conf", NULL);
    VmfCheckCase check = vmf_check_case(policy, facts);
    g_autoptr(VmfReport) report = vmf_judge(&check);
    g_autofree gchar *text = text_of_check(report, "SMB-150");
    assert_golden("SMB-150-unstated", text);
    g_assert_cmpuint(vmf_report_status(report), ==, 3);
}

/* A destination that did not answer: one failure that says so, everything else of it unknown. */
static void
test_unreachable(void)
{
    g_autoptr(VmfFactCase) facts = case_good();
    g_autoptr(VmfLocalPolicy) policy = case_policy("");
    VmfCheckCase check = vmf_check_case(policy, facts);
    check.destination = NULL;
    check.destination_peer = NULL;
    check.destination_view = NULL;
    check.unreachable = "hv2.lab.test:16016: No route to host";
    g_autoptr(VmfReport) report = vmf_judge(&check);
    g_autofree gchar *text = vmf_report_to_text(report, FALSE);
    assert_golden("unreachable", text);
    g_assert_cmpuint(vmf_report_status(report), ==, 1);
    g_assert_cmpstr(vmf_report_blocker(report)->id, ==, "DIR-050");
}

/* No facts at all: no check passes, and none is left out. */
static void
test_no_facts(void)
{
    g_autoptr(VmfFactVm) vm = vmf_fact_vm_new();
    g_autoptr(VmfLocalPolicy) policy = case_policy("");
    vmf_fact_set(&vm->reason, "nothing is known");
    vmf_fact_set(&vm->live.reason, "nothing is known");
    VmfCheckCase check = {.policy = policy, .vm = vm, .from = "hv1", .to = "hv2"};
    g_autoptr(VmfReport) report = vmf_judge(&check);
    for (gsize i = 0; i < vmf_catalogue_rows; i++) {
        const VmfFinding *worst = vmf_report_find(report, vmf_catalogue[i].id);
        g_assert_nonnull(worst);
        g_assert_cmpint(worst->result, !=, VMF_RESULT_PASS);
    }
    g_assert_cmpuint(vmf_report_status(report), !=, 0);
}

static void
test_definition(void)
{
    g_autoptr(VmfFactCase) facts = case_good();
    host_devices(facts);
    local_cd(facts);
    kernel(facts);
    g_autoptr(VmfReport) report = vmf_judge_definition(NULL, &facts->vm);
    g_autofree gchar *text = vmf_report_to_text(report, TRUE);
    assert_golden("definition", text);
    g_assert_cmpuint(vmf_report_status(report), ==, 1);
}

/* What a peer or a file says cannot move the cursor. */
static void
test_control_characters(void)
{
    g_autoptr(VmfFactCase) facts = case_good();
    SET(facts->vm.live.state, "paused\x1b[2J\r\xe2\x80\xae");
    g_autoptr(VmfReport) report = judge(facts, NULL);
    g_autofree gchar *text = text_of_check(report, "VM-200");
    g_assert_nonnull(strstr(text, "is paused?[2J??; only"));
    g_assert_null(strpbrk(text, "\x1b\r"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree gchar *path = g_strdup_printf("/judge/%s/%s", cases[i].id, cases[i].name);
        g_test_add_data_func(path, &cases[i], run_case);
    }
    g_test_add_func("/judge/all-well/passes", test_all_well);
    g_test_add_func("/judge/each-check/fails-and-passes", test_coverage);
    g_test_add_func("/judge/each-failure/has-a-fix", test_fixes);
    g_test_add_func("/judge/share-unstated/unknown", test_unstated);
    g_test_add_func("/judge/unreachable/says-why", test_unreachable);
    g_test_add_func("/judge/no-facts/nothing-passes", test_no_facts);
    g_test_add_func("/judge/definition/alone", test_definition);
    g_test_add_func("/judge/control-characters/harmless", test_control_characters);
    return g_test_run();
}
