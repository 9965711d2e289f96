/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-set.h"
#include "src/base/error.h"
#include "tests/unit/smb/share-memory.h"

#include <errno.h>
#include <string.h>

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

static const char *const accounts[] = {"HV1$", "HV2$"};
static const char *const sids[] = {SID1, SID2};
static const char *const boots[] = {BOOT1, BOOT2};

static VmfDiskSet *
make_set(MemoryServer *server, guint host, guint quarantine_ms, GError **error)
{
    const VmfDiskSpec specs[] = {
        {(gchar *)"vda", (gchar *)"raw", (gchar *)"smb://fs1/vms/web1/vda.raw"},
        {(gchar *)"vdb", (gchar *)"raw", (gchar *)"smb://fs1/vms/web1/vdb.raw"},
    };
    const VmfDiskSetConfig config = {
        .list = vmf_disk_list_new(VM, specs, G_N_ELEMENTS(specs), NULL),
        .share = memory_server_share(server, accounts[host], sids[host]),
        .account = accounts[host],
        .owner_sid = sids[host],
        .boot_id = boots[host],
        .quarantine_ms = quarantine_ms,
    };
    return vmf_disk_set_new(&config, error);
}

static Lab
lab_new(guint quarantine_ms)
{
    Lab lab = {.server = memory_server_new(VM)};
    memory_server_add_disk(lab.server, "web1/vda.raw", DISK);
    memory_server_add_disk(lab.server, "web1/vdb.raw", DISK);
    for (guint i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;
        lab.sets[i] = make_set(lab.server, i, quarantine_ms, &error);
        g_assert_no_error(error);
    }
    return lab;
}

static void
lab_clear(Lab *lab)
{
    for (guint i = 0; i < 2; i++)
        vmf_disk_set_free(lab->sets[i]);
    memory_server_free(lab->server);
}

static VmfGateFacts
gate_of(const Lab *lab, guint host)
{
    return vmf_disk_set_facts(lab->sets[host]).gate;
}

static gboolean
claim(const Lab *lab, guint host, const char *sid, guint64 epoch, guint64 next_epoch,
      GError **error)
{
    const VmfOwnerExpect expected = {sid, epoch};
    const VmfOwnerNext next = {
        .epoch = next_epoch, .state = VMF_OWNER_RUNNING, .migration_id = "m1", .reason = "test"};
    return vmf_disk_set_claim(lab->sets[host], &expected, &next, 0, NULL, error);
}

static void
own(const Lab *lab, guint host, const char *sid, guint64 epoch, guint64 next_epoch)
{
    g_autoptr(GError) error = NULL;
    claim(lab, host, sid, epoch, next_epoch, &error);
    g_assert_no_error(error);
    vmf_disk_set_open_gate(lab->sets[host], next_epoch, &error);
    g_assert_no_error(error);
}

static void
release(const Lab *lab, guint host)
{
    g_autoptr(GError) error = NULL;
    vmf_disk_set_release(lab->sets[host], NULL, NULL, &error);
    g_assert_no_error(error);
}

#define assert_fails(call, its_code)                                                               \
    do {                                                                                           \
        g_autoptr(GError) error = NULL;                                                            \
        g_assert_false(call);                                                                      \
        g_assert_error(error, VMF_ERROR, its_code);                                                \
        g_test_message("%s", error->message);                                                      \
    } while (0)

static VmfOwnerRecord
record_of(const Lab *lab)
{
    g_autoptr(GBytes) content = memory_server_content(lab->server, RECORD_PATH);
    g_autoptr(GError) error = NULL;
    VmfOwnerRecord record;
    guint slot;
    g_assert_nonnull(content);
    vmf_owner_record_decode_file(g_bytes_get_data(content, NULL), g_bytes_get_size(content), VM,
                                 &record, &slot, &error);
    g_assert_no_error(error);
    return record;
}

static void
assert_record(const Lab *lab, const char *account, guint64 epoch, VmfOwnerState state)
{
    VmfOwnerRecord record = record_of(lab);
    g_assert_cmpstr(record.owner_account, ==, account);
    g_assert_cmpuint(record.epoch, ==, epoch);
    g_assert_cmpint(record.state, ==, state);
}

static void
work_until_state(const Lab *lab, guint host, VmfGateState state)
{
    while (gate_of(lab, host).state != state) {
        vmf_disk_set_work(lab->sets[host]);
        g_usleep(200);
    }
}

/* until the record's second slot is written, too */
static void
settle(const Lab *lab, guint host)
{
    guint before = memory_server_count(lab->server, MEMORY_WRITE_RECORD);
    while (memory_server_count(lab->server, MEMORY_WRITE_RECORD) == before) {
        vmf_disk_set_work(lab->sets[host]);
        g_usleep(200);
    }
}

/* --- the guest --- */

typedef struct {
    VmfDiskSet *set;
    VmfGateLease lease;
    guint disk, block;
    guint8 value;
    int result;
    GThread *thread;
} Write;

static int
write_block(VmfDiskSet *set, const VmfGateLease *lease, guint disk, guint block, guint8 value)
{
    guint8 bytes[BLOCK];
    memset(bytes, value, sizeof bytes);
    return vmf_disk_set_write(set, lease, disk, bytes, sizeof bytes, (guint64)block * BLOCK);
}

static int
read_block(VmfDiskSet *set, const VmfGateLease *lease, guint disk, guint block)
{
    guint8 bytes[BLOCK];
    g_assert_cmpint(
        vmf_disk_set_read(set, lease, disk, bytes, sizeof bytes, (guint64)block * BLOCK), ==, 0);
    for (guint i = 1; i < sizeof bytes; i++)
        g_assert_cmpint(bytes[i], ==, bytes[0]);
    return bytes[0];
}

static gpointer
write_thread(gpointer data)
{
    Write *write = data;
    write->result = write_block(write->set, &write->lease, write->disk, write->block, write->value);
    return NULL;
}

static Write
write_of(const Lab *lab, guint host, guint disk, guint block, guint8 value)
{
    Write write = {.set = lab->sets[host], .disk = disk, .block = block, .value = value};
    vmf_gate_lease_init(vmf_disk_set_gate(write.set), &write.lease, NULL, NULL);
    return write;
}

static void
start(Write *write)
{
    write->thread = g_thread_new("write", write_thread, write);
}

