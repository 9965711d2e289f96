/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * What this vmferryd waits for, of each VM whose move is not decided yet: for `vmferry jobs` and
 * `vmferry doctor`. Moves that a vmferryd before this one began are in it as well. Thread-safe.
 */

typedef struct {
    gchar *uuid, *name;
    gchar *what;     /* "… the file server does not answer …": says what would help */
    gint64 since_us; /* Unix time: when this VM began to wait, for whatever */
} VmfWaiting;

/** vmf_waiting_set() - @what NULL: the VM waits for nothing (any more). Logs what is new, once */
void vmf_waiting_set(const char *uuid, const char *name, const char *what);

/** vmf_waiting_list() - Returns: (transfer full) (element-type VmfWaiting): who waits the longest first */
GPtrArray *vmf_waiting_list(void);
