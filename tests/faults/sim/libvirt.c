/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/world.h"

#include "src/base/error.h"
#include "src/vm/phase-file.h"
#include "src/vm/phases.h"
#include "src/vm/qemu-process.h"

#include <string.h>

/*
 * libvirtd, QEMU and the guest of one host, as far as a move sees them; what was measured of
 * libvirt 9.0 (design facts):
 *
 * - A prepared destination ends with the connection that prepared it; a performed source is
 *   forgotten, and stays paused, when its connection ends.
 * - libvirtd killed by SIGKILL and started again leaves a performed source paused; ended by
 *   SIGTERM it lets the source run again. A prepared destination is killed, one in Finish unless
 *   it runs already.
 * - A second phase call beside a running one makes libvirtd crash.
 * - The source's guest writes until Perform pauses it, and all its requests are answered before
 *   Perform returns. The destination reads in Finish, and writes for qcow2.
 */

#define MAX_CONNS   64
#define MAX_HOLDERS 4
#define COPY_US     6000
#define TERM_US     (10 * G_USEC_PER_SEC)
#define IN_FLIGHT   2

typedef struct {
    SimHost *host;
    guint generation; /* of libvirtd */
    gpointer holders[MAX_HOLDERS];
    gboolean open;
} Conn;

struct VmfPhases {
    int conn;
    SimHost *host;
};

struct VmfQemuProcess {
    SimHost *host;
    guint64 id;
};

typedef struct {
    VmfVmEventFunc func;
    gpointer data;
    GDestroyNotify destroy;
    gboolean used;
} Subscription;

static struct {
    Conn conns[MAX_CONNS];
    int n_conns;
    Subscription subscriptions[SIM_HOSTS][8];
    gboolean defined[SIM_HOSTS];
    gboolean hook_pending[SIM_HOSTS];
    gboolean term[SIM_HOSTS];
} libvirt;

void
sim_libvirt_reset(void)
{
    memset(&libvirt, 0, sizeof libvirt);
    libvirt.defined[0] = TRUE;
    for (int i = 0; i < SIM_HOSTS; i++) {
        world.hosts[i].libvirtd = (SimProc){.name = "libvirtd", .host = i, .alive = TRUE};
        world.hosts[i].libvirt.conn = -1;
    }
}

/* --- events --- */

typedef struct {
    SimHost *host;
    guint id;
    VmfVmEvent event;
} Told;

static void
tell_one(gpointer data)
{
    Told *told = data;
    Subscription *to = &libvirt.subscriptions[told->host->index][told->id];
    if (to->used)
        to->func(SIM_VM, told->event, sim_now(), to->data);
    g_free(told);
}

static void
tell(SimHost *host, VmfVmEvent event)
{
    for (guint i = 0; i < G_N_ELEMENTS(libvirt.subscriptions[0]); i++) {
        if (!libvirt.subscriptions[host->index][i].used || !host->vmferryd.alive)
            continue;
        Told *told = g_new(Told, 1);
        *told = (Told){host, i, event};
        sim_spawn(&host->vmferryd, sim_delay(200), tell_one, told);
    }
}

void
sim_libvirt_tell_lost(SimHost *host)
{
    memset(libvirt.subscriptions[host->index], 0, sizeof libvirt.subscriptions[0]);
}

/* --- the guest --- */

static void request_done(SimHost *host, guint slot, guint64 qemu, guint64 number, int result);

static void
io_error(SimHost *host)
{
    if (host->qemu.state == DOM_RUNNING) {
        sim_qemu_cpus(host, FALSE, "I/O error");
        host->qemu.state = DOM_IOERROR;
    }
}

static void
send_write(SimHost *host, guint slot, guint64 number)
{
    SimQemu *qemu = &host->qemu;
    world.busy[slot] = TRUE;
    qemu->in_flight++;
    if (qemu->lease == NULL || qemu->lease_generation != sim_disks_generation(host)) {
        request_done(host, slot, qemu->id, number, 1);
        return;
    }
    sim_disks_request(host, qemu->lease, slot / SIM_BLOCKS, slot % SIM_BLOCKS, number, TRUE,
                      request_done, qemu->id);
}

static void
guest_changes(SimQemu *qemu)
{
    qemu->version = ++world.version;
    world.before_run = 0;
}

static void
request_done(SimHost *host, guint slot, guint64 id, guint64 number, int result)
{
    SimQemu *qemu = &host->qemu;
    if (!qemu->proc.alive || qemu->id != id)
        return;
    qemu->in_flight--;
    if (result == 0) {
        guint64 there = sim_server_block(slot / SIM_BLOCKS, slot % SIM_BLOCKS);
        world.acked[slot] = number;
        world.busy[slot] = FALSE;
        world.writes_acked++;
        if (slot != SIM_META_SLOT)
            guest_changes(qemu);
        if (there < number)
            sim_violation("I3",
                          "write %" G_GUINT64_FORMAT " of block %u is acknowledged, and the disk "
                          "holds %" G_GUINT64_FORMAT,
                          number, slot, there);
    } else {
        qemu->broken[slot] = TRUE;
        io_error(host);
    }
    sim_wake(qemu);
}

