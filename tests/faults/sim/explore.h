/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "tests/faults/sim/plans.h"

/* Running schedules by the thousand, in child processes, and telling what was found. */

/** sim_seconds() - of the real clock, which the simulated one has replaced elsewhere */
double sim_seconds(void);

void sim_explore_init(const char *out_folder);

/** sim_explore() - Returns: %TRUE: no violation. @report: print what was found */
gboolean sim_explore(SimSpace *space, const char *what, gboolean report);

/** sim_explored() - of the last exploration: how many schedules; the first way to fail, in words */
guint64 sim_explored(const char **rule, const char **text);
