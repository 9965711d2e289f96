/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/migrate/job.h"
#include "src/vm/host.h"

/*
 * Watches a memory copy while another thread is blocked in Perform: reports progress, passes a
 * cancel on to libvirt, and sets how long the guest may pause.
 *
 * The permitted pause starts at @max_downtime_ms and doubles, at most eightfold, each time three
 * more passes over memory have not sufficed: an idle guest gets a short pause, a busy one still
 * converges. QEMU's auto-converge helps beyond that.
 */

typedef struct _VmfCopyWatch VmfCopyWatch;

VmfCopyWatch *vmf_copy_watch_start(VmfHost *host, VmfJob *job, guint max_downtime_ms);

/** vmf_copy_watch_end() - Perform has returned: no more questions to libvirt, the last is answered */
void vmf_copy_watch_end(VmfCopyWatch *watch);

/** vmf_copy_watch_free() - ends it, if that has not been done */
void vmf_copy_watch_free(VmfCopyWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfCopyWatch, vmf_copy_watch_free)