void
sim_qemu_nbd_lost(SimHost *host)
{
    SimQemu *qemu = &host->qemu;
    qemu->lease = NULL;
    if (!qemu->proc.alive || qemu->in_flight == 0)
        return;
    for (guint i = 0; i < SIM_DISKS * SIM_BLOCKS; i++)
        if (world.busy[i])
            qemu->broken[i] = TRUE;
    qemu->in_flight = 0;
    io_error(host);
    sim_wake(qemu);
}

static void
guest(gpointer data)
{
    SimHost *host = data;
    SimQemu *qemu = &host->qemu;
    guint at = 0;
    while (TRUE) {
        while (!qemu->cpus || qemu->in_flight >= IN_FLIGHT)
            sim_wait(qemu, G_MAXINT64);
        sim_sleep(sim_delay(world.write_gap));
        world.write_gap = MIN(world.write_gap + world.write_gap / 2, 100 * G_USEC_PER_SEC);
        if (!qemu->cpus || qemu->in_flight >= IN_FLIGHT)
            continue;
        at = (at + 3) % SIM_META_SLOT;
        if (world.busy[at])
            continue;
        guest_changes(qemu);
        send_write(host, at, world.sent[at] = ++world.next_number);
    }
}

static gboolean
alive(gpointer data)
{
    SimQemu *qemu = data;
    return qemu->proc.alive;
}

/* QEMU starts and connects to the disk process. */
void
sim_qemu_start(SimHost *host, gboolean incoming)
{
    SimQemu *qemu = &host->qemu;
    guint generation = qemu->proc.generation + 1;
    memset(qemu, 0, sizeof *qemu);
    qemu->proc = (SimProc){
        .name = "qemu", .host = host->index, .alive = TRUE, .generation = generation};
    qemu->id = ++world.qemu_ids;
    qemu->state = incoming ? DOM_PREPARED : DOM_RUNNING;
    qemu->memory_here = !incoming;
    qemu->version = incoming ? 0 : world.version;
    qemu->lease_generation = sim_disks_generation(host);
    if (qemu->lease_generation) {
        qemu->lease = g_new0(VmfGateLease, 1);
        vmf_gate_lease_init(vmf_disk_set_gate(sim_disks_set(host)), qemu->lease, alive, qemu);
    }
    sim_spawn(&qemu->proc, 0, guest, host);
    if (!incoming)
        sim_qemu_cpus(host, TRUE, "start");
}

void
sim_qemu_cpus(SimHost *host, gboolean run, const char *why)
{
    SimQemu *qemu = &host->qemu;
    if (qemu->cpus == run)
        return;
    sim_trace("hv%d: the guest %s (%s)", host->index + 1, run ? "runs" : "is paused", why);
    qemu->cpus = run;
    if (!run)
        return;
    qemu->state = DOM_RUNNING;
    /* One that was let run, and ended before it wrote: the source may go on (handover.md). */
    if (!qemu->memory_here || (qemu->version != world.version && qemu->version != world.before_run))
        sim_violation("I6", "hv%d lets the guest run with an old state of its memory (%s)",
                      host->index + 1, why);
    if (qemu->metadata != sim_server_metadata() && !world.busy[SIM_META_SLOT])
        sim_violation("I3", "hv%d goes on with image metadata that the other host has changed",
                      host->index + 1);
    world.write_gap = 1000;
    guint64 before = qemu->version;
    guest_changes(qemu);
    world.before_run = before;
    for (guint i = 0; i < SIM_DISKS * SIM_BLOCKS; i++) {
        if (!world.busy[i])
            continue;
        /* a request that failed, and is part of the guest's state: made again */
        if (qemu->broken[i]) {
            qemu->broken[i] = FALSE;
            send_write(host, i, world.sent[i]);
        }
    }
    sim_wake(qemu);
}

/* Frozen as a whole (its cgroup) by a fault, or stopped by vmferryd's SIGSTOP: either holds it. */
static void
stop_or_continue(SimHost *host)
{
    SimQemu *qemu = &host->qemu;
    gboolean stop = qemu->frozen || qemu->signalled;
    if (!qemu->proc.alive || qemu->proc.stopped == stop)
        return;
    sim_trace("hv%d: QEMU is %s", host->index + 1, stop ? "stopped" : "continued");
    sim_stop_proc(&qemu->proc, stop);
    if (stop)
        return;
    if (qemu->term_pending) {
        sim_qemu_gone(host, FALSE, "SIGTERM");
    } else if (qemu->resume_pending) {
        qemu->resume_pending = FALSE;
        sim_qemu_cpus(host, TRUE, "libvirt's cont");
    }
}

void
sim_qemu_frozen(SimHost *host, gboolean stop)
{
    host->qemu.frozen = stop;
    stop_or_continue(host);
}

static void
hook(gpointer data)
{
    sim_hook_ended(data);
}

