# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verb of the command, for people and for programs, and its exit statuses."""

import json
import re

import pytest

from labkit import report as move_report
from labkit.lab import until
from labkit.moves import SLOW, RunningMove, assert_says, move


@pytest.fixture(scope="module")
def guest(lab, hv1):
    found = lab.create_guest("cli", on=hv1)
    yield found
    lab.delete_guest(found)


@pytest.fixture(scope="module")
def moved(hv1, hv2, guest):
    """Reports of a move there and one back; the guest is at hv1"""
    return move(hv1, guest, hv2), move(hv2, guest, hv1)


def as_json(host, *arguments):
    result = host.vmferry(*arguments, "--json")
    assert result.stderr == ""
    return json.loads(result.stdout)


# ---- list, hosts, doctor ----

def test_list_for_people(hv1, guest):
    lines = hv1.vmferry("list").stdout.splitlines()
    assert lines[0].split() == ["VM", "STATE", "DISKS", "EPOCH"]
    row = next(line.split() for line in lines if line.startswith("cli "))
    assert row[:4] == ["cli", "running", "open", str(guest.record().epoch)]


def test_list_for_programs(hv1, guest):
    told = as_json(hv1, "list")
    assert told["schema"] == "vmferry.list/1"
    entry = next(vm for vm in told["vms"] if vm["name"] == "cli")
    assert entry["uuid"] == guest.uuid
    assert (entry["state"], entry["managed"], entry["gate"], entry["held"]) == ("running", True, "open", True)
    assert entry["epoch"] == guest.record().epoch and entry["trouble"] == ""


def test_hosts_are_those_of_the_group(hv1, hv2):
    told = as_json(hv1, "hosts")
    assert told["schema"] == "vmferry.hosts/1"
    by_name = {host["fqdn"]: host for host in told["hosts"]}
    assert set(by_name) == {hv1.fqdn, hv2.fqdn}
    assert by_name[hv1.fqdn]["this"] and not by_name[hv2.fqdn]["this"]
    assert by_name[hv2.fqdn]["reachable"] and by_name[hv2.fqdn]["error"] == ""
    assert by_name[hv2.fqdn]["account"] == "HV2$" and by_name[hv2.fqdn]["enabled"]
    people = hv1.vmferry("hosts").stdout
    assert re.search(r"^hv1\.lab\.test +HV1\$ +this host$", people, re.M)
    assert re.search(r"^hv2\.lab\.test +HV2\$ +ready$", people, re.M)


def test_hosts_says_why_one_is_not_ready(hv1, hv2):
    hv2.service("stop", "vmferryd")
    try:
        people = hv1.vmferry("hosts").stdout
        entry = next(host for host in as_json(hv1, "hosts")["hosts"] if host["fqdn"] == hv2.fqdn)
    finally:
        hv2.service("start", "vmferryd")
        hv2.wait_for_vmferryd()
    assert re.search(r"^hv2\.lab\.test +HV2\$ +not reachable +.*refused", people, re.M)
    assert not entry["reachable"] and "refused" in entry["error"]


def test_doctor_finds_a_good_host_good(hv1, guest):
    told = as_json(hv1, "doctor")
    assert told["schema"] == "vmferry.doctor/1"
    results = {(finding["id"], finding["subject"]): finding["result"] for finding in told["findings"]}
    assert set(results.values()) <= {"pass", "warn"}
    assert {key[0] for key in results} >= {"DIR-010", "DIR-020", "DIR-040", "HOST-360", "HOST-370", "SMB-140"}
    assert results["SMB-140", guest.name] == "pass"
    people = hv1.vmferry("doctor").stdout
    assert re.search(r"^PASS  DIR-010  HV1\$@LAB\.TEST: ", people, re.M)


def test_doctor_finds_what_is_wrong(hv3):
    """hv3 is not in the group, and its hook is taken away."""
    hook = "/etc/libvirt/hooks/qemu.d/vmferry"
    hv3.run("mv", hook, "/tmp/hook")
    try:
        result = hv3.vmferry("doctor", check=False)
        for_programs = hv3.vmferry("doctor", "--json", check=False)
    finally:
        hv3.run("mv", "/tmp/hook", hook)
    assert result.returncode == 1 and for_programs.returncode == 1
    assert re.search(r"^FAIL  DIR-040  HV3\$: .*not in 'VM Hosts'", result.stdout, re.M)
    assert re.search(r"^ fix  .*HV3\$", result.stdout, re.M)
    assert re.search(r"^FAIL  HOST-370 ", result.stdout, re.M)
    failed = {f["id"] for f in json.loads(for_programs.stdout)["findings"] if f["result"] == "fail"}
    assert failed == {"DIR-040", "HOST-370"}


