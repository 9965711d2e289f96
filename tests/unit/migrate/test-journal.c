/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/journal.h"

#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "src/base/error.h"

typedef struct {
    gchar *folder, *path;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    f->folder = g_dir_make_tmp("vmf-journal-XXXXXX", NULL);
    f->path = g_build_filename(f->folder, "journal.db", NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (gsize i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree gchar *path = g_strconcat(f->path, suffixes[i], NULL);
        g_unlink(path);
    }
    g_rmdir(f->folder);
    g_free(f->path);
    g_free(f->folder);
}

static gint64
begin(VmfJournal *journal, const char *migration, VmfRole role, GError **error)
{
    VmfJournalEntry entry = {
        .migration = (gchar *)migration,
        .role = role,
        .vm_uuid = (gchar *)"9f0f2cba-6dd5-4f1e-a1c9-5b8a2f0a1111",
        .vm_name = (gchar *)"demo",
        .peer = (gchar *)"hv2.lab.test",
        .epoch = 7,
    };
    return vmf_journal_begin(journal, &entry, error);
}

static void
test_survives_reopening(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    VmfJournal *journal = vmf_journal_open(f->path, &error);
    g_assert_no_error(error);
    gint64 first = begin(journal, "m1", VMF_ROLE_SOURCE, &error);
    gint64 second = begin(journal, "m2", VMF_ROLE_DESTINATION, &error);
    g_assert_no_error(error);
    g_assert_cmpint(first, ==, 1);
    g_assert_cmpint(second, ==, 2);
    g_assert_true(vmf_journal_enter(journal, first, VMF_STATE_RELEASED, &error));
    g_assert_true(vmf_journal_set_epoch(journal, first, 9, &error));
    g_assert_true(vmf_journal_set_disks(journal, first, "vda raw smb://fs1/vms/a/a.raw\n", &error));
    g_assert_true(vmf_journal_enter(journal, second, VMF_STATE_RUNNING, &error));
    g_assert_true(vmf_journal_finish(journal, second, "{}", &error));
    g_assert_true(vmf_journal_set_meta(journal, "owner-sid", "S-1-5-21-1", &error));
    vmf_journal_close(journal);

    g_autoptr(VmfJournal) again = vmf_journal_open(f->path, &error);
    g_assert_no_error(error);
    g_autoptr(GPtrArray) open = vmf_journal_list(again, 10, TRUE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(open->len, ==, 1);
    const VmfJournalEntry *entry = open->pdata[0];
    g_assert_cmpint(entry->state, ==, VMF_STATE_RELEASED);
    g_assert_cmpuint(entry->epoch, ==, 9);
    g_assert_cmpstr(entry->vm_name, ==, "demo");
    g_assert_null(entry->report);
    g_assert_cmpstr(entry->disks, ==, "vda raw smb://fs1/vms/a/a.raw\n");
    g_autoptr(GPtrArray) all = vmf_journal_list(again, 10, FALSE, &error);
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_cmpstr(((VmfJournalEntry *)all->pdata[0])->report, ==, "{}");
    g_autofree gchar *sid = vmf_journal_get_meta(again, "owner-sid");
    g_assert_cmpstr(sid, ==, "S-1-5-21-1");
    g_assert_null(vmf_journal_get_meta(again, "none"));
}

static void
test_migration_id_is_one_use(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfJournal) journal = vmf_journal_open(f->path, &error);
    g_assert_cmpint(begin(journal, "m1", VMF_ROLE_DESTINATION, &error), ==, 1);
    g_assert_cmpint(begin(journal, "m1", VMF_ROLE_DESTINATION, &error), ==, 0);
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

/* As vmferry 0.1.0 wrote it before the column disks. */
static void
test_version_1(Fixture *f, gconstpointer data)
{
    static const char old[] =
        "PRAGMA application_id=1986881145; PRAGMA user_version=1;"
        "CREATE TABLE move (job INTEGER PRIMARY KEY AUTOINCREMENT, migration TEXT NOT NULL UNIQUE,"
        " role INTEGER NOT NULL, state TEXT NOT NULL, vm_uuid TEXT NOT NULL, vm_name TEXT NOT NULL,"
        " peer TEXT NOT NULL, epoch INTEGER NOT NULL, started INTEGER NOT NULL,"
        " updated INTEGER NOT NULL, final INTEGER NOT NULL DEFAULT 0, report TEXT);"
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
        "INSERT INTO move VALUES (3, 'm3', 1, 'committed', 'u', 'demo', 'hv1', 7, 1, 2, 0, NULL);";
    sqlite3 *db = NULL;
    g_assert_cmpint(sqlite3_open(f->path, &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, old, NULL, NULL, NULL), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_close(db), ==, SQLITE_OK);

    for (guint i = 0; i < 2; i++) { /* brought up to date, and then as it is */
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfJournal) journal = vmf_journal_open(f->path, &error);
        g_assert_no_error(error);
        g_autoptr(GPtrArray) open = vmf_journal_list(journal, 10, TRUE, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(open->len, ==, 1);
        const VmfJournalEntry *entry = open->pdata[0];
        g_assert_cmpint(entry->job, ==, 3);
        g_assert_cmpint(entry->state, ==, VMF_STATE_COMMITTED);
        g_assert_null(entry->disks);
    }
}

static void
test_not_a_journal(Fixture *f, gconstpointer data)
{
    static const char *const contents[] = {"this is no database, it only looks like a file\n",
                                           "SQLite format 3"};
    for (gsize i = 0; i < G_N_ELEMENTS(contents); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree gchar *big = g_strnfill(4096, 'x');
        memcpy(big, contents[i], strlen(contents[i]));
        g_assert_true(g_file_set_contents(f->path, big, 4096, NULL));
        g_assert_null(vmf_journal_open(f->path, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
        g_assert_nonnull(strstr(error->message, f->path));
    }
}

static void
test_cannot_be_written(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *path = g_build_filename(f->folder, "no", "such", "folder.db", NULL);
    g_assert_null(vmf_journal_open(path, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

/* What peers make here ends; what is open, and the other role's, stays. */
static void
test_prunes_what_is_over(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfJournal) journal = vmf_journal_open(f->path, &error);
    g_assert_no_error(error);
    gint64 open = begin(journal, "open", VMF_ROLE_DESTINATION, &error);
    gint64 ours = begin(journal, "ours", VMF_ROLE_SOURCE, &error);
    g_assert_true(vmf_journal_enter(journal, ours, VMF_STATE_KEPT, &error));
    for (guint i = 0; i < VMF_JOURNAL_KEPT + 20; i++) {
        g_autofree gchar *migration = g_strdup_printf("m%u", i);
        gint64 job = begin(journal, migration, VMF_ROLE_DESTINATION, &error);
        g_assert_true(vmf_journal_enter(journal, job, VMF_STATE_ABORTED, &error));
    }
    g_assert_no_error(error);
    g_autoptr(GPtrArray) left = vmf_journal_list(journal, G_MAXINT, FALSE, &error);
    g_assert_no_error(error);
    /* the last one was still open when the others were counted */
    g_assert_cmpuint(left->len, ==, VMF_JOURNAL_KEPT + 1 + 2);
    g_assert_cmpint(((VmfJournalEntry *)left->pdata[left->len - 1])->job, ==, open);
    g_assert_cmpint(((VmfJournalEntry *)left->pdata[left->len - 2])->job, ==, ours);
    g_autoptr(VmfJournalEntry) first = vmf_journal_find(journal, "m0");
    g_assert_null(first);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, func) g_test_add(path, Fixture, NULL, set_up, func, tear_down)
    ADD("/journal/what-is-over/pruned", test_prunes_what_is_over);
    ADD("/journal/reopened/everything-there", test_survives_reopening);
    ADD("/journal/migration-id-again/refused", test_migration_id_is_one_use);
    ADD("/journal/version-1/brought-up-to-date", test_version_1);
    ADD("/journal/not-a-journal/refused-by-name", test_not_a_journal);
    ADD("/journal/no-folder/refused", test_cannot_be_written);
    return g_test_run();
}
