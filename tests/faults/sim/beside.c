/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/world.h"

#include "src/base/error.h"
#include "src/migrate/incoming-private.h"
#include "src/migrate/qemu-socket.h"
#include "src/migrate/source-private.h"
#include "src/migrate/vm-disks.h"
#include "src/migrate/waiting.h"
#include "src/vm/cookie.h"
#include "src/vm/domain-edit.h"

#include <string.h>

/*
 * What a move needs besides, and what decides nothing: the job as its watchers see it, cookies,
 * the check, the memory stream, the announce. All of it succeeds.
 */

struct _VmfJob {
    VmfJobFacts facts;
    GCancellable *cancellable;
    gboolean uncancellable;
};

VmfJob *
vmf_job_new(const VmfJobFacts *facts)
{
    VmfJob *job = g_new0(VmfJob, 1);
    job->facts = *facts;
    job->cancellable = g_cancellable_new();
    return job;
}

void
vmf_job_unref(VmfJob *job)
{
}

const VmfJobFacts *
vmf_job_facts(VmfJob *job)
{
    return &job->facts;
}

void
vmf_job_enter_stage(VmfJob *job, VmfStage stage)
{
}

void
vmf_job_set_waiting(VmfJob *job, const char *waiting_for)
{
    vmf_waiting_set(SIM_VM, SIM_NAME, waiting_for);
}

void
vmf_job_set_epoch(VmfJob *job, guint64 epoch)
{
}

void
vmf_job_set_downtime(VmfJob *job, gint64 us)
{
}

void
vmf_job_set_handover(VmfJob *job, gint64 us)
{
}

void
vmf_job_set_memory_bytes(VmfJob *job, guint64 bytes)
{
}

void
vmf_job_finish(VmfJob *job, VmfOutcome outcome, const GError *error)
{
    sim_trace("the move ends: %s (%s)", vmf_outcome_name(outcome), error ? error->message : "");
}

void
vmf_job_publish(VmfJob *job)
{
}

gchar *
vmf_job_report(VmfJob *job)
{
    return g_strdup("{}");
}

GCancellable *
vmf_job_cancellable(VmfJob *job)
{
    return job->cancellable;
}

gboolean
vmf_job_cancel(VmfJob *job, GError **error)
{
    if (!job->uncancellable)
        g_cancellable_cancel(job->cancellable);
    return !job->uncancellable;
}

gboolean
vmf_job_close_cancel(VmfJob *job, GError **error)
{
    job->uncancellable = TRUE;
    if (!g_cancellable_is_cancelled(job->cancellable))
        return TRUE;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the move was cancelled");
    return FALSE;
}

/* copy-watch.c: only its passing on of a cancel */
struct _VmfCopyWatch {
    VmfHost *host;
    VmfJob *job;
    gboolean end;
};

static void
watch(gpointer data)
{
    VmfCopyWatch *mine = data;
    for (gint64 wait = 2000; !mine->end; wait = MIN(wait * 2, G_USEC_PER_SEC)) {
        if (g_cancellable_is_cancelled(mine->job->cancellable)) {
            vmf_host_abort_job(mine->host, SIM_VM, NULL);
            break;
        }
        sim_sleep(wait);
    }
}

VmfCopyWatch *
vmf_copy_watch_start(VmfHost *host, VmfJob *job, guint max_downtime_ms)
{
    VmfCopyWatch *mine = g_new0(VmfCopyWatch, 1);
    *mine = (VmfCopyWatch){host, job, FALSE};
    sim_spawn(sim_current_proc(), 0, watch, mine);
    return mine;
}

void
vmf_copy_watch_end(VmfCopyWatch *mine)
{
    mine->end = TRUE;
}

gboolean
vmf_copy_watch_was_stuck(VmfCopyWatch *mine)
{
    return FALSE;
}

void
vmf_copy_watch_free(VmfCopyWatch *mine)
{
    mine->end = TRUE;
}

VmfMemoryStream *
vmf_memory_stream_listen(VmfChannel *channel, const char *path, uid_t uid, gid_t gid,
                         GError **error)
{
    return (VmfMemoryStream *)channel;
}

