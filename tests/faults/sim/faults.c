/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/world.h"

#include <string.h>

static const struct {
    const char *name;
    gboolean has_host;
    guint seconds; /* until it has healed */
} kinds[SIM_N_FAULTS] = {
    [FAULT_NONE] = {"none", FALSE, 0},
    [FAULT_KILL_VMFERRYD] = {"kill-vmferryd", TRUE, 1},
    [FAULT_KILL_LIBVIRTD] = {"kill-libvirtd", TRUE, 1},
    [FAULT_TERM_LIBVIRTD] = {"term-libvirtd", TRUE, 1},
    [FAULT_KILL_QEMU] = {"kill-qemu", TRUE, 1},
    [FAULT_KILL_DISKS] = {"kill-disk-process", TRUE, 1},
    [FAULT_STOP_VMFERRYD] = {"stop-vmferryd", TRUE, 60},
    [FAULT_STOP_DISKS] = {"stop-disk-process", TRUE, 60},
    [FAULT_STOP_QEMU] = {"stop-qemu", TRUE, 60},
    [FAULT_STOP_LIBVIRTD] = {"stop-libvirtd", TRUE, 60},
    [FAULT_POWER] = {"power-loss", TRUE, 40},
    [FAULT_CUT_PEERS] = {"cut-peers", FALSE, 20},
    [FAULT_DROP_PEERS] = {"drop-peers", FALSE, 0},
    [FAULT_DROP_PEERS_LATE] = {"drop-peers-late", FALSE, 4},
    [FAULT_CUT_SERVER_SHORT] = {"cut-server-short", TRUE, 2},
    [FAULT_CUT_SERVER] = {"cut-server", TRUE, 20},
    [FAULT_CUT_SERVER_LONG] = {"cut-server-long", TRUE, 200},
    [FAULT_ISOLATE] = {"isolate", TRUE, 30},
    [FAULT_DROP_SMB] = {"drop-smb", TRUE, 0},
    [FAULT_DROP_SMB_LATE] = {"drop-smb-late", TRUE, 10},
    [FAULT_DROP_SMB_ANSWER] = {"drop-smb-answer", TRUE, 0},
    [FAULT_RESTART_SMBD] = {"restart-smbd", FALSE, 1},
    [FAULT_RESTART_SMBD_LATE] = {"restart-smbd-late", FALSE, 10},
    [FAULT_FREEZE_SMBD] = {"freeze-smbd", FALSE, 60},
    [FAULT_DISK_FULL] = {"disk-full", FALSE, 5},
    [FAULT_DENY] = {"deny", TRUE, 20},
    [FAULT_THIRD_PARTY] = {"third-party", FALSE, 5},
    [FAULT_JOURNAL] = {"journal-fails", TRUE, 10},
    [FAULT_JOURNAL_OLD] = {"journal-old", TRUE, 1},
    [FAULT_JOURNAL_OLDER] = {"journal-older", TRUE, 1},
    [FAULT_JOURNAL_LOST] = {"journal-lost", TRUE, 1},
    [FAULT_LOSE_PHASE_REPLY] = {"lose-phase-reply", TRUE, 0},
    [FAULT_REPEAT_CALL] = {"repeat-call", FALSE, 6},
    [FAULT_CANCEL] = {"cancel", FALSE, 0},
};

const char *
sim_fault_name(SimFaultKind kind)
{
    return kinds[kind].name;
}

gboolean
sim_fault_from_name(const char *name, SimFaultKind *kind)
{
    for (guint i = 0; i < SIM_N_FAULTS; i++)
        if (strcmp(kinds[i].name, name) == 0) {
            *kind = (SimFaultKind)i;
            return TRUE;
        }
    return FALSE;
}

gboolean
sim_fault_has_host(SimFaultKind kind)
{
    return kinds[kind].has_host;
}

/* --- healing --- */

static void
start_vmferryd(gpointer host)
{
    sim_vmferryd_start(host);
}

static void
start_libvirtd(gpointer host)
{
    sim_libvirtd_start(host, FALSE);
}

