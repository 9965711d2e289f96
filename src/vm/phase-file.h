/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What libvirtd is doing with a migrating VM, from the file in which it keeps that for its own
 * restart: /run/libvirt/qemu/NAME.xml, <domstatus><job async='migration out' phase='perform3'/>.
 *
 * Why. A coordinator that is killed leaves its call running in libvirtd: Perform copies on, Finish
 * waits for the disks. Its successor has the socket, not the reply, and libvirt's API does not say
 * whether a phase still runs. Calling the next one beside it crashes libvirtd 9.0, corrupts the
 * VM's job (the next Perform crashes), or leaves a thread hanging for ever [each measured].
 *
 * Failure model. The file is replaced as a whole at each change. Its format is libvirt's own
 * business, but every libvirtd reads what the one before it wrote. What is not understood is an
 * error, never a guess.
 */
#pragma once

#include <glib.h>

typedef enum {
    VMF_LIBVIRT_IDLE,       /* no migration of it: it runs, or it is not running at all */
    VMF_LIBVIRT_BEGUN,      /* source: Begin is done, or being done: an instant */
    VMF_LIBVIRT_PERFORMING, /* source: Perform is running */
    VMF_LIBVIRT_PERFORMED,  /* source: Perform has ended well; waits for Confirm */
    VMF_LIBVIRT_CONFIRMING, /* source: Confirm is running */
    VMF_LIBVIRT_PREPARED,   /* destination: Prepare is running, or waits for Finish */
    VMF_LIBVIRT_FINISHING,  /* destination: Finish is running */
} VmfLibvirtPhase;

/**
 * vmf_phase_file_read() - @state_dir: NULL: "/run/libvirt/qemu"; @name: the VM's
 *
 * Returns: FALSE with VMF_ERROR_BUSY: another job (a backup, a snapshot, post-copy);
 *   VMF_ERROR_PROTOCOL: the file is not understood; VMF_ERROR_DENIED: it may not be read.
 */
gboolean vmf_phase_file_read(const char *state_dir, const char *name, VmfLibvirtPhase *phase,
                             GError **error);

/**
 * vmf_phase_file_wait() - until no phase runs: neither PERFORMING, CONFIRMING nor FINISHING
 * @phase: (out): which it is then
 *
 * Returns: FALSE as above, and with VMF_ERROR_BUSY when one still runs after @timeout_ms.
 */
gboolean vmf_phase_file_wait(const char *state_dir, const char *name, gint64 timeout_ms,
                             VmfLibvirtPhase *phase, GError **error);
