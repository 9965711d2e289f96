/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/incoming-private.h"

#include <string.h>

#include "src/base/error.h"
#include "src/migrate/vm-disks.h"
#include "src/base/fault-point.h"

/*
 * After the point of no return: the owner record names this host, and this thread alone carries on,
 * whatever becomes of the source.
 */

#define ANNOUNCE_WAIT_MS 5000
#define RETRY_LARGEST_MS 5000

typedef enum { GUEST_RUNS, GUEST_WAITS, GUEST_ENDED } Guest;

/* What libvirtd says of the guest, if anything. One it does not know has ended. */
static gboolean
look_at_guest(VmfIncoming *incoming, Guest *guest, gchar **words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(incoming->context->host, incoming->uuid, &error);
    *words = g_strdup(info ? vmf_vm_state_name(info->state) : error->message);
    if (info == NULL && !g_error_matches(error, VMF_ERROR, VMF_ERROR_CONFIG))
        return FALSE;
    gboolean ended = info == NULL || info->state == VMF_VM_OFF || info->state == VMF_VM_CRASHED;
    *guest = ended ? GUEST_ENDED : info->state == VMF_VM_RUNNING ? GUEST_RUNS : GUEST_WAITS;
    return TRUE;
}

/* Until libvirtd says that the guest runs or has ended; or, with @any, whatever it says. */
static Guest
await_guest(VmfIncoming *incoming, gboolean any)
{
    for (guint wait_ms = 100;; wait_ms = MIN(wait_ms * 2, RETRY_LARGEST_MS)) {
        Guest guest = GUEST_WAITS;
        g_autofree gchar *words = NULL;
        if (look_at_guest(incoming, &guest, &words) && (any || guest != GUEST_WAITS))
            return guest;
        g_autofree gchar *what = g_strdup_printf("for libvirt to say that it runs: %s", words);
        vmf_incoming_say_waiting(incoming, what);
        g_usleep((gulong)wait_ms * 1000);
    }
}

/* libvirtd's answer was lost: its domain says whether the guest came to run. */
static gboolean
runs_here(VmfIncoming *incoming)
{
    return await_guest(incoming, FALSE) == GUEST_RUNS;
}

/* A disk process that died between claim and Finish: QEMU needs its successor, with an open gate. */
static void
have_disks(VmfIncoming *incoming)
{
    for (guint wait_ms = 100; vmf_vm_disks_has_ended(incoming->disks);
         wait_ms = MIN(wait_ms * 2, RETRY_LARGEST_MS)) {
        g_autoptr(GError) error = NULL;
        vmf_incoming_lose_disks(incoming);
        if (vmf_incoming_open_gate(incoming, &error))
            continue;
        vmf_incoming_say_waiting(incoming, error->message);
        g_usleep((gulong)wait_ms * 1000);
    }
}

static gboolean
finish(VmfIncoming *incoming, GError **error)
{
    GBytes *cookie = NULL;
    if (incoming->phases == NULL) /* after a restart, with libvirt's connection gone too */
        return runs_here(incoming);
    have_disks(incoming);
    switch (vmf_phases_finish(incoming->phases, &incoming->params, incoming->perform_cookie, FALSE,
                              &cookie, error)) {
    case VMF_PHASE_DONE:
        incoming->finish_cookie = cookie;
        return TRUE;
    case VMF_PHASE_REFUSED:
        return FALSE;
    case VMF_PHASE_UNKNOWN:
        if (!runs_here(incoming))
            return FALSE;
        g_clear_error(error);
        return TRUE;
    }
    g_assert_not_reached();
}

/* The definition stays here, and a copy lies on the share for whoever must recover the VM. */
static void
keep_definition(VmfIncoming *incoming)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *xml = incoming->domain
                                ? vmf_domain_to_xml(incoming->domain)
                                : vmf_host_dump_xml(incoming->context->host, incoming->uuid,
                                                    VMF_XML_PORTABLE, &error);
    if (xml == NULL) {
        g_warning("'%s': its definition could not be read: %s", incoming->name, error->message);
        return;
    }
    if (incoming->persistent && !vmf_host_define(incoming->context->host, xml, NULL, &error)) {
        g_warning("'%s' runs here, but its definition could not be kept: %s", incoming->name,
                  error->message);
        g_clear_error(&error);
    }
    if (incoming->persistent && incoming->autostart &&
        !vmf_host_set_autostart(incoming->context->host, incoming->uuid, TRUE, &error)) {
        g_warning("'%s' will not start with this host: %s", incoming->name, error->message);
        g_clear_error(&error);
    }
    if (!vmf_disk_client_write_file(incoming->disks, "domain.xml", xml, &error))
        g_warning("'%s': %s", incoming->name, error->message);
}

