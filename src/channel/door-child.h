/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/**
 * vmf_door_child_run() - a child of vmferry-door, from its fork to its end
 * @sock:     the connection; blocking or not
 * @line:     to vmferryd
 * @accepted: we were connected to; else vmferryd says on @line whom to meet
 * @data_now: memory of the parent (sandbox.h)
 */
G_NORETURN void vmf_door_child_run(int sock, int line, gboolean accepted, guint64 data_now);

/** vmf_door_child_warm_up() - in the parent: have libraries loaded and set up what all children use */
void vmf_door_child_warm_up(void);
