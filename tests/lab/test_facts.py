# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host finds out for a check, in a real domain, with a real share and libvirt: by facts-tool.

The unit tests show the pure parts. Here each fact is made true and false on the file server, on
the domain controller or in libvirt, by other tools than ours, and the gatherer must see it.
"""

import base64
import contextlib
import json
import os
import pathlib
import re
import subprocess

import pytest

from labkit.lab import ADDRESSES

TOOL = "tests/unit/vm/facts-tool"
INSIDE = "/root/facts-tool"
PROBE = os.environ.get("VMFERRY_SHARE_PROBE", "/usr/libexec/vmferry/vmferry-share-probe")
NAME = "facts1"
XML = f"/tmp/{NAME}.xml"
ADMINISTRATOR = ("-A", "/root/administrator")


@pytest.fixture(scope="module")
def tool(lab):
    """The facts-tool on each host: VMFERRY_FACTS_TOOL (a path there), or the lab's own build"""
    if "VMFERRY_FACTS_TOOL" in os.environ:
        return os.environ["VMFERRY_FACTS_TOOL"]
    build = lab.dir / "build"
    subprocess.run(["ninja", "-C", build, TOOL], check=True, capture_output=True)
    text = base64.b64encode(pathlib.Path(build / TOOL).read_bytes()).decode()
    for name in ("hv1", "hv2"):
        lab.host(name).run("bash", "-c", f"base64 -d >{INSIDE} && chmod 755 {INSIDE}", input=text)
    return INSIDE


@pytest.fixture(scope="module")
def guest(lab, hv1, hv2, tool):
    found = lab.create_guest(NAME, disks=("raw:64M", "qcow2:128M"), on=hv1)
    xml = hv1.virsh("dumpxml", NAME)
    for host in (hv1, hv2):
        host.run("bash", "-c", f"cat >{XML}", input=xml)
    yield found
    lab.delete_guest(found)


@pytest.fixture
def facts(tool):
    """facts(host, verb, ...) -> the facts, and how long it took in ms"""
    def ask(host, verb, *arguments):
        lines = host.run(tool, verb, *arguments).stdout.splitlines()
        answer = json.loads(lines[0])
        print(verb, host, answer["ms"], "ms")
        return next(value for key, value in answer.items() if key != "ms")
    return ask


def share(facts, host, *timeout):
    view = facts(host, "share", XML, PROBE, *timeout)
    return view, {probe["url"].rsplit("/", 1)[1]: probe for probe in view["probes"]}


def smbcacls(lab, path, *arguments):
    return lab.host("fs1").run("smbcacls", "//fs1.lab.test/vms", path, *ADMINISTRATOR, *arguments)


@contextlib.contextmanager
def acl(lab, path, *entries, inherited=False):
    """The file or folder has this ACL meanwhile"""
    def set_to(wanted, flags):
        smbcacls(lab, path, "-S", ",".join(f"ACL:LAB\\{who}:ALLOWED/{flags}/{mask}" for who, mask in wanted))

    set_to(entries, "0x0")
    try:
        yield
    finally:
        set_to([("Domain Admins", "FULL"), ("VM Hosts", "FULL")], "OI|CI" if inherited else "0x0")


@contextlib.contextmanager
def server_setting(lab, key, value):
    """The file server has this setting meanwhile; may be nested"""
    fs1 = lab.host("fs1")
    conf = "/etc/samba/smb.conf"
    kept = fs1.run("cat", conf).stdout
    changed, n = re.subn(rf"^    {key} = .*$", f"    {key} = {value}", kept, flags=re.M)
    assert n == 1, kept
    try:
        fs1.run("bash", "-c", f"cat >{conf} && smbcontrol smbd reload-config && smbcontrol smbd ping", input=changed)
        yield
    finally:
        fs1.run("bash", "-c", f"cat >{conf} && smbcontrol smbd reload-config && smbcontrol smbd ping", input=kept)


# ---- the share ----

def test_both_hosts_see_the_same_files(facts, lab, guest, hv1, hv2):
    seen = {}
    for host in (hv1, hv2):
        view, probes = share(facts, host)
        assert view["shares"] == [{"reason": "", "server": "fs1.lab.test", "share": "vms", "smb3": True,
                                   "smb3-problem": "", "encryption": "required",
                                   "encryption-problem": ""}]
        assert view["owner"]["present"] and view["owner"]["owner-account"] == "HV1$"
        assert view["owner"]["state"] == "running"
        for name in ("vda.raw", "vdb.qcow2"):
            assert probes[name]["allowed"] and probes[name]["reason"] == ""
            assert (probes[name]["read"], probes[name]["write"]) == ("ok", "held")
            assert probes[name]["descriptor"].startswith("REVISION:1,OWNER:S-1-5-21-")
            assert "LAB\\VM Hosts" in probes[name]["descriptor-names"]
        assert probes[NAME]["folder"] and probes[NAME]["read"] == "ok"
        assert probes["vda.raw"]["size-bytes"] == 64 << 20
        seen[host.name] = {name: (probe["file-id"], probe["descriptor"]) for name, probe in probes.items()}
    assert seen["hv1"] == seen["hv2"]
    inode = (lab.dir / "share" / NAME / "vda.raw").stat().st_ino
    assert seen["hv1"]["vda.raw"][0] == str(inode)


