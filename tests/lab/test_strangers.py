# SPDX-License-Identifier: GPL-3.0-or-later
"""Strangers and plain users of the domain at the door of a real vmferryd.

Each abuse of tests/hostile/strangers ends closed within 10 s, costs little memory, leaves one record in
the log, which says by what rule, and disturbs nobody else. The file server is the stranger: a machine of the
network that has no business with vmferryd; alice is the user.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from labkit.channel_tool import INSIDE, bring_tool, running
from labkit.exits import private_kib, watching_exits
from labkit.lab import ADDRESSES, PROJECT, until
from labkit.processes import Process
from test_channel import RC4_ALONE, USUAL, set_encryption

STRANGER = PROJECT / "tests" / "hostile" / "strangers" / "stranger"
SCRIPT = "/root/stranger"
CACHE = "/root/alice.cc"
PASSWORD = "Ferry-4-the-lab"
PORT = 16016
WITHIN = 10.5       # s: the channel's deadline, and the way there
AT_ONCE = 8         # strangers; fewer than the places of an address
MEMORY_KIB = 1024   # of a connection that has proven nothing
REFUSED = re.compile(r"connection from (\S+) refused: (.*)")
PLACES = 100        # the last byte of the first further address of the stranger's


# What the one record of each abuse says, whole

CHANNEL = r"the other end does not speak vmferry's channel protocol: %s; see that both hosts run the same version"
NOT_IN_TIME = r"the other end does not answer in time; see that vmferryd there is up and not blocked"
CLOSED = r"the other end closed the connection; its log says why"
GREETING = CHANNEL % "the greeting begins otherwise"
KIND = CHANNEL % "the greeting is of an unknown kind"
TOKEN_LENGTH = CHANNEL % "the token's length is out of bounds"
NAME_LENGTH = CHANNEL % "the stream's name has another length"
NO_AP_REQ = r"the peer's first token is not a Kerberos AP-REQ"
NO_STREAM = r"a stream was opened that is not expected: unknown, used up or expired"
NO_NAME = r"a stream was opened by an impossible name"
NO_END = r"the other end has sent 16384 bytes without an end of its TLS handshake or verdict"
ALERT = r"the other end reports a TLS failure: Handshake failed"


def ticket(why, service="host/hv2.lab.test@LAB.TEST", sealed=r"aes256-cts-hmac-sha1-96 \(18\)"):
    return (rf"cannot accept a Kerberos ticket for '{service}' encrypted with {sealed} "
            rf"as 'host/hv2.lab.test@LAB.TEST': {why}")


ANOTHER_KEY = ticket(r"Cannot decrypt ticket .*; the ticket is not for this host's present key: the keytab may be stale")
ANOTHER_SERVICE = r"Cannot decrypt ticket .*; the ticket is for another service"
RC4 = ticket(r"Service key not available; the keytab has no AES key .*or the ticket is for RC4",
             sealed=r"arcfour-hmac \(23\) \(refused: only AES is good enough\)")
RULES = {NOT_IN_TIME: """silence one-byte-then-silence all-but-one-byte-of-a-greeting greeting-byte-by-byte urgent-data
                         token-that-never-comes token-byte-by-byte user-says-nothing-after-his-token
                         user-sends-half-a-record""",
         # who resets it may be overtaken by his own FIN
         CLOSED: "closed-at-once half-closed half-a-token-then-the-end",
         r"the connection broke: Connection reset by peer|" + CLOSED: "reset-at-once",
         GREETING: """http ssh tls-client-hello smb-negotiate libvirt-rpc dbus-auth qemu-stream zeros ones random-bytes
                      endless-random another-version lower-case-magic""",
         KIND: "kind-zero kind-three kind-255",
         CHANNEL % "reserved bytes of the greeting are not zero": "reserved-bytes",
         TOKEN_LENGTH: "no-token token-one-too-long token-of-4-gib little-endian-length",
         NAME_LENGTH: "stream-name-short stream-name-long stream-without-a-name",
         NO_AP_REQ: """never-reads token-of-zeros token-of-random-bytes token-of-one-byte token-spnego token-ntlm
                       token-without-a-mechanism token-length-beyond-its-end token-indefinite-length token-nested-deeply
                       krb-error-as-token wrap-token-as-token wrap-token-too-long user-cuts-his-token
                       user-sends-more-than-his-token""",
         ANOTHER_KEY: "ticket-that-nobody-issued ticket-of-60-kib user-changes-his-ticket",
         ticket(r"Decrypt integrity check failed; .*"): "user-changes-his-authenticator",
         ticket(ANOTHER_SERVICE, "host/hv2.lab.test@EVIL.TEST"): "ticket-of-another-realm",
         ticket(ANOTHER_SERVICE, "host/hv1.lab.test@LAB.TEST"): "ticket-for-another-host",
         ticket(ANOTHER_SERVICE, "cifs/fs1.lab.test@LAB.TEST"): "user-brings-a-ticket-for-the-file-server",
         RC4: "ticket-rc4 user-brings-an-rc4-ticket",
         ticket(r"Message size is incompatible with encryption type"): "ticket-empty-cipher",
         ticket(r"Bad encryption type",
                sealed=r"encryption type -2147483648 \(refused: only AES is good enough\)"): "ticket-negative-enctype",
         ticket(r"Clock skew too great; the clocks of the two differ by more than 5 minutes: .*"): "user-whose-clock-is-off",
         NO_STREAM: "stream-unknown stream-unknown-then-more",
         NO_NAME: "stream-upper-case stream-of-nuls stream-like-a-path stream-not-text",
         r"TLS failed: An unexpected TLS packet was received.": "user-speaks-something-else-after-his-token",
         r"the other end does not hold the key of this session \(TLS: .*\): somebody else's connection was "
         r"relayed, repeated or changed": "user-offers-no-psk",
         NO_END: "user-sends-records-without-end user-sends-a-handshake-of-16-mib user-sends-data-before-tls",
         ALERT: "user-sends-an-alert user-repeats-his-token",
         r"the Kerberos exchange with 'the peer' is refused: not mutual, protected against replay and reordering, "
         r"signed and sealed; both ends must run vmferry": "user-wants-no-proof-of-ours"}
RULE_OF = {name: rule for rule, names in RULES.items() for name in names.split()}


@pytest.fixture(scope="module")
def stranger(lab, hv1, hv2):
    host = lab.host("fs1")
    host.run("bash", "-c", f"cat >{SCRIPT} && chmod 755 {SCRIPT}", input=STRANGER.read_text())
    host.run("kinit", "-c", f"FILE:{CACHE}", "alice@LAB.TEST", input=PASSWORD + "\n")
    set_encryption(lab, "HV2$", RC4_ALONE)
    try:
        host.run("bash", "-c", f"cp {CACHE} {CACHE}.rc4 && kvno -q -c FILE:{CACHE}.rc4 host/hv2.lab.test")
    finally:
        set_encryption(lab, "HV2$", USUAL)
    bring_tool(lab, hv1)
    return host


@contextlib.contextmanager
def addresses(host, names):
    """One for each name, so that it is seen whose a record is: name -> address"""
    found = {name: f"10.99.0.{PLACES + number}" for number, name in enumerate(names)}
    assert PLACES + len(names) < 255

    def each(verb):
        subprocess.run(["nsenter", "-t", str(Process.in_host(host, 1).pid), "-n", "ip", "-batch", "-"], check=True, text=True,
                       input="".join(f"address {verb} {address}/32 dev eth0\n" for address in found.values()))
    each("add")
    try:
        yield found
    finally:
        each("del")


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

    def keys(self):
        return self.processes("vmferry-keys", self.daemon.pid)

    def mark(self):
        return self.log.stat().st_size

    def refused(self, mark):
        """(address, why) of each connection that was refused since"""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            file.seek(mark)
            return REFUSED.findall(file.read())

    def refusals(self, mark, host):
        """Why, for each connection of that host that was refused since"""
        return [why for who, why in self.refused(mark) if who == ADDRESSES[host.name]]

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
    with running(hv1, INSIDE, "hold-bus", "hv2.lab.test", ADDRESSES["hv2"], str(PORT)) as tool:
        tool.wait_for("holding", 8)


def is_unspoilt(door, doors):
    assert door.doors() == doors, "vmferry-door was succeeded: a process of it has crashed"


def all_at_once(hv1, stranger, names):
    """What came of each, eight at a time, while a peer is served again and again"""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        queue = [pool.submit(abuses, stranger, *names[i::AT_ONCE]) for i in range(AT_ONCE)]
        served = 0
        while not all(job.done() for job in queue):
            peer_is_served(hv1)
            served += 1
    assert served > 0
    return [result for job in queue for result in job.result()], served


def test_abuses(hv1, stranger, door):
    """All but those of their own tests: closed in time, one record each that says the rule, little memory"""
    doors, keys, mark = door.doors(), door.keys(), door.mark()
    names = [name for name in stranger.run("python3", SCRIPT, "-", "0", "--list").stdout.split()
             if name not in ("crowd", "storm")]
    assert set(names) == set(RULE_OF)
    with addresses(stranger, names) as places, watching_exits(doors + keys) as exits:
        results, served = all_at_once(hv1, stranger, [f"{name}@{places[name]}" for name in names])
        connections = {places[result["abuse"]]: result["connections"] for result in results}
        until(lambda: not door.children() and
              sum(who in connections for who, _ in door.refused(mark)) >= sum(connections.values()), 20,
              lambda: f"a record for each connection: {door.refused(mark)}")
    ended_by_us = [result for result in results if not result["left"]]
    late = [result for result in ended_by_us if result["seconds"] is None or result["seconds"] > WITHIN]
    assert len(results) == len(names) and len(ended_by_us) >= 50 and not late

    records = {place: [] for place in connections}
    for who, why in door.refused(mark):
        if who in records:
            records[who].append(why)
    for name, place in places.items():
        said = records[place]
        assert len(said) == connections[place] and all(re.fullmatch(RULE_OF[name], why) for why in said), (name, said)
    is_unspoilt(door, doors)
    assert door.keys() == keys

    # one process for each connection, and one for each token; the peers' are the rest
    of_doors, of_keys = (exits.by_parent[parent] for parent in (doors[0], keys[0]))
    print(f"{len(of_doors)} connections, {served} of them a peer's: at most {max(of_doors)} KiB; "
          f"{len(of_keys)} tokens: at most {max(of_keys)} KiB")
    assert len(of_doors) >= sum(connections.values()) and len(of_keys) > 20
    assert max(of_doors) + max(of_keys) <= MEMORY_KIB


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


def test_memory(stranger, door):
    """Sixteen connections with all of the longest token but its end"""
    before = private_kib(door.daemon.pid)
    with running(stranger, "python3", SCRIPT, "hv2.lab.test", str(PORT), "--hold", "16") as held:
        held.wait_for("holding")
        until(lambda: len(door.children()) == 16, 5, "sixteen are in")
        used = [private_kib(pid) for pid in door.children()]
        daemon = private_kib(door.daemon.pid) - before
    print(f"KiB of each connection: {sorted(used)}; vmferryd grew by {daemon}")
    assert len(used) == 16 and max(used) + daemon / 16 <= MEMORY_KIB


def test_no_rights(hv2, stranger, door):
    """What the processes that hear strangers are, and have open"""
    keys = door.keys()
    with running(stranger, "python3", SCRIPT, "hv2.lab.test", str(PORT), "--hold", "2") as held:
        held.wait_for("holding")
        until(lambda: len(door.children()) == 2, 5, "two are in")
        uid = int(hv2.run("id", "-u", "vmferry-door").stdout)
        for pid in door.doors() + door.children() + keys:
            proc = pathlib.Path("/proc", str(pid))
            status = Process(pid).status()
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
    with running(hv1, INSIDE, "hold-bus", "hv2.lab.test", ADDRESSES["hv2"], str(PORT)) as peer:
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
