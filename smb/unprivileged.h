/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/*
 * How vmferryd, as root, starts what speaks with a file server: as another user, without a way back,
 * in an environment that holds nothing of its own but the ticket cache.
 */

typedef struct {
    uid_t uid;
    gid_t gid;
} VmfUnprivileged;

/**
 * vmf_unprivileged_become() - a GSpawnChildSetupFunc
 * @user: (type VmfUnprivileged)
 *
 * Between fork and exec: only what is safe there. What cannot be given up ends the child with 126.
 */
void vmf_unprivileged_become(gpointer user);

/**
 * vmf_unprivileged_environment() - PATH, LC_ALL, KRB5CCNAME, and KRB5_CONFIG where there is one
 * @ccache: (nullable): file ticket cache; NULL: @run_dir/smb.cc
 *
 * Returns: (transfer full): NULL-terminated, for g_environ_setenv()
 */
gchar **vmf_unprivileged_environment(const char *ccache, const char *run_dir);
