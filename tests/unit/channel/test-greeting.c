/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/base/error.h"
#include "src/channel/greeting.h"

#include <string.h>

static gboolean
decode_exact(const guint8 *data, gsize size, VmfChannelKind *kind, guint32 *length)
{
    g_autofree guint8 *copy = size ? g_memdup2(data, size) : NULL;
    g_autoptr(GError) error = NULL;
    gboolean ok = vmf_greeting_decode(copy, size, kind, length, &error);
    if (!ok)
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    return ok;
}

static void
test_greeting(void)
{
    guint8 bytes[VMF_GREETING_BYTES];
    VmfChannelKind kind;
    guint32 length;
    vmf_greeting_encode(VMF_CHANNEL_CONTROL, 1346, bytes);
    g_assert_cmpmem(bytes, sizeof bytes, "VMFERRY1\x01\0\0\0\0\0\x05\x42", 16);
    g_assert_true(decode_exact(bytes, sizeof bytes, &kind, &length));
    g_assert_cmpint(kind, ==, VMF_CHANNEL_CONTROL);
    g_assert_cmpuint(length, ==, 1346);
    for (gsize cut = 0; cut < sizeof bytes; cut++)
        g_assert_false(decode_exact(bytes, cut, &kind, &length));
    const guint8 longer[VMF_GREETING_BYTES + 1] = "VMFERRY1\x01\0\0\0\0\0\x05\x42";
    g_assert_false(decode_exact(longer, sizeof longer, &kind, &length));
}

static void
test_bounds(void)
{
    static const struct {
        guint kind;
        guint32 length;
        gboolean good;
    } cases[] = {
        {1, 0, FALSE},  {1, 1, TRUE},           {1, 65536, TRUE}, {1, 65537, FALSE},
        {2, 32, TRUE},  {1, 0xffffffff, FALSE}, {2, 31, FALSE},   {2, 33, FALSE},
        {0, 32, FALSE}, {3, 32, FALSE},         {255, 1, FALSE},  {2, 0, FALSE},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint8 bytes[VMF_GREETING_BYTES];
        VmfChannelKind kind;
        guint32 length;
        vmf_greeting_encode((VmfChannelKind)cases[i].kind, cases[i].length, bytes);
        g_assert_cmpint(decode_exact(bytes, sizeof bytes, &kind, &length), ==, cases[i].good);
    }
}

/* A future version, or another program: each byte of the magic and of the reserved ones counts. */
static void
test_other_bytes(void)
{
    for (gsize at = 0; at < 12; at++) {
        guint8 bytes[VMF_GREETING_BYTES];
        VmfChannelKind kind;
        guint32 length;
        vmf_greeting_encode(VMF_CHANNEL_CONTROL, 100, bytes);
        bytes[at] ^= 0x40;
        g_assert_false(decode_exact(bytes, sizeof bytes, &kind, &length));
    }
}

static void
test_answer(void)
{
    static const struct {
        guint32 length;
        gboolean good;
    } cases[] = {{0, FALSE}, {1, TRUE}, {65536, TRUE}, {65537, FALSE}, {0x80000000, FALSE}};
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint8 bytes[VMF_ANSWER_BYTES];
        guint32 length = 0;
        vmf_answer_encode(cases[i].length, bytes);
        g_assert_cmpint(vmf_answer_decode(bytes, sizeof bytes, &length, NULL), ==, cases[i].good);
        if (cases[i].good)
            g_assert_cmpuint(length, ==, cases[i].length);
        g_assert_false(vmf_answer_decode(bytes, 3, &length, NULL));
    }
}

static void
test_stream_name(void)
{
    g_assert_true(vmf_stream_name_valid("0123456789abcdef0123456789abcdef"));
    g_assert_false(vmf_stream_name_valid("0123456789abcdef0123456789abcde"));
    g_assert_false(vmf_stream_name_valid("0123456789abcdef0123456789abcdef0"));
    g_assert_false(vmf_stream_name_valid("0123456789ABCDEF0123456789ABCDEF"));
    g_assert_false(vmf_stream_name_valid("../456789abcdef0123456789abcdef00"));
    g_assert_false(vmf_stream_name_valid(""));
}

