/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/migrate/context.h"

/*
 * The destination's half of a move: one object per migration, driven by the source's calls.
 *
 * Operations. Offer judges and starts the disk process with a closed gate; Prepare has libvirt
 * start QEMU; the memory stream is joined when it comes. Grant acquires the disks and writes the
 * owner record: the point of no return. From there a thread of our own goes on, whether the source
 * is still there or not: gate open, libvirt's Finish, definition kept, announce seen.
 *
 * Failure model. Before the record names this host, anything that fails, and the loss of the
 * connection, ends in ABORTED: QEMU destroyed, handles closed, nothing written. After it, if the
 * guest cannot run here and its gate has passed no write, the VM is given back (RETURNED);
 * after a write it is down, and said so. A lost reply of libvirtd's Finish is a question to
 * libvirt, never an answer.
 *
 * Thread-safe. Calls that do not fit the state fail with VMF_ERROR_PROTOCOL.
 */

typedef struct _VmfIncoming VmfIncoming;

/** VmfIncomingVm - what is offered */
typedef struct {
    const char *migration, *uuid, *name;
    guint64 epoch;
    gboolean persistent; /* keep its definition here afterwards */
    gboolean autostart;  /* and start it with the host, as on the source */
} VmfIncomingVm;

/**
 * vmf_incoming_new() - a migration that @peer_fqdn starts
 * @peer_sid: of the source's computer account, proven by the channel
 * @control:  the channel it came over
 *
 * Returns: VMF_ERROR_PROTOCOL when an id or name is not of its form or the id was used before
 */
VmfIncoming *
vmf_incoming_new(const VmfContext *context, const VmfIncomingVm *vm, const char *peer_sid,
                 const char *peer_fqdn, VmfChannel *control, GError **error);
/**
 * vmf_incoming_resume() - a migration that a vmferryd before this one left unfinished
 * @entry: of the journal, role destination, not final
 *
 * Returns: the migration, not yet acted on: vmf_incoming_recover() does
 */
VmfIncoming *vmf_incoming_resume(const VmfContext *context, const VmfJournalEntry *entry);

/** vmf_incoming_recover() - ask the record, and finish or abort accordingly. Blocking */
void vmf_incoming_recover(VmfIncoming *incoming);

VmfIncoming *vmf_incoming_ref(VmfIncoming *incoming);
void vmf_incoming_unref(VmfIncoming *incoming);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfIncoming, vmf_incoming_unref)

const char *vmf_incoming_migration(VmfIncoming *incoming);
const char *vmf_incoming_uuid(VmfIncoming *incoming);
const char *vmf_incoming_peer_fqdn(VmfIncoming *incoming);
VmfChannel *vmf_incoming_control(VmfIncoming *incoming);     /* (transfer none): who offered it */
const char *vmf_incoming_stream_name(VmfIncoming *incoming); /* NULL before Prepare */
VmfState vmf_incoming_state(VmfIncoming *incoming);

/** vmf_incoming_is_let_in() - its offer has been judged: the VM is the peer's, and may come */
gboolean vmf_incoming_is_let_in(VmfIncoming *incoming);

/* The calls of org.vmferry.Peer1, where their meaning is written down. All block. */
gboolean vmf_incoming_offer(VmfIncoming *incoming, const char *definition, GError **error);
gboolean
vmf_incoming_prepare(VmfIncoming *incoming, gboolean auto_converge, guint64 bandwidth_mib,
                     GBytes *begin_cookie, GBytes **prepare_cookie, gchar **stream, GError **error);
gboolean vmf_incoming_grant(VmfIncoming *incoming, guint64 epoch, GBytes *perform_cookie,
                            guint64 *new_epoch, guint64 *acquire_us, GError **error);
gboolean vmf_incoming_abort(VmfIncoming *incoming, const char *reason, GError **error);

/*
 * @gone: (nullable): non-zero once nobody waits for the answer any more: see vmf_incoming_wake().
 * What says nothing of the migration itself is an error of G_DBUS_ERROR: too many wait already, or @gone.
 */
gboolean vmf_incoming_await_running(VmfIncoming *incoming, const gint *gone, GError **error);
gboolean vmf_incoming_await_finished(VmfIncoming *incoming, const gint *gone,
                                     GBytes **finish_cookie, GError **error);
gboolean vmf_incoming_await_announced(VmfIncoming *incoming, const gint *gone, GError **error);

/** vmf_incoming_wake() - waiting calls look at their @gone */
void vmf_incoming_wake(VmfIncoming *incoming);

/**
 * vmf_incoming_end_silence() - to be called now and then, in any thread; may block
 *
 * Gives up a migration whose source, connected as it is, neither calls nor sends memory any more: for
 * 300 s while it checks, for 120 s while it copies. After Grant nothing is given up.
 */
void vmf_incoming_end_silence(VmfIncoming *incoming);

/** vmf_incoming_join_stream() - @stream (transfer full) has come: connect it to QEMU */
gboolean vmf_incoming_join_stream(VmfIncoming *incoming, VmfChannel *stream, GError **error);

/** vmf_incoming_peer_lost() - the source's connection ended: aborts what is not committed */
void vmf_incoming_peer_lost(VmfIncoming *incoming);
