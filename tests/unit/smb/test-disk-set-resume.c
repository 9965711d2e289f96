/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-ledger.h"
#include "tests/unit/smb/disk-set-lab.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* A disk process is killed, and another one takes up what it had. */

/* A quarantine that no test waits for, and one that is waited for. What is ten times as old is forgotten
   (disk-set.c). */
#define LONG_MS  60000
#define SHORT_MS 500

/* The server sees its connections end; nothing else of it is left but its ledger. */
static void
kill_process(Lab *lab, guint host, VmfDiskLedger *ledger)
{
    VmfDiskLedger left = *ledger;
    memory_server_break(lab->server, accounts[host]);
    g_clear_pointer(&lab->sets[host], vmf_disk_set_free);
    *ledger = left;
}

static void
start_process(Lab *lab, guint host, guint quarantine_ms, VmfDiskLedger *ledger, gboolean resume)
{
    g_autoptr(GError) error = NULL;
    lab->sets[host] = make_set_of(lab->server, host, quarantine_ms, ledger, resume, &error);
    g_assert_no_error(error);
}

static Lab
lab_with(VmfDiskLedger *ledger, guint quarantine_ms)
{
    Lab lab = lab_new(quarantine_ms);
    vmf_disk_set_free(lab.sets[0]);
    start_process(&lab, 0, quarantine_ms, ledger, FALSE);
    return lab;
}

static void
test_idle(void)
{
    VmfDiskLedger ledger = {0};
    Lab lab = lab_with(&ledger, LONG_MS);
    own(&lab, 0, "", 0, 1);
    g_assert_cmpint(write_now(&lab, 0, 0, 3, 0x11), ==, 0);
    kill_process(&lab, 0, &ledger);
    g_assert_cmpuint(ledger.epoch, ==, 1);
    g_assert_cmpint(ledger.late_since, ==, 0);

    start_process(&lab, 0, LONG_MS, &ledger, TRUE);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
    vmf_disk_set_work(lab.sets[0]);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_OPEN); /* at once: nothing can land */
    g_assert_cmpuint(gate_of(&lab, 0).epoch, ==, 1);
    assert_record(&lab, "HV1$", 1, VMF_OWNER_RUNNING);
    g_assert_cmpint(read_now(&lab, 0, 0, 3), ==, 0x11);
    /* what the killed one has written counts */
    g_assert_cmpuint(vmf_disk_set_facts(lab.sets[0]).written_since_open, >, 0);
    const VmfOwnerNext back = {
        .epoch = 2, .state = VMF_OWNER_RETURNED, .owner_sid = SID2, .owner_account = "HV2$"};
    assert_fails(vmf_disk_set_release(lab.sets[0], &back, NULL, &error), VMF_ERROR_CONFIG);
    release(&lab, 0);
    g_assert_cmpuint(ledger.epoch, ==, 0);
    lab_clear(&lab);
}

static void
test_untouched(void)
{
    VmfDiskLedger ledger = {0};
    Lab lab = lab_with(&ledger, LONG_MS);
    own(&lab, 0, "", 0, 1);
    kill_process(&lab, 0, &ledger);
    start_process(&lab, 0, LONG_MS, &ledger, TRUE);
    work_until_state(&lab, 0, VMF_GATE_OPEN);
    g_assert_cmpuint(vmf_disk_set_facts(lab.sets[0]).written_since_open, ==, 0);
    release(&lab, 0);
    lab_clear(&lab);
}

/* A write was under way: it may land, until the quarantine is over nothing overtakes it. */
static void
test_busy(void)
{
    VmfDiskLedger ledger = {0};
    Lab lab = lab_with(&ledger, LONG_MS);
    own(&lab, 0, "", 0, 1);
    memory_server_set_hold(lab.server, MEMORY_WRITE_DISK, TRUE);
    Write write = write_of(&lab, 0, 0, 3, 0x11);
    start(&write);
    memory_server_wait_held(lab.server);
    VmfDiskLedger killed_now = ledger;
    g_assert_cmpint(killed_now.late_since, !=, 0);
    memory_server_set_hold(lab.server, MEMORY_WRITE_DISK, FALSE);
    g_assert_cmpint(finish(&write), ==, 0);
    kill_process(&lab, 0, &ledger);

    ledger = killed_now;
    start_process(&lab, 0, LONG_MS, &ledger, TRUE);
    vmf_disk_set_work(lab.sets[0]);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
    g_autofree gchar *trouble = vmf_disk_set_trouble(lab.sets[0]);
    g_assert_nonnull(strstr(trouble, "may still land"));
    kill_process(&lab, 0, &ledger); /* while it waits */
    g_assert_cmpint(ledger.late_since, ==, killed_now.late_since);

    start_process(&lab, 0, SHORT_MS, &ledger, TRUE);
    vmf_disk_set_work(lab.sets[0]);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
    work_until_state(&lab, 0, VMF_GATE_OPEN);
    g_assert_cmpint(ledger.late_since, ==, 0);
    release(&lab, 0);
    lab_clear(&lab);
}