static void
run_hook(SimHost *host)
{
    if (!host->libvirtd.alive)
        libvirt.hook_pending[host->index] = TRUE;
    else if (host->vmferryd.alive)
        sim_spawn(&host->vmferryd, sim_delay(300), hook, host);
}

static gboolean
is_the_last_copy(const SimHost *host)
{
    if (!host->qemu.memory_here || host->qemu.version != world.version)
        return FALSE;
    for (int i = 0; i < SIM_HOSTS; i++) {
        const SimQemu *other = &world.hosts[i].qemu;
        if (i != host->index && other->proc.alive && other->memory_here &&
            other->version == world.version)
            return FALSE;
    }
    return TRUE;
}

/*
 * A fault ends the owner's copy: the other host's does not count, which has not been let run, or
 * has been paused. Except a destination's QEMU that dies alone before it has written: the source
 * can go on.
 */
static gboolean
dies_with_the_guest(const SimHost *host)
{
    guint64 epoch;
    VmfOwnerState state;
    return host->qemu.memory_here && host->qemu.version == world.version &&
           sim_server_owner(&epoch, &state) == host->index &&
           (host->index == 0 || !host->up || !host->marked || host->qemu.in_flight > 0);
}

/* The owner's host is gone, and with it what it knew: whether the guest has run there. */
void
sim_host_lost(const SimHost *host)
{
    guint64 epoch;
    VmfOwnerState state;
    if (sim_server_owner(&epoch, &state) == host->index && !world.hosts[1 - host->index].qemu.cpus)
        world.memory_lost = TRUE;
}

void
sim_qemu_gone(SimHost *host, gboolean fault, const char *why)
{
    SimQemu *qemu = &host->qemu;
    if (!qemu->proc.alive)
        return;
    sim_trace("hv%d: QEMU ends (%s)", host->index + 1, why);
    if (fault && dies_with_the_guest(host))
        world.memory_lost = TRUE;
    if (is_the_last_copy(host)) {
        if (fault)
            world.memory_lost = TRUE;
        else if (!world.memory_lost)
            sim_violation("I6", "hv%d ends the last process that holds the guest's memory (%s)",
                          host->index + 1, why);
    }
    if (qemu->in_flight > 0)
        world.busy[SIM_META_SLOT] = FALSE; /* nobody waits for it any more */
    qemu->cpus = FALSE;
    qemu->memory_here = FALSE;
    qemu->in_flight = 0;
    qemu->resume_pending = FALSE;
    qemu->term_pending = FALSE;
    qemu->state = DOM_NONE;
    if (host->libvirt.state != VMF_LIBVIRT_CONFIRMING)
        host->libvirt.state = VMF_LIBVIRT_IDLE;
    if (host->up) {
        tell(host, VMF_EVENT_STOPPED);
        run_hook(host);
    }
    sim_wake(qemu);
    sim_kill_tasks(&qemu->proc);
}

/* --- connections --- */

static gboolean
conn_is_open(int conn)
{
    const Conn *at = &libvirt.conns[conn];
    return at->open && at->host->libvirtd.alive && at->generation == at->host->libvirtd.generation;
}

/* What libvirtd does when the connection that drives a migration is closed. */
static void
conn_closed(Conn *conn, int number)
{
    SimHost *host = conn->host;
    SimLibvirtJob *job = &host->libvirt;
    gboolean lives = conn_is_open(number);
    conn->open = FALSE;
    if (!lives || job->conn != number)
        return;
    sim_trace("hv%d: libvirtd sees the migration's connection end", host->index + 1);
    job->conn = -1;
    switch ((VmfLibvirtPhase)job->state) {
    case VMF_LIBVIRT_BEGUN:
    case VMF_LIBVIRT_PERFORMED: /* forgotten; the guest stays paused */
        job->state = VMF_LIBVIRT_IDLE;
        break;
    case VMF_LIBVIRT_PERFORMING:
        job->abort = TRUE;
        break;
    case VMF_LIBVIRT_PREPARED:
        sim_qemu_gone(host, FALSE, "autodestroy");
        break;
    case VMF_LIBVIRT_IDLE:
    case VMF_LIBVIRT_CONFIRMING:
    case VMF_LIBVIRT_FINISHING:
        break;
    }
}

void
sim_conn_hold(int conn, gpointer holder)
{
    for (guint i = 0; i < MAX_HOLDERS; i++)
        if (libvirt.conns[conn].holders[i] == NULL) {
            libvirt.conns[conn].holders[i] = holder;
            return;
        }
    g_assert_not_reached();
}

void
sim_conn_release(int number, gpointer holder)
{
    Conn *conn = &libvirt.conns[number];
    gboolean found = FALSE, held = FALSE;
    for (guint i = 0; i < MAX_HOLDERS; i++) {
        if (!found && conn->holders[i] == holder) {
            conn->holders[i] = NULL;
            found = TRUE;
        }
        held = held || conn->holders[i] != NULL;
    }
    if (found && !held)
        conn_closed(conn, number);
}

