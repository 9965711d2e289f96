# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may connect to whom, in a real domain: auth/ and src/channel/ by channel-tool.

The unit tests show what a forged ticket may not do (tests/unit/auth/test-gss.c, test-peer.c); here
real tickets come from a real domain controller, and a real directory is asked. hv3 is the host that
is outside the group, disabled, and in the middle.
"""

import base64
import contextlib
import os
import re

import pytest

from labkit.channel_tool import INSIDE, bring_tool, running
from labkit.lab import ADDRESSES, PROJECT, until

GROUP = "VM Hosts"
PASSWORD = "Ferry-4-the-lab"
PORT = 17001
STRANGER, STRANGER_INSIDE = PROJECT / "tests/hostile/strangers/stranger", "/root/stranger"
RC4_ALONE, USUAL = 4, 31    # msDS-SupportedEncryptionTypes


@contextlib.contextmanager
def accepting(host, *options, port=PORT):
    with running(host, INSIDE, *options, "accept", str(port)) as tool:
        tool.wait_for("listening")
        yield tool


@contextlib.contextmanager
def in_the_middle(host, target, *options, port=PORT + 1, to=PORT):
    """@host passes connections to its @port on to @target"""
    with running(host, INSIDE, *options, "middle", str(port), ADDRESSES[target.name], str(to)) as tool:
        tool.wait_for("listening")
        yield tool


def connect(source, target, *options, via=None, port=PORT, command="connect"):
    address = ADDRESSES[(via or target).name]
    return source.run(INSIDE, *options, command, target.fqdn, address, str(port), check=False).stdout


def samba_tool(lab, *arguments, check=True):
    return lab.host("dc1").run("samba-tool", *arguments, check=check).stdout


@contextlib.contextmanager
def member(lab, account, group=GROUP):
    samba_tool(lab, "group", "addmembers", group, account)
    try:
        yield
    finally:
        samba_tool(lab, "group", "removemembers", group, account)


@contextlib.contextmanager
def disabled(lab, account):
    samba_tool(lab, "user", "disable", account)
    try:
        yield
    finally:
        samba_tool(lab, "user", "enable", account)


def set_encryption(lab, account, value):
    """What the KDC believes that the account knows"""
    attribute = "msDS-SupportedEncryptionTypes"
    lab.host("dc1").run("bash", "-c", f"""
        dn=$(ldbsearch -H /var/lib/samba/private/sam.ldb 'sAMAccountName={account}' dn | sed -n 's/^dn: //p')
        printf 'dn: %s\\nchangetype: modify\\nreplace: {attribute}\\n{attribute}: %s\\n' "$dn" '{value}' |
            ldbmodify -H /var/lib/samba/private/sam.ldb""")


@pytest.fixture(scope="module", autouse=True)
def tool(lab, hv1, hv2, hv3):
    bring_tool(lab, hv1, hv2, hv3)


@pytest.fixture
def acceptor(hv2):
    with accepting(hv2) as found:
        yield found


def kinit(host, cache, *principal, password=None):
    host.run("kinit", "-c", f"FILE:{cache}", *principal,
             input=f"{password}\n" if password else None)


# Identity, tickets, directory


def test_identity_comes_from_the_keytab(hv1):
    said = hv1.run(INSIDE, "identity").stdout
    assert said == "ok HV1$ HV1$@LAB.TEST hv1.lab.test\n"


def test_ticket_cache_serves_libsmbclient(hv1):
    """An MIT cache of format 4, of another user, which the Heimdal in Samba's client reads"""
    cache = "/run/channel-test.cc"
    uid, gid = hv1.run("bash", "-c", "id -u vmferry-disk; id -g vmferry-disk").stdout.split()
    hv1.run(INSIDE, "ticket", cache, uid, gid)
    stat = hv1.run("stat", "-c", "%a %u %g", cache).stdout.split()
    assert stat == ["600", uid, gid]
    assert hv1.run("od", "-An", "-tx1", "-N2", cache).stdout.split() == ["05", "04"]
    listed = hv1.run("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "env",
                     f"KRB5CCNAME=FILE:{cache}", "smbclient", "--use-kerberos=required",
                     f"--use-krb5-ccache=FILE:{cache}", "//fs1.lab.test/vms", "-c", "ls").stdout
    assert "blocks available" in listed
    assert hv1.run("bash", "-c", f"ls -d {cache}*").stdout.split() == [cache]


