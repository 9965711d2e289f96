# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a guest went on as if nothing had happened."""

import contextlib

from labkit.watch import presence

QUIET_BEATS = 1000      # two seconds, to see what gaps there are anyhow
OUTAGE_MS = 50          # what a guest may miss beyond those


@contextlib.contextmanager
def untouched(lab, guest):
    """The guest stays at its host, in the same boot, its owner record stays as it is, and no gap
    between its heartbeats is longer by OUTAGE_MS than the longest one just before, beside the
    same load."""
    quiet = guest.observe(QUIET_BEATS)
    noise, host = presence(quiet).largest_gap_ms(), quiet[-1].host
    record = guest.record() if guest.disks else None
    mark = lab.watch.mark()
    yield
    guest.observe(100)
    seen = lab.watch.read(mark)
    judged = presence(seen.beats_of(guest.name))
    assert seen.losses == [], "the observer lost frames: it cannot tell"
    assert judged.two_at_once == []
    assert [(stay.host, stay.boot) for stay in judged.stays] == [(host, quiet[-1].boot)]
    assert judged.largest_gap_ms() <= noise + OUTAGE_MS, f"gaps before were {noise:.1f} ms at most"
    if guest.disks:
        assert guest.record() == record
