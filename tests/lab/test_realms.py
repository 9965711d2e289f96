# SPDX-License-Identifier: GPL-3.0-or-later
"""Tickets of another realm that ours trusts, from its own KDC, at the door of a real vmferryd."""

import pytest

from labkit import other_realm, s4u
from labkit.channel_tool import INSIDE, bring_tool
from labkit.other_realm import ACCOUNT, REALM, OtherRealm
from test_admission import CACHE, log, refused  # noqa: F401


@pytest.fixture(scope="module")
def realm_b(lab, hv1, hv2, hv3):
    bring_tool(lab, hv1, hv2, hv3)
    with OtherRealm(lab, hv2) as realm:
        yield realm


def test_host_of_a_trusted_realm(hv3, realm_b, log):  # noqa: F811
    """HV2$ of B.TEST, whose name would do in LAB.TEST, has a ticket for hv1 from LAB.TEST's KDC"""
    realm_b.kerberos(hv3, "kvno", "-q", "-c", f"FILE:{other_realm.CACHE}", "--out-cache", f"FILE:{CACHE}",
                     "host/hv1.lab.test@LAB.TEST")
    assert f"Default principal: {ACCOUNT}@{REALM}" in hv3.run("klist", "-c", f"FILE:{CACHE}").stdout
    s4u.pass_for_service(hv3, CACHE, f"host/hv1.lab.test@{REALM}")  # as the tool will ask for it, being of B.TEST
    refused(hv3, log, r"'HV2\$@B.TEST' is not accepted.*it is of realm 'B.TEST', and peers must be of 'LAB.TEST'",
            f"--as={ACCOUNT}@{REALM}", f"--ccache={CACHE}")


def test_transited_ticket(hv1, hv2, realm_b, log):  # noqa: F811
    """HV2$ of LAB.TEST, a member of the group, by way of B.TEST, whose KDC could make such a ticket for any name"""
    hv2.run("bash", "-ec", f"""
        export KRB5_CONFIG={other_realm.CONFIG}
        kinit -f -k -c FILE:/run/way.cc 'HV2$'
        kvno -q -c FILE:/run/way.cc krbtgt/B.TEST@LAB.TEST
        kvno -q -c FILE:/run/way.cc --out-cache FILE:{CACHE} krbtgt/LAB.TEST@B.TEST""")
    # the library would begin with a ticket-granting ticket of LAB.TEST itself
    s4u.pass_for_service(hv2, CACHE, "krbtgt/LAB.TEST@LAB.TEST")
    ask = "kvno", "-q", "-c", f"FILE:{CACHE}", "host/hv1.lab.test"
    refusal = hv2.run(*ask, check=False)
    assert refusal.returncode != 0 and "Illegal cross-realm ticket" in refusal.stderr, refusal
    with realm_b.transit_allowed(lambda: hv1.run(INSIDE, "computer", "HV2$", check=False).stdout.startswith("ok")):
        hv2.run(*ask)
        refused(hv2, log, r"'HV2\$@LAB.TEST' is not accepted.*its ticket came through another realm", "--as=HV2$",
                f"--ccache={CACHE}")
