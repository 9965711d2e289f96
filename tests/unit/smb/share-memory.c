/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/smb/share-memory.h"

#include "smb/owner-record.h"
#include "src/base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    gchar *path;
    GByteArray *bytes;
    gboolean is_disk;
    GList *handles; /* of MemoryFile, open on the server */
} Inode;

typedef struct {
    Inode *inode;
    GBytes *bytes;
    guint64 offset;
} LateWrite;

typedef struct {
    MemoryFault fault;
    guint skip;
} PlannedFault;

struct _MemoryServer {
    GMutex lock;
    GCond changed;
    gchar *vm_uuid;
    GHashTable *inodes; /* path to Inode */
    GPtrArray *sessions;
    GHashTable *faults[MEMORY_N_KINDS]; /* account to PlannedFault */
    GQueue late;
    gboolean hold[MEMORY_N_KINDS];
    guint held;
    guint counts[MEMORY_N_KINDS];
    gboolean linger;
    gboolean judging;
    gint64 ticket_start, ticket_end;
};

typedef struct {
    VmfShare base;
    MemoryServer *server;
    gchar *account;
    gchar *sid;
} MemoryShare;

typedef struct {
    VmfShareSession base;
    MemoryShare *share;
    gboolean broken;
    int far_end; /* closed when the session breaks, so that watch_fd hangs up */
    GList *files;
} MemorySession;

typedef struct {
    VmfShareFile base;
    Inode *inode; /* NULL: the server has closed it */
    VmfShareMode mode;
} MemoryFile;

static const VmfShareAnswer ok_answer = {VMF_SHARE_OK, 0};
static const VmfShareAnswer lost_answer = {VMF_SHARE_LOST, ECONNABORTED};

static gboolean
is_record(const Inode *inode)
{
    return g_str_has_suffix(inode->path, ".own");
}

/* --- judging --- */

static void
judge_disk_write(const MemoryServer *server, const MemoryFile *file)
{
    const MemoryShare *share = ((MemorySession *)file->base.session)->share;
    g_autofree gchar *path = NULL;
    GHashTableIter iter;
    Inode *inode;
    VmfOwnerRecord record;
    guint slot;

    g_hash_table_iter_init(&iter, server->inodes);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&inode)) {
        if (!is_record(inode))
            continue;
        if (!vmf_owner_record_decode_file(inode->bytes->data, inode->bytes->len, server->vm_uuid,
                                          &record, &slot, NULL))
            g_error("%s writes a disk while the owner record is damaged", share->account);
        if (strcmp(record.owner_sid, share->sid) != 0)
            g_error("%s writes a disk owned by %s", share->account, record.owner_account);
        return;
    }
    g_error("%s writes a disk that nobody owns", share->account);
}

static void
judge_record_write(const MemoryServer *server, const MemoryFile *file)
{
    GHashTableIter iter;
    Inode *inode;
    g_hash_table_iter_init(&iter, server->inodes);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&inode)) {
        gboolean held = !inode->is_disk;
        for (GList *at = inode->handles; at != NULL; at = at->next) {
            const MemoryFile *other = at->data;
            held = held ||
                   (other->mode == VMF_SHARE_OWN && other->base.session == file->base.session);
        }
        if (!held)
            g_error("the owner record is changed without holding '%s'", inode->path);
    }
}

/* --- the server's side; its lock is held --- */

static void
server_close(MemoryFile *file)
{
    if (file->inode != NULL)
        file->inode->handles = g_list_remove(file->inode->handles, file);
    file->inode = NULL;
}

static void
session_cut(MemoryServer *server, MemorySession *session)
{
    if (!session->broken && session->far_end >= 0)
        close(session->far_end);
    session->far_end = -1;
    session->broken = TRUE;
    if (server->linger)
        return;
    for (GList *at = session->files; at != NULL; at = at->next)
        server_close(at->data);
}

static void
write_bytes(Inode *inode, const void *bytes, gsize count, guint64 offset)
{
    if (inode->bytes->len < offset + count) {
        guint old = inode->bytes->len;
        g_byte_array_set_size(inode->bytes, (guint)(offset + count));
        memset(inode->bytes->data + old, 0, inode->bytes->len - old);
    }
    memcpy(inode->bytes->data + offset, bytes, count);
}

