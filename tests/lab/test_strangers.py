# SPDX-License-Identifier: GPL-3.0-or-later
"""Strangers and plain users of the domain at the door of a real vmferryd.

Each abuse of tests/hostile/strangers ends closed within 10 s, costs little memory, leaves one record in
the log, and disturbs nobody else. The file server is the stranger: a machine of the network that has no
business with vmferryd; alice is the user.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import signal

import pytest

from labkit.channel_tool import INSIDE, bring_tool, running
from labkit.lab import ADDRESSES, PROJECT, until
from labkit.processes import Process

STRANGER = PROJECT / "tests" / "hostile" / "strangers" / "stranger"
SCRIPT = "/root/stranger"
CACHE = "/root/alice.cc"
PASSWORD = "Ferry-4-the-lab"
PORT = 16016
WITHIN = 10.5       # s: the channel's deadline, and the way there
AT_ONCE = 8         # strangers; fewer than the places of an address
MEMORY_KIB = 1024   # of a connection that has proven nothing
REFUSED = re.compile(r"connection from (\S+) refused: (.*)")


@pytest.fixture(scope="module")
def stranger(lab, hv1, hv2):
    host = lab.host("fs1")
    host.run("bash", "-c", f"cat >{SCRIPT} && chmod 755 {SCRIPT}", input=STRANGER.read_text())
    host.run("kinit", "-c", f"FILE:{CACHE}", "alice@LAB.TEST", input=PASSWORD + "\n")
    bring_tool(lab, hv1)
    return host


class Door:
    """hv2's vmferryd and its helpers, from outside"""

    def __init__(self, lab, host):
        self.lab, self.host = lab, host
        self.log = lab.log_dir / host.name / "lab" / "vmferryd.log"
        self.daemon = Process.of_service(host, "vmferryd")

    def processes(self, program, parent):
        found = []
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                name, rest = (proc / "stat").read_text().rpartition(")")[::2]
                if name.endswith(f"({program}") and rest.split()[0] != "Z" and int(rest.split()[1]) == parent:
                    found.append(int(proc.name))
        return found

    def doors(self):
        return self.processes("vmferry-door", self.daemon.pid)

    def children(self):
        return [pid for door in self.doors() for pid in self.processes("vmferry-door", door)]

    def mark(self):
        return self.log.stat().st_size

    def refusals(self, mark, host):
        """Why, for each connection of that host that was refused since"""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            file.seek(mark)
            return [why for who, why in REFUSED.findall(file.read()) if who == ADDRESSES[host.name]]

    def wait_for_refusals(self, mark, host, count):
        """Exactly as many, a moment later too: none of them is told twice"""
        until(lambda: len(self.refusals(mark, host)) >= count and not self.children(), 20,
              lambda: f"{count} records: {self.refusals(mark, host)}")
        records = self.refusals(mark, host)
        assert len(records) == count
        return records


@pytest.fixture
def door(lab, hv2):
    found = Door(lab, hv2)
    until(lambda: not found.children(), 20, "no connection is left from before")
    pids = found.daemon.pid, found.doors()
    mark = found.mark()
    yield found
    assert Process.of_service(hv2, "vmferryd").pid == pids[0], "vmferryd has ended"
    until(lambda: not found.children(), 20, "no process is left of a connection")
    said = found.log.read_bytes()[mark:]
    assert b"Sanitizer" not in said and b"CRITICAL" not in said


def abuses(host, *names):
    said = host.run("env", f"KRB5CCNAME={CACHE}", "python3", SCRIPT, "hv2.lab.test", str(PORT), *names,
                    timeout=300).stdout
    return [json.loads(line) for line in said.splitlines()]


def peer_is_served(hv1):
    """A member of the group comes through: the handshake, both verdicts"""
    with running(hv1, INSIDE, "hold", "hv2.lab.test", ADDRESSES["hv2"], str(PORT)) as tool:
        tool.wait_for("holding", 8)


def is_unspoilt(door, doors):
    assert door.doors() == doors, "vmferry-door was succeeded: a process of it has crashed"


def test_abuses(hv1, stranger, door):
    """All of them, eight at a time, while a peer is served again and again"""
    doors, mark = door.doors(), door.mark()
    names = stranger.run("python3", SCRIPT, "-", "0", "--list").stdout.split()
    alone = ["crowd", "storm"]
    assert len(names) >= 52
    names = [name for name in names if name not in alone]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        queue = [pool.submit(abuses, stranger, *names[i::AT_ONCE]) for i in range(AT_ONCE)]
        while not all(job.done() for job in queue):
            peer_is_served(hv1)
    results = [result for job in queue for result in job.result()]
    late = [result for result in results if result["seconds"] is None or result["seconds"] > WITHIN]
    assert len(results) == len(names) and not late

    # one record for each connection, which says why
    records = door.wait_for_refusals(mark, stranger, sum(result["connections"] for result in results))
    assert all(len(why) > 10 and why.isprintable() for why in records)
    assert any("only hosts are peers" in why or "does not hold the key" in why for why in records)
    is_unspoilt(door, doors)


