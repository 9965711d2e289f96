/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/service-keytab.h"

#include "auth/krb5-util.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Case of the host name aside (joins on hosts with capitals in their name), an exact match. */
static gboolean
same_server(const krb5_principal_data *a, const krb5_principal_data *b)
{
    if (a->length != b->length || a->realm.length != b->realm.length ||
        memcmp(a->realm.data, b->realm.data, a->realm.length) != 0)
        return FALSE;
    for (krb5_int32 i = 0; i < a->length; i++)
        if (a->data[i].length != b->data[i].length ||
            g_ascii_strncasecmp(a->data[i].data, b->data[i].data, a->data[i].length) != 0)
            return FALSE;
    return TRUE;
}

/* Copies what may be used from @file; @copied counts it. */
static krb5_error_code
copy_keys(VmfServiceKeytab *keys, krb5_keytab file, guint *copied)
{
    krb5_kt_cursor cursor = NULL;
    krb5_error_code code = krb5_kt_start_seq_get(keys->context, file, &cursor);
    if (code != 0)
        return code;
    krb5_keytab_entry entry;
    krb5_error_code added = 0;
    while (added == 0 && (code = krb5_kt_next_entry(keys->context, file, &entry, &cursor)) == 0) {
        if (vmf_enctype_is_aes(entry.key.enctype) && same_server(entry.principal, keys->server)) {
            krb5_keytab_entry ours = entry;
            ours.principal = keys->server;
            added = krb5_kt_add_entry(keys->context, keys->keytab, &ours);
            *copied += added == 0;
        }
        krb5_free_keytab_entry_contents(keys->context, &entry);
    }
    krb5_kt_end_seq_get(keys->context, file, &cursor);
    if (added != 0)
        return added;
    return code == KRB5_KT_END ? 0 : code;
}

VmfServiceKeytab *
vmf_service_keytab_new(const VmfHostIdentity *me, const char *path, GError **error)
{
    static gint serial; /* atomic: MEMORY: names are one name space per process */
    g_autoptr(VmfServiceKeytab) keys = g_new0(VmfServiceKeytab, 1);
    keys->context = vmf_krb5_context(error);
    if (keys->context == NULL)
        return NULL;
    keys->name = g_strdup_printf("MEMORY:vmferry-%d", g_atomic_int_add(&serial, 1));
    keys->server_name = g_strdup_printf("host/%s@%s", me->fqdn, me->realm);

    krb5_keytab file = NULL;
    g_autofree gchar *file_name = g_strconcat("FILE:", path, NULL);
    guint copied = 0;
    krb5_error_code code = krb5_parse_name(keys->context, keys->server_name, &keys->server);
    if (code == 0)
        code = krb5_kt_resolve(keys->context, keys->name, &keys->keytab);
    if (code == 0)
        code = krb5_kt_resolve(keys->context, file_name, &file);
    if (code == 0)
        code = copy_keys(keys, file, &copied);
    if (file)
        krb5_kt_close(keys->context, file);
    if (code != 0) {
        g_autoptr(GError) reason = NULL;
        vmf_krb5_fail(&reason, keys->context, code, "cannot read the keytab '%s'", path);
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_CONFIG, reason->message);
        return NULL;
    }
    if (copied == 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "the keytab '%s' holds no AES key of '%s'; join the host to the domain again",
                    path, keys->server_name);
        return NULL;
    }
    return g_steal_pointer(&keys);
}

static krb5_error_code
write_keys(VmfServiceKeytab *keys, krb5_keytab to)
{
    krb5_kt_cursor cursor = NULL;
    krb5_keytab_entry entry;
    krb5_error_code code = krb5_kt_start_seq_get(keys->context, keys->keytab, &cursor), added = 0;
    if (code != 0)
        return code;
    while (added == 0 &&
           (code = krb5_kt_next_entry(keys->context, keys->keytab, &entry, &cursor)) == 0) {
        added = krb5_kt_add_entry(keys->context, to, &entry);
        krb5_free_keytab_entry_contents(keys->context, &entry);
    }
    krb5_kt_end_seq_get(keys->context, keys->keytab, &cursor);
    return added != 0 ? added : code == KRB5_KT_END ? 0 : code;
}

int
vmf_service_keytab_to_fd(VmfServiceKeytab *keys, GError **error)
{
    int fd = memfd_create("vmferry-keys", MFD_CLOEXEC);
    if (fd < 0 || write(fd, "\5\2", 2) != 2) { /* an empty keytab, version 2 */
        int saved = errno;
        if (fd >= 0)
            close(fd);
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "no file in memory: %s",
                    g_strerror(saved));
        return -1;
    }
    g_autofree gchar *name = g_strdup_printf("WRFILE:/proc/self/fd/%d", fd);
    krb5_keytab file = NULL;
    krb5_error_code code = krb5_kt_resolve(keys->context, name, &file);
    if (code == 0)
        code = write_keys(keys, file);
    if (file)
        krb5_kt_close(keys->context, file);
    if (code == 0)
        return fd;
    vmf_krb5_fail(error, keys->context, code, "cannot pass on the keys of '%s'", keys->server_name);
    close(fd);
    return -1;
}

void
vmf_service_keytab_free(VmfServiceKeytab *keys)
{
    if (keys == NULL)
        return;
    if (keys->keytab)
        krb5_kt_close(keys->context, keys->keytab);
    if (keys->server)
        krb5_free_principal(keys->context, keys->server);
    if (keys->context)
        krb5_free_context(keys->context);
    g_free(keys->name);
    g_free(keys->server_name);
    g_free(keys);
}
