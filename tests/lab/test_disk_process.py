# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk processes against the real file server, without VMs (labkit.disks)."""

import os
import re
import signal
import time

import pytest

from labkit.disks import BLOCK, FOLDER, VM, DiskBench, DiskToolError, load_on
from labkit.lab import SHARE, until
from labkit.nbd import WRITE, NbdError
from labkit.processes import Process


ADMINS = r"ACL:LAB\Domain Admins:ALLOWED/0x0/FULL"


@pytest.fixture(scope="module")
def bench(lab):
    return DiskBench(lab)


@pytest.fixture
def disks(bench):
    """Both accounts' processes on a fresh disk that nobody owns"""
    bench.fresh_folder()
    for process in bench.both():
        process.launch()
    mark = len(bench.lab.smbd_log().holds)
    yield bench
    for process in bench.both():
        process.end()
    log = bench.lab.smbd_log()
    mine = [hold for hold in log.holds[mark:] if hold.path.startswith(FOLDER)]
    pairs = [pair for pair in log.two_writers() if pair[0] in mine or pair[1] in mine]
    assert not pairs, f"{len(pairs)} times two writers: {pairs[:3]}"
    assert not [stray for stray in log.stray_writes if stray[2].startswith(FOLDER)]


def assert_denied(text, *words):
    for word in words:
        assert re.search(word, text), f"{word!r} is not in: {text}"


# ---- ownership ----

def test_claim_open_release(disks):
    first, second = disks.both()
    assert first.tool("record") == {"present": False}
    first.own("", 0, 1)
    assert (disks.record().owner_account, disks.record().epoch) == ("HV1$", 1)
    with first.connect() as guest, second.connect() as reader:
        guest.write(BLOCK, b"x" * BLOCK)
        guest.flush()
        assert reader.read(BLOCK, BLOCK) == b"x" * BLOCK
        reader.flush()  # nothing written: it succeeds at a closed gate
        waits = reader.submit(1, 0, b"y" * BLOCK)
        second.tool("probe")
        with pytest.raises(DiskToolError) as refused:
            second.tool("claim", first.sid, 1, 2)
        assert refused.value.code == "busy"
        assert_denied(refused.value.message, r"HV2\$", r"vda\.raw", "another host holds it")
        assert not waits.done()
        first.tool("release")
        second.own(first.sid, 1, 2)
        waits.result(20)
        assert reader.read(0, BLOCK) == b"y" * BLOCK
    with pytest.raises(DiskToolError) as late:
        first.tool("claim", first.sid, 1, 3)
    assert late.value.code == "busy" and "HV2$" in late.value.message


def test_200_handovers_with_writes_outstanding(disks):
    """Each owner's guest leaves 64 writes outstanding when its disks go; what was acknowledged is
    found by the next owner, what waited at the closed gate never comes."""
    first, second = disks.both()
    blocks, count, held_back = {}, 64, 0
    with first.orders() as first_order, second.orders() as second_order:
        owner, other, order, other_order = first, second, first_order, second_order
        order("claim", "", 0, 1)
        order("open", 1)
        for epoch in range(1, 201):
            guest = owner.connect()
            byte = epoch % 250 + 1
            futures = {block: guest.submit(WRITE, block * BLOCK, bytes([byte]) * BLOCK) for block in range(count)}
            order("release")
            answered = {block for block, future in futures.items() if future.done() and not future.exception()}
            other_order("claim", owner.sid, epoch, epoch + 1, "running", 5000)
            other_order("open", epoch + 1)
            assert disks.record().epoch == epoch + 1
            with other.connect() as reader:
                found = reader.read(0, count * BLOCK)
            for block in range(count):
                # unanswered: it was, and the answer has not come through yet, or it was held back
                may_be = {byte} if block in answered else {byte, blocks.get(block, 0)}
                blocks[block] = found[block * BLOCK]
                assert blocks[block] in may_be, f"epoch {epoch}, block {block}"
                assert found[block * BLOCK:(block + 1) * BLOCK] == bytes([blocks[block]]) * BLOCK
            held_back += sum(1 for value in blocks.values() if value != byte)
            if epoch % 2:
                guest.kill()    # a QEMU that is gone; the other half goes on waiting at the gate
            owner, other, order, other_order = other, owner, other_order, order
    assert disks.record().epoch == 201
    assert held_back > 200, "hardly a write was outstanding"
    print(f"{held_back} of {200 * count} writes were held back")


def test_handover_times(disks):
    first, second = disks.both()
    first.own("", 0, 1)
    times = disks.host.run(disks.tool, "pingpong", first.run_dir, first.sid, second.run_dir, second.sid,
                           VM, "1", "200", "60").stdout
    print(times)
    assert disks.record().epoch == 201


