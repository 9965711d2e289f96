/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/record-table.h"

#include <string.h>

#define SOURCE      "S-1-5-21-1-2-3-1104"
#define DESTINATION "S-1-5-21-1-2-3-1105"
#define STRANGER    "S-1-5-21-1-2-3-1106"

static VmfOwnerRecord
record(const char *sid, guint64 epoch, VmfOwnerState state)
{
    VmfOwnerRecord made = {.state = state, .epoch = epoch, .sequence = 1};
    g_strlcpy(made.owner_sid, sid, sizeof made.owner_sid);
    g_strlcpy(made.owner_account, "HV$", sizeof made.owner_account);
    return made;
}

/* A VM was offered by the source under epoch 7. */
static VmfRecordKnown
known(VmfRole role, VmfState state)
{
    return (VmfRecordKnown){role, role == VMF_ROLE_SOURCE ? SOURCE : DESTINATION, 7,
                            vmf_record_known_least(state, 7)};
}

typedef struct {
    const char *sid;
    guint64 epoch;
    VmfOwnerState state;
    VmfRecordSays source, destination;
} Case;

static void
test_judge(void)
{
    static const Case cases[] = {
        {SOURCE, 7, VMF_OWNER_RUNNING, VMF_RECORD_OURS, VMF_RECORD_THEIRS},
        {SOURCE, 7, VMF_OWNER_STOPPED, VMF_RECORD_OURS_STOPPED, VMF_RECORD_THEIRS},
        {DESTINATION, 8, VMF_OWNER_RUNNING, VMF_RECORD_THEIRS, VMF_RECORD_OURS},
        {DESTINATION, 9, VMF_OWNER_OWNED, VMF_RECORD_THEIRS, VMF_RECORD_OURS},
        {DESTINATION, 8, VMF_OWNER_STOPPED, VMF_RECORD_THEIRS, VMF_RECORD_OURS_STOPPED},
        {SOURCE, 9, VMF_OWNER_RETURNED, VMF_RECORD_RETURNED, VMF_RECORD_RETURNED},
        {SOURCE, 9, VMF_OWNER_RUNNING, VMF_RECORD_OURS, VMF_RECORD_THEIRS},
        {STRANGER, 12, VMF_OWNER_RUNNING, VMF_RECORD_THEIRS, VMF_RECORD_THEIRS},
        {STRANGER, 12, VMF_OWNER_STOPPED, VMF_RECORD_THEIRS, VMF_RECORD_THEIRS},
        {SOURCE, 6, VMF_OWNER_RUNNING, VMF_RECORD_SET_BACK, VMF_RECORD_SET_BACK},
        {DESTINATION, 6, VMF_OWNER_RUNNING, VMF_RECORD_SET_BACK, VMF_RECORD_SET_BACK},
        {DESTINATION, 7, VMF_OWNER_RUNNING, VMF_RECORD_THEIRS, VMF_RECORD_SET_BACK},
    };
    VmfRecordKnown source = known(VMF_ROLE_SOURCE, VMF_STATE_RELEASED);
    VmfRecordKnown destination = known(VMF_ROLE_DESTINATION, VMF_STATE_ACQUIRING);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        VmfOwnerRecord one = record(cases[i].sid, cases[i].epoch, cases[i].state);
        g_assert_cmpint(vmf_record_judge(&source, &one), ==, cases[i].source);
        g_assert_cmpint(vmf_record_judge(&destination, &one), ==, cases[i].destination);
    }
    g_assert_cmpint(vmf_record_judge(&source, NULL), ==, VMF_RECORD_SET_BACK);
    g_assert_cmpint(vmf_record_judge(&destination, NULL), ==, VMF_RECORD_SET_BACK);
}

/* The journal knows of the claim: a record from before it is an older copy of the share. */
static void
test_set_back(void)
{
    VmfRecordKnown destination = known(VMF_ROLE_DESTINATION, VMF_STATE_COMMITTED);
    VmfOwnerRecord before = record(SOURCE, 7, VMF_OWNER_RUNNING);
    g_assert_cmpint(vmf_record_judge(&destination, &before), ==, VMF_RECORD_SET_BACK);
    g_autofree gchar *why = vmf_record_explain("web1", &destination, &before);
    g_assert_nonnull(strstr(why, "'web1'"));
    g_assert_nonnull(strstr(why, "epoch 7"));
    g_assert_nonnull(strstr(why, "epoch 8 had been written"));
    g_autofree gchar *gone = vmf_record_explain("web1", &destination, NULL);
    g_assert_nonnull(strstr(gone, "has no owner record any more"));
}

/* Nobody runs or writes on what could not be read or is older; each side on its own record only. */
static void
test_acts(void)
{
    const VmfRole roles[] = {VMF_ROLE_SOURCE, VMF_ROLE_DESTINATION};
    for (gsize i = 0; i < G_N_ELEMENTS(roles); i++) {
        g_assert_cmpint(vmf_record_act(roles[i], VMF_RECORD_UNREADABLE), ==, VMF_ACT_WAIT);
        g_assert_cmpint(vmf_record_act(roles[i], VMF_RECORD_SET_BACK), ==, VMF_ACT_FREEZE);
    }
    g_assert_cmpint(vmf_record_act(VMF_ROLE_SOURCE, VMF_RECORD_OURS), ==, VMF_ACT_TAKE_BACK);
    g_assert_cmpint(vmf_record_act(VMF_ROLE_SOURCE, VMF_RECORD_RETURNED), ==, VMF_ACT_TAKE_BACK);
    g_assert_cmpint(vmf_record_act(VMF_ROLE_SOURCE, VMF_RECORD_THEIRS), ==, VMF_ACT_FOLLOW);
    g_assert_cmpint(vmf_record_act(VMF_ROLE_DESTINATION, VMF_RECORD_OURS), ==, VMF_ACT_COMPLETE);
    g_assert_cmpint(vmf_record_act(VMF_ROLE_DESTINATION, VMF_RECORD_THEIRS), ==, VMF_ACT_GIVE_UP);
    g_assert_cmpint(vmf_record_act(VMF_ROLE_DESTINATION, VMF_RECORD_RETURNED), ==,
                    VMF_ACT_CLEAN_UP);
    g_assert_cmpint(vmf_record_act(VMF_ROLE_DESTINATION, VMF_RECORD_OURS_STOPPED), ==,
                    VMF_ACT_CLEAN_UP);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record-table/each-record/judged-from-each-side", test_judge);
    g_test_add_func("/record-table/older-than-the-journal/set-back", test_set_back);
    g_test_add_func("/record-table/verdicts/acts", test_acts);
    return g_test_run();
}
