/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/runner.h"

static gpointer
run(gpointer data)
{
    VmfRunner *runner = data;
    g_main_context_push_thread_default(runner->context);
    g_main_loop_run(runner->loop);
    g_main_context_pop_thread_default(runner->context);
    return NULL;
}

void
vmf_runner_init(VmfRunner *runner, GMainContext *context)
{
    runner->context = context != NULL ? context : g_main_context_new();
    runner->loop = g_main_loop_new(runner->context, FALSE);
    runner->thread = NULL;
}

void
vmf_runner_start(VmfRunner *runner, const char *name)
{
    runner->thread = g_thread_new(name, run, runner);
}

/* Not g_main_context_invoke(): that may run it here and now. */
void
vmf_runner_do(VmfRunner *runner, GSourceFunc function, gpointer data)
{
    g_autoptr(GSource) source = g_idle_source_new();
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, function, data, NULL);
    g_source_attach(source, runner->context);
}

static gboolean
quit(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

void
vmf_runner_clear(VmfRunner *runner)
{
    if (runner->thread != NULL) {
        vmf_runner_do(runner, quit, runner->loop);
        g_thread_join(runner->thread);
    }
    g_clear_pointer(&runner->loop, g_main_loop_unref);
    g_clear_pointer(&runner->context, g_main_context_unref);
}
