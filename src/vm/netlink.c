/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/netlink.h"

#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/base/error.h"

#define ANSWER_MAX ((gsize)16 * 1024 * 1024)
#define WAIT_S     2

/* ---- asking ---- */

static gboolean
fail(GError **error, int code)
{
    if (code == ENETUNREACH || code == EHOSTUNREACH || code == ESRCH)
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "there is no route to it");
    else
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "the kernel does not tell: %s",
                    g_strerror(code));
    return FALSE;
}

/* Is the answer complete with these messages? An error message ends it, too. */
static gboolean
is_last(const guint8 *bytes, gsize length, int *code)
{
    gsize offset = 0;
    const struct nlmsghdr *message = NULL;
    gboolean last = FALSE;
    while (!last && (message = vmf_netlink_next(bytes, length, &offset, 0)) != NULL) {
        last = message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR ||
               (message->nlmsg_flags & NLM_F_MULTI) == 0;
        if (message->nlmsg_type == NLMSG_ERROR &&
            message->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
            *code = -((const struct nlmsgerr *)NLMSG_DATA(message))->error;
    }
    return last;
}

static gboolean
receive(int fd, GByteArray *answer, GError **error)
{
    g_autofree guint8 *chunk = g_malloc(65536);
    for (;;) {
        ssize_t got = recv(fd, chunk, 65536, MSG_TRUNC);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || got > 65536 || answer->len + (gsize)got > ANSWER_MAX)
            return fail(error, got < 0 ? errno : EMSGSIZE);
        g_byte_array_append(answer, chunk, (guint)got);
        int code = 0;
        if (is_last(chunk, (gsize)got, &code))
            return code == 0 || fail(error, code);
    }
}

GByteArray *
vmf_netlink_ask(struct nlmsghdr *request, GError **error)
{
    const struct timeval wait = {.tv_sec = WAIT_S};
    g_autoptr(GByteArray) answer = g_byte_array_new();
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    request->nlmsg_flags |= NLM_F_REQUEST;
    gboolean ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
                  send(fd, request, request->nlmsg_len, 0) == (ssize_t)request->nlmsg_len;
    if (!ok)
        fail(error, errno);
    else
        ok = receive(fd, answer, error);
    if (fd >= 0)
        close(fd);
    return ok ? g_steal_pointer(&answer) : NULL;
}

/* ---- reading ---- */

const struct nlmsghdr *
vmf_netlink_next(const guint8 *bytes, gsize length, gsize *offset, guint type)
{
    while (length - *offset >= sizeof(struct nlmsghdr)) {
        const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)(bytes + *offset);
        gsize size = message->nlmsg_len;
        if (size < sizeof *message || size > length - *offset)
            return NULL;
        *offset += MIN(NLMSG_ALIGN(size), length - *offset);
        if (type == 0 || message->nlmsg_type == type)
            return message;
    }
    return NULL;
}

gconstpointer
vmf_netlink_attribute(gconstpointer data, gsize length, guint type, gsize least, gsize *size)
{
    const guint8 *at = data;
    while (length >= sizeof(struct rtattr)) {
        const struct rtattr *attribute = (const struct rtattr *)(const void *)at;
        gsize whole = attribute->rta_len;
        if (whole < sizeof *attribute || whole > length)
            return NULL;
        *size = whole - RTA_LENGTH(0);
        if ((attribute->rta_type & NLA_TYPE_MASK) == type)
            return *size >= least ? at + RTA_LENGTH(0) : NULL;
        gsize step = MIN(RTA_ALIGN(whole), length);
        at += step;
        length -= step;
    }
    return NULL;
}

/* ---- interfaces ---- */

static void
link_free(gpointer data)
{
    VmfLink *link = data;
    g_free(link->name);
    g_free(link->kind);
    g_free(link);
}

static guint
number(gconstpointer data, gsize length, guint type)
{
    gsize size;
    guint32 value = 0;
    gconstpointer payload = vmf_netlink_attribute(data, length, type, sizeof value, &size);
    if (payload != NULL)
        memcpy(&value, payload, sizeof value);
    return value;
}

static gchar *
text(gconstpointer data, gsize length, guint type)
{
    gsize size;
    const char *payload = vmf_netlink_attribute(data, length, type, 1, &size);
    g_autofree gchar *raw = payload != NULL ? g_strndup(payload, size) : g_strdup("");
    return g_utf8_make_valid(raw, -1);
}

static void
read_kind(VmfLink *link, gconstpointer data, gsize length)
{
    gsize info_size, vlan_size, size;
    guint16 tag = 0;
    gconstpointer info = vmf_netlink_attribute(data, length, IFLA_LINKINFO, 0, &info_size);
    if (info == NULL) {
        link->kind = g_strdup("");
        return;
    }
    link->kind = text(info, info_size, IFLA_INFO_KIND);
    gconstpointer vlan = strcmp(link->kind, "vlan") == 0
                             ? vmf_netlink_attribute(info, info_size, IFLA_INFO_DATA, 0, &vlan_size)
                             : NULL;
    gconstpointer id = vlan != NULL
                           ? vmf_netlink_attribute(vlan, vlan_size, IFLA_VLAN_ID, sizeof tag, &size)
                           : NULL;
    if (id != NULL)
        memcpy(&tag, id, sizeof tag);
    link->vlan = tag;
}

GPtrArray *
vmf_links_parse(const guint8 *bytes, gsize length)
{
    GPtrArray *links = g_ptr_array_new_with_free_func(link_free);
    const struct nlmsghdr *message;
    gsize offset = 0;
    while ((message = vmf_netlink_next(bytes, length, &offset, RTM_NEWLINK)) != NULL) {
        if (message->nlmsg_len < NLMSG_SPACE(sizeof(struct ifinfomsg)))
            continue;
        const struct ifinfomsg *info = NLMSG_DATA(message);
        const guint8 *data = (const guint8 *)message + NLMSG_SPACE(sizeof *info);
        gsize size = message->nlmsg_len - NLMSG_SPACE(sizeof *info);
        VmfLink *link = g_new0(VmfLink, 1);
        link->index = (guint)info->ifi_index;
        link->up = (info->ifi_flags & IFF_UP) != 0;
        link->name = text(data, size, IFLA_IFNAME);
        link->mtu = number(data, size, IFLA_MTU);
        link->master = number(data, size, IFLA_MASTER);
        link->lower = number(data, size, IFLA_LINK);
        read_kind(link, data, size);
        g_ptr_array_add(links, link);
    }
    return links;
}

GPtrArray *
vmf_netlink_links(GError **error)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
    } request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = RTM_GETLINK,
                   .nlmsg_flags = NLM_F_DUMP},
        .info = {.ifi_family = AF_UNSPEC},
    };
    g_autoptr(GByteArray) answer = vmf_netlink_ask(&request.header, error);
    return answer != NULL ? vmf_links_parse(answer->data, answer->len) : NULL;
}

const VmfLink *
vmf_link_by_name(const GPtrArray *links, const char *name)
{
    for (guint i = 0; i < links->len; i++) {
        const VmfLink *link = g_ptr_array_index(links, i);
        if (strcmp(link->name, name) == 0)
            return link;
    }
    return NULL;
}

const VmfLink *
vmf_link_by_index(const GPtrArray *links, guint index)
{
    for (guint i = 0; i < links->len; i++) {
        const VmfLink *link = g_ptr_array_index(links, i);
        if (link->index == index)
            return link;
    }
    return NULL;
}
