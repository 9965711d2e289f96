# SPDX-License-Identifier: GPL-3.0-or-later
"""vmferry check, and the same check before a move: a real domain, a real share, real hosts.

The unit tests show every check failing and passing, word for word. Here the whole chain is asked:
CLI, both vmferryd, both computer accounts at the file server; the cure it prints is carried out as
it stands, and the check passes.
"""

import contextlib
import json
import random
import re
import shlex
import xml.etree.ElementTree as ET

import pytest

from labkit.moves import assert_says
from labkit.untouched import untouched

NAME = "checked"
ADMINISTRATOR = ("-A", "/root/administrator")


@pytest.fixture(scope="module")
def guest(lab, hv1):
    found = lab.create_guest(NAME, on=hv1)
    yield found
    lab.delete_guest(found)


def check(host, vm, to="hv2", *options):
    return host.vmferry("check", vm, "--to", to, *options, check=False)


def findings(host, vm, to="hv2"):
    answer = json.loads(check(host, vm, to, "--json").stdout)
    return answer, answer["reports"][0]["findings"]


def of(found, check_id, account=None):
    return [f for f in found if f["id"] == check_id and account in (None, f["account"])]


def smbcacls(lab, path, *arguments):
    return lab.host("fs1").run("smbcacls", "//fs1.lab.test/vms", path, *ADMINISTRATOR, *arguments).stdout


@contextlib.contextmanager
def entry(lab, path, text):
    """An entry is put into the file's access list meanwhile"""
    before = smbcacls(lab, path)
    smbcacls(lab, path, "-a", text)
    try:
        yield
    finally:
        if f"ACL:{text.split(':')[1]}" not in before:
            lab.host("fs1").run("smbcacls", "//fs1.lab.test/vms", path, *ADMINISTRATOR, "-D", text, check=False)


def disk(guest):
    return guest.disks["vda"][1]


# ---- the verdict ----

def test_everything_is_right(hv1, guest):
    result = check(hv1, guest.name)
    assert result.returncode == 0, result
    assert_says(result.stdout, rf"{guest.name} can move to hv2\.lab\.test", r"\d+ passed")


def test_each_check_of_the_catalogue_is_judged(hv1, guest):
    answer, found = findings(hv1, guest.name)
    assert answer["schema"] == "vmferry.check/1" and answer["status"] == 0
    listed = re.findall(r"^  ([A-Z]+-\d{3})  ", hv1.vmferry("check", "--help").stdout, re.M)
    assert len(listed) >= 28
    assert {f["id"] for f in found} == set(listed)
    assert {f["result"] for f in found} <= {"pass", "warn", "not-applicable"}


def test_both_accounts_are_judged_for_each_file(hv1, guest):
    _, found = findings(hv1, guest.name)
    for check_id in ("SMB-120", "SMB-122"):
        assert {f["account"] for f in of(found, check_id)} == {"HV1$", "HV2$"}, check_id


def test_table_for_all_hosts(hv1, guest):
    result = check(hv1, guest.name, "all")
    assert result.returncode == 0, result
    assert "hv2.lab.test" in result.stdout


def test_junit_is_for_ci(hv1, guest):
    root = ET.fromstring(check(hv1, guest.name, "hv2", "--junit").stdout)
    cases = list(root.iter("testcase"))
    assert len(cases) >= 28
    assert not list(root.iter("failure"))


def test_it_changes_nothing(lab, hv1, guest):
    listing = lambda: sorted((p.relative_to(lab.dir), p.stat().st_mtime_ns)
                             for p in (lab.dir / "share" / guest.name).rglob("*") if p.suffix != ".raw")
    before, domains = listing(), lab.host("hv2").virsh("list", "--all", "--name")
    with untouched(lab, guest):
        assert check(hv1, guest.name).returncode == 0
    assert listing() == before
    assert lab.host("hv2").virsh("list", "--all", "--name") == domains


# ---- access, and its cure ----

