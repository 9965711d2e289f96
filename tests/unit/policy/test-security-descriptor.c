/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/access-batch.h"
#include "policy/security-descriptor.h"
#include "src/base/error.h"

/* clang-format off */
/* Owner BA, no group, DACL: allow WD 0x1, object deny SY 0x2, conditional allow AU 0x4 "artx". */
static const char sample[] =
    "01000480" "78000000" "00000000" "00000000" "14000000"
    "0400640003000000"
    "00101400" "01000000" "010100000000000100000000"
    "06002800" "02000000" "01000000" "c05a9a9b6b1ed0118a0e00aa003049e2" "010100000000000512000000"
    "09002000" "04000000" "01010000000000050b000000" "617274780102030405060708"
    "01020000000000052000000020020000";
/* clang-format on */

static guint8 *
bytes_of(const char *hex, gsize *size)
{
    guint8 *bytes = g_malloc(strlen(hex) / 2 + 1);
    g_assert_true(vmf_hex_decode(hex, strlen(hex), bytes));
    *size = strlen(hex) / 2;
    return bytes;
}

static void
test_read(void)
{
    gsize size;
    g_autofree guint8 *bytes = bytes_of(sample, &size);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfSecurityDescriptor) sd = vmf_security_descriptor_from_bytes(bytes, size, &error);
    g_assert_no_error(error);
    g_assert_true(sd->has_owner);
    g_assert_false(sd->has_group);
    g_assert_cmpint(sd->sacl.state, ==, VMF_ACL_ABSENT);
    g_assert_cmpint(sd->dacl.state, ==, VMF_ACL_PRESENT);
    g_assert_cmpuint(sd->dacl.n_aces, ==, 3);
    const VmfAce *aces = sd->dacl.aces;
    g_autofree gchar *first = vmf_ace_describe(&aces[0]);
    g_assert_cmpstr(first, ==, "allow S-1-1-0 0x00000001, inherited");
    g_assert_cmpuint(aces[1].object_flags, ==, VMF_ACE_OBJECT_TYPE_PRESENT);
    g_assert_cmphex(aces[1].object_type[0], ==, 0xc0);
    g_autofree gchar *third = vmf_ace_describe(&aces[2]);
    g_assert_cmpstr(third, ==, "conditional allow S-1-5-11 0x00000004");
    g_assert_cmpmem(sd->extra->data + aces[2].extra_at, aces[2].extra_size, "artx\1\2\3\4\5\6\7\10",
                    12);
}

static void
test_round_trip(void)
{
    gsize size;
    g_autofree guint8 *bytes = bytes_of(sample, &size);
    g_autoptr(VmfSecurityDescriptor) sd = vmf_security_descriptor_from_bytes(bytes, size, NULL);
    g_autoptr(GBytes) again = vmf_security_descriptor_to_bytes(sd, NULL);
    g_assert_cmpmem(g_bytes_get_data(again, NULL), g_bytes_get_size(again), bytes, size);

    /* the same memory serves the next one */
    g_assert_true(vmf_security_descriptor_read(sd, bytes, size, NULL));
    g_assert_cmpuint(sd->dacl.n_aces, ==, 3);
    g_assert_cmpuint(sd->extra->len, ==, 12);
}

