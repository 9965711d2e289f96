/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SMB-130, SMB-140, SMB-150: one file, one owner, no write lost. */
#include "policy/judge-private.h"

#include <string.h>

#define DEAD_CLIENT_MAX_SECONDS 60

/* ---- SMB-130 ---- */

static gboolean
is_there(const VmfFactProbe *probe)
{
    return probe && probe->reason[0] == '\0' && probe->file_id[0];
}

static void
compare_file(VmfJudge *judge, const VmfFactFile *file)
{
    g_autofree gchar *unc = vmf_judge_unc(file->url);
    VmfJudgeSide source = vmf_judge_side(judge, TRUE), destination = vmf_judge_side(judge, FALSE);
    const VmfFactProbe *here = vmf_judge_probe(source.view, file->url);
    const VmfFactProbe *there = vmf_judge_probe(destination.view, file->url);
    if (!is_there(here) || !is_there(there)) {
        const VmfJudgeSide *side = is_there(here) ? &destination : &source;
        const VmfFactProbe *probe = is_there(here) ? there : here;
        vmf_judge_add(judge, VMF_RESULT_UNKNOWN, side, unc, "its file id is not known: %s",
                      side->view == NULL  ? side->missing
                      : probe == NULL     ? "it was not looked at"
                      : probe->reason[0]  ? probe->reason
                      : probe->problem[0] ? probe->problem
                                          : "the server gave none to this account");
        return;
    }
    gboolean same_id = strcmp(here->file_id, there->file_id) == 0;
    /* qcow2 grows while the VM writes; raw never does. */
    gboolean same_size = strcmp(file->format, "raw") != 0 || here->size_bytes == there->size_bytes;
    VmfFinding *finding;
    if (same_id && same_size)
        finding = vmf_judge_add(judge, VMF_RESULT_PASS, NULL, unc,
                                "is the same file from both hosts (id %s)", here->file_id);
    else
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, NULL, unc,
                                "is not the same file from both hosts: %s sees id %s, "
                                "%" G_GUINT64_FORMAT " bytes, %s sees id %s, %" G_GUINT64_FORMAT
                                " bytes",
                                source.fqdn, here->file_id, here->size_bytes, destination.fqdn,
                                there->file_id, there->size_bytes);
    vmf_finding_text(finding, "source-id", here->file_id);
    vmf_finding_text(finding, "destination-id", there->file_id);
    g_autofree gchar *server = NULL, *share = NULL, *path = NULL;
    if (!(same_id && same_size) && vmf_judge_split_url(file->url, &server, &share, &path))
        vmf_finding_fix(finding,
                        "on both hosts: getent hosts %s; the answers must lead to one "
                        "server, not to replicas",
                        server);
}

void
vmf_judge_smb_130(VmfJudge *judge)
{
    guint before = judge->report->findings->len;
    const VmfFactVm *vm = judge->facts->vm;
    for (guint i = 0; i < vm->files->len; i++) {
        const VmfFactFile *file = vm->files->pdata[i];
        if (file->url[0] &&
            (file->role == VMF_FACT_ROLE_DISK || file->role == VMF_FACT_ROLE_CDROM ||
             file->role == VMF_FACT_ROLE_BACKING))
            compare_file(judge, file);
    }
    if (judge->report->findings->len == before)
        vmf_judge_add(judge, VMF_RESULT_NOT_APPLICABLE, NULL, vm->name,
                      "the VM has no disk on a share");
}

/* ---- SMB-140 ---- */

static const char *
own_sid(const VmfJudgeSide *side)
{
    return side->host ? side->host->directory.self.sid : "";
}

static void
say_foreign_owner(VmfJudge *judge, const VmfJudgeSide *side, const VmfFactOwner *owner)
{
    VmfFinding *finding;
    if (!owner->present)
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, judge->facts->vm->name,
                                "nobody owns it: there is no owner record beside its disks");
    else
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, judge->facts->vm->name,
                                "the owner record names %s (epoch %" G_GUINT64_FORMAT
                                ", %s), not %s",
                                owner->owner_account, owner->epoch, owner->state, side->account);
    vmf_finding_fix(finding,
                    owner->present ? "look where it runs: vmferry list, on %s too"
                                   : "start it where its disks are behind share "
                                     "connections: vmferry doctor%s",
                    owner->present ? owner->owner_account : "");
}

static void
judge_holder(VmfJudge *judge, const VmfJudgeSide *side, const VmfFactOwner *owner)
{
    const VmfFactDisks *disks = &side->view->disks;
    const char *vm = judge->facts->vm->name;
    VmfFinding *finding;
    if (disks->reason[0])
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, vm,
                                "no disk process of this host answers for it: %s", disks->reason);
    else if (!disks->held || strcmp(disks->gate, "open") != 0 || disks->epoch != owner->epoch)
        finding = vmf_judge_add(
            judge, VMF_RESULT_FAIL, side, vm,
            "its disks are not usable here now: gate %s, %s, epoch %" G_GUINT64_FORMAT
            " (the record has %" G_GUINT64_FORMAT ")%s%s",
            disks->gate, disks->held ? "held" : "not held", disks->epoch, owner->epoch,
            disks->trouble[0] ? ": " : "", disks->trouble);
    else
        finding = vmf_judge_add(judge, VMF_RESULT_PASS, side, vm,
                                "%s owns it with epoch %" G_GUINT64_FORMAT
                                " and holds its disks deny-write",
                                side->account, owner->epoch);
    vmf_finding_number(finding, "epoch", (gint64)owner->epoch);
    if (finding->judged != VMF_RESULT_PASS)
        vmf_finding_fix(finding,
                        "vmferry list; vmferry doctor; and look at /run/vmferry/%s/disk.log",
                        judge->facts->vm->uuid);
}