/* It never left: nothing can land, and only QEMU knows of it. */
static void
test_write_that_waited(void)
{
    VmfDiskLedger ledger = {0};
    Lab lab = lab_with(&ledger, LONG_MS);
    own(&lab, 0, "", 0, 1);
    g_assert_cmpint(write_now(&lab, 0, 0, 3, 0x11), ==, 0);
    g_assert_false(vmf_disk_ledger_write_is_open(&ledger));
    kill_process(&lab, 0, &ledger);
    start_process(&lab, 0, LONG_MS, &ledger, TRUE);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
    Write write = write_of(&lab, 0, 0, 3, 0x22);
    start(&write);
    wait_until_waiting(&lab, 0, 1);
    VmfDiskLedger killed_now = ledger;
    g_assert_cmpint(killed_now.late_since, ==, 0);
    g_assert_true(vmf_disk_ledger_write_is_open(&killed_now));
    work_until_state(&lab, 0, VMF_GATE_OPEN);
    g_assert_cmpint(finish(&write), ==, 0);
    g_assert_false(vmf_disk_ledger_write_is_open(&ledger));
    kill_process(&lab, 0, &ledger);

    ledger = killed_now;
    start_process(&lab, 0, LONG_MS, &ledger, TRUE);
    work_until_state(&lab, 0, VMF_GATE_OPEN);
    g_assert_cmpint(write_now(&lab, 0, 0, 4, 0x33), ==, 0);
    g_assert_true(vmf_disk_ledger_write_is_open(&ledger)); /* nobody has repeated it for sure */
    release(&lab, 0);
    own(&lab, 0, SID1, 1, 2);
    g_assert_false(vmf_disk_ledger_write_is_open(&ledger));
    release(&lab, 0);
    lab_clear(&lab);
}

/* The VM was ended and is started anew: its late write counts all the same. */
static void
test_busy_then_started_anew(void)
{
    VmfDiskLedger ledger = {0};
    Lab lab = lab_with(&ledger, SHORT_MS);
    own(&lab, 0, "", 0, 1);
    kill_process(&lab, 0, &ledger);
    ledger.late_since = g_get_monotonic_time();
    start_process(&lab, 0, SHORT_MS, &ledger, FALSE);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_CLOSED);
    own(&lab, 0, SID1, 1, 2);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
    work_until_state(&lab, 0, VMF_GATE_OPEN);
    assert_record(&lab, "HV1$", 2, VMF_OWNER_RUNNING);
    release(&lab, 0);
    lab_clear(&lab);
}

static void
test_late_write_of_long_ago(void)
{
    VmfDiskLedger ledger = {.late_since = 1};
    Lab lab = lab_with(&ledger, 20);
    own(&lab, 0, "", 0, 1);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_OPEN);
    release(&lab, 0);
    lab_clear(&lab);
}

static void
test_foreign(void)
{
    VmfDiskLedger ledger = {0};
    Lab lab = lab_with(&ledger, 0);
    own(&lab, 0, "", 0, 1);
    kill_process(&lab, 0, &ledger);
    own(&lab, 1, SID1, 1, 2);
    start_process(&lab, 0, 0, &ledger, TRUE);
    while (!gate_of(&lab, 0).foreign)
        vmf_disk_set_work(lab.sets[0]);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
    release(&lab, 0); /* its VM was ended */
    release(&lab, 1);
    lab_clear(&lab);
}

/* Killed while it took the VM back, with the gate open: whichever epoch the record says is its own. */
static void
test_claim_under_way(void)
{
    for (guint written = 0; written < 2; written++) {
        VmfDiskLedger ledger = {0};
        Lab lab = lab_with(&ledger, 0);
        own(&lab, 0, "", 0, 1);
        if (written)
            own(&lab, 0, SID1, 1, 3);
        kill_process(&lab, 0, &ledger);
        ledger.epoch = 1;
        ledger.maybe_epoch = 3;
        start_process(&lab, 0, 0, &ledger, TRUE);
        work_until_state(&lab, 0, VMF_GATE_OPEN);
        g_assert_cmpuint(gate_of(&lab, 0).epoch, ==, written ? 3 : 1);
        g_assert_cmpuint(ledger.epoch, ==, written ? 3 : 1);
        release(&lab, 0);
        lab_clear(&lab);
    }
}

/* The server has not seen yet that the killed one is gone. */
static void
test_lingering_handles(void)
{
    VmfDiskLedger ledger = {0};
    Lab lab = lab_with(&ledger, 0);
    own(&lab, 0, "", 0, 1);
    memory_server_linger(lab.server, TRUE);
    kill_process(&lab, 0, &ledger);
    start_process(&lab, 0, 0, &ledger, TRUE);
    vmf_disk_set_work(lab.sets[0]);
    g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_FENCED);
    memory_server_forget(lab.server);
    work_until_state(&lab, 0, VMF_GATE_OPEN);
    release(&lab, 0);
    lab_clear(&lab);
}

