/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-line.h"

#include "smb/disk-order.h"
#include "smb/disk-verbs.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <errno.h>
#include <glib-unix.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    VmfDiskLines *lines;
    int fd;
} Line;

static GVariant *
obey(VmfDiskLines *lines, GBytes *order, GError **error)
{
    g_autofree gchar *name = NULL;
    g_autoptr(GVariant) parameters = NULL;
    if (!vmf_disk_order_decode(order, &name, &parameters, error))
        return NULL;
    const VmfDiskVerb *verb = vmf_disk_verb_find(name);
    if (verb != NULL && verb->line &&
        g_variant_is_of_type(parameters, G_VARIANT_TYPE(verb->parameters)))
        return verb->run(lines->set, parameters, error);
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "'%.*s' with arguments %.100s is not said on a line", vmf_text_head(name, 40), name,
                g_variant_get_type_string(parameters));
    return NULL;
}

static gboolean
answer(Line *line, GBytes *order)
{
    g_autoptr(GError) error = NULL;
    GVariant *results = obey(line->lines, order, &error);
    g_autoptr(GBytes) reply = vmf_disk_answer_encode(results, error);
    gsize size;
    const void *bytes = g_bytes_get_data(reply, &size);
    /* One order at a time: there is room for its answer, or nobody reads any. */
    gssize sent = send(line->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    line->lines->done(line->lines->data);
    return sent == (gssize)size;
}

static gboolean
on_order(gint fd, GIOCondition condition, gpointer data)
{
    g_autofree guint8 *room = g_malloc(VMF_DISK_ORDER_MAX);
    gssize size = recv(fd, room, VMF_DISK_ORDER_MAX, MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (size <= 0 || size > VMF_DISK_ORDER_MAX)
        return G_SOURCE_REMOVE;
    g_autoptr(GBytes) order = g_bytes_new_take(g_steal_pointer(&room), (gsize)size);
    return answer(data, order) ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void
line_free(gpointer data)
{
    Line *line = data;
    close(line->fd);
    g_atomic_int_add(&line->lines->open, -1);
    g_free(line);
}

int
vmf_disk_line_open(VmfDiskLines *lines, GError **error)
{
    int ends[2] = {-1, -1};
    gboolean room = g_atomic_int_add(&lines->open, 1) < VMF_DISK_LINES_MAX;
    if (!room || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        int saved = errno;
        g_atomic_int_add(&lines->open, -1);
        g_set_error(error, VMF_ERROR, room ? VMF_ERROR_INTERNAL : VMF_ERROR_BUSY,
                    room ? "cannot open a line: %s" : "no more lines are open at a time than %s",
                    room ? g_strerror(saved) : G_STRINGIFY(VMF_DISK_LINES_MAX));
        return -1;
    }
    Line *line = g_new(Line, 1);
    *line = (Line){lines, ends[0]};
    g_autoptr(GSource) source = g_unix_fd_source_new(ends[0], G_IO_IN | G_IO_HUP | G_IO_ERR);
    g_source_set_callback(source, G_SOURCE_FUNC(on_order), line, line_free);
    g_source_attach(source, lines->context);
    return ends[1];
}