def test_it_changes_nothing(facts, lab, guest, hv2):
    def state():
        root = lab.dir / "share" / NAME
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino)
                for path in root.rglob("*") if path.suffix not in (".raw", ".qcow2")}
    before = state()
    share(facts, hv2)
    assert state() == before
    assert hv2.run("bash", "-c", "ls -d /run/vmferry/probe-* 2>/dev/null", check=False).stdout == ""


def test_what_is_not_permitted(facts, lab, guest, hv2):
    path = f"{NAME}/domain.xml"
    with acl(lab, path, ("Domain Admins", "FULL"), ("VM Hosts", "READ")):
        probe = share(facts, hv2)[1]["domain.xml"]
        assert (probe["read"], probe["write"]) == ("ok", "denied")
        assert "/0x001200a9" in probe["descriptor"]
    with acl(lab, path, ("Domain Admins", "FULL")):
        probe = share(facts, hv2)[1]["domain.xml"]
        assert (probe["read"], probe["write"]) == ("denied", "denied")
        assert probe["reason"] == "" and probe["descriptor"] == ""
        assert probe["descriptor-problem"] == "Permission denied"
    probe = share(facts, hv2)[1]["domain.xml"]
    assert (probe["read"], probe["write"]) == ("ok", "ok")


def test_folder_that_may_not_be_listed(facts, lab, guest, hv2):
    with acl(lab, NAME, ("Domain Admins", "FULL"), ("VM Hosts", "0x1200a0"), inherited=True):
        probe = share(facts, hv2)[1][NAME]
        assert probe["read"] == "denied" and "0x001200a0" in probe["descriptor"]


def test_missing_file(facts, lab, guest, hv2):
    file = lab.dir / "share" / NAME / "domain.xml"
    kept = file.with_name("domain.kept")
    file.rename(kept)
    try:
        probe = share(facts, hv2)[1]["domain.xml"]
        assert (probe["read"], probe["write"]) == ("missing", "missing")
    finally:
        kept.rename(file)


@pytest.mark.parametrize("setting,wanted", [("off", "optional"), ("desired", "optional"),
                                            ("required", "required")])
def test_encryption_that_the_server_requires(facts, lab, guest, hv2, setting, wanted):
    with server_setting(lab, "smb encrypt", setting):
        view, probes = share(facts, hv2)
        assert view["shares"][0]["encryption"] == wanted, view["shares"]
        assert probes["vda.raw"]["read"] == "ok"


def test_encryption_of_a_server_without_newest_dialect(facts, lab, guest, hv2):
    with server_setting(lab, "server min protocol", "SMB2_10\n    server max protocol = SMB3_02"):
        assert share(facts, hv2)[0]["shares"][0]["encryption"] == "required"
        with server_setting(lab, "smb encrypt", "off"):
            assert share(facts, hv2)[0]["shares"][0]["encryption"] == "optional"


def test_server_without_smb3(facts, lab, guest, hv2):
    with server_setting(lab, "server min protocol", "SMB2_10\n    server max protocol = SMB2_10"):
        view, probes = share(facts, hv2)
        assert not view["shares"][0]["smb3"]
        assert view["shares"][0]["smb3-problem"] == "the server speaks no SMB 3"
        assert probes["vda.raw"]["reason"] == "the server speaks no SMB 3"


def test_server_that_does_not_answer(facts, lab, guest, hv2):
    lab.check("cut", "hv2", "fs1")
    try:
        view, probes = share(facts, hv2, "2000")
        assert "no answer in time" in view["shares"][0]["reason"] or "cannot connect" in view["shares"][0]["reason"]
        assert all(probe["reason"] for probe in probes.values())
    finally:
        lab.check("heal")


# ---- libvirt ----

def test_machine(facts, guest, hv1, hv2):
    machine = facts(hv1, "machine")
    assert machine["reason"] == ""
    assert machine["cpu-arch"] == "x86_64" and machine["cpu-vendor"] and machine["cpu-model"]
    assert machine["libvirt-version"] >= 9000000 and machine["qemu-version"] >= 7000000
    assert 0 < machine["free-kib"] < machine["memory-kib"]
    assert {"kind": "bridge", "name": "br0", "active": True, "mtu": 1500, "vlans": []} in machine["nets"]
    domain = next(d for d in machine["domains"] if d["name"] == NAME)
    assert domain == {"uuid": guest.uuid, "name": NAME, "macs": [guest.mac], "running": True,
                      "autostart": False}
    assert NAME not in [d["name"] for d in facts(hv2, "machine")["domains"] if d["running"]]


