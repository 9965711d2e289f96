/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "judge-cases.h"

#define LENIENT  "[checks]\nSMB-120=warn\n"
#define UNKNOWNS "[checks]\nunknown=warn\n"

static void
deny_live(VmfFactSide *side, const char *url)
{
    VmfFactProbe *probe = case_probe(side, url);
    probe->write = VMF_FACT_ANSWER_DENIED;
    SET(probe->descriptor, "");
    SET(probe->descriptor_problem, "Permission denied");
}

/* product.md's example: hv2 may read, nobody lets it write. */
static void
read_only_entry(VmfFactCase *f)
{
    case_descriptor(case_probe(HERE(f), CASE_DISK), "LAB\\Administrator=500:0/0/0x001f01ff",
                    "LAB\\HV1$=1103:0/0/0x001f01ff", "LAB\\VM Hosts=1105:0/0/0x001200a9", NULL);
    case_descriptor(case_probe(THERE(f), CASE_DISK), "LAB\\Administrator=500:0/0/0x001f01ff",
                    "LAB\\HV1$=1103:0/0/0x001f01ff", "LAB\\VM Hosts=1105:0/0/0x001200a9", NULL);
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_DENIED;
}

/* hv2 may not even read the list: hv1's reading explains it. */
static void
explained_by_other(VmfFactCase *f)
{
    deny_live(THERE(f), CASE_DISK);
    case_probe(THERE(f), CASE_DISK)->read = VMF_FACT_ANSWER_DENIED;
    case_descriptor(case_probe(HERE(f), CASE_DISK), "LAB\\Administrator=500:0/0/0x001f01ff",
                    "LAB\\HV1$=1103:0/0/0x001f01ff", NULL);
}

static void
denied_entry(VmfFactCase *f)
{
    for (guint i = 0; i < 2; i++)
        case_descriptor(case_probe(i ? THERE(f) : HERE(f), CASE_DISK),
                        "LAB\\HV2$=1104:1/0/0x00000002", "LAB\\VM Hosts=1105:0/0/0x001f01ff", NULL);
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_DENIED;
}

static void
denied_and_missing(VmfFactCase *f)
{
    case_descriptor(case_probe(THERE(f), CASE_DISK), "Everyone=S-1-1-0:1/16/0x00000006",
                    "LAB\\Administrator=500:0/0/0x001f01ff", NULL);
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_DENIED;
}

static void
denied_and_missing_here(VmfFactCase *f)
{
    case_descriptor(case_probe(THERE(f), CASE_DISK), "Everyone=S-1-1-0:1/0/0x00000006",
                    "LAB\\Administrator=500:0/0/0x001f01ff", NULL);
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_DENIED;
}

/* A name that a shell would take apart. */
static void
read_only_attribute(VmfFactCase *f)
{
    SET(case_file(f, CASE_DISK)->url, CASE_FOLDER "/it's%20web%201.qcow2");
    for (guint i = 0; i < 2; i++)
        SET(case_probe(i ? THERE(f) : HERE(f), CASE_DISK)->url,
            CASE_FOLDER "/it's%20web%201.qcow2");
    case_probe(THERE(f), CASE_FOLDER "/it's%20web%201.qcow2")->read_only = TRUE;
    case_probe(THERE(f), CASE_FOLDER "/it's%20web%201.qcow2")->write = VMF_FACT_ANSWER_DENIED;
}

static void
nobody_reads(VmfFactCase *f)
{
    deny_live(HERE(f), CASE_DISK);
    deny_live(THERE(f), CASE_DISK);
}

static void
disk_gone(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_MISSING;
    case_probe(THERE(f), CASE_DISK)->read = VMF_FACT_ANSWER_MISSING;
}

static void
share_denies(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_DENIED;
}

static void
server_allows(VmfFactCase *f)
{
    case_descriptor(case_probe(THERE(f), CASE_DISK), "LAB\\Administrator=500:0/0/0x001f01ff", NULL);
}

