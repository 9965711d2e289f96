# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of one host shown in another, as no real pair of hosts could: for comparisons only."""

import ctypes
import os
import subprocess

AT_FDCWD = -100
SYS_OPEN_TREE, OPEN_TREE_CLONE = 428, 1
SYS_MOVE_MOUNT, MOVE_MOUNT_F_EMPTY_PATH = 429, 4
CLONE_NEWNS = 0x20000


def _call(libc, *arguments):
    result = libc.syscall(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def show(folder, source, destination):
    """Mount the folder that process `source` sees at the same place for process `destination`.

    Both are labkit.processes.Process of different hosts; the folder exists in both.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            namespaces = [open(f"/proc/{p.pid}/ns/mnt", "rb") for p in (source, destination)]
            tree = None
            for namespace in namespaces:
                if libc.setns(namespace.fileno(), CLONE_NEWNS) < 0:
                    raise OSError(ctypes.get_errno(), "setns")
                if tree is None:
                    tree = _call(libc, SYS_OPEN_TREE, AT_FDCWD, folder.encode(), OPEN_TREE_CLONE)
            _call(libc, SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, folder.encode(), MOVE_MOUNT_F_EMPTY_PATH)
            status = 0
        except OSError as error:
            os.write(2, f"{folder}: {error}\n".encode())
        finally:
            os._exit(status)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        raise RuntimeError(f"cannot show {folder} of process {source.pid} to process {destination.pid}")


def hide(folder, destination):
    subprocess.run(["nsenter", "-t", str(destination.pid), "-m", "umount", folder], check=True)