static void
continue_proc(gpointer proc)
{
    sim_stop_proc(proc, FALSE);
}

static void
continue_qemu(gpointer host)
{
    sim_qemu_frozen(host, FALSE);
}

static void
join_peers(gpointer ignored)
{
    world.peers_cut = FALSE;
}

static void
join_server(gpointer host)
{
    sim_server_cut(host, FALSE);
}

static void
boot(gpointer data)
{
    SimHost *host = data;
    sim_trace("hv%d boots", host->index + 1);
    host->up = TRUE;
    host->boots++;
    g_snprintf(host->boot, sizeof host->boot, "00000000-0000-0000-0000-0000000%02u%03d",
               host->boots, host->index + 1);
    sim_libvirtd_start(host, FALSE);
    sim_vmferryd_start(host);
}

/* --- happening --- */

static void
stop(SimProc *proc, gint64 us)
{
    if (proc == NULL || !proc->alive || proc->stopped)
        return;
    sim_spawn(NULL, us, continue_proc, proc);
    sim_stop_proc(proc, TRUE);
}

static void
stop_qemu(SimHost *host, gint64 us)
{
    if (!host->qemu.proc.alive || host->qemu.frozen)
        return;
    sim_spawn(NULL, us, continue_qemu, host);
    sim_qemu_frozen(host, TRUE);
}

static void
cut_peers(gint64 us)
{
    world.peers_cut = TRUE;
    for (int i = 0; i < SIM_HOSTS; i++)
        sim_peers_host_gone(&world.hosts[i], FALSE);
    sim_spawn(NULL, us, join_peers, NULL);
}

static void
cut_server(SimHost *host, gint64 us)
{
    if (host->server_cut)
        return;
    sim_server_cut(host, TRUE);
    sim_spawn(NULL, us, join_server, host);
}

static void
power_loss(SimHost *host, gint64 us)
{
    if (!host->up)
        return;
    host->up = FALSE;
    host->lost_power = TRUE;
    sim_vmferryd_kill(host);
    sim_libvirtd_kill(host, FALSE);
    sim_qemu_gone(host, TRUE, "power loss");
    sim_host_lost(host);
    sim_disks_kill(host);
    sim_holder_kill(host);
    host->libvirt = (SimLibvirtJob){.conn = -1};
    host->marked = FALSE; /* /run is empty after it */
    host->ledger = (VmfDiskLedger){0};
    host->note.used = FALSE;
    sim_spawn(NULL, us, boot, host);
}

/* Returns: %FALSE: it is of another group */
static gboolean
strikes_process(const SimFault *fault, SimHost *host, gint64 us)
{
    switch ((int)fault->kind) {
    case FAULT_KILL_VMFERRYD:
    case FAULT_JOURNAL_OLD:
    case FAULT_JOURNAL_OLDER:
    case FAULT_JOURNAL_LOST:
        sim_spawn(NULL, sim_delay(50000), start_vmferryd, host);
        host->vmferryd_killed = TRUE;
        sim_vmferryd_kill(host);
        if (fault->kind == FAULT_JOURNAL_LOST)
            sim_journal_lose(host);
        else if (fault->kind != FAULT_KILL_VMFERRYD)
            sim_journal_set_back(host, fault->kind == FAULT_JOURNAL_OLD ? 1 : 3);
        return TRUE;
    case FAULT_KILL_LIBVIRTD:
    case FAULT_TERM_LIBVIRTD:
        sim_spawn(NULL, sim_delay(60000), start_libvirtd, host);
        sim_libvirtd_kill(host, fault->kind == FAULT_TERM_LIBVIRTD);
        return TRUE;
    case FAULT_KILL_QEMU:
        sim_qemu_gone(host, TRUE, "killed by a fault");
        return TRUE;
    case FAULT_KILL_DISKS:
        host->disks_killed = TRUE;
        sim_disks_kill(host);
        return TRUE;
    case FAULT_STOP_VMFERRYD:
        stop(&host->vmferryd, us);
        return TRUE;
    case FAULT_STOP_DISKS:
        stop(sim_disks_proc(host), us);
        return TRUE;
    case FAULT_STOP_QEMU:
        stop_qemu(host, us);
        return TRUE;
    case FAULT_STOP_LIBVIRTD:
        stop(&host->libvirtd, us);
        return TRUE;
    case FAULT_POWER:
        power_loss(host, us);
        return TRUE;
    default:
        return FALSE;
    }
}

