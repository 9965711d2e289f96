/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a domain controller says of a computer: an entry, with values of any bytes. The input is its name
 * up to a NUL, then values: a byte that picks the attribute, two for the length (low, high), and so many.
 * It is read into an account that is whole, or refused; what the admission and what the checks make of
 * it is the same.
 */
#include "auth/directory-private.h"

#include <string.h>

#include "auth/ldap-filter.h"
#include "policy/sid.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static const char *const names[] = {
    "sAMAccountName", "dNSHostName", "objectSid",   "userAccountControl",    "accountExpires",
    "primaryGroupID", "sIDHistory",  "tokenGroups", "msDS-KeyVersionNumber", "currentTime"};

static VmfLdapEntry *
make_entry(const guint8 *data, gsize size)
{
    g_autofree gchar *dn = g_strndup(size ? (const gchar *)data : "", size);
    VmfLdapEntry *entry = vmf_ldap_entry_new(dn);
    gsize at = MIN(strlen(dn) + 1, size);
    while (size - at >= 3) {
        gsize length = MIN((gsize)data[at + 1] | (gsize)data[at + 2] << 8, size - at - 3);
        vmf_ldap_entry_add(entry, names[data[at] % G_N_ELEMENTS(names)], data + at + 3, length);
        at += 3 + length;
    }
    return entry;
}

static void
check_sid(const char *sid)
{
    guint8 bytes[VMF_SID_MAX_BYTES];
    g_assert_cmpuint(vmf_sid_to_bytes(sid, bytes), >, 0);
}

/* A value in a filter ends nowhere but where it was meant to (RFC 4515). */
static void
check_filter(const char *value)
{
    g_autofree gchar *safe = vmf_ldap_escape(value);
    g_assert_cmpuint(strcspn(safe, "()*"), ==, strlen(safe));
}

static void
check_computer(const VmfComputer *computer, const VmfLdapEntry *entry)
{
    g_assert_true(g_utf8_validate(computer->account, -1, NULL));
    check_sid(computer->sid);
    g_assert_cmpint(computer->expires, >=, 0);
    g_assert_true(computer->enabled == !(computer->uac & VMF_UAC_DISABLED));
    check_filter(computer->dn);
    check_filter(computer->account);
    g_autofree gchar *filter = vmf_directory_computer_filter(computer->account);
    g_assert_true(g_str_has_prefix(filter, "(&(objectCategory=computer)("));
    g_autoptr(VmfFactComputer) facts = vmf_fact_computer_new();
    g_autoptr(GError) error = NULL;
    if (!vmf_directory_take_account(entry, facts, NULL, &error))
        return; /* its history is not read for an admission */
    g_assert_cmpstr(facts->account, ==, computer->account);
    g_assert_cmpstr(facts->sid, ==, computer->sid);
    g_assert_cmpstr(facts->fqdn, ==, computer->fqdn ? computer->fqdn : "");
    g_assert_cmpuint(facts->uac, ==, computer->uac);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autoptr(VmfLdapEntry) entry = make_entry(data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfComputer) computer = vmf_directory_read_computer(entry, &error);
    g_assert_true((computer == NULL) == (error != NULL));
    if (computer)
        check_computer(computer, entry);
    else
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
    g_clear_error(&error);

    guint kvno = 0;
    g_autoptr(VmfFactComputer) facts = vmf_fact_computer_new();
    gboolean taken = vmf_directory_take_account(entry, facts, &kvno, &error);
    g_assert_true(taken == (error == NULL));
    g_clear_error(&error);
    gboolean groups = vmf_directory_take_sids(entry, "tokenGroups", &facts->group_sids, &error);
    g_assert_true(groups == (error == NULL));
    for (guint i = 0; facts->group_sids[i]; i++)
        check_sid(facts->group_sids[i]);
    g_autoptr(GVariant) dict = g_variant_ref_sink(vmf_fact_computer_to_variant(facts));
    g_assert_nonnull(dict);

    const char *time = vmf_ldap_entry_text(entry, "currentTime");
    g_assert_true(time == NULL || vmf_ldap_time_parse(time) >= -G_GINT64_CONSTANT(62135596800000));
    return 0;
}
