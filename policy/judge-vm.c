/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/judge-private.h"

#include <string.h>

#define VM(judge) ((judge)->facts->vm)

/* ---- VM-200 ---- */

/* What is in the way, and for each the command: @verb VM ITEM @option. */
static gboolean
say_list(VmfJudge *judge, gchar *const *list, const char *what, const char *verb,
         const char *option)
{
    if (list[0] == NULL)
        return FALSE;
    g_autofree gchar *joined = g_strjoinv(", ", (gchar **)list);
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, NULL, vmf_judge_vm_name(judge),
                                        "%s: %s", what, joined);
    for (; *list; list++) /* of "vda: copy" the disk */
        vmf_finding_fix(finding, "virsh %s %s %.*s%s", verb, vmf_judge_vm_name(judge),
                        (int)strcspn(*list, ":"), *list, option);
    return TRUE;
}

static gboolean
stops_at_errors(const VmfJudge *judge, const char *target)
{
    for (guint i = 0; i < VM(judge)->files->len; i++) {
        const VmfFactFile *file = VM(judge)->files->pdata[i];
        if (file->role == VMF_FACT_ROLE_DISK && strcmp(file->target, target) == 0)
            return strcmp(file->error_policy, "stop") == 0;
    }
    return FALSE;
}

/*
 * A VM that an error of the disk would have stopped, and that runs, has had its answer: QEMU made
 * the request again. It does not forget the error (7.2: not even when the VM goes on).
 */
static void
say_io_errors(VmfJudge *judge, const VmfFactLive *live)
{
    g_autoptr(GPtrArray) disks = g_ptr_array_new();
    for (gchar **target = live->io_errors; *target; target++)
        if (strcmp(live->state, "running") != 0 || !stops_at_errors(judge, *target))
            g_ptr_array_add(disks, *target);
    if (disks->len == 0)
        return;
    g_ptr_array_add(disks, NULL);
    g_autofree gchar *joined = g_strjoinv(", ", (gchar **)disks->pdata);
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, NULL, vmf_judge_vm_name(judge),
                                        "met an I/O error on: %s", joined);
    vmf_finding_fix(finding, "virsh domblkerror %s; mend the cause; virsh resume %s",
                    vmf_judge_vm_name(judge), vmf_judge_vm_name(judge));
}

static void
say_not_running(VmfJudge *judge, const VmfFactLive *live)
{
    VmfFinding *finding = vmf_judge_add(
        judge, VMF_RESULT_FAIL, NULL, vmf_judge_vm_name(judge),
        "is %s; only a running VM can be moved (one that is shut off can be started on any host: "
        "its disks are on the share)",
        live->state);
    vmf_finding_text(finding, "state", live->state);
    vmf_finding_fix(finding, "virsh %s %s",
                    g_str_has_prefix(live->state, "paused") ? "resume" : "start",
                    vmf_judge_vm_name(judge));
}

void
vmf_judge_vm_200(VmfJudge *judge)
{
    VmfJudgeSide side = vmf_judge_side(judge, TRUE);
    const VmfFactLive *live = &VM(judge)->live;
    guint before = judge->report->findings->len;
    if (!vmf_judge_known(judge, &side, vmf_judge_vm_name(judge), live, live->reason))
        return;
    if (strcmp(live->state, "running") != 0)
        say_not_running(judge, live);
    if (live->job[0])
        vmf_finding_fix(vmf_judge_add(judge, VMF_RESULT_FAIL, NULL, vmf_judge_vm_name(judge),
                                      "libvirt has a job on it: %s", live->job),
                        "wait for it, or: virsh domjobabort %s", vmf_judge_vm_name(judge));
    say_io_errors(judge, live);
    say_list(judge, live->block_jobs, "a block job is active on", "blockjob", " --abort");
    if (judge->report->findings->len == before)
        vmf_judge_add(judge, VMF_RESULT_PASS, NULL, vmf_judge_vm_name(judge),
                      "runs; no job, no I/O error, no block job");
}

/* ---- VM-210 ---- */

static void
say_refusal(VmfJudge *judge, const VmfFactRefusal *refusal)
{
    g_autofree gchar *object = g_strdup_printf("%s, line %u, <%s>", vmf_judge_vm_name(judge),
                                               refusal->line, refusal->element);
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, NULL, object, "%s", refusal->why);
    vmf_finding_text(finding, "element", refusal->element);
    vmf_finding_number(finding, "line", refusal->line);
    if (judge->facts->from[0])
        vmf_finding_fix(finding, "virsh edit %s: remove or replace it", vmf_judge_vm_name(judge));
    else
        vmf_finding_fix(finding, "in line %u of the file: remove or replace it", refusal->line);
}

void
vmf_judge_vm_210(VmfJudge *judge)
{
    const VmfFactVm *vm = VM(judge);
    if (vm->reason[0]) {
        VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, NULL, vmf_judge_vm_name(judge),
                                            "its definition cannot be read: %s", vm->reason);
        if (judge->facts->from[0])
            vmf_finding_fix(finding, "virsh edit %s", vm->name);
        else
            vmf_finding_fix(finding, "virt-xml-validate FILE.xml domain");
        return;
    }
    for (guint i = 0; i < vm->refusals->len; i++)
        say_refusal(judge, vm->refusals->pdata[i]);
    if (vm->refusals->len == 0)
        vmf_judge_add(judge, VMF_RESULT_PASS, NULL, vm->name,
                      "every element and attribute of its definition may move");
}