void
sim_conn_release_all(gpointer holder)
{
    for (int i = 0; i < libvirt.n_conns; i++)
        for (guint j = 0; j < MAX_HOLDERS; j++)
            if (libvirt.conns[i].holders[j] == holder)
                sim_conn_release(i, holder);
}

/* --- libvirtd's life --- */

static gboolean
let_resume(SimHost *host, const char *why)
{
    if (!host->qemu.proc.alive)
        return FALSE;
    if (host->qemu.proc.stopped)
        host->qemu.resume_pending = TRUE;
    else
        sim_qemu_cpus(host, TRUE, why);
    return TRUE;
}

void
sim_libvirtd_kill(SimHost *host, gboolean term)
{
    if (!host->libvirtd.alive)
        return;
    sim_trace("hv%d: libvirtd ends", host->index + 1);
    libvirt.term[host->index] = term;
    for (int i = 0; i < libvirt.n_conns; i++)
        if (libvirt.conns[i].host == host)
            libvirt.conns[i].open = FALSE;
    tell(host, VMF_EVENT_LIBVIRT_LOST);
    host->libvirtd.alive = FALSE;
    sim_wake(&host->libvirtd);
    sim_kill_tasks(&host->libvirtd);
}

/* qemuMigrationSrcCleanup, qemuProcessRecoverMigration of libvirt */
void
sim_libvirtd_start(SimHost *host, gboolean after_term)
{
    if (host->libvirtd.alive || !host->up)
        return;
    SimLibvirtJob *job = &host->libvirt;
    VmfLibvirtPhase was = (VmfLibvirtPhase)job->state;
    sim_trace("hv%d: libvirtd starts", host->index + 1);
    host->libvirtd.alive = TRUE;
    host->libvirtd.stopped = FALSE;
    job->state = VMF_LIBVIRT_IDLE;
    job->conn = -1;
    job->abort = FALSE;
    tell(host, VMF_EVENT_LIBVIRT_RETURNED);
    switch (was) {
    case VMF_LIBVIRT_IDLE:
    case VMF_LIBVIRT_BEGUN:
        break;
    case VMF_LIBVIRT_PERFORMING:
        let_resume(host, "libvirtd cancels the copy it finds");
        break;
    case VMF_LIBVIRT_PERFORMED:
        if (libvirt.term[host->index])
            let_resume(host, "libvirtd was ended in the window");
        break;
    case VMF_LIBVIRT_CONFIRMING:
        break;
    case VMF_LIBVIRT_PREPARED:
        sim_qemu_gone(host, TRUE, "libvirtd finds a half migration");
        break;
    case VMF_LIBVIRT_FINISHING:
        if (!host->qemu.cpus)
            sim_qemu_gone(host, TRUE, "libvirtd finds an unfinished Finish");
        break;
    }
    if (libvirt.hook_pending[host->index]) {
        libvirt.hook_pending[host->index] = FALSE;
        run_hook(host);
    }
}

/* --- VmfPhases --- */

typedef enum {
    CALL_BEGIN,
    CALL_PREPARE,
    CALL_PERFORM,
    CALL_FINISH,
    CALL_CANCEL_IN,
    CALL_CONFIRM,
    CALL_CANCEL_OUT
} CallKind;

typedef struct {
    CallKind kind;
    SimHost *host;
    int conn;
    gboolean done, ok;
} Call;

static const char *const call_names[] = {"begin",     "prepare", "perform",   "finish",
                                         "finish(1)", "confirm", "confirm(1)"};

static SimHost *
peer_of(SimHost *host)
{
    return &world.hosts[1 - host->index];
}

/* The memory passes through both vmferryds. */
static gboolean
stream_stands(SimHost *from, SimHost *to)
{
    return !world.peers_cut && from->vmferryd.alive && to->vmferryd.alive && to->qemu.proc.alive &&
           to->qemu.state == DOM_PREPARED && from->qemu.proc.alive && !from->libvirt.abort;
}

static void
wait_for_qemu(SimHost *host)
{
    while (host->qemu.proc.alive && host->qemu.proc.stopped)
        sim_sleep(G_USEC_PER_SEC / 10);
}

static void
write_metadata(SimHost *host)
{
    host->qemu.metadata = world.sent[SIM_META_SLOT] = ++world.next_number;
    send_write(host, SIM_META_SLOT, host->qemu.metadata);
}

/*
 * QEMU waits for its writes; the drain does not rely on it. In these runs a last write has passed
 * the gate when Perform returns, and is not answered yet.
 */
static void
write_at_the_last_moment(SimHost *host)
{
    gint64 wait = 5;
    write_metadata(host);
    while (world.busy[SIM_META_SLOT] && host->qemu.proc.alive && sim_disks_set(host) != NULL &&
           vmf_gate_facts(vmf_disk_set_gate(sim_disks_set(host))).in_flight == 0 &&
           vmf_gate_facts(vmf_disk_set_gate(sim_disks_set(host))).waiting == 0)
        sim_sleep(wait = MIN(wait * 2, G_USEC_PER_SEC));
}

