/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/memory-stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/migrate/qemu-socket.h"

struct _VmfMemoryStream {
    VmfChannel *channel;
    GThread *waiter; /* source only */
    int listener, stop;
    gchar *path;
};

static VmfMemoryStream *
stream_new(VmfChannel *channel, const char *path)
{
    VmfMemoryStream *stream = g_new0(VmfMemoryStream, 1);
    stream->channel = channel;
    stream->path = g_strdup(path);
    stream->listener = stream->stop = -1;
    return stream;
}

static gpointer
wait_for_qemu(gpointer data)
{
    VmfMemoryStream *stream = data;
    struct pollfd fds[] = {{stream->listener, POLLIN, 0}, {stream->stop, POLLIN, 0}};
    while (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno == EINTR)
        continue;
    if (fds[1].revents)
        return NULL;
    int fd = accept4(stream->listener, NULL, NULL, SOCK_CLOEXEC);
    g_autoptr(GError) error = NULL;
    if (fd < 0 || !vmf_channel_pump(stream->channel, fd, &error)) {
        g_warning("memory stream '%s': %s", stream->path,
                  error ? error->message : g_strerror(errno));
        vmf_channel_close(stream->channel);
    }
    return NULL;
}

VmfMemoryStream *
vmf_memory_stream_listen(VmfChannel *channel, const char *path, uid_t uid, gid_t gid,
                         GError **error)
{
    g_autoptr(VmfMemoryStream) stream = stream_new(channel, path);
    stream->stop = eventfd(0, EFD_CLOEXEC);
    if (stream->stop < 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "no descriptor for '%s': %s", path,
                    g_strerror(errno));
        return NULL;
    }
    stream->listener = vmf_qemu_socket_listen(path, uid, gid, error);
    if (stream->listener < 0)
        return NULL;
    stream->waiter = g_thread_new("vmf-memory", wait_for_qemu, stream);
    return g_steal_pointer(&stream);
}

VmfMemoryStream *
vmf_memory_stream_join(VmfChannel *channel, const char *path, uid_t uid, GError **error)
{
    g_autoptr(VmfMemoryStream) stream = stream_new(channel, path);
    int fd = vmf_qemu_socket_connect(path, uid, error);
    if (fd < 0 || !vmf_channel_pump(channel, fd, error))
        return NULL;
    return g_steal_pointer(&stream);
}

guint64
vmf_memory_stream_bytes(VmfMemoryStream *stream)
{
    return MAX(vmf_channel_bytes_in(stream->channel), vmf_channel_bytes_out(stream->channel));
}

void
vmf_memory_stream_free(VmfMemoryStream *stream)
{
    if (stream == NULL)
        return;
    if (stream->waiter) {
        eventfd_write(stream->stop, 1);
        g_thread_join(stream->waiter);
    }
    if (stream->listener >= 0) {
        close(stream->listener);
        unlink(stream->path);
    }
    if (stream->stop >= 0)
        close(stream->stop);
    vmf_channel_unref(stream->channel);
    g_free(stream->path);
    g_free(stream);
}
