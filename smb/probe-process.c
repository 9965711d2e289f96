/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/probe-process.h"

#include "smb/probe-kept.h"
#include "smb/share-probe-wire.h"
#include "smb/unprivileged.h"
#include "src/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_RUN_DIR "/run/vmferry"

/* Ends the process if it has not ended, and waits for it. Returns: why it gave no answer. */
static gchar *
end_process(GPid child, gboolean kill_it)
{
    int status = 0;
    if (kill_it)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status))
        return g_strdup_printf("it ended by signal %d", WTERMSIG(status));
    return g_strdup_printf("it ended with status %d", WEXITSTATUS(status));
}

/* @control: -1: it ends after the answer; else it is kept with it. Takes @control. */
static GVariant *
talk(const VmfShareProbe *probe, const VmfProbeCall *call, GPid child, int out, int control,
     GError **error)
{
    gint64 since_us = g_get_monotonic_time();
    g_autoptr(GError) cause = NULL;
    GVariant *answer = vmf_probe_read(out, call->answer_type, call->answer_max,
                                      since_us + (gint64)call->timeout_ms * 1000, &cause);
    if (answer != NULL && control >= 0) {
        vmf_probe_kept_put(vmf_probe_kept_new(probe, child, control, since_us));
        return answer;
    }
    if (control >= 0)
        close(control);
    g_autofree gchar *end = end_process(child, answer == NULL);
    if (answer == NULL && cause != NULL)
        g_set_error(error, VMF_ERROR, cause->code, "%s%s%s", cause->message,
                    cause->code == VMF_ERROR_UNREACHABLE ? " from the file server" : "; ",
                    cause->code == VMF_ERROR_UNREACHABLE ? "" : end);
    return answer;
}

/* @control: the process's end; -1: it is not kept */
static gboolean
start(const VmfShareProbe *probe, const VmfProbeCall *call, const char *run_dir, const char *folder,
      int control, GPid *child, int *out, GError **error)
{
    g_auto(GStrv) environment = vmf_unprivileged_environment(probe->ccache, run_dir);
    VmfUnprivileged user = {probe->run_uid, probe->run_gid};
    const char *mode = call->keep ? VMF_PROBE_MODE_STAY : call->mode;
    const char *argv[] = {probe->program != NULL ? probe->program : VMF_SHARE_PROBE, folder, mode,
                          NULL};
    const gint sources[] = {control}, targets[] = {VMF_PROBE_CONTROL_FD};
    g_autoptr(GError) cause = NULL;
    int in = vmf_probe_request_file(call->request, error);
    if (in < 0)
        return FALSE;
    gboolean started = g_spawn_async_with_pipes_and_fds(
        "/", argv, (const char *const *)environment, G_SPAWN_DO_NOT_REAP_CHILD,
        vmf_unprivileged_become, &user, in, -1, -1, sources, targets, control >= 0 ? 1 : 0, child,
        NULL, out, NULL, &cause);
    close(in);
    if (!started)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "'%s' cannot be started: %s", argv[0],
                    cause->message);
    return started;
}

static GVariant *
run_in(const VmfShareProbe *probe, const VmfProbeCall *call, const char *run_dir,
       const char *folder, GError **error)
{
    int ends[2] = {-1, -1}, out = -1;
    GPid child = 0;
    if (call->keep && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "vmferry-share-probe: no socket: %s",
                    g_strerror(errno));
        return NULL;
    }
    gboolean started = start(probe, call, run_dir, folder, ends[1], &child, &out, error);
    if (ends[1] >= 0)
        close(ends[1]);
    if (!started) {
        if (ends[0] >= 0)
            close(ends[0]);
        return NULL;
    }
    GVariant *answer = talk(probe, call, child, out, ends[0], error);
    close(out);
    return answer;
}

static int
open_folder(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void
remove_smb_folder(int parent)
{
    int smb = open_folder(parent, ".smb");
    if (smb >= 0) {
        unlinkat(smb, "smb.conf", 0);
        close(smb);
    }
    unlinkat(parent, ".smb", smb >= 0 ? AT_REMOVEDIR : 0);
}

/* What the process left: the folder was the other user's, so nothing is followed, at no step. */
static void
remove_folder(const char *folder)
{
    int top = open_folder(AT_FDCWD, folder);
    int clear = top >= 0 ? open_folder(top, "clear") : -1;
    if (clear >= 0) {
        remove_smb_folder(clear);
        close(clear);
    }
    if (top >= 0) {
        unlinkat(top, "clear", clear >= 0 ? AT_REMOVEDIR : 0);
        remove_smb_folder(top);
        close(top);
    }
    rmdir(folder);
}

GVariant *
vmf_probe_process_run(const VmfShareProbe *probe, const VmfProbeCall *call, GError **error)
{
    const char *run_dir = probe->run_dir != NULL ? probe->run_dir : DEFAULT_RUN_DIR;
    g_autofree gchar *folder = g_build_filename(run_dir, "probe-XXXXXX", NULL);
    if (g_mkdtemp(folder) == NULL || chown(folder, probe->run_uid, probe->run_gid) != 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "cannot make a folder '%s': %s", folder,
                    g_strerror(errno));
        return NULL;
    }
    GVariant *answer = run_in(probe, call, run_dir, folder, error);
    remove_folder(folder);
    return answer;
}