# ---- define, attach ----

@pytest.fixture
def files(lab):
    """A guest's files and definition, known to no host yet"""
    lab.check("vm-create", "novel", "--disk", "raw:64M", "--disk", "qcow2:64M")
    found = lab.guest("novel")
    yield found
    lab.delete_guest(found)


def test_define_from_file_urls(lab, hv1, files):
    """Disks are written as <source file='smb://...'>; define puts them behind share connections."""
    text = (lab.dir / "guest/vms/novel.xml").read_text()
    text = re.sub(r"<metadata>.*</metadata>", "", text, flags=re.S)
    for target, (form, path) in files.disks.items():
        text = re.sub(rf"<disk type=\"network\"((?:(?!</disk>).)*?)<source protocol=\"nbd\" name=\"{target}\">.*?</source>",
                      rf"<disk type='file'\1<source file='smb://fs1.lab.test/vms/{path}'/>", text, flags=re.S)
    assert "nbd" not in text and text.count("smb://") == 2
    hv1.run("tee", "/tmp/novel.xml", input=text)
    said = hv1.vmferry("define", "/tmp/novel.xml").stdout
    assert_says(said, r"^novel is defined", r"vda is behind smb://fs1\.lab\.test/vms/novel/vda\.raw \(raw\)",
                r"vdb is behind smb://fs1\.lab\.test/vms/novel/vdb\.qcow2 \(qcow2\)")
    hv1.virsh("start", "novel")
    files.observe(50, 60)
    record = files.record()
    assert (record.owner_account, record.state) == ("HV1$", "running")
    assert hv1.vms()["novel"]["gate"] == "open"


def test_stopped_vm_gives_its_disks_up(lab, hv1, hv2, files):
    """After a shutdown any host may start it, with `virsh` alone."""
    epochs = []
    for host in (hv1, hv2):
        host.vmferry("define", "/usr/share/vmferry-lab/vms/novel.xml")
        host.virsh("start", "novel")
        files.observe(50, 60)
        assert files.record().owner_account == host.account
        epochs.append(files.record().epoch)
        host.virsh("destroy", "novel")
        until(lambda: files.record().state == "stopped", 20, "the record says stopped")
        paths = {path for _, path in files.disks.values()}
        until(lambda: not [f for f in lab.server_files() if f.path in paths], 20, "no disk is open")
    assert epochs[0] < epochs[1]


def test_vm_does_not_start_twice(hv1, hv2, files):
    for host in (hv1, hv2):
        host.vmferry("define", "/usr/share/vmferry-lab/vms/novel.xml", check=False)
    hv1.virsh("start", "novel")
    beat = files.observe(50, 60)[-1]
    refused = hv2.run("virsh", "start", "novel", check=False)
    assert refused.returncode != 0
    after = files.observe(200)
    assert {(b.host, b.boot) for b in after} == {(beat.host, beat.boot)}
    assert files.record().owner_account == "HV1$"


def test_attach(lab, hv1, files):
    """A VM that libvirt knows already, its first disk on this host, gets both from the share."""
    text = (lab.dir / "guest/vms/novel.xml").read_text()
    text = re.sub(r"<metadata>.*</metadata>", "", text, flags=re.S)
    text = re.sub(r"<disk .*</disk>", "<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
                  "<source file='/var/lib/libvirt/none.raw'/><target dev='vda' bus='virtio'/></disk>",
                  text, flags=re.S)
    hv1.run("tee", "/tmp/novel.xml", input=text)
    hv1.virsh("define", "/tmp/novel.xml")
    for target, (_, path) in files.disks.items():
        said = hv1.vmferry("attach", "novel", target, f"smb://fs1.lab.test/vms/{path}").stdout
        assert_says(said, rf"{target} of novel is behind smb://fs1\.lab\.test/vms/{path}")
    hv1.virsh("start", "novel")
    files.observe(50, 60)
    assert len([f for f in lab.server_files() if f.path.startswith("novel/vd") and f.denies_write]) == 2
    refused = hv1.vmferry("attach", "novel", "vdb", "smb://fs1.lab.test/vms/novel/vdb.qcow2", check=False)
    assert refused.returncode == 1
    assert_says(refused.stderr, r"novel", r"running", r"shut .*down")