static int
finish(Write *write)
{
    g_thread_join(write->thread);
    return write->result;
}

static int
write_now(const Lab *lab, guint host, guint disk, guint block, guint8 value)
{
    Write write = write_of(lab, host, disk, block, value);
    return write_block(write.set, &write.lease, disk, block, value);
}

static int
read_now(const Lab *lab, guint host, guint disk, guint block)
{
    Write lease = write_of(lab, host, disk, block, 0);
    return read_block(lab->sets[host], &lease.lease, disk, block);
}

static void
wait_until_waiting(const Lab *lab, guint host, guint n)
{
    while (TRUE) {
        VmfDiskSetFacts facts = vmf_disk_set_facts(lab->sets[host]);
        if (facts.gate.waiting + facts.unanswered == n)
            return;
        g_usleep(200);
    }
}

/* --- claim --- */

static void
test_claim_first(void)
{
    Lab lab = lab_new(0);
    gboolean present = TRUE, mine = FALSE;
    VmfOwnerRecord record;
    g_assert_true(vmf_disk_set_read_record(lab.sets[0], &present, &record, &mine, NULL));
    g_assert_false(present);
    assert_fails(claim(&lab, 0, SID1, 3, 4, &error), VMF_ERROR_PROTOCOL);
    own(&lab, 0, "", 0, 1);
    assert_record(&lab, "HV1$", 1, VMF_OWNER_RUNNING);
    g_assert_cmpint(write_now(&lab, 0, 0, 3, 0x11), ==, 0);
    g_assert_cmpint(read_now(&lab, 0, 0, 3), ==, 0x11);
    /* the other host sees it at once, by its own handle */
    g_assert_cmpint(read_now(&lab, 1, 0, 3), ==, 0x11);
    g_assert_true(vmf_disk_set_read_record(lab.sets[1], &present, &record, &mine, NULL));
    g_assert_true(present);
    g_assert_false(mine);
    g_assert_true(vmf_disk_set_read_record(lab.sets[0], &present, &record, &mine, NULL));
    g_assert_true(mine);
    release(&lab, 0);
    lab_clear(&lab);
}

static void
test_claim_busy(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 1);
    assert_fails(claim(&lab, 1, SID1, 1, 2, &error), VMF_ERROR_BUSY);
    g_assert_true(vmf_disk_set_probe(lab.sets[1], NULL));
    assert_record(&lab, "HV1$", 1, VMF_OWNER_RUNNING);
    release(&lab, 0);
    own(&lab, 1, SID1, 1, 2);
    assert_record(&lab, "HV2$", 2, VMF_OWNER_RUNNING);
    assert_fails(claim(&lab, 0, SID1, 1, 3, &error), VMF_ERROR_BUSY);
    release(&lab, 1);
    lab_clear(&lab);
}

static void
test_claim_compares(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 5);
    release(&lab, 0);
    assert_fails(claim(&lab, 1, SID1, 4, 6, &error), VMF_ERROR_BUSY);   /* another epoch */
    assert_fails(claim(&lab, 1, SID2, 5, 6, &error), VMF_ERROR_BUSY);   /* another owner */
    assert_fails(claim(&lab, 1, "", 5, 6, &error), VMF_ERROR_BUSY);     /* not stopped */
    assert_fails(claim(&lab, 1, "", 0, 1, &error), VMF_ERROR_BUSY);     /* there is one */
    assert_fails(claim(&lab, 1, SID1, 5, 5, &error), VMF_ERROR_CONFIG); /* epochs grow */
    assert_record(&lab, "HV1$", 5, VMF_OWNER_RUNNING);
    /* nothing is held by what failed */
    own(&lab, 0, SID1, 5, 7);
    release(&lab, 0);
    lab_clear(&lab);
}

static void
test_claim_all_or_nothing(void)
{
    Lab lab = lab_new(0);
    memory_server_set_fault(lab.server, "HV1$", MEMORY_OPEN_OWN, MEMORY_BUSY, 1);
    assert_fails(claim(&lab, 0, "", 0, 1, &error), VMF_ERROR_BUSY);
    own(&lab, 1, "", 0, 1);
    release(&lab, 1);
    memory_server_set_fault(lab.server, "HV1$", MEMORY_OPEN_OWN, MEMORY_DENIED, 1);
    assert_fails(claim(&lab, 0, SID2, 1, 2, &error), VMF_ERROR_DENIED);
    memory_server_set_fault(lab.server, "HV1$", MEMORY_WRITE_RECORD, MEMORY_FULL, 0);
    assert_fails(claim(&lab, 0, SID2, 1, 2, &error), VMF_ERROR_CONFIG);
    assert_record(&lab, "HV2$", 1, VMF_OWNER_RUNNING);
    g_assert_cmpuint(gate_of(&lab, 0).epoch, ==, 0);
    own(&lab, 1, SID2, 1, 3);
    release(&lab, 1);
    lab_clear(&lab);
}

/* The answer of the claim is lost; whatever became of it, saying it again is right. */
static void
test_claim_lost(void)
{
    static const MemoryFault faults[] = {MEMORY_LOSE_BEFORE, MEMORY_LOSE_AFTER, MEMORY_LOSE_LATE};
    for (guint i = 0; i < G_N_ELEMENTS(faults); i++) {
        Lab lab = lab_new(0);
        own(&lab, 0, "", 0, 1);
        g_assert_cmpint(write_now(&lab, 0, 0, 0, 1), ==, 0);
        settle(&lab, 0);
        release(&lab, 0);
        memory_server_set_fault(lab.server, "HV2$", MEMORY_WRITE_RECORD, faults[i], 0);
        assert_fails(claim(&lab, 1, SID1, 1, 2, &error), VMF_ERROR_UNREACHABLE);
        g_assert_cmpuint(gate_of(&lab, 1).epoch, ==, 0);
        own(&lab, 1, SID1, 1, 2);
        assert_record(&lab, "HV2$", 2, VMF_OWNER_RUNNING);
        settle(&lab, 1);
        memory_server_land_late_writes(lab.server);
        assert_record(&lab, "HV2$", 2, VMF_OWNER_RUNNING);
        g_assert_cmpint(write_now(&lab, 1, 0, 0, 2), ==, 0);
        release(&lab, 1);
        lab_clear(&lab);
    }
}

