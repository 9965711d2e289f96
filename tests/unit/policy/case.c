/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "case.h"

#include <string.h>

#define SET(member, text) vmf_fact_set(&(member), text)

void
case_texts(gchar ***member, const char *words)
{
    g_strfreev(*member);
    *member = words[0] ? g_strsplit(words, " ", -1) : g_new0(gchar *, 1);
}

void
case_descriptor(VmfFactProbe *probe, ...)
{
    g_autoptr(GString)
        sids = g_string_new("REVISION:1,OWNER:" CASE_DOMAIN "-500,GROUP:" CASE_DOMAIN "-513");
    g_autoptr(GString)
        names = g_string_new("REVISION:1,OWNER:LAB\\Administrator,GROUP:LAB\\Domain Users");
    const char *entry;
    va_list args;
    va_start(args, probe);
    while ((entry = va_arg(args, const char *))) {
        const char *equals = strchr(entry, '='), *colon = strchr(entry, ':');
        const char *sid = equals + 1;
        g_string_append_printf(sids, ",ACL:%s%.*s%s", *sid == 'S' ? "" : CASE_DOMAIN "-",
                               (int)(colon - sid), sid, colon);
        g_string_append_printf(names, ",ACL:%.*s%s", (int)(equals - entry), entry, colon);
    }
    va_end(args);
    SET(probe->descriptor, sids->str);
    SET(probe->descriptor_names, names->str);
}

/* ---- the hosts ---- */

static void
add_key(VmfFactKeytab *keytab, const char *principal, guint enctype)
{
    VmfFactKey *key = vmf_fact_key_new();
    SET(key->principal, principal);
    key->kvno = 2;
    key->enctype = enctype;
    g_ptr_array_add(keytab->keys, key);
}

static void
fill_computer(VmfFactComputer *computer, const char *account, const char *fqdn, const char *sid)
{
    computer->matches = 1;
    SET(computer->account, account);
    SET(computer->fqdn, fqdn);
    SET(computer->sid, sid);
    computer->uac = 0x1000;
    computer->primary_rid = 515;
    case_texts(&computer->group_sids, CASE_DOMAIN "-515 " CASE_GROUP);
}

static void
fill_directory(VmfFactDirectory *directory)
{
    SET(directory->server, "dc1.lab.test");
    SET(directory->domain, "LAB");
    SET(directory->domain_sid, CASE_DOMAIN);
    directory->skew_known = TRUE;
    directory->skew_ms = 12;
    SET(directory->group, "VM Hosts");
    SET(directory->group_name, "VM Hosts");
    SET(directory->group_sid, CASE_GROUP);
}

static void
fill_machine(VmfFactMachine *machine)
{
    machine->libvirt_version = 9000000;
    machine->qemu_version = 7002000;
    SET(machine->cpu_arch, "x86_64");
    SET(machine->cpu_vendor, "AMD");
    SET(machine->cpu_model, "EPYC-Rome");
    machine->cpus = 8;
    machine->memory_kib = 32 * 1024 * 1024;
    machine->free_kib = 20 * 1024 * 1024;
    VmfFactNode *node = vmf_fact_node_new();
    node->free_kib = 20 * 1024 * 1024;
    g_ptr_array_add(machine->nodes, node);
    VmfFactNet *net = vmf_fact_net_new();
    net->kind = VMF_FACT_NET_BRIDGE;
    SET(net->name, "br0");
    net->active = TRUE;
    net->mtu = 1500;
    g_ptr_array_add(machine->nets, net);
}

static void
fill_host(VmfFactHost *host, const char *account, const char *fqdn, const char *sid)
{
    SET(host->account, account);
    SET(host->fqdn, fqdn);
    SET(host->realm, "LAB.TEST");
    SET(host->version, "0.1.0");
    SET(host->keytab.path, "/etc/krb5.keytab");
    host->keytab.works = TRUE;
    host->keytab.kvno = 2;
    g_autofree gchar *own = g_strdup_printf("%s@LAB.TEST", account);
    g_autofree gchar *service = g_strdup_printf("host/%s@LAB.TEST", fqdn);
    add_key(&host->keytab, own, 18);
    add_key(&host->keytab, service, 18);
    fill_directory(&host->directory);
    fill_computer(&host->directory.self, account, fqdn, sid);
    fill_machine(&host->machine);
    host->queue.slots = 2;
}

static void
fill_route(VmfFactRoute *route, const char *address, const char *peer)
{
    SET(route->interface, "eth1");
    SET(route->address, address);
    SET(route->peer_address, peer);
    route->prefix = 24;
    route->on_link = TRUE;
    route->mtu = 9000;
    route->speed_mbit = 10000;
}

static void
fill_peers(VmfFactCase *facts)
{
    VmfFactPeer *here = &facts->source.peer, *there = &facts->destination.peer;
    SET(here->fqdn, "hv2.lab.test");
    SET(there->fqdn, "hv1.lab.test");
    fill_computer(&here->computer, "HV2$", "hv2.lab.test", CASE_HV2);
    fill_computer(&there->computer, "HV1$", "hv1.lab.test", CASE_HV1);
    here->skew_known = there->skew_known = TRUE;
    here->channel.mutual = there->channel.mutual = TRUE;
    SET(here->channel.principal, "host/hv2.lab.test@LAB.TEST");
    here->channel.session_enctype = there->channel.session_enctype = 18;
    SET(there->channel.principal, "HV1$@LAB.TEST");
    SET(there->channel.account, "HV1$");
    SET(there->channel.sid, CASE_HV1);
    there->channel.by_ticket = TRUE;
    there->channel.ticket_enctype = 18;
    case_texts(&there->channel.group_sids, CASE_DOMAIN "-515 " CASE_GROUP);
    fill_route(&here->route, "10.9.0.1", "10.9.0.2");
    fill_route(&there->route, "10.9.0.2", "10.9.0.1");
}

