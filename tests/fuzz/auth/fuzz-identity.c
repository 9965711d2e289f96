/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whom a ticket names, as the process that opened it says: read whole, and written as it was read. */
#include "auth/peer-bytes.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfPeerIdentity) peer = vmf_peer_identity_from_bytes(data, size, &error);
    g_assert_true((peer == NULL) == (error != NULL));
    if (peer == NULL)
        return 0;
    g_assert_cmpuint(peer->group_sids->len, <=, VMF_PEER_MAX_GROUPS);
    g_autoptr(GBytes) again = vmf_peer_identity_to_bytes(peer, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(g_bytes_get_data(again, NULL), g_bytes_get_size(again), data, size);
    return 0;
}
