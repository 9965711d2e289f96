/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/move-note.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/migrate/recover.h"
#include "src/migrate/vm-disks.h"

#define UUID "9f0f2cba-6dd5-4f1e-a1c9-5b8a2f0a1111"

typedef struct {
    gchar *folder, *path;
    VmfContext context;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    f->folder = g_dir_make_tmp("vmf-note-XXXXXX", NULL);
    f->path = g_build_filename(f->folder, "journal.db", NULL);
    f->context.run_dir = f->folder;
    f->context.journal = vmf_journal_open(f->path, NULL);
    g_assert_nonnull(f->context.journal);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    vmf_journal_close(f->context.journal);
    g_autoptr(GDir) folder = g_dir_open(f->folder, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(folder)) != NULL) {
        g_autofree gchar *path = g_build_filename(f->folder, name, NULL);
        g_unlink(path);
    }
    g_rmdir(f->folder);
    g_free(f->folder);
    g_free(f->path);
}

static const VmfJournalEntry move = {
    .migration = (gchar *)"m1",
    .role = VMF_ROLE_DESTINATION,
    .state = VMF_STATE_NEW,
    .vm_uuid = (gchar *)UUID,
    .vm_name = (gchar *)"demo \n[x]",
    .peer = (gchar *)"hv1.lab.test",
    .epoch = 7,
    .disks = (gchar *)"vda raw smb://fs1/vms/demo/vda.raw\nvdb qcow2 smb://fs1/vms/demo/b\n",
};

static void
assert_is_move(const VmfJournalEntry *entry)
{
    g_assert_cmpstr(entry->migration, ==, move.migration);
    g_assert_cmpint(entry->role, ==, move.role);
    g_assert_cmpint(entry->state, ==, move.state);
    g_assert_cmpstr(entry->vm_uuid, ==, move.vm_uuid);
    g_assert_cmpstr(entry->vm_name, ==, move.vm_name);
    g_assert_cmpstr(entry->peer, ==, move.peer);
    g_assert_cmpuint(entry->epoch, ==, move.epoch);
    g_assert_cmpstr(entry->disks, ==, move.disks);
}

static void
test_round_trip(Fixture *f, gconstpointer data)
{
    g_assert_true(vmf_move_note_write(&f->context, &move, NULL));
    g_autoptr(GPtrArray) list = vmf_move_note_list(&f->context);
    g_assert_cmpuint(list->len, ==, 1);
    assert_is_move(list->pdata[0]);
    vmf_move_note_remove(&f->context, UUID, "another one");
    g_autoptr(GPtrArray) still = vmf_move_note_list(&f->context);
    g_assert_cmpuint(still->len, ==, 1);
    vmf_move_note_remove(&f->context, UUID, "m1");
    g_autoptr(GPtrArray) none = vmf_move_note_list(&f->context);
    g_assert_cmpuint(none->len, ==, 0);
}

static guint
n_recovered(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = vmf_recover_list(&f->context, &error);
    g_assert_no_error(error);
    if (list->len == 1)
        assert_is_move(list->pdata[0]);
    return list->len;
}

/* The journal was lost: the move is in the new one, once. */
static void
test_lost_journal(Fixture *f, gconstpointer data)
{
    g_assert_true(vmf_move_note_write(&f->context, &move, NULL));
    g_assert_cmpuint(n_recovered(f), ==, 1);
    g_assert_cmpuint(n_recovered(f), ==, 1);
    g_autoptr(VmfJournalEntry) entry = vmf_journal_find(f->context.journal, "m1");
    g_assert_true(vmf_journal_enter(f->context.journal, entry->job, VMF_STATE_ABORTED, NULL));
    g_assert_cmpuint(n_recovered(f), ==, 0);
    g_autoptr(GPtrArray) none = vmf_move_note_list(&f->context); /* it was of a move that is over */
    g_assert_cmpuint(none->len, ==, 0);
}

