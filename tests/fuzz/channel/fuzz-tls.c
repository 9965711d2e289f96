/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What arrives before TLS has confirmed anybody, in pieces. The first byte says which end we are, the
 * second how large the pieces are. Nobody without the key comes through, and then nothing is opened.
 */
#include "src/channel/tls.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static VmfTlsResult
go_on(VmfTls *tls, GError **error)
{
    VmfTlsResult result = vmf_tls_handshake(tls, error);
    GByteArray *out = g_byte_array_new();
    vmf_tls_take_output(tls, &out);
    g_byte_array_unref(out);
    return result;
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static const guint8 key[VMF_TLS_KEY_BYTES] = {'f', 'u', 'z', 'z'};
    if (size < 2)
        return 0;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfTls) tls = vmf_tls_new(data[0] & 1, key, &error);
    g_assert_no_error(error);
    gsize piece = data[1] + (gsize)1, at = 2;
    VmfTlsResult result = go_on(tls, &error);
    while (result == VMF_TLS_AGAIN && at <= size) {
        gsize room, n = MIN(piece, size - at);
        guint8 *to = vmf_tls_input_room(tls, &room);
        g_assert_cmpuint(room, >=, n);
        memcpy(to, data + at, n);
        vmf_tls_input_added(tls, n); /* nothing: the end */
        at += MAX(n, 1);
        result = go_on(tls, &error);
    }
    g_assert_true(result == VMF_TLS_FAILED && error != NULL);
    guint8 plain[64];
    gsize used = 0;
    g_assert_cmpint(vmf_tls_open(tls, plain, sizeof plain, &used, NULL), ==, VMF_TLS_FAILED);
    return 0;
}
