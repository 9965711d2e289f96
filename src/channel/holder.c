/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/holder.h"

#include "src/base/error.h"
#include "src/channel/helper.h"
#include "src/channel/line.h"
#include "src/channel/owned-fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_S ((gint64)10)
#define BACKLOG  16

struct _VmfHolder {
    gchar *path, *program;
    GMutex lock; /* one request at a time, and one holder */
};

VmfHolder *
vmf_holder_new(const char *path, const char *program)
{
    VmfHolder *holder = g_new0(VmfHolder, 1);
    holder->path = g_strdup(path);
    holder->program = g_strdup(program ? program : VMF_HELPERS "/vmferry-holder");
    g_mutex_init(&holder->lock);
    return holder;
}

void
vmf_holder_free(VmfHolder *holder)
{
    if (holder == NULL)
        return;
    g_mutex_clear(&holder->lock);
    g_free(holder->path);
    g_free(holder->program);
    g_free(holder);
}

/* ---- its socket ---- */

static gboolean
fail(const VmfHolder *holder, GError **error, const char *what)
{
    int saved = errno;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "vmferry-holder: %s '%s': %s", what,
                holder->path, g_strerror(saved));
    return FALSE;
}

static gboolean
address_of(const VmfHolder *holder, struct sockaddr_un *address, GError **error)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (g_strlcpy(address->sun_path, holder->path, sizeof address->sun_path) <
        sizeof address->sun_path)
        return TRUE;
    errno = ENAMETOOLONG;
    return fail(holder, error, "cannot use");
}

/* Returns: a socket; -1: there is no holder, or @error */
static int
reach(const VmfHolder *holder, GError **error)
{
    struct sockaddr_un address;
    if (!address_of(holder, &address, error))
        return -1;
    g_auto(VmfOwnedFd) line = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (line >= 0 && connect(line, (struct sockaddr *)&address, sizeof address) == 0)
        return vmf_owned_fd_steal(&line);
    if (errno == ECONNREFUSED) /* it was killed, or libvirtd has closed what it had */
        unlink(holder->path);
    else if (errno != ENOENT)
        fail(holder, error, "cannot connect to");
    return -1;
}

/* The lock is held, and nobody listens there. It is given the socket, and ends this line at once. */
static gboolean
start(const VmfHolder *holder, GError **error)
{
    struct sockaddr_un address;
    VmfHelper helper;
    const VmfHelperUser as_we_are = {(uid_t)-1, (gid_t)-1};
    const char *argv[] = {holder->program, NULL};
    if (!address_of(holder, &address, error))
        return FALSE;
    g_auto(VmfOwnedFd) listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    mode_t mask = umask(0177);
    gboolean bound = listener >= 0 &&
                     bind(listener, (struct sockaddr *)&address, sizeof address) == 0;
    umask(mask);
    if (!bound || listen(listener, BACKLOG) != 0)
        return fail(holder, error, "cannot listen on");
    if (!vmf_helper_start(argv, &as_we_are, listener, &helper, error))
        return FALSE;
    g_autofree gchar *how = vmf_helper_end(&helper); /* it goes on as a child of nobody's */
    g_debug("vmferry-holder: %s", how);
    return TRUE;
}

/* ---- requests ---- */

/* @fds: with @draft, which is taken. Returns: %FALSE and VMF_ERROR_UNREACHABLE, or its refusal */
static gboolean
ask(int line, VmfLineDraft *draft, const int *fds, VmfLineType wanted, VmfLineMessage *answer,
    GError **error)
{
    gint64 deadline = g_get_monotonic_time() + ANSWER_S * G_USEC_PER_SEC;
    return vmf_line_send(line, draft, fds, error) &&
           vmf_line_receive(line, deadline, answer, error, wanted, VMF_LINE_HELD, 0) &&
           vmf_line_verdict(answer, 0, error);
}

static gboolean
keep_once(VmfHolder *holder, const char *name, int fd, GError **error)
{
    g_auto(VmfLineMessage) answer = {0};
    g_auto(VmfOwnedFd) line = reach(holder, error);
    if (line < 0) {
        if ((error && *error) || !start(holder, error))
            return FALSE;
        line = reach(holder, error);
    }
    if (line < 0) {
        if (error && *error == NULL)
            fail(holder, error, "nobody listens on");
        return FALSE;
    }
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_KEEP);
    vmf_line_add_text(&draft, name);
    return ask(line, &draft, &fd, VMF_LINE_HELD, &answer, error);
}

gboolean
vmf_holder_keep(VmfHolder *holder, const char *name, int fd, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&holder->lock);
    g_autoptr(GError) first = NULL;
    if (keep_once(holder, name, fd, &first))
        return TRUE;
    if (g_error_matches(first, VMF_ERROR, VMF_ERROR_UNREACHABLE)) /* it was about to end */
        return keep_once(holder, name, fd, error);
    g_propagate_error(error, g_steal_pointer(&first));
    return FALSE;
}

int
vmf_holder_take(VmfHolder *holder, const char *name, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&holder->lock);
    g_auto(VmfLineMessage) answer = {0};
    g_auto(VmfOwnedFd) line = reach(holder, error);
    if (line < 0)
        return -1;
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_TAKE);
    vmf_line_add_text(&draft, name);
    if (!ask(line, &draft, NULL, VMF_LINE_TAKEN, &answer, error))
        return -1;
    return answer.type == VMF_LINE_TAKEN ? vmf_line_take_fd(&answer, 0) : -1;
}

/* What cannot be dropped is told: libvirt would take the move for one that is under way. */
static void
order(VmfHolder *holder, VmfLineType type, const char *names)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&holder->lock);
    g_autoptr(GError) error = NULL;
    g_auto(VmfLineMessage) answer = {0};
    g_auto(VmfOwnedFd) line = reach(holder, &error);
    VmfLineDraft draft = vmf_line_draft(type);
    vmf_line_add_text(&draft, names);
    if (line < 0)
        g_byte_array_unref(draft.packet);
    else if (ask(line, &draft, NULL, VMF_LINE_HELD, &answer, &error) &&
             vmf_line_number(&answer, 1) == 0)
        unlink(holder->path); /* it does not listen any more */
    if (error)
        g_warning("connections to libvirt that were kept: %s", error->message);
}

void
vmf_holder_drop(VmfHolder *holder, const char *name)
{
    order(holder, VMF_LINE_DROP, name);
}

void
vmf_holder_retain(VmfHolder *holder, const GPtrArray *names)
{
    g_autoptr(GString) all = g_string_new("\n");
    for (guint i = 0; i < names->len; i++)
        g_string_append_printf(all, "%s\n", (const char *)names->pdata[i]);
    order(holder, VMF_LINE_RETAIN, all->str);
}
