/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/incoming-private.h"

#include <string.h>

#include "policy/judge.h"
#include "smb/share-url.h"
#include "src/base/error.h"
#include "src/migrate/check.h"
#include "src/migrate/gather.h"
#include "src/migrate/let-in.h"
#include "src/migrate/move-note.h"
#include "src/migrate/vm-disks.h"
#include "src/vm/domain-edit.h"

/* Has the definition here a disk in the folder from which the record of what is offered is read? */
static gboolean
lies_in_one_folder(VmfIncoming *incoming, const VmfVmInfo *there)
{
    if (vmf_domain_n_disks(incoming->domain) == 0)
        return FALSE;
    g_autofree gchar *xml = vmf_host_dump_xml(incoming->context->host, there->uuid,
                                              VMF_XML_INACTIVE, NULL);
    g_autoptr(GPtrArray) disks = xml ? vmf_domain_edit_urls(xml, NULL) : NULL;
    g_autoptr(VmfShareUrl)
        offered = vmf_share_url_parse(vmf_domain_disk(incoming->domain, 0)->url, NULL);
    for (guint i = 0; disks && offered && i < disks->len; i++) {
        const VmfDomainDisk *disk = disks->pdata[i];
        g_autoptr(VmfShareUrl) url = vmf_share_url_parse(disk->url, NULL);
        if (url && vmf_share_url_same_folder(url, offered))
            return TRUE;
    }
    return FALSE;
}

/*
 * An older definition of the same VM, shut off, does no harm: the record says who may run it. UUID and
 * name are the peer's words; the same VM is the one whose files are the same.
 */
static gboolean
is_the_vm_itself(VmfIncoming *incoming, const VmfVmInfo *there)
{
    return there->state == VMF_VM_OFF && g_ascii_strcasecmp(there->uuid, incoming->uuid) == 0 &&
           strcmp(there->name, incoming->name) == 0 && lies_in_one_folder(incoming, there);
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

/*
 * By this host's own policy file, and with its own eyes: the source has judged by its file, if it has
 * judged at all.
 */
static gboolean
judge_here(VmfIncoming *incoming, GError **error)
{
    const VmfContext *context = incoming->context;
    g_autofree gchar *xml = vmf_domain_to_xml(incoming->domain);
    g_autoptr(VmfFactVm) vm = vmf_fact_vm_new();
    g_autoptr(VmfFactHost) here = vmf_fact_host_new();
    vmf_gather_arrival(context, xml, incoming->migration, vm, here);
    g_autoptr(VmfReport) report = vmf_judge_arrival(context->policy, vm, here);
    if (vmf_check_verdict(report, error))
        return TRUE;
    g_prefix_error(error, "by the policy file of %s: ", context->me->fqdn);
    return FALSE;
}

/* (transfer container): valid as long as the domain, with a place more than there are */
static const VmfDomainDisk **
disks_of(const VmfDomain *domain)
{
    guint count = vmf_domain_n_disks(domain);
    const VmfDomainDisk **disks = g_new0(const VmfDomainDisk *, count + 1);
    for (guint i = 0; i < count; i++)
        disks[i] = vmf_domain_disk(domain, i);
    return disks;
}

/* Before the facts of its shares: what is asked for there is of no use where it may not lie. */
static gboolean
may_lie_there(VmfIncoming *incoming, GError **error)
{
    g_autofree const VmfDomainDisk **disks = disks_of(incoming->domain);
    VmfVmDisks vm = {incoming->uuid, incoming->name, disks, vmf_domain_n_disks(incoming->domain)};
    return vmf_vm_disks_judge(incoming->context, &vm, error);
}

static VmfDiskClient *
launch_disks(VmfIncoming *incoming, GError **error)
{
    g_autofree const VmfDomainDisk **disks = disks_of(incoming->domain);
    VmfVmDisks vm = {incoming->uuid, incoming->name, disks, vmf_domain_n_disks(incoming->domain)};
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
    return vmf_vm_disks_launch_new(incoming->context, &vm, error);
}

static gboolean
is_the_owners(VmfIncoming *incoming, GError **error)
{
    incoming->disks = launch_disks(incoming, error);
    return incoming->disks != NULL && check_owner(incoming, error) &&
           vmf_disk_client_probe(incoming->disks, error);
}

/* In its turn, and without libvirt: that may be waiting for this host's hook, and the hook for the turn. */
static gboolean
judge_owner(VmfIncoming *incoming, GError **error)
{
    VmfTurns *turns = incoming->context->turns;
    if (!vmf_turns_offer_begin(turns, incoming->uuid, error))
        return FALSE;
    gboolean ok = is_the_owners(incoming, error);
    if (ok) {
        g_mutex_lock(&incoming->lock);
        incoming->let_in = TRUE;
        g_mutex_unlock(&incoming->lock);
    } else if (incoming->disks) {
        vmf_vm_disks_stop(incoming->context, incoming->uuid, NULL); /* the keeper goes on */
        g_clear_pointer(&incoming->disks, vmf_disk_client_unref);
    }
    vmf_turns_offer_end(turns, incoming->uuid);
    return ok;
}

gboolean
vmf_incoming_check(VmfIncoming *incoming, const char *definition, GError **error)
{
    incoming->domain = vmf_let_in_rebuild(incoming->context, definition, incoming->uuid,
                                          incoming->name, error);
    return incoming->domain != NULL && must_be_free(incoming, incoming->uuid, "UUID", error) &&
           must_be_free(incoming, incoming->name, "name", error) &&
           may_lie_there(incoming, error) && judge_here(incoming, error) &&
           judge_owner(incoming, error);
}
