/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/live-facts.h"

#include <stdlib.h>
#include <string.h>

#include <libvirt/virterror.h>

#include "src/base/error.h"
#include "src/vm/host-private.h"
#include "src/vm/libvirt-error.h"

/* Takes @builder's texts as @member. */
static void
take_texts(gchar ***member, GStrvBuilder *builder)
{
    g_strfreev(*member);
    *member = g_strv_builder_end(builder);
}

/* The words of virDomainJobOperation that are not vmferry's own query. */
static const char *
operation_name(int operation)
{
    switch (operation) {
    case VIR_DOMAIN_JOB_OPERATION_START:
        return "start";
    case VIR_DOMAIN_JOB_OPERATION_SAVE:
        return "save";
    case VIR_DOMAIN_JOB_OPERATION_RESTORE:
        return "restore";
    case VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN:
        return "incoming migration";
    case VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
        return "migration";
    case VIR_DOMAIN_JOB_OPERATION_SNAPSHOT:
    case VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT:
        return "snapshot";
    case VIR_DOMAIN_JOB_OPERATION_DUMP:
        return "dump";
    case VIR_DOMAIN_JOB_OPERATION_BACKUP:
        return "backup";
    default:
        return "a job";
    }
}

static gboolean
read_job(virDomain *domain, VmfFactLive *live, GError **error)
{
    int type = VIR_DOMAIN_JOB_NONE, n = 0, operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;
    virTypedParameterPtr params = NULL;
    if (virDomainGetJobStats(domain, &type, &params, &n, 0) < 0) {
        vmf_libvirt_set_error(error, "cannot see whether the VM has a job");
        return FALSE;
    }
    virTypedParamsGetInt(params, n, VIR_DOMAIN_JOB_OPERATION, &operation);
    virTypedParamsFree(params, n);
    if (type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED)
        vmf_fact_set(&live->job, operation_name(operation));
    return TRUE;
}

static gboolean
read_disk_errors(virDomain *domain, VmfFactLive *live, GError **error)
{
    g_autoptr(GStrvBuilder) targets = g_strv_builder_new();
    int room = virDomainGetDiskErrors(domain, NULL, 0, 0);
    g_autofree virDomainDiskError *errors = room > 0 ? g_new0(virDomainDiskError, (gsize)room)
                                                     : NULL;
    int n = room > 0 ? virDomainGetDiskErrors(domain, errors, (guint)room, 0) : room;
    if (n < 0) {
        vmf_libvirt_set_error(error, "cannot see whether a disk met an error");
        return FALSE;
    }
    for (int i = 0; i < n; i++) {
        g_strv_builder_add(targets, errors[i].disk);
        free(errors[i].disk);
    }
    take_texts(&live->io_errors, targets);
    return TRUE;
}

static const char *
block_job_name(int type)
{
    switch (type) {
    case VIR_DOMAIN_BLOCK_JOB_TYPE_PULL:
        return "pull";
    case VIR_DOMAIN_BLOCK_JOB_TYPE_COPY:
        return "copy";
    case VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT:
    case VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT:
        return "commit";
    case VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP:
        return "backup";
    default:
        return "job";
    }
}

static gboolean
read_block_jobs(virDomain *domain, const VmfFactVm *vm, VmfFactLive *live, GError **error)
{
    g_autoptr(GStrvBuilder) jobs = g_strv_builder_new();
    for (guint i = 0; i < vm->files->len; i++) {
        const VmfFactFile *file = g_ptr_array_index(vm->files, i);
        virDomainBlockJobInfo info;
        if (file->role != VMF_FACT_ROLE_DISK || file->target[0] == '\0')
            continue;
        int found = virDomainGetBlockJobInfo(domain, file->target, &info, 0);
        if (found < 0) {
            vmf_libvirt_set_error(error, "cannot see whether disk '%s' has a block job",
                                  file->target);
            return FALSE;
        }
        g_autofree gchar *said = g_strdup_printf("%s: %s", file->target, block_job_name(info.type));
        if (found > 0)
            g_strv_builder_add(jobs, said);
    }
    take_texts(&live->block_jobs, jobs);
    return TRUE;
}

static gboolean
read_snapshots(virDomain *domain, VmfFactLive *live, GError **error)
{
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    virDomainSnapshotPtr *list = NULL;
    int n = virDomainListAllSnapshots(domain, &list, 0);
    if (n < 0 && virGetLastErrorCode() != VIR_ERR_NO_SUPPORT) {
        vmf_libvirt_set_error(error, "cannot list the VM's snapshots");
        return FALSE;
    }
    for (int i = 0; i < n; i++) {
        g_strv_builder_add(names, virDomainSnapshotGetName(list[i]));
        virDomainSnapshotFree(list[i]);
    }
    free(list);
    take_texts(&live->snapshots, names);
    return TRUE;
}

static gboolean
read_checkpoints(virDomain *domain, VmfFactLive *live, GError **error)
{
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    virDomainCheckpointPtr *list = NULL;
    int n = virDomainListAllCheckpoints(domain, &list, 0);
    if (n < 0 && virGetLastErrorCode() != VIR_ERR_NO_SUPPORT) {
        vmf_libvirt_set_error(error, "cannot list the VM's checkpoints");
        return FALSE;
    }
    for (int i = 0; i < n; i++) {
        g_strv_builder_add(names, virDomainCheckpointGetName(list[i]));
        virDomainCheckpointFree(list[i]);
    }
    free(list);
    take_texts(&live->checkpoints, names);
    return TRUE;
}

/* What only a VM with a QEMU process has. */
static gboolean
read_running(virDomain *domain, const VmfFactVm *vm, VmfFactLive *live, GError **error)
{
    return virDomainIsActive(domain) != 1 ||
           (read_job(domain, live, error) && read_disk_errors(domain, live, error) &&
            read_block_jobs(domain, vm, live, error));
}

static void
read_live(VmfHost *host, virDomain *domain, VmfFactVm *vm)
{
    g_autoptr(GError) error = NULL;
    VmfFactLive *live = &vm->live;
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(host, vm->uuid, &error);
    if (info == NULL || !read_running(domain, vm, live, &error) ||
        !read_snapshots(domain, live, &error) || !read_checkpoints(domain, live, &error)) {
        vmf_fact_set(&live->reason, error->message);
        return;
    }
    vmf_fact_set(&live->state, vmf_vm_state_name(info->state));
    live->persistent = info->persistent;
    live->autostart = info->autostart;
    vmf_fact_set(&live->reason, "");
}

void
vmf_vm_facts_gather(VmfHost *host, const char *uuid_or_name, const VmfDomainRules *rules,
                    VmfFactVm *vm, gchar **xml)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomain) domain = vmf_host_domain(host, uuid_or_name, &error);
    g_autofree gchar *text = domain != NULL
                                 ? vmf_host_dump_xml(host, uuid_or_name, VMF_XML_LIVE, &error)
                                 : NULL;
    if (text == NULL) {
        vmf_fact_set(&vm->reason, error->message);
        vmf_fact_set(&vm->live.reason, error->message);
        return;
    }
    g_autoptr(VmfDomain) model = vmf_definition_facts(text, strlen(text), rules, vm);
    if (model != NULL)
        read_live(host, domain, vm);
    if (xml != NULL)
        *xml = g_steal_pointer(&text);
}
