/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/probe-process.h"

/*
 * A share probe that has answered and is there for the next move.
 *
 * Why. Starting it (a hundred libraries to link) and its SMB sessions cost each host and the file
 * server more than the questions do, and hosts are emptied by a series of moves.
 *
 * Operations. One such process at most, for %VMF_PROBE_KEPT_S seconds from its start: that is the
 * age of its sessions. It is taken out, asked, and put back; who finds none starts another. Each
 * question is put to the server anew, so what is kept is no answer but who we are on a connection.
 * What an old session does not answer entirely well is asked again by a fresh process
 * (share-probe.c): a refusal never rests on a kept one. `vmferry check` never uses one.
 *
 * Failure model. A process that has ended, or says nothing, is done with at once. When vmferryd
 * ends, the other end of @control is gone and the process ends.
 */

#define VMF_PROBE_KEPT_S 60

/**
 * VmfProbeKept - a process that waits for questions
 * @control:  questions go in here (share-probe-wire.h); owned
 * @since_us: g_get_monotonic_time() of its start
 */
typedef struct {
    GPid pid;
    int control;
    gint64 since_us;
    gchar *who; /* what it was started as: another program, user or ticket cache is another one */
} VmfProbeKept;

/** vmf_probe_kept_new() - takes @pid and @control */
VmfProbeKept *
vmf_probe_kept_new(const VmfShareProbe *probe, GPid pid, int control, gint64 since_us);

/** vmf_probe_kept_end() - kills and reaps it; any thread */
void vmf_probe_kept_end(VmfProbeKept *kept);

/** vmf_probe_kept_put() - for the next question; an older one is ended. Takes @kept. Any thread. */
void vmf_probe_kept_put(VmfProbeKept *kept);

/**
 * vmf_probe_kept_ask() - asks the kept process, if there is one for @probe
 * @call: its timeout_ms is for this try alone
 *
 * Returns: (transfer full): the answer, the process has been put back; %NULL: there is none, or it
 *   gave none and has been ended
 */
GVariant *vmf_probe_kept_ask(const VmfShareProbe *probe, const VmfProbeCall *call);
