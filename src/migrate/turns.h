/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * Whose turn it is with a VM on this host: its own (start, end, define, recover), or a peer's offer.
 *
 * Until an offer is judged, nothing says that the peer may speak for the VM at all, and it must not
 * meet what this host does with it: the two would share a disk process. So this host's own doings wait
 * for the verdict on an offer, and no offer begins while they last. Among each other they do not
 * wait: libvirt's hook is called in the middle of a recovery. Thread-safe.
 */
typedef struct _VmfTurns VmfTurns;

VmfTurns *vmf_turns_new(void);
void vmf_turns_free(VmfTurns *turns);

/** vmf_turns_own_begin() - @uuid: in any case; waits while an offer of it is being judged */
void vmf_turns_own_begin(VmfTurns *turns, const char *uuid);
void vmf_turns_own_end(VmfTurns *turns, const char *uuid);

/** vmf_turns_offer_begin() - VMF_ERROR_BUSY: this host is at it, or judges another offer of it */
gboolean vmf_turns_offer_begin(VmfTurns *turns, const char *uuid, GError **error);
void vmf_turns_offer_end(VmfTurns *turns, const char *uuid);
