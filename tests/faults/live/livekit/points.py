# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a move can be held: the fault points of a build with -Dfault_points=true.

A point is armed by a socket that listens under its name in the host; see src/base/fault-point.h.
"""

import contextlib
import dataclasses
import os
import select
import socket
import struct

FOLDER = "/run/vmferry-faults"


@dataclasses.dataclass(frozen=True)
class Point:
    stage: str
    when: str
    name: str       # as in the code
    side: str       # whose process is held

    def __str__(self):
        return f"{self.stage}.{self.when}"


def _points(side, *names):
    return [Point(*name.split(".")[1:], name, side) for name in names]


# Six stages, each with start, middle and end
STAGES = (
    _points("source", "source.setup.start") +
    _points("destination", "destination.setup.middle") +
    _points("source", "source.setup.end",
            "source.memory.start", "source.memory.middle", "source.memory.end",
            "source.state.start", "source.state.middle", "source.state.end",
            "source.storage.start", "source.storage.middle") +
    _points("destination", "destination.storage.end",
            "destination.resume.start", "destination.resume.middle", "destination.resume.end",
            "destination.network.start") +
    _points("source", "source.network.middle", "source.network.end"))

# The handover, looked at more closely: the disk processes, and each side's view of the other's step
CLOSER = [
    Point("storage", "drained", "disks.release.drained", "source"),
    Point("storage", "closed", "disks.release.closed", "source"),
    Point("storage", "granted", "destination.storage.grant", "destination"),
    Point("storage", "acquired", "disks.claim.held", "destination"),
    Point("storage", "written", "disks.claim.written", "destination"),
    Point("storage", "told", "source.storage.end", "source"),
    Point("resume", "told", "source.resume.end", "source"),
]

ALL = STAGES + CLOSER
BY_NAME = {str(point): point for point in ALL}


class Armed:
    """A point of one host while it is armed"""

    def __init__(self, box, point):
        self.box, self.point = box, point
        self._held = None
        folder = box.path(FOLDER)
        folder.mkdir(mode=0o755, exist_ok=True)
        self._path = folder / point.name
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self._path))
        os.chmod(self._path, 0o777)
        self._socket.listen(8)

    def wait(self, seconds, also=None):
        """Whether somebody is held here; returns early when @also, a file, becomes readable"""
        waits = [self._socket] + ([also] if also else [])
        ready, _, _ = select.select(waits, [], [], seconds)
        if self._socket not in ready:
            return False
        self._held, _ = self._socket.accept()
        # Nobody else is held here: the same point may be passed again on the way back.
        self._disarm()
        return True

    def holder(self):
        """PID, as seen from here, of the process that is held"""
        raw = self._held.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return struct.unpack("3i", raw)[0]

    def release(self):
        if self._held:
            self._held.close()
            self._held = None

    def _disarm(self):
        if self._socket:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._socket.close()
            self._socket = None

    def close(self):
        self._disarm()
        self.release()


@contextlib.contextmanager
def armed(box, point):
    held = Armed(box, point)
    try:
        yield held
    finally:
        held.close()
