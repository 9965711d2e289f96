/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/ticket-keeper.h"

#include "auth/initial-ticket.h"
#include "auth/krb5-util.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct _VmfTicketKeeper {
    VmfHostIdentity *me; /* immutable, as are the next five */
    gchar *keytab;
    gchar *path;
    gchar *work_dir; /* PATH.new, 0700, exists only during a refresh */
    uid_t owner;
    gid_t group;

    GMutex refresh_lock; /* one refresh at a time; held over the network; taken before times_lock */
    GMutex times_lock;   /* guards what follows */
    gint64 start_time;   /* unix seconds; 0: no ticket */
    gint64 end_time;
};

static void
set_times(VmfTicketKeeper *keeper, const krb5_creds *creds)
{
    /* KDC times are 32 bits, good until 2106 when taken as unsigned */
    guint32 start = (guint32)(creds->times.starttime ? creds->times.starttime
                                                     : creds->times.authtime);
    g_mutex_lock(&keeper->times_lock);
    keeper->start_time = start;
    keeper->end_time = (guint32)creds->times.endtime;
    g_mutex_unlock(&keeper->times_lock);
}

/* The service name of our realm's TGT, "krbtgt/REALM@REALM". */
static krb5_error_code
tgt_name(krb5_context context, const char *realm, krb5_principal *name)
{
    return krb5_build_principal(context, name, (unsigned)strlen(realm), realm, KRB5_TGS_NAME, realm,
                                (char *)NULL);
}

/* Finds the times of @keeper's TGT in the cache file that is in place; leaves 0 if there is none. */
static void
look_at_cache(VmfTicketKeeper *keeper, krb5_context context)
{
    g_autofree gchar *name = g_strconcat("FILE:", keeper->path, NULL);
    krb5_ccache cache = NULL;
    krb5_creds wanted = {0}, found = {0};
    if (krb5_cc_resolve(context, name, &cache) == 0 &&
        krb5_parse_name(context, keeper->me->principal, &wanted.client) == 0 &&
        tgt_name(context, keeper->me->realm, &wanted.server) == 0 &&
        krb5_cc_retrieve_cred(context, cache, 0, &wanted, &found) == 0) {
        set_times(keeper, &found);
        krb5_free_cred_contents(context, &found);
    }
    krb5_free_cred_contents(context, &wanted);
    if (cache)
        krb5_cc_close(context, cache);
}

VmfTicketKeeper *
vmf_ticket_keeper_new(const VmfHostIdentity *me, const char *keytab, const char *cache_path,
                      uid_t owner, gid_t group)
{
    VmfTicketKeeper *keeper = g_new0(VmfTicketKeeper, 1);
    keeper->me = vmf_host_identity_copy(me);
    keeper->keytab = g_strdup(keytab ? keytab : VMF_DEFAULT_KEYTAB);
    keeper->path = g_strdup(cache_path);
    keeper->work_dir = g_strconcat(cache_path, ".new", NULL);
    keeper->owner = owner;
    keeper->group = group;
    g_mutex_init(&keeper->refresh_lock);
    g_mutex_init(&keeper->times_lock);

    krb5_context context = vmf_krb5_context(NULL);
    if (context) {
        look_at_cache(keeper, context);
        krb5_free_context(context);
    }
    return keeper;
}

void
vmf_ticket_keeper_free(VmfTicketKeeper *keeper)
{
    if (keeper == NULL)
        return;
    vmf_host_identity_free(keeper->me);
    g_free(keeper->keytab);
    g_free(keeper->path);
    g_free(keeper->work_dir);
    g_mutex_clear(&keeper->refresh_lock);
    g_mutex_clear(&keeper->times_lock);
    g_free(keeper);
}

static gboolean
fail_errno(GError **error, const char *what, const char *path)
{
    int saved = errno;
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                "cannot %s the ticket cache '%s': %s; its directory must exist and be writable",
                what, path, g_strerror(saved));
    return FALSE;
}

/* An empty private directory of ours; one that a crash left behind is emptied first. */
static gboolean
make_work_dir(VmfTicketKeeper *keeper, const char *file, GError **error)
{
    if (g_mkdir(keeper->work_dir, 0700) == 0)
        return TRUE;
    if (errno == EEXIST && (unlink(file) == 0 || errno == ENOENT) && rmdir(keeper->work_dir) == 0 &&
        g_mkdir(keeper->work_dir, 0700) == 0)
        return TRUE;
    return fail_errno(error, "make a directory beside", keeper->path);
}

