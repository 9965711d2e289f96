/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/share-smbc.h"

#include "smb/smbc-context.h"
#include "src/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <libsmbclient.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * libsmbclient as a VmfShare. What it does by itself and must not is turned off here:
 *
 * - It connects again behind the caller's back when a connection is found dead. Then an answer
 *   would no longer prove that the other open files' share modes stand. Its check of a cached
 *   connection is replaced by one that is always content, so a dead connection stays, and its
 *   requests fail.
 * - It reads the host's smb.conf, whatever is in it: it gets one of its own.
 * - It ends the whole library with the last context, and freeing a context with open files reads
 *   freed memory: an idle context is kept, and files are closed one by one.
 * - It has no way to end a request that waits: the socket is found and duplicated, so that it can
 *   be shut down, watched, and given time-outs.
 */

#define SMB_PORT          445
#define REQUEST_TIMEOUT_S 125 /* an answered CLOSE is waited for at least 120 s (handover.md) */
#define UNACKED_LIMIT_MS  20000
#define KEEPALIVE_IDLE_S  5
#define KEEPALIVE_EVERY_S 2
#define KEEPALIVE_TRIES   3

typedef struct {
    VmfShare base;
    gchar *server;
    SMBCCTX *idle; /* keeps the library alive */
    GPtrArray *sessions;
} SmbcShare;

typedef struct {
    VmfShareSession base;
    SmbcShare *share;
    SMBCCTX *context;
    smbc_add_cached_srv_fn add_server;
    ino_t socket_inode;
} SmbcSession;

typedef struct {
    VmfShareFile base;
    SMBCFILE *handle;
} SmbcFile;

typedef enum { ON_PATH, ON_FILE } RequestKind;

/*
 * The one place where libsmbclient's errno is given a meaning (measured: facts.md). On an open
 * file nothing but "no room" is an answer about the file: a handle that the server no longer
 * knows is EBADF, ENOENT or EACCES, an ended Kerberos session EINVAL, and each of them ends the
 * session.
 */
static VmfShareAnswer
answer_from_errno(RequestKind kind, int code)
{
    VmfShareAnswer answer = {VMF_SHARE_LOST, code};
    if (code == ENOSPC || code == EDQUOT)
        answer.status = VMF_SHARE_FULL;
    else if (kind == ON_FILE)
        answer.status = VMF_SHARE_LOST;
    else if (code == EBUSY)
        answer.status = VMF_SHARE_BUSY;
    else if (code == EACCES || code == EPERM || code == EROFS)
        answer.status = VMF_SHARE_DENIED;
    else if (code == ENOENT || code == ENOTDIR)
        answer.status = VMF_SHARE_MISSING;
    else if (code == EEXIST)
        answer.status = VMF_SHARE_EXISTS;
    else if (code == EISDIR)
        answer.status = VMF_SHARE_WRONG_TYPE;
    return answer;
}

static const VmfShareAnswer ok_answer = {VMF_SHARE_OK, 0};

static gboolean
is_known_socket(SmbcShare *share, ino_t inode)
{
    for (guint i = 0; i < share->sessions->len; i++)
        if (((SmbcSession *)g_ptr_array_index(share->sessions, i))->socket_inode == inode)
            return TRUE;
    return FALSE;
}

static gboolean
is_smb_socket(int fd, ino_t *inode)
{
    struct stat facts;
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof peer;
    in_port_t port = 0;

    if (fstat(fd, &facts) != 0 || !S_ISSOCK(facts.st_mode) ||
        getpeername(fd, (struct sockaddr *)&peer, &size) != 0)
        return FALSE;
    if (peer.ss_family == AF_INET)
        port = ((struct sockaddr_in *)&peer)->sin_port;
    else if (peer.ss_family == AF_INET6)
        port = ((struct sockaddr_in6 *)&peer)->sin6_port;
    *inode = facts.st_ino;
    return port == htons(SMB_PORT);
}

static void
set_socket_limits(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_TRIES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_LIMIT_MS},
        {IPPROTO_TCP, TCP_NODELAY, 1},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(options); i++)
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                       sizeof options[i].value) != 0)
            g_warning("cannot set option %d of the SMB socket: %s", options[i].name,
                      g_strerror(errno));
}

