# SPDX-License-Identifier: GPL-3.0-or-later
"""`vmferry recover`: a VM whose host lost its power is started elsewhere, from the share"""

import time

import pytest

from labkit.lab import until
from labkit.moves import assert_says, move

DEAD_CLIENT_S = 3   # of the lab's file server, as its smb.conf says
QUARANTINE_S = 6    # as the lab's vmferry.conf says


@pytest.fixture
def guest(lab, hv1):
    found = lab.create_guest("orphan")
    hv1.vmferry("define", f"/usr/share/vmferry-lab/vms/{found.name}.xml")
    began = time.monotonic()
    hv1.virsh("start", found.name)
    found.start_s = time.monotonic() - began
    found.observe(50, 60)
    yield found
    lab.delete_guest(found)


def limit_s(guest):
    """What is waited for, and 9 s for the rest; on a busy machine, six times what a mere start took"""
    return DEAD_CLIENT_S + QUARANTINE_S + max(9, 6 * guest.start_s)


def test_what_is_not_dead_is_not_taken(lab, hv1, hv2, guest):
    before = guest.record()
    for name in (guest.name, guest.uuid, f"smb://fs1.lab.test/vms/{guest.name}"):
        refused = hv2.vmferry("recover", name, check=False)
        assert refused.returncode == 1
        assert_says(refused.stderr, guest.name, "hv1.lab.test", "answers", "vmferry migrate")
    assert guest.record() == before
    assert guest.name not in hv2.virsh("list", "--all", "--name").split()
    assert hv2.run("test", "-e", f"/run/vmferry/{guest.uuid}/control", check=False).returncode == 1


def test_what_does_not_answer_but_lives_is_not_taken(lab, hv1, hv2, guest):
    """Its vmferryd is away, its disks are open: the file server is believed"""
    before = guest.record()
    hv1.service("stop", "vmferryd")
    try:
        refused = hv2.vmferry("recover", guest.name, check=False, timeout=180)
    finally:
        hv1.service("start", "vmferryd")
    assert refused.returncode == 1
    assert_says(refused.stderr, "still open at the file server by HV1", "lives")
    assert guest.record().epoch == before.epoch
    status = guest.tell("status")
    assert (status["vda.io_errors"], status["vda.mismatches"]) == ("0", "0")


def test_power_loss_of_the_owner(lab, hv1, hv2, guest):
    guest.observe(200)
    before = guest.record()
    lab.tool("power-off", "hv1")
    try:
        began = time.monotonic()
        done = hv2.vmferry("recover", guest.name, timeout=180)
        seconds = time.monotonic() - began
        assert_says(done.stdout, f"{guest.name} now runs on hv2.lab.test", "HV1")
        after = guest.record()
        assert (after.owner_account, after.state) == ("HV2$", "running")
        assert after.epoch > before.epoch
        until(lambda: guest.observe(1)[-1].records > 0, 60, "records are written")
        status = guest.tell("status")
        assert (status["vda.io_errors"], status["vda.mismatches"]) == ("0", "0")
        print(f"recovered in {seconds:.1f} s, started in {guest.start_s:.1f} s before")
        assert seconds < limit_s(guest)
    finally:
        lab.tool("power-on", "hv1")
        hv1.wait_for_vmferryd()
    # The old owner is back, with a definition that is not true any more: it cannot start it, ...
    assert hv1.run("virsh", "start", guest.name, check=False).returncode != 0
    # ... and the VM can come home.
    move(hv2, guest, hv1)
    assert guest.record().owner_account == "HV1$"


def test_shut_down_vm_is_registered_elsewhere(lab, hv1, hv2, guest):
    hv1.virsh("destroy", guest.name)
    until(lambda: guest.record().state == "stopped", 20, "it is stopped")
    hv1.virsh("undefine", guest.name)
    # as a host leaves it that dies while it replaces the definition
    folder = lab.dir / "share" / guest.name
    (folder / "domain.xml").rename(folder / ".vmferry" / "domain.xml.new")
    done = hv2.vmferry("recover", guest.name)
    assert_says(done.stdout, "now runs on hv2.lab.test")
    assert guest.record().owner_account == "HV2$"


def test_nothing_there(hv2):
    refused = hv2.vmferry("recover", "nosuchvm", check=False)
    assert refused.returncode == 1
    assert_says(refused.stderr, "nosuchvm", "//fs1.lab.test/vms")
