/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/catalogue.h"
#include "policy/judge.h"
#include "policy/token.h"

/* What several checks of one report look at again (access-case.c). */
typedef struct {
    GHashTable *descriptors; /* text → VmfSecurityDescriptor */
    VmfToken *tokens[2];     /* of destination and source; NULL: not made yet */
} VmfJudgeCache;

/* One check being judged. */
typedef struct VmfJudge {
    const VmfCheckCase *facts;
    VmfReport *report;
    const VmfCatalogueEntry *check;
    VmfJudgeCache *cache;
} VmfJudge;

void vmf_judge_cache_init(VmfJudgeCache *cache);
void vmf_judge_cache_clear(VmfJudgeCache *cache);

/* One of the two hosts, from its own mouth. */
typedef struct {
    gboolean is_source;
    const char *fqdn;    /* "hv2.lab.test" */
    const char *account; /* "HV2$"; from the name when the host has not told */
    const VmfFactHost *host;
    const VmfFactPeer *peer; /* what it says about the other */
    const VmfFactView *view;
    const char *missing; /* why host, peer and view are NULL */
} VmfJudgeSide;

VmfJudgeSide vmf_judge_side(const VmfJudge *judge, gboolean source);

/**
 * vmf_judge_add() - a finding of this check
 * @side:   (nullable): the host and account it is about
 * @object: (nullable): what it is about
 *
 * Returns: (transfer none): to add fix and evidence to.
 */
VmfFinding *vmf_judge_add(VmfJudge *judge, VmfResult result, const VmfJudgeSide *side,
                          const char *object, const char *format, ...) G_GNUC_PRINTF(5, 6);

/**
 * vmf_judge_known() - whether facts are there; adds an "unknown" finding when they are not
 * @fact:   NULL: never gathered, because of @side->missing
 * @reason: of @fact; "" or NULL: known
 */
gboolean vmf_judge_known(VmfJudge *judge, const VmfJudgeSide *side, const char *object,
                         gconstpointer fact, const char *reason);

/** vmf_judge_unc() - "//fs1/vms/web1/vda.raw" of "smb://fs1/vms/web1/vda.raw"; else @url itself */
gchar *vmf_judge_unc(const char *url);

/** vmf_judge_split_url() - server, share and path of a canonical smb:// URL; FALSE: it is none */
gboolean vmf_judge_split_url(const char *url, gchar **server, gchar **share, gchar **path);

/** vmf_judge_probe() - what that host saw of @url. (nullable) */
const VmfFactProbe *vmf_judge_probe(const VmfFactView *view, const char *url);

/** vmf_judge_file_name() - "disk vda", "cdrom sda", "kernel", as messages say it. (transfer full) */
gchar *vmf_judge_file_name(const VmfFactFile *file);

/** vmf_judge_vm_name() - "web1", or "the definition" of one without a name */
const char *vmf_judge_vm_name(const VmfJudge *judge);

/* Texts for people. Both (transfer full). */
gchar *vmf_judge_size(guint64 kib);
gchar *vmf_judge_version(guint64 version);

/** vmf_judge_virsh() - "virsh -c qemu+ssh://hv2.lab.test/system", or "virsh" on this host */
gchar *vmf_judge_virsh(const VmfJudgeSide *side);

/** vmf_judge_has() - whether a list has @text, ASCII case aside */
gboolean vmf_judge_has(gchar *const *list, const char *text);

/* judge-directory.c */
void vmf_judge_dir_010(VmfJudge *judge);
void vmf_judge_dir_020(VmfJudge *judge);
void vmf_judge_dir_030(VmfJudge *judge);
void vmf_judge_dir_040(VmfJudge *judge);
void vmf_judge_dir_050(VmfJudge *judge);

/* judge-share.c */
void vmf_judge_smb_100(VmfJudge *judge);
void vmf_judge_smb_110(VmfJudge *judge);
void vmf_judge_smb_111(VmfJudge *judge);

/* judge-owner.c */
void vmf_judge_smb_130(VmfJudge *judge);
void vmf_judge_smb_140(VmfJudge *judge);
void vmf_judge_smb_150(VmfJudge *judge);

/* judge-access.c */
void vmf_judge_smb_120(VmfJudge *judge);
void vmf_judge_smb_121(VmfJudge *judge);
void vmf_judge_smb_122(VmfJudge *judge);
void vmf_judge_smb_123(VmfJudge *judge);

/* judge-vm.c */
void vmf_judge_vm_200(VmfJudge *judge);
void vmf_judge_vm_210(VmfJudge *judge);
void vmf_judge_vm_220(VmfJudge *judge);
void vmf_judge_vm_230(VmfJudge *judge);
void vmf_judge_vm_240(VmfJudge *judge);

/* judge-host.c, judge-network.c */
void vmf_judge_host_300(VmfJudge *judge);
void vmf_judge_host_310(VmfJudge *judge);
void vmf_judge_host_320(VmfJudge *judge);
void vmf_judge_host_330(VmfJudge *judge);
void vmf_judge_host_340(VmfJudge *judge);
void vmf_judge_host_350(VmfJudge *judge);
void vmf_judge_host_360(VmfJudge *judge);

/* judge-job.c */
void vmf_judge_job_400(VmfJudge *judge);
