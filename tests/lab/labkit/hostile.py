# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does, seen from outside, while a member of the group lies to it."""

import contextlib
import dataclasses
import re
import subprocess
import sys

from labkit.lab import ADDRESSES, until
from labkit.processes import Process
from labkit.untouched import Watched

MEMORY_MIB = 160            # what vmferryd may have had at any time
DAEMON, DISKS, PROBE = "/usr/sbin/vmferryd", "/usr/bin/nbdkit", "/usr/libexec/vmferry/vmferry-share-probe"
HOOK, LIBVIRT, QEMU, TC = "/usr/libexec/vmferry/vmferry-hook", "/usr/sbin/libvirtd", "/usr/bin/qemu-system-x86_64", "/usr/sbin/tc"
HOLDER = "/usr/libexec/vmferry/vmferry-holder"
OF_A_VM = {QEMU, HOOK, TC, HOLDER}  # what is started for one
OF_OURS = re.compile(r"/usr/(s?bin|libexec)/(vmferryd|vmferry-.*|libvirtd|qemu-.*|nbdkit|tc)|")
LOADER = re.compile(r"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64\.so\.2")
WRONG = re.compile(r".*(?:CRITICAL|Sanitizer|runtime error|signal \d).*")

# What each program reads and writes, whoever asks for it; nothing of this is of a peer's choice
LIBRARIES = r"/etc/ld\.so\.cache|/usr/lib/x86_64-linux-gnu/.*|/usr/share/locale/.*"
ACCOUNTS = r"/etc/(?:hosts|host\.conf|resolv\.conf|nsswitch\.conf|passwd|group|krb5\.conf)"


def own_files(guest, offered):
    """program -> what it may open, for a host with @guest to which @offered is offered"""
    names, uuids = f"(?:{guest.name}|{offered.name})", f"(?:{guest.uuid}|{offered.uuid})"
    below_run = rf"/run/vmferry(?:/mig(?:/libvirt-{uuids})?|/{uuids}(?:\.move.*|/.*)?)?"
    return {
        DAEMON: rf"{ACCOUNTS}|/etc/krb5\.keytab|/run/vmferry/(?:daemon|smb)\.cc|{below_run}|/run/libvirt/qemu/{names}\.pid",
        DISKS: rf"{ACCOUNTS}|{below_run}|/run/vmferry/smb\.cc|/dev/(?:null|urandom)|/proc/sys/kernel/random/boot_id|"
               r"/usr/libexec/vmferry/nbdkit-vmferry-plugin\.so",
        PROBE: rf"{ACCOUNTS}|/run/vmferry/probe-\w+/.*|/run/vmferry/smb\.cc",
        LIBVIRT: rf"{ACCOUNTS}|/etc/libvirt/libvirt\.conf|/run/libvirt/common/system\.token|/run/libvirt/qemu/{names}\..*|"
                 rf"/var/lib/libvirt/qemu/domain-\d+-{names}/.*|/var/log/libvirt/qemu/{names}\.log",
        QEMU: rf"/usr/share/(?:qemu|seabios)/.*|/usr/lib/ipxe/qemu/.*|/usr/share/zoneinfo/Etc/UTC|"
              rf"/usr/share/vmferry-lab/(?:vmlinuz|initrd\.img)|/var/lib/libvirt/qemu/domain-\d+-{offered.name}/.*",
        HOOK: ACCOUNTS, HOLDER: r"$^", TC: r"$^"}


@dataclasses.dataclass
class Allowed:
    """What a lie may make a host do before it is seen for what it is"""
    starts: set = dataclasses.field(default_factory=set)    # programs
    folders: set = dataclasses.field(default_factory=set)   # of the share; "": its root
    stands_still: bool = False  # the guest, for a time


def counts(look):
    """comm -> how many, of "2 winbindd 1 dbus-daemon …" """
    words = look["processes"].split()
    return dict(zip(words[1::2], map(int, words[::2])))


def none_more(now, before):
    """No process is left but a probe, which stays for a minute; one that an earlier test left may have ended"""
    had = counts(before) | {"vmferry-share-p": 1}
    return all(number <= had.get(name, 0) for name, number in counts(now).items())


