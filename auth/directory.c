/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/directory-private.h"

#include "auth/ldap-filter.h"
#include "policy/sid.h"
#include "src/base/error.h"

#include <string.h>

#define GROUP_TYPE_SECURITY 0x80000000u               /* MS-ADTS 2.2.12 */
#define IN_CHAIN            "1.2.840.113556.1.4.1941" /* LDAP_MATCHING_RULE_IN_CHAIN */

VmfDirectory *
vmf_directory_new(const VmfHostIdentity *me, const char *ccache)
{
    VmfDirectory *directory = g_new0(VmfDirectory, 1);
    directory->me = vmf_host_identity_copy(me);
    directory->session = vmf_ldap_session_new(me, ccache);
    g_mutex_init(&directory->lock);
    return directory;
}

void
vmf_directory_free(VmfDirectory *directory)
{
    if (directory == NULL)
        return;
    vmf_ldap_session_free(directory->session);
    vmf_host_identity_free(directory->me);
    g_mutex_clear(&directory->lock);
    g_free(directory->domain_sid);
    g_free(directory->domain_name);
    g_free(directory);
}

void
vmf_computer_free(VmfComputer *computer)
{
    if (computer == NULL)
        return;
    g_free(computer->account);
    g_free(computer->fqdn);
    g_free(computer->sid);
    g_free(computer->dn);
    g_clear_pointer(&computer->group_sids, g_ptr_array_unref);
    g_free(computer);
}

gchar *
vmf_directory_sid(GBytes *value)
{
    gsize size, used = 0;
    const guint8 *bytes = g_bytes_get_data(value, &size);
    size--; /* the NUL after the value */
    g_autofree gchar *sid = vmf_sid_from_bytes(bytes, size, &used);
    return used == size ? g_steal_pointer(&sid) : NULL;
}

static gchar *
entry_sid(const VmfLdapEntry *entry, GError **error)
{
    GPtrArray *values = vmf_ldap_entry_values(entry, "objectSid");
    gchar *sid = values && values->len == 1 ? vmf_directory_sid(values->pdata[0]) : NULL;
    if (sid == NULL)
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "the directory gives '%s' no valid objectSid", entry->dn);
    return sid;
}

/* 100 ns since 1601; nought and the largest number are both "never" (MS-ADA1 2.2) */
gint64
vmf_directory_expiry(const char *account_expires)
{
    const gint64 to_1970 = G_GINT64_CONSTANT(11644473600), units = 10000000;
    gint64 when = 0;
    if (account_expires == NULL)
        return 0;
    if (!g_ascii_string_to_signed(account_expires, 10, 0, G_MAXINT64, &when, NULL))
        return -1;
    return when == 0 || when == G_MAXINT64 ? 0 : MAX(when / units - to_1970, 1);
}

VmfComputer *
vmf_directory_read_computer(const VmfLdapEntry *entry, GError **error)
{
    g_autoptr(VmfComputer) computer = g_new0(VmfComputer, 1);
    const char *account = vmf_ldap_entry_text(entry, "sAMAccountName");
    const char *control = vmf_ldap_entry_text(entry, "userAccountControl");
    const char *fqdn = vmf_ldap_entry_text(entry, "dNSHostName");
    gint64 uac = 0;
    if (account == NULL || control == NULL ||
        !g_ascii_string_to_signed(control, 10, G_MININT32, G_MAXUINT32, &uac, NULL)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "the directory does not show sAMAccountName and userAccountControl of '%s'; "
                    "computer accounts must be allowed to read them",
                    entry->dn);
        return NULL;
    }
    computer->sid = entry_sid(entry, error);
    if (computer->sid == NULL)
        return NULL;
    computer->expires = vmf_directory_expiry(vmf_ldap_entry_text(entry, "accountExpires"));
    if (computer->expires < 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "the directory gives '%s' an accountExpires that is no number", entry->dn);
        return NULL;
    }
    computer->dn = g_strdup(entry->dn);
    computer->account = g_strdup(account);
    computer->fqdn = fqdn ? g_ascii_strdown(fqdn, -1) : NULL;
    computer->uac = (guint32)uac;
    computer->enabled = !(computer->uac & VMF_UAC_DISABLED);
    computer->workstation = (computer->uac & VMF_UAC_WORKSTATION) != 0;
    computer->group_sids = g_ptr_array_new_with_free_func(g_free);
    return g_steal_pointer(&computer);
}

static const char *const computer_attributes[] = {
    "sAMAccountName", "dNSHostName", "objectSid", "userAccountControl", "accountExpires", NULL};

