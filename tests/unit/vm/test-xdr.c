/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/xdr.h"

#include <string.h>

static void
test_round_trip(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    vmf_xdr_put_u32(out, 0xdeadbeef);
    vmf_xdr_put_u64(out, G_GUINT64_CONSTANT(0x0123456789abcdef));
    vmf_xdr_put_string(out, "vmferry");
    vmf_xdr_put_optional_string(out, NULL);
    vmf_xdr_put_optional_string(out, "");
    vmf_xdr_put_opaque(out, "\0\1", 2);
    vmf_xdr_put_fixed(out, "abc", 3);
    VmfXdrReader reader;
    guint8 fixed[3];
    vmf_xdr_init(&reader, out->data, out->len);
    g_assert_cmphex(vmf_xdr_u32(&reader), ==, 0xdeadbeef);
    g_assert_cmphex(vmf_xdr_u64(&reader), ==, G_GUINT64_CONSTANT(0x0123456789abcdef));
    g_autofree gchar *string = vmf_xdr_string(&reader, 7);
    g_assert_cmpstr(string, ==, "vmferry");
    g_assert_null(vmf_xdr_optional_string(&reader, 7));
    g_autofree gchar *empty = vmf_xdr_optional_string(&reader, 7);
    g_assert_cmpstr(empty, ==, "");
    g_autoptr(GBytes) opaque = vmf_xdr_opaque(&reader, 2);
    g_assert_cmpmem(g_bytes_get_data(opaque, NULL), 2, "\0\1", 2);
    g_assert_true(vmf_xdr_fixed(&reader, fixed, 3));
    g_assert_true(vmf_xdr_end(&reader));
}

/* RFC 4506, 4.9 and 4.11: length word, bytes, zero padding to four. */
static void
test_wire_form(void)
{
    static const guint8 wanted[] = {0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', 0, 0, 0};
    g_autoptr(GByteArray) out = g_byte_array_new();
    vmf_xdr_put_string(out, "hello");
    g_assert_cmpmem(out->data, out->len, wanted, sizeof wanted);
}

static void
check_bad_string(const guint8 *data, gsize length, gsize max)
{
    g_autofree guint8 *exact = g_memdup2(data, length);
    VmfXdrReader reader;
    vmf_xdr_init(&reader, exact, length);
    g_assert_null(vmf_xdr_string(&reader, max));
    g_assert_false(vmf_xdr_end(&reader));
    g_assert_cmpuint(vmf_xdr_u32(&reader), ==, 0); /* for ever */
}

static void
test_bad_strings(void)
{
    static const guint8 nul[] = {0, 0, 0, 2, 'a', 0, 0, 0};
    static const guint8 latin[] = {0, 0, 0, 1, 0xe4, 0, 0, 0};
    static const guint8 padded[] = {0, 0, 0, 1, 'a', 0, 1, 0};
    static const guint8 huge[] = {0xff, 0xff, 0xff, 0xff, 'a', 'a', 'a', 'a'};
    static const guint8 longer[] = {0, 0, 0, 4, 'a', 'a', 'a', 'a'};
    check_bad_string(nul, sizeof nul, 10);
    check_bad_string(latin, sizeof latin, 10);
    check_bad_string(padded, sizeof padded, 10);
    check_bad_string(huge, sizeof huge, G_MAXUINT32);
    check_bad_string(longer, sizeof longer, 3);
}

static void
test_trailing_bytes(void)
{
    static const guint8 data[] = {0, 0, 0, 1, 0, 0, 0, 2};
    VmfXdrReader reader;
    vmf_xdr_init(&reader, data, sizeof data);
    g_assert_cmpuint(vmf_xdr_u32(&reader), ==, 1);
    g_assert_false(vmf_xdr_end(&reader));
}

static void
test_presence_other_than_one(void)
{
    static const guint8 data[] = {0, 0, 0, 2, 0, 0, 0, 0};
    VmfXdrReader reader;
    vmf_xdr_init(&reader, data, sizeof data);
    g_assert_null(vmf_xdr_optional_string(&reader, 10));
    g_assert_false(vmf_xdr_end(&reader));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xdr/all-kinds/round-trip", test_round_trip);
    g_test_add_func("/xdr/string/wire-form", test_wire_form);
    g_test_add_func("/xdr/string/malformed-refused", test_bad_strings);
    g_test_add_func("/xdr/trailing-bytes/refused", test_trailing_bytes);
    g_test_add_func("/xdr/presence-word/refused", test_presence_other_than_one);
    return g_test_run();
}
