/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/owner-record.h"
#include "src/base/error.h"

#include <string.h>

#define VM "6f2f3d5e-0c1a-4b7e-9d55-1f0e2a3b4c5d"

static VmfOwnerRecord
sample(void)
{
    VmfOwnerRecord record = {
        .vm_uuid = VM,
        .state = VMF_OWNER_RUNNING,
        .sequence = 41,
        .epoch = 7,
        .boot_id = "00112233-4455-6677-8899-aabbccddeeff",
        .migration_id = "4a1c",
        .owner_sid = "S-1-5-21-2457507606-2709100691-398136650-1104",
        .owner_account = "HV1$",
        .reason = "started",
        .written_at_us = 1700000000000000,
    };
    for (guint i = 0; i < sizeof record.disks_digest; i++)
        record.disks_digest[i] = (guint8)(i * 7);
    return record;
}

static void
encode(const VmfOwnerRecord *record, guint8 *slot)
{
    g_autoptr(GError) error = NULL;
    gboolean ok = vmf_owner_record_encode(record, slot, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

static void
assert_same(const VmfOwnerRecord *a, const VmfOwnerRecord *b)
{
    guint8 slot_a[VMF_OWNER_SLOT_SIZE], slot_b[VMF_OWNER_SLOT_SIZE];
    encode(a, slot_a);
    encode(b, slot_b);
    g_assert_cmpmem(slot_a, sizeof slot_a, slot_b, sizeof slot_b);
}

static void
test_round_trip(void)
{
    guint8 slot[VMF_OWNER_SLOT_SIZE];
    VmfOwnerRecord in = sample(), out;
    encode(&in, slot);
    g_assert_true(vmf_owner_record_decode(slot, sizeof slot, &out, NULL));
    assert_same(&in, &out);
    g_assert_cmpstr(out.owner_account, ==, "HV1$");
    g_assert_cmpstr(out.boot_id, ==, in.boot_id);
    g_assert_cmpuint(out.epoch, ==, 7);
    g_assert_cmpint(out.written_at_us, ==, in.written_at_us);

    memset(in.reason, 'r', sizeof in.reason - 1);
    memset(in.owner_sid, '5', sizeof in.owner_sid - 1);
    memset(in.owner_account, 'H', sizeof in.owner_account - 1);
    memset(in.migration_id, 'm', sizeof in.migration_id - 1);
    in.epoch = in.sequence = G_MAXUINT64;
    encode(&in, slot);
    g_assert_true(vmf_owner_record_decode(slot, sizeof slot, &out, NULL));
    assert_same(&in, &out);
}

/* The layout is a promise to other versions: its bytes are written down here. */
static void
test_layout(void)
{
    guint8 slot[VMF_OWNER_SLOT_SIZE];
    static const guint8 beginning[] = {
        'V',  'M',  'F',  'O',  'W',  'N',  'E',  'R',  1,    0,    0,    0,    2,    0,
        0,    0,    41,   0,    0,    0,    0,    0,    0,    0,    7,    0,    0,    0,
        0,    0,    0,    0,    0x6f, 0x2f, 0x3d, 0x5e, 0x0c, 0x1a, 0x4b, 0x7e, 0x9d, 0x55,
        0x1f, 0x0e, 0x2a, 0x3b, 0x4c, 0x5d, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
        0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, '4',  'a',  '1',  'c',  0,
    };
    VmfOwnerRecord record = sample();
    encode(&record, slot);
    g_assert_cmpmem(slot, sizeof beginning, beginning, sizeof beginning);
    g_assert_cmpmem(slot + 120, 32, record.disks_digest, 32);
    g_assert_cmpstr((const char *)slot + 152, ==, record.owner_sid);
    g_assert_cmpstr((const char *)slot + 280, ==, "HV1$");
    g_assert_cmpstr((const char *)slot + 312, ==, "started");
}

static void
test_every_truncation(void)
{
    guint8 slot[VMF_OWNER_SLOT_SIZE];
    VmfOwnerRecord record = sample(), out;
    encode(&record, slot);
    for (gsize size = 0; size < sizeof slot; size++) {
        g_autofree guint8 *exact = g_memdup2(slot, size);
        g_autoptr(GError) error = NULL;
        g_assert_false(vmf_owner_record_decode(exact, size, &out, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

static void
test_every_bit_flip(void)
{
    guint8 slot[VMF_OWNER_SLOT_SIZE];
    VmfOwnerRecord record = sample(), out;
    encode(&record, slot);
    for (gsize bit = 0; bit < sizeof slot * 8; bit++) {
        slot[bit / 8] ^= (guint8)(1 << (bit % 8));
        g_assert_false(vmf_owner_record_decode(slot, sizeof slot, &out, NULL));
        slot[bit / 8] ^= (guint8)(1 << (bit % 8));
    }
    g_assert_true(vmf_owner_record_decode(slot, sizeof slot, &out, NULL));
}

static void
seal(guint8 *slot)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize size = 32;
    g_checksum_update(sum, slot, 480);
    g_checksum_get_digest(sum, slot + 480, &size);
}

/* Right checksum, wrong content: none of it comes from this code, all of it is refused. */
static void
test_sealed_nonsense(void)
{
    static const struct {
        guint at;
        guint8 value;
    } cases[] = {
        {8, 2},   {9, 1},  {12, 0},   {12, 5},  {15, 1},    {112, 1}, {119, 1},  {448, 1},
        {479, 1}, {64, 7}, {70, 'x'}, {152, 0}, {279, 'x'}, {280, 0}, {312, 10}, {320, 'x'},
    };
    guint8 slot[VMF_OWNER_SLOT_SIZE];
    VmfOwnerRecord record = sample(), out;
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        encode(&record, slot);
        slot[cases[i].at] = cases[i].value;
        seal(slot);
        g_test_message("byte %u = %u", cases[i].at, cases[i].value);
        g_assert_false(vmf_owner_record_decode(slot, sizeof slot, &out, NULL));
    }
    encode(&record, slot);
    memset(slot + 24, 0, 8);
    seal(slot);
    g_assert_false(vmf_owner_record_decode(slot, sizeof slot, &out, NULL));
    encode(&record, slot);
    memset(slot + 16, 0, 8);
    seal(slot);
    g_assert_false(vmf_owner_record_decode(slot, sizeof slot, &out, NULL));
}

static void
test_unstorable(void)
{
    guint8 slot[VMF_OWNER_SLOT_SIZE], before[VMF_OWNER_SLOT_SIZE];
    memset(slot, 0xee, sizeof slot);
    memset(before, 0xee, sizeof before);
    for (guint i = 0; i < 9; i++) {
        g_autoptr(GError) error = NULL;
        VmfOwnerRecord record = sample();
        switch (i) {
        case 0:
            record.epoch = 0;
            break;
        case 1:
            record.sequence = 0;
            break;
        case 2:
            record.owner_sid[0] = '\0';
            break;
        case 3:
            record.owner_account[0] = '\0';
            break;
        case 4:
            strcpy(record.reason, "line\nbreak");
            break;
        case 5:
            strcpy(record.reason, "\xc3\xa9");
            break;
        case 6:
            record.state = 0;
            break;
        case 7:
            record.vm_uuid[8] = 'x';
            break;
        case 8:
            memset(record.migration_id, 'm', sizeof record.migration_id); /* no end */
            break;
        }
        g_assert_false(vmf_owner_record_encode(&record, slot, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_INTERNAL);
        g_assert_cmpmem(slot, sizeof slot, before, sizeof before);
    }
}

/* --- whole files --- */

static void
make_file(guint8 *file, guint64 epoch0, guint64 sequence0, guint64 epoch1, guint64 sequence1)
{
    VmfOwnerRecord record = sample();
    record.epoch = epoch0;
    record.sequence = sequence0;
    encode(&record, file);
    record.epoch = epoch1;
    record.sequence = sequence1;
    strcpy(record.owner_account, "HV2$");
    encode(&record, file + VMF_OWNER_SLOT_SIZE);
}

static guint
newest_of(const guint8 *file)
{
    VmfOwnerRecord record;
    guint slot = 9;
    g_autoptr(GError) error = NULL;
    vmf_owner_record_decode_file(file, VMF_OWNER_FILE_SIZE, VM, &record, &slot, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(record.owner_account, ==, slot == 0 ? "HV1$" : "HV2$");
    return slot;
}

static void
test_newest_slot(void)
{
    guint8 file[VMF_OWNER_FILE_SIZE];
    make_file(file, 7, 41, 8, 42);
    g_assert_cmpuint(newest_of(file), ==, 1);
    make_file(file, 9, 43, 8, 42);
    g_assert_cmpuint(newest_of(file), ==, 0);
    make_file(file, 8, 43, 8, 42);
    g_assert_cmpuint(newest_of(file), ==, 0);
    /* a late write of a lost owner: lower epoch, whatever its sequence */
    make_file(file, 8, 42, 9, 43);
    g_assert_cmpuint(newest_of(file), ==, 1);
    make_file(file, 9, 43, 8, 50);
    g_assert_cmpuint(newest_of(file), ==, 0);
}

static void
test_torn_slot(void)
{
    guint8 file[VMF_OWNER_FILE_SIZE];
    for (gsize torn = 0; torn <= VMF_OWNER_SLOT_SIZE; torn++) {
        guint8 next[VMF_OWNER_FILE_SIZE];
        make_file(file, 7, 41, 6, 40);
        make_file(next, 7, 41, 8, 42);
        memcpy(file + VMF_OWNER_SLOT_SIZE, next + VMF_OWNER_SLOT_SIZE, torn);
        VmfOwnerRecord record;
        guint slot = 9;
        g_assert_true(vmf_owner_record_decode_file(file, sizeof file, VM, &record, &slot, NULL));
        g_assert_cmpuint(record.epoch, ==, torn == VMF_OWNER_SLOT_SIZE ? 8 : 7);
    }
}

static void
test_bad_files(void)
{
    guint8 file[VMF_OWNER_FILE_SIZE + 1] = {0};
    VmfOwnerRecord record;
    guint slot;

    for (gsize size = 0; size <= sizeof file; size++)
        g_assert_false(vmf_owner_record_decode_file(file, size, VM, &record, &slot, NULL));
    /* one slot alone is a record; anything longer than two is not */
    make_file(file, 7, 41, 8, 42);
    g_assert_true(vmf_owner_record_decode_file(file, 512, VM, &record, &slot, NULL));
    g_assert_cmpuint(record.epoch, ==, 7);
    g_assert_true(vmf_owner_record_decode_file(file, 1023, VM, &record, &slot, NULL));
    g_assert_false(vmf_owner_record_decode_file(file, 1025, VM, &record, &slot, NULL));
    g_assert_false(vmf_owner_record_decode_file(file, 511, VM, &record, &slot, NULL));
    /* another VM's */
    g_autoptr(GError) error = NULL;
    g_assert_false(vmf_owner_record_decode_file(file, 1024, "00000000-0c1a-4b7e-9d55-1f0e2a3b4c5d",
                                                &record, &slot, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    /* equal age, other content */
    make_file(file, 7, 41, 7, 41);
    g_assert_false(vmf_owner_record_decode_file(file, 1024, VM, &record, &slot, NULL));
    memcpy(file + 512, file, 512);
    g_assert_true(vmf_owner_record_decode_file(file, 1024, VM, &record, &slot, NULL));
}

static void
test_names(void)
{
    VmfOwnerRecord record = sample();
    g_autofree gchar *text = vmf_owner_record_describe(&record);
    g_assert_true(vmf_owner_record_names(&record, record.owner_sid, record.boot_id, 7));
    g_assert_false(vmf_owner_record_names(&record, record.owner_sid, record.boot_id, 8));
    g_assert_false(vmf_owner_record_names(&record, "S-1-5-21-1", record.boot_id, 7));
    g_assert_false(vmf_owner_record_names(&record, record.owner_sid, VM, 7));
    g_assert_cmpstr(text, ==,
                    "HV1$ (S-1-5-21-2457507606-2709100691-398136650-1104), epoch 7, running");
    for (VmfOwnerState state = VMF_OWNER_OWNED; state <= VMF_OWNER_STOPPED; state++) {
        VmfOwnerState back;
        g_assert_true(vmf_owner_state_from_name(vmf_owner_state_name(state), &back));
        g_assert_cmpint(back, ==, state);
    }
    VmfOwnerState untouched = VMF_OWNER_OWNED;
    g_assert_false(vmf_owner_state_from_name("invalid", &untouched));
    g_assert_false(vmf_owner_state_from_name(NULL, &untouched));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/owner-record/good/round-trip", test_round_trip);
    g_test_add_func("/owner-record/good/layout", test_layout);
    g_test_add_func("/owner-record/every-truncation/refused", test_every_truncation);
    g_test_add_func("/owner-record/every-bit-flip/refused", test_every_bit_flip);
    g_test_add_func("/owner-record/sealed-nonsense/refused", test_sealed_nonsense);
    g_test_add_func("/owner-record/unstorable/refused", test_unstorable);
    g_test_add_func("/owner-record/two-slots/newest", test_newest_slot);
    g_test_add_func("/owner-record/torn-slot/other-one", test_torn_slot);
    g_test_add_func("/owner-record/bad-file/refused", test_bad_files);
    g_test_add_func("/owner-record/names/owner-boot-epoch", test_names);
    return g_test_run();
}
