# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing of a guest is on the hosts' network in clear: not its memory, not its disk.

A mark is in the guest's memory (its kernel's command line) and another in each record that it
writes on its disk. Everything that passes any cable of the hosts' network during a whole move is
searched for both; before, the tap is shown to see them where they are in clear.
"""

import pytest

from labkit import wire
from labkit.lab import ADDRESSES, until
from labkit.moves import move

IN_MEMORY = b"mark-of-memory-4f7c1e0b9d53"
ON_DISK = (0x31524345524D4656).to_bytes(8, "little")    # RECORD_MAGIC of examples/domain-lab/guest/records.c
PLAIN_PORT, PEERS_PORT, SMB_PORT = 17099, 16016, 445


@pytest.fixture(scope="module")
def guest(lab, hv1):
    found = lab.create_guest("marked", on=hv1, cmdline=f"vmferry.note={IN_MEMORY.decode()}")
    yield found
    lab.delete_guest(found)


SEND = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
mark = bytes.fromhex(sys.argv[3])
for part in (b"x" * 3000, mark[:3], mark[3:], b"y" * 100):
    s.sendall(part)
s.shutdown(socket.SHUT_WR)
s.recv(1)
"""
LISTEN = """
import socket, sys
s = socket.create_server(("", int(sys.argv[1])))
print("listening", flush=True)
c, _ = s.accept()
while c.recv(65536):
    pass
"""


def between(found, *ports):
    return {(bytes.fromhex(mark), connection) for mark, connection in found
            if any(end.endswith(f":{port}") for port in ports for end in connection.split())}


def test_tap_sees_marks_in_clear(lab, hv1, hv2):
    """Between the hosts, and on the port of the file server; cut in two by packets"""
    tap = wire.tap(lab)(IN_MEMORY, ON_DISK)
    listener = hv2.start("python3", "-c", LISTEN, str(PLAIN_PORT))
    assert listener.stdout.readline() == "listening\n"
    hv1.run("python3", "-c", SEND, ADDRESSES["hv2"], str(PLAIN_PORT), IN_MEMORY.hex())
    listener.communicate(timeout=20)
    hv1.run("python3", "-c", SEND, ADDRESSES["fs1"], str(SMB_PORT), ON_DISK.hex(), check=False)
    said = wire.seen(tap)
    assert {mark for mark, _ in between(said["found"], PLAIN_PORT)} == {IN_MEMORY}
    assert {mark for mark, _ in between(said["found"], SMB_PORT)} == {ON_DISK}


def test_whole_move_shows_nothing(lab, hv1, hv2, guest):
    # the marks are where they are looked for
    disk = lab.dir / "share" / guest.disks["vda"][1]
    guest.tell("records", "100")
    until(lambda: ON_DISK in disk.read_bytes(), 30, "records are on the disk")
    pid = hv1.run("pgrep", "-f", f"guest={guest.name},").stdout.split()[0]
    assert IN_MEMORY.decode() in hv1.run("cat", f"/proc/{pid}/cmdline").stdout
    tap = wire.tap(lab)(IN_MEMORY, ON_DISK)
    report = move(hv1, guest, hv2)
    guest.tell("scan")          # reads every record over SMB
    said = wire.seen(tap)
    assert said["lost"] == 0
    assert said["found"] == []
    passed = {port: sum(size for connection, size in said["bytes"].items()
                        if any(end.endswith(f":{port}") for end in connection.split())) for port in (PEERS_PORT, SMB_PORT)}
    print(passed, report)
    assert passed[PEERS_PORT] > 20e6, "the guest's memory passed here"
    assert passed[SMB_PORT] > 1e5, "its records passed here"
