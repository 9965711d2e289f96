/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The five phases of libvirt's migration protocol, each spoken to the local libvirtd only.
 *
 * libvirt's own client drives both daemons and takes a lost reply for a failure; we need the
 * decision between Perform and Finish, and between Finish and Confirm, for ourselves. So each
 * phase is one call here, on one connection of its own:
 *
 *   source       begin ─────────────► perform ───────────────────► confirm
 *                   │ cookie, xml        ▲ │ cookie                   ▲ cookie
 *   destination     └──► prepare ────────┘ └──► finish ───────────────┘
 *                             cookie
 *
 * Failure model. A call ends in one of three ways, and the caller must tell them apart:
 *   VMF_PHASE_DONE     libvirtd says the phase is done.
 *   VMF_PHASE_REFUSED  libvirtd answered with an error: the state is the one written at each phase.
 *   VMF_PHASE_UNKNOWN  the connection ended, the answer made no sense, or the wait was ended: the
 *                      phase may or may not have happened. Ask the record and vmf_host_lookup().
 * The connection is part of the state: when it closes, libvirtd destroys a prepared destination
 * that is not finished, and forgets the job of a performed source (paused, reason "migrating").
 * libvirtd ends the phase under way first, then sees the loss. Do not Finish on a new connection
 * what a lost one had prepared: libvirtd destroys it by itself, and the two collide (a thread of
 * libvirtd 9.0 hung for ever); wait until vmf_host_lookup() knows it no more.
 * Hence vmf_phases_dup_fd(): a copy held by another process keeps both alive, and
 * vmf_phases_adopt() lets a successor go on with it.
 *
 * Between Perform's return and Finish/Confirm do not suspend, resume, destroy or abort either
 * domain through vmf_host_*: those calls block until the migration's job is over.
 */
#pragma once

#include <gio/gio.h>

typedef struct VmfPhases VmfPhases;

typedef enum {
    VMF_PHASE_DONE,
    VMF_PHASE_REFUSED,
    VMF_PHASE_UNKNOWN,
} VmfPhaseResult;

/* libvirt's error numbers that a caller acts on (virterror.h; vmf_phases_last_code()). */
enum {
    VMF_LIBVIRT_NO_DOMAIN = 42,
    VMF_LIBVIRT_OPERATION_INVALID = 55,
    VMF_LIBVIRT_OPERATION_ABORTED = 78, /* Perform, after vmf_host_abort_job() */
    VMF_LIBVIRT_MIGRATE_UNSAFE = 81,
    VMF_LIBVIRT_MIGRATE_FINISH_OK = 93,
};

/**
 * VmfPhaseParams - what both sides agree on before the move; equal in every phase of one move
 * @uuid:      the VM (source: which to move)
 * @name:      its name on the destination; equal to its name on the source
 * @parallel:  number of memory connections; 0: one stream, without multifd
 * @auto_converge: slow the guest's CPUs when it dirties memory faster than it can be sent
 * @auto_converge_initial, @auto_converge_increment: percent; 0: QEMU's default
 * @bandwidth_mib: MiB/s; 0: no limit
 */
typedef struct {
    const char *uuid;
    const char *name;
    guint parallel;
    gboolean auto_converge;
    guint auto_converge_initial;
    guint auto_converge_increment;
    guint64 bandwidth_mib;
} VmfPhaseParams;

/**
 * vmf_phases_open() - connect to libvirtd and open its QEMU driver
 * @libvirt_socket: NULL: "/run/libvirt/libvirt-sock"
 *
 * Returns: (transfer full), or NULL with
 *   VMF_ERROR_UNREACHABLE  no daemon on the socket
 *   VMF_ERROR_DENIED       libvirtd wants an authentication, or this user may not connect
 *   VMF_ERROR_PROTOCOL     what answers is not libvirtd
 */
VmfPhases *vmf_phases_open(const char *libvirt_socket, GError **error);

/**
 * vmf_phases_adopt() - go on with the connection a predecessor opened
 * @fd: (transfer full): a copy from vmf_phases_dup_fd(), authenticated and opened
 *
 * Replies to the predecessor's calls that arrive later are dropped: their outcome is asked from
 * libvirt's API. vmf_phase_file_wait() before the next phase: the predecessor's call may still run.
 * Errors: VMF_ERROR_INTERNAL: not a local stream socket; VMF_ERROR_UNREACHABLE: it has ended.
 */
VmfPhases *vmf_phases_adopt(int fd, GError **error);

void vmf_phases_free(VmfPhases *phases); /* closes this copy of the connection */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPhases, vmf_phases_free)

/** vmf_phases_dup_fd() - Returns: a close-on-exec copy of the socket, owned by the caller, or -1 */
int vmf_phases_dup_fd(VmfPhases *phases, GError **error);

/**
 * vmf_phases_set_cancellable() - stop waiting for replies once @cancellable is cancelled
 *
 * Ends the wait, not the phase: the call returns VMF_PHASE_UNKNOWN, and this object answers every
 * later call with VMF_PHASE_UNKNOWN too (the connection stays usable through another copy).
 * To end a memory copy use vmf_host_abort_job(); Perform then returns REFUSED with code 78.
 */
