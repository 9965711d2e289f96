/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/peer.h"

#include "auth/krb5-util.h"
#include "auth/pac.h"
#include "policy/sid.h"

#include <string.h>

VmfPeerIdentity *
vmf_peer_identity_new(void)
{
    VmfPeerIdentity *peer = g_new0(VmfPeerIdentity, 1);
    peer->group_sids = g_ptr_array_new_with_free_func(g_free);
    return peer;
}

VmfPeerIdentity *
vmf_peer_identity_copy(const VmfPeerIdentity *peer)
{
    VmfPeerIdentity *copy = g_memdup2(peer, sizeof *peer);
    copy->account = g_strdup(peer->account);
    copy->realm = g_strdup(peer->realm);
    copy->principal = g_strdup(peer->principal);
    copy->fqdn = g_strdup(peer->fqdn);
    copy->sid = g_strdup(peer->sid);
    copy->domain_sid = g_strdup(peer->domain_sid);
    copy->pac_account = g_strdup(peer->pac_account);
    copy->group_sids = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < peer->group_sids->len; i++)
        g_ptr_array_add(copy->group_sids, g_strdup(peer->group_sids->pdata[i]));
    return copy;
}

void
vmf_peer_identity_free(VmfPeerIdentity *peer)
{
    if (peer == NULL)
        return;
    g_free(peer->account);
    g_free(peer->realm);
    g_free(peer->principal);
    g_free(peer->fqdn);
    g_free(peer->sid);
    g_free(peer->domain_sid);
    g_free(peer->pac_account);
    g_ptr_array_unref(peer->group_sids);
    g_free(peer);
}

/* "'HV2$@LAB.TEST' is not accepted as a peer of 'HV1$': WHY; CURE". Returns FALSE. */
static gboolean deny(GError **error, const VmfPeerIdentity *peer, const VmfHostIdentity *me,
                     const char *format, ...) G_GNUC_PRINTF(4, 5);

static gboolean
deny(GError **error, const VmfPeerIdentity *peer, const VmfHostIdentity *me, const char *format,
     ...)
{
    va_list args;
    va_start(args, format);
    g_autofree gchar *why = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED, "'%s' is not accepted as a peer of '%s': %s",
                peer->principal ? peer->principal : "?", me->account, why);
    return FALSE;
}

static gboolean
same_name(const char *a, const char *b)
{
    return a && b && g_ascii_strcasecmp(a, b) == 0;
}

static gboolean
holds(const GPtrArray *sids, const char *sid)
{
    for (guint i = 0; i < sids->len; i++)
        if (strcmp(sids->pdata[i], sid) == 0)
            return TRUE;
    return FALSE;
}

static gboolean
judge_enctype(const VmfPeerIdentity *peer, const VmfHostIdentity *me, gint enctype,
              const char *what, GError **error)
{
    if (vmf_enctype_is_aes(enctype))
        return TRUE;
    g_autofree gchar *name = vmf_enctype_name(enctype);
    return deny(error, peer, me,
                "its %s uses %s, and only AES is good enough; set msDS-SupportedEncryptionTypes of "
                "both accounts to 24 (AES) and renew their passwords",
                what, name);
}

/* Rules about how a ticket came about. */
static gboolean
judge_origin(const VmfPeerIdentity *peer, const VmfHostIdentity *me, GError **error)
{
    if (peer->transited)
        return deny(error, peer, me,
                    "its ticket came through another realm; peers must be of this realm, '%s'",
                    me->realm);
    if (peer->s4u)
        return deny(error, peer, me,
                    "its ticket was got by another service in its name (S4U, constrained "
                    "delegation); the host must connect with a ticket of its own");
    if (peer->forwarded)
        return deny(error, peer, me,
                    "its ticket is forwarded, proxied or anonymous; the host must connect with a "
                    "ticket from its own keytab");
    if (peer->delegated)
        return deny(error, peer, me,
                    "it delegates its credentials to this host; turn delegation off there");
    return TRUE;
}

