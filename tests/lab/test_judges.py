# SPDX-License-Identifier: GPL-3.0-or-later
"""The judges are judged: each is shown what it must catch, first made up, then for real."""

import hashlib
import struct
import uuid

import pytest

from labkit import owner_record, report
from labkit.lab import until
from labkit.smbd_log import SmbdLog
from labkit.untouched import largest_unexplained_ms
from labkit.watch import MS, Beat, parse_line, presence

# ---- the owner record ----

VM = "5f1d9a52-7c1e-4f0b-9d53-0d6a1c0de001"


def make_slot(epoch=7, sequence=12, state=2, vm=VM, account=b"HV1$", magic=b"VMFOWNER", version=1):
    body = struct.pack("<8sIIQQ16s16s48s8s32s128s32s128sq32s", magic, version, state, sequence, epoch,
                       uuid.UUID(vm).bytes, uuid.UUID(int=5).bytes, b"m-1", b"", b"\x11" * 32,
                       b"S-1-5-21-1-2-3-1104", account, b"moved", 1700000000000000, b"")
    return body + hashlib.sha256(body).digest()


def test_owner_record_is_decoded():
    record = owner_record.decode(make_slot() + bytes(512), VM)
    assert (record.epoch, record.sequence, record.state) == (7, 12, "running")
    assert (record.owner_account, record.owner_sid) == ("HV1$", "S-1-5-21-1-2-3-1104")
    assert (record.vm_uuid, record.migration_id, record.reason) == (VM, "m-1", "moved")


@pytest.mark.parametrize("first, second", [((7, 12), (8, 13)), ((8, 13), (7, 12)), ((8, 12), (8, 13))])
def test_owner_record_greatest_epoch_and_sequence_is_current(first, second):
    record = owner_record.decode(make_slot(*first) + make_slot(*second))
    assert (record.epoch, record.sequence) == (8, 13)


@pytest.mark.parametrize("place", range(0, 512, 7))
def test_owner_record_flipped_bit_is_seen(place):
    slot = bytearray(make_slot())
    slot[place] ^= 4
    with pytest.raises(owner_record.BadRecord):
        owner_record.decode(bytes(slot))


@pytest.mark.parametrize("data", [b"", make_slot()[:511], make_slot() * 3, make_slot(magic=b"VMFOWNEX"),
                                  make_slot(version=2), make_slot(state=0), make_slot(account=b"H\x01")])
def test_owner_record_nonsense_is_refused(data):
    with pytest.raises(owner_record.BadRecord):
        owner_record.decode(data)


def test_owner_record_of_another_vm_is_refused():
    with pytest.raises(owner_record.BadRecord):
        owner_record.decode(make_slot(), str(uuid.UUID(int=1)))


# ---- the file server's log ----

class LogWriter:
    """Lines as smbd writes them"""

    def __init__(self):
        self.judge, self.milliseconds = SmbdLog(), 0

    def line(self, pid, text):
        self.milliseconds += 1
        self.judge.feed(f"[2026/11/22 00:59:42.{self.milliseconds:03d}000,  2, pid={pid}] ../x.c:1(f)")
        self.judge.feed("  " + text)

    def connect(self, pid, host):
        self.line(pid, "Registered MSG_REQ_POOL_USAGE")
        self.line(pid, f"10.99.0.{host} (ipv4:10.99.0.{host}:60416) signed connect to service vms "
                       rf"initially as user LAB\hv{host}$ (uid=200500, gid=200513) (pid {pid})")

    def open(self, pid, write=True, granted=True):
        self.line(pid, rf"LAB\x$ opened file demo/vda.raw read=Yes write={'Yes' if write else 'No'} (numopen=2)")
        result = "ok" if granted else "fail (Operation not permitted)"
        self.line(pid, f"10.99.0.1|10.99.0.1|{pid}|hv_|create_file|{result}|0x12019f|file|open|/srv/vms/demo/vda.raw")

    def close(self, pid):
        self.line(pid, r"LAB\x$ closed file demo/vda.raw (numopen=0) NT_STATUS_OK")

    def write(self, pid):
        self.line(pid, f"10.99.0.1|10.99.0.1|{pid}|hv_|pwrite_send|ok|/srv/vms/demo/vda.raw")


