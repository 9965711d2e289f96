/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/* A thread that runs a main context: what it is given, it does in the order in which it came. */

typedef struct {
    GMainContext *context;
    GMainLoop *loop;
    GThread *thread;
} VmfRunner;

/** vmf_runner_init() - @context (taken): NULL: one of its own */
void vmf_runner_init(VmfRunner *runner, GMainContext *context);
void vmf_runner_start(VmfRunner *runner, const char *name);

/** vmf_runner_do() - from any thread; @function is never called before this returns in it */
void vmf_runner_do(VmfRunner *runner, GSourceFunc function, gpointer data);

/** vmf_runner_clear() - let it finish what it was given before, and end it */
void vmf_runner_clear(VmfRunner *runner);
