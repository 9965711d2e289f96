/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/unprivileged.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

void
vmf_unprivileged_become(gpointer user)
{
    const VmfUnprivileged *who = user;
    umask(0077);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        _exit(126);
    if (geteuid() == who->uid && getegid() == who->gid)
        return;
    if (setgroups(0, NULL) != 0 || setresgid(who->gid, who->gid, who->gid) != 0 ||
        setresuid(who->uid, who->uid, who->uid) != 0)
        _exit(126);
}

gchar **
vmf_unprivileged_environment(const char *ccache, const char *run_dir)
{
    g_autofree gchar *own = g_build_filename(run_dir, "smb.cc", NULL);
    g_autofree gchar *cache = g_strconcat("FILE:", ccache != NULL ? ccache : own, NULL);
    const char *krb5_config = g_getenv("KRB5_CONFIG");
    gchar **environment = NULL;
    environment = g_environ_setenv(environment, "PATH", "/usr/sbin:/usr/bin:/sbin:/bin", TRUE);
    environment = g_environ_setenv(environment, "LC_ALL", "C.UTF-8", TRUE);
    environment = g_environ_setenv(environment, "KRB5CCNAME", cache, TRUE);
    if (krb5_config != NULL)
        environment = g_environ_setenv(environment, "KRB5_CONFIG", krb5_config, TRUE);
    return environment;
}
