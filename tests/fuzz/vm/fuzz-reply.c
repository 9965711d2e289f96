/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first byte picks what is decoded: a whole frame, or the body of one phase's reply. */
#include "src/vm/libvirt-wire.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void
decode_frame(GBytes *frame)
{
    gsize size, length = 0;
    VmfWireReply reply = {0};
    const void *bytes = g_bytes_get_data(frame, &size);
    if (!vmf_wire_frame_length(bytes, size, &length, NULL))
        return;
    g_autoptr(GError) error = NULL;
    VmfWireKind kind = vmf_wire_decode_reply(frame, VMF_PROC_MIGRATE_BEGIN, 77, &reply, &error);
    g_assert_true((kind == VMF_WIRE_MALFORMED) == (error != NULL));
    if (kind == VMF_WIRE_REPLY)
        g_bytes_unref(reply.body);
    if (kind == VMF_WIRE_ERROR)
        g_free(reply.message);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    if (size == 0)
        return 0;
    g_autoptr(GBytes) body = g_bytes_new(data + 1, size - 1);
    g_autoptr(GBytes) cookie = NULL;
    g_autofree gchar *text = NULL;
    g_autoptr(GError) error = NULL;
    gboolean flag, decoded = TRUE;
    switch (data[0] % 7) {
    case 0:
        decode_frame(body);
        break;
    case 1:
        decoded = vmf_wire_get_cookie_xml(body, &cookie, &text, &error);
        break;
    case 2:
        decoded = vmf_wire_get_cookie_uri(body, &cookie, &error);
        break;
    case 3:
        decoded = vmf_wire_get_cookie(body, &cookie, &error);
        break;
    case 4:
        decoded = vmf_wire_get_domain_cookie(body, "11111111-2222-4333-8444-555555555555", &cookie,
                                             &error);
        break;
    case 5:
        decoded = vmf_wire_get_domain_active(body, "11111111-2222-4333-8444-555555555555", &flag,
                                             &error);
        break;
    default:
        decoded = vmf_wire_get_auth_none(body, &flag, &error);
        break;
    }
    g_assert_true(decoded == (error == NULL));
    return 0;
}
