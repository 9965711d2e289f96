# SPDX-License-Identifier: GPL-3.0-or-later
"""One guest between two hosts, and everything about it that can be seen from outside."""

import os
import signal
import subprocess
import time

from labkit.lab import LAB_TOOL, CommandFailed, until
from labkit.owner_record import BadRecord
from labkit.watch import parse_line
from livekit.box import Box, Gone

MS = 1000000
SILENT_MS = 600         # without a heartbeat for so long: it does not run
SERVICES = ("dbus", "libvirtd", "vmferryd")
NAME = "cell"
DISKS = ("raw:64M", "qcow2:64M")


class Follower:
    """The observer's log, read on and on"""

    def __init__(self, path, name):
        self._path, self._name = path, name
        self._file = open(path, "rb")
        self._file.seek(0, os.SEEK_END)
        self._rest = b""
        self.begin()

    def begin(self):
        """Forget what was seen so far"""
        self.poll_lines()
        self.beats, self.losses = [], []

    def poll_lines(self):
        data = self._rest + self._file.read()
        if os.stat(self._path).st_ino != os.fstat(self._file.fileno()).st_ino:
            data += self._file.read()
            self._file.close()
            self._file = open(self._path, "rb")
            data += self._file.read()
        *lines, self._rest = data.split(b"\n")
        return lines

    def poll(self):
        for line in self.poll_lines():
            event = parse_line(line.decode("ascii") + "\n")
            kind = type(event).__name__
            if kind == "Beat" and event.name == self._name:
                self.beats.append(event)
            elif kind == "Loss":
                self.losses.append(event)
        return self.beats


