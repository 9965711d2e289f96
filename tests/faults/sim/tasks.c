/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/tasks.h"

#include "tests/faults/sim/world.h"

#include <setjmp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#define STACK_SIZE      (96 * 1024)
#define MAX_TASKS       256
#define MAX_RESUMPTIONS 120000

typedef enum { TASK_FREE, TASK_READY, TASK_WAITING } TaskState;

struct SimTask {
    TaskState state;
    SimProc *proc;
    guint generation;
    gint64 at; /* READY: when; WAITING: until */
    guint64 order;
    gconstpointer on;
    gboolean woken, started, ended;
    SimFunc func;
    gpointer data;
    char *stack;
    jmp_buf where;
    guint64 id;
};

static struct {
    SimTask tasks[MAX_TASKS];
    guint n; /* used entries */
    SimTask *current;
    gint64 now;
    guint64 orders, resumptions, ids;
    gboolean stop;
    jmp_buf home;
    ucontext_t home_context;
} sched;

void
sim_sched_reset(void)
{
    for (guint i = 0; i < sched.n; i++)
        sched.tasks[i].state = TASK_FREE;
    sched.n = 0;
    sched.now = G_USEC_PER_SEC * 1000;
    sched.orders = sched.resumptions = 0;
    sched.stop = FALSE;
    sched.current = NULL;
}

gint64
sim_now(void)
{
    return sched.now;
}

guint64
sim_resumptions(void)
{
    return sched.resumptions;
}

SimProc *
sim_current_proc(void)
{
    return sched.current ? sched.current->proc : NULL;
}

void
sim_stop(void)
{
    sched.stop = TRUE;
}

SimTask *
sim_spawn(SimProc *proc, gint64 delay_us, SimFunc func, gpointer data)
{
    guint i = 0;
    while (i < sched.n && (sched.tasks[i].state != TASK_FREE || &sched.tasks[i] == sched.current))
        i++;
    if (i == MAX_TASKS) {
        fprintf(stderr, "sim: too many tasks\n");
        abort();
    }
    sched.n = MAX(sched.n, i + 1);
    SimTask *task = &sched.tasks[i];
    if (task->stack == NULL) {
        task->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        g_assert(task->stack != MAP_FAILED);
    }
    task->state = TASK_READY;
    task->proc = proc;
    task->generation = proc ? proc->generation : 0;
    task->at = sched.now + delay_us;
    task->order = sched.orders++;
    task->on = NULL;
    task->started = FALSE;
    task->func = func;
    task->data = data;
    task->id = ++sched.ids;
    return task;
}

static gboolean
is_dead(const SimTask *task)
{
    return task->proc && (!task->proc->alive || task->proc->generation != task->generation);
}

/* To the scheduler; back when the task is due. */
static void
leave(void)
{
    if (_setjmp(sched.current->where) == 0)
        _longjmp(sched.home, 1);
}

void
sim_check_alive(void)
{
    if (sched.current && is_dead(sched.current)) {
        sched.current->state = TASK_FREE;
        leave();
    }
}

static void
entry(void)
{
    SimTask *task = sched.current;
    task->func(task->data);
    sched.current->state = TASK_FREE;
    sim_wake(sched.current);
    _longjmp(sched.home, 1);
}

static void
resume(SimTask *task)
{
    sched.current = task;
    sched.resumptions++;
    if (task->state == TASK_WAITING)
        task->woken = FALSE;
    task->state = TASK_READY;
    if (_setjmp(sched.home) == 0) {
        if (task->started)
            _longjmp(task->where, 1);
        task->started = TRUE;
        ucontext_t context;
        getcontext(&context);
        context.uc_stack.ss_sp = task->stack;
        context.uc_stack.ss_size = STACK_SIZE;
        context.uc_link = NULL;
        makecontext(&context, entry, 0);
        swapcontext(&sched.home_context, &context);
    }
    sched.current = NULL;
}

