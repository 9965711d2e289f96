# SPDX-License-Identifier: GPL-3.0-or-later
"""Fifty moves back and forth, judged from outside.

A journey is one guest that is moved to and fro; everything that can be seen from outside is
noted around each move, and at the end of the journey each claim is judged by a test of its own.
Part of each journey is made while the guest dirties its memory.
"""

import dataclasses
import statistics
import time

import pytest

from labkit import report as move_report
from labkit.lab import until
from labkit.watch import MS, presence

DIRTY_MIB_S = 60


@dataclasses.dataclass(frozen=True)
class Plan:
    guest: str
    disks: tuple
    idle_moves: int
    dirty_moves: int


PLANS = [
    Plan("raw", ("raw:64M",), 12, 8),
    Plan("thin", ("qcow2:256M",), 10, 6),
    Plan("two", ("qcow2:128M", "raw:64M"), 8, 6),
]


def test_plans_make_fifty_moves_twenty_of_them_busy():
    assert sum(plan.idle_moves + plan.dirty_moves for plan in PLANS) == 50
    assert sum(plan.dirty_moves for plan in PLANS) == 20


@dataclasses.dataclass
class Move:
    number: int
    busy: bool
    source: str
    destination: str
    began: int          # ns since 1970
    ended: int
    status: int
    report: dict
    output: str
    epoch: int          # in the owner record, after the move
    owner: str
    rarp: bool
    open_files: list    # the file server's table of the guest's disks, after the move
    believed: list      # the same by the judge of the log: (path, pid)

    def __str__(self):
        busy = ", busy" if self.busy else ""
        return f"move {self.number} ({self.source} to {self.destination}{busy})"


@dataclasses.dataclass
class Journey:
    plan: Plan
    guest: object
    first_epoch: int = 0
    moves: list = dataclasses.field(default_factory=list)
    beats: list = None
    losses: list = None
    sizes: dict = None      # of the disks' files, before and after
    status: dict = None     # what the guest says at the end
    trouble: str = ""       # why it ended early


def make_move(lab, guest, number, busy, source, destination):
    mark = lab.watch.mark()
    began = time.time_ns()
    result = source.vmferry("migrate", guest.name, "--to", destination.name, "--json", check=False)
    ended = time.time_ns()

    def announced():
        return any(a.kind == "rarp" and a.host == destination.name and a.mac == guest.mac
                   for a in lab.watch.read(mark).announcements)

    try:
        rarp = until(announced, 5, "RARP")
    except AssertionError:
        rarp = False
    try:
        report = move_report.parse(result.stdout)
    except ValueError as error:
        report = {"unreadable": str(error)}
    record = guest.record()
    paths = {path for _, path in guest.disks.values()}
    return Move(number=number, busy=busy, source=source.name, destination=destination.name, began=began,
                ended=ended, status=result.returncode, report=report, output=result.stdout + result.stderr,
                epoch=record.epoch, owner=record.owner_account, rarp=rarp,
                open_files=[f for f in lab.server_files() if f.path in paths and f.writes],
                believed=[(h.path, h.pid) for h in lab.smbd_log().open_holds() if h.path in paths])


def keep_busy(guest):
    guest.tell("dirty", DIRTY_MIB_S)
    until(lambda: guest.observe(1)[-1].dirty_kib_s > DIRTY_MIB_S * 1024 // 2, 30,
          lambda: f"half of {DIRTY_MIB_S} MiB/s dirtied: {guest.observe(1)[-1].dirty_kib_s} KiB/s")


def writes_records(guest):
    """After a boot the guest first reads what earlier boots left on its disks."""
    until(lambda: guest.observe(1)[-1].records > 0, 60, f"{guest} writes records")


def file_sizes(lab, guest):
    return {path: (lab.dir / "share" / path).stat().st_size for _, path in guest.disks.values()}


def travel(lab, plan, journey):
    guest, mark = journey.guest, lab.watch.mark()
    source, destination = lab.host("hv1"), lab.host("hv2")
    writes_records(guest)
    journey.first_epoch = guest.record().epoch
    journey.sizes = {"before": file_sizes(lab, guest)}
    for number in range(1, plan.idle_moves + plan.dirty_moves + 1):
        busy = number > plan.idle_moves
        if number == plan.idle_moves + 1:
            keep_busy(guest)
        move = make_move(lab, guest, number, busy, source, destination)
        journey.moves.append(move)
        if move.status != 0:
            journey.trouble = f"{move} ended with {move.status}: {move.output}"
            break
        guest.observe(100)
        source, destination = destination, source
    guest.tell("dirty", 0)
    guest.tell("scan")
    journey.status = guest.tell("status")
    journey.sizes["after"] = file_sizes(lab, guest)
    seen = lab.watch.read(mark)
    journey.beats, journey.losses = seen.beats_of(guest.name), seen.losses


