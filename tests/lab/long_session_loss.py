# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes minutes: not collected by itself; run it by its name.

    VMFERRY_TEST_LAB=NAME python3 -m pytest -s tests/lab/long_session_loss.py
"""

import threading
import time

from labkit import report as move_report
from labkit.lab import until
from labkit.moves import move
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
    here, there, moved, tried, stayed = hv1, hv2, 0, 0, {}
    began = time.monotonic()
    try:
        while tried < MOVES or restarts.count < MOVES / 2:
            tried += 1
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
    if here is not hv1:
        move(hv2, guest, hv1)
    status = guest.tell("status")
    print(f"{tried} moves in {time.monotonic() - began:.0f} s, {restarts.count} restarts: {moved} moved, "
          f"{tried - moved} stayed {stayed}; records {status['vda.written']}, {status['vdb.written']}")
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


def give_short_ticket(host, seconds):
    """In place of vmferryd, which is away: one that the next session with the server is bound to"""
    cache = "/run/vmferry/smb.cc"
    host.run("kinit", "-k", "-t", "/etc/krb5.keytab", "-l", f"{seconds}s", "-c", f"FILE:{cache}.short",
             f"{host.account}@LAB.TEST")
    host.run("chown", f"--reference={cache}", f"{cache}.short")
    host.run("mv", f"{cache}.short", cache)


def test_ticket_ends_while_vmferryd_is_away(lab, hv1, guest):
    """Nobody renews it: the server ends the session, the guest's I/O is held until there is one again"""
    log = f"/run/vmferry/{guest.uuid}/disk.log"
    with held_and_made_good(lab, guest):
        hv1.service("stop", "vmferryd")
        try:
            give_short_ticket(hv1, 150)
            lab.host("fs1").service("restart", "smbd")
            goes_on(guest, 60)
            held_since = time.monotonic()
            until(lambda: "Kerberos ticket" in hv1.run("tail", "-2", log).stdout, 400,
                  lambda: hv1.run("tail", "-5", log).stdout)
            assert time.monotonic() - held_since > 60, "it was not the ticket's end"
        finally:
            hv1.service("start", "vmferryd")
        hv1.wait_for_vmferryd()
        until(lambda: state_of(hv1, guest)["gate"] == "open", 60, lambda: state_of(hv1, guest))
        goes_on(guest, 60)