def test_record_that_names_another_fences_for_good(disks):
    """The owner is frozen, its server process dies, another takes over: thawed, it must not write."""
    first, second = disks.both()
    first.own("", 0, 1)
    guest = first.connect()
    guest.write(0, b"a" * BLOCK)
    os.kill(first.process.pid, signal.SIGSTOP)
    disks.kill_smbd_of("HV1$")
    second.own(first.sid, 1, 2)
    pending = guest.submit(1, 0, b"b" * BLOCK)
    with second.connect() as other:
        other.write(0, b"c" * BLOCK)
        os.kill(first.process.pid, signal.SIGCONT)
        state = until(lambda: (lambda s: s if s["foreign"] else None)(first.describe()), 60, "foreign")
        assert state["gate"] == "fenced"
        assert_denied(state["trouble"], r"HV2\$", "epoch 2", "nothing is written", "has to end")
        assert not pending.done()
        assert other.read(0, BLOCK) == b"c" * BLOCK
    with pytest.raises(DiskToolError) as refused:
        first.tool("open", 1)
    assert refused.value.code == "busy"
    first.tool("release")       # its VM was ended
    with pytest.raises(NbdError):
        guest.kill()
        pending.result(20)
    assert disks.share_bytes("vda.raw")[:BLOCK] == b"c" * BLOCK


def test_killed_process_leaves_the_disks_free(disks):
    first, second = disks.both()
    first.own("", 0, 1)
    with first.connect() as guest:
        guest.write(0, b"a" * BLOCK)
        first.end()
        second.own(first.sid, 1, 2)
    with second.connect() as guest:
        assert guest.read(0, BLOCK) == b"a" * BLOCK
    first.launch()              # what the killed one left is no obstacle
    assert first.describe()["gate"] == "closed"


def test_second_process_of_a_vm_is_refused(disks):
    with pytest.raises(DiskToolError) as refused:
        disks.first.launch()
    assert refused.value.code == "busy"
    assert "runs here already" in refused.value.message
    assert disks.first.describe()["gate"] == "closed"


def test_links_in_its_folder_give_nothing_away(disks):
    """Its folder is its user's, and root prepares it: a log that is another's file is not handed over"""
    second, host = disks.second, disks.host
    second.end()
    for link in ("ln", "ln -s"):
        host.run("bash", "-c", f"""cd {second.run_dir} && rm -f {second.folder}/disk.log secret &&
            install -m 600 /dev/null secret && {link} {second.run_dir}/secret {second.folder}/disk.log""")
        with pytest.raises(DiskToolError) as refused:
            second.launch()
        assert refused.value.code == "internal"
        assert_denied(refused.value.message, "cannot open its log")
        assert host.run("stat", "-c", "%U %a", f"{second.run_dir}/secret").stdout == "root 600\n"
    host.run("rm", f"{second.folder}/disk.log", f"{second.run_dir}/secret")
    second.launch()


# ---- what is refused ----

def test_no_write_permission_is_named(disks):
    _, second = disks.both()
    second.end()
    disks.acl(f"{FOLDER}/vda.raw", "-S",
              rf"{ADMINS},ACL:LAB\hv1$:ALLOWED/0x0/FULL,ACL:LAB\hv2$:ALLOWED/0x0/READ")
    second.launch()             # reading is enough to come up
    with pytest.raises(DiskToolError) as refused:
        second.tool("probe")
    assert refused.value.code == "denied"
    assert_denied(refused.value.message, r"HV2\$ may not write", r"//fs1\.lab\.test/vms/disks/vda\.raw",
                  r"smbcacls '//fs1\.lab\.test/vms' 'disks/vda\.raw' -a 'ACL:HV2\$:ALLOWED/0x0/FULL'", r"icacls ")
    with pytest.raises(DiskToolError) as refused:
        second.tool("claim", "", 0, 1)
    assert refused.value.code == "denied"
    # the cure that was named is one
    disks.acl(f"{FOLDER}/vda.raw", "-a", "ACL:HV2$:ALLOWED/0x0/FULL")
    second.tool("probe")


def test_launch_tells_why_not(disks):
    second = disks.second
    second.end()
    for wanted, code, words in [
            (("vda:raw:missing.raw",), "config", ["missing.raw", "does not exist"]),
            (("vda:raw:../vda.raw",), "config", [r"'\.' and '\.\.'"]),
            (("vda:qcow2:vda.raw",), "config", ["not a qcow2 file"]),
            (("vda:vmdk:vda.raw",), "unsupported", ["vmdk", "qemu-img convert"])]:
        with pytest.raises(DiskToolError) as refused:
            second.launch(disks=wanted)
        assert refused.value.code == code
        assert_denied(refused.value.message, *words)
    disks.acl(f"{FOLDER}/vda.raw", "-S", rf"{ADMINS},ACL:LAB\hv1$:ALLOWED/0x0/FULL")
    with pytest.raises(DiskToolError) as refused:
        second.launch()
    assert refused.value.code == "denied"
    assert_denied(refused.value.message, r"HV2\$ may not read", "smbcacls")
    disks.host.run("bash", "-c", f": >{second.cache}")
    with pytest.raises(DiskToolError) as refused:
        second.launch()
    assert refused.value.code == "auth"
    assert_denied(refused.value.message, "no Kerberos ticket", "fs1.lab.test")
    second.renew_ticket()