/* An older copy has the move, but not yet what was found out about it. */
static void
test_older_journal(Fixture *f, gconstpointer data)
{
    VmfJournalEntry older = move;
    older.disks = NULL;
    g_assert_cmpint(vmf_journal_begin(f->context.journal, &older, NULL), >, 0);
    g_assert_true(vmf_move_note_write(&f->context, &move, NULL));
    g_assert_cmpuint(n_recovered(f), ==, 1);
}

static guint warnings;

static GLogWriterOutput
count_warnings(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
    warnings += (level & G_LOG_LEVEL_WARNING) != 0;
    return G_LOG_WRITER_HANDLED;
}

static void
test_nonsense(Fixture *f, gconstpointer data)
{
    static const char *const notes[] = {"", "x", "[move]\n", "[move]\nmigration=m\nstate=x\n"};
    g_autofree gchar *path = g_build_filename(f->folder, UUID ".move", NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(notes); i++) {
        g_assert_true(g_file_set_contents(path, notes[i], -1, NULL));
        warnings = 0;
        g_assert_cmpuint(n_recovered(f), ==, 0);
        g_assert_cmpuint(warnings, ==, 1);
    }
}

/* A part of a note is none: what is read of it is what was written. */
static void
test_every_truncation(Fixture *f, gconstpointer data)
{
    g_autofree gchar *path = g_build_filename(f->folder, UUID ".move", NULL), *whole = NULL;
    gsize size;
    g_assert_true(vmf_move_note_write(&f->context, &move, NULL));
    g_assert_true(g_file_get_contents(path, &whole, &size, NULL));
    for (gsize cut = size + 1; cut-- > 0;) {
        g_assert_cmpint(truncate(path, (off_t)cut), ==, 0);
        g_autoptr(GPtrArray) list = vmf_move_note_list(&f->context);
        VmfJournalEntry *entry = list->len ? list->pdata[0] : NULL;
        g_assert_true(entry != NULL || cut < size);
        if (entry && cut < size) { /* its last line is not there */
            g_assert_null(entry->disks);
            entry->disks = g_strdup(move.disks);
        }
        if (entry)
            assert_is_move(entry);
    }
}

static void
check_disks(const char *text, gsize size, const char *again)
{
    g_autofree gchar *exact = g_strndup(text, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) disks = vmf_vm_disks_from_text(exact, "demo", &error);
    g_assert_true((disks == NULL) == (again == NULL));
    if (disks == NULL) {
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
        g_assert_nonnull(strstr(error->message, "vmferry recover demo"));
        return;
    }
    g_autofree gchar *said = vmf_vm_disks_to_text((const VmfDomainDisk *const *)disks->pdata,
                                                  disks->len);
    g_assert_cmpstr(said, ==, again);
}

/* Whole lines are disks; that one is missing, the owner record's digest of them says. */
static void
test_disks(void)
{
    static const char *const bad[] = {"vda raw\n", "\nvda raw smb://a/b\n", "vda  smb://a/b\n",
                                      "vda raw smb://a/b\n\n", "vda raw smb://a/b\n\nvdb raw u\n"};
    gsize first = strcspn(move.disks, "\n") + 1;
    for (gsize cut = 0; cut <= strlen(move.disks); cut++) {
        g_autofree gchar *part = g_strndup(move.disks, cut);
        gboolean whole = cut == 0 || cut == first || cut == strlen(move.disks);
        check_disks(move.disks, cut, whole ? part : NULL);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        check_disks(bad[i], strlen(bad[i]), NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_writer_func(count_warnings, NULL, NULL);
#define ADD(path, func) g_test_add(path, Fixture, NULL, set_up, func, tear_down)
    ADD("/move-note/written/read-and-removed", test_round_trip);
    ADD("/move-note/journal-lost/move-restored", test_lost_journal);
    ADD("/move-note/journal-older/completed", test_older_journal);
    ADD("/move-note/nonsense/left-out", test_nonsense);
    ADD("/move-note/every-truncation/left-out", test_every_truncation);
    g_test_add_func("/move-note/disks/whole-lines-or-refused", test_disks);
    return g_test_run();
}
