/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a definition tells: of real ones (corpus/domain) and of made ones. */
#include "src/vm/definition-facts.h"

#include <string.h>

static const VmfDomainRules rules = {.run_dir = "/run/vmferry"};
static const VmfDomainRules own = {.run_dir = "/run/vmferry", .as_written = TRUE};

static VmfFactVm *
facts_of(const char *xml, const VmfDomainRules *by)
{
    g_autoptr(VmfFactVm) vm = vmf_fact_vm_new();
    g_autoptr(VmfDomain) domain = vmf_definition_facts(xml, strlen(xml), by, vm);
    g_assert_true((domain == NULL) == (vm->reason[0] != '\0'));
    /* they are ones that travel: within the codec's limits, every text UTF-8 */
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) dict = g_variant_ref_sink(vmf_fact_vm_to_variant(vm));
    g_autoptr(VmfFactVm) back = vmf_fact_vm_from_variant(dict, &error);
    g_assert_no_error(error);
    return g_steal_pointer(&vm);
}

/* "disk vda smb://…", one line for each file */
static gchar *
files_of(const VmfFactVm *vm)
{
    static const char *const roles[] = {"disk", "cdrom",      "backing", "nvram", "tpm",
                                        "boot", "definition", "record",  "folder"};
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < vm->files->len; i++) {
        const VmfFactFile *file = g_ptr_array_index(vm->files, i);
        g_string_append_printf(out, "%s %s %s %s%s\n", roles[file->role], file->target, file->place,
                               file->url[0] != '\0' ? "share" : "host",
                               file->writable ? " rw" : "");
    }
    return g_string_free(out, FALSE);
}

static void
test_real(void)
{
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "corpus", "domain", "demo.live.xml",
                                                   NULL);
    g_autofree gchar *xml = NULL;
    g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
    g_autoptr(VmfFactVm) vm = facts_of(xml, &rules);
    g_assert_cmpstr(vm->name, ==, "demo");
    g_assert_cmpstr(vm->type, ==, "qemu");
    g_assert_cmpstr(vm->arch, ==, "x86_64");
    g_assert_cmpuint(vm->memory_kib, ==, 131072);
    g_assert_cmpuint(vm->vcpus, ==, 1);
    g_assert_cmpuint(vm->nics->len, ==, 1);
    const VmfFactNic *nic = g_ptr_array_index(vm->nics, 0);
    g_assert_cmpint(nic->kind, ==, VMF_FACT_NET_BRIDGE);
    g_assert_cmpstr(nic->name, ==, "br0");
    const VmfFactFile *disk = g_ptr_array_index(vm->files, 0);
    g_assert_cmpstr(disk->target, ==, "vda");
    g_assert_true(g_str_has_prefix(disk->url, "smb://"));
    g_assert_cmpstr(disk->cache, ==, "none");
    g_assert_cmpuint(disk->line, >, 10);
    g_assert_cmpstr(vm->live.reason, !=, "");
}

static void
test_files(void)
{
    g_autoptr(VmfFactVm) vm = facts_of(
        "<domain type='kvm'><name>web1</name><uuid>11111111-2222-4333-8444-55555555555A</uuid>"
        "<memory>1</memory><metadata><v:vm xmlns:v='urn:vmferry:1'>"
        "<v:disk target='vda' url='smb://FS1.lab.test/vms/web1/a b.raw' "
        "format='raw'/></v:vm></metadata>"
        "<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type>"
        "<kernel>/boot/vmlinuz</kernel></os><devices>"
        "<disk type='network'><driver type='raw'/><source protocol='nbd' name='vda'>"
        "<host transport='unix' socket='/run/x'/></source><target dev='vda'/></disk>"
        "<disk type='file'><driver type='qcow2' cache='writeback' error_policy='report'/>"
        "<source file='/var/lib/b.qcow2'/><target dev='vdb'/><backingStore type='file'>"
        "<source file='/var/lib/base.qcow2'/><backingStore/></backingStore></disk>"
        "<disk type='network'><source protocol='rbd' name='pool/c'/><target dev='vdc'/></disk>"
        "<disk type='volume' device='disk'><source pool='p' volume='v'/><target "
        "dev='vdd'/><readonly/></disk>"
        "<disk type='file' device='cdrom'><source file='/iso/d.iso'/><target dev='sda'/></disk>"
        "<disk type='file' device='cdrom'><target dev='sdb'/></disk>"
        "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
        "</devices></domain>",
        &rules);
    g_autofree gchar *files = files_of(vm);
    g_assert_cmpstr(
        files, ==,
        "disk vda smb://FS1.lab.test/vms/web1/a b.raw share rw\n"
        "disk vdb /var/lib/b.qcow2 host rw\n"
        "backing vdb /var/lib/base.qcow2 host\n"
        "disk vdc rbd:pool/c host rw\n"
        "disk vdd p:v host\n"
        "cdrom sda /iso/d.iso host\n"
        "nvram  /var/lib/libvirt/qemu/nvram/web1_VARS.fd host rw\n"
        "tpm  /var/lib/libvirt/swtpm/11111111-2222-4333-8444-55555555555a/tpm2 host rw\n"
        "boot kernel /boot/vmlinuz host\n"
        "definition  smb://fs1.lab.test/vms/web1/domain.xml share rw\n"
        "record  smb://fs1.lab.test/vms/web1/.vmferry/11111111-2222-4333-8444-55555555555a.own "
        "share rw\n"
        "folder  smb://fs1.lab.test/vms/web1 share rw\n");
    const VmfFactFile *first = g_ptr_array_index(vm->files, 0);
    const VmfFactFile *second = g_ptr_array_index(vm->files, 1);
    g_assert_cmpstr(first->url, ==, "smb://fs1.lab.test/vms/web1/a%20b.raw");
    g_assert_cmpstr(second->cache, ==, "writeback");
    g_assert_cmpstr(second->error_policy, ==, "report");
}

