/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of the test guest's init; each part owns its threads and its counters. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define N_DISKS_MAX 4

/* init.c */
uint64_t guest_clock_ns(void); /* CLOCK_MONOTONIC */
void guest_sleep_until(uint64_t monotonic_ns);
void guest_say(const char *format, ...) __attribute__((format(printf, 1, 2))); /* console */

/* records.c: numbered records on the raw disks */
struct records_totals {
    uint64_t records, mismatches, io_errors;
};
/* Begins with disk `device` ("/dev/vda"): reads what earlier boots left there, then writes. */
void records_start(const char *device, unsigned rate, uint64_t boot);
void records_set_rate(unsigned per_second); /* of each disk; 0: stop */
struct records_totals records_totals(void);
unsigned records_n_disks(void);
/* Reads back the whole ring of each disk; returns records read, -1 when a disk did not answer. */
long records_scan(void);
void records_reset(void);
size_t records_status(char *text, size_t size); /* appends " key=value" pairs */

/* memory.c: memory dirtied at a rate, and verified */
void memory_start(size_t pool_bytes);
void memory_set_rate(unsigned mib_per_second);
unsigned memory_rate(void);
uint32_t memory_achieved_kib_s(void);
uint64_t memory_mismatches(void);