/* ---- VM-220 ---- */

void
vmf_judge_vm_220(VmfJudge *judge)
{
    VmfJudgeSide side = vmf_judge_side(judge, TRUE);
    const VmfFactLive *live = &VM(judge)->live;
    if (!vmf_judge_known(judge, &side, vmf_judge_vm_name(judge), live, live->reason))
        return;
    gboolean some = say_list(judge, live->snapshots, "has snapshots, which stay on this host",
                             "snapshot-delete", "");
    some |= say_list(judge, live->checkpoints, "has checkpoints, which stay on this host",
                     "checkpoint-delete", "");
    if (!some)
        vmf_judge_add(judge, VMF_RESULT_PASS, NULL, vmf_judge_vm_name(judge),
                      "has no snapshots and no checkpoints");
}

/* ---- VM-230 ---- */

static void
judge_disk(VmfJudge *judge, const VmfFactFile *file)
{
    g_autofree gchar *object = g_strdup_printf("%s, disk %s", vmf_judge_vm_name(judge),
                                               file->target);
    gboolean cache = strcmp(file->cache, "none") == 0 || strcmp(file->cache, "directsync") == 0;
    gboolean stops = strcmp(file->error_policy, "stop") == 0;
    if (cache && stops) {
        vmf_judge_add(judge, VMF_RESULT_PASS, NULL, object, "cache %s, error policy stop",
                      file->cache);
        return;
    }
    VmfFinding *finding = vmf_judge_add(
        judge, VMF_RESULT_FAIL, NULL, object, "%s%s%s%s%s%s",
        cache            ? ""
        : file->cache[0] ? "cache is "
                         : "cache is not stated (QEMU takes writeback)",
        cache ? "" : file->cache, cache ? "" : ": the host's cache would not move with it",
        cache || stops ? "" : "; ",
        stops                   ? ""
        : file->error_policy[0] ? "error policy is not stop, but "
                                : "error policy is not stated (QEMU reports errors to the guest)",
        stops ? "" : file->error_policy);
    vmf_finding_text(finding, "cache", file->cache);
    vmf_finding_text(finding, "error-policy", file->error_policy);
    vmf_finding_fix(finding,
                    "virsh edit %s: <driver cache='none' error_policy='stop'/> of %s; it "
                    "counts from the next start",
                    vmf_judge_vm_name(judge), file->target);
}

void
vmf_judge_vm_230(VmfJudge *judge)
{
    guint before = judge->report->findings->len;
    VmfJudgeSide side = vmf_judge_side(judge, TRUE);
    if (!vmf_judge_known(judge, &side, vmf_judge_vm_name(judge), VM(judge), VM(judge)->reason))
        return;
    for (guint i = 0; i < VM(judge)->files->len; i++) {
        const VmfFactFile *file = VM(judge)->files->pdata[i];
        if (file->role == VMF_FACT_ROLE_DISK)
            judge_disk(judge, file);
    }
    if (judge->report->findings->len == before)
        vmf_judge_add(judge, VMF_RESULT_NOT_APPLICABLE, NULL, vmf_judge_vm_name(judge),
                      "it has no disks");
}

/* ---- VM-240 ---- */

void
vmf_judge_vm_240(VmfJudge *judge)
{
    VmfJudgeSide source = vmf_judge_side(judge, TRUE), side = vmf_judge_side(judge, FALSE);
    const VmfFactMachine *machine = side.host ? &side.host->machine : NULL;
    const VmfFactLive *live = &VM(judge)->live;
    if (!vmf_judge_known(judge, &side, vmf_judge_vm_name(judge), machine,
                         machine ? machine->reason : NULL) ||
        !vmf_judge_known(judge, &source, vmf_judge_vm_name(judge), live, live->reason))
        return;
    for (guint i = 0; i < machine->domains->len; i++) {
        const VmfFactDomain *domain = machine->domains->pdata[i];
        if (!domain->autostart || (strcmp(domain->uuid, VM(judge)->uuid) != 0 &&
                                   strcmp(domain->name, VM(judge)->name) != 0))
            continue;
        g_autofree gchar *virsh = vmf_judge_virsh(&side);
        VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, &side, vmf_judge_vm_name(judge),
                                            "'%s' (%s) is set to start by itself there",
                                            domain->name, domain->uuid);
        vmf_finding_fix(finding, "%s autostart --disable %s", virsh, domain->name);
        return;
    }
    VmfFinding *finding = vmf_judge_add(
        judge, VMF_RESULT_PASS, NULL, vmf_judge_vm_name(judge),
        live->autostart ? "starts by itself on %s; after the move on its new owner only"
                        : "starts by itself on neither host",
        source.fqdn);
    vmf_finding_flag(finding, "autostart", live->autostart);
}
