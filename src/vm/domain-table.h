/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/vm/xml-rules.h"

/* The one list of what a definition or a migration cookie from another host may say. */
extern const VmfXmlRule vmf_domain_table[];
extern const gsize vmf_domain_table_rows;

/* Compiled at the first use; thread-safe. */
const VmfXmlRules *vmf_domain_rules(void);
