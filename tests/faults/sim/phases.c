/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/libvirt.h"

#include "src/base/error.h"

#include <string.h>

/*
 * The phases of a migration in libvirtd, and what they do to QEMU. A phase that was begun goes on
 * whatever becomes of who asked for it.
 */

#define COPY_US 6000
#define TERM_US (10 * G_USEC_PER_SEC)

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
    sim_qemu_send(host, SIM_META_SLOT, host->qemu.metadata);
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
    while (world.busy[SIM_META_SLOT] && !host->qemu.broken[SIM_META_SLOT] &&
           host->qemu.proc.alive && sim_disks_set(host) != NULL &&
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
    sim_libvirt_tell(host, VMF_EVENT_SUSPENDED);
    while (host->qemu.proc.alive && host->qemu.in_flight > 0)
        sim_wait(&host->qemu, sim_now() + G_USEC_PER_SEC);
    sim_sleep(sim_delay(300));
    gboolean failed = FALSE;
    for (guint i = 0; i < SIM_DISKS * SIM_BLOCKS; i++)
        failed = failed || host->qemu.broken[i];
    if (failed || !stream_stands(host, to) || to->qemu.proc.stopped) {
        job->state = VMF_LIBVIRT_IDLE;
        if (host->qemu.proc.alive)
            sim_qemu_let_resume(host, "Perform failed");
        return FALSE;
    }
    to->qemu.memory_here = TRUE;
    to->qemu.version = host->qemu.version;
    job->state = VMF_LIBVIRT_PERFORMED;
    if (world.plan.trailing)
        write_at_the_last_moment(host);
    if (!host->qemu.broken[SIM_META_SLOT])
        return TRUE;
    job->state = VMF_LIBVIRT_IDLE; /* an image that cannot be written is not moved */
    if (host->qemu.proc.alive)
        sim_qemu_let_resume(host, "Perform failed");
    return FALSE;
}

static gboolean
through_the_gate(SimHost *host, guint slot, gboolean write)
{
    SimQemu *qemu = &host->qemu;
    guint64 id = qemu->id, before = world.next_number;
    if (!sim_qemu_connect(host))
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
    sim_libvirt_tell(host, VMF_EVENT_RESUMED);
    job->state = VMF_LIBVIRT_IDLE;
    return TRUE;
}

static gboolean
run_again(SimHost *host)
{
    wait_for_qemu(host);
    if (!host->qemu.proc.alive)
        return FALSE;
    /* Without its disks QEMU stays paused; libvirt's job is over all the same. */
    if (sim_qemu_connect(host))
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
    if (sim_conn_is_open(phases->conn))
        sim_spawn(&host->libvirtd, 0, run_call, call);
    while (!call->done && sim_conn_is_open(phases->conn))
        sim_wait(call, sim_now() + G_USEC_PER_SEC / 20);
    gboolean lost = !call->done || !sim_conn_is_open(phases->conn) || host->libvirt.lost;
    gboolean ok = call->ok;
    if (call->done && host->libvirt.lost) {
        host->libvirt.lost = FALSE;
        memset(libvirt.conns[phases->conn].holders, 0, sizeof libvirt.conns[0].holders);
        sim_conn_closed(&libvirt.conns[phases->conn], phases->conn);
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
    if (!host->libvirtd.alive || libvirt.n_conns == SIM_MAX_CONNS) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "libvirtd does not answer");
        return NULL;
    }
    int number = libvirt.n_conns++;
    libvirt.conns[number] = (SimConn){
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
    if (!sim_conn_is_open(fd)) {
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
    return sim_conn_is_open(phases->conn);
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
