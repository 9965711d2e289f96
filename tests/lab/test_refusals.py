# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be refused before anything moves: exit status 1, a text that names account, object,
reason and cure, and a guest that notices nothing."""

import contextlib

import pytest

from labkit.lab import ADDRESSES, until
from labkit.moves import SLOW, RunningMove, assert_says, move, refused
from labkit.processes import Process
from labkit.untouched import untouched

ADMINISTRATOR = ("-A", "/root/administrator")


@pytest.fixture(scope="module")
def guest(lab, hv1):
    found = lab.create_guest("stay", on=hv1)
    yield found
    lab.delete_guest(found)


@pytest.fixture
def at_hv1(guest):
    assert guest.where().name == "hv1"
    return guest


@contextlib.contextmanager
def acl(lab, path, *entries):
    """The file has this ACL meanwhile; afterwards that of its folder's files again"""
    def set_to(wanted):
        lab.host("fs1").run("smbcacls", "//fs1.lab.test/vms", path, *ADMINISTRATOR, "-S",
                            ",".join(f"ACL:LAB\\{who}:ALLOWED/0x0/{mask}" for who, mask in wanted))

    set_to(entries)
    try:
        yield
    finally:
        set_to([("Domain Admins", "FULL"), ("VM Hosts", "FULL")])


@contextlib.contextmanager
def configured(host, old, new):
    """Lines of the host's policy file are changed meanwhile, and its vmferryd restarted"""
    file = "/etc/vmferry/vmferry.conf"
    host.run("cp", file, file + ".kept")
    host.run("sed", "-i", f"s|^{old}$|{new}|", file)
    assert host.run("cmp", "-s", file, file + ".kept", check=False).returncode == 1, "no such line"
    try:
        host.service("restart", "vmferryd")
        host.wait_for_vmferryd()
        yield
    finally:
        host.run("mv", file + ".kept", file)
        host.service("restart", "vmferryd")
        host.wait_for_vmferryd()


@contextlib.contextmanager
def vmferryd_stopped(host):
    host.service("stop", "vmferryd")
    try:
        yield
    finally:
        host.service("start", "vmferryd")
        host.wait_for_vmferryd()


@contextlib.contextmanager
def account_disabled(lab, host):
    lab.host("dc1").run("samba-tool", "user", "disable", host.account)
    try:
        yield
    finally:
        lab.host("dc1").run("samba-tool", "user", "enable", host.account)


@contextlib.contextmanager
def cut(lab, *hosts):
    lab.check("cut", *hosts)
    try:
        yield
    finally:
        lab.check("heal")


def disk_path(guest):
    return guest.disks["vda"][1]


def test_destination_may_not_write_the_disk(lab, hv1, at_hv1):
    with acl(lab, disk_path(at_hv1), ("Domain Admins", "FULL"), ("HV1$", "FULL"), ("HV2$", "READ")):
        with untouched(lab, at_hv1):
            refused(hv1, at_hv1.name, "hv2", r"HV2\$", r"fs1\.lab\.test/vms/stay/vda\.raw", r"denied|may not|no permission",
                    r"smbcacls .*stay/vda\.raw", r"icacls ")
    move(hv1, at_hv1, lab.host("hv2"))
    move(lab.host("hv2"), at_hv1, hv1)


def test_destination_may_not_even_read_the_disk(lab, hv1, at_hv1):
    with acl(lab, disk_path(at_hv1), ("Domain Admins", "FULL"), ("HV1$", "FULL")):
        with untouched(lab, at_hv1):
            refused(hv1, at_hv1.name, "hv2", r"HV2\$", r"stay/vda\.raw", r"denied|may not|no permission", r"smbcacls ")