gboolean
vmf_peer_judge_ticket(const VmfPeerIdentity *peer, const VmfHostIdentity *me, GError **error)
{
    if (peer->realm == NULL || strcmp(peer->realm, me->realm) != 0)
        return deny(error, peer, me, "it is of realm '%s', and peers must be of '%s'",
                    peer->realm ? peer->realm : "?", me->realm);
    if (!judge_enctype(peer, me, peer->session_enctype, "session", error))
        return FALSE;

    if (peer->proof == VMF_PEER_PROVEN_BY_SERVICE_KEY) {
        if (peer->fqdn == NULL || same_name(peer->fqdn, me->fqdn))
            return deny(error, peer, me, "it is this host itself; name another one");
        return TRUE;
    }

    if (peer->account == NULL || strlen(peer->account) < 2 || !g_str_has_suffix(peer->account, "$"))
        return deny(error, peer, me,
                    "it is not a computer account (their names are one word that ends in '$'); "
                    "only hosts are peers, users never");
    if (same_name(peer->account, me->account))
        return deny(error, peer, me, "it is this host itself; name another one");
    if (!judge_enctype(peer, me, peer->ticket_enctype, "ticket", error) ||
        !judge_origin(peer, me, error))
        return FALSE;
    if (peer->sid == NULL)
        return deny(error, peer, me,
                    "its ticket carries no PAC that the KDC has signed, so its groups are unknown; "
                    "see that the KDC is an Active Directory domain controller and that this "
                    "host's account does not have NO_AUTH_DATA_REQUIRED set");
    if (!same_name(peer->account, peer->pac_account))
        return deny(error, peer, me, "its ticket's PAC is of another account, '%s'",
                    peer->pac_account ? peer->pac_account : "?");
    return TRUE;
}

/* Which account it is: ours, one of hosts, the same one in ticket and directory. */
static gboolean
judge_account(const VmfPeerIdentity *peer, const VmfPeerFacts *facts, GError **error)
{
    const VmfHostIdentity *me = facts->me;
    const VmfComputer *computer = facts->computer;
    if (computer == NULL) {
        deny(error, peer, me,
             "the directory holds no computer account for it; join that host to the domain");
        return FALSE;
    }
    if (strcmp(computer->sid, facts->my_sid) == 0)
        return deny(error, peer, me, "it is this host itself, '%s'; name another one",
                    computer->account);
    if (peer->account && !same_name(peer->account, computer->account))
        return deny(error, peer, me, "the directory calls this account '%s'; try again",
                    computer->account);

    g_autofree gchar *domain = vmf_sid_domain(computer->sid);
    if (domain == NULL || strcmp(domain, facts->domain_sid) != 0 ||
        (peer->domain_sid && strcmp(peer->domain_sid, facts->domain_sid) != 0))
        return deny(error, peer, me,
                    "its SID '%s' is not of our domain '%s'; peers must be of the same domain",
                    peer->sid ? peer->sid : computer->sid, facts->domain_sid);
    if (peer->sid && strcmp(peer->sid, computer->sid) != 0)
        return deny(error, peer, me,
                    "its ticket is for SID '%s', but '%s' now has '%s': the account was made anew; "
                    "that host must get a new ticket",
                    peer->sid, computer->account, computer->sid);
    return TRUE;
}

/* What is wrong with an account whatever its ticket says. Returns: (transfer full) (nullable). */
static gchar *
fault_of_account(const VmfPeerFacts *facts)
{
    const VmfComputer *computer = facts->computer;
    if (!computer->enabled || (computer->uac & VMF_UAC_DISABLED))
        return g_strdup_printf("the computer account '%s' is disabled; enable it in the directory "
                               "(samba-tool user enable '%s', Enable-ADAccount '%s')",
                               computer->account, computer->account, computer->account);
    if (computer->expires != 0 && facts->now >= computer->expires)
        return g_strdup_printf(
            "the computer account '%s' has expired; give it a later end or none in the "
            "directory (samba-tool user setexpiry '%s' --noexpiry, Clear-ADAccountExpiration)",
            computer->account, computer->account);
    return NULL;
}

static gchar *
fault_of_group(const VmfPeerFacts *facts, gboolean any_more)
{
    const char *group = facts->group_name ? facts->group_name : facts->group_sid;
    return g_strdup_printf("'%s' is not%s in the allowed group '%s' (%s); add it (samba-tool group "
                           "addmembers '%s' '%s', Add-ADGroupMember)",
                           facts->computer->account, any_more ? " any more" : "", group,
                           facts->group_sid, group, facts->computer->account);
}

