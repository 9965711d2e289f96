# SPDX-License-Identifier: GPL-3.0-or-later
"""Known holes of others that no other test has by its name (docs/SECURITY.md lists them all)."""

import pytest

from labkit.untouched import untouched

# What a client of the NBD socket says before it may read: an option with a name of that length.
LONG_NAME = """
import socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(15)
assert s.recv(18)[:8] == b"NBDMAGIC"
s.sendall(struct.pack(">I", 1))
option, stated, sent = map(int, sys.argv[2:5])
name = b"x" * sent
data = struct.pack(">I", stated & 0xffffffff) + name if option == 7 else name
try:
    s.sendall(b"IHAVEOPT" + struct.pack(">II", option, stated) + data)
    s.shutdown(socket.SHUT_WR)
    while s.recv(65536):
        pass
except ConnectionError:
    pass    # closed with a part of it unread; a time-out is an error
"""
EXPORT_NAME, INFO, GO = 1, 6, 7


@pytest.fixture(scope="module")
def guest(lab, hv1):
    found = lab.create_guest("named", on=hv1)
    yield found
    lab.delete_guest(found)


@pytest.mark.parametrize("option", [EXPORT_NAME, INFO, GO], ids=["export-name", "info", "go"])
@pytest.mark.parametrize("length", [4097, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF])
def test_cve_2022_26496_nbd_export_name_length(lab, hv1, guest, option, length):
    """Whoever reaches the socket (QEMU's user alone) says a name that is too long: the disk process
    goes on, and the guest's connection with it."""
    process = hv1.run("cat", f"/run/vmferry/{guest.uuid}/pid").stdout
    with untouched(lab, guest):
        hv1.run("python3", "-c", LONG_NAME, f"/run/vmferry/{guest.uuid}/nbd", str(option), str(length),
                str(min(length, 200000)))
    assert hv1.run("cat", f"/run/vmferry/{guest.uuid}/pid").stdout == process
    assert hv1.run("stat", "-c", "%a %U", f"/run/vmferry/{guest.uuid}/nbd").stdout.split() == ["600", "libvirt-qemu"]
    assert guest.observe(20)[-1].io_errors == 0