/* A destination that reads another record looks at other disks. */
static void
judge_other_reader(VmfJudge *judge, const VmfFactOwner *owner)
{
    VmfJudgeSide side = vmf_judge_side(judge, FALSE);
    const VmfFactOwner *there = side.view ? &side.view->owner : NULL;
    if (!vmf_judge_known(judge, &side, judge->facts->vm->name, there, there ? there->reason : NULL))
        return;
    if (there->present && there->epoch == owner->epoch &&
        strcmp(there->owner_sid, owner->owner_sid) == 0) {
        vmf_judge_add(judge, VMF_RESULT_PASS, &side, judge->facts->vm->name,
                      "reads the same owner record");
        return;
    }
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, &side, judge->facts->vm->name,
                                        "reads another owner record: %s, epoch %" G_GUINT64_FORMAT,
                                        there->present ? there->owner_account : "none",
                                        there->epoch);
    vmf_finding_fix(finding, "see SMB-130: both hosts must look at the same files");
}

void
vmf_judge_smb_140(VmfJudge *judge)
{
    VmfJudgeSide side = vmf_judge_side(judge, TRUE);
    const VmfFactOwner *owner = side.view ? &side.view->owner : NULL;
    if (!vmf_judge_known(judge, &side, judge->facts->vm->name, owner, owner ? owner->reason : NULL))
        return;
    if (own_sid(&side)[0] == '\0') {
        vmf_judge_add(judge, VMF_RESULT_UNKNOWN, &side, judge->facts->vm->name,
                      "the SID of %s is not known", side.account);
        return;
    }
    if (!owner->present || strcmp(owner->owner_sid, own_sid(&side)) != 0) {
        say_foreign_owner(judge, &side, owner);
        return;
    }
    judge_holder(judge, &side, owner);
    judge_other_reader(judge, owner);
}

/* ---- SMB-150 ---- */

static void
fix_durability(VmfFinding *finding, const VmfFactShare *share, const VmfShareRule *rule)
{
    if (rule == NULL || rule->durable != VMF_STATED_YES)
        vmf_finding_fix(finding, "on %s, smb.conf [%s]: sync always = yes, strict sync = yes",
                        share->server, share->share);
    vmf_finding_fix(finding,
                    "on %s, smb.conf [global]: socket options = TCP_NODELAY SO_KEEPALIVE "
                    "TCP_KEEPIDLE=2 TCP_KEEPINTVL=1 TCP_KEEPCNT=3",
                    share->server);
    vmf_finding_fix(finding, "(on Windows: a continuously available share has both)");
    vmf_finding_fix(finding, "then in " VMF_LOCAL_POLICY_FILE ":");
    vmf_finding_fix(finding, "  [share //%s/%s]", share->server, share->share);
    vmf_finding_fix(finding, "  durable=yes");
    vmf_finding_fix(finding, "  dead-client-seconds=5");
}

static void
judge_durability(VmfJudge *judge, const VmfFactShare *share)
{
    g_autofree gchar *name = g_strdup_printf("//%s/%s", share->server, share->share);
    const VmfShareRule *rule = vmf_local_policy_share(judge->facts->policy, share->server,
                                                      share->share);
    VmfFinding *finding;
    if (rule == NULL || rule->durable == VMF_STATED_NOTHING)
        finding = vmf_judge_add(judge, VMF_RESULT_UNKNOWN, NULL, name,
                                "no client can see whether it makes each answered write durable, "
                                "and the policy file does not state it");
    else if (rule->durable == VMF_STATED_NO)
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, NULL, name,
                                "the policy file states that answered writes may be lost when the "
                                "server crashes (durable=no)");
    else if (rule->dead_client_seconds == 0)
        finding = vmf_judge_add(judge, VMF_RESULT_UNKNOWN, NULL, name,
                                "the policy file does not state how soon the server drops a dead "
                                "host's locks (a Samba without keepalive: two hours)");
    else if (rule->dead_client_seconds > DEAD_CLIENT_MAX_SECONDS)
        finding = vmf_judge_add(judge, VMF_RESULT_WARN, NULL, name,
                                "a dead host's VMs stay locked for %u s",
                                rule->dead_client_seconds);
    else
        finding = vmf_judge_add(judge, VMF_RESULT_PASS, NULL, name,
                                "stated: answered writes are durable, a dead host is dropped after "
                                "%u s",
                                rule->dead_client_seconds);
    if (finding->judged != VMF_RESULT_PASS)
        fix_durability(finding, share, rule);
}

void
vmf_judge_smb_150(VmfJudge *judge)
{
    VmfJudgeSide side = vmf_judge_side(judge, TRUE);
    if (!vmf_judge_known(judge, &side, NULL, side.view, NULL))
        return;
    for (guint i = 0; i < side.view->shares->len; i++)
        judge_durability(judge, side.view->shares->pdata[i]);
    if (side.view->shares->len == 0)
        vmf_judge_add(judge, VMF_RESULT_NOT_APPLICABLE, NULL, NULL,
                      "the VM has no file on a share");
}