static gboolean
judge_state(const VmfPeerIdentity *peer, const VmfPeerFacts *facts, GError **error)
{
    const VmfHostIdentity *me = facts->me;
    const VmfComputer *computer = facts->computer;
    gboolean by_ticket = peer->proof == VMF_PEER_PROVEN_BY_TICKET;
    g_autofree gchar *fault = fault_of_account(facts);
    if (fault)
        return deny(error, peer, me, "%s", fault);
    if (by_ticket && (peer->pac_uac & VMF_PAC_UAC_DISABLED))
        return deny(error, peer, me,
                    "its ticket is from when the computer account '%s' was disabled; that host "
                    "must get a new ticket",
                    computer->account);
    if (!computer->workstation || !(computer->uac & VMF_UAC_WORKSTATION) ||
        (by_ticket && !(peer->pac_uac & VMF_PAC_UAC_WORKSTATION_TRUST)))
        return deny(error, peer, me,
                    "the account '%s' is not a member host's%s; join a member host to the domain "
                    "and use that",
                    computer->account,
                    computer->uac & VMF_UAC_SERVER_TRUST ? " but a domain controller's" : "");
    return TRUE;
}

static gboolean
judge_group(const VmfPeerIdentity *peer, const VmfPeerFacts *facts, GError **error)
{
    const VmfComputer *computer = facts->computer;
    const char *group = facts->group_name ? facts->group_name : facts->group_sid;
    gboolean in_directory = holds(computer->group_sids, facts->group_sid);
    gboolean in_ticket = peer->proof != VMF_PEER_PROVEN_BY_TICKET ||
                         holds(peer->group_sids, facts->group_sid);
    if (in_directory && in_ticket)
        return TRUE;
    if (in_directory)
        return deny(error, peer, facts->me,
                    "'%s' is in the allowed group '%s' (%s), but was not yet when it got its "
                    "ticket; renew it there (restart vmferryd on that host)",
                    computer->account, group, facts->group_sid);
    g_autofree gchar *fault = fault_of_group(facts,
                                             in_ticket && peer->proof == VMF_PEER_PROVEN_BY_TICKET);
    return deny(error, peer, facts->me, "%s", fault);
}

gboolean
vmf_peer_judge_facts(const VmfPeerIdentity *peer, const VmfPeerFacts *facts, GError **error)
{
    return vmf_peer_judge_ticket(peer, facts->me, error) && judge_account(peer, facts, error) &&
           judge_state(peer, facts, error) && judge_group(peer, facts, error);
}

gboolean
vmf_peer_judge(const VmfPeerIdentity *peer, const VmfHostIdentity *me, const char *group,
               VmfDirectory *directory, VmfComputer **computer, GError **error)
{
    if (!vmf_peer_judge_ticket(peer, me, error))
        return FALSE;

    g_autofree gchar *domain_sid = vmf_directory_domain_sid(directory, error);
    if (domain_sid == NULL)
        return FALSE;
    g_autofree gchar *group_sid = vmf_directory_group_sid(directory, group, error);
    if (group_sid == NULL)
        return FALSE;
    g_autoptr(VmfComputer) mine = vmf_directory_computer(directory, me->account, error);
    if (mine == NULL)
        return FALSE;
    g_autoptr(GError) reason = NULL;
    g_autoptr(VmfComputer) found = vmf_directory_computer(
        directory, peer->account ? peer->account : peer->fqdn, &reason);
    if (found == NULL && !g_error_matches(reason, VMF_ERROR, VMF_ERROR_CONFIG)) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return FALSE;
    }

    const VmfPeerFacts facts = {
        me, mine->sid, domain_sid, group_sid, group, found, g_get_real_time() / G_USEC_PER_SEC};
    if (!vmf_peer_judge_facts(peer, &facts, error))
        return FALSE;
    if (computer)
        *computer = g_steal_pointer(&found);
    return TRUE;
}

gboolean
vmf_peer_judge_account(const VmfPeerFacts *facts, GError **error)
{
    g_autofree gchar *fault = fault_of_account(facts);
    if (fault == NULL && !(facts->computer->uac & VMF_UAC_WORKSTATION))
        fault = g_strdup_printf("the account '%s' is not a member host's",
                                facts->computer->account);
    if (fault == NULL && !holds(facts->computer->group_sids, facts->group_sid))
        fault = fault_of_group(facts, FALSE);
    if (fault)
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_DENIED, fault);
    return fault == NULL;
}

gboolean
vmf_peer_judge_self(const VmfHostIdentity *me, const char *group, VmfDirectory *directory,
                    GError **error)
{
    g_autofree gchar *group_sid = vmf_directory_group_sid(directory, group, error);
    g_autoptr(VmfComputer) mine = group_sid ? vmf_directory_computer(directory, me->account, error)
                                            : NULL;
    if (mine == NULL)
        return FALSE;
    const VmfPeerFacts facts = {.me = me,
                                .group_sid = group_sid,
                                .group_name = group,
                                .computer = mine,
                                .now = g_get_real_time() / G_USEC_PER_SEC};
    return vmf_peer_judge_account(&facts, error);
}
