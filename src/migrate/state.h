/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * The state machine of one move, pure: which state may follow which, on each side.
 *
 * Operations. The source offers the VM, has the destination prepare it, copies memory, is left
 * with a paused guest (QUIESCED), drains and closes its share handles (RELEASING, RELEASED) and
 * grants. The destination acquires the handles and writes the owner record: COMMITTED is the
 * point of no return. Each state is written to the host's journal before what it names is done.
 *
 * Failure model. A state says what may have begun, never what has ended: after a crash in
 * RELEASING some handles may be closed, after one in ACQUIRING the record may name this host.
 * The owner record on the share decides which; the journal only says what to ask about.
 *
 *   source       OWNER → OFFERED → PREPARED → COPYING → QUIESCED → RELEASING → RELEASED → GONE
 *                any of them → KEPT: the guest goes on here (from RELEASING on, after a claim)
 *   destination  NEW → CHECKED → PREPARED → ACQUIRING → COMMITTED → RUNNING
 *                up to ACQUIRING → ABORTED; COMMITTED → RETURNED (given back untouched) or DOWN
 */

typedef enum {
    VMF_STAGE_SETUP,
    VMF_STAGE_MEMORY,
    VMF_STAGE_STATE,
    VMF_STAGE_STORAGE,
    VMF_STAGE_RESUME,
    VMF_STAGE_NETWORK,
    VMF_N_STAGES
} VmfStage;

typedef enum { VMF_ROLE_SOURCE, VMF_ROLE_DESTINATION } VmfRole;

typedef enum {
    VMF_STATE_OWNER,
    VMF_STATE_OFFERED,
    VMF_STATE_PREPARED,
    VMF_STATE_COPYING,
    VMF_STATE_QUIESCED,
    VMF_STATE_RELEASING,
    VMF_STATE_RELEASED,
    VMF_STATE_GONE,
    VMF_STATE_KEPT,
    /* destination */
    VMF_STATE_NEW,
    VMF_STATE_CHECKED,
    VMF_STATE_ALLOCATED, /* PREPARED of the destination: its VM waits for memory */
    VMF_STATE_ACQUIRING,
    VMF_STATE_COMMITTED,
    VMF_STATE_RUNNING,
    VMF_STATE_ABORTED,
    VMF_STATE_RETURNED,
    VMF_STATE_DOWN,
    VMF_N_STATES
} VmfState;

typedef enum {
    VMF_OUTCOME_NONE, /* still under way */
    VMF_OUTCOME_RUNS_ON_DESTINATION,
    VMF_OUTCOME_CONTINUES_ON_SOURCE,
    VMF_OUTCOME_PAUSED_WAITING,
    VMF_OUTCOME_VM_DOWN,
} VmfOutcome;

/** vmf_stage_name() - "setup" … "network", as in progress, journal, log and API */
const char *vmf_stage_name(VmfStage stage);

/** vmf_state_name() - "releasing": as stored in the journal */
const char *vmf_state_name(VmfState state);

/** vmf_state_from_name() - Returns: %FALSE when @name is no state's name */
gboolean vmf_state_from_name(const char *name, VmfState *state);

/** vmf_state_may_follow() - whether @next is permitted after @state */
gboolean vmf_state_may_follow(VmfState state, VmfState next);

/**
 * vmf_state_may_be_found() - whether recovery may go to @next though the journal says @state
 *
 * A journal can be behind: an older copy of it, or one that could not be written. The record
 * decides, so each end of the move is possible from wherever the journal stands.
 */
gboolean vmf_state_may_be_found(VmfState state, VmfState next);

/** vmf_state_is_final() - nothing follows: the move is over on this side */
gboolean vmf_state_is_final(VmfState state);

VmfRole vmf_state_role(VmfState state);

/** vmf_role_first_state() - the state a move begins in */
VmfState vmf_role_first_state(VmfRole role);

/** vmf_outcome_name() - "runs-on-destination" …, as in JSON; NULL while under way */
const char *vmf_outcome_name(VmfOutcome outcome);
