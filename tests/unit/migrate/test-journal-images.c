/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A thousand damaged images of a journal: torn, cut, zeroed, mixed with older pages, bits flipped;
 * of the database and of its log. Each is read for what is whole in it, or refused with its path
 * and the cure; nothing that was never written is read, and a new journal can always be had.
 */
#include "src/migrate/journal.h"

#include <glib/gstdio.h>
#include <string.h>

#include "src/base/error.h"

#define IMAGES   1000
#define SEED     20261122
#define MOVES    12
#define BASES    3
#define SECTOR   512
#define OWN_SID  "S-1-5-21-1-2-3-1104"
#define NEW_MOVE "ffffffff-0000-4000-8000-000000000000"

typedef struct {
    gchar *db, *wal;
    gsize db_size, wal_size;
} Image;

typedef struct {
    gchar *folder, *path;
    Image bases[BASES];  /* of the same journal, one later than the other */
    GHashTable *written; /* each content that an entry ever had, as text */
    guint refused, read, lost_rows;
} Images;

/* ---- the journal that is damaged ---- */

static gchar *
content_of(const char *migration, VmfRole role, VmfState state, guint64 epoch, const char *disks)
{
    return g_strdup_printf("%s %d %s %" G_GUINT64_FORMAT " %s", migration, role,
                           vmf_state_name(state), epoch, disks ? disks : "-");
}

typedef struct {
    Images *images;
    VmfJournal *journal;
    gint64 job;
    gchar migration[37];
    VmfRole role;
    VmfState state;
    guint64 epoch;
    const char *disks;
} Move;

static void
note_written(Move *move)
{
    g_hash_table_add(move->images->written, content_of(move->migration, move->role, move->state,
                                                       move->epoch, move->disks));
}

static void
move_begin(Move *move, Images *images, VmfJournal *journal, guint number)
{
    *move = (Move){images, journal, .role = number % 2 ? VMF_ROLE_DESTINATION : VMF_ROLE_SOURCE};
    g_snprintf(move->migration, sizeof move->migration, "%08x-1111-4222-8333-444444444444", number);
    move->epoch = number % 2 ? 7 + number : 0;
    move->state = vmf_role_first_state(move->role);
    VmfJournalEntry entry = {
        .migration = move->migration,
        .role = move->role,
        .vm_uuid = (gchar *)"9f0f2cba-6dd5-4f1e-a1c9-5b8a2f0a1111",
        .vm_name = (gchar *)"demo",
        .peer = (gchar *)"hv2.lab.test",
        .epoch = move->epoch,
    };
    move->job = vmf_journal_begin(journal, &entry, NULL);
    g_assert_cmpint(move->job, >, 0);
    note_written(move);
}

static void
move_enter(Move *move, VmfState state)
{
    g_assert_true(vmf_journal_enter(move->journal, move->job, state, NULL));
    move->state = state;
    note_written(move);
}

static void
move_know(Move *move)
{
    move->disks = "vda raw smb://fs1/vms/demo/vda.raw\n";
    g_assert_true(vmf_journal_set_disks(move->journal, move->job, move->disks, NULL));
    note_written(move);
    if (move->role == VMF_ROLE_DESTINATION)
        return;
    move->epoch = 3;
    g_assert_true(vmf_journal_set_epoch(move->journal, move->job, move->epoch, NULL));
    note_written(move);
}

/* Only each third move is finished: a finish carries the log over into the database. */
static void
one_move(Images *images, VmfJournal *journal, guint number)
{
    static const VmfState source[] = {VMF_STATE_OFFERED,  VMF_STATE_PREPARED,  VMF_STATE_COPYING,
                                      VMF_STATE_QUIESCED, VMF_STATE_RELEASING, VMF_STATE_RELEASED,
                                      VMF_STATE_GONE};
    static const VmfState destination[] = {VMF_STATE_CHECKED, VMF_STATE_ALLOCATED,
                                           VMF_STATE_ACQUIRING, VMF_STATE_COMMITTED,
                                           VMF_STATE_RUNNING};
    Move move;
    move_begin(&move, images, journal, number);
    move_know(&move);
    const VmfState *states = move.role == VMF_ROLE_SOURCE ? source : destination;
    guint n = move.role == VMF_ROLE_SOURCE ? G_N_ELEMENTS(source) : G_N_ELEMENTS(destination);
    for (guint i = 0; i < n - (number % 3 ? 1 + number % 2 : 0); i++)
        move_enter(&move, states[i]);
    if (number % 3 == 0)
        g_assert_true(vmf_journal_finish(journal, move.job, "{\"schema\":\"x\"}", NULL));
}

