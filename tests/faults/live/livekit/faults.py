# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, and how it is put right.

A fault strikes while the move is held at a point, lasts a while, and is put right. What it is and how
long it lasts is here; the matrix of cells is in cells.py. `lasts` is chosen just above the product's own
time-outs where those matter: 10 s for a silent peer (src/channel/wire.c), less than 3 s for the file
server's dead clients and the disk process's keepalive; a process that is stopped is noticed by nothing,
so a few seconds show as much as a minute.
"""

import dataclasses
import signal
import time
import typing

from livekit import records
from livekit.box import Gone


def _nothing(scene, box):
    pass


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    group: str
    title: str
    strike: typing.Callable         # (scene, box): the host of the cell's side; without sides the source
    heal: typing.Callable = _nothing
    lasts: float = 1.0
    sided: bool = True
    kills_memory: bool = False      # a guest whose only memory was on that host may be down
    ends_guest: bool = False        # the guest is to be down: it was told so
    heals_within: float = 30.0      # seconds from putting it right


def _kill(what):
    def strike(scene, box):
        box.kill(pid_of(scene, box, what))
    return strike


def _stop(what):
    def strike(scene, box):
        scene.stop(box, pid_of(scene, box, what))
    return strike


def _terminate(what):
    """As systemd ends a service: SIGTERM, and SIGKILL when that does not help (here after 5 s, not 90)"""
    def strike(scene, box):
        pid = pid_of(scene, box, what)
        box.signal(pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while box.alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        if box.alive(pid):
            box.kill(pid)
    return strike


def pid_of(scene, box, what):
    pid = {"qemu": lambda: box.qemu(scene.guest), "disks": lambda: box.disks(scene.guest)}.get(
        what, lambda: box.service_pid(what))()
    if pid is None:
        raise Gone(f"there is no {what} on {box}")
    return pid


def _start(*services):
    def heal(scene, box):
        for service in services:
            box.ensure(service)
    return heal


def _go_on(scene, box):
    scene.go_on()


def _process_faults():
    words = {"vmferryd": "vmferryd", "disks": "disk process", "qemu": "QEMU", "libvirtd": "libvirtd"}
    for what, word in words.items():
        service = what in ("vmferryd", "libvirtd")
        yield Fault(f"{what}-killed", "processes", f"{word} killed" + (", started 1 s later" if service else ""),
                    _kill(what), _start(what) if service else _nothing, kills_memory=what == "qemu")
        if service:
            yield Fault(f"{what}-restarted", "processes", f"{word} terminated and started again",
                        _terminate(what), _start(what), lasts=0)
        yield Fault(f"{what}-frozen", "processes", f"{word} stopped for 4 s", _stop(what), _go_on, lasts=4)


def _both_daemons(scene, box):
    box.kill(box.service_pid("vmferryd"))
    _terminate("libvirtd")(scene, box)


def _power_off(scene, box):
    scene.lab.check("power-off", box.name)


def _power_on(scene, box):
    scene.lab.check("power-on", box.name)
    box.refresh()


def _cut(*arguments):
    def strike(scene, box):
        scene.cut_network(*(word.format(box=box, other=scene.other(box)) for word in arguments))
    return strike


def _heal_network(scene, box):
    scene.heal_network()


def _network_faults():
    for name, title, arguments in (
            ("peer-cut", "hosts cut from each other", ("{box}", "{other}")),
            ("server-cut", "host and file server cut", ("{box}", "fs1")),
            ("server-cut-out", "host to file server cut, one way", ("--one-way", "{box}", "fs1")),
            ("server-cut-in", "file server to host cut, one way", ("--one-way", "fs1", "{box}")),
            ("peer-cut-out", "host to other host cut, one way", ("--one-way", "{box}", "{other}")),
            ("isolated", "host cut from everything", ("{box}",))):
        sided = name != "peer-cut"
        yield Fault(name, "network", f"{title}, 12 s", _cut(*arguments), _heal_network, lasts=12, sided=sided)


# ---- the file server ----

def _kill_smbd_children(scene, box):
    for pid in scene.lab.smbd_log().processes_of(box.host.smb_label()):
        if scene.fs.alive(pid):
            scene.fs.kill(pid)
            scene.lab.smbd_log().process_killed(pid)


def _smbd_pids(scene):
    return [pid for pid, line in scene.fs.processes().items() if line.startswith("smbd")]


def _freeze_smbd_children(scene, box):
    for pid in scene.lab.smbd_log().processes_of(box.host.smb_label()):
        if scene.fs.alive(pid):
            scene.stop(scene.fs, pid)


def _restart_smbd(scene, box):
    """Until the last process of the old one has gone: a child may serve on for a while"""
    before = _smbd_pids(scene)
    scene.fs.service("restart", "smbd")
    deadline = time.monotonic() + 10
    while any(scene.fs.alive(pid) for pid in before) and time.monotonic() < deadline:
        time.sleep(0.02)


def _freeze_smbd(scene, box):
    for pid in _smbd_pids(scene):
        scene.stop(scene.fs, pid)


def _acl(scene, *words):
    for _, path in scene.guest.disks.values():
        scene.fs.run("smbcacls", "-A", "/root/administrator", "//fs1.lab.test/vms", path, *words)


def _deny(scene, box):
    _acl(scene, "-a", f"ACL:LAB\\{box.account}:DENIED/0/FULL")


def _allow(scene, box):
    _acl(scene, "-D", f"ACL:LAB\\{box.account}:DENIED/0/FULL")


def _third_party(scene, box):
    """Opens the second disk read and write, if the server lets it: it does while nobody holds it deny-write"""
    path = scene.guest.disks["vdb"][1].replace("/", "\\")
    scene.third = scene.fs.start("smbclient", "-A", "/root/administrator", "//fs1.lab.test/vms")
    scene.third.stdin.write(f'open "{path}"\n')
    scene.third.stdin.flush()
    wanted = scene.guest.disks["vdb"][1]
    deadline = time.monotonic() + 3
    while not any(file.path == wanted and file.writes for file in scene.lab.server_files()):
        if time.monotonic() > deadline:
            scene.fs.end(scene.third)
            raise Gone("a handle for a third party: the server refuses it")


def _third_party_leaves(scene, box):
    scene.fs.end(scene.third)


# ---- journal, directory ----

def _lock_journal(scene, box):
    box.journal.lock()


def _unlock_journal(scene, box):
    box.journal.unlock()


def _old_journal(scene, box):
    """vmferryd is killed, and comes back to the journal as it was before the move"""
    box.kill(box.service_pid("vmferryd"))
    box.journal.restore(scene.old_journals[box.name])


def _lose_journal(scene, box):
    box.kill(box.service_pid("vmferryd"))
    box.journal.remove()


def _take_descriptors(scene, box):
    """vmferryd gets none any more; those it has stay"""
    pid = pid_of(scene, box, "vmferryd")
    used = len(list(box.path(f"/proc/{pid}/fd").iterdir()))
    box.run("prlimit", "--pid", pid, f"--nofile={used}:")


def _give_descriptors(scene, box):
    """GLib may have ended vmferryd, which could make no pipe: systemd would have started it again"""
    if box.runs("vmferryd"):
        box.run("prlimit", "--pid", pid_of(scene, box, "vmferryd"), "--nofile=1024:")
    else:
        _start("vmferryd")(scene, box)


def _stop_dc(scene, box):
    for pid, line in scene.dc.processes().items():
        if "samba" in line.split(" ")[0]:
            scene.stop(scene.dc, pid)


def _disable(scene, box):
    scene.dc.run("samba-tool", "user", "disable", box.account)


def _enable(scene, box):
    scene.dc.run("samba-tool", "user", "enable", box.account)


def _leave_group(scene, box):
    scene.dc.run("samba-tool", "group", "removemembers", "VM Hosts", box.account)


def _join_group(scene, box):
    scene.dc.run("samba-tool", "group", "addmembers", "VM Hosts", box.account)


# ---- logic ----

def _cancel(scene, box):
    """Refused from the handover on"""
    for job, _, _ in scene.source.open_moves(scene.guest) or ():
        scene.source.run("vmferry", "cancel", job, check=False)


def _move_back(scene, box):
    """While it moves there, it is to be moved here"""
    scene.second = scene.destination.start("vmferry", "migrate", scene.guest.name, "--to",
                                           scene.source.name, "--json")


def _move_again(scene, box):
    scene.second = scene.source.start("vmferry", "migrate", scene.guest.name, "--to",
                                      scene.destination.name, "--json")


def _second_ends(scene, box):
    scene.source.end(scene.second)


def _power_off_guest(scene, box):
    scene.tell_guest("poweroff")


def _reboot_guest(scene, box):
    scene.tell_guest("reboot")


def _spoil_record(scene, box):
    path = scene.guest.record_file()
    scene.saved_record = path.read_bytes()
    with open(path, "r+b") as file:
        file.write(bytes(len(scene.saved_record)))


def _restore_record(scene, box):
    """Unless somebody has written a valid one meanwhile"""
    if scene.record() is None:
        with open(scene.guest.record_file(), "r+b") as file:
            file.write(scene.saved_record)


FAULTS = [
    *_process_faults(),
    Fault("daemons-ended", "processes", "vmferryd killed and libvirtd terminated, both started 1 s later",
          _both_daemons, _start("libvirtd", "vmferryd")),
    Fault("power-loss", "hosts", "power loss without FIN, on again 4 s later", _power_off, _power_on, lasts=4,
          kills_memory=True, heals_within=60),
    *_network_faults(),
    Fault("smbd-child-killed", "file server", "the host's smbd processes killed", _kill_smbd_children),
    Fault("smbd-child-frozen", "file server", "the host's writes stalled in the server for 6 s", _freeze_smbd_children,
          _go_on, lasts=6),
    Fault("smbd-restarted", "file server", "smbd terminated and started again", _restart_smbd, sided=False,
          lasts=0),
    Fault("smbd-frozen", "file server", "smbd stopped for 6 s", _freeze_smbd, _go_on, lasts=6, sided=False),
    Fault("acl-denies", "file server", "the ACL of the disks denies the host for 4 s", _deny, _allow, lasts=4),
    Fault("third-party", "file server", "a third party opens the second disk for 4 s", _third_party, _third_party_leaves,
          lasts=4, sided=False),
    Fault("journal-locked", "local", "the journal cannot be written for 7 s", _lock_journal, _unlock_journal, lasts=7),
    Fault("journal-old", "local", "vmferryd killed, journal of before the move restored", _old_journal,
          _start("vmferryd")),
    Fault("journal-lost", "local", "vmferryd killed, journal gone", _lose_journal, _start("vmferryd")),
    Fault("no-descriptors", "local", "vmferryd gets no descriptors for 3 s", _take_descriptors, _give_descriptors,
          lasts=3),
    Fault("dc-frozen", "directory", "domain controller stopped for 4 s", _stop_dc, _go_on, lasts=4, sided=False),
    Fault("account-disabled", "directory", "the host's account disabled", _disable, _enable, lasts=2),
    Fault("out-of-group", "directory", "the host's account out of the group", _leave_group, _join_group, lasts=2),
    Fault("cancelled", "logic", "cancel", _cancel, sided=False, lasts=0),
    Fault("moved-back", "logic", "a move the other way is asked for", _move_back, _second_ends, sided=False, lasts=2),
    Fault("moved-twice", "logic", "the same move is asked for again", _move_again, _second_ends, sided=False, lasts=2),
    Fault("guest-powers-off", "logic", "the guest powers off", _power_off_guest, sided=False, ends_guest=True),
    # until it has booted and read all its disks, on emulated processors
    Fault("guest-reboots", "logic", "the guest reboots", _reboot_guest, sided=False, heals_within=120),
    Fault("record-spoilt", "logic", "the owner record is zeros for 3 s", _spoil_record, _restore_record, lasts=3,
          sided=False),
]
BY_NAME = {fault.name: fault for fault in FAULTS}


# ---- what the judge has to find: done to the move on purpose, by us ----

def _second_guest(scene, box):
    """The copy at the source is let run while the destination runs the guest"""
    box.signal(box.qemu(scene.guest), signal.SIGCONT)
    box.run("virsh", "qemu-monitor-command", scene.guest.name, '{"execute":"cont"}')


def _lose_a_write(scene, box):
    """A block of the raw disk is as it was a while ago"""
    path = scene.lab.dir / "share" / scene.guest.disks["vda"][1]
    newest = int(scene.guest.tell("status")["vda.newest"])
    with open(path, "r+b") as file:
        file.seek(records.place(file, newest))
        file.write(bytes(records.RECORD_SIZE))


PROOFS = [
    (Fault("a-second-guest", "proof", "the source's copy is let run", _second_guest, sided=False),
     "network.start", "two guests"),
    (Fault("a-lost-write", "proof", "a block is set back", _lose_a_write, sided=False), "memory.middle", "on the file server"),
]