static gboolean
strikes_network(const SimFault *fault, SimHost *host, gint64 us)
{
    switch ((int)fault->kind) {
    case FAULT_CUT_PEERS:
        cut_peers(us);
        return TRUE;
    case FAULT_DROP_PEERS:
    case FAULT_DROP_PEERS_LATE:
        sim_peers_break_all(fault->kind == FAULT_DROP_PEERS_LATE);
        return TRUE;
    case FAULT_REPEAT_CALL:
        world.repeat_call = TRUE;
        return TRUE;
    case FAULT_CUT_SERVER_SHORT:
    case FAULT_CUT_SERVER:
    case FAULT_CUT_SERVER_LONG:
        cut_server(host, us);
        return TRUE;
    case FAULT_ISOLATE:
        cut_peers(us);
        cut_server(host, us);
        return TRUE;
    default:
        return FALSE;
    }
}

static gboolean
strikes_server(const SimFault *fault, SimHost *host, gint64 us)
{
    switch ((int)fault->kind) {
    case FAULT_DROP_SMB:
        sim_server_drop_sessions(fault->host, LATE_LOST);
        return TRUE;
    case FAULT_DROP_SMB_LATE:
        sim_server_drop_sessions(fault->host, LATE_LANDS);
        return TRUE;
    case FAULT_DROP_SMB_ANSWER:
        sim_server_drop_sessions(fault->host, LATE_ANSWER);
        return TRUE;
    case FAULT_RESTART_SMBD:
    case FAULT_RESTART_SMBD_LATE:
        sim_server_restart(fault->kind == FAULT_RESTART_SMBD ? LATE_LOST : LATE_LANDS);
        return TRUE;
    case FAULT_FREEZE_SMBD:
        sim_server_freeze(us);
        return TRUE;
    case FAULT_DISK_FULL:
        sim_server_full(us);
        return TRUE;
    case FAULT_DENY:
        host->denied_until = sim_now() + us;
        return TRUE;
    case FAULT_THIRD_PARTY:
        sim_server_third_party(us);
        return TRUE;
    default:
        return FALSE;
    }
}

static void
strikes_else(const SimFault *fault, SimHost *host, gint64 us)
{
    if (fault->kind == FAULT_JOURNAL)
        host->journal_broken_until = sim_now() + us;
    else if (fault->kind == FAULT_LOSE_PHASE_REPLY)
        host->libvirt.lost = TRUE;
    else if (fault->kind == FAULT_CANCEL && world.job)
        vmf_job_cancel(world.job, NULL);
}

static void
happen(gpointer data)
{
    const SimFault *fault = data;
    SimHost *host = &world.hosts[fault->host];
    gint64 us = (gint64)kinds[fault->kind].seconds * G_USEC_PER_SEC;
    sim_trace("FAULT: %s%s at point %u", sim_fault_name(fault->kind),
              !kinds[fault->kind].has_host ? ""
              : fault->host                ? " hv2"
                                           : " hv1",
              fault->point);
    world.faults_over = MAX(world.faults_over, sim_now() + us);
    world.faults_done++;
    world.struck[fault->kind] = TRUE;
    world.write_gap = 1000;
    if (kinds[fault->kind].has_host && !host->up)
        return;
    world.striking = TRUE;
    if (!strikes_process(fault, host, us) && !strikes_network(fault, host, us) &&
        !strikes_server(fault, host, us))
        strikes_else(fault, host, us);
    world.striking = FALSE;
}

void
sim_fault_happens(const SimFault *fault)
{
    sim_spawn(NULL, 0, happen, (gpointer)fault);
}
