/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/world.h"

#include "sim-rules.h"

#include "smb/owner-record.h"
#include "smb/share.h"
#include "src/base/error.h"

#include <errno.h>
#include <string.h>

/*
 * The file server: share modes, and what was measured about it (design facts, "Late writes").
 *
 * - A request travels, is carried out, its answer travels: the session may end before, between,
 *   after. A write that had been sent when the session ended is lost, or lands up to 10 s later,
 *   beside whoever holds the disks by then. An answered CLOSE has waited for all writes.
 * - A restart forgets all share modes. A client whose connection is cut keeps its handles until
 *   the server drops it (5 s); a shorter cut is a delay.
 * - A frozen server carries out what it was sent when it thaws, whether or not the client waits.
 */

#define CLIENT_TIMEOUT  (125 * G_USEC_PER_SEC)
#define CONNECT_TIMEOUT (3 * G_USEC_PER_SEC)
#define N_INODES        8
#define RECORD          "web1/.vmferry/" SIM_VM ".own"

typedef struct Session Session;

typedef struct {
    char path[80];
    gboolean exists;
    int disk; /* -1: none */
    gsize size;
    guint8 bytes[VMF_OWNER_FILE_SIZE];
} Inode;

typedef struct {
    VmfShareFile base;
    Inode *inode;
    VmfShareMode mode;
    gboolean open; /* on the server */
} Handle;

struct Session {
    VmfShareSession base;
    SimHost *host;
    gboolean cut;       /* it has ended on the server; the client finds out when packets pass */
    gboolean connected; /* by its first request */
    GPtrArray *handles;
    /* the request that travels to the server; one at a time */
    Handle *to;
    gboolean is_close;
    const void *bytes;
    gsize count;
    guint64 offset;
    guint8 sent[VMF_OWNER_FILE_SIZE]; /* what @bytes points to: the sender may be killed */
};

typedef struct {
    VmfShare base;
    SimHost *host;
} Share;

typedef struct {
    Inode *inode;
    guint8 bytes[VMF_OWNER_FILE_SIZE];
    gsize count;
    guint64 offset;
    int host;
} LateWrite;

static struct {
    Inode inodes[N_INODES];
    GPtrArray *sessions;
    gint64 frozen_until, down_until, full_until, third_until;
    gboolean third_holds;
    int owner;
    guint64 epoch;
    VmfOwnerState state;
} server;

static const VmfShareAnswer ok_answer = {VMF_SHARE_OK, 0};
static const VmfShareAnswer lost_answer = {VMF_SHARE_LOST, ECONNABORTED};

static Inode *
find_inode(const char *path, gboolean make)
{
    Inode *unused = NULL;
    for (guint i = 0; i < N_INODES; i++) {
        Inode *inode = &server.inodes[i];
        if (inode->path[0] == '\0' && unused == NULL)
            unused = inode;
        else if (strcmp(inode->path, path) == 0)
            return inode->exists || make ? inode : NULL;
    }
    if (!make)
        return NULL;
    g_assert(unused != NULL);
    g_strlcpy(unused->path, path, sizeof unused->path);
    unused->disk = -1;
    return unused;
}

void
sim_server_reset(void)
{
    GPtrArray *sessions = server.sessions ? server.sessions : g_ptr_array_new();
    g_ptr_array_set_size(sessions, 0);
    memset(&server, 0, sizeof server);
    server.sessions = sessions;
    server.owner = -2;
    const char *disks[] = {"web1/vda.raw", "web1/vdb.raw"};
    for (int i = 0; i < SIM_DISKS; i++) {
        Inode *inode = find_inode(disks[i], TRUE);
        inode->exists = TRUE;
        inode->disk = i;
        inode->size = SIM_BLOCKS * 8;
    }
}

/* --- judging what is done --- */

static gboolean
is_record(const Inode *inode)
{
    return strcmp(inode->path, RECORD) == 0;
}