static MemoryFault
take_fault(MemoryServer *server, const char *account, MemoryKind kind)
{
    PlannedFault *planned = g_hash_table_lookup(server->faults[kind], account);
    if (planned == NULL)
        return MEMORY_NO_FAULT;
    if (planned->skip > 0) {
        planned->skip--;
        return MEMORY_NO_FAULT;
    }
    MemoryFault fault = planned->fault;
    g_hash_table_remove(server->faults[kind], account);
    return fault;
}

static gboolean
is_refusal(MemoryFault fault, VmfShareAnswer *answer)
{
    switch (fault) {
    case MEMORY_FULL:
        *answer = (VmfShareAnswer){VMF_SHARE_FULL, ENOSPC};
        return TRUE;
    case MEMORY_DENIED:
        *answer = (VmfShareAnswer){VMF_SHARE_DENIED, EACCES};
        return TRUE;
    case MEMORY_BUSY:
        *answer = (VmfShareAnswer){VMF_SHARE_BUSY, EBUSY};
        return TRUE;
    case MEMORY_NO_FAULT:
    case MEMORY_LOSE_BEFORE:
    case MEMORY_LOSE_AFTER:
    case MEMORY_LOSE_LATE:
        break;
    }
    return FALSE;
}

/*
 * What comes before the request is carried out. Returns: %FALSE: @answer is its answer.
 * @fault: (out): to be applied after it
 */
static gboolean
begin(MemorySession *session, MemoryKind kind, MemoryFault *fault, VmfShareAnswer *answer)
{
    MemoryServer *server = session->share->server;
    while (server->hold[kind] && !session->broken) {
        server->held++;
        g_cond_broadcast(&server->changed);
        g_cond_wait(&server->changed, &server->lock);
        server->held--;
    }
    *fault = MEMORY_NO_FAULT;
    *answer = lost_answer;
    if (session->broken)
        return FALSE;
    *fault = take_fault(server, session->share->account, kind);
    if (*fault == MEMORY_LOSE_BEFORE) {
        session_cut(server, session);
        return FALSE;
    }
    if (is_refusal(*fault, answer))
        return FALSE;
    server->counts[kind]++;
    return TRUE;
}

static VmfShareAnswer
end(MemorySession *session, MemoryFault fault)
{
    if (fault != MEMORY_LOSE_AFTER && fault != MEMORY_LOSE_LATE)
        return ok_answer;
    session_cut(session->share->server, session);
    return lost_answer;
}

/* --- VmfShareOps --- */

static gint64
memory_ticket_end(VmfShare *base)
{
    MemoryServer *server = ((MemoryShare *)base)->server;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    return server->ticket_end;
}

static VmfShareSession *
memory_session_new(VmfShare *base, GError **error)
{
    MemoryShare *share = (MemoryShare *)base;
    MemoryServer *server = share->server;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    int ends[2];

    if (take_fault(server, share->account, MEMORY_CONNECT) != MEMORY_NO_FAULT) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "%s: no answer", share->account);
        return NULL;
    }
    MemorySession *session = g_new0(MemorySession, 1);
    session->base.ops = share->base.ops;
    session->base.known = TRUE;
    session->base.ticket_start = server->ticket_start;
    session->base.ticket_end = server->ticket_end;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    session->base.watch_fd = ends[0];
    session->far_end = ends[1];
    session->share = share;
    g_ptr_array_add(server->sessions, session);
    server->counts[MEMORY_CONNECT]++;
    return &session->base;
}

static void
memory_session_break(VmfShareSession *base)
{
    MemorySession *session = (MemorySession *)base;
    MemoryServer *server = session->share->server;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    session_cut(server, session);
    g_cond_broadcast(&server->changed);
}

static void
memory_session_free(VmfShareSession *base)
{
    MemorySession *session = (MemorySession *)base;
    MemoryServer *server = session->share->server;
    g_assert_null(session->files);
    memory_session_break(base);
    g_mutex_lock(&server->lock);
    g_ptr_array_remove(server->sessions, session);
    g_mutex_unlock(&server->lock);
    close(base->watch_fd);
    g_free(session);
}