def test_readers_never_miss_the_cache(hv1):
    """While the ticket is renewed 40 times, each look at the file finds a whole one"""
    cache = "/run/channel-test.cc"
    hv1.run(INSIDE, "ticket", cache, "0", "0")
    said = hv1.run("bash", "-c", f"""
        (for i in $(seq 40); do {INSIDE} ticket {cache} 0 0; done) >/tmp/renewals &
        looks=0
        while kill -0 $! 2>/dev/null; do
            klist -s FILE:{cache} || {{ echo missed; exit 1; }}
            looks=$((looks + 1))
        done
        wait; grep -c ^ok /tmp/renewals; echo looks $looks""").stdout.split()
    assert said[0] == "40" and int(said[2]) > 40


def test_directory_facts(lab, hv1):
    said = hv1.run(INSIDE, "computer", "hv2.lab.test").stdout
    assert re.match(r"ok HV2\$ hv2\.lab\.test S-1-5-21-\S+ uac 0x1000 enabled 1 workstation 1", said)
    assert hv1.run(INSIDE, "computer", "HV2$").stdout.split()[:4] == said.split()[:4]
    dc = hv1.run(INSIDE, "computer", "dc1.lab.test").stdout
    assert "workstation 0" in dc
    assert re.match(r"ok S-1-5-21-\S+: hv1\.lab\.test hv2\.lab\.test\n",
                    hv1.run(INSIDE, "group", GROUP).stdout)
    for name in ("nobody.lab.test", "*", "HV2$)(objectClass=*"):
        said = hv1.run(INSIDE, "computer", name, check=False).stdout
        assert said.startswith(f"failed config the directory of 'LAB.TEST' has no computer account '{name}'")
    said = hv1.run(INSIDE, "group", "no such group", check=False).stdout
    assert said.startswith("failed config") and "no group 'no such group'" in said


def test_primary_group_counts(hv1):
    assert "hv3.lab.test" in hv1.run(INSIDE, "group", "Domain Computers").stdout


def test_distribution_list_is_no_group_of_hosts(lab, hv1):
    samba_tool(lab, "group", "add", "Newsletter", "--group-type=Distribution")
    try:
        said = hv1.run(INSIDE, "group", "Newsletter", check=False).stdout
        assert said.startswith("failed config") and "distribution list" in said
    finally:
        samba_tool(lab, "group", "delete", "Newsletter")


# Good connections


@pytest.mark.parametrize("pair", ["hv1-hv2", "hv2-hv1"])
def test_hosts_connect(lab, pair):
    source, target = map(lab.host, pair.split("-"))
    with accepting(target) as acceptor:
        said = connect(source, target)
        assert re.search(rf"^ok host/{target.fqdn}@LAB.TEST session enctype 18", said, re.M), said
        acceptor.wait_for(rf"accepted control of {re.escape(source.account)}@LAB.TEST sid S-1-5-21-\S+"
                          r" enctypes 18/18")
        acceptor.wait_for("ended in order, in 5 out 4")


def test_connect_from_a_kept_ticket(hv1, hv2, acceptor):
    cache = "/run/channel-test.cc"
    hv1.run(INSIDE, "ticket", cache, "0", "0")
    for _ in range(2):  # the second time with the service ticket of the first
        assert "\nok " in connect(hv1, hv2, f"--ccache={cache}")


def test_memory_streams(hv1, hv2, acceptor):
    said = connect(hv1, hv2, "--streams=3", "--mib=50", command="send")
    assert re.search(r"^ok 3 streams 150 MiB", said, re.M), said
    for _ in range(3):
        acceptor.wait_for("ended in order, in 52428800 out 8")


def test_nested_group(lab, hv2, hv3, acceptor):
    samba_tool(lab, "group", "add", "More hosts")
    try:
        with member(lab, "More hosts"), member(lab, "HV3$", "More hosts"):
            assert "\nok " in connect(hv3, hv2)
            assert "hv3.lab.test" in hv2.run(INSIDE, "group", GROUP).stdout
    finally:
        samba_tool(lab, "group", "delete", "More hosts")