static void
look_at_record(const Inode *inode, const char *by)
{
    VmfOwnerRecord record;
    guint slot;
    guint64 before = server.epoch;
    if (!vmf_owner_record_decode_file(inode->bytes, inode->size, SIM_VM, &record, &slot, NULL)) {
        server.owner = -2;
        sim_violation("I4", "the owner record cannot be read after a write by %s", by);
        return;
    }
    server.owner = -1;
    for (int i = 0; i < SIM_HOSTS; i++)
        if (strcmp(world.hosts[i].sid, record.owner_sid) == 0)
            server.owner = i;
    server.epoch = record.epoch;
    server.state = record.state;
    sim_trace("record: hv%d, epoch %" G_GUINT64_FORMAT ", %s (by %s)", server.owner + 1,
              record.epoch, vmf_owner_state_name(record.state), by);
    if (server.epoch < before)
        sim_violation("I4",
                      "the record's epoch went from %" G_GUINT64_FORMAT
                      " back to %" G_GUINT64_FORMAT " by a write of %s",
                      before, server.epoch, by);
}

static gboolean
holds_all_disks(const Session *session)
{
    gboolean held[SIM_DISKS] = {FALSE};
    for (guint i = 0; i < session->handles->len; i++) {
        const Handle *handle = session->handles->pdata[i];
        if (handle->open && handle->mode == VMF_SHARE_OWN && handle->inode->disk >= 0)
            held[handle->inode->disk] = TRUE;
    }
    for (guint i = 0; i < SIM_DISKS; i++)
        if (!held[i])
            return FALSE;
    return TRUE;
}

gboolean
sim_server_session_holds(const VmfShareSession *session)
{
    return !((const Session *)session)->cut && holds_all_disks((const Session *)session);
}

guint64
sim_server_block(guint disk, guint block)
{
    guint64 number;
    memcpy(&number, server.inodes[disk].bytes + block * 8, 8);
    return number;
}

guint64
sim_server_metadata(void)
{
    return sim_server_block(SIM_META_SLOT / SIM_BLOCKS, SIM_META_SLOT % SIM_BLOCKS);
}

static void
put(Inode *inode, const void *bytes, gsize count, guint64 offset, int host, gboolean late)
{
    g_assert(offset + count <= sizeof inode->bytes);
    memcpy(inode->bytes + offset, bytes, count);
    inode->size = MAX(inode->size, offset + count);
    g_autofree gchar *by = world.tracing || is_record(inode)
                               ? g_strdup_printf("hv%d%s", host + 1, late ? ", late" : "")
                               : NULL;
    if (is_record(inode))
        look_at_record(inode, by);
    if (inode->disk < 0)
        return;
    guint block = (guint)(offset / 8), slot = (guint)inode->disk * SIM_BLOCKS + block;
    guint64 number = sim_server_block((guint)inode->disk, block);
    if (world.tracing)
        sim_trace("disk %d block %u = %" G_GUINT64_FORMAT " by %s", inode->disk, block, number, by);
    if (number < world.acked[slot])
        sim_violation("I3",
                      "block %u: write %" G_GUINT64_FORMAT
                      " was acknowledged, and is overtaken by %" G_GUINT64_FORMAT " of hv%d%s",
                      slot, world.acked[slot], number, host + 1, late ? " (late)" : "");
}

/* --- sessions --- */

static void
third_party_tries(void)
{
    if (server.third_holds || server.third_until <= sim_now())
        return;
    for (guint i = 0; i < server.sessions->len; i++) {
        const Session *session = server.sessions->pdata[i];
        for (guint j = 0; j < session->handles->len; j++) {
            const Handle *handle = session->handles->pdata[j];
            if (handle->open && handle->inode->disk == 0 && handle->mode != VMF_SHARE_READ)
                return;
        }
    }
    sim_trace("somebody else opens vda for writing");
    server.third_holds = TRUE;
}

static void
land(gpointer data)
{
    LateWrite *late = data;
    put(late->inode, late->bytes, late->count, late->offset, late->host, TRUE);
    g_free(late);
}

