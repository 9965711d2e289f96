# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files the daemons of a host open and which programs they start, each of them, however short it lives.

    opens.py PID        of the host whose process that is; "ready", then for each line of its input all that has
                        happened since, as one line: a list of [what, program, path]

fanotify(7) on every mount of the host: whoever starts a program waits until it is noted who he is (what: "start"; program:
what he was before); a file is noted with the program that opens it (what: "open"), "" where that has ended by then
and was never seen to begin.
"""

import contextlib
import ctypes
import errno
import json
import os
import select
import struct
import subprocess
import sys

CLOEXEC, NONBLOCK, CLASS_CONTENT, UNLIMITED_QUEUE, UNLIMITED_MARKS = 1, 2, 4, 0x10, 0x20
MARK_ADD, MARK_MOUNT = 1, 0x10
OPEN, OPEN_EXEC_PERM, OVERFLOW = 0x20, 0x40000, 0x4000
ALLOW = 1
WITHOUT_FILES = ("proc", "sysfs", "cgroup2", "mqueue", "devpts")
EVENT = struct.Struct("=IBBHQii")
AT_FDCWD = -100

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fanotify_mark.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p]


def checked(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), what)
    return result


def program_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


class Watch:
    def __init__(self, pid):
        self.fd = checked(_libc.fanotify_init(CLOEXEC | NONBLOCK | CLASS_CONTENT | UNLIMITED_QUEUE | UNLIMITED_MARKS,
                                              os.O_RDONLY | os.O_LARGEFILE | os.O_NONBLOCK | os.O_CLOEXEC), "fanotify_init")
        self.programs = {}  # pid -> what it was seen to become
        self.seen = []
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
            mounts = [line.split() for line in file]
        for fields in mounts:
            kind, point = fields[fields.index("-") + 1], fields[4]
            if kind not in WITHOUT_FILES:
                checked(_libc.fanotify_mark(self.fd, MARK_ADD | MARK_MOUNT, OPEN | OPEN_EXEC_PERM, AT_FDCWD,
                                            f"/proc/{pid}/root{point}".encode()), point)

    def take(self):
        """All that waits"""
        while True:
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                return
            except OSError as error:    # that file cannot be opened by us, to say which it is
                if error.errno not in (errno.ENXIO, errno.ENODEV, errno.ENOENT, errno.ETXTBSY, errno.EACCES):
                    raise
                self.seen.append(["open", "", f"({error.strerror})"])
                continue
            for at in range(0, len(data), EVENT.size):
                _size, _version, _reserved, _meta, mask, fd, pid = EVENT.unpack_from(data, at)
                assert not mask & OVERFLOW, "more than can be noted"
                self.note(mask, fd, pid)

    def note(self, mask, fd, pid):
        path = os.readlink(f"/proc/self/fd/{fd}")
        if mask & OPEN_EXEC_PERM:
            self.seen.append(["start", program_of(pid), path])
            if "/ld-linux" not in path:     # which is begun for each
                self.programs[pid] = path
            os.write(self.fd, struct.pack("=iI", fd, ALLOW))
        else:
            self.seen.append(["open", program_of(pid) or self.programs.get(pid, ""), path])
        os.close(fd)


def main():
    watch = Watch(int(sys.argv[1]))
    print("ready", flush=True)
    while True:
        ready = select.select([watch.fd, sys.stdin], [], [])[0]
        watch.take()
        if sys.stdin in ready:
            if not sys.stdin.readline():
                return
            watch.take()
            print(json.dumps(watch.seen), flush=True)
            watch.seen = []


class Opens:
    def __init__(self, process):
        self._process = process

    def since(self):
        """[(what, program, path)] since this was asked last, in order"""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return [tuple(one) for one in json.loads(self._process.stdout.readline())]


@contextlib.contextmanager
def watching_opens(pid):
    process = subprocess.Popen([sys.executable, "-S", __file__, str(pid)], text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout.readline() == "ready\n", "cannot watch files"
        yield Opens(process)
    finally:
        process.stdin.close()
        process.wait(timeout=20)


if __name__ == "__main__":
    main()
