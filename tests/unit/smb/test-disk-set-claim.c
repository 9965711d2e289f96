/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/smb/disk-set-lab.h"

#include <errno.h>
#include <string.h>

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
        release(&lab, 0);
        memory_server_set_fault(lab.server, "HV2$", MEMORY_WRITE_RECORD, faults[i], 0);
        assert_fails(claim(&lab, 1, SID1, 1, 2, &error), VMF_ERROR_UNREACHABLE);
        g_assert_cmpuint(gate_of(&lab, 1).epoch, ==, 0);
        own(&lab, 1, SID1, 1, 2);
        assert_record(&lab, "HV2$", 2, VMF_OWNER_RUNNING);
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
    release(&lab, 0);
    memory_server_set_fault(lab.server, "HV2$", MEMORY_WRITE_RECORD, MEMORY_LOSE_LATE, 0);
    assert_fails(claim(&lab, 1, SID1, 1, 2, &error), VMF_ERROR_UNREACHABLE);
    own(&lab, 0, SID1, 1, 3);
    g_assert_cmpuint(memory_server_land_late_writes(lab.server), ==, 1);
    assert_record(&lab, "HV1$", 3, VMF_OWNER_RUNNING);
    memory_server_break(lab.server, "HV1$");
    vmf_disk_set_work(lab.sets[0]);
    work_until_state(&lab, 0, VMF_GATE_OPEN);
    g_assert_cmpint(write_now(&lab, 0, 0, 0, 9), ==, 0);
    release(&lab, 0);
    lab_clear(&lab);
}

/* It lands while the source takes its VM back: after its first write, before its second. */
static void
test_late_claim_between_two_writes(void)
{
    Lab lab = lab_new(60000);
    own(&lab, 0, "", 0, 1);
    release(&lab, 0);
    memory_server_set_fault(lab.server, "HV2$", MEMORY_WRITE_RECORD, MEMORY_LOSE_LATE, 0);
    assert_fails(claim(&lab, 1, SID1, 1, 2, &error), VMF_ERROR_UNREACHABLE);
    memory_server_set_fault(lab.server, "HV1$", MEMORY_WRITE_RECORD, MEMORY_LOSE_BEFORE, 1);
    assert_fails(claim(&lab, 0, SID1, 1, 3, &error), VMF_ERROR_UNREACHABLE);
    g_assert_cmpuint(memory_server_land_late_writes(lab.server), ==, 1);
    assert_record(&lab, "HV1$", 3, VMF_OWNER_RUNNING);
    own(&lab, 0, SID1, 1, 3); /* said again: the second write follows */
    assert_record(&lab, "HV1$", 3, VMF_OWNER_RUNNING);
    release(&lab, 0);
    lab_clear(&lab);
}

/* It lands after all that, when the VM moves again: between the next claim and its second slot. */
static void
test_late_claim_of_the_move_before(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 1);
    release(&lab, 0);
    memory_server_set_fault(lab.server, "HV2$", MEMORY_WRITE_RECORD, MEMORY_LOSE_LATE, 0);
    assert_fails(claim(&lab, 1, SID1, 1, 2, &error), VMF_ERROR_UNREACHABLE);
    own(&lab, 0, SID1, 1, 3);
    release(&lab, 0);
    guint writes = memory_server_count(lab.server, MEMORY_WRITE_RECORD);
    g_assert_true(claim(&lab, 1, SID1, 3, 4, NULL));
    g_assert_cmpuint(memory_server_count(lab.server, MEMORY_WRITE_RECORD), ==, writes + 1);
    g_assert_cmpuint(memory_server_land_late_writes(lab.server), ==, 1);
    assert_record(&lab, "HV2$", 4, VMF_OWNER_RUNNING);
    g_assert_true(vmf_disk_set_open_gate(lab.sets[1], 4, NULL));
    release(&lab, 1); /* settles it */
    g_autoptr(GBytes) file = memory_server_content(lab.server, RECORD_PATH);
    g_assert_true(
        vmf_owner_record_is_settled(g_bytes_get_data(file, NULL), g_bytes_get_size(file)));
    lab_clear(&lab);
}

/* The source takes its VM back, and its session is lost with that record under way; its handles stand. */
static void
take_back_and_be_lost(const Lab *lab)
{
    own(lab, 0, "", 0, 1);
    release(lab, 0);
    memory_server_linger(lab->server, TRUE);
    memory_server_set_fault(lab->server, "HV1$", MEMORY_WRITE_RECORD, MEMORY_LOSE_LATE, 0);
    assert_fails(claim(lab, 0, SID1, 1, 3, &error), VMF_ERROR_UNREACHABLE);
}

typedef struct {
    const Lab *lab;
    _Atomic gboolean done;
    guint landed;
} Server;

/* It drops the lost session's handles once they were asked for; what was sent lands while HV2 waits. */
static gpointer
drop_and_land(gpointer data)
{
    Server *server = data;
    guint asked = memory_server_count(server->lab->server, MEMORY_OPEN_OWN);
    while (memory_server_count(server->lab->server, MEMORY_OPEN_OWN) < asked + 2)
        g_usleep(1000);
    memory_server_forget(server->lab->server);
    while (!server->done && server->landed == 0) {
        g_autofree gchar *trouble = vmf_disk_set_trouble(server->lab->sets[1]);
        if (strstr(trouble, "may still write"))
            server->landed = memory_server_land_late_writes(server->lab->server);
        g_usleep(1000);
    }
    return NULL;
}

