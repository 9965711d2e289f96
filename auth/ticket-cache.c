/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/ticket-cache.h"

#include <string.h>

#include "auth/krb5-util.h"

/* The ticket-granting ticket's end, or 0. */
static krb5_timestamp
end_of_tgt(krb5_context context, krb5_ccache cache, krb5_principal owner)
{
    krb5_creds wanted = {.client = owner}, found = {0};
    krb5_timestamp end = 0;
    const krb5_data *realm = &owner->realm;
    if (krb5_build_principal_ext(context, &wanted.server, realm->length, realm->data,
                                 strlen(KRB5_TGS_NAME), KRB5_TGS_NAME, realm->length, realm->data,
                                 0) != 0)
        return 0;
    if (krb5_cc_retrieve_cred(context, cache, 0, &wanted, &found) == 0) {
        end = found.times.endtime;
        krb5_free_cred_contents(context, &found);
    }
    krb5_free_principal(context, wanted.server);
    return end;
}

static VmfHostIdentity *
identity_of(krb5_context context, krb5_principal owner)
{
    char *name = NULL;
    if (krb5_unparse_name_flags(context, owner, KRB5_PRINCIPAL_UNPARSE_NO_REALM, &name) != 0)
        return NULL;
    g_autofree gchar *realm = g_strndup(owner->realm.data, owner->realm.length);
    VmfHostIdentity *identity = vmf_host_identity_new(name, realm, "");
    krb5_free_unparsed_name(context, name);
    return identity;
}

static VmfHostIdentity *
read_cache(krb5_context context, krb5_ccache cache, const char *path, GError **error)
{
    krb5_principal owner = NULL;
    VmfHostIdentity *identity = NULL;
    krb5_timestamp now = 0;
    krb5_error_code code = krb5_cc_get_principal(context, cache, &owner);
    if (code == KRB5_FCC_NOFILE)
        g_set_error(error, VMF_ERROR, VMF_ERROR_AUTH, "there is no ticket cache '%s'", path);
    else if (code != 0)
        vmf_krb5_fail(error, context, code, "ticket cache '%s'", path);
    if (code != 0)
        return NULL;
    if (krb5_timeofday(context, &now) == 0 && end_of_tgt(context, cache, owner) > now)
        identity = identity_of(context, owner);
    if (identity == NULL)
        g_set_error(error, VMF_ERROR, VMF_ERROR_AUTH,
                    "ticket cache '%s' holds no ticket that is still good", path);
    krb5_free_principal(context, owner);
    return identity;
}

VmfHostIdentity *
vmf_ticket_cache_owner(const char *path, GError **error)
{
    g_autofree gchar *name = g_strconcat("FILE:", path, NULL);
    VmfHostIdentity *identity = NULL;
    krb5_ccache cache = NULL;
    krb5_context context = vmf_krb5_context(error);
    if (context == NULL)
        return NULL;
    krb5_error_code code = krb5_cc_resolve(context, name, &cache);
    if (code == 0) {
        identity = read_cache(context, cache, path, error);
        krb5_cc_close(context, cache);
    } else {
        vmf_krb5_fail(error, context, code, "ticket cache '%s'", path);
    }
    krb5_free_context(context);
    return identity;
}
