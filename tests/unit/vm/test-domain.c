/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Definitions from real libvirts (corpus/domain: virt-install's, dumped live, --migratable and
 * --inactive --migratable) pass and keep everything; hostile ones are refused, each with its text.
 */
#include "src/vm/domain.h"

#include <string.h>

#include "src/base/error.h"
#include "src/vm/xml-rules.h"
#include "tests/unit/vm/definitions.h"

#define EMULATOR "/usr/bin/qemu-local"
#define UUID     "11111111-2222-4333-8444-555555555555"

static const char *const boot_files[] = {"/boot/lab/vmlinuz", "/boot/lab/initrd", NULL};
static const VmfDomainRules rules = {
    .emulator = EMULATOR, .run_dir = "/run/vmferry", .boot_files = boot_files};

static gchar *
load(const char *base)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "corpus", "domain", base, NULL);
    gchar *xml = NULL;
    g_file_get_contents(path, &xml, NULL, &error);
    g_assert_no_error(error);
    return xml;
}

static VmfDomain *
rebuild(const char *xml, const VmfDomainRules *by, GError **error)
{
    return vmf_domain_rebuild(xml, strlen(xml), by, error);
}

/* @xml with the first @old replaced. */
static gchar *
with(const char *xml, const char *old, const char *fresh)
{
    const char *at = strstr(xml, old);
    if (at == NULL)
        g_error("the corpus has no '%s'", old);
    return g_strdup_printf("%.*s%s%s", (int)(at - xml), xml, fresh, at + strlen(old));
}

/* ---- what passes ---- */

static void
check_real(const char *base)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *xml = load(base);
    g_autoptr(VmfDomain) domain = rebuild(xml, &rules, &error);
    g_assert_no_error(error);
    g_autofree gchar *once = vmf_domain_to_xml(domain);
    g_autoptr(VmfDomain) again = rebuild(once, &rules, &error);
    g_assert_no_error(error);
    g_autofree gchar *twice = vmf_domain_to_xml(again);
    g_assert_cmpstr(once, ==, twice);
    g_assert_nonnull(strstr(once, "<emulator>" EMULATOR "</emulator>"));
    g_assert_null(strstr(once, "/var/lib/libvirt"));
    g_assert_null(strstr(once, "/dev/pts"));
    g_assert_null(strstr(once, "seclabel"));
    if (strstr(base, ".live.") == NULL) /* a live one names what libvirt chose: that is dropped */
        definitions_same(xml, once);
}

