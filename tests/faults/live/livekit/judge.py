# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen of a move with a fault, held against what may be (faults.md of the design).

Outcomes: CONTINUES_ON_SRC, RUNS_ON_DST; PAUSED_WAITING while the fault lasts, which has to heal into one
of the others; VM_DOWN when the host or process that held the guest's memory has died, or the guest was
told to end. Never: two guests, two writers, an acknowledged write lost, an epoch that falls.
"""

import dataclasses
import json
import re
import time

from labkit import report as move_report
from labkit.watch import MS, presence
from livekit import records

OUTCOMES = {"runs-on-destination": "RUNS_ON_DST", "continues-on-source": "CONTINUES_ON_SRC",
            "vm-down": "VM_DOWN", "paused-waiting": "PAUSED_WAITING"}

# In the order in which a move comes by them
ORDER = ("setup.start", "setup.middle", "setup.end", "memory.start", "memory.middle", "memory.end",
         "state.start", "state.middle", "state.end", "storage.start", "storage.drained", "storage.closed",
         "storage.middle", "storage.granted", "storage.acquired", "storage.written", "storage.end",
         "storage.told", "resume.start", "resume.middle", "resume.end", "resume.told", "network.start",
         "network.middle", "network.end")


def is_before(point, other):
    return ORDER.index(str(point)) < ORDER.index(other)


def may_be_down(fault, point, side):
    """Whether the guest's only usable memory died, or the guest was told to end"""
    if fault.ends_guest:
        return True
    if not fault.kills_memory:
        return False
    if point is None:
        return True
    if side == "source":
        return is_before(point, "storage.written")
    # The destination gives a guest back as long as it has written nothing; a host that lost power
    # cannot know that any more.
    return not is_before(point, "storage.written" if fault.group == "hosts" else "resume.middle")


@dataclasses.dataclass
class Verdict:
    outcome: str            # CONTINUES_ON_SRC, RUNS_ON_DST, VM_DOWN; STUCK when it did not heal
    paused: bool            # the guest did not run when the fault was put right
    silent_ms: float        # the longest time without a heartbeat
    heal_s: float           # from putting the fault right to: one owner, guest writes, no move left
    reported: str           # what the command said the outcome was; "" when it could not
    violations: list

    @property
    def text(self):
        return f"PAUSED_WAITING, then {self.outcome}" if self.paused and self.outcome != "VM_DOWN" else self.outcome


def reported_outcome(said):
    """Of the report in what the command said, if there is one"""
    start = said.find('{"schema"')
    if start < 0:
        return ""
    try:
        report, _ = json.JSONDecoder().raw_decode(said[start:])
    except ValueError:
        return ""
    return OUTCOMES.get(report.get("outcome"), "") if report.get("schema") == move_report.SCHEMA else ""


def counters(status):
    """mismatches and I/O errors of all disks, and the sum of the newest records' numbers"""
    def total(key):
        return sum(int(value) for name, value in status.items() if re.fullmatch(rf"vd.\.{key}", name))
    return {"mismatches": total("mismatches"), "io_errors": total("io_errors"), "newest": total("newest")}