@contextlib.contextmanager
def only_hv1(lab, guest):
    """HV2$ loses its rights to the disk; the administrator keeps his, and so does HV1$"""
    path = disk(guest)
    before = smbcacls(lab, path)
    kept = [line for line in before.splitlines() if line.startswith("ACL:")]
    smbcacls(lab, path, "-S", "ACL:LAB\\Administrator:ALLOWED/0x0/FULL,ACL:LAB\\HV1$:ALLOWED/0x0/FULL")
    try:
        yield
    finally:
        smbcacls(lab, path, "-S", ",".join(kept))


def test_missing_right_is_explained_and_the_printed_command_mends_it(lab, hv1, guest):
    with only_hv1(lab, guest):
        result = check(hv1, guest.name)
        assert result.returncode == 1, result
        assert_says(result.stdout, r"FAIL\s+SMB-120\s+HV2\$ on //fs1\.lab\.test/vms/checked/vda\.raw",
                    r"no entry", r"smbcacls //fs1\.lab\.test/vms", r"icacls")
        _, found = findings(hv1, guest.name)
        failed = [f for f in of(found, "SMB-120", "HV2$") if f["result"] == "fail"]
        assert len(failed) == 1
        assert all(f["result"] == "pass" for f in of(found, "SMB-120", "HV1$"))
        assert all(f["result"] == "pass" for f in of(found, "SMB-123"))
        command = next(line for line in failed[0]["fix"] if line.startswith("smbcacls"))
        lab.host("fs1").run(*shlex.split(command), *ADMINISTRATOR)
        mended = check(hv1, guest.name)
        assert mended.returncode == 0, mended


def test_deny_entry_is_named_and_the_printed_command_mends_it(lab, hv1, guest):
    path = disk(guest)
    kept = [line for line in smbcacls(lab, path).splitlines() if line.startswith("ACL:")]
    smbcacls(lab, path, "-a", "ACL:LAB\\HV2$:DENIED/0x0/0x2")
    try:
        _, found = findings(hv1, guest.name)
        failed = [f for f in of(found, "SMB-120", "HV2$") if f["result"] == "fail"]
        assert len(failed) == 1, found
        assert_says(failed[0]["message"], r"den(y|ies)", r"HV2\$")
        for line in failed[0]["fix"]:
            if line.startswith("smbcacls"):
                lab.host("fs1").run(*shlex.split(line), *ADMINISTRATOR)
        assert check(hv1, guest.name).returncode == 0
    finally:
        smbcacls(lab, path, "-S", ",".join(kept))


def test_folder_without_rights(lab, hv1, guest):
    folder = guest.name
    kept = [line for line in smbcacls(lab, folder).splitlines() if line.startswith("ACL:")]
    smbcacls(lab, folder, "-S", "ACL:LAB\\Administrator:ALLOWED/0x0/FULL,ACL:LAB\\HV1$:ALLOWED/0x0/FULL")
    try:
        result = check(hv1, guest.name)
        assert result.returncode == 1, result
        assert_says(result.stdout, r"FAIL\s+SMB-122\s+HV2\$ on //fs1\.lab\.test/vms/checked")
        _, found = findings(hv1, guest.name)
        for finding in of(found, "SMB-122", "HV2$"):
            for line in finding["fix"]:
                if line.startswith("smbcacls"):
                    lab.host("fs1").run(*shlex.split(line), *ADMINISTRATOR)
        _, found = findings(hv1, guest.name)
        assert all(f["result"] == "pass" for f in of(found, "SMB-122")), of(found, "SMB-122")
    finally:
        smbcacls(lab, folder, "-S", ",".join(kept))


def test_migrate_refuses_with_the_same_words(lab, hv1, guest):
    with only_hv1(lab, guest), untouched(lab, guest):
        result = hv1.vmferry("migrate", guest.name, "--to", "hv2", check=False)
        assert result.returncode == 1, result
        assert_says(result.stderr, r"SMB-120\s+HV2\$ on //fs1\.lab\.test/vms/checked/vda\.raw", r"smbcacls")