@pytest.fixture
def log():
    writer = LogWriter()
    writer.connect(31, 1)
    writer.connect(32, 2)
    return writer


def test_smbd_log_handover_is_one_writer(log):
    log.open(31, write=False)
    log.open(32, write=False)
    for _ in range(3):
        for pid in (31, 32):
            log.open(pid)
            log.write(pid)
            log.close(pid)
    assert log.judge.two_writers() == []
    assert log.judge.stray_writes == [] and log.judge.unmatched == []
    assert [hold.host for hold in log.judge.holds] == ["hv1$@10.99.0.1", "hv2$@10.99.0.2"] * 3


def test_smbd_log_second_open_before_close_is_two_writers(log):
    log.open(31)
    log.open(32)
    log.close(31)
    log.close(32)
    assert len(log.judge.two_writers("demo/vda.raw")) == 1
    assert log.judge.two_writers("demo/vdb.raw") == []


def test_smbd_log_open_that_was_refused_is_no_writer(log):
    log.open(31)
    log.open(32, granted=False)
    log.open(32, write=False, granted=False)
    log.write(31)
    assert log.judge.two_writers() == [] and len(log.judge.open_holds()) == 1
    log.close(32)
    assert [host for _, host, _ in log.judge.unmatched] == ["hv2$@10.99.0.2"]


def test_smbd_log_two_writers_that_stay_are_caught(log):
    log.open(31)
    log.open(32)
    assert len(log.judge.two_writers()) == 1


def test_smbd_log_later_writers_are_compared_with_all_earlier_ones(log):
    log.open(31)
    for _ in range(2):
        log.open(32)
        log.close(32)
    assert len(log.judge.two_writers()) == 2


def test_smbd_log_write_after_close_is_caught(log):
    log.open(31)
    log.close(31)
    log.open(32)
    log.write(31)
    assert [(host, path) for _, host, path in log.judge.stray_writes] == [("hv1$@10.99.0.1", "demo/vda.raw")]


def test_smbd_log_two_sessions_of_one_host_are_told_apart(log):
    log.connect(33, 1)
    log.open(31)
    log.open(33)
    assert log.judge.two_writers() == []
    assert len(log.judge.double_holds()) == 1


def test_smbd_log_process_number_used_again_ends_its_holds(log):
    log.open(31)
    log.connect(31, 1)
    log.open(32)
    assert log.judge.two_writers() == []


def test_smbd_log_restarted_server_ends_all_holds(log):
    log.line(1, "waiting for connections")
    log.open(31)
    log.line(2, "waiting for connections")
    log.open(32)
    assert log.judge.two_writers() == []


# ---- the heartbeats ----

MAC = "52:54:00:98:00:64"


def beats(*runs):
    """A heartbeat every 2 ms; each run is (host, boot, first sequence number, how many)"""
    found, time = [], 0
    for host, boot, first, n in runs:
        for sequence in range(first, first + n):
            time += 2 * MS
            found.append(Beat(time, host, "demo", MAC, boot, sequence, time, 0, 0, 0, 0, 0))
    return found


def test_heartbeats_of_a_moved_guest_are_one_line():
    judged = presence(beats(("hv1", "b", 1, 50), ("hv2", "b", 51, 50), ("hv1", "b", 101, 50)))
    assert judged.hosts() == ["hv1", "hv2", "hv1"]
    assert judged.two_at_once == [] and judged.lost == 0
    assert judged.largest_gap_ms() == 2


def test_heartbeats_lost_ones_are_counted():
    assert presence(beats(("hv1", "b", 1, 50), ("hv2", "b", 54, 50))).lost == 3


