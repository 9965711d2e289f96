# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner record of a VM, decoded from the format that smb/owner-record.h documents."""

import dataclasses
import hashlib
import struct
import uuid

SLOT_SIZE = 512
MAGIC = b"VMFOWNER"
VERSION = 1
STATES = {1: "owned", 2: "running", 3: "returned", 4: "stopped"}


class BadRecord(Exception):
    """The file is no owner record; the message says why"""


@dataclasses.dataclass(frozen=True)
class OwnerRecord:
    state: str
    sequence: int
    epoch: int
    vm_uuid: str
    boot_id: str
    migration_id: str
    disks_digest: str
    owner_sid: str
    owner_account: str
    reason: str
    written_at_us: int


def _text(padded):
    text, _, rest = padded.partition(b"\0")
    if rest.strip(b"\0"):
        raise BadRecord("bytes behind the end of a text")
    if not all(0x20 <= byte < 0x7f for byte in text):
        raise BadRecord("a text is not printable ASCII")
    return text.decode("ascii")


def decode_slot(slot):
    if len(slot) != SLOT_SIZE:
        raise BadRecord(f"a slot of {len(slot)} bytes")
    if slot[:8] != MAGIC:
        raise BadRecord("no magic")
    if hashlib.sha256(slot[:480]).digest() != slot[480:]:
        raise BadRecord("the checksum does not fit")
    version, state, sequence, epoch = struct.unpack_from("<IIQQ", slot, 8)
    if version != VERSION:
        raise BadRecord(f"version {version}")
    if state not in STATES:
        raise BadRecord(f"state {state}")
    if slot[112:120].strip(b"\0") or slot[448:480].strip(b"\0"):
        raise BadRecord("unused bytes are not zero")
    return OwnerRecord(
        state=STATES[state], sequence=sequence, epoch=epoch,
        vm_uuid=str(uuid.UUID(bytes=slot[32:48])), boot_id=str(uuid.UUID(bytes=slot[48:64])),
        migration_id=_text(slot[64:112]), disks_digest=slot[120:152].hex(),
        owner_sid=_text(slot[152:280]), owner_account=_text(slot[280:312]),
        reason=_text(slot[312:440]), written_at_us=struct.unpack_from("<q", slot, 440)[0])


def decode(data, vm_uuid=None):
    """The current record of a whole file: its valid slot with the greatest (epoch, sequence)."""
    if len(data) > 2 * SLOT_SIZE:
        raise BadRecord(f"the file has {len(data)} bytes")
    found, reasons = [], []
    for start in range(0, len(data), SLOT_SIZE):
        try:
            found.append(decode_slot(data[start:start + SLOT_SIZE]))
        except BadRecord as error:
            reasons.append(f"slot {start // SLOT_SIZE}: {error}")
    if not found:
        raise BadRecord("; ".join(reasons) or "the file is empty")
    record = max(found, key=lambda r: (r.epoch, r.sequence))
    if vm_uuid and record.vm_uuid != vm_uuid:
        raise BadRecord(f"the record is that of VM {record.vm_uuid}")
    return record
