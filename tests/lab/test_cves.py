# SPDX-License-Identifier: GPL-3.0-or-later
"""Known holes of others, each with a test of its name, against a real vmferryd (docs/SECURITY.md lists them).

Whoever lies, strays or reflects is who he is in the tests of those, whose stages are used here.
"""

import itertools
import json
import re

import pytest

import test_strangers
from labkit.channel_tool import bring_tool
from labkit.hostile import DISKS, OF_A_VM, Allowed
from labkit.lab import ADDRESSES, until
from labkit.moves import SLOW, RunningMove
from labkit.untouched import untouched
from test_channel import connect, in_the_middle, refused
from test_hostile import (FOLDER, MINE, REFUSED, definition_is_refused, evil, expanded, judge,  # noqa: F401
                          mine, opens, quiet, run_source, sections, source_names, tool, write_head)
from test_strangers import door, stranger  # noqa: F401

# What a client of the NBD socket says before it may read: an option with a name of that length.
LONG_NAME = """
import socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(15)
assert s.recv(18)[:8] == b"NBDMAGIC"
s.sendall(struct.pack(">I", 1))
option, stated, sent = map(int, sys.argv[2:5])
name = b"x" * sent
data = struct.pack(">I", stated & 0xffffffff) + name if option == 7 else name
try:
    s.sendall(b"IHAVEOPT" + struct.pack(">II", option, stated) + data)
    s.shutdown(socket.SHUT_WR)
    while s.recv(65536):
        pass
except ConnectionError:
    pass    # closed with a part of it unread; a time-out is an error
"""
EXPORT_NAME, INFO, GO = 1, 6, 7


@pytest.fixture(scope="module")
def guest(lab, hv1):
    found = lab.create_guest("named", on=hv1)
    yield found
    lab.delete_guest(found)


@pytest.fixture(scope="module")
def theirs(guest):
    """For a peer that lies (test_hostile.py): the VM of the host that it lies to"""
    return guest


# Strangers


def test_cve_2025_33073_reflected_kerberos(lab, hv1, hv2, hv3):
    """hv1's connection to hv2 is sent back to hv1's own vmferryd: refused there, by one record, and nothing proven to it"""
    bring_tool(lab, hv1, hv3)
    log = lab.log_dir / hv1.name / "lab" / "vmferryd.log"
    at = log.stat().st_size

    def records():
        return re.findall(r"connection from (\S+) refused: (.*)", log.read_bytes()[at:].decode("utf-8", "replace"))
    with in_the_middle(hv3, hv1, port=17002, to=test_strangers.PORT):
        refused(connect(hv1, hv2, via=hv3, port=17002), "failed ")
        until(records, 20, "a record")
    (who, why), = records()
    assert who == ADDRESSES["hv3"]
    assert re.match(r"cannot accept a Kerberos ticket for 'host/hv2\.lab\.test@LAB\.TEST' .* as 'host/hv1\.lab\.test@LAB\.TEST'"
                    r".*another service", why), why


def one_abuse(stranger, door, name):
    """It is closed in time, with its one record"""
    mark = door.mark()
    (result,) = test_strangers.abuses(stranger, name)
    assert not result["left"] and result["seconds"] <= test_strangers.WITHIN
    (why,) = door.wait_for_refusals(mark, stranger, 1)
    assert re.fullmatch(test_strangers.RULE_OF[name], why), why


def test_cve_2024_37370_wrap_tokens_extra_count(stranger, door):
    one_abuse(stranger, door, "wrap-token-as-token")


def test_cve_2024_37371_wrap_tokens_length(stranger, door):
    one_abuse(stranger, door, "wrap-token-too-long")


def test_cve_2025_3576_rc4_ticket(stranger, door):
    """A real one, of the real KDC, for a key that the keytab has"""
    one_abuse(stranger, door, "user-brings-an-rc4-ticket")


# A member of the group that lies


def test_cve_2019_10161_files_by_the_peers_definition(hv2, mine, judge, source_names):
    """Each definition that names a file of the host: refused; nothing is opened, nothing started"""
    named = [one for one in json.loads(REFUSED.read_text()) if re.search(r"/etc/(shadow|passwd)", one["new"])]
    assert len(named) >= 15
    for one in named:
        definition_is_refused(hv2, mine, source_names, one)
    judge.assert_untouched()


