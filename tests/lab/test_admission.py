# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is not let in by a real vmferryd: each rule by name in one record of its log, nobody served.

test_channel.py shows the rules by the tool that has the same code; here vmferryd itself is asked, by
hv3 with tickets of a real domain controller (what none would issue is forged in
tests/unit/auth/test-gss.c). hv3 is outside the group, unless a test puts it in.
"""

import contextlib
import re

import pytest

from labkit.channel_tool import INSIDE, bring_tool
from labkit.lab import ADDRESSES, until
from test_channel import PASSWORD, disabled, kinit, member, samba_tool

PORT = "16016"
CACHE = "/run/admission.cc"


@pytest.fixture(scope="module", autouse=True)
def tool(lab, hv3):
    bring_tool(lab, hv3)


@pytest.fixture
def log(lab, hv1):
    """What hv1's vmferryd logs from now on"""
    path = lab.log_dir / hv1.name / "lab" / "vmferryd.log"
    at = path.stat().st_size
    return lambda: path.read_bytes()[at:].decode("utf-8", "replace").splitlines()


def refused(host, log, rule, *options):
    said = host.run(INSIDE, "--no-judge", *options, "connect", "hv1.lab.test", ADDRESSES["hv1"], PORT, check=False).stdout
    assert "\nok " not in said and not said.startswith("ok "), said
    until(lambda: any("refused" in line for line in log()), 20, lambda: f"a record: {log()}")
    records = [line for line in log() if "refused" in line]
    assert len(records) == 1, records
    assert re.search(rule, records[0]), records[0]
    # and he is told that, and by which number the record is found
    told = re.search(r"refuses this host; the reason is told only by the log there: "
                     r"journalctl -u vmferryd --grep=([0-9a-f]{8})\b", said)
    assert told and records[0].endswith(f"(record {told[1]})"), (said, records)
    assert not re.search(r"group|accept|account|disabled|expired", said), said


def own_ticket(host):
    """A ticket for hv1 that lives on, whatever becomes of the account"""
    host.run("bash", "-c", f"kinit -k -c FILE:{CACHE} 'HV3$' && kvno -q -c FILE:{CACHE} host/hv1.lab.test")
    return f"--ccache={CACHE}"


def test_host_outside_the_group(hv3, log):
    refused(hv3, log, r"'HV3\$' is not in the allowed group 'VM Hosts'")


def test_user(hv3, log):
    kinit(hv3, CACHE, "alice@LAB.TEST", password=PASSWORD)
    refused(hv3, log, r"'alice@LAB.TEST' is not accepted.*not a computer account", "--as=alice", f"--ccache={CACHE}")


def test_disabled_account_with_an_old_ticket(lab, hv3, log):
    with member(lab, "HV3$"):
        ticket = own_ticket(hv3)
        with disabled(lab, "HV3$"):
            refused(hv3, log, r"computer account 'HV3\$' is disabled", ticket)


@contextlib.contextmanager
def expired(lab, account):
    samba_tool(lab, "user", "setexpiry", account, "--days=0")
    try:
        yield
    finally:
        samba_tool(lab, "user", "setexpiry", account, "--noexpiry")


def test_expired_account_with_an_old_ticket(lab, hv3, log):
    with member(lab, "HV3$"):
        ticket = own_ticket(hv3)
        with expired(lab, "HV3$"):
            refused(hv3, log, r"computer account 'HV3\$' has expired", ticket)


def test_out_of_the_group_since_the_ticket(lab, hv3, log):
    with member(lab, "HV3$"):
        ticket = own_ticket(hv3)
    refused(hv3, log, r"'HV3\$' is not any more in the allowed group", ticket)


def test_refused_host_explains_itself(lab, hv2):
    """A host of the group that is so no more: its own vmferryd looks up what is wrong with it"""
    samba_tool(lab, "group", "removemembers", "VM Hosts", "HV2$")
    try:
        said = hv2.vmferry("hosts", check=False).stdout
        assert re.search(r"'host/hv1.lab.test@LAB.TEST' refuses this host; .*journalctl -u vmferryd "
                         r"--grep=[0-9a-f]{8}\. Seen from here: 'HV2\$' is not in the allowed group 'VM Hosts' "
                         r".*samba-tool group addmembers 'VM Hosts' 'HV2\$'", said, re.S), said
    finally:
        samba_tool(lab, "group", "addmembers", "VM Hosts", "HV2$")
