/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-set.h"
#include "src/base/error.h"
#include "tests/unit/smb/share-memory.h"

/* What the tests of disk sets share: two hosts at one file server in memory, and a guest's requests. */

#define VM          "6f2f3d5e-0c1a-4b7e-9d55-1f0e2a3b4c5d"
#define BOOT1       "00000000-0000-0000-0000-000000000001"
#define BOOT2       "00000000-0000-0000-0000-000000000002"
#define SID1        "S-1-5-21-1-2-3-1104"
#define SID2        "S-1-5-21-1-2-3-1105"
#define BLOCK       512
#define DISK        (256 * BLOCK)
#define RECORD_PATH "web1/.vmferry/" VM ".own"

/* One file server, a disk set on it for each of two hosts; this thread is their owner thread. */
typedef struct {
    MemoryServer *server;
    VmfDiskSet *sets[2];
} Lab;

/* how often each set has told that its disks were about to be written to */
extern guint touched[2];

extern const char *const accounts[2], *const sids[2], *const boots[2];

#define assert_fails(call, its_code)                                                               \
    do {                                                                                           \
        g_autoptr(GError) error = NULL;                                                            \
        g_assert_false(call);                                                                      \
        g_assert_error(error, VMF_ERROR, its_code);                                                \
        g_test_message("%s", error->message);                                                      \
    } while (0)

VmfDiskSet *make_set_of(MemoryServer *server, guint host, guint quarantine_ms,
                        VmfDiskLedger *ledger, gboolean resume, GError **error);
VmfDiskSet *make_set(MemoryServer *server, guint host, guint quarantine_ms, GError **error);
Lab lab_new(guint quarantine_ms);
void lab_clear(Lab *lab);
VmfGateFacts gate_of(const Lab *lab, guint host);
gboolean claim(const Lab *lab, guint host, const char *sid, guint64 epoch, guint64 next_epoch,
               GError **error);
/* claim, and open the gate */
void own(const Lab *lab, guint host, const char *sid, guint64 epoch, guint64 next_epoch);
void release(const Lab *lab, guint host);
VmfOwnerRecord record_of(const Lab *lab);
void assert_record(const Lab *lab, const char *account, guint64 epoch, VmfOwnerState state);
/* the owner thread of @host works until its gate is in @state */
void work_until_state(const Lab *lab, guint host, VmfGateState state);

/* ---- the guest ---- */

typedef struct {
    VmfDiskSet *set;
    VmfGateLease lease;
    guint disk, block;
    guint8 value;
    int result;
    GThread *thread;
} Write;

int write_block(VmfDiskSet *set, const VmfGateLease *lease, guint disk, guint block, guint8 value);
int read_block(VmfDiskSet *set, const VmfGateLease *lease, guint disk, guint block);
Write write_of(const Lab *lab, guint host, guint disk, guint block, guint8 value);
void start(Write *write);
int finish(Write *write);
int write_now(const Lab *lab, guint host, guint disk, guint block, guint8 value);
int read_now(const Lab *lab, guint host, guint disk, guint block);
/* until @n requests of @host wait */
void wait_until_waiting(const Lab *lab, guint host, guint n);

/** lab_begin() - g_test_init(), and warnings are meant: errors and critical ones end the test */
void lab_begin(int *argc, char ***argv);
