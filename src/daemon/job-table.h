/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gio/gio.h>

#include "src/daemon/authority.h"
#include "src/migrate/context.h"
#include "src/migrate/job.h"
#include "src/migrate/source.h"

/*
 * The moves this host makes, as D-Bus objects /org/vmferry1/job/N. Thread-safe.
 */

typedef struct _VmfJobTable VmfJobTable;

/** vmf_job_table_new() - @authority: judges who may cancel; outlives the table */
VmfJobTable *
vmf_job_table_new(const VmfContext *context, GDBusConnection *bus, VmfAuthority *authority);

/**
 * vmf_job_table_start() - begin to move a VM in a thread of its own
 * @to: the destination's FQDN
 *
 * Returns: (transfer full): the job's object path, or VMF_ERROR_BUSY when another job has this VM or
 *   all slots are taken, or the journal's errors
 */
gchar *vmf_job_table_start(VmfJobTable *table, const char *uuid, const char *name, const char *to,
                           const VmfMigrateOptions *options, GError **error);

/** vmf_job_table_find() - (transfer full) (nullable) */
VmfJob *vmf_job_table_find(VmfJobTable *table, gint64 number);

/** vmf_job_table_moves() - whether VM @uuid is being moved away */
gboolean vmf_job_table_moves(VmfJobTable *table, const char *uuid);

/** vmf_job_table_rests() - Returns: FALSE with VMF_ERROR_BUSY naming the job that moves @uuid away */
gboolean
vmf_job_table_rests(VmfJobTable *table, const char *uuid, const char *name, GError **error);
