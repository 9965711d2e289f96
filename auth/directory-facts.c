/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/directory-facts.h"

#include "auth/directory-private.h"
#include "auth/ldap-filter.h"
#include "policy/sid.h"
#include "src/base/error.h"

#include <string.h>

/* ---- an account ---- */

static guint
number_of(const VmfLdapEntry *entry, const char *attribute)
{
    const char *text = vmf_ldap_entry_text(entry, attribute);
    gint64 value = 0;
    if (text == NULL || !g_ascii_string_to_signed(text, 10, G_MININT32, G_MAXUINT32, &value, NULL))
        return 0;
    return (guint)(guint32)value;
}

/* The SIDs of an attribute with many; FALSE: one of them is none. */
gboolean
vmf_directory_take_sids(const VmfLdapEntry *entry, const char *attribute, gchar ***member,
                        GError **error)
{
    GPtrArray *values = vmf_ldap_entry_values(entry, attribute);
    g_autoptr(GPtrArray) sids = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; values != NULL && i < values->len; i++) {
        gchar *sid = vmf_directory_sid(values->pdata[i]);
        if (sid == NULL) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                        "the directory gives '%s' an invalid SID in %s", entry->dn, attribute);
            return FALSE;
        }
        g_ptr_array_add(sids, sid);
    }
    g_ptr_array_add(sids, NULL);
    g_strfreev(*member);
    *member = (gchar **)g_ptr_array_free(g_steal_pointer(&sids), FALSE);
    return TRUE;
}

gboolean
vmf_directory_take_account(const VmfLdapEntry *entry, VmfFactComputer *facts, guint *kvno,
                           GError **error)
{
    GPtrArray *sids = vmf_ldap_entry_values(entry, "objectSid");
    g_autofree gchar *sid = sids != NULL && sids->len == 1 ? vmf_directory_sid(sids->pdata[0])
                                                           : NULL;
    const char *account = vmf_ldap_entry_text(entry, "sAMAccountName");
    const char *fqdn = vmf_ldap_entry_text(entry, "dNSHostName");
    if (sid == NULL || account == NULL ||
        vmf_ldap_entry_text(entry, "userAccountControl") == NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                    "the directory does not show objectSid, sAMAccountName and userAccountControl "
                    "of '%s'; computer accounts must be allowed to read them",
                    entry->dn);
        return FALSE;
    }
    g_autofree gchar *lower = g_ascii_strdown(fqdn != NULL ? fqdn : "", -1);
    vmf_fact_set(&facts->account, account);
    vmf_fact_set(&facts->fqdn, lower);
    vmf_fact_set(&facts->sid, sid);
    facts->uac = number_of(entry, "userAccountControl");
    facts->primary_rid = number_of(entry, "primaryGroupID");
    if (kvno != NULL)
        *kvno = number_of(entry, "msDS-KeyVersionNumber");
    return vmf_directory_take_sids(entry, "sIDHistory", &facts->sid_history, error);
}

/* tokenGroups is computed for a base search only. */
static gboolean
take_groups(VmfDirectory *directory, const char *dn, VmfFactComputer *facts, GError **error)
{
    static const char *const wanted[] = {"tokenGroups", NULL};
    const VmfLdapQuery query = {dn, FALSE, "(objectClass=*)", wanted};
    g_autoptr(GPtrArray) entries = vmf_ldap_session_ask(directory->session, &query, error);
    if (entries == NULL)
        return FALSE;
    if (entries->len == 1 && vmf_ldap_entry_values(entries->pdata[0], "tokenGroups") != NULL)
        return vmf_directory_take_sids(entries->pdata[0], "tokenGroups", &facts->group_sids, error);
    g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                "the directory does not show '%s' the groups of '%s' (tokenGroups); add the hosts "
                "to the group 'Windows Authorization Access Group'",
                directory->me->account, facts->account);
    return FALSE;
}

static gboolean
computer_locked(VmfDirectory *directory, const char *name, VmfFactComputer *facts, guint *kvno,
                GError **error)
{
    static const char *const wanted[] = {"sAMAccountName",
                                         "dNSHostName",
                                         "objectSid",
                                         "userAccountControl",
                                         "primaryGroupID",
                                         "sIDHistory",
                                         "msDS-KeyVersionNumber",
                                         NULL};
    g_autofree gchar *filter = vmf_directory_computer_filter(name);
    const VmfLdapQuery query = {NULL, TRUE, filter, wanted};
    g_autoptr(GPtrArray) entries = vmf_ldap_session_ask(directory->session, &query, error);
    if (entries == NULL)
        return FALSE;
    facts->matches = entries->len;
    if (entries->len == 0)
        return TRUE;
    const VmfLdapEntry *first = entries->pdata[0];
    return vmf_directory_take_account(first, facts, kvno, error) &&
           take_groups(directory, first->dn, facts, error);
}

