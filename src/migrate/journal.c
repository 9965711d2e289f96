/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/journal.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "src/base/error.h"

#define APPLICATION_ID 0x766d6679 /* "vmfy" */
#define USER_VERSION   2          /* 1 had neither disks nor seals */

/* What recovery rests on, sealed against bits that have changed: SQLite checks pages of its log only. */
#define SEALED "migration, role, state, vm_uuid, vm_name, peer, epoch, final, disks"
#define INTACT "seal = seal(" SEALED ")"

struct _VmfJournal {
    GMutex lock;
    sqlite3 *db;
    sqlite3_stmt *enter; /* kept: to compile it takes longer than to write a state */
    gboolean durable;    /* what the next commit does */
    gchar *path;
};

static const char schema[] = "CREATE TABLE move ("
                             "  job INTEGER PRIMARY KEY AUTOINCREMENT,"
                             "  migration TEXT NOT NULL UNIQUE,"
                             "  role INTEGER NOT NULL,"
                             "  state TEXT NOT NULL,"
                             "  vm_uuid TEXT NOT NULL,"
                             "  vm_name TEXT NOT NULL,"
                             "  peer TEXT NOT NULL,"
                             "  epoch INTEGER NOT NULL,"
                             "  started INTEGER NOT NULL,"
                             "  updated INTEGER NOT NULL,"
                             "  final INTEGER NOT NULL DEFAULT 0,"
                             "  report TEXT,"
                             "  disks TEXT,"
                             "  seal INTEGER NOT NULL DEFAULT 0);"
                             "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL,"
                             "  seal INTEGER NOT NULL DEFAULT 0);";

static const char upgrade_1[] = "BEGIN; ALTER TABLE move ADD COLUMN disks TEXT;"
                                " ALTER TABLE move ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;"
                                " UPDATE move SET seal=seal(" SEALED ");"
                                " ALTER TABLE meta ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;"
                                " UPDATE meta SET seal=seal(key, value);"
                                " PRAGMA user_version=2; COMMIT;";

typedef sqlite3_stmt Statement;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Statement, sqlite3_finalize)

void
vmf_journal_entry_free(VmfJournalEntry *entry)
{
    if (entry == NULL)
        return;
    g_free(entry->migration);
    g_free(entry->vm_uuid);
    g_free(entry->vm_name);
    g_free(entry->peer);
    g_free(entry->report);
    g_free(entry->disks);
    g_free(entry);
}

/* The one place where SQLite's codes become ours. */
static gboolean
failed(VmfJournal *journal, const char *doing, GError **error)
{
    int rc = sqlite3_extended_errcode(journal->db) & 0xff;
    VmfError code = VMF_ERROR_INTERNAL;
    const char *cure = "";
    switch (rc) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = VMF_ERROR_PROTOCOL;
        cure = "; move it aside: it holds history, not ownership";
        break;
    case SQLITE_CONSTRAINT:
        code = VMF_ERROR_PROTOCOL;
        break;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_FULL:
    case SQLITE_PERM:
        code = VMF_ERROR_CONFIG;
        cure = "; it needs a writable file system with some room";
        break;
    default:
        break;
    }
    g_set_error(error, VMF_ERROR, code, "journal '%s': %s: %s%s", journal->path, doing,
                sqlite3_errmsg(journal->db), cure);
    return FALSE;
}

/* Each value with its type and length, so that no two rows are written alike. */
static void
seal(sqlite3_context *result, int n, sqlite3_value **values)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    guint8 digest[32];
    gsize size = sizeof digest;
    for (int i = 0; i < n; i++) {
        const guchar *text = sqlite3_value_text(values[i]);
        g_autofree gchar *head = g_strdup_printf("%d:%d:", sqlite3_value_type(values[i]),
                                                 sqlite3_value_bytes(values[i]));
        g_checksum_update(sum, (const guchar *)head, -1);
        if (text)
            g_checksum_update(sum, text, sqlite3_value_bytes(values[i]));
    }
    g_checksum_get_digest(sum, digest, &size);
    gint64 value;
    memcpy(&value, digest, sizeof value);
    sqlite3_result_int64(result, GINT64_FROM_LE(value));
}

