/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-folder.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

/* A folder of the disk process's, and beside it a file of root's. */
typedef struct {
    gchar *root, *folder, *log, *secret;
} Fixture;

static void
set_up(Fixture *f, gconstpointer unused)
{
    f->root = g_dir_make_tmp("disk-folder-XXXXXX", NULL);
    g_assert_nonnull(f->root);
    f->folder = g_build_filename(f->root, "folder", NULL);
    f->log = g_build_filename(f->folder, "disk.log", NULL);
    f->secret = g_build_filename(f->root, "secret", NULL);
    g_assert_cmpint(g_mkdir(f->folder, 0711), ==, 0);
    g_assert_true(g_file_set_contents(f->secret, "of root's", -1, NULL));
}

static void
tear_down(Fixture *f, gconstpointer unused)
{
    g_remove(f->log);
    g_remove(f->secret);
    g_remove(f->folder);
    g_assert_cmpint(g_rmdir(f->root), ==, 0);
    g_free(f->root);
    g_free(f->folder);
    g_free(f->log);
    g_free(f->secret);
}

static void
assert_end(const char *folder, gsize max, const char *wanted)
{
    gsize size = 77;
    g_autofree gchar *text = vmf_disk_folder_read_end(folder, "disk.log", max, &size);
    g_assert_cmpstr(text, ==, wanted);
    g_assert_cmpuint(size, ==, wanted != NULL ? strlen(wanted) : 77);
}

static void
test_end(Fixture *f, gconstpointer unused)
{
    assert_end(f->folder, 4, NULL);
    g_assert_true(g_file_set_contents(f->log, "", 0, NULL));
    assert_end(f->folder, 4, "");
    g_assert_true(g_file_set_contents(f->log, "0123456789", -1, NULL));
    assert_end(f->folder, 4, "6789");
    assert_end(f->folder, 10, "0123456789");
    assert_end(f->folder, 1000, "0123456789");
}

static void
test_other_files(Fixture *f, gconstpointer unused)
{
    g_assert_cmpint(symlink(f->secret, f->log), ==, 0);
    assert_end(f->folder, 100, NULL);
    g_assert_cmpint(g_remove(f->log), ==, 0);
    g_assert_cmpint(link(f->secret, f->log), ==, 0);
    assert_end(f->folder, 100, NULL);
    g_assert_cmpint(g_remove(f->log), ==, 0);
    assert_end(f->folder, 100, NULL);
}

/* They would never be read to their end. */
static void
test_endless(Fixture *f, gconstpointer unused)
{
    g_assert_cmpint(mkfifo(f->log, 0600), ==, 0);
    assert_end(f->folder, 100, NULL);
    g_assert_cmpint(g_remove(f->log), ==, 0);
    g_assert_cmpint(symlink("/dev/zero", f->log), ==, 0);
    assert_end(f->folder, 100, NULL);
    g_assert_cmpint(g_remove(f->log), ==, 0);
    g_assert_cmpint(g_mkdir(f->log, 0700), ==, 0);
    assert_end(f->folder, 100, NULL);
}

static void
test_folder_link(Fixture *f, gconstpointer unused)
{
    g_autofree gchar *other = g_build_filename(f->root, "other", NULL);
    g_assert_true(g_file_set_contents(f->log, "text", -1, NULL));
    g_assert_cmpint(symlink(f->folder, other), ==, 0);
    assert_end(other, 100, NULL);
    assert_end(f->folder, 100, "text");
    g_assert_cmpint(g_remove(other), ==, 0);
}

static void
test_plain(Fixture *f, gconstpointer unused)
{
    int fd = open(f->secret, O_RDONLY | O_CLOEXEC);
    g_assert_true(vmf_disk_folder_is_plain(fd));
    g_assert_cmpint(link(f->secret, f->log), ==, 0);
    g_assert_false(vmf_disk_folder_is_plain(fd));
    close(fd);
    fd = open(f->folder, O_RDONLY | O_CLOEXEC);
    g_assert_false(vmf_disk_folder_is_plain(fd));
    close(fd);
    g_assert_false(vmf_disk_folder_is_plain(-1));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add(name, Fixture, NULL, set_up, test, tear_down)
    ADD("/disk-folder/end/read", test_end);
    ADD("/disk-folder/link/not-followed", test_other_files);
    ADD("/disk-folder/endless/not-read", test_endless);
    ADD("/disk-folder/folder-link/not-followed", test_folder_link);
    ADD("/disk-folder/plain/told", test_plain);
    return g_test_run();
}
