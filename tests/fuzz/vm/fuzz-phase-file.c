/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libvirt's own file about a running VM: understood, or an error, never a guess. */
#include "src/vm/phase-file.h"
#include "tests/fuzz/folder.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static const char *folder;
    static gchar *path;
    if (folder == NULL) {
        folder = fuzz_folder();
        path = g_build_filename(folder, "demo.xml", NULL);
    }
    g_autoptr(GError) error = NULL;
    g_file_set_contents_full(path, (const char *)data, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600,
                             &error);
    g_assert_no_error(error);
    VmfLibvirtPhase phase = VMF_LIBVIRT_IDLE;
    gboolean understood = vmf_phase_file_read(folder, "demo", &phase, &error);
    g_assert_true(understood == (error == NULL));
    g_unlink(path);
    return 0;
}