static void
set_flag(VmfIncoming *incoming, gboolean *flag)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    *flag = TRUE;
    g_cond_broadcast(&incoming->changed);
}

void
vmf_incoming_note_running(VmfIncoming *incoming)
{
    set_flag(incoming, &incoming->running);
    vmf_incoming_enter_last(incoming, VMF_STATE_RUNNING);
    set_flag(incoming, &incoming->finished);
    set_flag(incoming, &incoming->announced);
}

static void
succeed(VmfIncoming *incoming)
{
    g_autoptr(GError) error = NULL;
    set_flag(incoming, &incoming->running);
    vmf_incoming_say_waiting(incoming, NULL);
    vmf_fault_point("destination.resume.end");
    keep_definition(incoming);
    vmf_incoming_enter_last(incoming, VMF_STATE_RUNNING);
    vmf_fault_point("destination.network.start");
    set_flag(incoming, &incoming->finished);
    if (incoming->announce &&
        !vmf_announce_wait(incoming->announce, ANNOUNCE_WAIT_MS, NULL, &error))
        incoming->announce_error = g_steal_pointer(&error);
    set_flag(incoming, &incoming->announced);
}

/* ---- the guest does not run here: may the source go on? ---- */

/*
 * A disk process that was started since holds nothing. Untouched disks are held by the same claim
 * again, so that the source finds its own epoch and two more, and knows that nobody else wrote.
 */
static gboolean
hold_disks(VmfIncoming *incoming, GError **error)
{
    VmfOwnerRecord record;
    gboolean present = FALSE;
    g_autoptr(VmfDiskState) disks = vmf_disk_client_describe(incoming->disks, error);
    if (disks == NULL)
        return FALSE;
    if (disks->held)
        return TRUE;
    if (!vmf_disk_client_read_record(incoming->disks, &present, &record, error))
        return FALSE;
    gboolean same = vmf_vm_disks_is_marked(incoming->context, incoming->uuid);
    VmfOwnerExpect expected = {same ? incoming->peer_sid : incoming->context->sid,
                               same ? incoming->epoch : record.epoch};
    VmfOwnerNext next = {.epoch = same ? incoming->epoch + 1 : record.epoch + 1,
                         .state = VMF_OWNER_RUNNING,
                         .migration_id = incoming->migration,
                         .reason = "could not run here"};
    return present && vmf_disk_client_claim(incoming->disks, &expected, &next, 5000, NULL, error);
}

/* The record will name the source, by its SID. */
static gboolean
know_source(VmfIncoming *incoming, GError **error)
{
    if (incoming->peer_sid[0])
        return TRUE;
    g_autoptr(VmfComputer)
        peer = vmf_directory_computer(incoming->context->directory, incoming->peer_fqdn, error);
    if (peer == NULL)
        return FALSE;
    g_free(incoming->peer_sid);
    incoming->peer_sid = g_strdup(peer->sid);
    return TRUE;
}

typedef enum { GAVE_BACK, CANNOT_GIVE_BACK, TRY_AGAIN } GivingBack;

static GivingBack
give_back(VmfIncoming *incoming, GError **error)
{
    if (!vmf_incoming_find_disks(incoming, error) || !hold_disks(incoming, error) ||
        !know_source(incoming, error))
        return TRY_AGAIN;
    g_autoptr(VmfDiskState) disks = vmf_disk_client_describe(incoming->disks, error);
    if (disks == NULL)
        return TRY_AGAIN;
    if (!vmf_vm_disks_is_marked(incoming->context, incoming->uuid))
        return CANNOT_GIVE_BACK;
    VmfOwnerNext next = {
        .epoch = disks->epoch + 1,
        .state = VMF_OWNER_RETURNED,
        .migration_id = incoming->migration,
        .reason = "could not run here",
        .owner_sid = incoming->peer_sid,
        .owner_account = incoming->peer_fqdn,
    };
    if (vmf_disk_client_release(incoming->disks, &next, NULL, error))
        return GAVE_BACK;
    /* A write has passed the gate, though it was not answered. */
    return g_error_matches(*error, VMF_ERROR, VMF_ERROR_CONFIG) ? CANNOT_GIVE_BACK : TRY_AGAIN;
}