void vmf_phases_set_cancellable(VmfPhases *phases, GCancellable *cancellable);

/**
 * vmf_phases_is_connected() - whether libvirtd still has its end open, looked at now
 *
 * The libvirtd in which the phases so far were done lives then, so none after it was started.
 */
gboolean vmf_phases_is_connected(const VmfPhases *phases);

/**
 * vmf_phases_last_code() - libvirt's error number of the last answer that was an error, 0 otherwise
 *
 * Also after a cancelled finish, where an error is the answer hoped for (93); when the destination's
 * QEMU died of the stream, the code and vmf_phases_last_message() say of what.
 */
int vmf_phases_last_code(const VmfPhases *phases);
/* "" when the last call was not answered with an error. Owned by @phases, until its next call. */
const char *vmf_phases_last_message(const VmfPhases *phases);

/*
 * The phases. All block; one call at a time per object; any thread.
 *
 * @error on REFUSED: VMF_ERROR_BUSY (another job of the VM), _CONFIG (no such VM, not running),
 * _DENIED, _UNSUPPORTED (libvirt says the VM cannot move, and why), else _INTERNAL, always with
 * libvirt's own text. On UNKNOWN: VMF_ERROR_UNREACHABLE, or VMF_ERROR_PROTOCOL for an answer that
 * is not libvirt's. Out parameters are only written on DONE. Cookies carry their terminating NUL
 * byte, as libvirt counts it.
 */

/**
 * vmf_phases_begin() - source: is it movable, what is it, and no other job from now on
 * @cookie: (out): for prepare, through vmf_cookie_rebuild() at the destination
 * @xml:    (out): the live, migratable definition, through vmf_domain_rebuild() likewise
 *
 * DONE: the guest runs on, other jobs are refused until confirm. REFUSED: nothing has changed.
 * The connection lost after DONE: the job is dropped, the guest runs on.
 */
VmfPhaseResult vmf_phases_begin(VmfPhases *phases, const VmfPhaseParams *params, GBytes **cookie,
                                char **xml, GError **error);

/**
 * vmf_phases_prepare() - destination: start QEMU, stopped, listening for the memory
 * @uri:    "unix:///run/vmferry/mig/libvirt-UUID/in"; created by QEMU, in a folder QEMU's user may write
 * @xml:    vmf_domain_to_xml() of the rebuilt definition
 * @cookie: of begin, rebuilt; never empty
 * @cookie_out: (out): for perform
 *
 * REFUSED: nothing is left. Connection lost after DONE and before finish: libvirtd destroys it.
 */
VmfPhaseResult
vmf_phases_prepare(VmfPhases *phases, const VmfPhaseParams *params, const char *uri,
                   const char *xml, GBytes *cookie, GBytes **cookie_out, GError **error);

/**
 * vmf_phases_perform() - source: copy the memory, pause the guest, send its state
 * @uri:    "unix:///…": a socket on which the memory stream is accepted
 * @cookie: of prepare, rebuilt; never empty (an empty one crashes libvirtd 9.0)
 * @cookie_out: (out): for finish
 *
 * DONE: the guest is paused, its disks are inactive; drain and close them, decide, then finish.
 * REFUSED: the guest runs at the source as before and the job is over: no confirm.
 * UNKNOWN: if the connection was lost, libvirtd ends the copy or leaves the guest paused.
 */
VmfPhaseResult vmf_phases_perform(VmfPhases *phases, const VmfPhaseParams *params, const char *uri,
                                  GBytes *cookie, GBytes **cookie_out, GError **error);

/**
 * vmf_phases_finish() - destination: run the guest, or throw it away
 * @cookie: (nullable): of perform, rebuilt
 * @cookie_out: (out) (nullable): for confirm; left alone when @cancelled
 *
 * Not cancelled: DONE: the guest runs here, as a transient domain until vmf_host_define().
 * REFUSED: it could not run and is gone; code 55: it is no incoming domain any more, look at it.
 * Cancelled: DONE: it is gone (libvirt says so with its error 93), or was not there any more.
 * UNKNOWN is the question handover.md is about.
 * A successor that never saw Perform's reply may finish without a @cookie once the source's job
 * progress says VMF_JOB_COMPLETED: only libvirt's statistics are lost [measured].
 */
VmfPhaseResult vmf_phases_finish(VmfPhases *phases, const VmfPhaseParams *params, GBytes *cookie,
                                 gboolean cancelled, GBytes **cookie_out, GError **error);

/**
 * vmf_phases_confirm() - source: end the paused guest and undefine it, or let it run again
 * @cookie: of finish, rebuilt; may be NULL
 * @cancelled: only when the owner record says that this host owns the disks
 *
 * Not cancelled, DONE: gone, and not defined here any more. Cancelled, DONE: it runs here again.
 * REFUSED: libvirt has no such job (any more): look at vmf_host_lookup() and act on the state.
 */
VmfPhaseResult vmf_phases_confirm(VmfPhases *phases, const VmfPhaseParams *params, GBytes *cookie,
                                  gboolean cancelled, GError **error);
