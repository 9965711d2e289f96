/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

/*
 * Questions to the kernel about network interfaces, addresses and routes (rtnetlink(7)). Changes
 * nothing. The bytes come from the kernel and are yet read with every bound checked.
 */

/**
 * VmfLink - one interface
 * @kind:   "bridge", "vlan", "veth", …; "" for hardware
 * @master: index of the bridge or bond it is in; 0: none
 * @lower:  index of the interface below a VLAN; 0: none
 * @vlan:   tag of a VLAN; 0: none
 */
typedef struct {
    guint index;
    gchar *name;
    gchar *kind;
    guint mtu;
    guint master;
    guint lower;
    guint vlan;
    gboolean up;
} VmfLink;

/** vmf_netlink_links() - Returns: (transfer full) (element-type VmfLink); NULL: VMF_ERROR_INTERNAL */
GPtrArray *vmf_netlink_links(GError **error);
const VmfLink *vmf_link_by_name(const GPtrArray *links, const char *name); /* NULL: none */
const VmfLink *vmf_link_by_index(const GPtrArray *links, guint index);

/** vmf_links_parse() - from the kernel's answer; for the above, and for tests */
GPtrArray *vmf_links_parse(const guint8 *bytes, gsize length);

/**
 * vmf_netlink_ask() - one request, all of its answer
 * @request: complete, with nlmsg_len; a dump when NLM_F_DUMP is set
 *
 * Returns: (transfer full): the messages one after the other; NULL: VMF_ERROR_UNREACHABLE (no route),
 *   VMF_ERROR_INTERNAL
 */
GByteArray *vmf_netlink_ask(struct nlmsghdr *request, GError **error);

/**
 * vmf_netlink_next() - walk over messages
 * @offset: (inout): 0 at the start
 *
 * Returns: the next whole message of @type, or NULL at the end or at one that is cut
 */
const struct nlmsghdr *
vmf_netlink_next(const guint8 *bytes, gsize length, gsize *offset, guint type);

/**
 * vmf_netlink_attribute() - the payload of an attribute
 * @data, @length: where attributes are
 * @size: (out): bytes of the payload
 *
 * Returns: NULL: it is not there, or shorter than @least
 */
gconstpointer
vmf_netlink_attribute(gconstpointer data, gsize length, guint type, gsize least, gsize *size);
