/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/explore.h"

#include <stdlib.h>
#include <string.h>

/*
 * sim MODE [OPTION...] - explore schedules of faults
 *
 *   singles             every fault, on each host, at every interaction
 *   pairs               every ordered pair of them, both in the stages state, storage and resume
 *   random              by seed: one to four faults anywhere, every delay by chance
 *   short               a few seconds of these three
 *   self-test [RULE]    switch each safety rule off in turn: a violation must be found
 *   replay FILE         one schedule, told step by step
 *
 *   --seeds FROM:COUNT  of random             --step N      of pairs: every Nth, --first N: from there
 *   --out FOLDER        where failing schedules are written
 *   --without RULE      switch a rule off
 *
 * Runs are made in child processes: an assertion of the product that fails, or a run without end,
 * is a violation as well, and what a killed process leaves in memory goes with its child.
 */

/* A run without faults tells how many interactions there are, and where each stage begins. */
static void
measure(SimSpace *space)
{
    SimPlan none = {0};
    if (!sim_world_run(&none)) {
        if (sim_rule_off == 0) {
            printf("the run without faults fails: %s: %s\n", world.rule, world.violation);
            exit(1);
        }
        space->points = space->points ? space->points : 100;
        return;
    }
    space->points = world.points;
    space->window_from = world.mark[VMF_STATE_QUIESCED] - 2;
    space->window_to = world.mark[VMF_STATE_RUNNING] + 2;
}

static void
list_singles(SimSpace *space, guint from, guint to)
{
    space->n_singles = 0;
    for (guint point = from; point <= to; point++)
        for (guint kind = 1; kind < SIM_N_FAULTS; kind++)
            for (int host = 0; host < (sim_fault_has_host((SimFaultKind)kind) ? SIM_HOSTS : 1);
                 host++) {
                g_assert(space->n_singles < G_N_ELEMENTS(space->singles));
                space->singles[space->n_singles++] = (SimFault){(SimFaultKind)kind, host, point};
            }
}

static gboolean
singles(SimSpace *space, gboolean report)
{
    space->mode = MODE_SINGLES;
    space->from = 0;
    space->step = 1;
    list_singles(space, 1, MIN(space->points + 5, G_N_ELEMENTS(space->singles) / 60));
    return sim_explore(space, "singles", report);
}

static gboolean
pairs(SimSpace *space, guint64 from, guint64 step, gboolean report)
{
    space->mode = MODE_PAIRS;
    space->from = from;
    space->step = step;
    list_singles(space, space->window_from, space->window_to);
    return sim_explore(space, "pairs", report);
}

/* Two at the same moment: what happens between two steps that follow each other at once. */
static gboolean
meeting(SimSpace *space, gboolean report)
{
    space->mode = MODE_MEETING;
    space->from = 0;
    space->step = 1;
    list_singles(space, space->window_from, space->window_to);
    return sim_explore(space, "meeting", report);
}

static gboolean
random_seeds(SimSpace *space, guint64 from, guint64 count, gboolean report)
{
    space->mode = MODE_RANDOM;
    space->from = from;
    space->count = count;
    space->step = 1;
    return sim_explore(space, "random", report);
}

/* A prime, so that each stretch of pairs has all kinds */
#define SELF_TEST_STEP  97
#define SELF_TEST_SEEDS 200000

/* @backed: another rule stands behind it: not searched for so long. NULL: it is not caught */
static const char *
how_it_is_caught(SimSpace *space, gboolean backed)
{
    guint64 seeds = SELF_TEST_SEEDS / 10;
    if (!singles(space, FALSE))
        return "singles";
    if (!random_seeds(space, 0, seeds, FALSE))
        return "random";
    if (backed)
        return NULL;
    if (!meeting(space, FALSE))
        return "meeting";
    if (!random_seeds(space, seeds, SELF_TEST_SEEDS, FALSE))
        return "random";
    return pairs(space, 0, SELF_TEST_STEP, FALSE) ? NULL : "pairs";
}

static gboolean
self_test(SimSpace *space, const char *only)
{
    guint missed = 0;
    SimSpace normal = *space;
    for (int rule = 1; rule < SIM_N_RULES; rule++) {
        if (only != NULL && strcmp(only, sim_rules[rule].name) != 0)
            continue;
        double began = sim_seconds();
        sim_rule_off = rule;
        *space = normal;
        space->stop_at_first = TRUE;
        const char *by = how_it_is_caught(space, sim_rules[rule].backed[0] != '\0');
        printf("%-22s %s", sim_rules[rule].name, by ? "caught" : "not caught");
        if (by) {
            const char *broken, *text;
            guint64 done = sim_explored(&broken, &text);
            printf(" by %s after %" G_GUINT64_FORMAT " schedules: %s %s", by, done, broken, text);
        }
        printf(" (%.1f s)\n", sim_seconds() - began);
        fflush(stdout);
        if (by == NULL && sim_rules[rule].backed[0])
            printf("%-22s not shown alone: %s\n", "", sim_rules[rule].backed);
        else
            missed += by == NULL;
    }
    sim_rule_off = 0;
    printf("self-test: %d rules, %u not caught\n", SIM_N_RULES - 1, missed);
    return missed == 0;
}

static int
replay(const char *path)
{
    SimPlan plan;
    sim_read_plan(path, &plan);
    sim_print_plan(stdout, &plan);
    world.tracing = TRUE;
    setvbuf(stdout, NULL, _IOLBF, 0);
    gboolean ok = sim_world_run(&plan);
    printf("%s\n", ok ? "no violation" : "violation");
    return ok ? 0 : 1;
}

int
main(int argc, char **argv)
{
    static SimSpace space;
    guint64 from = 0, count = 1000000, first = 0, step = 1;
    const char *mode = argc > 1 ? argv[1] : "", *file = NULL;
    const char *out_folder = NULL;
    for (int i = 2; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--seeds") == 0 &&
            sscanf(value, "%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, &from, &count) == 2)
            i++;
        else if (strcmp(argv[i], "--first") == 0)
            first = strtoull(i + 1 < argc ? argv[++i] : "0", NULL, 10);
        else if (strcmp(argv[i], "--step") == 0)
            step = strtoull(i + 1 < argc ? argv[++i] : "1", NULL, 10);
        else if (strcmp(argv[i], "--out") == 0)
            out_folder = argv[++i];
        else if (strcmp(argv[i], "--without") == 0)
            sim_rule_off = sim_find_rule(argv[++i]);
        else
            file = argv[i];
    }
    sim_explore_init(out_folder);
    if (strcmp(mode, "replay") == 0 && file)
        return replay(file);
    step = MAX(step, 1);
    measure(&space);
    if (strcmp(mode, "singles") == 0)
        return singles(&space, TRUE) ? 0 : 1;
    if (strcmp(mode, "pairs") == 0)
        return pairs(&space, first, step, TRUE) ? 0 : 1;
    if (strcmp(mode, "random") == 0)
        return random_seeds(&space, from, count, TRUE) ? 0 : 1;
    if (strcmp(mode, "short") == 0) {
        gboolean ok = singles(&space, TRUE);
        ok = pairs(&space, 0, 1499, TRUE) && ok;
        return random_seeds(&space, 0, 3000, TRUE) && ok ? 0 : 1;
    }
    if (strcmp(mode, "self-test") == 0)
        return self_test(&space, file) ? 0 : 1;
    fprintf(stderr, "usage: sim singles|pairs|random|self-test|replay FILE; see main.c\n");
    return 2;
}