@pytest.mark.parametrize("url, says", [
    ("smb://fs1.lab.test/vms/novel/absent.raw", (r"absent\.raw", r"no such|not found|missing|does not exist")),
    ("smb://fs1.lab.test/vms/../secret.raw", (r"\.\.",)),
    ("smb://fs1.lab.test/other/novel/vda.raw", (r"fs1\.lab\.test/other", r"allow")),
    ("http://fs1.lab.test/vms/novel/vda.raw", (r"smb://",)),
    ("smb://fs1.lab.test/vms/novel", (r"novel",)),
])
def test_attach_refuses_a_bad_url(hv1, files, url, says):
    hv1.vmferry("define", "/usr/share/vmferry-lab/vms/novel.xml")
    before = hv1.virsh("dumpxml", "--inactive", "novel")
    result = hv1.vmferry("attach", "novel", "vda", url, check=False)
    assert result.returncode == 1, result
    assert_says(result.stderr, *says)
    assert hv1.virsh("dumpxml", "--inactive", "novel") == before


@pytest.mark.parametrize("content, status", [("<domain><name>x</name></domain>", 1), ("no XML", 1), ("\xff", 1)])
def test_define_refuses_nonsense(hv1, content, status):
    hv1.run("tee", "/tmp/nonsense.xml", input=content)
    result = hv1.vmferry("define", "/tmp/nonsense.xml", check=False)
    assert result.returncode == status and result.stderr.startswith("vmferry: ")


# ---- migrate, jobs, job, cancel ----

def test_migrate_for_people(hv1, hv2, guest, moved):
    result = hv1.vmferry("migrate", "cli", "--to", "hv2.lab.test")
    try:
        assert re.fullmatch(r"cli now runs on hv2: downtime \d+ ms, share handover \d+\.\d ms, "
                            r"\d+ MiB in \d+\.\d s, encrypted\n", result.stdout)
        # without a terminal, one line per stage
        assert result.stderr.split() == list(move_report.STAGES)
    finally:
        move(hv2, guest, hv1)


def test_migrate_detached(hv1, hv2, guest, moved):
    result = hv1.vmferry("migrate", "cli", "--to", "hv2", "--detach")
    number = int(result.stdout)
    until(lambda: "now runs on hv2" in hv1.vmferry("job", number).stdout, 30, "the job is done")
    assert guest.where().name == "hv2"
    move(hv2, guest, hv1)


def test_jobs_of_both_hosts_tell_of_both_moves(hv1, hv2, moved):
    for host, role in ((hv1, ("source", "destination")), (hv2, ("destination", "source"))):
        told = as_json(host, "jobs", "-n", "1000")
        assert told["schema"] == "vmferry.jobs/1"
        roles = [job["role"] for job in told["jobs"] if job["vm"] == "cli"]
        assert roles.count(role[0]) >= 1 and roles.count(role[1]) >= 1
        numbers = [job["id"] for job in told["jobs"]]
        assert numbers == sorted(numbers, reverse=True)
    lines = hv1.vmferry("jobs").stdout.splitlines()
    assert lines[0].split() == ["ID", "STARTED", "VM", "ROLE", "PEER", "STATE"]
    assert any("now runs on hv2" in line for line in lines)
    assert len(hv1.vmferry("jobs", "-n", "1").stdout.splitlines()) == 2


def test_job_is_the_report(hv1, moved):
    numbers = [job["id"] for job in as_json(hv1, "jobs", "-n", "1000")["jobs"]
               if job["vm"] == "cli" and job["role"] == "source"]
    told = as_json(hv1, "job", numbers[-1])
    assert move_report.faults(told) == []
    assert told == moved[0]
    people = hv1.vmferry("job", numbers[-1]).stdout
    assert people.startswith(f"job {numbers[-1]}: cli, source, with hv2")
    assert [line.split()[0] for line in people.splitlines()[1:7]] == list(move_report.STAGES)


def test_job_and_cancel_of_an_unknown_number(hv1):
    for verb in ("job", "cancel"):
        result = hv1.vmferry(verb, "999999", check=False)
        assert result.returncode == 1
        assert_says(result.stderr, r"no (job|move)", r"999999")


# ---- exit statuses ----