static gboolean
run(VmfJournal *journal, const char *sql, const char *doing, GError **error)
{
    if (sqlite3_exec(journal->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return failed(journal, doing, error);
    return TRUE;
}

/* What the next commit does; no file is touched. */
static void
set_durable(VmfJournal *journal, gboolean durable)
{
    if (journal->durable == durable)
        return;
    int rc = sqlite3_exec(journal->db,
                          durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", NULL,
                          NULL, NULL);
    journal->durable = rc == SQLITE_OK ? durable : FALSE; /* in doubt: say FULL again */
}

static gint64
pragma(VmfJournal *journal, const char *sql)
{
    g_autoptr(Statement) st = NULL;
    if (sqlite3_prepare_v2(journal->db, sql, -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW)
        return -1;
    return sqlite3_column_int64(st, 0);
}

static gboolean
check_or_create_schema(VmfJournal *journal, GError **error)
{
    gint64 tables = pragma(journal, "SELECT count(*) FROM sqlite_master");
    if (tables < 0)
        return failed(journal, "cannot be read", error);
    if (tables == 0) {
        g_autofree gchar *sql = g_strdup_printf(
            "BEGIN; PRAGMA application_id=%d; PRAGMA user_version=%d; %s COMMIT;", APPLICATION_ID,
            USER_VERSION, schema);
        return run(journal, sql, "cannot be created", error);
    }
    if (pragma(journal, "PRAGMA application_id") == APPLICATION_ID &&
        pragma(journal, "PRAGMA user_version") == 1)
        return run(journal, upgrade_1, "cannot be brought up to date", error);
    if (pragma(journal, "PRAGMA application_id") != APPLICATION_ID ||
        pragma(journal, "PRAGMA user_version") != USER_VERSION) {
        g_set_error(
            error, VMF_ERROR, VMF_ERROR_PROTOCOL,
            "'%s' is no vmferry journal of version %d; move it aside: it holds history, not "
            "ownership",
            journal->path, USER_VERSION);
        return FALSE;
    }
    return TRUE;
}

/* The definitions of the tables are pages, too. */
static gboolean
check_columns(VmfJournal *journal, GError **error)
{
    static const char *const all[] = {
        "SELECT job, " SEALED ", started, updated, report, seal FROM move",
        "SELECT key, value, seal FROM meta",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(all); i++) {
        g_autoptr(Statement) st = NULL;
        if (sqlite3_prepare_v2(journal->db, all[i], -1, &st, NULL) == SQLITE_OK)
            continue;
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "journal '%s' is damaged (%s); move it aside: it holds history, not ownership",
                    journal->path, sqlite3_errmsg(journal->db));
        return FALSE;
    }
    return TRUE;
}

/* Pages, tables and indexes, not what is in the rows: that is sealed. */
static gboolean
check_pages(VmfJournal *journal, GError **error)
{
    g_autoptr(Statement) st = NULL;
    if (sqlite3_prepare_v2(journal->db, "PRAGMA integrity_check(1)", -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW)
        return failed(journal, "cannot be read", error);
    const char *said = (const char *)sqlite3_column_text(st, 0);
    if (g_strcmp0(said, "ok") == 0)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "journal '%s' is damaged (%s); move it aside: it holds history, not ownership",
                journal->path, said ? said : "it cannot be checked");
    return FALSE;
}

VmfJournal *
vmf_journal_open(const char *path, GError **error)
{
    g_autoptr(VmfJournal) journal = g_new0(VmfJournal, 1);
    g_mutex_init(&journal->lock);
    journal->path = g_strdup(path);
    if (sqlite3_open_v2(path, &journal->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        failed(journal, "cannot be opened", error);
        return NULL;
    }
    sqlite3_extended_result_codes(journal->db, 1);
    sqlite3_busy_timeout(journal->db, 5000);
    sqlite3_create_function(journal->db, "seal", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, seal,
                            NULL, NULL);
    if (!run(journal,
             "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;",
             "cannot be opened", error))
        return NULL;
    journal->durable = TRUE;
    if (!check_or_create_schema(journal, error) || !check_columns(journal, error) ||
        !check_pages(journal, error))
        return NULL;
    return g_steal_pointer(&journal);
}

static gboolean
set_aside(const char *path, GError **error)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree gchar *when = g_date_time_format(now, "%Y%m%d-%H%M%S");
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree gchar *from = g_strconcat(path, parts[i], NULL);
        g_autofree gchar *to = g_strconcat(path, ".damaged-", when, parts[i], NULL);
        if (rename(from, to) == 0 || errno == ENOENT)
            continue;
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "cannot move '%s' aside: %s", from,
                    g_strerror(errno));
        return FALSE;
    }
    g_warning("'%s' is kept as '%s.damaged-%s'; a new one is begun", path, path, when);
    return TRUE;
}