static gboolean
claim_after_a_wait(const Lab *lab, VmfOwnerState state, guint *landed, GError **error)
{
    const VmfOwnerExpect expected = {SID1, 1};
    const VmfOwnerNext next = {.epoch = 2, .state = state, .reason = "test"};
    Server server = {.lab = lab};
    GThread *thread = g_thread_new("server", drop_and_land, &server);
    gboolean ok = vmf_disk_set_claim(lab->sets[1], &expected, &next, 60000, NULL, error);
    server.done = TRUE;
    g_thread_join(thread);
    *landed = server.landed;
    g_autofree gchar *trouble = vmf_disk_set_trouble(lab->sets[1]);
    g_assert_cmpstr(trouble, ==, "");
    return ok;
}

/* Who had to wait for the disks does not believe the record before the former owner's has landed. */
static void
test_who_waited_settles(void)
{
    guint landed = 0;
    Lab lab = lab_new(3000);
    take_back_and_be_lost(&lab);
    assert_fails(claim_after_a_wait(&lab, VMF_OWNER_RUNNING, &landed, &error), VMF_ERROR_BUSY);
    g_assert_cmpuint(landed, ==, 1);
    assert_record(&lab, "HV1$", 3, VMF_OWNER_RUNNING);
    g_assert_cmpuint(gate_of(&lab, 1).epoch, ==, 0);
    lab_clear(&lab);
}

/* It runs nothing yet: the quarantine comes before that (take-over.c), and is not waited for twice. */
static void
test_who_only_owns_does_not(void)
{
    guint landed = 0;
    Lab lab = lab_new(3000);
    take_back_and_be_lost(&lab);
    g_assert_true(claim_after_a_wait(&lab, VMF_OWNER_OWNED, &landed, NULL));
    g_assert_cmpuint(landed, ==, 0);
    assert_record(&lab, "HV2$", 2, VMF_OWNER_OWNED);
    g_assert_cmpuint(memory_server_land_late_writes(lab.server), ==, 1);
    /* it landed after all: the record judges, and nothing was opened */
    assert_fails(vmf_disk_set_open_gate(lab.sets[1], 2, &error), VMF_ERROR_BUSY);
    lab_clear(&lab);
}

/* The owner's record stands in one slot only: what is made good before the quarantine, not after. */
static void
test_settled_before_quarantine(void)
{
    Lab lab = lab_new(60000);
    own(&lab, 0, "", 0, 1);
    memory_server_set_fault(lab.server, "HV1$", MEMORY_WRITE_RECORD, MEMORY_LOSE_BEFORE, 1);
    assert_fails(claim(&lab, 0, SID1, 1, 3, &error), VMF_ERROR_UNREACHABLE);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
    vmf_disk_set_work(lab.sets[0]);
    g_autofree gchar *trouble = vmf_disk_set_trouble(lab.sets[0]);
    g_assert_nonnull(strstr(trouble, "waiting 60000 ms"));
    g_autoptr(GBytes) file = memory_server_content(lab.server, RECORD_PATH);
    g_assert_true(
        vmf_owner_record_is_settled(g_bytes_get_data(file, NULL), g_bytes_get_size(file)));
    assert_record(&lab, "HV1$", 3, VMF_OWNER_RUNNING);
    lab_clear(&lab);
}

/* The record's file is still open after a claim: nothing of that is due when all is released. */
static void
test_release_soon_after_claim(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 1);
    release(&lab, 0);
    g_assert_cmpint(vmf_disk_set_work(lab.sets[0]), ==, G_MAXINT64);
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

int
main(int argc, char **argv)
{
    lab_begin(&argc, &argv);
    g_test_add_func("/disk-set/claim/first", test_claim_first);
    g_test_add_func("/disk-set/claim/busy", test_claim_busy);
    g_test_add_func("/disk-set/claim/compares", test_claim_compares);
    g_test_add_func("/disk-set/claim/all-or-nothing", test_claim_all_or_nothing);
    g_test_add_func("/disk-set/claim/answer-lost", test_claim_lost);
    g_test_add_func("/disk-set/claim/late-one-loses", test_late_claim_loses);
    g_test_add_func("/disk-set/claim/late-one-between-two-writes",
                    test_late_claim_between_two_writes);
    g_test_add_func("/disk-set/claim/late-one-of-the-move-before",
                    test_late_claim_of_the_move_before);
    g_test_add_func("/disk-set/claim/who-waited-settles", test_who_waited_settles);
    g_test_add_func("/disk-set/claim/who-only-owns-does-not", test_who_only_owns_does_not);
    g_test_add_func("/disk-set/claim/settled-before-quarantine", test_settled_before_quarantine);
    g_test_add_func("/disk-set/release/soon-after-claim", test_release_soon_after_claim);
    g_test_add_func("/disk-set/claim/while-held", test_claim_again_while_held);
    g_test_add_func("/disk-set/claim/stopped-is-anybodys", test_stopped_is_anybodys);
    return g_test_run();
}
