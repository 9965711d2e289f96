/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/source-private.h"

#include "src/base/error.h"
#include "src/migrate/vm-disks.h"

/*
 * The window: the guest is paused by Perform, and the owner record has not yet decided whose it is.
 *
 * Operations. As soon as Perform has returned, the source's QEMU is stopped by SIGSTOP. Then, and
 * before any disk is given up, the connection on which Perform ran is looked at: while it stands,
 * the libvirtd in which Perform ran lives, and nothing has let the guest run since. From that look
 * on nobody can: what libvirtd, this one or a later one, says to QEMU stays unread until the
 * record has decided and the process is continued or ended, by us.
 *
 * Failure model. vmferryd dies: QEMU stays stopped; the next one asks the record. libvirtd dies or is
 * ended: the next one waits for QEMU's greeting, for that VM only. QEMU does not stop, or libvirtd
 * has gone before the look: the VM is kept, nothing has been given up. A human who continues the
 * process by kill(1) takes the decision upon himself.
 */

#define STOP_TIMEOUT_MS    1000
#define KILL_TIMEOUT_MS    10000
#define CONFIRM_PATIENCE_S 2
#define LOOK_US            2000

void
vmf_source_back_off(guint *wait_ms)
{
    g_usleep((gulong)*wait_ms * 1000);
    *wait_ms = MIN(*wait_ms * 2, VMF_RETRY_LARGEST_MS);
}

gboolean
vmf_source_stop_qemu(VmfSource *source, GError **error)
{
    return vmf_qemu_process_stop(source->qemu, TRUE, error);
}

gboolean
vmf_source_look(VmfSource *source, GError **error)
{
    if (!vmf_qemu_process_wait_stopped(source->qemu, STOP_TIMEOUT_MS, error))
        return FALSE;
    if (vmf_phases_is_connected(source->phases))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                "libvirtd of %s ended while '%s' was being moved; see why, and try again",
                source->context->me->fqdn, source->name);
    return FALSE;
}

/* ---- the record says ours ---- */

static void
say_ended(VmfSource *source, const char *state, GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                "'%s' is %s: it ended on %s while it was being moved; start it again there: virsh "
                "start %s",
                source->name, state, source->context->me->fqdn, source->name);
}

gboolean
vmf_source_guest_is_gone(VmfSource *source, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VmfVmInfo)
        info = source->qemu ? vmf_host_lookup(source->context->host, source->uuid, &local) : NULL;
    if (info && (info->state == VMF_VM_OFF || info->state == VMF_VM_CRASHED ||
                 info->state == VMF_VM_SHUTDOWN))
        say_ended(source, vmf_vm_state_name(info->state), error);
    else if (source->qemu && vmf_source_has_ended(source))
        say_ended(source, vmf_vm_state_name(VMF_VM_OFF), error);
    else
        return FALSE;
    return TRUE;
}

/* Returns: whether the guest runs; @ended: it never will */
static gboolean
let_run(VmfSource *source, gboolean *ended, GError **error)
{
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(source->context->host, source->uuid, error);
    if (info == NULL) {
        *ended = g_error_matches(*error, VMF_ERROR, VMF_ERROR_CONFIG);
        return FALSE;
    }
    switch (info->state) {
    case VMF_VM_RUNNING:
        return TRUE;
    case VMF_VM_PAUSED:
    case VMF_VM_PAUSED_MIGRATION:
    case VMF_VM_PAUSED_IOERROR:
        return vmf_host_resume(source->context->host, source->uuid, error);
    case VMF_VM_OFF:
    case VMF_VM_CRASHED:
        *ended = TRUE;
        break;
    case VMF_VM_SHUTDOWN:
        break;
    }
    say_ended(source, vmf_vm_state_name(info->state), error);
    return FALSE;
}

gboolean
vmf_source_resume_here(VmfSource *source, GError **error)
{
    if (source->qemu)
        vmf_qemu_process_stop(source->qemu, FALSE, NULL);
    if (source->phases)
        vmf_phases_confirm(source->phases, &source->params, NULL, TRUE, NULL);

    /*
     * libvirt's "done" says that its job is over, also when QEMU could not let the guest run: its
     * disks were not there yet. Or it has forgotten the job, or been away: it is asked.
     */
    for (guint wait_ms = VMF_RETRY_FIRST_MS;; vmf_source_back_off(&wait_ms)) {
        g_autoptr(GError) local = NULL;
        gboolean ended = FALSE;
        if (let_run(source, &ended, &local)) {
            vmf_job_set_waiting(source->job, NULL);
            return TRUE;
        }
        if (ended) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        vmf_job_set_waiting(source->job, local->message);
    }
}

/* ---- the record says theirs ---- */

typedef struct {
    VmfSource *source;
    GBytes *cookie;
    VmfPhaseResult result;
    gint over; /* atomic */
} Confirm;

static gpointer
confirm(gpointer data)
{
    Confirm *mine = data;
    VmfSource *source = mine->source;
    mine->result = vmf_phases_confirm(source->phases, &source->params, mine->cookie, FALSE, NULL);
    g_atomic_int_set(&mine->over, TRUE);
    return NULL;
}

/*
 * libvirtd ends its domain as moved away: its events, hooks and definition are then as after any
 * migration. Its SIGTERM shows that it has come so far; a stopped process does not take it, and
 * is ended by us.
 */
static gboolean
end_with_libvirt(VmfSource *source, GBytes *cookie, GError **error)
{
    Confirm mine = {.source = source, .cookie = cookie, .result = VMF_PHASE_UNKNOWN};
    GThread *thread = g_thread_new("vmf-confirm", confirm, &mine);
    gint64 until = g_get_monotonic_time() + CONFIRM_PATIENCE_S * G_USEC_PER_SEC;
    while (!g_atomic_int_get(&mine.over) && !vmf_qemu_process_is_told_to_end(source->qemu) &&
           g_get_monotonic_time() < until)
        g_usleep(LOOK_US);
    gboolean ended = vmf_qemu_process_kill(source->qemu, KILL_TIMEOUT_MS, error);
    g_thread_join(thread);
    return ended && mine.result == VMF_PHASE_DONE;
}

/* libvirtd may be away: its definition would be one too many. */
static gboolean
undefine(VmfSource *source, GError **error)
{
    for (guint wait_ms = VMF_RETRY_FIRST_MS;; vmf_source_back_off(&wait_ms)) {
        g_autoptr(GError) local = NULL;
        if (!source->persistent || vmf_host_undefine(source->context->host, source->uuid, &local)) {
            vmf_job_set_waiting(source->job, NULL);
            return TRUE;
        }
        if (!g_error_matches(local, VMF_ERROR, VMF_ERROR_UNREACHABLE)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        g_prefix_error(&local, "its definition here stays for now: ");
        vmf_job_set_waiting(source->job, local->message);
    }
}

gboolean
vmf_source_end_here(VmfSource *source, GBytes *cookie, GError **error)
{
    gboolean done = FALSE;
    if (source->qemu) {
        /* Never continued, never asked of libvirtd alone, which might let it run first. */
        vmf_qemu_process_stop(source->qemu, TRUE, NULL);
        done = source->phases && end_with_libvirt(source, cookie, NULL);
        if (!done && !vmf_qemu_process_kill(source->qemu, KILL_TIMEOUT_MS, error))
            return FALSE;
    }
    /* The hook may have been first; or another process has come since the one we talked to. */
    g_autoptr(GError) left = NULL;
    if (!vmf_vm_disks_stop(source->context, source->uuid, &left))
        g_warning("'%s': its disk process stays: %s", source->name, left->message);
    return done || undefine(source, error);
}
