/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/migrate/context.h"
#include "src/migrate/peer-answers.h"
#include "src/migrate/vmf-peer1.h"

/*
 * A connection of this host to the vmferryd of another one, as initiator.
 *
 * TCP, then the channel (which proves both ends to each other), then peer-to-peer D-Bus on its
 * plain fd. D-Bus authenticates nobody here: mechanism ANONYMOUS alone, because the channel has.
 */

#define VMF_PEER_PATH "/org/vmferry/Peer1"

typedef struct _VmfPeerLink VmfPeerLink;

/** vmf_peer_computer() - as vmf_peer_find() reads @name; whether it may be a peer is not judged */
VmfComputer *vmf_peer_computer(const VmfContext *context, const char *name, GError **error);

/**
 * vmf_peer_find() - the computer account behind what a user calls a host
 * @name: "hv2", "hv2.lab.test" or "HV2$"
 *
 * Returns: (transfer full): an enabled member of the allowed group other than this host, or
 *   VMF_ERROR_CONFIG no such computer, or this host; VMF_ERROR_DENIED not in the group, or disabled;
 *   VMF_ERROR_UNREACHABLE no directory
 */
VmfComputer *vmf_peer_find(const VmfContext *context, const char *name, GError **error);

/**
 * vmf_peer_link_open() - connect, authenticate both ways, say hello. Blocking, ≤ 5 s + handshake.
 *
 * Returns: errors of vmf_channel_connect(), a refusal with what can be seen of its reason from here;
 *   VMF_ERROR_UNSUPPORTED when the peer speaks another protocol
 */
VmfPeerLink *vmf_peer_link_open(const VmfContext *context, const char *fqdn, GError **error);

/** vmf_peer_link_free() - closes the connection; pending calls end with an error */
void vmf_peer_link_free(VmfPeerLink *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPeerLink, vmf_peer_link_free)

/** vmf_peer_link_proxy() - (transfer none): calls block, from any thread; no time limit of their own */
VmfPeer1 *vmf_peer_link_proxy(VmfPeerLink *link);

/** vmf_peer_link_was_cut() - by this host, for what the peer sent: @error becomes VMF_ERROR_PROTOCOL, which says so */
gboolean vmf_peer_link_was_cut(VmfPeerLink *link, GError **error);

/** vmf_peer_link_explain() - what became of a call: vmf_peer_link_was_cut(), or vmf_peer_answer_error() */
void vmf_peer_link_explain(VmfPeerLink *link, GError **error);

/** vmf_peer_link_channel() - (transfer none): who is at the other end */
VmfChannel *vmf_peer_link_channel(VmfPeerLink *link);

/**
 * vmf_peer_link_set_patience() - how long calls from now on wait for their answer; 0: for ever
 *
 * A peer may be frozen, or lie by its silence, while its connection lives. What is waited for too
 * long fails as if the connection had been lost. Calls that may take long can be cancelled instead.
 */
void vmf_peer_link_set_patience(VmfPeerLink *link, guint seconds);

/** vmf_peer_link_is_lost() - the connection has ended, as far as is known here */
gboolean vmf_peer_link_is_lost(VmfPeerLink *link);

/** vmf_peer_link_stream() - connect the memory stream the peer expects as @name */
VmfChannel *vmf_peer_link_stream(VmfPeerLink *link, const char *name, GError **error);

/** vmf_peer_judge_now() - VmfChannelJudge over a VmfContext: every rule, with a fresh look */
gboolean vmf_peer_judge_now(const VmfPeerIdentity *peer, gpointer context, GError **error);
