/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/flaws.h"
#include "tests/faults/sim/world.h"

#include "sim-rules.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

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
 *   --seeds FROM:COUNT  of random             --step N      of pairs: every Nth
 *   --jobs N            processes, 1          --out FOLDER  where failing schedules are written
 *   --without RULE      switch a rule off     --known       count known flaws (flaws.h) as violations
 *
 * Runs are made in child processes: an assertion of the product that fails, or a run without end,
 * is a violation as well, and what a killed process leaves in memory goes with its child.
 */

#define BATCH       4000
#define MAX_KEPT    64
#define MAX_KINDS   400
#define RUN_SECONDS 20

typedef struct {
    const char *name, *what;
    const char *backed; /* "": a schedule must show it; else why none does */
} Rule;

static const Rule rules[] = {{"none", "", ""}, SIM_RULES_TABLE};
G_STATIC_ASSERT(G_N_ELEMENTS(rules) == SIM_N_RULES);

typedef enum { MODE_SINGLES, MODE_PAIRS, MODE_MEETING, MODE_RANDOM } Mode;

/* One way to fail: rule and text without its numbers, with how often and a first example. */
typedef struct {
    gchar rule[16], text[256];
    guint64 count;
    SimPlan example;
} Kind;

typedef struct {
    guint64 current, done, violations, known[32];
    guint64 on_source, on_destination, down, with_fault;
    Kind kinds[MAX_KINDS];
    guint n_kinds;
} Shared;

typedef struct {
    Mode mode;
    guint64 from, count, step;
    guint points;                 /* of a run without faults */
    guint window_from, window_to; /* stages 3 to 5 */
    gboolean stop_at_first;
    SimFault singles[4096]; /* those of singles; of pairs: those in the window */
    guint n_singles;
} Space;

static Shared *shared;
static const char *out_folder;
static gboolean show_known;

/* --- plans --- */

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
random_plan(const Space *space, guint64 seed, SimPlan *plan)
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

static guint64
space_size(const Space *space)
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

/* Returns: %FALSE: there is no such plan (a pair in the wrong order) */
static gboolean
plan_at(const Space *space, guint64 index, SimPlan *plan)
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

static void
print_plan(FILE *out, const SimPlan *plan)
{
    fprintf(out, "seed %" G_GUINT64_FORMAT "\nqcow2 %d\ntrailing %d\n", plan->seed, plan->qcow2,
            plan->trailing);
    if (sim_rule_off)
        fprintf(out, "without %s\n", rules[sim_rule_off].name);
    for (guint i = 0; i < plan->n_faults; i++)
        fprintf(out, "fault %s hv%d %u\n", sim_fault_name(plan->faults[i].kind),
                plan->faults[i].host + 1, plan->faults[i].point);
}

static int
find_rule(const char *name)
{
    for (int i = 1; i < SIM_N_RULES; i++)
        if (strcmp(rules[i].name, name) == 0)
            return i;
    fprintf(stderr, "sim: there is no rule '%s'\n", name);
    exit(2);
}

static void
read_plan(const char *path, SimPlan *plan)
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
            sim_rule_off = find_rule(word);
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

/* --- failures --- */

static void
without_numbers(const char *text, gchar *out, gsize size)
{
    gsize n = 0;
    for (; *text && n + 1 < size; text++)
        if (!g_ascii_isdigit(*text) || (n >= 2 && strncmp(out + n - 2, "hv", 2) == 0)) {
            out[n] = *text;
            n++;
        } else if (n == 0 || out[n - 1] != '#') {
            out[n++] = '#';
        }
    out[n] = '\0';
}

