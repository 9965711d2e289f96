/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/incoming-private.h"
#include "src/migrate/record-table.h"
#include "src/migrate/recover.h"
#include "src/migrate/vm-disks.h"

#include <string.h>

#include "src/base/error.h"

/*
 * The destination after a restart of vmferryd: the owner record is asked, and obeyed
 * (record-table.h). Nothing is done before it has answered: a prepared QEMU waits with its gate
 * closed, on the libvirt connection that the disk process keeps.
 */

#define RETRY_FIRST_MS   100
#define RETRY_LARGEST_MS 5000

static void
wait_for(VmfIncoming *incoming, const GError *what, guint *wait_ms)
{
    vmf_incoming_say_waiting(incoming, what ? what->message : "the owner record");
    g_usleep((gulong)*wait_ms * 1000);
    *wait_ms = MIN(*wait_ms * 2, RETRY_LARGEST_MS);
}

static VmfRecordSays
ask(VmfIncoming *incoming, VmfOwnerRecord *record, GError **error)
{
    gboolean present = FALSE;
    if (!vmf_incoming_find_disks(incoming, error))
        return VMF_RECORD_UNREADABLE;
    if (!vmf_disk_client_read_record(incoming->disks, &present, record, error)) {
        vmf_incoming_lose_disks(incoming);
        return VMF_RECORD_UNREADABLE;
    }
    VmfRecordKnown known = {VMF_ROLE_DESTINATION, incoming->context->sid, incoming->epoch,
                            vmf_record_known_least(incoming->state, incoming->epoch)};
    VmfRecordSays says = vmf_record_judge(&known, present ? record : NULL);
    if (says == VMF_RECORD_SET_BACK) {
        g_autofree gchar *why = vmf_record_explain(incoming->name, &known, present ? record : NULL);
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL, why);
    }
    return says;
}

/* Before any of libvirt's phases is ended, and once: the predecessor's may still run. */
static void
settle(VmfIncoming *incoming)
{
    incoming->phases = vmf_recover_adopt_phases(incoming->context, incoming->migration);
    vmf_recover_settle_phases(&incoming->phases, incoming->name);
}

/* @gone: (out): libvirt knows no domain, or one that is off. Returns: %FALSE: it does not answer */
static gboolean
look_for_domain(VmfIncoming *incoming, gboolean *gone, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(incoming->context->host, incoming->uuid, &local);
    *gone = info ? info->state == VMF_VM_OFF || info->state == VMF_VM_CRASHED
                 : g_error_matches(local, VMF_ERROR, VMF_ERROR_CONFIG);
    if (info || *gone)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* Claimed again since, and not by this move: the VM was started here. */
static gboolean
has_gone_on(VmfIncoming *incoming, const VmfOwnerRecord *record)
{
    return record->epoch > incoming->epoch + 1 &&
           strcmp(record->migration_id, incoming->migration) != 0;
}

/* Returns: %FALSE: to be asked again */
static gboolean
run_here(VmfIncoming *incoming, const VmfOwnerRecord *record, GError **error)
{
    gboolean gone = FALSE, gone_on = has_gone_on(incoming, record);
    if (!gone_on && (!look_for_domain(incoming, &gone, error) ||
                     (!gone && !vmf_incoming_open_gate(incoming, error))))
        return FALSE;
    settle(incoming);
    if (incoming->state != VMF_STATE_COMMITTED)
        vmf_incoming_enter_last(incoming, VMF_STATE_COMMITTED);
    if (gone_on)
        vmf_incoming_note_running(incoming);
    else
        vmf_incoming_complete(vmf_incoming_ref(incoming));
    return TRUE;
}

static void
give_up(VmfIncoming *incoming)
{
    settle(incoming);
    vmf_incoming_give_up(incoming, "vmferryd was restarted during the move");
    vmf_host_destroy(incoming->context->host, incoming->uuid, NULL);
}

/* Given back, or shut down here: what is left must not run. */
static void
clean_up(VmfIncoming *incoming, VmfRecordSays says)
{
    g_autoptr(GError) error = NULL;
    settle(incoming);
    vmf_host_destroy(incoming->context->host, incoming->uuid, NULL);
    if (!vmf_vm_disks_stop(incoming->context, incoming->uuid, &error))
        g_warning("'%s': %s", incoming->name, error->message);
    vmf_incoming_enter_last(incoming,
                            says == VMF_RECORD_RETURNED ? VMF_STATE_RETURNED : VMF_STATE_DOWN);
}

static void
obey_record(VmfIncoming *incoming)
{
    for (guint wait_ms = RETRY_FIRST_MS;;) {
        g_autoptr(GError) error = NULL;
        VmfOwnerRecord record;
        VmfRecordSays says = ask(incoming, &record, &error);
        switch (vmf_record_act(VMF_ROLE_DESTINATION, says)) {
        case VMF_ACT_COMPLETE:
            if (run_here(incoming, &record, &error))
                return;
            break;
        case VMF_ACT_GIVE_UP:
            give_up(incoming);
            return;
        case VMF_ACT_CLEAN_UP:
            clean_up(incoming, says);
            return;
        case VMF_ACT_WAIT:
        case VMF_ACT_FREEZE:
            break;
        case VMF_ACT_TAKE_BACK:
        case VMF_ACT_FOLLOW:
            g_assert_not_reached();
        }
        wait_for(incoming, error, &wait_ms);
    }
}

void
vmf_incoming_recover(VmfIncoming *incoming)
{
    const VmfContext *context = incoming->context;
    VmfJournalEntry entry = {.vm_uuid = incoming->uuid, .disks = incoming->disks_text};
    g_autoptr(VmfComputer)
        peer = vmf_directory_computer(context->directory, incoming->peer_fqdn, NULL);
    incoming->peer_sid = g_strdup(peer ? peer->sid : "");
    if (vmf_recover_nothing_left(context, &entry))
        vmf_incoming_enter_last(
            incoming, incoming->state == VMF_STATE_COMMITTED ? VMF_STATE_DOWN : VMF_STATE_ABORTED);
    else
        obey_record(incoming);
    vmf_incoming_say_waiting(incoming, NULL);
}
