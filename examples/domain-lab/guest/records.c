/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Numbered records on raw disks: the guest's own judge of its storage.
 *
 * Each disk is a ring of N_SLOTS places, spread evenly over the whole device so that a thin
 * image grows. Record number s lies in slot s % N_SLOTS. One thread per disk writes record
 * after record with O_DIRECT, waits for fdatasync, and reads it back; before a slot is
 * overwritten, the record that must be in it is read once more. So at any time the disk must
 * hold exactly the last N_SLOTS records, and nothing else is right:
 *
 *   a lost write shows an older number, a late one an older number at a place already
 *   overwritten, a torn one breaks the checksum or the pattern, a misplaced one the slot.
 *
 * At boot the ring is read to find where to go on. The slot after the newest record may hold
 * anything, for its write may have been cut off by the end of the last boot. A device never
 * written reads as zeros.
 *
 * A write that fails is an I/O error; it is tried again until it succeeds, because after a
 * failure nobody knows what the slot holds.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define RECORD_SIZE  4096
#define N_SLOTS      1024
#define RECORD_MAGIC 0x31524345524d4656u

struct record {
    uint64_t magic, sequence, slot, boot, monotonic_ns, checksum;
    uint64_t pattern[(RECORD_SIZE - 48) / 8];
};
_Static_assert(sizeof(struct record) == RECORD_SIZE, "a record is one block");

struct disk {
    char device[16];
    int fd;
    uint64_t stride, boot;
    uint64_t newest; /* number of the newest record; 0: none yet */
    struct record *buffer, *scratch;
    _Atomic uint64_t written, mismatches, io_errors;
    _Atomic uint64_t write_ns_max, write_ns_sum, writes_timed;
    _Atomic unsigned scans_wanted, scans_done;
};

static struct disk disks[N_DISKS_MAX];
static _Atomic unsigned n_disks;
static _Atomic unsigned rate;

static uint64_t
header_checksum(const struct record *r)
{
    const uint64_t words[] = {r->magic, r->sequence, r->slot, r->boot, r->monotonic_ns};
    uint64_t sum = 0xcbf29ce484222325u;

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        sum = (sum ^ words[i]) * 0x100000001b3u;
    return sum;
}

static uint64_t
pattern_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void
record_fill(struct record *r, uint64_t sequence, uint64_t boot)
{
    uint64_t state = sequence * 0x9e3779b97f4a7c15u | 1;

    r->magic = RECORD_MAGIC;
    r->sequence = sequence;
    r->slot = sequence % N_SLOTS;
    r->boot = boot;
    r->monotonic_ns = guest_clock_ns();
    r->checksum = header_checksum(r);
    for (size_t i = 0; i < sizeof r->pattern / 8; i++)
        r->pattern[i] = pattern_next(&state);
}

static bool
record_is_valid(const struct record *r, uint64_t slot)
{
    uint64_t state = r->sequence * 0x9e3779b97f4a7c15u | 1;

    if (r->magic != RECORD_MAGIC || r->checksum != header_checksum(r) || r->slot != slot)
        return false;
    for (size_t i = 0; i < sizeof r->pattern / 8; i++)
        if (r->pattern[i] != pattern_next(&state))
            return false;
    return true;
}

static bool
record_is_empty(const struct record *r)
{
    static const struct record zero;

    return memcmp(r, &zero, sizeof zero) == 0;
}

/* The number of the record that must be in `slot` when `newest` was written last; 0: none */
static uint64_t
expected_in_slot(uint64_t newest, uint64_t slot)
{
    uint64_t back = (newest + N_SLOTS - slot) % N_SLOTS;

    return back < newest ? newest - back : 0;
}

static bool
slot_read(struct disk *disk, uint64_t slot, struct record *r)
{
    if (pread(disk->fd, r, RECORD_SIZE, (off_t)(slot * disk->stride)) == RECORD_SIZE)
        return true;
    guest_say("%s: read of slot %llu: %s", disk->device, (unsigned long long)slot, strerror(errno));
    disk->io_errors++;
    return false;
}

/* Compares a slot with what must be in it, and counts and tells a difference. */
static void
slot_check(struct disk *disk, uint64_t slot, const struct record *r, const char *when)
{
    uint64_t sequence = expected_in_slot(disk->newest, slot);
    bool right = sequence == 0 ? record_is_empty(r)
                               : record_is_valid(r, slot) && r->sequence == sequence;

    if (right)
        return;
    disk->mismatches++;
    guest_say("%s: %s: slot %llu must hold record %llu, holds %s %llu", disk->device, when,
              (unsigned long long)slot, (unsigned long long)sequence,
              record_is_valid(r, slot) ? "record" : "no valid record; number there:",
              (unsigned long long)r->sequence);
}

/* At boot: find the newest record, then hold every slot but the one after it against it. */
static void
ring_resume(struct disk *disk)
{
    struct record *r = disk->scratch;

    for (uint64_t slot = 0; slot < N_SLOTS; slot++) {
        while (!slot_read(disk, slot, r))
            usleep(100000);
        if (record_is_valid(r, slot) && r->sequence > disk->newest)
            disk->newest = r->sequence;
    }
    for (uint64_t slot = 0; slot < N_SLOTS; slot++)
        if (slot != (disk->newest + 1) % N_SLOTS && slot_read(disk, slot, r))
            slot_check(disk, slot, r, "boot");
    guest_say("%s: goes on after record %llu", disk->device, (unsigned long long)disk->newest);
}

