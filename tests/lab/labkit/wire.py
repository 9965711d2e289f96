# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody sees who taps the hosts' network: packet sockets on all its cables.

Run as a program in the lab's network namespace it looks for marks in everything that passes, also
across the borders of packets, until its standard input ends; then it says what it saw as JSON.
"""

import json
import pathlib
import select
import socket
import struct
import subprocess
import sys

SO_RCVBUFFORCE, ETH_P_ALL = 33, 3
SOL_PACKET, PACKET_STATISTICS = 263, 6


def tap(lab):
    """The tap as a running program; see seen()"""
    outer = (lab.dir / "sandbox.pid").read_text().split()[0]
    inner = pathlib.Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0]

    def start(*marks):
        program = subprocess.Popen(["nsenter", "-t", inner, "-n", "/usr/bin/python3", __file__, *(mark.hex() for mark in marks)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert program.stdout.readline() == "tapped\n"
        return program
    return start


def seen(program):
    """Ends the tap: {"lost": packets, "bytes": {"A:PORT B:PORT": payload}, "found": [[mark, connection], ...]}"""
    said, _ = program.communicate(timeout=60)
    return json.loads(said)


class Tap:
    def __init__(self, marks):
        self.marks, self.keep = marks, max(map(len, marks)) - 1
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
        self.tails, self.next, self.bytes, self.found = {}, {}, {}, set()

    def packet(self, data):
        """An IPv4 packet: the addresses, the connection, what it carries"""
        if len(data) < 40 or data[0] >> 4 != 4 or data[9] != 6:
            return
        header, length = (data[0] & 15) * 4, struct.unpack_from("!H", data, 2)[0] or len(data)
        source, target = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
        ports = struct.unpack_from("!HHI", data, header)
        payload = data[header + (data[header + 12] >> 4) * 4:length]
        if payload:
            self.look(f"{source}:{ports[0]} {target}:{ports[1]}", ports[2], payload)

    def look(self, connection, sequence, payload):
        # Each packet passes several cables, and is looked at once.
        if self.next.get(connection) is not None and (sequence - self.next[connection]) & 0xffffffff >= 1 << 31:
            return
        follows = self.next.get(connection) == sequence
        self.next[connection] = (sequence + len(payload)) & 0xffffffff
        text = (self.tails.get(connection, b"") if follows else b"") + payload
        for mark in self.marks:
            if mark in text:
                self.found.add((mark.hex(), connection))
        self.tails[connection] = text[-self.keep:]
        self.bytes[connection] = self.bytes.get(connection, 0) + len(payload)

    def run(self):
        print("tapped", flush=True)
        while True:
            ready, _, _ = select.select([self.socket, sys.stdin], [], [])
            if self.socket in ready:
                self.packet(self.socket.recv(1 << 17))
            elif sys.stdin in ready:
                break
        lost = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        print(json.dumps({"lost": lost, "bytes": self.bytes, "found": sorted(self.found)}))


if __name__ == "__main__":
    Tap([bytes.fromhex(mark) for mark in sys.argv[1:]]).run()