static void
test_real(void)
{
    guint n = 0;
    const char *base;
    g_autofree gchar *folder = g_test_build_filename(G_TEST_DIST, "corpus", "domain", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_assert_nonnull(dir);
    while ((base = g_dir_read_name(dir)) != NULL) {
        g_test_message("%s", base);
        check_real(base);
        n++;
    }
    g_assert_cmpuint(n, >=, 15);
}

static void
test_model(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *xml = load("srv1.migratable.xml");
    g_autoptr(VmfDomain) domain = rebuild(xml, &rules, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(vmf_domain_name(domain), ==, "srv1");
    g_assert_cmpstr(vmf_domain_uuid(domain), ==, "73cc2ce1-93c7-4a6c-90d8-eb5542c35dc8");
    g_assert_cmpstr(vmf_domain_type(domain), ==, "qemu");
    g_assert_cmpstr(vmf_domain_arch(domain), ==, "x86_64");
    g_assert_cmpstr(vmf_domain_machine(domain), ==, "pc-q35-7.2");
    g_assert_cmpstr(vmf_domain_cpu_mode(domain), ==, "custom");
    g_assert_cmpuint(vmf_domain_memory_kib(domain), ==, 2 * 1024 * 1024);
    g_assert_cmpuint(vmf_domain_vcpus(domain), ==, 4);
    g_assert_cmpuint(vmf_domain_n_disks(domain), ==, 2);
    const VmfDomainDisk *disk = vmf_domain_disk(domain, 1);
    g_assert_cmpstr(disk->target, ==, "sdb");
    g_assert_cmpstr(disk->bus, ==, "scsi");
    g_assert_cmpstr(disk->format, ==, "raw");
    g_assert_cmpstr(disk->url, ==, "smb://fs1.lab.test/vms/srv1/sdb.raw");
    g_assert_cmpstr(disk->cache, ==, "none");
    g_assert_cmpuint(vmf_domain_n_interfaces(domain), ==, 1);
    const VmfDomainInterface *interface = vmf_domain_interface(domain, 0);
    g_assert_cmpstr(interface->kind, ==, "bridge");
    g_assert_cmpstr(interface->source, ==, "br0");
    g_assert_true(g_str_has_prefix(interface->mac, "52:54:00:"));
}

static void
test_units(void)
{
    static const struct {
        const char *unit;
        guint64 kib;
    } cases[] = {
        {"unit='KiB'", 131072},
        {"", 131072},
        {"unit='k'", 131072},
        {"unit='KB'", 128000},
        {"unit='bytes'", 128},
        {"unit='MiB'", 134217728},
        {"unit='GB'", G_GUINT64_CONSTANT(128000000000)},
    };
    g_autofree gchar *base = load("demo.begin.xml");
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree gchar *memory = g_strdup_printf("<memory %s>131072", cases[i].unit);
        g_autofree gchar *xml = with(base, "<memory unit='KiB'>131072", memory);
        g_autoptr(VmfDomain) domain = rebuild(xml, &rules, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(vmf_domain_memory_kib(domain), ==, cases[i].kib);
    }
}

/* ---- what does not ---- */

typedef struct {
    const char *outcome;
    const char *old, *fresh; /* in demo.begin.xml; old NULL: fresh is put before </devices> */
    VmfError code;
    const char *says[2];
} Hostile;

#define DISK_SOURCE                                                                                \
    "<source protocol='nbd' name='vda'>\n"                                                         \
    "        <host transport='unix' "                                                              \
    "socket='/run/vmferry/11111111-2222-4333-8444-555555555555/nbd'/>\n"                           \
    "      </source>"
#define INTERFACE "<interface type='bridge'>"
#define MAC       "<mac address='52:54:00:00:00:09'/>"

/* clang-format off */
static const Hostile hostile[] = {
    {"qemu-namespace", "<domain type='qemu'>",
     "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
     "<qemu:commandline><qemu:arg value='-S'/></qemu:commandline>",
     VMF_ERROR_UNSUPPORTED, {"line 1", "<commandline> of the namespace 'http://libvirt.org/schemas/domain/qemu/1.0'"}},
    {"namespaced-attribute", "<domain type='qemu'>",
     "<domain type='qemu' xmlns:x='urn:x' x:type='kvm'>", VMF_ERROR_UNSUPPORTED, {"attribute 'urn:x type' of <domain>"}},
    {"other-hypervisor", "<domain type='qemu'>", "<domain type='xen'>", VMF_ERROR_UNSUPPORTED, {"'xen'", "only KVM and QEMU"}},
    {"unknown-element", "<vcpu ", "<teleport/><vcpu ", VMF_ERROR_UNSUPPORTED, {"line 11", "<teleport> in <domain> is not on the list"}},
    {"unknown-attribute", "<vcpu ", "<vcpu x='1' ", VMF_ERROR_UNSUPPORTED, {"line 11", "attribute 'x' of <vcpu> is not on the list"}},
    {"foreign-loader", "<kernel>", "<loader readonly='yes' type='pflash'>/tmp/evil.fd</loader><kernel>",
     VMF_ERROR_UNSUPPORTED, {"the text of <loader> is '/tmp/evil.fd'", "only the firmware"}},
    {"loader-climbs", "<kernel>", "<loader type='rom'>/usr/share/OVMF/../../../tmp/evil.fd</loader><kernel>",
     VMF_ERROR_UNSUPPORTED, {"the text of <loader>"}},
    {"nvram-template", "<kernel>", "<nvram template='/etc/shadow'/><kernel>", VMF_ERROR_UNSUPPORTED, {"attribute 'template' of <nvram> is '/etc/shadow'"}},
    {"nvram-source", "<kernel>", "<nvram><source file='/etc/shadow'/></nvram><kernel>", VMF_ERROR_UNSUPPORTED, {"<source>", "open a file or device"}},
    {"kernel-not-listed", "<kernel>/boot/lab/vmlinuz", "<kernel>/etc/shadow", VMF_ERROR_UNSUPPORTED, {"line 14", "the text of <kernel> is '/etc/shadow'"}},
    {"initrd-not-listed", "<initrd>/boot/lab/initrd", "<initrd>/etc/shadow", VMF_ERROR_UNSUPPORTED, {"line 15", "policy file lists"}},
    {"dtb-not-listed", "<kernel>", "<dtb>/boot/x.dtb</dtb><kernel>", VMF_ERROR_UNSUPPORTED, {"the text of <dtb>"}},
    {"acpi-table", "<kernel>", "<acpi><table type='slic'>/etc/shadow</table></acpi><kernel>", VMF_ERROR_UNSUPPORTED, {"<acpi>", "open a file"}},
    {"fwcfg", "<os>", "<sysinfo type='fwcfg'><entry name='opt/x' file='/etc/shadow'/></sysinfo><os>", VMF_ERROR_UNSUPPORTED, {"'type' of <sysinfo> is 'fwcfg'"}},
    {"launch-security", "<os>", "<launchSecurity type='sev'/><os>", VMF_ERROR_UNSUPPORTED, {"<launchSecurity>", "one host's CPU"}},
    {"bootloader", "<os>", "<bootloader>/bin/sh</bootloader><os>", VMF_ERROR_UNSUPPORTED, {"<bootloader>", "runs a program"}},
    {"memory-file", "<os>", "<memoryBacking><source type='file'/></memoryBacking><os>", VMF_ERROR_UNSUPPORTED, {"'type' of <source> is 'file'", "memory in files"}},
    {"real-time", "<os>", "<cputune><vcpusched vcpus='0' scheduler='fifo' priority='99'/></cputune><os>", VMF_ERROR_UNSUPPORTED, {"<vcpusched>", "real-time priority"}},
    {"core-dump", "<on_crash>destroy", "<on_crash>coredump-restart", VMF_ERROR_UNSUPPORTED, {"'coredump-restart'", "core dumps"}},
    {"block-tuning", "<os>", "<blkiotune><device><path>/dev/sda</path></device></blkiotune><os>", VMF_ERROR_UNSUPPORTED, {"<device>", "block device of this host"}},
    {"hostdev", NULL, "<hostdev mode='subsystem' type='pci'/>", VMF_ERROR_UNSUPPORTED, {"line 114, domain/devices/hostdev: <hostdev> may not come from there: a device of the host"}},
    {"redirdev", NULL, "<redirdev bus='usb' type='tcp'><source mode='connect' host='x' service='1'/></redirdev>", VMF_ERROR_UNSUPPORTED, {"<redirdev>", "USB device"}},
    {"filesystem", NULL, "<filesystem type='mount'><source dir='/'/><target dir='x'/></filesystem>", VMF_ERROR_UNSUPPORTED, {"<filesystem>", "folder of the host"}},
    {"shmem", NULL, "<shmem name='x'/>", VMF_ERROR_UNSUPPORTED, {"<shmem>", "shared with others"}},
    {"smartcard", NULL, "<smartcard mode='host'/>", VMF_ERROR_UNSUPPORTED, {"<smartcard>"}},
    {"vsock", NULL, "<vsock model='virtio'/>", VMF_ERROR_UNSUPPORTED, {"<vsock>"}},
    {"lease", NULL, "<lease><target path='/x'/></lease>", VMF_ERROR_UNSUPPORTED, {"<lease>", "owner record"}},
    {"crypto", NULL, "<crypto model='virtio'/>", VMF_ERROR_UNSUPPORTED, {"<crypto>"}},
    {"nvdimm", NULL, "<memory model='nvdimm'><source><path>/x</path></source></memory>", VMF_ERROR_UNSUPPORTED, {"'model' of <memory> is 'nvdimm'"}},
    {"dimm-on-path", NULL, "<memory model='dimm'><source><path>/x</path></source></memory>", VMF_ERROR_UNSUPPORTED, {"<path>", "open a file"}},
    {"rng-hwrng", "<backend model='random'>/dev/urandom", "<backend model='random'>/dev/hwrng", VMF_ERROR_UNSUPPORTED, {"the text of <backend> is '/dev/hwrng'", "/dev/urandom or builtin"}},
    {"rng-egd", "<backend model='random'>/dev/urandom", "<backend model='egd' type='tcp'>", VMF_ERROR_UNSUPPORTED, {"'model' of <backend> is 'egd'"}},
    {"tpm-passthrough", NULL, "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>", VMF_ERROR_UNSUPPORTED, {"'type' of <backend> is 'passthrough'", "TPM of the host"}},
    {"serial-file", "<serial type='pty'>", "<serial type='file'>", VMF_ERROR_UNSUPPORTED, {"line 91", "'type' of <serial> is 'file'"}},
    {"serial-tcp", "<serial type='pty'>", "<serial type='tcp'>", VMF_ERROR_UNSUPPORTED, {"'tcp'", "use pty"}},
    {"serial-dev", "<serial type='pty'>", "<serial type='dev'>", VMF_ERROR_UNSUPPORTED, {"'dev'", "use pty"}},
    {"serial-unix", "<serial type='pty'>", "<serial type='unix'>", VMF_ERROR_UNSUPPORTED, {"'unix'", "use pty"}},
    {"serial-log", "<serial type='pty'>", "<serial type='pty'><log file='/etc/passwd'/>", VMF_ERROR_UNSUPPORTED, {"<log>", "writes a file"}},
    {"console-pipe", "<console type='pty'>", "<console type='pipe'>", VMF_ERROR_UNSUPPORTED, {"'pipe'", "use pty"}},
    {"channel-file", "<channel type='unix'>", "<channel type='file'>", VMF_ERROR_UNSUPPORTED, {"'type' of <channel> is 'file'"}},
    {"channel-guestfwd", "<target type='virtio' name='org.qemu.guest_agent.0'/>", "<target type='guestfwd'/>", VMF_ERROR_UNSUPPORTED, {"only virtio channels"}},
    {"parallel-dev", NULL, "<parallel type='dev'><source path='/dev/parport0'/></parallel>", VMF_ERROR_UNSUPPORTED, {"'type' of <parallel> is 'dev'"}},
    {"audio-file", NULL, "<audio id='1' type='file' path='/etc/passwd'/>", VMF_ERROR_UNSUPPORTED, {"'type' of <audio> is 'file'"}},
    {"input-evdev", NULL, "<input type='evdev'><source dev='/dev/input/event0'/></input>", VMF_ERROR_UNSUPPORTED, {"'evdev'"}},
    {"graphics-socket", NULL, "<graphics type='vnc' socket='/tmp/x'/>", VMF_ERROR_UNSUPPORTED, {"'socket' of <graphics> is '/tmp/x'"}},
    {"graphics-listen-socket", NULL, "<graphics type='vnc'><listen type='socket' socket='/tmp/x'/></graphics>", VMF_ERROR_UNSUPPORTED, {"'type' of <listen> is 'socket'"}},
    {"graphics-sdl", NULL, "<graphics type='sdl' display=':0'/>", VMF_ERROR_UNSUPPORTED, {"'sdl'"}},
    {"graphics-gl", NULL, "<graphics type='spice'><gl enable='yes' rendernode='/dev/dri/renderD128'/></graphics>", VMF_ERROR_UNSUPPORTED, {"'enable' of <gl>", "graphics card"}},
    {"video-vhostuser", NULL, "<video><driver name='vhostuser'/><model type='virtio'/></video>", VMF_ERROR_UNSUPPORTED, {"'name' of <driver> is 'vhostuser'"}},
    {"watchdog-dump", NULL, "<watchdog model='i6300esb' action='dump'/>", VMF_ERROR_UNSUPPORTED, {"'action' of <watchdog> is 'dump'"}},
    {"interface-direct", INTERFACE, "<interface type='direct'>", VMF_ERROR_UNSUPPORTED, {"line 85", "'type' of <interface> is 'direct'"}},
    {"interface-ethernet", INTERFACE, "<interface type='ethernet'>", VMF_ERROR_UNSUPPORTED, {"'ethernet'"}},
    {"interface-user", INTERFACE, "<interface type='user'>", VMF_ERROR_UNSUPPORTED, {"'user'"}},
    {"interface-vhostuser", INTERFACE, "<interface type='vhostuser'>", VMF_ERROR_UNSUPPORTED, {"'vhostuser'"}},
    {"interface-hostdev", INTERFACE, "<interface type='hostdev'>", VMF_ERROR_UNSUPPORTED, {"'hostdev'"}},
    {"interface-vdpa", INTERFACE, "<interface type='vdpa'>", VMF_ERROR_UNSUPPORTED, {"'vdpa'"}},
    {"interface-script", INTERFACE, INTERFACE "<script path='/tmp/x'/>", VMF_ERROR_UNSUPPORTED, {"<script>", "runs a program"}},
    {"interface-backend", INTERFACE, INTERFACE "<backend tap='/dev/sda'/>", VMF_ERROR_UNSUPPORTED, {"<backend>", "open a file"}},
    {"interface-rom", INTERFACE, INTERFACE "<rom file='/etc/shadow'/>", VMF_ERROR_UNSUPPORTED, {"'file' of <rom> is '/etc/shadow'"}},
    {"interface-virtualport", INTERFACE, INTERFACE "<virtualport type='openvswitch'/>", VMF_ERROR_UNSUPPORTED, {"<virtualport>"}},
    {"interface-bridge-path", "bridge='br0'", "bridge='../../etc'", VMF_ERROR_PROTOCOL, {"line 87", "not the name of a network device"}},
    {"interface-group-mac", "52:54:00:aa:bb:01", "53:54:00:aa:bb:01", VMF_ERROR_PROTOCOL, {"not a station's MAC address"}},
    {"interface-model", "<model type='virtio'/>", "<model type='vhost-user-gpu'/>", VMF_ERROR_UNSUPPORTED, {"domain/devices/interface/model/@type: attribute 'type' of <model> is 'vhost-user-gpu'", "use virtio"}},
    {"interface-no-source", "<source bridge='br0'/>", "", VMF_ERROR_PROTOCOL, {"an interface has"}},
    {"disk-file", "<disk type='network' device='disk'>", "<disk type='file' device='disk'>", VMF_ERROR_UNSUPPORTED, {"line 32", "not behind a share"}},
    {"disk-of-file", DISK_SOURCE, "<source file='/etc/shadow'/>", VMF_ERROR_UNSUPPORTED, {"disk 'vda' is on '/etc/shadow'", "vmferry attach"}},
    {"disk-block", DISK_SOURCE, "<source dev='/dev/sda'/>", VMF_ERROR_UNSUPPORTED, {"disk 'vda' is on '/dev/sda'"}},
    {"disk-file-beside-nbd", "<source protocol='nbd' name='vda'>", "<source protocol='nbd' name='vda' file='/etc/shadow'>", VMF_ERROR_UNSUPPORTED, {"not behind a share"}},
    {"disk-nvme", DISK_SOURCE, "<source type='pci' managed='yes'/>", VMF_ERROR_UNSUPPORTED, {"attribute 'type' of <source> is 'pci'"}},
    {"disk-vhostuser", DISK_SOURCE, "<source type='unix' path='/tmp/x'/>", VMF_ERROR_UNSUPPORTED, {"of <source>"}},
    {"disk-lun", "device='disk'", "device='lun'", VMF_ERROR_UNSUPPORTED, {"'device' of <disk> is 'lun'"}},
    {"disk-other-vm", "4333-8444-555555555555/nbd", "4333-8444-555555555556/nbd", VMF_ERROR_UNSUPPORTED, {"the VM's own is '/run/vmferry/" UUID "/nbd'"}},
    {"disk-socket-climbs", "/run/vmferry/" UUID "/nbd", "/run/vmferry/x/../" UUID "/nbd", VMF_ERROR_UNSUPPORTED, {"the VM's own is"}},
    {"disk-tcp", "transport='unix'", "transport='tcp'", VMF_ERROR_UNSUPPORTED, {"'transport' of <host> is 'tcp'"}},
    {"disk-other-export", "<source protocol='nbd' name='vda'>", "<source protocol='nbd' name='vdb'>", VMF_ERROR_UNSUPPORTED, {"disk 'vda' is the export 'vdb'"}},
    {"disk-not-in-metadata", "<vmferry:disk target=\"vda\"", "<vmferry:disk target=\"vdb\"", VMF_ERROR_CONFIG, {"do not say on which share disk 'vda' is"}},
    {"disk-other-format", "format=\"raw\"", "format=\"qcow2\"", VMF_ERROR_CONFIG, {"'raw' in its driver and 'qcow2' in the metadata"}},
    {"disk-format-vmdk", "<driver name='qemu' type='raw'", "<driver name='qemu' type='vmdk'", VMF_ERROR_UNSUPPORTED, {"'type' of <driver> is 'vmdk'"}},
    {"disk-backing-chain", DISK_SOURCE, DISK_SOURCE "<backingStore type='file'><source file='/x'/></backingStore>", VMF_ERROR_UNSUPPORTED, {"<backingStore>", "flatten"}},
    {"disk-mirror", DISK_SOURCE, DISK_SOURCE "<mirror type='file'/>", VMF_ERROR_UNSUPPORTED, {"<mirror>", "block job"}},
    {"disk-shareable", DISK_SOURCE, DISK_SOURCE "<shareable/>", VMF_ERROR_UNSUPPORTED, {"<shareable>", "no one owner"}},
    {"disk-secret", DISK_SOURCE, DISK_SOURCE "<auth username='x'/>", VMF_ERROR_UNSUPPORTED, {"<auth>", "secret"}},
    {"disk-twice", NULL, "<disk type='network' device='disk'><target dev='vda' bus='virtio'/></disk>", VMF_ERROR_PROTOCOL, {"disk 'vda' is there twice"}},
    {"cdrom-with-medium", NULL, "<disk type='file' device='cdrom'><source file='/x.iso'/><target dev='sda' bus='sata'/></disk>", VMF_ERROR_UNSUPPORTED, {"cdrom 'sda' holds '/x.iso'", "eject"}},
    {"cdrom-vhostuser", NULL, "<disk type='vhostuser' device='cdrom'><target dev='sda' bus='sata'/></disk>", VMF_ERROR_UNSUPPORTED, {"domain/devices/disk/@type: cdrom 'sda' is of type 'vhostuser'"}},
    {"metadata-without-disk", "<vmferry:disk ", "<vmferry:disk target='vdz' url='smb://x/y/z' format='raw'/><vmferry:disk ", VMF_ERROR_CONFIG, {"'vdz', which is no disk"}},
    {"metadata-twice", "<vmferry:disk ", "<vmferry:disk target='vda' url='smb://x/y/z' format='raw'/><vmferry:disk ", VMF_ERROR_CONFIG, {"name 'vda' twice"}},
    {"metadata-of-others", "<metadata>", "<metadata><x:y xmlns:x='urn:x'/>", VMF_ERROR_UNSUPPORTED, {"<y> of the namespace 'urn:x'"}},
    {"second-name", "<name>demo</name>", "<name>demo</name><name>other</name>", VMF_ERROR_PROTOCOL, {"line 2", "a second <name> in <domain>"}},
    {"second-devices", "</devices>", "</devices><devices/>", VMF_ERROR_PROTOCOL, {"a second <devices>"}},
    {"name-with-slash", "<name>demo</name>", "<name>../demo</name>", VMF_ERROR_PROTOCOL, {"not a VM's name"}},
    {"name-an-option", "<name>demo</name>", "<name>-demo</name>", VMF_ERROR_PROTOCOL, {"not a VM's name"}},
    {"machine-with-option", "machine='pc-q35-7.2'", "machine='pc,accel=kvm'", VMF_ERROR_PROTOCOL, {"'pc,accel=kvm'"}},
    {"text-in-devices", "<devices>", "<devices>x", VMF_ERROR_PROTOCOL, {"<devices> has a text"}},
    {"no-uuid", "<uuid>" UUID "</uuid>", "", VMF_ERROR_PROTOCOL, {"a <name> and a <uuid>"}},
    {"no-memory", "<memory unit='KiB'>131072</memory>", "", VMF_ERROR_PROTOCOL, {"a VM has a <memory>"}},
    {"memory-overflows", "<memory unit='KiB'>131072", "<memory unit='TiB'>18446744073709551615", VMF_ERROR_PROTOCOL, {"no size of a memory"}},
    {"vcpu-nought", "<vcpu placement='static'>1", "<vcpu placement='static'>0", VMF_ERROR_PROTOCOL, {"no number of CPUs"}},
    {"number-with-letters", "<memory unit='KiB'>131072", "<memory unit='KiB'>131072k", VMF_ERROR_PROTOCOL, {"not a number"}},
    {"control-character-shown-safely", "<name>demo</name>", "<name>de&#x9b;31mmo</name>", VMF_ERROR_PROTOCOL, {"'de?31mmo'"}},
    {"entity", "<name>demo</name>", "<name>&demo;</name>", VMF_ERROR_PROTOCOL, {"is not XML: line 2"}},
    {"doctype", "<domain type='qemu'>", "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/shadow'>]><domain type='qemu'>", VMF_ERROR_PROTOCOL, {"document type declaration"}},
    {"doctype-external", "<domain type='qemu'>", "<!DOCTYPE domain SYSTEM 'http://127.0.0.1:1/x.dtd'><domain type='qemu'>", VMF_ERROR_PROTOCOL, {"document type declaration"}},
    {"processing-instruction", "<devices>", "<devices><?php x?>", VMF_ERROR_PROTOCOL, {"processing instruction"}},
    {"second-root", "</domain>", "</domain><domain/>", VMF_ERROR_PROTOCOL, {"is not XML"}},
    {"other-root", "<domain type='qemu'>", "<domains><domain type='qemu'>", VMF_ERROR_PROTOCOL, {"is not XML"}},
};
/* clang-format on */

static void
check_refused(const char *xml, const VmfDomainRules *by, VmfError code, const char *const *says,
              gsize n)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDomain) domain = rebuild(xml, by, &error);
    g_assert_null(domain);
    g_test_message("%s", error->message);
    for (gsize i = 0; i < n && says[i] != NULL; i++) {
        if (strstr(error->message, says[i]) == NULL)
            g_error("'%s' does not say '%s'", error->message, says[i]);
    }
    g_assert_error(error, VMF_ERROR, (gint)code);
    /* of a document that could be read: line and path */
    const char *line = strstr(error->message, ", line ");
    g_assert_true(line == NULL || strstr(line + 1, ", domain") != NULL);
}

