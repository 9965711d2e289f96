/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What vmferryd and vmferry-share-probe tell each other; the first byte picks who reads. */
#include "smb/share-probe-wire.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void
check_answer(GVariant *answer)
{
    g_autoptr(GVariant) shares = g_variant_get_child_value(answer, 0);
    g_autoptr(GVariant) files = g_variant_get_child_value(answer, 1);
    g_autoptr(GVariant) owner = g_variant_get_child_value(answer, 2);
    for (gsize i = 0; i < g_variant_n_children(shares); i++) {
        g_autoptr(GVariant) dict = g_variant_get_child_value(shares, i);
        g_autoptr(VmfFactShare) share = vmf_fact_share_from_variant(dict, NULL);
    }
    for (gsize i = 0; i < g_variant_n_children(files); i++) {
        g_autoptr(GVariant) dict = NULL;
        const char *stamp;
        g_variant_get_child(files, i, "(&s@a{sv})", &stamp, &dict);
        g_autoptr(VmfFactProbe) probe = vmf_fact_probe_from_variant(dict, NULL);
    }
    g_autoptr(VmfFactOwner) fact = vmf_fact_owner_from_variant(owner, NULL);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    if (size == 0)
        return 0;
    int fd = memfd_create("message", MFD_CLOEXEC);
    g_assert_true(fd >= 0 && write(fd, data + 1, size - 1) == (gssize)(size - 1));
    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    gboolean request = data[0] % 2;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant)
        value = vmf_probe_read(fd, request ? VMF_PROBE_REQUEST : VMF_PROBE_ANSWER,
                               request ? VMF_PROBE_REQUEST_MAX : VMF_PROBE_ANSWER_MAX, 0, &error);
    close(fd);
    g_assert_true((value == NULL) == (error != NULL));
    if (value)
        g_assert_true(g_variant_is_normal_form(value));
    if (value && !request)
        check_answer(value);
    return 0;
}
