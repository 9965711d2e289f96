# SPDX-License-Identifier: GPL-3.0-or-later
"""A running domain lab (examples/domain-lab), its hosts and its guests."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET

from labkit import owner_record
from labkit.smbd_log import SmbdLogFile
from labkit.watch import WatchLog

PROJECT = pathlib.Path(__file__).resolve().parents[3]
LAB_TOOL = PROJECT / "examples" / "domain-lab" / "lab"
LAB_BASE = pathlib.Path(os.environ.get("VMFERRY_LAB_BASE", "/var/tmp/vmferry-lab"))
DNS = "lab.test"
SHARE = f"smb://fs1.{DNS}/vms"
ADDRESSES = {"dc1": "10.99.0.10", "fs1": "10.99.0.11", "hv1": "10.99.0.21", "hv2": "10.99.0.22",
             "hv3": "10.99.0.23"}


def until(probe, seconds, what):
    """Probe until the answer is true, and return it; AssertionError when it never is"""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {seconds} s: {said}")
        time.sleep(0.02)


@dataclasses.dataclass(frozen=True)
class OpenFile:
    path: str           # below the share
    pid: int            # of the smbd that serves the connection
    writes: bool        # opened with the right to write
    denies_write: bool  # and to write is denied to everyone else


class CommandFailed(AssertionError):
    def __init__(self, result):
        super().__init__(f"{result.args} ended with {result.returncode}\n"
                         f"stdout: {result.stdout}\nstderr: {result.stderr}")


class Host:
    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.fqdn = f"{name}.{DNS}"
        self.account = f"{name.upper()}$"

    def __repr__(self):
        return self.name

    def run(self, *command, check=True, timeout=120, input=None):
        result = self.lab.tool("shell", self.name, *command, timeout=timeout, input=input)
        if check and result.returncode != 0:
            raise CommandFailed(result)
        return result

    def start(self, *command):
        """A running command, with pipes"""
        return self.lab.tool_start("shell", self.name, *command)

    def vmferry(self, *arguments, check=True, timeout=120):
        return self.run("vmferry", *arguments, check=check, timeout=timeout)

    def vmferry_json(self, *arguments):
        return json.loads(self.vmferry(*arguments, "--json").stdout)

    def virsh(self, *arguments, check=True):
        return self.run("virsh", "-q", *arguments, check=check).stdout.strip()

    def service(self, verb, name):
        return self.run("/usr/lib/vmferry-lab/service", verb, name)

    def service_pid(self, name):
        return int(self.run("cat", f"/run/lab/{name}.pid").stdout)

    def wait_for_vmferryd(self):
        until(lambda: self.vmferry("list", check=False).returncode == 0, 30,
              f"vmferryd of {self.name} answers")

    def vms(self):
        """name -> entry of `vmferry list`"""
        return {vm["name"]: vm for vm in self.vmferry_json("list")["vms"]}

    def smb_label(self):
        """How the file server's log names this host (labkit.smbd_log)"""
        return f"{self.name}$@{ADDRESSES[self.name]}"


class Guest:
    """A test guest (examples/domain-lab/guest)"""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        root = ET.fromstring((lab.dir / "guest" / "vms" / f"{name}.xml").read_text())
        self.uuid = root.findtext("uuid")
        self.mac = root.find("devices/interface/mac").get("address")
        # target -> (format, path of the file on the share)
        self.disks = {disk.get("target"): (disk.get("format"), disk.get("url")[len(SHARE) + 1:])
                      for disk in root.iter("{urn:vmferry:1}disk")}

    def __repr__(self):
        return self.name

    def tell(self, *command):
        """Tell the guest something (guest/protocol.h); returns what it answered as a dict"""
        result = self.lab.tool("guest", self.name, *command)
        if result.returncode != 0:
            raise CommandFailed(result)
        return dict(word.split("=", 1) for word in result.stdout.split() if "=" in word)

    def beats_since(self, mark):
        return self.lab.watch.read(mark).beats_of(self.name)

    def observe(self, beats, seconds=30):
        """The next heartbeats, that many, from now on"""
        mark = self.lab.watch.mark()
        return until(lambda: self._enough(mark, beats), seconds, f"{beats} heartbeats of {self.name}")

    def _enough(self, mark, beats):
        seen = self.beats_since(mark)
        return seen if len(seen) >= beats else None

    def where(self):
        """The host whose cable the guest's next heartbeats come from"""
        return self.lab.host(self.observe(20)[-1].host)

    def record_file(self):
        return self.lab.dir / "share" / self.name / ".vmferry" / f"{self.uuid}.own"

    def record(self):
        return owner_record.decode(self.record_file().read_bytes(), self.uuid)


