/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/state.h"

#include <string.h>

#define BIT(state) (1u << VMF_STATE_##state)

static const struct {
    const char *name;
    VmfRole role;
    guint32 next;
} states[] = {
    [VMF_STATE_OWNER] = {"owner", VMF_ROLE_SOURCE, BIT(OFFERED) | BIT(KEPT)},
    [VMF_STATE_OFFERED] = {"offered", VMF_ROLE_SOURCE, BIT(PREPARED) | BIT(KEPT)},
    [VMF_STATE_PREPARED] = {"prepared", VMF_ROLE_SOURCE, BIT(COPYING) | BIT(KEPT)},
    [VMF_STATE_COPYING] = {"copying", VMF_ROLE_SOURCE, BIT(QUIESCED) | BIT(KEPT)},
    [VMF_STATE_QUIESCED] = {"quiesced", VMF_ROLE_SOURCE, BIT(RELEASING) | BIT(KEPT)},
    [VMF_STATE_RELEASING] = {"releasing", VMF_ROLE_SOURCE, BIT(RELEASED) | BIT(KEPT)},
    [VMF_STATE_RELEASED] = {"released", VMF_ROLE_SOURCE, BIT(GONE) | BIT(KEPT)},
    [VMF_STATE_GONE] = {"gone", VMF_ROLE_SOURCE, 0},
    [VMF_STATE_KEPT] = {"kept", VMF_ROLE_SOURCE, 0},
    [VMF_STATE_NEW] = {"new", VMF_ROLE_DESTINATION, BIT(CHECKED) | BIT(ABORTED)},
    [VMF_STATE_CHECKED] = {"checked", VMF_ROLE_DESTINATION, BIT(ALLOCATED) | BIT(ABORTED)},
    [VMF_STATE_ALLOCATED] = {"allocated", VMF_ROLE_DESTINATION, BIT(ACQUIRING) | BIT(ABORTED)},
    [VMF_STATE_ACQUIRING] = {"acquiring", VMF_ROLE_DESTINATION, BIT(COMMITTED) | BIT(ABORTED)},
    [VMF_STATE_COMMITTED] = {"committed", VMF_ROLE_DESTINATION,
                             BIT(RUNNING) | BIT(RETURNED) | BIT(DOWN)},
    [VMF_STATE_RUNNING] = {"running", VMF_ROLE_DESTINATION, 0},
    [VMF_STATE_ABORTED] = {"aborted", VMF_ROLE_DESTINATION, 0},
    [VMF_STATE_RETURNED] = {"returned", VMF_ROLE_DESTINATION, 0},
    [VMF_STATE_DOWN] = {"down", VMF_ROLE_DESTINATION, 0},
};
G_STATIC_ASSERT(G_N_ELEMENTS(states) == VMF_N_STATES);
G_STATIC_ASSERT(VMF_N_STATES <= 32);

static const char *const stages[] = {"setup", "memory", "state", "storage", "resume", "network"};
G_STATIC_ASSERT(G_N_ELEMENTS(stages) == VMF_N_STAGES);

const char *
vmf_stage_name(VmfStage stage)
{
    g_assert(stage < VMF_N_STAGES);
    return stages[stage];
}

const char *
vmf_state_name(VmfState state)
{
    g_assert(state < VMF_N_STATES);
    return states[state].name;
}

gboolean
vmf_state_from_name(const char *name, VmfState *state)
{
    for (gsize i = 0; i < VMF_N_STATES; i++) {
        if (strcmp(states[i].name, name) == 0) {
            *state = (VmfState)i;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean
vmf_state_may_follow(VmfState state, VmfState next)
{
    return (states[state].next & (1u << next)) != 0;
}

gboolean
vmf_state_may_be_found(VmfState state, VmfState next)
{
    return !vmf_state_is_final(state) && states[state].role == states[next].role &&
           (vmf_state_is_final(next) || next == VMF_STATE_COMMITTED);
}

gboolean
vmf_state_is_final(VmfState state)
{
    return states[state].next == 0;
}

VmfRole
vmf_state_role(VmfState state)
{
    return states[state].role;
}

VmfState
vmf_role_first_state(VmfRole role)
{
    return role == VMF_ROLE_SOURCE ? VMF_STATE_OWNER : VMF_STATE_NEW;
}

const char *
vmf_outcome_name(VmfOutcome outcome)
{
    switch (outcome) {
    case VMF_OUTCOME_NONE:
        return NULL;
    case VMF_OUTCOME_RUNS_ON_DESTINATION:
        return "runs-on-destination";
    case VMF_OUTCOME_CONTINUES_ON_SOURCE:
        return "continues-on-source";
    case VMF_OUTCOME_PAUSED_WAITING:
        return "paused-waiting";
    case VMF_OUTCOME_VM_DOWN:
        return "vm-down";
    }
    g_assert_not_reached();
}
