# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix: which fault, at which point of a move, on which side."""

import dataclasses

from livekit import faults, points
from livekit.judge import is_before

ENDS = ("source", "destination")


@dataclasses.dataclass(frozen=True)
class Cell:
    fault: faults.Fault
    point: points.Point
    side: str       # "" when the fault has none

    @property
    def name(self):
        return "/".join(filter(None, (self.fault.name, self.side, str(self.point))))

    def __str__(self):
        return self.name


def _cells(names, where):
    for name in names:
        fault = faults.BY_NAME[name]
        for point in where:
            for side in ENDS if fault.sided else ("",):
                if is_possible(fault, point, side):
                    yield Cell(fault, point, side)


def is_possible(fault, point, side):
    """Whether what is to be struck is there at that point"""
    at_destination_from = {"disks": "setup.middle", "qemu": "setup.end"}
    what = fault.name.split("-")[0]
    if side == "destination" and what in at_destination_from:
        return not is_before(point, at_destination_from[what])
    if side == "source" and what in ("disks", "qemu"):
        return str(point) != "network.end"
    if fault.name == "third-party":     # nobody holds the disks
        return not is_before(point, "storage.closed") and is_before(point, "storage.acquired")
    return True


def _by_names(*names):
    return [points.BY_NAME[name] for name in names]


# What has a cell at each of the 18 points, on each side where it applies
EVERYWHERE = ("vmferryd-killed", "libvirtd-killed", "disks-killed", "qemu-killed", "vmferryd-restarted",
              "libvirtd-restarted", "daemons-ended", "smbd-restarted", "cancelled")
# Beside those, the steps of the handover one by one
IN_HANDOVER = ("vmferryd-killed", "disks-killed", "libvirtd-killed", "daemons-ended", "smbd-restarted",
               "smbd-child-killed")
# What takes its time, or does not care so much for the exact moment: one or two points of each stage
SLOWER = ("vmferryd-frozen", "libvirtd-frozen", "disks-frozen", "qemu-frozen", "smbd-frozen", "power-loss",
          "server-cut", "peer-cut", "smbd-child-killed", "smbd-child-frozen")
SOME = _by_names("setup.end", "memory.middle", "state.start", "storage.start", "storage.middle", "storage.end",
                 "resume.start", "resume.end", "network.middle")
SLOWEST = ("server-cut-out", "server-cut-in", "peer-cut-out", "isolated", "journal-locked", "journal-old",
           "journal-lost", "dc-frozen", "account-disabled", "out-of-group", "acl-denies", "moved-back",
           "moved-twice", "record-spoilt", "no-descriptors")
FEW = _by_names("setup.end", "memory.middle", "state.end", "storage.middle", "storage.end", "network.start")
EARLY = _by_names("setup.start", "setup.end", "memory.start", "memory.middle")


def everything():
    """Every cell, in an order in which what matters most comes first"""
    found = [*_cells(EVERYWHERE, points.STAGES), *_cells(IN_HANDOVER, points.CLOSER),
             *_cells(SLOWER, SOME), *_cells(("third-party",), points.ALL), *_cells(SLOWEST, FEW),
             *_cells(("guest-powers-off", "guest-reboots"), EARLY)]
    return list(dict.fromkeys(found))


def representative():
    """Thirty: each group of faults, each stage, both sides, in a few minutes"""
    wanted = (
        "vmferryd-killed/source/setup.end", "vmferryd-killed/source/storage.middle",
        "vmferryd-killed/source/network.middle", "vmferryd-killed/destination/setup.middle",
        "vmferryd-killed/destination/storage.end", "vmferryd-killed/destination/resume.start",
        "vmferryd-restarted/source/memory.middle", "vmferryd-restarted/destination/storage.granted",
        "disks-killed/destination/memory.middle", "disks-killed/source/storage.middle",
        "qemu-killed/source/memory.start", "qemu-killed/destination/memory.middle",
        "qemu-killed/destination/state.end", "libvirtd-killed/source/setup.start",
        "libvirtd-killed/source/storage.middle", "libvirtd-killed/destination/state.start",
        "libvirtd-restarted/source/storage.end", "daemons-ended/source/storage.middle",
        "daemons-ended/destination/resume.start", "power-loss/destination/memory.middle",
        "power-loss/destination/storage.middle", "peer-cut/storage.middle",
        "server-cut/destination/storage.middle", "smbd-child-killed/source/memory.middle",
        "smbd-restarted/storage.written", "third-party/storage.middle", "journal-old/source/storage.middle",
        "dc-frozen/memory.middle", "cancelled/memory.middle", "guest-reboots/memory.start")
    by_name = {cell.name: cell for cell in everything()}
    return [by_name.get(name) or parse(name) for name in wanted]


def parse(name):
    """The cell of that name, whether it is in the matrix or not"""
    parts = name.split("/")
    return Cell(faults.BY_NAME[parts[0]], points.BY_NAME[parts[-1]], parts[1] if len(parts) == 3 else "")
