/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-client.h"
#include "src/migrate/check.h"
#include "src/migrate/copy-watch.h"
#include "src/migrate/memory-stream.h"
#include "src/migrate/peer-link.h"
#include "src/migrate/source.h"
#include "src/vm/phases.h"
#include "src/vm/qemu-process.h"

/** VmfSource - one move under way, owned by its worker thread */
typedef struct {
    const VmfContext *context;
    VmfJob *job;
    const VmfMigrateOptions *options;
    const char *migration, *uuid, *name, *to; /* the job's; @to is an FQDN */
    VmfState state;
    guint64 epoch;       /* under which this host owns the disks, or owned them when it released */
    guint64 seen_epoch;  /* the greatest that the record was read with */
    gchar *disks_text;   /* of vmf_vm_disks_to_text(); NULL: not known */
    gboolean recovering; /* after a restart: the journal may be behind */
    gboolean unnoted;    /* its last state could not be written to the journal yet */

    VmfCheck *check;
    GThread *judging; /* result: VmfCheckResult */
    VmfPeerLink *peer;
    VmfDiskClient *disks;
    VmfPhases *phases;
    VmfPhaseParams params;
    VmfQemuProcess *qemu;
    VmfMemoryStream *memory;
    VmfCopyWatch *watch;
    gboolean persistent, autostart;
    gboolean begun; /* libvirt waits for our Confirm */

    GString *laps; /* what took how long, for the log */
    gint64 lap_us;

    guint subscription;
    gint64 suspended_us; /* set in the main loop */
    gint64 runs_us;      /* when the destination said so; 0: it did not */
    GMutex lock;         /* guards it */
} VmfSource;

/** vmf_source_lap() - note in the log that @what took the time since the last lap */
void vmf_source_lap(VmfSource *source, const char *what);

/** vmf_source_enter() - the next state, in the journal first */
gboolean vmf_source_enter(VmfSource *source, VmfState next, GError **error);

/** vmf_source_enter_last() - a final state; a journal that cannot be written now gets it later */
void vmf_source_enter_last(VmfSource *source, VmfState next);

/* ---- source-setup.c ---- */

/**
 * vmf_source_set_up() - check the VM, reach the destination, have it judge and make room
 * @prepare_cookie: (out): for Perform
 */
gboolean vmf_source_set_up(VmfSource *source, GBytes **prepare_cookie, GError **error);

/** vmf_source_still_wanted() - FALSE with G_IO_ERROR_CANCELLED */
gboolean vmf_source_still_wanted(VmfSource *source, GError **error);

/** vmf_source_asked() - of what the destination is asked: to judge its answer (peer-answers.h) */
VmfPeerAsked vmf_source_asked(const VmfSource *source);
/** vmf_source_answered() - @ok of a call to the destination; @error is told in its name */
gboolean vmf_source_answered(VmfSource *source, gboolean ok, GError **error);

/* ---- source.c, source-verdict.c ---- */

typedef enum {
    VMF_VERDICT_OURS,   /* this host is owner again, its gate open */
    VMF_VERDICT_THEIRS, /* the record names the destination */
} VmfVerdict;

/**
 * vmf_source_ask_record() - whose the VM is: the record decides (record-table.h)
 *
 * Where it says ours and the disks had been given up, becomes owner again under a greater epoch: a
 * late grant of the old one is then worthless. Asks until the record answers. Never gives up.
 */
VmfVerdict vmf_source_ask_record(VmfSource *source);

/** vmf_source_has_ended() - the guest's process here is gone: nothing is left to be resumed */
gboolean vmf_source_has_ended(const VmfSource *source);

/**
 * vmf_source_follow() - after the record named the destination: wait until the guest runs there
 *
 * Returns: %VMF_VERDICT_THEIRS: it runs there, or did (then @down: the guest is lost);
 *   %VMF_VERDICT_OURS: it was given back untouched, or never taken; it has been taken back
 */
VmfVerdict vmf_source_follow(VmfSource *source, gboolean *down, GError **why);

#define VMF_RETRY_FIRST_MS   100
#define VMF_RETRY_LARGEST_MS 5000

/** vmf_source_back_off() - wait before another try, longer each time; no time decides anything */
void vmf_source_back_off(guint *wait_ms);

/* ---- source-window.c ---- */

/** vmf_source_stop_qemu() - Perform has returned: what libvirtd says to QEMU stays unread now */
gboolean vmf_source_stop_qemu(VmfSource *source, GError **error);

/**
 * vmf_source_look() - QEMU is stopped, and libvirtd has been the same since Perform
 *
 * Returns: %FALSE: the guest may have run, or may yet: nothing must be given up
 */
gboolean vmf_source_look(VmfSource *source, GError **error);

/** vmf_source_resume_here() - the record says ours: the guest runs here again. FALSE: it ended */
gboolean vmf_source_resume_here(VmfSource *source, GError **error);

/**
 * vmf_source_guest_is_gone() - libvirt's job is over: has the guest ended meanwhile?
 *
 * Returns: %TRUE: it has been shut down, or its QEMU died; @error says so, and what to do
 */
gboolean vmf_source_guest_is_gone(VmfSource *source, GError **error);

/** vmf_source_end_here() - the record says theirs: the paused copy goes, and its definition */
gboolean vmf_source_end_here(VmfSource *source, GBytes *finish_cookie, GError **error);

/**
 * vmf_source_keep() - the guest goes on here: no handle was closed, or they are ours again
 * @why: (inout): why it was not moved; replaced when it has ended meanwhile
 */
VmfOutcome vmf_source_keep(VmfSource *source, GError **why);

/** vmf_source_see_it_run() - the record named the destination: only it can give the VM back */
VmfOutcome vmf_source_see_it_run(VmfSource *source, GError **why);

void vmf_source_init(VmfSource *source, const VmfContext *context, VmfJob *job,
                     const VmfMigrateOptions *options);
void vmf_source_clear(VmfSource *source);

/**
 * vmf_source_report() - end the job, and keep its last state and its report in the journal
 *
 * Returns when they are written; who waits for the job's end is told before, if that takes long.
 */
void vmf_source_report(VmfSource *source, VmfOutcome outcome, const GError *why);
