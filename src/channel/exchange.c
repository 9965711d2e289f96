/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/exchange.h"

#include "src/base/error.h"
#include "src/channel/greeting.h"

#include <string.h>

#define HASH_BYTES 32

static const char psk_label[] = "vmferry psk 1";

/* Who of the two is TLS client. It is always the GSS initiator; the byte keeps a future otherwise. */
#define ROLE_CLIENT_IS_INITIATOR 1

static void
hash_bytes(GChecksum *transcript, GBytes *bytes)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    g_checksum_update(transcript, data, (gssize)size);
}

gboolean
vmf_exchange_derive(VmfGss *gss, GBytes *token, GBytes *answer, guint8 key[VMF_TLS_KEY_BYTES],
                    GError **error)
{
    G_STATIC_ASSERT(VMF_TLS_KEY_BYTES == VMF_GSS_KEY_BYTES);
    guint8 greeting[VMF_GREETING_BYTES], head[VMF_ANSWER_BYTES];
    guint8 label[sizeof psk_label - 1 + HASH_BYTES + 1];
    gsize hash_size = HASH_BYTES;
    vmf_greeting_encode(VMF_CHANNEL_CONTROL, (guint32)g_bytes_get_size(token), greeting);
    vmf_answer_encode((guint32)g_bytes_get_size(answer), head);

    g_autoptr(GChecksum) transcript = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(transcript, greeting, sizeof greeting);
    hash_bytes(transcript, token);
    g_checksum_update(transcript, head, sizeof head);
    hash_bytes(transcript, answer);

    memcpy(label, psk_label, sizeof psk_label - 1);
    g_checksum_get_digest(transcript, label + sizeof psk_label - 1, &hash_size);
    g_assert(hash_size == HASH_BYTES);
    label[sizeof label - 1] = ROLE_CLIENT_IS_INITIATOR;
    return vmf_gss_derive(gss, label, sizeof label, key, error);
}

gboolean
vmf_exchange_accept(VmfGss *gss, GBytes *token, GBytes **answer, guint8 key[VMF_TLS_KEY_BYTES],
                    VmfPeerIdentity **peer, GError **error)
{
    gboolean done;
    g_autoptr(GBytes) reply = NULL;
    gboolean ok = vmf_gss_step(gss, token, &reply, &done, error);
    if (reply && g_bytes_get_size(reply) <= VMF_CHANNEL_TOKEN_BYTES)
        *answer = g_bytes_ref(reply);
    if (!ok)
        return FALSE;
    if (!done || *answer == NULL) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "the peer's Kerberos exchange is not mutual");
        return FALSE;
    }
    *peer = vmf_gss_peer(gss, error);
    if (*peer && vmf_exchange_derive(gss, token, *answer, key, error))
        return TRUE;
    g_clear_pointer(peer, vmf_peer_identity_free);
    return FALSE;
}
