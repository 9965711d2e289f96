/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/announce.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/vm/xml-read.h"

#define MAC_BYTES    6
#define BUFFER_BYTES 32768 /* what the kernel puts into one datagram of a dump */
#define XML_MAX      ((gsize)10 * 1024 * 1024)

typedef struct {
    char port[IF_NAMESIZE];
    int port_index;
    guint8 mac[MAC_BYTES];
    gboolean is_port; /* the bridge has told of some address there, if only the port's own */
    gboolean heard;
} Expected;

struct VmfAnnounce {
    int fd;
    GArray *expected;
    gint64 last_heard; /* monotonic µs */
};

static gboolean
netlink_fault(GError **error, const char *what)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "cannot %s: %s", what, g_strerror(errno));
    return FALSE;
}

VmfAnnounce *
vmf_announce_open(GError **error)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_NEIGH};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        netlink_fault(error, "listen to the kernel's network news");
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    VmfAnnounce *announce = g_new0(VmfAnnounce, 1);
    announce->fd = fd;
    announce->expected = g_array_new(FALSE, FALSE, sizeof(Expected));
    return announce;
}

void
vmf_announce_free(VmfAnnounce *announce)
{
    if (announce == NULL)
        return;
    close(announce->fd);
    g_array_unref(announce->expected);
    g_free(announce);
}

/* ---- who is expected ---- */

static gboolean
parse_mac(const char *text, guint8 mac[MAC_BYTES])
{
    if (strlen(text) != MAC_BYTES * 3 - 1)
        return FALSE;
    for (guint i = 0; i < MAC_BYTES; i++) {
        int high = g_ascii_xdigit_value(text[i * 3]);
        int low = g_ascii_xdigit_value(text[i * 3 + 1]);
        if (high < 0 || low < 0 || (i + 1 < MAC_BYTES && text[i * 3 + 2] != ':'))
            return FALSE;
        mac[i] = (guint8)(high << 4 | low);
    }
    return TRUE;
}

gboolean
vmf_announce_expect(VmfAnnounce *announce, const char *port, const char *mac, GError **error)
{
    Expected added = {.port_index = (int)if_nametoindex(port)};
    if (!parse_mac(mac, added.mac)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "'%s' is no MAC address", mac);
        return FALSE;
    }
    if (added.port_index == 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "this host has no network device '%s'",
                    port);
        return FALSE;
    }
    g_strlcpy(added.port, port, sizeof added.port);
    g_array_append_val(announce->expected, added);
    return TRUE;
}

static xmlNode *
child(xmlNode *node, const char *name)
{
    xmlNode *at = xmlFirstElementChild(node);
    while (at != NULL && strcmp((const char *)at->name, name) != 0)
        at = xmlNextElementSibling(at);
    return at;
}

static gboolean
expect_interface(VmfAnnounce *announce, xmlNode *interface, GError **error)
{
    xmlNode *target = child(interface, "target"), *mac = child(interface, "mac");
    g_autoptr(xmlChar) port = target != NULL ? xmlGetProp(target, (const xmlChar *)"dev") : NULL;
    g_autoptr(xmlChar) address = mac != NULL ? xmlGetProp(mac, (const xmlChar *)"address") : NULL;
    return port == NULL || address == NULL ||
           vmf_announce_expect(announce, (const char *)port, (const char *)address, error);
}

