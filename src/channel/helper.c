/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/helper.h"

#include "src/base/error.h"
#include "src/channel/line.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child, between fork and exec. */
static void
become(gpointer data)
{
    const VmfHelperUser *user = data;
    umask(0077);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        _exit(126);
    if (user->uid == (uid_t)-1)
        return;
    if (setgroups(0, NULL) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        _exit(126);
}

gboolean
vmf_helper_start(const char *const *argv, const VmfHelperUser *user, int file, VmfHelper *helper,
                 GError **error)
{
    static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                              "LC_ALL=C.UTF-8", "MALLOC_ARENA_MAX=1",
                                              /* see vmferry-keys: replays end at TLS */
                                              "KRB5RCACHENAME=none:", NULL};
    int ends[2];
    g_autoptr(GError) cause = NULL;
    if (!vmf_line_pair(ends, error))
        return FALSE;
    const gint sources[] = {ends[1], file}, targets[] = {VMF_HELPER_LINE_FD, VMF_HELPER_FILE_FD};
    gboolean ok = g_spawn_async_with_pipes_and_fds(
        "/", argv, environment, G_SPAWN_DO_NOT_REAP_CHILD, become, (gpointer)user, -1, -1, -1,
        sources, targets, file >= 0 ? 2 : 1, &helper->pid, NULL, NULL, NULL, &cause);
    close(ends[1]);
    helper->line = ends[0];
    if (ok)
        return TRUE;
    close(ends[0]);
    helper->line = -1;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "'%s' cannot be started: %s", argv[0],
                cause->message);
    return FALSE;
}

gchar *
vmf_helper_end(VmfHelper *helper)
{
    int status = 0;
    if (helper->line >= 0)
        close(helper->line);
    helper->line = -1;
    while (waitpid(helper->pid, &status, 0) < 0)
        if (errno != EINTR)
            return g_strdup("it is gone");
    if (WIFSIGNALED(status))
        return g_strdup_printf("it was ended by signal %d (%s)", WTERMSIG(status),
                               strsignal(WTERMSIG(status)));
    return g_strdup_printf("it ended with status %d", WEXITSTATUS(status));
}