void
sim_run(void)
{
    while (!sched.stop) {
        if (sched.resumptions > MAX_RESUMPTIONS)
            sim_violation("I5", "it goes on without end");
        SimTask *best = NULL;
        for (guint i = 0; i < sched.n; i++) {
            SimTask *task = &sched.tasks[i];
            if (task->state == TASK_FREE)
                continue;
            if (is_dead(task)) {
                task->state = TASK_FREE;
                continue;
            }
            if (task->proc && task->proc->stopped)
                continue;
            if (best == NULL || task->at < best->at ||
                (task->at == best->at && task->order < best->order))
                best = task;
        }
        if (best == NULL || best->at == G_MAXINT64)
            return;
        sched.now = MAX(sched.now, best->at);
        resume(best);
        sim_judge();
    }
}

void
sim_kill_tasks(SimProc *proc)
{
    proc->alive = FALSE;
    proc->stopped = FALSE;
    proc->generation++;
    sim_check_alive();
}

void
sim_stop_proc(SimProc *proc, gboolean stop)
{
    proc->stopped = stop;
    if (stop && sched.current && sched.current->proc == proc)
        sim_sleep(0);
}

void
sim_sleep(gint64 us)
{
    SimTask *task = sched.current;
    g_assert(task != NULL);
    task->at = sched.now + us;
    task->order = sched.orders++;
    leave();
}

gboolean
sim_wait(gconstpointer on, gint64 until)
{
    SimTask *task = sched.current;
    g_assert(task != NULL);
    task->state = TASK_WAITING;
    task->on = on;
    task->at = until;
    task->order = sched.orders++;
    leave();
    gboolean woken = task->on == NULL;
    task->on = NULL;
    return woken;
}

void
sim_wake(gconstpointer on)
{
    for (guint i = 0; i < sched.n; i++) {
        SimTask *task = &sched.tasks[i];
        if (task->state == TASK_WAITING && task->on == on) {
            task->on = NULL;
            task->state = TASK_READY;
            task->at = sched.now;
            task->order = sched.orders++;
        }
    }
}

/* --- what the product calls --- */

typedef struct {
    GThreadFunc func;
    gpointer data;
    gpointer result;
    gboolean ended;
} Thread;

static void
thread_body(gpointer data)
{
    Thread *thread = data;
    thread->result = thread->func(thread->data);
    thread->ended = TRUE;
    sim_wake(thread);
}

GThread *
sim_thread_new(const gchar *name, GThreadFunc func, gpointer data)
{
    Thread *thread = g_new0(Thread, 1);
    thread->func = func;
    thread->data = data;
    sim_spawn(sim_current_proc(), 0, thread_body, thread);
    return (GThread *)thread;
}

gpointer
sim_thread_join(GThread *thread)
{
    Thread *mine = (Thread *)thread;
    while (!mine->ended)
        sim_wait(mine, G_MAXINT64);
    gpointer result = mine->result;
    g_free(mine);
    return result;
}

void
sim_thread_unref(GThread *thread)
{
}

void
sim_mutex_init(GMutex *mutex)
{
    mutex->p = NULL;
}

void
sim_mutex_clear(GMutex *mutex)
{
}

void
sim_mutex_lock(GMutex *mutex)
{
    while (mutex->p != NULL)
        sim_wait(mutex, G_MAXINT64);
    mutex->p = mutex;
}

void
sim_mutex_unlock(GMutex *mutex)
{
    g_assert(mutex->p != NULL);
    mutex->p = NULL;
    sim_wake(mutex);
}

void
sim_cond_init(GCond *cond)
{
}

void
sim_cond_clear(GCond *cond)
{
}

void
sim_cond_wait(GCond *cond, GMutex *mutex)
{
    sim_mutex_unlock(mutex);
    sim_wait(cond, G_MAXINT64);
    sim_mutex_lock(mutex);
}

gboolean
sim_cond_wait_until(GCond *cond, GMutex *mutex, gint64 until)
{
    sim_mutex_unlock(mutex);
    gboolean woken = sim_wait(cond, MAX(until, sim_now()));
    sim_mutex_lock(mutex);
    return woken;
}

void
sim_cond_signal(GCond *cond)
{
    sim_wake(cond);
}

void
sim_cond_broadcast(GCond *cond)
{
    sim_wake(cond);
}

void
sim_usleep(gulong us)
{
    sim_sleep((gint64)us);
}

gint64
sim_get_monotonic_time(void)
{
    return sched.now;
}

gint64
sim_get_real_time(void)
{
    return sched.now + G_GINT64_CONSTANT(1700000000) * G_USEC_PER_SEC;
}
