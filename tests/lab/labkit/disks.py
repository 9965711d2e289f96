# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk processes without a VM: two accounts' processes on one host, for one VM's disks.

They are started and told by disk-tool (tests/unit/smb), that is by vmferryd's own client code.
Both run on hv1, the second with the keytab and account of hv2, so that one process of the test
can hand the disks over between them in milliseconds.
"""

import contextlib
import json
import random
import shlex
import struct
import subprocess
import threading
import time

from labkit import owner_record
from labkit.lab import SHARE, until
from labkit.nbd import NbdClient
from labkit.processes import Process

VM = "6f2f3d5e-0c1a-4b7e-9d55-1f0e2a3b4c5d"
FOLDER = "disks"
SIDS = {"HV1$": "S-1-5-21-1-2-3-1104", "HV2$": "S-1-5-21-1-2-3-1105"}
BLOCK = 4096


class DiskToolError(AssertionError):
    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class DiskProcess:
    """One account's disk process on hv1"""

    def __init__(self, bench, account):
        self.bench, self.account, self.sid = bench, account, SIDS[account]
        name = account.rstrip("$").lower()
        self.run_dir = f"/run/disks-{name}"
        self.cache = f"/run/disks-keys/{name}.cc"
        self.folder = f"{self.run_dir}/{VM}"

    def tool(self, verb, *arguments, timeout=200):
        """One order, by a command of its own"""
        result = self.bench.host.run(self.bench.tool, verb, self.run_dir, VM, *map(str, arguments),
                                     check=False, timeout=timeout)
        return self._judge(result.stdout)

    @staticmethod
    def _judge(line):
        answer = json.loads(line)
        if "error" in answer:
            raise DiskToolError(answer["error"], answer["message"])
        return answer

    @contextlib.contextmanager
    def orders(self):
        """Many orders in one command: a function that takes milliseconds, not a tenth of a second"""
        command = self.bench.host.start(self.bench.tool, "orders", self.run_dir, VM)

        def order(*words):
            command.stdin.write(shlex.join(map(str, words)) + "\n")
            command.stdin.flush()
            return self._judge(command.stdout.readline())
        try:
            yield order
        finally:
            command.stdin.close()
            command.wait(60)
            command.stdout.close()
            command.stderr.close()

    def renew_ticket(self, life="10h"):
        keytab = f"/run/disks-keys/{self.account.rstrip('$').lower()}.keytab"
        self.bench.host.run("bash", "-c", f"""
            KRB5CCNAME=FILE:{self.cache}.new kinit -l {life} -k -t {keytab} '{self.account}' &&
            chown vmferry-disk: {self.cache}.new && mv {self.cache}.new {self.cache}""")

    def launch(self, quarantine_ms=3000, disks=("vda:raw:vda.raw",)):
        urls = [f"{target}:{kind}:{SHARE}/{FOLDER}/{file}"
                for target, kind, file in (disk.split(":") for disk in disks)]
        uid, gid = self.bench.user
        self.bench.host.run("mkdir", "-p", self.run_dir)
        self.tool("launch", self.account, self.sid, self.cache, self.bench.plugin, uid, gid,
                  quarantine_ms, *urls)
        pid = int(self.bench.host.run("cat", f"{self.folder}/pid").stdout)
        self.process = Process.in_host(self.bench.host, pid)

    def describe(self):
        return self.tool("describe")

    def own(self, expected, epoch, next_epoch, wait_ms=5000):
        self.tool("claim", expected, epoch, next_epoch, "running", wait_ms)
        self.tool("open", next_epoch)

    def connect(self, export="vda"):
        """Through the host's own /proc: the socket is in another mount namespace"""
        return NbdClient(f"/proc/{self.process.pid}/root{self.folder}/nbd", export)

    def wait_for_gate(self, gate, seconds=60):
        def at_gate():
            state = self.describe()
            return state if state["gate"] == gate else None
        return until(at_gate, seconds, lambda: f"gate {gate} of {self.account}: {self.describe()}")

    def log(self):
        return self.bench.host.run("cat", f"{self.folder}/disk.log").stdout

    def end(self):
        self.bench.host.run("bash", "-c",
                            f"[ ! -e {self.folder}/pid ] || kill -9 $(cat {self.folder}/pid) || true")