static void
test_as_written(void)
{
    g_autoptr(VmfFactVm) vm = facts_of(
        "<domain type='kvm'><name>web1</name><memory unit='GiB'>2</memory><vcpu>4</vcpu>"
        "<os><type>hvm</type></os><devices><disk type='file'><driver type='raw'/>"
        "<source file='smb://fs1/vms/a.raw'/><target dev='vda'/></disk></devices></domain>",
        &own);
    g_autofree gchar *files = files_of(vm);
    g_assert_cmpstr(files, ==,
                    "disk vda smb://fs1/vms/a.raw share rw\n"
                    "definition  smb://fs1/vms/domain.xml share rw\n"
                    "folder  smb://fs1/vms share rw\n");
    g_assert_cmpstr(((VmfFactFile *)g_ptr_array_index(vm->files, 0))->cache, ==, "none");
    g_assert_cmpuint(vm->memory_kib, ==, 2 * 1024 * 1024);
    g_assert_cmpuint(vm->vcpus, ==, 4);
    g_assert_cmpuint(vm->refusals->len, ==, 0);
}

static void
test_resources(void)
{
    g_autoptr(VmfFactVm) vm = facts_of(
        "<domain type='kvm'><name>big</name><memory>1</memory><memoryBacking><hugepages>"
        "<page size='1' unit='G'/></hugepages></memoryBacking>"
        "<numatune><memory mode='strict' nodeset='0-3,^2,9-4294967296000'/></numatune>"
        "<cpu><model>EPYC</model></cpu><os><type>hvm</type></os><devices>"
        "<interface type='network'><mac address='52:54:00:AB:00:01'/><source network='lan'/><mtu "
        "size='9000'/>"
        "<vlan trunk='yes'><tag id='100'/><tag id='42'/></vlan></interface>"
        "<interface type='direct'><source dev='eth0'/></interface></devices></domain>",
        &own);
    g_autofree gchar *nodes = g_strjoinv(",", vm->nodes);
    g_assert_true(g_str_has_prefix(nodes, "0,1,3,9,10,"));
    g_assert_cmpuint(g_strv_length(vm->nodes), ==, 3 + 1024 - 9);
    g_assert_cmpuint(vm->hugepage_kib, ==, 1024 * 1024);
    g_assert_cmpstr(vm->cpu_mode, ==, "custom");
    g_assert_cmpstr(vm->cpu_model, ==, "EPYC");
    g_assert_cmpuint(vm->nics->len, ==, 1);
    const VmfFactNic *nic = g_ptr_array_index(vm->nics, 0);
    g_autofree gchar *vlans = g_strjoinv(",", nic->vlans);
    g_assert_cmpstr(vlans, ==, "42,100");
    g_assert_cmpstr(nic->mac, ==, "52:54:00:ab:00:01");
    g_assert_cmpuint(nic->mtu, ==, 9000);
}

static void
test_unreadable(void)
{
    static const char *const cases[] = {"", "<domain>", "<network/>", "<!DOCTYPE domain><domain/>"};
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(VmfFactVm) vm = facts_of(cases[i], &rules);
        g_assert_cmpstr(vm->reason, !=, "");
    }
}

/* What does not move is still told: a judge has to name it. */
static void
test_refused_is_told(void)
{
    g_autoptr(VmfFactVm)
        vm = facts_of("<domain type='xen'>\n<hostdev/>\n<name>a/b</name></domain>", &rules);
    g_assert_cmpstr(vm->type, ==, "xen");
    g_assert_cmpstr(vm->name, ==, "a/b");
    const VmfFactRefusal *first = g_ptr_array_index(vm->refusals, 0);
    g_assert_cmpstr(first->element, ==, "domain/@type");
    g_assert_cmpuint(vm->refusals->len, >=, 3);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/definition-facts/real-vm/told", test_real);
    g_test_add_func("/definition-facts/files/each-with-its-place", test_files);
    g_test_add_func("/definition-facts/as-written/what-define-adds", test_as_written);
    g_test_add_func("/definition-facts/resources/told", test_resources);
    g_test_add_func("/definition-facts/unreadable/reason", test_unreadable);
    g_test_add_func("/definition-facts/refused/still-told", test_refused_is_told);
    return g_test_run();
}
