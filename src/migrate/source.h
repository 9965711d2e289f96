/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/migrate/context.h"
#include "src/migrate/job.h"

/*
 * The source's half of a move: the six stages, one after the other, in one worker thread.
 *
 * Operations. Setup judges and prepares; memory and state are libvirt's Perform through an
 * encrypted stream; storage closes our share handles and grants; resume and network wait for the
 * destination and end the paused copy here.
 *
 * Failure model. Before our handles are closed every failure leaves the guest running here under
 * its old epoch. After that no reply, or a failed one, decides anything: the owner record does
 * (source-verdict.h). The guest is resumed here only after this host has become owner again; it is
 * thrown away here only after the record names the destination. What cannot be known is waited for,
 * with the guest paused, for as long as it takes.
 */

typedef struct {
    guint max_downtime_ms;
    guint64 bandwidth_mib; /* 0: no limit */
    GVariant *plan; /* a{sv}: the facts of an earlier check, which must hold still; NULL: none */
} VmfMigrateOptions;

/** vmf_source_run() - move @job's VM to the host @job names. Blocking; the job is finished on return */
void vmf_source_run(const VmfContext *context, VmfJob *job, const VmfMigrateOptions *options);
