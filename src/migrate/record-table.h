/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/owner-record.h"
#include "src/migrate/state.h"

/*
 * What the owner record decides for a move that was interrupted: the one table, pure.
 *
 * The record is the truth. The journal says whose record is to be asked, and how much of it had
 * been written for certain; it never says whose the VM is.
 *
 *   record says        source                              destination
 *   unreadable         wait, the guest stays paused        wait, the gate stays closed
 *   set back           freeze, say so                      freeze, say so
 *   this host          take it back, let the guest run     open the gate, let the guest run
 *   this host, stopped the same, if it lives               clean up: it was shut down here
 *   returned           take it back, let the guest run     clean up
 *   another host       end the copy when it runs there     give up what was prepared
 *
 * Taking back is for a guest that lives: where its process has ended there is nothing to resume.
 */

typedef enum {
    VMF_RECORD_UNREADABLE, /* the share does not answer, or the record is damaged */
    VMF_RECORD_SET_BACK,   /* less than the journal knows was written: the share is an older copy */
    VMF_RECORD_OURS,       /* this host, owned or running */
    VMF_RECORD_OURS_STOPPED, /* this host, and the VM was shut down */
    VMF_RECORD_RETURNED,     /* the source again: the destination gave it back untouched */
    VMF_RECORD_THEIRS,       /* another host */
} VmfRecordSays;

typedef enum {
    VMF_ACT_WAIT,      /* ask again; nothing runs, nothing is written */
    VMF_ACT_FREEZE,    /* as WAIT, and a human has to look at the share */
    VMF_ACT_TAKE_BACK, /* source: claim under a greater epoch, then resume */
    VMF_ACT_FOLLOW,    /* source: wait until the guest runs there, then end the copy here */
    VMF_ACT_COMPLETE,  /* destination: gate open, Finish */
    VMF_ACT_GIVE_UP,   /* destination: end QEMU and disk process; nothing was written */
    VMF_ACT_CLEAN_UP,  /* destination: it has ended, or was given back: nothing is left to run */
} VmfRecordAct;

/**
 * VmfRecordKnown - what this side of the move knows
 * @sid:   of this host
 * @offer: the epoch under which the source offered the VM; 0: not known
 * @least: the greatest epoch that is known to have been written; ≥ @offer
 */
typedef struct {
    VmfRole role;
    const char *sid;
    guint64 offer, least;
} VmfRecordKnown;

/** vmf_record_known_least() - @offer, and what the journal's @state says was written since */
guint64 vmf_record_known_least(VmfState state, guint64 offer);

/** vmf_record_judge() - @record NULL: the share has none */
VmfRecordSays vmf_record_judge(const VmfRecordKnown *known, const VmfOwnerRecord *record);

/** vmf_record_act() - the table */
VmfRecordAct vmf_record_act(VmfRole role, VmfRecordSays says);

/**
 * vmf_record_explain() - why VMF_ACT_FREEZE or _GIVE_UP …: what the record says, for messages
 *
 * Returns: (transfer full): "the owner record of 'web1' names HV2$, epoch 7, running"
 */
gchar *
vmf_record_explain(const char *name, const VmfRecordKnown *known, const VmfOwnerRecord *record);
