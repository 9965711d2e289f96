/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/daemon/listener.h"

#include "src/base/error.h"
#include "src/channel/door.h"
#include "src/migrate/peer-link.h"
#include "src/migrate/vm-disks.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define DOOR_USER "vmferry-door"
#define BACKLOG   128

/* For how long the vmferry-door of a vmferryd that was killed may still have the port */
#define PREDECESSOR_S ((gint64)5)

typedef struct {
    const VmfContext *context;
    VmfPeerTable *peers;
} Listener;

static gboolean
serve(const Listener *listener, VmfArrival *arrival, GError **error)
{
    VmfChannelConfig config = {
        .me = listener->context->me,
        .keytab = listener->context->policy->keytab,
        .judge = vmf_peer_judge_now,
        .judge_data = (gpointer)listener->context,
    };
    VmfChannel *channel = vmf_door_accept(&config, arrival, listener->context->streams, error);
    if (channel == NULL)
        return FALSE;
    return vmf_channel_is_stream(channel)
               ? vmf_peer_table_join_stream(listener->peers, channel, error)
               : vmf_peer_table_serve(listener->peers, channel, error);
}

static void
meet(VmfArrival *arrival, gpointer listener)
{
    g_autofree gchar *from = g_strdup(vmf_arrival_address(arrival));
    g_autoptr(GError) error = NULL;
    if (!serve(listener, arrival, &error))
        g_message("connection from %s refused: %s", from, error->message);
}

/* All addresses of both families where there is IPv6, else those of IPv4. */
static int
bind_port(guint16 port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    int off = 0, on = 1;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    gboolean both = fd >= 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0;
    if (!both && fd >= 0)
        close(fd);
    if (!both)
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int rc = both ? bind(fd, (struct sockaddr *)&six, sizeof six)
                  : bind(fd, (struct sockaddr *)&four, sizeof four);
    if (rc == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* A predecessor's vmferry-door ends when it hears that its vmferryd has, which takes a moment. */
static int
bind_port_when_free(guint16 port)
{
    gint64 until = g_get_monotonic_time() + PREDECESSOR_S * G_USEC_PER_SEC;
    int fd = bind_port(port);
    while (fd < 0 && errno == EADDRINUSE && g_get_monotonic_time() < until) {
        g_usleep(20000);
        fd = bind_port(port);
    }
    return fd;
}

VmfDoor *
vmf_listener_door(const VmfContext *context, GError **error)
{
    VmfDoorSettings settings = {.me = context->me, .keytab = context->policy->keytab};
    return vmf_local_user(DOOR_USER, "the user of vmferry-door", &settings.user.uid,
                          &settings.user.gid, error)
               ? vmf_door_open(&settings, error)
               : NULL;
}

gboolean
vmf_listener_start(const VmfContext *context, VmfPeerTable *peers, GError **error)
{
    int fd = bind_port_when_free(context->policy->port);
    if (fd < 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "cannot listen for peers on TCP port %u ([vmferry] port of %s): %s",
                    context->policy->port, VMF_LOCAL_POLICY_FILE, g_strerror(errno));
        return FALSE;
    }
    Listener *listener = g_new0(Listener, 1);
    *listener = (Listener){context, peers};
    vmf_door_listen(context->door, fd, meet, listener);
    return TRUE;
}
