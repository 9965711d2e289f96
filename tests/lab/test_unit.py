# SPDX-License-Identifier: GPL-3.0-or-later
"""vmferryd under the unit that is shipped: what it takes away is gone, and all goes on to work.

tests/unit/daemon/units says what systemd thinks of the file; here a real systemd runs it.
"""

import re

from labkit.lab import until
from labkit.moves import move
from labkit.systemd import UNIT, under_systemd

CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID")


def capabilities(unit):
    """The bounding set that the unit's text asks for, as a number"""
    names = re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.M).group(1).split()
    return sum(1 << CAPABILITIES.index(name.removeprefix("CAP_")) for name in names)


def test_moves_and_restarts_under_the_unit(lab, hv1, hv2, tmp_path):
    unit = hv1.run("cat", UNIT).stdout
    with under_systemd(hv1, tmp_path / "systemd.log") as systemd:
        status = systemd.status_of_main()
        assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == capabilities(unit)
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
        guest = lab.create_guest("united", on=hv1)
        try:
            move(hv1, guest, hv2)
            move(hv2, guest, hv1)

            # the disk process outlives vmferryd, and the guest does not notice
            process = hv1.run("cat", f"/run/vmferry/{guest.uuid}/pid").stdout
            main = systemd.show("MainPID")
            systemd.run("systemctl", "restart", "vmferryd")
            assert systemd.show("MainPID") not in ("0", main)
            until(lambda: hv1.vms()[guest.name]["gate"] == "open", 30, "the disks of the guest are seen to be open")
            assert hv1.run("cat", f"/run/vmferry/{guest.uuid}/pid").stdout == process
            assert guest.observe(20)[-1].io_errors == 0
        finally:
            lab.delete_guest(guest)
        assert systemd.show("Result") == "success"
