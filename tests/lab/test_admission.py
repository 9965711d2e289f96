# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is not let in by a real vmferryd: each rule by name in one record of its log, nobody served.

test_channel.py shows the rules by the tool that has the same code; here vmferryd itself is asked, by
hosts with tickets of a real domain controller (what none would issue is forged in
tests/unit/auth/test-gss.c). hv3 is outside the group, unless a test puts it in.
"""

import contextlib
import re

import pytest

from labkit import s4u
from labkit.channel_tool import INSIDE, bring_tool
from labkit.lab import ADDRESSES, until
from test_channel import PASSWORD, disabled, kinit, member, samba_tool

PORT = "16016"
CACHE = "/run/admission.cc"


@pytest.fixture(scope="module", autouse=True)
def tool(lab, hv1, hv2, hv3):
    bring_tool(lab, hv1, hv2, hv3)


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
    assert not re.search(r"group|accept|account|disabled|expired|S4U|realm|delegat", said.replace("delegating\n", "")), said
    return said


def own_ticket(host):
    """A ticket for hv1 that lives on, whatever becomes of the account"""
    host.run("bash", "-c", f"kinit -k -c FILE:{CACHE} 'HV3$' && kvno -q -c FILE:{CACHE} host/hv1.lab.test")
    return f"--ccache={CACHE}"


def test_host_outside_the_group(hv3, log):
    refused(hv3, log, r"'HV3\$' is not in the allowed group 'VM Hosts'")


def test_oneself(hv1, log):
    """Who has this host's own key, or sends its own words back"""
    refused(hv1, log, r"'HV1\$@LAB.TEST' is not accepted.*this host itself", "--as=HV1$", "--fqdn=elsewhere.lab.test")


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


# A name that somebody else took


S4U = r"'%s@LAB.TEST' is not accepted.*its ticket was got by another service in its name \(S4U"


@pytest.fixture(scope="module")
def impersonators(lab, hv2, hv3):
    """The directory trusts hv2 and hv3 to pass anybody on to hv1, as it would a web server"""
    hosts, way_back = [hv2, hv3], []
    try:
        for host in hosts:
            way_back += [f"del-service '{host.account}' host/hv1.lab.test", f"for-any-protocol '{host.account}' off"]
            delegation(lab, f"add-service '{host.account}' host/hv1.lab.test",
                       f"for-any-protocol '{host.account}' on")
            s4u.get_ready(host)
        yield {host.name: host for host in hosts}
    finally:
        delegation(lab, *way_back)


def delegation(lab, *commands):
    lab.host("dc1").run("bash", "-ec", "\n".join(f"samba-tool delegation {command}" for command in commands))


@pytest.mark.parametrize("whose, who", [("hv3", "HV2$"), ("hv2", "HV3$")])
def test_constrained_delegation(impersonators, log, whose, who):
    """Who may act for others gets a ticket for hv1 in the name of a member of the group: as good as that, and refused"""
    host = impersonators[whose]
    s4u.proxy_ticket(host, who, CACHE, "host/hv1.lab.test")
    assert f"Default principal: {who}@LAB.TEST" in host.run("klist", "-c", f"FILE:{CACHE}").stdout
    refused(host, log, S4U % re.escape(who), f"--as={who}", f"--ccache={CACHE}")


def test_constrained_delegation_of_administrator(impersonators, log):
    s4u.proxy_ticket(impersonators["hv2"], "Administrator", CACHE, "host/hv1.lab.test")
    refused(impersonators["hv2"], log, r"'Administrator@LAB.TEST' is not accepted.*not a computer account",
            "--as=Administrator", f"--ccache={CACHE}")


def test_service_beside_us_takes_a_name(hv1, log):
    """What shares hv1's account may have a ticket for hv1 in anybody's name, without anybody's leave"""
    s4u.get_ready(hv1)
    s4u.self_ticket(hv1, "HV2$", CACHE)
    s4u.pass_for_service(hv1, CACHE, "host/hv1.lab.test@LAB.TEST")
    refused(hv1, log, S4U % r"HV2\$", "--as=HV2$", f"--ccache={CACHE}")


def test_ticket_for_another_in_a_members_name(hv1, hv3, log):
    """hv3's own ticket in the name of HV2$, said to be for hv1, whose key does not open it"""
    s4u.get_ready(hv3)
    s4u.self_ticket(hv3, "HV2$", CACHE)
    s4u.pass_for_service(hv3, CACHE, "host/hv1.lab.test@LAB.TEST")
    said = hv3.run(INSIDE, "--no-judge", "--as=HV2$", f"--ccache={CACHE}", "connect", "hv1.lab.test", ADDRESSES["hv1"],
                   PORT, check=False).stdout
    assert re.fullmatch("failed auth .* The ticket isn't for us.*\n", said), said  # Kerberos' own error
    until(lambda: any("refused" in line for line in log()), 20, lambda: f"a record: {log()}")
    (record,) = [line for line in log() if "refused" in line]
    assert "cannot accept a Kerberos ticket for 'HV3$@LAB.TEST'" in record and "another service" in record, record


def test_credentials_handed_over(hv2, log):
    """A member of the group that hands its own ticket-granting ticket to hv1"""
    hv2.run("kinit", "-f", "-k", "-c", f"FILE:{CACHE}", "HV2$")
    said = refused(hv2, log, r"'HV2\$@LAB.TEST' is not accepted.*it delegates its credentials to this host",
                   "--delegate", f"--ccache={CACHE}")
    assert said.startswith("delegating\n")


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
