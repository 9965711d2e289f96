/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * What the helper processes take from themselves before they look at a stranger's first byte.
 *
 * They run as a user of their own (vmferry-holder: as root), without capabilities, with no_new_privs, not
 * dumpable. On top:
 *   - seccomp: an allow-list of system calls. Nothing that opens, makes or names a file, a socket, a
 *     process or memory that can be executed. What libraries try anyway and can do without (open, stat)
 *     fails as if there was no such file; what no honest code here does ends the process.
 *   - Landlock, where the kernel has it: no right to any file, as a second wall behind the first.
 *   - limits: descriptors, memory, no core files, no file contents.
 *
 * Two steps, because a filter can only become stricter: the process that listens may accept and fork;
 * its children, who read, may not.
 */

typedef enum {
    VMF_SANDBOX_PARENT, /* accepts connections or orders, and makes children */
    VMF_SANDBOX_CHILD,  /* speaks with one stranger; threads, but no processes */
    VMF_SANDBOX_HOLDER, /* accepts connections, and answers them; no processes */
} VmfSandboxRole;

/**
 * vmf_sandbox_enter() - give up what @role does not need; for good
 *
 * Single-threaded. Returns: %FALSE and VMF_ERROR_INTERNAL: the kernel has no seccomp, or refuses it;
 *   whoever hears this must not go on.
 */
gboolean vmf_sandbox_enter(VmfSandboxRole role, GError **error);

/** vmf_sandbox_drop_capabilities() - for who stays root; for good, as no program can be started later */
gboolean vmf_sandbox_drop_capabilities(GError **error);

/**
 * vmf_sandbox_limit() - in a child: at most @more_data bytes of memory beyond what it has now
 *
 * The parent measures what it has itself with vmf_sandbox_data_now(), before it can no longer.
 */
gboolean vmf_sandbox_limit(guint64 data_now, guint64 more_data, GError **error);
guint64 vmf_sandbox_data_now(void);
