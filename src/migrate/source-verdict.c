/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/source-private.h"

#include <string.h>

#include "src/base/error.h"

/*
 * What happens at the source once its handles are closed: the owner record is asked, and obeyed.
 *
 *   record says                       then
 *   (this host, e)                    claim e+2: a grant of e that is still under way is worthless
 *   (destination, > e, running)       theirs: wait until it runs there, then end the copy here
 *   (this host, > e, returned)        claim again: the destination gave it back untouched
 *   unreadable, or disks held         wait, ask again; the guest stays paused
 */

#define CLAIM_WAIT_MS   1000
#define RETRY_FIRST_MS  100
#define RETRY_LARGEST_S 5
#define KILL_TIMEOUT_MS 10000

/* Waits before another try, longer each time. Nothing is decided by the time that passes. */
static void
back_off(guint *wait_ms)
{
    g_usleep((gulong)*wait_ms * 1000);
    *wait_ms = MIN(*wait_ms * 2, RETRY_LARGEST_S * 1000);
}

static gboolean
claim(VmfSource *source, const char *owner_sid, guint64 epoch, guint64 next_epoch,
      const char *reason, GError **error)
{
    VmfOwnerExpect expected = {owner_sid, epoch};
    VmfOwnerNext next = {.epoch = next_epoch,
                         .state = VMF_OWNER_RUNNING,
                         .migration_id = source->migration,
                         .reason = reason};
    if (!vmf_disk_client_take(source->disks, &expected, &next, CLAIM_WAIT_MS, NULL, error))
        return FALSE;
    source->epoch = next.epoch;
    vmf_job_set_epoch(source->job, next.epoch);
    return TRUE;
}

/* Takes the VM back where @record allows it. */
static gboolean
take_back(VmfSource *source, const VmfOwnerRecord *record, GError **error)
{
    if (record->state == VMF_OWNER_RETURNED)
        return claim(source, record->owner_sid, record->epoch, record->epoch + 1,
                     "returned by the destination", error);
    return claim(source, record->owner_sid, record->epoch, record->epoch + 2, "move not completed",
                 error);
}

VmfVerdict
vmf_source_ask_record(VmfSource *source)
{
    guint wait_ms = RETRY_FIRST_MS;
    for (;;) {
        g_autoptr(GError) error = NULL;
        VmfOwnerRecord record;
        gboolean present = FALSE;
        if (vmf_disk_client_read_record(source->disks, &present, &record, &error)) {
            if (!present)
                g_set_error(&error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "the owner record of '%s' has vanished from the share", source->name);
            else if (strcmp(record.owner_sid, source->context->sid) != 0)
                return VMF_VERDICT_THEIRS;
            else if (take_back(source, &record, &error)) {
                vmf_job_set_waiting(source->job, NULL);
                return VMF_VERDICT_OURS;
            }
        }
        g_message("'%s' stays paused: %s", source->name, error->message);
        vmf_job_set_waiting(source->job, error->message);
        back_off(&wait_ms);
    }
}

/* The destination has failed after its claim: did it give the VM back, or is the guest lost? */
static VmfVerdict
after_failure(VmfSource *source, gboolean *down)
{
    guint wait_ms = RETRY_FIRST_MS;
    for (;;) {
        g_autoptr(GError) error = NULL;
        VmfOwnerRecord record;
        gboolean present = FALSE;
        if (vmf_disk_client_read_record(source->disks, &present, &record, &error) && present) {
            if (strcmp(record.owner_sid, source->context->sid) != 0) {
                *down = TRUE;
                return VMF_VERDICT_THEIRS;
            }
            if (take_back(source, &record, &error))
                return VMF_VERDICT_OURS;
        }
        vmf_job_set_waiting(source->job, error ? error->message : "the owner record to come back");
        back_off(&wait_ms);
    }
}

static void
reconnect(VmfSource *source)
{
    VmfPeerLink *again = vmf_peer_link_open(source->context, source->to, NULL);
    if (again == NULL)
        return;
    vmf_peer_link_free(source->peer); /* none yet after a restart */
    source->peer = again;
}