/* The destination's claim hangs in the server; the source takes its VM back; then it lands. */
static void
test_late_claim_loses(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 1);
    settle(&lab, 0);
    release(&lab, 0);
    memory_server_set_fault(lab.server, "HV2$", MEMORY_WRITE_RECORD, MEMORY_LOSE_LATE, 0);
    assert_fails(claim(&lab, 1, SID1, 1, 2, &error), VMF_ERROR_UNREACHABLE);
    own(&lab, 0, SID1, 1, 3);
    settle(&lab, 0);
    g_assert_cmpuint(memory_server_land_late_writes(lab.server), ==, 1);
    assert_record(&lab, "HV1$", 3, VMF_OWNER_RUNNING);
    memory_server_break(lab.server, "HV1$");
    vmf_disk_set_work(lab.sets[0]);
    work_until_state(&lab, 0, VMF_GATE_OPEN);
    g_assert_cmpint(write_now(&lab, 0, 0, 0, 9), ==, 0);
    release(&lab, 0);
    lab_clear(&lab);
}

static void
test_claim_again_while_held(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 1);
    own(&lab, 0, SID1, 1, 3);
    assert_record(&lab, "HV1$", 3, VMF_OWNER_RUNNING);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_OPEN);
    own(&lab, 0, SID1, 1, 3); /* said again */
    assert_fails(claim(&lab, 0, SID1, 1, 2, &error), VMF_ERROR_CONFIG);
    assert_fails(claim(&lab, 0, SID2, 3, 4, &error), VMF_ERROR_BUSY);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_OPEN);
    g_assert_cmpint(write_now(&lab, 0, 1, 1, 7), ==, 0);
    release(&lab, 0);
    lab_clear(&lab);
}

static void
test_stopped_is_anybodys(void)
{
    Lab lab = lab_new(0);
    const VmfOwnerNext stopped = {.epoch = 1, .state = VMF_OWNER_STOPPED};
    own(&lab, 0, "", 0, 1);
    g_assert_true(vmf_disk_set_release(lab.sets[0], &stopped, NULL, NULL));
    assert_record(&lab, "HV1$", 1, VMF_OWNER_STOPPED);
    /* said again: it is so */
    g_assert_true(vmf_disk_set_release(lab.sets[0], &stopped, NULL, NULL));
    own(&lab, 1, "", 1, 2);
    assert_fails(vmf_disk_set_release(lab.sets[0], &stopped, NULL, &error), VMF_ERROR_BUSY);
    release(&lab, 1);
    lab_clear(&lab);
}

/* --- the gate --- */

static void
test_open_gate(void)
{
    Lab lab = lab_new(0);
    assert_fails(vmf_disk_set_open_gate(lab.sets[0], 1, &error), VMF_ERROR_CONFIG);
    g_assert_true(claim(&lab, 0, "", 0, 1, NULL));
    assert_fails(vmf_disk_set_open_gate(lab.sets[0], 2, &error), VMF_ERROR_CONFIG);
    g_assert_true(vmf_disk_set_open_gate(lab.sets[0], 1, NULL));
    g_assert_true(vmf_disk_set_open_gate(lab.sets[0], 1, NULL));
    release(&lab, 0);
    assert_fails(vmf_disk_set_open_gate(lab.sets[0], 1, &error), VMF_ERROR_CONFIG);
    lab_clear(&lab);
}

static void
test_open_gate_after_loss(void)
{
    Lab lab = lab_new(0);
    g_assert_true(claim(&lab, 0, "", 0, 1, NULL));
    memory_server_break(lab.server, "HV1$");
    assert_fails(vmf_disk_set_open_gate(lab.sets[0], 1, &error), VMF_ERROR_UNREACHABLE);
    g_assert_cmpuint(gate_of(&lab, 0).epoch, ==, 0);
    /* the record remembers; nobody was faster: the same claim again */
    own(&lab, 0, "", 0, 1);
    /* … and once more, this time another host is */
    release(&lab, 0);
    g_assert_true(claim(&lab, 0, SID1, 1, 2, NULL));
    memory_server_break(lab.server, NULL);
    g_assert_true(claim(&lab, 1, SID1, 2, 3, NULL));
    assert_fails(vmf_disk_set_open_gate(lab.sets[0], 2, &error), VMF_ERROR_UNREACHABLE);
    assert_fails(claim(&lab, 0, SID1, 1, 2, &error), VMF_ERROR_BUSY);
    g_assert_true(vmf_disk_set_release(lab.sets[1], NULL, NULL, NULL));
    assert_fails(claim(&lab, 0, SID1, 1, 2, &error), VMF_ERROR_BUSY);
    lab_clear(&lab);
}

/* R2 against whatever else may have changed the record: a restored backup, an administrator */
static void
test_open_gate_tampered(void)
{
    Lab lab = lab_new(0);
    own(&lab, 1, "", 0, 1);
    settle(&lab, 1);
    release(&lab, 1);
    g_autoptr(GBytes) old = memory_server_content(lab.server, RECORD_PATH);
    g_assert_true(claim(&lab, 0, SID2, 1, 2, NULL));
    memory_server_set_content(lab.server, RECORD_PATH, g_bytes_get_data(old, NULL),
                              g_bytes_get_size(old));
    assert_fails(vmf_disk_set_open_gate(lab.sets[0], 2, &error), VMF_ERROR_BUSY);
    g_assert_cmpuint(gate_of(&lab, 0).epoch, ==, 0);
    own(&lab, 1, SID2, 1, 3);
    release(&lab, 1);
    lab_clear(&lab);
}

static void
test_damaged_record(void)
{
    Lab lab = lab_new(0);
    gboolean present;
    VmfOwnerRecord record;
    static const char garbage[1024] = "garbage";
    memory_server_set_content(lab.server, RECORD_PATH, garbage, sizeof garbage);
    assert_fails(claim(&lab, 0, "", 0, 1, &error), VMF_ERROR_PROTOCOL);
    assert_fails(vmf_disk_set_read_record(lab.sets[0], &present, &record, NULL, &error),
                 VMF_ERROR_PROTOCOL);
    /* what is left when its maker died between making and writing it */
    memory_server_set_content(lab.server, RECORD_PATH, garbage, 0);
    own(&lab, 0, "", 0, 1);
    release(&lab, 0);
    lab_clear(&lab);
}

/* --- release --- */

