/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/state.h"

static void
test_names(void)
{
    for (gsize i = 0; i < VMF_N_STATES; i++) {
        VmfState back;
        g_assert_true(vmf_state_from_name(vmf_state_name((VmfState)i), &back));
        g_assert_cmpint(back, ==, i);
    }
    VmfState none;
    g_assert_false(vmf_state_from_name("", &none));
    g_assert_false(vmf_state_from_name("OWNER", &none));
    for (gsize i = 0; i < VMF_N_STAGES; i++)
        g_assert_nonnull(vmf_stage_name((VmfStage)i));
}

/* A state never leads to the other role, nor back; every state can be reached from the first. */
static void
test_moves(void)
{
    guint32 reached = 1u << vmf_role_first_state(VMF_ROLE_SOURCE) |
                      1u << vmf_role_first_state(VMF_ROLE_DESTINATION);
    for (gsize a = 0; a < VMF_N_STATES; a++)
        for (gsize b = 0; b < VMF_N_STATES; b++) {
            if (!vmf_state_may_follow((VmfState)a, (VmfState)b))
                continue;
            g_assert_cmpint(vmf_state_role((VmfState)a), ==, vmf_state_role((VmfState)b));
            g_assert_cmpuint(a, <, b);
            if (reached & 1u << a)
                reached |= 1u << b;
        }
    g_assert_cmphex(reached, ==, (1u << VMF_N_STATES) - 1);
}

/* The rules that keep one owner: nothing is granted unreleased, nothing aborted once committed. */
static void
test_point_of_no_return(void)
{
    g_assert_false(vmf_state_may_follow(VMF_STATE_QUIESCED, VMF_STATE_RELEASED));
    g_assert_false(vmf_state_may_follow(VMF_STATE_QUIESCED, VMF_STATE_GONE));
    g_assert_false(vmf_state_may_follow(VMF_STATE_RELEASING, VMF_STATE_GONE));
    g_assert_true(vmf_state_may_follow(VMF_STATE_RELEASED, VMF_STATE_KEPT));
    g_assert_false(vmf_state_may_follow(VMF_STATE_COMMITTED, VMF_STATE_ABORTED));
    g_assert_false(vmf_state_may_follow(VMF_STATE_ALLOCATED, VMF_STATE_COMMITTED));
    g_assert_false(vmf_state_may_follow(VMF_STATE_ALLOCATED, VMF_STATE_RUNNING));
}

/* Whatever an older journal says, the record's verdict can be entered; nothing else can. */
static void
test_found(void)
{
    for (gsize a = 0; a < VMF_N_STATES; a++)
        for (gsize b = 0; b < VMF_N_STATES; b++) {
            VmfState from = (VmfState)a, to = (VmfState)b;
            gboolean verdict = vmf_state_is_final(to) || to == VMF_STATE_COMMITTED;
            g_assert_cmpint(vmf_state_may_be_found(from, to), ==,
                            !vmf_state_is_final(from) && verdict &&
                                vmf_state_role(from) == vmf_state_role(to));
        }
    g_assert_true(vmf_state_may_be_found(VMF_STATE_OFFERED, VMF_STATE_GONE));
    g_assert_true(vmf_state_may_be_found(VMF_STATE_NEW, VMF_STATE_COMMITTED));
    g_assert_false(vmf_state_may_be_found(VMF_STATE_KEPT, VMF_STATE_GONE));
}

static void
test_final(void)
{
    const VmfState final[] = {VMF_STATE_GONE,    VMF_STATE_KEPT,     VMF_STATE_RUNNING,
                              VMF_STATE_ABORTED, VMF_STATE_RETURNED, VMF_STATE_DOWN};
    guint n = 0;
    for (gsize i = 0; i < VMF_N_STATES; i++)
        n += vmf_state_is_final((VmfState)i);
    g_assert_cmpuint(n, ==, G_N_ELEMENTS(final));
    for (gsize i = 0; i < G_N_ELEMENTS(final); i++)
        g_assert_true(vmf_state_is_final(final[i]));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state/names/round-trip", test_names);
    g_test_add_func("/state/moves/forward-within-a-role", test_moves);
    g_test_add_func("/state/point-of-no-return/not-passed-back", test_point_of_no_return);
    g_test_add_func("/state/journal-behind/verdict-can-be-entered", test_found);
    g_test_add_func("/state/final/known", test_final);
    return g_test_run();
}
