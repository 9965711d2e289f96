# SPDX-License-Identifier: GPL-3.0-or-later
"""A peer that is a member of the group, has proven it, and lies: tests/hostile.

hv2 is hostile: its real keytab, its real VM, a program that says what a transcript says. hv1 runs
the real vmferryd and is judged from outside: its processes, its files, the file server's log, its
guest. VMFERRY_HOSTILE=all runs every transcript (some minutes); without it those marked '*' run.
"""

import base64
import json
import os
import re
import struct
import subprocess
import time
import uuid as uuids

import pytest

from labkit.hostile import DISKS, EVIL, HOLDER, OF_A_VM, PROBE, Allowed, Judge, evil_server
from labkit.lab import PROJECT, until
from labkit.moves import RunningMove
from labkit.opens import watching_opens
from labkit.processes import Process
from labkit.untouched import Quiet

FOLDER = PROJECT / "tests/hostile/transcripts"
TOOL = "tests/hostile/hostile-peer"
INSIDE = "/root/hostile-peer"
COOKIES = PROJECT / "tests/unit/vm/corpus/cookie"
REFUSED = PROJECT / "tests/unit/vm/corpus/refused.json"
ALL = os.environ.get("VMFERRY_HOSTILE") == "all"
THEIRS, MINE = "stay", "bait"
GATHERINGS = 8              # of facts, at once
# Offers that are refused by what is found in the folder that they name, and those of facts that need none
LOOKED_INTO = {"not-its-own-vm": THEIRS, "stale-epoch": MINE, "url-of-the-owner-record": MINE,
               "url-of-a-missing-file": MINE, "head-with-a-backing-file-before-offer": MINE}
PREPARED = {"head-with-a-backing-file-after-offer", "head-with-a-data-file-after-offer"}    # seen by libvirt's hook
NOT_GATHERED = {"facts-of-garbage", "facts-of-a-server-of-its-choice"}
BASE_UUID = "11111111-2222-4333-8444-555555555555"
BASE_NAME = "demo"
BASE = PROJECT / "tests/unit/vm/corpus/domain/demo.begin.xml"
KERNEL, INITRD = "/usr/share/vmferry-lab/vmlinuz", "/usr/share/vmferry-lab/initrd.img"


# Transcripts


def sections(path):
    """name -> (marked, lines)"""
    found, lines = {}, None
    for line in path.read_text().splitlines():
        head = re.match(r"== (\* )?(\S+)$", line)
        if head:
            lines = []
            assert head.group(2) not in found, f"{path}: {head.group(2)} twice"
            found[head.group(2)] = (bool(head.group(1)), lines)
        elif lines is not None:
            lines.append(line)
    return found


MACROS = sections(FOLDER / "macros.txt")


def expanded(lines):
    out = []
    for line in lines:
        if line.startswith("@"):
            out += expanded(MACROS[line[1:]][1])
        else:
            out.append(line)
    return out


def wanted(path):
    return [pytest.param(expanded(lines), id=name) for name, (marked, lines) in sections(path).items()
            if marked or ALL]


def refused_definitions():
    found = json.loads(REFUSED.read_text())
    return [pytest.param(one, id=one["name"]) for index, one in enumerate(found) if ALL or index % 12 == 0]


# The stage


@pytest.fixture(scope="module")
def tool(lab, hv1, hv2):
    build = lab.dir / "build"
    subprocess.run(["ninja", "-C", build, TOOL], check=True, capture_output=True)
    text = base64.b64encode((build / TOOL).read_bytes()).decode()
    for host in (hv1, hv2):
        host.run("bash", "-c", f"base64 -d >{INSIDE} && chmod 755 {INSIDE}", input=text)


@pytest.fixture(scope="module")
def theirs(lab, hv1):
    found = lab.create_guest(THEIRS, disks=("qcow2:64M",), on=hv1)    # as the other's, whose URL is made into its
    yield found
    lab.delete_guest(found)


@pytest.fixture(scope="module")
def mine(lab, hv2):
    found = lab.create_guest(MINE, disks=("qcow2:64M",), on=hv2)
    hv2.virsh("suspend", found.name)    # its disks are held, and it takes no time of a processor
    yield found
    lab.delete_guest(found)


def cookie(phase, guest):
    text = (COOKIES / f"demo.{phase}.xml").read_text()
    return text.replace(BASE_UUID, guest.uuid).replace("<name>demo<", f"<name>{guest.name}<")


HEAD_SIZE = 8192
BACKING_AT = 4096


def heads(clean, their_uuid):
    """The head of a qcow2 disk as it is, and as it names what its owner may not have"""
    def with_fields(*fields):
        head = bytearray(clean)
        for at, value in fields:
            head[at:at + len(value)] = value
        return bytes(head)

    backing = f"nbd+unix:///vda?socket=/run/vmferry/{their_uuid}/nbd".encode()
    length, = struct.unpack_from(">I", clean, 100)
    data = b"/etc/passwd"
    return {"clean": clean,
            "backing": with_fields((8, struct.pack(">QI", BACKING_AT, len(backing))), (BACKING_AT, backing)),
            "data": with_fields((72, struct.pack(">Q", 4)),
                                (length, struct.pack(">4sI", b"DATA", len(data)) + data.ljust(16, b"\0") + bytes(8)))}


