/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/libvirt-wire.h"

#include <string.h>

#include "src/base/error.h"
#include "src/vm/xdr.h"

#define UUID   "11111111-2222-4333-8444-555555555555"
#define SERIAL 77u

/* A reply frame with @body, as libvirtd writes it. */
static GBytes *
reply_frame(guint32 procedure, guint32 serial, guint32 type, guint32 status, const GByteArray *body)
{
    g_autoptr(GByteArray) frame = g_byte_array_new();
    const guint32 words[] = {28 + body->len, 0x20008086, 1, procedure, type, serial, status};
    for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
        vmf_xdr_put_u32(frame, words[i]);
    g_byte_array_append(frame, body->data, body->len);
    return g_byte_array_free_to_bytes(g_steal_pointer(&frame));
}

static VmfWireKind
decode(GBytes *frame, VmfWireReply *reply, GError **error)
{
    return vmf_wire_decode_reply(frame, VMF_PROC_MIGRATE_BEGIN, SERIAL, reply, error);
}

/* The bytes libvirt's own client was seen to send for LOOKUP_BY_UUID. */
static void
test_call(void)
{
    static const guint8 wanted[] = {
        0,    0,    0,    44,   0x20, 0,    0x80, 0x86, 0,    0,    0,    1,    0,    0,    0,
        24,   0,    0,    0,    0,    0,    0,    0,    3,    0,    0,    0,    0,    0x11, 0x11,
        0x11, 0x11, 0x22, 0x22, 0x43, 0x33, 0x84, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55};
    g_autoptr(GByteArray) args = g_byte_array_new();
    vmf_wire_put_uuid(args, UUID);
    g_autoptr(GByteArray) frame = vmf_wire_encode_call(VMF_PROC_LOOKUP_BY_UUID, 3, args);
    g_assert_cmpmem(frame->data, frame->len, wanted, sizeof wanted);
}

static void
test_params(void)
{
    static const VmfTypedParam params[] = {
        {.field = "migrate_uri", .type = VMF_TYPED_STRING, .s = "unix:///x"},
        {.field = "bandwidth", .type = VMF_TYPED_ULLONG, .ul = 5},
        {.field = "parallel.connections", .type = VMF_TYPED_INT, .i = -2},
    };
    g_autoptr(GByteArray) out = g_byte_array_new();
    vmf_wire_put_params(out, params, G_N_ELEMENTS(params));
    VmfXdrReader reader;
    vmf_xdr_init(&reader, out->data, out->len);
    g_assert_cmpuint(vmf_xdr_u32(&reader), ==, 3);
    g_autofree gchar *uri = vmf_xdr_string(&reader, 100);
    g_assert_cmpstr(uri, ==, "migrate_uri");
    g_assert_cmpuint(vmf_xdr_u32(&reader), ==, 7);
    g_autofree gchar *value = vmf_xdr_string(&reader, 100);
    g_assert_cmpstr(value, ==, "unix:///x");
    g_autofree gchar *bandwidth = vmf_xdr_string(&reader, 100);
    g_assert_cmpstr(bandwidth, ==, "bandwidth");
    g_assert_cmpuint(vmf_xdr_u32(&reader), ==, 4);
    g_assert_cmpuint(vmf_xdr_u64(&reader), ==, 5);
    g_autofree gchar *parallel = vmf_xdr_string(&reader, 100);
    g_assert_cmpstr(parallel, ==, "parallel.connections");
    g_assert_cmpuint(vmf_xdr_u32(&reader), ==, 1);
    g_assert_cmpint((gint32)vmf_xdr_u32(&reader), ==, -2);
    g_assert_true(vmf_xdr_end(&reader));
}

