/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SMB-100, SMB-110, SMB-111: where the files lie, and how the server speaks. */
#include "policy/judge-private.h"

#include <string.h>

/* ---- SMB-100 ---- */

static void
judge_boot_file(VmfJudge *judge, const VmfFactFile *file)
{
    g_autofree gchar *name = vmf_judge_file_name(file);
    VmfJudgeSide destination = vmf_judge_side(judge, FALSE);
    if (judge->facts->to[0] == '\0') {
        vmf_judge_add(judge, VMF_RESULT_WARN, NULL, file->place,
                      "%s: each host needs its own copy, named in [guests] kernels", name);
        return;
    }
    const VmfFactFit *fit = destination.view ? &destination.view->fit : NULL;
    if (!vmf_judge_known(judge, &destination, file->place, fit, fit ? fit->reason : NULL))
        return;
    if (!vmf_judge_has(fit->boot_missing, file->place)) {
        vmf_judge_add(judge, VMF_RESULT_PASS, &destination, file->place, "%s: is there and allowed",
                      name);
        return;
    }
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, &destination, file->place,
                                        "%s: is missing there, or not among [guests] kernels",
                                        name);
    vmf_finding_fix(
        finding, "on %s: put the file there, and [guests] kernels=...;%s in " VMF_LOCAL_POLICY_FILE,
        destination.fqdn, file->place);
}

/* What QEMU carries in its stream. It moves, but dies with its host. */
static void
say_carried(VmfJudge *judge, const VmfFactFile *file)
{
    g_autofree gchar *name = vmf_judge_file_name(file);
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_WARN, NULL, file->place,
                                        "%s is on no share: it moves with the VM's memory, but is "
                                        "lost with its host",
                                        name);
    vmf_finding_fix(finding, "copy it beside the disks when the VM is shut off, to have it when a "
                             "host dies");
}

static void
say_not_on_share(VmfJudge *judge, const VmfFactFile *file)
{
    g_autofree gchar *name = vmf_judge_file_name(file);
    gboolean images = file->role == VMF_FACT_ROLE_CDROM;
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, NULL,
                                        file->place[0] ? file->place : name,
                                        "%s is on no share: no other host can reach it", name);
    if (file->line)
        vmf_finding_number(finding, "line", file->line);
    const char *vm = judge->facts->vm->name;
    if (images)
        vmf_finding_fix(finding, "virsh change-media %s %s --eject", vm, file->target);
    else if (file->role == VMF_FACT_ROLE_DISK)
        vmf_finding_fix(finding,
                        "virsh shutdown %s; copy the file to a share; vmferry attach %s %s "
                        "smb://server/share/%s/file",
                        vm, vm, file->target, vm);
    else
        vmf_finding_fix(finding, "virsh edit %s: take it out, or put it on a share", vm);
}

/* The source's policy is known here; the destination has told what its own says. */
static void
judge_allowed(VmfJudge *judge, const VmfFactFile *file)
{
    g_autofree gchar *name = vmf_judge_file_name(file), *unc = vmf_judge_unc(file->url);
    g_autofree gchar *server = NULL, *share = NULL, *path = NULL;
    if (!vmf_judge_split_url(file->url, &server, &share, &path)) {
        say_not_on_share(judge, file);
        return;
    }
    VmfJudgeSide source = vmf_judge_side(judge, TRUE), destination = vmf_judge_side(judge, FALSE);
    const VmfFactProbe *there = vmf_judge_probe(destination.view, file->url);
    gboolean here_ok = judge->facts->policy == NULL ||
                       vmf_local_policy_share(judge->facts->policy, server, share) != NULL;
    gboolean there_ok = there == NULL || there->reason[0] || there->allowed;
    if (here_ok && there_ok) {
        vmf_judge_add(judge, VMF_RESULT_PASS, NULL, unc, "%s is on %s", name,
                      judge->facts->policy
                          ? "an allowed share"
                          : "a share; which ones are allowed, --policy FILE tells");
        return;
    }
    const VmfJudgeSide *side = here_ok ? &destination : source.fqdn[0] ? &source : NULL;
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, unc,
                                        "%s lies on //%s/%s, which is not among the allowed shares",
                                        name, server, share);
    vmf_finding_fix(finding, "%s%s%s[shares] allow=...;//%s/%s in " VMF_LOCAL_POLICY_FILE,
                    side ? "on " : "", side ? side->fqdn : "", side ? ": " : "", server, share);
}