@pytest.fixture(scope="module")
def write_head(lab, hv2, mine, theirs):
    """How hv2 writes a file over the head of its disk: as its QEMU does, through its disk process"""
    with open(lab.dir / "share" / MINE / "vda.qcow2", "rb") as file:
        clean = file.read(HEAD_SIZE)
    assert clean[:4] == b"QFI\xfb"
    for name, head in heads(clean, theirs.uuid).items():
        hv2.run("bash", "-c", f"mkdir -p /tmp/hostile && base64 -d >/tmp/hostile/head_{name}",
                input=base64.b64encode(head).decode())
    script = "/tmp/hostile/write-head"
    hv2.run("bash", "-c", f"cat >{script} && chmod 755 {script}", input=f"""#!/bin/sh
        exec qemu-io -f raw -c "write -s $1 0 {HEAD_SIZE}" 'nbd+unix:///vda?socket=/run/vmferry/{mine.uuid}/nbd'
        """.lstrip())
    return script


def names_for_source(hv1, hv2, mine, theirs, write_head):
    return {"write_head": write_head, "uuid": mine.uuid, "name": mine.name, "epoch": str(mine.record().epoch),
            "definition": hv2.virsh("dumpxml", "--migratable", mine.name),
            "their_uuid": theirs.uuid, "their_uuid_upper": theirs.uuid.upper(), "their_name": theirs.name,
            "their_definition": hv1.virsh("dumpxml", "--migratable", theirs.name),
            "cookie": cookie("begin", mine)}