@pytest.mark.parametrize("runs", [
    (("hv1", "b", 1, 50), ("hv2", "b", 50, 1)),                           # one heartbeat twice
    (("hv1", "b", 1, 50), ("hv2", "b", 51, 5), ("hv1", "b", 51, 5)),      # both go on
    (("hv1", "b", 1, 50), ("hv2", "c", 1, 5), ("hv1", "b", 51, 5)),       # started a second time
    (("hv1", "b", 1, 50), ("hv1", "b", 20, 5)),                           # an old state came back
])
def test_heartbeats_of_two_running_guests_are_caught(runs):
    assert presence(beats(*runs)).two_at_once


def test_heartbeats_outage_is_measured():
    before, after = beats(("hv1", "b", 1, 50)), beats(("hv1", "b", 1, 50), ("hv2", "b", 51, 50))[50:]
    late = [beat._replace(time=beat.time + 70 * MS) for beat in after]
    assert presence(before + late).largest_gap_ms() == 72


def test_heartbeats_wait_for_a_processor_explains_what_it_covers():
    before, after = beats(("hv1", "b", 1, 50)), beats(("hv1", "b", 1, 50), ("hv1", "b", 51, 50))[50:]
    gaps = presence(before + [beat._replace(time=beat.time + 70 * MS) for beat in after]).gaps
    last = before[-1].time
    assert largest_unexplained_ms(gaps, []) == 72
    # 60 ms of waiting, within the gap; then the same before it, and behind it
    assert largest_unexplained_ms(gaps, [(last - MS, 5), (last + 80 * MS, 5 + 60 * MS)]) == 12
    assert largest_unexplained_ms(gaps, [(last - 9 * MS, 5), (last - MS, 60 * MS), (last + 80 * MS, 60 * MS)]) == 72
    assert largest_unexplained_ms(gaps, [(last - MS, 5), (last + 73 * MS, 5), (last + 99 * MS, 60 * MS)]) == 72


def test_watch_log_lines_are_parsed():
    beat = parse_line(f"17.000000002 hv1 beat demo {MAC} 00000000000000ff 9 8 7 6 5 4 3\n")
    assert beat == Beat(17000000002, "hv1", "demo", MAC, "00000000000000ff", 9, 8, 7, 6, 5, 4, 3)
    assert parse_line(f"17.000000002 hv1 beat demo {MAC} 00000000000000ff 9 8") is None
    assert parse_line("17.000000002 hv2 unplugged\n") is None
    assert parse_line(f"17.000000002 hv2 rarp {MAC}\n").mac == MAC
    with pytest.raises(ValueError):
        parse_line(f"17.000000002 hv2 what {MAC}\n")


# ---- the report of a move ----

def good_report():
    return {"schema": "vmferry.migrate/1", "vm": "demo", "from": "hv1.lab.test", "to": "hv2.lab.test",
            "outcome": "runs-on-destination", "stages": [{"name": n, "ms": 1.5} for n in report.STAGES],
            "downtime_ms": 61.5, "handover_ms": 4.1, "total_ms": 400, "memory_bytes": 1 << 27,
            "epoch": 8, "error": None}


def test_report_good_one_has_no_faults():
    assert report.faults(good_report()) == []


@pytest.mark.parametrize("change", [
    {"schema": "vmferry.migrate/2"}, {"outcome": "fine"}, {"stages": []}, {"total_ms": "400"},
    {"stages": [{"name": n, "ms": 1} for n in reversed(report.STAGES)]}, {"total_ms": 2},
    {"outcome": "continues-on-source"}, {"error": {"code": "denied", "message": "no"}}, {"more": 1},
    {"epoch": None}, {"downtime_ms": None}, {"handover_ms": True},
    {"outcome": "continues-on-source", "error": {"message": "no"}}, {"outcome": None},
    {"outcome": None, "error": {"code": "unreachable", "message": "no"}},
    {"outcome": None, "stages": []},
])
def test_report_faults_are_found(change):
    assert report.faults(good_report() | change)


def test_report_refusal_needs_no_figures():
    nothing = dict.fromkeys(("downtime_ms", "handover_ms", "total_ms", "memory_bytes", "epoch"))
    refusal = good_report() | nothing | {"outcome": "continues-on-source", "stages": [],
                                         "error": {"code": "denied", "message": "no"}}
    assert report.faults(refusal) == []
    assert report.faults(refusal | {"outcome": None}) == []