static gpointer
release_thread(gpointer data)
{
    return GINT_TO_POINTER(vmf_disk_set_release(data, NULL, NULL, NULL));
}

static void
test_release_drains(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 1);
    settle(&lab, 0);
    memory_server_set_hold(lab.server, MEMORY_WRITE_DISK, TRUE);
    Write running = write_of(&lab, 0, 0, 1, 0x21);
    start(&running);
    memory_server_wait_held(lab.server);
    GThread *releaser = g_thread_new("release", release_thread, lab.sets[0]);
    while (gate_of(&lab, 0).state != VMF_GATE_DRAINING)
        g_usleep(200);
    Write late = write_of(&lab, 0, 0, 2, 0x22);
    start(&late);
    wait_until_waiting(&lab, 0, 1);
    assert_fails(claim(&lab, 1, SID1, 1, 2, &error), VMF_ERROR_BUSY);
    memory_server_set_hold(lab.server, MEMORY_WRITE_DISK, FALSE);
    g_assert_true(GPOINTER_TO_INT(g_thread_join(releaser)));
    g_assert_cmpint(finish(&running), ==, 0);
    own(&lab, 1, SID1, 1, 2);
    g_assert_cmpint(read_now(&lab, 1, 0, 1), ==, 0x21);
    g_assert_cmpint(write_now(&lab, 1, 0, 2, 0x33), ==, 0);
    release(&lab, 1);
    /* the VM comes back: what waited under the old ownership must not run now */
    own(&lab, 0, SID2, 2, 3);
    g_assert_cmpint(finish(&late), ==, ESHUTDOWN);
    g_assert_cmpint(read_now(&lab, 0, 0, 2), ==, 0x33);
    release(&lab, 0);
    lab_clear(&lab);
}

/* The move is aborted, nobody else has written: the guest's waiting write is its own. */
static void
test_release_and_back(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 1);
    Write waiting = write_of(&lab, 0, 0, 2, 0x22);
    release(&lab, 0);
    start(&waiting);
    wait_until_waiting(&lab, 0, 1);
    own(&lab, 0, SID1, 1, 3);
    g_assert_cmpint(finish(&waiting), ==, 0);
    g_assert_cmpint(read_now(&lab, 0, 0, 2), ==, 0x22);
    release(&lab, 0);
    lab_clear(&lab);
}

static void
test_close_lost(void)
{
    for (guint skip = 0; skip < 2; skip++)
        for (MemoryFault fault = MEMORY_LOSE_BEFORE; fault <= MEMORY_LOSE_AFTER; fault++) {
            Lab lab = lab_new(0);
            own(&lab, 0, "", 0, 1);
            settle(&lab, 0);
            memory_server_set_fault(lab.server, "HV1$", MEMORY_CLOSE_DISK, fault, skip);
            assert_fails(vmf_disk_set_release(lab.sets[0], NULL, NULL, &error),
                         VMF_ERROR_UNREACHABLE);
            g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
            work_until_state(&lab, 0, VMF_GATE_OPEN);
            g_assert_cmpint(write_now(&lab, 0, 0, 2, 0x22), ==, 0);
            assert_record(&lab, "HV1$", 1, VMF_OWNER_RUNNING);
            release(&lab, 0);
            own(&lab, 1, SID1, 1, 2);
            release(&lab, 1);
            lab_clear(&lab);
        }
}

/* The record has said STOPPED: a CLOSE that is not answered changes nothing about it. */
static void
test_close_lost_after_record(void)
{
    Lab lab = lab_new(0);
    const VmfOwnerNext stopped = {.epoch = 1, .state = VMF_OWNER_STOPPED};
    own(&lab, 0, "", 0, 1);
    memory_server_set_fault(lab.server, "HV1$", MEMORY_CLOSE_DISK, MEMORY_LOSE_BEFORE, 0);
    g_assert_true(vmf_disk_set_release(lab.sets[0], &stopped, NULL, NULL));
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_CLOSED);
    own(&lab, 1, "", 1, 2);
    release(&lab, 1);
    lab_clear(&lab);
}

/* The answer to STOPPED is lost: either it stands, or this host is owner again. */
static void
test_stop_lost(void)
{
    const VmfOwnerNext stopped = {.epoch = 1, .state = VMF_OWNER_STOPPED};
    for (MemoryFault fault = MEMORY_LOSE_BEFORE; fault <= MEMORY_LOSE_LATE; fault++) {
        Lab lab = lab_new(1);
        own(&lab, 0, "", 0, 1);
        settle(&lab, 0);
        memory_server_set_fault(lab.server, "HV1$", MEMORY_WRITE_RECORD, fault, 0);
        assert_fails(vmf_disk_set_release(lab.sets[0], &stopped, NULL, &error),
                     VMF_ERROR_UNREACHABLE);
        vmf_disk_set_work(lab.sets[0]);             /* in quarantine, if it is still the owner */
        memory_server_land_late_writes(lab.server); /* before it is over */
        while (gate_of(&lab, 0).state == VMF_GATE_FENCED) {
            vmf_disk_set_work(lab.sets[0]);
            g_usleep(200);
        }
        if (fault == MEMORY_LOSE_BEFORE) {
            g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_OPEN);
            assert_record(&lab, "HV1$", 1, VMF_OWNER_RUNNING);
            g_assert_true(vmf_disk_set_release(lab.sets[0], &stopped, NULL, NULL));
        }
        g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_CLOSED);
        assert_record(&lab, "HV1$", 1, VMF_OWNER_STOPPED);
        own(&lab, 1, "", 1, 2);
        release(&lab, 1);
        lab_clear(&lab);
    }
}

static void
test_returned(void)
{
    Lab lab = lab_new(0);
    VmfOwnerNext back = {
        .epoch = 3, .state = VMF_OWNER_RETURNED, .owner_sid = SID1, .owner_account = "HV1$"};
    own(&lab, 0, "", 0, 1);
    Write waiting = write_of(&lab, 0, 0, 5, 0x55);
    release(&lab, 0);
    start(&waiting);
    wait_until_waiting(&lab, 0, 1);
    own(&lab, 1, SID1, 1, 2);
    g_assert_true(vmf_disk_set_release(lab.sets[1], &back, NULL, NULL));
    assert_record(&lab, "HV1$", 3, VMF_OWNER_RETURNED);
    own(&lab, 0, SID1, 3, 4);
    g_assert_cmpint(finish(&waiting), ==, 0);
    release(&lab, 0);

    own(&lab, 1, SID1, 4, 5);
    g_assert_cmpint(write_now(&lab, 1, 0, 5, 0x66), ==, 0);
    back.epoch = 6;
    assert_fails(vmf_disk_set_release(lab.sets[1], &back, NULL, &error), VMF_ERROR_CONFIG);
    /* it goes on as owner */
    g_assert_cmpint(write_now(&lab, 1, 0, 5, 0x67), ==, 0);
    release(&lab, 1);
    lab_clear(&lab);
}