class Judge:
    """Takes the marks before a move, and judges afterwards"""

    def __init__(self, scene):
        self.scene = scene
        log = scene.lab.smbd_log()
        self.holds, self.strays = len(log.holds), len(log.stray_writes)
        self.paths = {path for _, path in scene.guest.disks.values()}
        # holds that were open before count as well
        self.open_before = {id(hold) for hold in log.open_holds()}

    def _writers(self):
        log, since = self.scene.lab.smbd_log(), self.holds
        recent = {id(hold) for hold in log.holds[since:]} | self.open_before
        for path in self.paths:
            for pair in log.two_writers(path):
                if all(id(hold) in recent for hold in pair):
                    yield f"two writers: {pair[0]} | {pair[1]}"
        for time_us, host, path in log.stray_writes[self.strays:]:
            if path in self.paths:
                yield f"{host} wrote {path} without a handle at {time_us / 1e6:.6f}"

    def _beats(self, fault):
        scene = self.scene
        beats = sorted(scene.follower.poll())
        seen = presence(beats)
        for earlier, later in seen.two_at_once[:3]:
            yield (f"two guests: heartbeat {later.sequence} of boot {later.boot} from {later.host} at "
                   f"{later.time}, {earlier.sequence} from {earlier.host} at {earlier.time}")
        if scene.follower.losses:
            yield "the observer lost frames: it cannot tell"
        until_now = (time.time_ns() - beats[-1].time) / MS if beats else float("inf")
        self.silent_ms = max(seen.largest_gap_ms() if len(beats) > 1 else 0, until_now)
        self.boots = list(dict.fromkeys(beat.boot for beat in beats))
        self.last = next((b for b in reversed(beats) if b.boot == self.boots[0]), None) if beats else None

    def _is_fair(self, fault, reported, outcome, point):
        """What the command said is what came of it, or was so when it said it"""
        if fault.name == "moved-back" and reported == "RUNS_ON_DST":
            return True         # and the other move has brought it back
        if outcome == "VM_DOWN" and reported == "RUNS_ON_DST":
            return self._ran_on(self.scene.destination)
        if outcome == "VM_DOWN" and str(point) == "setup.start":
            return True         # refused: nothing of the move had begun when the guest ended
        return reported in (outcome, "PAUSED_WAITING")

    def _ran_on(self, box):
        return any(beat.host == box.name for beat in self.scene.follower.beats)

    def _acknowledged(self):
        """At least so high is the sum of the newest numbers that were acknowledged to the guest"""
        first, disks = self.scene.first, len(self.scene.guest.disks)
        # A record may be the newest before it is counted: once for each disk
        return counters(self.scene.status)["newest"] - disks + (self.last.records - first.records if self.last else 0)

    def _on_the_server(self, status):
        """Read by us, beside the guest: its raw disks hold what it was told they hold"""
        scene = self.scene
        for target, (form, path) in scene.guest.disks.items():
            if form == "raw":
                key = f"{target}.newest"
                wrong = list(records.faults(scene.lab.dir / "share" / path, int(status[key]),
                                            lambda k=key: int(scene.guest.tell("status")[k])))
                if wrong:
                    yield f"{path} on the file server, {len(wrong)} slots: {wrong[0]}"

    def _disks(self, same_boot):
        scene = self.scene
        status = scene.guest.tell("status")
        now, before = counters(status), counters(scene.status)
        for what in ("mismatches", "io_errors"):
            if now[what] > (before[what] if same_boot else 0):
                yield f"{now[what]} {what} in the guest, {before[what]} before"
        if now["newest"] < self._acknowledged():
            yield f"acknowledged up to {self._acknowledged()}, on the disks {now['newest']}"
        yield from self._on_the_server(status)
        for target in scene.guest.disks:
            if not scene.writes_on(target, int(status[f"{target}.newest"])):
                yield f"nothing is written on {target}"

    def judge(self, fault, point, side, stuck, paused, heal_s, said):
        scene = self.scene
        violations = [*self._beats(fault), *self._writers()]
        beat, where = scene.beating(), scene.where()
        outcome = "STUCK"
        if stuck:
            said_by_qemu = f"; QEMU says: {scene.qemu_status(where)}" if where else ""
            violations.append(f"not in order {heal_s:.0f} s after the fault: {stuck}{said_by_qemu}")
        elif beat is None:
            outcome = "VM_DOWN"
        else:
            outcome = "CONTINUES_ON_SRC" if where is scene.source else "RUNS_ON_DST"
        violations += self._consequences(fault, point, side, outcome)
        reported = reported_outcome(said)
        if reported and outcome != "STUCK" and not self._is_fair(fault, reported, outcome, point):
            violations.append(f"the command said {reported}")
        return Verdict(outcome, paused, self.silent_ms, heal_s, reported, violations)

    def _consequences(self, fault, point, side, outcome):
        scene, violations = self.scene, []
        reboots = fault.ends_guest or fault.name == "guest-reboots"
        record = scene.record()
        if record is None:
            violations.append("there is no owner record")
        elif record.epoch < scene.epoch:
            violations.append(f"epoch {record.epoch} after {scene.epoch}")
        if len(self.boots) > 1 and not reboots:
            violations.append(f"the guest has booted: {self.boots}")
        if outcome == "VM_DOWN":
            if not may_be_down(fault, point, side):
                violations.append("the guest is down, though its memory was not")
            if not scene.start_again():
                return violations + ["it cannot be started again"]
            violations += self._disks(same_boot=False)
        elif outcome != "STUCK":
            violations += self._disks(same_boot=len(self.boots) == 1)
        return violations