def test_new_machine_password(hv1, hv2):
    """The acceptor reads the keytab anew; tickets for the old key stay good"""
    cache = "/run/channel-test.cc"
    hv1.run(INSIDE, "ticket", cache, "0", "0")
    with accepting(hv2) as acceptor:
        assert "\nok " in connect(hv1, hv2, f"--ccache={cache}")
        hv2.run("net", "ads", "changetrustpw")
        assert "\nok " in connect(hv1, hv2)
        assert "\nok " in connect(hv1, hv2, f"--ccache={cache}")
        acceptor.wait_for("accepted")


# Peers that are not accepted


def refused(said, *words):
    lines = [line for line in said.splitlines() if line.startswith("failed ")]
    assert lines, said
    for word in words:
        assert word in lines[-1], f"{word!r} is not in {lines[-1]!r}"


def told_only_that(said, acceptor, reason):
    """Who is refused hears that and a number; the reason stands with that number at who refused"""
    refused(said, "failed denied")
    told = re.search(r"'host/(\S+)@LAB.TEST' refuses this host; the reason is told only by the log there: "
                     r"journalctl -u vmferryd --grep=([0-9a-f]{8})\b", said)
    assert told, said
    acceptor.wait_for(rf"refused denied .*{reason}.*\(record {told[2]}\)")
    assert GROUP not in said and "accept" not in said, said


def test_host_outside_the_group(hv2, hv3, acceptor):
    cure = rf"samba-tool group addmembers '{GROUP}' 'HV3\$'"
    told_only_that(connect(hv3, hv2), acceptor,
                   rf"'HV3\$@LAB.TEST' is not accepted.*'HV3\$' is not in the allowed group '{GROUP}'.*{cure}")


def test_destination_outside_the_group(hv1, hv3):
    with accepting(hv3, "--no-judge") as acceptor:
        refused(connect(hv1, hv3), "failed denied", f"'HV3$' is not in the allowed group '{GROUP}'")
        acceptor.wait_for(r"refused denied 'HV1\$@LAB.TEST' refuses this host; the reason is told only by the log")


def test_put_into_the_group_after_the_ticket(lab, hv2, hv3, acceptor):
    cache = "/run/channel-test.cc"
    hv3.run(INSIDE, "ticket", cache, "0", "0")
    told_only_that(connect(hv3, hv2, "--no-judge", f"--ccache={cache}"), acceptor, "is not in the allowed group")
    with member(lab, "HV3$"):  # the ticket for hv2 is in the cache by now
        told_only_that(connect(hv3, hv2, f"--ccache={cache}"), acceptor, "was not yet when it got its ticket")
        assert "\nok " in connect(hv3, hv2)  # a new ticket each time


def test_taken_out_of_the_group_after_the_ticket(lab, hv2, hv3, acceptor):
    cache = "/run/channel-test.cc"
    with member(lab, "HV3$"):
        hv3.run(INSIDE, "ticket", cache, "0", "0")
        assert "\nok " in connect(hv3, hv2, f"--ccache={cache}")
    told_only_that(connect(hv3, hv2, f"--ccache={cache}"), acceptor, "is not any more in the allowed group")


def test_disabled_account(lab, hv2, hv3, acceptor):
    cache = "/run/channel-test.cc"
    with member(lab, "HV3$"):
        hv3.run(INSIDE, "ticket", cache, "0", "0")
        assert "\nok " in connect(hv3, hv2, f"--ccache={cache}")
        with disabled(lab, "HV3$"):
            # its tickets live on, the directory says what is true now
            told_only_that(connect(hv3, hv2, "--no-judge", f"--ccache={cache}"), acceptor,
                           r"computer account 'HV3\$' is disabled.*samba-tool user enable 'HV3\$'")
            # and it gets no new ones
            refused(connect(hv3, hv2, "--no-judge"), "failed auth",
                    "cannot get a Kerberos ticket for 'HV3$@LAB.TEST'", "enable")


def test_disabled_destination(lab, hv1, hv3):
    with member(lab, "HV3$"), accepting(hv3, "--no-judge"):
        with disabled(lab, "HV3$"):
            said = connect(hv1, hv3)
            assert "failed denied" in said and "'HV3$' is disabled" in said or "failed auth" in said, said


