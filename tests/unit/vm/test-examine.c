/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Everything that a definition has against a move, in one look: nothing is missed after the first
 * refusal, nothing said twice, each thing with its path and line.
 */
#include "src/vm/domain.h"

#include <string.h>

static const VmfDomainRules rules = {.run_dir = "/run/vmferry"};
static const VmfDomainRules own = {.run_dir = "/run/vmferry", .as_written = TRUE};

static VmfDomain *
examine(const char *xml, const VmfDomainRules *by)
{
    g_autoptr(GError) error = NULL;
    VmfDomain *domain = vmf_domain_examine(xml, strlen(xml), by, &error);
    g_assert_no_error(error);
    return domain;
}

/* The refusals as "line path: reason" lines. */
static gchar *
listing(const VmfDomain *domain)
{
    const VmfXmlRefusals *refusals = vmf_domain_refusals(domain);
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < refusals->list->len; i++) {
        const VmfXmlRefusal *at = g_ptr_array_index(refusals->list, i);
        g_string_append_printf(out, "%u %s: %s\n", at->line, at->path, at->reason);
    }
    return g_string_free(out, FALSE);
}

static const char begin[] =
    "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
    "<name>web1</name><uuid>11111111-2222-4333-8444-555555555555</uuid>\n"
    "<memory unit='KiB'>131072</memory><vcpu>1</vcpu>\n"
    "<os><type arch='x86_64' machine='pc'>hvm</type></os>\n";

static void
test_all(void)
{
    g_autofree gchar *xml = g_strconcat(
        begin,
        "<devices>\n"
        "<hostdev mode='subsystem' type='pci' "
        "managed='yes'>\n<source><address/></source></hostdev>\n"
        "<disk type='file' device='disk'>\n<driver name='qemu' type='raw' speed='9'/>"
        "<source file='/var/lib/x.raw'/><target dev='vda' bus='virtio'/></disk>\n"
        "<disk type='file' device='cdrom'><source file='/iso/d.iso'/><target dev='sda'/></disk>\n"
        "<interface type='direct'><mac address='52:54:00:00:00:01'/><source "
        "dev='eth0'/></interface>\n"
        "<sparkle/>\n"
        "</devices>\n"
        "<qemu:commandline><qemu:arg value='-s'/></qemu:commandline>\n"
        "</domain>\n",
        NULL);
    g_autoptr(VmfDomain) domain = examine(xml, &rules);
    g_autofree gchar *said = listing(domain);
    g_assert_cmpstr(
        said, ==,
        "6 domain/devices/hostdev: <hostdev> does not move: a device of the host cannot move with "
        "the VM: "
        "detach it, or shut the VM down and move it then\n"
        "8 domain/devices/disk/source: disk 'vda' is on '/var/lib/x.raw', not behind a share: put "
        "it on one "
        "with 'vmferry attach'\n"
        "9 domain/devices/disk/driver/@speed: attribute 'speed' of <driver> is not on the list of "
        "what moves\n"
        "10 domain/devices/disk/source: cdrom 'sda' holds '/iso/d.iso', which stays on its host: "
        "eject it "
        "(virsh change-media --eject)\n"
        "11 domain/devices/interface/@type: attribute 'type' of <interface> is 'direct', which "
        "does not move: "
        "an interface is on a bridge or a libvirt network of the same name on both hosts\n"
        "11 domain/devices/interface/source/@dev: attribute 'dev' of <source> is not on the list "
        "of what moves\n"
        "12 domain/devices/sparkle: <sparkle> in <devices> is not on the list of what moves\n"
        "14 domain/commandline: <commandline> of the namespace "
        "'http://libvirt.org/schemas/domain/qemu/1.0' "
        "does not move: remove it from the VM\n");
    g_assert_cmpstr(vmf_domain_name(domain), ==, "web1");
}

/* A value that the table refused is not missed a second time. */
static void
test_not_twice(void)
{
    g_autoptr(VmfDomain)
        domain = examine("<domain type='xen'><name>../x</name><uuid>no</uuid><memory>lots</memory>"
                         "<os><type arch='x86_64' machine='pc,accel=kvm'>hvm</type></os>"
                         "<devices><interface type='bridge'><mac address='nought'/><source "
                         "bridge='br0'/></interface>"
                         "</devices></domain>",
                         &rules);
    g_assert_cmpuint(vmf_domain_refusals(domain)->list->len, ==, 6);
    g_assert_null(vmf_domain_name(domain));
    g_assert_null(vmf_domain_uuid(domain));
}

static void
test_nothing_there(void)
{
    g_autoptr(VmfDomain) domain = examine("<domain/>", &rules);
    g_autofree gchar *said = listing(domain);
    g_assert_cmpstr(said, ==,
                    "1 domain: a VM has a <name> and a <uuid>\n"
                    "1 domain/os: a VM has a type and, in <os>, a <type> with arch and machine\n"
                    "1 domain/memory: a VM has a <memory>\n"
                    "1 domain/devices: a VM has <devices>\n");
}

