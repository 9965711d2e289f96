/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/judge-private.h"

#include <string.h>

#include "policy/sid.h"

#define SKEW_WARN_MS (60 * 1000)
#define SKEW_FAIL_MS (300 * 1000)

/* userAccountControl (MS-ADTS 2.2.16) */
#define UAC_DISABLED    0x00000002u
#define UAC_WORKSTATION 0x00001000u

static gboolean
is_aes(guint enctype)
{
    return enctype >= 17 && enctype <= 20; /* RFC 3962, RFC 8009 */
}

static const char *
enctype_name(guint enctype)
{
    switch (enctype) {
    case 17:
        return "aes128-cts-hmac-sha1-96";
    case 18:
        return "aes256-cts-hmac-sha1-96";
    case 19:
        return "aes128-cts-hmac-sha256-128";
    case 20:
        return "aes256-cts-hmac-sha384-192";
    case 23:
        return "arcfour-hmac";
    default:
        return "another type";
    }
}

/* ---- DIR-010 ---- */

/* The newest key version with AES of the first principal that begins with @start; 0: none. */
static guint
newest_aes(const VmfFactKeytab *keytab, const char *start)
{
    guint newest = 0;
    for (guint i = 0; i < keytab->keys->len; i++) {
        const VmfFactKey *key = keytab->keys->pdata[i];
        if (g_ascii_strncasecmp(key->principal, start, strlen(start)) == 0 && is_aes(key->enctype))
            newest = MAX(newest, key->kvno);
    }
    return newest;
}

static void
judge_keytab(VmfJudge *judge, const VmfJudgeSide *side)
{
    const VmfFactKeytab *keytab = side->host ? &side->host->keytab : NULL;
    const char *path = keytab ? keytab->path : NULL;
    if (!vmf_judge_known(judge, side, path, keytab, keytab ? keytab->reason : NULL))
        return;
    g_autofree gchar *own = g_strdup_printf("%s@", side->account);
    g_autofree gchar *service = g_strdup_printf("host/%s@", side->fqdn);
    guint own_kvno = newest_aes(keytab, own), service_kvno = newest_aes(keytab, service);
    VmfFinding *finding;
    if (own_kvno == 0 || service_kvno == 0)
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, path, "has no AES key for %s%s",
                                own_kvno == 0 ? side->account : "host/",
                                own_kvno == 0 ? "" : side->fqdn);
    else if (!keytab->works)
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, path,
                                "the domain gives no ticket for the newest key of %s (version %u): "
                                "%s",
                                side->account, own_kvno, keytab->problem);
    else if (keytab->kvno != 0 && keytab->kvno != own_kvno)
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, path,
                                "the newest key of %s is version %u, but the directory has %u",
                                side->account, own_kvno, keytab->kvno);
    else
        finding = vmf_judge_add(judge, VMF_RESULT_PASS, side, path,
                                "has AES keys of version %u, and they work", own_kvno);
    vmf_finding_number(finding, "kvno", own_kvno);
    vmf_finding_number(finding, "directory-kvno", keytab->kvno);
    if (finding->judged != VMF_RESULT_PASS)
        vmf_finding_fix(finding,
                        "on %s: net ads join -U Administrator, then: net ads keytab create",
                        side->fqdn);
}

void
vmf_judge_dir_010(VmfJudge *judge)
{
    for (guint i = 0; i < 2; i++) {
        VmfJudgeSide side = vmf_judge_side(judge, i == 0);
        judge_keytab(judge, &side);
    }
}

/* ---- DIR-020 ---- */

static void
judge_skew(VmfJudge *judge, const VmfJudgeSide *side, const char *whose, gboolean known,
           gint64 skew_ms)
{
    if (!known) {
        vmf_judge_add(judge, VMF_RESULT_UNKNOWN, side, whose, "its clock could not be read");
        return;
    }
    gint64 size = skew_ms < 0 ? -skew_ms : skew_ms;
    VmfResult result = size >= SKEW_FAIL_MS   ? VMF_RESULT_FAIL
                       : size >= SKEW_WARN_MS ? VMF_RESULT_WARN
                                              : VMF_RESULT_PASS;
    VmfFinding *finding = vmf_judge_add(
        judge, result, side, whose, "clocks differ by %.1f s%s", (double)size / 1000,
        result == VMF_RESULT_FAIL   ? ": Kerberos refuses tickets from 300 s on"
        : result == VMF_RESULT_WARN ? ": Kerberos refuses tickets from 300 s on, and that is near"
                                    : "");
    vmf_finding_number(finding, "skew-ms", skew_ms);
    if (result != VMF_RESULT_PASS)
        vmf_finding_fix(finding, "on %s: chronyc makestep, and see that chronyd follows the domain",
                        side->fqdn);
}

