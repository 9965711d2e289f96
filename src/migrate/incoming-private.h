/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-client.h"
#include "src/migrate/incoming.h"
#include "src/migrate/memory-stream.h"
#include "src/vm/announce.h"
#include "src/vm/domain.h"
#include "src/vm/phases.h"

struct _VmfIncoming {
    gatomicrefcount refs;
    const VmfContext *context;
    gchar *migration, *uuid, *name, *peer_sid, *peer_fqdn;
    guint64 epoch; /* the source's */
    gboolean persistent, autostart;
    VmfChannel *control;
    gint64 job;          /* in the journal */
    gboolean recovering; /* after a restart: the journal may be behind */
    gchar *disks_text;   /* of vmf_vm_disks_to_text(); NULL: not known */
    gboolean marked;     /* the mark of vm-disks.h is this migration's */

    /* One call of the source at a time changes anything (Offer … Grant, Abort). */
    GMutex verbs;
    VmfDomain *domain;
    VmfDiskClient *disks;
    VmfPhases *phases;
    VmfPhaseParams params;
    VmfAnnounce *announce;
    gchar *stream;
    GBytes *prepare_cookie, *perform_cookie;
    guint64 acquire_us;

    GMutex lock; /* guards what follows; taken after verbs */
    GCond changed;
    VmfState state;
    gboolean let_in; /* the peer owns the VM, by the record: what comes of it is its migration's */
    VmfMemoryStream *memory;
    gboolean running, finished, announced;
    guint waiting[3]; /* calls that wait for running, finished, announced */
    VmfState heard_state;
    guint64 heard_bytes;
    gint64 heard_us; /* when these two were last seen to change */
    guint subscription;
    GBytes *finish_cookie;
    GError *failure;        /* of Finish */
    GError *announce_error; /* the guest runs, but was not heard */
};

gboolean vmf_incoming_enter(VmfIncoming *incoming, VmfState next, GError **error);

/** vmf_incoming_must_be() - VMF_ERROR_PROTOCOL: @verb does not fit the state that it is in */
gboolean
vmf_incoming_must_be(VmfIncoming *incoming, VmfState wanted, const char *verb, GError **error);

/** vmf_incoming_failed() - give up because of @error. Returns %FALSE */
gboolean vmf_incoming_failed(VmfIncoming *incoming, GError **error);

/** vmf_incoming_check() - everything Offer judges; leaves domain and disks in place */
gboolean vmf_incoming_check(VmfIncoming *incoming, const char *definition, GError **error);

/**
 * vmf_incoming_complete() - from COMMITTED to RUNNING, RETURNED or DOWN; a thread's body
 *
 * Where the domain has gone already, that is found out by it, and judged by the mark (vm-disks.h).
 */
gpointer vmf_incoming_complete(gpointer incoming);

/** vmf_incoming_unsubscribe() - no more events; drops the reference they hold */
void vmf_incoming_unsubscribe(VmfIncoming *incoming);

/** vmf_incoming_give_up() - before the point of no return: QEMU and disk process end, ABORTED */
void vmf_incoming_give_up(VmfIncoming *incoming, const char *why);

/** vmf_incoming_enter_last() - a state that holds even if the journal gets it later only */
void vmf_incoming_enter_last(VmfIncoming *incoming, VmfState next);

/** vmf_incoming_say_waiting() - what for (log, and waiting.h); NULL: for nothing any more */
void vmf_incoming_say_waiting(VmfIncoming *incoming, const char *what);

/* ---- its disk process, which may have been replaced ---- */

/** vmf_incoming_find_disks() - have @incoming->disks; CONFIG: nothing here knows the VM's disks */
gboolean vmf_incoming_find_disks(VmfIncoming *incoming, GError **error);

/** vmf_incoming_lose_disks() - it does not answer: the next find looks anew */
void vmf_incoming_lose_disks(VmfIncoming *incoming);

/** vmf_incoming_open_gate() - as owner by this move's claim, made before or now (the same again) */
gboolean vmf_incoming_open_gate(VmfIncoming *incoming, GError **error);

/** vmf_incoming_note_running() - it has run here, and what became of it is no part of the move */
void vmf_incoming_note_running(VmfIncoming *incoming);
