# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves that are stopped in stage 2, memory: by `cancel`, and by the death of the other vmferryd.

The copy is slowed down by a bandwidth limit. Limited moves of a freshly booted guest corrupt its
memory under TCG, with virsh as well (measured): the memory's contents are not judged here.
"""

import pytest

from labkit.lab import until
from labkit.moves import SLOW, RunningMove, assert_says, move
from labkit.untouched import untouched


@pytest.fixture
def guest(lab, hv1):
    found = lab.create_guest("halt", on=hv1)
    yield found
    lab.delete_guest(found)


def holders(lab, guest):
    """The hosts that hold the disk for writing, by the server's log and confirmed by its table"""
    _, path = guest.disks["vda"]
    table = {file.pid for file in lab.server_files() if file.path == path and file.writes}
    held = [hold for hold in lab.smbd_log().open_holds() if hold.path == path]
    assert {hold.pid for hold in held} == table
    return [hold.host for hold in held]


def nothing_left(host, guest):
    until(lambda: guest.name not in host.virsh("list", "--all", "--name").split(), 20,
          f"no domain is left at {host}")
    until(lambda: host.run("test", "-e", f"/run/vmferry/{guest.uuid}/control", check=False).returncode == 1,
          20, f"no disk process is left at {host}")


def goes_on_at_source(lab, guest, hv1):
    record = guest.record()
    assert (record.owner_account, record.state) == ("HV1$", "running")
    assert holders(lab, guest) == [hv1.smb_label()]
    before = guest.observe(1)[-1].records
    until(lambda: guest.observe(1)[-1].records > before + 10, 20, "records are written")
    status = guest.tell("status")
    assert (status["vda.io_errors"], status["vda.mismatches"]) == ("0", "0")


def test_cancel_in_stage_memory(lab, hv1, hv2, guest):
    with untouched(lab, guest):
        under_way = RunningMove(hv1, guest, hv2, *SLOW).wait_for_stage("memory")
        until(lambda: hv1.virsh("domjobinfo", guest.name).count("Unbounded"), 20, "the copy has begun")
        under_way.cancel()
        status, said = under_way.end()
    assert status == 1, said
    assert_says(said, guest.name, r"cancel", r"stays on hv1")
    goes_on_at_source(lab, guest, hv1)
    nothing_left(hv2, guest)
    job = hv1.vmferry_json("job", under_way.job())
    assert job["outcome"] == "continues-on-source"
    assert [stage["name"] for stage in job["stages"]] == ["setup", "memory"]
    assert job["downtime_ms"] is None and job["handover_ms"] is None
    move(hv1, guest, hv2)


def test_cancel_of_a_finished_move_is_refused(hv1, hv2, guest):
    move(hv1, guest, hv2)
    number = next(job["id"] for job in hv1.vmferry_json("jobs")["jobs"] if job["vm"] == guest.name)
    result = hv1.vmferry("cancel", number, check=False)
    assert result.returncode == 1
    assert_says(result.stderr, str(number), r"over|no longer|ended|finished")


def test_destinations_vmferryd_is_killed_in_stage_memory(lab, hv1, hv2, guest):
    with untouched(lab, guest):
        under_way = RunningMove(hv1, guest, hv2, *SLOW).wait_for_stage("memory")
        until(lambda: hv1.virsh("domjobinfo", guest.name).count("Unbounded"), 20, "the copy has begun")
        pid = hv2.service_pid("vmferryd")
        hv2.run("kill", "-KILL", pid)
        status, said = under_way.end()
    assert status == 1, said
    assert_says(said, guest.name, r"stays on hv1", r"hv2")
    goes_on_at_source(lab, guest, hv1)
    hv2.service("start", "vmferryd")
    hv2.wait_for_vmferryd()
    assert hv2.service_pid("vmferryd") != pid
    nothing_left(hv2, guest)
    epoch = guest.record().epoch
    move(hv1, guest, hv2)
    assert guest.record().epoch > epoch
    assert holders(lab, guest) == [hv2.smb_label()]
    move(hv2, guest, hv1)
