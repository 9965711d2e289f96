/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first byte chooses among what a peer may say outside its tokens. */
#include "src/channel/greeting.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    VmfChannelKind kind;
    guint32 length = 0;
    gsize reference;
    gboolean accepted;
    if (size == 0)
        return 0;
    guint8 choice = data[0];
    data++;
    size--;
    if (choice == 'g') {
        if (vmf_greeting_decode(data, size, &kind, &length, NULL))
            g_assert_cmpuint(length, <=, VMF_CHANNEL_TOKEN_BYTES);
    } else if (choice == 'a') {
        if (vmf_answer_decode(data, size, &length, NULL))
            g_assert_cmpuint(length, <=, VMF_CHANNEL_TOKEN_BYTES);
    } else if (choice == 'v') {
        if (vmf_verdict_head_decode(data, size, &accepted, &reference, NULL))
            g_assert_cmpuint(reference, <=, accepted ? 0 : VMF_REFERENCE_CHARS);
    } else if (choice == 't') {
        g_autofree gchar *text = vmf_peer_text(data, size);
        g_assert_true(g_utf8_validate(text, -1, NULL));
    }
    return 0;
}
