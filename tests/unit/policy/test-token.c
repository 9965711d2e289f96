/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/token.h"
#include "src/base/error.h"

static VmfTokenHolds
holds(const VmfToken *token, const char *text)
{
    VmfSid sid;
    g_assert_true(vmf_sid_parse(text, &sid));
    return vmf_token_holds(token, &sid);
}

static VmfToken *
host(void)
{
    static const char *const groups[] = {"S-1-5-21-1-2-3-1105", "S-1-5-32-545", NULL};
    static const char *const history[] = {"S-1-5-21-9-9-9-77", NULL};
    g_autoptr(GError) error = NULL;
    VmfToken *token = vmf_token_new_computer("S-1-5-21-1-2-3-1104", 515, groups, history, &error);
    g_assert_no_error(error);
    return token;
}

static void
test_computer(void)
{
    static const char *const in[] = {
        "S-1-5-21-1-2-3-1104",
        "S-1-5-21-1-2-3-515",
        "S-1-5-21-1-2-3-1105",
        "S-1-5-21-9-9-9-77",
        "S-1-1-0",
        "S-1-5-2",
        "S-1-5-11",
        "S-1-5-15",
        "S-1-18-1",
    };
    static const char *const out[] = {
        "S-1-5-21-1-2-3-513", /* Domain Users */
        "S-1-5-4",            /* INTERACTIVE */
        "S-1-5-18",
        "S-1-3-0",
        "S-1-5-21-1-2-3-110",
        "S-1-5-7",
    };
    g_autoptr(VmfToken) token = host();
    g_assert_cmpuint(token->n_sids, ==, G_N_ELEMENTS(in));
    for (gsize i = 0; i < G_N_ELEMENTS(in); i++)
        g_assert_cmpint(holds(token, in[i]), ==, VMF_TOKEN_YES);
    for (gsize i = 0; i < G_N_ELEMENTS(out); i++)
        g_assert_cmpint(holds(token, out[i]), ==, VMF_TOKEN_NO);
}

static void
test_maybe(void)
{
    static const char *const local[] = {
        "S-1-5-32-544",        "S-1-5-32-545", /* the DC's, left out: the file server has its own */
        "S-1-5-21-7-8-9-1001",                 /* of the file server, or another domain */
        "S-1-5-21-9-9-9-78",   "S-1-22-2-1000", "S-1-22-1-0",
    };
    g_autoptr(VmfToken) token = host();
    for (gsize i = 0; i < G_N_ELEMENTS(local); i++)
        g_assert_cmpint(holds(token, local[i]), ==, VMF_TOKEN_MAYBE);
    token->complete = TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(local); i++)
        g_assert_cmpint(holds(token, local[i]), ==, VMF_TOKEN_NO);
}

static void
test_bad_sids(void)
{
    static const char *const bad[] = {"S-1-5-21-1-2-3-1105", "VM Hosts", NULL};
    g_autoptr(GError) error = NULL;
    g_assert_null(vmf_token_new_computer("HV2$", 515, NULL, NULL, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_clear_error(&error);
    g_assert_null(vmf_token_new_computer("S-1-5-21-1-2-3-1104", 515, bad, NULL, &error));
    g_assert_nonnull(strstr(error->message, "VM Hosts"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/token/computer/as-the-server-sees-it", test_computer);
    g_test_add_func("/token/groups-of-the-server/maybe", test_maybe);
    g_test_add_func("/token/bad-sids/refused", test_bad_sids);
    return g_test_run();
}
