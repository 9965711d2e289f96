# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk processes that die under a running guest, and guests whose disks belong to another host by now.

libvirt 9.0 knows no NBD reconnection: QEMU pauses the guest (error policy stop), vmferryd starts
another disk process and lets it go on. The guest must not see an error.
"""

import contextlib
import random
import time

import pytest

from labkit.lab import until
from labkit.moves import assert_says, move
from labkit.watch import presence

QUARANTINE_S = 6    # as the lab's vmferry.conf says
HEALED_S = 5


@pytest.fixture
def guest(lab, hv1):
    found = lab.create_guest("keep", disks=("raw:64M", "qcow2:64M"), on=hv1)
    until(lambda: found.observe(1, 60)[-1].records > 20, 60, "it writes records")
    yield found
    lab.delete_guest(found)


def disk_pid(host, guest):
    return int(host.run("cat", f"/run/vmferry/{guest.uuid}/pid").stdout)


def kill_disks(host, guest):
    pid = disk_pid(host, guest)
    host.run("kill", "-KILL", pid)
    return pid


def goes_on(guest, seconds):
    """It writes records again; returns after how many seconds"""
    began = time.monotonic()
    before = guest.observe(1, seconds)[-1].records
    until(lambda: guest.observe(1, seconds)[-1].records >= before + 10, seconds, "records are written")
    return time.monotonic() - began


def gate_opens(host, guest, seconds=30):
    until(lambda: host.vms().get(guest.name, {}).get("gate") == "open", seconds,
          lambda: f"the gate opens: {host.vms().get(guest.name)}")


@contextlib.contextmanager
def unharmed(lab, guest):
    """One boot, no error seen by the guest, each record found again, never two writers"""
    boot = guest.observe(1)[-1].boot
    epoch = guest.record().epoch
    mark = lab.watch.mark()
    yield
    assert guest.observe(1)[-1].boot == boot
    assert presence(lab.watch.read(mark).beats_of(guest.name)).two_at_once == []
    answer = guest.tell("scan")
    status = guest.tell("status")
    for target in guest.disks:
        assert (status[f"{target}.io_errors"], status[f"{target}.mismatches"]) == ("0", "0"), (answer, status)
    assert guest.record().epoch == epoch
    for _, path in guest.disks.values():
        assert not lab.smbd_log().two_writers(path)


def test_killed_disk_process_comes_back(lab, hv1, guest):
    with unharmed(lab, guest):
        guest.tell("records", "off")
        guest.observe(100)
        old = kill_disks(hv1, guest)
        gate_opens(hv1, guest, HEALED_S)    # nothing was under way: there is no quarantine
        guest.tell("records", "on")
        print(f"goes on after {goes_on(guest, HEALED_S):.1f} s")
        assert disk_pid(hv1, guest) != old
    assert hv1.virsh("domstate", guest.name) == "running"


def test_killed_under_load(lab, hv1, guest):
    """Some die with a write under way: then the quarantine is waited for"""
    with unharmed(lab, guest):
        guest.tell("records", "500")
        for _ in range(5):
            time.sleep(random.uniform(0.2, 0.6))    # the moment of the fault
            kill_disks(hv1, guest)
            gate_opens(hv1, guest, QUARANTINE_S + HEALED_S)
            print(f"goes on after {goes_on(guest, HEALED_S):.1f} s")


def test_killed_while_vmferryd_is_away(lab, hv1, guest):
    with unharmed(lab, guest):
        hv1.service("stop", "vmferryd")
        kill_disks(hv1, guest)
        until(lambda: hv1.virsh("domstate", guest.name) == "paused", 20, "the guest is paused")
        hv1.service("start", "vmferryd")
        hv1.wait_for_vmferryd()
        gate_opens(hv1, guest, QUARANTINE_S + HEALED_S)
        goes_on(guest, HEALED_S)


def test_restarted_vmferryd_adopts_and_watches(lab, hv1, guest):
    with unharmed(lab, guest):
        pid = disk_pid(hv1, guest)
        hv1.run("kill", "-KILL", hv1.service_pid("vmferryd"))
        hv1.service("start", "vmferryd")
        hv1.wait_for_vmferryd()
        assert disk_pid(hv1, guest) == pid
        goes_on(guest, HEALED_S)
        kill_disks(hv1, guest)
        gate_opens(hv1, guest, QUARANTINE_S + HEALED_S)
        goes_on(guest, HEALED_S)


def test_killed_while_the_file_server_is_away(lab, hv1, guest):
    """It waits, says for what and since when, and heals by itself"""
    with unharmed(lab, guest):
        lab.host("fs1").service("stop", "smbd")
        try:
            kill_disks(hv1, guest)
            said = until(lambda: (lambda text: text if "another one cannot come up" in text else None)(
                hv1.vmferry("doctor", check=False).stdout), 60, lambda: hv1.vmferry("doctor", check=False).stdout)
        finally:
            lab.host("fs1").service("start", "smbd")
        assert_says(said, guest.name, r"since \d\d:\d\d:\d\d", "file server answers")
        gate_opens(hv1, guest, QUARANTINE_S + 2 * HEALED_S)
        goes_on(guest, HEALED_S)
        until(lambda: "another one cannot come up" not in hv1.vmferry("doctor", check=False).stdout, 10,
              "doctor is content")


def test_moves_after_a_death(lab, hv1, hv2, guest):
    kill_disks(hv1, guest)
    gate_opens(hv1, guest, QUARANTINE_S + HEALED_S)
    goes_on(guest, HEALED_S)
    move(hv1, guest, hv2)
    kill_disks(hv2, guest)
    gate_opens(hv2, guest, QUARANTINE_S + HEALED_S)
    goes_on(guest, HEALED_S)
    move(hv2, guest, hv1)
    status = guest.tell("status")
    for target in guest.disks:
        assert (status[f"{target}.io_errors"], status[f"{target}.mismatches"]) == ("0", "0")


def test_shut_down_disk_process_is_not_missed(hv1, guest):
    """What ends as it should is not started again"""
    hv1.virsh("destroy", guest.name)
    until(lambda: hv1.run("test", "-e", f"/run/vmferry/{guest.uuid}/control", check=False).returncode == 1, 20,
          "its disk process has ended")
    guest.lab.host("hv1").virsh("start", guest.name)
    guest.observe(50, 60)


# ---- self-fence ----

def test_returning_owner_ends_its_copy(lab, hv1, hv2, guest):
    """hv1 is cut off, its VM is started on hv2; back again, hv1 must not write, and ends its copy"""
    guest.observe(200)
    before = guest.record()
    lab.check("cut", "hv1")
    try:
        hv2.vmferry("recover", guest.name, timeout=180)
        assert guest.record().owner_account == "HV2$"
        qemu = hv1.run("cat", f"/run/libvirt/qemu/{guest.name}.pid").stdout.strip()
        assert hv1.run("kill", "-0", qemu, check=False).returncode == 0, "it still runs: there is something to end"
    finally:
        lab.check("heal", "hv1")
    until(lambda: hv1.run("kill", "-0", qemu, check=False).returncode != 0, 60, "QEMU has ended at hv1")
    until(lambda: hv1.virsh("domstate", guest.name) == "shut off", 20, "libvirt has seen it")
    until(lambda: hv1.run("test", "-e", f"/run/vmferry/{guest.uuid}/control", check=False).returncode == 1, 20,
          "its disk process has ended")
    assert_says(hv1.vmferry("doctor", check=False).stdout, guest.name, r"was ended on this host", r"HV2\$")
    assert guest.record().epoch > before.epoch and guest.record().owner_account == "HV2$"
    until(lambda: guest.observe(1)[-1].records > 0, 60, "records are written at hv2")
    status = guest.tell("status")
    for target in guest.disks:
        assert (status[f"{target}.io_errors"], status[f"{target}.mismatches"]) == ("0", "0")
    for _, path in guest.disks.values():
        assert not lab.smbd_log().two_writers(path)
    move(hv2, guest, hv1)


def test_self_fence_when_vmferryd_comes_back(lab, hv1, hv2, guest):
    guest.observe(200)
    lab.check("cut", "hv1")
    try:
        hv1.service("stop", "vmferryd")
        hv2.vmferry("recover", guest.name, timeout=180)
        qemu = hv1.run("cat", f"/run/libvirt/qemu/{guest.name}.pid").stdout.strip()
    finally:
        lab.check("heal", "hv1")
    until(lambda: '"foreign": true' in hv1.run("cat", f"/run/vmferry/{guest.uuid}/disk.log").stdout or
          "has to end" in hv1.run("cat", f"/run/vmferry/{guest.uuid}/disk.log").stdout, 60, "its disks are foreign")
    assert hv1.run("kill", "-0", qemu, check=False).returncode == 0
    hv1.service("start", "vmferryd")
    until(lambda: hv1.run("kill", "-0", qemu, check=False).returncode != 0, 30, "QEMU has ended at hv1")
    hv1.wait_for_vmferryd()
    until(lambda: hv1.run("test", "-e", f"/run/vmferry/{guest.uuid}/control", check=False).returncode == 1, 20,
          "its disk process has ended")
    assert guest.record().owner_account == "HV2$"