def test_plain_user(lab, stranger, door):
    """alice goes the whole way, and is refused; the log says that she is no host"""
    bring_tool(lab, stranger)
    mark = door.mark()
    said = stranger.run(INSIDE, "--as=alice", f"--ccache={CACHE}", "--no-judge", "connect", "hv2.lab.test",
                        ADDRESSES["hv2"], str(PORT), check=False).stdout
    assert "failed denied" in said and "\nok" not in said
    (why,) = door.wait_for_refusals(mark, stranger, 1)
    assert "'alice@LAB.TEST'" in why and "only hosts are peers" in why


def test_crowd(hv1, stranger, door):
    """Forty that say nothing: sixteen may stay for 10 s, the rest not at all; a peer finds its place"""
    doors, mark = door.doors(), door.mark()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        job = pool.submit(abuses, stranger, "crowd")
        until(lambda: len(door.children()) >= 16, 10, "sixteen are in")
        assert len(door.children()) == 16
        peer_is_served(hv1)
        ((result),) = job.result()
    assert result["seconds"] <= WITHIN
    records = door.wait_for_refusals(mark, stranger, 40)
    assert sum("16 connections that have not proven" in why for why in records) == 24
    assert sum("in time" in why for why in records) == 16
    is_unspoilt(door, doors)


def test_storm(hv1, stranger, door):
    doors, mark = door.doors(), door.mark()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(abuses, stranger, "storm") for _ in range(4)]
        while not all(job.done() for job in jobs):
            peer_is_served(hv1)
    assert all(job.result()[0]["seconds"] < WITHIN for job in jobs)
    door.wait_for_refusals(mark, stranger, 400)
    is_unspoilt(door, doors)


def memory_kib(pid):
    """What goes with the process: its own pages"""
    text = pathlib.Path("/proc", str(pid), "smaps_rollup").read_text()
    return sum(int(kib) for kib in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB", text, re.M))


def test_memory(stranger, door):
    """Sixteen connections with all of the longest token but its end"""
    before = memory_kib(door.daemon.pid)
    with running(stranger, "python3", SCRIPT, "hv2.lab.test", str(PORT), "--hold", "16") as held:
        held.wait_for("holding")
        until(lambda: len(door.children()) == 16, 5, "sixteen are in")
        used = [memory_kib(pid) for pid in door.children()]
        daemon = memory_kib(door.daemon.pid) - before
    print(f"KiB of each connection: {sorted(used)}; vmferryd grew by {daemon}")
    assert len(used) == 16 and max(used) + daemon / 16 <= MEMORY_KIB


def test_no_rights(hv2, stranger, door):
    """What the processes that hear strangers are, and have open"""
    keys = door.processes("vmferry-keys", door.daemon.pid)
    with running(stranger, "python3", SCRIPT, "hv2.lab.test", str(PORT), "--hold", "2") as held:
        held.wait_for("holding")
        until(lambda: len(door.children()) == 2, 5, "two are in")
        uid = int(hv2.run("id", "-u", "vmferry-door").stdout)
        for pid in door.doors() + door.children() + keys:
            proc = pathlib.Path("/proc", str(pid))
            status = dict(re.findall(r"^(\w+):[ \t]*(.*?)[ \t]*$", (proc / "status").read_text(), re.M))
            assert status["Uid"].split() == [str(uid)] * 4 and status["Groups"] == ""
            assert {int(status[which], 16) for which in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
            assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
            files = {os.readlink(fd) for fd in (proc / "fd").iterdir()}
            assert {f for f in files if f.startswith("/")} <= {"/dev/null"} | {f for f in files if "/lab/" in f}
        for pid in door.children():
            numbers = {int(fd.name) for fd in pathlib.Path("/proc", str(pid), "fd").iterdir()}
            assert numbers <= {0, 1, 2, 3, 4}, numbers  # 3: the stranger, 4: vmferryd
            limits = pathlib.Path("/proc", str(pid), "limits").read_text()
            assert re.search(r"Max open files +16 +16", limits) and re.search(r"Max core file size +0 +0", limits)


def test_crash_is_one_connection(hv1, stranger, door):
    """A process that is ended by a signal cuts its stranger alone; the next ones meet another layout"""
    doors, mark = door.doors(), door.mark()
    with running(hv1, INSIDE, "hold", "hv2.lab.test", ADDRESSES["hv2"], str(PORT)) as peer:
        peer.wait_for("holding", 8)
        (served,) = door.children()
        with running(stranger, "python3", SCRIPT, "hv2.lab.test", str(PORT), "--hold", "1") as held:
            held.wait_for("holding")
            until(lambda: len(door.children()) == 2, 5, "both are in")
            (doomed,) = set(door.children()) - {served}
            os.kill(doomed, signal.SIGSEGV)
            until(lambda: b"signal 11" in door.log.read_bytes()[mark:], 5, "the end is in the log")
        until(lambda: door.doors() and not set(door.doors()) & set(doors), 5, "another vmferry-door")
        assert pathlib.Path("/proc", str(served)).exists()
        peer_is_served(hv1)
        assert pathlib.Path("/proc", str(served)).exists()


def test_silent_after_it(hv1, door):
    """What came before has left nothing: the hosts know each other"""
    peer_is_served(hv1)