class DiskBench:
    """The folder on the share, the two accounts' keys, the tool"""

    def __init__(self, lab):
        self.lab, self.host = lab, lab.host("hv1")
        build = lab.dir / "build"
        subprocess.run(["ninja", "-C", build, "tests/unit/smb/disk-tool"], check=True, capture_output=True)
        tool = lab.dir / "stage" / "disk-tool"
        tool.write_bytes((build / "tests/unit/smb/disk-tool").read_bytes())
        tool.chmod(0o755)
        self.tool = "/usr/lib/vmferry-stage/disk-tool"
        self.plugin = "/usr/libexec/vmferry/nbdkit-vmferry-plugin.so"
        self.user = self.host.run("bash", "-c", "id -u vmferry-disk; id -g vmferry-disk").stdout.split()
        self._copy_keys()
        self.first, self.second = DiskProcess(self, "HV1$"), DiskProcess(self, "HV2$")
        for process in self.both():
            process.renew_ticket()

    def both(self):
        return self.first, self.second

    def _copy_keys(self):
        keys = self.lab.host("hv2").run("base64", "-w0", "/etc/krb5.keytab").stdout
        self.host.run("bash", "-c", f"""mkdir -p -m 0711 /run/disks-keys && cd /run/disks-keys &&
            cp /etc/krb5.keytab hv1.keytab && base64 -d >hv2.keytab <<<'{keys}'""")

    def smbclient(self, script):
        return self.host.run("bash", "-c", f"""KRB5CCNAME=FILE:/tmp/disks.cc kinit -k 'HV1$' &&
            KRB5CCNAME=FILE:/tmp/disks.cc smbclient --use-kerberos=required --no-pass \
            //fs1.lab.test/vms -c '{script}'""", check=False).stdout

    def fresh_folder(self, size="64M"):
        """An empty folder with one raw disk, made over SMB so that the ACL is inherited"""
        self.smbclient(f"deltree {FOLDER}")
        self.host.run("touch", "/tmp/empty")
        self.smbclient(f"mkdir {FOLDER}; put /tmp/empty {FOLDER}/vda.raw")
        self.lab.host("fs1").run("truncate", "-c", "-s", size, f"/srv/vms/{FOLDER}/vda.raw")

    def record(self):
        path = self.lab.dir / "share" / FOLDER / ".vmferry" / f"{VM}.own"
        return owner_record.decode(path.read_bytes(), VM)

    def share_bytes(self, name):
        return (self.lab.dir / "share" / FOLDER / name).read_bytes()

    def acl(self, *arguments):
        return self.lab.host("fs1").run("smbcacls", "-A", "/root/administrator", "//fs1.lab.test/vms",
                                        *arguments)

    def smbd_of(self, account):
        """The smbd process that serves the account's disk process"""
        label = account.rstrip("$").lower()
        holds = [hold for hold in self.lab.smbd_log().open_holds() if hold.path == f"{FOLDER}/vda.raw"]
        assert [hold.host.lower().startswith(f"{label}$@") for hold in holds] == [True], holds
        return holds[0].pid

    def kill_smbd_of(self, account):
        """Its end is not in the log: the judge is told"""
        pid = self.smbd_of(account)
        self.lab.host("fs1").run("kill", "-9", str(pid))
        self.lab.smbd_log().process_killed(pid)


class Load(threading.Thread):
    """Writes numbered blocks, so many outstanding, and reads back what was acknowledged.

    Each block carries its own number and a count; a block read must hold the last count that was
    acknowledged, or one that is under way. Any error ends it and is raised by stop().
    """

    BLOCKS = 1024

    def __init__(self, process, depth=8, seed=1):
        super().__init__(daemon=True)
        self._client = process.connect()
        self._depth, self._random = depth, random.Random(seed)
        self._ending = threading.Event()
        self._error = None
        self.acknowledged = {}      # block -> count
        self.written = self.checked = 0
        self.longest = 0.0
        self.start()

    @staticmethod
    def content(block, count):
        return struct.pack("<QQ", block, count) * (BLOCK // 16)

    def run(self):
        try:
            while not self._ending.is_set():
                self._round()
        except BaseException as error:      # pylint: disable=broad-except
            self._error = error

    def _round(self):
        begin = time.monotonic()
        blocks = self._random.sample(range(self.BLOCKS), 2 * self._depth)
        writes, reads = blocks[:self._depth], blocks[self._depth:]
        counts = {block: self.acknowledged.get(block, 0) + 1 for block in writes}
        futures = [self._client.submit(1, block * BLOCK, self.content(block, counts[block])) for block in writes]
        found = [self._client.submit(0, block * BLOCK, length=BLOCK) for block in reads]
        for block, future in zip(reads, found):
            self.check(block, future.result(200))
        for block, future in zip(writes, futures):
            future.result(200)
            self.acknowledged[block] = counts[block]
            self.written += 1
        self.longest = max(self.longest, time.monotonic() - begin)

    def check(self, block, data):
        count = self.acknowledged.get(block, 0)
        expected = self.content(block, count) if count else bytes(BLOCK)
        assert data == expected, f"block {block}: {data[:16]!r} instead of count {count}"
        self.checked += 1

    def wait_for_progress(self, writes=50, seconds=120):
        before = self.written
        until(lambda: self._error or self.written >= before + writes, seconds,
              lambda: f"{writes} writes, only {self.written - before}")
        if self._error:
            raise self._error

    def stop(self):
        self._ending.set()
        self.join(200)
        assert not self.is_alive(), "requests are still outstanding"
        self._client.kill()
        if self._error:
            raise self._error

    def check_all(self, data):
        """@data: the whole disk"""
        for block in self.acknowledged:
            self.check(block, data[block * BLOCK:(block + 1) * BLOCK])


@contextlib.contextmanager
def load_on(process, **options):
    load = Load(process, **options)
    load.wait_for_progress()
    yield load
    load.wait_for_progress()
    load.stop()