VmfMemoryStream *
vmf_memory_stream_join(VmfChannel *channel, const char *path, uid_t uid, GError **error)
{
    return (VmfMemoryStream *)channel;
}

guint64
vmf_memory_stream_bytes(VmfMemoryStream *stream)
{
    return 0;
}

void
vmf_memory_stream_free(VmfMemoryStream *stream)
{
}

gboolean
vmf_channel_stream_expect(VmfChannel *control, VmfChannelStreams *streams, guint life_s,
                          gchar **name_out, GError **error)
{
    *name_out = g_strdup("stream");
    return TRUE;
}

void
vmf_channel_stream_forget(VmfChannelStreams *streams, const char *name)
{
}

VmfCheck *
vmf_check_begin(const VmfContext *context, const char *uuid, const char *migration, gboolean brief)
{
    return g_malloc0(1);
}

void
vmf_check_free(VmfCheck *check)
{
    g_free(check);
}

VmfCheckResult *
vmf_check_against(VmfCheck *check, const char *fqdn, VmfPeerLink *link, GCancellable *cancelled)
{
    return g_new0(VmfCheckResult, 1);
}

void
vmf_check_result_free(VmfCheckResult *result)
{
    g_free(result);
}

gboolean
vmf_check_compare(VmfCheck *check, const VmfCheckResult *result, GVariant *plan, GError **error)
{
    return TRUE;
}

gboolean
vmf_check_verdict(const VmfReport *report, GError **error)
{
    return TRUE;
}

gboolean
vmf_local_user(const char *name, const char *key, uid_t *uid, gid_t *gid, GError **error)
{
    *uid = *gid = 0;
    return TRUE;
}

gchar *
vmf_qemu_socket_out(const char *run_dir, const char *uuid)
{
    return g_strdup("out");
}

gchar *
vmf_qemu_socket_in(const char *run_dir, const char *uuid)
{
    return g_strdup("in");
}

GBytes *
vmf_cookie_rebuild(VmfCookieKind kind, GBytes *cookie, const char *uuid, const char *name,
                   GError **error)
{
    return g_bytes_ref(cookie);
}

gchar **
vmf_domain_edit_other_disks(const char *xml, GError **error)
{
    return g_new0(gchar *, 1);
}

GPtrArray *
vmf_domain_edit_urls(const char *xml, GError **error)
{
    return g_ptr_array_new();
}

gchar *
vmf_vm_disks_to_text(const VmfDomainDisk *const *disks, guint n_disks)
{
    return g_strdup("disks");
}

void
vmf_waiting_set(const char *uuid, const char *name, const char *what)
{
    if (what)
        sim_trace("  hv%d waits: %s", sim_current_proc()->host + 1, what);
}

gchar *
vmf_domain_to_xml(const VmfDomain *domain)
{
    return g_strdup("<domain/>");
}

void
vmf_domain_free(VmfDomain *domain)
{
}

VmfAnnounce *
vmf_announce_open(GError **error)
{
    return g_malloc0(1);
}

void
vmf_announce_free(VmfAnnounce *announce)
{
    g_free(announce);
}

gboolean
vmf_announce_expect_all(VmfAnnounce *announce, const char *live_xml, GError **error)
{
    return TRUE;
}

gboolean
vmf_announce_wait(VmfAnnounce *announce, guint timeout_ms, gint64 *monotonic_us, GError **error)
{
    sim_sleep(1000);
    return TRUE;
}

VmfComputer *
vmf_directory_computer(VmfDirectory *directory, const char *fqdn, GError **error)
{
    for (int i = 0; i < SIM_HOSTS; i++)
        if (strcmp(world.hosts[i].fqdn, fqdn) == 0) {
            VmfComputer *computer = g_new0(VmfComputer, 1);
            computer->sid = world.hosts[i].sid;
            return computer;
        }
    return NULL;
}

void
vmf_computer_free(VmfComputer *computer)
{
    g_free(computer);
}

int
sim_close(int fd)
{
    return 0;
}

int
sim_unlink(const char *path)
{
    return 0;
}