static void
test_frame_length(void)
{
    static const guint8 short_frame[] = {0, 0, 0, 27}, long_frame[] = {0x7f, 0, 0, 0};
    static const guint8 good[] = {0, 0, 1, 0};
    gsize length = 99;
    g_autoptr(GError) error = NULL;
    g_assert_true(vmf_wire_frame_length(good, 3, &length, &error));
    g_assert_cmpuint(length, ==, 0);
    g_assert_true(vmf_wire_frame_length(good, 4, &length, &error));
    g_assert_cmpuint(length, ==, 256);
    g_assert_false(vmf_wire_frame_length(short_frame, 4, &length, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_clear_error(&error);
    g_assert_false(vmf_wire_frame_length(long_frame, 4, &length, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

/* What libvirt puts into its errors: most fields absent, the domain sometimes there. */
static GByteArray *
error_body(gboolean with_objects)
{
    GByteArray *body = g_byte_array_new();
    vmf_xdr_put_u32(body, 93);
    vmf_xdr_put_u32(body, 10);
    vmf_xdr_put_optional_string(body, "migration successfully aborted");
    vmf_xdr_put_u32(body, 2);
    vmf_xdr_put_u32(body, with_objects);
    if (with_objects)
        vmf_wire_put_domain(body, "demo", UUID);
    vmf_xdr_put_optional_string(body, "migration successfully aborted");
    vmf_xdr_put_optional_string(body, NULL);
    vmf_xdr_put_optional_string(body, with_objects ? "x" : NULL);
    vmf_xdr_put_u32(body, G_MAXUINT32);
    vmf_xdr_put_u32(body, G_MAXUINT32);
    vmf_xdr_put_u32(body, with_objects);
    if (with_objects) {
        vmf_xdr_put_string(body, "default");
        vmf_wire_put_uuid(body, UUID);
    }
    return body;
}

static void
test_error(void)
{
    for (int with_objects = 0; with_objects < 2; with_objects++) {
        VmfWireReply reply = {0};
        g_autoptr(GError) error = NULL;
        g_autoptr(GByteArray) body = error_body(with_objects);
        g_autoptr(GBytes) frame = reply_frame(VMF_PROC_MIGRATE_BEGIN, SERIAL, 1, 1, body);
        g_assert_cmpint(decode(frame, &reply, &error), ==, VMF_WIRE_ERROR);
        g_assert_no_error(error);
        g_assert_cmpint(reply.code, ==, 93);
        g_assert_cmpint(reply.domain, ==, 10);
        g_assert_cmpstr(reply.message, ==, "migration successfully aborted");
        g_free(reply.message);
    }
}

static void
test_not_for_us(void)
{
    VmfWireReply reply = {0};
    g_autoptr(GByteArray) body = g_byte_array_new();
    g_autoptr(GBytes) event = reply_frame(VMF_PROC_MIGRATE_BEGIN, 0, 2, 0, body);
    g_autoptr(GBytes) older = reply_frame(VMF_PROC_MIGRATE_BEGIN, SERIAL - 1, 1, 0, body);
    g_assert_cmpint(decode(event, &reply, NULL), ==, VMF_WIRE_OTHER);
    g_assert_cmpint(decode(older, &reply, NULL), ==, VMF_WIRE_OTHER);
}

static void
test_nonsense(void)
{
    VmfWireReply reply = {0};
    g_autoptr(GByteArray) body = g_byte_array_new();
    const guint32 cases[][3] = {
        {VMF_PROC_MIGRATE_FINISH, 1, 0}, /* another procedure under our serial */
        {VMF_PROC_MIGRATE_BEGIN, 0, 0},  /* a call */
        {VMF_PROC_MIGRATE_BEGIN, 5, 0},  /* a reply with descriptors */
        {VMF_PROC_MIGRATE_BEGIN, 1, 2},  /* "to be continued" */
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) frame = reply_frame(cases[i][0], SERIAL, cases[i][1], cases[i][2], body);
        g_assert_cmpint(decode(frame, &reply, &error), ==, VMF_WIRE_MALFORMED);
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

/* Every truncation of an error frame, with a length word that tells the truth. */
static void
test_error_truncated(void)
{
    g_autoptr(GByteArray) body = error_body(TRUE);
    for (guint cut = 0; cut < body->len; cut++) {
        VmfWireReply reply = {0};
        g_autoptr(GError) error = NULL;
        g_autoptr(GByteArray) part = g_byte_array_new();
        g_byte_array_append(part, body->data, cut);
        g_autoptr(GBytes) frame = reply_frame(VMF_PROC_MIGRATE_BEGIN, SERIAL, 1, 1, part);
        g_assert_cmpint(decode(frame, &reply, &error), ==, VMF_WIRE_MALFORMED);
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
        g_assert_null(reply.message);
    }
}

static void
test_frame_truncated(void)
{
    g_autoptr(GByteArray) body = error_body(FALSE);
    g_autoptr(GBytes) whole = reply_frame(VMF_PROC_MIGRATE_BEGIN, SERIAL, 1, 1, body);
    for (gsize cut = 0; cut < g_bytes_get_size(whole); cut++) {
        VmfWireReply reply = {0};
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) frame = g_bytes_new(g_bytes_get_data(whole, NULL), cut);
        g_assert_cmpint(decode(frame, &reply, &error), ==, VMF_WIRE_MALFORMED);
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

/* ---- the bodies of the phases' replies, each with every truncation and a byte too many ---- */

typedef gboolean (*Decoder)(GBytes *body, GError **error);

static gboolean
decode_cookie_xml(GBytes *body, GError **error)
{
    g_autoptr(GBytes) cookie = NULL;
    g_autofree gchar *xml = NULL;
    if (!vmf_wire_get_cookie_xml(body, &cookie, &xml, error)) {
        g_assert_null(cookie);
        g_assert_null(xml);
        return FALSE;
    }
    g_assert_cmpuint(g_bytes_get_size(cookie), ==, 5);
    g_assert_cmpstr(xml, ==, "<domain/>");
    return TRUE;
}

static gboolean
decode_cookie_uri(GBytes *body, GError **error)
{
    g_autoptr(GBytes) cookie = NULL;
    return vmf_wire_get_cookie_uri(body, &cookie, error);
}

static gboolean
decode_cookie(GBytes *body, GError **error)
{
    g_autoptr(GBytes) cookie = NULL;
    return vmf_wire_get_cookie(body, &cookie, error);
}

static gboolean
decode_domain_cookie(GBytes *body, GError **error)
{
    g_autoptr(GBytes) cookie = NULL;
    return vmf_wire_get_domain_cookie(body, UUID, &cookie, error);
}

static gboolean
decode_active(GBytes *body, GError **error)
{
    gboolean active = TRUE;
    gboolean decoded = vmf_wire_get_domain_active(body, UUID, &active, error);
    g_assert_cmpint(active, ==, !decoded); /* id -1 in this test */
    return decoded;
}

static gboolean
decode_auth(GBytes *body, GError **error)
{
    gboolean none;
    return vmf_wire_get_auth_none(body, &none, error);
}

static void
check_body(const GByteArray *body, Decoder decoder)
{
    for (guint length = 0; length <= body->len + 4; length++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GByteArray) part = g_byte_array_new();
        g_byte_array_append(part, body->data, MIN(length, body->len));
        while (part->len < length)
            g_byte_array_append(part, (const guint8 *)"", 1);
        g_autoptr(GBytes) bytes = g_byte_array_free_to_bytes(g_steal_pointer(&part));
        g_assert_cmpint(decoder(bytes, &error), ==, length == body->len);
        if (length != body->len)
            g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

static void
test_bodies(void)
{
    g_autoptr(GByteArray) cookie_xml = g_byte_array_new();
    vmf_xdr_put_opaque(cookie_xml, "<c/>", 5);
    vmf_xdr_put_string(cookie_xml, "<domain/>");
    check_body(cookie_xml, decode_cookie_xml);

    g_autoptr(GByteArray) cookie_uri = g_byte_array_new();
    vmf_xdr_put_opaque(cookie_uri, "<c/>", 5);
    vmf_xdr_put_optional_string(cookie_uri, "tcp:hv2:49152");
    check_body(cookie_uri, decode_cookie_uri);

    g_autoptr(GByteArray) cookie = g_byte_array_new();
    vmf_xdr_put_opaque(cookie, "<c/>", 5);
    check_body(cookie, decode_cookie);

    g_autoptr(GByteArray) domain_cookie = g_byte_array_new();
    vmf_wire_put_domain(domain_cookie, "demo", UUID);
    vmf_xdr_put_opaque(domain_cookie, "<c/>", 5);
    check_body(domain_cookie, decode_domain_cookie);

    g_autoptr(GByteArray) domain = g_byte_array_new();
    vmf_wire_put_domain(domain, "demo", UUID);
    check_body(domain, decode_active);

    g_autoptr(GByteArray) auth = g_byte_array_new();
    vmf_xdr_put_u32(auth, 1);
    vmf_xdr_put_u32(auth, 0);
    check_body(auth, decode_auth);
}

static void
test_other_domain(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) cookie = NULL;
    g_autoptr(GByteArray) body = g_byte_array_new();
    vmf_wire_put_domain(body, "demo", "11111111-2222-4333-8444-555555555556");
    vmf_xdr_put_opaque(body, "<c/>", 5);
    g_autoptr(GBytes) bytes = g_byte_array_free_to_bytes(g_steal_pointer(&body));
    g_assert_false(vmf_wire_get_domain_cookie(bytes, UUID, &cookie, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

static void
test_auth(void)
{
    static const struct {
        guint32 words[4];
        guint n;
        gboolean none;
    } cases[] = {{{0}, 1, TRUE}, {{1, 2}, 2, FALSE}, {{2, 1, 0}, 3, TRUE}};
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        gboolean none = !cases[i].none;
        g_autoptr(GByteArray) body = g_byte_array_new();
        for (guint j = 0; j < cases[i].n; j++)
            vmf_xdr_put_u32(body, cases[i].words[j]);
        g_autoptr(GBytes) bytes = g_byte_array_free_to_bytes(g_steal_pointer(&body));
        g_assert_true(vmf_wire_get_auth_none(bytes, &none, NULL));
        g_assert_cmpint(none, ==, cases[i].none);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/libvirt-wire/call/bytes", test_call);
    g_test_add_func("/libvirt-wire/typed-params/shape", test_params);
    g_test_add_func("/libvirt-wire/frame-length/judged", test_frame_length);
    g_test_add_func("/libvirt-wire/error/decoded", test_error);
    g_test_add_func("/libvirt-wire/event-or-other-serial/skipped", test_not_for_us);
    g_test_add_func("/libvirt-wire/nonsense/malformed", test_nonsense);
    g_test_add_func("/libvirt-wire/error/every-truncation", test_error_truncated);
    g_test_add_func("/libvirt-wire/frame/every-truncation", test_frame_truncated);
    g_test_add_func("/libvirt-wire/bodies/every-truncation", test_bodies);
    g_test_add_func("/libvirt-wire/domain/another-refused", test_other_domain);
    g_test_add_func("/libvirt-wire/auth-list/judged", test_auth);
    return g_test_run();
}
