/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/smb/disk-set-lab.h"

#include <errno.h>
#include <string.h>

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

/* The record is not believed before a lost claim has landed, or can land no more. */
static void
test_record_while_claim_may_land(void)
{
    Lab lab = lab_new(400);
    gboolean present = FALSE;
    VmfOwnerRecord record;
    own(&lab, 0, "", 0, 1);
    release(&lab, 0);
    memory_server_set_fault(lab.server, "HV2$", MEMORY_WRITE_RECORD, MEMORY_LOSE_BEFORE, 0);
    assert_fails(claim(&lab, 1, SID1, 1, 2, &error), VMF_ERROR_UNREACHABLE);
    gint64 lost = g_get_monotonic_time();
    assert_fails(vmf_disk_set_read_record(lab.sets[1], &present, &record, NULL, &error),
                 VMF_ERROR_UNREACHABLE);
    /* the other host may read it, and take the VM back: then it is beyond the claim */
    g_assert_true(vmf_disk_set_read_record(lab.sets[0], &present, &record, NULL, NULL));
    while (!vmf_disk_set_read_record(lab.sets[1], &present, &record, NULL, NULL))
        g_usleep(1000);
    g_assert_cmpint(g_get_monotonic_time() - lost, >=, 390000);
    g_assert_cmpuint(record.epoch, ==, 1);

    memory_server_set_fault(lab.server, "HV2$", MEMORY_WRITE_RECORD, MEMORY_LOSE_BEFORE, 0);
    assert_fails(claim(&lab, 1, SID1, 1, 2, &error), VMF_ERROR_UNREACHABLE);
    own(&lab, 0, SID1, 1, 3);
    g_assert_true(vmf_disk_set_read_record(lab.sets[1], &present, &record, NULL, NULL));
    g_assert_cmpuint(record.epoch, ==, 3);
    release(&lab, 0);
    lab_clear(&lab);
}

/* Told before the first write of each ownership is sent, also if it never arrives; not by reads. */
static void
test_touched(void)
{
    Lab lab = lab_new(0);
    touched[0] = 0;
    own(&lab, 0, "", 0, 1);
    read_now(&lab, 0, 0, 3);
    g_assert_cmpuint(touched[0], ==, 0);
    memory_server_set_fault(lab.server, "HV1$", MEMORY_WRITE_DISK, MEMORY_LOSE_BEFORE, 0);
    Write write = write_of(&lab, 0, 0, 3, 0x11);
    start(&write);
    while (gate_of(&lab, 0).state != VMF_GATE_FENCED)
        g_usleep(200);
    g_assert_cmpuint(touched[0], ==, 1);
    work_until_state(&lab, 0, VMF_GATE_OPEN);
    g_assert_cmpint(finish(&write), ==, 0);
    g_assert_cmpint(write_now(&lab, 0, 1, 4, 0x12), ==, 0);
    g_assert_cmpuint(touched[0], ==, 1);
    release(&lab, 0);
    own(&lab, 0, SID1, 1, 3);
    g_assert_cmpint(write_now(&lab, 0, 1, 4, 0x13), ==, 0);
    g_assert_cmpuint(touched[0], ==, 2);
    release(&lab, 0);
    lab_clear(&lab);
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
    g_autoptr(GBytes) old = memory_server_content(lab.server, RECORD_PATH);
    own(&lab, 0, SID1, 1, 3);
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

/* What has no room is not written: it is not released either, and nobody waits for it. */
static void
test_full_is_not_released(void)
{
    Lab lab = lab_new(0);
    own(&lab, 0, "", 0, 1);
    memory_server_set_fault(lab.server, "HV1$", MEMORY_WRITE_DISK, MEMORY_FULL, 0);
    Write write = write_of(&lab, 0, 0, 7, 0x77);
    start(&write);
    wait_until_waiting(&lab, 0, 1);
    g_autoptr(GError) error = NULL;
    g_assert_false(vmf_disk_set_release(lab.sets[0], NULL, NULL, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "make room"));
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_OPEN);
    g_assert_cmpint(finish(&write), ==, 0);
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
            memory_server_set_ticket(lab.server, now, now + 36000);
            memory_server_set_fault(lab.server, "HV1$", kinds[i], MEMORY_LOSE_BEFORE, skip);
            while (vmf_disk_set_facts(lab.sets[0]).ticket_end < now + 1000 ||
                   gate_of(&lab, 0).state != VMF_GATE_OPEN) {
                vmf_disk_set_work(lab.sets[0]);
                g_usleep(200);
                if (vmf_disk_set_facts(lab.sets[0]).ticket_end == now + 100 &&
                    gate_of(&lab, 0).state == VMF_GATE_OPEN)
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

int
main(int argc, char **argv)
{
    lab_begin(&argc, &argv);
    g_test_add_func("/disk-set/record/while-a-lost-claim-may-land",
                    test_record_while_claim_may_land);
    g_test_add_func("/disk-set/first-write/told-before-it-is-sent", test_touched);
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
    g_test_add_func("/disk-set/full/is-not-released", test_full_is_not_released);
    g_test_add_func("/disk-set/rotation/in-time", test_rotation);
    g_test_add_func("/disk-set/rotation/any-request-lost", test_rotation_lost);
    g_test_add_func("/disk-set/files/replaced", test_files);
    return g_test_run();
}
