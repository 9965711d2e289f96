# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a guest went on as if nothing had happened."""

import contextlib
import subprocess
import sys

from labkit.watch import presence

QUIET_BEATS = 1000      # two seconds, to see what gaps there are anyhow
OUTAGE_MS = 50          # what a guest may miss beyond those


METRONOME = """
import select, sys, time
longest, before = 0, time.monotonic()
while not select.select([sys.stdin], [], [], 0.002)[0]:
    now = time.monotonic()
    longest, before = max(longest, now - before), now
print(longest * 1000)
"""


class Metronome:
    """Wakes every 2 ms, as the guest does: its longest gap is what this machine did to both"""

    def __init__(self):
        self._process = subprocess.Popen([sys.executable, "-S", "-c", METRONOME], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)

    def longest_gap_ms(self):
        return float(self._process.communicate()[0])


@contextlib.contextmanager
def untouched(lab, guest):
    """The guest stays at its host, in the same boot, its owner record stays as it is, and no gap
    between its heartbeats is longer by OUTAGE_MS than the longest one just before, or than that of a
    process beside it."""
    quiet = guest.observe(QUIET_BEATS)
    noise, host = presence(quiet).largest_gap_ms(), quiet[-1].host
    record = guest.record() if guest.disks else None
    mark, beside = lab.watch.mark(), Metronome()
    try:
        yield
        guest.observe(100)
    finally:
        noise = max(noise, beside.longest_gap_ms())
    seen = lab.watch.read(mark)
    judged = presence(seen.beats_of(guest.name))
    assert seen.losses == [], "the observer lost frames: it cannot tell"
    assert judged.two_at_once == []
    assert [(stay.host, stay.boot) for stay in judged.stays] == [(host, quiet[-1].boot)]
    assert judged.largest_gap_ms() <= noise + OUTAGE_MS, f"gaps before and beside were {noise:.1f} ms at most"
    if guest.disks:
        assert guest.record() == record
