/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/domain-edit.h"

#include <string.h>

#include "src/base/error.h"
#include "src/vm/domain.h"

#define UUID "11111111-2222-4333-8444-555555555555"
#define HEAD                                                                                       \
    "<domain type='kvm'><name>web1</name><uuid>" UUID "</uuid><memory>1024</memory>"               \
    "<os><type arch='x86_64' machine='q35'>hvm</type></os>"

static const char plain[] = HEAD
    "<devices>"
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='writeback' "
    "discard='unmap'/><source file='/var/lib/libvirt/images/web1.qcow2'/>"
    "<backingStore type='file'><format type='raw'/><source file='/var/lib/libvirt/images/base'/>"
    "<backingStore/></backingStore>"
    "<target dev='vda' bus='virtio'/><serial>S1</serial><boot order='1'/>"
    "<address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/></disk>"
    "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>"
    "<custom:thing xmlns:custom='urn:custom'>kept</custom:thing>"
    "</devices></domain>";

static const VmfDomainRules rules = {.run_dir = "/run/vmferry"};

static gchar *
edit(const char *xml, const VmfDiskEdit *disks, guint n)
{
    g_autoptr(GError) error = NULL;
    gchar *edited = vmf_domain_edit_disks(xml, "/run/vmferry", disks, n, &error);
    g_assert_no_error(error);
    g_test_message("%s", edited);
    return edited;
}

static guint
count(const char *haystack, const char *needle)
{
    guint n = 0;
    for (const char *at = haystack; (at = strstr(at, needle)) != NULL; at++)
        n++;
    return n;
}

static void
test_replace(void)
{
    const VmfDiskEdit disk = {
        .target = "vda", .url = "smb://fs1/vms/web1/vda.raw", .format = "raw"};
    g_autofree gchar *edited = edit(plain, &disk, 1);
    g_assert_null(strstr(edited, "/var/lib/libvirt/images"));
    g_assert_cmpuint(count(edited, "backingStore"), ==, 1);
    g_assert_nonnull(strstr(edited, "</source><backingStore/></disk>"));
    g_assert_nonnull(strstr(edited, "socket=\"/run/vmferry/" UUID "/nbd\""));
    g_assert_nonnull(strstr(edited, "discard=\"unmap\""));
    g_assert_nonnull(strstr(edited, "error_policy=\"stop\""));
    g_assert_nonnull(strstr(edited, "<reconnect delay=\"10\"/>"));
    g_assert_nonnull(strstr(edited, "cache=\"none\""));
    g_assert_nonnull(strstr(edited, "<serial>S1</serial>"));
    g_assert_nonnull(strstr(edited, "bus=\"0x04\""));
    g_assert_nonnull(strstr(edited, "<boot order=\"1\"/>"));
    g_assert_nonnull(strstr(edited, ">kept</custom:thing>"));
    g_assert_cmpuint(count(edited, "<disk "), ==, 2);
    g_autofree gchar *twice = edit(edited, &disk, 1);
    g_assert_cmpuint(count(twice, "<disk "), ==, 2);
    g_assert_cmpuint(count(twice, "vmferry:disk "), ==, 1);
    g_assert_cmpuint(count(twice, "<backingStore/>"), ==, 1);
}

/* What define writes is what a destination accepts. */
static void
test_accepted_by_rebuild(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) xml = g_string_new(plain);
    g_string_replace(xml, "<custom:thing xmlns:custom='urn:custom'>kept</custom:thing>", "", 0);
    const VmfDiskEdit disks[] = {
        {.target = "vda", .url = "smb://fs1/vms/web1/vda.raw", .format = "raw"},
        {.target = "sdb", .url = "smb://fs1/vms/web1/a&b.qcow2", .format = "qcow2"},
        {.target = "hdc", .url = "smb://fs1/vms/web1/c.raw", .format = "raw", .bus = "sata"},
    };
    g_autofree gchar *edited = edit(xml->str, disks, G_N_ELEMENTS(disks));
    g_autoptr(VmfDomain) domain = vmf_domain_rebuild(edited, strlen(edited), &rules, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vmf_domain_n_disks(domain), ==, 3);
    g_assert_cmpstr(vmf_domain_disk(domain, 0)->bus, ==, "virtio");
    g_assert_cmpstr(vmf_domain_disk(domain, 1)->bus, ==, "scsi");
    g_assert_cmpstr(vmf_domain_disk(domain, 1)->url, ==, "smb://fs1/vms/web1/a&b.qcow2");
    g_assert_cmpstr(vmf_domain_disk(domain, 2)->bus, ==, "sata");
}

static void
test_bus_changes_address(void)
{
    const VmfDiskEdit disk = {
        .target = "vda", .url = "smb://fs1/v/w/x", .format = "raw", .bus = "scsi"};
    g_autofree gchar *edited = edit(plain, &disk, 1);
    g_assert_null(strstr(edited, "bus=\"0x04\""));
    g_assert_nonnull(strstr(edited, "bus=\"scsi\""));
}

static void
test_uuid_made(void)
{
    const VmfDiskEdit disk = {.target = "vda", .url = "smb://fs1/v/w/x", .format = "raw"};
    g_autoptr(GString) xml = g_string_new(plain);
    g_string_replace(xml, "<uuid>" UUID "</uuid>", "", 0);
    g_autofree gchar *edited = edit(xml->str, &disk, 1);
    g_autofree gchar *uuid = vmf_domain_edit_uuid(edited, NULL);
    g_assert_true(g_uuid_string_is_valid(uuid));
    g_autofree gchar *socket = g_strdup_printf("/run/vmferry/%s/nbd", uuid);
    g_assert_nonnull(strstr(edited, socket));
    g_autofree gchar *name = vmf_domain_edit_name(edited, NULL);
    g_assert_cmpstr(name, ==, "web1");
}