static void
test_verdict(void)
{
    gboolean accepted;
    gsize length, size;
    g_autoptr(GBytes) yes = vmf_verdict_encode(NULL);
    g_assert_true(
        vmf_verdict_head_decode(g_bytes_get_data(yes, &size), 4, &accepted, &length, NULL));
    g_assert_true(accepted);
    g_assert_cmpuint(length, ==, 0);
    g_assert_cmpuint(size, ==, 4);

    g_autoptr(GError) refusal = g_error_new_literal(VMF_ERROR, VMF_ERROR_AUTH, "because");
    vmf_refusal_number(&refusal);
    g_assert_error(refusal, VMF_ERROR, VMF_ERROR_AUTH);
    g_autoptr(GBytes) no = vmf_verdict_encode(refusal);
    const guint8 *data = g_bytes_get_data(no, &size);
    g_assert_true(vmf_verdict_head_decode(data, 4, &accepted, &length, NULL));
    g_assert_false(accepted);
    g_assert_cmpuint(length, ==, 8);
    g_assert_cmpuint(size, ==, 12);
    g_assert_true(vmf_reference_valid((const char *)data + 4, 8));
    g_autofree gchar *whole = g_strdup_printf("because (record %.8s)", (const char *)data + 4);
    g_assert_cmpstr(refusal->message, ==, whole);

    g_autoptr(GError) public = vmf_refusal_public(refusal);
    g_autoptr(GBytes) same = vmf_verdict_encode(public);
    g_assert_true(g_bytes_equal(no, same));
}

static void
test_verdict_malformed(void)
{
    static const guint8 bad[][4] = {
        {2, 0, 0, 0}, /* neither yes nor no */
        {0, 1, 0, 0}, /* yes, with a reason */
        {0, 0, 0, 8}, /* yes, with a reference */
        {1, 1, 0, 8}, /* a reason */
        {1, 0, 1, 8}, {1, 0, 0, 7}, {1, 0, 0, 9}, {1, 0, 0xff, 0xff},
    };
    gboolean accepted;
    gsize length;
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(vmf_verdict_head_decode(bad[i], 4, &accepted, &length, NULL));
    const guint8 good[4] = {1, 0, 0, 8};
    for (gsize cut = 0; cut < 4; cut++)
        g_assert_false(vmf_verdict_head_decode(good, cut, &accepted, &length, NULL));
    static const char *const no_references[] = {"", "1234567", "123456789", "1234567g", "1234567F"};
    for (gsize i = 0; i < G_N_ELEMENTS(no_references); i++)
        g_assert_false(vmf_reference_valid(no_references[i], strlen(no_references[i])));
}

/* Whatever a refusal says, and of whatever code it is: the verdict is the same but for a reference. */
static void
test_verdict_says_nothing(void)
{
    static const char *const texts[] = {
        "",
        "'HV3$' is not in the allowed group 'VM Hosts' (S-1-5-21-1-2-3-1103); add it",
        "(record 3f2a91c0",
        "(record 3F2A91C0)",
        "(record 3f2a91c0) and more",
        "(record 3f2a91c)",
        "record 3f2a91c0)",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        for (gint code = 0; code <= VMF_ERROR_INTERNAL; code++) {
            g_autoptr(GError) refusal = g_error_new_literal(VMF_ERROR, code, texts[i]);
            g_autoptr(GBytes) no = vmf_verdict_encode(refusal);
            gsize size;
            const guint8 *data = g_bytes_get_data(no, &size);
            g_assert_cmpmem(data, size, "\1\0\0\0", 4);
            g_autoptr(GError) public = vmf_refusal_public(refusal);
            g_assert_error(public, VMF_ERROR, VMF_ERROR_DENIED);
            g_assert_cmpstr(public->message, ==, "");
        }
}

static void
test_peer_text(void)
{
    g_autofree gchar *plain = vmf_peer_text((const guint8 *)"not in the group", 16);
    g_assert_cmpstr(plain, ==, "not in the group");
    /* a terminal's escape, a forged log line, broken UTF-8 */
    g_autofree gchar *nasty = vmf_peer_text((const guint8 *)"a\033[2Jb\nFAIL\xff\xc3", 13);
    g_assert_true(g_utf8_validate(nasty, -1, NULL));
    for (const char *p = nasty; *p; p++)
        g_assert_cmpint((guint8)*p, >=, ' ');
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/greeting/whole/read", test_greeting);
    g_test_add_func("/greeting/lengths/bounded", test_bounds);
    g_test_add_func("/greeting/other-bytes/refused", test_other_bytes);
    g_test_add_func("/greeting/answer/bounded", test_answer);
    g_test_add_func("/greeting/stream-name/checked", test_stream_name);
    g_test_add_func("/greeting/verdict/read", test_verdict);
    g_test_add_func("/greeting/verdict-malformed/refused", test_verdict_malformed);
    g_test_add_func("/greeting/verdict/says-no-reason", test_verdict_says_nothing);
    g_test_add_func("/greeting/peer-text/harmless", test_peer_text);
    return g_test_run();
}