@pytest.mark.parametrize("arguments", [
    (), ("fly",), ("migrate",), ("migrate", "cli"), ("migrate", "--to", "hv2"), ("migrate", "a", "b", "--to", "hv2"),
    ("migrate", "cli", "--to", "hv2", "--bandwidth", "much"), ("migrate", "cli", "--to", "hv2", "--max-downtime", "-5"),
    ("migrate", "cli", "--to", "hv2", "--fast"), ("migrate", "cli", "--to", "hv2", "--detach", "--json"), ("list", "more"), ("hosts", "--xml"), ("doctor", "1"),
    ("define",), ("define", "/nonexistent.xml"), ("attach", "cli", "vda"), ("jobs", "-n", "0"), ("job",),
    ("job", "one"), ("job", "0"), ("cancel",), ("cancel", "-1"),
])
def test_wrong_usage_is_status_2(hv1, arguments):
    result = hv1.vmferry(*arguments, check=False)
    assert result.returncode == 2, result
    assert result.stderr or result.stdout


@pytest.mark.parametrize("arguments", [("--help",), ("help",), ("--version",), ("migrate", "--help"), ("list", "--help")])
def test_help_is_status_0(hv1, arguments):
    assert hv1.vmferry(*arguments).stdout


def test_without_vmferryd_is_status_3(hv3):
    hv3.service("stop", "vmferryd")
    try:
        for arguments in (("list",), ("hosts",), ("doctor",), ("jobs",), ("job", "1"), ("cancel", "1"),
                          ("migrate", "cli", "--to", "hv2"), ("list", "--json")):
            result = hv3.vmferry(*arguments, check=False)
            assert result.returncode == 3, result
            assert_says(result.stderr, r"vmferryd", r"systemctl start vmferryd")
    finally:
        hv3.service("start", "vmferryd")
        hv3.wait_for_vmferryd()


# ---- migrate --json is one object, however it ends ----

def assert_one_object(host, status, outcome, code, *says, vm="absent", to="hv1"):
    """Both forms: the same status and the same text"""
    result = host.vmferry("migrate", vm, "--to", to, "--json", check=False)
    told = move_report.parse(result.stdout)
    assert (result.returncode, result.stderr, move_report.faults(told)) == (status, "", []), result
    assert (told["vm"], told["from"], told["to"]) == (vm, host.fqdn, to)
    assert (told["outcome"], told["error"]["code"], told["stages"]) == (outcome, code, [])
    assert_says(told["error"]["message"], *says)
    people = host.vmferry("migrate", vm, "--to", to, check=False)
    assert (people.returncode, people.stdout) == (status, ""), people
    assert_says(people.stderr, *says)


def test_refusal_is_one_object(hv3):
    assert_one_object(hv3, 1, "continues-on-source", "config", r"no VM 'absent'")


def test_refusal_for_want_of_libvirtd_is_one_object(hv3):
    hv3.service("stop", "libvirtd")
    try:
        assert_one_object(hv3, 1, "continues-on-source", "unreachable", r"cannot connect to libvirtd")
    finally:
        hv3.service("start", "libvirtd")
        until(lambda: hv3.vmferry("list", check=False).returncode == 0, 30, "libvirtd answers")


def test_without_vmferryd_it_is_one_object(hv3):
    hv3.service("stop", "vmferryd")
    try:
        assert_one_object(hv3, 3, None, "unreachable", r"vmferryd does not run on this host", r"systemctl start vmferryd")
    finally:
        hv3.service("start", "vmferryd")
        hv3.wait_for_vmferryd()


def test_vmferryd_that_ends_meanwhile_leaves_one_object(hv1, hv2, guest):
    moving = RunningMove(hv1, guest, hv2, "--json", *SLOW)
    until(lambda: [job for job in hv1.vmferry_json("jobs")["jobs"] if job["vm"] == "cli" and job.get("stage") == "memory"],
          60, "it sends memory")
    number = moving.job()
    hv1.service("stop", "vmferryd")
    try:
        status, said = moving.end()
    finally:
        hv1.service("start", "vmferryd")
        hv1.wait_for_vmferryd()
    told = move_report.parse(said)
    assert (status, move_report.faults(told), told["outcome"]) == (3, [], None), said
    assert (told["from"], told["to"], told["error"]["code"]) == (hv1.fqdn, "hv2", "unreachable")
    assert_says(told["error"]["message"], r"vmferryd ended before the move of 'cli' did", rf"vmferry job {number}$")
    until(lambda: hv1.vmferry_json("job", number)["outcome"], 60, "the move is settled")
    assert hv1.vmferry_json("job", number)["outcome"] == "continues-on-source"
    assert guest.where().name == "hv1"
