# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a move while it is under way: the line on a terminal, and the job's properties."""

import re

import pytest

from labkit.lab import until
from labkit.moves import assert_says
from labkit.terminal import start_sitting

DIRTY_MIB_S = 60
LIMIT = ("--bandwidth", "20")   # MiB/s: its memory is sent for seconds, and dirtied faster than sent


@pytest.fixture
def guest(lab, hv1):
    found = lab.create_guest("progress", on=hv1)
    found.tell("dirty", DIRTY_MIB_S)
    until(lambda: found.observe(1)[-1].dirty_kib_s > DIRTY_MIB_S * 1024 // 2, 30, "it dirties memory")
    yield found
    lab.delete_guest(found)


def properties(host, number):
    said = host.run("dbus-send", "--system", "--print-reply=literal", "--dest=org.vmferry1",
                    f"/org/vmferry1/job/{number}", "org.freedesktop.DBus.Properties.GetAll",
                    "string:org.vmferry1.Job").stdout
    found = {name: int(value) for name, value in re.findall(r"(\w+)\s+variant\s+uint64 (\d+)", said)}
    found["Stage"] = re.search(r"Stage\s+variant\s+(\w*)", said).group(1)
    return found


def watched(hv1, number):
    """The job's properties, again and again, until its memory is sent a second time"""
    samples = []

    def again():
        samples.append(properties(hv1, number))
        return samples[-1].get("DirtyRate", 0) > 0
    until(again, 60, lambda: f"the rate at which memory is dirtied: {samples[-1]}")
    return samples


# QEMU notices what was dirtied an instant before it tells the rate: the last of a first pass may belong to the next.
def assert_move(samples):
    memory = [sample for sample in samples if sample["Stage"] == "memory" and sample["MemoryTotal"]]
    assert {sample["MemoryTotal"] >> 20 for sample in memory} & set(range(128, 256))
    first_pass = [sample for sample in memory if not sample["DirtyRate"]]
    left = [sample["MemoryRemaining"] for sample in first_pass][:-1]
    assert left == sorted(left, reverse=True) and len(set(left)) > 2, left
    assert all(sample["MemoryRemaining"] <= sample["MemoryTotal"] for sample in memory)
    sent = [sample["MemoryProcessed"] for sample in memory]
    assert sent == sorted(sent) and len(set(sent)) > 2, sent
    assert any(sample["Rate"] for sample in memory)


def test_line_on_a_terminal_and_the_jobs_properties(hv1, guest):
    sitting = start_sitting(hv1, "vmferry", "migrate", guest.name, "--to", "hv2", *LIMIT)
    try:
        number = until(lambda: [job["id"] for job in hv1.vmferry_json("jobs")["jobs"]
                                if job["vm"] == guest.name and not job["report"]], 30, "the job is there")[0]
        samples = watched(hv1, number)
        assert hv1.vmferry_json("job", number)["outcome"] is None
    finally:
        hv1.vmferry("cancel", number)
        said, _ = sitting.communicate(timeout=60)
    assert_move(samples)
    lines = re.findall(r"\x1b\[Kprogress  ([^\r\n]*)", said)
    shown = [line for line in lines if "MiB/s" in line]
    first_pass = [line for line in shown if "dirtied" not in line]
    matched = [re.fullmatch(r"memory  ([ \d]{3}) %  \d+ MiB/s(, \d+ s left)?", line) for line in first_pass]
    assert all(matched), first_pass
    percent = [int(match[1]) for match in matched][:-1]
    assert percent == sorted(percent) and len(set(percent)) > 2, percent
    assert any(match[2] for match in matched), first_pass
    later = [line for line in shown if "dirtied" in line]
    assert later and all(re.fullmatch(r"memory  [ \d]{3} %  \d+ MiB/s, dirtied [1-9]\d* MiB/s(, \d+ s left)?", line)
                         for line in later), later
    assert_says(said, r"progress was not moved and stays on hv1: .*cancelled")
