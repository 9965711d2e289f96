/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "tests/faults/sim/world.h"

#include "sim-rules.h"

#include <stdio.h>

/* Which schedules are run: by enumeration or by seed; as text in a file. */

typedef struct {
    const char *name, *what;
    const char *backed; /* "": a schedule must show it; else why none does */
} SimRule;

extern const SimRule sim_rules[SIM_N_RULES];

/** sim_find_rule() - ends the program when there is none of that name */
int sim_find_rule(const char *name);

typedef enum { MODE_SINGLES, MODE_PAIRS, MODE_MEETING, MODE_RANDOM } SimMode;

/** SimSpace - a set of schedules, numbered */
typedef struct {
    SimMode mode;
    guint64 from, count, step;
    guint points;                 /* of a run without faults */
    guint window_from, window_to; /* stages 3 to 5 */
    gboolean stop_at_first;
    SimFault singles[4096]; /* those of singles; of pairs: those in the window */
    guint n_singles;
} SimSpace;

guint64 sim_space_size(const SimSpace *space);

/** sim_plan_at() - Returns: %FALSE: there is no such plan (a pair in the wrong order) */
gboolean sim_plan_at(const SimSpace *space, guint64 index, SimPlan *plan);

void sim_print_plan(FILE *out, const SimPlan *plan);
/** sim_read_plan() - ends the program when the file is not one */
void sim_read_plan(const char *path, SimPlan *plan);
