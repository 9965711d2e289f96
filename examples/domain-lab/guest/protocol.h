/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the test guest says on the guests' network, and what it can be told.
 *
 * Heartbeat: one `struct vmf_beat` in a UDP datagram to the network's broadcast address,
 * port VMF_BEAT_PORT, every 2 ms of guest time. Little-endian, no padding. `sequence` begins
 * at 1 with each boot and grows by one; `boot` is a random number made at boot, so that a
 * guest that was started twice is told from one that was moved.
 *
 * Commands: UDP to the guest's address, port VMF_COMMAND_PORT, one line of text
 * "ID COMMAND [ARGUMENT]"; the answer is "ID ok|error TEXT". A command repeated with the ID
 * of the last one is not carried out again, its answer is sent again.
 *
 *   status               "key=value" pairs: records, mismatches, errors, latencies
 *   dirty MIB            dirty that many MiB of memory per second; 0 stops
 *   records on|off|N     write numbered records at the rate given at boot | not | N per second
 *   scan                 read back every record that must be on the disks, count mismatches
 *   reset                forget the latencies measured so far
 *   poweroff | reboot
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#define VMF_BEAT_PORT    9977
#define VMF_COMMAND_PORT 9978
#define VMF_BEAT_MAGIC   0x42464d56u /* "VMFB" */
#define VMF_BEAT_VERSION 1
#define VMF_COMMAND_MAX  1200

struct vmf_beat {
    uint32_t magic;
    uint16_t version;
    uint16_t n_disks;
    uint64_t boot;
    uint64_t sequence;
    uint64_t monotonic_ns;      /* guest's CLOCK_MONOTONIC when it was sent */
    uint64_t records;           /* written, durable and read back, all disks */
    uint64_t record_mismatches; /* records that did not read back as written */
    uint64_t io_errors;         /* reads, writes and flushes that failed */
    uint64_t memory_mismatches; /* words that did not hold what was stored in them */
    uint32_t dirty_kib_s;       /* dirtied in the last full second */
    uint32_t dirty_target_mib_s;
    char name[24]; /* padded with NUL, not necessarily terminated */
} __attribute__((packed));

static_assert(sizeof(struct vmf_beat) == 96, "the heartbeat has no padding");