VmfJournal *
vmf_journal_open_or_renew(const char *path, GError **error)
{
    g_autoptr(GError) why = NULL;
    VmfJournal *journal = vmf_journal_open(path, &why);
    if (journal == NULL && g_error_matches(why, VMF_ERROR, VMF_ERROR_PROTOCOL)) {
        g_warning("%s", why->message);
        return set_aside(path, error) ? vmf_journal_open(path, error) : NULL;
    }
    if (journal == NULL)
        g_propagate_error(error, g_steal_pointer(&why));
    return journal;
}

void
vmf_journal_close(VmfJournal *journal)
{
    if (journal == NULL)
        return;
    sqlite3_finalize(journal->enter);
    sqlite3_close(journal->db);
    g_mutex_clear(&journal->lock);
    g_free(journal->path);
    g_free(journal);
}

/* What is over is kept for the administrator, so many of each role: peers begin moves here, too. */
static void
prune(VmfJournal *journal, VmfRole role)
{
    g_autoptr(Statement) st = NULL;
    if (sqlite3_prepare_v2(
            journal->db,
            "DELETE FROM move WHERE role=?1 AND final=1 AND job <= (SELECT job FROM move"
            " WHERE role=?1 AND final=1 ORDER BY job DESC LIMIT 1 OFFSET ?2)",
            -1, &st, NULL) != SQLITE_OK)
        return;
    sqlite3_bind_int(st, 1, role);
    sqlite3_bind_int(st, 2, VMF_JOURNAL_KEPT);
    sqlite3_step(st); /* it is tried again with the next move */
}

#define BEGINS_PER_CHECKPOINT 64 /* moves here end without a report, which carries the log over */

gint64
vmf_journal_begin(VmfJournal *journal, const VmfJournalEntry *entry, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&journal->lock);
    g_autoptr(Statement) st = NULL;
    gint64 now = g_get_real_time();
    if (sqlite3_prepare_v2(
            journal->db,
            "INSERT INTO move (migration, role, state, vm_uuid, vm_name, peer, epoch,"
            " started, updated, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8,"
            " seal(?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, NULL))",
            -1, &st, NULL) != SQLITE_OK)
        return failed(journal, "cannot begin a move", error);
    sqlite3_bind_text(st, 1, entry->migration, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 2, entry->role);
    sqlite3_bind_text(st, 3, vmf_state_name(vmf_role_first_state(entry->role)), -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 4, entry->vm_uuid, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 5, entry->vm_name, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 6, entry->peer, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 7, (gint64)entry->epoch);
    sqlite3_bind_int64(st, 8, now);
    set_durable(journal, TRUE);
    if (sqlite3_step(st) != SQLITE_DONE)
        return failed(journal, "cannot begin a move", error);
    gint64 job = sqlite3_last_insert_rowid(journal->db);
    set_durable(journal, FALSE);
    prune(journal, entry->role);
    if (job % BEGINS_PER_CHECKPOINT == 0)
        sqlite3_wal_checkpoint_v2(journal->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return job;
}

gboolean
vmf_journal_restore(VmfJournal *journal, const VmfJournalEntry *entry, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&journal->lock);
    g_autoptr(Statement) st = NULL;
    if (sqlite3_prepare_v2(
            journal->db,
            "INSERT OR REPLACE INTO move (migration, role, state, vm_uuid, vm_name, peer, epoch,"
            " started, updated, disks, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9,"
            " seal(?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?9))",
            -1, &st, NULL) != SQLITE_OK)
        return failed(journal, "cannot restore a move", error);
    sqlite3_bind_text(st, 1, entry->migration, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 2, entry->role);
    sqlite3_bind_text(st, 3, vmf_state_name(entry->state), -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 4, entry->vm_uuid, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 5, entry->vm_name, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 6, entry->peer, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 7, (gint64)entry->epoch);
    sqlite3_bind_int64(st, 8, g_get_real_time());
    sqlite3_bind_text(st, 9, entry->disks, -1, SQLITE_STATIC);
    set_durable(journal, TRUE);
    if (sqlite3_step(st) != SQLITE_DONE)
        return failed(journal, "cannot restore a move", error);
    return TRUE;
}

