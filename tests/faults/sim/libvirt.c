/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/libvirt.h"

#include "src/base/error.h"

#include <string.h>

/*
 * libvirtd of one host, as far as a move sees it: its connections, its life, its API; phases.c has the
 * phases of a migration, qemu.c the process. What was measured of libvirt 9.0 (design facts):
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

SimLibvirt libvirt;

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
    SimSubscription *to = &libvirt.subscriptions[told->host->index][told->id];
    if (to->used)
        to->func(SIM_VM, told->event, sim_now(), to->data);
    g_free(told);
}

void
sim_libvirt_tell(SimHost *host, VmfVmEvent event)
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

static void
hook(gpointer data)
{
    sim_hook_ended(data);
}

void
sim_libvirt_run_hook(SimHost *host)
{
    if (!host->libvirtd.alive)
        libvirt.hook_pending[host->index] = TRUE;
    else if (host->vmferryd.alive && host->serves) /* else the hook fails */
        sim_spawn(&host->vmferryd, sim_delay(300), hook, host);
}

/* --- connections --- */

gboolean
sim_conn_is_open(int conn)
{
    const SimConn *at = &libvirt.conns[conn];
    return at->open && at->host->libvirtd.alive && at->generation == at->host->libvirtd.generation;
}

/* vmferryd and the disk process both keep it open; it is lost with the second one that is killed. */
static gboolean
keepers_were_killed(const SimHost *host)
{
    return world.striking && host->vmferryd_killed && host->disks_killed;
}

/* What libvirtd does when the connection that drives a migration is closed. */
void
sim_conn_closed(SimConn *conn, int number)
{
    SimHost *host = conn->host;
    SimLibvirtJob *job = &host->libvirt;
    gboolean lives = sim_conn_is_open(number);
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
        sim_qemu_gone(host, keepers_were_killed(host), "autodestroy");
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
    for (guint i = 0; i < SIM_MAX_HOLDERS; i++)
        if (libvirt.conns[conn].holders[i] == NULL) {
            libvirt.conns[conn].holders[i] = holder;
            return;
        }
    g_assert_not_reached();
}

void
sim_conn_release(int number, gpointer holder)
{
    SimConn *conn = &libvirt.conns[number];
    gboolean found = FALSE, held = FALSE;
    for (guint i = 0; i < SIM_MAX_HOLDERS; i++) {
        if (!found && conn->holders[i] == holder) {
            conn->holders[i] = NULL;
            found = TRUE;
        }
        held = held || conn->holders[i] != NULL;
    }
    if (found && !held)
        sim_conn_closed(conn, number);
}

void
sim_conn_release_all(gpointer holder)
{
    for (int i = 0; i < libvirt.n_conns; i++)
        for (guint j = 0; j < SIM_MAX_HOLDERS; j++)
            if (libvirt.conns[i].holders[j] == holder)
                sim_conn_release(i, holder);
}

/* --- libvirtd's life --- */

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
    sim_libvirt_tell(host, VMF_EVENT_LIBVIRT_LOST);
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
    sim_libvirt_tell(host, VMF_EVENT_LIBVIRT_RETURNED);
    host->io_error = TRUE;
    sim_keeper_kick(host);
    switch (was) {
    case VMF_LIBVIRT_IDLE:
    case VMF_LIBVIRT_BEGUN:
        break;
    case VMF_LIBVIRT_PERFORMING:
        sim_qemu_let_resume(host, "libvirtd cancels the copy it finds");
        break;
    case VMF_LIBVIRT_PERFORMED:
        if (libvirt.term[host->index])
            sim_qemu_let_resume(host, "libvirtd was ended in the window");
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
        sim_libvirt_run_hook(host);
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
    if (host->libvirt.state != VMF_LIBVIRT_IDLE || !sim_qemu_connect(host) ||
        !sim_qemu_let_resume(host, "virDomainResume")) {
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
    SimSubscription *all = libvirt.subscriptions[host_of(base)->index];
    for (guint i = 0; i < G_N_ELEMENTS(libvirt.subscriptions[0]); i++)
        if (!all[i].used) {
            all[i] = (SimSubscription){func, data, destroy, TRUE};
            return i + 1;
        }
    g_assert_not_reached();
}

void
vmf_host_unsubscribe(VmfHost *base, guint id)
{
    SimSubscription *one = &libvirt.subscriptions[host_of(base)->index][id - 1];
    one->used = FALSE;
    if (one->destroy)
        one->destroy(one->data);
}
