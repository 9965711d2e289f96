/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/probe-kept.h"

#include "smb/share-probe-wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static GMutex lock;
static VmfProbeKept *waiting; /* guarded by lock; NULL: none */

static gchar *
describe(const VmfShareProbe *probe)
{
    return g_strdup_printf("%s %s %s %u %u", probe->program ? probe->program : "",
                           probe->run_dir ? probe->run_dir : "", probe->ccache ? probe->ccache : "",
                           (guint)probe->run_uid, (guint)probe->run_gid);
}

VmfProbeKept *
vmf_probe_kept_new(const VmfShareProbe *probe, GPid pid, int control, gint64 since_us)
{
    VmfProbeKept *kept = g_new0(VmfProbeKept, 1);
    *kept = (VmfProbeKept){pid, control, since_us, describe(probe)};
    return kept;
}

void
vmf_probe_kept_end(VmfProbeKept *kept)
{
    if (kept == NULL)
        return;
    close(kept->control);
    kill(kept->pid, SIGKILL);
    while (waitpid(kept->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    g_free(kept->who);
    g_free(kept);
}

static gboolean
is_old(const VmfProbeKept *kept)
{
    return g_get_monotonic_time() - kept->since_us >= (gint64)VMF_PROBE_KEPT_S * G_USEC_PER_SEC;
}

/* In the main loop: nobody has asked it, or somebody else's has its place. */
static gboolean
end_old(gpointer unused)
{
    g_mutex_lock(&lock);
    VmfProbeKept *old = waiting && is_old(waiting) ? g_steal_pointer(&waiting) : NULL;
    g_mutex_unlock(&lock);
    vmf_probe_kept_end(old);
    return G_SOURCE_REMOVE;
}

void
vmf_probe_kept_put(VmfProbeKept *kept)
{
    if (is_old(kept)) {
        vmf_probe_kept_end(kept);
        return;
    }
    g_mutex_lock(&lock);
    VmfProbeKept *other = waiting;
    waiting = kept;
    g_mutex_unlock(&lock);
    vmf_probe_kept_end(other);
    g_timeout_add_seconds(VMF_PROBE_KEPT_S + 1, end_old, NULL);
}

static VmfProbeKept *
take(const VmfShareProbe *probe)
{
    g_autofree gchar *who = describe(probe);
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&lock);
    return waiting && g_str_equal(waiting->who, who) ? g_steal_pointer(&waiting) : NULL;
}

static GVariant *
ask(const VmfProbeKept *kept, const VmfProbeCall *call)
{
    gint64 deadline_us = g_get_monotonic_time() + (gint64)call->timeout_ms * 1000;
    GVariant *answer = NULL;
    int ends[2] = {-1, -1};
    int in = vmf_probe_request_file(call->request, NULL);
    gboolean asked = in >= 0 && pipe2(ends, O_CLOEXEC) == 0 &&
                     vmf_probe_pass(kept->control, in, ends[1]);
    if (in >= 0)
        close(in);
    if (ends[1] >= 0)
        close(ends[1]);
    if (asked)
        answer = vmf_probe_read(ends[0], call->answer_type, call->answer_max, deadline_us, NULL);
    if (ends[0] >= 0)
        close(ends[0]);
    return answer;
}

GVariant *
vmf_probe_kept_ask(const VmfShareProbe *probe, const VmfProbeCall *call)
{
    VmfProbeKept *kept = take(probe);
    if (kept == NULL)
        return NULL;
    GVariant *answer = is_old(kept) ? NULL : ask(kept, call);
    if (answer)
        vmf_probe_kept_put(kept);
    else
        vmf_probe_kept_end(kept);
    return answer;
}
