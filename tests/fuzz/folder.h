/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib/gstdio.h>
#include <stdlib.h>

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

/* Its one file, with this content. Returns: its path, which stays the same. */
static inline const char *
fuzz_file(const char *name, const guint8 *data, gsize size)
{
    static gchar *path;
    g_autoptr(GError) error = NULL;
    if (path == NULL)
        path = g_build_filename(fuzz_folder(), name, NULL);
    g_file_set_contents_full(path, (const char *)data, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600,
                             &error);
    g_assert_no_error(error);
    return path;
}