# ---- against the live server ----

RIGHTS = (0x120089, 0x12019F, 0x100116, 0x1F01FF, 0x120116, 0x1, 0x2, 0x80, 0x20000, 0x1200A9, 0x1301BF, 0x100000)
WHO = ("LAB\\HV1$", "LAB\\HV2$", "LAB\\VM Hosts", "LAB\\Domain Computers", "LAB\\Domain Users", "Everyone",
       "NT AUTHORITY\\Authenticated Users", "NT AUTHORITY\\NETWORK", "LAB\\Administrator", "OWNER RIGHTS")
ROUNDS = 25
FILES = 8


def random_list(rand):
    entries = {}
    for _ in range(rand.randint(1, 5)):
        kind = rand.choice(("ALLOWED", "ALLOWED", "DENIED"))
        entries[(rand.choice(WHO), kind)] = rand.choice(RIGHTS)
    # smbcacls stores them sorted: deny first
    return [f"ACL:{who}:{kind}/0x0/0x{mask:x}" for (who, kind), mask in entries.items()]


def test_static_verdict_equals_the_server(lab, hv1, hv2):
    """200 random access lists: what the check says from the list is what an open as that account gets"""
    rand = random.Random(20260101)
    many = lab.create_guest("many", disks=("raw:1M",) * FILES)
    seen = {"pass": 0, "fail": 0}
    try:
        hv1.virsh("start", "many")
        # the files of a guest that runs are held: an open says "busy" where it may, "denied" where not
        paths = [path for _, path in many.disks.values()]
        for _ in range(ROUNDS):
            lists = {path: random_list(rand) for path in paths}
            for path, wanted in lists.items():
                smbcacls(lab, path, "-S", ",".join(wanted))
            _, found = findings(hv1, "many")
            for path in paths:
                for account in ("HV1$", "HV2$"):
                    judged = [f for f in of(found, "SMB-120", account) if f["object"].endswith("/" + path)]
                    agree = [f for f in of(found, "SMB-123", account) if f["object"].endswith("/" + path)]
                    assert len(judged) == 1 and len(agree) == 1, (path, account, judged, agree)
                    assert agree[0]["result"] == "pass", (lists[path], agree)
                    assert judged[0]["result"] in seen, (lists[path], judged)
                    seen[judged[0]["result"]] += 1
    finally:
        for path in paths:
            smbcacls(lab, path, "-S", "ACL:LAB\\VM Hosts:ALLOWED/0x0/FULL")
        lab.delete_guest(many)
    print(seen)
    assert sum(seen.values()) == 2 * ROUNDS * FILES
    assert min(seen.values()) > 40, "hardly anything was refused, or granted"


# ---- plans ----

def test_plan_holds_and_the_vm_moves(lab, hv1, hv2, guest):
    assert check(hv1, guest.name, "hv2", "--save", "/tmp/plan.json").returncode == 0
    moved = hv1.vmferry("migrate", guest.name, "--to", "hv2", "--plan", "/tmp/plan.json", check=False)
    assert moved.returncode == 0, moved
    hv2.vmferry("migrate", guest.name, "--to", "hv1")
    assert guest.where().name == "hv1"


def test_changed_fact_is_refused_by_name(lab, hv1, guest):
    assert check(hv1, guest.name, "hv2", "--save", "/tmp/plan.json").returncode == 0
    with entry(lab, disk(guest), "ACL:LAB\\Domain Users:ALLOWED/0x0/READ"), untouched(lab, guest):
        result = hv1.vmferry("migrate", guest.name, "--to", "hv2", "--plan", "/tmp/plan.json", check=False)
        assert result.returncode == 1, result
        assert_says(result.stderr, r"changed", r"descriptor", r"--save")


