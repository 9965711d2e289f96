/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stranger's name of a stream opens one of those that are expected, once, or nothing. */
#include "src/channel/greeting.h"
#include "src/channel/streams.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static const char expected[] = "0123456789abcdef0123456789abcdef";
    g_autoptr(GPtrArray) groups = g_ptr_array_new();
    VmfPeerIdentity hv1 = {.principal = (gchar *)"HV1$@LAB.TEST", .group_sids = groups};
    guint8 key[VMF_TLS_KEY_BYTES] = {7}, found[VMF_TLS_KEY_BYTES];
    g_autoptr(VmfPeerIdentity) peer = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree gchar *name = g_strndup((const char *)data, size);
    if (!vmf_stream_name_valid(name))
        return 0;
    g_assert_cmpuint(strlen(name), ==, VMF_STREAM_NAME_CHARS);
    VmfChannelStreams *streams = vmf_channel_streams_new();
    vmf_channel_streams_add(streams, expected, key, &hv1, 60, &error);
    g_assert_no_error(error);
    gboolean known = vmf_channel_streams_look_up(streams, name, found, &peer, &error);
    g_assert_true(known == (strcmp(name, expected) == 0) && known == (error == NULL));
    g_assert_true(vmf_channel_streams_use_up(streams, name, NULL) == known);
    g_assert_false(vmf_channel_streams_use_up(streams, name, NULL));
    vmf_channel_streams_unref(streams);
    return 0;
}
