/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/incoming-private.h"

#include <string.h>

#include "src/base/error.h"
#include "src/migrate/let-in.h"
#include "src/migrate/move-note.h"
#include "src/migrate/vm-disks.h"

/* An older definition of the same VM, shut off, does no harm: the record says who may run it. */
static gboolean
is_the_vm_itself(VmfIncoming *incoming, const VmfVmInfo *there)
{
    return there->state == VMF_VM_OFF && g_ascii_strcasecmp(there->uuid, incoming->uuid) == 0 &&
           strcmp(there->name, incoming->name) == 0;
}

static gboolean
must_be_free(VmfIncoming *incoming, const char *uuid_or_name, const char *what, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VmfVmInfo) there = vmf_host_lookup(incoming->context->host, uuid_or_name, &local);
    if (there == NULL && g_error_matches(local, VMF_ERROR, VMF_ERROR_CONFIG))
        return TRUE;
    if (there == NULL) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (is_the_vm_itself(incoming, there))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                "%s already has a VM with the %s '%s' ('%s', %s); if it is a leftover: virsh "
                "undefine %s there",
                incoming->context->me->fqdn, what, uuid_or_name, there->name,
                vmf_vm_state_name(there->state), there->uuid);
    return FALSE;
}

/* Only its owner may offer a VM, and only under the epoch the record names. */
static gboolean
check_owner(VmfIncoming *incoming, GError **error)
{
    VmfOwnerRecord record;
    gboolean present;
    if (!vmf_disk_client_read_record(incoming->disks, &present, &record, error))
        return FALSE;
    if (present && strcmp(record.owner_sid, incoming->peer_sid) == 0 &&
        record.epoch == incoming->epoch)
        return TRUE;
    g_autofree gchar *owner = present ? vmf_owner_record_describe(&record)
                                      : g_strdup("nobody: there is no record");
    g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                "%s offers '%s' under epoch %" G_GUINT64_FORMAT
                ", but the owner record on the share names %s",
                incoming->peer_fqdn, incoming->name, incoming->epoch, owner);
    return FALSE;
}

static VmfDiskClient *
launch_disks(VmfIncoming *incoming, GError **error)
{
    VmfVmDisks vm = {incoming->uuid, incoming->name, NULL, vmf_domain_n_disks(incoming->domain)};
    g_autofree const VmfDomainDisk **disks = g_new0(const VmfDomainDisk *, vm.n_disks + 1);
    for (guint i = 0; i < vm.n_disks; i++)
        disks[i] = vmf_domain_disk(incoming->domain, i);
    vm.disks = disks;
    /* For recovery, before anything that would have to be recovered. */
    incoming->disks_text = vmf_vm_disks_to_text(vm.disks, vm.n_disks);
    VmfJournalEntry note = {
        .migration = incoming->migration,
        .role = VMF_ROLE_DESTINATION,
        .vm_uuid = incoming->uuid,
        .vm_name = incoming->name,
        .peer = incoming->peer_fqdn,
        .epoch = incoming->epoch,
        .disks = incoming->disks_text,
    };
    if (!vmf_move_note_write(incoming->context, &note, error) ||
        !vmf_journal_set_disks(incoming->context->journal, incoming->job, incoming->disks_text,
                               error))
        return NULL;
    return vmf_vm_disks_launch(incoming->context, &vm, error);
}

gboolean
vmf_incoming_check(VmfIncoming *incoming, const char *definition, GError **error)
{
    if (!must_be_free(incoming, incoming->uuid, "UUID", error) ||
        !must_be_free(incoming, incoming->name, "name", error))
        return FALSE;
    incoming->domain = vmf_let_in_rebuild(incoming->context, definition, incoming->uuid,
                                          incoming->name, error);
    if (incoming->domain == NULL ||
        !vmf_let_in_networks(incoming->context, incoming->domain, incoming->name, error))
        return FALSE;
    incoming->disks = launch_disks(incoming, error);
    return incoming->disks != NULL && check_owner(incoming, error) &&
           vmf_disk_client_probe(incoming->disks, error);
}
