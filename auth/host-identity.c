/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/host-identity.h"

#include "auth/krb5-util.h"

#include <string.h>

VmfHostIdentity *
vmf_host_identity_new(const char *account, const char *realm, const char *fqdn)
{
    VmfHostIdentity *me = g_new0(VmfHostIdentity, 1);
    me->account = g_strdup(account);
    me->realm = g_strdup(realm);
    me->principal = g_strdup_printf("%s@%s", account, realm);
    me->fqdn = g_ascii_strdown(fqdn, -1);
    return me;
}

VmfHostIdentity *
vmf_host_identity_copy(const VmfHostIdentity *me)
{
    return vmf_host_identity_new(me->account, me->realm, me->fqdn);
}

void
vmf_host_identity_free(VmfHostIdentity *me)
{
    if (me == NULL)
        return;
    g_free(me->account);
    g_free(me->realm);
    g_free(me->principal);
    g_free(me->fqdn);
    g_free(me);
}

/* What the entries of a keytab name; each list without duplicates. */
typedef struct {
    GPtrArray *computers; /* "HV1$@LAB.TEST" */
    GPtrArray *hosts;     /* "hv1.lab.test@LAB.TEST" */
    gboolean weak;        /* some entry of ours was left out for its encryption type */
} Entries;

static void
add_once(GPtrArray *list, gchar *text)
{
    if (g_ptr_array_find_with_equal_func(list, text, g_str_equal, NULL))
        g_free(text);
    else
        g_ptr_array_add(list, text);
}

static void
note_entry(Entries *found, const krb5_keytab_entry *entry)
{
    const krb5_principal_data *name = entry->principal;
    g_autofree gchar *realm = g_strndup(name->realm.data, name->realm.length);
    g_autofree gchar *first = name->length > 0 ? g_strndup(name->data[0].data, name->data[0].length)
                                               : g_strdup("");
    g_autofree gchar *text = NULL;
    GPtrArray *list = NULL;

    if (name->length == 1 && g_str_has_suffix(first, "$")) {
        text = g_strdup_printf("%s@%s", first, realm);
        list = found->computers;
    } else if (name->length == 2 && strcmp(first, "host") == 0) {
        g_autofree gchar *host = g_strndup(name->data[1].data, name->data[1].length);
        g_autofree gchar *lower = g_ascii_strdown(host, -1);
        if (strchr(host, '.') == NULL)
            return;
        text = g_strdup_printf("%s@%s", lower, realm);
        list = found->hosts;
    } else {
        return;
    }

    if (vmf_enctype_is_aes(entry->key.enctype))
        add_once(list, g_steal_pointer(&text));
    else
        found->weak = TRUE;
}

static gboolean
read_entries(const char *path, Entries *found, GError **error)
{
    krb5_context context = vmf_krb5_context(error);
    if (context == NULL)
        return FALSE;

    g_autofree gchar *name = g_strconcat("FILE:", path, NULL);
    krb5_keytab keytab = NULL;
    krb5_kt_cursor cursor = NULL;
    krb5_error_code code = krb5_kt_resolve(context, name, &keytab);
    if (code == 0)
        code = krb5_kt_start_seq_get(context, keytab, &cursor);
    if (code == 0) {
        krb5_keytab_entry entry;
        while ((code = krb5_kt_next_entry(context, keytab, &entry, &cursor)) == 0) {
            note_entry(found, &entry);
            krb5_free_keytab_entry_contents(context, &entry); /* zeroes the key */
        }
        krb5_kt_end_seq_get(context, keytab, &cursor);
        if (code == KRB5_KT_END)
            code = 0;
    }
    if (code != 0) {
        vmf_krb5_fail(error, context, code, "cannot read the keytab '%s'", path);
        if (error && *error)
            (*error)->code = VMF_ERROR_CONFIG;
    }
    if (keytab)
        krb5_kt_close(context, keytab);
    krb5_free_context(context);
    return code == 0;
}

/* Of several names of this host, the one that begins like its account: the others are aliases. */
static const gchar *
choose_host(const GPtrArray *hosts, const char *account, const char *realm)
{
    g_autofree gchar *short_name = g_strndup(account, strlen(account) - 1);
    g_autofree gchar *prefix = g_strconcat(short_name, ".", NULL);
    g_autofree gchar *suffix = g_strconcat("@", realm, NULL);
    const gchar *chosen = NULL, *only = NULL;
    guint alike = 0, in_realm = 0;
    for (guint i = 0; i < hosts->len; i++) {
        const gchar *host = hosts->pdata[i];
        if (!g_str_has_suffix(host, suffix))
            continue;
        in_realm++;
        only = host;
        if (g_ascii_strncasecmp(host, prefix, strlen(prefix)) == 0) {
            alike++;
            chosen = host;
        }
    }
    if (alike == 1)
        return chosen;
    return in_realm == 1 ? only : NULL;
}

static VmfHostIdentity *
judge_entries(const char *path, const Entries *found, GError **error)
{
    const char *weak = found->weak ? " with an AES key (those with RC4 or DES keys do not count)"
                                   : "";
    if (found->computers->len == 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "the keytab '%s' holds no entry COMPUTER$%s; join the host to the domain "
                    "(net ads join, adcli join)",
                    path, weak);
        return NULL;
    }
    if (found->computers->len > 1) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "the keytab '%s' holds more than one computer account ('%s' and '%s'); remove "
                    "the one that is not this host's (ktutil, adcli join)",
                    path, (char *)found->computers->pdata[0], (char *)found->computers->pdata[1]);
        return NULL;
    }

    g_auto(GStrv) computer = g_strsplit(found->computers->pdata[0], "@", 2);
    const gchar *host = choose_host(found->hosts, computer[0], computer[1]);
    if (host == NULL) {
        g_autofree gchar *list = g_strjoinv(", ", (gchar **)found->hosts->pdata);
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "the keytab '%s' of '%s' holds no single entry host/FQDN%s (found: %s); add it "
                    "(net ads keytab add host, adcli update --service-name=host)",
                    path, (char *)found->computers->pdata[0], weak, *list ? list : "none");
        return NULL;
    }
    g_autofree gchar *fqdn = g_strndup(host, (gsize)(strrchr(host, '@') - host));
    return vmf_host_identity_new(computer[0], computer[1], fqdn);
}

VmfHostIdentity *
vmf_host_identity_read(const char *keytab, GError **error)
{
    const char *path = keytab ? keytab : VMF_DEFAULT_KEYTAB;
    g_autoptr(GPtrArray) computers = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) hosts = g_ptr_array_new_null_terminated(4, g_free, TRUE);
    Entries found = {computers, hosts, FALSE};
    if (!read_entries(path, &found, error))
        return NULL;
    return judge_entries(path, &found, error);
}
