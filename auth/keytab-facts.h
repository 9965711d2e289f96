/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/host-identity.h"
#include "policy/facts.h"

#define VMF_KEYTAB_MEMORY_S 600

/**
 * vmf_keytab_facts_gather() - this host's keys, and whether they still work
 * @me:    (nullable): who this host is; NULL: its keytab says nothing usable, and no ticket is asked
 *         for
 * @path:  NULL: /etc/krb5.keytab
 * @brief: for a move that begins: that the keys worked in the last %VMF_KEYTAB_MEMORY_S seconds, and
 *         the file is the same, may serve
 * @facts: (inout): fresh from vmf_fact_keytab_new(), or a member that is; ->kvno is the
 *         directory's to tell (directory-facts.h)
 *
 * One AS exchange with a KDC at most, whose ticket is thrown away. No key leaves this function. A keytab
 * that cannot be read is @facts->reason.
 */
void vmf_keytab_facts_gather(const VmfHostIdentity *me, const char *path, gboolean brief,
                             VmfFactKeytab *facts);