/* --- a lost session --- */

static void
test_loss_without_write(void)
{
    Lab lab = lab_new(60000); /* a quarantine would be noticed */
    own(&lab, 0, "", 0, 1);
    memory_server_break(lab.server, "HV1$");
    Write read = write_of(&lab, 0, 0, 0, 0);
    vmf_disk_set_work(lab.sets[0]);
    work_until_state(&lab, 0, VMF_GATE_OPEN);
    g_assert_cmpint(read_block(lab.sets[0], &read.lease, 0, 0), ==, 0);
    g_assert_cmpint(write_now(&lab, 0, 0, 0, 5), ==, 0);
    release(&lab, 0);
    lab_clear(&lab);
}

static void
test_loss_of_write(void)
{
    for (MemoryFault fault = MEMORY_LOSE_BEFORE; fault <= MEMORY_LOSE_LATE; fault++) {
        Lab lab = lab_new(20);
        own(&lab, 0, "", 0, 1);
        Write write = write_of(&lab, 0, 0, 7, 0x77);
        memory_server_set_fault(lab.server, "HV1$", MEMORY_WRITE_DISK, fault, 0);
        start(&write);
        wait_until_waiting(&lab, 0, 1);
        g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
        gint64 begin = g_get_monotonic_time();
        /* held, but not open: a second host cannot come in during the quarantine */
        vmf_disk_set_work(lab.sets[0]);
        assert_fails(claim(&lab, 1, SID1, 1, 2, &error), VMF_ERROR_BUSY);
        memory_server_land_late_writes(lab.server);
        work_until_state(&lab, 0, VMF_GATE_OPEN);
        g_assert_cmpint(g_get_monotonic_time() - begin, >=, 20000);
        g_assert_cmpint(finish(&write), ==, 0);
        g_assert_cmpint(read_now(&lab, 0, 0, 7), ==, 0x77);
        release(&lab, 0);
        lab_clear(&lab);
    }
}

/* Why there is a quarantine: without it the same late write overtakes a newer one. */
static void
test_quarantine_is_needed(void)
{
    for (guint quarantine_ms = 0; quarantine_ms <= 20; quarantine_ms += 20) {
        Lab lab = lab_new(quarantine_ms);
        own(&lab, 0, "", 0, 1);
        Write first = write_of(&lab, 0, 0, 7, 0x01);
        memory_server_set_fault(lab.server, "HV1$", MEMORY_WRITE_DISK, MEMORY_LOSE_LATE, 0);
        start(&first);
        wait_until_waiting(&lab, 0, 1);
        vmf_disk_set_work(lab.sets[0]);
        if (gate_of(&lab, 0).state == VMF_GATE_FENCED)
            memory_server_land_late_writes(lab.server);
        work_until_state(&lab, 0, VMF_GATE_OPEN);
        g_assert_cmpint(finish(&first), ==, 0);
        g_assert_cmpint(write_now(&lab, 0, 0, 7, 0x02), ==, 0);
        memory_server_land_late_writes(lab.server);
        g_assert_cmpint(read_now(&lab, 0, 0, 7), ==, quarantine_ms == 0 ? 0x01 : 0x02);
        release(&lab, 0);
        lab_clear(&lab);
    }
}

/* The server still holds what the lost session had open: that is waited for. */
static void
test_loss_with_lingering_handles(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 1);
    memory_server_linger(lab.server, TRUE);
    memory_server_break(lab.server, "HV1$");
    for (guint i = 0; i < 20; i++) {
        vmf_disk_set_work(lab.sets[0]);
        g_usleep(1000);
    }
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
    g_autofree gchar *trouble = vmf_disk_set_trouble(lab.sets[0]);
    g_assert_nonnull(strstr(trouble, "another host holds it open"));
    memory_server_forget(lab.server);
    work_until_state(&lab, 0, VMF_GATE_OPEN);
    release(&lab, 0);
    lab_clear(&lab);
}

/* Another host took the VM over while this one was cut off: nothing is written here any more. */
static void
test_foreign(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 1);
    Write write = write_of(&lab, 0, 0, 7, 0x77), next = write_of(&lab, 0, 0, 8, 0x88);
    memory_server_set_fault(lab.server, "HV1$", MEMORY_WRITE_DISK, MEMORY_LOSE_BEFORE, 0);
    start(&write);
    wait_until_waiting(&lab, 0, 1);
    start(&next);
    wait_until_waiting(&lab, 0, 2);
    own(&lab, 1, SID1, 1, 2);
    while (!gate_of(&lab, 0).foreign) {
        vmf_disk_set_work(lab.sets[0]);
        g_usleep(200);
    }
    g_autofree gchar *trouble = vmf_disk_set_trouble(lab.sets[0]);
    g_test_message("%s", trouble);
    g_assert_nonnull(strstr(trouble, "HV2$"));
    assert_fails(vmf_disk_set_open_gate(lab.sets[0], 1, &error), VMF_ERROR_BUSY);
    assert_fails(claim(&lab, 0, SID2, 2, 3, &error), VMF_ERROR_BUSY);
    release(&lab, 1);
    g_assert_cmpint(vmf_disk_set_work(lab.sets[0]), ==, G_MAXINT64);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
    /* the VM was ended: the process can be used again, what waited is gone for good */
    release(&lab, 0);
    own(&lab, 0, SID2, 2, 3);
    g_assert_cmpint(finish(&write), ==, ESHUTDOWN);
    g_assert_cmpint(finish(&next), ==, ESHUTDOWN);
    g_assert_cmpint(read_now(&lab, 0, 0, 7), ==, 0);
    g_assert_cmpint(read_now(&lab, 0, 0, 8), ==, 0);
    release(&lab, 0);
    lab_clear(&lab);
}

