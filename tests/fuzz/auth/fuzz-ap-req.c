/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/ap-req.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    const guint8 *ticket = NULL;
    gsize length = 0;
    if (vmf_ap_req_find_ticket(data, size, &ticket, &length)) {
        g_assert_true(ticket >= data && length <= size && ticket + length <= data + size);
        g_assert_cmphex(ticket[0], ==, 0x61);
    }
    return 0;
}
