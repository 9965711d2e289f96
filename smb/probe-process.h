/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/share-probe.h"

/*
 * `vmferry-share-probe` as a process: one question in, one answer out, then it has ended,
 * or is kept for the next.
 *
 * It is the disk process's user, without a way back, in an empty environment, with a folder of its
 * own below the run directory, which is removed. Whatever it answers is of the type asked for and
 * no larger than allowed; what is in it is the caller's to judge.
 */

/**
 * VmfProbeCall - one question
 * @mode:        NULL: what a VM's files are like (share-probe.h); "find": share-find.h
 * @keep:        with @mode NULL: it may stay for the next question (probe-kept.h)
 * @answer_type: of the GVariant, as a string
 * @answer_max:  bytes
 */
typedef struct {
    const char *mode;
    GVariant *request;
    const char *answer_type;
    gsize answer_max;
    guint timeout_ms;
    gboolean keep;
} VmfProbeCall;

/**
 * vmf_probe_process_run() - ask, and wait for the answer; the process is killed when its time is up
 *
 * May be called from any thread. Returns: (transfer full): VMF_ERROR_UNREACHABLE: no answer in
 * time; VMF_ERROR_PROTOCOL: it is not of its form; VMF_ERROR_INTERNAL: the process cannot be
 * started, or ended by itself: says how.
 */
GVariant *
vmf_probe_process_run(const VmfShareProbe *probe, const VmfProbeCall *call, GError **error);