static void
test_urls(void)
{
    g_autoptr(GError) error = NULL;
    static const char wanted[] = HEAD
        "<metadata><v:vm xmlns:v='urn:vmferry:1'><v:disk target='vdb' url='smb://b' "
        "format='qcow2'/><v:disk target='vdc' url='smb://c' format='raw'/></v:vm>"
        "<disk target='vdx'/></metadata>"
        "<devices><disk type='file'><driver type='raw'/><source file='smb://a'/>"
        "<target dev='vda' bus='scsi'/></disk>"
        "<disk type='network'><target dev='vdb'/></disk>"
        "<disk type='file'><source file='/x'/><target dev='vdd'/></disk></devices></domain>";
    g_autoptr(GPtrArray) disks = vmf_domain_edit_urls(wanted, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disks->len, ==, 3);
    static const char *const expected[][4] = {
        {"vda", "scsi", "raw", "smb://a"},
        {"vdb", "", "qcow2", "smb://b"},
        {"vdc", "", "raw", "smb://c"},
    };
    for (guint i = 0; i < 3; i++) {
        const VmfDomainDisk *disk = g_ptr_array_index(disks, i);
        g_assert_cmpstr(disk->target, ==, expected[i][0]);
        g_assert_cmpstr(disk->bus, ==, expected[i][1]);
        g_assert_cmpstr(disk->format, ==, expected[i][2]);
        g_assert_cmpstr(disk->url, ==, expected[i][3]);
    }
    g_auto(GStrv) others = vmf_domain_edit_other_disks(wanted, &error);
    g_assert_cmpuint(g_strv_length(others), ==, 1);
    g_assert_cmpstr(others[0], ==, "vdd: /x");
}

static void
test_no_disks(void)
{
    g_autoptr(GPtrArray) disks = vmf_domain_edit_urls(HEAD "</domain>", NULL);
    g_assert_cmpuint(disks->len, ==, 0);
    g_auto(GStrv) others = vmf_domain_edit_other_disks(plain, NULL);
    g_assert_cmpstr(others[0], ==, "vda: /var/lib/libvirt/images/web1.qcow2");
    g_assert_null(others[1]); /* an empty drive is none */
}

static void
check_config_error(const GError *error, const char *says)
{
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, says));
}

static void
test_faults(void)
{
    g_autoptr(GError) error = NULL;
    VmfDiskEdit disk = {.target = "sda", .url = "smb://fs1/v/w/x", .format = "raw"};
    g_assert_null(vmf_domain_edit_disks(plain, "/run/vmferry", &disk, 1, &error));
    check_config_error(error, "'sda' is a cdrom");
    g_clear_error(&error);
    g_assert_null(vmf_domain_edit_disks("<network/>", "/run/vmferry", &disk, 1, &error));
    check_config_error(error, "begins with <network>");
    g_clear_error(&error);
    g_assert_null(vmf_domain_edit_disks("not xml", "/run/vmferry", &disk, 1, &error));
    check_config_error(error, "is not XML");
    g_clear_error(&error);
    g_assert_null(vmf_domain_edit_disks("<domain><uuid>x</uuid></domain>", "/r", &disk, 1, &error));
    check_config_error(error, "'x' is no UUID");
    g_clear_error(&error);
    g_assert_null(vmf_domain_edit_name("<domain/>", &error));
    check_config_error(error, "has no <name>");
    g_clear_error(&error);
    g_assert_null(vmf_domain_edit_urls("<domain><devices><disk><source file='smb://a'/>"
                                       "<target dev='vda'/></disk></devices></domain>",
                                       &error));
    check_config_error(error, "say raw or qcow2");
}

static void
test_every_truncation(void)
{
    const VmfDiskEdit disk = {.target = "vda", .url = "smb://fs1/v/w/x", .format = "raw"};
    for (gsize cut = 0; cut < sizeof plain - 1; cut++) {
        g_autofree gchar *part = g_strndup(plain, cut);
        g_autoptr(GError) error = NULL;
        g_assert_null(vmf_domain_edit_disks(part, "/run/vmferry", &disk, 1, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
        g_clear_error(&error);
        g_assert_null(vmf_domain_edit_urls(part, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
        g_clear_error(&error);
        g_assert_null(vmf_domain_edit_other_disks(part, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
        g_assert_null(vmf_domain_edit_uuid(part, NULL));
        g_assert_null(vmf_domain_edit_name(part, NULL));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/domain-edit/disk/replaced", test_replace);
    g_test_add_func("/domain-edit/result/accepted-by-rebuild", test_accepted_by_rebuild);
    g_test_add_func("/domain-edit/other-bus/other-address", test_bus_changes_address);
    g_test_add_func("/domain-edit/no-uuid/made", test_uuid_made);
    g_test_add_func("/domain-edit/urls/listed", test_urls);
    g_test_add_func("/domain-edit/no-disk/empty-lists", test_no_disks);
    g_test_add_func("/domain-edit/faults/said", test_faults);
    g_test_add_func("/domain-edit/every-truncation/refused", test_every_truncation);
    return g_test_run();
}
