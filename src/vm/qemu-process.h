/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The QEMU process of a local VM, without libvirt.
 *
 * Why: libvirtd that is terminated between Perform and Confirm resumes the source when it comes
 * back, beside a running destination (measured, handover.md). So the process is stopped by a signal
 * in that window: what libvirtd says to it then stays unread. It is held by a pidfd taken while
 * everything was fine, so that a reused pid is never hit.
 */
#pragma once

#include <glib.h>

typedef struct VmfQemuProcess VmfQemuProcess;

/**
 * vmf_qemu_process_find() - the process that runs @uuid
 * @state_dir: NULL: "/run/libvirt/qemu"; holds NAME.pid
 *
 * Checked: the pid file's process has "-uuid @uuid" among its arguments. A VM that was started by
 * another libvirt is not found.
 *
 * Returns: (transfer full), or NULL with VMF_ERROR_CONFIG: no such process
 */
VmfQemuProcess *
vmf_qemu_process_find(const char *state_dir, const char *name, const char *uuid, GError **error);
void vmf_qemu_process_free(VmfQemuProcess *process);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfQemuProcess, vmf_qemu_process_free)

gint64 vmf_qemu_process_pid(const VmfQemuProcess *process);
guint64 vmf_qemu_process_start_time(const VmfQemuProcess *process); /* clock ticks since boot */

/** vmf_qemu_process_alive() - FALSE once it has ended (a zombie has ended) */
gboolean vmf_qemu_process_alive(const VmfQemuProcess *process);

/** vmf_qemu_process_stop() - SIGSTOP; SIGCONT with @stop FALSE. INTERNAL: it is gone */
gboolean vmf_qemu_process_stop(VmfQemuProcess *process, gboolean stop, GError **error);

/**
 * vmf_qemu_process_wait_stopped() - until its main thread is stopped
 *
 * That thread alone reads the monitor and lets the guest's CPUs run: once it is stopped, whatever
 * libvirtd has sent before and did not see carried out is not carried out until it is continued.
 *
 * Returns: VMF_ERROR_BUSY: not within @timeout_ms (the kernel holds it); INTERNAL: it is gone
 */
gboolean vmf_qemu_process_wait_stopped(VmfQemuProcess *process, guint timeout_ms, GError **error);

/** vmf_qemu_process_is_told_to_end() - SIGTERM was sent to it and waits until it is continued */
gboolean vmf_qemu_process_is_told_to_end(const VmfQemuProcess *process);

/** vmf_qemu_process_kill() - SIGKILL and wait for its end, at most @timeout_ms. Gone is success */
gboolean vmf_qemu_process_kill(VmfQemuProcess *process, guint timeout_ms, GError **error);
