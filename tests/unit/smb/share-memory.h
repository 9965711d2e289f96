/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/share.h"

/*
 * A file server in memory, with share modes, for tests of what is built on VmfShare. It judges
 * while it serves: a write to a disk by a session whose account is not named by the VM's owner
 * record, and a change of the record by a session that does not hold all disks, abort the test.
 *
 * Faults. A fault is set for the next request of a kind, of one account:
 *   LOSE_BEFORE  the session breaks, the request was not carried out
 *   LOSE_AFTER   the session breaks, the request was carried out
 *   LOSE_LATE    the session breaks, the request (a write) is carried out later, by
 *                memory_server_land_late_writes()
 *   FULL         it is refused for want of room
 *   DENIED, BUSY it is refused
 * A broken session's open files are closed by the server, unless it "lingers".
 */

typedef struct _MemoryServer MemoryServer;

typedef enum {
    MEMORY_OPEN_READ,
    MEMORY_OPEN_OWN,
    MEMORY_READ,
    MEMORY_WRITE_DISK,
    MEMORY_WRITE_RECORD,
    MEMORY_CLOSE_DISK,
    MEMORY_CLOSE_OTHER,
    MEMORY_CONNECT,
    MEMORY_N_KINDS
} MemoryKind;

typedef enum {
    MEMORY_NO_FAULT,
    MEMORY_LOSE_BEFORE,
    MEMORY_LOSE_AFTER,
    MEMORY_LOSE_LATE,
    MEMORY_FULL,
    MEMORY_DENIED,
    MEMORY_BUSY,
} MemoryFault;

MemoryServer *memory_server_new(const char *vm_uuid);
void memory_server_free(MemoryServer *server);

/** memory_server_add_file() - a file of @size zero bytes; @path as in VmfShareUrl */
void memory_server_add_file(MemoryServer *server, const char *path, gsize size);
void memory_server_add_disk(MemoryServer *server, const char *path, gsize size);
void
memory_server_set_content(MemoryServer *server, const char *path, const void *bytes, gsize size);
GBytes *memory_server_content(MemoryServer *server, const char *path);

/** memory_server_share() - the server as @account (whose SID is @sid) sees it */
VmfShare *memory_server_share(MemoryServer *server, const char *account, const char *sid);

/** memory_server_set_fault() - for the (@skip + 1)th request of @kind of @account */
void memory_server_set_fault(MemoryServer *server, const char *account, MemoryKind kind,
                             MemoryFault fault, guint skip);

/** memory_server_clear_faults() - those that no request has met */
void memory_server_clear_faults(MemoryServer *server);

/** memory_server_break() - all sessions of @account (NULL: of all) are cut */
void memory_server_break(MemoryServer *server, const char *account);

/** memory_server_linger() - broken sessions' files stay open until memory_server_forget() */
void memory_server_linger(MemoryServer *server, gboolean linger);
void memory_server_forget(MemoryServer *server);

/** memory_server_land_late_writes() - Returns: how many */
guint memory_server_land_late_writes(MemoryServer *server);

/** memory_server_set_hold() - requests of @kind wait until it is taken back */
void memory_server_set_hold(MemoryServer *server, MemoryKind kind, gboolean hold);

/** memory_server_wait_held() - until a request waits so */
void memory_server_wait_held(MemoryServer *server);

/** memory_server_count() - requests of @kind carried out so far */
guint memory_server_count(MemoryServer *server, MemoryKind kind);

/** memory_server_set_judging() - off for tests that tamper with the record themselves */
void memory_server_set_judging(MemoryServer *server, gboolean judging);

/** memory_server_tickets() - what new sessions say of their ticket, unix seconds */
void memory_server_set_ticket(MemoryServer *server, gint64 start, gint64 end);
