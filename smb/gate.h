/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * The gate between a guest's disk requests and the share. Pure but for waiting: it knows nothing
 * of NBD or SMB. The one place that says which request may go now, by which handle, and which
 * never.
 *
 * Operations.
 *   CLOSED    reads pass and use the handle that denies nobody (unless the session is down:
 *             "offline"); writes wait. Owning the disks with the gate still closed is a state of
 *             CLOSED: only an owned gate can be opened, and only with the epoch it is owned with.
 *   OPEN      reads and writes pass and use the owner's handle.
 *   DRAINING  requests that have passed finish, new ones wait. Left for CLOSED (released) or OPEN
 *             (ticket rotated, or a release that failed before it closed anything).
 *   FENCED    the session broke while the gate was open: everything waits. Left for OPEN when
 *             the disks are held again and the record still names this owner and epoch. When the
 *             record names another it is "foreign", and never opened again: it can only be closed.
 *
 *            own(e)          open(e)           drain              close
 *   CLOSED ─────────► CLOSED(e) ─────► OPEN(e) ─────► DRAINING(e) ─────► CLOSED
 *                       │ ▲              ▲ ▲ │            │ │
 *                       ▼ │ close        │ │ └──┐ fence   │ │ fence
 *                     CLOSED             │ └────┼─────────┘ │
 *                                 unfence│      ▼  resume   │
 *                                        └── FENCED(e) ◄────┘
 *                                               └── close, if foreign ──► CLOSED
 *
 * Leases. A request that waits for the gate must not pass it on behalf of an owner who came
 * later: between may lie another host's writes. Each client's connection holds a lease, which
 * counts the releases that were before it. When the disks are owned again and another owner may
 * have written since ("not continuous"), the leases from before the last release are stale:
 * their requests, waiting or to come, get VMF_PASS_GONE. A client that has hung up, asked for
 * when the wait ends, gets it as well.
 *
 * Failure model. Nothing here fails; a forbidden move is a defect and aborts the process, which
 * closes every handle: that is the safe side. The process's death loses only waiting requests.
 *
 * All functions may be called from any thread; those that move the gate only from the one
 * thread that owns the disks' handles ("the owner thread"), except vmf_gate_fence() and
 * _set_offline().
 */

typedef enum {
    VMF_GATE_CLOSED,
    VMF_GATE_OPEN,
    VMF_GATE_DRAINING,
    VMF_GATE_FENCED,
    VMF_N_GATE_STATES
} VmfGateState;

/** vmf_gate_state_name() - "closed", "open", "draining", "fenced" */
const char *vmf_gate_state_name(VmfGateState state);

/** vmf_gate_state_from_name() - Returns: %FALSE when @name is none of them */
gboolean vmf_gate_state_from_name(const char *name, VmfGateState *state);

typedef struct _VmfGate VmfGate;

/* A flush has nothing to do at a closed gate: what was answered there is durable. */
typedef enum { VMF_GATE_READ, VMF_GATE_WRITE, VMF_GATE_FLUSH } VmfGateAccess;

typedef enum {
    VMF_PASS_READER, /* go, by the handle that denies nobody */
    VMF_PASS_OWNER,  /* go, by the owner's handle */
    VMF_PASS_GONE,   /* never: the lease is stale, the client has hung up, or the process ends */
} VmfGatePass;

/**
 * VmfGateLease - one client's connection
 * @born:  by vmf_gate_lease_init()
 * @alive: asked, without a lock held, whether the client is still there: each second of waiting
 *         and before a request that has waited passes; %NULL: it is
 */
typedef struct {
    guint64 born;
    gboolean (*alive)(gpointer data);
    gpointer data;
} VmfGateLease;

typedef enum {
    VMF_DRAIN_DONE,    /* DRAINING and nothing in flight, or the gate was CLOSED */
    VMF_DRAIN_FENCED,  /* the session broke meanwhile, or had before */
    VMF_DRAIN_TIMEOUT, /* OPEN again */
    VMF_DRAIN_STALLED, /* OPEN again: what is in flight cannot finish now (vmf_gate_stall()) */
} VmfDrain;

