/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/*
 * A helper program of vmferryd, started as a user without rights, spoken with over one line (line.h).
 *
 * It gets the line as descriptor 3, and a file as descriptor 4 when there is one to pass on; nothing else,
 * no environment but PATH and LC_ALL. It ends by itself when the line's other end is closed.
 */

#define VMF_HELPER_LINE_FD 3
#define VMF_HELPER_FILE_FD 4

typedef struct {
    uid_t uid; /* (uid_t)-1: as the caller (tests) */
    gid_t gid;
} VmfHelperUser;

typedef struct {
    GPid pid;
    int line;
} VmfHelper;

/**
 * vmf_helper_start()
 * @argv: program and arguments, NULL at the end
 * @file: to be passed on; stays the caller's; -1: none
 *
 * Returns: %FALSE and VMF_ERROR_INTERNAL: the program cannot be started.
 */
gboolean vmf_helper_start(const char *const *argv, const VmfHelperUser *user, int file,
                          VmfHelper *helper, GError **error);

/** vmf_helper_end() - close its line, wait for its end. Returns: (transfer full): how it ended */
gchar *vmf_helper_end(VmfHelper *helper);