void
vmf_judge_smb_100(VmfJudge *judge)
{
    guint before = judge->report->findings->len;
    const VmfFactVm *vm = judge->facts->vm;
    if (!vmf_judge_known(judge, NULL, vm->name, vm, vm->reason))
        return;
    for (guint i = 0; i < vm->files->len; i++) {
        const VmfFactFile *file = vm->files->pdata[i];
        if (file->role == VMF_FACT_ROLE_FOLDER)
            continue;
        if (file->role == VMF_FACT_ROLE_BOOT)
            judge_boot_file(judge, file);
        else if (file->url[0] == '\0' &&
                 (file->role == VMF_FACT_ROLE_NVRAM || file->role == VMF_FACT_ROLE_TPM))
            say_carried(judge, file);
        else if (file->url[0] == '\0')
            say_not_on_share(judge, file);
        else
            judge_allowed(judge, file);
    }
    if (judge->report->findings->len == before)
        vmf_judge_add(judge, VMF_RESULT_NOT_APPLICABLE, NULL, vm->name, "the VM has no files");
}

/* ---- SMB-110, SMB-111 ---- */

typedef void (*ShareJudge)(VmfJudge *judge, const VmfJudgeSide *side, const VmfFactShare *share,
                           const char *name);

static void
for_each_share(VmfJudge *judge, ShareJudge one)
{
    for (guint i = 0; i < 2; i++) {
        VmfJudgeSide side = vmf_judge_side(judge, i == 0);
        if (!vmf_judge_known(judge, &side, NULL, side.view, NULL))
            continue;
        if (side.view->shares->len == 0)
            vmf_judge_add(judge, VMF_RESULT_NOT_APPLICABLE, &side, NULL,
                          "the VM has no file on a share");
        for (guint k = 0; k < side.view->shares->len; k++) {
            const VmfFactShare *share = side.view->shares->pdata[k];
            g_autofree gchar *name = g_strdup_printf("//%s/%s", share->server, share->share);
            if (vmf_judge_known(judge, &side, name, share, share->reason))
                one(judge, &side, share, name);
        }
    }
}

static void
judge_dialect(VmfJudge *judge, const VmfJudgeSide *side, const VmfFactShare *share,
              const char *name)
{
    if (share->smb3) {
        vmf_judge_add(judge, VMF_RESULT_PASS, side, name, "speaks SMB 3");
        return;
    }
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, name,
                                        "a connection with SMB 3.0 or later failed: %s",
                                        share->smb3_problem);
    vmf_finding_fix(finding, "on %s, smb.conf [global]: server max protocol = SMB3", share->server);
}

/* A share that could not be connected to makes many checks unknown: the cure is told once. */
void
vmf_judge_smb_110(VmfJudge *judge)
{
    guint first = judge->report->findings->len;
    for_each_share(judge, judge_dialect);
    for (guint i = first; i < judge->report->findings->len; i++) {
        VmfFinding *finding = judge->report->findings->pdata[i];
        if (finding->judged == VMF_RESULT_UNKNOWN && g_str_has_prefix(finding->object, "//"))
            vmf_finding_fix(finding,
                            "see that the file server runs, and that its TCP port 445 is open "
                            "from %s",
                            finding->host);
    }
}

static void
say_no_encryption(VmfJudge *judge, const VmfJudgeSide *side, const VmfFactShare *share,
                  const char *name, VmfResult result)
{
    VmfFinding *finding = vmf_judge_add(
        judge, result, side, name,
        "the server accepts a connection without encryption: it does not require it");
    vmf_finding_text(finding, "encryption", "optional");
    vmf_finding_fix(finding, "on %s, smb.conf [%s]: smb encrypt = required", share->server,
                    share->share);
    vmf_finding_fix(finding, "Set-SmbShare -Name %s -EncryptData $true  (on Windows)",
                    share->share);
}

static void
judge_encryption(VmfJudge *judge, const VmfJudgeSide *side, const VmfFactShare *share,
                 const char *name)
{
    const VmfShareRule *rule = vmf_local_policy_share(judge->facts->policy, share->server,
                                                      share->share);
    gboolean preferred = rule && rule->encryption == VMF_ENCRYPTION_PREFER;
    switch (share->encryption) {
    case VMF_FACT_CRYPT_REQUIRED:
        vmf_finding_text(vmf_judge_add(judge, VMF_RESULT_PASS, side, name,
                                       "requires encryption: a connection without it was refused"),
                         "encryption", "required");
        return;
    case VMF_FACT_CRYPT_OPTIONAL:
        say_no_encryption(judge, side, share, name, preferred ? VMF_RESULT_WARN : VMF_RESULT_FAIL);
        return;
    case VMF_FACT_CRYPT_UNKNOWN:
        vmf_judge_add(judge, VMF_RESULT_UNKNOWN, side, name,
                      "whether it requires encryption could not be tried: %s",
                      share->encryption_problem);
        return;
    }
    g_assert_not_reached();
}

void
vmf_judge_smb_111(VmfJudge *judge)
{
    for_each_share(judge, judge_encryption);
}
