/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/fact-codec.h"

/*
 * One sentence of a check: what was judged, with what result, why, and what mends it.
 */

typedef enum {
    VMF_RESULT_PASS,
    VMF_RESULT_FAIL, /* blocks */
    VMF_RESULT_WARN,
    VMF_RESULT_NOT_APPLICABLE,
    VMF_RESULT_UNKNOWN, /* could not be judged: blocks, unless the policy file says otherwise */
} VmfResult;

/** vmf_result_name() - "pass", "fail", "warn", "not-applicable", "unknown" */
const char *vmf_result_name(VmfResult result);

typedef enum { VMF_EVIDENCE_TEXT, VMF_EVIDENCE_NUMBER, VMF_EVIDENCE_FLAG } VmfEvidenceKind;

/* A fact that the result rests on; ->number is also a flag's value. */
typedef struct {
    gchar *name; /* "live", "granted" */
    VmfEvidenceKind kind;
    gchar *text;
    gint64 number;
} VmfEvidence;

/**
 * VmfFinding
 * @id:      of the catalogue, "SMB-120"
 * @result:  as it counts: after the policy file's [checks]
 * @judged:  as it was judged
 * @account: "HV2$", "" where none has a part in it
 * @host:    "hv2.lab.test", ""
 * @object:  what was judged: "//fs1.lab.test/vms/web1/web1.qcow2", "demo, disk vda"; ""
 * @message: one sentence or several lines, without a full stop
 * @fix:     commands, and lines of configuration; empty when it passes
 */
typedef struct {
    gchar *id;
    VmfResult result, judged;
    gchar *account, *host, *object;
    gchar *message;
    gchar **fix;
    GPtrArray *evidence; /* of VmfEvidence */
} VmfFinding;

extern const VmfFactShape vmf_evidence_shape, vmf_finding_shape;

/** vmf_finding_blocks() - whether this finding alone stops a move */
gboolean vmf_finding_blocks(const VmfFinding *finding);

/** vmf_finding_subject() - "HV2$ on //fs1.lab.test/vms/web1/web1.qcow2". (transfer full) */
gchar *vmf_finding_subject(const VmfFinding *finding);

/** vmf_finding_fix() - one more line of what to do */
void vmf_finding_fix(VmfFinding *finding, const char *format, ...) G_GNUC_PRINTF(2, 3);

void vmf_finding_text(VmfFinding *finding, const char *name, const char *text);
void vmf_finding_number(VmfFinding *finding, const char *name, gint64 number);
void vmf_finding_flag(VmfFinding *finding, const char *name, gboolean flag);
