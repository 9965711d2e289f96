/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/route-facts.h"

#include <arpa/inet.h>
#include <string.h>

#include "src/base/error.h"
#include "src/vm/netlink.h"

typedef struct {
    guint8 family; /* AF_INET, AF_INET6 */
    guint8 bytes[16];
    gsize size;
} Address;

static gboolean
parse_address(const char *text, Address *address)
{
    address->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    address->size = address->family == AF_INET6 ? 16 : 4;
    if (inet_pton(address->family, text, address->bytes) != 1)
        return FALSE;
    static const guint8 mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (address->family == AF_INET6 && memcmp(address->bytes, mapped, sizeof mapped) == 0) {
        memmove(address->bytes, address->bytes + sizeof mapped, 4);
        address->family = AF_INET;
        address->size = 4;
    }
    return TRUE;
}

static gchar *
show_address(guint8 family, gconstpointer bytes)
{
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(family, bytes, text, sizeof text);
    return g_strdup(text);
}

gboolean
vmf_same_subnet(const guint8 *a, const guint8 *b, gsize bytes, guint prefix)
{
    gsize whole = MIN(prefix / 8, bytes);
    guint8 mask = (guint8)(0xff00 >> (prefix % 8));
    return memcmp(a, b, whole) == 0 && (whole == bytes || ((a[whole] ^ b[whole]) & mask) == 0);
}

/* What the kernel would do with a packet to the peer. @index: (out): by which interface */
static gboolean
ask_route(const Address *peer, VmfFactRoute *route, guint *index, guint8 *source, gboolean *routed,
          GError **error)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
        struct rtattr attribute;
        guint8 address[16];
    } request = {
        .header = {.nlmsg_len = (guint32)(NLMSG_LENGTH(sizeof(struct rtmsg)) +
                                          RTA_LENGTH(peer->size)),
                   .nlmsg_type = RTM_GETROUTE},
        .route = {.rtm_family = peer->family, .rtm_dst_len = (guint8)(peer->size * 8)},
        .attribute = {.rta_len = (guint16)RTA_LENGTH(peer->size), .rta_type = RTA_DST},
    };
    memcpy(request.address, peer->bytes, peer->size);
    g_autoptr(GByteArray) answer = vmf_netlink_ask(&request.header, error);
    gsize offset = 0, size;
    const struct nlmsghdr *message = answer != NULL ? vmf_netlink_next(answer->data, answer->len,
                                                                       &offset, RTM_NEWROUTE)
                                                    : NULL;
    if (message == NULL || message->nlmsg_len < NLMSG_SPACE(sizeof(struct rtmsg)))
        return FALSE;
    const guint8 *data = (const guint8 *)message + NLMSG_SPACE(sizeof(struct rtmsg));
    gsize length = message->nlmsg_len - NLMSG_SPACE(sizeof(struct rtmsg));
    const guint8 *oif = vmf_netlink_attribute(data, length, RTA_OIF, 4, &size);
    const guint8 *from = vmf_netlink_attribute(data, length, RTA_PREFSRC, peer->size, &size);
    *routed = vmf_netlink_attribute(data, length, RTA_GATEWAY, 1, &size) != NULL;
    if (oif == NULL || from == NULL)
        return FALSE;
    guint32 found;
    memcpy(&found, oif, sizeof found);
    *index = found;
    memcpy(source, from, peer->size);
    g_free(route->address);
    route->address = show_address(peer->family, from);
    return TRUE;
}