/* What 'vmferry define' would take is nothing to complain about in an administrator's file. */
static void
test_as_written(void)
{
    static const char xml[] =
        "<domain type='kvm'><name>web1</name><memory>131072</memory>"
        "<os><type>hvm</type></os><devices>"
        "<disk type='file'><driver type='qcow2'/><source "
        "file='smb://fs1.lab.test/vms/web1/a.qcow2'/>"
        "<target dev='vda'/></disk>"
        "<interface type='network'><source network='default'/></interface></devices></domain>";
    g_autoptr(VmfDomain) domain = examine(xml, &own);
    g_autofree gchar *said = listing(domain);
    g_assert_cmpstr(said, ==, "");
    g_assert_cmpuint(vmf_domain_n_disks(domain), ==, 1);
    g_assert_cmpstr(vmf_domain_disk(domain, 0)->url, ==, "smb://fs1.lab.test/vms/web1/a.qcow2");
    g_autoptr(VmfDomain) strict = examine(xml, &rules);
    g_assert_cmpuint(vmf_domain_refusals(strict)->list->len, ==, 4);
}

static void
test_many(void)
{
    g_autoptr(GString) xml = g_string_new(begin);
    g_string_append(xml, "<devices>");
    for (guint i = 0; i < 10000; i++)
        g_string_append_printf(xml, "<gadget%u/>", i);
    g_string_append(xml, "</devices></domain>");
    g_autoptr(VmfDomain) domain = examine(xml->str, &rules);
    g_assert_cmpuint(vmf_domain_refusals(domain)->list->len, ==, VMF_XML_REFUSALS_MAX);
    g_assert_cmpuint(vmf_domain_refusals(domain)->omitted, ==, 10000 - VMF_XML_REFUSALS_MAX);
}

/* The first of the listing is what the destination's rebuild stops at. */
static void
test_agrees_with_rebuild(void)
{
    static const char *const bad[] = {"<hostdev/>", "<disk><sparkle/></disk>", "<tpm extra='1'/>"};
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree gchar *xml = g_strconcat(begin, "<devices>", bad[i], "</devices></domain>",
                                            NULL);
        g_autoptr(VmfDomain) domain = examine(xml, &rules);
        g_assert_cmpuint(vmf_domain_refusals(domain)->list->len, >, 0);
        g_assert_null(vmf_domain_rebuild(xml, strlen(xml), &rules, &error));
        const VmfXmlRefusal *first = g_ptr_array_index(vmf_domain_refusals(domain)->list, 0);
        g_assert_cmpint(error->code, ==, (int)first->code);
    }
}

/* Ten megabytes of markup: an answer in bounded memory, never an hour of work. */
static void
test_large(void)
{
    static const char *const parts[] = {"<a/>", "<!---->", " x='/'", "x", "&amp;"};
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GString) xml = g_string_new(parts[i][0] == ' ' ? "<domain" : "<domain>");
        while (xml->len < VMF_DOMAIN_XML_MAX - 32)
            g_string_append(xml, parts[i]);
        g_string_append(xml, parts[i][0] == ' ' ? "/>" : "</domain>");
        g_autoptr(VmfDomain) domain = vmf_domain_examine(xml->str, xml->len, &rules, &error);
        g_assert_true((domain == NULL) == (error != NULL));
    }
}

/*
 * What virt-install 4.1, and with it virt-manager and Cockpit, write for ordinary guests (its default
 * machine type; the disk's share put in by hand). Only redirected USB stands in the way: virt-manager
 * gives each SPICE guest two, and the text says how to be rid of them.
 */
static void
check_typical(const char *folder, const char *name)
{
    g_autofree gchar *path = g_build_filename(folder, name, NULL);
    g_autofree gchar *xml = NULL;
    g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
    g_autoptr(VmfDomain) domain = examine(xml, &own);
    const VmfXmlRefusals *refusals = vmf_domain_refusals(domain);
    g_autofree gchar *said = listing(domain);
    guint redirected = strstr(xml, "type=\"spice\"") != NULL ? 2 : 0;
    if (refusals->list->len != redirected)
        g_error("%s: %s", name, said);
    for (guint i = 0; i < redirected; i++) {
        const VmfXmlRefusal *at = g_ptr_array_index(refusals->list, i);
        g_assert_cmpstr(at->path, ==, "domain/devices/redirdev");
        g_assert_nonnull(strstr(at->reason, "virt-xml VM --remove-device --redirdev all --update"));
    }
}

static void
test_typical(void)
{
    guint n = 0;
    const char *name;
    g_autofree gchar *folder = g_test_build_filename(G_TEST_DIST, "corpus", "typical", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_assert_nonnull(dir);
    for (; (name = g_dir_read_name(dir)) != NULL; n++)
        check_typical(folder, name);
    g_assert_cmpuint(n, >=, 12);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/examine/several-things/all-listed", test_all);
    g_test_add_func("/examine/refused-value/not-said-twice", test_not_twice);
    g_test_add_func("/examine/empty-definition/what-it-lacks", test_nothing_there);
    g_test_add_func("/examine/as-written/nothing-to-complain", test_as_written);
    g_test_add_func("/examine/ten-thousand/bounded", test_many);
    g_test_add_func("/examine/first-refusal/as-rebuild", test_agrees_with_rebuild);
    g_test_add_func("/examine/ten-megabytes/bounded", test_large);
    g_test_add_func("/examine/virt-install/only-redirected-usb", test_typical);
    return g_test_run();
}