/* tokenGroups is computed by the server for each base search: nested groups and the primary one. */
static gboolean
add_token_groups(VmfDirectory *directory, VmfComputer *computer, GError **error)
{
    static const char *const wanted[] = {"tokenGroups", NULL};
    const VmfLdapQuery query = {computer->dn, FALSE, "(objectClass=*)", wanted};
    g_autoptr(GPtrArray) entries = vmf_ldap_session_ask(directory->session, &query, error);
    if (entries == NULL)
        return FALSE;
    GPtrArray *values = entries->len == 1 ? vmf_ldap_entry_values(entries->pdata[0], "tokenGroups")
                                          : NULL;
    if (values == NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                    "the directory does not show '%s' the groups of '%s' (tokenGroups); add the "
                    "hosts to the group 'Windows Authorization Access Group'",
                    directory->me->account, computer->account);
        return FALSE;
    }
    for (guint i = 0; i < values->len; i++) {
        gchar *sid = vmf_directory_sid(values->pdata[i]);
        if (sid == NULL) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                        "the directory gives '%s' an invalid SID in tokenGroups", computer->dn);
            return FALSE;
        }
        g_ptr_array_add(computer->group_sids, sid);
    }
    return TRUE;
}

gchar *
vmf_directory_computer_filter(const char *name)
{
    g_autofree gchar *safe = vmf_ldap_escape(name);
    if (strchr(name, '.') && !g_str_has_suffix(name, "$"))
        return g_strdup_printf(
            "(&(objectCategory=computer)(|(servicePrincipalName=host/%s)(dNSHostName=%s)))", safe,
            safe);
    return g_strdup_printf("(&(objectCategory=computer)(sAMAccountName=%s%s))", safe,
                           g_str_has_suffix(name, "$") ? "" : "$");
}

static VmfComputer *
computer_locked(VmfDirectory *directory, const char *name, GError **error)
{
    g_autofree gchar *filter = vmf_directory_computer_filter(name);
    const VmfLdapQuery query = {NULL, TRUE, filter, computer_attributes};
    g_autoptr(GPtrArray) entries = vmf_ldap_session_ask(directory->session, &query, error);
    if (entries == NULL)
        return NULL;
    if (entries->len != 1) {
        const VmfLdapEntry *const *found = (const VmfLdapEntry *const *)entries->pdata;
        if (entries->len == 0)
            g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                        "the directory of '%s' has no computer account '%s'; check the name, and "
                        "that the host is joined to the domain",
                        directory->me->realm, name);
        else
            g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                        "the directory of '%s' has more than one computer account for '%s': '%s' "
                        "and '%s'; remove the one that is not that host's",
                        directory->me->realm, name, found[0]->dn, found[1]->dn);
        return NULL;
    }
    g_autoptr(VmfComputer) computer = vmf_directory_read_computer(entries->pdata[0], error);
    if (computer == NULL || !add_token_groups(directory, computer, error))
        return NULL;
    return g_steal_pointer(&computer);
}

VmfComputer *
vmf_directory_computer(VmfDirectory *directory, const char *account_or_fqdn, GError **error)
{
    g_mutex_lock(&directory->lock);
    VmfComputer *computer = computer_locked(directory, account_or_fqdn, error);
    g_mutex_unlock(&directory->lock);
    return computer;
}

/* The group's entry, with its SID in @sid. */
static VmfLdapEntry *
group_locked(VmfDirectory *directory, const char *name_or_sid, GPtrArray **entries, gchar **sid,
             GError **error)
{
    static const char *const wanted[] = {"objectSid", "groupType", NULL};
    guint8 bytes[VMF_SID_MAX_BYTES];
    gsize size = vmf_sid_to_bytes(name_or_sid, bytes);
    g_autofree gchar *value = size ? vmf_ldap_escape_bytes(bytes, size)
                                   : vmf_ldap_escape(name_or_sid);
    g_autofree gchar *filter = g_strdup_printf("(&(objectCategory=group)(%s=%s))",
                                               size ? "objectSid" : "sAMAccountName", value);
    const VmfLdapQuery query = {NULL, TRUE, filter, wanted};
    *entries = vmf_ldap_session_ask(directory->session, &query, error);
    if (*entries == NULL)
        return NULL;
    if ((*entries)->len != 1) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "the directory of '%s' has %s group '%s'; check the group in vmferry.conf, or "
                    "make it (samba-tool group add, New-ADGroup)",
                    directory->me->realm, (*entries)->len ? "more than one" : "no", name_or_sid);
        return NULL;
    }
    VmfLdapEntry *entry = (*entries)->pdata[0];
    const char *type = vmf_ldap_entry_text(entry, "groupType");
    gint64 bits = 0;
    if (type == NULL || !g_ascii_string_to_signed(type, 10, G_MININT32, G_MAXUINT32, &bits, NULL) ||
        !((guint32)bits & GROUP_TYPE_SECURITY)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "the group '%s' is a distribution list, which is in no ticket; use a security "
                    "group",
                    name_or_sid);
        return NULL;
    }
    *sid = entry_sid(entry, error);
    return *sid ? entry : NULL;
}

