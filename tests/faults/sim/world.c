/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/world.h"

#include "smb/disk-set-internal.h"
#include "src/migrate/source.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE (900 * G_USEC_PER_SEC) /* after the last fault has healed */

World world;
int sim_rule_off;

/* --- chance --- */

guint64
sim_random(void)
{
    /* splitmix64 */
    guint64 z = world.random += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

gint64
sim_delay(gint64 us)
{
    if (world.plan.seed == 0 || us == 0)
        return us;
    guint64 chance = sim_random();
    gint64 delay = us / 2 + (gint64)(chance % (guint64)us);
    return chance >> 32 & 31 ? delay : delay * (gint64)(10 + (chance >> 40) % 400);
}

void
sim_travel(gint64 us)
{
    if (us > 0)
        sim_sleep(sim_delay(us));
    sim_check_alive();
}

/* --- what is told --- */

static void
say(const char *format, va_list args)
{
    g_autofree gchar *text = g_strdup_vprintf(format, args);
    printf("%12.6f  %s\n", (double)(sim_now() - 1000 * G_USEC_PER_SEC) / 1e6, text);
}

void
sim_trace(const char *format, ...)
{
    if (!world.tracing)
        return;
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void
sim_violation(const char *rule, const char *format, ...)
{
    if (world.violation[0] != '\0')
        return;
    va_list args;
    va_start(args, format);
    g_vsnprintf(world.violation, sizeof world.violation, format, args);
    va_end(args);
    g_strlcpy(world.rule, rule, sizeof world.rule);
    sim_trace("VIOLATION of %s: %s", rule, world.violation);
    sim_stop();
}

void
sim_point(const char *format, ...)
{
    sim_check_alive();
    if (!world.started || world.ended)
        return;
    world.points++;
    if (world.tracing) {
        va_list args;
        va_start(args, format);
        g_autofree gchar *text = g_strdup_vprintf(format, args);
        va_end(args);
        sim_trace("[%u] %s", world.points, text);
    }
    gboolean any = FALSE;
    for (guint i = 0; i < world.plan.n_faults; i++)
        if (world.plan.faults[i].point == world.points) {
            sim_fault_happens(&world.plan.faults[i]);
            any = TRUE;
        }
    if (any)
        sim_travel(1); /* it happens before the interaction */
}

/* The product's log. */
GLogWriterOutput sim_log_writer(void);

void
sim_log_structured_standard(const gchar *log_domain, GLogLevelFlags level, const gchar *file,
                            const gchar *line, const gchar *func, const gchar *format, ...)
{
    if (level & G_LOG_LEVEL_ERROR) {
        fprintf(stderr, "%s: g_error\n", func);
        abort();
    }
    if (!world.tracing)
        return;
    va_list args;
    va_start(args, format);
    g_autofree gchar *text = g_strdup_vprintf(format, args);
    va_end(args);
    SimProc *proc = sim_current_proc();
    sim_trace("  hv%d %s: %s", proc ? proc->host + 1 : 0, proc ? proc->name : "", text);
}

/* --- the invariants --- */

void
sim_judge(void)
{
    int running = 0, writing = 0;
    guint64 epoch;
    VmfOwnerState state;
    if (!world.started)
        return;
    int owner = sim_server_owner(&epoch, &state);
    for (int i = 0; i < SIM_HOSTS; i++) {
        SimHost *host = &world.hosts[i];
        running += host->qemu.proc.alive && host->qemu.cpus && !host->qemu.proc.stopped;
        VmfDiskSet *set = sim_disks_set(host);
        if (set == NULL)
            continue;
        VmfGateFacts gate = vmf_gate_facts(set->gate);
        if (gate.state != VMF_GATE_OPEN || set->current == NULL || !set->current->held ||
            !sim_server_session_holds(set->current->share))
            continue;
        writing++;
        if (owner != i)
            sim_violation("I1", "hv%d's gate is open with write handles, the record names hv%d",
                          i + 1, owner + 1);
    }
    if (writing > 1)
        sim_violation("I1", "two hosts have an open gate with write handles");
    if (running > 1)
        sim_violation("I2", "two hosts run the guest");
}

static gboolean
journals_are_closed(void)
{
    for (int i = 0; i < SIM_HOSTS; i++)
        for (guint j = 0; j < G_N_ELEMENTS(world.hosts[i].rows); j++) {
            const SimJournalRow *row = &world.hosts[i].rows[j];
            if (row->used && !vmf_state_is_final(row->entry.state))
                return FALSE;
        }
    return TRUE;
}

/* -1: nobody, -2: more than one */
static int
who_runs(void)
{
    int who = -1;
    for (int i = 0; i < SIM_HOSTS; i++) {
        const SimQemu *qemu = &world.hosts[i].qemu;
        if (qemu->proc.alive && qemu->cpus && !qemu->proc.stopped)
            who = who == -1 ? i : -2;
    }
    return who;
}

/* "": all is as it may be after faults; else what is not */
static const char *
what_is_wrong(void)
{
    guint64 epoch;
    VmfOwnerState state;
    int who = who_runs(), owner = sim_server_owner(&epoch, &state);
    if (who == -1 && !world.memory_lost)
        return "nobody runs the guest, and its memory was not lost";
    if (who >= 0) {
        SimHost *host = &world.hosts[who];
        VmfDiskSet *set = sim_disks_set(host);
        if (owner != who || state != VMF_OWNER_RUNNING)
            return "the record does not name the host that runs the guest";
        if (set == NULL || vmf_gate_facts(set->gate).state != VMF_GATE_OPEN)
            return "the gate of the host that runs the guest is not open";
        if (world.hosts[1 - who].qemu.proc.alive)
            return "the other host still has a copy";
    }
    for (int i = 0; i < SIM_HOSTS; i++) {
        if (who == -1 && world.hosts[i].qemu.proc.alive)
            return "the guest is lost, and a copy of it still waits";
        if (i != who && sim_disks_set(&world.hosts[i]) != NULL)
            return "a host without the guest still has a disk process";
    }
    if (!journals_are_closed())
        return "a journal entry is still open";
    return "";
}

static void
monitor(gpointer ignored)
{
    gint64 wait = 20000;
    while (!world.ended) {
        sim_sleep(wait);
        wait = MIN(wait + wait / 4, 10 * G_USEC_PER_SEC);
        if (!world.started)
            continue;
        gboolean over = sim_now() > world.faults_over + 100000;
        const char *wrong = what_is_wrong();
        if (over && wrong[0] == '\0') {
            world.ended = TRUE;
            sim_stop();
        } else if (sim_now() > world.faults_over + PATIENCE) {
            sim_violation("I5", "%s", wrong);
        }
    }
}

/* --- one run --- */

static void
reset_host(int i)
{
    SimHost *host = &world.hosts[i];
    guint generation = 1;
    host->index = i;
    host->up = host->serves = TRUE;
    g_snprintf(host->sid, sizeof host->sid, "S-1-5-21-1-2-3-110%d", i + 4);
    g_snprintf(host->account, sizeof host->account, "HV%d$", i + 1);
    g_snprintf(host->fqdn, sizeof host->fqdn, "hv%d.lab.test", i + 1);
    g_snprintf(host->boot, sizeof host->boot, "00000000-0000-0000-0000-00000000000%d", i + 1);
    host->me = (VmfHostIdentity){.account = host->account, .fqdn = host->fqdn};
    host->policy = (VmfLocalPolicy){
        .qemu_user = (gchar *)"root", .max_downtime_ms = 300, .parallel_jobs = 4};
    host->context = (VmfContext){
        .policy = &host->policy,
        .me = &host->me,
        .sid = host->sid,
        .run_dir = i == 0 ? "/sim/hv1" : "/sim/hv2",
        .host = (VmfHost *)host,
        .journal = (VmfJournal *)host,
        .holder = (VmfHolder *)host,
    };
    host->vmferryd = (SimProc){
        .name = "vmferryd", .host = i, .alive = TRUE, .generation = generation};
}

/* job-table.c: a job is begun in the journal, and runs in a thread of its own */
static void
start_job(gpointer ignored)
{
    SimHost *host = &world.hosts[0];
    static const VmfMigrateOptions options = {.max_downtime_ms = 300};
    VmfJournalEntry entry = {.migration = (gchar *)SIM_MIGRATION,
                             .role = VMF_ROLE_SOURCE,
                             .vm_uuid = (gchar *)SIM_VM,
                             .vm_name = (gchar *)SIM_NAME,
                             .peer = world.hosts[1].fqdn};
    VmfJobFacts facts = {.number = vmf_journal_begin(host->context.journal, &entry, NULL),
                         .migration = (gchar *)SIM_MIGRATION,
                         .vm_uuid = (gchar *)SIM_VM,
                         .vm_name = (gchar *)SIM_NAME,
                         .from = host->fqdn,
                         .to = world.hosts[1].fqdn,
                         .role = VMF_ROLE_SOURCE};
    if (facts.number == 0)
        return;
    world.job = vmf_job_new(&facts);
    vmf_source_run(&host->context, world.job, &options);
}

static void
scenario(gpointer ignored)
{
    SimHost *source = &world.hosts[0];
    sim_disks_boot(source);
    sim_qemu_start(source, FALSE);
    sim_sleep(80000); /* the record's second slot is settled, the guest has written */
    world.write_gap = 1000;
    world.started = TRUE;
    world.faults_over = sim_now() + 100000;
    for (int i = 0; i < SIM_HOSTS; i++)
        sim_spawn(&world.hosts[i].vmferryd, 0, sim_keeper, &world.hosts[i]);
    sim_spawn(&source->vmferryd, 0, start_job, NULL);
}

gboolean
sim_world_run(const SimPlan *plan)
{
    gboolean tracing = world.tracing;
    memset(&world, 0, sizeof world);
    world.tracing = tracing;
    world.plan = *plan;
    world.random = plan->seed;
    world.write_gap = 1000;
    sim_sched_reset();
    for (int i = 0; i < SIM_HOSTS; i++)
        reset_host(i);
    sim_server_reset();
    sim_libvirt_reset();
    sim_peers_reset();
    sim_spawn(NULL, 0, scenario, NULL);
    sim_spawn(NULL, 0, monitor, NULL);
    sim_run();
    if (!world.ended && world.violation[0] == '\0')
        sim_violation("I5", "nothing happens any more");
    return world.violation[0] == '\0';
}
