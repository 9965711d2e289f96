# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory short-lived processes have at their end, each of them, however short they live.

    exits.py PID...     of all that these fork from now on, until SIGTERM; "ready", then a line for each:
                        PARENT PID KIB, with PARENT one of the given

The kernel stops each one where it ends, its memory still there (ptrace(2), PTRACE_EVENT_EXIT). A program of its own,
as who traces has to wait for any child.
"""

import contextlib
import ctypes
import os
import pathlib
import re
import signal
import subprocess
import sys

SEIZE, CONT, LISTEN, GETEVENTMSG = 0x4206, 7, 0x4208, 0x4201
FORK, VFORK, CLONE, EXIT = 1, 2, 3, 6   # PTRACE_EVENT_*; as options: 1 << event
EVENT_STOP = 128
WALL = 0x40000000
STOPPING = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def private_kib(pid):
    """What goes with the process: its own pages"""
    text = pathlib.Path("/proc", str(pid), "smaps_rollup").read_text()
    return sum(int(kib) for kib in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB", text, re.M))


class Tracer:
    def __init__(self, pids):
        self.parents = {pid: pid for pid in pids}   # process -> who of the given it comes from
        self.forked = []                            # (by, process)
        self.kib = {}
        for pid in pids:
            if _libc.ptrace(SEIZE, pid, None, 1 << FORK | 1 << VFORK | 1 << CLONE | 1 << EXIT):
                raise OSError(ctypes.get_errno(), f"cannot trace {pid}")

    def one(self):
        pid, status = os.waitpid(-1, WALL)
        if not os.WIFSTOPPED(status):
            return
        event, number, pass_on, how = status >> 16, os.WSTOPSIG(status), 0, CONT
        if event in (FORK, VFORK, CLONE):
            message = ctypes.c_ulong()
            _libc.ptrace(GETEVENTMSG, pid, None, ctypes.addressof(message))
            self.forked.append((pid, message.value))
        elif event == EXIT:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):    # a thread that another one ends
                whole = int(re.search(r"^Tgid:\s+(\d+)", pathlib.Path("/proc", str(pid), "status").read_text(), re.M)[1])
                self.kib[whole] = max(self.kib.get(whole, 0), private_kib(pid))
        elif event == EVENT_STOP:
            how = LISTEN if number in STOPPING else CONT
        elif event == 0:
            pass_on = number
        _libc.ptrace(how, pid, None, pass_on)

    def lines(self):
        parents = dict(self.parents)
        for by, process in self.forked:
            parents[process] = parents[by]
        return [f"{parents[pid]} {pid} {kib}" for pid, kib in self.kib.items() if pid not in self.parents]


def main():
    tracer = Tracer([int(pid) for pid in sys.argv[1:]])

    def end(_number, _frame):
        print("\n".join(tracer.lines()), flush=True)
        os._exit(0)     # what is traced goes on
    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    while True:
        tracer.one()


class Exits:
    """KiB of each process that has ended: by_parent[pid] -> [KiB]"""

    def __init__(self):
        self.by_parent = {}


@contextlib.contextmanager
def watching_exits(pids):
    """Of what the processes @pids fork meanwhile; the answer is there afterwards"""
    process = subprocess.Popen([sys.executable, "-S", __file__, *map(str, pids)], text=True, stdout=subprocess.PIPE,
                               start_new_session=True)
    found = Exits()
    try:
        assert process.stdout.readline() == "ready\n", "cannot trace them"
        yield found
        assert process.poll() is None, "no more than that was seen"
    finally:
        process.terminate()
        said = process.communicate(timeout=20)[0]
    found.by_parent = {pid: [] for pid in pids}
    for line in said.split("\n"):
        if line:
            parent, _pid, kib = map(int, line.split())
            found.by_parent[parent].append(kib)


if __name__ == "__main__":
    main()
