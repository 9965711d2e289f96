# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM whose session with the file server is lost, in each way: its I/O is held, made good, and goes on.

Nothing is lost that the guest was told to be written (its numbered records, read back), nothing is
written twice by two (the file server's log), the guest sees no error. The longer ones are in
long_session_loss.py.
"""

import contextlib
import json
import time

import pytest

from labkit.lab import until
from labkit.moves import assert_says, refused
from labkit.watch import presence

QUARANTINE_S = 6    # as the lab's vmferry.conf says
DEAD_CLIENT_S = 3   # as the lab's smb.conf says
HEALED_S = 20


@pytest.fixture(scope="module")
def guest(lab, hv1):
    found = lab.create_guest("held", disks=("raw:64M", "qcow2:64M"), on=hv1)
    found.made = time.time() * 1e6      # a guest of that name may have been deleted before
    until(lambda: found.observe(1, 60)[-1].records > 20, 60, "it writes records")
    yield found
    lab.delete_guest(found)


def goes_on(guest, seconds=HEALED_S):
    before = guest.observe(1, seconds)[-1].records
    until(lambda: guest.observe(1, seconds)[-1].records >= before + 10, seconds, "records are written")


def state_of(host, guest):
    return host.vms()[guest.name]


def smbd_of(lab, host):
    """The smbd processes that serve the host's connections"""
    said = lab.host("fs1").run("smbstatus", "-b", "--json").stdout
    return [int(session["server_id"]["pid"]) for session in json.loads(said)["sessions"].values()
            if session["username"].upper().endswith(host.account)]


def all_found_again(lab, guest):
    guest.tell("scan")
    status = guest.tell("status")
    for target, (_, path) in guest.disks.items():
        assert (status[f"{target}.io_errors"], status[f"{target}.mismatches"]) == ("0", "0"), status
        pairs = lab.smbd_log().two_writers(path)
        assert not [pair for pair in pairs if pair[1].since > guest.made], pairs


@contextlib.contextmanager
def held_and_made_good(lab, guest):
    first = guest.observe(1)[-1]
    record = guest.record()
    mark = lab.watch.mark()
    guest.tell("records", "200")
    goes_on(guest)
    yield
    goes_on(guest, 60)
    assert guest.observe(1)[-1].boot == first.boot
    assert presence(lab.watch.read(mark).beats_of(guest.name)).two_at_once == []
    all_found_again(lab, guest)
    assert guest.record().epoch == record.epoch


def test_smbd_child_killed(lab, hv1, guest):
    with held_and_made_good(lab, guest):
        killed = smbd_of(lab, hv1)
        assert killed
        lab.host("fs1").run("kill", "-KILL", *killed)
        for pid in killed:
            lab.smbd_log().process_killed(pid)


def test_smbd_restarted(lab, hv1, guest):
    with held_and_made_good(lab, guest):
        lab.host("fs1").service("restart", "smbd")


@pytest.mark.parametrize("seconds", [1, DEAD_CLIENT_S + 4])
def test_network_cut(lab, hv1, guest, seconds):
    """Shorter than the server waits for a dead client, and longer: then others could have come"""
    with held_and_made_good(lab, guest):
        lab.check("cut", "hv1", "fs1")
        try:
            time.sleep(seconds)     # the fault
        finally:
            lab.check("heal")
        goes_on(guest, 60)


def test_server_frozen(lab, hv1, guest):
    with held_and_made_good(lab, guest):
        frozen = smbd_of(lab, hv1)
        lab.host("fs1").run("kill", "-STOP", *frozen)
        try:
            time.sleep(10)          # the fault
            assert state_of(hv1, guest)["gate"] in ("open", "fenced")
        finally:
            lab.host("fs1").run("kill", "-CONT", *frozen)
        goes_on(guest, 60)


def test_what_is_waited_for_is_told(lab, hv1, guest):
    lab.host("fs1").service("stop", "smbd")
    try:
        until(lambda: state_of(hv1, guest)["gate"] == "fenced", 30, "the gate is fenced")
        said = until(lambda: (lambda text: text if "since" in text else None)(
            hv1.vmferry("doctor", check=False).stdout), 30, "doctor says it")
        assert_says(said, rf"{guest.name}: .*file server.*since \d\d:\d\d:\d\d", "fix.*file server answers")
    finally:
        lab.host("fs1").service("start", "smbd")
    goes_on(guest, 60)
    until(lambda: "since" not in hv1.vmferry("doctor", check=False).stdout, 20, "doctor is content")
    all_found_again(lab, guest)


SMALL = "/srv/vms/full"
ROOM = "/srv/room"


@pytest.fixture
def crowded(lab, hv1):
    """A VM whose folder on the server is a file system of its own with little room; and a way to make more"""
    fs1 = lab.host("fs1")
    guest = lab.create_guest("full", disks=("qcow2:64M",))
    fs1.run("mkdir", "-p", ROOM)
    fs1.run("mount", "-t", "tmpfs", "-o", "size=3M", "vmferry-room", ROOM)
    fs1.run("cp", "-a", SMALL, ROOM)
    fs1.run("mount", "--bind", f"{ROOM}/full", SMALL)
    hv1.vmferry("define", f"/usr/share/vmferry-lab/vms/{guest.name}.xml")
    hv1.virsh("start", guest.name)

    def make_room():
        fs1.run("mount", "-o", "remount,size=100M", ROOM)
    yield guest, make_room
    make_room()
    hv1.virsh("destroy", guest.name)
    until(lambda: hv1.run("test", "-e", f"/run/vmferry/{guest.uuid}/control", check=False).returncode == 1, 30,
          "its disk process has ended")
    fs1.run("umount", SMALL)
    fs1.run("umount", ROOM)
    lab.delete_guest(guest)


def test_share_full(hv1, hv2, crowded):
    """Its writes wait for room; the VM cannot move meanwhile; with room they are made"""
    guest, make_room = crowded
    until(lambda: guest.observe(1, 60)[-1].records > 0, 60, "it writes records")
    guest.tell("records", "500")
    until(lambda: "no room" in state_of(hv1, guest)["trouble"], 60, lambda: state_of(hv1, guest))
    assert state_of(hv1, guest)["gate"] == "open"
    assert hv1.virsh("domstate", guest.name) == "running"
    refused(hv1, guest.name, hv2.name, "room")
    assert state_of(hv1, guest)["gate"] == "open"
    make_room()
    goes_on(guest, 60)
    until(lambda: state_of(hv1, guest)["trouble"] == "", 10, "all is well")
    status = guest.tell("status")
    assert (status["vda.io_errors"], status["vda.mismatches"]) == ("0", "0")