VmfVerdict
vmf_source_follow(VmfSource *source, gboolean *down, GError **why)
{
    guint wait_ms = RETRY_FIRST_MS;
    for (;;) {
        g_autoptr(GError) error = NULL;
        gboolean answered = FALSE; /* also "unreachable" may be its answer: about libvirtd there */
        if (source->peer == NULL)
            g_set_error(&error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "no connection to %s",
                        source->to);
        else if (vmf_peer1_call_await_running_sync(vmf_peer_link_proxy(source->peer),
                                                   source->migration, NULL, &error)) {
            vmf_job_set_waiting(source->job, NULL);
            return VMF_VERDICT_THEIRS;
        } else {
            answered = error->domain == VMF_ERROR;
        }
        vmf_error_from_dbus(&error, source->to);
        if (answered || !g_error_matches(error, VMF_ERROR, VMF_ERROR_UNREACHABLE)) {
            g_clear_error(why);
            *why = g_steal_pointer(&error);
            return after_failure(source, down);
        }
        g_message("'%s' belongs to %s now; waiting for it to say that the guest runs: %s",
                  source->name, source->to, error->message);
        vmf_job_set_waiting(source->job, error->message);
        back_off(&wait_ms);
        reconnect(source);
    }
}

static void
leave_window(VmfSource *source, gboolean *libvirt_lost)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&source->lock);
    source->window = FALSE;
    *libvirt_lost = source->libvirt_lost;
}

/* libvirt has forgotten the job, or been away: it is asked how the domain is. */
static gboolean
resume_domain(VmfSource *source, GError **error)
{
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(source->context->host, source->uuid, error);
    if (info == NULL)
        return FALSE;
    switch (info->state) {
    case VMF_VM_RUNNING:
        return TRUE;
    case VMF_VM_PAUSED:
    case VMF_VM_PAUSED_MIGRATION:
    case VMF_VM_PAUSED_IOERROR:
        return vmf_host_resume(source->context->host, source->uuid, error);
    case VMF_VM_SHUTDOWN:
    case VMF_VM_OFF:
    case VMF_VM_CRASHED:
        break;
    }
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "'%s' is %s: start it again", source->name,
                vmf_vm_state_name(info->state));
    return FALSE;
}

gboolean
vmf_source_resume_here(VmfSource *source, GError **error)
{
    gboolean libvirt_lost;
    leave_window(source, &libvirt_lost);
    if (libvirt_lost)
        vmf_qemu_process_stop(source->qemu, FALSE, NULL);
    else if (source->phases && vmf_phases_confirm(source->phases, &source->params, NULL, TRUE,
                                                  NULL) == VMF_PHASE_DONE)
        return TRUE;

    for (guint wait_ms = RETRY_FIRST_MS;; back_off(&wait_ms)) {
        g_autoptr(GError) local = NULL;
        if (resume_domain(source, &local)) {
            vmf_job_set_waiting(source->job, NULL);
            return TRUE;
        }
        if (!g_error_matches(local, VMF_ERROR, VMF_ERROR_UNREACHABLE)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        g_message("'%s' stays paused: %s", source->name, local->message);
        vmf_job_set_waiting(source->job, local->message);
    }
}

gboolean
vmf_source_end_here(VmfSource *source, GBytes *cookie, GError **error)
{
    gboolean libvirt_lost;
    leave_window(source, &libvirt_lost);
    if (!libvirt_lost && source->phases &&
        vmf_phases_confirm(source->phases, &source->params, cookie, FALSE, NULL) ==
            VMF_PHASE_DONE) {
        vmf_disk_client_quit(source->disks, NULL); /* the hook may have been first */
        return TRUE;
    }

    /* Never through libvirtd, which might let it run first: the process itself ends. */
    if (source->qemu && !vmf_qemu_process_kill(source->qemu, KILL_TIMEOUT_MS, error))
        return FALSE;
    vmf_disk_client_quit(source->disks, NULL);
    return !source->persistent || vmf_host_undefine(source->context->host, source->uuid, error);
}