class Lab:
    def __init__(self, name):
        self.name = name
        self.dir = LAB_BASE / name
        self.log_dir = self.dir / "log"
        self.watch = WatchLog(self.log_dir / "watch.log")
        self._smbd_log = SmbdLogFile(self.log_dir / "fs1" / "log.smbd")
        self._environment = dict(os.environ, VMFERRY_LAB_NAME=name)

    @classmethod
    def of_this_process(cls, prefix):
        """One that no other run uses; those of runs that have ended without taking theirs down are removed"""
        for left in LAB_BASE.glob(f"{prefix}-*"):
            if not pathlib.Path("/proc", left.name.rpartition("-")[2]).exists():
                cls(left.name).down()
                shutil.rmtree(left)
        return cls(f"{prefix}-{os.getpid()}")

    def put_right(self, hosts):
        """After a test that has failed, and may have left a service ended"""
        for host in map(self.host, hosts):
            for service in ("libvirtd", "vmferryd"):
                host.service("start", service)
            host.wait_for_vmferryd()

    def tool(self, *arguments, timeout=120, input=None, **environment):
        """One command of the lab tool"""
        stdin = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run([LAB_TOOL, *map(str, arguments)], env=self._environment | environment,
                              text=True, capture_output=True, timeout=timeout, check=False, **stdin)

    def tool_start(self, *arguments):
        return subprocess.Popen([LAB_TOOL, *map(str, arguments)], env=self._environment, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def check(self, *arguments, **options):
        result = self.tool(*arguments, **options)
        if result.returncode != 0:
            raise CommandFailed(result)
        return result.stdout

    def up(self, **environment):
        self.check("up", timeout=1800, **environment)

    def down(self):
        self.check("down")

    def host(self, name):
        return Host(self, name)

    def guest(self, name):
        return Guest(self, name)

    def create_guest(self, name, disks=("raw:64M",), on=None, cmdline="", memory=128):
        """A further guest; with a host it runs there and sends heartbeats when this returns"""
        arguments = [word for disk in disks for word in ("--disk", disk)]
        if cmdline:
            arguments += ["--cmdline", cmdline]
        if on is not None:
            arguments += ["--on", on.name, "--start"]
        self.check("vm-create", name, "--memory", memory, *arguments)
        guest = self.guest(name)
        if on is not None:
            guest.observe(50, 60)
        return guest

    def delete_guest(self, guest):
        self.check("vm-delete", guest.name)

    def create_local_guest(self, name, host):
        """A guest without vmferry: its disk is a file of the host"""
        number, disk = 240, f"/var/lib/libvirt/{name}.raw"
        tool = LAB_TOOL.parent / "guest" / "domain-xml"
        made = subprocess.run([tool, "--name", name, "--number", str(number), "--disk", f"vda:raw:{SHARE}/x"],
                              text=True, capture_output=True, check=True).stdout
        root = ET.fromstring(made)
        root.remove(root.find("metadata"))
        element = root.find("devices/disk")
        element.set("type", "file")
        element.remove(element.find("source"))
        ET.SubElement(element, "source", file=disk)
        text = ET.tostring(root, encoding="unicode")
        (self.dir / "guest" / "vms" / f"{name}.xml").write_text(text)
        host.run("truncate", "-s", "64M", disk)
        host.run("chown", "libvirt-qemu:", disk)
        host.virsh("define", f"/usr/share/vmferry-lab/vms/{name}.xml")
        host.virsh("start", name)
        guest = self.guest(name)
        guest.observe(50, 60)
        return guest

    def delete_local_guest(self, guest, host):
        host.virsh("destroy", guest.name)
        host.virsh("undefine", guest.name)
        host.run("rm", f"/var/lib/libvirt/{guest.name}.raw")
        (self.dir / "guest" / "vms" / f"{guest.name}.xml").unlink()

    def smbd_log(self):
        """The judge of the file server's log, having read all of it up to now"""
        return self._smbd_log.read()

    def server_files(self):
        """The file server's own table of open files"""
        table = json.loads(self.host("fs1").run("smbstatus", "-L", "--json").stdout)
        return [OpenFile(path=file["filename"], pid=int(opened["server_id"]["pid"]),
                         writes=opened["access_mask"]["WRITE_DATA"],
                         denies_write=not opened["sharemode"]["WRITE"])
                for file in table.get("open_files", {}).values() for opened in file["opens"].values()]