# ---- a file server in trouble ----

def test_smbd_children_killed_under_load(disks):
    first = disks.first
    first.own("", 0, 1)
    with load_on(first) as load:
        for _ in range(5):
            sessions = first.describe()["sessions"]
            disks.kill_smbd_of("HV1$")
            until(lambda: first.describe()["sessions"] > sessions, 60, "a new session")
            first.wait_for_gate("open")
            load.wait_for_progress()
    load.check_all(disks.share_bytes("vda.raw"))
    assert disks.record().epoch == 1
    print(f"{load.written} writes, {load.checked} checked, longest wait {load.longest:.1f} s")


def test_smbd_restarted_under_load(disks):
    first, second = disks.both()
    first.own("", 0, 1)
    with load_on(first) as load:
        for _ in range(2):
            sessions = first.describe()["sessions"]
            disks.lab.host("fs1").service("restart", "smbd")
            until(lambda: first.describe()["sessions"] > sessions, 60, "a new session")
            first.wait_for_gate("open")
            load.wait_for_progress()
    load.check_all(disks.share_bytes("vda.raw"))
    # the process whose gate is closed has a new session, too
    until(lambda: second.describe()["trouble"] == "", 60, "the other is well")
    with second.connect() as reader:
        reader.read(0, BLOCK)


def test_frozen_smbd_only_delays(disks):
    first = disks.first
    first.own("", 0, 1)
    with load_on(first) as load:
        smbd = disks.smbd_of("HV1$")
        disks.lab.host("fs1").run("kill", "-STOP", str(smbd))
        time.sleep(5)       # the fault itself: so long it is frozen
        disks.lab.host("fs1").run("kill", "-CONT", str(smbd))
    assert first.describe()["sessions"] == 1
    assert load.longest > 4


def test_closing_is_waited_for(disks):
    """Release against a server that does not answer takes as long as the server"""
    first, second = disks.both()
    first.own("", 0, 1)
    smbd = disks.smbd_of("HV1$")
    disks.lab.host("fs1").run("kill", "-STOP", str(smbd))
    releasing = disks.host.start(disks.tool, "release", first.run_dir, VM)
    with pytest.raises(DiskToolError) as refused:
        second.tool("claim", first.sid, 1, 2, "running", 1000)
    assert refused.value.code == "busy"
    assert releasing.poll() is None
    disks.lab.host("fs1").run("kill", "-CONT", str(smbd))
    assert releasing.wait(60) == 0
    releasing.communicate()
    second.own(first.sid, 1, 2)


def test_it_ends_when_nobody_waits_for_it(disks):
    """The server is silent while it comes up, and whoever started it is killed: it holds nothing"""
    first, fs1 = disks.first, disks.lab.host("fs1")
    first.end()
    uid, gid = disks.user
    launch = (f"{disks.tool} launch {first.run_dir} {VM} '{first.account}' {first.sid} {first.cache} "
              f"{disks.plugin} {uid} {gid} 3000 vda:raw:{SHARE}/{FOLDER}/vda.raw")
    smbd = str(fs1.service_pid("smbd"))
    fs1.run("kill", "-STOP", smbd)
    try:
        started = disks.host.run("bash", "-c", f"""rm -f {first.folder}/pid; : >{first.folder}/disk.log
            {launch} </dev/null >/dev/null 2>&1 & launcher=$!
            until [ -s {first.folder}/pid ]; do sleep 0.02; done
            kill -9 $launcher; cat {first.folder}/pid""").stdout
        process = Process.in_host(disks.host, int(started))
        assert process.is_there()
    finally:
        fs1.run("kill", "-CONT", smbd)
    until(lambda: not process.is_there(), 30, "the disk process has ended")
    assert "nobody hears that" in first.log()


# ---- formats, memory ----

