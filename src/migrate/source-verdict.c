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

#define CLAIM_WAIT_MS 1000

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
    guint wait_ms = VMF_RETRY_FIRST_MS;
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
        vmf_source_back_off(&wait_ms);
    }
}

/* The destination has failed after its claim: did it give the VM back, or is the guest lost? */
static VmfVerdict
after_failure(VmfSource *source, gboolean *down)
{
    guint wait_ms = VMF_RETRY_FIRST_MS;
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
        vmf_source_back_off(&wait_ms);
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
    guint wait_ms = VMF_RETRY_FIRST_MS;
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
        vmf_source_back_off(&wait_ms);
        reconnect(source);
    }
}
