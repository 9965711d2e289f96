/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/daemon/listener.h"

#include <errno.h>
#include <fcntl.h>

#include "src/base/error.h"
#include "src/channel/connection-limits.h"
#include "src/migrate/peer-link.h"

typedef struct {
    const VmfContext *context;
    VmfPeerTable *peers;
    VmfChannelLimits *limits;
} Listener;

typedef struct {
    Listener *listener;
    GInetAddress *address;
    int fd;
} Arrival;

static gboolean
serve(Listener *listener, int fd, GError **error)
{
    VmfChannelConfig config = {
        .me = listener->context->me,
        .keytab = listener->context->policy->keytab,
        .judge = vmf_peer_judge_now,
        .judge_data = (gpointer)listener->context,
    };
    VmfChannel *channel = vmf_channel_accept(&config, fd, listener->context->streams, error);
    if (channel == NULL)
        return FALSE;
    return vmf_channel_is_stream(channel)
               ? vmf_peer_table_join_stream(listener->peers, channel, error)
               : vmf_peer_table_serve(listener->peers, channel, error);
}

static gpointer
meet(gpointer data)
{
    Arrival *arrival = data;
    g_autoptr(GError) error = NULL;
    if (!serve(arrival->listener, arrival->fd, &error)) {
        g_autofree gchar *from = g_inet_address_to_string(arrival->address);
        g_message("connection from %s refused: %s", from, error->message);
    }
    vmf_channel_limits_leave(arrival->listener->limits, arrival->address);
    g_object_unref(arrival->address);
    g_free(arrival);
    return NULL;
}

static gboolean
on_incoming(GSocketService *service, GSocketConnection *connection, GObject *source,
            Listener *listener)
{
    g_autoptr(GSocketAddress) remote = g_socket_connection_get_remote_address(connection, NULL);
    if (!G_IS_INET_SOCKET_ADDRESS(remote))
        return TRUE;
    GInetAddress *address = g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(remote));
    if (!vmf_channel_limits_enter(listener->limits, address))
        return TRUE;
    GSocket *socket = g_socket_connection_get_socket(connection);
    int fd = fcntl(g_socket_get_fd(socket), F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        vmf_channel_limits_leave(listener->limits, address);
        return TRUE;
    }
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    Arrival *arrival = g_new0(Arrival, 1);
    *arrival = (Arrival){listener, g_object_ref(address), fd};
    g_thread_unref(g_thread_new("vmf-meet", meet, arrival));
    return TRUE;
}

GSocketService *
vmf_listener_start(const VmfContext *context, VmfPeerTable *peers, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(GSocketService) service = g_socket_service_new();
    if (!g_socket_listener_add_inet_port(G_SOCKET_LISTENER(service), context->policy->port, NULL,
                                         &local)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "cannot listen for peers on TCP port %u ([vmferry] port of %s): %s",
                    context->policy->port, VMF_LOCAL_POLICY_FILE, local->message);
        return NULL;
    }
    Listener *listener = g_new0(Listener, 1);
    *listener = (Listener){context, peers, vmf_channel_limits_new(0, 0)};
    g_signal_connect(service, "incoming", G_CALLBACK(on_incoming), listener);
    g_socket_service_start(service);
    return g_steal_pointer(&service);
}
