/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "judge-cases.h"

#define UNSTATED "[share //fs1.lab.test/vms]\ndurable=no\n"
#define NOT_SOON "[share //fs1.lab.test/vms]\ndead-client-seconds=7200\n"
#define PREFER   "[share //fs1.lab.test/vms]\nencryption=prefer\n"

static void
local_disk(VmfFactCase *f)
{
    VmfFactFile *disk = case_file(f, CASE_DISK);
    SET(disk->place, "/var/lib/libvirt/images/web1.qcow2");
    SET(disk->url, "");
    disk->line = 31;
}

static void
local_cd(VmfFactCase *f)
{
    VmfFactFile *cd = case_file(f, CASE_CD);
    SET(cd->place, "/srv/iso/debian.iso");
    SET(cd->url, "");
}

static void
local_nvram(VmfFactCase *f)
{
    VmfFactFile *file = vmf_fact_file_new();
    file->role = VMF_FACT_ROLE_NVRAM;
    file->writable = TRUE;
    SET(file->place, "/var/lib/libvirt/qemu/nvram/web1_VARS.fd");
    g_ptr_array_add(f->vm.files, file);
}

static void
other_share(VmfFactCase *f)
{
    SET(case_file(f, CASE_DISK)->url, "smb://fs1.lab.test/scratch/web1.qcow2");
}

static void
not_allowed_there(VmfFactCase *f)
{
    case_probe(THERE(f), CASE_DISK)->allowed = FALSE;
}

static void
kernel(VmfFactCase *f)
{
    VmfFactFile *file = vmf_fact_file_new();
    file->role = VMF_FACT_ROLE_BOOT;
    SET(file->place, "/boot/lab/vmlinuz");
    g_ptr_array_add(f->vm.files, file);
}

static void
kernel_missing(VmfFactCase *f)
{
    kernel(f);
    case_texts(&THERE(f)->view.fit.boot_missing, "/boot/lab/vmlinuz");
}

static void
old_dialect(VmfFactCase *f)
{
    VmfFactShare *share = THERE(f)->view.shares->pdata[0];
    share->smb3 = FALSE;
    SET(share->smb3_problem, "Function not implemented");
}

static void
no_server(VmfFactCase *f)
{
    VmfFactShare *share = THERE(f)->view.shares->pdata[0];
    SET(share->reason, "fs1.lab.test: Connection refused");
}

static void
clear_text(VmfFactCase *f)
{
    ((VmfFactShare *)HERE(f)->view.shares->pdata[0])->encryption = VMF_FACT_CRYPT_OPTIONAL;
}

static void
crypt_unknown(VmfFactCase *f)
{
    VmfFactShare *share = HERE(f)->view.shares->pdata[0];
    share->encryption = VMF_FACT_CRYPT_UNKNOWN;
    SET(share->encryption_problem, "timed out");
}

static void
other_file(VmfFactCase *f)
{
    VmfFactProbe *probe = case_probe(THERE(f), CASE_DISK);
    SET(probe->file_id, "b0099");
    probe->size_bytes = 196616;
}

static void
no_id(VmfFactCase *f)
{
    SET(case_probe(THERE(f), CASE_DISK)->file_id, "");
}

static void
other_owner(VmfFactCase *f)
{
    SET(HERE(f)->view.owner.owner_account, "HV3$");
    SET(HERE(f)->view.owner.owner_sid, CASE_DOMAIN "-1110");
    HERE(f)->view.owner.epoch = 8;
}

static void
no_record(VmfFactCase *f)
{
    HERE(f)->view.owner.present = FALSE;
}

static void
fenced(VmfFactCase *f)
{
    HERE(f)->view.disks.held = FALSE;
    SET(HERE(f)->view.disks.gate, "fenced");
    SET(HERE(f)->view.disks.trouble, "the file server was restarted");
}

static void
other_record(VmfFactCase *f)
{
    THERE(f)->view.owner.epoch = 3;
}

static void
local_backing(VmfFactCase *f)
{
    VmfFactFile *file = vmf_fact_file_new();
    file->role = VMF_FACT_ROLE_BACKING;
    SET(file->target, "vda");
    SET(file->place, "/var/lib/libvirt/images/base.qcow2");
    g_ptr_array_add(f->vm.files, file);
}

static void
no_files(VmfFactCase *f)
{
    while (f->vm.files->len)
        vmf_fact_file_free(g_ptr_array_remove_index(f->vm.files, 0));
    for (guint i = 0; i < 2; i++) {
        GPtrArray *shares = (i ? THERE(f) : HERE(f))->view.shares;
        vmf_fact_share_free(g_ptr_array_remove_index(shares, 0));
    }
}

static void
no_disk_process(VmfFactCase *f)
{
    SET(HERE(f)->view.disks.reason, "no disk process listens on /run/vmferry/1111/control");
}

static void
own_sid_unknown(VmfFactCase *f)
{
    SET(HERE(f)->host.directory.self.sid, "");
}

const JudgeCase judge_cases_share[] = {
    {"SMB-100", "local-disk", VMF_RESULT_FAIL, local_disk},
    {"SMB-100", "local-nvram", VMF_RESULT_WARN, local_nvram},
    {"SMB-100", "local-cd", VMF_RESULT_FAIL, local_cd},
    {"SMB-100", "other-share", VMF_RESULT_FAIL, other_share},
    {"SMB-100", "not-allowed-there", VMF_RESULT_FAIL, not_allowed_there},
    {"SMB-100", "kernel-there", VMF_RESULT_PASS, kernel},
    {"SMB-100", "kernel-missing", VMF_RESULT_FAIL, kernel_missing},
    {"SMB-110", "old-dialect", VMF_RESULT_FAIL, old_dialect},
    {"SMB-110", "no-server", VMF_RESULT_UNKNOWN, no_server},
    {"SMB-111", "clear-text", VMF_RESULT_FAIL, clear_text},
    {"SMB-111", "clear-text-preferred", VMF_RESULT_WARN, clear_text, PREFER},
    {"SMB-111", "unknown", VMF_RESULT_UNKNOWN, crypt_unknown},
    {"SMB-130", "other-file", VMF_RESULT_FAIL, other_file},
    {"SMB-130", "no-id", VMF_RESULT_UNKNOWN, no_id},
    {"SMB-140", "other-owner", VMF_RESULT_FAIL, other_owner},
    {"SMB-140", "no-record", VMF_RESULT_FAIL, no_record},
    {"SMB-140", "fenced", VMF_RESULT_FAIL, fenced},
    {"SMB-140", "other-record", VMF_RESULT_FAIL, other_record},
    {"SMB-150", "not-durable", VMF_RESULT_FAIL, NULL, UNSTATED},
    {"SMB-150", "not-soon", VMF_RESULT_WARN, NULL, NOT_SOON},
    {"SMB-100", "local-backing-file", VMF_RESULT_FAIL, local_backing},
    {"SMB-100", "no-files", VMF_RESULT_NOT_APPLICABLE, no_files},
    {"SMB-110", "no-files", VMF_RESULT_NOT_APPLICABLE, no_files},
    {"SMB-130", "no-files", VMF_RESULT_NOT_APPLICABLE, no_files},
    {"SMB-140", "no-disk-process", VMF_RESULT_FAIL, no_disk_process},
    {"SMB-140", "own-sid-unknown", VMF_RESULT_UNKNOWN, own_sid_unknown},
    {"SMB-150", "no-files", VMF_RESULT_NOT_APPLICABLE, no_files},
    {NULL},
};
