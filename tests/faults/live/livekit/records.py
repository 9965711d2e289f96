# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's numbered records, read on the file server: what was acknowledged has to be there.

The format is that of examples/domain-lab/guest/records.c: a ring of slots on a raw disk, record
number s in slot s % N_SLOTS. Read beside a guest that writes on, so numbers are asked before and after.
"""

import struct

RECORD_SIZE, N_SLOTS = 4096, 1024
MAGIC = 0x31524345524D4656
HEADER = struct.Struct("<6Q")
MASK = (1 << 64) - 1


def _checksum(words):
    total = 0xCBF29CE484222325
    for word in words:
        total = ((total ^ word) * 0x100000001B3) & MASK
    return total


def place(file, number):
    """Where the record of that number lies"""
    return number % N_SLOTS * _stride(file)


def _stride(file):
    return file.seek(0, 2) // N_SLOTS // RECORD_SIZE * RECORD_SIZE


def read_slot(file, stride, slot):
    """The number of the valid record in a slot; 0 for an empty one, None for anything else"""
    file.seek(slot * stride)
    raw = file.read(RECORD_SIZE)
    *words, checksum = HEADER.unpack_from(raw)
    if not any(raw):
        return 0
    if words[0] != MAGIC or words[2] != slot or checksum != _checksum(words):
        return None
    return words[1]


def expected(newest, slot):
    """The number of the record that is in @slot when @newest was written last; 0: none"""
    back = (newest - slot) % N_SLOTS
    return newest - back if back < newest else 0


def faults(path, before, newest_after):
    """@before: the newest acknowledged number before this is called; @newest_after(): the one afterwards"""
    with open(path, "rb") as file:
        stride = _stride(file)
        found = [read_slot(file, stride, slot) for slot in range(N_SLOTS)]
    after = newest_after()
    under_way = {number % N_SLOTS for number in range(before + 1, after + 2)}
    for slot, number in enumerate(found):
        if slot not in under_way and number != expected(before, slot):
            yield f"slot {slot} has to hold record {expected(before, slot)}, and holds {number}"
