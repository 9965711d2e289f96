/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/token.h"

#include "src/base/error.h"

VmfToken *
vmf_token_new(void)
{
    return g_new0(VmfToken, 1);
}

void
vmf_token_free(VmfToken *token)
{
    if (token == NULL)
        return;
    g_free(token->sids);
    g_free(token);
}

void
vmf_token_clear(VmfToken *token)
{
    token->n_sids = 0;
    token->complete = FALSE;
}

gboolean
vmf_token_add(VmfToken *token, const char *sid, GError **error)
{
    if (token->n_sids == token->room) {
        token->room = MAX(16, token->room * 2);
        token->sids = g_renew(VmfSid, token->sids, token->room);
    }
    if (!vmf_sid_parse(sid, &token->sids[token->n_sids])) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "'%s' in the token is no SID", sid);
        return FALSE;
    }
    token->n_sids++;
    return TRUE;
}

VmfToken *
vmf_token_new_computer(const char *sid, guint32 primary_rid, const char *const *groups,
                       const char *const *history, GError **error)
{
    static const char *const well_known[] = {
        "S-1-1-0",  /* Everyone */
        "S-1-5-2",  /* NETWORK */
        "S-1-5-11", /* Authenticated Users */
        "S-1-5-15", /* This Organization */
        "S-1-18-1", /* authentication authority asserted identity */
    };
    g_autoptr(VmfToken) token = vmf_token_new();
    g_autofree gchar *domain = vmf_sid_domain(sid);
    g_autofree gchar *primary = domain ? vmf_sid_with_rid(domain, primary_rid) : NULL;
    if (!vmf_token_add(token, sid, error) || (primary && !vmf_token_add(token, primary, error)))
        return NULL;
    for (gsize i = 0; groups && groups[i]; i++)
        if (!g_str_has_prefix(groups[i], "S-1-5-32-") && !vmf_token_add(token, groups[i], error))
            return NULL;
    for (gsize i = 0; history && history[i]; i++)
        if (!vmf_token_add(token, history[i], error))
            return NULL;
    for (gsize i = 0; i < G_N_ELEMENTS(well_known); i++)
        if (!vmf_token_add(token, well_known[i], error))
            return NULL;
    return g_steal_pointer(&token);
}

/* S-1-@authority-@first-… with at least @count sub-authorities. */
static gboolean
starts(const VmfSid *sid, guint8 authority, guint8 first, guint8 count)
{
    const guint8 head[] = {authority, first, 0, 0, 0};
    static const guint8 zero[5];
    return sid->data[1] >= count && memcmp(sid->data + 2, zero, 5) == 0 &&
           memcmp(sid->data + 7, head, sizeof head) == 0;
}

/* S-1-5-21-a-b-c-…: an account or group of a domain or of one machine. */
static gboolean
is_domain_sid(const VmfSid *sid)
{
    return starts(sid, 5, 21, 4);
}

/* The account's domain: that of the first SID of any domain. */
static const VmfSid *
account_of(const VmfToken *token)
{
    for (guint i = 0; i < token->n_sids; i++)
        if (is_domain_sid(&token->sids[i]))
            return &token->sids[i];
    return NULL;
}

static gboolean
only_server_expands(const VmfToken *token, const VmfSid *sid)
{
    if (starts(sid, 5, 32, 1) || starts(sid, 22, 1, 1) || starts(sid, 22, 2, 1))
        return TRUE;
    if (!is_domain_sid(sid))
        return FALSE;
    const VmfSid *account = account_of(token);
    /* revision to authority without the count, then 21-a-b-c */
    return account == NULL || memcmp(account->data + 8, sid->data + 8, 16) != 0;
}

VmfTokenHolds
vmf_token_holds(const VmfToken *token, const VmfSid *sid)
{
    for (guint i = 0; i < token->n_sids; i++)
        if (vmf_sid_equal(&token->sids[i], sid))
            return VMF_TOKEN_YES;
    return !token->complete && only_server_expands(token, sid) ? VMF_TOKEN_MAYBE : VMF_TOKEN_NO;
}
