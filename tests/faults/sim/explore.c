/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/explore.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#define BATCH       4000
#define MAX_KEPT    64
#define MAX_KINDS   400
#define RUN_SECONDS 20

/* One way to fail: rule and text without its numbers, with how often and a first example. */
typedef struct {
    gchar rule[16], text[256];
    guint64 count;
    SimPlan example;
} Kind;

typedef struct {
    guint64 current, done, violations;
    guint64 on_source, on_destination, down, with_fault;
    Kind kinds[MAX_KINDS];
    guint n_kinds;
} Shared;

static Shared *shared;
static const char *out_folder;

void
sim_explore_init(const char *folder)
{
    out_folder = folder;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert(shared != MAP_FAILED);
}

guint64
sim_explored(const char **rule, const char **text)
{
    *rule = shared->kinds[0].rule;
    *text = shared->kinds[0].text;
    return shared->done;
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
child(const SimSpace *space, guint64 from, guint64 to)
{
    for (guint64 i = from; i < to; i += space->step) {
        SimPlan plan;
        shared->current = i;
        if (!sim_plan_at(space, i, &plan))
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
run_batch(const SimSpace *space, guint64 from, guint64 to)
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
        sim_plan_at(space, shared->current, &plan);
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

double
sim_seconds(void)
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
        sim_print_plan(stdout, &kind->example);
        return;
    }
    fprintf(file, "# %s: %s\n", kind->rule, kind->text);
    sim_print_plan(file, &kind->example);
    fclose(file);
    printf("          sim replay %s\n", path);
}

gboolean
sim_explore(SimSpace *space, const char *what, gboolean report)
{
    double began = sim_seconds();
    memset(shared, 0, sizeof *shared);
    guint64 end = sim_space_size(space);
    for (guint64 at = space->from; at < end; at += BATCH * space->step) {
        run_batch(space, at, MIN(end, at + BATCH * space->step));
        if (space->stop_at_first && shared->violations)
            break;
    }
    double took = sim_seconds() - began;
    if (!report)
        return shared->violations == 0;
    printf("%s: %" G_GUINT64_FORMAT " schedules in %.1f s (%.0f/s), %" G_GUINT64_FORMAT
           " violations\n",
           what, shared->done, took, (double)shared->done / took, shared->violations);
    printf("  continues on source %" G_GUINT64_FORMAT ", runs on destination %" G_GUINT64_FORMAT
           ", down %" G_GUINT64_FORMAT "; with a fault that struck %" G_GUINT64_FORMAT "\n",
           shared->on_source, shared->on_destination, shared->down, shared->with_fault);
    for (guint i = 0; i < shared->n_kinds; i++)
        write_example(&shared->kinds[i], i + 1);
    return shared->violations == 0;
}