def test_rights_of_what_speaks_with_the_file_server(lab, hv1, at_hv1):
    """The disk process of the running VM, and the probe, which stays for a minute after it was asked: a user of their own,
    who has no right and no way to one"""
    with acl(lab, disk_path(at_hv1), ("Domain Admins", "FULL"), ("HV1$", "FULL"), ("HV2$", "READ")):
        refused(hv1, at_hv1.name, "hv2", r"HV2\$")
    daemon = Process.of_service(hv1, "vmferryd")
    uid, gid = hv1.run("bash", "-c", "id -u vmferry-disk; id -g vmferry-disk").stdout.split()
    probes = daemon.children("vmferry-share-probe")
    assert probes
    for process in [Process.of_disks(hv1, at_hv1), *probes]:
        status = process.status()
        assert status["Uid"].split() == [uid] * 4 and status["Gid"].split() == [gid] * 4 and uid != "0"
        assert status["Groups"] == "" and status["NoNewPrivs"] == "1"
        assert {int(status[which], 16) for which in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
        # what may be gained by a program with capabilities, which NoNewPrivs forbids: no more than vmferryd's
        assert int(status["CapBnd"], 16) & ~int(daemon.status()["CapBnd"], 16) == 0


def test_destination_is_not_in_the_group(lab, hv1, at_hv1):
    with untouched(lab, at_hv1):
        refused(hv1, at_hv1.name, "hv3", r"HV3\$|hv3\.lab\.test", r"VM Hosts", r"not .*(in|member)",
                r"\badd\b|addmembers")


def test_destination_does_not_exist(lab, hv1, at_hv1):
    with untouched(lab, at_hv1):
        refused(hv1, at_hv1.name, "nowhere", r"nowhere", r"not|no ", r"hosts|add|join")


@contextlib.contextmanager
def without_address(lab, host):
    """The domain's DNS does not know the host meanwhile"""
    def dns(verb):
        lab.host("dc1").run("sh", "-c", f". /usr/lib/vmferry-lab/common; load_settings; samba-tool dns {verb} 127.0.0.1 "
                            f"lab.test {host.name} A {ADDRESSES[host.name]} -U \"Administrator%$LAB_PASSWORD\"")
    dns("delete")
    try:
        yield
    finally:
        dns("add")


UNREACHABLE = r"stay was not moved and stays on hv1: HV1\$ cannot reach vmferryd on hv2\.lab\.test, TCP port 16016: "


def test_destination_runs_no_vmferryd(lab, hv1, hv2, at_hv1):
    with vmferryd_stopped(hv2), untouched(lab, at_hv1):
        refused(hv1, at_hv1.name, "hv2", UNREACHABLE, r"Connection refused; ",
                r"on hv2\.lab\.test: systemctl start vmferryd, then: vmferry doctor")


def test_destination_is_cut_off(lab, hv1, hv2, at_hv1):
    with cut(lab, "hv1", "hv2"), untouched(lab, at_hv1):
        refused(hv1, at_hv1.name, "hv2", UNREACHABLE, r": [^;]*(timed out|no route|unreachable); ",
                r"see that the host is up, and that no cable or firewall .* TCP port 16016", r"ping hv2\.lab\.test")


def test_destination_has_no_address(lab, hv1, hv2, at_hv1):
    with without_address(lab, hv2), untouched(lab, at_hv1):
        refused(hv1, at_hv1.name, "hv2", UNREACHABLE, r"no DNS here has its address", r"getent hosts hv2\.lab\.test")


@pytest.mark.parametrize("old, new, patterns", [
    (r"\[guests\]", r"[networks]\nallow=br-other\n\n[guests]", (r"bridge 'br0'", r"not among the networks", r"\[networks\] allow")),
    (r"\[guests\]", r"[limits]\nmemory-reserve-mib=1048576\n\n[guests]", (r"must stay free", r"choose another host")),
    ("durable=yes", "durable=no", (r"durable=no", r"sync always = yes")),
], ids=["network", "memory", "durable"])
def test_destinations_own_policy(lab, hv1, hv2, at_hv1, old, new, patterns):
    """The source judges by its own file, and lets the VM go: the destination's file decides there"""
    with configured(hv2, old, new), untouched(lab, at_hv1):
        refused(hv1, at_hv1.name, "hv2", r"by the policy file of hv2\.lab\.test: 'stay' cannot move", *patterns)


def test_destinations_account_is_disabled(lab, hv1, hv2, at_hv1):
    with account_disabled(lab, hv2), untouched(lab, at_hv1):
        refused(hv1, at_hv1.name, "hv2", r"HV2\$", r"disabled", r"enable")


def test_sources_account_is_disabled(lab, hv1, hv2, at_hv1):
    """The source still has tickets from before: the destination must look in the directory."""
    move(hv1, at_hv1, hv2)
    try:
        with account_disabled(lab, hv2), untouched(lab, at_hv1):
            refused(hv2, at_hv1.name, "hv1", r"HV2\$", r"disabled|revoked", r"enable")
    finally:
        move(hv2, at_hv1, hv1)


def test_destination_does_not_allow_the_file_server(lab, hv1, hv2, at_hv1):
    with configured(hv2, r"\(.*\)//fs1\(.*\)", r"\1//other\2"), untouched(lab, at_hv1):
        refused(hv1, at_hv1.name, "hv2", r"hv2", r"//fs1\.lab\.test/vms", r"not (allowed|on)|allow",
                r"vmferry\.conf")


def test_url_on_a_server_that_is_not_allowed_is_not_defined(lab, hv1):
    definition = (lab.dir / "guest/vms/demo.xml").read_text().replace("fs1.lab.test", "evil.lab.test")
    definition = definition.replace("demo", "stray").replace("0d6a1c0de001", "0d6a1c0de0ee")
    hv1.run("tee", "/tmp/stray.xml", input=definition)
    result = hv1.vmferry("define", "/tmp/stray.xml", check=False)
    assert result.returncode == 1, result
    assert_says(result.stderr, r"evil\.lab\.test", r"allow", r"vmferry\.conf")
    assert "stray" not in hv1.virsh("list", "--all", "--name").split()


def test_vm_with_a_disk_that_is_on_no_share(lab, hv1):
    local = lab.create_local_guest("local", hv1)
    try:
        with untouched(lab, local):
            refused(hv1, "local", "hv2", r"local", r"vda", r"share", r"attach|define")
    finally:
        lab.delete_local_guest(local, hv1)


def test_vm_with_one_disk_on_a_share_and_one_on_the_host(lab, hv1, hv2):
    guest = lab.create_guest("mixed")
    definition = (lab.dir / "guest/vms/mixed.xml").read_text()
    second = ("<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
              "<source file='/var/lib/libvirt/mixed.raw'/><target dev='vdb' bus='virtio'/></disk>")
    hv1.run("truncate", "-s", "64M", "/var/lib/libvirt/mixed.raw")
    hv1.run("chown", "libvirt-qemu:", "/var/lib/libvirt/mixed.raw")
    hv1.run("tee", "/tmp/mixed.xml", input=definition.replace("<interface", second + "<interface"))
    try:
        assert_says(hv1.vmferry("define", "/tmp/mixed.xml").stdout, r"vdb: .* is not on a share")
        hv1.virsh("start", "mixed")
        guest.observe(50, 60)
        with untouched(lab, guest):
            refused(hv1, "mixed", "hv2", r"mixed", r"vdb", r"share", r"attach|define")
        assert "mixed" not in hv2.virsh("list", "--all", "--name").split()
    finally:
        lab.delete_guest(guest)


def test_vm_is_unknown(hv1):
    refused(hv1, "no-such-vm", "hv2", r"no-such-vm", r"no (VM|domain)|not (found|known)|unknown", r"list")


def test_vm_does_not_run(lab, hv1):
    name = "off"
    lab.check("vm-create", name)
    guest = lab.guest(name)
    hv1.vmferry("define", f"/usr/share/vmferry-lab/vms/{name}.xml")
    try:
        refused(hv1, name, "hv2", name, r"not run|shut off|does not run", r"start")
        assert hv1.virsh("domstate", name) == "shut off"
    finally:
        lab.delete_guest(guest)


def test_second_move_of_the_same_vm(lab, hv1, hv2):
    """Slowed down by a bandwidth limit; what that does to a guest's memory under TCG is not judged."""
    guest = lab.create_guest("slow", on=hv1)
    try:
        with untouched(lab, guest):
            first = RunningMove(hv1, guest, hv2, *SLOW).wait_for_stage("memory")
            refused(hv1, guest.name, "hv2", guest.name, r"already|other job|being moved|under way",
                    rf"cancel|job {first.job()}|jobs")
            assert hv1.vmferry("migrate", guest.name, "--to", "hv1", check=False).returncode == 1
            checked = hv1.vmferry("check", guest.name, "--to", "hv2", check=False)
            assert checked.returncode == 3, checked
            assert_says(checked.stderr, rf"'{guest.name}' is being moved already: job {first.job()}")
            first.cancel()
            status, said = first.end()
            assert status == 1, said
    finally:
        lab.delete_guest(guest)


@pytest.mark.parametrize("to", ["hv1", "hv1.lab.test"])
def test_move_to_where_it_is(lab, hv1, at_hv1, to):
    with untouched(lab, at_hv1):
        refused(hv1, at_hv1.name, to, r"hv1", r"this host|itself|already|same")


def test_refusal_is_told_to_programs_as_well(lab, hv1, hv2, at_hv1):
    from labkit import report
    with vmferryd_stopped(hv2):
        result = hv1.vmferry("migrate", at_hv1.name, "--to", "hv2", "--json", check=False)
    assert result.returncode == 1
    told = report.parse(result.stdout)
    assert report.faults(told) == []
    assert told["outcome"] == "continues-on-source"
    assert told["error"]["code"] == "unreachable"


def test_nothing_is_left_at_the_destination(lab, hv2, at_hv1):
    """After all those refusals: no domain, no disk process, nothing of the guest."""
    until(lambda: at_hv1.name not in hv2.virsh("list", "--all", "--name").split(), 10, "no domain left")
    until(lambda: hv2.run("test", "-e", f"/run/vmferry/{at_hv1.uuid}/control", check=False).returncode == 1,
          10, "no disk process left")
