/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/peer-link.h"

#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <unistd.h>

#include "auth/initial-ticket.h"
#include "src/base/error.h"
#include "src/migrate/peer-bus.h"

#define CONNECT_TIMEOUT_S 5
#define HELLO_PATIENCE_S  30

struct _VmfPeerLink {
    const VmfContext *context;
    gchar *fqdn;
    VmfChannel *channel;
    GDBusConnection *bus;
    VmfPeer1 *proxy;
};

gboolean
vmf_peer_judge_now(const VmfPeerIdentity *peer, gpointer data, GError **error)
{
    const VmfContext *context = data;
    return vmf_peer_judge(peer, context->me, context->policy->group, context->directory, NULL,
                          error);
}

static gchar *
full_name(const VmfContext *context, const char *name)
{
    if (g_str_has_suffix(name, "$") || strchr(name, '.') != NULL)
        return g_strdup(name);
    const char *domain = strchr(context->me->fqdn, '.');
    return g_strconcat(name, domain ? domain : "", NULL);
}

static gboolean
holds_sid(const GPtrArray *sids, const char *sid)
{
    for (guint i = 0; i < sids->len; i++)
        if (g_ascii_strcasecmp(sids->pdata[i], sid) == 0)
            return TRUE;
    return FALSE;
}

VmfComputer *
vmf_peer_computer(const VmfContext *context, const char *name, GError **error)
{
    g_autofree gchar *full = full_name(context, name);
    return vmf_directory_computer(context->directory, full, error);
}

VmfComputer *
vmf_peer_find(const VmfContext *context, const char *name, GError **error)
{
    g_autoptr(VmfComputer) computer = vmf_peer_computer(context, name, error);
    if (computer == NULL)
        return NULL;
    g_autofree gchar *group = vmf_directory_group_sid(context->directory, context->policy->group,
                                                      error);
    if (group == NULL)
        return NULL;

    if (g_ascii_strcasecmp(computer->account, context->me->account) == 0)
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "'%s' is this host; name another one",
                    name);
    else if (!computer->enabled)
        g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                    "%s: its computer account is disabled in the directory; enable it "
                    "(Enable-ADAccount, samba-tool user enable '%s') if it may receive VMs",
                    computer->account, computer->account);
    else if (!holds_sid(computer->group_sids, group))
        g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                    "%s is not in the group '%s' (%s), whose members may exchange VMs; add it: "
                    "samba-tool group addmembers '%s' '%s', or Add-ADGroupMember",
                    computer->account, context->policy->group, group, context->policy->group,
                    computer->account);
    else if (computer->fqdn == NULL)
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "%s has no dNSHostName in the directory; join the host again, or set it",
                    computer->account);
    else
        return g_steal_pointer(&computer);
    return NULL;
}

