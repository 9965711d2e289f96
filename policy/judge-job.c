/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/judge-private.h"

static void
judge_queue(VmfJudge *judge, const VmfJudgeSide *side)
{
    const VmfFactQueue *queue = side->host ? &side->host->queue : NULL;
    const char *vm = judge->facts->vm->name;
    if (!vmf_judge_known(judge, side, NULL, queue, queue ? queue->reason : NULL))
        return;
    VmfFinding *finding;
    if (side->view && side->view->job[0]) {
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, vm, "is in another job: %s",
                                side->view->job);
        vmf_finding_fix(finding, "wait for it, or on %s: vmferry jobs; vmferry cancel ID",
                        side->fqdn);
    } else if (queue->used >= queue->slots) {
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, NULL,
                                "all %u slots for moves are taken", queue->slots);
        vmf_finding_fix(finding,
                        "wait, or on %s: [migration] parallel-jobs= in " VMF_LOCAL_POLICY_FILE,
                        side->fqdn);
    } else {
        finding = vmf_judge_add(judge, VMF_RESULT_PASS, side, NULL, "%u of %u slots are free",
                                queue->slots - queue->used, queue->slots);
    }
    vmf_finding_number(finding, "slots", queue->slots);
    vmf_finding_number(finding, "used", queue->used);
}

void
vmf_judge_job_400(VmfJudge *judge)
{
    for (guint i = 0; i < 2; i++) {
        VmfJudgeSide side = vmf_judge_side(judge, i == 0);
        judge_queue(judge, &side);
    }
}