static void
land_later(Session *session, gint64 delay)
{
    LateWrite *late = g_new0(LateWrite, 1);
    late->inode = session->to->inode;
    late->count = session->count;
    late->offset = session->offset;
    late->host = session->host->index;
    memcpy(late->bytes, session->bytes, session->count);
    sim_trace("a write of hv%d to %s will land in %.3f s", late->host + 1, late->inode->path,
              (double)delay / 1e6);
    sim_spawn(NULL, delay, land, late);
}

static gint64
late_delay(void)
{
    return world.plan.seed == 0 ? 3 * G_USEC_PER_SEC
                                : (gint64)(sim_random() % (guint64)SIM_LATE_MAX);
}

/* The session ends on the server: its handles are closed, its request is lost or lands. */
static void
cut(Session *session, SimLate late)
{
    if (session->cut)
        return;
    session->cut = TRUE;
    if (session->to != NULL && session->bytes != NULL && late == LATE_LANDS)
        land_later(session, late_delay());
    if (session->to != NULL && session->bytes != NULL && late == LATE_ANSWER)
        put(session->to->inode, session->bytes, session->count, session->offset,
            session->host->index, FALSE);
    session->to = NULL;
    session->bytes = NULL;
    for (guint i = 0; i < session->handles->len; i++)
        ((Handle *)session->handles->pdata[i])->open = FALSE;
    third_party_tries();
    sim_wake(session);
    if (!session->host->server_cut)
        sim_disks_wake(session->host);
}

void
sim_server_drop_sessions(int host, SimLate late)
{
    for (guint i = 0; i < server.sessions->len; i++) {
        Session *session = server.sessions->pdata[i];
        if (host < 0 || session->host->index == host)
            cut(session, late);
    }
}

void
sim_server_restart(SimLate late)
{
    sim_server_drop_sessions(-1, late);
    server.third_holds = FALSE;
    server.down_until = sim_now() + G_USEC_PER_SEC;
}

void
sim_server_freeze(gint64 us)
{
    server.frozen_until = sim_now() + us;
}

void
sim_server_full(gint64 us)
{
    server.full_until = sim_now() + us;
}

static void
third_party_ends(gpointer data)
{
    server.third_holds = FALSE;
}

void
sim_server_third_party(gint64 us)
{
    server.third_until = sim_now() + us;
    third_party_tries();
    sim_spawn(NULL, us, third_party_ends, NULL);
}

/* The disk process was killed, or its host: FIN, or silence until the server gives up. */
static void
drop_dead(gpointer data)
{
    cut(data, world.plan.seed == 0 || sim_random() % 2 ? LATE_LANDS : LATE_LOST);
}

void
sim_server_host_is_gone(SimHost *host)
{
    for (guint i = 0; i < server.sessions->len; i++) {
        Session *session = server.sessions->pdata[i];
        if (session->host == host && !session->cut)
            sim_spawn(NULL, host->up && !host->server_cut ? 0 : SIM_DEAD_CLIENT, drop_dead,
                      session);
    }
}

static void
drop_cut_client(gpointer data)
{
    SimHost *host = data;
    if (!host->server_cut || sim_now() - host->server_cut_at < SIM_DEAD_CLIENT)
        return;
    sim_server_drop_sessions(host->index,
                             world.plan.seed == 0 || sim_random() % 2 ? LATE_LANDS : LATE_LOST);
}

void
sim_server_cut(SimHost *host, gboolean is_cut)
{
    host->server_cut = is_cut;
    host->server_cut_at = sim_now();
    if (is_cut) {
        sim_spawn(NULL, SIM_DEAD_CLIENT, drop_cut_client, host);
        return;
    }
    for (guint i = 0; i < server.sessions->len; i++)
        if (((Session *)server.sessions->pdata[i])->host == host)
            sim_wake(server.sessions->pdata[i]);
    sim_disks_wake(host);
}