/* ---- the VM ---- */

static VmfFactFile *
add_file(VmfFactVm *vm, VmfFactRole role, const char *target, const char *url, gboolean writable)
{
    VmfFactFile *file = vmf_fact_file_new();
    file->role = role;
    SET(file->target, target);
    SET(file->place, url);
    SET(file->url, url);
    file->writable = writable;
    g_ptr_array_add(vm->files, file);
    return file;
}

static void
fill_vm(VmfFactVm *vm)
{
    SET(vm->uuid, "11111111-2222-4333-8444-555555555555");
    SET(vm->name, "web1");
    SET(vm->type, "kvm");
    SET(vm->arch, "x86_64");
    SET(vm->machine, "pc-q35-7.2");
    SET(vm->cpu_mode, "custom");
    SET(vm->cpu_model, "EPYC");
    SET(vm->loader, "/usr/share/OVMF/OVMF_CODE_4M.fd");
    vm->vcpus = 2;
    vm->memory_kib = 4 * 1024 * 1024;
    SET(vm->live.state, "running");
    VmfFactFile *disk = add_file(vm, VMF_FACT_ROLE_DISK, "vda", CASE_DISK, TRUE);
    SET(disk->format, "qcow2");
    SET(disk->cache, "none");
    SET(disk->error_policy, "stop");
    add_file(vm, VMF_FACT_ROLE_CDROM, "sda", CASE_CD, FALSE);
    VmfFactNic *nic = vmf_fact_nic_new();
    nic->kind = VMF_FACT_NET_BRIDGE;
    SET(nic->name, "br0");
    SET(nic->mac, "52:54:00:aa:bb:01");
    g_ptr_array_add(vm->nics, nic);
}

static VmfFactProbe *
add_probe(VmfFactView *view, const char *url)
{
    VmfFactProbe *probe = vmf_fact_probe_new();
    SET(probe->url, url);
    probe->allowed = TRUE;
    probe->read = VMF_FACT_ANSWER_OK;
    probe->size_bytes = 1 << 30;
    case_descriptor(probe, "LAB\\Administrator=500:0/0/0x001f01ff",
                    "LAB\\VM Hosts=1105:0/0/0x001f01ff", NULL);
    g_ptr_array_add(view->probes, probe);
    return probe;
}

static void
fill_view(VmfFactView *view, VmfFactAnswer write)
{
    VmfFactShare *share = vmf_fact_share_new();
    SET(share->server, "fs1.lab.test");
    SET(share->share, "vms");
    share->smb3 = TRUE;
    share->encryption = VMF_FACT_CRYPT_REQUIRED;
    g_ptr_array_add(view->shares, share);
    VmfFactProbe *disk = add_probe(view, CASE_DISK);
    disk->write = write;
    SET(disk->file_id, "a0012");
    SET(add_probe(view, CASE_CD)->file_id, "a0044");
    VmfFactProbe *folder = add_probe(view, CASE_FOLDER);
    folder->folder = TRUE;
    SET(folder->file_id, "a0002");
    view->owner.present = TRUE;
    SET(view->owner.owner_account, "HV1$");
    SET(view->owner.owner_sid, CASE_HV1);
    SET(view->owner.state, "running");
    view->owner.epoch = 7;
    view->fit.type = view->fit.machine = TRUE;
    SET(view->fit.emulator, "/usr/bin/qemu-system-x86_64");
    view->fit.cpu = VMF_FACT_CPU_SUPERSET;
    SET(view->fit.loader_sha256, "5d9a3f21b7c0");
}

VmfFactCase *
case_good(void)
{
    VmfFactCase *facts = vmf_fact_case_new();
    fill_vm(&facts->vm);
    fill_host(&facts->source.host, "HV1$", "hv1.lab.test", CASE_HV1);
    fill_host(&facts->destination.host, "HV2$", "hv2.lab.test", CASE_HV2);
    fill_peers(facts);
    fill_view(&facts->source.view, VMF_FACT_ANSWER_HELD);
    fill_view(&facts->destination.view, VMF_FACT_ANSWER_HELD);
    facts->source.view.disks.held = TRUE;
    facts->source.view.disks.epoch = 7;
    SET(facts->source.view.disks.gate, "open");
    SET(facts->destination.view.disks.reason, "there is none on this host");
    return facts;
}

VmfLocalPolicy *
case_policy(const char *more)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *text = g_strconcat(CASE_POLICY, more, NULL);
    VmfLocalPolicy *policy = vmf_local_policy_parse(text, strlen(text), "test.conf", &error);
    g_assert_no_error(error);
    return policy;
}

VmfFactProbe *
case_probe(VmfFactSide *side, const char *url)
{
    for (guint i = 0; i < side->view.probes->len; i++) {
        VmfFactProbe *probe = side->view.probes->pdata[i];
        if (strcmp(probe->url, url) == 0)
            return probe;
    }
    g_error("no probe of %s", url);
}

VmfFactFile *
case_file(VmfFactCase *facts, const char *url)
{
    for (guint i = 0; i < facts->vm.files->len; i++) {
        VmfFactFile *file = facts->vm.files->pdata[i];
        if (strcmp(file->url, url) == 0)
            return file;
    }
    g_error("no file at %s", url);
}
