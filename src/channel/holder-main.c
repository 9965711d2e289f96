/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vmferry-holder - keeps sockets for vmferryd and its successors; see holder.h
 *
 * Operations. Descriptor 3 is the line to vmferryd, which is let go at once; descriptor 4 the socket that
 * requests come to. It leaves its parent, gives up every right, and answers one request after the other, of
 * its own user only. It ends when it keeps nothing any more, or nobody has given it anything in time.
 *
 * Failure model. See holder.h. Who asks is root: what he sends is checked all the same, and he is waited for
 * a moment only.
 */
#include "src/base/error.h"
#include "src/channel/helper.h"
#include "src/channel/holder.h"
#include "src/channel/line.h"
#include "src/channel/owned-fd.h"
#include "src/channel/sandbox.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENER    VMF_HELPER_FILE_FD
#define REQUEST_S   ((gint64)5)
#define FIRST_MS    30000 /* for the first socket */
#define DESCRIPTORS (VMF_HOLDER_MAX + 16)

typedef struct {
    gchar *name;
    int fd;
} Kept;

static void
kept_clear(gpointer data)
{
    Kept *kept = data;
    g_free(kept->name);
    close(kept->fd);
}

/* Returns: where it is, or the number of all */
static guint
find(const GArray *all, const char *name)
{
    guint i = 0;
    while (i < all->len && strcmp(g_array_index(all, Kept, i).name, name) != 0)
        i++;
    return i;
}

static void
drop(GArray *all, const char *name)
{
    guint i = find(all, name);
    if (i < all->len)
        g_array_remove_index_fast(all, i);
}

/* @names: "\nNAME\nNAME\n" */
static void
retain(GArray *all, const char *names)
{
    for (guint i = all->len; i-- > 0;) {
        g_autofree gchar *line = g_strdup_printf("\n%s\n", g_array_index(all, Kept, i).name);
        if (strstr(names, line) == NULL)
            g_array_remove_index_fast(all, i);
    }
}

/* Returns: %FALSE and why not */
static gboolean
keep(GArray *all, const char *name, VmfLineMessage *request, GError **error)
{
    drop(all, name);
    if (all->len >= VMF_HOLDER_MAX) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                    "%d connections to libvirt are kept, which is the most", VMF_HOLDER_MAX);
        return FALSE;
    }
    Kept kept = {g_strdup(name), vmf_line_take_fd(request, 0)};
    g_array_append_val(all, kept);
    return TRUE;
}

static void
answer(GArray *all, VmfLineMessage *request, int line)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *name = vmf_line_text(request, 0);
    guint at = request->type == VMF_LINE_TAKE ? find(all, name) : all->len;
    if (request->type == VMF_LINE_KEEP)
        keep(all, name, request, &error);
    else if (request->type == VMF_LINE_DROP)
        drop(all, name);
    else if (request->type == VMF_LINE_RETAIN)
        retain(all, name);
    gboolean found = request->type == VMF_LINE_TAKE && at < all->len;
    VmfLineDraft draft = vmf_line_draft(found ? VMF_LINE_TAKEN : VMF_LINE_HELD);
    vmf_line_add_verdict(&draft, error);
    if (!found)
        vmf_line_add_number(&draft, all->len);
    /* before it is known: who comes now finds nobody, rather than one that ends */
    if (all->len == 0 && request->type != VMF_LINE_TAKE)
        close(LISTENER);
    vmf_line_send(line, &draft, found ? &g_array_index(all, Kept, at).fd : NULL, NULL);
}

static void
serve(GArray *all)
{
    struct ucred who;
    socklen_t size = sizeof who;
    g_auto(VmfLineMessage) request = {0};
    g_auto(VmfOwnedFd) line = accept4(LISTENER, NULL, NULL, SOCK_CLOEXEC);
    if (line < 0 || getsockopt(line, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 ||
        who.uid != geteuid())
        return;
    gint64 deadline = g_get_monotonic_time() + REQUEST_S * G_USEC_PER_SEC;
    if (vmf_line_receive(line, deadline, &request, NULL, VMF_LINE_KEEP, VMF_LINE_TAKE,
                         VMF_LINE_DROP, VMF_LINE_RETAIN, 0))
        answer(all, &request, line);
}

/* A kept one is never read; that its other end has closed shows all the same. */
static void
drop_closed(GArray *all, const struct pollfd *fds)
{
    for (guint i = all->len; i-- > 0;)
        if (fds[i].revents & (POLLHUP | POLLERR | POLLRDHUP | POLLNVAL))
            g_array_remove_index_fast(all, i);
}

static int
run(void)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(Kept));
    g_array_set_clear_func(all, kept_clear);
    struct pollfd fds[VMF_HOLDER_MAX + 1];
    gboolean had_one = FALSE;
    gboolean ends = FALSE;
    while (!ends) {
        guint count = all->len;
        for (guint i = 0; i < count; i++)
            fds[i] = (struct pollfd){g_array_index(all, Kept, i).fd, POLLRDHUP, 0};
        fds[count] = (struct pollfd){LISTENER, POLLIN, 0};
        int ready = poll(fds, count + 1, had_one ? -1 : FIRST_MS);
        if (ready < 0)
            continue;
        drop_closed(all, fds);
        if (ready > 0 && fds[count].revents)
            serve(all);
        had_one = had_one || all->len > 0;
        ends = all->len == 0 && (had_one || ready == 0);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    struct rlimit descriptors = {DESCRIPTORS, DESCRIPTORS};
    int listens = 0;
    socklen_t size = sizeof listens;
    if (argc != 1 || getsockopt(LISTENER, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 ||
        !listens) {
        g_printerr("vmferry-holder is started by vmferryd\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    pid_t pid = fork();
    if (pid != 0)
        return pid > 0 ? 0 : 1;
    setsid();
    close(VMF_HELPER_LINE_FD);
    setrlimit(RLIMIT_NOFILE, &descriptors);
    if (!vmf_sandbox_drop_capabilities(&error) || !vmf_sandbox_enter(VMF_SANDBOX_HOLDER, &error)) {
        g_printerr("vmferry-holder: %s\n", error->message);
        return 1;
    }
    return run();
}
