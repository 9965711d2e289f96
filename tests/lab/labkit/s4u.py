# SPDX-License-Identifier: GPL-3.0-or-later
"""Tickets that a host gets in the name of others: MS-SFU, with MIT's kvno and a real KDC.

Resource-based delegation (msDS-AllowedToActOnBehalfOfOtherIdentity) makes the same tickets; Samba 4.17's KDC
has the attribute but refuses by it ("Constrained delegation not allowed"), so it is not tried.
"""

KEYTAB = "/run/s4u.keytab"
TGT = "/run/s4u-tgt.cc"


def get_ready(host):
    """A TGT of the host's account, and its keytab without the account's other names, among which kvno would lose it"""
    host.run("bash", "-c", f"""
        rm -f {KEYTAB}
        {{ echo rkt /etc/krb5.keytab
           klist -k /etc/krb5.keytab | awk -v me='{host.account}@LAB.TEST' 'NR > 3 && $2 != me {{ print "delent", NR - 3 }}' | tac
           echo wkt {KEYTAB}; }} | ktutil >/dev/null
        kinit -f -k -c FILE:{TGT} '{host.account}'""")


def self_ticket(host, user, cache):
    """S4U2Self: for the host itself, in the user's name"""
    host.run("kvno", "-q", "-c", f"FILE:{TGT}", "-I", user, "--out-cache", f"FILE:{cache}", host.account)


def proxy_ticket(host, user, cache, service, check=True):
    """S4U2Self and, with that as its evidence, S4U2Proxy: for the service, in the user's name"""
    return host.run("kvno", "-q", "-c", f"FILE:{TGT}", "-k", KEYTAB, "-I", user, "-P", "--out-cache", f"FILE:{cache}",
                    service, check=check)


def pass_for_service(host, cache, service):
    """The cache's one ticket is said to be for @service@REALM; what is sealed in it stays what it is"""
    host.run("python3", "-c", RENAME, cache, service)


RENAME = r"""
import ctypes as c, sys
k = c.CDLL("libkrb5.so.3")
def must(rc):
    if rc: sys.exit(f"krb5: {rc & 0xffffffff}")
P = c.c_void_p
class Creds(c.Structure):  # krb5_creds
    _fields_ = [("magic", c.c_int), ("client", P), ("server", P), ("rest", c.c_char * 200)]
ctx, cc, cursor, client, server, creds = P(), P(), P(), P(), P(), Creds()
must(k.krb5_init_context(c.byref(ctx)))
must(k.krb5_cc_resolve(ctx, f"FILE:{sys.argv[1]}".encode(), c.byref(cc)))
must(k.krb5_cc_get_principal(ctx, cc, c.byref(client)))
must(k.krb5_cc_start_seq_get(ctx, cc, c.byref(cursor)))
must(k.krb5_cc_next_cred(ctx, cc, c.byref(cursor), c.byref(creds)))
must(k.krb5_cc_end_seq_get(ctx, cc, c.byref(cursor)))
must(k.krb5_parse_name(ctx, sys.argv[2].encode(), c.byref(server)))
creds.server = server
must(k.krb5_cc_initialize(ctx, cc, client))
must(k.krb5_cc_store_cred(ctx, cc, c.byref(creds)))
"""
