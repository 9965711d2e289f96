# SPDX-License-Identifier: GPL-3.0-or-later
"""One move with one fault, from a clean lab to the verdict."""

import contextlib
import time

from livekit.box import Gone
from livekit.judge import Judge
from livekit.points import armed

REACH_S = 30            # a move comes to its point within
STEADY_S = 0.3          # in order for so long is in order
LONGEST_S = 45          # and is waited for so long after the fault, to see what becomes of it


class NotReached(Exception):
    """The move ended before it came to the point, or there was nothing to strike"""


class Trial:
    """A fault at a moment of a move: `hold` brings the move there"""

    def __init__(self, scene, fault, point, side):
        self.scene, self.fault, self.point, self.side = scene, fault, point, side

    def run(self, hold):
        """@hold: context manager that starts the move, and returns at the moment, held or not"""
        scene = self.scene
        scene.begin()
        self.judge = Judge(scene)
        box = scene.side(self.side or "source")
        struck = False
        try:
            with hold(scene):
                try:
                    self.fault.strike(scene, box)
                    struck = True
                except Gone as error:
                    raise NotReached(f"nothing to strike: {error}") from error
            self._let_last()
        finally:
            paused, healed = scene.beating() is None, time.monotonic()
            if struck:
                self.fault.heal(scene, box)
        return self._verdict(paused, healed)

    def _let_last(self):
        ends = time.monotonic() + self.fault.lasts
        while time.monotonic() < ends:      # the fault lasts: nothing is waited for
            self.scene.follower.poll()
            time.sleep(min(0.05, max(0, ends - time.monotonic())))

    def _verdict(self, paused, healed):
        scene = self.scene
        last = (scene.follower.poll() or [scene.first])[-1]
        limit = self.fault.heals_within
        since = None            # in order, without a break
        while True:
            why, now = scene.settled(last), time.monotonic()
            since = None if why else since or now
            if now - healed > max(limit, LONGEST_S) or (since and now - since > STEADY_S):
                break
            time.sleep(0.03)
        took = (since or now) - healed
        stacks = scene.what_they_do() if why else ""
        _, said = scene.end_move()
        verdict = self.judge.judge(self.fault, self.point, self.side, why, paused, took, said)
        if why is None and took > limit:
            verdict.violations.append(f"healed after {took:.0f} s only, {limit:.0f} s are allowed")
        verdict.said, verdict.stacks = said, stacks
        return verdict


def held_at(point):
    """The move is held at the point until the block ends"""
    @contextlib.contextmanager
    def hold(scene):
        with armed(scene.side(point.side), point) as place:
            move = scene.start_move()
            if not place.wait(REACH_S, also=move.stdout):
                _, said = scene.end_move()
                raise NotReached(f"the move did not come to {point}: {said.strip()}")
            yield
    return hold


def run_cell(scene, cell):
    return Trial(scene, cell.fault, cell.point, cell.side).run(held_at(cell.point))


def after(seconds):
    """The move has been under way for so long: at a moment nobody chose"""
    @contextlib.contextmanager
    def hold(scene):
        began = time.monotonic()
        scene.start_move()
        while time.monotonic() - began < seconds:
            time.sleep(max(0, seconds - (time.monotonic() - began)))
        yield
    return hold


