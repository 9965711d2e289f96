/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/ticket-times.h"

#include "src/base/error.h"

#include <krb5.h>
#include <string.h>

static gboolean
is_service(const krb5_principal_data *principal, const char *service, const char *instance)
{
    if (principal->length < 2)
        return FALSE;
    const krb5_data *first = &principal->data[0];
    const krb5_data *second = &principal->data[1];
    if (first->length != strlen(service) || memcmp(first->data, service, first->length) != 0)
        return FALSE;
    return instance == NULL || (second->length == strlen(instance) &&
                                g_ascii_strncasecmp(second->data, instance, second->length) == 0);
}

/* Returns: the ticket-granting ticket's times cut to the share's ticket; end 0: none */
static VmfTicketTimes
scan_cache(krb5_context context, krb5_ccache cache, const char *server)
{
    VmfTicketTimes times = {0};
    gint64 share_end = 0;
    krb5_cc_cursor cursor;
    krb5_creds creds;

    if (krb5_cc_start_seq_get(context, cache, &cursor) != 0)
        return times;
    while (krb5_cc_next_cred(context, cache, &cursor, &creds) == 0) {
        /* the times are 32 bits wide and unsigned since 2038 is near: MIT krb5's own reading */
        gint64 end = (guint32)creds.times.endtime;
        guint32 start = creds.times.starttime != 0 ? (guint32)creds.times.starttime
                                                   : (guint32)creds.times.authtime;
        if (is_service(creds.server, "krbtgt", NULL) && end > times.end)
            times = (VmfTicketTimes){.start = start, .end = end};
        else if (is_service(creds.server, "cifs", server))
            share_end = MAX(share_end, end);
        krb5_free_cred_contents(context, &creds);
    }
    krb5_cc_end_seq_get(context, cache, &cursor);
    if (times.end != 0 && share_end > times.start)
        times.end = MIN(times.end, share_end);
    return times;
}

gboolean
vmf_ticket_times_read(const char *server, VmfTicketTimes *times, GError **error)
{
    krb5_context context = NULL;
    krb5_ccache cache = NULL;
    VmfTicketTimes found = {0};
    g_autofree gchar *name = NULL;

    krb5_error_code code = krb5_init_context(&context);
    if (code == 0) {
        name = g_strdup(krb5_cc_default_name(context));
        code = krb5_cc_default(context, &cache);
    }
    if (code == 0)
        found = scan_cache(context, cache, server);
    if (cache != NULL)
        krb5_cc_close(context, cache);
    if (context != NULL)
        krb5_free_context(context);

    if (found.end == 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_AUTH,
                    "no Kerberos ticket for the file server '%s' in '%s': vmferryd keeps this "
                    "cache; see its log for why it could not get a ticket",
                    server, name != NULL ? name : "the default cache");
        return FALSE;
    }
    *times = found;
    return TRUE;
}