def test_user(hv1, hv2, acceptor):
    """Any user of the domain gets a ticket for hv2; it is worth nothing"""
    cache = "/run/alice.cc"
    kinit(hv1, cache, "alice@LAB.TEST", password=PASSWORD)
    told_only_that(connect(hv1, hv2, "--as=alice", "--no-judge", f"--ccache={cache}"), acceptor,
                   "'alice@LAB.TEST' is not accepted.*not a computer account")
    judged = [line for line in acceptor.lines if line.startswith("judged")]
    assert judged and all(line.endswith("by (null)") for line in judged), judged  # no directory was asked


def test_forwarded_ticket(hv1, hv2, acceptor):
    cache, forwarded = "/run/channel-test.cc", "/run/forwarded.cc"
    hv1.run("kinit", "-f", "-k", "-c", f"FILE:{cache}", "HV1$")
    made = hv1.run("python3", "-c", FORWARD, cache, forwarded, check=False)
    if "no forwarding" in made.stdout:
        pytest.fail(made.stdout)
    told_only_that(connect(hv1, hv2, "--no-judge", f"--ccache={forwarded}"), acceptor, "is forwarded, proxied")


# krb5's own library, for the one thing that no tool does: a forwarded TGT of this host, to itself.
FORWARD = r"""
import ctypes as c, sys
k = c.CDLL("libkrb5.so.3")
def must(rc):
    if rc: print("no forwarding:", rc & 0xffffffff); sys.exit(1)
P = c.c_void_p
ctx, cc, out, me, host, auth = P(), P(), P(), P(), P(), P()
must(k.krb5_init_context(c.byref(ctx)))
must(k.krb5_cc_resolve(ctx, f"FILE:{sys.argv[1]}".encode(), c.byref(cc)))
must(k.krb5_cc_get_principal(ctx, cc, c.byref(me)))
must(k.krb5_parse_name(ctx, b"host/hv1.lab.test@LAB.TEST", c.byref(host)))
must(k.krb5_auth_con_init(ctx, c.byref(auth)))
class Data(c.Structure): _fields_ = [("magic", c.c_int), ("length", c.c_uint), ("data", P)]
cred, rep = Data(), Data()
# an AP exchange with ourselves gives the keys that the KRB-CRED is sealed with
token = Data()
must(k.krb5_mk_req(ctx, c.byref(auth), 0, b"host", b"hv1.lab.test", None, cc, c.byref(token)))
must(k.krb5_fwd_tgt_creds(ctx, auth, b"hv1.lab.test", me, host, cc, 1, c.byref(cred)))
other, keytab, creds = P(), P(), c.POINTER(P)()
must(k.krb5_auth_con_init(ctx, c.byref(other)))
must(k.krb5_auth_con_setflags(ctx, other, 0))
must(k.krb5_kt_resolve(ctx, b"FILE:/etc/krb5.keytab", c.byref(keytab)))
must(k.krb5_rd_req(ctx, c.byref(other), c.byref(token), host, keytab, None, None))
must(k.krb5_auth_con_setflags(ctx, other, 0))
must(k.krb5_rd_cred(ctx, other, c.byref(cred), c.byref(creds), None))
must(k.krb5_cc_resolve(ctx, f"FILE:{sys.argv[2]}".encode(), c.byref(out)))
must(k.krb5_cc_initialize(ctx, out, me))
must(k.krb5_cc_store_cred(ctx, out, creds[0]))
"""