def test_cve_2019_10167_emulator_by_the_peers_definition(hv2, mine, judge, source_names):
    """The program that the definition names is not asked what it can, nor started: this host's own emulator is"""
    named = "edit definition <emulator>/usr/bin/qemu-system-x86_64< => <emulator>/usr/bin/id<"
    run_source(hv2, [*expanded(["@begin", "@vm"]), named, 'call Offer ("$migration", $vm, "$definition")',
                     "ok", 'call Prepare ("$migration", @a{sv} {}, b"$cookie")', "ok", "cut"], source_names)
    judge.assert_untouched(Allowed({DISKS} | OF_A_VM, {"", MINE}))


def test_cve_2013_4292_bounds_of_parameters(hv2, mine, judge, source_names):
    _, script = sections(FOLDER / "source.txt")["bandwidth-out-of-bounds"]
    run_source(hv2, expanded(script), source_names)
    judge.assert_untouched(Allowed({DISKS}, {"", MINE}))


# What a move leaves behind


def handles(lab, host, guest):
    """Files of the VM that the host has open at the file server, by that one's own table"""
    table = json.loads(lab.host("fs1").run("smbstatus", "--json").stdout)
    pids = {session["server_id"]["pid"] for session in table["sessions"].values()
            if session["remote_machine"] == ADDRESSES[host.name]}
    return {file["filename"] for file in table.get("open_files", {}).values() for opened in file["opens"].values()
            if opened["server_id"]["pid"] in pids and file["filename"].startswith(f"{guest.name}/")}


def access(lab, guest):
    """Who may do what with the VM's files, as the file server has it; winbindd gives names in either case"""
    paths = [guest.name, guest.disks["vda"][1], f"{guest.name}/.vmferry", f"{guest.name}/.vmferry/{guest.uuid}.own"]
    return lab.host("fs1").run("bash", "-c", 'for path; do echo "$path"; smbcacls //fs1.lab.test/vms "$path" '
                               "-A /root/administrator || exit 1; done", "acls", *paths).stdout.lower()


def alive(host, guest):
    """Sockets of the VM that somebody has (dead ones stay in its folder until it comes again), and its processes"""
    sockets = re.findall(rf"/run/vmferry/{guest.uuid}/(\S+)", host.run("cat", "/proc/net/unix").stdout)
    processes = host.run("bash", "-c", f"ps -e -o args= | grep -c '[n]bdkit.*{guest.uuid}\\|[q]emu.*{guest.uuid}'; true").stdout
    return set(sockets), int(processes)


def test_cve_2015_2687_access_left_after_a_failed_move(lab, hv1, hv2, guest):
    """Cancelled while its memory is copied: what the destination had of the VM is gone, and nobody may more than before"""
    before = access(lab, guest)
    assert "vm hosts" in before
    running = RunningMove(hv1, guest, hv2, *SLOW).wait_for_stage("memory")
    sockets, processes = alive(hv2, guest)
    assert {"control", "nbd"} <= sockets and processes >= 2, (sockets, processes)
    assert handles(lab, hv2, guest)
    assert guest.name in hv2.virsh("list", "--all", "--name").split()
    running.cancel()
    status, said = running.end()
    assert status == 1, said
    until(lambda: alive(hv2, guest) == (set(), 0), 20, lambda: f"nothing is left: {alive(hv2, guest)}")
    until(lambda: guest.name not in hv2.virsh("list", "--all", "--name").split(), 20, "no domain is left")
    until(lambda: not handles(lab, hv2, guest), 20, lambda: f"no handle is left: {handles(lab, hv2, guest)}")
    assert handles(lab, hv1, guest) >= {guest.disks["vda"][1]}
    assert access(lab, guest) == before
    seen = guest.observe(20)    # whether it noticed is judged where moves are cancelled
    assert {(beat.host, beat.io_errors, beat.memory_mismatches) for beat in seen} == {("hv1", 0, 0)}


# Whoever reaches the disk process


def test_cve_2022_26496_nbd_export_name_length(lab, hv1, guest):
    """Whoever reaches the socket (QEMU's user alone) says a name that is too long: the disk process
    goes on, and the guest's connection with it."""
    process = hv1.run("cat", f"/run/vmferry/{guest.uuid}/pid").stdout
    with untouched(lab, guest):
        for option, length in itertools.product((EXPORT_NAME, INFO, GO), (4097, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF)):
            hv1.run("python3", "-c", LONG_NAME, f"/run/vmferry/{guest.uuid}/nbd", str(option), str(length),
                    str(min(length, 200000)))
    assert hv1.run("cat", f"/run/vmferry/{guest.uuid}/pid").stdout == process
    assert hv1.run("stat", "-c", "%a %U", f"/run/vmferry/{guest.uuid}/nbd").stdout.split() == ["600", "libvirt-qemu"]
    assert guest.observe(20)[-1].io_errors == 0
