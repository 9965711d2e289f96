/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "judge-cases.h"

static void
rc4_only(VmfFactCase *f)
{
    for (guint i = 0; i < 2; i++)
        ((VmfFactKey *)THERE(f)->host.keytab.keys->pdata[i])->enctype = 23;
}

static void
joined_again(VmfFactCase *f)
{
    HERE(f)->host.keytab.kvno = 3;
}

static void
no_ticket(VmfFactCase *f)
{
    HERE(f)->host.keytab.works = FALSE;
    SET(HERE(f)->host.keytab.problem, "Preauthentication failed");
}

static void
keytab_unreadable(VmfFactCase *f)
{
    SET(THERE(f)->host.keytab.reason, "cannot read '/etc/krb5.keytab': Permission denied");
}

static void
no_dc(VmfFactCase *f)
{
    SET(HERE(f)->host.directory.reason,
        "dc1.lab.test: Can't contact LDAP server; dc2.lab.test: timed out");
}

static void
skew_90(VmfFactCase *f)
{
    THERE(f)->host.directory.skew_ms = -90500;
}

static void
skew_400(VmfFactCase *f)
{
    HERE(f)->peer.skew_ms = 400000;
}

static void
disabled(VmfFactCase *f)
{
    HERE(f)->peer.computer.uac = 0x1002;
}

static void
controller(VmfFactCase *f)
{
    HERE(f)->peer.computer.uac = 0x82000;
}

static void
two_accounts(VmfFactCase *f)
{
    HERE(f)->peer.computer.matches = 2;
}

static void
other_domain(VmfFactCase *f)
{
    SET(HERE(f)->peer.computer.sid, "S-1-5-21-9-9-9-1104");
}

static void
not_member(VmfFactCase *f)
{
    case_texts(&THERE(f)->host.directory.self.group_sids, CASE_DOMAIN "-515");
    case_texts(&HERE(f)->peer.computer.group_sids, CASE_DOMAIN "-515");
}

static void
old_ticket(VmfFactCase *f)
{
    case_texts(&THERE(f)->peer.channel.group_sids, CASE_DOMAIN "-515");
}

static void
no_group(VmfFactCase *f)
{
    SET(HERE(f)->host.directory.group_sid, "");
    SET(HERE(f)->host.directory.group_problem, "no group of this name in LAB.TEST");
}

static void
refused_peer(VmfFactCase *f)
{
    SET(HERE(f)->peer.channel.reason,
        "hv2.lab.test:16016: connection refused; is vmferryd running there?");
}

static void
rc4_session(VmfFactCase *f)
{
    THERE(f)->peer.channel.ticket_enctype = 23;
}

static void
no_clock(VmfFactCase *f)
{
    HERE(f)->host.directory.skew_known = FALSE;
}

static void
no_account(VmfFactCase *f)
{
    HERE(f)->peer.computer.matches = 0;
}

static void
one_sided(VmfFactCase *f)
{
    HERE(f)->peer.channel.mutual = FALSE;
}

/* The hosts' policy files name different groups: hv1's does not have hv2 in it. */
static void
other_group(VmfFactCase *f)
{
    SET(HERE(f)->host.directory.group_sid, CASE_DOMAIN "-1300");
    SET(HERE(f)->host.directory.group_name, "VM Hosts East");
    case_texts(&HERE(f)->host.directory.self.group_sids, CASE_DOMAIN "-515 " CASE_DOMAIN "-1300");
}

const JudgeCase judge_cases_directory[] = {
    {"DIR-010", "rc4-only", VMF_RESULT_FAIL, rc4_only},
    {"DIR-010", "joined-again", VMF_RESULT_FAIL, joined_again},
    {"DIR-010", "no-ticket", VMF_RESULT_FAIL, no_ticket},
    {"DIR-010", "unreadable", VMF_RESULT_UNKNOWN, keytab_unreadable},
    {"DIR-020", "no-dc", VMF_RESULT_FAIL, no_dc},
    {"DIR-020", "skew-90-s", VMF_RESULT_WARN, skew_90},
    {"DIR-020", "skew-400-s", VMF_RESULT_FAIL, skew_400},
    {"DIR-030", "disabled", VMF_RESULT_FAIL, disabled},
    {"DIR-030", "domain-controller", VMF_RESULT_FAIL, controller},
    {"DIR-030", "two-accounts", VMF_RESULT_FAIL, two_accounts},
    {"DIR-030", "other-domain", VMF_RESULT_FAIL, other_domain},
    {"DIR-040", "not-member", VMF_RESULT_FAIL, not_member},
    {"DIR-040", "old-ticket", VMF_RESULT_FAIL, old_ticket},
    {"DIR-040", "no-group", VMF_RESULT_FAIL, no_group},
    {"DIR-050", "refused", VMF_RESULT_FAIL, refused_peer},
    {"DIR-050", "rc4", VMF_RESULT_FAIL, rc4_session},
    {"DIR-020", "no-clock", VMF_RESULT_UNKNOWN, no_clock},
    {"DIR-030", "no-account", VMF_RESULT_FAIL, no_account},
    {"DIR-040", "other-group", VMF_RESULT_FAIL, other_group},
    {"DIR-050", "one-sided", VMF_RESULT_FAIL, one_sided},
    {NULL},
};