/* --- a request --- */

static gint64
give_up_at(const Session *session)
{
    return sim_now() + (session->connected ? CLIENT_TIMEOUT : CONNECT_TIMEOUT);
}

/* Until packets pass and the server works. Returns: %FALSE: the client has given up */
static gboolean
pass(Session *session, gint64 until)
{
    while (TRUE) {
        if (sim_now() >= until)
            return FALSE;
        if (session->host->server_cut)
            sim_wait(session, until);
        else if (session->cut)
            return TRUE;
        else if (server.frozen_until > sim_now())
            sim_wait(session, MIN(server.frozen_until, until));
        else
            return TRUE;
    }
}

/* The client closes the connection under its request: what was sent may still be carried out. */
static void
client_gives_up(Session *session)
{
    gboolean sent = session->to != NULL && session->bytes != NULL;
    gint64 thaw = server.frozen_until - sim_now();
    if (sent && !session->host->server_cut && thaw > 0) {
        land_later(session, thaw);
        session->bytes = NULL;
    }
    cut(session, !session->host->server_cut ? LATE_LANDS : LATE_LOST);
}

/* Returns: %TRUE: it has come to the server, to be carried out now */
static gboolean
arrive(Session *session, Handle *to, const void *bytes, gsize count, guint64 offset)
{
    gint64 until = give_up_at(session);
    if (!session->cut) {
        session->to = to;
        session->bytes = bytes ? memcpy(session->sent, bytes, count) : NULL;
        session->count = count;
        session->offset = offset;
        sim_wait(session, sim_now() + sim_delay(300));
    }
    if (!pass(session, until))
        client_gives_up(session);
    if (server.down_until > sim_now())
        cut(session, LATE_LOST);
    session->to = NULL;
    session->bytes = NULL;
    session->connected = session->connected || !session->cut;
    return !session->cut;
}

/* Returns: %TRUE: the client has the answer */
static gboolean
answer_arrives(Session *session)
{
    gint64 until = give_up_at(session);
    if (!session->cut)
        sim_wait(session, sim_now() + sim_delay(200));
    if (!pass(session, until))
        client_gives_up(session);
    return !session->cut;
}

static const char *
kind_of(const Inode *inode)
{
    return inode->disk == 0   ? "vda"
           : inode->disk == 1 ? "vdb"
           : is_record(inode) ? "record"
                              : "file";
}

/* --- VmfShareOps --- */

static gint64
share_ticket_end(VmfShare *base)
{
    return 0;
}

static VmfShareSession *
session_new(VmfShare *base, GError **error)
{
    SimHost *host = ((Share *)base)->host;
    Session *session = g_new0(Session, 1);
    session->base.ops = base->ops;
    session->base.known = TRUE;
    session->host = host;
    session->handles = g_ptr_array_new();
    session->base.watch_fd = 1000 + (int)server.sessions->len;
    g_ptr_array_add(server.sessions, session);
    return &session->base;
}

/* <poll.h> tells the compiler that poll() only writes there */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
int
sim_poll(struct pollfd *fds, unsigned long n, int timeout)
{
    const Session *session = server.sessions->pdata[fds->fd - 1000];
    gboolean seen = session->cut && !session->host->server_cut;
    fds->revents = seen ? POLLRDHUP : 0;
    return seen;
}
#pragma GCC diagnostic pop

static void
session_break(VmfShareSession *base)
{
    Session *session = (Session *)base;
    if (!session->cut)
        client_gives_up(session);
}

/* The memory stays: a request of a killed process may still point to it. */
static void
session_free(VmfShareSession *base)
{
    session_break(base);
}

static gboolean
share_mode_conflicts(const Inode *inode, VmfShareMode mode)
{
    if (mode == VMF_SHARE_READ || sim_off(SIM_RULE_DENY_WRITE))
        return FALSE;
    if (inode->disk == 0 && server.third_holds)
        return TRUE;
    for (guint i = 0; i < server.sessions->len; i++) {
        const Session *session = server.sessions->pdata[i];
        for (guint j = 0; j < session->handles->len; j++) {
            const Handle *handle = session->handles->pdata[j];
            if (handle->open && handle->inode == inode && handle->mode != VMF_SHARE_READ)
                return TRUE;
        }
    }
    return FALSE;
}

