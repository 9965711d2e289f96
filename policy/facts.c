/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/facts.h"

/* The tables of facts.h: names on the wire are the members' names, with - for _. */
static const char *const net_kinds[] = {"network", "bridge", NULL};
static const char *const roles[] = {"disk", "cdrom",      "backing", "nvram",  "tpm",
                                    "boot", "definition", "record",  "folder", NULL};
static const char *const answers[] = {"not-tried", "ok",     "held", "denied",
                                      "missing",   "failed", NULL};
static const char *const crypts[] = {"unknown", "required", "optional", NULL};
static const char *const cpus[] = {"unknown", "incompatible", "identical", "superset", NULL};
G_STATIC_ASSERT(G_N_ELEMENTS(net_kinds) == VMF_FACT_NET_BRIDGE + 2);
G_STATIC_ASSERT(G_N_ELEMENTS(roles) == VMF_FACT_ROLE_FOLDER + 2);
G_STATIC_ASSERT(G_N_ELEMENTS(answers) == VMF_FACT_ANSWER_FAILED + 2);
G_STATIC_ASSERT(G_N_ELEMENTS(crypts) == VMF_FACT_CRYPT_OPTIONAL + 2);
G_STATIC_ASSERT(G_N_ELEMENTS(cpus) == VMF_FACT_CPU_SUPERSET + 2);

#define ROW(Type, member, text, Kind, ...)                                                         \
    {                                                                                              \
        text, VMF_FACT_##Kind, G_STRUCT_OFFSET(Type, member), __VA_ARGS__                          \
    }
