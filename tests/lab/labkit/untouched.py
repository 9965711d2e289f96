# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a guest went on as if nothing had happened."""

import bisect
import contextlib
import subprocess
import sys

from labkit.processes import Process
from labkit.watch import MS, presence

QUIET_BEATS = 1000      # two seconds, to see what gaps there are anyhow
OUTAGE_MS = 50          # what a guest may miss beyond those


METRONOME = """
import select, sys, time
files = [open(path, "rb", 0) for path in sys.argv[1:]]
samples, longest, before = [], 0, time.monotonic()
while not select.select([sys.stdin], [], [], 0.002)[0]:
    now = time.monotonic()
    longest, before = max(longest, now - before), now
    try:
        samples.append((time.time_ns(), sum(int(file.seek(0) or file.read().split()[1]) for file in files)))
    except OSError:
        files = []
print(longest * 1000)
for sample in samples:
    print(*sample)
"""


class Metronome:
    """Beside a guest: what this machine did to it. Wakes every 2 ms, as the guest does, and looks how long
    the guest's threads have stood in a queue for a processor (schedstat, proc(5))."""

    def __init__(self, threads):
        files = [f"/proc/{thread}/schedstat" for thread in threads]
        self._process = subprocess.Popen([sys.executable, "-S", "-c", METRONOME, *files], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)

    def end(self):
        """(its longest gap in ms, [(time, ns that the threads have waited until then)])"""
        longest, *samples = self._process.communicate()[0].splitlines()
        return float(longest), [tuple(map(int, line.split())) for line in samples]


def waited_ns(samples, begin, end):
    """How long the threads waited for a processor at most, between two times; 0: nobody looked"""
    earlier = bisect.bisect_right(samples, begin, key=lambda sample: sample[0]) - 1
    later = bisect.bisect_left(samples, end, key=lambda sample: sample[0])
    return samples[later][1] - samples[earlier][1] if earlier >= 0 and later < len(samples) else 0


def largest_unexplained_ms(gaps, samples):
    """The largest gap of a guest that was not waiting for a processor meanwhile"""
    return max((ns - waited_ns(samples, before.time, after.time) for ns, before, after in gaps), default=0) / MS


class Quiet:
    """How a guest runs while nothing is done to it: at first, and between what is judged"""

    def __init__(self, lab, guest):
        self._lab, self._guest = lab, guest
        self._beats, self._mark = guest.observe(QUIET_BEATS), None

    def again(self):
        """From now on, until it is asked for"""
        self._mark = self._lab.watch.mark()

    def beats(self):
        """Those of the time with the longer gap"""
        since = self._guest.beats_since(self._mark) if self._mark else []
        return since if len(since) > 1 and presence(since).largest_gap_ms() > presence(self._beats).largest_gap_ms() else self._beats


class Watched:
    """A guest from now on. @quiet: heartbeats of an earlier time, to see what gaps there are anyhow"""

    COUNTERS = ("io_errors", "record_mismatches", "memory_mismatches")

    def __init__(self, lab, guest, quiet=None):
        self._lab, self._guest = lab, guest
        quiet = quiet or guest.observe(QUIET_BEATS)
        self._noise, self._last = presence(quiet).largest_gap_ms(), quiet[-1]
        self._record = guest.record() if guest.disks else None
        self._mark = lab.watch.mark()
        self._beside = Metronome(Process.of_guest(lab.host(self._last.host), guest).guest_threads())
        self._samples = None

    def end(self):
        if self._samples is None:
            longest, self._samples = self._beside.end()
            self._noise = max(self._noise, longest)

    def judge(self, stood_still=False):
        """After end(). The guest stayed at its host, in the same boot, its owner record is as it was, it saw no I/O error
        and nothing of its memory or disks is wrong, and no gap between its heartbeats is longer by OUTAGE_MS than the
        longest one just before, or than that of a process beside it, except for what it waited for a processor.
        @stood_still: it was stopped meanwhile, and may have been taken back under a new epoch"""
        seen = self._lab.watch.read(self._mark)
        beats = seen.beats_of(self._guest.name)
        judged = presence(beats, keep_gaps=1000)
        assert seen.losses == [], "the observer lost frames: it cannot tell"
        assert beats, "no heartbeat at all"
        assert judged.two_at_once == []
        assert [(stay.host, stay.boot) for stay in judged.stays] == [(self._last.host, self._last.boot)]
        for counter in self.COUNTERS:
            assert {getattr(beat, counter) for beat in beats} == {getattr(self._last, counter)}, counter
        if stood_still:
            return
        unexplained = largest_unexplained_ms(judged.gaps, self._samples)
        said = (f"{self._guest.name}: gap of {judged.largest_gap_ms():.1f} ms at most, {unexplained:.1f} without what it waited "
                f"for a processor; before and beside it {self._noise:.1f} ms")
        print(said)
        assert unexplained <= self._noise + OUTAGE_MS, said
        if self._guest.disks:
            assert self._guest.record() == self._record


@contextlib.contextmanager
def untouched(lab, guest):
    """Whether the guest goes on meanwhile as Watched.judge() says"""
    watched = Watched(lab, guest)
    try:
        yield
        guest.observe(100)
    finally:
        watched.end()
    watched.judge()