static void
note_failure(const SimPlan *plan, const char *rule, const char *text)
{
    gchar plain[256];
    guint64 struck = 0;
    for (guint i = 0; i < plan->n_faults; i++)
        struck |= G_GUINT64_CONSTANT(1) << plan->faults[i].kind;
    /* what a rule keeps safe is not taken for a flaw: with the rule, the same run was fine */
    gboolean of_a_rule = sim_rule_off != 0 && strcmp(rule, "I5") != 0;
    int flaw = of_a_rule ? -1 : sim_find_flaw(rule, text, struck);
    if (flaw >= 0) {
        shared->known[flaw]++;
        if (!show_known)
            return;
    }
    without_numbers(text, plain, sizeof plain);
    if (plan->n_faults == 1) {
        g_strlcat(plain, " after ", sizeof plain);
        g_strlcat(plain, sim_fault_name(plan->faults[0].kind), sizeof plain);
        g_strlcat(plain, plan->faults[0].host ? " hv2" : " hv1", sizeof plain);
    }
    shared->violations++;
    Kind *kind = NULL;
    for (guint i = 0; i < shared->n_kinds && kind == NULL; i++)
        if (strcmp(shared->kinds[i].text, plain) == 0 && strcmp(shared->kinds[i].rule, rule) == 0)
            kind = &shared->kinds[i];
    if (kind == NULL && shared->n_kinds == MAX_KINDS)
        return;
    if (kind == NULL) {
        kind = &shared->kinds[shared->n_kinds++];
        *kind = (Kind){.example = *plan};
        g_strlcpy(kind->rule, rule, sizeof kind->rule);
        g_strlcpy(kind->text, plain, sizeof kind->text);
    }
    if (plan->n_faults < kind->example.n_faults)
        kind->example = *plan;
    kind->count++;
}

static void
note_outcome(void)
{
    guint64 epoch;
    VmfOwnerState state;
    shared->with_fault += world.faults_done > 0;
    if (world.memory_lost && !world.hosts[0].qemu.cpus && !world.hosts[1].qemu.cpus)
        shared->down++;
    else if (sim_server_owner(&epoch, &state) == 0)
        shared->on_source++;
    else
        shared->on_destination++;
}

/* --- running --- */

/* Of the processor, not of the clock: the machine may be busy. */
static void
limit_cpu(void)
{
    const struct itimerval limit = {.it_value = {.tv_sec = RUN_SECONDS}};
    setitimer(ITIMER_VIRTUAL, &limit, NULL);
}

/* What a failing assertion prints is for a replay. */
static void
be_silent(void)
{
    if (freopen("/dev/null", "w", stderr) == NULL || freopen("/dev/null", "w", stdout) == NULL)
        _exit(1);
}

/* A schedule shows that a rule matters if it is fine with the rule. */
static gboolean
is_fine_with_the_rule(const SimPlan *plan)
{
    int off = sim_rule_off;
    sim_rule_off = 0;
    gboolean fine = sim_world_run(plan);
    sim_rule_off = off;
    return fine;
}

static void
judge_failure(const SimPlan *plan)
{
    gchar rule[sizeof world.rule], text[sizeof world.violation];
    g_strlcpy(rule, world.rule, sizeof rule);
    g_strlcpy(text, world.violation, sizeof text);
    if (sim_rule_off == 0 || is_fine_with_the_rule(plan))
        note_failure(plan, rule, text);
}