def test_rc4_ticket(lab, hv1, hv2, acceptor):
    """The KDC is told that HV2$ knows only RC4, and the keytab has that key: a host does not take such a ticket, and
    one that it brings is refused although it is a member's"""
    cache = "/run/rc4-test.cc"
    hv1.run("bash", "-c", f"cat >{STRANGER_INSIDE}", input=STRANGER.read_text())
    hv1.run("kinit", "-k", "-c", f"FILE:{cache}", "HV1$")
    set_encryption(lab, "HV2$", RC4_ALONE)
    try:
        refused(connect(hv1, hv2), "failed auth", "'host/hv2.lab.test@LAB.TEST': KDC has no support for encryption type",
                "the account has no AES key")
        acceptor.wait_for("refused unreachable the other end closed")
        hv1.run("bash", "-c", f"cp {cache} {cache}.rc4; kvno -q -c FILE:{cache}.rc4 host/hv2.lab.test")
    finally:
        set_encryption(lab, "HV2$", USUAL)
    brought = hv1.run("klist", "-e", "-c", f"FILE:{cache}.rc4").stdout
    assert re.search(r"host/hv2\.lab\.test@.*\n.*\(skey, tkt\): \S*arcfour-hmac, \S*arcfour-hmac", brought), brought
    hv1.run("env", f"KRB5CCNAME=FILE:{cache}", "python3", STRANGER_INSIDE, hv2.fqdn, str(PORT), "user-brings-an-rc4-ticket")
    acceptor.wait_for(r"refused auth cannot accept a Kerberos ticket for 'host/hv2.lab.test@LAB.TEST' encrypted with "
                      r"arcfour-hmac \(23\) \(refused: only AES is good enough\)")
    assert "\nok " in connect(hv1, hv2)


def test_wrong_target_name(hv1, hv2, hv3, acceptor):
    """Whoever redirects a connection (DNS, ARP) cannot pass for the host that was meant"""
    refused(connect(hv1, hv3, via=hv2), "failed auth", "host/hv3.lab.test@LAB.TEST")
    acceptor.wait_for("refused auth cannot accept a Kerberos ticket for 'host/hv3.lab.test@LAB.TEST'")


def test_unknown_target(hv1, hv2, acceptor):
    said = hv1.run(INSIDE, "connect", "nobody.lab.test", hv2.fqdn, str(PORT), check=False).stdout
    refused(said, "failed auth", "host/nobody.lab.test@LAB.TEST", "join")


def test_oneself(hv1):
    with accepting(hv1) as acceptor:
        refused(connect(hv1, hv1), "failed config", "this host itself")
        # with the check of the name evaded
        said = connect(hv1, hv1, "--as=HV1$", "--fqdn=elsewhere.lab.test")
        refused(said, "failed denied", "this host itself")
        acceptor.wait_for("refused unreachable the other end closed the connection")
        # and whoever accepts does not rely on that
        told_only_that(connect(hv1, hv1, "--as=HV1$", "--fqdn=elsewhere.lab.test", "--no-judge"), acceptor,
                       r"'HV1\$@LAB.TEST' is not accepted.*this host itself")


def test_reflection(hv1, hv2, hv3):
    """hv1's connection to hv2 is sent back to hv1 (CVE-2025-33073)"""
    with accepting(hv1) as acceptor, in_the_middle(hv3, hv1):
        refused(connect(hv1, hv2, via=hv3, port=PORT + 1), "failed ")
        acceptor.wait_for("refused auth cannot accept a Kerberos ticket for 'host/hv2.lab.test@LAB.TEST'")


def test_relay_without_change_is_harmless(hv1, hv2, hv3, acceptor):
    with in_the_middle(hv3, hv2):
        assert "\nok " in connect(hv1, hv2, via=hv3, port=PORT + 1)


@pytest.mark.parametrize("at", [0, 9, 700, 1300, 1420])
def test_changed_byte(hv1, hv2, hv3, acceptor, at):
    with in_the_middle(hv3, hv2, f"--flip={at}"):
        refused(connect(hv1, hv2, via=hv3, port=PORT + 1), "failed ")
        acceptor.wait_for("refused ")


def test_replay(hv1, hv2, hv3, acceptor):
    with in_the_middle(hv3, hv2, "--record=/tmp/record"):
        assert "\nok " in connect(hv1, hv2, via=hv3, port=PORT + 1)
    acceptor.wait_for("ended in order")
    hv3.run(INSIDE, "raw", hv2.fqdn, str(PORT), "/tmp/record")
    acceptor.wait_for("refused auth .*copy of an earlier connection")


def test_truncated_stream(hv1, hv2, hv3, acceptor):
    """Cut within a stream: an error at both ends, not an end of file"""
    with in_the_middle(hv3, hv2, "--cut=3000000"):
        said = connect(hv1, hv2, "--mib=50", via=hv3, port=PORT + 1, command="send")
        assert re.search("^(ended|failed) unreachable", said, re.M), said
        assert "\nok " not in said
        acceptor.wait_for("ended unreachable .*cut")


