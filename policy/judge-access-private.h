/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/access-check.h"
#include "policy/judge-private.h"

/*
 * One account and one file or folder: what the access list says, and what the server answered.
 * The server's answer decides, the list explains it; where they contradict each other, nobody
 * knows (SMB-123 says so by name).
 */
typedef struct {
    VmfJudge *judge;
    VmfJudgeSide side;
    const VmfFactProbe *probe;  /* what this host saw; NULL: nothing */
    const VmfFactProbe *listed; /* whose descriptor is judged: this host's, else the other's */
    gchar *object;              /* "//fs1.lab.test/vms/web1/web1.qcow2" */
    const char *url;
    gboolean folder;
    guint32 desired;
    VmfFactAnswer live;
    const VmfSecurityDescriptor *sd; /* of the judge's cache; NULL: see ->unread */
    const VmfToken *token;           /* the same */
    gchar *unread;             /* why there is no static verdict */
    VmfAccess access;          /* when ->unread is NULL */
} VmfAccessCase;

/* @desired: VMF_ACCESS_… of the file or folder at @url. Every member is set; clear it afterwards */
void vmf_access_case_init(VmfAccessCase *item, VmfJudge *judge, gboolean source, const char *url,
                          gboolean folder, guint32 desired);
void vmf_access_case_clear(VmfAccessCase *item);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmfAccessCase, vmf_access_case_clear)

/** vmf_access_case_permitted() - the server let this account in, or would have but for a holder */
gboolean vmf_access_case_permitted(const VmfAccessCase *item);

/**
 * vmf_access_case_contradiction() - list and server disagree
 *
 * Of a folder the server was only asked to list it: a list that lacks other rights is no
 * contradiction.
 */
gboolean vmf_access_case_contradiction(const VmfAccessCase *item);

/** vmf_access_case_why() - the static verdict's reason, with names. (transfer full) */
gchar *vmf_access_case_why(const VmfAccessCase *item);

/** vmf_access_case_entry_name() - "LAB\VM Hosts" of an entry, else its SID. (transfer full) */
gchar *vmf_access_case_entry_name(const VmfAccessCase *item, guint index);

/** vmf_access_case_evidence() - into @finding: both verdicts, rights, the deciding entry */
void vmf_access_case_evidence(const VmfAccessCase *item, VmfFinding *finding);

/**
 * vmf_access_case_fix() - the commands after which the account has what it needs (access-fix.c)
 *
 * smbcacls puts entries in canonical order and so does this: entries that would still deny are
 * removed first, then the allowed group is given full control if it is still needed.
 */
void vmf_access_case_fix(const VmfAccessCase *item, VmfFinding *finding);

/** vmf_access_share_fix() - for permissions of the share itself */
void vmf_access_share_fix(const VmfAccessCase *item, VmfFinding *finding);