/* The connection just made is the one SMB socket that no session has yet. */
static void
find_socket(SmbcSession *session)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        int fd = atoi(name);
        ino_t inode;
        if (!is_smb_socket(fd, &inode) || is_known_socket(session->share, inode))
            continue;
        session->socket_inode = inode;
        session->base.watch_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        set_socket_limits(fd);
        return;
    }
    g_warning("the SMB socket was not found: a lost file server is noticed by requests only");
}

/* libsmbclient calls this once a connection is made, the logon done and the share connected. */
static int
note_server(SMBCCTX *context, SMBCSRV *server, const char *name, const char *share,
            const char *workgroup, const char *user)
{
    SmbcSession *session = smbc_getOptionUserData(context);
    session->base.known = TRUE;
    find_socket(session);
    return session->add_server(context, server, name, share, workgroup, user);
}

static SMBCCTX *
make_context(void *user_data)
{
    return vmf_smbc_context_new(REQUEST_TIMEOUT_S * 1000, VMF_SMBC_SEALED, user_data);
}

static gint64
smbc_ticket_end(VmfShare *base)
{
    VmfTicketTimes times;
    return vmf_ticket_times_read(((SmbcShare *)base)->server, &times, NULL) ? times.end : 0;
}

static VmfShareSession *
smbc_session_new(VmfShare *base, GError **error)
{
    SmbcShare *share = (SmbcShare *)base;
    VmfTicketTimes times;

    if (!vmf_smbc_server_is_ready(share->server, &times, error))
        return NULL;
    SmbcSession *session = g_new0(SmbcSession, 1);
    session->base.ops = share->base.ops;
    session->base.watch_fd = -1;
    session->base.ticket_start = times.start;
    session->base.ticket_end = times.end;
    session->share = share;
    session->context = make_context(session);
    if (session->context == NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "libsmbclient makes no context: %s",
                    g_strerror(errno));
        g_free(session);
        return NULL;
    }
    session->add_server = smbc_getFunctionAddCachedServer(session->context);
    smbc_setFunctionAddCachedServer(session->context, note_server);
    g_ptr_array_add(share->sessions, session);
    return &session->base;
}

static void
smbc_session_break(VmfShareSession *base)
{
    int fd = g_atomic_int_get(&base->watch_fd);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
}

static void
smbc_session_free(VmfShareSession *base)
{
    SmbcSession *session = (SmbcSession *)base;
    smbc_session_break(base);
    if (smbc_free_context(session->context, 1) != 0)
        g_warning("libsmbclient keeps a context: %s", g_strerror(errno));
    if (base->watch_fd >= 0)
        close(base->watch_fd);
    g_ptr_array_remove_fast(session->share->sessions, session);
    g_free(session);
}

static VmfShareAnswer
smbc_open_file(VmfShareSession *base, const VmfShareUrl *url, VmfShareMode mode,
               VmfShareFile **file)
{
    static const int flags[] = {
        [VMF_SHARE_READ] = O_RDONLY,
        [VMF_SHARE_OWN] = O_RDWR,
        [VMF_SHARE_CREATE] = O_RDWR | O_CREAT | O_EXCL,
        [VMF_SHARE_WRITE] = O_RDWR | O_CREAT | O_TRUNC,
    };
    SMBCCTX *context = ((SmbcSession *)base)->context;

    smbc_setOptionOpenShareMode(context, mode == VMF_SHARE_READ ? SMBC_SHAREMODE_DENY_NONE
                                                                : SMBC_SHAREMODE_DENY_WRITE);
    errno = 0;
    SMBCFILE *handle = smbc_getFunctionOpen(context)(context, url->url, flags[mode], 0600);
    if (handle == NULL)
        return answer_from_errno(ON_PATH, errno);
    SmbcFile *opened = g_new0(SmbcFile, 1);
    opened->base.session = base;
    opened->handle = handle;
    *file = &opened->base;
    return ok_answer;
}

static VmfShareAnswer
smbc_make_folder(VmfShareSession *base, const VmfShareUrl *url)
{
    SMBCCTX *context = ((SmbcSession *)base)->context;
    errno = 0;
    if (smbc_getFunctionMkdir(context)(context, url->url, 0700) != 0)
        return answer_from_errno(ON_PATH, errno);
    return ok_answer;
}

static VmfShareAnswer
smbc_rename_file(VmfShareSession *base, const VmfShareUrl *from, const VmfShareUrl *to)
{
    SMBCCTX *context = ((SmbcSession *)base)->context;
    errno = 0;
    if (smbc_getFunctionRename(context)(context, from->url, context, to->url) != 0)
        return answer_from_errno(ON_PATH, errno);
    return ok_answer;
}