#define SHAPE(Type, n)                                                                             \
    const VmfFactShape vmf_fact_##n##_shape = {#n, sizeof(Type), n##_fields,                       \
                                               G_N_ELEMENTS(n##_fields)};

static const VmfFactField key_fields[] = {
    ROW(VmfFactKey, principal, "principal", TEXT),
    ROW(VmfFactKey, kvno, "kvno", NUMBER),
    ROW(VmfFactKey, enctype, "enctype", NUMBER),
};
SHAPE(VmfFactKey, key)

static const VmfFactField keytab_fields[] = {
    ROW(VmfFactKeytab, reason, "reason", TEXT),
    ROW(VmfFactKeytab, path, "path", TEXT),
    ROW(VmfFactKeytab, keys, "keys", LIST, .shape = &vmf_fact_key_shape),
    ROW(VmfFactKeytab, works, "works", FLAG),
    ROW(VmfFactKeytab, problem, "problem", TEXT),
    ROW(VmfFactKeytab, kvno, "kvno", NUMBER),
};
SHAPE(VmfFactKeytab, keytab)

static const VmfFactField computer_fields[] = {
    ROW(VmfFactComputer, reason, "reason", TEXT),
    ROW(VmfFactComputer, matches, "matches", NUMBER),
    ROW(VmfFactComputer, account, "account", TEXT),
    ROW(VmfFactComputer, fqdn, "fqdn", TEXT),
    ROW(VmfFactComputer, sid, "sid", TEXT),
    ROW(VmfFactComputer, uac, "uac", NUMBER),
    ROW(VmfFactComputer, primary_rid, "primary-rid", NUMBER),
    ROW(VmfFactComputer, group_sids, "group-sids", TEXTS),
    ROW(VmfFactComputer, sid_history, "sid-history", TEXTS),
};
SHAPE(VmfFactComputer, computer)

static const VmfFactField directory_fields[] = {
    ROW(VmfFactDirectory, reason, "reason", TEXT),
    ROW(VmfFactDirectory, server, "server", TEXT, .fleeting = TRUE),
    ROW(VmfFactDirectory, domain, "domain", TEXT),
    ROW(VmfFactDirectory, domain_sid, "domain-sid", TEXT),
    ROW(VmfFactDirectory, skew_known, "skew-known", FLAG),
    ROW(VmfFactDirectory, skew_ms, "skew-ms", SIGNED, .fleeting = TRUE),
    ROW(VmfFactDirectory, group, "group", TEXT),
    ROW(VmfFactDirectory, group_sid, "group-sid", TEXT),
    ROW(VmfFactDirectory, group_name, "group-name", TEXT),
    ROW(VmfFactDirectory, group_problem, "group-problem", TEXT),
    ROW(VmfFactDirectory, self, "self", STRUCT, .shape = &vmf_fact_computer_shape),
};
SHAPE(VmfFactDirectory, directory)

static const VmfFactField channel_fields[] = {
    ROW(VmfFactChannel, reason, "reason", TEXT),
    ROW(VmfFactChannel, mutual, "mutual", FLAG),
    ROW(VmfFactChannel, by_ticket, "by-ticket", FLAG),
    ROW(VmfFactChannel, principal, "principal", TEXT),
    ROW(VmfFactChannel, account, "account", TEXT),
    ROW(VmfFactChannel, sid, "sid", TEXT),
    ROW(VmfFactChannel, group_sids, "group-sids", TEXTS),
    ROW(VmfFactChannel, ticket_enctype, "ticket-enctype", NUMBER),
    ROW(VmfFactChannel, session_enctype, "session-enctype", NUMBER),
};
SHAPE(VmfFactChannel, channel)

static const VmfFactField net_fields[] = {
    ROW(VmfFactNet, kind, "kind", WORD, .words = net_kinds),
    ROW(VmfFactNet, name, "name", TEXT),
    ROW(VmfFactNet, active, "active", FLAG),
    ROW(VmfFactNet, mtu, "mtu", NUMBER),
    ROW(VmfFactNet, vlans, "vlans", TEXTS),
};
SHAPE(VmfFactNet, net)

static const VmfFactField hugepages_fields[] = {
    ROW(VmfFactHugepages, size_kib, "size-kib", NUMBER),
    ROW(VmfFactHugepages, free_pages, "free-pages", LARGE, .fleeting = TRUE),
};
SHAPE(VmfFactHugepages, hugepages)

static const VmfFactField node_fields[] = {
    ROW(VmfFactNode, id, "id", NUMBER),
    ROW(VmfFactNode, free_kib, "free-kib", LARGE, .fleeting = TRUE),
};
SHAPE(VmfFactNode, node)

static const VmfFactField domain_fields[] = {
    ROW(VmfFactDomain, uuid, "uuid", TEXT),           ROW(VmfFactDomain, name, "name", TEXT),
    ROW(VmfFactDomain, macs, "macs", TEXTS),          ROW(VmfFactDomain, running, "running", FLAG, .fleeting = TRUE),
    ROW(VmfFactDomain, autostart, "autostart", FLAG),
};
SHAPE(VmfFactDomain, domain)

static const VmfFactField machine_fields[] = {
    ROW(VmfFactMachine, reason, "reason", TEXT),
    ROW(VmfFactMachine, libvirt_version, "libvirt-version", LARGE),
    ROW(VmfFactMachine, qemu_version, "qemu-version", LARGE),
    ROW(VmfFactMachine, cpu_arch, "cpu-arch", TEXT),
    ROW(VmfFactMachine, cpu_vendor, "cpu-vendor", TEXT),
    ROW(VmfFactMachine, cpu_model, "cpu-model", TEXT),
    ROW(VmfFactMachine, cpus, "cpus", NUMBER),
    ROW(VmfFactMachine, memory_kib, "memory-kib", LARGE),
    ROW(VmfFactMachine, free_kib, "free-kib", LARGE, .fleeting = TRUE),
    ROW(VmfFactMachine, hugepages, "hugepages", LIST, .shape = &vmf_fact_hugepages_shape),
    ROW(VmfFactMachine, nodes, "nodes", LIST, .shape = &vmf_fact_node_shape),
    ROW(VmfFactMachine, nets, "nets", LIST, .shape = &vmf_fact_net_shape),
    ROW(VmfFactMachine, domains, "domains", LIST, .shape = &vmf_fact_domain_shape),
};
SHAPE(VmfFactMachine, machine)

static const VmfFactField queue_fields[] = {
    ROW(VmfFactQueue, reason, "reason", TEXT),
    ROW(VmfFactQueue, slots, "slots", NUMBER),
    ROW(VmfFactQueue, used, "used", NUMBER, .fleeting = TRUE),
};
SHAPE(VmfFactQueue, queue)

static const VmfFactField host_fields[] = {
    ROW(VmfFactHost, fqdn, "fqdn", TEXT),
    ROW(VmfFactHost, account, "account", TEXT),
    ROW(VmfFactHost, realm, "realm", TEXT),
    ROW(VmfFactHost, version, "version", TEXT),
    ROW(VmfFactHost, keytab, "keytab", STRUCT, .shape = &vmf_fact_keytab_shape),
    ROW(VmfFactHost, directory, "directory", STRUCT, .shape = &vmf_fact_directory_shape),
    ROW(VmfFactHost, machine, "machine", STRUCT, .shape = &vmf_fact_machine_shape),
    ROW(VmfFactHost, queue, "queue", STRUCT, .shape = &vmf_fact_queue_shape),
};
SHAPE(VmfFactHost, host)

static const VmfFactField route_fields[] = {
    ROW(VmfFactRoute, reason, "reason", TEXT),
    ROW(VmfFactRoute, interface, "interface", TEXT),
    ROW(VmfFactRoute, address, "address", TEXT),
    ROW(VmfFactRoute, peer_address, "peer-address", TEXT),
    ROW(VmfFactRoute, prefix, "prefix", NUMBER),
    ROW(VmfFactRoute, on_link, "on-link", FLAG),
    ROW(VmfFactRoute, default_route, "default-route", FLAG),
    ROW(VmfFactRoute, mtu, "mtu", NUMBER),
    ROW(VmfFactRoute, speed_mbit, "speed-mbit", NUMBER),
};
SHAPE(VmfFactRoute, route)

static const VmfFactField peer_fields[] = {
    ROW(VmfFactPeer, fqdn, "fqdn", TEXT),
    ROW(VmfFactPeer, computer, "computer", STRUCT, .shape = &vmf_fact_computer_shape),
    ROW(VmfFactPeer, channel, "channel", STRUCT, .shape = &vmf_fact_channel_shape),
    ROW(VmfFactPeer, route, "route", STRUCT, .shape = &vmf_fact_route_shape),
    ROW(VmfFactPeer, skew_known, "skew-known", FLAG),
    ROW(VmfFactPeer, skew_ms, "skew-ms", SIGNED, .fleeting = TRUE),
};
SHAPE(VmfFactPeer, peer)

static const VmfFactField file_fields[] = {
    ROW(VmfFactFile, role, "role", WORD, .words = roles),
    ROW(VmfFactFile, target, "target", TEXT),
    ROW(VmfFactFile, place, "place", TEXT),
    ROW(VmfFactFile, url, "url", TEXT),
    ROW(VmfFactFile, writable, "writable", FLAG),
    ROW(VmfFactFile, format, "format", TEXT),
    ROW(VmfFactFile, cache, "cache", TEXT),
    ROW(VmfFactFile, error_policy, "error-policy", TEXT),
    ROW(VmfFactFile, line, "line", NUMBER),
};
SHAPE(VmfFactFile, file)

static const VmfFactField refusal_fields[] = {
    ROW(VmfFactRefusal, element, "element", TEXT),
    ROW(VmfFactRefusal, line, "line", NUMBER),
    ROW(VmfFactRefusal, why, "why", TEXT),
};
SHAPE(VmfFactRefusal, refusal)

static const VmfFactField nic_fields[] = {
    ROW(VmfFactNic, kind, "kind", WORD, .words = net_kinds),
    ROW(VmfFactNic, name, "name", TEXT),
    ROW(VmfFactNic, mac, "mac", TEXT),
    ROW(VmfFactNic, mtu, "mtu", NUMBER),
    ROW(VmfFactNic, vlans, "vlans", TEXTS),
};
SHAPE(VmfFactNic, nic)

static const VmfFactField live_fields[] = {
    ROW(VmfFactLive, reason, "reason", TEXT),
    ROW(VmfFactLive, state, "state", TEXT),
    ROW(VmfFactLive, job, "job", TEXT),
    ROW(VmfFactLive, io_errors, "io-errors", TEXTS),
    ROW(VmfFactLive, block_jobs, "block-jobs", TEXTS),
    ROW(VmfFactLive, snapshots, "snapshots", TEXTS),
    ROW(VmfFactLive, checkpoints, "checkpoints", TEXTS),
    ROW(VmfFactLive, persistent, "persistent", FLAG),
    ROW(VmfFactLive, autostart, "autostart", FLAG),
};
SHAPE(VmfFactLive, live)

static const VmfFactField vm_fields[] = {
    ROW(VmfFactVm, reason, "reason", TEXT),
    ROW(VmfFactVm, uuid, "uuid", TEXT),
    ROW(VmfFactVm, name, "name", TEXT),
    ROW(VmfFactVm, type, "type", TEXT),
    ROW(VmfFactVm, arch, "arch", TEXT),
    ROW(VmfFactVm, machine, "machine", TEXT),
    ROW(VmfFactVm, cpu_mode, "cpu-mode", TEXT),
    ROW(VmfFactVm, cpu_model, "cpu-model", TEXT),
    ROW(VmfFactVm, vcpus, "vcpus", NUMBER),
    ROW(VmfFactVm, memory_kib, "memory-kib", LARGE),
    ROW(VmfFactVm, hugepage_kib, "hugepage-kib", NUMBER),
    ROW(VmfFactVm, nodes, "nodes", TEXTS),
    ROW(VmfFactVm, loader, "loader", TEXT),
    ROW(VmfFactVm, nvram_template, "nvram-template", TEXT),
    ROW(VmfFactVm, files, "files", LIST, .shape = &vmf_fact_file_shape),
    ROW(VmfFactVm, nics, "nics", LIST, .shape = &vmf_fact_nic_shape),
    ROW(VmfFactVm, refusals, "refusals", LIST, .shape = &vmf_fact_refusal_shape),
    ROW(VmfFactVm, live, "live", STRUCT, .shape = &vmf_fact_live_shape),
};
SHAPE(VmfFactVm, vm)

static const VmfFactField probe_fields[] = {
    ROW(VmfFactProbe, reason, "reason", TEXT),
    ROW(VmfFactProbe, url, "url", TEXT),
    ROW(VmfFactProbe, allowed, "allowed", FLAG),
    ROW(VmfFactProbe, folder, "folder", FLAG),
    ROW(VmfFactProbe, read, "read", WORD, .words = answers),
    ROW(VmfFactProbe, write, "write", WORD, .words = answers),
    ROW(VmfFactProbe, problem, "problem", TEXT),
    ROW(VmfFactProbe, size_bytes, "size-bytes", LARGE, .fleeting = TRUE),
    ROW(VmfFactProbe, file_id, "file-id", TEXT),
    ROW(VmfFactProbe, read_only, "read-only", FLAG),
    ROW(VmfFactProbe, descriptor, "descriptor", TEXT),
    ROW(VmfFactProbe, descriptor_names, "descriptor-names", TEXT),
    ROW(VmfFactProbe, descriptor_problem, "descriptor-problem", TEXT),
};
SHAPE(VmfFactProbe, probe)

static const VmfFactField share_fields[] = {
    ROW(VmfFactShare, reason, "reason", TEXT),
    ROW(VmfFactShare, server, "server", TEXT),
    ROW(VmfFactShare, share, "share", TEXT),
    ROW(VmfFactShare, smb3, "smb3", FLAG),
    ROW(VmfFactShare, smb3_problem, "smb3-problem", TEXT),
    ROW(VmfFactShare, encryption, "encryption", WORD, .words = crypts),
    ROW(VmfFactShare, encryption_problem, "encryption-problem", TEXT),
};
SHAPE(VmfFactShare, share)

static const VmfFactField owner_fields[] = {
    ROW(VmfFactOwner, reason, "reason", TEXT),
    ROW(VmfFactOwner, present, "present", FLAG),
    ROW(VmfFactOwner, owner_account, "owner-account", TEXT),
    ROW(VmfFactOwner, owner_sid, "owner-sid", TEXT),
    ROW(VmfFactOwner, epoch, "epoch", LARGE),
    ROW(VmfFactOwner, state, "state", TEXT),
    ROW(VmfFactOwner, boot_id, "boot-id", TEXT),
};
SHAPE(VmfFactOwner, owner)

static const VmfFactField disks_fields[] = {
    ROW(VmfFactDisks, reason, "reason", TEXT),   ROW(VmfFactDisks, held, "held", FLAG),
    ROW(VmfFactDisks, gate, "gate", TEXT),       ROW(VmfFactDisks, epoch, "epoch", LARGE),
    ROW(VmfFactDisks, trouble, "trouble", TEXT),
};
SHAPE(VmfFactDisks, disks)

static const VmfFactField fit_fields[] = {
    ROW(VmfFactFit, reason, "reason", TEXT),
    ROW(VmfFactFit, type, "type", FLAG),
    ROW(VmfFactFit, machine, "machine", FLAG),
    ROW(VmfFactFit, emulator, "emulator", TEXT),
    ROW(VmfFactFit, problem, "problem", TEXT),
    ROW(VmfFactFit, cpu, "cpu", WORD, .words = cpus),
    ROW(VmfFactFit, cpu_problem, "cpu-problem", TEXT),
    ROW(VmfFactFit, loader_sha256, "loader-sha256", TEXT),
    ROW(VmfFactFit, nvram_template_sha256, "nvram-template-sha256", TEXT),
    ROW(VmfFactFit, boot_missing, "boot-missing", TEXTS),
};
SHAPE(VmfFactFit, fit)

static const VmfFactField view_fields[] = {
    ROW(VmfFactView, shares, "shares", LIST, .shape = &vmf_fact_share_shape),
    ROW(VmfFactView, probes, "probes", LIST, .shape = &vmf_fact_probe_shape),
    ROW(VmfFactView, owner, "owner", STRUCT, .shape = &vmf_fact_owner_shape),
    ROW(VmfFactView, disks, "disks", STRUCT, .shape = &vmf_fact_disks_shape),
    ROW(VmfFactView, fit, "fit", STRUCT, .shape = &vmf_fact_fit_shape),
    ROW(VmfFactView, job, "job", TEXT),
};
SHAPE(VmfFactView, view)

static const VmfFactField side_fields[] = {
    ROW(VmfFactSide, host, "host", STRUCT, .shape = &vmf_fact_host_shape),
    ROW(VmfFactSide, peer, "peer", STRUCT, .shape = &vmf_fact_peer_shape),
    ROW(VmfFactSide, view, "view", STRUCT, .shape = &vmf_fact_view_shape),
};
SHAPE(VmfFactSide, side)

static const VmfFactField case_fields[] = {
    ROW(VmfFactCase, vm, "vm", STRUCT, .shape = &vmf_fact_vm_shape),
    ROW(VmfFactCase, source, "source", STRUCT, .shape = &vmf_fact_side_shape),
    ROW(VmfFactCase, destination, "destination", STRUCT, .shape = &vmf_fact_side_shape),
};
SHAPE(VmfFactCase, case)
