/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdint.h>

#include "policy/access-check.h"
#include "policy/sddl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static VmfToken *
token(void)
{
    static VmfToken *kept;
    static const char *const groups[] = {"S-1-5-21-1-2-3-1105", NULL};
    if (kept == NULL)
        kept = vmf_token_new_computer("S-1-5-21-1-2-3-1104", 515, groups, NULL, NULL);
    return kept;
}

/* A verdict agrees with itself, and with what is asked for bit by bit. */
static void
judge(const VmfSecurityDescriptor *sd, guint32 desired)
{
    VmfAccess all = vmf_access_check(sd, token(), desired);
    g_autofree gchar *why = vmf_access_describe(sd, &all);
    g_assert_nonnull(why);
    g_assert_true(all.ace < (gint)sd->dacl.n_aces);
    if (all.verdict == VMF_VERDICT_GRANT)
        g_assert_cmphex(all.granted & all.desired, ==, all.desired);
    if (all.verdict == VMF_VERDICT_DENY && all.desired != 0)
        g_assert_cmphex(all.missing, !=, 0);

    gboolean denied = FALSE, granted = TRUE;
    for (guint32 bit = 1; bit != 0; bit <<= 1) {
        if (!(all.desired & bit))
            continue;
        VmfAccess one = vmf_access_check(sd, token(), bit);
        denied |= one.verdict == VMF_VERDICT_DENY;
        granted &= one.verdict == VMF_VERDICT_GRANT;
    }
    if (all.desired != 0 && !(all.desired & 0xf2000000)) {
        g_assert_true(denied == (all.verdict == VMF_VERDICT_DENY));
        g_assert_true(granted == (all.verdict == VMF_VERDICT_GRANT));
    }
}

static void
assert_same(const VmfSecurityDescriptor *a, const VmfSecurityDescriptor *b)
{
    g_assert_true(a->has_owner == b->has_owner && a->has_group == b->has_group);
    g_assert_cmpint(a->dacl.state, ==, b->dacl.state);
    g_assert_cmpuint(a->dacl.n_aces, ==, b->dacl.n_aces);
    g_assert_cmpuint(a->sacl.n_aces, ==, b->sacl.n_aces);
    for (guint i = 0; i < a->dacl.n_aces; i++) {
        const VmfAce *x = &a->dacl.aces[i], *y = &b->dacl.aces[i];
        g_assert_true(x->type == y->type && x->flags == y->flags && x->mask == y->mask);
        g_assert_true(vmf_sid_equal(&x->sid, &y->sid));
        g_assert_cmpuint(x->extra_size, ==, y->extra_size);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfSecurityDescriptor) sd = vmf_security_descriptor_from_bytes(data, size, &error);
    g_assert_true((sd == NULL) == (error != NULL));
    if (sd == NULL)
        return 0;
    judge(sd, VMF_ACCESS_READ_WRITE);
    judge(sd, VMF_RIGHT_MAXIMUM_ALLOWED);
    judge(sd, size > 20 ? data[20] * 0x01010101u : 0);

    g_autoptr(GBytes) bytes = vmf_security_descriptor_to_bytes(sd, &error);
    g_assert_no_error(error);
    gsize written;
    const guint8 *again = g_bytes_get_data(bytes, &written);
    g_autoptr(VmfSecurityDescriptor)
        second = vmf_security_descriptor_from_bytes(again, written, &error);
    g_assert_no_error(error);
    assert_same(sd, second);

    g_autofree gchar *sddl = vmf_sddl_format(sd, NULL);
    if (sddl != NULL && sddl[0] != '\0') {
        g_autoptr(VmfSecurityDescriptor) third = vmf_sddl_parse(sddl, NULL, &error);
        g_assert_no_error(error);
        assert_same(sd, third);
    }
    return 0;
}
