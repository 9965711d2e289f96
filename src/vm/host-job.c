/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The job of a migrating source: progress, abort, limits. */
#include "src/vm/host-private.h"

#include <libvirt/virterror.h>

#include "src/base/error.h"
#include "src/vm/libvirt-error.h"

typedef struct {
    virTypedParameterPtr list;
    int n;
} Stats;

static guint64
figure(const Stats *stats, const char *field)
{
    unsigned long long value = 0;
    virTypedParamsGetULLong(stats->list, stats->n, field, &value);
    return value;
}

static guint
percent(const Stats *stats, const char *field)
{
    int value = 0;
    virTypedParamsGetInt(stats->list, stats->n, field, &value);
    return value > 0 ? (guint)value : 0;
}

static VmfJobStage
stage_of(int type, int state, int reason, const VmfJobProgress *progress)
{
    gboolean paused = state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_MIGRATION;
    switch ((virDomainJobType)type) {
    case VIR_DOMAIN_JOB_NONE:
        return VMF_JOB_NONE;
    case VIR_DOMAIN_JOB_COMPLETED:
        return VMF_JOB_COMPLETED;
    case VIR_DOMAIN_JOB_FAILED:
    case VIR_DOMAIN_JOB_CANCELLED:
        return VMF_JOB_FAILED;
    case VIR_DOMAIN_JOB_BOUNDED:
    case VIR_DOMAIN_JOB_UNBOUNDED:
#ifdef VIR_ENUM_SENTINELS
    case VIR_DOMAIN_JOB_LAST:
#endif
        break;
    }
    if (paused)
        return progress->bytes_total > 0 && progress->bytes_remaining == 0 ? VMF_JOB_COMPLETED
                                                                           : VMF_JOB_SWITCHOVER;
    return progress->bytes_processed > 0 ? VMF_JOB_MEMORY : VMF_JOB_SETUP;
}

static void
read_figures(const Stats *stats, VmfJobProgress *out)
{
    out->elapsed_ms = figure(stats, VIR_DOMAIN_JOB_TIME_ELAPSED);
    out->bytes_total = figure(stats, VIR_DOMAIN_JOB_MEMORY_TOTAL);
    out->bytes_processed = figure(stats, VIR_DOMAIN_JOB_MEMORY_PROCESSED);
    out->bytes_remaining = figure(stats, VIR_DOMAIN_JOB_MEMORY_REMAINING);
    out->bytes_per_s = figure(stats, VIR_DOMAIN_JOB_MEMORY_BPS);
    out->dirty_bytes_per_s = figure(stats, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE) *
                             figure(stats, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE);
    out->iteration = figure(stats, VIR_DOMAIN_JOB_MEMORY_ITERATION);
    out->expected_downtime_ms = figure(stats, VIR_DOMAIN_JOB_DOWNTIME);
    out->throttle_percent = percent(stats, VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE);
}

gboolean
vmf_host_job_progress(VmfHost *host, const char *uuid, VmfJobProgress *out, GError **error)
{
    Stats stats = {0};
    int type, state, reason;
    VmfJobProgress read = {0};
    g_autoptr(virDomain) domain = vmf_host_domain(host, uuid, error);
    if (domain == NULL)
        return FALSE;
    if (virDomainGetJobStats(domain, &type, &stats.list, &stats.n, 0) < 0 ||
        virDomainGetState(domain, &state, &reason, 0) < 0) {
        vmf_libvirt_set_error(error, "cannot read the progress of '%s'", uuid);
        return FALSE;
    }
    read_figures(&stats, &read);
    virTypedParamsFree(stats.list, stats.n);
    read.stage = stage_of(type, state, reason, &read);
    *out = read.stage == VMF_JOB_NONE ? (VmfJobProgress){0} : read;
    return TRUE;
}

gboolean
vmf_host_abort_job(VmfHost *host, const char *uuid, GError **error)
{
    g_autoptr(virDomain) domain = vmf_host_domain(host, uuid, error);
    if (domain == NULL)
        return FALSE;
    if (virDomainAbortJob(domain) == 0)
        return TRUE;
    vmf_libvirt_set_error(error, "cannot abort the job of '%s'", uuid);
    return FALSE;
}

gboolean
vmf_host_set_max_downtime(VmfHost *host, const char *uuid, guint64 ms, GError **error)
{
    g_autoptr(virDomain) domain = vmf_host_domain(host, uuid, error);
    if (domain == NULL)
        return FALSE;
    if (virDomainMigrateSetMaxDowntime(domain, ms, 0) == 0)
        return TRUE;
    vmf_libvirt_set_error(error, "cannot set the longest downtime of '%s'", uuid);
    return FALSE;
}

gboolean
vmf_host_set_bandwidth(VmfHost *host, const char *uuid, guint64 mib_per_s, GError **error)
{
    g_autoptr(virDomain) domain = vmf_host_domain(host, uuid, error);
    if (domain == NULL)
        return FALSE;
    if (virDomainMigrateSetMaxSpeed(domain, (unsigned long)mib_per_s, 0) == 0)
        return TRUE;
    vmf_libvirt_set_error(error, "cannot set the bandwidth of '%s'", uuid);
    return FALSE;
}
