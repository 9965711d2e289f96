# SPDX-License-Identifier: GPL-3.0-or-later
"""A ticket has to run out, or nearly, which takes minutes: not collected by itself; run it by its name.

    VMFERRY_TEST_LAB=NAME python3 -m pytest tests/lab/long_ticket.py
"""

import time

from labkit.disks import Load, load_on
from labkit.lab import until
from test_disk_process import assert_denied, bench, disks  # noqa: F401


def test_expired_ticket_heals_when_it_is_renewed(disks):
    """Nobody renews: the server ends the session; the guest waits until there is a ticket"""
    first = disks.first
    first.end()
    first.renew_ticket("130s")
    first.launch(quarantine_ms=1000)
    first.own("", 0, 1)
    load = Load(first)
    load.wait_for_progress()
    state = first.wait_for_gate("fenced", 200)
    state = until(lambda: (lambda s: s if "ticket" in s["trouble"] else None)(first.describe()), 60,
                  lambda: first.describe())
    assert_denied(state["trouble"], "Kerberos ticket", "fs1.lab.test", "vmferryd")
    first.renew_ticket()
    first.wait_for_gate("open")
    load.wait_for_progress()
    load.stop()
    load.check_all(disks.share_bytes("vda.raw"))


def test_ticket_is_rotated_under_load(disks):
    """A ticket of 130 s is replaced at 80 % of its life: two sessions, no request lost"""
    first = disks.first
    first.end()
    first.renew_ticket("130s")
    first.launch(quarantine_ms=60000)       # a recovery instead of a rotation would be noticed
    end = first.describe()["ticket_end"]
    first.renew_ticket()
    first.own("", 0, 1)
    with load_on(first) as load:
        state = until(lambda: (lambda s: s if s["ticket_end"] > end else None)(first.describe()), 125,
                      "rotation")
        assert state["sessions"] == 2 and state["gate"] == "open"
        assert time.time() < end
    print(f"longest wait {load.longest * 1000:.0f} ms")
    assert load.longest < 5