static void
test_every_truncation(void)
{
    gsize size;
    g_autofree guint8 *bytes = bytes_of(sample, &size);
    for (gsize cut = 0; cut < size; cut++) {
        g_autofree guint8 *exact = cut ? g_memdup2(bytes, cut) : g_malloc(1);
        g_autoptr(GError) error = NULL;
        g_assert_null(vmf_security_descriptor_from_bytes(exact, cut, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

/* Every byte set to every value: what is still read can be written and read again. */
static void
test_every_byte_changed(void)
{
    gsize size;
    guint read = 0;
    g_autofree guint8 *bytes = bytes_of(sample, &size);
    g_autoptr(VmfSecurityDescriptor) sd = vmf_security_descriptor_new();
    g_autoptr(VmfSecurityDescriptor) second = vmf_security_descriptor_new();
    for (gsize at = 0; at < size; at++)
        for (guint value = 0; value < 256; value++) {
            g_autofree guint8 *changed = g_memdup2(bytes, size);
            changed[at] = (guint8)value;
            if (!vmf_security_descriptor_read(sd, changed, size, NULL))
                continue;
            g_autoptr(GBytes) again = vmf_security_descriptor_to_bytes(sd, NULL);
            g_assert_nonnull(again);
            gsize length;
            const guint8 *data = g_bytes_get_data(again, &length);
            g_assert_true(vmf_security_descriptor_read(second, data, length, NULL));
            g_assert_cmpuint(second->dacl.n_aces, ==, sd->dacl.n_aces);
            read++;
        }
    g_assert_cmpuint(read, >, 1000);
}

static void
test_states(void)
{
    static const struct {
        const char *hex;
        VmfAclState dacl;
    } cases[] = {
        {"0100008000000000000000000000000000000000", VMF_ACL_ABSENT},
        {"0100048000000000000000000000000000000000", VMF_ACL_NULL},
        {"01000480000000000000000000000000140000000200080000000000", VMF_ACL_PRESENT},
        /* without the flag the offset means nothing, wherever it points */
        {"01000080000000000000000000000000ffffffff", VMF_ACL_ABSENT},
        /* zero bytes behind the last entry */
        {"010004800000000000000000000000001400000002000c000000000000000000", VMF_ACL_PRESENT},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        gsize size;
        g_autofree guint8 *bytes = bytes_of(cases[i].hex, &size);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfSecurityDescriptor)
            sd = vmf_security_descriptor_from_bytes(bytes, size, &error);
        g_assert_no_error(error);
        g_assert_cmpint(sd->dacl.state, ==, cases[i].dacl);
    }
}

static void
test_refused(void)
{
#define HEAD "0100048000000000000000000000000014000000"
#define WD   "010100000000000100000000"
    static const struct {
        const char *hex, *says;
        VmfError code;
    } cases[] = {
        {"", "0 bytes", VMF_ERROR_PROTOCOL},
        {"0200048000000000000000000000000000000000", "revision 2", VMF_ERROR_PROTOCOL},
        {"0100040000000000000000000000000000000000", "self-relative", VMF_ERROR_PROTOCOL},
        {"0100048013000000000000000000000000000000", "owner starts at byte 19", VMF_ERROR_PROTOCOL},
        {"0100048000000000140000000000000000000000", "group starts at byte 20", VMF_ERROR_PROTOCOL},
        {"01000480140000000000000000000000000000000101000000000005", "owner is no whole SID",
         VMF_ERROR_PROTOCOL},
        {"010004801400000000000000000000000000000002000000000000050000", "no whole SID",
         VMF_ERROR_PROTOCOL},
        {HEAD "0200080001000000", "claims 1 aces", VMF_ERROR_PROTOCOL},
        {HEAD "02000800ffff0000", "claims 65535 aces", VMF_ERROR_PROTOCOL},
        {HEAD "0500080000000000", "revision 5", VMF_ERROR_PROTOCOL},
        {HEAD "0200070000000000", "7 bytes long", VMF_ERROR_PROTOCOL},
        {HEAD "0200090000000000", "9 bytes long, where 8", VMF_ERROR_PROTOCOL},
        {HEAD "02000c000000000000000001", "not zero behind the last", VMF_ERROR_PROTOCOL},
        {HEAD "02001c0001000000"
              "0000000001000000" WD,
         "ace 0 does not fit", VMF_ERROR_PROTOCOL},
        {HEAD "02001c0001000000"
              "0000150001000000" WD,
         "ace 0 does not fit", VMF_ERROR_PROTOCOL},
        {HEAD "02001c0001000000"
              "0000120001000000" WD,
         "no whole SID", VMF_ERROR_PROTOCOL},
        {HEAD "0200200001000000"
              "0000180001000000" WD "00000000",
         "4 bytes behind its SID", VMF_ERROR_PROTOCOL},
        {HEAD "0200200001000000"
              "0500180001000000"
              "04000000" WD,
         "object part", VMF_ERROR_PROTOCOL},
        {HEAD "0200200001000000"
              "0500180001000000"
              "01000000" WD,
         "object part", VMF_ERROR_PROTOCOL},
        {HEAD "02001c0001000000"
              "0400140001000000" WD,
         "reserved type 4", VMF_ERROR_UNSUPPORTED},
        {HEAD "02001c0001000000"
              "1500140001000000" WD,
         "reserved type 21", VMF_ERROR_UNSUPPORTED},
        {HEAD "02001c0001000000"
              "ff00140001000000" WD,
         "DACL: ", VMF_ERROR_UNSUPPORTED},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        gsize size;
        g_autofree guint8 *bytes = bytes_of(cases[i].hex, &size);
        g_autoptr(GError) error = NULL;
        g_assert_null(vmf_security_descriptor_from_bytes(bytes, size, &error));
        g_assert_error(error, VMF_ERROR, (gint)cases[i].code);
        if (strstr(error->message, cases[i].says) == NULL)
            g_error("case %u: '%s' does not say '%s'", (guint)i, error->message, cases[i].says);
    }
}

static void
test_not_written(void)
{
    g_autoptr(VmfSecurityDescriptor) sd = vmf_security_descriptor_new();
    g_autoptr(GError) error = NULL;
    sd->dacl.state = VMF_ACL_UNSEEN;
    g_assert_null(vmf_security_descriptor_to_bytes(sd, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNSUPPORTED);

    g_clear_error(&error);
    sd->dacl.state = VMF_ACL_PRESENT;
    VmfAce *ace = vmf_acl_add(&sd->dacl);
    ace->type = VMF_ACE_ALLOWED_CALLBACK;
    ace->extra_unread = TRUE;
    g_assert_true(vmf_sid_parse("S-1-1-0", &ace->sid));
    g_assert_null(vmf_security_descriptor_to_bytes(sd, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNSUPPORTED);

    /* 3,277 entries of 20 bytes do not fit into a list */
    g_clear_error(&error);
    ace->type = VMF_ACE_ALLOWED;
    ace->extra_unread = FALSE;
    const VmfAce copy = *ace;
    for (guint i = 1; i < 3277; i++) {
        ace = vmf_acl_add(&sd->dacl);
        *ace = copy;
    }
    g_assert_null(vmf_security_descriptor_to_bytes(sd, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    sd->dacl.n_aces = 3276;
    g_autoptr(GBytes) bytes = vmf_security_descriptor_to_bytes(sd, NULL);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, 20 + 8 + 3276 * 20);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/security-descriptor/bytes/read", test_read);
    g_test_add_func("/security-descriptor/bytes/written-again", test_round_trip);
    g_test_add_func("/security-descriptor/every-truncation/refused", test_every_truncation);
    g_test_add_func("/security-descriptor/every-byte-changed/bounded", test_every_byte_changed);
    g_test_add_func("/security-descriptor/lists/told-apart", test_states);
    g_test_add_func("/security-descriptor/bad-bytes/refused-by-name", test_refused);
    g_test_add_func("/security-descriptor/unwritable/refused", test_not_written);
    return g_test_run();
}