gboolean
vmf_announce_expect_all(VmfAnnounce *announce, const char *live_xml, GError **error)
{
    g_autoptr(xmlDoc)
        doc = vmf_xml_read("libvirt's definition", live_xml, strlen(live_xml), XML_MAX, error);
    if (doc == NULL)
        return FALSE;
    xmlNode *devices = child(xmlDocGetRootElement(doc), "devices");
    for (xmlNode *at = devices != NULL ? xmlFirstElementChild(devices) : NULL; at != NULL;
         at = xmlNextElementSibling(at)) {
        if (strcmp((const char *)at->name, "interface") == 0 &&
            !expect_interface(announce, at, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- listening ---- */

/* PERMANENT: the bridge's or the port's own address, known before anybody was heard. */
static void
note_address(VmfAnnounce *announce, const struct ndmsg *neighbour, const guint8 *mac)
{
    for (guint i = 0; i < announce->expected->len; i++) {
        Expected *expected = &g_array_index(announce->expected, Expected, i);
        if (expected->port_index != neighbour->ndm_ifindex)
            continue;
        expected->is_port = TRUE;
        if (!expected->heard && (neighbour->ndm_state & NUD_PERMANENT) == 0 &&
            memcmp(expected->mac, mac, MAC_BYTES) == 0) {
            expected->heard = TRUE;
            announce->last_heard = g_get_monotonic_time();
        }
    }
}

static void
note_neighbour(VmfAnnounce *announce, const struct nlmsghdr *message)
{
    const struct ndmsg *neighbour = NLMSG_DATA(message);
    const guint8 *mac = NULL;
    gboolean in_bridge = FALSE;
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof *neighbour) || neighbour->ndm_family != AF_BRIDGE)
        return;
    int length = (int)(message->nlmsg_len - NLMSG_LENGTH(sizeof *neighbour));
    const struct rtattr *attribute = (const void *)((const guint8 *)neighbour +
                                                    NLMSG_ALIGN(sizeof *neighbour));
    for (; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length)) {
        if (attribute->rta_type == NDA_LLADDR && RTA_PAYLOAD(attribute) == MAC_BYTES)
            mac = RTA_DATA(attribute);
        else if (attribute->rta_type == NDA_MASTER)
            in_bridge = TRUE;
    }
    if (mac != NULL && in_bridge)
        note_address(announce, neighbour, mac);
}

static gboolean
ask_for_table(VmfAnnounce *announce, GError **error)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg body;
    } request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = RTM_GETNEIGH,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .body = {.ifi_family = PF_BRIDGE},
    };
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (sendto(announce->fd, &request, sizeof request, 0, (struct sockaddr *)&kernel,
               sizeof kernel) < 0)
        return netlink_fault(error, "ask for the bridges' address table");
    return TRUE;
}

/* One datagram. News that were lost are in the table. */
static gboolean
read_news(VmfAnnounce *announce, GError **error)
{
    g_autofree guint8 *buffer = g_malloc(BUFFER_BYTES);
    ssize_t got = recv(announce->fd, buffer, BUFFER_BYTES, MSG_DONTWAIT);
    if (got < 0 && errno == ENOBUFS)
        return ask_for_table(announce, error);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR || netlink_fault(error, "read network news");
    int left = (int)got;
    for (const struct nlmsghdr *at = (const void *)buffer; NLMSG_OK(at, left);
         at = NLMSG_NEXT(at, left)) {
        if (at->nlmsg_type == RTM_NEWNEIGH)
            note_neighbour(announce, at);
    }
    return TRUE;
}

static const Expected *
first_missing(const VmfAnnounce *announce)
{
    for (guint i = 0; i < announce->expected->len; i++) {
        const Expected *expected = &g_array_index(announce->expected, Expected, i);
        if (!expected->heard)
            return expected;
    }
    return NULL;
}

static gboolean
not_heard(const Expected *missing, guint timeout_ms, GError **error)
{
    const guint8 *mac = missing->mac;
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                "%02x:%02x:%02x:%02x:%02x:%02x was not heard on '%s' within %u ms%s: neighbours "
                "may still send to the other host",
                mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], missing->port, timeout_ms,
                missing->is_port ? "" : ", which is no port of a bridge");
    return FALSE;
}

gboolean
vmf_announce_wait(VmfAnnounce *announce, guint timeout_ms, gint64 *monotonic_us, GError **error)
{
    gint64 until = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    const Expected *missing;
    if (!ask_for_table(announce, error))
        return FALSE;
    while ((missing = first_missing(announce)) != NULL) {
        struct pollfd news = {.fd = announce->fd, .events = POLLIN};
        gint64 left_us = until - g_get_monotonic_time();
        int ready = poll(&news, 1, (int)((MAX(left_us, 0) + 999) / 1000));
        if (ready < 0 && errno != EINTR)
            return netlink_fault(error, "wait for network news");
        if (ready > 0 && !read_news(announce, error))
            return FALSE;
        if (ready == 0 && left_us <= 0)
            return not_heard(missing, timeout_ms, error);
    }
    if (monotonic_us != NULL)
        *monotonic_us = announce->last_heard;
    return TRUE;
}
