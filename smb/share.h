/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/share-url.h"

#include <gio/gio.h>

/*
 * What the disk process needs of a file share, and nothing more: sessions, files under share
 * modes, bytes. Implemented by share-smbc.c (libsmbclient), and in memory by the tests, where
 * faults can be put between any two requests.
 *
 * Operations. A session is one connection for its whole life: once it is lost, every file of it
 * answers VMF_SHARE_DEAD at once and it never connects again by itself; a new session is made
 * instead. So whoever gets an answer through a session knows that the share modes of all its
 * open files still stood when the server gave it. Nothing here is thread-safe except
 * vmf_share_session_break(): callers hold one lock around all calls of one VmfShare.
 *
 * Durability. A write is durable when it is answered, if the share syncs each write ("sync
 * always = yes", a continuously available share): libsmbclient can neither flush nor write
 * through. vmf_share_flush() is here for a library that can.
 *
 * Failure model. VMF_SHARE_LOST means that no useful answer came: the request may have been
 * carried out, or may be carried out at any later time. VMF_SHARE_DEAD means that it was never
 * sent.
 */

typedef enum {
    VMF_SHARE_OK,
    VMF_SHARE_BUSY,       /* another open file's share mode is in the way */
    VMF_SHARE_DENIED,     /* no permission */
    VMF_SHARE_MISSING,    /* no such file or folder */
    VMF_SHARE_EXISTS,     /* exists already */
    VMF_SHARE_WRONG_TYPE, /* a folder where a file is needed */
    VMF_SHARE_FULL,       /* no room; the write was refused */
    VMF_SHARE_LOST,       /* no useful answer; the session has to be given up */
    VMF_SHARE_DEAD,       /* not sent: the session was lost before */
} VmfShareStatus;

typedef struct {
    VmfShareStatus status;
    int os_error; /* as the library gave it, for messages only; 0: none */
} VmfShareAnswer;

typedef enum {
    VMF_SHARE_READ,   /* read-only, denying nobody */
    VMF_SHARE_OWN,    /* read-write, denying others to write */
    VMF_SHARE_CREATE, /* as OWN, of a file that must not exist yet */
    VMF_SHARE_WRITE,  /* read-write, made or emptied, denying others to write */
} VmfShareMode;

typedef struct _VmfShare VmfShare;
typedef struct _VmfShareSession VmfShareSession;
typedef struct _VmfShareFile VmfShareFile;

typedef struct {
    void (*free)(VmfShare *share);
    gint64 (*ticket_end)(VmfShare *share);
    VmfShareSession *(*session_new)(VmfShare *share, GError **error);
    void (*session_break)(VmfShareSession *session);
    void (*session_free)(VmfShareSession *session);
    VmfShareAnswer (*open)(VmfShareSession *session, const VmfShareUrl *url, VmfShareMode mode,
                           VmfShareFile **file);
    VmfShareAnswer (*make_folder)(VmfShareSession *session, const VmfShareUrl *url);
    VmfShareAnswer (*rename)(VmfShareSession *session, const VmfShareUrl *from,
                             const VmfShareUrl *to);
    VmfShareAnswer (*close)(VmfShareFile *file);
    VmfShareAnswer (*size)(VmfShareFile *file, guint64 *size);
    VmfShareAnswer (*read)(VmfShareFile *file, void *buffer, gsize count, guint64 offset,
                           gsize *got);
    VmfShareAnswer (*write)(VmfShareFile *file, const void *buffer, gsize count, guint64 offset);
    VmfShareAnswer (*flush)(VmfShareFile *file);
} VmfShareOps;

struct _VmfShare {
    const VmfShareOps *ops;
};

struct _VmfShareSession {
    const VmfShareOps *ops;
    _Atomic gboolean dead; /* lost: see above */
    gboolean known;        /* the server took our identity and gave us the share */
    int watch_fd;          /* hangs up when the connection does; -1 none; owned by the session */
    gint64 ticket_start;   /* unix seconds; 0: not bound to a ticket */
    gint64 ticket_end;
};

struct _VmfShareFile {
    VmfShareSession *session;
};

/** vmf_share_free() - after all of its sessions */
void vmf_share_free(VmfShare *share);

/**
 * vmf_share_ticket_end() - when the ticket ends that a session made now would use
 *
 * Returns: unix seconds; 0: there is none. Sends nothing.
 */
gint64 vmf_share_ticket_end(VmfShare *share);

/**
 * vmf_share_session_new() - a session; it connects with the first file
 *
 * Returns: NULL with VMF_ERROR_AUTH (no valid ticket), VMF_ERROR_UNREACHABLE (server's name not
 *   known) or VMF_ERROR_INTERNAL.
 */
VmfShareSession *vmf_share_session_new(VmfShare *share, GError **error);

/**
 * vmf_share_session_break() - cut the connection under a request that may be waiting
 *
 * From any thread, without the lock. The request ends with VMF_SHARE_LOST.
 */
void vmf_share_session_break(VmfShareSession *session);

/** vmf_share_session_free() - cut the connection; all files must be closed */
void vmf_share_session_free(VmfShareSession *session);

/** vmf_share_open() - @file is set on VMF_SHARE_OK only */
VmfShareAnswer vmf_share_open(VmfShareSession *session, const VmfShareUrl *url, VmfShareMode mode,
                              VmfShareFile **file);

/** vmf_share_make_folder() - VMF_SHARE_EXISTS when it is there */
VmfShareAnswer vmf_share_make_folder(VmfShareSession *session, const VmfShareUrl *url);

/** vmf_share_rename() - replaces @to */
VmfShareAnswer
vmf_share_rename(VmfShareSession *session, const VmfShareUrl *from, const VmfShareUrl *to);

/**
 * vmf_share_close() - close and wait for the answer; @file is gone whatever comes
 *
 * VMF_SHARE_OK: the server has carried out all of the file's writes and dropped its share mode.
 */
VmfShareAnswer vmf_share_close(VmfShareFile *file);

VmfShareAnswer vmf_share_size(VmfShareFile *file, guint64 *size);

/** vmf_share_read() - @got is less than @count only at the end of the file */
VmfShareAnswer
vmf_share_read(VmfShareFile *file, void *buffer, gsize count, guint64 offset, gsize *got);

/** vmf_share_write() - all of it, or not VMF_SHARE_OK */
VmfShareAnswer vmf_share_write(VmfShareFile *file, const void *buffer, gsize count, guint64 offset);

/** vmf_share_flush() - all answered writes are durable */
VmfShareAnswer vmf_share_flush(VmfShareFile *file);

/** vmf_share_hung_up() - whether the connection is seen to be closed; sends nothing */
gboolean vmf_share_hung_up(const VmfShareSession *session);

/** vmf_share_is_lost() - whether @answer ends the session */
static inline gboolean
vmf_share_is_lost(VmfShareAnswer answer)
{
    return answer.status == VMF_SHARE_LOST || answer.status == VMF_SHARE_DEAD;
}

/** vmf_share_first_bad() - of two answers, one after the other */
static inline VmfShareAnswer
vmf_share_first_bad(VmfShareAnswer first, VmfShareAnswer second)
{
    return first.status != VMF_SHARE_OK ? first : second;
}

/**
 * vmf_share_set_error() - an answer other than VMF_SHARE_OK as an error that names object, account
 *   and cure
 * @what:  what failed, as the sentence's beginning: "cannot open"
 * @write: writing was asked for: a refusal is about write permission
 */
void
vmf_share_set_error(GError **error, const VmfShareSession *session, VmfShareAnswer answer,
                    const char *what, const VmfShareUrl *url, const char *account, gboolean write);
