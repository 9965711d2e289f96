/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/qcow2-facts.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* exactly as large as it is: a byte too far is seen */
    g_autofree guint8 *head = g_memdup2(data, size);
    g_autoptr(GError) error = NULL;
    VmfQcow2Facts facts;
    gboolean still = vmf_qcow2_still_alone(head, size, NULL);
    if (!vmf_qcow2_facts_read(head, size, &facts, &error)) {
        g_assert_nonnull(error);
        return 0;
    }
    g_assert_true(still);
    guint64 export_size = vmf_qcow2_export_size(&facts, size);
    g_assert_cmpuint(export_size, >, facts.virtual_size);
    g_assert_cmpuint(export_size, <, G_MAXINT64);
    return 0;
}
