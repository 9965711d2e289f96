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

from labkit.lab import until
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
EVERYONE, AUTHENTICATED, NETWORK, OWNER_RIGHTS = "WD", "AU", "NU", "OW"
ROUNDS = 25
FILES = 8

# On the file server: what samba-tool ntacl set and get do, for many files at once. Lines "path SDDL" in,
# the lists as they are stored then out.
SET_LISTS = """
import sys
from samba.auth_util import system_session_unix
from samba.ntacls import getntacl, setntacl
from samba.samba3 import param
lp = param.get_context()
lp.load("/etc/samba/smb.conf")
session = system_session_unix()
for line in sys.stdin:
    path, sddl = line.split()
    setntacl(lp, "/srv/vms/" + path, sddl, sys.argv[1], session, service="vms")
    print(getntacl(lp, "/srv/vms/" + path, session, service="vms").as_sddl())
"""


def random_list(rand, domain, rids):
    """Any order, also one no tool would write; the owner is the administrator or one of the hosts"""
    who = [f"{domain}-{rid}" for rid in rids] + [EVERYONE, AUTHENTICATED, NETWORK, OWNER_RIGHTS]
    entries = "".join(f"({rand.choice('AAD')};;0x{rand.choice(RIGHTS):x};;;{rand.choice(who)})"
                      for _ in range(rand.randint(0, 5)))
    return f"O:{domain}-{rand.choice(rids)}G:{domain}-513D:{entries}"


# What libsmbclient asks for, less READ_ATTRIBUTES: that one comes from the right to list the folder
# (MS-FSA 2.1.5.1.2.1), which both hosts have here.
READ_ONLY, READ_WRITE = "0x00120009", "0x0012011f"
# what a file server adds to the token of a computer that came with Kerberos over the network
ADDED = ["S-1-1-0", "S-1-5-2", "S-1-5-11", "S-1-5-15", "S-1-18-1"]


def saved_facts(host, vm):
    host.vmferry("check", vm, "--to", "hv2", "--save", "/tmp/facts.json", check=False)
    return json.loads(host.run("cat", "/tmp/facts.json").stdout)["facts"]


def probes_of(side):
    """file on the share -> what the server answered"""
    return {probe["url"].removeprefix("smb://fs1.lab.test/vms/"): probe for probe in side["view"]["probes"]}


def gathered(host, vm):
    """account -> (its token, file on the share -> what the server answered it)"""
    facts = saved_facts(host, vm)
    found = {}
    for side in (facts["source"], facts["destination"]):
        own = side["host"]["directory"]["self"]
        found[own["account"]] = ([own["sid"], *own["group-sids"], *ADDED], probes_of(side))
    return found


def set_lists(lab, domain, wanted):
    lines = "".join(f"{path} {sddl}\n" for path, sddl in wanted.items())
    answer = lab.host("fs1").run("python3", "-c", SET_LISTS, domain, input=lines).stdout
    return dict(zip(wanted, [line for line in answer.splitlines() if line.startswith("O:")], strict=True))


def static_verdicts(host, questions):
    lines = "".join(json.dumps({"sddl": sddl, "domain": token[0].rpartition("-")[0], "token": token,
                                "desired": desired}) + "\n"
                    for sddl, token, desired in questions)
    answers = host.run("vmferry", "acl", "eval", "--batch", "-", input=lines).stdout.splitlines()
    return [json.loads(answer) for answer in answers]