/* What was released, or never opened, is not taken up. */
static void
test_nothing_to_take_up(void)
{
    for (guint claimed = 0; claimed < 2; claimed++) {
        VmfDiskLedger ledger = {0};
        Lab lab = lab_with(&ledger, 0);
        own(&lab, 0, "", 0, 1);
        release(&lab, 0);
        if (claimed)
            g_assert_true(claim(&lab, 0, SID1, 1, 2, NULL));
        kill_process(&lab, 0, &ledger);
        start_process(&lab, 0, 0, &ledger, TRUE);
        g_assert_cmpint(gate_of(&lab, 0).state, ==, VMF_GATE_CLOSED);
        g_assert_cmpuint(gate_of(&lab, 0).epoch, ==, 0);
        lab_clear(&lab);
    }
}

static void
test_ledger_file(void)
{
    g_autofree gchar *folder = g_dir_make_tmp("ledger-XXXXXX", NULL);
    g_autofree gchar *path = g_build_filename(folder, "ledger", NULL);
    VmfDiskLedger *ledger = vmf_disk_ledger_map(folder, BOOT1, NULL);
    g_assert_nonnull(ledger);
    g_assert_cmpuint(ledger->epoch, ==, 0);
    ledger->epoch = 7;
    ledger->written = 1;
    vmf_disk_ledger_unmap(ledger);
    ledger = vmf_disk_ledger_map(folder, BOOT1, NULL);
    g_assert_cmpuint(ledger->epoch, ==, 7);
    g_assert_cmpuint(ledger->written, ==, 1);
    vmf_disk_ledger_unmap(ledger);
    ledger = vmf_disk_ledger_map(folder, BOOT2, NULL); /* the host was restarted */
    g_assert_cmpuint(ledger->epoch, ==, 0);
    vmf_disk_ledger_unmap(ledger);

    g_assert_true(g_file_set_contents(path, "nonsense", -1, NULL));
    ledger = vmf_disk_ledger_map(folder, BOOT1, NULL);
    g_assert_cmpuint(ledger->epoch, ==, 0);
    vmf_disk_ledger_unmap(ledger);
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpint(symlink("/dev/zero", path), ==, 0);
    assert_fails(vmf_disk_ledger_map(folder, BOOT1, &error), VMF_ERROR_INTERNAL);
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpint(g_rmdir(folder), ==, 0);
}

/* A part of a ledger is taken for one that tells nothing: then everything may have been under way. */
static void
test_ledger_cut(void)
{
    static const char boot[] = "11111111-2222-4333-8444-555555555555";
    g_autofree gchar *folder = g_dir_make_tmp("vmferry-ledger-XXXXXX", NULL);
    g_autofree gchar *path = g_build_filename(folder, "ledger", NULL), *whole = NULL;
    gsize size;
    VmfDiskLedger *ledger = vmf_disk_ledger_map(folder, boot, NULL);
    ledger->epoch = 7;
    ledger->written = 1;
    vmf_disk_ledger_unmap(ledger);
    g_assert_false(vmf_disk_ledger_tells_open_write(folder));
    g_assert_true(g_file_get_contents(path, &whole, &size, NULL));
    for (gsize cut = 0; cut <= size; cut++) {
        g_unlink(path);
        g_assert_true(g_file_set_contents(path, whole, (gssize)cut, NULL));
        g_assert_true(vmf_disk_ledger_tells_open_write(folder) == (cut < size));
        ledger = vmf_disk_ledger_map(folder, boot, NULL);
        g_assert_true((ledger->epoch == 7 && ledger->written == 1) ||
                      (ledger->epoch == 0 && ledger->written == 0));
        g_assert_true(cut < size || ledger->epoch == 7);
        vmf_disk_ledger_unmap(ledger);
    }
    g_unlink(path);
    g_rmdir(folder);
}

int
main(int argc, char **argv)
{
    lab_begin(&argc, &argv);
    g_test_add_func("/disk-set/resume/idle", test_idle);
    g_test_add_func("/disk-set/resume/untouched", test_untouched);
    g_test_add_func("/disk-set/resume/write-under-way", test_busy);
    g_test_add_func("/disk-set/resume/write-that-waited", test_write_that_waited);
    g_test_add_func("/disk-set/resume/vm-started-anew", test_busy_then_started_anew);
    g_test_add_func("/disk-set/resume/late-write-of-long-ago", test_late_write_of_long_ago);
    g_test_add_func("/disk-set/resume/foreign", test_foreign);
    g_test_add_func("/disk-set/resume/claim-under-way", test_claim_under_way);
    g_test_add_func("/disk-set/resume/lingering-handles", test_lingering_handles);
    g_test_add_func("/disk-set/resume/nothing-to-take-up", test_nothing_to_take_up);
    g_test_add_func("/disk-ledger/file", test_ledger_file);
    g_test_add_func("/disk-set/resume/ledger-every-truncation", test_ledger_cut);
    return g_test_run();
}