def put(host, script, names):
    """The script and what its names stand for, as one file; returns the command line"""
    names = names | {"now": str(time.time_ns() // 1000), "migration": str(uuids.uuid4()), "other_migration": str(uuids.uuid4())}
    parts = {"script": "\n".join(script)} | names
    host.run("python3", "-c", "import json, os, sys\nos.makedirs('/tmp/hostile', exist_ok=True)\n"
             "for name, text in json.load(sys.stdin).items():\n    open('/tmp/hostile/' + name, 'w').write(text)",
             input=json.dumps(parts))
    return [INSIDE, "/tmp/hostile/script", *(f"{name}@/tmp/hostile/{name}" for name in names)]


def run_source(hv2, script, names, timeout=450):
    result = hv2.run(*put(hv2, script, names), check=False, timeout=timeout)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def source_names(tool, hv1, hv2, mine, theirs, write_head):
    names = names_for_source(hv1, hv2, mine, theirs, write_head)
    off = {"off_uuid": str(uuids.uuid4()), "off_name": "off"}

    def as_off(text, guest):
        return text.replace(guest.uuid, off["off_uuid"]).replace(f"<name>{guest.name}<", "<name>off<")
    hv1.run("bash", "-c", "cat >/tmp/off.xml && virsh -q define /tmp/off.xml",
            input=as_off(hv1.virsh("dumpxml", "--inactive", theirs.name), theirs))
    yield names | off | {"off_definition": as_off(names["definition"], mine)}
    hv1.virsh("undefine", "off")


@pytest.fixture(scope="module")
def opens(hv1):
    with watching_opens(Process.in_host(hv1, 1).pid) as found:
        yield found


@pytest.fixture(scope="module")
def quiet(lab, theirs):
    """How the guest of hv1 runs when nobody lies"""
    return Quiet(lab, theirs)


@pytest.fixture(scope="module")
def evil(lab, hv1, hv2):
    with evil_server(lab, hv1, hv2) as found:
        yield found


@pytest.fixture
def judge(lab, hv1, theirs, mine, opens, quiet, evil):
    found = Judge(lab, hv1, theirs, mine, opens, quiet)
    yield found
    found.end()
    quiet.again()


# A hostile source


def allowed_to_a_source(name, script):
    """An offer that may be true is looked into; after that, a VM is prepared for it; facts are gathered"""
    found = Allowed()
    for number, line in enumerate(script):
        answer = next((one for one in script[number:] if re.match("(ok|error)\\b", one)), "")
        if re.match(r"(call|post|repeat \d+ post) GatherFacts ", line) and name not in NOT_GATHERED:
            found.starts.add(PROBE)
            found.folders |= {"", MINE}
        if " Offer " in line and (answer == "ok" or name in LOOKED_INTO):
            found.starts.add(DISKS)
            found.folders |= {"", LOOKED_INTO.get(name, MINE)}
        if " Prepare " in line and (answer == "ok" or name in PREPARED):
            found.starts |= OF_A_VM
    return found


@pytest.mark.parametrize("script", wanted(FOLDER / "source.txt"))
def test_source(request, hv2, mine, judge, evil, source_names, script):
    record = mine.record()
    run_source(hv2, script, source_names)
    if any(re.match(r"repeat \d+ post GatherFacts", line) for line in script):
        judge.wait_for_probes(GATHERINGS)
    judge.assert_untouched(allowed_to_a_source(request.node.callspec.id, script))
    assert mine.record() == record
    if any(EVIL in line for line in script):
        evil.assert_silent()


def test_broken_connections_are_given_back(hv1, hv2, judge, source_names):
    """More, one after another, than a peer may have at a time: the end comes with the first message, or before"""
    def descriptors():
        return int(hv1.run("bash", "-c", "ls /proc/$(cat /run/lab/vmferryd.pid)/fd | wc -l").stdout)

    before = descriptors()
    for broken in ("message-too-large-for-bus", "message-of-no-byte-order"):
        command = put(hv2, expanded(sections(FOLDER / "source.txt")[broken][1]), source_names)
        hv2.run("bash", "-c", "for i in {1..10}; do \"$@\" || exit 1; done", "ten", *command)
    run_source(hv2, expanded(["@begin"]), source_names)
    until(lambda: descriptors() <= before, 20, lambda: f"{before} descriptors, but: {descriptors()}")
    judge.assert_untouched()


def definition_is_refused(hv2, mine, source_names, one):
    """By its text"""
    def here(text):
        for old, new in ((BASE_UUID, mine.uuid), (f"<name>{BASE_NAME}<", f"<name>{mine.name}<"),
                         (f"/vms/{BASE_NAME}/", f"/vms/{mine.name}/"), ("/boot/lab/vmlinuz", KERNEL), ("/boot/lab/initrd", INITRD)):
            text = text.replace(old, new)
        return text

    old, new = (one["old"], one["new"]) if one["old"] else ("</devices>", one["new"] + "</devices>")
    base = BASE.read_text()
    assert old in base
    edited = here(base.replace(old, new, 1))
    says = [re.escape(here(word)) for word in one["says"]]
    script = [*expanded(["@begin", "@vm"]), 'call Offer ("$migration", $vm, "$definition")',
              f"error {one['code'].capitalize()} " + "".join(f"(?=.*{word})" for word in says)]
    run_source(hv2, script, source_names | {"definition": edited})


@pytest.mark.parametrize("one", refused_definitions())
def test_definition(hv2, mine, judge, source_names, one):
    """Each definition that is refused; nothing is opened or started for it"""
    definition_is_refused(hv2, mine, source_names, one)
    judge.assert_untouched()


# A hostile destination


@pytest.fixture(scope="module")
def facts(hv1, tool, theirs):
    """What the real hv2 tells, for a hostile one to tell again"""
    names = {"definition": hv1.virsh("dumpxml", "--migratable", theirs.name)}
    result = hv1.run(*put(hv1, expanded(["@learn"]), names), check=False)
    assert result.returncode == 0, result.stdout
    return hv1.run("cat", "/tmp/hostile/learnt").stdout


@pytest.fixture
def no_vmferryd(hv2, vmferryd_again):
    """A test that failed had it started again (conftest.py)"""
    hv2.service("stop", "vmferryd")


@pytest.fixture(scope="module")
def vmferryd_again(hv2, mine, facts):
    yield
    hv2.service("start", "vmferryd")
    hv2.wait_for_vmferryd()


@pytest.mark.parametrize("script", wanted(FOLDER / "destination.txt"))
def test_destination(hv1, hv2, theirs, judge, evil, facts, no_vmferryd, script):
    epoch = theirs.record().epoch   # it grows where the VM was taken back
    names = {"uuid": theirs.uuid, "name": theirs.name, "next_epoch": str(epoch + 1),
             "cookie": cookie("prepare", theirs), "facts": re.sub(r"epoch': <(uint64 )?\d+", rf"epoch': <uint64 {epoch}", facts)}
    peer = hv2.start(*put(hv2, ["listen", *script], names))
    assert "listening" in peer.stdout.readline()
    move = RunningMove(hv1, theirs, hv2)
    said = []
    for line in peer.stdout:
        said.append(line)
        if line == "say cancel\n":
            until(lambda: hv1.vmferry_json("jobs")["jobs"], 20, "there is a job")
            hv1.vmferry("cancel", move.job(), check=False)  # it may be over already
    assert peer.wait(timeout=60) == 0, "".join(said)
    status, text = move.end(90)
    assert status == 1, text
    assert not re.search(rf"^{theirs.name} now runs on", text, re.M) and "\x1b" not in text
    assert hv1.virsh("domstate", theirs.name) == "running"
    stands_still = any(line in ("drain 0", "drain-state") for line in script)    # it was all but gone
    judge.assert_untouched(Allowed({PROBE, HOLDER}, {"", THEIRS}, stands_still))
    if any(EVIL in line for line in script):
        evil.assert_silent()