typedef struct {
    VmfGateState state;
    guint64 epoch; /* 0: not owned */
    gboolean foreign;
    gboolean offline;
    guint in_flight; /* but for the stalled ones, which wait */
    guint waiting;
    guint64 writes_passed; /* since the disks were owned */
} VmfGateFacts;

VmfGate *vmf_gate_new(void);
void vmf_gate_free(VmfGate *gate);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfGate, vmf_gate_free)

/** vmf_gate_facts() - all at one instant */
VmfGateFacts vmf_gate_facts(VmfGate *gate);

/* --- requests --- */

/** vmf_gate_lease_init() - for a client that connects now */
void vmf_gate_lease_init(VmfGate *gate, VmfGateLease *lease, gboolean (*alive)(gpointer data),
                         gpointer data);

/**
 * vmf_gate_enter() - wait until the request may go
 *
 * Returns: not VMF_PASS_GONE: the request is in flight until vmf_gate_leave().
 */
VmfGatePass vmf_gate_enter(VmfGate *gate, const VmfGateLease *lease, VmfGateAccess access);

/** vmf_gate_leave() - the request is answered, or goes back to waiting */
void vmf_gate_leave(VmfGate *gate);

/**
 * vmf_gate_stall() - a request in flight cannot be carried out now: wait, at most @milliseconds
 *
 * It stays in flight: a drain does not pass over it.
 *
 * Returns: %FALSE: the session broke, the client hung up, or the process ends: leave the gate
 */
gboolean vmf_gate_stall(VmfGate *gate, const VmfGateLease *lease, guint milliseconds);

/** vmf_gate_client_is_gone() - what VMF_PASS_GONE is about, for a request that waits elsewhere */
gboolean vmf_gate_client_is_gone(VmfGate *gate, const VmfGateLease *lease);

/* --- the owner thread --- */

/**
 * vmf_gate_own() - the disks are held and the record names this owner with @epoch
 * @epoch:      greater than 0; not below the epoch owned already
 * @continuous: nobody else can have written since the disks were last held here
 */
void vmf_gate_own(VmfGate *gate, guint64 epoch, gboolean continuous);

/** vmf_gate_note_written() - a write has passed before: of a predecessor of this process */
void vmf_gate_note_written(VmfGate *gate);

/** vmf_gate_open() - Returns: %FALSE, nothing changed: not CLOSED and owned with @epoch */
gboolean vmf_gate_open(VmfGate *gate, guint64 epoch);

/** vmf_gate_drain() - OPEN becomes DRAINING; wait until nothing is in flight */
VmfDrain vmf_gate_drain(VmfGate *gate, guint timeout_ms);

/** vmf_gate_resume() - DRAINING to OPEN. Returns: %FALSE: it was fenced meanwhile */
gboolean vmf_gate_resume(VmfGate *gate);

/**
 * vmf_gate_close() - the disks are not held any more: CLOSED, from any state, not owned
 *
 * From OPEN only after vmf_gate_drain(); from FENCED only when foreign. Waits until nothing is in
 * flight: after a fence, requests return as their session is dead.
 */
void vmf_gate_close(VmfGate *gate);

/**
 * vmf_gate_unfence() - FENCED to OPEN: the disks are held again, the record says @epoch
 *
 * Returns: %FALSE, nothing changed: not FENCED, another epoch, or foreign.
 */
gboolean vmf_gate_unfence(VmfGate *gate, guint64 epoch);

/** vmf_gate_set_foreign() - FENCED, and the record names another owner: for good */
void vmf_gate_set_foreign(VmfGate *gate);

/* --- any thread --- */

/** vmf_gate_fence() - the session broke: OPEN and DRAINING become FENCED; else nothing changes */
void vmf_gate_fence(VmfGate *gate);

/** vmf_gate_set_offline() - there is no session: reads at a CLOSED gate wait as well */
void vmf_gate_set_offline(VmfGate *gate, gboolean offline);

/** vmf_gate_end() - the process ends: whoever waits, or comes, gets VMF_PASS_GONE */
void vmf_gate_end(VmfGate *gate);
