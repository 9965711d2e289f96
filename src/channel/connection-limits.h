/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

#include <gio/gio.h>

/*
 * How many connections that have not yet proven who they are a listener serves at once.
 *
 * The listener asks for a place before it hands a socket to vmf_channel_accept() and gives the place
 * back when accept returned, whatever it returned. Who gets no place is closed unread.
 * IPv6 peers count by their /64, which one machine may own whole. Thread-safe.
 */

typedef struct _VmfChannelLimits VmfChannelLimits;

/**
 * vmf_channel_limits_new()
 * @per_address: most at once from one address; 0: 16
 * @in_all:      most at once; 0: 64
 */
VmfChannelLimits *vmf_channel_limits_new(guint per_address, guint in_all);
void vmf_channel_limits_free(VmfChannelLimits *limits);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfChannelLimits, vmf_channel_limits_free)

/** vmf_channel_limits_enter() - take a place; %FALSE: none left for @from */
gboolean vmf_channel_limits_enter(VmfChannelLimits *limits, GInetAddress *from);
/** vmf_channel_limits_leave() - give the place back; once for each enter() that said %TRUE */
void vmf_channel_limits_leave(VmfChannelLimits *limits, GInetAddress *from);
