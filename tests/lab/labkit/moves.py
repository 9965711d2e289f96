# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves that go well, that are refused, and that are still under way."""

import re
import subprocess
import threading

from labkit import report as move_report
from labkit.lab import CommandFailed, until

SLOW = ("--bandwidth", "1")     # MiB/s: a minute and a half, far more than any test needs to end it


def move(source, guest, destination, *options):
    """A move that must succeed; returns its report"""
    result = source.vmferry("migrate", guest.name, "--to", destination.name, "--json", *options, check=False)
    if result.returncode != 0:
        raise CommandFailed(result)
    report = move_report.parse(result.stdout)
    assert report["outcome"] == "runs-on-destination", report
    return report


def refused(source, vm, destination, *patterns):
    """A move that must be refused, with a text that names what the patterns ask for"""
    result = source.vmferry("migrate", vm, "--to", destination, check=False)
    text = result.stdout + result.stderr
    assert result.returncode == 1, text
    assert_says(text, *patterns)
    assert "now runs on" not in text
    return text


def assert_says(text, *patterns):
    for pattern in patterns:
        assert re.search(pattern, text, re.I), f"the text does not say /{pattern}/: {text}"


class RunningMove:
    """`vmferry migrate` on a host, without a terminal: it says one line per stage."""

    def __init__(self, source, guest, destination, *options):
        self.source, self.guest = source, guest
        self.process = source.start("vmferry", "migrate", guest.name, "--to", destination.name, *options)
        self.said = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))

    def wait_for_stage(self, stage, seconds=60):
        until(lambda: stage in self.said or self.process.poll() is not None, seconds,
              lambda: f"stage {stage}; said so far: {self.said}")
        assert stage in self.said, f"ended before stage {stage}: {self.said}"
        return self

    def job(self):
        """Its number on the source"""
        jobs = self.source.vmferry_json("jobs")["jobs"]
        return next(job["id"] for job in jobs if job["vm"] == self.guest.name)

    def cancel(self):
        return self.source.vmferry("cancel", self.job())

    def end(self, seconds=60):
        """Wait for its end: (exit status, everything it said)"""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"still under way after {seconds} s: {self.said}") from None
        self._reader.join()
        with self.process.stdout as output:
            said = output.read()
        return self.process.returncode, said + "\n".join(self.said)