@pytest.mark.parametrize("member", sorted(report.MEMBERS))
def test_report_missing_member_is_found(member):
    found = good_report()
    del found[member]
    assert report.faults(found)


def test_report_must_end_the_output():
    assert report.parse('{"a": 1}\n') == {"a": 1}
    for output in ("", "no object", '{"a": 1} and more', '{"a": '):
        with pytest.raises(ValueError):
            report.parse(output)


# ---- for real ----

SCRATCH = "judged.raw"


class RawClient:
    """smbclient as the host's computer account: opens a file read-write, denying nobody"""

    def __init__(self, host):
        script = ("export KRB5CCNAME=FILE:/tmp/judged.cc; kinit -k \"$1\" && "
                  "exec smbclient --use-kerberos=required --no-pass //fs1.lab.test/vms")
        self.process = host.start("bash", "-c", script, "client", host.account)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def open(self):
        self.say(f"open {SCRATCH}")

    def close(self):
        self.say("close 1")

    def end(self):
        self.process.communicate("exit\n", timeout=30)


@pytest.fixture
def clients(lab, hv1, hv2):
    lab.host("fs1").run("smbclient", "//fs1.lab.test/vms", "-A", "/root/administrator", "-c",
                        f"put /etc/hostname {SCRATCH}")
    found = [RawClient(hv1), RawClient(hv2)]
    yield found
    for client in found:
        client.end()


def scratch_holds(lab):
    return [hold for hold in lab.smbd_log().open_holds() if hold.path == SCRATCH]


def test_lab_two_real_writers_are_caught(lab, hv1, hv2, clients):
    earlier = len(lab.smbd_log().two_writers(SCRATCH))
    for client in clients:
        client.open()
    until(lambda: len(scratch_holds(lab)) == 2, 10, "both opens are logged")
    caught = lab.smbd_log().two_writers(SCRATCH)[earlier:]
    assert {hold.host for hold in caught[-1]} == {hv1.smb_label(), hv2.smb_label()}
    opened = [file for file in lab.server_files() if file.path == SCRATCH]
    assert len(opened) == 2 and all(file.writes and not file.denies_write for file in opened)
    assert {file.pid for file in opened} == {hold.pid for hold in caught[-1]}


def test_lab_one_real_writer_after_the_other_is_no_fault(lab, clients):
    earlier = len(lab.smbd_log().two_writers(SCRATCH))
    for client in clients:
        client.open()
        until(lambda: len(scratch_holds(lab)) == 1, 10, "the open is logged")
        client.close()
        until(lambda: not scratch_holds(lab), 10, "the close is logged")
    assert len(lab.smbd_log().two_writers(SCRATCH)) == earlier


FORGE = """
import socket, struct, sys
boot, sequence = int(sys.argv[1], 16), int(sys.argv[2])
beat = struct.pack("<IHHQQQQQQQII24s", 0x42464d56, 1, 1, boot, sequence, 0, 0, 0, 0, 0, 0, 0, sys.argv[3].encode())
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.sendto(beat, ("10.98.0.255", 9977))
"""


def test_lab_heartbeat_from_a_second_host_is_caught(lab, hv1, hv2):
    guest = lab.create_local_guest("judged", hv1)
    try:
        last = guest.observe(20)[-1]
        assert last.host == "hv1"
        mark = lab.watch.mark()
        hv2.run("ip", "address", "add", "10.98.0.222/24", "dev", "br0")
        hv2.run("python3", "-c", FORGE, last.boot, last.sequence, guest.name)
        until(lambda: any(b.host == "hv2" for b in guest.beats_since(mark)), 5, "the forged one is seen")
        assert [later.host for _, later in presence(guest.beats_since(mark)).two_at_once] == ["hv2"]
    finally:
        hv2.run("ip", "address", "flush", "dev", "br0")
        lab.delete_local_guest(guest, hv1)
