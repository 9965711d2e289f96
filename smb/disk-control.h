/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-set.h"

#include <gio/gio.h>

/*
 * The control socket of a disk process: org.vmferry.Disk1 for vmferryd.
 *
 * Operations. Two threads. "control" speaks D-Bus and answers at once what needs no share. "owner"
 * is the disk set's owner thread: it runs the other verbs one after the other, given by "control" or
 * said on a line (disk-line.h), and between them the set's own work, when that is due, woken, or
 * the session hangs up.
 *
 * Failure model. A caller that goes away changes nothing: its verb runs to its end. Only root and
 * the process's own user are let in.
 */

typedef struct _VmfDiskControl VmfDiskControl;

/**
 * vmf_disk_control_new() - what a disk set needs to be made with: somebody to wake
 * @quit: ends the process; called from the owner thread after Quit was answered
 */
VmfDiskControl *vmf_disk_control_new(void (*quit)(void));

/** vmf_disk_control_changed() - for VmfDiskSetConfig; @control is the VmfDiskControl */
void vmf_disk_control_changed(gpointer control);

/** vmf_disk_control_wake() - for VmfDiskSetConfig; @control is the VmfDiskControl */
void vmf_disk_control_wake(gpointer control);

/**
 * vmf_disk_control_serve() - start both threads, and listen
 * @set: stays the caller's, and outlives @control; from now on it is the owner thread's
 *
 * Returns: %FALSE with VMF_ERROR_INTERNAL: the socket cannot be made.
 */
gboolean vmf_disk_control_serve(VmfDiskControl *control, VmfDiskSet *set, const char *socket_path,
                                GError **error);

/** vmf_disk_control_free() - end both threads; the verb that runs is waited for */
void vmf_disk_control_free(VmfDiskControl *control);
