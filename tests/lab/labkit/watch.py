# SPDX-License-Identifier: GPL-3.0-or-later
"""The observer's log of the guests' network (examples/domain-lab/watch/watch.c), judged.

Every frame was seen on the cable of one VM host, with the kernel's time of arrival, so a heartbeat
tells which host runs the guest at that time. Times are integers, nanoseconds since 1970.
"""

import collections
import dataclasses
import os

Beat = collections.namedtuple("Beat", "time host name mac boot sequence guest_ns records record_mismatches "
                              "io_errors memory_mismatches dirty_kib_s")
Announcement = collections.namedtuple("Announcement", "time host kind mac")
Loss = collections.namedtuple("Loss", "time host frames")

MS = 1000000


class Seen:
    """What the observer saw in some span of time"""

    def __init__(self, events):
        self.beats, self.announcements, self.losses = [], [], []
        places = {Beat: self.beats, Announcement: self.announcements, Loss: self.losses}
        for event in events:
            places[type(event)].append(event)
        for events_of_kind in places.values():
            events_of_kind.sort(key=lambda event: event.time)

    def beats_of(self, name):
        return [beat for beat in self.beats if beat.name == name]


def parse_line(line):
    """One event, or None for a line that is not complete"""
    fields = line.split()
    if len(fields) < 3 or not line.endswith("\n"):
        return None
    seconds, _, fraction = fields[0].partition(".")
    time = int(seconds) * 1000000000 + int(fraction)
    host, kind, rest = fields[1], fields[2], fields[3:]
    if kind == "beat":
        return Beat(time, host, *rest[:3], *(int(x) for x in rest[3:]))
    if kind in ("rarp", "garp"):
        return Announcement(time, host, kind, rest[0])
    if kind == "lost":
        return Loss(time, host, int(rest[0]))
    if kind in ("plugged", "unplugged"):
        return None
    raise ValueError(f"the watch log has a line of unknown kind: {line!r}")


class WatchLog:
    """The log file of a running lab; it is renamed to PATH.1 when it has become too long."""

    def __init__(self, path):
        self.path = str(path)

    def mark(self):
        """The present end of the log, to read from later"""
        status = os.stat(self.path)
        return status.st_ino, status.st_size

    def read(self, mark):
        """Everything seen since the mark. A line that was being written then counts as before it"""
        inode, offset = mark
        offset, within_a_line = max(offset - 1, 0), offset > 0
        parts = []
        with open(self.path, "rb") as file:
            if os.fstat(file.fileno()).st_ino != inode:
                parts.append(self._old_part(inode, offset))
            else:
                file.seek(offset)
            parts.append(file.read())
        lines = b"".join(parts).decode("ascii").splitlines(keepends=True)
        if within_a_line:
            lines = lines[1:]   # its end, or the newline before the mark alone
        return Seen(event for event in map(parse_line, lines) if event)

    def _old_part(self, inode, offset):
        with open(self.path + ".1", "rb") as file:
            if os.fstat(file.fileno()).st_ino != inode:
                raise RuntimeError("the watch log was renewed twice since the mark: read it more often")
            file.seek(offset)
            return file.read()


@dataclasses.dataclass
class Stay:
    """A time during which all of a guest's heartbeats came from one host"""
    host: str
    boot: str
    first: Beat
    last: Beat
    beats: int = 1


@dataclasses.dataclass
class Presence:
    """Where a guest was, and everything that must not be"""
    stays: list
    two_at_once: list   # (earlier beat, later beat): the later one's guest ran although it had not to
    gaps: list          # (nanoseconds, beat before, beat after), largest first
    lost: int           # sequence numbers of a boot that nobody saw, between those seen

    def largest_gap_ms(self):
        return self.gaps[0][0] / MS if self.gaps else float("inf")

    def hosts(self):
        return [stay.host for stay in self.stays]


def presence(beats, keep_gaps=20):
    """Judge the heartbeats of one guest, in order of their times.

    A guest has one line of heartbeats: with each boot a new one, and in it each number once, in
    order, whatever host it comes from. So a number seen twice, a number after a greater one, and
    a heartbeat of an earlier boot after one of a later boot all mean the same: two guests ran.
    """
    result = Presence([], [], [], 0)
    newest, boots, before = {}, [], None
    for beat in beats:
        wrong = None
        if beat.boot not in newest:
            boots.append(beat.boot)
        else:
            if beat.sequence <= newest[beat.boot].sequence:
                wrong = newest[beat.boot]
            elif beat.boot != boots[-1]:
                wrong = newest[boots[-1]]
            else:
                result.lost += beat.sequence - newest[beat.boot].sequence - 1
        if wrong:
            result.two_at_once.append((wrong, beat))
            continue
        newest[beat.boot] = beat
        _extend_stays(result.stays, beat)
        if before:
            result.gaps.append((beat.time - before.time, before, beat))
        before = beat
    result.gaps.sort(key=lambda gap: -gap[0])
    del result.gaps[keep_gaps:]
    return result


def _extend_stays(stays, beat):
    if stays and (stays[-1].host, stays[-1].boot) == (beat.host, beat.boot):
        stays[-1].last = beat
        stays[-1].beats += 1
    else:
        stays.append(Stay(beat.host, beat.boot, beat, beat))


def blackout_ms(beats):
    """Time between a guest's last heartbeat at one host and its first at the next, for each move"""
    return [(later.first.time - earlier.last.time) / MS
            for earlier, later in _pairs(presence(beats).stays)]


def _pairs(items):
    return zip(items, items[1:])
