/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdint.h>

#include "policy/sddl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted is written in one spelling, which is accepted and written the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree gchar *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfSecurityDescriptor) sd = vmf_sddl_parse(text, "S-1-5-21-1-2-3", &error);
    g_assert_true((sd == NULL) == (error != NULL));
    if (sd == NULL)
        return 0;

    g_autofree gchar *written = vmf_sddl_format(sd, NULL);
    if (written == NULL)
        return 0; /* it has a condition */
    g_autoptr(VmfSecurityDescriptor) again = vmf_sddl_parse(written, NULL, &error);
    g_assert_no_error(error);
    g_autofree gchar *twice = vmf_sddl_format(again, NULL);
    g_assert_cmpstr(twice, ==, written);

    g_autoptr(GBytes) bytes = vmf_security_descriptor_to_bytes(sd, NULL);
    g_autoptr(GBytes) bytes_again = vmf_security_descriptor_to_bytes(again, NULL);
    g_assert_true((bytes == NULL) == (bytes_again == NULL));
    if (bytes == NULL)
        return 0; /* too large for a list */
    g_assert_true(g_bytes_equal(bytes, bytes_again));
    gsize length;
    const guint8 *raw = g_bytes_get_data(bytes, &length);
    g_autoptr(VmfSecurityDescriptor)
        third = vmf_security_descriptor_from_bytes(raw, length, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(third->dacl.n_aces, ==, sd->dacl.n_aces);
    return 0;
}
