/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SMB-120 to SMB-123: may each host's computer account do what the VM needs. */
#include <string.h>

#include "policy/judge-access-private.h"

/* ---- one file, one host ---- */

static const char *
live_text(const VmfAccessCase *item)
{
    switch (item->live) {
    case VMF_FACT_ANSWER_OK:
        return "allowed";
    case VMF_FACT_ANSWER_HELD:
        return "allowed, held by another now";
    case VMF_FACT_ANSWER_DENIED:
        return "access denied";
    case VMF_FACT_ANSWER_MISSING:
        return "no such file";
    case VMF_FACT_ANSWER_NOT_TRIED:
        return "not tried";
    case VMF_FACT_ANSWER_FAILED:
        return item->probe->problem[0] ? item->probe->problem : "failed";
    }
    g_assert_not_reached();
}

/* "may read but not write", from the server's answers, else from the list. */
static const char *
what_it_may(const VmfAccessCase *item)
{
    gboolean reads = item->probe && (item->probe->read == VMF_FACT_ANSWER_OK ||
                                     item->probe->read == VMF_FACT_ANSWER_HELD);
    if (item->probe == NULL || item->probe->read == VMF_FACT_ANSWER_NOT_TRIED)
        reads = item->unread == NULL && (item->access.granted & VMF_RIGHT_READ_DATA) != 0;
    if (item->folder)
        return reads ? "may list, but not add and delete" : "may not list";
    if (item->desired != VMF_ACCESS_READ_WRITE)
        return "may not read";
    return reads ? "may read but not write" : "may neither read nor write";
}

static VmfFinding *
say(const VmfAccessCase *item, VmfResult result, const char *head, const char *why)
{
    g_autofree gchar *live = g_strdup_printf("share ACL: not visible; live probe as %s: %s",
                                             item->side.account, live_text(item));
    VmfFinding *finding = vmf_judge_add(item->judge, result, &item->side, item->object,
                                        "%s: %s\n(%s)", head, why, live);
    vmf_access_case_evidence(item, finding);
    return finding;
}

static void
say_permitted(const VmfAccessCase *item, const char *why)
{
    const char *may = item->folder                             ? "may list, add and delete"
                      : item->desired == VMF_ACCESS_READ_WRITE ? "may read and write"
                                                               : "may read";
    vmf_access_case_evidence(item, vmf_judge_add(item->judge, VMF_RESULT_PASS, &item->side,
                                                 item->object, "%s: %s", may, why));
}

static void
say_denied(const VmfAccessCase *item, const char *why)
{
    VmfFinding *finding = say(item, VMF_RESULT_FAIL, what_it_may(item), why);
    vmf_access_case_fix(item, finding);
}

static void
say_contradiction(const VmfAccessCase *item, const char *why)
{
    gboolean refused = item->live == VMF_FACT_ANSWER_DENIED;
    VmfFinding *finding = say(item, VMF_RESULT_UNKNOWN,
                              refused ? "the server refuses what the access list grants"
                                      : "the server allows what the access list refuses",
                              why);
    if (refused)
        vmf_access_share_fix(item, finding);
    else
        vmf_access_case_fix(item, finding);
}

/* The server was not asked, or gave no answer that tells: the list alone. */
static void
judge_by_list(const VmfAccessCase *item, const char *why)
{
    gboolean granted = item->unread == NULL && item->access.verdict == VMF_VERDICT_GRANT;
    if (item->unread == NULL && item->access.verdict == VMF_VERDICT_DENY)
        say_denied(item, why);
    else if (granted && item->live == VMF_FACT_ANSWER_NOT_TRIED)
        say(item, VMF_RESULT_WARN, "the access list allows it, but the server was not asked", why);
    else
        say(item, VMF_RESULT_UNKNOWN, "could not be tried", why);
}

static void
judge_permitted(const VmfAccessCase *item, const char *why)
{
    /* A folder was only listed: adding and deleting rest on the list alone. */
    if (item->folder && item->unread == NULL && item->access.verdict == VMF_VERDICT_DENY)
        say_denied(item, why);
    else if (item->folder && (item->unread || item->access.verdict != VMF_VERDICT_GRANT))
        say(item, VMF_RESULT_UNKNOWN,
            "may list; whether it may add and delete cannot be told without trying", why);
    else
        say_permitted(item, why);
}