static gboolean
write_cache(krb5_context context, const char *file, krb5_creds *creds, GError **error)
{
    g_autofree gchar *name = g_strconcat("FILE:", file, NULL);
    krb5_ccache cache = NULL;
    krb5_error_code code = krb5_cc_resolve(context, name, &cache);
    if (code == 0)
        code = krb5_cc_initialize(context, cache, creds->client);
    if (code == 0)
        code = krb5_cc_store_cred(context, cache, creds);
    if (code != 0)
        vmf_krb5_fail(error, context, code, "cannot write the ticket cache '%s'", file);
    if (cache)
        krb5_cc_close(context, cache);
    return code == 0;
}

/* libsmbclient's Heimdal and ours agree on version 4; krb5.conf (ccache_type) could say otherwise. */
static gboolean
hand_over_file(VmfTicketKeeper *keeper, const char *file, GError **error)
{
    int fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(error, "open", file);
    guint8 magic[2] = {0, 0};
    gboolean ok = read(fd, magic, sizeof magic) == sizeof magic && magic[0] == 5 && magic[1] == 4;
    if (!ok)
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "the ticket cache '%s' is not of format version 4, which libsmbclient needs; "
                    "remove 'ccache_type' from krb5.conf",
                    file);
    else if (fchown(fd, keeper->owner, keeper->group) != 0 || fchmod(fd, 0600) != 0)
        ok = fail_errno(error, "give away", file);
    close(fd);
    if (ok && rename(file, keeper->path) != 0)
        ok = fail_errno(error, "put in place", keeper->path);
    return ok;
}

static gboolean
replace_cache(VmfTicketKeeper *keeper, krb5_context context, krb5_creds *creds, GError **error)
{
    g_autofree gchar *file = g_build_filename(keeper->work_dir, "cc", NULL);
    if (!make_work_dir(keeper, file, error))
        return FALSE;
    gboolean ok = write_cache(context, file, creds, error) && hand_over_file(keeper, file, error);
    if (!ok)
        unlink(file);
    rmdir(keeper->work_dir);
    return ok;
}

static gboolean
refresh_locked(VmfTicketKeeper *keeper, GError **error)
{
    krb5_context context = vmf_krb5_context(error);
    if (context == NULL)
        return FALSE;
    krb5_creds creds = {0};
    gboolean ok = vmf_initial_ticket(context, keeper->me, keeper->keytab, &creds, error);
    if (ok) {
        ok = replace_cache(keeper, context, &creds, error);
        if (ok)
            set_times(keeper, &creds);
        krb5_free_cred_contents(context, &creds);
    }
    krb5_free_context(context);
    return ok;
}

gboolean
vmf_ticket_keeper_refresh(VmfTicketKeeper *keeper, GError **error)
{
    g_mutex_lock(&keeper->refresh_lock);
    gboolean ok = refresh_locked(keeper, error);
    g_mutex_unlock(&keeper->refresh_lock);
    return ok;
}

gboolean
vmf_ticket_keeper_ensure(VmfTicketKeeper *keeper, gint64 min_left_s, GError **error)
{
    g_mutex_lock(&keeper->refresh_lock);
    gint64 left = vmf_ticket_keeper_end_time(keeper) - g_get_real_time() / G_USEC_PER_SEC;
    /* the file may have been removed under us: then nothing is left of the ticket either */
    gboolean good = left >= min_left_s && g_access(keeper->path, F_OK) == 0;
    gboolean ok = good || refresh_locked(keeper, error);
    g_mutex_unlock(&keeper->refresh_lock);
    return ok;
}

gint64
vmf_ticket_keeper_end_time(VmfTicketKeeper *keeper)
{
    g_mutex_lock(&keeper->times_lock);
    gint64 time = keeper->end_time;
    g_mutex_unlock(&keeper->times_lock);
    return time;
}

gint64
vmf_ticket_keeper_start_time(VmfTicketKeeper *keeper)
{
    g_mutex_lock(&keeper->times_lock);
    gint64 time = keeper->start_time;
    g_mutex_unlock(&keeper->times_lock);
    return time;
}

const char *
vmf_ticket_keeper_cache_path(VmfTicketKeeper *keeper)
{
    return keeper->path;
}