/* For a run that ended its process: in another one. */
static gboolean
is_fine_elsewhere(const SimPlan *plan)
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    g_assert(pid >= 0);
    if (pid == 0) {
        be_silent();
        limit_cpu();
        _exit(is_fine_with_the_rule(plan) ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
child(const Space *space, guint64 from, guint64 to)
{
    for (guint64 i = from; i < to; i += space->step) {
        SimPlan plan;
        shared->current = i;
        if (!plan_at(space, i, &plan))
            continue;
        limit_cpu();
        if (sim_world_run(&plan))
            note_outcome();
        else
            judge_failure(&plan);
        shared->done++;
        if (space->stop_at_first && shared->violations)
            _exit(0);
    }
    shared->current = to;
    _exit(0);
}

static void
run_batch(const Space *space, guint64 from, guint64 to)
{
    while (from < to) {
        int status = 0;
        fflush(stdout);
        pid_t pid = fork();
        g_assert(pid >= 0);
        if (pid == 0) {
            be_silent();
            child(space, from, to);
        }
        waitpid(pid, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return;
        SimPlan plan;
        plan_at(space, shared->current, &plan);
        if (sim_rule_off == 0 || is_fine_elsewhere(&plan))
            note_failure(&plan, "abort",
                         WIFSIGNALED(status) && WTERMSIG(status) == SIGVTALRM ? "a run without end"
                         : WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT
                             ? "an assertion of the product failed"
                             : "the simulator died");
        shared->done++;
        from = shared->current + space->step;
        if (space->stop_at_first)
            return;
    }
}

static double
seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
write_example(const Kind *kind, guint number)
{
    g_autofree gchar *name = g_strdup_printf("%s-%u.schedule", kind->rule, number);
    g_autofree gchar *path = g_build_filename(out_folder ? out_folder : ".", name, NULL);
    FILE *file = out_folder ? fopen(path, "w") : NULL;
    printf("%8" G_GUINT64_FORMAT "  %-5s %s\n", kind->count, kind->rule, kind->text);
    if (file == NULL) {
        print_plan(stdout, &kind->example);
        return;
    }
    fprintf(file, "# %s: %s\n", kind->rule, kind->text);
    print_plan(file, &kind->example);
    fclose(file);
    printf("          sim replay %s\n", path);
}

static gboolean
explore(Space *space, const char *what, gboolean report)
{
    double began = seconds();
    memset(shared, 0, sizeof *shared);
    guint64 end = space_size(space);
    for (guint64 at = space->from; at < end; at += BATCH * space->step) {
        run_batch(space, at, MIN(end, at + BATCH * space->step));
        if (space->stop_at_first && shared->violations)
            break;
    }
    double took = seconds() - began;
    if (!report)
        return shared->violations == 0;
    printf("%s: %" G_GUINT64_FORMAT " schedules in %.1f s (%.0f/s), %" G_GUINT64_FORMAT
           " violations\n",
           what, shared->done, took, (double)shared->done / took, shared->violations);
    for (guint i = 0; i < sim_n_flaws; i++)
        if (shared->known[i])
            printf("  known flaw %s: %" G_GUINT64_FORMAT "\n", sim_flaws[i].name, shared->known[i]);
    printf("  continues on source %" G_GUINT64_FORMAT ", runs on destination %" G_GUINT64_FORMAT
           ", down %" G_GUINT64_FORMAT "; with a fault that struck %" G_GUINT64_FORMAT "\n",
           shared->on_source, shared->on_destination, shared->down, shared->with_fault);
    for (guint i = 0; i < shared->n_kinds; i++)
        write_example(&shared->kinds[i], i + 1);
    return shared->violations == 0;
}

/* A run without faults tells how many interactions there are, and where each stage begins. */
static void
measure(Space *space)
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
list_singles(Space *space, guint from, guint to)
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
singles(Space *space, gboolean report)
{
    space->mode = MODE_SINGLES;
    space->from = 0;
    space->step = 1;
    list_singles(space, 1, MIN(space->points + 5, G_N_ELEMENTS(space->singles) / 60));
    return explore(space, "singles", report);
}

static gboolean
pairs(Space *space, guint64 step, gboolean report)
{
    space->mode = MODE_PAIRS;
    space->from = 0;
    space->step = step;
    list_singles(space, space->window_from, space->window_to);
    return explore(space, "pairs", report);
}

/* Two at the same moment: what happens between two steps that follow each other at once. */
static gboolean
meeting(Space *space, gboolean report)
{
    space->mode = MODE_MEETING;
    space->from = 0;
    space->step = 1;
    list_singles(space, space->window_from, space->window_to);
    return explore(space, "meeting", report);
}

static gboolean
random_seeds(Space *space, guint64 from, guint64 count, gboolean report)
{
    space->mode = MODE_RANDOM;
    space->from = from;
    space->count = count;
    space->step = 1;
    return explore(space, "random", report);
}

/* A prime, so that each stretch of pairs has all kinds */
#define SELF_TEST_STEP  97
#define SELF_TEST_SEEDS 200000

static gboolean
self_test(Space *space, const char *only)
{
    guint missed = 0;
    Space normal = *space;
    for (int rule = 1; rule < SIM_N_RULES; rule++) {
        if (only != NULL && strcmp(only, rules[rule].name) != 0)
            continue;
        double began = seconds();
        guint64 seeds = rules[rule].backed[0] ? SELF_TEST_SEEDS / 20 : SELF_TEST_SEEDS;
        sim_rule_off = rule;
        *space = normal;
        space->stop_at_first = TRUE;
        const char *by = !singles(space, FALSE)                           ? "singles"
                         : !random_seeds(space, 0, seeds / 10, FALSE)     ? "random"
                         : !meeting(space, FALSE)                         ? "meeting"
                         : !random_seeds(space, seeds / 10, seeds, FALSE) ? "random"
                         : !pairs(space, SELF_TEST_STEP, FALSE)           ? "pairs"
                                                                          : NULL;
        printf("%-22s %s", rules[rule].name, by ? "caught" : "not caught");
        if (by)
            printf(" by %s after %" G_GUINT64_FORMAT " schedules: %s %s", by, shared->done,
                   shared->kinds[0].rule, shared->kinds[0].text);
        printf(" (%.1f s)\n", seconds() - began);
        fflush(stdout);
        if (by == NULL && rules[rule].backed[0])
            printf("%-22s not shown alone: %s\n", "", rules[rule].backed);
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
    read_plan(path, &plan);
    print_plan(stdout, &plan);
    world.tracing = TRUE;
    setvbuf(stdout, NULL, _IOLBF, 0);
    gboolean ok = sim_world_run(&plan);
    printf("%s\n", ok ? "no violation" : "violation");
    return ok ? 0 : 1;
}

int
main(int argc, char **argv)
{
    static Space space;
    guint64 from = 0, count = 1000000, step = 1;
    const char *mode = argc > 1 ? argv[1] : "", *file = NULL;
    for (int i = 2; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--seeds") == 0 &&
            sscanf(value, "%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, &from, &count) == 2)
            i++;
        else if (strcmp(argv[i], "--step") == 0)
            step = strtoull(i + 1 < argc ? argv[++i] : "1", NULL, 10);
        else if (strcmp(argv[i], "--out") == 0)
            out_folder = argv[++i];
        else if (strcmp(argv[i], "--known") == 0)
            show_known = TRUE;
        else if (strcmp(argv[i], "--without") == 0)
            sim_rule_off = find_rule(argv[++i]);
        else
            file = argv[i];
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert(shared != MAP_FAILED);
    if (strcmp(mode, "replay") == 0 && file)
        return replay(file);
    step = MAX(step, 1);
    measure(&space);
    if (strcmp(mode, "singles") == 0)
        return singles(&space, TRUE) ? 0 : 1;
    if (strcmp(mode, "pairs") == 0)
        return pairs(&space, step, TRUE) ? 0 : 1;
    if (strcmp(mode, "random") == 0)
        return random_seeds(&space, from, count, TRUE) ? 0 : 1;
    if (strcmp(mode, "short") == 0) {
        gboolean ok = singles(&space, TRUE);
        ok = pairs(&space, 1499, TRUE) && ok;
        return random_seeds(&space, 0, 3000, TRUE) && ok ? 0 : 1;
    }
    if (strcmp(mode, "self-test") == 0)
        return self_test(&space, file) ? 0 : 1;
    fprintf(stderr, "usage: sim singles|pairs|random|self-test|replay FILE; see main.c\n");
    return 2;
}