def test_bridge(facts, hv2):
    """Its VLANs are left to the unit test: not every kernel below a lab has them"""
    hv2.run("bash", "-c", "ip link add fbr type bridge && ip link set fbr mtu 1400")
    try:
        nets = {net["name"]: net for net in facts(hv2, "machine")["nets"]}
        assert nets["fbr"] == {"kind": "bridge", "name": "fbr", "active": False, "mtu": 1400, "vlans": []}
        hv2.run("ip", "link", "set", "fbr", "up")
        assert {n["name"]: n for n in facts(hv2, "machine")["nets"]}["fbr"]["active"]
    finally:
        hv2.run("ip", "link", "del", "fbr")


def test_running_vm(facts, guest, hv1):
    vm = facts(hv1, "vm", NAME)
    assert vm["reason"] == "" and vm["live"]["reason"] == ""
    assert (vm["name"], vm["uuid"], vm["type"]) == (NAME, guest.uuid, "qemu")
    live = vm["live"]
    assert live["state"] == "running" and live["persistent"] and not live["autostart"]
    assert [live[key] for key in ("job", "io-errors", "block-jobs", "snapshots", "checkpoints")] == \
        ["", [], [], [], []]
    disks = [file for file in vm["files"] if file["role"] == "disk"]
    assert [(disk["target"], disk["format"], disk["cache"]) for disk in disks] == \
        [("vda", "raw", "none"), ("vdb", "qcow2", "none")]


def test_vm_with_state(facts, guest, hv1):
    hv1.virsh("suspend", NAME)
    hv1.virsh("autostart", NAME)
    snapshot = f"<domainsnapshot><name>before</name><state>shutoff</state><creationTime>1</creationTime>" \
               f"{hv1.virsh('dumpxml', NAME)}</domainsnapshot>"
    hv1.run("bash", "-c", f"cat >/tmp/snapshot.xml; virsh snapshot-create {NAME} /tmp/snapshot.xml --redefine",
            input=snapshot)
    try:
        live = facts(hv1, "vm", NAME)["live"]
        assert (live["state"], live["autostart"], live["snapshots"]) == ("paused", True, ["before"])
    finally:
        hv1.virsh("snapshot-delete", NAME, "before", "--metadata")
        hv1.virsh("autostart", "--disable", NAME)
        hv1.virsh("resume", NAME)


def test_vm_with_a_block_job(facts, guest, hv1):
    file = f"/var/lib/libvirt/{NAME}.copy"
    hv1.run("bash", "-c", f"truncate -s 64M {file}; chown libvirt-qemu: {file}")
    try:
        hv1.virsh("blockcopy", NAME, "vda", file, "--reuse-external", "--transient-job", "--format", "raw",
                  "--bandwidth", "1")
        vm = facts(hv1, "vm", NAME)
        assert vm["live"]["block-jobs"] == ["vda: copy"]
        assert "domain/devices/disk/mirror" in [refusal["element"] for refusal in vm["refusals"]]
        hv1.virsh("blockjob", NAME, "vda", "--abort")
        assert facts(hv1, "vm", NAME)["live"]["block-jobs"] == []
    finally:
        hv1.virsh("blockjob", NAME, "vda", "--abort", check=False)
        hv1.run("rm", file)


def test_no_such_vm(facts, hv1):
    vm = facts(hv1, "vm", "nobody")
    assert "nobody" in vm["reason"] and vm["live"]["reason"]


def changed(host, old, new):
    """The guest's definition with something else in it, as a file on the host"""
    path = "/tmp/changed.xml"
    text = host.run("cat", XML).stdout
    assert old in text
    host.run("bash", "-c", f"cat >{path}", input=text.replace(old, new, 1))
    return path


def test_fit(facts, guest, hv2):
    fit = facts(hv2, "fit", XML)
    assert fit["reason"] == "" and fit["type"] and fit["machine"] and fit["cpu"] in ("identical", "superset")
    assert fit["emulator"].startswith("/usr/bin/qemu")
    assert fit["boot-missing"] == []


def test_misfits(facts, guest, hv2):
    machine = facts(hv2, "fit", changed(hv2, "machine='pc-", "machine='pc-q35-99-"))
    assert machine["type"] and not machine["machine"] and "pc-q35-99-" in machine["problem"]
    kvm = facts(hv2, "fit", changed(hv2, "type='qemu'", "type='kvm'"))
    assert not kvm["type"] and not kvm["machine"] and kvm["problem"]
    kernel = facts(hv2, "fit", changed(hv2, "<kernel>/usr", "<kernel>/etc/shadow"))
    assert len(kernel["boot-missing"]) == 1 and kernel["boot-missing"][0].startswith("/etc/shadow")
    loader = facts(hv2, "fit", changed(hv2, "<kernel>", "<loader readonly='yes' type='pflash'>/etc/shadow</loader><kernel>"))
    assert loader["loader-sha256"] == ""


