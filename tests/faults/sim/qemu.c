/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/libvirt.h"

#include "src/base/error.h"

/*
 * QEMU and the guest of one host: its CPUs, its requests to the disk process, what its memory is
 * worth; and the way to the process without libvirt (VmfQemuProcess).
 */

#define IN_FLIGHT 2

/* --- requests --- */

static void request_done(SimHost *host, guint slot, guint64 qemu, guint64 number, int result);

static void
io_error(SimHost *host)
{
    if (host->qemu.state == DOM_RUNNING) {
        sim_qemu_cpus(host, FALSE, "I/O error");
        host->qemu.state = DOM_IOERROR;
        host->io_error = TRUE;
        sim_keeper_kick(host);
    }
}

static gboolean
alive(gpointer data)
{
    SimQemu *qemu = data;
    return qemu->proc.alive;
}

/* QEMU's NBD client connects again by itself; until then each request is an error. */
gboolean
sim_qemu_connect(SimHost *host)
{
    SimQemu *qemu = &host->qemu;
    guint generation = sim_disks_generation(host);
    if (qemu->lease != NULL && qemu->lease_generation == generation)
        return TRUE;
    if (generation == 0)
        return FALSE;
    qemu->lease_generation = generation;
    qemu->lease = g_new0(VmfGateLease, 1);
    vmf_gate_lease_init(vmf_disk_set_gate(sim_disks_set(host)), qemu->lease, alive, qemu);
    return TRUE;
}

void
sim_qemu_send(SimHost *host, guint slot, guint64 number)
{
    SimQemu *qemu = &host->qemu;
    world.busy[slot] = TRUE;
    qemu->in_flight++;
    if (!sim_qemu_connect(host)) {
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
        sim_qemu_send(host, at, world.sent[at] = ++world.next_number);
    }
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
    sim_qemu_connect(host);
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
    /* One that was let run, and ended before a write of its left the gate: the source may go on. */
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
            sim_qemu_send(host, i, world.sent[i]);
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

/* Its claim may have landed only after that. */
static gboolean
was_lost_with_the_owner(void)
{
    guint64 epoch;
    VmfOwnerState state;
    int owner = sim_server_owner(&epoch, &state);
    return owner >= 0 && world.hosts[owner].lost_power;
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
        if (fault || was_lost_with_the_owner())
            world.memory_lost = TRUE;
        else if (!world.memory_lost)
            sim_violation("I6", "hv%d ends the last process that holds the guest's memory (%s)",
                          host->index + 1, why);
    }
    if (qemu->in_flight > 0)
        world.busy[SIM_META_SLOT] = FALSE; /* nobody waits for it any more */
    /* Only in this model is one under way after Perform (write_at_the_last_moment()). */
    if (world.plan.trailing && host->libvirt.state == VMF_LIBVIRT_PERFORMED)
        world.sent[SIM_META_SLOT] = sim_server_metadata();
    qemu->cpus = FALSE;
    qemu->memory_here = FALSE;
    qemu->in_flight = 0;
    qemu->resume_pending = FALSE;
    qemu->term_pending = FALSE;
    qemu->state = DOM_NONE;
    if (host->libvirt.state != VMF_LIBVIRT_CONFIRMING)
        host->libvirt.state = VMF_LIBVIRT_IDLE;
    if (host->up) {
        sim_libvirt_tell(host, VMF_EVENT_STOPPED);
        sim_libvirt_run_hook(host);
    }
    sim_wake(qemu);
    sim_kill_tasks(&qemu->proc);
}

gboolean
sim_qemu_let_resume(SimHost *host, const char *why)
{
    if (!host->qemu.proc.alive)
        return FALSE;
    if (host->qemu.proc.stopped)
        host->qemu.resume_pending = TRUE;
    else
        sim_qemu_cpus(host, TRUE, why);
    return TRUE;
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
