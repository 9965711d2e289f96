/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/judge.h"

/*
 * Facts for tests: web1, with a qcow2 disk, a CD image and all that belongs to it, on hv1, asked
 * to go to hv2. Everything is right; a test spoils what it is about.
 */

#define CASE_DOMAIN "S-1-5-21-2457507606-2709100691-398136650"
#define CASE_HV1    CASE_DOMAIN "-1103"
#define CASE_HV2    CASE_DOMAIN "-1104"
#define CASE_GROUP  CASE_DOMAIN "-1105"
#define CASE_FOLDER "smb://fs1.lab.test/vms/web1"
#define CASE_DISK   CASE_FOLDER "/web1.qcow2"
#define CASE_CD     "smb://fs1.lab.test/vms/iso/debian%2012.iso"

#define CASE_POLICY                                                                                \
    "[vmferry]\ngroup=VM Hosts\n"                                                                  \
    "[shares]\nallow=//fs1.lab.test/vms\n"                                                         \
    "[share //fs1.lab.test/vms]\ndurable=yes\ndead-client-seconds=5\n"

VmfFactCase *case_good(void);

/** case_policy() - CASE_POLICY and @more after it */
VmfLocalPolicy *case_policy(const char *more);

/** case_probe() - what a side saw of @url */
VmfFactProbe *case_probe(VmfFactSide *side, const char *url);

/** case_file() - the VM's file at @url */
VmfFactFile *case_file(VmfFactCase *facts, const char *url);

/** case_descriptor() - set both forms of a descriptor. @entries: "LAB\VM Hosts=1105:0/0/0x1f01ff" … */
void case_descriptor(VmfFactProbe *probe, ...) G_GNUC_NULL_TERMINATED;

/** case_texts() - a list of texts from words with blanks between */
void case_texts(gchar ***member, const char *words);