def test_static_verdict_equals_the_server(lab, hv1):
    """200 random access lists: for both accounts, to read and to write, the access check alone says
    what opening the file as that account does, and the whole check says the same"""
    rand = random.Random(20260101)
    many = lab.create_guest("many", disks=("raw:1M",) * FILES, on=hv1)
    paths = [path for _, path in many.disks.values()]
    hosts = gathered(hv1, "many")
    domain = hosts["HV1$"][0][0].rpartition("-")[0]
    # the accounts, their groups, Domain Admins, Domain Users, the administrator
    rids = sorted({sid.rpartition("-")[2] for token, _ in hosts.values() for sid in token
                   if sid.startswith(domain)} | {"500", "512", "513"})
    seen = {}
    try:
        # the files of a guest that runs are held: an open says "held" where it may, "denied" where not
        for _ in range(ROUNDS):
            stored = set_lists(lab, domain, {path: random_list(rand, domain, rids) for path in paths})
            asked, questions = [], []
            for account, (token, probes) in gathered(hv1, "many").items():
                for path in paths:
                    for kind, desired in (("read", READ_ONLY), ("write", READ_WRITE)):
                        asked.append((account, path, kind, probes[path][kind]))
                        questions.append((stored[path], token, desired))
            verdicts = static_verdicts(hv1, questions)
            assert len(verdicts) == len(asked) == 4 * FILES
            for (account, path, kind, live), verdict in zip(asked, verdicts):
                assert live in ("ok", "held", "denied"), (account, path, live)
                assert verdict["verdict"] == ("deny" if live == "denied" else "grant"), \
                    (account, path, kind, live, verdict, stored[path])
                seen[kind, live == "denied"] = seen.get((kind, live == "denied"), 0) + 1
            _, found = findings(hv1, "many")
            for account, path, kind, live in asked:
                if kind == "write":
                    judged, = [f for f in of(found, "SMB-120", account) if f["object"].endswith("/" + path)]
                    assert judged["judged"] == ("fail" if live == "denied" else "pass"), judged
            assert {f["result"] for f in of(found, "SMB-123")} <= {"pass", "not-applicable"}, of(found, "SMB-123")
    finally:
        set_lists(lab, domain, {path: f"O:{domain}-500G:{domain}-513D:(A;;0x1f01ff;;;WD)" for path in paths})
        lab.delete_guest(many)
    print(seen)
    assert sum(seen.values()) == 4 * ROUNDS * FILES
    assert min(seen.values()) > 40, "hardly anything was refused, or granted"


# ---- beside others ----

@contextlib.contextmanager
def opened_by_another(lab, path):
    """As a check of another host has it open for an instant: read-write, denied to nobody"""
    client = lab.host("fs1").start("smbclient", "//fs1.lab.test/vms", *ADMINISTRATOR)
    client.stdin.write(f"open {path}\n")
    client.stdin.flush()
    until(lambda: any(file.path == path and file.writes for file in lab.server_files()), 30,
          f"{path} is open")
    try:
        yield
    finally:
        client.communicate("exit\n", timeout=30)


def test_two_checks_at_a_time_do_not_find_one_another(lab, hv1, guest):
    """Else a plan would say "held" of a file that is not, and not hold when the VM moves"""
    path = f"{guest.name}/domain.xml"
    with opened_by_another(lab, path):
        facts = saved_facts(hv1, guest.name)
    for side in (facts["source"], facts["destination"]):
        probes = probes_of(side)
        assert probes[path]["write"] == "ok", probes[path]
        assert probes[disk(guest)]["write"] == "held", probes[disk(guest)]


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


def show_as(host, *environment):
    return host.run("env", *environment, "vmferry", "acl", "show", "smb://fs1.lab.test/vms/demo/vda.raw", check=False)


def test_acl_without_a_ticket(hv1):
    result = show_as(hv1, "KRB5CCNAME=FILE:/tmp/none")
    assert result.returncode == 3, result
    assert_says(result.stderr, r"there is no ticket cache '/tmp/none'; get a ticket: kinit -c FILE:/tmp/none USER@REALM$")


def test_acl_with_a_ticket_that_has_ended(hv1):
    hv1.run("kinit", "-c", "FILE:/tmp/ended", "-l", "1s", "-k", "HV1$")
    until(lambda: hv1.run("klist", "-s", "-c", "FILE:/tmp/ended", check=False).returncode, 30, "it has ended")
    result = show_as(hv1, "KRB5CCNAME=FILE:/tmp/ended")
    assert result.returncode == 3, result
    assert_says(result.stderr, r"'/tmp/ended' holds no ticket that is still good; get a ticket: kinit -c FILE:/tmp/ended ")


def test_acl_of_root_without_the_hosts_ticket(hv3):
    cache = "/run/vmferry/smb.cc"
    hv3.run("mv", cache, "/tmp/smb.cc")
    try:
        result = show_as(hv3, "-u", "KRB5CCNAME")
    finally:
        hv3.run("mv", "/tmp/smb.cc", cache)
    assert result.returncode == 3, result
    assert_says(result.stderr, rf"no ticket cache '{cache}'", r"systemctl start vmferryd", r"kinit USER@REALM$")
    assert "kinit -c FILE:/run" not in result.stderr


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
