# SPDX-License-Identifier: GPL-3.0-or-later
"""A small NBD client (NetworkBlockDevice/nbd: doc/proto.md): fixed newstyle, simple replies.

Requests are futures, so a test can leave as many outstanding as it likes. What the server answers
with an error, or does not answer before it hangs up, raises.
"""

import concurrent.futures
import itertools
import socket
import struct
import threading

READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
OPTION_GO, REPLY_ACK, REPLY_INFO = 7, 1, 3


class NbdError(Exception):
    def __init__(self, code):
        super().__init__(f"the server answered error {code}" if code else "the server hung up")
        self.code = code


class NbdClient:
    def __init__(self, path, export):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self.size = self._negotiate(export.encode())
        self._cookies = itertools.count(1)
        self._pending = {}      # cookie -> (future, bytes to read)
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read_replies, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def _receive(self, size):
        data = bytearray()
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise NbdError(0)
            data += piece
        return bytes(data)

    def _negotiate(self, export):
        magic, option_magic, _ = struct.unpack(">8s8sH", self._receive(18))
        assert (magic, option_magic) == (b"NBDMAGIC", b"IHAVEOPT")
        go = struct.pack(">L", len(export)) + export + struct.pack(">H", 0)
        self._socket.sendall(struct.pack(">L8sLL", 3, b"IHAVEOPT", OPTION_GO, len(go)) + go)
        size = None
        while True:
            _, _, reply, length = struct.unpack(">QLLL", self._receive(20))
            data = self._receive(length)
            if reply == REPLY_ACK:
                return size
            if reply != REPLY_INFO:
                raise NbdError(reply)
            if struct.unpack(">H", data[:2])[0] == 0:
                size = struct.unpack(">Q", data[2:10])[0]

    def _read_replies(self):
        try:
            while True:
                _, error, cookie = struct.unpack(">LLQ", self._receive(16))
                future, size = self._pending.pop(cookie)
                if error:
                    future.set_exception(NbdError(error))
                else:
                    future.set_result(self._receive(size))
        except (NbdError, OSError):
            with self._lock:
                lost, self._pending = self._pending, None
            for future, _ in lost.values():
                future.set_exception(NbdError(0))

    def submit(self, kind, offset=0, data=b"", length=None):
        future = concurrent.futures.Future()
        length = len(data) if length is None else length
        with self._lock:
            if self._pending is None:
                raise NbdError(0)
            cookie = next(self._cookies)
            self._pending[cookie] = (future, length if kind == READ else 0)
            self._socket.sendall(struct.pack(">LHHQQL", 0x25609513, 0, kind, cookie, offset, length) + data)
        return future

    def write(self, offset, data, timeout=60):
        self.submit(WRITE, offset, data).result(timeout)

    def read(self, offset, length, timeout=60):
        return self.submit(READ, offset, length=length).result(timeout)

    def flush(self, timeout=60):
        self.submit(FLUSH).result(timeout)

    def kill(self):
        """As a killed QEMU: hang up whatever is outstanding"""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._reader.join(10)
        self._socket.close()
