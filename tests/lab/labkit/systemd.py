# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's daemons under a real systemd, where the unit that is installed takes away what it says.

Hosts of the lab have no systemd of their own. Here one is started as process 1 of a process namespace in the
host's other namespaces, with a cgroup of its own: it runs dbus, libvirtd and the installed
vmferryd.service, with nothing added but where the log goes. At the end all that it ran is gone.
"""

import contextlib
import os
import pathlib
import re
import subprocess

import pytest

from labkit.lab import CommandFailed, until
from labkit.processes import Process

UNIT = "/usr/lib/systemd/system/vmferryd.service"
SERVICES = ("dbus", "libvirtd", "vmferryd")

# As process 1: what systemd wants to find, then itself. The boot id is the host's own (the lab's hosts.sh).
BEGIN = r"""
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount --bind /run/boot-id /proc/sys/kernel/random/boot_id
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
rm -rf /run/systemd   # of an earlier one
units=/run/systemd/system
mkdir -p $units/vmferryd.service.d
for target in sysinit basic shutdown network-online; do
    printf '[Unit]\nDefaultDependencies=no\n' >$units/$target.target
done
printf '[Unit]\nDefaultDependencies=no\nWants=vmferryd.service\n' >$units/lab.target
printf '[Service]\nExecStart=/usr/bin/dbus-daemon --system --nofork --nopidfile\n' >$units/dbus.service
printf '[Unit]\nAfter=dbus.service\nRequires=dbus.service\n[Service]\nType=notify\nKillMode=process\nExecStart=/usr/sbin/libvirtd\n' \
    >$units/libvirtd.service
printf '[Unit]\nRequires=libvirtd.service dbus.service\n[Service]\nStandardOutput=append:/var/log/lab/vmferryd.log\nStandardError=inherit\n' \
    >$units/vmferryd.service.d/lab.conf
exec env container=lab /lib/systemd/systemd --system --log-target=console --log-level=notice --show-status=no --unit=lab.target
"""


def own_cgroup():
    """A new cgroup below this process's; None where there is no cgroup2 that may be written"""
    mounted = re.search(r"^\S+ (\S+) cgroup2 ", pathlib.Path("/proc/self/mounts").read_text(), re.M)
    inside = re.search(r"^0::(.*)$", pathlib.Path("/proc/self/cgroup").read_text(), re.M)
    if not mounted or not inside:
        return None
    cgroup = pathlib.Path(mounted.group(1)) / inside.group(1).lstrip("/") / f"vmferry-lab-{os.getpid()}"
    try:
        cgroup.mkdir()
    except OSError:
        return None
    return cgroup


def remove(cgroup):
    for folder, _, _ in os.walk(cgroup, topdown=False):
        until(lambda: not pathlib.Path(folder, "cgroup.procs").read_text(), 30, f"the processes of {folder} end")
        os.rmdir(folder)


class Systemd:
    def __init__(self, host, process):
        self.host, self._process = host, process
        self._pid = None

    def _inside(self):
        if self._pid is None:
            children = pathlib.Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
            self._pid = children.split()[0]
        return ["nsenter", "-t", self._pid, "-m", "-n", "-p", "-i", "-u", "-C", "--"]

    def run(self, *command):
        result = subprocess.run([*self._inside(), *command], text=True, capture_output=True, timeout=120, check=False)
        if result.returncode != 0:
            raise CommandFailed(result)
        return result.stdout

    def show(self, name):
        return self.run("systemctl", "show", "--value", "-p", name, "vmferryd").strip()

    def status_of_main(self):
        """/proc/PID/status of vmferryd, as a dict"""
        text = self.run("cat", f"/proc/{self.show('MainPID')}/status")
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@contextlib.contextmanager
def under_systemd(host, log):
    """The host's services under systemd; @log: path for what systemd says"""
    cgroup = own_cgroup()
    if cgroup is None:
        pytest.skip("no cgroup2 that may be written, which systemd needs")
    first = Process.in_host(host, 1)
    for service in reversed(SERVICES):
        host.service("stop", service)
    with open(log, "w") as said:
        process = subprocess.Popen(
            ["nsenter", "-t", str(first.pid), "-m", "-n", "-i", "-u",
             "unshare", "-m", "-p", "-C", "--fork", "--kill-child", "bash", "-c", BEGIN],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            preexec_fn=lambda: (cgroup / "cgroup.procs").write_text("0"))
    try:
        until(lambda: process.poll() is not None or host.vmferry("list", check=False).returncode == 0, 60,
              lambda: f"vmferryd answers under systemd: {pathlib.Path(log).read_text()}")
        assert process.poll() is None, pathlib.Path(log).read_text()
        yield Systemd(host, process)
    finally:
        process.kill()
        process.wait()
        remove(cgroup)
        for service in SERVICES:
            host.service("start", service)
        host.wait_for_vmferryd()
