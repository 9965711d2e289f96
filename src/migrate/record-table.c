/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/record-table.h"

#include <string.h>

guint64
vmf_record_known_least(VmfState state, guint64 offer)
{
    return offer + (state == VMF_STATE_COMMITTED);
}

VmfRecordSays
vmf_record_judge(const VmfRecordKnown *known, const VmfOwnerRecord *record)
{
    if (record == NULL || record->epoch < known->least)
        return VMF_RECORD_SET_BACK;
    gboolean ours = strcmp(record->owner_sid, known->sid) == 0;
    /* An offer is taken from its owner only: under its own epoch this host cannot be named. */
    if (ours && known->role == VMF_ROLE_DESTINATION && record->epoch == known->offer)
        return VMF_RECORD_SET_BACK;
    switch (record->state) {
    case VMF_OWNER_OWNED:
    case VMF_OWNER_RUNNING:
        return ours ? VMF_RECORD_OURS : VMF_RECORD_THEIRS;
    case VMF_OWNER_STOPPED:
        return ours ? VMF_RECORD_OURS_STOPPED : VMF_RECORD_THEIRS;
    case VMF_OWNER_RETURNED:
        return ours || known->role == VMF_ROLE_DESTINATION ? VMF_RECORD_RETURNED
                                                           : VMF_RECORD_THEIRS;
    }
    g_assert_not_reached();
}

static VmfRecordAct
act_of_source(VmfRecordSays says)
{
    switch (says) {
    case VMF_RECORD_UNREADABLE:
        return VMF_ACT_WAIT;
    case VMF_RECORD_SET_BACK:
        return VMF_ACT_FREEZE;
    case VMF_RECORD_OURS:
    case VMF_RECORD_OURS_STOPPED:
    case VMF_RECORD_RETURNED:
        return VMF_ACT_TAKE_BACK;
    case VMF_RECORD_THEIRS:
        return VMF_ACT_FOLLOW;
    }
    g_assert_not_reached();
}

static VmfRecordAct
act_of_destination(VmfRecordSays says)
{
    switch (says) {
    case VMF_RECORD_UNREADABLE:
        return VMF_ACT_WAIT;
    case VMF_RECORD_SET_BACK:
        return VMF_ACT_FREEZE;
    case VMF_RECORD_OURS:
        return VMF_ACT_COMPLETE;
    case VMF_RECORD_OURS_STOPPED:
    case VMF_RECORD_RETURNED:
        return VMF_ACT_CLEAN_UP;
    case VMF_RECORD_THEIRS:
        return VMF_ACT_GIVE_UP;
    }
    g_assert_not_reached();
}

VmfRecordAct
vmf_record_act(VmfRole role, VmfRecordSays says)
{
    return role == VMF_ROLE_SOURCE ? act_of_source(says) : act_of_destination(says);
}

gchar *
vmf_record_explain(const char *name, const VmfRecordKnown *known, const VmfOwnerRecord *record)
{
    g_autofree gchar *owner = record ? vmf_owner_record_describe(record) : NULL;
    g_autofree gchar *says = owner
                                 ? g_strdup_printf("the owner record of '%s' names %s", name, owner)
                                 : g_strdup_printf("'%s' has no owner record any more", name);
    if (vmf_record_judge(known, record) != VMF_RECORD_SET_BACK)
        return g_steal_pointer(&says);
    return g_strdup_printf("%s, and epoch %" G_GUINT64_FORMAT
                           " had been written: the share was set back to an older copy; nothing is "
                           "done until the newer one is there again",
                           says, known->least);
}
