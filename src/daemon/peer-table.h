/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/migrate/context.h"
#include "src/migrate/incoming.h"

/*
 * The peers that are connected to this host, and the migrations they have under way here.
 * Thread-safe.
 */

typedef struct _VmfPeerTable VmfPeerTable;

VmfPeerTable *vmf_peer_table_new(const VmfContext *context);

/**
 * vmf_peer_table_serve() - speak org.vmferry.Peer1 on a control channel, until it ends
 * @channel: (transfer full)
 *
 * Returns at once; the connection lives on in the main loop.
 */
gboolean vmf_peer_table_serve(VmfPeerTable *table, VmfChannel *channel, GError **error);

/** vmf_peer_table_adopt() - a migration that a vmferryd before this one left unfinished */
void vmf_peer_table_adopt(VmfPeerTable *table, VmfIncoming *incoming);

/** vmf_peer_table_join_stream() - a memory stream has come. @stream: (transfer full) */
gboolean vmf_peer_table_join_stream(VmfPeerTable *table, VmfChannel *stream, GError **error);

/** vmf_peer_table_expects() - whether VM @uuid is on its way here, let in, and does not run yet */
gboolean vmf_peer_table_expects(VmfPeerTable *table, const char *uuid);