void
vmf_judge_dir_020(VmfJudge *judge)
{
    for (guint i = 0; i < 2; i++) {
        VmfJudgeSide side = vmf_judge_side(judge, i == 0);
        const VmfFactDirectory *directory = side.host ? &side.host->directory : NULL;
        if (!vmf_judge_known(judge, &side, NULL, directory, NULL))
            continue;
        if (directory->reason[0]) {
            VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, &side, NULL,
                                                "no domain controller answers: %s",
                                                directory->reason);
            vmf_finding_fix(finding, "on %s: host -t SRV _ldap._tcp.dc._msdcs.%s", side.fqdn,
                            side.host->realm);
            continue;
        }
        judge_skew(judge, &side, directory->server, directory->skew_known, directory->skew_ms);
    }
    VmfJudgeSide source = vmf_judge_side(judge, TRUE);
    if (source.peer && judge->facts->destination)
        judge_skew(judge, &source, judge->facts->to, source.peer->skew_known, source.peer->skew_ms);
}

/* ---- DIR-030 ---- */

static const char *
account_fault(const VmfFactComputer *computer, const VmfFactDirectory *directory)
{
    g_autofree gchar *domain = vmf_sid_domain(computer->sid);
    if (computer->uac & UAC_DISABLED)
        return "the account is disabled";
    if (!(computer->uac & UAC_WORKSTATION))
        return "it is no workstation trust account (a domain controller, or a user)";
    if (g_strcmp0(domain, directory->domain_sid) != 0)
        return "it belongs to another domain";
    return NULL;
}

static void
judge_account(VmfJudge *judge, const VmfJudgeSide *asker)
{
    VmfJudgeSide subject = vmf_judge_side(judge, !asker->is_source);
    const VmfFactComputer *computer = asker->peer ? &asker->peer->computer : NULL;
    if (computer == NULL) {
        vmf_judge_add(judge, VMF_RESULT_UNKNOWN, &subject, NULL, "%s could not be asked: %s",
                      asker->fqdn, asker->missing);
        return;
    }
    if (!vmf_judge_known(judge, &subject, NULL, computer, computer->reason))
        return;
    if (computer->matches != 1) {
        VmfFinding *finding = vmf_judge_add(
            judge, VMF_RESULT_FAIL, &subject, NULL, "%s to '%s', as %s sees it",
            computer->matches ? "several computer accounts answer" : "no computer account answers",
            asker->peer->fqdn, asker->fqdn);
        vmf_finding_number(finding, "matches", computer->matches);
        vmf_finding_fix(finding,
                        computer->matches == 0 ? "on %s: net ads join -U Administrator"
                                               : "setspn -Q host/%s, and delete the wrong "
                                                 "account",
                        subject.fqdn);
        return;
    }
    static const VmfFactDirectory nothing = {.domain_sid = (gchar *)""};
    const VmfFactDirectory *directory = asker->host ? &asker->host->directory : &nothing;
    const char *fault = account_fault(computer, directory);
    VmfFinding *finding;
    if (fault == NULL)
        finding = vmf_judge_add(judge, VMF_RESULT_PASS, &subject, NULL,
                                "is enabled, a workstation trust account of this domain");
    else
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, &subject, NULL, "%s (%s), as %s sees it",
                                fault, computer->sid, asker->fqdn);
    vmf_finding_text(finding, "sid", computer->sid);
    vmf_finding_number(finding, "user-account-control", computer->uac);
    if (fault && (computer->uac & UAC_DISABLED))
        vmf_finding_fix(finding, "samba-tool user enable '%s'  (or: Enable-ADAccount '%s')",
                        computer->account, computer->account);
    else if (fault)
        vmf_finding_fix(finding, "on %s: net ads join -U Administrator", subject.fqdn);
}

void
vmf_judge_dir_030(VmfJudge *judge)
{
    for (guint i = 0; i < 2; i++) {
        VmfJudgeSide side = vmf_judge_side(judge, i == 0);
        judge_account(judge, &side);
    }
}

/* ---- DIR-040 ---- */

static VmfFinding *
say_not_member(VmfJudge *judge, const VmfJudgeSide *side, const VmfFactDirectory *directory,
               const char *where)
{
    const char *group = directory->group_name[0] ? directory->group_name : directory->group;
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, group,
                                        "is not in the allowed group '%s' (%s), by %s", group,
                                        directory->group_sid, where);
    vmf_finding_text(finding, "group-sid", directory->group_sid);
    vmf_finding_fix(finding,
                    "samba-tool group addmembers '%s' '%s', then on %s: systemctl restart "
                    "vmferryd",
                    group, side->account, side->fqdn);
    vmf_finding_fix(finding, "Add-ADGroupMember '%s' -Members '%s'  (on Windows)", group,
                    side->account);
    return finding;
}