static const char *const mode_names[] = {"read", "own", "create", "write"};

static VmfShareAnswer
share_open(VmfShareSession *base, const VmfShareUrl *url, VmfShareMode mode, VmfShareFile **file)
{
    Session *session = (Session *)base;
    Inode *inode = find_inode(url->path, TRUE);
    if (mode == VMF_SHARE_READ && inode->disk >= 0)
        sim_travel(50); /* of no interest to anybody */
    else
        sim_point("hv%d opens %s to %s", session->host->index + 1, kind_of(inode),
                  mode_names[mode]);
    if (!arrive(session, NULL, NULL, 0, 0))
        return lost_answer;
    VmfShareAnswer answer = ok_answer;
    Handle *handle = NULL;
    if (!inode->exists && (mode == VMF_SHARE_READ || mode == VMF_SHARE_OWN))
        answer = (VmfShareAnswer){VMF_SHARE_MISSING, ENOENT};
    else if (inode->exists && mode == VMF_SHARE_CREATE)
        answer = (VmfShareAnswer){VMF_SHARE_EXISTS, EEXIST};
    else if (mode != VMF_SHARE_READ && session->host->denied_until > sim_now())
        answer = (VmfShareAnswer){VMF_SHARE_DENIED, EACCES};
    else if (share_mode_conflicts(inode, mode))
        answer = (VmfShareAnswer){VMF_SHARE_BUSY, EBUSY};
    if (answer.status == VMF_SHARE_OK) {
        inode->exists = TRUE;
        if (mode == VMF_SHARE_WRITE)
            inode->size = 0;
        handle = g_new0(Handle, 1);
        *handle = (Handle){{base}, inode, mode, TRUE};
        g_ptr_array_add(session->handles, handle);
    }
    if (!answer_arrives(session))
        return lost_answer;
    if (handle != NULL)
        *file = &handle->base;
    return answer;
}

static VmfShareAnswer
share_make_folder(VmfShareSession *base, const VmfShareUrl *url)
{
    return ((Session *)base)->cut ? lost_answer : ok_answer;
}

static VmfShareAnswer
share_rename(VmfShareSession *base, const VmfShareUrl *from, const VmfShareUrl *to)
{
    Session *session = (Session *)base;
    if (!arrive(session, NULL, NULL, 0, 0))
        return lost_answer;
    Inode *old = find_inode(from->path, FALSE), *new = find_inode(to->path, TRUE);
    if (old != NULL)
        old->exists = FALSE;
    new->exists = TRUE;
    return answer_arrives(session) ? ok_answer : lost_answer;
}

static VmfShareAnswer
share_close(VmfShareFile *base)
{
    Handle *handle = (Handle *)base;
    Session *session = (Session *)base->session;
    gboolean matters = handle->mode != VMF_SHARE_READ;
    VmfShareAnswer answer = lost_answer;
    /* vmf_share_close(): on a session that was dead nothing is sent */
    if (!session->base.dead) {
        if (matters)
            sim_point("hv%d closes %s", session->host->index + 1, kind_of(handle->inode));
        if (arrive(session, NULL, NULL, 0, 0)) {
            handle->open = FALSE;
            third_party_tries();
            if (answer_arrives(session))
                answer = ok_answer;
        }
    }
    g_ptr_array_remove_fast(session->handles, handle);
    if (handle->open && !session->cut) {
        /* the client forgot it, the server did not: it stays until the session ends */
        g_ptr_array_add(session->handles, handle);
        return answer;
    }
    g_free(handle);
    return answer;
}