class Judge:
    """@guest: runs on @host; @offered: the VM that is its peer's; @opens: labkit.opens of the host;
    @quiet: labkit.untouched.Quiet of the guest. assert_untouched() once, end() in any case"""

    def __init__(self, lab, host, guest, offered, opens, quiet):
        self.lab, self.host, self.guest, self.offered, self.opens = lab, host, guest, offered, opens
        self.before = self.look()
        self.logs = {path: path.stat().st_size for path in (lab.log_dir / "fs1" / "log.smbd",
                                                            lab.log_dir / host.name / "lab" / "vmferryd.log")}
        self.opens.since()
        self.seen = []
        self.watched = Watched(lab, guest, quiet.beats())

    def end(self):
        self.watched.end()

    def look(self):
        # the folder of what is offered stays below /run for the next time
        text = self.host.run("bash", "-c", """
            pid=$(cat /run/lab/vmferryd.pid)
            echo "vmferryd $pid $(cut -d ' ' -f 22 /proc/$pid/stat)"
            echo "helpers $(ps -o pid=,comm= --ppid $pid | grep -e vmferry-door -e vmferry-keys | tr -s ' \\n' ' ')"
            echo "folders $(ls /run/vmferry | grep -v """ + self.offered.uuid + """ | tr '\\n' ' ')"
            echo "domains $(virsh -q list --all --name | sort | tr '\\n' ' ')"
            echo "state $(virsh domstate """ + self.guest.name + """)"
            echo "peak $(grep VmHWM /proc/$pid/status | tr -dc 0-9)"
            echo "processes $(ps -e -o comm= | grep -v -x -e ps -e bash -e grep -e sort -e uniq -e tr -e tini -e virsh |
                              sort | uniq -c | tr -s ' \\n' ' ')" """).stdout
        return dict(line.split(" ", 1) if " " in line else (line, "") for line in text.splitlines())

    def logged(self, name):
        """What came to one of the logs meanwhile"""
        (path, at), = [(path, at) for path, at in self.logs.items() if path.name == name]
        with open(path, "rb") as file:
            file.seek(at)
            return file.read().decode("utf-8", "replace")

    def folders(self):
        """Whose files the host opened on the share meanwhile, as the file server has it: (name, smbd's process)"""
        opened = rf"^ *{re.escape(ADDRESSES[self.host.name])}\|[^|]*\|(\d+)\|[^|]*\|create_file\|.*\|/srv/vms/?([^/\n]*)"
        return {(match[2], int(match[1])) for match in re.finditer(opened, self.logged("log.smbd"), re.M)}

    def own_connections(self):
        """Of the guest's own disk process, which holds its disks and looks at its owner record"""
        disks = {path for _, path in self.guest.disks.values()}
        return {file.pid for file in self.lab.server_files() if file.writes and file.path in disks}

    def look_for_opens(self):
        self.seen += self.opens.since()
        return self.seen

    def wait_for_probes(self, number):
        """As many have begun, and but one of them is left"""
        until(lambda: sum(what == "start" and path == PROBE for what, _, path in self.look_for_opens()) >= number, 60,
              f"{number} probes")
        until(lambda: counts(self.look()).get("vmferry-share-p", 0) <= 1, 120, "the probes end")

    def assert_back(self):
        """As it was before: processes, helpers of vmferryd among them, folders, domains"""
        apart = {"processes": "", "peak": ""}
        now = {}

        def same():
            now.update(self.look())
            return none_more(now, self.before) and {**now, **apart} == {**self.before, **apart}
        until(same, 20, lambda: f"{self.host} is as before: {self.before}, but: {now}")
        assert int(now["peak"]) <= MEMORY_MIB * 1024

    def assert_opened(self, allowed):
        """Programs and local files, also of what has ended since; folders of the share"""
        files = own_files(self.guest, self.offered)
        any_of_ours = "|".join(files.values())
        for what, program, path in self.look_for_opens():
            program, path = program.removesuffix(" (deleted)"), path.removesuffix(" (deleted)")
            if not OF_OURS.fullmatch(program) or LOADER.fullmatch(path):
                continue
            if what == "start" or path in OF_A_VM | {DISKS, PROBE}:  # it is opened before it is started
                assert path in allowed.starts, f"{program} starts {path}"
            else:
                mine = files.get(program, any_of_ours)
                assert re.fullmatch(f"{LIBRARIES}|{mine}", path), f"{program} opens {path}"
        strangers = {(name, process) for name, process in self.folders() if name not in allowed.folders}
        if strangers:
            own = self.own_connections()
            assert {name for name, process in strangers if name != self.guest.name or process not in own} == set()

    def assert_untouched(self, allowed=Allowed()):
        """Back to where it was, its guest ran on, and it opened and started nothing but what is @allowed"""
        self.assert_back()
        self.assert_opened(allowed)
        self.guest.observe(20)
        self.watched.end()
        self.watched.judge(allowed.stands_still)
        wrong = WRONG.findall(self.logged("vmferryd.log"))
        assert wrong == [], wrong


# A server that nobody allows

LISTEN = """
import select, socket, sys
socks = [socket.create_server((sys.argv[1], int(port))) for port in sys.argv[2:]]
print("listening", flush=True)
while True:
    for sock in select.select(socks, [], [])[0]:
        peer, address = sock.accept()
        print("connection from", address[0], "to", sock.getsockname()[1], flush=True)
        peer.close()
"""
EVIL = "evil.lab.test"


class Evil:
    def __init__(self, host, process):
        self._host, self._process = host, process

    def assert_silent(self):
        """Nobody has come; it could have been reached by that name, as this one comes now"""
        self._host.run("bash", "-c", f"exec 3<>/dev/tcp/{EVIL}/139")
        came = self._process.stdout.readline()
        assert came == f"connection from {ADDRESSES[self._host.name]} to 139\n", came


@contextlib.contextmanager
def evil_server(lab, host, on):
    """@host knows it by name, at @on's address; SMB's ports listen there, which none of its own may take"""
    hosts = lab.dir / "hosts" / host.name / "hosts"
    usual = hosts.read_text()
    process = subprocess.Popen(["nsenter", "-t", str(Process.in_host(on, 1).pid), "-n", sys.executable, "-S", "-c", LISTEN,
                                ADDRESSES[on.name], "445", "139"], text=True, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout.readline() == "listening\n"
        hosts.write_text(f"{usual}{ADDRESSES[on.name]} {EVIL}\n")   # in place: the file itself is what the host has
        found = Evil(host, process)
        yield found
        found.assert_silent()
    finally:
        hosts.write_text(usual)
        process.kill()
        process.communicate()
