/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/initial-ticket.h"

#include "auth/krb5-util.h"

#include <stdlib.h>
#include <string.h>

/* Asked first: libkrb5 would ask the KDC before it looks for the key, and blame the network. */
static krb5_error_code
have_key(krb5_context context, krb5_keytab keytab, krb5_principal name)
{
    krb5_keytab_entry entry;
    krb5_error_code code = krb5_kt_get_entry(context, keytab, name, 0, 0, &entry);
    if (code == 0)
        krb5_free_keytab_entry_contents(context, &entry);
    return code;
}

gboolean
vmf_initial_ticket(krb5_context context, const VmfHostIdentity *me, const char *keytab,
                   krb5_creds *creds, GError **error)
{
    krb5_principal name = NULL;
    krb5_keytab source = NULL;
    krb5_get_init_creds_opt *options = NULL;
    g_autofree gchar *keytab_name = g_strconcat("FILE:", keytab, NULL);
    krb5_enctype enctypes[G_N_ELEMENTS(vmf_aes_enctypes)];
    memcpy(enctypes, vmf_aes_enctypes, sizeof enctypes);

    krb5_error_code code = krb5_parse_name(context, me->principal, &name);
    if (code == 0)
        code = krb5_kt_resolve(context, keytab_name, &source);
    if (code == 0)
        code = have_key(context, source, name);
    if (code == 0)
        code = krb5_get_init_creds_opt_alloc(context, &options);
    if (code == 0) {
        krb5_get_init_creds_opt_set_etype_list(options, enctypes, G_N_ELEMENTS(enctypes));
        krb5_get_init_creds_opt_set_forwardable(options, 0);
        krb5_get_init_creds_opt_set_proxiable(options, 0);
        code = krb5_get_init_creds_keytab(context, creds, name, source, 0, NULL, options);
    }
    if (code != 0)
        vmf_krb5_fail(error, context, code,
                      "cannot get a Kerberos ticket for '%s' with keytab '%s'", me->principal,
                      keytab);

    if (options)
        krb5_get_init_creds_opt_free(context, options);
    if (source)
        krb5_kt_close(context, source);
    krb5_free_principal(context, name);
    return code == 0;
}

/* ---- for the next minute ---- */

static GMutex lock;
static krb5_creds *recent;
static gchar *recent_of; /* principal and keytab */
static gint64 recent_us;

/* The lock is held. */
static void
forget(krb5_context context)
{
    if (recent)
        krb5_free_creds(context, recent); /* zeroes the key */
    recent = NULL;
    g_clear_pointer(&recent_of, g_free);
}

static krb5_error_code
copy_contents(krb5_context context, const krb5_creds *from, krb5_creds *to)
{
    krb5_creds *copy = NULL;
    krb5_error_code code = krb5_copy_creds(context, from, &copy);
    if (code == 0) {
        *to = *copy;
        free(copy);
    }
    return code;
}

gboolean
vmf_recent_ticket(krb5_context context, const VmfHostIdentity *me, const char *keytab,
                  krb5_creds *creds, GError **error)
{
    g_autofree gchar *whose = g_strdup_printf("%s %s", me->principal, keytab);
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&lock);
    gint64 since = g_get_monotonic_time() - (gint64)VMF_RECENT_TICKET_S * G_USEC_PER_SEC;
    if (recent && recent_us > 0 && recent_us >= since && strcmp(recent_of, whose) == 0 &&
        copy_contents(context, recent, creds) == 0)
        return TRUE;
    forget(context);
    if (!vmf_initial_ticket(context, me, keytab, creds, error))
        return FALSE;
    if (krb5_copy_creds(context, creds, &recent) == 0) {
        recent_of = g_steal_pointer(&whose);
        recent_us = g_get_monotonic_time();
    }
    return TRUE;
}

void
vmf_recent_ticket_forget(void)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&lock);
    recent_us = 0; /* its key is zeroed when the next one takes its place */
}
