/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

#include <gio/gio.h>

/*
 * How many connections that have not yet proven who they are a listener serves at once.
 *
 * The listener (vmferry-door) asks for a place for each connection, and gives it back when the peer has been
 * accepted, or the connection has ended. Who gets no place is closed unread.
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

typedef enum {
    VMF_CHANNEL_LIMITS_OK,      /* a place is taken */
    VMF_CHANNEL_LIMITS_ADDRESS, /* none left for this address */
    VMF_CHANNEL_LIMITS_ALL,     /* none left at all */
} VmfChannelLimitsVerdict;

/** vmf_channel_limits_enter() - take a place for @from */
VmfChannelLimitsVerdict vmf_channel_limits_enter(VmfChannelLimits *limits, GInetAddress *from);
/** vmf_channel_limits_leave() - give the place back; once for each enter() that said OK */
void vmf_channel_limits_leave(VmfChannelLimits *limits, GInetAddress *from);
