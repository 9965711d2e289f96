/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/incoming-private.h"

#include <string.h>

#include "src/base/error.h"
#include "src/migrate/vm-disks.h"

/* Parsed twice: the first time tells for which machine an emulator is needed. */
static gboolean
rebuild(VmfIncoming *incoming, const char *definition, GError **error)
{
    const VmfContext *context = incoming->context;
    VmfDomainRules rules = {
        .run_dir = context->run_dir,
        .boot_files = (const char *const *)context->policy->kernels,
        .uuid = incoming->uuid,
        .name = incoming->name,
    };
    gsize size = strlen(definition);
    g_autoptr(VmfDomain) first = vmf_domain_rebuild(definition, size, &rules, error);
    if (first == NULL)
        return FALSE;
    g_autofree gchar *emulator = vmf_host_emulator(context->host, vmf_domain_type(first),
                                                   vmf_domain_arch(first),
                                                   vmf_domain_machine(first), error);
    if (emulator == NULL)
        return FALSE;
    rules.emulator = emulator;
    incoming->domain = vmf_domain_rebuild(definition, size, &rules, error);
    return incoming->domain != NULL;
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
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                "%s already has a VM with the %s '%s' ('%s', %s); if it is a leftover: virsh "
                "undefine %s there",
                incoming->context->me->fqdn, what, uuid_or_name, there->name,
                vmf_vm_state_name(there->state), there->uuid);
    return FALSE;
}

static gboolean
check_networks(VmfIncoming *incoming, GError **error)
{
    for (guint i = 0; i < vmf_domain_n_interfaces(incoming->domain); i++) {
        const VmfDomainInterface *interface = vmf_domain_interface(incoming->domain, i);
        gboolean ok = strcmp(interface->kind, "bridge") == 0
                          ? vmf_host_has_bridge(interface->source, error)
                          : vmf_host_has_network(incoming->context->host, interface->source, error);
        if (!ok) {
            g_prefix_error(error, "interface %s of '%s' on %s: ", interface->mac, incoming->name,
                           incoming->context->me->fqdn);
            return FALSE;
        }
    }
    return TRUE;
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
    return vmf_vm_disks_launch(incoming->context, &vm, error);
}

gboolean
vmf_incoming_check(VmfIncoming *incoming, const char *definition, GError **error)
{
    if (!must_be_free(incoming, incoming->uuid, "UUID", error) ||
        !must_be_free(incoming, incoming->name, "name", error) ||
        !rebuild(incoming, definition, error) || !check_networks(incoming, error))
        return FALSE;
    incoming->disks = launch_disks(incoming, error);
    return incoming->disks != NULL && check_owner(incoming, error) &&
           vmf_disk_client_probe(incoming->disks, error);
}
