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
    gint64 job; /* in the journal */

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
    VmfMemoryStream *memory;
    gboolean running, finished, announced;
    guint subscription;
    GBytes *finish_cookie;
    GError *failure;        /* of Finish */
    GError *announce_error; /* the guest runs, but was not heard */
};

gboolean vmf_incoming_enter(VmfIncoming *incoming, VmfState next, GError **error);

/** vmf_incoming_check() - everything Offer judges; leaves domain and disks in place */
gboolean vmf_incoming_check(VmfIncoming *incoming, const char *definition, GError **error);

/** vmf_incoming_complete() - from COMMITTED to RUNNING, RETURNED or DOWN; a thread's body */
gpointer vmf_incoming_complete(gpointer incoming);

/** vmf_incoming_unsubscribe() - no more events; drops the reference they hold */
void vmf_incoming_unsubscribe(VmfIncoming *incoming);

/** vmf_incoming_give_up() - before the point of no return: QEMU and disk process end, ABORTED */
void vmf_incoming_give_up(VmfIncoming *incoming, const char *why);

/** vmf_incoming_record_names_us() - with the epoch of this move; @error set: not known, %TRUE */
gboolean vmf_incoming_record_names_us(VmfIncoming *incoming, GError **error);