static VmfShareAnswer
share_size(VmfShareFile *base, guint64 *size)
{
    Session *session = (Session *)base->session;
    if (!arrive(session, NULL, NULL, 0, 0))
        return lost_answer;
    *size = ((Handle *)base)->inode->size;
    return answer_arrives(session) ? ok_answer : lost_answer;
}

static VmfShareAnswer
share_read(VmfShareFile *base, void *buffer, gsize count, guint64 offset, gsize *got)
{
    Handle *handle = (Handle *)base;
    Session *session = (Session *)base->session;
    if (is_record(handle->inode))
        sim_point("hv%d reads the record", session->host->index + 1);
    if (!arrive(session, NULL, NULL, 0, 0))
        return lost_answer;
    gsize size = handle->inode->size;
    *got = offset < size ? MIN(count, size - offset) : 0;
    guint8 copy[VMF_OWNER_FILE_SIZE + 1];
    g_assert(*got <= sizeof copy);
    memcpy(copy, handle->inode->bytes + offset, *got);
    if (!answer_arrives(session))
        return lost_answer;
    memcpy(buffer, copy, *got);
    return ok_answer;
}

/* QEMU's own, of a qcow2 image, which Finish writes before the guest runs */
static gboolean
is_metadata(const Inode *inode, guint64 offset)
{
    return (guint)inode->disk * SIM_BLOCKS + (guint)(offset / 8) == SIM_META_SLOT;
}

static VmfShareAnswer
share_write(VmfShareFile *base, const void *buffer, gsize count, guint64 offset)
{
    Handle *handle = (Handle *)base;
    Session *session = (Session *)base->session;
    Inode *inode = handle->inode;
    if (inode->disk < 0 && !is_record(inode)) {
        if (!arrive(session, NULL, NULL, 0, 0) || !answer_arrives(session))
            return lost_answer;
        inode->size = MIN(count, sizeof inode->bytes);
        return ok_answer;
    }
    /* it has left the gate, whatever becomes of it: the guest's older memory is not to run again */
    if (inode->disk >= 0 && !is_metadata(inode, offset) &&
        session->host->qemu.version == world.version)
        world.before_run = 0;
    sim_point("hv%d writes %s", session->host->index + 1, kind_of(inode));
    if (!arrive(session, handle, buffer, count, offset))
        return lost_answer;
    if (inode->disk >= 0 && server.full_until > sim_now())
        return answer_arrives(session) ? (VmfShareAnswer){VMF_SHARE_FULL, ENOSPC} : lost_answer;
    g_assert(handle->open);
    if (inode->disk >= 0 && server.owner != session->host->index)
        sim_violation("I1", "hv%d writes disk %d, and the record names hv%d",
                      session->host->index + 1, inode->disk, server.owner + 1);
    if (is_record(inode) && !holds_all_disks(session))
        sim_violation("R1", "hv%d writes the record without holding all disks",
                      session->host->index + 1);
    put(inode, buffer, count, offset, session->host->index, FALSE);
    return answer_arrives(session) ? ok_answer : lost_answer;
}

static VmfShareAnswer
share_flush(VmfShareFile *base)
{
    return ((Session *)base->session)->cut ? lost_answer : ok_answer;
}

static void
share_free(VmfShare *base)
{
    g_free(base);
}

static const VmfShareOps ops = {
    .free = share_free,
    .ticket_end = share_ticket_end,
    .session_new = session_new,
    .session_break = session_break,
    .session_free = session_free,
    .open = share_open,
    .make_folder = share_make_folder,
    .rename = share_rename,
    .close = share_close,
    .size = share_size,
    .read = share_read,
    .write = share_write,
    .flush = share_flush,
};

VmfShare *
sim_server_share(SimHost *host)
{
    Share *share = g_new0(Share, 1);
    share->base.ops = &ops;
    share->host = host;
    return &share->base;
}

int
sim_server_owner(guint64 *epoch, VmfOwnerState *state)
{
    *epoch = server.epoch;
    *state = server.state;
    return server.owner;
}
