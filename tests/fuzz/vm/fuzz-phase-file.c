/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libvirt's own file about a running VM: understood, or an error, never a guess. */
#include "src/vm/phase-file.h"
#include "tests/fuzz/folder.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    const char *path = fuzz_file("demo.xml", data, size);
    g_autoptr(GError) error = NULL;
    VmfLibvirtPhase phase = VMF_LIBVIRT_IDLE;
    gboolean understood = vmf_phase_file_read(fuzz_folder(), "demo", &phase, &error);
    g_assert_true(understood == (error == NULL));
    g_unlink(path);
    return 0;
}
