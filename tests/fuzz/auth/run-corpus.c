/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A fuzz target without a fuzzer: each file of a corpus folder, or of several, is one test. What a fuzzer once found
 * stays here, named after the defect. Each input is a copy of exactly its size, for AddressSanitizer.
 */
#include <glib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void
run_file(gconstpointer path)
{
    g_autofree gchar *data = NULL;
    gsize size;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(path, &data, &size, &error);
    g_assert_no_error(error);
    g_autofree guint8 *exact = size ? g_memdup2(data, size) : NULL;
    LLVMFuzzerTestOneInput(exact, size);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, >=, 2);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    for (int i = 1; i < argc; i++) {
        guint before = paths->len;
        g_autoptr(GDir) folder = g_dir_open(argv[i], 0, NULL);
        g_assert_nonnull(folder);
        for (const char *name; (name = g_dir_read_name(folder));)
            g_ptr_array_add(paths, g_build_filename(argv[i], name, NULL));
        g_assert_cmpuint(paths->len, >, before);
    }
    for (guint i = 0; i < paths->len; i++) {
        g_autofree gchar *base = g_path_get_basename(paths->pdata[i]);
        g_autofree gchar *in = g_path_get_dirname(paths->pdata[i]);
        g_autofree gchar *test = g_strdup_printf(
            "/%s/%s", strcmp(in, argv[1]) == 0 ? "corpus" : in + 1, base);
        g_test_add_data_func(test, paths->pdata[i], run_file);
    }
    return g_test_run();
}
