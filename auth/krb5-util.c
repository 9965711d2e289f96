/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/krb5-util.h"

#include <errno.h>

const krb5_enctype vmf_aes_enctypes[4] = {
    ENCTYPE_AES256_CTS_HMAC_SHA1_96,
    ENCTYPE_AES128_CTS_HMAC_SHA1_96,
    ENCTYPE_AES256_CTS_HMAC_SHA384_192,
    ENCTYPE_AES128_CTS_HMAC_SHA256_128,
};

gboolean
vmf_enctype_is_aes(krb5_enctype enctype)
{
    for (gsize i = 0; i < G_N_ELEMENTS(vmf_aes_enctypes); i++)
        if (vmf_aes_enctypes[i] == enctype)
            return TRUE;
    return FALSE;
}

gchar *
vmf_enctype_name(krb5_enctype enctype)
{
    char name[100];
    if (krb5_enctype_to_name(enctype, FALSE, name, sizeof name) != 0)
        return g_strdup_printf("encryption type %d", (int)enctype);
    return g_strdup_printf("%s (%d)", name, (int)enctype);
}

#define CLOCK_CURE                                                                                 \
    "the clocks of the two differ by more than 5 minutes: see chronyc tracking or timedatectl on " \
    "each, and set the wrong one"

static const struct {
    krb5_error_code code;
    VmfError ours;
    const char *cure;
} known_codes[] = {
    {KRB5_KDC_UNREACH, VMF_ERROR_UNREACHABLE,
     "check that the domain controllers answer on port 88 and that DNS finds them"},
    {KRB5_REALM_UNKNOWN, VMF_ERROR_UNREACHABLE,
     "check that DNS has _kerberos._udp records of the realm, or name its KDCs in krb5.conf"},
    {KRB5_REALM_CANT_RESOLVE, VMF_ERROR_UNREACHABLE,
     "check that DNS resolves the domain controllers' names"},
    {KRB5KDC_ERR_SVC_UNAVAILABLE, VMF_ERROR_UNREACHABLE, "try again when the KDC is up"},
    {KRB5KDC_ERR_CLIENT_REVOKED, VMF_ERROR_AUTH,
     "enable or unlock the computer account in the directory"},
    {KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN, VMF_ERROR_AUTH,
     "the computer account is gone: join the host to the domain again"},
    {KRB5KDC_ERR_PREAUTH_FAILED, VMF_ERROR_AUTH,
     "the keytab does not hold the account's present key: join the host to the domain again"},
    {KRB5KDC_ERR_KEY_EXP, VMF_ERROR_AUTH,
     "the account's password has expired: renew it (adcli update, net ads changetrustpw)"},
    {KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN, VMF_ERROR_AUTH,
     "no account has this service principal: check the host name, and join that host to the "
     "domain"},
    {KRB5KDC_ERR_ETYPE_NOSUPP, VMF_ERROR_AUTH,
     "the account has no AES key: set its msDS-SupportedEncryptionTypes to 24 and renew its "
     "password"},
    {KRB5KRB_AP_ERR_SKEW, VMF_ERROR_AUTH, CLOCK_CURE},
    {KRB5_KDCREP_SKEW, VMF_ERROR_AUTH, CLOCK_CURE},
    {KRB5KRB_AP_ERR_REPEAT, VMF_ERROR_AUTH, "somebody sent a copy of an earlier connection"},
    {KRB5KRB_AP_ERR_TKT_EXPIRED, VMF_ERROR_AUTH, "the ticket must be renewed"},
    {KRB5KRB_AP_ERR_MODIFIED, VMF_ERROR_AUTH,
     "the other end does not hold the key of this service principal, or was joined again since"},
    {KRB5KRB_AP_ERR_BAD_INTEGRITY, VMF_ERROR_AUTH,
     "the ticket is not for this host's present key: the keytab may be stale"},
    {KRB5KRB_AP_ERR_NOT_US, VMF_ERROR_AUTH, "the ticket is for another service"},
    {KRB5KRB_AP_ERR_NOKEY, VMF_ERROR_AUTH,
     "the keytab has no AES key of this version: it may be stale, or the ticket is for RC4"},
    {KRB5KRB_AP_ERR_BADKEYVER, VMF_ERROR_AUTH,
     "the keytab has no AES key of this version: it may be stale, or the ticket is for RC4"},
    {KRB5_NO_TKT_IN_RLM, VMF_ERROR_AUTH, NULL},
    {KRB5_CC_NOTFOUND, VMF_ERROR_AUTH, "get a ticket first"},
    {KRB5_FCC_NOFILE, VMF_ERROR_AUTH, "get a ticket first"},
    {KRB5_KT_NOTFOUND, VMF_ERROR_CONFIG, "join the host to the domain (net ads join, adcli join)"},
    {ENOENT, VMF_ERROR_CONFIG, "join the host to the domain (net ads join, adcli join)"},
    {EACCES, VMF_ERROR_CONFIG, "run as a user who may read and write there"},
    {EPERM, VMF_ERROR_CONFIG, "run as a user who may read and write there"},
    {EROFS, VMF_ERROR_CONFIG, NULL},
    {ENOSPC, VMF_ERROR_CONFIG, "make room"},
    {ENOMEM, VMF_ERROR_INTERNAL, NULL},
};

VmfError
vmf_krb5_error_code(krb5_error_code code)
{
    for (gsize i = 0; i < G_N_ELEMENTS(known_codes); i++)
        if (known_codes[i].code == code)
            return known_codes[i].ours;
    return VMF_ERROR_AUTH;
}

const char *
vmf_krb5_cure(krb5_error_code code)
{
    for (gsize i = 0; i < G_N_ELEMENTS(known_codes); i++)
        if (known_codes[i].code == code)
            return known_codes[i].cure;
    return NULL;
}

gboolean
vmf_krb5_fail(GError **error, krb5_context context, krb5_error_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree gchar *what = g_strdup_vprintf(format, args);
    va_end(args);

    const char *text = krb5_get_error_message(context, code);
    const char *cure = vmf_krb5_cure(code);
    g_set_error(error, VMF_ERROR, vmf_krb5_error_code(code), "%s: %s%s%s", what, text,
                cure ? "; " : "", cure ? cure : "");
    krb5_free_error_message(context, text);
    return FALSE;
}

krb5_context
vmf_krb5_context(GError **error)
{
    krb5_context context = NULL;
    krb5_error_code code = krb5_init_context(&context);
    if (code != 0)
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "cannot use Kerberos: error %d while reading krb5.conf; mend that file",
                    (int)code);
    return context;
}