/* The share was set back to an older state: freeze, and go on when it says what it said. */
static void
test_set_back(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 1);
    settle(&lab, 0);
    g_autoptr(GBytes) old = memory_server_content(lab.server, RECORD_PATH);
    own(&lab, 0, SID1, 1, 3);
    settle(&lab, 0);
    g_autoptr(GBytes) new = memory_server_content(lab.server, RECORD_PATH);
    memory_server_set_content(lab.server, RECORD_PATH, g_bytes_get_data(old, NULL), 1024);
    memory_server_break(lab.server, "HV1$");
    for (guint i = 0; i < 20; i++) {
        vmf_disk_set_work(lab.sets[0]);
        g_usleep(1000);
    }
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
    g_assert_false(gate_of(&lab, 0).foreign);
    g_autofree gchar *trouble = vmf_disk_set_trouble(lab.sets[0]);
    g_assert_nonnull(strstr(trouble, "set back"));
    memory_server_set_content(lab.server, RECORD_PATH, g_bytes_get_data(new, NULL), 1024);
    work_until_state(&lab, 0, VMF_GATE_OPEN);
    release(&lab, 0);
    lab_clear(&lab);
}

static void
test_loss_while_closed(void)
{
    Lab lab = lab_new(0);
    memory_server_break(lab.server, "HV1$");
    memory_server_set_fault(lab.server, "HV1$", MEMORY_CONNECT, MEMORY_LOSE_BEFORE, 0);
    vmf_disk_set_work(lab.sets[0]);
    g_assert_true(gate_of(&lab, 0).offline);
    g_autofree gchar *trouble = vmf_disk_set_trouble(lab.sets[0]);
    g_assert_cmpstr(trouble, !=, "");
    while (gate_of(&lab, 0).offline) {
        vmf_disk_set_work(lab.sets[0]);
        g_usleep(200);
    }
    g_assert_cmpint(read_now(&lab, 0, 0, 7), ==, 0);
    own(&lab, 0, "", 0, 1);
    release(&lab, 0);
    lab_clear(&lab);
}

static void
test_full(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 1);
    memory_server_set_fault(lab.server, "HV1$", MEMORY_WRITE_DISK, MEMORY_FULL, 0);
    Write write = write_of(&lab, 0, 0, 7, 0x77);
    start(&write);
    wait_until_waiting(&lab, 0, 1);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_OPEN);
    g_autofree gchar *trouble = vmf_disk_set_trouble(lab.sets[0]);
    g_assert_nonnull(strstr(trouble, "no room"));
    g_assert_cmpint(finish(&write), ==, 0);
    g_autofree gchar *after = vmf_disk_set_trouble(lab.sets[0]);
    g_assert_cmpstr(after, ==, "");
    release(&lab, 0);
    lab_clear(&lab);
}

/* --- rotation --- */

static void
test_rotation(void)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    MemoryServer *server = memory_server_new(VM);
    memory_server_add_disk(server, "web1/vda.raw", DISK);
    memory_server_add_disk(server, "web1/vdb.raw", DISK);
    memory_server_set_ticket(server, now - 1000, now + 100); /* due at 80 %: it is */
    Lab lab = {.server = server};
    for (guint i = 0; i < 2; i++)
        lab.sets[i] = make_set(server, i, 60000, NULL);
    own(&lab, 0, "", 0, 1);
    vmf_disk_set_work(lab.sets[0]);
    g_assert_cmpuint(vmf_disk_set_facts(lab.sets[0]).sessions, ==, 1); /* no better ticket yet */
    release(&lab, 0);

    /* renewed: a closed gate's session and an open one's are replaced */
    memory_server_set_ticket(server, now, now + 36000);
    vmf_disk_set_work(lab.sets[1]);
    g_assert_cmpuint(vmf_disk_set_facts(lab.sets[1]).sessions, ==, 2);
    g_assert_cmpint(vmf_disk_set_facts(lab.sets[1]).ticket_end, ==, now + 36000);
    memory_server_set_ticket(server, now - 1000, now + 100);
    vmf_disk_set_free(lab.sets[0]);
    lab.sets[0] = make_set(server, 0, 60000, NULL);
    own(&lab, 0, SID1, 1, 3);
    memory_server_set_ticket(server, now, now + 36000);
    memory_server_set_hold(server, MEMORY_WRITE_DISK, TRUE);
    Write running = write_of(&lab, 0, 0, 1, 0x31);
    start(&running);
    memory_server_wait_held(server);
    memory_server_set_hold(server, MEMORY_WRITE_DISK, FALSE);
    vmf_disk_set_work(lab.sets[0]);
    g_assert_cmpint(finish(&running), ==, 0);
    g_assert_cmpuint(vmf_disk_set_facts(lab.sets[0]).sessions, ==, 2);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_OPEN);
    g_assert_cmpint(write_now(&lab, 0, 0, 2, 0x32), ==, 0);
    g_assert_cmpint(read_now(&lab, 0, 0, 1), ==, 0x31);
    release(&lab, 0);
    lab_clear(&lab);
}

/* Each request of a rotation lost in turn: the guest goes on, the owner stays. */
static void
test_rotation_lost(void)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    static const MemoryKind kinds[] = {MEMORY_OPEN_READ, MEMORY_CLOSE_DISK, MEMORY_OPEN_OWN,
                                       MEMORY_CLOSE_OTHER, MEMORY_READ};
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        for (guint skip = 0; skip < 3; skip++) {
            Lab lab = {.server = memory_server_new(VM)};
            memory_server_add_disk(lab.server, "web1/vda.raw", DISK);
            memory_server_add_disk(lab.server, "web1/vdb.raw", DISK);
            memory_server_set_ticket(lab.server, now - 1000, now + 100);
            for (guint host = 0; host < 2; host++)
                lab.sets[host] = make_set(lab.server, host, 0, NULL);
            own(&lab, 0, "", 0, 1);
            settle(&lab, 0);
            memory_server_set_ticket(lab.server, now, now + 36000);
            memory_server_set_fault(lab.server, "HV1$", kinds[i], MEMORY_LOSE_BEFORE, skip);
            while (vmf_disk_set_facts(lab.sets[0]).ticket_end < now + 1000 ||
                   gate_of(&lab, 0).state != VMF_GATE_OPEN) {
                vmf_disk_set_work(lab.sets[0]);
                g_usleep(200);
                if (vmf_disk_set_facts(lab.sets[0]).ticket_end == now + 100)
                    break; /* making the new session failed: tried again later */
            }
            g_assert_cmpint(write_now(&lab, 0, 0, 2, 0x32), ==, 0);
            assert_record(&lab, "HV1$", 1, VMF_OWNER_RUNNING);
            memory_server_clear_faults(lab.server);
            vmf_disk_set_work(lab.sets[0]);
            work_until_state(&lab, 0, VMF_GATE_OPEN);
            release(&lab, 0);
            lab_clear(&lab);
        }
}