static void
test_hostile(gconstpointer data)
{
    const Hostile *one = data;
    g_autofree gchar *base = load("demo.begin.xml");
    g_autofree gchar *inserted = g_strconcat(one->fresh, "</devices>", NULL);
    g_autofree gchar *xml = one->old != NULL ? with(base, one->old, one->fresh)
                                             : with(base, "</devices>", inserted);
    check_refused(xml, &rules, one->code, one->says, G_N_ELEMENTS(one->says));
}

static void
test_announced(void)
{
    g_autofree gchar *xml = load("demo.begin.xml");
    VmfDomainRules by = rules;
    by.uuid = "11111111-2222-4333-8444-555555555556";
    const char *uuid_says[] = {"not 11111111-2222-4333-8444-555555555556 as announced"};
    check_refused(xml, &by, VMF_ERROR_PROTOCOL, uuid_says, 1);
    by.uuid = UUID;
    by.name = "web1";
    const char *name_says[] = {"the name is 'demo', not 'web1' as announced"};
    check_refused(xml, &by, VMF_ERROR_PROTOCOL, name_says, 1);
}

static void
test_no_boot_files(void)
{
    g_autofree gchar *xml = load("demo.begin.xml");
    VmfDomainRules by = rules;
    by.boot_files = NULL;
    const char *says[] = {"the text of <kernel> is '/boot/lab/vmlinuz'"};
    check_refused(xml, &by, VMF_ERROR_UNSUPPORTED, says, 1);
}

