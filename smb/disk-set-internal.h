/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-session.h"
#include "smb/disk-set.h"
#include "src/base/error.h"

#include <stdatomic.h>

/* Shared by the disk-set-*.c files only. */

/* A write whose answer was lost. It lives on its thread's stack; that thread waits for it. */
typedef struct {
    guint disk;
    const void *buffer;
    gsize count;
    guint64 offset;
    gboolean done;    /* made again, and answered */
    gboolean dropped; /* never to be made again */
} VmfUnansweredWrite;

struct _VmfDiskSet {
    VmfDiskList *list;
    VmfShare *share;
    gchar *account;
    gchar *owner_sid;
    gchar *boot_id;
    guint quarantine_ms;
    void (*changed)(gpointer data);
    void (*wake)(gpointer data);
    void (*touch)(gpointer data);
    gint64 claim_lost_at; /* when the answer of a claim, of maybe_epoch, was lost; 0: none was */
    gboolean touched;     /* by the guest, since the last claim; share lock */
    gpointer data;
    VmfGate *gate;

    /*
     * Lock order: share_lock, then the gate's or trouble_lock. share_lock is held around each call
     * into the share and guards what follows.
     */
    GMutex share_lock;
    VmfDiskSession *current;   /* serves the guest; NULL: none. Changed by the owner thread only */
    VmfDiskSession *candidate; /* being made ready by the recovery; the owner thread's */
    GQueue unanswered;         /* of VmfUnansweredWrite, oldest first */
    GCond unanswered_changed;
    gboolean late_write_possible; /* a write was lost since the disks were last held in peace */
    VmfDiskLedger *ledger;
    VmfDiskLedger no_ledger; /* where it points when there is none */

    gboolean head_refused; /* that is the trouble now */

    GMutex trouble_lock;
    gchar *trouble;

    /* the owner thread's */
    gint64 retry_at; /* monotonic us; of the recovery or the reconnection */
    gint64 retry_delay;
    gint64 quarantine_until; /* 0: not in quarantine */
    gint64 tidy_at;          /* when the record is settled, and its file closed; 0: it is */
    gint64 rotate_retry_at;
    guint64 last_epoch;  /* with which the disks were last held; 0: never */
    guint64 maybe_epoch; /* of a record whose writing was not answered; 0: none */
    gboolean maybe_continuous;
    gboolean gave_up; /* that record gives the disks up: a release */

    _Atomic guint64 read_bytes;
    _Atomic guint64 written_bytes;
    _Atomic guint64 written_since_open;
    _Atomic guint sessions;
    _Atomic guint n_unanswered;
    _Atomic gint64 ticket_end;
    _Atomic gboolean full; /* the share has no room: writes are tried again */
    guint64 *sizes;        /* of the exports; fixed */
};

/* --- disk-set.c --- */

/** vmf_disk_set_say() - the trouble is @format; NULL: none. Owner thread or under the share lock */
void vmf_disk_set_say(VmfDiskSet *set, const char *format, ...) G_GNUC_PRINTF(2, 3);

void vmf_disk_set_note_change(VmfDiskSet *set);

/** vmf_disk_set_note_late() - whether an unanswered write may still land; under the share lock */
void vmf_disk_set_note_late(VmfDiskSet *set, gboolean possible);

/**
 * vmf_disk_set_write_ledger() - as whom a successor would have to go on; after each change of that
 *   and before what depends on it
 */
void vmf_disk_set_write_ledger(VmfDiskSet *set, guint64 epoch, guint64 maybe_epoch);

/**
 * vmf_disk_set_note_lost() - the current session is lost: fence, and have it recovered
 *
 * Under the share lock, so that nobody passes the gate between the loss and the fence.
 */
void vmf_disk_set_note_lost(VmfDiskSet *set);

/** vmf_disk_set_publish() - @session (taken) serves the guest now; under the share lock */
void vmf_disk_set_publish(VmfDiskSet *set, VmfDiskSession *session);

/** vmf_disk_set_drop_current() - forget the current session; under the share lock */
void vmf_disk_set_drop_current(VmfDiskSet *set);

/** vmf_disk_set_ensure_session() - there is one that lives; gate CLOSED, under the share lock */
gboolean vmf_disk_set_ensure_session(VmfDiskSet *set, GError **error);

/** vmf_disk_set_names_me() - whether @record names this account, boot and @epoch */
gboolean vmf_disk_set_names_me(const VmfDiskSet *set, const VmfOwnerRecord *record, guint64 epoch);

/** vmf_disk_set_note_if_lost() - vmf_disk_set_note_lost() if there is no living session */
void vmf_disk_set_note_if_lost(VmfDiskSet *set);

/** vmf_microseconds_since() - since @mark, which becomes now */
static inline guint64
vmf_microseconds_since(gint64 *mark)
{
    gint64 now = g_get_monotonic_time();
    guint64 spent = (guint64)(now - *mark);
    *mark = now;
    return spent;
}

/* --- disk-set-owner.c --- */

/** vmf_disk_set_refuse() - sets @error, which names VM and account. Returns: %FALSE */
gboolean vmf_disk_set_refuse(const VmfDiskSet *set, VmfError code, GError **error,
                             const char *format, ...) G_GNUC_PRINTF(4, 5);

/** vmf_disk_set_gate_permits() - FENCED and DRAINING permit no change of ownership */
gboolean vmf_disk_set_gate_permits(VmfDiskSet *set, const VmfGateFacts *gate, GError **error);

/** vmf_disk_set_make_record() - @next as a record; its sequence is for the store to set */
gboolean vmf_disk_set_make_record(const VmfDiskSet *set, const VmfOwnerNext *next,
                                  VmfOwnerRecord *record, GError **error);

/**
 * vmf_disk_set_hold_record() - have the record's file open deny-write, and read; share lock
 *
 * Another host's probe has it open for an instant: that is waited for.
 */
gboolean vmf_disk_set_hold_record(VmfDiskSet *set, VmfDiskSession *session, GError **error);

/**
 * vmf_disk_set_look_through() - a session for reading, whatever the gate's state; share lock
 * @own: (out): the session, if it was made for this: free it afterwards
 *
 * Returns: NULL with the error of making one.
 */
VmfDiskSession *vmf_disk_set_look_through(VmfDiskSet *set, VmfDiskSession **own, GError **error);

gboolean vmf_disk_set_peek(VmfDiskSet *set, VmfDiskSession *session, gboolean *present,
                           VmfOwnerRecord *record, GError **error);

/* --- disk-set-io.c --- */

/** vmf_disk_set_drop_unanswered() - they will never be made again; under the share lock */
void vmf_disk_set_drop_unanswered(VmfDiskSet *set);

/* --- disk-set-recover.c --- */

/** vmf_disk_set_resume() - go on as the predecessor would have after a lost session */
void vmf_disk_set_resume(VmfDiskSet *set);

/** vmf_disk_set_plan_tidying() - settle the record and close its file soon: not in the guest's pause */
void vmf_disk_set_plan_tidying(VmfDiskSet *set);

/** vmf_disk_set_tidy() - do it now if it is planned; under the share lock. Returns: %FALSE: lost */
gboolean vmf_disk_set_tidy(VmfDiskSet *set, GError **error);

/* --- disk-set-rotate.c --- */

/** vmf_disk_set_rotation_due() - monotonic us; G_MAXINT64: never */
gint64 vmf_disk_set_rotation_due(const VmfDiskSet *set);

/** vmf_disk_set_rotate() - replace the current session, if there is a later ticket */
void vmf_disk_set_rotate(VmfDiskSet *set);