static gboolean
do_perform(SimHost *host)
{
    SimHost *to = peer_of(host);
    SimLibvirtJob *job = &host->libvirt;
    if (job->state != VMF_LIBVIRT_BEGUN || host->qemu.state != DOM_RUNNING)
        return FALSE;
    job->state = VMF_LIBVIRT_PERFORMING;
    world.write_gap = 700; /* it is busy while its memory is copied */
    sim_wake(&host->qemu);
    job->abort = FALSE;
    for (guint i = 0; i < 4; i++) {
        sim_sleep(sim_delay(COPY_US / 4));
        if (!stream_stands(host, to)) {
            job->state = VMF_LIBVIRT_IDLE;
            return FALSE;
        }
    }
    wait_for_qemu(host);
    if (!host->qemu.cpus) {
        job->state = VMF_LIBVIRT_IDLE;
        return FALSE;
    }
    sim_qemu_cpus(host, FALSE, "Perform");
    host->qemu.state = DOM_PAUSED_MIGRATION;
    if (world.plan.qcow2) /* the image is inactivated */
        write_metadata(host);
    tell(host, VMF_EVENT_SUSPENDED);
    while (host->qemu.proc.alive && host->qemu.in_flight > 0)
        sim_wait(&host->qemu, sim_now() + G_USEC_PER_SEC);
    sim_sleep(sim_delay(300));
    gboolean failed = FALSE;
    for (guint i = 0; i < SIM_DISKS * SIM_BLOCKS; i++)
        failed = failed || host->qemu.broken[i];
    if (failed || !stream_stands(host, to) || to->qemu.proc.stopped) {
        job->state = VMF_LIBVIRT_IDLE;
        if (host->qemu.proc.alive)
            let_resume(host, "Perform failed");
        return FALSE;
    }
    to->qemu.memory_here = TRUE;
    to->qemu.version = host->qemu.version;
    job->state = VMF_LIBVIRT_PERFORMED;
    if (world.plan.trailing)
        write_at_the_last_moment(host);
    return TRUE;
}

static gboolean
through_the_gate(SimHost *host, guint slot, gboolean write)
{
    SimQemu *qemu = &host->qemu;
    guint64 id = qemu->id, before = world.next_number;
    if (qemu->lease == NULL || qemu->lease_generation != sim_disks_generation(host))
        return FALSE;
    if (write) {
        write_metadata(host);
    } else {
        return TRUE; /* reads pass a closed gate too */
    }
    while (qemu->proc.alive && qemu->id == id && qemu->in_flight > 0)
        sim_wait(qemu, sim_now() + G_USEC_PER_SEC);
    return qemu->proc.alive && qemu->id == id && world.acked[slot] > before;
}

static gboolean
do_finish(SimHost *host)
{
    SimLibvirtJob *job = &host->libvirt;
    if (job->state != VMF_LIBVIRT_PREPARED || !host->qemu.proc.alive) {
        return FALSE;
    }
    job->state = VMF_LIBVIRT_FINISHING;
    if (host->qemu.memory_here && sim_server_metadata() < world.sent[SIM_META_SLOT])
        sim_violation("I3", "hv%d reads the image, and the source's last write is not in it",
                      host->index + 1);
    sim_sleep(sim_delay(500));
    wait_for_qemu(host);
    gboolean ok = host->qemu.proc.alive && host->qemu.memory_here;
    if (ok && world.plan.qcow2)
        ok = through_the_gate(host, SIM_META_SLOT, TRUE);
    if (!ok) {
        if (host->qemu.proc.alive)
            sim_qemu_gone(host, TRUE, "Finish failed");
        job->state = VMF_LIBVIRT_IDLE;
        return FALSE;
    }
    host->qemu.metadata = sim_server_metadata(); /* read anew in Finish */
    sim_qemu_cpus(host, TRUE, "Finish");
    tell(host, VMF_EVENT_RESUMED);
    job->state = VMF_LIBVIRT_IDLE;
    return TRUE;
}

static gboolean
run_again(SimHost *host)
{
    wait_for_qemu(host);
    if (!host->qemu.proc.alive)
        return FALSE;
    sim_qemu_cpus(host, TRUE, "Confirm(1)");
    return TRUE;
}

/* qemuProcessKill(): SIGTERM, which a stopped process does not take; SIGKILL after 10 s */
static gboolean
end_moved(SimHost *host)
{
    gint64 until = sim_now() + TERM_US;
    libvirt.defined[host->index] = FALSE;
    host->qemu.term_pending = host->qemu.proc.stopped;
    while (host->qemu.term_pending && sim_now() < until)
        sim_sleep(G_USEC_PER_SEC / 5);
    sim_qemu_gone(host, FALSE, "Confirm");
    return TRUE;
}

static gboolean
do_confirm(SimHost *host, gboolean cancelled)
{
    SimLibvirtJob *job = &host->libvirt;
    if (job->state == VMF_LIBVIRT_BEGUN && cancelled) {
        job->state = VMF_LIBVIRT_IDLE; /* nothing was performed: the guest runs */
        return TRUE;
    }
    if (job->state != VMF_LIBVIRT_PERFORMED || !host->qemu.proc.alive)
        return FALSE;
    job->state = VMF_LIBVIRT_CONFIRMING;
    sim_sleep(sim_delay(500));
    gboolean ok = cancelled ? run_again(host) : end_moved(host);
    job->state = VMF_LIBVIRT_IDLE;
    return ok;
}

