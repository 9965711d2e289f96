/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "tests/faults/sim/glib-names.h"

/*
 * Threads, clocks and processes of the simulated hosts: one real thread, many stacks.
 *
 * Operations. A task runs until it waits: for time, a lock, a condition, an answer. Then the task
 * whose time is the earliest runs; among equals the one that came first. So a run is a function of
 * its seed and its faults, and virtual minutes pass in no time.
 *
 * A task belongs to a process. A killed process's tasks never run again, wherever they were: what
 * they held in memory is lost, which is what a kill is. A stopped one's run when it is continued.
 */

typedef struct SimTask SimTask;

typedef struct {
    const char *name;
    int host;
    gboolean alive;
    gboolean stopped;
    guint generation;
} SimProc;

typedef void (*SimFunc)(gpointer data);

void sim_sched_reset(void);

/** sim_spawn() - a task of @proc (NULL: of nobody, cannot be killed) that begins after @delay_us */
SimTask *sim_spawn(SimProc *proc, gint64 delay_us, SimFunc func, gpointer data);

/** sim_run() - until nothing is left to be run, or sim_stop() */
void sim_run(void);
void sim_stop(void);

gint64 sim_now(void);
guint64 sim_resumptions(void);
SimProc *sim_current_proc(void);

/** sim_kill_tasks() - of @proc. Does not return if the caller is one of them */
void sim_kill_tasks(SimProc *proc);
void sim_stop_proc(SimProc *proc, gboolean stop);

void sim_sleep(gint64 us);

/** sim_wait() - until sim_wake(@on) or the time @until. Returns: %FALSE: the time came */
gboolean sim_wait(gconstpointer on, gint64 until);
void sim_wake(gconstpointer on);

/** sim_unwind() - give up this task if its process has been killed by itself */
void sim_check_alive(void);
