/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Has the guest been heard on its port of the local bridge?
 *
 * After the switch QEMU sends RARP frames (and many guests their own ARP) through the tap. The
 * bridge learns the source address at that port, and the kernel says so over rtnetlink
 * (RTM_NEWNEIGH, group NEIGH, family AF_BRIDGE): no packet socket, no capability needed. Learning
 * is what moves the guest's traffic here, so it is the thing to see.
 *
 * Failure model. The kernel drops messages when we read too slowly (ENOBUFS): the table is then
 * read whole. A guest without an interface has nothing to announce. Frames that a filter drops
 * before the bridge are not seen, rightly: nobody else sees them either.
 */
#pragma once

#include <glib.h>

typedef struct VmfAnnounce VmfAnnounce;

/** vmf_announce_open() - starts to listen; open it before the guest runs */
VmfAnnounce *vmf_announce_open(GError **error);
void vmf_announce_free(VmfAnnounce *announce);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfAnnounce, vmf_announce_free)

/**
 * vmf_announce_expect() - one interface of the guest
 * @port: the tap's name, "vnet0"
 * @mac:  "52:54:00:…", either case
 *
 * VMF_ERROR_CONFIG: no such device, or not a MAC address. Whether it is a port of a bridge is seen by
 * vmf_announce_wait(), which says so.
 */
gboolean
vmf_announce_expect(VmfAnnounce *announce, const char *port, const char *mac, GError **error);

/**
 * vmf_announce_expect_all() - every interface of a live definition (<target dev>, <mac>)
 * @live_xml: vmf_host_dump_xml(VMF_XML_LIVE) of the prepared domain
 */
gboolean vmf_announce_expect_all(VmfAnnounce *announce, const char *live_xml, GError **error);

/**
 * vmf_announce_wait() - until every expected address is known at its port
 * @monotonic_us: (out) (optional): when the last of them was heard
 *
 * Returns: TRUE; FALSE with VMF_ERROR_UNREACHABLE naming the first that is missing after
 *   @timeout_ms, VMF_ERROR_INTERNAL for netlink's own errors.
 */
gboolean
vmf_announce_wait(VmfAnnounce *announce, guint timeout_ms, gint64 *monotonic_us, GError **error);