def test_oversized_token(hv3, hv2, acceptor):
    said = hv3.run(INSIDE, "oversized", hv2.fqdn, str(PORT)).stdout
    assert int(re.search(r"closed after (\d+) ms, 0 bytes said", said).group(1)) < 1000
    acceptor.wait_for("refused protocol .*token's length")


def test_slowloris(hv3, hv2, acceptor):
    said = hv3.run(INSIDE, "slow", hv2.fqdn, str(PORT)).stdout
    assert 9000 < int(re.search(r"closed after (\d+) ms, 0 bytes said", said).group(1)) < 11500
    acceptor.wait_for("refused unreachable .*in time")


def test_garbage(hv3, hv2, acceptor):
    for number, garbage in enumerate([b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, os.urandom(5000)]):
        hv3.run("bash", "-c", "base64 -d >/tmp/garbage", input=base64.b64encode(garbage).decode())
        said = hv3.run(INSIDE, "raw", hv2.fqdn, str(PORT), "/tmp/garbage").stdout
        assert " 0 bytes said" in said, number
        acceptor.wait_for("refused protocol")


def test_crowd(hv1, hv2, hv3, acceptor):
    """One address that opens connections and says nothing takes only its own places"""
    with running(hv3, "python3", "-c",
                 f"import socket, time\ns = [socket.create_connection(('{hv2.fqdn}', {PORT})) for _ in range(40)]\n"
                 "print('open', flush=True)\ntime.sleep(60)") as crowd:
        crowd.wait_for("open")
        acceptor.wait_for("refused busy")
        assert "\nok " in connect(hv1, hv2)


# The other host goes away


@pytest.mark.parametrize("speaks", [False, True], ids=["idle", "speaking"])
def test_vanished_peer(lab, hv2, hv3, acceptor, speaks):
    """No FIN, no RST: the network just does not carry any more"""
    with member(lab, "HV3$"), running(hv3, INSIDE, "hold", hv2.fqdn, ADDRESSES["hv2"], str(PORT)) as tool:
        tool.wait_for("holding")
        try:
            lab.check("cut", "hv3", "hv2")
            if speaks:
                tool.tell("anybody there?\n")
            lost = int(tool.wait_for(r"lost after (\d+) ms").group(1))
            assert 7000 < lost < 14000
            tool.wait_for("ended unreachable")
            acceptor.wait_for("ended unreachable")
        finally:
            lab.check("heal")


# The directory goes away


def test_directory_restarts(lab, hv1):
    """A session that has died is replaced within the same question"""
    with running(hv1, INSIDE, "again", "HV2$") as tool:
        tool.wait_for("^ok HV2")
        tool.wait_for("waiting")
        lab.host("dc1").run("/usr/lib/vmferry-lab/service", "restart", "samba")
        until(lambda: hv1.run(INSIDE, "computer", "HV2$", check=False).stdout.startswith("ok"), 30,
              "the directory is back")
        tool.tell("\n")
        tool.wait_for("^ok HV2")


def test_directory_down(lab, hv1, hv2):
    """No new connection; the message says that the directory is the reason"""
    cache = "/run/channel-test.cc"
    with accepting(hv2) as acceptor:
        assert "\nok " in connect(hv1, hv2)
        hv1.run(INSIDE, "ticket", cache, "0", "0")
        assert "\nok " in connect(hv1, hv2, f"--ccache={cache}")
        lab.host("dc1").run("/usr/lib/vmferry-lab/service", "stop", "samba")
        try:
            refused(connect(hv1, hv2, "--no-judge", f"--ccache={cache}"), "failed denied", "refuses this host",
                    "journalctl -u vmferryd --grep=")
            acceptor.wait_for(r"refused unreachable .*domain controller.*\(record [0-9a-f]{8}\)")
            refused(connect(hv1, hv2, "--no-judge"), "failed unreachable", " KDC ")
        finally:
            lab.host("dc1").run("/usr/lib/vmferry-lab/service", "start", "samba")
            until(lambda: hv1.run(INSIDE, "computer", "HV2$", check=False).stdout.startswith("ok"), 30,
                  "the directory is back")
        assert "\nok " in connect(hv1, hv2)