static void
not_asked(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_NOT_TRIED;
}

static void
probe_failed(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_FAILED;
    SET(case_probe(THERE(f), CASE_DISK)->problem, "fs1.lab.test: Connection timed out");
}

static void
not_probed(VmfFactCase *f)
{
    SET(case_probe(THERE(f), CASE_DISK)->url, "smb://fs1.lab.test/vms/else");
}

/* A list that hangs on the server's own BUILTIN\Users, and a server that let hv2 in. */
static void
builtin_users(VmfFactCase *f)
{
    case_descriptor(case_probe(THERE(f), CASE_DISK), "BUILTIN\\Users=S-1-5-32-545:0/0/0x001f01ff",
                    NULL);
}

static void
record_not_there(VmfFactCase *f)
{
    VmfFactFile *file = vmf_fact_file_new();
    file->role = VMF_FACT_ROLE_DEFINITION;
    file->writable = TRUE;
    SET(file->url, CASE_FOLDER "/domain.xml");
    SET(file->place, CASE_FOLDER "/domain.xml");
    g_ptr_array_add(f->vm.files, file);
    for (guint i = 0; i < 2; i++) {
        VmfFactProbe *probe = vmf_fact_probe_new();
        SET(probe->url, CASE_FOLDER "/domain.xml");
        probe->allowed = TRUE;
        probe->read = probe->write = VMF_FACT_ANSWER_MISSING;
        g_ptr_array_add((i ? THERE(f) : HERE(f))->view.probes, probe);
    }
}

static void
cd_denied(VmfFactCase *f)
{
    VmfFactProbe *probe = case_probe(THERE(f), CASE_CD);
    probe->read = VMF_FACT_ANSWER_DENIED;
    case_descriptor(probe, "LAB\\Administrator=500:0/0/0x001f01ff", NULL);
}

static void
no_cd(VmfFactCase *f)
{
    vmf_fact_file_free(g_ptr_array_remove_index(f->vm.files, 1));
}

static void
folder_list_only(VmfFactCase *f)
{
    case_descriptor(case_probe(THERE(f), CASE_FOLDER), "LAB\\Administrator=500:0/3/0x001f01ff",
                    "LAB\\VM Hosts=1105:0/3/0x001200a9", NULL);
}

static void
folder_unread(VmfFactCase *f)
{
    for (guint i = 0; i < 2; i++) {
        VmfFactProbe *probe = case_probe(i ? THERE(f) : HERE(f), CASE_FOLDER);
        SET(probe->descriptor, "");
        SET(probe->descriptor_problem, "Operation not supported");
    }
}

static void
folder_refused(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_FOLDER)->read = VMF_FACT_ANSWER_DENIED;
    case_descriptor(case_probe(THERE(f), CASE_FOLDER), "LAB\\HV1$=1103:0/3/0x001f01ff", NULL);
}

static void
definition_unreadable(VmfFactCase *f)
{
    SET(f->vm.reason, "the definition, line 3: Opening and ending tag mismatch");
}

static void
denied_and_not_asked(VmfFactCase *f)
{
    read_only_entry(f);
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_NOT_TRIED;
    case_probe(THERE(f), CASE_DISK)->read = VMF_FACT_ANSWER_NOT_TRIED;
}

/* Nobody could ask the directory: the server's answer stands alone. */
static void
groups_unknown(VmfFactCase *f)
{
    SET(THERE(f)->host.directory.reason, "dc1.lab.test: timed out");
    SET(HERE(f)->peer.computer.reason, "dc1.lab.test: timed out");
    case_probe(THERE(f), CASE_DISK)->write = VMF_FACT_ANSWER_DENIED;
}

static void
list_malformed(VmfFactCase *f)
{
    for (guint i = 0; i < 2; i++)
        SET(case_probe(i ? THERE(f) : HERE(f), CASE_DISK)->descriptor, "REVISION:1,OWNER:nobody");
}