static void
judge_case(const VmfAccessCase *item)
{
    g_autofree gchar *why = vmf_access_case_why(item);
    if (item->live == VMF_FACT_ANSWER_MISSING) {
        VmfFinding *finding = say(item, VMF_RESULT_FAIL, "does not exist",
                                  "the server has no such "
                                  "file");
        vmf_finding_fix(finding, "virsh edit %s: correct the path; or restore the file",
                        item->judge->facts->vm->name);
    } else if (vmf_access_case_contradiction(item)) {
        say_contradiction(item, why);
    } else if (item->live == VMF_FACT_ANSWER_DENIED) {
        say_denied(item, why);
    } else if (vmf_access_case_permitted(item)) {
        judge_permitted(item, why);
    } else {
        judge_by_list(item, why);
    }
}

/* ---- each file, each host ---- */

/* vmferry makes these itself, in the folder (SMB-122). */
static gboolean
is_made_later(const VmfFactFile *file, const VmfFactProbe *probe)
{
    gboolean ours = file->role == VMF_FACT_ROLE_DEFINITION || file->role == VMF_FACT_ROLE_RECORD;
    return ours && probe && probe->reason[0] == '\0' && probe->read == VMF_FACT_ANSWER_MISSING;
}

static gboolean
is_file_on_share(const VmfFactFile *file)
{
    return file->url[0] && file->role != VMF_FACT_ROLE_FOLDER && file->role != VMF_FACT_ROLE_BOOT;
}

static void
judge_file(VmfJudge *judge, const VmfFactFile *file, gboolean source)
{
    VmfJudgeSide side = vmf_judge_side(judge, source);
    const VmfFactProbe *probe = vmf_judge_probe(side.view, file->url);
    g_autofree gchar *unc = vmf_judge_unc(file->url);
    if (!vmf_judge_known(judge, &side, unc, side.view, probe ? probe->reason : NULL))
        return;
    if (is_made_later(file, probe)) {
        vmf_judge_add(judge, VMF_RESULT_NOT_APPLICABLE, &side, unc,
                      "is not there yet: vmferry makes it (SMB-122)");
        return;
    }
    if (probe == NULL) {
        vmf_judge_add(judge, VMF_RESULT_UNKNOWN, &side, unc, "%s did not look at it", side.fqdn);
        return;
    }
    g_auto(VmfAccessCase) item = {0};
    vmf_access_case_init(&item, judge, source, file->url, FALSE,
                         file->writable ? VMF_ACCESS_READ_WRITE : VMF_ACCESS_READ_ONLY);
    judge_case(&item);
}

static void
judge_files(VmfJudge *judge, gboolean writable)
{
    guint before = judge->report->findings->len;
    const GPtrArray *files = judge->facts->vm->files;
    for (guint i = 0; i < files->len; i++) {
        const VmfFactFile *file = files->pdata[i];
        if (!is_file_on_share(file) || file->writable != writable)
            continue;
        judge_file(judge, file, TRUE);
        judge_file(judge, file, FALSE);
    }
    if (judge->report->findings->len == before)
        vmf_judge_add(judge, VMF_RESULT_NOT_APPLICABLE, NULL, NULL,
                      "the VM has no %s file on a share", writable ? "writable" : "read-only");
}

void
vmf_judge_smb_120(VmfJudge *judge)
{
    judge_files(judge, TRUE);
}

void
vmf_judge_smb_121(VmfJudge *judge)
{
    judge_files(judge, FALSE);
}

/* The VM's folder: as the facts name it, else that of its first disk. (transfer full) (nullable) */
static gchar *
vm_folder(const VmfFactVm *vm)
{
    const char *disk = NULL;
    for (guint i = 0; i < vm->files->len; i++) {
        const VmfFactFile *file = vm->files->pdata[i];
        if (file->role == VMF_FACT_ROLE_FOLDER && file->url[0])
            return g_strdup(file->url);
        if (disk == NULL && file->role == VMF_FACT_ROLE_DISK && file->url[0])
            disk = file->url;
    }
    return disk ? g_strndup(disk, (gsize)(strrchr(disk, '/') - disk)) : NULL;
}

