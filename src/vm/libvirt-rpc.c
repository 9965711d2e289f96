/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/libvirt-rpc.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/vm/libvirt-error.h"
#include "src/vm/libvirt-wire.h"

#define READ_AT_ONCE (128 * 1024) /* more than any reply of a migration */

struct VmfRpc {
    int fd;
    guint32 serial;
    gboolean dead; /* an outcome is unknown: nothing further can be believed */
    GByteArray *inbox;
    GCancellable *cancellable;
};

static int
connect_error_code(int err)
{
    return err == EACCES || err == EPERM ? VMF_ERROR_DENIED : VMF_ERROR_UNREACHABLE;
}

VmfRpc *
vmf_rpc_connect(const char *socket_path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (g_strlcpy(address.sun_path, socket_path, sizeof address.sun_path) >=
        sizeof address.sun_path) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "libvirt's socket path '%s' is too long",
                    socket_path);
        return NULL;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int err = errno;
        if (fd >= 0)
            close(fd);
        g_set_error(error, VMF_ERROR, connect_error_code(err),
                    "cannot connect to libvirtd on '%s': %s; is libvirtd running?", socket_path,
                    g_strerror(err));
        return NULL;
    }
    return vmf_rpc_adopt(fd, error);
}

VmfRpc *
vmf_rpc_adopt(int fd, GError **error)
{
    int domain = 0, type = 0;
    socklen_t length = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || domain != AF_UNIX ||
        type != SOCK_STREAM) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                    "descriptor %d is not a local stream socket: it cannot lead to libvirtd", fd);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    VmfRpc *rpc = g_new0(VmfRpc, 1);
    rpc->fd = fd;
    rpc->inbox = g_byte_array_new();
    /* Anywhere: a predecessor's late replies on this socket must not look like ours. */
    rpc->serial = g_random_int_range(1, G_MAXINT32);
    return rpc;
}

void
vmf_rpc_free(VmfRpc *rpc)
{
    if (rpc == NULL)
        return;
    close(rpc->fd);
    g_byte_array_unref(rpc->inbox);
    g_clear_object(&rpc->cancellable);
    g_free(rpc);
}

int
vmf_rpc_fd(const VmfRpc *rpc)
{
    return rpc->fd;
}

gboolean
vmf_rpc_is_connected(const VmfRpc *rpc)
{
    struct pollfd polled = {.fd = rpc->fd, .events = POLLRDHUP};
    int ready;
    do
        ready = poll(&polled, 1, 0);
    while (ready < 0 && errno == EINTR);
    return !rpc->dead && ready == 0;
}

void
vmf_rpc_set_cancellable(VmfRpc *rpc, GCancellable *cancellable)
{
    g_set_object(&rpc->cancellable, cancellable);
}

static gboolean
lost(GError **error, const char *why)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                "the connection to libvirtd was lost (%s): whether the call was done is unknown",
                why);
    return FALSE;
}

/* Waits until the socket is ready or the caller no longer wants to wait. */
static gboolean
wait_for(VmfRpc *rpc, short events, GError **error)
{
    GPollFD polled[2] = {{.fd = rpc->fd, .events = (gushort)events}};
    guint n = 1;
    if (rpc->cancellable != NULL && g_cancellable_make_pollfd(rpc->cancellable, &polled[1]))
        n = 2;
    int ready;
    do
        ready = g_poll(polled, n, -1);
    while (ready < 0 && errno == EINTR);
    int err = errno;
    if (n == 2)
        g_cancellable_release_fd(rpc->cancellable);
    if (ready < 0)
        return lost(error, g_strerror(err));
    if (g_cancellable_is_cancelled(rpc->cancellable))
        return lost(error, "its answer is no longer waited for");
    return TRUE;
}

static gboolean
send_all(VmfRpc *rpc, const guint8 *data, gsize length, GError **error)
{
    while (length > 0) {
        if (!wait_for(rpc, POLLOUT, error))
            return FALSE;
        ssize_t sent = send(rpc->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return lost(error, g_strerror(errno));
        if (sent > 0) {
            data += sent;
            length -= (gsize)sent;
        }
    }
    return TRUE;
}

static gboolean
receive_some(VmfRpc *rpc, GError **error)
{
    if (!wait_for(rpc, POLLIN, error))
        return FALSE;
    guint had = rpc->inbox->len;
    g_byte_array_set_size(rpc->inbox, had + READ_AT_ONCE);
    ssize_t got = recv(rpc->fd, rpc->inbox->data + had, READ_AT_ONCE, MSG_DONTWAIT);
    int err = errno;
    g_byte_array_set_size(rpc->inbox, had + (guint)MAX(got, 0));
    if (got == 0)
        return lost(error, "libvirtd closed it");
    if (got < 0 && err != EAGAIN && err != EINTR)
        return lost(error, g_strerror(err));
    return TRUE;
}

/* The next whole frame off the socket, or NULL. */
static GBytes *
receive_frame(VmfRpc *rpc, GError **error)
{
    for (;;) {
        gsize length;
        if (!vmf_wire_frame_length(rpc->inbox->data, rpc->inbox->len, &length, error))
            return NULL;
        if (length > 0 && length <= rpc->inbox->len) {
            GBytes *frame = g_bytes_new(rpc->inbox->data, length);
            g_byte_array_remove_range(rpc->inbox, 0, (guint)length);
            return frame;
        }
        if (!receive_some(rpc, error))
            return NULL;
    }
}

static VmfRpcResult
take_reply(VmfRpc *rpc, guint32 procedure, GBytes **reply, int *code, GError **error)
{
    for (;;) {
        g_autoptr(GBytes) frame = receive_frame(rpc, error);
        if (frame == NULL)
            return VMF_RPC_UNKNOWN;
        VmfWireReply decoded = {0};
        switch (vmf_wire_decode_reply(frame, procedure, rpc->serial, &decoded, error)) {
        case VMF_WIRE_OTHER:
            continue;
        case VMF_WIRE_MALFORMED:
            return VMF_RPC_UNKNOWN;
        case VMF_WIRE_REPLY:
            *reply = decoded.body;
            return VMF_RPC_OK;
        case VMF_WIRE_ERROR:
            *code = decoded.code;
            g_set_error(error, VMF_ERROR, vmf_libvirt_error_code(decoded.code, decoded.domain),
                        "libvirt: %s (error %d)",
                        decoded.message != NULL ? decoded.message : "no reason given",
                        decoded.code);
            g_free(decoded.message);
            return VMF_RPC_ERROR;
        }
    }
}

VmfRpcResult
vmf_rpc_call(VmfRpc *rpc, guint32 procedure, GByteArray *args, GBytes **reply, int *code,
             GError **error)
{
    if (rpc->dead) {
        lost(error, "an earlier call on it has no known outcome");
        return VMF_RPC_UNKNOWN;
    }
    rpc->serial++;
    g_autoptr(GByteArray) frame = vmf_wire_encode_call(procedure, rpc->serial, args);
    VmfRpcResult result = send_all(rpc, frame->data, frame->len, error)
                              ? take_reply(rpc, procedure, reply, code, error)
                              : VMF_RPC_UNKNOWN;
    rpc->dead = result == VMF_RPC_UNKNOWN;
    return result;
}