def test_qcow2_grows_beyond_its_file(disks):
    first, second = disks.both()
    for process in disks.both():
        process.end()
    disks.host.run("qemu-img", "create", "-q", "-f", "qcow2", "/tmp/thin.qcow2", "1G")
    disks.smbclient(f"put /tmp/thin.qcow2 {FOLDER}/vdb.qcow2")
    before = len(disks.share_bytes("vdb.qcow2"))
    for process in disks.both():
        process.launch(disks=("vda:raw:vda.raw", "vdb:qcow2:vdb.qcow2"))
    assert first.describe()["disks"]["vdb"] > 1 << 30
    assert first.describe()["disks"]["vda"] == 64 << 20
    first.own("", 0, 1)
    uri = f"driver=qcow2,file.driver=nbd,file.path={first.folder}/nbd,file.export=vdb"
    disks.host.run("qemu-io", "-c", "write -P 7 0 64k", "-c", "write -P 8 900M 1M", "-c", "flush",
                   "--image-opts", uri)
    assert len(disks.share_bytes("vdb.qcow2")) > before
    first.tool("release")
    second.own(first.sid, 1, 2)
    other = uri.replace(first.folder, second.folder)
    said = disks.host.run("qemu-io", "-c", "read -P 7 0 64k", "-c", "read -P 8 900M 1M",
                          "-c", "read -P 0 500M 1M", "--image-opts", other).stdout
    assert "Pattern verification failed" not in said
    checked = disks.host.run("qemu-img", "check", "--image-opts", other, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_backing_file_is_refused_by_name(disks):
    disks.second.end()
    disks.host.run("bash", "-c", "cd /tmp && qemu-img create -q -f qcow2 base.qcow2 1M && "
                   "qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2")
    disks.smbclient(f"put /tmp/top.qcow2 {FOLDER}/top.qcow2")
    with pytest.raises(DiskToolError) as refused:
        disks.second.launch(disks=("vda:qcow2:top.qcow2",))
    assert refused.value.code == "unsupported"
    assert_denied(refused.value.message, "top.qcow2", "backing file 'base.qcow2'", "qemu-img convert")


def test_head_that_is_changed_later_is_not_read(disks):
    """Another host of the group writes it, when it was judged and QEMU has not opened it yet"""
    first, second = disks.both()
    for process in disks.both():
        process.end()
    disks.host.run("bash", "-c", f"""cd /tmp && qemu-img create -q -f qcow2 clean.qcow2 1M && cp clean.qcow2 backed.qcow2 &&
        qemu-img rebase -q -u -F raw -b 'nbd+unix:///vda?socket={second.folder}/nbd' backed.qcow2 &&
        qemu-img create -q -f qcow2 -o data_file=/tmp/data.raw,data_file_raw=on outside.qcow2 1M""")

    def put(name):
        disks.smbclient(f"put /tmp/{name}.qcow2 {FOLDER}/vdb.qcow2")

    def look():
        return disks.host.run("qemu-img", "info", "--image-opts", check=False, *[
            f"driver=qcow2,file.driver=nbd,file.path={first.folder}/nbd,file.export=vdb"])

    put("clean")
    for process in disks.both():
        process.launch(disks=("vda:raw:vda.raw", "vdb:qcow2:vdb.qcow2"))
    first.own("", 0, 1)
    first.tool("release")
    for name, says in (("backed", rf"backing file 'nbd\+unix:///vda\?socket={second.folder}/nbd'"),
                       ("outside", "external data file '/tmp/data.raw'")):
        assert look().returncode == 0
        put(name)
        seen = look()
        assert seen.returncode != 0
        assert_denied(seen.stderr, "Could not read qcow2 header: Input/output error")
        with first.connect("vdb") as reader, pytest.raises(NbdError):
            reader.read(0, 112)
        assert_denied(first.describe()["trouble"], "'vdb'", r"vdb\.qcow2", says)
        assert_denied(first.log(), says)
        with pytest.raises(DiskToolError) as refused:
            second.tool("claim", first.sid, 1, 2)
        assert refused.value.code == "unsupported"
        assert_denied(refused.value.message, "'vdb'", r"vdb\.qcow2", says)
        put("clean")
    assert look().returncode == 0
    assert first.describe()["trouble"] == ""
    second.own(first.sid, 1, 2)
    assert disks.record().epoch == 2


def test_memory(disks):
    """20 MiB at most, after large and many requests at once: a host runs 200 of them"""
    first = disks.first
    first.own("", 0, 1)
    with first.connect() as guest:
        for _ in range(4):
            futures = [guest.submit(1, i << 20, bytes(1 << 20)) for i in range(16)]
            futures += [guest.submit(0, i << 20, length=1 << 20) for i in range(16, 32)]
            for future in futures:
                future.result(60)
        busy = first.process.pss_mib()
    idle = disks.second.process.pss_mib()
    print(f"PSS {busy:.1f} MiB after load, {idle:.1f} MiB idle, {first.process.threads()} threads")
    assert busy <= 20 and idle <= 20


def test_idle_costs_nothing(disks):
    first = disks.first
    first.own("", 0, 1)
    with first.connect() as guest:
        guest.write(0, bytes(BLOCK))
        before = first.process.cpu_ms()
        time.sleep(5)       # what is measured
        assert first.process.cpu_ms() - before <= 20