/* The subnet of our address on that interface; 0: not found. */
static guint
ask_prefix(const Address *peer, guint index, const guint8 *source)
{
    struct {
        struct nlmsghdr header;
        struct ifaddrmsg info;
    } request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = RTM_GETADDR,
                   .nlmsg_flags = NLM_F_DUMP},
        .info = {.ifa_family = peer->family},
    };
    g_autoptr(GByteArray) answer = vmf_netlink_ask(&request.header, NULL);
    const struct nlmsghdr *message;
    gsize offset = 0, size;
    while (answer != NULL &&
           (message = vmf_netlink_next(answer->data, answer->len, &offset, RTM_NEWADDR)) != NULL) {
        if (message->nlmsg_len < NLMSG_SPACE(sizeof(struct ifaddrmsg)))
            continue;
        const struct ifaddrmsg *info = NLMSG_DATA(message);
        const guint8 *data = (const guint8 *)message + NLMSG_SPACE(sizeof *info);
        gsize length = message->nlmsg_len - NLMSG_SPACE(sizeof *info);
        const guint8 *local = vmf_netlink_attribute(data, length, IFA_LOCAL, peer->size, &size);
        if (local == NULL)
            local = vmf_netlink_attribute(data, length, IFA_ADDRESS, peer->size, &size);
        if (local != NULL && info->ifa_index == index && memcmp(local, source, peer->size) == 0)
            return info->ifa_prefixlen;
    }
    return 0;
}

/* Does a default route of the main table leave by it? */
static gboolean
carries_default(const Address *peer, guint index)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
    } request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = RTM_GETROUTE,
                   .nlmsg_flags = NLM_F_DUMP},
        .route = {.rtm_family = peer->family},
    };
    g_autoptr(GByteArray) answer = vmf_netlink_ask(&request.header, NULL);
    const struct nlmsghdr *message;
    gsize offset = 0, size;
    while (answer != NULL &&
           (message = vmf_netlink_next(answer->data, answer->len, &offset, RTM_NEWROUTE)) != NULL) {
        if (message->nlmsg_len < NLMSG_SPACE(sizeof(struct rtmsg)))
            continue;
        const struct rtmsg *info = NLMSG_DATA(message);
        const guint8 *data = (const guint8 *)message + NLMSG_SPACE(sizeof *info);
        gsize length = message->nlmsg_len - NLMSG_SPACE(sizeof *info);
        const guint8 *oif = vmf_netlink_attribute(data, length, RTA_OIF, 4, &size);
        guint32 by = 0;
        if (oif != NULL)
            memcpy(&by, oif, sizeof by);
        if (info->rtm_family == peer->family && info->rtm_dst_len == 0 && by == index &&
            info->rtm_table == RT_TABLE_MAIN && info->rtm_type == RTN_UNICAST)
            return TRUE;
    }
    return FALSE;
}

/* Mbit/s as the driver says; a virtual or unplugged one says -1 or nothing. */
static guint
read_speed(const char *name)
{
    g_autofree gchar *path = g_build_filename("/sys/class/net", name, "speed", NULL);
    g_autofree gchar *text = NULL;
    if (strchr(name, '/') != NULL || !g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    gint64 speed = g_ascii_strtoll(text, NULL, 10);
    return speed > 0 && speed < G_MAXINT ? (guint)speed : 0;
}

void
vmf_route_facts_gather(const char *peer, VmfFactRoute *route)
{
    Address address;
    g_autoptr(GError) error = NULL;
    guint8 source[16];
    guint index = 0;
    gboolean routed = FALSE;
    vmf_fact_set(&route->peer_address, peer);
    if (!parse_address(peer, &address)) {
        vmf_fact_printf(&route->reason, "'%s' is no address", peer);
        return;
    }
    if (!ask_route(&address, route, &index, source, &routed, &error)) {
        vmf_fact_printf(&route->reason, "no way to '%s' is known: %s", peer,
                        error != NULL ? error->message : "the kernel's answer says none");
        return;
    }
    g_autoptr(GPtrArray) links = vmf_netlink_links(&error);
    const VmfLink *link = links != NULL ? vmf_link_by_index(links, index) : NULL;
    if (link == NULL) {
        vmf_fact_printf(&route->reason, "the interface to '%s' is not known: %s", peer,
                        error != NULL ? error->message : "it has gone");
        return;
    }
    vmf_fact_set(&route->interface, link->name);
    route->mtu = link->mtu;
    route->prefix = ask_prefix(&address, index, source);
    route->on_link = !routed && route->prefix > 0 &&
                     vmf_same_subnet(address.bytes, source, address.size, route->prefix);
    route->default_route = carries_default(&address, index);
    route->speed_mbit = read_speed(link->name);
}
