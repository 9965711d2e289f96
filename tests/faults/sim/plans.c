/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/plans.h"

#include <stdlib.h>
#include <string.h>

const SimRule sim_rules[SIM_N_RULES] = {{"none", "", ""}, SIM_RULES_TABLE};

static guint64
mix(guint64 *state)
{
    guint64 z = *state += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static SimFaultKind
any_kind(guint64 *state)
{
    return (SimFaultKind)(1 + mix(state) % (SIM_N_FAULTS - 1));
}

static void
random_plan(const SimSpace *space, guint64 seed, SimPlan *plan)
{
    guint64 state = seed * 7919 + 1;
    *plan = (SimPlan){.seed = seed + 1, .qcow2 = mix(&state) % 3 == 0};
    plan->trailing = mix(&state) % 8 == 0;
    plan->n_faults = 1 + (guint)(mix(&state) % 4);
    guint last = space->points + space->points / 3;
    for (guint i = 0; i < plan->n_faults; i++) {
        /* half of them where it matters most */
        gboolean window = mix(&state) % 2;
        guint from = window ? space->window_from : 1, to = window ? space->window_to + 10 : last;
        plan->faults[i] = (SimFault){
            .kind = any_kind(&state),
            .host = (int)(mix(&state) % SIM_HOSTS),
            .point = from + (guint)(mix(&state) % (to - from + 1)),
        };
        if (!sim_fault_has_host(plan->faults[i].kind))
            plan->faults[i].host = 0;
    }
}

guint64
sim_space_size(const SimSpace *space)
{
    switch (space->mode) {
    case MODE_SINGLES:
        return (guint64)space->n_singles * 2;
    case MODE_PAIRS:
    case MODE_MEETING:
        return (guint64)space->n_singles * space->n_singles;
    case MODE_RANDOM:
        return space->from + space->count;
    }
    g_assert_not_reached();
}

gboolean
sim_plan_at(const SimSpace *space, guint64 index, SimPlan *plan)
{
    *plan = (SimPlan){0};
    switch (space->mode) {
    case MODE_SINGLES:
        plan->qcow2 = index % 2 != 0;
        plan->n_faults = 1;
        plan->faults[0] = space->singles[index / 2];
        return TRUE;
    case MODE_PAIRS:
    case MODE_MEETING:
        plan->n_faults = 2;
        plan->faults[0] = space->singles[index / space->n_singles];
        plan->faults[1] = space->singles[index % space->n_singles];
        return space->mode == MODE_MEETING ? plan->faults[0].point == plan->faults[1].point
                                           : plan->faults[0].point <= plan->faults[1].point;
    case MODE_RANDOM:
        random_plan(space, index, plan);
        return TRUE;
    }
    g_assert_not_reached();
}

void
sim_print_plan(FILE *out, const SimPlan *plan)
{
    fprintf(out, "seed %" G_GUINT64_FORMAT "\nqcow2 %d\ntrailing %d\n", plan->seed, plan->qcow2,
            plan->trailing);
    if (sim_rule_off)
        fprintf(out, "without %s\n", sim_rules[sim_rule_off].name);
    for (guint i = 0; i < plan->n_faults; i++)
        fprintf(out, "fault %s hv%d %u\n", sim_fault_name(plan->faults[i].kind),
                plan->faults[i].host + 1, plan->faults[i].point);
}

int
sim_find_rule(const char *name)
{
    for (int i = 1; i < SIM_N_RULES; i++)
        if (strcmp(sim_rules[i].name, name) == 0)
            return i;
    fprintf(stderr, "sim: there is no rule '%s'\n", name);
    exit(2);
}

void
sim_read_plan(const char *path, SimPlan *plan)
{
    g_autofree gchar *text = NULL;
    g_autoptr(GError) error = NULL;
    if (!g_file_get_contents(path, &text, NULL, &error)) {
        fprintf(stderr, "sim: %s\n", error->message);
        exit(2);
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    *plan = (SimPlan){0};
    for (guint i = 0; lines[i]; i++) {
        char word[64];
        int host;
        unsigned point;
        if (sscanf(lines[i], "seed %" G_GUINT64_FORMAT, &plan->seed) == 1 ||
            sscanf(lines[i], "qcow2 %d", &plan->qcow2) == 1 ||
            sscanf(lines[i], "trailing %d", &plan->trailing) == 1 || lines[i][0] == '#' ||
            lines[i][0] == '\0')
            continue;
        if (sscanf(lines[i], "without %63s", word) == 1) {
            sim_rule_off = sim_find_rule(word);
            continue;
        }
        if (sscanf(lines[i], "fault %63s hv%d %u", word, &host, &point) == 3 && host >= 1 &&
            host <= SIM_HOSTS && plan->n_faults < SIM_MAX_FAULTS &&
            sim_fault_from_name(word, &plan->faults[plan->n_faults].kind)) {
            plan->faults[plan->n_faults].host = host - 1;
            plan->faults[plan->n_faults++].point = point;
            continue;
        }
        fprintf(stderr, "sim: %s:%u: '%s' cannot be read\n", path, i + 1, lines[i]);
        exit(2);
    }
}
