/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/local-policy.h"

/** vmf_share_rule_parse() - "//server/share", one slash at the end forgiven. NULL: it is none */
VmfShareRule *vmf_share_rule_parse(const char *text);
void vmf_share_rule_free(gpointer rule);

/** vmf_policy_terms_group() - whether a group is read by vmf_policy_read_terms() */
gboolean vmf_policy_terms_group(const char *group);

/**
 * vmf_policy_read_terms() - the groups [share //server/share] and [checks]
 * @policy: with its shares
 *
 * Returns: %FALSE with VMF_ERROR_CONFIG naming file, group and key.
 */
gboolean
vmf_policy_read_terms(GKeyFile *file, const char *name, VmfLocalPolicy *policy, GError **error);