static void
run_call(gpointer data)
{
    Call *call = data;
    SimHost *host = call->host;
    SimLibvirtJob *job = &host->libvirt;
    if (job->state == VMF_LIBVIRT_PERFORMING || job->state == VMF_LIBVIRT_FINISHING ||
        job->state == VMF_LIBVIRT_CONFIRMING) {
        sim_violation("L1", "hv%d: %s beside a running phase: libvirtd crashes", host->index + 1,
                      call_names[call->kind]);
        return;
    }
    switch (call->kind) {
    case CALL_BEGIN:
        call->ok = job->state == VMF_LIBVIRT_IDLE && host->qemu.state == DOM_RUNNING;
        if (call->ok) {
            job->state = VMF_LIBVIRT_BEGUN;
            job->conn = call->conn;
        }
        break;
    case CALL_PREPARE:
        call->ok = !host->qemu.proc.alive && sim_disks_generation(host) != 0;
        if (call->ok) {
            job->state = VMF_LIBVIRT_PREPARED;
            job->conn = call->conn;
            sim_qemu_start(host, TRUE);
            sim_sleep(sim_delay(2000));
            call->ok = host->qemu.proc.alive;
        }
        break;
    case CALL_PERFORM:
        call->ok = do_perform(host);
        break;
    case CALL_FINISH:
        call->ok = do_finish(host);
        break;
    case CALL_CANCEL_IN:
        if (host->qemu.proc.alive)
            sim_qemu_gone(host, FALSE, "Finish(1)");
        job->state = VMF_LIBVIRT_IDLE;
        call->ok = TRUE;
        break;
    case CALL_CONFIRM:
        call->ok = do_confirm(host, FALSE);
        break;
    case CALL_CANCEL_OUT:
        call->ok = do_confirm(host, TRUE);
        break;
    }
    call->done = TRUE;
    sim_wake(call);
}

static VmfPhaseResult
call_libvirt(VmfPhases *phases, CallKind kind, GError **error)
{
    SimHost *host = phases->host;
    sim_point("hv%d: libvirt %s", host->index + 1, call_names[kind]);
    sim_travel(60);
    Call *call = g_new0(Call, 1);
    *call = (Call){.kind = kind, .host = host, .conn = phases->conn};
    if (conn_is_open(phases->conn))
        sim_spawn(&host->libvirtd, 0, run_call, call);
    while (!call->done && conn_is_open(phases->conn))
        sim_wait(call, sim_now() + G_USEC_PER_SEC / 20);
    gboolean lost = !call->done || !conn_is_open(phases->conn) || host->libvirt.lost;
    gboolean ok = call->ok;
    if (call->done && host->libvirt.lost) {
        host->libvirt.lost = FALSE;
        memset(libvirt.conns[phases->conn].holders, 0, sizeof libvirt.conns[0].holders);
        conn_closed(&libvirt.conns[phases->conn], phases->conn);
    }
    if (lost) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "libvirtd's answer was lost");
        return VMF_PHASE_UNKNOWN;
    }
    g_free(call);
    sim_travel(60);
    sim_trace("hv%d: libvirt %s: %s", host->index + 1, call_names[kind], ok ? "done" : "refused");
    if (ok)
        return VMF_PHASE_DONE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "libvirt refuses %s", call_names[kind]);
    return VMF_PHASE_REFUSED;
}

VmfPhases *
vmf_phases_open(const char *libvirt_socket, GError **error)
{
    SimHost *host = &world.hosts[sim_current_proc()->host];
    sim_travel(60);
    if (!host->libvirtd.alive || libvirt.n_conns == MAX_CONNS) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "libvirtd does not answer");
        return NULL;
    }
    int number = libvirt.n_conns++;
    libvirt.conns[number] = (Conn){
        .host = host, .generation = host->libvirtd.generation, .open = TRUE};
    sim_conn_hold(number, &host->vmferryd);
    VmfPhases *phases = g_new0(VmfPhases, 1);
    *phases = (VmfPhases){number, host};
    return phases;
}

VmfPhases *
vmf_phases_adopt(int fd, GError **error)
{
    sim_travel(60);
    if (!conn_is_open(fd)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "libvirtd has closed it");
        return NULL;
    }
    SimHost *host = libvirt.conns[fd].host;
    sim_conn_hold(fd, &host->vmferryd);
    VmfPhases *phases = g_new0(VmfPhases, 1);
    *phases = (VmfPhases){fd, host};
    return phases;
}

void
vmf_phases_free(VmfPhases *phases)
{
    if (phases == NULL)
        return;
    sim_conn_release(phases->conn, &phases->host->vmferryd);
    g_free(phases);
}

int
vmf_phases_dup_fd(VmfPhases *phases, GError **error)
{
    return phases->conn;
}

