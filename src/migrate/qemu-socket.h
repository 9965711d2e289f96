/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/*
 * The sockets through which a guest's memory leaves and enters QEMU:
 *
 *   RUN/mig/                  root's, 0711
 *   RUN/mig/libvirt-UUID.out  source: we listen; libvirtd connects as root and hands the socket to
 *                             QEMU, or QEMU connects itself
 *   RUN/mig/libvirt-UUID/in   destination: QEMU listens, in a folder of its user, 0700; we connect
 *
 * "libvirt-UUID" is what libvirt calls the VM's AppArmor profile: a rule can say @{profile_name}.
 *
 * Who may rename in a folder chooses what a path in it means. The .out is where only root may: libvirtd
 * would connect, as root, to whatever a QEMU that has been taken over put there (a symbolic link to
 * libvirtd's own socket). The in is in QEMU's hands: whom we came to is asked of the kernel.
 */

/** vmf_qemu_socket_out(), _in() - the paths. Returns: (transfer full) */
gchar *vmf_qemu_socket_out(const char *run_dir, const char *uuid);
gchar *vmf_qemu_socket_in(const char *run_dir, const char *uuid);

/**
 * vmf_qemu_socket_make_folders() - RUN/mig and RUN/mig/libvirt-UUID; they may be there
 * @run_dir: a folder in which only root may rename
 * @uid, @gid: QEMU's
 *
 * Returns: %FALSE with VMF_ERROR_INTERNAL: also when a symbolic link is in the place of one.
 */
gboolean vmf_qemu_socket_make_folders(const char *run_dir, const char *uuid, uid_t uid, gid_t gid,
                                      GError **error);

/**
 * vmf_qemu_socket_listen() - a listening socket at @path, an _out(), 0600 of @uid and @gid
 *
 * What was there is removed. Returns: the descriptor; -1 with VMF_ERROR_INTERNAL.
 */
int vmf_qemu_socket_listen(const char *path, uid_t uid, gid_t gid, GError **error);

/**
 * vmf_qemu_socket_connect() - to @path, an _in(), where a process of @uid listens
 *
 * Returns: the descriptor; -1 with VMF_ERROR_INTERNAL; VMF_ERROR_DENIED: another user's process does.
 */
int vmf_qemu_socket_connect(const char *path, uid_t uid, GError **error);