@pytest.fixture(scope="module", params=PLANS, ids=lambda plan: plan.guest)
def journey(lab, hv1, request):
    plan = request.param
    guest = lab.create_guest(plan.guest, plan.disks, on=hv1)
    found = Journey(plan, guest)
    try:
        travel(lab, plan, found)
        yield found
    finally:
        lab.delete_guest(guest)


def test_every_move_succeeds(journey):
    assert journey.trouble == ""
    assert len(journey.moves) == journey.plan.idle_moves + journey.plan.dirty_moves


def test_guest_is_where_it_was_sent(journey):
    stays = presence(journey.beats).stays
    assert [stay.host for stay in stays] == ["hv1"] + [move.destination for move in journey.moves]


def test_guest_never_rebooted(journey):
    assert len({beat.boot for beat in journey.beats}) == 1


def test_no_heartbeat_from_two_hosts_at_once(journey):
    assert journey.losses == [], "the observer lost frames: it cannot tell"
    assert presence(journey.beats).two_at_once == []


def test_every_disk_kept_every_record(journey):
    for target in journey.guest.disks:
        assert int(journey.status[f"{target}.written"]) > 0, target
        assert int(journey.status[f"{target}.io_errors"]) == 0, target
        assert int(journey.status[f"{target}.mismatches"]) == 0, target


def test_records_were_written_between_all_moves(journey):
    """The disks were in use all the time, or the claims about them would be idle."""
    for earlier, later in zip(journey.moves, journey.moves[1:]):
        records = [b.records for b in journey.beats if earlier.ended < b.time < later.began]
        assert records[-1] > records[0], f"between {earlier} and {later}"


def test_memory_held_what_was_stored(journey):
    assert int(journey.status["memory_mismatches"]) == 0


def test_epoch_only_grows(journey):
    epochs = [journey.first_epoch] + [move.epoch for move in journey.moves]
    assert all(earlier < later for earlier, later in zip(epochs, epochs[1:])), epochs
    assert [move.report.get("epoch") for move in journey.moves] == epochs[1:]


def test_record_names_the_destination(lab, journey):
    for move in journey.moves:
        assert move.owner == lab.host(move.destination).account, str(move)


def test_file_server_never_saw_two_writers(lab, journey):
    log = lab.smbd_log()
    for _, path in journey.guest.disks.values():
        during = [hold.host for hold in log.holds if hold.path == path and hold.since * 1000 > journey.moves[0].began]
        assert during == [lab.host(move.destination).smb_label() for move in journey.moves], path
        assert [f"{a} | {b}" for a, b in log.two_writers(path)] == []
        assert [f"{a} | {b}" for a, b in log.double_holds(path)] == []
        assert [stray for stray in log.stray_writes if stray[2] == path] == []


def test_file_servers_table_agrees_with_its_log(journey):
    for move in journey.moves:
        assert sorted((file.path, file.pid) for file in move.open_files) == sorted(move.believed), str(move)
        assert len(move.open_files) == len(journey.guest.disks), str(move)
        assert all(file.denies_write for file in move.open_files), str(move)


def test_destination_announces_the_guest(journey):
    assert [str(move) for move in journey.moves if not move.rarp] == []


def test_report_of_each_move_has_the_schema(journey):
    for move in journey.moves:
        assert move_report.faults(move.report) == [], f"{move}: {move.output}"
        assert move.report["vm"] == journey.guest.name
        assert move.report["from"] == f"{move.source}.lab.test"
        assert move.report["to"] == f"{move.destination}.lab.test"


def outage_ms(journey, move):
    """From the last heartbeat at the source to the first at the destination"""
    last = max(b.time for b in journey.beats if b.host == move.source and b.time < move.ended)
    return (min(b.time for b in journey.beats if b.time > last) - last) / MS


def noise_ms(journey):
    """The largest gap between two moves, in the middle: what the machine's load does to heartbeats"""
    return statistics.median(
        presence([b for b in journey.beats if earlier.ended < b.time < later.began]).largest_gap_ms()
        for earlier, later in zip(journey.moves, journey.moves[1:]))


def test_reported_downtime_is_the_outage_seen(journey):
    """Within a factor of two, and what the load of the machine adds, for most of the moves"""
    noise, wrong = noise_ms(journey), []
    for move in journey.moves:
        seen, reported = outage_ms(journey, move), move.report["downtime_ms"]
        if seen > 2 * reported + noise or reported > 2 * seen + noise:
            wrong.append(f"{move}: {reported} ms reported, {seen} ms seen")
    assert len(wrong) <= len(journey.moves) // 2, wrong


def test_thin_disks_have_grown_and_raw_ones_have_not(journey):
    before, after = journey.sizes["before"], journey.sizes["after"]
    for form, path in journey.guest.disks.values():
        if form == "raw":
            assert after[path] == before[path], path
        else:
            assert after[path] > before[path], path