gboolean
vmf_phases_is_connected(const VmfPhases *phases)
{
    return conn_is_open(phases->conn);
}

static GBytes *
cookie(void)
{
    return g_bytes_new_static("cookie", 6);
}

VmfPhaseResult
vmf_phases_begin(VmfPhases *phases, const VmfPhaseParams *params, GBytes **cookie_out, char **xml,
                 GError **error)
{
    VmfPhaseResult result = call_libvirt(phases, CALL_BEGIN, error);
    if (result == VMF_PHASE_DONE) {
        *cookie_out = cookie();
        *xml = g_strdup("<domain/>");
    }
    return result;
}

VmfPhaseResult
vmf_phases_prepare(VmfPhases *phases, const VmfPhaseParams *params, const char *uri,
                   const char *xml, GBytes *given, GBytes **cookie_out, GError **error)
{
    VmfPhaseResult result = call_libvirt(phases, CALL_PREPARE, error);
    if (result == VMF_PHASE_DONE)
        *cookie_out = cookie();
    return result;
}

VmfPhaseResult
vmf_phases_perform(VmfPhases *phases, const VmfPhaseParams *params, const char *uri, GBytes *given,
                   GBytes **cookie_out, GError **error)
{
    VmfPhaseResult result = call_libvirt(phases, CALL_PERFORM, error);
    if (result == VMF_PHASE_DONE)
        *cookie_out = cookie();
    return result;
}

VmfPhaseResult
vmf_phases_finish(VmfPhases *phases, const VmfPhaseParams *params, GBytes *given,
                  gboolean cancelled, GBytes **cookie_out, GError **error)
{
    VmfPhaseResult result = call_libvirt(phases, cancelled ? CALL_CANCEL_IN : CALL_FINISH, error);
    if (result == VMF_PHASE_DONE && !cancelled)
        *cookie_out = cookie();
    return result;
}

VmfPhaseResult
vmf_phases_confirm(VmfPhases *phases, const VmfPhaseParams *params, GBytes *given,
                   gboolean cancelled, GError **error)
{
    return call_libvirt(phases, cancelled ? CALL_CANCEL_OUT : CALL_CONFIRM, error);
}

/* --- phase-file.h --- */

gboolean
vmf_phase_file_read(const char *state_dir, const char *name, VmfLibvirtPhase *phase, GError **error)
{
    *phase = (VmfLibvirtPhase)world.hosts[sim_current_proc()->host].libvirt.state;
    return TRUE;
}

gboolean
vmf_phase_file_wait(const char *state_dir, const char *name, gint64 timeout_ms,
                    VmfLibvirtPhase *phase, GError **error)
{
    SimHost *host = &world.hosts[sim_current_proc()->host];
    gint64 until = sim_now() + timeout_ms * 1000;
    while (TRUE) {
        *phase = (VmfLibvirtPhase)host->libvirt.state;
        if (*phase != VMF_LIBVIRT_PERFORMING && *phase != VMF_LIBVIRT_CONFIRMING &&
            *phase != VMF_LIBVIRT_FINISHING)
            return TRUE;
        if (sim_now() >= until) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "libvirtd still runs a phase");
            return FALSE;
        }
        sim_sleep(sim_now() + G_USEC_PER_SEC > until - timeout_ms * 500 ? G_USEC_PER_SEC : 10000);
    }
}

/* --- VmfHost --- */

static SimHost *
host_of(VmfHost *host)
{
    return (SimHost *)host;
}

static gboolean
libvirt_answers(SimHost *host, GError **error)
{
    sim_travel(100);
    while (host->libvirtd.alive && host->libvirtd.stopped)
        sim_sleep(G_USEC_PER_SEC);
    if (host->libvirtd.alive)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "libvirtd does not answer");
    return FALSE;
}

static VmfVmState
vm_state(const SimHost *host)
{
    switch (host->qemu.state) {
    case DOM_RUNNING:
        return VMF_VM_RUNNING;
    case DOM_PAUSED_MIGRATION:
    case DOM_PREPARED:
        return VMF_VM_PAUSED_MIGRATION;
    case DOM_IOERROR:
        return VMF_VM_PAUSED_IOERROR;
    case DOM_NONE:
        return VMF_VM_OFF;
    }
    g_assert_not_reached();
}

VmfVmInfo *
vmf_host_lookup(VmfHost *base, const char *uuid_or_name, GError **error)
{
    SimHost *host = host_of(base);
    if (!libvirt_answers(host, error))
        return NULL;
    if (!host->qemu.proc.alive && !libvirt.defined[host->index]) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "there is no such VM");
        return NULL;
    }
    VmfVmInfo *info = g_new0(VmfVmInfo, 1);
    info->uuid = g_strdup(SIM_VM);
    info->name = g_strdup(SIM_NAME);
    info->state = vm_state(host);
    info->persistent = libvirt.defined[host->index];
    return info;
}

void
vmf_vm_info_free(VmfVmInfo *info)
{
    if (info == NULL)
        return;
    g_free(info->uuid);
    g_free(info->name);
    g_free(info);
}