static Inode *
add_inode(MemoryServer *server, const char *path, gsize size)
{
    Inode *inode = g_new0(Inode, 1);
    inode->path = g_strdup(path);
    inode->bytes = g_byte_array_new();
    g_byte_array_set_size(inode->bytes, (guint)size);
    if (size > 0)
        memset(inode->bytes->data, 0, size);
    g_hash_table_replace(server->inodes, inode->path, inode);
    return inode;
}

static gboolean
share_mode_conflicts(const Inode *inode, VmfShareMode mode)
{
    for (GList *at = inode->handles; at != NULL; at = at->next)
        if (mode != VMF_SHARE_READ && ((MemoryFile *)at->data)->mode != VMF_SHARE_READ)
            return TRUE;
    return FALSE;
}

static VmfShareAnswer
memory_open(VmfShareSession *base, const VmfShareUrl *url, VmfShareMode mode, VmfShareFile **file)
{
    MemorySession *session = (MemorySession *)base;
    MemoryServer *server = session->share->server;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    MemoryFault fault;
    VmfShareAnswer answer;

    if (!begin(session, mode == VMF_SHARE_READ ? MEMORY_OPEN_READ : MEMORY_OPEN_OWN, &fault,
               &answer))
        return answer;
    Inode *inode = g_hash_table_lookup(server->inodes, url->path);
    if (inode == NULL && (mode == VMF_SHARE_READ || mode == VMF_SHARE_OWN))
        return (VmfShareAnswer){VMF_SHARE_MISSING, ENOENT};
    if (inode != NULL && mode == VMF_SHARE_CREATE)
        return (VmfShareAnswer){VMF_SHARE_EXISTS, EEXIST};
    if (inode == NULL)
        inode = add_inode(server, url->path, 0);
    if (share_mode_conflicts(inode, mode))
        return (VmfShareAnswer){VMF_SHARE_BUSY, EBUSY};
    if (mode == VMF_SHARE_WRITE)
        g_byte_array_set_size(inode->bytes, 0);
    answer = end(session, fault);
    if (answer.status != VMF_SHARE_OK)
        return answer;
    MemoryFile *opened = g_new0(MemoryFile, 1);
    opened->base.session = base;
    opened->inode = inode;
    opened->mode = mode;
    inode->handles = g_list_prepend(inode->handles, opened);
    session->files = g_list_prepend(session->files, opened);
    *file = &opened->base;
    return ok_answer;
}

static VmfShareAnswer
memory_make_folder(VmfShareSession *base, const VmfShareUrl *url)
{
    return ((MemorySession *)base)->broken ? lost_answer : ok_answer;
}

static VmfShareAnswer
memory_rename(VmfShareSession *base, const VmfShareUrl *from, const VmfShareUrl *to)
{
    MemoryServer *server = ((MemorySession *)base)->share->server;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    Inode *inode = g_hash_table_lookup(server->inodes, from->path);
    if (((MemorySession *)base)->broken)
        return lost_answer;
    g_assert_nonnull(inode);
    g_hash_table_steal(server->inodes, inode->path);
    g_free(inode->path);
    inode->path = g_strdup(to->path);
    g_hash_table_replace(server->inodes, inode->path, inode);
    return ok_answer;
}

static VmfShareAnswer
memory_close(VmfShareFile *base)
{
    MemoryFile *file = (MemoryFile *)base;
    MemorySession *session = (MemorySession *)base->session;
    MemoryServer *server = session->share->server;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    MemoryFault fault;
    VmfShareAnswer answer;
    gboolean disk = file->inode != NULL && file->inode->is_disk && file->mode == VMF_SHARE_OWN;

    gboolean goes = begin(session, disk ? MEMORY_CLOSE_DISK : MEMORY_CLOSE_OTHER, &fault, &answer);
    if (goes) {
        server_close(file);
        answer = end(session, fault);
    }
    session->files = g_list_remove(session->files, file);
    if (file->inode != NULL && server->linger) {
        /* nobody here knows the handle any more; the server does */
        base->session = NULL;
        return answer;
    }
    server_close(file);
    g_free(file);
    return answer;
}

