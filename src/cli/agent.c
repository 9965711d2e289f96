/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/cli/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM       "pkttyagent"
#define NOTIFY_FD     3
#define COME_UP_MS    10000 /* the bus may have to start polkitd */
#define AS_TEXT(what) G_STRINGIFY(what)

static GPid agent;

/* Before this process ends, so that the shell's prompt comes after the agent's last word. */
static void
end_agent(void)
{
    kill(agent, SIGTERM);
    kill(agent, SIGCONT);
    while (waitpid(agent, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Between fork and exec. */
static void
end_with_parent(gpointer parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != GPOINTER_TO_INT(parent))
        _exit(1);
}

/* It closes the pipe once polkit knows it, or by ending. */
static void
wait_until_up(int notify)
{
    struct pollfd closed = {notify, 0, 0};
    while (poll(&closed, 1, COME_UP_MS) < 0 && errno == EINTR)
        ;
}

void
vmf_cli_agent_start(void)
{
    g_autofree gchar *program = g_find_program_in_path(PROGRAM);
    int ends[2];
    if (agent != 0 || program == NULL || geteuid() == 0 || !isatty(STDIN_FILENO) ||
        pipe2(ends, O_CLOEXEC) != 0)
        return;
    g_autofree gchar *me = g_strdup_printf("%d", (int)getpid());
    /* polkit looks for the agent of the session first, and without a session takes no fallback */
    const char *fallback = g_getenv("XDG_SESSION_ID") ? "--fallback" : NULL;
    const char *const argv[] = {program,  "--process", me, "--notify-fd", AS_TEXT(NOTIFY_FD),
                                fallback, NULL};
    const gint sources[] = {ends[1]}, targets[] = {NOTIFY_FD};
    gboolean ok = g_spawn_async_with_pipes_and_fds(
        NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CHILD_INHERITS_STDIN, end_with_parent,
        GINT_TO_POINTER(getpid()), -1, -1, -1, sources, targets, 1, &agent, NULL, NULL, NULL, NULL);
    close(ends[1]);
    if (ok) {
        wait_until_up(ends[0]);
        atexit(end_agent);
    }
    close(ends[0]);
}