static void
test_loaders(void)
{
    static const char *const none[] = {NULL};
    g_autofree gchar *xml = load("win1.migratable.xml");
    VmfDomainRules by = rules;
    by.loaders = none;
    const char *says[] = {"the text of <loader> is '/usr/share/OVMF/"};
    check_refused(xml, &by, VMF_ERROR_UNSUPPORTED, says, 1);
}

static void
test_dropped(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = load("demo.begin.xml");
    g_autofree gchar *xml = with(base, "</domain>",
                                 "<resource><partition>/evil</partition></resource>"
                                 "<seclabel type='none'><label>evil</label></seclabel></domain>");
    g_autofree gchar *tap = with(xml, "<source bridge='br0'/>",
                                 "<source bridge='br0'/><target dev='evil0'/>"
                                 "<alias name='evil'/><!-- evil -->");
    g_autofree gchar *channel = with(tap, "<channel type='unix'>",
                                     "<channel type='unix'><source mode='bind' path='/evil'/>");
    g_autofree gchar *emulator = with(channel, "<emulator>/usr/bin/qemu-system-x86_64",
                                      "<emulator>/evil");
    g_autoptr(VmfDomain) domain = rebuild(emulator, &rules, &error);
    g_assert_no_error(error);
    g_autofree gchar *written = vmf_domain_to_xml(domain);
    g_assert_null(strstr(written, "evil"));
}