static VmfShareAnswer
memory_size(VmfShareFile *base, guint64 *size)
{
    MemoryFile *file = (MemoryFile *)base;
    MemoryServer *server = ((MemorySession *)base->session)->share->server;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    if (file->inode == NULL)
        return lost_answer;
    *size = file->inode->bytes->len;
    return ok_answer;
}

static VmfShareAnswer
memory_read(VmfShareFile *base, void *buffer, gsize count, guint64 offset, gsize *got)
{
    MemoryFile *file = (MemoryFile *)base;
    MemorySession *session = (MemorySession *)base->session;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&session->share->server->lock);
    MemoryFault fault;
    VmfShareAnswer answer;

    if (!begin(session, MEMORY_READ, &fault, &answer))
        return answer;
    const GByteArray *bytes = file->inode->bytes;
    *got = offset < bytes->len ? MIN(count, bytes->len - offset) : 0;
    if (*got > 0)
        memcpy(buffer, bytes->data + offset, *got);
    return end(session, fault);
}

static VmfShareAnswer
memory_write(VmfShareFile *base, const void *buffer, gsize count, guint64 offset)
{
    MemoryFile *file = (MemoryFile *)base;
    MemorySession *session = (MemorySession *)base->session;
    MemoryServer *server = session->share->server;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    MemoryFault fault;
    VmfShareAnswer answer;
    gboolean record = file->inode != NULL && is_record(file->inode);

    if (!begin(session, record ? MEMORY_WRITE_RECORD : MEMORY_WRITE_DISK, &fault, &answer))
        return answer;
    g_assert_cmpint(file->mode, !=, VMF_SHARE_READ);
    if (server->judging && record)
        judge_record_write(server, file);
    else if (server->judging && file->inode->is_disk)
        judge_disk_write(server, file);
    if (fault == MEMORY_LOSE_LATE) {
        LateWrite *late = g_new0(LateWrite, 1);
        *late = (LateWrite){file->inode, g_bytes_new(buffer, count), offset};
        g_queue_push_tail(&server->late, late);
    } else {
        write_bytes(file->inode, buffer, count, offset);
    }
    return end(session, fault);
}

static VmfShareAnswer
memory_flush(VmfShareFile *base)
{
    return ((MemorySession *)base->session)->broken ? lost_answer : ok_answer;
}

static void
memory_share_free(VmfShare *base)
{
    MemoryShare *share = (MemoryShare *)base;
    g_free(share->account);
    g_free(share->sid);
    g_free(share);
}

static const VmfShareOps memory_ops = {
    .free = memory_share_free,
    .ticket_end = memory_ticket_end,
    .session_new = memory_session_new,
    .session_break = memory_session_break,
    .session_free = memory_session_free,
    .open = memory_open,
    .make_folder = memory_make_folder,
    .rename = memory_rename,
    .close = memory_close,
    .size = memory_size,
    .read = memory_read,
    .write = memory_write,
    .flush = memory_flush,
};

/* --- for tests --- */

static void
inode_free(Inode *inode)
{
    /* handles that only the server knew */
    g_list_free_full(inode->handles, g_free);
    g_byte_array_unref(inode->bytes);
    g_free(inode->path);
    g_free(inode);
}

MemoryServer *
memory_server_new(const char *vm_uuid)
{
    MemoryServer *server = g_new0(MemoryServer, 1);
    g_mutex_init(&server->lock);
    g_cond_init(&server->changed);
    server->vm_uuid = g_strdup(vm_uuid);
    server->inodes = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
                                           (GDestroyNotify)inode_free);
    server->sessions = g_ptr_array_new();
    for (guint i = 0; i < MEMORY_N_KINDS; i++)
        server->faults[i] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    server->judging = TRUE;
    return server;
}

