# SPDX-License-Identifier: GPL-3.0-or-later
"""vmferryd's journal in a host of the lab.

SQLite resolves /proc/PID/root to the root of whoever asks, so the database cannot be reached through it:
a forked child that has entered the host's mount namespace opens it under its own name.
"""

import base64
import contextlib
import ctypes
import json
import os
import signal
import sqlite3

PATH = "/var/lib/vmferry/journal.db"
CLONE_NEWNS = 0x20000


class _Child:
    """What is done inside; each function is an order by its name"""

    def __init__(self):
        self._lock = None

    @staticmethod
    def moves(uuid):
        """[job, role, state] of moves that are not over"""
        with contextlib.closing(sqlite3.connect(f"file:{PATH}?mode=ro", uri=True, timeout=1)) as db:
            return db.execute("select job, role, state from move where vm_uuid = ? and not final",
                              (uuid,)).fetchall()

    @staticmethod
    def copy():
        """One consistent file, as a backup would hold it"""
        with contextlib.closing(sqlite3.connect(f"file:{PATH}?mode=ro", uri=True)) as db:
            return base64.b64encode(db.serialize()).decode()

    @staticmethod
    def remove():
        for end in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(PATH + end)

    def restore(self, content):
        self.remove()
        raw = bytearray(base64.b64decode(content))
        raw[18:20] = b"\1\1"    # its write-ahead log is gone: read as a plain database first
        with open(PATH, "wb") as file:
            file.write(raw)

    def lock(self):
        """No write of vmferryd succeeds until unlock()"""
        self._lock = sqlite3.connect(PATH, isolation_level=None, timeout=5)
        self._lock.execute("begin immediate")

    def unlock(self):
        self._lock.execute("rollback")
        self._lock.close()


class JournalError(Exception):
    pass


class Journal:
    def __init__(self, pid):
        """@pid: a process of the host"""
        ours, theirs = os.pipe(), os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            # only these two: the others' ends would keep their children from ending with us
            orders, answers = os.dup2(ours[0], 198), os.dup2(theirs[1], 199)
            os.closerange(3, 198)
            os.closerange(200, 4096)
            _serve(pid, orders, answers)
        os.close(ours[0])
        os.close(theirs[1])
        self._orders = os.fdopen(ours[1], "w", encoding="utf-8")
        self._answers = os.fdopen(theirs[0], "r", encoding="utf-8")

    def _ask(self, *order):
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        answer = json.loads(self._answers.readline())
        if "error" in answer:
            raise JournalError(answer["error"])
        return answer["answer"]

    def __getattr__(self, name):
        return lambda *arguments: self._ask(name, *arguments)

    def close(self):
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._orders.close()
        self._answers.close()


def _serve(pid, orders, answers):
    """In the child; never returns"""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
        if libc.setns(namespace, CLONE_NEWNS) < 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.chdir("/")
        child = _Child()
        with os.fdopen(orders, encoding="utf-8") as lines, os.fdopen(answers, "w", encoding="utf-8") as out:
            for line in lines:
                name, *arguments = json.loads(line)
                try:
                    answer = {"answer": getattr(child, name)(*arguments)}
                except (sqlite3.Error, OSError) as error:
                    answer = {"error": str(error)}
                out.write(json.dumps(answer) + "\n")
                out.flush()
    finally:
        os._exit(0)