static void
keep_image(Images *images, guint base)
{
    Image *image = &images->bases[base];
    g_autofree gchar *wal = g_strconcat(images->path, "-wal", NULL);
    g_assert_true(g_file_get_contents(images->path, &image->db, &image->db_size, NULL));
    g_assert_true(g_file_get_contents(wal, &image->wal, &image->wal_size, NULL));
    g_assert_cmpuint(image->wal_size, >, SECTOR);
}

static void
make_bases(Images *images)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfJournal) journal = vmf_journal_open(images->path, &error);
    g_assert_no_error(error);
    g_assert_true(vmf_journal_set_meta(journal, "owner-sid", OWN_SID, NULL));
    for (guint base = 0; base < BASES; base++) {
        for (guint i = 0; i < MOVES / BASES; i++)
            one_move(images, journal, base * MOVES / BASES + i + 1);
        keep_image(images, base); /* as the power fails: nothing is closed */
    }
}

/* ---- damage ---- */

/* Bits of @data change: few, or a sector's worth */
static void
flip(GRand *rand, gchar *data, gsize size)
{
    guint n = 1u << g_rand_int_range(rand, 0, 8);
    gsize at = (gsize)g_rand_int_range(rand, 0, (gint32)size);
    for (guint i = 0; i < n; i++) {
        gsize where = g_rand_boolean(rand) ? at + i
                                           : (gsize)g_rand_int_range(rand, 0, (gint32)size);
        data[where % size] ^= (gchar)(1 << g_rand_int_range(rand, 0, 8));
    }
}

static void
zero(GRand *rand, gchar *data, gsize size)
{
    gsize at = (gsize)g_rand_int_range(rand, 0, (gint32)size) / SECTOR * SECTOR;
    gsize length = (gsize)SECTOR << g_rand_int_range(rand, 0, 4);
    memset(data + at, 0, MIN(length, size - at));
}

/* Sectors as they were a while ago: a write that was cut short by the power's end. */
static void
mix(GRand *rand, gchar *data, gsize size, const gchar *older, gsize older_size)
{
    gsize common = MIN(size, older_size);
    for (gsize at = 0; at + SECTOR <= common; at += SECTOR)
        if (g_rand_int_range(rand, 0, 4) == 0)
            memcpy(data + at, older + at, SECTOR);
}

/* Returns: the new size */
static gsize
damage(GRand *rand, gchar *data, gsize size, const gchar *older, gsize older_size)
{
    switch (g_rand_int_range(rand, 0, 4)) {
    case 0:
        flip(rand, data, size);
        return size;
    case 1:
        zero(rand, data, size);
        return size;
    case 2:
        mix(rand, data, size, older, older_size);
        return size;
    default:
        return (gsize)g_rand_int_range(rand, 0, (gint32)size);
    }
}

static void
write_image(Images *images, GRand *rand)
{
    const Image *base = &images->bases[g_rand_int_range(rand, 0, BASES)];
    const Image *older = &images->bases[g_rand_int_range(rand, 0, BASES)];
    g_autofree gchar *wal_path = g_strconcat(images->path, "-wal", NULL);
    g_autofree gchar *db = g_memdup2(base->db, base->db_size);
    g_autofree gchar *wal = g_memdup2(base->wal, base->wal_size);
    gsize db_size = base->db_size, wal_size = base->wal_size;
    gint which = g_rand_int_range(rand, 0, 5); /* both now and then */
    if (which != 0)
        db_size = damage(rand, db, db_size, older->db, older->db_size);
    if (which == 0 || which == 1)
        wal_size = damage(rand, wal, wal_size, older->wal, older->wal_size);
    g_assert_true(g_file_set_contents(images->path, db, (gssize)db_size, NULL));
    if (which == 2)
        g_unlink(wal_path); /* the database alone was restored */
    else
        g_assert_true(g_file_set_contents(wal_path, wal, (gssize)wal_size, NULL));
}

/* ---- what must hold ---- */