static gboolean
ready_to_enter(VmfJournal *journal)
{
    return journal->enter != NULL ||
           sqlite3_prepare_v3(journal->db,
                              "UPDATE move SET state=?2, updated=?3, final=?4, seal=seal(migration,"
                              " role, ?2, vm_uuid, vm_name, peer, epoch, ?4, disks) WHERE job=?1",
                              -1, SQLITE_PREPARE_PERSISTENT, &journal->enter, NULL) == SQLITE_OK;
}

gboolean
vmf_journal_enter(VmfJournal *journal, gint64 job, VmfState state, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&journal->lock);
    if (!ready_to_enter(journal))
        return failed(journal, "cannot note a state", error);
    sqlite3_stmt *st = journal->enter;
    sqlite3_bind_int64(st, 1, job);
    sqlite3_bind_text(st, 2, vmf_state_name(state), -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, g_get_real_time());
    sqlite3_bind_int(st, 4, vmf_state_is_final(state));
    set_durable(journal, FALSE);
    gboolean ok = sqlite3_step(st) == SQLITE_DONE || failed(journal, "cannot note a state", error);
    sqlite3_reset(st); /* it would hold the database otherwise */
    return ok;
}

gboolean
vmf_journal_set_epoch(VmfJournal *journal, gint64 job, guint64 epoch, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&journal->lock);
    g_autoptr(Statement) st = NULL;
    if (sqlite3_prepare_v2(journal->db,
                           "UPDATE move SET epoch=?2, seal=seal(migration, role, state,"
                           " vm_uuid, vm_name, peer, ?2, final, disks) WHERE job=?1",
                           -1, &st, NULL) != SQLITE_OK)
        return failed(journal, "cannot note an epoch", error);
    sqlite3_bind_int64(st, 1, job);
    sqlite3_bind_int64(st, 2, (gint64)epoch);
    set_durable(journal, FALSE);
    if (sqlite3_step(st) != SQLITE_DONE)
        return failed(journal, "cannot note an epoch", error);
    return TRUE;
}

gboolean
vmf_journal_set_disks(VmfJournal *journal, gint64 job, const char *disks, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&journal->lock);
    g_autoptr(Statement) st = NULL;
    if (sqlite3_prepare_v2(journal->db,
                           "UPDATE move SET disks=?2, seal=seal(migration, role, state,"
                           " vm_uuid, vm_name, peer, epoch, final, ?2) WHERE job=?1",
                           -1, &st, NULL) != SQLITE_OK)
        return failed(journal, "cannot note the disks", error);
    sqlite3_bind_int64(st, 1, job);
    sqlite3_bind_text(st, 2, disks, -1, SQLITE_STATIC);
    set_durable(journal, TRUE);
    if (sqlite3_step(st) != SQLITE_DONE)
        return failed(journal, "cannot note the disks", error);
    return TRUE;
}

gboolean
vmf_journal_finish(VmfJournal *journal, gint64 job, const char *report, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&journal->lock);
    g_autoptr(Statement) st = NULL;
    if (sqlite3_prepare_v2(journal->db, "UPDATE move SET report=?2, updated=?3 WHERE job=?1", -1,
                           &st, NULL) != SQLITE_OK)
        return failed(journal, "cannot note a report", error);
    sqlite3_bind_int64(st, 1, job);
    sqlite3_bind_text(st, 2, report, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, g_get_real_time());
    set_durable(journal, TRUE);
    if (sqlite3_step(st) != SQLITE_DONE)
        return failed(journal, "cannot note a report", error);
    /* Never in a commit of a move's window: the log is carried over when a move is over. */
    sqlite3_wal_checkpoint_v2(journal->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return TRUE;
}

#define COLUMNS                                                                                    \
    "job, migration, role, state, vm_uuid, vm_name, peer, epoch, started, updated, report, "       \
    "disks, " INTACT

