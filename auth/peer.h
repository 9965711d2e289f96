/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/directory.h"
#include "auth/host-identity.h"

/*
 * Who the other end of a GSS exchange is, and whether it may be our peer.
 *
 * The two ends learn different things. The acceptor holds the initiator's ticket: account, realm,
 * SID and groups (PAC), how the ticket came about. The initiator knows only that the acceptor holds
 * the key of host/FQDN: which account that is, only the directory says. The same judge rules over
 * both; rules about a ticket apply where there is one.
 */

typedef enum {
    VMF_PEER_PROVEN_BY_TICKET,      /* we accepted: its ticket names the account */
    VMF_PEER_PROVEN_BY_SERVICE_KEY, /* we initiated: it holds the key of host/FQDN */
} VmfPeerProof;

/**
 * VmfPeerIdentity - what the GSS exchange has proven
 * @proof:          which side the peer was
 * @account:        "HV2$"; %NULL for a peer proven by its service key
 * @realm:          "LAB.TEST"
 * @principal:      "HV2$@LAB.TEST", or "host/hv2.lab.test@LAB.TEST"
 * @fqdn:           "hv2.lab.test"; %NULL for a peer proven by its ticket
 * @sid:            from the PAC; %NULL without one
 * @domain_sid:     from the PAC; %NULL without one
 * @pac_account:    account name inside the PAC; %NULL without one
 * @pac_uac:        VMF_PAC_UAC_… bits
 * @group_sids:     (element-type utf8): from the PAC; empty without one
 * @ticket_enctype: encryption type of the ticket (18 = AES-256); 0 for a peer proven by service key
 * @session_enctype: of the session key in use
 * @transited:      other realms had a hand in the ticket
 * @forwarded:      the ticket is forwarded, proxied or anonymous
 * @s4u:            the ticket was got by another service in the peer's name (S4U2Self, S4U2Proxy)
 * @delegated:      the peer sent us credentials of its own
 * @auth_time:      when the peer logged on (its groups are as of then), unix seconds
 * @end_time:       when the ticket ends, unix seconds; 0 for a peer proven by service key
 */
typedef struct {
    VmfPeerProof proof;
    gchar *account;
    gchar *realm;
    gchar *principal;
    gchar *fqdn;
    gchar *sid;
    gchar *domain_sid;
    gchar *pac_account;
    guint32 pac_uac;
    GPtrArray *group_sids;
    gint ticket_enctype;
    gint session_enctype;
    gboolean transited;
    gboolean forwarded;
    gboolean s4u;
    gboolean delegated;
    gint64 auth_time;
    gint64 end_time;
} VmfPeerIdentity;

VmfPeerIdentity *vmf_peer_identity_new(void);
VmfPeerIdentity *vmf_peer_identity_copy(const VmfPeerIdentity *peer);
void vmf_peer_identity_free(VmfPeerIdentity *peer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPeerIdentity, vmf_peer_identity_free)

/**
 * VmfPeerFacts - what the directory says now, for vmf_peer_judge_facts()
 * @me:         this host
 * @my_sid:     SID of this host's account
 * @domain_sid: SID of our domain
 * @group_sid:  SID of the allowed group
 * @group_name: how messages call the group; %NULL: by its SID
 * @computer:   the peer's account; %NULL when the directory has none
 * @now:        unix seconds, for an account with an end
 */
typedef struct {
    const VmfHostIdentity *me;
    const char *my_sid;
    const char *domain_sid;
    const char *group_sid;
    const char *group_name;
    const VmfComputer *computer;
    gint64 now;
} VmfPeerFacts;

/**
 * vmf_peer_judge_ticket() - the rules that need no directory: identity and ticket alone
 *
 * Asked first, so that somebody without a computer account never causes a question to the directory.
 *
 * Returns: %TRUE, or %FALSE and VMF_ERROR_DENIED naming the peer, the rule and the cure.
 */
gboolean
vmf_peer_judge_ticket(const VmfPeerIdentity *peer, const VmfHostIdentity *me, GError **error);

/**
 * vmf_peer_judge_facts() - all rules of design/security.md, pure
 *
 * Same realm, no transited realm; the name ends in '$'; AES keys; not forwarded, delegated or S4U; a
 * workstation trust account of our domain, enabled and not expired, the same one in ticket and directory; in the allowed
 * group by SID, in the PAC (of a ticket) and in the directory; not this host.
 *
 * Returns: %TRUE, or %FALSE and VMF_ERROR_DENIED naming the peer, the first rule broken and the cure.
 */
gboolean
vmf_peer_judge_facts(const VmfPeerIdentity *peer, const VmfPeerFacts *facts, GError **error);

/**
 * vmf_peer_judge() - get fresh facts from the directory, then judge
 * @peer:       from the channel
 * @me:         this host
 * @group:      allowed group: name or SID
 * @directory:  asked now
 * @computer:   (out) (optional) (transfer full): the peer's account, when accepted
 *
 * Returns: %TRUE when the peer may be a peer, or %FALSE and
 *   VMF_ERROR_DENIED       by a rule, see above
 *   others                 the directory could not be asked (see vmf_directory_computer()):
 *                          no new migration then; running ones finish
 */
gboolean vmf_peer_judge(const VmfPeerIdentity *peer, const VmfHostIdentity *me, const char *group,
                        VmfDirectory *directory, VmfComputer **computer, GError **error);

/**
 * vmf_peer_judge_self() - what the directory has against this host as anybody's peer
 *
 * A host that refuses us says no reason; what follows from our own account can be seen from here.
 *
 * Returns: %TRUE: nothing, as of now; or %FALSE and VMF_ERROR_DENIED naming the account, what is wrong with
 *   it and the cure, or the errors of vmf_directory_computer().
 */
gboolean vmf_peer_judge_self(const VmfHostIdentity *me, const char *group, VmfDirectory *directory,
                             GError **error);

/** vmf_peer_judge_account() - the same, pure; of @facts no @my_sid and @domain_sid are needed */
gboolean vmf_peer_judge_account(const VmfPeerFacts *facts, GError **error);
