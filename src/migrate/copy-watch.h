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
 *
 * In the last step the guest stands still, and QEMU waits for the other QEMU to say that it has all.
 * One that says nothing, frozen or hostile, is not waited for longer than VMF_COPY_STILL_S: the copy
 * is aborted and the guest goes on here.
 */

#define VMF_COPY_STILL_S 20

typedef struct _VmfCopyWatch VmfCopyWatch;

VmfCopyWatch *vmf_copy_watch_start(VmfHost *host, VmfJob *job, guint max_downtime_ms);

/** vmf_copy_watch_end() - Perform has returned: no more questions to libvirt, the last is answered */
void vmf_copy_watch_end(VmfCopyWatch *watch);

/** vmf_copy_watch_was_stuck() - after the end: it aborted a copy in which the guest stood still */
gboolean vmf_copy_watch_was_stuck(VmfCopyWatch *watch);

/** vmf_copy_watch_free() - ends it, if that has not been done */
void vmf_copy_watch_free(VmfCopyWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfCopyWatch, vmf_copy_watch_free)
