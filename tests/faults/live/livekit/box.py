# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of the lab, reached from outside without a container's command line in between.

Files are read through /proc/PID/root of the host's first process, and a signal is sent to what its
/proc calls PID, by that folder: nothing is run in the host for either.
"""

import os
import pathlib
import re
import signal
import subprocess

from labkit.lab import until
from livekit.journal import Journal, JournalError


class Gone(Exception):
    """There is no such process"""


class Box:
    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.host = lab.host(name)
        self.account = self.host.account
        self.journal = None
        self.refresh()

    def __repr__(self):
        return self.name

    def refresh(self):
        """After power-on it is another container process"""
        namespace = self.host.run("readlink", "/proc/self/ns/pid").stdout.strip()
        self.init = next(pid for pid in _processes_of(namespace) if _innermost(pid) == 1)
        self.root = pathlib.Path("/proc", str(self.init), "root")
        if self.journal:
            self.journal.close()
        self.journal = Journal(self.init)

    def path(self, path):
        return self.root / str(path).lstrip("/")

    def read(self, path):
        try:
            return self.path(path).read_text()
        except OSError:
            return None

    def run(self, *command, check=True, timeout=60, input=None):
        """In all its namespaces, with root's full rights: for looking, not for starting daemons"""
        return subprocess.run(["nsenter", "-t", str(self.init), "-m", "-n", "-p", "-i", "-u", "--",
                               *map(str, command)], text=True, capture_output=True, check=check,
                              timeout=timeout, input=input)

    def start(self, *command):
        return subprocess.Popen(["nsenter", "-t", str(self.init), "-m", "-n", "-p", "-i", "-u", "--",
                                 *map(str, command)], text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    @staticmethod
    def end(command):
        """What start() has begun: nsenter and the command are two processes"""
        if command.poll() is None:
            os.killpg(command.pid, signal.SIGKILL)
        for pipe in (command.stdin, command.stdout, command.stderr):
            pipe.close()
        return command.wait()

    # ---- processes, by their numbers inside ----

    def pid_in(self, path):
        text = self.read(path)
        return int(text) if text and text.strip().isdigit() else None

    def service_pid(self, name):
        return self.pid_in(f"/run/lab/{name}.pid")

    def state(self, pid):
        """R, S, T …; None when there is no such process"""
        stat = pid and self.read(f"/proc/{pid}/stat")
        return stat.rpartition(")")[2].split()[0] if stat else None

    def alive(self, pid):
        return self.state(pid) not in (None, "Z", "X")

    def runs(self, service):
        return self.alive(self.service_pid(service))

    def signal(self, pid, number):
        if not self.alive(pid):
            raise Gone(f"process {pid} of {self}")
        folder = os.open(self.path(f"/proc/{pid}"), os.O_RDONLY | os.O_DIRECTORY)
        try:
            signal.pidfd_send_signal(folder, number)
        except ProcessLookupError as error:
            raise Gone(f"process {pid} of {self}") from error
        finally:
            os.close(folder)

    def kill(self, pid):
        self.signal(pid, signal.SIGKILL)
        until(lambda: not self.alive(pid), 10, f"the end of process {pid} of {self}")

    def processes(self):
        """PID -> command line, of those that are no zombies"""
        found = {}
        for entry in self.path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if line:
                    found[int(entry.name)] = line.replace(b"\0", b" ").decode("utf-8", "replace")
        return found

    def qemu(self, guest):
        """PID of the guest's QEMU, or None"""
        return next((pid for pid, line in self.processes().items()
                     if f"guest={guest.name}," in line and self.alive(pid)), None)

    def defines(self, guest):
        return self.path(f"/etc/libvirt/qemu/{guest.name}.xml").exists()

    def disks(self, guest):
        """PID of the guest's disk process, or None"""
        pid = self.pid_in(f"/run/vmferry/{guest.uuid}/pid")
        return pid if self.alive(pid) and "nbdkit" in (self.read(f"/proc/{pid}/cmdline") or "") else None

    # ---- services ----

    def service(self, verb, name):
        """Through the container's own command line: a daemon gets what rights it has there"""
        return self.host.service(verb, name)

    def ensure(self, name):
        if not self.runs(name):
            self.service("start", name)

    # ---- vmferry's journal: whether a move is over ----

    def open_moves(self, guest):
        """[job, role, state] of the guest's moves that are not over; None when it cannot be read"""
        try:
            return self.journal.moves(guest.uuid)
        except JournalError:
            return None


def _processes_of(namespace):
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(proc / "ns/pid") == namespace:
                yield int(proc.name)
        except OSError:
            continue


def _innermost(pid):
    try:
        status = pathlib.Path("/proc", str(pid), "status").read_text()
    except OSError:
        return None
    return int(re.search(r"^NSpid:(.*)$", status, re.M).group(1).split()[-1])
