/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/world.h"

#include "smb/disk-client.h"
#include "src/base/error.h"
#include "src/migrate/vm-disks.h"

/*
 * vmferryd's watch over the disk process (src/daemon/disk-keeper.c): one that died has a successor,
 * a guest that an I/O error has paused goes on, one that belongs to another host is ended.
 */

#define RETRY_FIRST_MS 20
#define RETRY_LAST_MS  5000

typedef enum { DONE, LATER } Step;

void
sim_keeper_kick(SimHost *host)
{
    host->kicked = TRUE;
    sim_wake(&host->kicked);
}

void
sim_keeper_end(SimHost *host)
{
    gboolean known = host->vm_ended;
    host->vm_ended = TRUE;
    host->ends++;
    if (!known)
        sim_keeper_kick(host);
}

/* No disk process. Its VM needs one, or it has gone with it. */
static Step
succeed(SimHost *host)
{
    g_autoptr(GError) error = NULL;
    if (host->disks_told_end || host->vm_ended)
        return DONE;
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(host->context.host, SIM_VM, &error);
    if (info == NULL)
        return g_error_matches(error, VMF_ERROR, VMF_ERROR_CONFIG) ? DONE : LATER;
    if (info->state == VMF_VM_OFF)
        return DONE;
    host->io_error = TRUE;
    guint ends = host->ends;
    g_autoptr(VmfDiskClient)
        client = vmf_vm_disks_find(&host->context, SIM_VM, SIM_NAME, NULL, NULL);
    if (client != NULL)
        host->vm_ended = host->ends != ends;
    return LATER;
}

static Step
end_foreign(SimHost *host, VmfDiskClient *client)
{
    if (host->qemu.proc.alive)
        sim_qemu_gone(host, FALSE, "it belongs to another host");
    vmf_disk_client_release(client, NULL, NULL, NULL);
    vmf_disk_client_quit(client, NULL);
    return LATER;
}

static Step
let_guest_go_on(SimHost *host)
{
    host->io_error = FALSE;
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(host->context.host, SIM_VM, NULL);
    if (info && info->state != VMF_VM_PAUSED_IOERROR)
        return DONE;
    host->io_error = TRUE;
    if (info)
        vmf_host_resume(host->context.host, SIM_VM, NULL);
    return LATER;
}

static Step
care(SimHost *host)
{
    g_autoptr(VmfDiskClient) client = vmf_disk_client_connect(host->context.run_dir, SIM_VM, NULL);
    if (client == NULL)
        return succeed(host);
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(client, NULL);
    if (state == NULL)
        return LATER;
    if (state->foreign)
        return end_foreign(host, client);
    if (host->vm_ended) {
        vmf_vm_disks_stop(&host->context, SIM_VM, NULL);
        return LATER;
    }
    if (state->gate == VMF_GATE_OPEN && host->io_error)
        return let_guest_go_on(host);
    return DONE;
}

/* A task of vmferryd's. What one before this one has left may have a paused guest. */
void
sim_keeper(gpointer data)
{
    SimHost *host = data;
    gint64 wait_ms = RETRY_FIRST_MS;
    host->io_error = TRUE;
    while (TRUE) {
        Step step = care(host);
        wait_ms = host->kicked || step == DONE ? RETRY_FIRST_MS : MIN(wait_ms * 2, RETRY_LAST_MS);
        if (!host->kicked)
            sim_wait(&host->kicked, step == DONE ? G_MAXINT64 : sim_now() + wait_ms * 1000);
        if (host->kicked)
            sim_sleep(sim_delay(200));
        host->kicked = FALSE;
    }
}
