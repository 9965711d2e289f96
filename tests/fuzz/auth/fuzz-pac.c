/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/pac.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfPacLogon) logon = vmf_pac_logon_parse(data, size, &error);
    g_assert_true((logon == NULL) == (error != NULL));
    if (logon)
        g_assert_true(g_utf8_validate(logon->account, -1, NULL));
    return 0;
}