static void
check_entries(Images *images, VmfJournal *journal, gboolean open_only)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = vmf_journal_list(journal, 1000, open_only, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < list->len; i++) {
        const VmfJournalEntry *entry = list->pdata[i];
        g_autofree gchar *content = content_of(entry->migration, entry->role, entry->state,
                                               entry->epoch, entry->disks);
        if (!g_hash_table_contains(images->written, content))
            g_error("'%s' was never written", content);
        g_assert_cmpstr(entry->vm_uuid, ==, "9f0f2cba-6dd5-4f1e-a1c9-5b8a2f0a1111");
        g_assert_cmpstr(entry->vm_name, ==, "demo");
        g_assert_cmpstr(entry->peer, ==, "hv2.lab.test");
    }
    if (!open_only)
        images->lost_rows += list->len < MOVES / BASES;
}

static void
check_usable(VmfJournal *journal)
{
    g_autoptr(GError) error = NULL;
    VmfJournalEntry entry = {
        .migration = (gchar *)NEW_MOVE,
        .role = VMF_ROLE_SOURCE,
        .vm_uuid = (gchar *)"9f0f2cba-6dd5-4f1e-a1c9-5b8a2f0a2222",
        .vm_name = (gchar *)"other",
        .peer = (gchar *)"hv3.lab.test",
    };
    gint64 job = vmf_journal_begin(journal, &entry, &error);
    g_assert_no_error(error);
    g_assert_true(vmf_journal_enter(journal, job, VMF_STATE_OFFERED, &error));
    g_assert_true(vmf_journal_finish(journal, job, "{}", &error));
    g_autoptr(VmfJournalEntry) back = vmf_journal_find(journal, NEW_MOVE);
    g_assert_nonnull(back);
    g_assert_cmpint(back->state, ==, VMF_STATE_OFFERED);
}

static void
check_refusal(Images *images, const GError *error)
{
    g_assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_PROTOCOL));
    g_assert_nonnull(strstr(error->message, images->path));
    g_assert_nonnull(strstr(error->message, "move it aside"));
}

static void
clear_folder(Images *images)
{
    g_autoptr(GDir) folder = g_dir_open(images->folder, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(folder)) != NULL) {
        g_autofree gchar *path = g_build_filename(images->folder, name, NULL);
        g_unlink(path);
    }
}

static void
try_image(Images *images, GRand *rand)
{
    g_autoptr(GError) refused = NULL, error = NULL;
    clear_folder(images);
    write_image(images, rand);
    VmfJournal *journal = vmf_journal_open(images->path, &refused);
    if (journal == NULL) {
        check_refusal(images, refused);
        images->refused++;
        journal = vmf_journal_open_or_renew(images->path, &error); /* what vmferryd does */
        g_assert_no_error(error);
        g_autoptr(GPtrArray) none = vmf_journal_list(journal, 1000, FALSE, NULL);
        g_assert_cmpuint(none->len, ==, 0);
    } else {
        images->read++;
        check_entries(images, journal, TRUE);
        check_entries(images, journal, FALSE);
        g_autofree gchar *sid = vmf_journal_get_meta(journal, "owner-sid");
        if (sid != NULL && strcmp(sid, OWN_SID) != 0)
            g_error("the SID '%s' was never written", sid);
    }
    check_usable(journal);
    vmf_journal_close(journal);
}

/* Warnings are what is wanted here: they are counted as passed, not as failures. */
static GLogWriterOutput
be_silent(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
    return level & G_LOG_LEVEL_ERROR ? g_log_writer_default(level, fields, n, data)
                                     : G_LOG_WRITER_HANDLED;
}

static void
test_images(void)
{
    Images images = {.folder = g_dir_make_tmp("vmf-images-XXXXXX", NULL)};
    g_autoptr(GRand) rand = g_rand_new_with_seed(SEED);
    images.path = g_build_filename(images.folder, "journal.db", NULL);
    images.written = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    make_bases(&images);
    for (guint i = 0; i < IMAGES; i++)
        try_image(&images, rand);
    g_test_message("%u read, of them %u with fewer entries than there had been; %u refused",
                   images.read, images.lost_rows, images.refused);
    /* Both have to be there, or the damage is none, or too much. */
    g_assert_cmpuint(images.refused, >, IMAGES / 10);
    g_assert_cmpuint(images.read, >, IMAGES / 10);
    clear_folder(&images);
    g_rmdir(images.folder);
    for (guint i = 0; i < BASES; i++) {
        g_free(images.bases[i].db);
        g_free(images.bases[i].wal);
    }
    g_hash_table_unref(images.written);
    g_free(images.path);
    g_free(images.folder);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_writer_func(be_silent, NULL, NULL);
    g_test_add_func("/journal/a-thousand-damaged-images/read-or-refused", test_images);
    return g_test_run();
}