static SMBCCTX *
context_of(VmfShareFile *file)
{
    return ((SmbcSession *)file->session)->context;
}

static VmfShareAnswer
smbc_close_file(VmfShareFile *file)
{
    SMBCCTX *context = context_of(file);
    errno = 0;
    int result = smbc_getFunctionClose(context)(context, ((SmbcFile *)file)->handle);
    int code = errno;
    g_free(file);
    return result == 0 ? ok_answer : answer_from_errno(ON_FILE, code);
}

static VmfShareAnswer
smbc_seek(VmfShareFile *file, gint64 offset, int whence, gint64 *at)
{
    SMBCCTX *context = context_of(file);
    errno = 0;
    off_t result = smbc_getFunctionLseek(context)(context, ((SmbcFile *)file)->handle, offset,
                                                  whence);
    if (result < 0)
        return answer_from_errno(ON_FILE, errno);
    *at = result;
    return ok_answer;
}

static VmfShareAnswer
smbc_file_size(VmfShareFile *file, guint64 *size)
{
    gint64 at;
    VmfShareAnswer answer = smbc_seek(file, 0, SEEK_END, &at);
    if (answer.status == VMF_SHARE_OK)
        *size = (guint64)at;
    return answer;
}

static VmfShareAnswer
smbc_read_file(VmfShareFile *file, void *buffer, gsize count, guint64 offset, gsize *got)
{
    SMBCCTX *context = context_of(file);
    gint64 at;
    VmfShareAnswer answer = smbc_seek(file, (gint64)offset, SEEK_SET, &at);
    gsize done = 0;

    while (answer.status == VMF_SHARE_OK && done < count) {
        errno = 0;
        ssize_t n = smbc_getFunctionRead(context)(context, ((SmbcFile *)file)->handle,
                                                  (char *)buffer + done, count - done);
        if (n == 0)
            break;
        if (n < 0)
            answer = answer_from_errno(ON_FILE, errno);
        else
            done += (gsize)n;
    }
    if (answer.status == VMF_SHARE_OK)
        *got = done;
    return answer;
}

static VmfShareAnswer
smbc_write_file(VmfShareFile *file, const void *buffer, gsize count, guint64 offset)
{
    SMBCCTX *context = context_of(file);
    gint64 at;
    VmfShareAnswer answer = smbc_seek(file, (gint64)offset, SEEK_SET, &at);
    gsize done = 0;

    while (answer.status == VMF_SHARE_OK && done < count) {
        errno = 0;
        ssize_t n = smbc_getFunctionWrite(context)(context, ((SmbcFile *)file)->handle,
                                                   (const char *)buffer + done, count - done);
        if (n <= 0)
            answer = answer_from_errno(ON_FILE, n == 0 ? EIO : errno);
        else
            done += (gsize)n;
    }
    return answer;
}

static VmfShareAnswer
smbc_flush_file(VmfShareFile *file)
{
    return ok_answer; /* durable when answered, by the share's setting: see share.h */
}

static void
smbc_share_free(VmfShare *base)
{
    SmbcShare *share = (SmbcShare *)base;
    g_assert(share->sessions->len == 0);
    g_ptr_array_free(share->sessions, TRUE);
    smbc_free_context(share->idle, 1);
    g_free(share->server);
    g_free(share);
}

static const VmfShareOps smbc_ops = {
    .free = smbc_share_free,
    .ticket_end = smbc_ticket_end,
    .session_new = smbc_session_new,
    .session_break = smbc_session_break,
    .session_free = smbc_session_free,
    .open = smbc_open_file,
    .make_folder = smbc_make_folder,
    .rename = smbc_rename_file,
    .close = smbc_close_file,
    .size = smbc_file_size,
    .read = smbc_read_file,
    .write = smbc_write_file,
    .flush = smbc_flush_file,
};

VmfShare *
vmf_share_smbc_new(const char *server, const char *work_dir, GError **error)
{
    if (!vmf_smbc_configure(work_dir, FALSE, error))
        return NULL;
    SMBCCTX *idle = make_context(NULL);
    if (idle == NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "libsmbclient makes no context: %s",
                    g_strerror(errno));
        return NULL;
    }
    SmbcShare *share = g_new0(SmbcShare, 1);
    share->base.ops = &smbc_ops;
    share->server = g_strdup(server);
    share->idle = idle;
    share->sessions = g_ptr_array_new();
    return &share->base;
}
