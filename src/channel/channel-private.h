/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/channel/channel.h"
#include "src/channel/tls.h"

/*
 * The two kinds of channel behind channel.h: one whose TLS runs in this process (session.c), and one
 * whose TLS runs in a child of vmferry-door (door.c).
 */
typedef struct {
    gboolean (*pump)(VmfChannel *channel, int local_fd, GError **error); /* takes the fd */
    gboolean (*wait)(VmfChannel *channel, GError **error);
    void (*close)(VmfChannel *channel);
    guint64 (*bytes)(VmfChannel *channel, gboolean in);
    gchar *(*address)(VmfChannel *channel);
    void (*free)(VmfChannel *channel); /* its own part, and the memory */
} VmfChannelOps;

struct _VmfChannel {
    const VmfChannelOps *ops;
    gint refs;             /* atomic */
    VmfPeerIdentity *peer; /* immutable, as are the next two */
    gchar *stream_name;    /* NULL: control */
    guint8 stream_secret[VMF_TLS_KEY_BYTES];
    VmfDoor *door; /* through which its streams go out; NULL: from this process */
};

/**
 * vmf_channel_init() - the common part of a new channel, with one reference
 * @peer: (transfer full)
 */
void vmf_channel_init(VmfChannel *channel, const VmfChannelOps *ops, VmfPeerIdentity *peer,
                      const char *stream_name, const guint8 secret[VMF_TLS_KEY_BYTES]);

/** vmf_channel_stream_key() - HMAC-SHA256 of the stream's name under the control channel's secret */
void vmf_channel_stream_key(VmfChannel *control, const char *name, guint8 key[VMF_TLS_KEY_BYTES]);

/** vmf_channel_address_of() - see vmf_channel_peer_address() */
gchar *vmf_channel_address_of(int sock);
