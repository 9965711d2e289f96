# SPDX-License-Identifier: GPL-3.0-or-later
"""A second Active Directory that LAB.TEST trusts, and which trusts it: Samba's KDC on one host of the lab.

Only its KDC runs, on a port of its own. The trust is written into both directories at once, with one password,
as the two ends of `samba-tool domain trust create` would agree on it over RPC services, which B.TEST has none of.
"""

import contextlib

from labkit.lab import ADDRESSES, until

REALM = "B.TEST"
ACCOUNT = "HV2$"                    # there is one in LAB.TEST, too, in the group of VM hosts
PASSWORD = "Ferry-4-the-lab"
HOST, PORT = "hv3", 8801            # of the KDC
FOLDER = "/var/lib/realm-b"
SID = "S-1-5-21-1001-2002-3003"
CONFIG = "/run/realm-b.conf"
CACHE = "/run/realm-b.cc"           # a ticket of ACCOUNT's, on HOST
CAPATHS = "/etc/samba/krb5.conf"    # of dc1's KDC, which has none otherwise


class OtherRealm:
    """Exists as long as its context; @clients know where its KDC is"""

    def __init__(self, lab, *clients):
        self.dc1, self.host, self.clients = lab.host("dc1"), lab.host(HOST), clients

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            undo.callback(self.stop)
            self.host.run("bash", "-ec", PROVISION, timeout=300)
            sid = self._directory(self.dc1, "/etc/samba/smb.conf", "trust", "b.test", "B", SID)
            undo.callback(self._directory, self.dc1, "/etc/samba/smb.conf", "forget", "b.test")
            self._directory(self.host, f"{FOLDER}/etc/smb.conf", "trust", "lab.test", "LAB", sid.strip())
            self._directory(self.host, f"{FOLDER}/etc/smb.conf", "computer", ACCOUNT)
            self.host.run("bash", "-c", f"setsid samba -s {FOLDER}/etc/smb.conf --foreground --no-process-group "
                          f"-M single --debug-stdout </dev/null >{FOLDER}/samba.log 2>&1 &")
            for client in {self.host, *self.clients}:
                undo.callback(client.run, "rm", "-f", CONFIG)
                client.run("bash", "-c", f"cat >{CONFIG}", input=KRB5_CONF)
            until(lambda: self.kerberos(self.host, "kinit", "-c", f"FILE:{CACHE}", f"{ACCOUNT}@{REALM}",
                                        input=PASSWORD + "\n", check=False).returncode == 0, 120,
                  lambda: self.host.run("cat", f"{FOLDER}/samba.log").stdout)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_):
        self._undo.close()

    def stop(self):
        self.host.run("bash", "-c", f"""
            read -r pid <{FOLDER}/samba.pid && kill $pid && tail --pid=$pid -f /dev/null
            rm -rf {FOLDER} {CACHE}""", check=False)

    def kerberos(self, host, *command, **options):
        """A command that knows where this realm's KDC is, on one of the clients"""
        return host.run("env", f"KRB5_CONFIG={CONFIG}", *command, **options)

    @contextlib.contextmanager
    def transit_allowed(self, probe):
        """LAB.TEST's KDC lets tickets of its own accounts come back by way of this realm"""
        def restart(command):
            self.dc1.run("bash", "-ec", f"{command}\n/usr/lib/vmferry-lab/service restart samba")
            until(probe, 120, "dc1 is back")
        try:
            restart(rf"printf '[capaths]\n LAB.TEST = {{\n  LAB.TEST = {REALM}\n }}\n' >{CAPATHS}")
            yield
        finally:
            restart(f"rm -f {CAPATHS}")

    def _directory(self, host, conf, *command):
        return host.run("python3", "-c", DIRECTORY, conf, *command).stdout


PROVISION = f"""
mkdir -p {FOLDER}
echo '[global]' >{FOLDER}/empty.conf
samba-tool domain provision -s {FOLDER}/empty.conf --targetdir={FOLDER} --realm={REALM} --domain=B --domain-sid={SID} \
    --server-role=dc --dns-backend=NONE --host-name=kdc --host-ip={ADDRESSES[HOST]} --adminpass={PASSWORD} \
    --option='acl_xattr:security_acl_name = user.NTACL' --option='server services = kdc' \
    --option='pid directory = {FOLDER}' \
    --option='interfaces = eth0' --option='bind interfaces only = yes' \
    --option='krb5 port = {PORT}' --option='kpasswd port = {PORT + 1}' >{FOLDER}/provision.log 2>&1 ||
    {{ tail {FOLDER}/provision.log; exit 1; }}
"""

KRB5_CONF = f"""
[libdefaults]
    default_realm = LAB.TEST
    dns_lookup_realm = false
    dns_lookup_kdc = true
    rdns = false
    dns_canonicalize_hostname = false
[realms]
    {REALM} = {{
        kdc = {ADDRESSES[HOST]}:{PORT}
    }}
"""

# In a domain controller, on its own database: CONF trust PARTNER FLATNAME SID | forget PARTNER | computer ACCOUNT
DIRECTORY = rf"""
import sys, time
from samba.auth import system_session
from samba.dcerpc import drsblobs, lsa, security
from samba.ndr import ndr_pack
from samba.param import LoadParm
from samba.samdb import SamDB

PASSWORD = "{PASSWORD}"

def secret():
    text = PASSWORD.encode("utf-16-le")
    clear = drsblobs.AuthInfoClear()
    clear.size, clear.password = len(text), list(text)
    info = drsblobs.AuthenticationInformation()
    info.LastUpdateTime = int((time.time() + 11644473600) * 10**7)  # as Windows counts
    info.AuthType, info.AuthInfo = lsa.TRUST_AUTH_TYPE_CLEAR, clear
    both = drsblobs.trustAuthInOutBlob()
    both.current = drsblobs.AuthenticationInformationArray()
    both.count = both.current.count = 1
    both.current.array = [info]
    return ndr_pack(both)

conf, verb, name, *rest = sys.argv[1:]
lp = LoadParm()
lp.load(conf)
sam = SamDB(session_info=system_session(), lp=lp)
dn = f"CN={{name}},CN=System,{{sam.domain_dn()}}"
if verb == "trust":
    sam.add({{"dn": dn, "objectClass": "trustedDomain", "trustPartner": name, "flatName": rest[0],
              "securityIdentifier": ndr_pack(security.dom_sid(rest[1])),
              "trustType": str(lsa.LSA_TRUST_TYPE_UPLEVEL), "trustDirection": "3",
              "trustAttributes": str(lsa.LSA_TRUST_ATTRIBUTE_FOREST_TRANSITIVE),
              "trustAuthIncoming": secret(), "trustAuthOutgoing": secret(),
              "msDS-SupportedEncryptionTypes": "24"}}, ["relax:0"])
    print(sam.get_domain_sid())
elif verb == "forget":
    sam.delete(dn, ["relax:0"])
else:
    sam.newcomputer(name.rstrip("$"))
    sam.setpassword(f"(sAMAccountName={{name}})", PASSWORD)
"""