static void
ring_scan(struct disk *disk)
{
    for (uint64_t slot = 0; slot < N_SLOTS; slot++)
        if (slot_read(disk, slot, disk->scratch))
            slot_check(disk, slot, disk->scratch, "scan");
}

static void
note_write_time(struct disk *disk, uint64_t ns)
{
    if (ns > disk->write_ns_max)
        disk->write_ns_max = ns;
    disk->write_ns_sum += ns;
    disk->writes_timed++;
}

/* Writes record `sequence` and makes it durable; tries until it is. */
static void
record_write(struct disk *disk, uint64_t sequence)
{
    off_t offset = (off_t)(sequence % N_SLOTS * disk->stride);

    for (;;) {
        uint64_t began = guest_clock_ns();

        record_fill(disk->buffer, sequence, disk->boot);
        if (pwrite(disk->fd, disk->buffer, RECORD_SIZE, offset) == RECORD_SIZE &&
            fdatasync(disk->fd) == 0) {
            note_write_time(disk, guest_clock_ns() - began);
            return;
        }
        guest_say("%s: write of record %llu: %s", disk->device, (unsigned long long)sequence,
                  strerror(errno));
        disk->io_errors++;
        usleep(100000);
    }
}

static void
ring_advance(struct disk *disk, bool check_old)
{
    uint64_t sequence = disk->newest + 1, slot = sequence % N_SLOTS;

    if (check_old && slot_read(disk, slot, disk->scratch))
        slot_check(disk, slot, disk->scratch, "before overwriting");
    record_write(disk, sequence);
    disk->newest = sequence;
    if (slot_read(disk, slot, disk->scratch) &&
        memcmp(disk->scratch, disk->buffer, RECORD_SIZE) != 0) {
        disk->mismatches++;
        guest_say("%s: record %llu did not read back as written", disk->device,
                  (unsigned long long)sequence);
    }
    disk->written++;
}

static void *
disk_thread(void *argument)
{
    struct disk *disk = argument;
    uint64_t next;
    bool after_boot = true;

    ring_resume(disk);
    next = guest_clock_ns();
    for (;;) {
        unsigned wanted = disk->scans_wanted, per_second = rate;

        if (wanted != disk->scans_done) {
            ring_scan(disk);
            disk->scans_done = wanted;
        }
        next += per_second ? 1000000000u / per_second : 50000000u;
        if (guest_clock_ns() < next)
            guest_sleep_until(next);
        else
            next = guest_clock_ns();
        if (per_second) {
            ring_advance(disk, !after_boot);
            after_boot = false;
        }
    }
    return NULL;
}

void
records_start(const char *device, unsigned per_second, uint64_t boot)
{
    struct disk *disk = &disks[n_disks];
    pthread_t thread;
    uint64_t size;

    snprintf(disk->device, sizeof disk->device, "%s", device);
    disk->boot = boot;
    disk->fd = open(device, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (disk->fd < 0 || ioctl(disk->fd, BLKGETSIZE64, &size) < 0 || size < N_SLOTS * RECORD_SIZE) {
        guest_say("%s: cannot be used for records: %s", device, strerror(errno));
        disk->io_errors++;
        n_disks++;
        return;
    }
    disk->stride = size / N_SLOTS / RECORD_SIZE * RECORD_SIZE;
    disk->buffer = aligned_alloc(RECORD_SIZE, RECORD_SIZE);
    disk->scratch = aligned_alloc(RECORD_SIZE, RECORD_SIZE);
    rate = per_second;
    n_disks++;
    pthread_create(&thread, NULL, disk_thread, disk);
}

void
records_set_rate(unsigned per_second)
{
    rate = per_second;
}

unsigned
records_n_disks(void)
{
    return n_disks;
}

struct records_totals
records_totals(void)
{
    struct records_totals totals = {0};

    for (unsigned i = 0; i < n_disks; i++) {
        totals.records += disks[i].written;
        totals.mismatches += disks[i].mismatches;
        totals.io_errors += disks[i].io_errors;
    }
    return totals;
}

long
records_scan(void)
{
    unsigned wanted[N_DISKS_MAX];
    long scanned = 0;

    for (unsigned i = 0; i < n_disks; i++)
        wanted[i] = ++disks[i].scans_wanted;
    for (unsigned i = 0; i < n_disks; i++) {
        uint64_t deadline = guest_clock_ns() + 60000000000u;

        while (disks[i].scans_done != wanted[i]) {
            if (guest_clock_ns() > deadline)
                return -1;
            usleep(2000);
        }
        scanned += N_SLOTS;
    }
    return scanned;
}

void
records_reset(void)
{
    for (unsigned i = 0; i < n_disks; i++)
        disks[i].write_ns_max = disks[i].write_ns_sum = disks[i].writes_timed = 0;
}

size_t
records_status(char *text, size_t size)
{
    size_t length = 0;

    for (unsigned i = 0; i < n_disks && length < size; i++) {
        const struct disk *disk = &disks[i];
        const char *name = disk->device + strlen("/dev/");
        uint64_t timed = disk->writes_timed;

        length += (size_t)snprintf(
            text + length, size - length,
            " %s.newest=%llu %s.written=%llu %s.mismatches=%llu %s.io_errors=%llu"
            " %s.write_us_mean=%llu %s.write_us_max=%llu",
            name, (unsigned long long)disk->newest, name, (unsigned long long)disk->written, name,
            (unsigned long long)disk->mismatches, name, (unsigned long long)disk->io_errors, name,
            (unsigned long long)(timed ? disk->write_ns_sum / timed / 1000 : 0), name,
            (unsigned long long)(disk->write_ns_max / 1000));
    }
    return length < size ? length : size - 1;
}