/* Whether the record says by now what was to be written: an answer may have been lost. */
static gboolean
is_returned(VmfIncoming *incoming)
{
    VmfOwnerRecord record;
    gboolean present = FALSE;
    return incoming->disks &&
           vmf_disk_client_read_record(incoming->disks, &present, &record, NULL) && present &&
           strcmp(record.owner_sid, incoming->context->sid) != 0;
}

/* Untouched disks go back to the source with the guest's memory; touched ones cannot. */
static VmfState
return_disks(VmfIncoming *incoming, GError **why)
{
    for (guint wait_ms = 100;; wait_ms = MIN(wait_ms * 2, RETRY_LARGEST_MS)) {
        g_autoptr(GError) error = NULL;
        switch (give_back(incoming, &error)) {
        case GAVE_BACK:
            vmf_incoming_say_waiting(incoming, NULL);
            return VMF_STATE_RETURNED;
        case CANNOT_GIVE_BACK:
            vmf_incoming_say_waiting(incoming, NULL);
            g_prefix_error(why, "the guest has ended on %s after it had run there: ",
                           incoming->context->me->fqdn);
            return VMF_STATE_DOWN;
        case TRY_AGAIN:
            break;
        }
        if (is_returned(incoming))
            return VMF_STATE_RETURNED;
        g_prefix_error(&error, "giving '%s' back to %s: ", incoming->name, incoming->peer_fqdn);
        vmf_incoming_say_waiting(incoming, error->message);
        g_usleep((gulong)wait_ms * 1000);
        vmf_incoming_lose_disks(incoming);
    }
}

/* Writes "stopped" if they are still held. */
static void
put_disks_down(VmfIncoming *incoming)
{
    g_autoptr(GError) error = NULL;
    if (!vmf_vm_disks_stop(incoming->context, incoming->uuid, &error))
        g_warning("'%s': %s", incoming->name, error->message);
}

static void
fail(VmfIncoming *incoming, GError *why)
{
    if (why == NULL)
        why = g_error_new(VMF_ERROR, VMF_ERROR_INTERNAL, "the guest did not come to run on %s",
                          incoming->context->me->fqdn);
    VmfState end = return_disks(incoming, &why);
    g_warning("'%s' could not run here (%s): %s", incoming->name, vmf_state_name(end),
              why->message);
    put_disks_down(incoming);
    vmf_vm_disks_unmark(incoming->context, incoming->uuid);
    g_mutex_lock(&incoming->lock);
    incoming->failure = why;
    g_mutex_unlock(&incoming->lock);
    vmf_incoming_enter_last(incoming, end);
}

/*
 * The guest may have ended while this was under way, and libvirt's hook leaves an incoming VM's
 * disks to us. From RUNNING on it does not: who ends from then on is its affair.
 */
static void
put_down_if_ended(VmfIncoming *incoming)
{
    if (await_guest(incoming, TRUE) == GUEST_ENDED)
        put_disks_down(incoming);
}

gpointer
vmf_incoming_complete(gpointer data)
{
    g_autoptr(VmfIncoming) incoming = data;
    g_autoptr(GError) error = NULL;
    vmf_fault_point("destination.resume.start");
    if (finish(incoming, &error)) {
        vmf_fault_point("destination.resume.middle");
        /* The guest has run: from here on its memory is newer than the source's, written to disk or not. */
        vmf_vm_disks_unmark(incoming->context, incoming->uuid);
        succeed(incoming);
        put_down_if_ended(incoming);
    } else {
        fail(incoming, g_steal_pointer(&error));
    }
    vmf_incoming_say_waiting(incoming, NULL);
    vmf_incoming_unsubscribe(incoming);
    /* The object is remembered for a source that asks late; a megabyte of buffers is not. */
    g_mutex_lock(&incoming->lock);
    VmfMemoryStream *memory = g_steal_pointer(&incoming->memory);
    g_mutex_unlock(&incoming->lock);
    vmf_memory_stream_free(memory);
    return NULL;
}
