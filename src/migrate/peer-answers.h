/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gio/gio.h>

/*
 * What a destination answers to the source's calls, judged before it is used. Pure.
 *
 * It has proven who it is, and may lie all the same: in an answer, in an error, by the error's name.
 * GDBus has held an answer against the types of org.vmferry.Peer1 by now, and no more.
 *
 * Failure model: what makes no sense is VMF_ERROR_PROTOCOL and names the peer; whose the VM is says
 * the owner record, never an answer.
 */

#define VMF_PEER_PROTOCOL 1

/**
 * VmfPeerAsked - the peer, and the move that it was asked about; nothing is owned
 * @epoch: under which the VM was offered
 */
typedef struct {
    const char *fqdn, *uuid, *name;
    guint64 epoch;
} VmfPeerAsked;

/**
 * vmf_peer_answer_error() - what a call that failed returned
 * @error: (inout): as GIO returned it
 *
 * It becomes an error of ours that begins with the peer's name (vmf_error_from_dbus()): also where
 * the peer gave it a name that GDBus decodes to one of GIO's own, such as "cancelled".
 *
 * Returns: whether the peer said it, in our words; %FALSE: it, or what it said, is not understood,
 *   or it said nothing
 */
gboolean vmf_peer_answer_error(GError **error, const char *fqdn);

/** vmf_peer_answer_cancelled() - the call that failed with @error was cancelled here; a peer may say so as well */
gboolean vmf_peer_answer_cancelled(const GError *error, GCancellable *cancellable);

/** vmf_peer_answer_hello() - VMF_ERROR_UNSUPPORTED: it speaks another protocol */
gboolean vmf_peer_answer_hello(guint protocol, const char *fqdn, GError **error);

/**
 * vmf_peer_answer_prepare() - the cookie of libvirt there, in our words
 * @answer: ay
 *
 * Returns: (transfer full): VMF_ERROR_PROTOCOL, VMF_ERROR_UNSUPPORTED (vm/cookie.h)
 */
GBytes *vmf_peer_answer_prepare(const VmfPeerAsked *asked, GVariant *answer, GError **error);

/** vmf_peer_answer_grant() - the epoch after the offered one, or VMF_ERROR_PROTOCOL: ask the record */
gboolean vmf_peer_answer_grant(const VmfPeerAsked *asked, guint64 new_epoch, GError **error);

/** vmf_peer_answer_finished() - (transfer full) (nullable): as Prepare's; Confirm does without it */
GBytes *vmf_peer_answer_finished(const VmfPeerAsked *asked, GVariant *answer);

/**
 * vmf_peer_answer_clock() - how far our clock is ahead of the peer's
 * @ours_us: Unix µs, when @its_us was heard
 * @ahead_ms: (out)
 *
 * Returns: %FALSE: it does not say, or says a time that is none
 */
gboolean vmf_peer_answer_clock(gint64 ours_us, gint64 its_us, gint64 *ahead_ms);