void
vmf_judge_smb_122(VmfJudge *judge)
{
    g_autofree gchar *folder = vm_folder(judge->facts->vm);
    if (folder == NULL) {
        vmf_judge_add(judge, VMF_RESULT_NOT_APPLICABLE, NULL, NULL,
                      "the VM has no folder on a share");
        return;
    }
    g_autofree gchar *unc = vmf_judge_unc(folder);
    for (guint i = 0; i < 2; i++) {
        VmfJudgeSide side = vmf_judge_side(judge, i == 0);
        const VmfFactProbe *probe = vmf_judge_probe(side.view, folder);
        if (!vmf_judge_known(judge, &side, unc, side.view, probe ? probe->reason : NULL))
            continue;
        if (probe == NULL) {
            vmf_judge_add(judge, VMF_RESULT_UNKNOWN, &side, unc, "%s did not look at it",
                          side.fqdn);
            continue;
        }
        g_auto(VmfAccessCase) item = {0};
        vmf_access_case_init(&item, judge, i == 0, folder, TRUE, VMF_ACCESS_FOLDER_USE);
        judge_case(&item);
    }
}

/* ---- SMB-123 ---- */

typedef struct {
    guint compared, untold;
} Tally;

static void
compare_one(VmfJudge *judge, gboolean source, const char *url, gboolean folder, guint32 desired,
            Tally *tally)
{
    g_auto(VmfAccessCase) item = {0};
    vmf_access_case_init(&item, judge, source, url, folder, desired);
    gboolean answered = vmf_access_case_permitted(&item) || item.live == VMF_FACT_ANSWER_DENIED;
    if (!answered || item.unread || item.access.verdict == VMF_VERDICT_UNKNOWN) {
        tally->untold++;
        return;
    }
    tally->compared++;
    if (!vmf_access_case_contradiction(&item))
        return;
    g_autofree gchar *why = vmf_access_case_why(&item);
    gboolean refused = item.live == VMF_FACT_ANSWER_DENIED;
    VmfFinding *finding = vmf_judge_add(
        judge, VMF_RESULT_FAIL, &item.side, item.object,
        "by the access list: %s (%s)\nby the server: %s\n%s", vmf_verdict_name(item.access.verdict),
        why, live_text(&item),
        refused ? "the share's own permissions, which a computer account cannot read, are the "
                  "likely reason"
                : "the server knows more than the list says: 'admin users', backup rights, or a "
                  "local group");
    vmf_access_case_evidence(&item, finding);
    if (refused)
        vmf_access_share_fix(&item, finding);
    else
        vmf_finding_fix(finding, "testparm -s on the file server: look at 'admin users'; or let it "
                                 "count as a warning: [checks] SMB-123=warn");
}

static void
compare_side(VmfJudge *judge, gboolean source)
{
    VmfJudgeSide side = vmf_judge_side(judge, source);
    const VmfFactVm *vm = judge->facts->vm;
    guint before = judge->report->findings->len;
    Tally tally = {0};
    if (!vmf_judge_known(judge, &side, NULL, side.view, NULL))
        return;
    for (guint i = 0; i < vm->files->len; i++) {
        const VmfFactFile *file = vm->files->pdata[i];
        if (is_file_on_share(file))
            compare_one(judge, source, file->url, FALSE,
                        file->writable ? VMF_ACCESS_READ_WRITE : VMF_ACCESS_READ_ONLY, &tally);
    }
    g_autofree gchar *folder = vm_folder(vm);
    if (folder)
        compare_one(judge, source, folder, TRUE, VMF_ACCESS_FOLDER_USE, &tally);
    if (judge->report->findings->len > before)
        return;
    VmfFinding *finding;
    if (tally.compared == 0)
        finding = vmf_judge_add(judge, VMF_RESULT_NOT_APPLICABLE, &side, NULL,
                                "there is nothing to compare: no file has both a verdict by its "
                                "list and an answer of the server");
    else
        finding = vmf_judge_add(judge, VMF_RESULT_PASS, &side, NULL,
                                "list and server agree on %u of %u files and folders",
                                tally.compared, tally.compared + tally.untold);
    vmf_finding_number(finding, "compared", tally.compared);
    vmf_finding_number(finding, "not-comparable", tally.untold);
}

void
vmf_judge_smb_123(VmfJudge *judge)
{
    compare_side(judge, TRUE);
    compare_side(judge, FALSE);
}