/* --- files --- */

static void
test_files(void)
{
    Lab lab = lab_new(0);
    assert_fails(vmf_disk_set_write_file(lab.sets[0], "domain.xml", "<a/>", &error),
                 VMF_ERROR_CONFIG);
    own(&lab, 0, "", 0, 1);
    g_assert_true(vmf_disk_set_write_file(lab.sets[0], "domain.xml", "<domain/>", NULL));
    g_assert_true(vmf_disk_set_write_file(lab.sets[0], "domain.xml", "<a/>", NULL));
    g_autofree gchar *content = vmf_disk_set_read_file(lab.sets[1], "domain.xml", NULL);
    g_assert_cmpstr(content, ==, "<a/>");
    static const char *const bad[] = {"", ".own", "../x", "a/b", "a:b", "a b"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_fails(vmf_disk_set_write_file(lab.sets[0], bad[i], "", &error), VMF_ERROR_CONFIG);
    g_autoptr(GError) error = NULL;
    g_assert_null(vmf_disk_set_read_file(lab.sets[1], "nothing.xml", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    release(&lab, 0);
    lab_clear(&lab);
}

/* --- a long random life: moves with any request lost, under a guest that checks its disk --- */

#define GUESTS 3
#define MOVES  150

typedef struct {
    GMutex lock;
    GCond changed;
    VmfDiskSet *set; /* where the VM runs; NULL: paused */
    guint incarnation;
    guint active;
    gboolean end;
    guint8 acknowledged[GUESTS][8];
    guint writes;
} World;

typedef struct {
    World *world;
    guint number;
} Guest;

static gpointer
guest_thread(gpointer data)
{
    const Guest *guest = data;
    World *world = guest->world;
    g_autoptr(GRand) rand = g_rand_new_with_seed(guest->number);
    VmfGateLease lease;
    guint incarnation = 0;

    g_mutex_lock(&world->lock);
    while (!world->end) {
        if (world->set == NULL) {
            g_cond_wait(&world->changed, &world->lock);
            continue;
        }
        VmfDiskSet *set = world->set;
        world->active++;
        if (incarnation != world->incarnation) /* a new QEMU, a new connection */
            vmf_gate_lease_init(vmf_disk_set_gate(set), &lease, NULL, NULL);
        incarnation = world->incarnation;
        guint slot = (guint)g_rand_int_range(rand, 0, 8);
        guint8 *acknowledged = &world->acknowledged[guest->number][slot];
        guint disk = slot % 2, block = guest->number * 8 + slot;
        guint8 value = (guint8)(*acknowledged + 1);
        g_mutex_unlock(&world->lock);

        g_assert_cmpint(read_block(set, &lease, disk, block), ==, *acknowledged);
        g_assert_cmpint(write_block(set, &lease, disk, block, value), ==, 0);

        g_mutex_lock(&world->lock);
        *acknowledged = value;
        world->writes++;
        world->active--;
        g_cond_broadcast(&world->changed);
    }
    g_mutex_unlock(&world->lock);
    return NULL;
}

static void
work_on(const Lab *lab)
{
    /* a late write lands some time before the quarantine for it is over */
    memory_server_land_late_writes(lab->server);
    vmf_disk_set_work(lab->sets[0]);
    vmf_disk_set_work(lab->sets[1]);
}

static void
set_random_fault(const Lab *lab, GRand *rand)
{
    static const MemoryKind kinds[] = {MEMORY_OPEN_READ,   MEMORY_OPEN_OWN,     MEMORY_READ,
                                       MEMORY_WRITE_DISK,  MEMORY_WRITE_RECORD, MEMORY_CLOSE_DISK,
                                       MEMORY_CLOSE_OTHER, MEMORY_CONNECT};
    MemoryKind kind = kinds[g_rand_int_range(rand, 0, G_N_ELEMENTS(kinds))];
    gboolean write = kind == MEMORY_WRITE_DISK || kind == MEMORY_WRITE_RECORD;
    MemoryFault fault = (MemoryFault)g_rand_int_range(
        rand, MEMORY_LOSE_BEFORE, write ? MEMORY_LOSE_LATE + 1 : MEMORY_LOSE_LATE);
    memory_server_set_fault(lab->server, accounts[g_rand_int_range(rand, 0, 2)], kind, fault,
                            (guint)g_rand_int_range(rand, 0, 4));
}

static void
run_guest(World *world, VmfDiskSet *set, gboolean new_incarnation)
{
    g_mutex_lock(&world->lock);
    world->incarnation += new_incarnation ? 1 : 0;
    world->set = set;
    g_cond_broadcast(&world->changed);
    g_mutex_unlock(&world->lock);
}

/* As QEMU does: no new requests, and those that run are waited for. */
static void
pause_guest(World *world, const Lab *lab)
{
    g_mutex_lock(&world->lock);
    world->set = NULL;
    while (world->active > 0) {
        g_mutex_unlock(&world->lock);
        work_on(lab);
        g_usleep(100);
        g_mutex_lock(&world->lock);
    }
    g_mutex_unlock(&world->lock);
}

/* One host or the other becomes owner; as vmferryd does, the record decides which. */
static guint
decide_owner(const Lab *lab, guint source, guint64 *epoch)
{
    guint destination = 1 - source;
    guint64 e = *epoch;
    if (claim(lab, destination, sids[source], e, e + 1, NULL)) {
        *epoch = e + 1;
        return destination;
    }
    while (TRUE) {
        gboolean present = FALSE;
        VmfOwnerRecord record;
        work_on(lab);
        if (!vmf_disk_set_read_record(lab->sets[source], &present, &record, NULL, NULL))
            continue;
        g_assert_true(present);
        gboolean went = record.epoch == e + 1;
        guint winner = went ? destination : source;
        guint64 next = went ? e + 1 : e + 2;
        if (claim(lab, winner, sids[source], e, next, NULL)) {
            *epoch = next;
            return winner;
        }
    }
}

typedef struct {
    const Lab *lab;
    gint end;
} Worker;

/* as the disk process's own: a connection lost in the last move may be noticed by the next read */
static gpointer
worker_thread(gpointer data)
{
    Worker *worker = data;
    while (!g_atomic_int_get(&worker->end)) {
        work_on(worker->lab);
        g_usleep(100);
    }
    return NULL;
}

static void
assert_nothing_lost(const Lab *lab, guint owner, const World *world)
{
    Worker worker = {.lab = lab};
    GThread *thread = g_thread_new("worker", worker_thread, &worker);
    for (guint i = 0; i < GUESTS; i++)
        for (guint slot = 0; slot < 8; slot++)
            g_assert_cmpint(read_now(lab, owner, slot % 2, i * 8 + slot), ==,
                            world->acknowledged[i][slot]);
    g_atomic_int_set(&worker.end, TRUE);
    g_thread_join(thread);
}

static void
test_random_life(void)
{
    Lab lab = lab_new(1);
    World world = {0};
    Guest guests[GUESTS];
    GThread *threads[GUESTS];
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)g_test_rand_int());
    guint owner = 0, moved = 0;
    guint64 epoch = 1, seen = 1;

    g_mutex_init(&world.lock);
    g_cond_init(&world.changed);
    own(&lab, 0, "", 0, 1);
    run_guest(&world, lab.sets[0], TRUE);
    for (guint i = 0; i < GUESTS; i++) {
        guests[i] = (Guest){&world, i};
        threads[i] = g_thread_new("guest", guest_thread, &guests[i]);
    }
    for (guint i = 0; i < MOVES; i++) {
        for (gint n = g_rand_int_range(rand, 0, 4); n > 0; n--)
            set_random_fault(&lab, rand);
        for (gint n = g_rand_int_range(rand, 0, 10); n > 0; n--) {
            work_on(&lab);
            g_usleep(100);
        }
        pause_guest(&world, &lab);
        if (!vmf_disk_set_release(lab.sets[owner], NULL, NULL, NULL)) {
            run_guest(&world, lab.sets[owner], FALSE); /* not released: it goes on */
            continue;
        }
        guint winner = decide_owner(&lab, owner, &epoch);
        while (!vmf_disk_set_open_gate(lab.sets[winner], epoch, NULL)) {
            work_on(&lab);
            claim(&lab, winner, sids[owner], epoch - 1, epoch, NULL);
        }
        g_assert_cmpuint(record_of(&lab).epoch, >, seen);
        seen = record_of(&lab).epoch;
        moved += winner != owner ? 1 : 0;
        run_guest(&world, lab.sets[winner], winner != owner);
        owner = winner;
    }
    memory_server_clear_faults(lab.server);
    pause_guest(&world, &lab);
    g_mutex_lock(&world.lock);
    world.end = TRUE;
    g_cond_broadcast(&world.changed);
    g_mutex_unlock(&world.lock);
    for (guint i = 0; i < GUESTS; i++)
        g_thread_join(threads[i]);
    g_test_message("%u moves, epoch %" G_GUINT64_FORMAT ", %u writes", moved, epoch, world.writes);
    g_assert_cmpuint(moved, >, MOVES / 4);
    assert_nothing_lost(&lab, owner, &world);
    lab_clear(&lab);
    g_mutex_clear(&world.lock);
    g_cond_clear(&world.changed);
}

static GLogWriterOutput
quiet(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
    return level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)
               ? g_log_writer_default(level, fields, n, data)
               : G_LOG_WRITER_HANDLED;
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_writer_func(quiet, NULL, NULL); /* troubles are meant here */
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
    g_test_add_func("/disk-set/claim/first", test_claim_first);
    g_test_add_func("/disk-set/claim/busy", test_claim_busy);
    g_test_add_func("/disk-set/claim/compares", test_claim_compares);
    g_test_add_func("/disk-set/claim/all-or-nothing", test_claim_all_or_nothing);
    g_test_add_func("/disk-set/claim/answer-lost", test_claim_lost);
    g_test_add_func("/disk-set/claim/late-one-loses", test_late_claim_loses);
    g_test_add_func("/disk-set/claim/while-held", test_claim_again_while_held);
    g_test_add_func("/disk-set/claim/stopped-is-anybodys", test_stopped_is_anybodys);
    g_test_add_func("/disk-set/open-gate/epoch", test_open_gate);
    g_test_add_func("/disk-set/open-gate/session-lost", test_open_gate_after_loss);
    g_test_add_func("/disk-set/open-gate/record-tampered", test_open_gate_tampered);
    g_test_add_func("/disk-set/record/damaged", test_damaged_record);
    g_test_add_func("/disk-set/release/drains", test_release_drains);
    g_test_add_func("/disk-set/release/and-back", test_release_and_back);
    g_test_add_func("/disk-set/release/close-lost", test_close_lost);
    g_test_add_func("/disk-set/release/close-lost-after-record", test_close_lost_after_record);
    g_test_add_func("/disk-set/release/stop-lost", test_stop_lost);
    g_test_add_func("/disk-set/release/returned", test_returned);
    g_test_add_func("/disk-set/loss/no-write", test_loss_without_write);
    g_test_add_func("/disk-set/loss/of-a-write", test_loss_of_write);
    g_test_add_func("/disk-set/loss/quarantine-is-needed", test_quarantine_is_needed);
    g_test_add_func("/disk-set/loss/lingering-handles", test_loss_with_lingering_handles);
    g_test_add_func("/disk-set/loss/foreign", test_foreign);
    g_test_add_func("/disk-set/loss/share-set-back", test_set_back);
    g_test_add_func("/disk-set/loss/while-closed", test_loss_while_closed);
    g_test_add_func("/disk-set/full/waits", test_full);
    g_test_add_func("/disk-set/rotation/in-time", test_rotation);
    g_test_add_func("/disk-set/rotation/any-request-lost", test_rotation_lost);
    g_test_add_func("/disk-set/files/replaced", test_files);
    g_test_add_func("/disk-set/random-life/no-write-lost", test_random_life);
    return g_test_run();
}