static void
test_user_alias_kept(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = load("demo.begin.xml");
    g_autofree gchar *xml = with(base, "<source bridge='br0'/>",
                                 "<source bridge='br0'/><alias name='ua-lan'/>");
    g_autoptr(VmfDomain) domain = rebuild(xml, &rules, &error);
    g_assert_no_error(error);
    g_autofree gchar *written = vmf_domain_to_xml(domain);
    g_assert_nonnull(strstr(written, "<alias name='ua-lan'/>"));
}

/* Markup in values comes out as text again. */
static void
test_escaping(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = load("demo.begin.xml");
    g_autofree gchar *xml = with(
        base, "<os>", "<description>&lt;hostdev/&gt; &amp; 'x'\n\"y\"</description><os>");
    g_autofree gchar *both = with(xml, "smb://fs1.lab.test", "smb://&quot;&apos;&lt;&gt;&amp;");
    g_autoptr(VmfDomain) domain = rebuild(both, &rules, &error);
    g_assert_no_error(error);
    g_autofree gchar *written = vmf_domain_to_xml(domain);
    g_assert_null(strstr(written, "<hostdev"));
    g_autoptr(VmfDomain) again = rebuild(written, &rules, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(vmf_domain_disk(again, 0)->url, ==, "smb://\"'<>&/vms/demo/vda.raw");
}

/* ---- limits ---- */

static void
test_limits(void)
{
    const char *too_long[] = {"bytes; at most 10485760"};
    const char *too_many[] = {"more than 20000 elements"};
    g_autofree gchar *base = load("demo.begin.xml");
    g_autofree gchar *blanks = g_strnfill(VMF_DOMAIN_XML_MAX, ' ');
    g_autofree gchar *longer = with(base, "</domain>", "</domain>\n");
    g_autofree gchar *huge = g_strconcat(longer, blanks, NULL);
    check_refused(huge, &rules, VMF_ERROR_PROTOCOL, too_long, 1);

    g_autoptr(GString) inputs = g_string_new(NULL);
    for (guint i = 0; i < VMF_XML_ELEMENTS_MAX; i++)
        g_string_append(inputs, "<input type='mouse' bus='ps2'/>");
    g_string_append(inputs, "</devices>");
    g_autofree gchar *crowd = with(base, "</devices>", inputs->str);
    check_refused(crowd, &rules, VMF_ERROR_PROTOCOL, too_many, 1);

    g_autoptr(GString) deep = g_string_new(NULL);
    for (guint i = 0; i < 100000; i++)
        g_string_append(deep, "<a>");
    const char *too_deep[] = {"more than 64 levels of elements: line 1"};
    check_refused(deep->str, &rules, VMF_ERROR_PROTOCOL, too_deep, 1);

    g_autoptr(GString) wide = g_string_new("<domain");
    for (guint i = 0; i < 400000; i++)
        g_string_append_printf(wide, " a%u='/>'", i);
    g_string_append(wide, "/>");
    const char *too_wide[] = {"more than 200000 attributes: line 1"};
    check_refused(wide->str, &rules, VMF_ERROR_PROTOCOL, too_wide, 1);
}

static void
test_not_text(void)
{
    static const char latin[] = "<domain type='\xe4'/>";
    static const char utf16[] = "\xff\xfe<\0d\0/\0>\0";
    static const char nul[] = "<domain/>\0<domain/>";
    static const struct {
        const char *data;
        gsize length;
    } cases[] = {
        {latin, sizeof latin - 1}, {utf16, sizeof utf16 - 1}, {nul, sizeof nul - 1}, {"", 0}};
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(vmf_domain_rebuild(cases[i].data, cases[i].length, &rules, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

/* The claimed encoding is not believed: these bytes are UTF-8, whatever they say. */
static void
test_claimed_encoding(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = load("demo.begin.xml");
    g_autofree gchar *xml = g_strconcat("<?xml version='1.0' encoding='UTF-7'?>", base, NULL);
    g_autoptr(VmfDomain) domain = rebuild(xml, &rules, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(vmf_domain_name(domain), ==, "demo");
}

static void
test_every_truncation(void)
{
    g_autofree gchar *xml = load("demo.begin.xml");
    gsize length = strlen(g_strchomp(xml));
    for (gsize cut = 0; cut < length; cut++) {
        g_autoptr(GError) error = NULL;
        g_autofree gchar *exact = g_memdup2(xml, cut);
        g_assert_null(vmf_domain_rebuild(exact, cut, &rules, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/domain/real-definitions/kept", test_real);
    g_test_add_func("/domain/model/read", test_model);
    g_test_add_func("/domain/memory/units", test_units);
    g_test_add_func("/domain/host-s-own-choices/dropped", test_dropped);
    g_test_add_func("/domain/user-alias/kept", test_user_alias_kept);
    g_test_add_func("/domain/markup-in-values/escaped", test_escaping);
    g_test_add_func("/domain/not-as-announced/refused", test_announced);
    g_test_add_func("/domain/boot-files-none-listed/refused", test_no_boot_files);
    g_test_add_func("/domain/loader-not-listed/refused", test_loaders);
    for (gsize i = 0; i < G_N_ELEMENTS(hostile); i++) {
        g_autofree gchar *path = g_strdup_printf("/domain/hostile/%s", hostile[i].outcome);
        g_test_add_data_func(path, &hostile[i], test_hostile);
    }
    g_test_add_func("/domain/limits/kept", test_limits);
    g_test_add_func("/domain/not-utf8/refused", test_not_text);
    g_test_add_func("/domain/claimed-encoding/ignored", test_claimed_encoding);
    g_test_add_func("/domain/every-truncation/refused", test_every_truncation);
    return g_test_run();
}
