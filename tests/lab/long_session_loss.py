# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes minutes: not collected by itself; run it by its name.

    VMFERRY_TEST_LAB=NAME python3 -m pytest -s tests/lab/long_session_loss.py
"""

import threading
import time

import pytest

from labkit import report as move_report
from labkit.lab import until
from test_session_loss import all_found_again, goes_on, guest, held_and_made_good, smbd_of, state_of  # noqa: F401

MOVES = 20
RESTART_EVERY_S = 10


class Restarts(threading.Thread):
    """smbd, restarted every so often, whatever is under way"""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.server, self.count, self.over = lab.host("fs1"), 0, threading.Event()

    def run(self):
        while not self.over.wait(RESTART_EVERY_S):
            self.server.service("restart", "smbd")
            self.count += 1


def test_20_moves_while_smbd_restarts(lab, hv1, hv2, guest):
    """A move may fail: then the VM stays where it was, by itself. No acknowledged write is lost."""
    boot = guest.observe(1)[-1].boot
    guest.tell("records", "200")
    restarts = Restarts(lab)
    restarts.start()
    here, there, moved, stayed = hv1, hv2, 0, {}
    began = time.monotonic()
    try:
        for _ in range(MOVES):
            result = here.vmferry("migrate", guest.name, "--to", there.name, "--json", check=False, timeout=300)
            report = move_report.parse(result.stdout)
            if report["outcome"] == "runs-on-destination":
                here, there, moved = there, here, moved + 1
            else:
                assert report["outcome"] == "continues-on-source", report
                why = report["error"]["message"].split(":")[0]
                stayed[why] = stayed.get(why, 0) + 1
            until(lambda: guest.name in here.vms() and state_of(here, guest)["gate"] == "open", 120,
                  lambda: (here, here.vms().get(guest.name), there.vms().get(guest.name)))
            goes_on(guest, 120)
            time.sleep(2)   # moves and restarts are to meet at different moments
    finally:
        restarts.over.set()
        restarts.join()
    goes_on(guest, 60)
    all_found_again(lab, guest)
    assert guest.observe(1)[-1].boot == boot
    assert guest.where().name == here.name
    status = guest.tell("status")
    print(f"{MOVES} moves in {time.monotonic() - began:.0f} s, {restarts.count} restarts: {moved} moved, "
          f"{MOVES - moved} stayed {stayed}; records {status['vda.written']}, {status['vdb.written']}")
    assert restarts.count >= MOVES / 2
    assert moved >= MOVES / 2


def test_server_frozen_for_a_minute(lab, hv1, guest):
    with held_and_made_good(lab, guest):
        frozen = smbd_of(lab, hv1)
        lab.host("fs1").run("kill", "-STOP", *frozen)
        try:
            time.sleep(60)      # the fault
        finally:
            lab.host("fs1").run("kill", "-CONT", *frozen)
        goes_on(guest, 150)


@pytest.fixture
def short_tickets(lab, hv1):
    """The host's tickets live for 4 minutes"""
    hv1.run("cp", "-a", "/etc/krb5.conf", "/etc/krb5.conf.long")
    hv1.run("sed", "-i", r"s/^\[libdefaults\]/&\n    ticket_lifetime = 240s/", "/etc/krb5.conf")
    hv1.run("rm", "-f", "/run/vmferry/smb.cc", "/run/vmferry/daemon.cc")
    hv1.service("restart", "vmferryd")
    hv1.wait_for_vmferryd()
    yield
    hv1.run("mv", "/etc/krb5.conf.long", "/etc/krb5.conf")
    hv1.run("rm", "-f", "/run/vmferry/smb.cc", "/run/vmferry/daemon.cc")
    hv1.service("restart", "vmferryd")
    hv1.wait_for_vmferryd()


def test_ticket_ends_while_vmferryd_is_away(lab, hv1, short_tickets, guest):
    """Nobody renews it: the server ends the session, the guest's I/O is held until there is one again"""
    with held_and_made_good(lab, guest):
        hv1.service("stop", "vmferryd")
        log = f"/run/vmferry/{guest.uuid}/disk.log"
        until(lambda: "ticket" in hv1.run("tail", "-3", log).stdout, 400, lambda: hv1.run("tail", "-3", log).stdout)
        hv1.service("start", "vmferryd")
        hv1.wait_for_vmferryd()
        until(lambda: state_of(hv1, guest)["gate"] == "open", 60, lambda: state_of(hv1, guest))
        goes_on(guest, 60)


def test_tickets_are_rotated_under_a_guest(lab, hv1, short_tickets, guest):
    """Two generations of tickets, and no I/O held for longer than a moment"""
    with held_and_made_good(lab, guest):
        log = f"/run/vmferry/{guest.uuid}/disk.log"
        guest.tell("reset")
        time.sleep(420)     # what is watched: more than a ticket's life
        assert "ticket" not in hv1.run("cat", log).stdout
        status = guest.tell("status")
        assert int(status["vda.write_us_max"]) < 3000000, status