gchar *
vmf_directory_group_sid(VmfDirectory *directory, const char *name_or_sid, GError **error)
{
    g_autoptr(GPtrArray) entries = NULL;
    gchar *sid = NULL;
    g_mutex_lock(&directory->lock);
    group_locked(directory, name_or_sid, &entries, &sid, error);
    g_mutex_unlock(&directory->lock);
    return sid;
}

gchar *
vmf_directory_domain_sid_locked(VmfDirectory *directory, GError **error)
{
    static const char *const wanted[] = {"objectSid", NULL};
    if (directory->domain_sid)
        return g_strdup(directory->domain_sid);
    const VmfLdapQuery query = {NULL, FALSE, "(objectClass=*)", wanted};
    g_autoptr(GPtrArray) entries = vmf_ldap_session_ask(directory->session, &query, error);
    if (entries == NULL)
        return NULL;
    if (entries->len != 1) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "the directory of '%s' does not show the domain's own entry",
                    directory->me->realm);
        return NULL;
    }
    directory->domain_sid = entry_sid(entries->pdata[0], error);
    return g_strdup(directory->domain_sid);
}

gchar *
vmf_directory_domain_sid(VmfDirectory *directory, GError **error)
{
    g_mutex_lock(&directory->lock);
    gchar *sid = vmf_directory_domain_sid_locked(directory, error);
    g_mutex_unlock(&directory->lock);
    return sid;
}

static gint
compare_computers(gconstpointer a, gconstpointer b)
{
    const VmfComputer *x = *(VmfComputer *const *)a, *y = *(VmfComputer *const *)b;
    return g_strcmp0(x->fqdn ? x->fqdn : x->account, y->fqdn ? y->fqdn : y->account);
}

/*
 * Members through member attributes, nested, and those whose primary group it is (which member
 * attributes do not show).
 */
static gchar *
members_filter(const VmfLdapEntry *group, const char *group_sid, const char *domain_sid)
{
    g_autofree gchar *dn = vmf_ldap_escape(group->dn);
    g_autofree gchar *domain = vmf_sid_domain(group_sid);
    g_autofree gchar *primary = domain && strcmp(domain, domain_sid) == 0
                                    ? g_strdup_printf("(primaryGroupID=%s)",
                                                      strrchr(group_sid, '-') + 1)
                                    : g_strdup("");
    return g_strdup_printf("(&(objectCategory=computer)(|(memberOf:" IN_CHAIN ":=%s)%s))", dn,
                           primary);
}

static GPtrArray *
group_computers_locked(VmfDirectory *directory, const char *group_sid, GError **error)
{
    g_autofree gchar *domain_sid = vmf_directory_domain_sid_locked(directory, error);
    if (domain_sid == NULL)
        return NULL;
    g_autoptr(GPtrArray) groups = NULL;
    g_autofree gchar *sid = NULL;
    const VmfLdapEntry *group = group_locked(directory, group_sid, &groups, &sid, error);
    if (group == NULL)
        return NULL;
    g_autofree gchar *filter = members_filter(group, sid, domain_sid);
    const VmfLdapQuery query = {NULL, TRUE, filter, computer_attributes};
    g_autoptr(GPtrArray) entries = vmf_ldap_session_ask(directory->session, &query, error);
    if (entries == NULL)
        return NULL;

    g_autoptr(GPtrArray)
        computers = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_computer_free);
    for (guint i = 0; i < entries->len; i++) {
        VmfComputer *computer = vmf_directory_read_computer(entries->pdata[i], error);
        if (computer == NULL)
            return NULL;
        g_ptr_array_add(computers, computer);
    }
    g_ptr_array_sort(computers, compare_computers);
    return g_steal_pointer(&computers);
}

GPtrArray *
vmf_directory_group_computers(VmfDirectory *directory, const char *group_sid, GError **error)
{
    g_mutex_lock(&directory->lock);
    GPtrArray *computers = group_computers_locked(directory, group_sid, error);
    g_mutex_unlock(&directory->lock);
    return computers;
}

gchar *
vmf_directory_server(VmfDirectory *directory)
{
    g_mutex_lock(&directory->lock);
    gchar *server = g_strdup(vmf_ldap_session_server(directory->session));
    g_mutex_unlock(&directory->lock);
    return server;
}
