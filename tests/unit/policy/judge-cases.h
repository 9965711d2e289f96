/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "case.h"

/* What can be wrong, one family per file; test-judge.c runs them. */

#define SET(member, text) vmf_fact_set(&(member), text)
#define HERE(f)           (&(f)->source)
#define THERE(f)          (&(f)->destination)

/**
 * JudgeCase - @id: of the check; @name: of test and file, unique; @expected: the check's worst
 *   result; @spoil: (nullable): what is wrong; @policy: (nullable): appended to the good policy
 */
typedef struct {
    const char *id, *name;
    VmfResult expected;
    void (*spoil)(VmfFactCase *facts);
    const char *policy;
} JudgeCase;

/* Each ends with a row of NULL. */
extern const JudgeCase judge_cases_directory[], judge_cases_share[], judge_cases_access[],
    judge_cases_vm[], judge_cases_host[];
