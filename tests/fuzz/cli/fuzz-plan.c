/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plan that somebody has kept, or edited: read whole, or refused by the field. */
#include "src/cli/plan.h"
#include "tests/fuzz/folder.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    const char *path = fuzz_file("plan", data, size);
    g_autoptr(GError) error = NULL;
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