void
vmf_computer_facts_gather(VmfDirectory *directory, const char *name, VmfFactComputer *facts,
                          guint *kvno)
{
    g_autoptr(GError) error = NULL;
    if (kvno != NULL)
        *kvno = 0;
    g_mutex_lock(&directory->lock);
    gboolean known = computer_locked(directory, name, facts, kvno, &error);
    g_mutex_unlock(&directory->lock);
    if (!known)
        vmf_fact_set(&facts->reason, error->message);
}

/* ---- the domain, and the allowed group ---- */

/* LAB of lab.test: what ACLs are written with. Not known is no failure. */
static void
learn_domain_name(VmfDirectory *directory)
{
    static const char *const contexts[] = {"configurationNamingContext", "defaultNamingContext",
                                           NULL};
    static const char *const wanted[] = {"nETBIOSName", NULL};
    const VmfLdapQuery root = {"", FALSE, "(objectClass=*)", contexts};
    g_autoptr(GPtrArray) roots = vmf_ldap_session_ask(directory->session, &root, NULL);
    const VmfLdapEntry *entry = roots != NULL && roots->len == 1 ? roots->pdata[0] : NULL;
    const char *config = entry != NULL ? vmf_ldap_entry_text(entry, contexts[0]) : NULL;
    const char *domain = entry != NULL ? vmf_ldap_entry_text(entry, contexts[1]) : NULL;
    if (config == NULL || domain == NULL)
        return;
    g_autofree gchar *base = g_strconcat("CN=Partitions,", config, NULL);
    g_autofree gchar *safe = vmf_ldap_escape(domain);
    g_autofree gchar *filter = g_strdup_printf("(&(objectCategory=crossRef)(nCName=%s))", safe);
    const VmfLdapQuery query = {base, TRUE, filter, wanted};
    g_autoptr(GPtrArray) found = vmf_ldap_session_ask(directory->session, &query, NULL);
    const char *name = found != NULL && found->len == 1
                           ? vmf_ldap_entry_text(found->pdata[0], "nETBIOSName")
                           : NULL;
    directory->domain_name = g_strdup(name);
}

static gboolean
domain_locked(VmfDirectory *directory, VmfFactDirectory *facts, GError **error)
{
    g_autofree gchar *sid = vmf_directory_domain_sid_locked(directory, error);
    if (sid == NULL)
        return FALSE;
    if (directory->domain_name == NULL)
        learn_domain_name(directory);
    vmf_fact_set(&facts->domain_sid, sid);
    vmf_fact_set(&facts->domain, directory->domain_name);
    vmf_fact_set(&facts->server, vmf_ldap_session_server(directory->session));
    return TRUE;
}

/* What a person calls the group that the policy file may name by its SID. */
static gchar *
group_name_locked(VmfDirectory *directory, const char *sid)
{
    static const char *const wanted[] = {"sAMAccountName", NULL};
    guint8 bytes[VMF_SID_MAX_BYTES];
    gsize size = vmf_sid_to_bytes(sid, bytes);
    g_autofree gchar *value = vmf_ldap_escape_bytes(bytes, size);
    g_autofree gchar *filter = g_strdup_printf("(objectSid=%s)", value);
    const VmfLdapQuery query = {NULL, TRUE, filter, wanted};
    g_autoptr(GPtrArray) entries = vmf_ldap_session_ask(directory->session, &query, NULL);
    return entries != NULL && entries->len == 1
               ? g_strdup(vmf_ldap_entry_text(entries->pdata[0], "sAMAccountName"))
               : NULL;
}

static void
take_group(VmfDirectory *directory, const char *group, VmfFactDirectory *facts)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *sid = vmf_directory_group_sid(directory, group, &error);
    vmf_fact_set(&facts->group, group);
    if (sid == NULL) {
        vmf_fact_set(&facts->group_problem, error->message);
        return;
    }
    g_mutex_lock(&directory->lock);
    g_autofree gchar *name = group_name_locked(directory, sid);
    g_mutex_unlock(&directory->lock);
    vmf_fact_set(&facts->group_sid, sid);
    vmf_fact_set(&facts->group_name, name);
}

void
vmf_directory_facts_gather(VmfDirectory *directory, const char *group, VmfFactDirectory *facts,
                           guint *kvno)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *clock_server = NULL;
    if (kvno != NULL)
        *kvno = 0;
    g_mutex_lock(&directory->lock);
    facts->skew_known = vmf_ldap_session_clock(directory->session, &facts->skew_ms, &clock_server,
                                               NULL);
    vmf_fact_set(&facts->server, clock_server);
    gboolean known = domain_locked(directory, facts, &error);
    g_mutex_unlock(&directory->lock);
    if (!known) {
        vmf_fact_set(&facts->reason, error->message);
        vmf_fact_set(&facts->self.reason, error->message);
        return;
    }
    take_group(directory, group, facts);
    vmf_computer_facts_gather(directory, directory->me->account, &facts->self, kvno);
}