@pytest.mark.parametrize("cpu,wanted,says", [
    ("<cpu mode='custom' match='exact' check='full'><model fallback='forbid'>EPYC-Milan</model></cpu>",
     "incompatible", "does not provide required features"),
    ("<cpu mode='custom'><model>Nonesuch</model></cpu>", "unknown", "Unknown CPU model Nonesuch"),
    ("", "superset", ""),
])
def test_processors(facts, guest, hv2, cpu, wanted, says):
    own = re.search(r"<cpu .*?</cpu>", hv2.run("cat", XML).stdout, re.S).group()
    fit = facts(hv2, "fit", changed(hv2, own, cpu))
    assert fit["cpu"] == wanted and says in fit["cpu-problem"], fit


# ---- the network, the domain ----

def test_route(facts, hv1, hv2):
    route = facts(hv1, "route", ADDRESSES["hv2"])
    assert (route["reason"], route["interface"], route["address"]) == ("", "eth0", ADDRESSES["hv1"])
    assert (route["prefix"], route["on-link"], route["default-route"], route["mtu"]) == (24, True, False, 1500)
    assert "no route" in facts(hv1, "route", "203.0.113.1")["reason"]
    hv1.run("ip", "route", "add", "default", "via", ADDRESSES["fs1"])
    try:
        assert facts(hv1, "route", ADDRESSES["hv2"])["default-route"]
        away = facts(hv1, "route", "203.0.113.1")
        assert (away["reason"], away["on-link"]) == ("", False)
    finally:
        hv1.run("ip", "route", "del", "default")


def test_keytab(facts, hv1):
    keytab = facts(hv1, "keytab")
    assert keytab["reason"] == "" and keytab["works"]
    assert ("HV1$@LAB.TEST", 18) in [(key["principal"], key["enctype"]) for key in keytab["keys"]]


def test_keytab_with_an_old_key(facts, hv1):
    hv1.run("bash", "-c", "rm -f /tmp/old.keytab; printf '%s\\n' "
            "'addent -password -p HV1$@LAB.TEST -k 9 -e aes256-cts-hmac-sha1-96' wrong "
            "'addent -password -p host/hv1.lab.test@LAB.TEST -k 9 -e aes256-cts-hmac-sha1-96' wrong "
            "'wkt /tmp/old.keytab' | ktutil")
    keytab = facts(hv1, "keytab", "/tmp/old.keytab")
    assert len(keytab["keys"]) == 2 and keytab["keys"][0]["kvno"] == 9
    assert not keytab["works"] and "HV1$@LAB.TEST" in keytab["problem"]


def test_directory(facts, lab, hv1):
    directory = facts(hv1, "directory", "VM Hosts")
    assert (directory["reason"], directory["server"], directory["domain"]) == ("", "dc1.lab.test", "LAB")
    assert directory["skew-known"] and abs(directory["skew-ms"]) < 2000
    assert directory["group-name"] == "VM Hosts" and directory["group-problem"] == ""
    assert directory["group-sid"] in directory["self"]["group-sids"]
    assert directory["self"]["account"] == "HV1$" and directory["self"]["uac"] == 0x1000
    by_sid = facts(hv1, "directory", directory["group-sid"])
    assert by_sid["group-name"] == "VM Hosts" and by_sid["group-sid"] == directory["group-sid"]
    nobody = facts(hv1, "directory", "Nobody")
    assert nobody["reason"] == "" and "Nobody" in nobody["group-problem"] and nobody["group-sid"] == ""


def test_computers(facts, lab, hv1):
    dc = lab.host("dc1")
    assert facts(hv1, "computer", "nowhere.lab.test")["matches"] == 0
    dc.run("samba-tool", "computer", "create", "FACTSPC")
    try:
        assert facts(hv1, "computer", "FACTSPC$")["uac"] & 2  # made without a password: disabled
        dc.run("samba-tool", "user", "enable", "FACTSPC$")
        found = facts(hv1, "computer", "FACTSPC$")
        assert (found["reason"], found["matches"], found["account"]) == ("", 1, "FACTSPC$")
        assert found["uac"] & 0x1002 == 0x1000
        dc.run("samba-tool", "group", "addmembers", "VM Hosts", "FACTSPC$")
        group = facts(hv1, "directory", "VM Hosts")["group-sid"]
        assert group in facts(hv1, "computer", "FACTSPC$")["group-sids"]
    finally:
        dc.run("samba-tool", "computer", "delete", "FACTSPC")