@pytest.mark.parametrize("content, says", [
    ("", "plan"), ("{", "plan"), ("[]", "plan"), ('{"schema": "vmferry.plan/2"}', r"vmferry\.plan/1"),
    ('{"schema": "vmferry.plan/1", "vm": "checked", "to": "hv2.lab.test", "facts": {}}', "missing|lacks|no field|there is no"),
    ("[" * 100000, "plan"),
], ids=["empty", "cut", "list", "version", "no-facts", "deep"])
def test_no_plan(hv1, guest, content, says):
    hv1.run("bash", "-c", "cat >/tmp/bad.json", input=content)
    result = hv1.vmferry("migrate", guest.name, "--to", "hv2", "--plan", "/tmp/bad.json", check=False)
    assert result.returncode == 1, result
    assert_says(result.stderr, r"/tmp/bad\.json", says)


def test_plan_of_another_vm(lab, hv1, guest):
    assert check(hv1, guest.name, "hv2", "--save", "/tmp/plan.json").returncode == 0
    other = lab.create_guest("other", on=hv1)
    try:
        result = hv1.vmferry("migrate", "other", "--to", "hv2", "--plan", "/tmp/plan.json", check=False)
        assert result.returncode == 1, result
        assert_says(result.stderr, "checked", "other")
    finally:
        lab.delete_guest(other)


# ---- acl show ----

def show(host, path, *options):
    return host.vmferry("acl", "show", f"smb://fs1.lab.test/vms/{path}", *options, check=False)


def test_acl_of_a_file(hv1, guest):
    result = show(hv1, disk(guest), "--account", "HV2$", "--account", "hv1.lab.test")
    assert result.returncode == 0, result
    assert_says(result.stdout, r"vda\.raw, read as HV1\$", r"allow\s+LAB\\VM Hosts", r"HV2\$: grant", r"HV1\$: grant")


def test_acl_names_the_deciding_entry(lab, hv1, guest):
    path = disk(guest)
    kept = [line for line in smbcacls(lab, path).splitlines() if line.startswith("ACL:")]
    smbcacls(lab, path, "-a", "ACL:LAB\\HV2$:DENIED/0x0/0x2")
    try:
        result = show(hv1, path, "--account", "HV2$", "--json")
        assert result.returncode == 1, result
        answer = json.loads(result.stdout)
        account, = answer["accounts"]
        assert account["verdict"] == "deny"
        assert answer["aces"][account["ace"]]["name"] == "LAB\\HV2$"
        assert show(hv1, path, "--account", "HV1$").returncode == 0
    finally:
        smbcacls(lab, path, "-S", ",".join(kept))


@pytest.mark.parametrize("path, options, says", [
    ("nosuch/x.raw", (), "no such"), ("checked/vda.raw", ("--account", "nosuch"), "nosuch"),
    ("../x", (), r"\.\."),
])
def test_acl_that_cannot_be_shown(hv1, guest, path, options, says):
    result = show(hv1, path, *options)
    assert result.returncode == 3, result
    assert_says(result.stderr, says)


def test_acl_without_a_ticket(hv1):
    result = hv1.run("env", "KRB5CCNAME=FILE:/tmp/none", "vmferry", "acl", "show",
                     "smb://fs1.lab.test/vms/demo/vda.raw", check=False)
    assert result.returncode == 3, result
    assert_says(result.stderr, "/tmp/none", "ticket")


# ---- what cannot be judged ----

@pytest.mark.parametrize("vm, to, says", [
    ("nosuch", "hv2", "nosuch"), (NAME, "nowhere", "nowhere"), (NAME, "hv1", "this host"),
])
def test_nothing_was_judged(hv1, guest, vm, to, says):
    result = check(hv1, vm, to)
    assert result.returncode not in (0, 1), result
    assert_says(result.stderr, says)


def test_unreachable_destination_is_unknown_not_fine(hv1, hv2, guest):
    hv2.service("stop", "vmferryd")
    try:
        result = check(hv1, guest.name)
        assert result.returncode in (1, 3), result
        assert_says(result.stdout, r"DIR-050", r"cannot reach|refused")
    finally:
        hv2.service("start", "vmferryd")
        hv2.wait_for_vmferryd()