/* The group's name is not known: its SID does as well. */
static void
group_by_sid(VmfFactCase *f)
{
    read_only_entry(f);
    SET(HERE(f)->host.directory.group_name, "");
}

static void
no_folder(VmfFactCase *f)
{
    while (f->vm.files->len)
        vmf_fact_file_free(g_ptr_array_remove_index(f->vm.files, 0));
}

static void
nothing_answered(VmfFactCase *f)
{
    for (guint i = 0; i < THERE(f)->view.probes->len; i++) {
        VmfFactProbe *probe = THERE(f)->view.probes->pdata[i];
        SET(probe->reason, "the probe was killed after 10 s");
    }
}

const JudgeCase judge_cases_access[] = {
    {"SMB-120", "read-only-entry", VMF_RESULT_FAIL, read_only_entry},
    {"SMB-120", "explained-by-other-host", VMF_RESULT_FAIL, explained_by_other},
    {"SMB-120", "denied-entry", VMF_RESULT_FAIL, denied_entry},
    {"SMB-120", "denied-by-inheritance-and-missing", VMF_RESULT_FAIL, denied_and_missing},
    {"SMB-120", "denied-and-missing", VMF_RESULT_FAIL, denied_and_missing_here},
    {"SMB-120", "definition-unreadable", VMF_RESULT_UNKNOWN, definition_unreadable},
    {"SMB-120", "read-only-attribute", VMF_RESULT_FAIL, read_only_attribute},
    {"SMB-120", "list-unread", VMF_RESULT_FAIL, nobody_reads},
    {"SMB-120", "disk-gone", VMF_RESULT_FAIL, disk_gone},
    {"SMB-120", "share-denies", VMF_RESULT_UNKNOWN, share_denies},
    {"SMB-120", "server-allows", VMF_RESULT_UNKNOWN, server_allows},
    {"SMB-120", "not-asked", VMF_RESULT_WARN, not_asked},
    {"SMB-120", "probe-failed", VMF_RESULT_UNKNOWN, probe_failed},
    {"SMB-120", "probe-failed-counts-little", VMF_RESULT_WARN, probe_failed, UNKNOWNS},
    {"SMB-120", "not-probed", VMF_RESULT_UNKNOWN, not_probed},
    {"SMB-120", "builtin-users", VMF_RESULT_PASS, builtin_users},
    {"SMB-120", "made-later", VMF_RESULT_PASS, record_not_there},
    {"SMB-120", "made-a-warning", VMF_RESULT_WARN, read_only_entry, LENIENT},
    {"SMB-121", "cd-denied", VMF_RESULT_FAIL, cd_denied},
    {"SMB-121", "no-cd", VMF_RESULT_NOT_APPLICABLE, no_cd},
    {"SMB-122", "list-only", VMF_RESULT_FAIL, folder_list_only},
    {"SMB-122", "list-unread", VMF_RESULT_UNKNOWN, folder_unread},
    {"SMB-122", "refused", VMF_RESULT_FAIL, folder_refused},
    {"SMB-123", "share-denies", VMF_RESULT_FAIL, share_denies},
    {"SMB-123", "server-allows", VMF_RESULT_FAIL, server_allows},
    {"SMB-123", "agree-on-denial", VMF_RESULT_PASS, denied_entry},
    {"SMB-120", "denied-and-not-asked", VMF_RESULT_FAIL, denied_and_not_asked},
    {"SMB-120", "groups-unknown", VMF_RESULT_FAIL, groups_unknown},
    {"SMB-120", "list-malformed", VMF_RESULT_PASS, list_malformed},
    {"SMB-120", "group-by-sid", VMF_RESULT_FAIL, group_by_sid},
    {"SMB-120", "nothing-answered", VMF_RESULT_UNKNOWN, nothing_answered},
    {"SMB-122", "no-folder", VMF_RESULT_NOT_APPLICABLE, no_folder},
    {"SMB-123", "nothing-to-compare", VMF_RESULT_PASS, nothing_answered},
    {NULL},
};