static VmfJournalEntry *
entry_from_row(VmfJournal *journal, sqlite3_stmt *st, GError **error)
{
    g_autoptr(VmfJournalEntry) entry = g_new0(VmfJournalEntry, 1);
    const char *state = (const char *)sqlite3_column_text(st, 3);
    entry->job = sqlite3_column_int64(st, 0);
    entry->migration = g_strdup((const char *)sqlite3_column_text(st, 1));
    entry->role = sqlite3_column_int(st, 2) == VMF_ROLE_SOURCE ? VMF_ROLE_SOURCE
                                                               : VMF_ROLE_DESTINATION;
    if (state == NULL || !vmf_state_from_name(state, &entry->state)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "journal '%s': job %" G_GINT64_FORMAT " is in unknown state '%s'",
                    journal->path, entry->job, state ? state : "");
        return NULL;
    }
    entry->vm_uuid = g_strdup((const char *)sqlite3_column_text(st, 4));
    entry->vm_name = g_strdup((const char *)sqlite3_column_text(st, 5));
    entry->peer = g_strdup((const char *)sqlite3_column_text(st, 6));
    entry->epoch = (guint64)sqlite3_column_int64(st, 7);
    entry->started_us = sqlite3_column_int64(st, 8);
    entry->updated_us = sqlite3_column_int64(st, 9);
    entry->report = g_strdup((const char *)sqlite3_column_text(st, 10));
    entry->disks = g_strdup((const char *)sqlite3_column_text(st, 11));
    return g_steal_pointer(&entry);
}

/* A damaged entry is as good as none: whose the VM is, the owner record says. */
static gboolean
is_intact(VmfJournal *journal, sqlite3_stmt *st)
{
    if (sqlite3_column_int(st, 12))
        return TRUE;
    g_warning("journal '%s': entry %" G_GINT64_FORMAT " is damaged, and is not used", journal->path,
              (gint64)sqlite3_column_int64(st, 0));
    return FALSE;
}

GPtrArray *
vmf_journal_list(VmfJournal *journal, guint limit, gboolean open_only, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&journal->lock);
    g_autoptr(GPtrArray)
        list = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_journal_entry_free);
    g_autoptr(Statement) st = NULL;
    if (sqlite3_prepare_v2(journal->db,
                           "SELECT " COLUMNS " FROM move WHERE final <= ?1 OR NOT (" INTACT ")"
                           " ORDER BY job DESC LIMIT ?2",
                           -1, &st, NULL) != SQLITE_OK) {
        failed(journal, "cannot be read", error);
        return NULL;
    }
    sqlite3_bind_int(st, 1, open_only ? 0 : 1);
    sqlite3_bind_int64(st, 2, limit);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        if (!is_intact(journal, st))
            continue;
        VmfJournalEntry *entry = entry_from_row(journal, st, error);
        if (entry == NULL)
            return NULL;
        g_ptr_array_add(list, entry);
    }
    if (rc != SQLITE_DONE) {
        failed(journal, "cannot be read", error);
        return NULL;
    }
    return g_steal_pointer(&list);
}

VmfJournalEntry *
vmf_journal_find(VmfJournal *journal, const char *migration)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&journal->lock);
    g_autoptr(Statement) st = NULL;
    if (sqlite3_prepare_v2(journal->db, "SELECT " COLUMNS " FROM move WHERE migration=?1", -1, &st,
                           NULL) != SQLITE_OK)
        return NULL;
    sqlite3_bind_text(st, 1, migration, -1, SQLITE_STATIC);
    if (sqlite3_step(st) != SQLITE_ROW || !is_intact(journal, st))
        return NULL;
    return entry_from_row(journal, st, NULL);
}

gchar *
vmf_journal_get_meta(VmfJournal *journal, const char *key)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&journal->lock);
    g_autoptr(Statement) st = NULL;
    if (sqlite3_prepare_v2(journal->db,
                           "SELECT value FROM meta WHERE key=?1 AND seal=seal(key, value)", -1, &st,
                           NULL) != SQLITE_OK)
        return NULL;
    sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
    if (sqlite3_step(st) != SQLITE_ROW)
        return NULL;
    return g_strdup((const char *)sqlite3_column_text(st, 0));
}

gboolean
vmf_journal_set_meta(VmfJournal *journal, const char *key, const char *value, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&journal->lock);
    g_autoptr(Statement) st = NULL;
    if (sqlite3_prepare_v2(journal->db, "INSERT OR REPLACE INTO meta VALUES (?1, ?2, seal(?1, ?2))",
                           -1, &st, NULL) != SQLITE_OK)
        return failed(journal, "cannot keep a fact", error);
    sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, value, -1, SQLITE_STATIC);
    if (sqlite3_step(st) != SQLITE_DONE)
        return failed(journal, "cannot keep a fact", error);
    return TRUE;
}
