/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/smb/disk-set-lab.h"

#include <string.h>

const char *const accounts[2] = {"HV1$", "HV2$"};
const char *const sids[2] = {SID1, SID2};
const char *const boots[2] = {BOOT1, BOOT2};

VmfDiskSet *
make_set(MemoryServer *server, guint host, guint quarantine_ms, GError **error)
{
    return make_set_of(server, host, quarantine_ms, NULL, FALSE, error);
}

guint touched[2];

static void
note_touched(gpointer host)
{
    touched[GPOINTER_TO_UINT(host)]++;
}

VmfDiskSet *
make_set_of(MemoryServer *server, guint host, guint quarantine_ms, VmfDiskLedger *ledger,
            gboolean resume, GError **error)
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
        .ledger = ledger,
        .resume = resume,
        .touched = note_touched,
        .data = GUINT_TO_POINTER(host),
    };
    return vmf_disk_set_new(&config, error);
}

Lab
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

void
lab_clear(Lab *lab)
{
    for (guint i = 0; i < 2; i++)
        vmf_disk_set_free(lab->sets[i]);
    memory_server_free(lab->server);
}

VmfGateFacts
gate_of(const Lab *lab, guint host)
{
    return vmf_disk_set_facts(lab->sets[host]).gate;
}

gboolean
claim(const Lab *lab, guint host, const char *sid, guint64 epoch, guint64 next_epoch,
      GError **error)
{
    const VmfOwnerExpect expected = {sid, epoch};
    const VmfOwnerNext next = {
        .epoch = next_epoch, .state = VMF_OWNER_RUNNING, .migration_id = "m1", .reason = "test"};
    return vmf_disk_set_claim(lab->sets[host], &expected, &next, 0, NULL, error);
}

void
own(const Lab *lab, guint host, const char *sid, guint64 epoch, guint64 next_epoch)
{
    g_autoptr(GError) error = NULL;
    claim(lab, host, sid, epoch, next_epoch, &error);
    g_assert_no_error(error);
    vmf_disk_set_open_gate(lab->sets[host], next_epoch, &error);
    g_assert_no_error(error);
}

void
release(const Lab *lab, guint host)
{
    g_autoptr(GError) error = NULL;
    vmf_disk_set_release(lab->sets[host], NULL, NULL, &error);
    g_assert_no_error(error);
}

VmfOwnerRecord
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

void
assert_record(const Lab *lab, const char *account, guint64 epoch, VmfOwnerState state)
{
    VmfOwnerRecord record = record_of(lab);
    g_assert_cmpstr(record.owner_account, ==, account);
    g_assert_cmpuint(record.epoch, ==, epoch);
    g_assert_cmpint(record.state, ==, state);
}

void
work_until_state(const Lab *lab, guint host, VmfGateState state)
{
    while (gate_of(lab, host).state != state) {
        vmf_disk_set_work(lab->sets[host]);
        g_usleep(200);
    }
}

/* --- the guest --- */

int
write_block(VmfDiskSet *set, const VmfGateLease *lease, guint disk, guint block, guint8 value)
{
    guint8 bytes[BLOCK];
    memset(bytes, value, sizeof bytes);
    return vmf_disk_set_write(set, lease, disk, bytes, sizeof bytes, (guint64)block * BLOCK);
}

int
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

Write
write_of(const Lab *lab, guint host, guint disk, guint block, guint8 value)
{
    Write write = {.set = lab->sets[host], .disk = disk, .block = block, .value = value};
    vmf_gate_lease_init(vmf_disk_set_gate(write.set), &write.lease, NULL, NULL);
    return write;
}

void
start(Write *write)
{
    write->thread = g_thread_new("write", write_thread, write);
}

int
finish(Write *write)
{
    g_thread_join(write->thread);
    return write->result;
}

int
write_now(const Lab *lab, guint host, guint disk, guint block, guint8 value)
{
    Write write = write_of(lab, host, disk, block, value);
    return write_block(write.set, &write.lease, disk, block, value);
}

int
read_now(const Lab *lab, guint host, guint disk, guint block)
{
    Write lease = write_of(lab, host, disk, block, 0);
    return read_block(lab->sets[host], &lease.lease, disk, block);
}

void
wait_until_waiting(const Lab *lab, guint host, guint n)
{
    while (TRUE) {
        VmfDiskSetFacts facts = vmf_disk_set_facts(lab->sets[host]);
        if (facts.gate.waiting + facts.unanswered == n)
            return;
        g_usleep(200);
    }
}

static GLogWriterOutput
quiet(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
    return level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)
               ? g_log_writer_default(level, fields, n, data)
               : G_LOG_WRITER_HANDLED;
}

void
lab_begin(int *argc, char ***argv)
{
    g_test_init(argc, argv, NULL);
    g_log_set_writer_func(quiet, NULL, NULL); /* troubles are meant here */
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
}