const char *
vmf_vm_state_name(VmfVmState state)
{
    static const char *const names[] = {
        "running", "paused", "paused (migrating)", "paused (I/O error)", "shutdown",
        "off",     "crashed"};
    return names[state];
}

gchar *
vmf_host_dump_xml(VmfHost *base, const char *uuid, VmfXmlForm form, GError **error)
{
    return libvirt_answers(host_of(base), error) ? g_strdup("<domain/>") : NULL;
}

gboolean
vmf_host_define(VmfHost *base, const char *xml, gchar **uuid, GError **error)
{
    if (!libvirt_answers(host_of(base), error))
        return FALSE;
    libvirt.defined[host_of(base)->index] = TRUE;
    return TRUE;
}

gboolean
vmf_host_undefine(VmfHost *base, const char *uuid, GError **error)
{
    if (!libvirt_answers(host_of(base), error))
        return FALSE;
    libvirt.defined[host_of(base)->index] = FALSE;
    return TRUE;
}

gboolean
vmf_host_set_autostart(VmfHost *base, const char *uuid, gboolean on, GError **error)
{
    return libvirt_answers(host_of(base), error);
}

gboolean
vmf_host_resume(VmfHost *base, const char *uuid, GError **error)
{
    SimHost *host = host_of(base);
    if (!libvirt_answers(host, error))
        return FALSE;
    if (host->libvirt.state != VMF_LIBVIRT_IDLE || !let_resume(host, "virDomainResume")) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "cannot resume");
        return FALSE;
    }
    return TRUE;
}

gboolean
vmf_host_destroy(VmfHost *base, const char *uuid, GError **error)
{
    SimHost *host = host_of(base);
    if (!libvirt_answers(host, error))
        return FALSE;
    if (host->qemu.proc.alive)
        sim_qemu_gone(host, FALSE, "virDomainDestroy");
    return TRUE;
}

gboolean
vmf_host_abort_job(VmfHost *base, const char *uuid, GError **error)
{
    SimHost *host = host_of(base);
    if (!libvirt_answers(host, error))
        return FALSE;
    if (host->libvirt.state == VMF_LIBVIRT_PERFORMING)
        host->libvirt.abort = TRUE;
    return TRUE;
}

guint
vmf_host_subscribe(VmfHost *base, const char *uuid, VmfVmEventFunc func, gpointer data,
                   GDestroyNotify destroy)
{
    Subscription *all = libvirt.subscriptions[host_of(base)->index];
    for (guint i = 0; i < G_N_ELEMENTS(libvirt.subscriptions[0]); i++)
        if (!all[i].used) {
            all[i] = (Subscription){func, data, destroy, TRUE};
            return i + 1;
        }
    g_assert_not_reached();
}

void
vmf_host_unsubscribe(VmfHost *base, guint id)
{
    Subscription *one = &libvirt.subscriptions[host_of(base)->index][id - 1];
    one->used = FALSE;
    if (one->destroy)
        one->destroy(one->data);
}

/* --- VmfQemuProcess --- */

VmfQemuProcess *
vmf_qemu_process_find(const char *state_dir, const char *name, const char *uuid, GError **error)
{
    SimHost *host = &world.hosts[sim_current_proc()->host];
    if (!host->qemu.proc.alive) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "no QEMU runs here");
        return NULL;
    }
    VmfQemuProcess *process = g_new(VmfQemuProcess, 1);
    *process = (VmfQemuProcess){host, host->qemu.id};
    return process;
}

void
vmf_qemu_process_free(VmfQemuProcess *process)
{
    g_free(process);
}

gboolean
vmf_qemu_process_alive(const VmfQemuProcess *process)
{
    return process->host->qemu.id == process->id && process->host->qemu.proc.alive;
}

gboolean
vmf_qemu_process_stop(VmfQemuProcess *process, gboolean stop, GError **error)
{
    SimHost *host = process->host;
    if (host->qemu.id != process->id || !host->qemu.proc.alive) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "QEMU has ended");
        return FALSE;
    }
    sim_point("hv%d: QEMU is sent a signal to %s", host->index + 1, stop ? "stop" : "go on");
    host->qemu.signalled = stop;
    stop_or_continue(host);
    return TRUE;
}

gboolean
vmf_qemu_process_wait_stopped(VmfQemuProcess *process, guint timeout_ms, GError **error)
{
    sim_travel(20);
    if (process->host->qemu.id == process->id && process->host->qemu.proc.alive &&
        process->host->qemu.proc.stopped)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "QEMU has ended");
    return FALSE;
}

gboolean
vmf_qemu_process_is_told_to_end(const VmfQemuProcess *process)
{
    return process->host->qemu.id == process->id && process->host->qemu.term_pending;
}

gboolean
vmf_qemu_process_kill(VmfQemuProcess *process, guint timeout_ms, GError **error)
{
    sim_travel(100);
    if (process->host->qemu.id == process->id)
        sim_qemu_gone(process->host, FALSE, "killed by vmferryd");
    return TRUE;
}