/* Each host by its own policy file's group: about itself, and about its peer. */
static void
judge_membership(VmfJudge *judge, const VmfJudgeSide *side)
{
    VmfJudgeSide other = vmf_judge_side(judge, !side->is_source);
    const VmfFactDirectory *directory = side->host ? &side->host->directory : NULL;
    if (!vmf_judge_known(judge, side, NULL, directory, directory ? directory->reason : NULL))
        return;
    if (directory->group_sid[0] == '\0') {
        VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, directory->group,
                                            "the allowed group '%s' cannot be found: %s",
                                            directory->group, directory->group_problem);
        vmf_finding_fix(finding, "on %s: [vmferry] group= in " VMF_LOCAL_POLICY_FILE, side->fqdn);
        return;
    }
    if (!vmf_judge_known(judge, side, directory->group, &directory->self, directory->self.reason))
        return;
    if (vmf_judge_has(directory->self.group_sids, directory->group_sid))
        vmf_finding_text(vmf_judge_add(judge, VMF_RESULT_PASS, side, directory->group,
                                       "is in the allowed group '%s'", directory->group),
                         "group-sid", directory->group_sid);
    else
        say_not_member(judge, side, directory, "the directory");
    if (side->peer == NULL || side->peer->computer.reason[0] || side->peer->computer.matches != 1)
        return; /* DIR-030 says so */
    const char *its_group = other.host ? other.host->directory.group_sid : "";
    if (!vmf_judge_has(side->peer->computer.group_sids, directory->group_sid) &&
        strcmp(its_group, directory->group_sid) != 0) {
        VmfFinding *finding = say_not_member(judge, &other, directory, side->fqdn);
        if (its_group[0])
            vmf_finding_fix(finding, "or let both hosts name the same group: [vmferry] group= "
                                     "in " VMF_LOCAL_POLICY_FILE);
    }
    const VmfFactChannel *channel = &side->peer->channel;
    if (channel->reason[0] == '\0' && channel->by_ticket &&
        !vmf_judge_has(channel->group_sids, directory->group_sid))
        say_not_member(judge, &other, directory, "the ticket it showed (it may be an old one)");
}

void
vmf_judge_dir_040(VmfJudge *judge)
{
    for (guint i = 0; i < 2; i++) {
        VmfJudgeSide side = vmf_judge_side(judge, i == 0);
        judge_membership(judge, &side);
    }
}

/* ---- DIR-050 ---- */

static void
judge_channel(VmfJudge *judge, const VmfJudgeSide *side)
{
    VmfJudgeSide other = vmf_judge_side(judge, !side->is_source);
    g_autofree gchar *object = g_strdup_printf("channel from %s", other.account);
    const VmfFactChannel *channel = side->peer ? &side->peer->channel : NULL;
    if (channel == NULL) {
        vmf_judge_known(judge, side, object, NULL, NULL);
        return;
    }
    if (channel->reason[0]) {
        VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, object, "%s",
                                            channel->reason);
        vmf_finding_fix(finding, "on %s: systemctl status vmferryd; vmferry doctor", other.fqdn);
        return;
    }
    gboolean weak = !is_aes(channel->session_enctype) ||
                    (channel->by_ticket && !is_aes(channel->ticket_enctype));
    VmfFinding *finding;
    if (!channel->mutual)
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, object,
                                "only one end has proven who it is (%s)", channel->principal);
    else if (weak)
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, object,
                                "%s was proven without AES (session %s, ticket %s)",
                                channel->principal, enctype_name(channel->session_enctype),
                                channel->by_ticket ? enctype_name(channel->ticket_enctype)
                                                   : "unseen");
    else
        finding = vmf_judge_add(judge, VMF_RESULT_PASS, side, object, "%s has proven itself, %s",
                                channel->principal, enctype_name(channel->session_enctype));
    vmf_finding_text(finding, "principal", channel->principal);
    vmf_finding_number(finding, "session-enctype", channel->session_enctype);
    if (finding->judged == VMF_RESULT_FAIL && !weak)
        vmf_finding_fix(finding, "on %s: vmferry doctor", other.fqdn);
    if (finding->judged == VMF_RESULT_FAIL && weak)
        vmf_finding_fix(finding,
                        "net ads enctypes set '%s' 24, then on %s: net ads changetrustpw and "
                        "systemctl restart vmferryd",
                        other.account, other.fqdn);
}

void
vmf_judge_dir_050(VmfJudge *judge)
{
    VmfJudgeSide source = vmf_judge_side(judge, TRUE), destination = vmf_judge_side(judge, FALSE);
    if (judge->facts->unreachable) {
        VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, &destination, NULL, "%s",
                                            judge->facts->unreachable);
        vmf_finding_fix(finding, "on %s: systemctl start vmferryd; vmferry doctor",
                        destination.fqdn);
        return;
    }
    judge_channel(judge, &source);
    judge_channel(judge, &destination);
}