class Scene:
    """source and destination are given anew by each begin(): the guest is moved from where it is"""

    def __init__(self, lab, guest):
        self.lab, self.guest = lab, guest
        self.boxes = {name: Box(lab, name) for name in ("hv1", "hv2", "fs1", "dc1")}
        self.hosts = [self.boxes["hv1"], self.boxes["hv2"]]
        self.fs, self.dc = self.boxes["fs1"], self.boxes["dc1"]
        self.follower = Follower(lab.log_dir / "watch.log", guest.name)
        self.stopped = []       # (box, pid) of what was stopped
        self.cut = False
        self.move = None
        self.told = None
        self.old_journals = {}  # of both hosts, before the move

    # ---- looking ----

    def side(self, side):
        return {"source": self.source, "destination": self.destination}[side]

    def other(self, box):
        return self.hosts[1] if box is self.hosts[0] else self.hosts[0]

    def record(self):
        try:
            return self.guest.record()
        except (OSError, BadRecord):
            return None

    def beating(self):
        """The last heartbeat, when it is a recent one"""
        beats = self.follower.poll()
        if beats and time.time_ns() - beats[-1].time < SILENT_MS * MS:
            return beats[-1]
        return None

    def left_overs(self):
        """What is in the way of saying that a move is over, in words; empty when it is"""
        found, beat, record = [], self.beating(), self.record()
        qemus = [box for box in self.hosts if box.qemu(self.guest)]
        for box in self.hosts:
            moves = box.open_moves(self.guest)
            if moves is None:
                found.append(f"the journal of {box} cannot be read")
            found += [f"{box}: a move is {state}" for _, _, state in moves or ()]
            if box not in qemus and box.disks(self.guest):
                found.append(f"{box}: a disk process without QEMU")
            if qemus and box not in qemus and box.defines(self.guest):
                found.append(f"{box}: a definition of a VM that is elsewhere")
        if len(qemus) > 1:
            found.append("a QEMU on both hosts")
        if qemus and beat is None:
            found.append(f"QEMU on {qemus[0]} does not run the guest (process state {qemus[0].state(qemus[0].qemu(self.guest))})")
        if qemus and beat and beat.host != qemus[0].name:
            found.append(f"heartbeats from {beat.host}, QEMU on {qemus[0]}")
        if qemus and (record is None or record.state != "running" or
                      record.owner_account != qemus[0].account):
            found.append(f"the record says {record and (record.owner_account, record.state)}, "
                         f"QEMU is on {qemus[0]}")
        return found

    def settled(self, since=None):
        """None, or why not: one guest that writes records, one owner, no move; or no guest at all

        @since: a heartbeat, whose records are written; a boot counts them anew
        """
        found = self.left_overs()
        if found:
            return "; ".join(found)
        beat = self.beating()
        if beat and beat.records <= (since.records if since and since.boot == beat.boot else 0):
            return "the guest writes no records"
        return None

    def writes_on(self, target, after, seconds=20):
        """Whether a record with a number beyond @after is written on the disk"""
        deadline = time.monotonic() + seconds
        while int(self.guest.tell("status")[f"{target}.newest"]) <= after:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def what_they_do(self):
        """QEMU's own view of the guest, and where every thread of both vmferryds is: for what stands still"""
        text = []
        for box in self.hosts:
            if box.qemu(self.guest):
                text.append(f"==== QEMU on {box}: {self.qemu_status(box)}")
                for words in ("info registers", "info lapic", "info block"):
                    text.append(box.run("virsh", "qemu-monitor-command", "--hmp", self.guest.name, words,
                                        check=False, timeout=20).stdout)
            stacks = box.run("gdb", "-p", box.service_pid("vmferryd"), "-batch", "-ex", "thread apply all bt 14",
                             check=False).stdout
            text.append(f"==== vmferryd on {box}\n{stacks}")
        return "\n".join(text)

    def qemu_status(self, box):
        """In QEMU's own words: "VM status: running" """
        try:
            return box.run("virsh", "qemu-monitor-command", "--hmp", self.guest.name, "info status",
                           check=False, timeout=20).stdout.strip()
        except subprocess.TimeoutExpired:
            return "its monitor does not answer"

    def where(self):
        """The host that has its QEMU, or None"""
        return next((box for box in self.hosts if box.qemu(self.guest)), None)

    # ---- acting ----

    def stop(self, box, pid):
        box.signal(pid, signal.SIGSTOP)
        self.stopped.append((box, pid))

    def go_on(self):
        while self.stopped:
            box, pid = self.stopped.pop()
            try:
                box.signal(pid, signal.SIGCONT)
            except Gone:
                pass

    def cut_network(self, *arguments):
        self.cut = True
        self.lab.check("cut", *arguments)

    def heal_network(self):
        if self.cut:
            self.lab.check("heal")
        self.cut = False

    def tell_guest(self, *words):
        """Without waiting for an answer: it may be paused, and does it when it goes on"""
        self.told = subprocess.Popen([LAB_TOOL, "guest", self.guest.name, *words],
                                     env=dict(os.environ, VMFERRY_LAB_NAME=self.lab.name,
                                              VMFERRY_LAB_GUEST_TIMEOUT_MS="8000"),
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start_move(self, *options):
        self.move = self.source.start("vmferry", "migrate", self.guest.name, "--to",
                                      self.destination.name, "--json", *options)
        return self.move

    def undisturbed_move_s(self):
        """How long a move takes here and now"""
        self.begin()
        began = time.monotonic()
        self.start_move().wait(60)
        took = time.monotonic() - began
        status, said = self.end_move()
        if status != 0:
            raise RuntimeError(f"a move without a fault failed: {said}")
        return took

    def end_move(self):
        """(exit status or None, everything it said) of the command; it may have lost its vmferryd"""
        if self.move is None:
            return None, ""
        try:
            said = "".join(self.move.communicate(timeout=0.5))
        except subprocess.TimeoutExpired:
            said = "(still under way)"
        status, self.move = Box.end(self.move), None
        return status, said

    # ---- before a cell: everything as it should be ----

    def begin(self):
        """Who is the source now; makes good what the cell before has left"""
        self.clean()
        self._bury_smbds()
        self.source = self.where()
        self.destination = self.other(self.source)
        for box in self.hosts:
            self.old_journals[box.name] = box.journal.copy()
        self.status = self.guest.tell("status")
        self.follower.begin()
        until(self.beating, 10, "a heartbeat")
        self.first = self.follower.beats[0]
        self.epoch = self.record().epoch

    def _bury_smbds(self):
        """A killed smbd leaves no line in its log"""
        log = self.lab.smbd_log()
        for pid in {hold.pid for hold in log.open_holds()}:
            if not self.fs.alive(pid):
                log.process_killed(pid)

    def clean(self):
        self.go_on()
        self.heal_network()
        for service in ("winbindd", "smbd"):
            self.fs.ensure(service)
        self.dc.ensure("samba")
        for box in self.hosts:
            for service in SERVICES:
                box.ensure(service)
        if self._is_clean(5):
            return
        self.make_anew()
        if not self._is_clean(20):
            raise RuntimeError(f"the lab cannot be made clean: {self.settled()}")

    def _is_clean(self, seconds):
        deadline = time.monotonic() + seconds
        while True:
            if self.where() and self.settled() is None:
                return True
            if not any(self.left_overs()) and self.where() is None:
                return self.start_again()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)

    def start_again(self):
        """It is down, and everything is in order: it can be started where its definition is; and from the
        share's copy where the host that was to keep it has died before it could"""
        for box in self.hosts:
            names = box.run("virsh", "-q", "list", "--all", "--name", check=False).stdout.split()
            if self.guest.name not in names:
                continue
            if box.run("virsh", "-q", "start", self.guest.name, check=False).returncode == 0:
                until(lambda: self.settled() is None, 60, lambda: self.settled())
                return True
        for box in self.hosts:
            if box.run("vmferry", "recover", self.guest.name, check=False, timeout=90).returncode == 0:
                until(lambda: self.settled() is None, 60, lambda: self.settled())
                return True
        return False

    def make_anew(self):
        """Nothing is taken over: both hosts forget the guest, and it gets new files"""
        for box in self.hosts:
            for pid in filter(None, (box.qemu(self.guest), box.disks(self.guest))):
                try:
                    box.kill(pid)
                except Gone:
                    pass
            for service in ("vmferryd", "libvirtd"):
                if box.runs(service):
                    box.kill(box.service_pid(service))
            box.run("rm", "-rf", f"/run/vmferry/{self.guest.uuid}", f"/run/vmferry/{self.guest.uuid}.move")
            box.journal.remove()
            box.service("start", "libvirtd")
            box.service("start", "vmferryd")
        self.lab.tool("vm-delete", self.guest.name)
        self.guest = create_guest(self.lab)


def create_guest(lab):
    """Where it runs is hv1; records and heartbeats flow when this returns"""
    try:
        guest = lab.create_guest(NAME, DISKS, on=lab.host("hv1"))
    except CommandFailed:
        lab.tool("vm-delete", NAME)
        guest = lab.create_guest(NAME, DISKS, on=lab.host("hv1"))
    until(lambda: all(int(guest.tell("status")[f"{target}.newest"]) > 0 for target in guest.disks), 60,
          f"{guest} writes records on every disk")
    return guest


def find_guest(lab):
    if (lab.dir / "guest" / "vms" / f"{NAME}.xml").exists():
        return lab.guest(NAME)
    return create_guest(lab)
