/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/cli/cli.h"

/* The verbs below "vmferry acl"; argv[0] is "acl VERB". */

int vmf_acl_eval(int argc, char **argv);
int vmf_acl_show(int argc, char **argv);