/* (transfer full): why nothing came of it, and what helps against that */
static gchar *
explain_silence(const GError *why, const char *fqdn, guint port)
{
    if (why->domain == G_RESOLVER_ERROR)
        return g_strdup_printf("%s; no DNS here has its address: add it to the domain's, then: "
                               "getent hosts %s",
                               why->message, fqdn);
    if (g_error_matches(why, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
        return g_strdup_printf("%s; no vmferryd listens: on %s: systemctl start vmferryd, then: "
                               "vmferry doctor; [vmferry] port is to be the same on all hosts",
                               why->message, fqdn);
    return g_strdup_printf("%s; no answer comes: see that the host is up, and that no cable or "
                           "firewall keeps TCP port %u from this host: ping %s",
                           why->message, port, fqdn);
}

/* Returns a blocking socket of our own, or -1. */
static int
connect_tcp(const VmfContext *context, const char *fqdn, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_socket_client_set_timeout(client, CONNECT_TIMEOUT_S);
    g_socket_client_set_enable_proxy(client, FALSE);
    g_autoptr(GSocketConnection) connection = g_socket_client_connect_to_host(
        client, fqdn, context->policy->port, NULL, &local);
    int fd = -1;
    if (connection) {
        GSocket *socket = g_socket_connection_get_socket(connection);
        g_socket_set_blocking(socket, TRUE);
        fd = fcntl(g_socket_get_fd(socket), F_DUPFD_CLOEXEC, 3);
        if (fd >= 0)
            /* GLib keeps the fd itself non-blocking and emulates; ours is plain. */
            (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    }
    if (fd >= 0)
        return fd;
    if (local == NULL)
        g_set_error(&local, G_IO_ERROR, g_io_error_from_errno(errno), "%s", g_strerror(errno));
    g_autofree gchar *said = explain_silence(local, fqdn, context->policy->port);
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                "%s cannot reach vmferryd on %s, TCP port %u: %s", context->me->account, fqdn,
                context->policy->port, said);
    return -1;
}

gboolean
vmf_peer_link_was_cut(VmfPeerLink *link, GError **error)
{
    const char *cut = vmf_peer_bus_was_cut(link->bus);
    if (cut == NULL)
        return FALSE;
    g_clear_error(error);
    g_set_error(
        error, VMF_ERROR, VMF_ERROR_PROTOCOL,
        "the connection with %s was closed here: it %s; no vmferryd does that: look at what "
        "runs there before you move anything to it",
        link->fqdn, cut);
    return TRUE;
}

void
vmf_peer_link_explain(VmfPeerLink *link, GError **error)
{
    if (!vmf_peer_link_was_cut(link, error))
        vmf_peer_answer_error(error, link->fqdn);
}

static gboolean
say_hello(VmfPeerLink *link, GError **error)
{
    g_autoptr(GVariant) facts = NULL;
    GVariantDict mine;
    g_variant_dict_init(&mine, NULL);
    g_variant_dict_insert(&mine, "version", "s", VMF_VERSION);
    g_variant_dict_insert(&mine, "hostname", "s", link->context->me->fqdn);
    guint protocol;
    if (!vmf_peer1_call_hello_sync(link->proxy, VMF_PEER_PROTOCOL, g_variant_dict_end(&mine),
                                   &protocol, &facts, NULL, error)) {
        vmf_peer_link_explain(link, error);
        return FALSE;
    }
    return vmf_peer_answer_hello(protocol, link->fqdn, error);
}

/* Our judge, and whether it was ours that said no */
typedef struct {
    const VmfContext *context;
    gboolean refused;
} Judge;

static gboolean
judge_peer(const VmfPeerIdentity *peer, gpointer data, GError **error)
{
    Judge *judge = data;
    judge->refused = !vmf_peer_judge_now(peer, (gpointer)judge->context, error);
    return !judge->refused;
}

/* A host that refuses this one does not say why: what can be seen of the reason from here. */
static void
explain_refusal(const VmfContext *context, const char *fqdn, GError *refusal)
{
    g_autoptr(GError) why = NULL;
    g_autofree gchar *told = refusal->message;
    if (vmf_peer_judge_self(context->me, context->policy->group, context->directory, &why))
        refusal->message = g_strdup_printf(
            "%s. Seen from here nothing is wrong: the directory has '%s' enabled and in '%s'. If "
            "that is so since a moment ago, try again; else see the log of %s, and whether its "
            "vmferry.conf names the same group",
            told, context->me->account, context->policy->group, fqdn);
    else
        refusal->message = g_strdup_printf("%s. Seen from here: %s", told, why->message);
}

VmfPeerLink *
vmf_peer_link_open(const VmfContext *context, const char *fqdn, GError **error)
{
    g_autoptr(VmfPeerLink) link = g_new0(VmfPeerLink, 1);
    g_autoptr(GError) reason = NULL;
    Judge judge = {context, FALSE};
    link->context = context;
    link->fqdn = g_strdup(fqdn);
    VmfChannelConfig config = {
        .me = context->me,
        .keytab = context->policy->keytab,
        .judge = judge_peer,
        .judge_data = &judge,
        .door = context->door,
    };
    int fd = connect_tcp(context, fqdn, error);
    if (fd < 0)
        return NULL;
    link->channel = vmf_channel_connect(&config, fd, fqdn, &reason);
    if (link->channel == NULL) {
        vmf_recent_ticket_forget(); /* this host may be in the group by now: the next one tells */
        if (!judge.refused && g_error_matches(reason, VMF_ERROR, VMF_ERROR_DENIED))
            explain_refusal(context, fqdn, reason);
        g_propagate_error(error, g_steal_pointer(&reason));
        return NULL;
    }
    fd = vmf_channel_steal_fd(link->channel, error);
    if (fd < 0)
        return NULL;
    link->bus = vmf_peer_bus_over(fd, FALSE, fqdn, error);
    if (link->bus == NULL) {
        vmf_error_from_dbus(error, fqdn);
        return NULL;
    }
    link->proxy = vmf_peer1_proxy_new_sync(link->bus,
                                           G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES |
                                               G_DBUS_PROXY_FLAGS_DO_NOT_CONNECT_SIGNALS,
                                           NULL, VMF_PEER_PATH, NULL, error);
    if (link->proxy == NULL)
        return NULL;
    vmf_peer_link_set_patience(link, HELLO_PATIENCE_S);
    if (!say_hello(link, error)) {
        vmf_recent_ticket_forget();
        return NULL;
    }
    vmf_peer_link_set_patience(link, 0);
    return g_steal_pointer(&link);
}

void
vmf_peer_link_free(VmfPeerLink *link)
{
    if (link == NULL)
        return;
    g_clear_object(&link->proxy);
    if (link->bus)
        g_dbus_connection_close_sync(link->bus, NULL, NULL);
    g_clear_object(&link->bus);
    g_clear_pointer(&link->channel, vmf_channel_unref);
    g_free(link->fqdn);
    g_free(link);
}

VmfPeer1 *
vmf_peer_link_proxy(VmfPeerLink *link)
{
    return link->proxy;
}

void
vmf_peer_link_set_patience(VmfPeerLink *link, guint seconds)
{
    g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(link->proxy),
                                     seconds > 0 ? (gint)seconds * 1000 : G_MAXINT);
}

VmfChannel *
vmf_peer_link_channel(VmfPeerLink *link)
{
    return link->channel;
}

gboolean
vmf_peer_link_is_lost(VmfPeerLink *link)
{
    return g_dbus_connection_is_closed(link->bus);
}

VmfChannel *
vmf_peer_link_stream(VmfPeerLink *link, const char *name, GError **error)
{
    int fd = connect_tcp(link->context, link->fqdn, error);
    return fd < 0 ? NULL : vmf_channel_stream_connect(link->channel, fd, name, error);
}
