/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * Reading, as root, what lies in a folder of the disk process's or the share probe's user: RUN/UUID,
 * RUN/probe-…. Whoever has taken over one of those processes chooses what a name in it means: a file of
 * root's that would come out in a message, a pipe that never ends.
 */

/**
 * vmf_disk_folder_read_end() - the last bytes of a file
 * @folder: itself in a folder in which only root may rename
 * @max: bytes at most
 *
 * Returns: (transfer full): with a zero behind; NULL: it is not there, or no regular file of that name
 *   alone; errno.
 */
gchar *vmf_disk_folder_read_end(const char *folder, const char *name, gsize max, gsize *size);

/** vmf_disk_folder_is_plain() - @fd is a regular file, with one name: no link to another user's */
gboolean vmf_disk_folder_is_plain(int fd);
