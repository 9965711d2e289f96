/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A journal whose file has been damaged: the input is a list of places in it and what stands there
 * now. Opened, or set aside for a new one; and each row that is read is one that was written.
 */
#include "src/migrate/journal.h"
#include "tests/fuzz/folder.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

#define MIGRATION "11111111-2222-4333-8444-55555555555%u"
#define MOVES     4

static const char *folder;
static gchar *path, *image;
static gsize image_size;

static GLogWriterOutput
be_quiet(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
    return G_LOG_WRITER_HANDLED;
}

static void
write_moves(VmfJournal *journal)
{
    for (guint i = 0; i < MOVES; i++) {
        g_autofree gchar *migration = g_strdup_printf(MIGRATION, i);
        const VmfJournalEntry entry = {
            .migration = migration,
            .role = i % 2 ? VMF_ROLE_DESTINATION : VMF_ROLE_SOURCE,
            .vm_uuid = (gchar *)"99999999-8888-4777-8666-555555555555",
            .vm_name = (gchar *)"demo",
            .peer = (gchar *)"hv2.lab.test",
            .epoch = i + 1,
        };
        gint64 job = vmf_journal_begin(journal, &entry, NULL);
        g_assert_true(
            vmf_journal_set_disks(journal, job, "vda raw smb://fs1/vms/d/vda.raw\n", NULL));
        if (i >= 2)
            g_assert_true(
                vmf_journal_enter(journal, job, i % 2 ? VMF_STATE_RUNNING : VMF_STATE_GONE, NULL) &&
                vmf_journal_finish(journal, job, "{\"schema\":\"x\"}", NULL));
    }
}

static void
make_image(void)
{
    g_log_set_writer_func(be_quiet, NULL, NULL);
    folder = fuzz_folder();
    path = g_build_filename(folder, "journal.db", NULL);
    g_autoptr(GError) error = NULL;
    VmfJournal *journal = vmf_journal_open(path, &error);
    g_assert_no_error(error);
    write_moves(journal);
    vmf_journal_close(journal);
    g_assert_true(g_file_get_contents(path, &image, &image_size, NULL));
}

static void
damage(gchar *copy, const guint8 *data, gsize size)
{
    for (; size >= 4; data += 4, size -= 4) {
        guint32 change;
        memcpy(&change, data, sizeof change);
        copy[(change >> 8) % image_size] = (gchar)(change & 0xff);
    }
}

/* What a damaged row claims was never written, and is not believed. */
static void
check_entry(const VmfJournalEntry *entry)
{
    guint number;
    g_assert_cmpint(sscanf(entry->migration, MIGRATION, &number), ==, 1);
    g_assert_cmpuint(number, <, MOVES);
    g_assert_cmpuint(entry->epoch, ==, number + 1);
    g_assert_cmpstr(entry->vm_name, ==, "demo");
    g_assert_cmpint(vmf_state_role(entry->state), ==, entry->role);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    if (image == NULL)
        make_image();
    fuzz_folder_empty();
    g_autofree gchar *copy = g_memdup2(image, image_size);
    damage(copy, data, size);
    g_autoptr(GError) error = NULL;
    g_file_set_contents_full(path, copy, (gssize)image_size, G_FILE_SET_CONTENTS_NONE, 0600,
                             &error);
    g_assert_no_error(error);
    g_autoptr(VmfJournal) journal = vmf_journal_open_or_renew(path, &error);
    g_assert_true((journal == NULL) == (error != NULL));
    if (journal == NULL)
        return 0;
    g_autoptr(GPtrArray) list = vmf_journal_list(journal, 100, FALSE, &error);
    g_assert_true((list == NULL) == (error != NULL));
    for (guint i = 0; list && i < list->len; i++)
        check_entry(list->pdata[i]);
    for (guint i = 0; i < MOVES; i++) {
        g_autofree gchar *migration = g_strdup_printf(MIGRATION, i);
        g_autoptr(VmfJournalEntry) entry = vmf_journal_find(journal, migration);
        if (entry)
            check_entry(entry);
    }
    g_autofree gchar *sid = vmf_journal_get_meta(journal, "owner-sid");
    g_assert_null(sid);
    return 0;
}