void
memory_server_free(MemoryServer *server)
{
    g_assert_cmpuint(server->sessions->len, ==, 0);
    memory_server_land_late_writes(server);
    g_hash_table_unref(server->inodes);
    for (guint i = 0; i < MEMORY_N_KINDS; i++)
        g_hash_table_unref(server->faults[i]);
    g_ptr_array_unref(server->sessions);
    g_mutex_clear(&server->lock);
    g_cond_clear(&server->changed);
    g_free(server->vm_uuid);
    g_free(server);
}

void
memory_server_add_file(MemoryServer *server, const char *path, gsize size)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    add_inode(server, path, size);
}

void
memory_server_add_disk(MemoryServer *server, const char *path, gsize size)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    add_inode(server, path, size)->is_disk = TRUE;
}

void
memory_server_set_content(MemoryServer *server, const char *path, const void *bytes, gsize size)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    Inode *inode = g_hash_table_lookup(server->inodes, path);
    if (inode == NULL)
        inode = add_inode(server, path, 0);
    g_byte_array_set_size(inode->bytes, (guint)size);
    memcpy(inode->bytes->data, bytes, size);
}

GBytes *
memory_server_content(MemoryServer *server, const char *path)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    const Inode *inode = g_hash_table_lookup(server->inodes, path);
    return inode != NULL ? g_bytes_new(inode->bytes->data, inode->bytes->len) : NULL;
}

VmfShare *
memory_server_share(MemoryServer *server, const char *account, const char *sid)
{
    MemoryShare *share = g_new0(MemoryShare, 1);
    share->base.ops = &memory_ops;
    share->server = server;
    share->account = g_strdup(account);
    share->sid = g_strdup(sid);
    return &share->base;
}

void
memory_server_set_fault(MemoryServer *server, const char *account, MemoryKind kind,
                        MemoryFault fault, guint skip)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    PlannedFault *planned = g_new0(PlannedFault, 1);
    *planned = (PlannedFault){fault, skip};
    g_hash_table_replace(server->faults[kind], g_strdup(account), planned);
}

void
memory_server_clear_faults(MemoryServer *server)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    for (guint i = 0; i < MEMORY_N_KINDS; i++)
        g_hash_table_remove_all(server->faults[i]);
}

void
memory_server_break(MemoryServer *server, const char *account)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    for (guint i = 0; i < server->sessions->len; i++) {
        MemorySession *session = g_ptr_array_index(server->sessions, i);
        if (account == NULL || strcmp(session->share->account, account) == 0)
            session_cut(server, session);
    }
    g_cond_broadcast(&server->changed);
}

void
memory_server_linger(MemoryServer *server, gboolean linger)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    server->linger = linger;
}

void
memory_server_forget(MemoryServer *server)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    GHashTableIter iter;
    Inode *inode;
    server->linger = FALSE;
    g_hash_table_iter_init(&iter, server->inodes);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&inode))
        for (GList *at = inode->handles, *next; at != NULL; at = next) {
            MemoryFile *file = at->data;
            next = at->next;
            if (file->base.session != NULL)
                continue;
            server_close(file);
            g_free(file);
        }
}

guint
memory_server_land_late_writes(MemoryServer *server)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    guint n = 0;
    for (LateWrite *late; (late = g_queue_pop_head(&server->late)) != NULL; n++) {
        gsize size;
        const void *bytes = g_bytes_get_data(late->bytes, &size);
        write_bytes(late->inode, bytes, size, late->offset);
        g_bytes_unref(late->bytes);
        g_free(late);
    }
    return n;
}

void
memory_server_set_hold(MemoryServer *server, MemoryKind kind, gboolean hold)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    server->hold[kind] = hold;
    g_cond_broadcast(&server->changed);
}

void
memory_server_wait_held(MemoryServer *server)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    while (server->held == 0)
        g_cond_wait(&server->changed, &server->lock);
}

guint
memory_server_count(MemoryServer *server, MemoryKind kind)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    return server->counts[kind];
}

void
memory_server_set_judging(MemoryServer *server, gboolean judging)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    server->judging = judging;
}

void
memory_server_set_ticket(MemoryServer *server, gint64 start, gint64 end)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    server->ticket_start = start;
    server->ticket_end = end;
}
