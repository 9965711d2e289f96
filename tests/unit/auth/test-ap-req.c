/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/ap-req.h"
#include "src/base/error.h"

#include <string.h>

/* SEQUENCE-like element of @tag around @inner, taken over. */
static GByteArray *
wrap(guint8 tag, GByteArray *inner)
{
    GByteArray *out = g_byte_array_new();
    g_byte_array_append(out, &tag, 1);
    if (inner->len < 0x80) {
        const guint8 length = (guint8)inner->len;
        g_byte_array_append(out, &length, 1);
    } else {
        const guint8 length[] = {0x82, (guint8)(inner->len >> 8), (guint8)inner->len};
        g_byte_array_append(out, length, sizeof length);
    }
    g_byte_array_append(out, inner->data, inner->len);
    g_byte_array_unref(inner);
    return out;
}

static GByteArray *
bytes(const void *data, gsize size)
{
    GByteArray *out = g_byte_array_new();
    g_byte_array_append(out, data, (guint)size);
    return out;
}

static void
append(GByteArray *to, GByteArray *more)
{
    g_byte_array_append(to, more->data, more->len);
    g_byte_array_unref(more);
}

#define KRB5_OID   "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
#define SPNEGO_OID "\x2b\x06\x01\x05\x05\x02"

static GByteArray *
ap_req(gsize ticket_size)
{
    GByteArray *fields = wrap(0xa0, bytes("\x02\x01\x05", 3));
    append(fields, wrap(0xa1, bytes("\x02\x01\x0e", 3)));
    append(fields, wrap(0xa2, bytes("\x03\x05\x00\x20\x00\x00\x00", 7)));
    g_autofree guint8 *inside = g_malloc0(ticket_size);
    append(fields, wrap(0xa3, wrap(0x61, bytes(inside, ticket_size))));
    append(fields, wrap(0xa4, wrap(0x30, bytes("author", 6))));
    return wrap(0x6e, wrap(0x30, fields));
}

static GByteArray *
token(const char *oid, const char *id, GByteArray *message)
{
    GByteArray *inner = wrap(0x06, bytes(oid, strlen(oid)));
    append(inner, bytes(id, 2));
    append(inner, message);
    return wrap(0x60, inner);
}

static gboolean
find_exact(const guint8 *data, gsize size, gsize *offset, gsize *length)
{
    g_autofree guint8 *copy = size ? g_memdup2(data, size) : NULL;
    const guint8 *ticket = NULL;
    gboolean found = vmf_ap_req_find_ticket(copy, size, &ticket, length);
    if (found)
        *offset = (gsize)(ticket - copy);
    return found;
}

static gboolean
find_in(GByteArray *whole, gsize *offset, gsize *length)
{
    gboolean found = find_exact(whole->data, whole->len, offset, length);
    g_byte_array_unref(whole);
    return found;
}

static void
test_found(void)
{
    static const gsize sizes[] = {0, 1, 100, 127, 128, 300, 40000};
    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        gsize offset, length;
        gsize head = sizes[i] < 0x80 ? 2 : 4;
        g_assert_true(find_in(token(KRB5_OID, "\x01\x00", ap_req(sizes[i])), &offset, &length));
        g_assert_cmpuint(length, ==, sizes[i] + head);
    }
}

static void
test_captured(void)
{
    g_autofree gchar *path = g_test_build_filename(
        G_TEST_DIST, "tests/fuzz/auth/corpus/ap-req/mit-to-samba-service.bin", NULL);
    g_autofree gchar *data = NULL;
    gsize size = 0, offset = 0, length = 0;
    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    g_assert_true(find_exact((guint8 *)data, size, &offset, &length));
    g_assert_cmphex((guint8)data[offset], ==, 0x61);
    g_assert_nonnull(g_strstr_len(data + offset, (gssize)length, "LAB.TEST"));
    for (gsize cut = 0; cut < size; cut++)
        g_assert_false(find_exact((guint8 *)data, cut, &offset, &length));
}

static void
test_truncated(void)
{
    GByteArray *whole = token(KRB5_OID, "\x01\x00", ap_req(300));
    gsize offset, length;
    for (gsize cut = 0; cut < whole->len; cut++)
        g_assert_false(find_exact(whole->data, cut, &offset, &length));
    for (gsize at = 0; at < whole->len; at++)
        for (guint value = 0; value < 256; value++) {
            g_autofree guint8 *copy = g_memdup2(whole->data, whole->len);
            copy[at] = (guint8)value;
            if (find_exact(copy, whole->len, &offset, &length))
                g_assert_cmpuint(offset + length, <=, whole->len);
        }
    g_byte_array_unref(whole);
}

static void
test_others(void)
{
    gsize offset, length;
    g_assert_false(find_in(token(SPNEGO_OID, "\x01\x00", ap_req(10)), &offset, &length));
    g_assert_false(find_in(token(KRB5_OID, "\x02\x00", ap_req(10)), &offset, &length));
    g_assert_false(find_in(ap_req(10), &offset, &length));

    GByteArray *trailing = token(KRB5_OID, "\x01\x00", ap_req(10));
    append(trailing, bytes("x", 1));
    g_assert_false(find_in(trailing, &offset, &length));

    GByteArray *twice = ap_req(10);
    append(twice, ap_req(10));
    g_assert_false(find_in(token(KRB5_OID, "\x01\x00", twice), &offset, &length));
}

/* 0x80 means "until an end mark" in BER and nothing in DER; five bytes of length cannot be needed. */
static void
test_odd_lengths(void)
{
    static const struct {
        const char *data;
        gsize size;
    } odd[] = {
        {"\x60\x80\x00\x00", 4},
        {"\x60\x85\x00\x00\x00\x00\x02\x06\x00", 9},
        {"\x60\xff\x00", 3},
        {"\x60\x84\xff\xff\xff\xff\x06\x09", 8},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(odd); i++) {
        gsize offset, length;
        g_assert_false(find_exact((const guint8 *)odd[i].data, odd[i].size, &offset, &length));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ap-req/whole/found", test_found);
    g_test_add_func("/ap-req/captured/found", test_captured);
    g_test_add_func("/ap-req/truncated/refused", test_truncated);
    g_test_add_func("/ap-req/other-mechanism-or-trailing/refused", test_others);
    g_test_add_func("/ap-req/odd-lengths/refused", test_odd_lengths);
    return g_test_run();
}
