/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/keytab-facts.h"

#include "auth/initial-ticket.h"
#include "auth/krb5-util.h"

#include <sys/stat.h>

#define MAX_KEYS 1000 /* a joined host has some dozens */

static void
add_key(krb5_context context, const krb5_keytab_entry *entry, VmfFactKeytab *facts)
{
    char *name = NULL;
    if (krb5_unparse_name(context, entry->principal, &name) != 0)
        return;
    g_autofree gchar *valid = g_utf8_make_valid(name, -1);
    VmfFactKey *key = vmf_fact_key_new();
    vmf_fact_set(&key->principal, valid);
    key->kvno = entry->vno;
    key->enctype = (guint)entry->key.enctype;
    g_ptr_array_add(facts->keys, key);
    krb5_free_unparsed_name(context, name);
}

static krb5_error_code
read_keys(krb5_context context, const char *path, VmfFactKeytab *facts)
{
    g_autofree gchar *name = g_strconcat("FILE:", path, NULL);
    krb5_keytab keytab = NULL;
    krb5_kt_cursor cursor = NULL;
    krb5_keytab_entry entry;
    krb5_error_code code = krb5_kt_resolve(context, name, &keytab);
    if (code == 0)
        code = krb5_kt_start_seq_get(context, keytab, &cursor);
    if (code == 0) {
        while ((code = krb5_kt_next_entry(context, keytab, &entry, &cursor)) == 0) {
            if (facts->keys->len < MAX_KEYS)
                add_key(context, &entry, facts);
            krb5_free_keytab_entry_contents(context, &entry); /* zeroes the key */
        }
        krb5_kt_end_seq_get(context, keytab, &cursor);
    }
    if (keytab)
        krb5_kt_close(context, keytab);
    return code == KRB5_KT_END ? 0 : code;
}

static void
try_keys(krb5_context context, const VmfHostIdentity *me, const char *path, VmfFactKeytab *facts)
{
    g_autoptr(GError) error = NULL;
    krb5_creds ticket = {0};
    facts->works = vmf_initial_ticket(context, me, path, &ticket, &error);
    if (facts->works)
        krb5_free_cred_contents(context, &ticket); /* zeroes the session key */
    else
        vmf_fact_set(&facts->problem, error->message);
}

/* The file as it is now: another one after a change of the password, or a new join. */
static gchar *
describe_file(const char *path)
{
    struct stat file;
    if (stat(path, &file) != 0)
        return NULL;
    return g_strdup_printf("%s %lu %ld %ld.%09ld", path, (unsigned long)file.st_ino,
                           (long)file.st_size, (long)file.st_mtim.tv_sec, file.st_mtim.tv_nsec);
}

/* Whether the keys work: asked, or remembered. */
static void
learn(krb5_context context, const VmfHostIdentity *me, const char *path, gboolean brief,
      VmfFactKeytab *facts)
{
    static GMutex lock;
    static gchar *worked; /* the file of the last success */
    static gint64 worked_us;
    g_autofree gchar *file = describe_file(path);
    gint64 since = g_get_monotonic_time() - (gint64)VMF_KEYTAB_MEMORY_S * G_USEC_PER_SEC;
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&lock);
    facts->works = brief && file && worked_us >= since && g_strcmp0(worked, file) == 0;
    if (facts->works)
        return;
    try_keys(context, me, path, facts);
    g_free(worked);
    worked = facts->works ? g_steal_pointer(&file) : NULL;
    worked_us = g_get_monotonic_time();
}

void
vmf_keytab_facts_gather(const VmfHostIdentity *me, const char *path, gboolean brief,
                        VmfFactKeytab *facts)
{
    const char *from = path != NULL ? path : VMF_DEFAULT_KEYTAB;
    g_autoptr(GError) error = NULL;
    vmf_fact_set(&facts->path, from);
    krb5_context context = vmf_krb5_context(&error);
    krb5_error_code code = context != NULL ? read_keys(context, from, facts) : 0;
    if (code != 0)
        vmf_krb5_fail(&error, context, code, "cannot read the keytab '%s'", from);
    if (error != NULL)
        vmf_fact_set(&facts->reason, error->message);
    else if (me != NULL)
        learn(context, me, from, brief, facts);
    else
        vmf_fact_set(&facts->problem, "the keytab does not say who this host is");
    if (context)
        krb5_free_context(context);
}
