# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of a lab's hosts, looked at from outside: what they use, and signals."""

import contextlib
import os
import pathlib
import re

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


class Process:
    def __init__(self, pid):
        self.pid = pid              # as seen from here
        self._proc = pathlib.Path("/proc", str(pid))

    @classmethod
    def in_host(cls, host, pid):
        """The process with that number inside the host"""
        namespace = host.run("readlink", "/proc/self/ns/pid").stdout.strip()
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(proc / "ns/pid") != namespace:
                    continue
                numbers = re.search(r"^NSpid:(.*)$", (proc / "status").read_text(), re.M).group(1).split()
            except OSError:
                continue
            if int(numbers[-1]) == pid:
                return cls(int(proc.name))
        raise AssertionError(f"there is no process {pid} in {host}")

    @classmethod
    def of_service(cls, host, name):
        return cls.in_host(host, host.service_pid(name))

    @classmethod
    def of_disks(cls, host, guest):
        """The disk process of a guest"""
        return cls.in_host(host, int(host.run("cat", f"/run/vmferry/{guest.uuid}/pid").stdout))

    @classmethod
    def of_guest(cls, host, guest):
        """The guest's QEMU"""
        return cls.in_host(host, int(host.run("cat", f"/run/libvirt/qemu/{guest.name}.pid").stdout))

    def children(self, comm):
        """Those of that name, as far as the kernel keeps it: fifteen characters"""
        found = []
        for thread in (self._proc / "task").iterdir():
            for pid in (thread / "children").read_text().split():
                with contextlib.suppress(OSError):
                    if pathlib.Path("/proc", pid, "comm").read_text() == f"{comm[:15]}\n":
                        found.append(Process(int(pid)))
        return found

    def status(self):
        """/proc/PID/status, as a dict"""
        return dict(re.findall(r"^(\w+):[ \t]*(.*?)[ \t]*$", (self._proc / "status").read_text(), re.M))

    def is_there(self):
        return self._proc.exists()

    def cpu_ms(self):
        """User and system time of all its threads so far, also of ended ones; in whole ticks"""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_MS

    def pss_mib(self):
        """Its share of the memory it uses: what is shared counts by the number of its users"""
        return int(re.search(r"^Pss: +(\d+) kB", (self._proc / "smaps_rollup").read_text(), re.M).group(1)) / 1024

    def threads(self):
        return len(list((self._proc / "task").iterdir()))

    def guest_threads(self):
        """Of a QEMU, "PID/task/TID": those which a heartbeat goes through, the virtual processors' and the main one"""
        names = {task.name: (task / "comm").read_text() for task in (self._proc / "task").iterdir()}
        return [f"{self.pid}/task/{tid}" for tid, name in names.items()
                if tid == str(self.pid) or name.startswith("CPU ")]
