/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A folder for a target whose code reads files; it goes when the process ends. */

static gchar *fuzz_folder_path;

static void
fuzz_folder_empty(void)
{
    g_autoptr(GDir) folder = g_dir_open(fuzz_folder_path, 0, NULL);
    for (const char *name; folder && (name = g_dir_read_name(folder));) {
        g_autofree gchar *file = g_build_filename(fuzz_folder_path, name, NULL);
        g_unlink(file);
    }
}

static void
fuzz_folder_remove(void)
{
    fuzz_folder_empty();
    g_rmdir(fuzz_folder_path);
}

static inline const char *
fuzz_folder(void)
{
    if (fuzz_folder_path == NULL) {
        fuzz_folder_path = g_dir_make_tmp("vmferry-fuzz-XXXXXX", NULL);
        g_assert_nonnull(fuzz_folder_path);
        atexit(fuzz_folder_remove);
    }
    return fuzz_folder_path;
}

/*
 * Its one file, with this content and no other: g_file_set_contents_full() without a flag leaves what a
 * longer one before had behind it. Returns: its path, which stays the same.
 */
static inline const char *
fuzz_file(const char *name, const guint8 *data, gsize size)
{
    static gchar *path;
    if (path == NULL)
        path = g_build_filename(fuzz_folder(), name, NULL);
    int fd = g_open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    g_assert_true(fd >= 0 && write(fd, data, size) == (gssize)size);
    close(fd);
    return path;
}
