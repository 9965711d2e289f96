/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/local-policy.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

/* A policy file is read or refused with a reason; what is read can be asked. */
int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *text = g_strndup((const gchar *)data, size);
    g_autoptr(VmfLocalPolicy) policy = vmf_local_policy_parse(text, size, "fuzz.conf", &error);
    g_assert_true((policy == NULL) == (error != NULL));
    if (policy == NULL)
        return 0;
    g_assert_nonnull(policy->group);
    for (guint i = 0; i < policy->shares->len; i++) {
        const VmfShareRule *rule = policy->shares->pdata[i];
        g_assert_nonnull(vmf_local_policy_share(policy, rule->server, rule->share));
    }
    for (guint judged = 0; judged <= VMF_RESULT_UNKNOWN; judged++)
        vmf_local_policy_weigh(policy, "SMB-150", judged);
    return 0;
}
