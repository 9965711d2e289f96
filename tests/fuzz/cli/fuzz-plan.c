/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plan that somebody has kept, or edited: read whole, or refused by the field. */
#include "src/cli/plan.h"
#include "tests/fuzz/folder.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static const char *folder;
    static gchar *path;
    if (folder == NULL) {
        folder = fuzz_folder();
        path = g_build_filename(folder, "plan", NULL);
    }
    g_autoptr(GError) error = NULL;
    g_file_set_contents_full(path, (const char *)data, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600,
                             &error);
    g_assert_no_error(error);
    g_autofree gchar *vm = NULL, *to = NULL;
    g_autoptr(GVariant) facts = vmf_cli_plan_read(path, &vm, &to, &error);
    g_assert_true((facts == NULL) == (error != NULL));
    g_unlink(path);
    if (facts == NULL)
        return 0;
    g_assert_true(vm != NULL && to != NULL);
    g_autoptr(VmfFactCase) whole = vmf_fact_case_from_variant(facts, &error);
    g_assert_no_error(error);
    return 0;
}
