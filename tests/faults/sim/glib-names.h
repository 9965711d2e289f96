/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Included before everything else in each file of the product that the simulator compiles: threads,
 * locks, clocks and descriptors are the simulator's (tasks.h), and nothing else is changed.
 */
#define g_thread_new              sim_thread_new
#define g_thread_join             sim_thread_join
#define g_thread_unref            sim_thread_unref
#define g_mutex_init              sim_mutex_init
#define g_mutex_clear             sim_mutex_clear
#define g_mutex_lock              sim_mutex_lock
#define g_mutex_unlock            sim_mutex_unlock
#define g_cond_init               sim_cond_init
#define g_cond_clear              sim_cond_clear
#define g_cond_wait               sim_cond_wait
#define g_cond_wait_until         sim_cond_wait_until
#define g_cond_signal             sim_cond_signal
#define g_cond_broadcast          sim_cond_broadcast
#define g_usleep                  sim_usleep
#define g_get_monotonic_time      sim_get_monotonic_time
#define g_get_real_time           sim_get_real_time
#define g_log_structured_standard sim_log_structured_standard

#include <gio/gio.h>
#include <poll.h>
#include <unistd.h>

int sim_close(int fd);
int sim_unlink(const char *path);
int sim_poll(struct pollfd *fds, unsigned long n, int timeout);

#include "tests/faults/sim/rules.h"
