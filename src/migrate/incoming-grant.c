/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/incoming-private.h"

#include <string.h>

#include "src/base/error.h"
#include "src/base/fault-point.h"
#include "src/migrate/vm-disks.h"
#include "src/vm/cookie.h"

/*
 * Grant: the source has given its disks up, and this host claims them. The claim in the owner record is
 * the point of no return (incoming-complete.c goes on from there).
 */

/* The source's CLOSE was answered, so a disk that is still held is held by a stranger. */
#define CLAIM_WAIT_MS    2000
#define RETRY_LARGEST_MS 5000

/*
 * The one durable write that decides: afterwards the record names this host, and the gate is open.
 * Nothing passes it yet: QEMU touches its disks when Finish lets the guest run.
 */
static gboolean
commit(VmfIncoming *incoming, GError **error)
{
    VmfOwnerExpect expected = {incoming->peer_sid, incoming->epoch};
    VmfOwnerNext next = {.epoch = incoming->epoch + 1,
                         .state = VMF_OWNER_RUNNING,
                         .migration_id = incoming->migration,
                         .reason = "moved"};
    VmfDiskTimes times = {0};
    if (!vmf_disk_client_take(incoming->disks, &expected, &next, CLAIM_WAIT_MS, &times, error))
        return FALSE;
    g_info("'%s': claimed: opened in %.1f ms, record %.1f ms", incoming->name,
           (double)times.open_us / 1e3, (double)times.record_us / 1e3);
    return TRUE;
}

gboolean
vmf_incoming_find_disks(VmfIncoming *incoming, GError **error)
{
    if (incoming->disks == NULL)
        incoming->disks = vmf_vm_disks_find(incoming->context, incoming->uuid, incoming->name,
                                            incoming->disks_text, error);
    return incoming->disks != NULL;
}

void
vmf_incoming_lose_disks(VmfIncoming *incoming)
{
    g_clear_pointer(&incoming->disks, vmf_disk_client_unref);
}

gboolean
vmf_incoming_open_gate(VmfIncoming *incoming, GError **error)
{
    if (!vmf_incoming_find_disks(incoming, error))
        return FALSE;
    if (commit(incoming, error))
        return TRUE;
    vmf_incoming_lose_disks(incoming);
    return FALSE;
}

/* It can be read, and this move's claim is not in it. */
static gboolean
names_another(VmfIncoming *incoming)
{
    VmfOwnerRecord record;
    gboolean present = FALSE;
    return vmf_incoming_find_disks(incoming, NULL) &&
           vmf_disk_client_read_record(incoming->disks, &present, &record, NULL) &&
           !(present && record.epoch == incoming->epoch + 1 &&
             strcmp(record.owner_sid, incoming->context->sid) == 0);
}

/*
 * A claim that was not answered, or whose record cannot be read afterwards, may have been written:
 * only the record knows. Asked until it answers, since "aborted" here while the record names this
 * host would leave the VM to nobody.
 */
static gboolean
did_commit(VmfIncoming *incoming, const GError *why)
{
    gboolean unreadable = g_error_matches(why, VMF_ERROR, VMF_ERROR_PROTOCOL);
    if (!g_error_matches(why, VMF_ERROR, VMF_ERROR_UNREACHABLE) && !unreadable)
        return FALSE;
    for (guint wait_ms = 100;; wait_ms = MIN(wait_ms * 2, RETRY_LARGEST_MS)) {
        g_autoptr(GError) error = NULL;
        if (vmf_incoming_open_gate(incoming, &error)) {
            vmf_incoming_say_waiting(incoming, NULL);
            return TRUE;
        }
        if (!g_error_matches(error, VMF_ERROR, VMF_ERROR_UNREACHABLE) && names_another(incoming)) {
            vmf_incoming_say_waiting(incoming, NULL);
            return FALSE;
        }
        vmf_incoming_say_waiting(incoming, error->message);
        g_usleep((gulong)wait_ms * 1000);
    }
}

static gboolean
acquire(VmfIncoming *incoming, GBytes *perform_cookie, GError **error)
{
    g_autoptr(GError) local = NULL;
    incoming->perform_cookie = vmf_cookie_rebuild(VMF_COOKIE_PERFORM, perform_cookie,
                                                  incoming->uuid, incoming->name, error);
    if (incoming->perform_cookie == NULL ||
        !vmf_incoming_enter(incoming, VMF_STATE_ACQUIRING, error))
        return FALSE;
    vmf_fault_point("destination.storage.grant");
    if (commit(incoming, &local) || did_commit(incoming, local)) {
        vmf_fault_point("destination.storage.end");
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
vmf_incoming_grant(VmfIncoming *incoming, guint64 epoch, GBytes *perform_cookie, guint64 *new_epoch,
                   guint64 *acquire_us, GError **error)
{
    gint64 began = g_get_monotonic_time();
    g_autoptr(GMutexLocker) verbs = g_mutex_locker_new(&incoming->verbs);
    VmfState state = vmf_incoming_state(incoming);
    *new_epoch = incoming->epoch + 1;
    if (epoch == incoming->epoch && (state == VMF_STATE_COMMITTED || state == VMF_STATE_RUNNING)) {
        *acquire_us = incoming->acquire_us;
        return TRUE;
    }
    if (!vmf_incoming_must_be(incoming, VMF_STATE_ALLOCATED, "Grant", error))
        return FALSE;
    if (epoch != incoming->epoch) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "Grant of epoch %" G_GUINT64_FORMAT
                    " for '%s', offered under %" G_GUINT64_FORMAT,
                    epoch, incoming->name, incoming->epoch);
        return vmf_incoming_failed(incoming, error);
    }
    if (!acquire(incoming, perform_cookie, error))
        return vmf_incoming_failed(incoming, error);

    /* The record names us: from here on nothing is undone because a step of ours failed. */
    vmf_incoming_enter_last(incoming, VMF_STATE_COMMITTED);
    *acquire_us = incoming->acquire_us = (guint64)(g_get_monotonic_time() - began);
    g_thread_unref(g_thread_new("vmf-complete", vmf_incoming_complete, vmf_incoming_ref(incoming)));
    return TRUE;
}
