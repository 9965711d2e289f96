/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/peer.h"
#include "auth/pac.h"
#include "src/base/error.h"
#include "tests/unit/auth/forge.h"

#include <string.h>

#define SID(rid) FORGED_DOMAIN_SID "-" #rid
#define NOW      1800000000

typedef struct {
    VmfHostIdentity *me;
    VmfPeerIdentity *peer;
    VmfComputer *computer;
    VmfPeerFacts facts;
} Case;

static void
set(gchar **field, const char *value)
{
    g_free(*field);
    *field = g_strdup(value);
}

/* HV2$ as it should be, seen by HV1$. */
static void
begin(Case *c, VmfPeerProof proof)
{
    c->me = vmf_host_identity_new("HV1$", "LAB.TEST", "hv1.lab.test");
    c->peer = vmf_peer_identity_new();
    c->peer->proof = proof;
    c->peer->realm = g_strdup("LAB.TEST");
    c->peer->session_enctype = 18;
    if (proof == VMF_PEER_PROVEN_BY_TICKET) {
        c->peer->account = g_strdup("HV2$");
        c->peer->principal = g_strdup("HV2$@LAB.TEST");
        c->peer->pac_account = g_strdup("HV2$");
        c->peer->sid = g_strdup(SID(1106));
        c->peer->domain_sid = g_strdup(FORGED_DOMAIN_SID);
        c->peer->pac_uac = VMF_PAC_UAC_WORKSTATION_TRUST;
        c->peer->ticket_enctype = 18;
        g_ptr_array_add(c->peer->group_sids, g_strdup(SID(515)));
        g_ptr_array_add(c->peer->group_sids, g_strdup(FORGED_GROUP_SID));
    } else {
        c->peer->fqdn = g_strdup("hv2.lab.test");
        c->peer->principal = g_strdup("host/hv2.lab.test@LAB.TEST");
    }
    c->computer = g_new0(VmfComputer, 1);
    c->computer->account = g_strdup("HV2$");
    c->computer->fqdn = g_strdup("hv2.lab.test");
    c->computer->sid = g_strdup(SID(1106));
    c->computer->uac = VMF_UAC_WORKSTATION;
    c->computer->enabled = c->computer->workstation = TRUE;
    c->computer->group_sids = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(c->computer->group_sids, g_strdup(FORGED_GROUP_SID));
    c->facts = (VmfPeerFacts){
        c->me, SID(1105), FORGED_DOMAIN_SID, FORGED_GROUP_SID, "VM Hosts", c->computer, NOW};
}

static void
end(Case *c)
{
    vmf_host_identity_free(c->me);
    vmf_peer_identity_free(c->peer);
    vmf_computer_free(c->computer);
}

static void
foreign_realm(Case *c)
{
    set(&c->peer->realm, "OTHER.TEST");
}
static void
realm_in_small_letters(Case *c)
{
    set(&c->peer->realm, "lab.test");
}
static void
user(Case *c)
{
    set(&c->peer->account, "alice");
    set(&c->peer->principal, "alice@LAB.TEST");
    set(&c->peer->pac_account, "alice");
}
static void
just_a_dollar(Case *c)
{
    set(&c->peer->account, "$");
}
static void
several_words(Case *c)
{
    set(&c->peer->account, NULL);
    set(&c->peer->principal, "host/hv2.lab.test@LAB.TEST");
}
static void
myself(Case *c)
{
    set(&c->peer->account, "hv1$");
}
static void
my_sid(Case *c)
{
    set(&c->computer->sid, SID(1105));
    set(&c->peer->sid, SID(1105));
}
static void
my_name(Case *c)
{
    set(&c->peer->fqdn, "HV1.lab.test");
}
static void
rc4_ticket(Case *c)
{
    c->peer->ticket_enctype = 23;
}
static void
rc4_session(Case *c)
{
    c->peer->session_enctype = 23;
}
static void
unknown_session(Case *c)
{
    c->peer->session_enctype = 0;
}
static void
transited(Case *c)
{
    c->peer->transited = TRUE;
}
static void
forwarded(Case *c)
{
    c->peer->forwarded = TRUE;
}
static void
s4u(Case *c)
{
    c->peer->s4u = TRUE;
}
static void
delegated(Case *c)
{
    c->peer->delegated = TRUE;
}
static void
no_pac(Case *c)
{
    set(&c->peer->sid, NULL);
}
static void
other_pac(Case *c)
{
    set(&c->peer->pac_account, "HV3$");
}
static void
unknown(Case *c)
{
    c->facts.computer = NULL;
}
static void
renamed(Case *c)
{
    set(&c->computer->account, "HV2X$");
}
static void
foreign_domain(Case *c)
{
    set(&c->peer->sid, "S-1-5-21-9-9-9-1106");
    set(&c->peer->domain_sid, "S-1-5-21-9-9-9");
    set(&c->computer->sid, "S-1-5-21-9-9-9-1106");
}
static void
foreign_domain_in_ticket(Case *c)
{
    set(&c->peer->domain_sid, "S-1-5-21-9-9-9");
}
static void
made_anew(Case *c)
{
    set(&c->computer->sid, SID(1206));
}
static void
disabled(Case *c)
{
    c->computer->enabled = FALSE;
    c->computer->uac |= VMF_UAC_DISABLED;
}
static void
expired(Case *c)
{
    c->computer->expires = NOW;
}
static void
disabled_in_ticket(Case *c)
{
    c->peer->pac_uac |= VMF_PAC_UAC_DISABLED;
}
static void
domain_controller(Case *c)
{
    c->computer->uac = VMF_UAC_SERVER_TRUST;
    c->computer->workstation = FALSE;
}
static void
user_account_with_a_dollar(Case *c)
{
    c->peer->pac_uac = 0x10;
}
static void
not_in_group(Case *c)
{
    g_ptr_array_set_size(c->computer->group_sids, 0);
    g_ptr_array_set_size(c->peer->group_sids, 0);
}
static void
out_of_group_since(Case *c)
{
    g_ptr_array_set_size(c->computer->group_sids, 0);
}
static void
in_group_since(Case *c)
{
    g_ptr_array_set_size(c->peer->group_sids, 0);
}
static void
group_of_similar_sid(Case *c)
{
    g_ptr_array_set_size(c->peer->group_sids, 0);
    g_ptr_array_add(c->peer->group_sids, g_strdup(FORGED_GROUP_SID "0"));
}

typedef struct {
    const char *name;
    gint proofs; /* bit 0: by ticket, bit 1: by service key */
    void (*change)(Case *c);
    const char *why; /* in the message, with a cure behind it */
    const char *cure;
} Rule;

enum { TICKET = 1, KEY = 2, BOTH = 3 };

static const Rule rules[] = {
    {"foreign-realm", BOTH, foreign_realm, "of realm 'OTHER.TEST'", "must be of 'LAB.TEST'"},
    {"realm-case", BOTH, realm_in_small_letters, "of realm 'lab.test'", "must be of"},
    {"user", TICKET, user, "not a computer account", "only hosts"},
    {"just-a-dollar", TICKET, just_a_dollar, "not a computer account", "only hosts"},
    {"service-principal", TICKET, several_words, "not a computer account", "only hosts"},
    {"myself", TICKET, myself, "this host itself", "name another"},
    {"my-sid", BOTH, my_sid, "this host itself", "name another"},
    {"my-name", KEY, my_name, "this host itself", "name another"},
    {"rc4-ticket", TICKET, rc4_ticket, "arcfour", "msDS-SupportedEncryptionTypes"},
    {"rc4-session", BOTH, rc4_session, "arcfour", "msDS-SupportedEncryptionTypes"},
    {"unknown-session", BOTH, unknown_session, "only AES", "msDS-SupportedEncryptionTypes"},
    {"transited", TICKET, transited, "another realm", "of this realm"},
    {"forwarded", TICKET, forwarded, "forwarded", "its own keytab"},
    {"s4u", TICKET, s4u, "S4U", "ticket of its own"},
    {"delegated", TICKET, delegated, "delegates", "turn delegation off"},
    {"no-pac", TICKET, no_pac, "no PAC", "NO_AUTH_DATA_REQUIRED"},
    {"other-pac", TICKET, other_pac, "'HV3$'", "PAC"},
    {"unknown", BOTH, unknown, "no computer account", "join"},
    {"renamed", TICKET, renamed, "'HV2X$'", "try again"},
    {"foreign-domain", TICKET, foreign_domain, "not of our domain", "same domain"},
    {"foreign-domain-key", KEY, foreign_domain, "not of our domain", "same domain"},
    {"foreign-domain-ticket", TICKET, foreign_domain_in_ticket, "not of our domain", "same domain"},
    {"made-anew", TICKET, made_anew, "made anew", "new ticket"},
    {"disabled", BOTH, disabled, "disabled", "enable it"},
    {"expired", BOTH, expired, "has expired", "--noexpiry"},
    {"disabled-in-ticket", TICKET, disabled_in_ticket, "disabled", "new ticket"},
    {"domain-controller", BOTH, domain_controller, "domain controller", "join a member host"},
    {"user-account", TICKET, user_account_with_a_dollar, "not a member host", "join a member host"},
    {"not-in-group", BOTH, not_in_group, "not in the allowed group 'VM Hosts'", "addmembers"},
    {"out-of-group-since", TICKET, out_of_group_since, "not any more in", "addmembers"},
    {"in-group-since", TICKET, in_group_since, "not yet when it got its ticket", "renew it"},
    {"group-of-similar-sid", TICKET, group_of_similar_sid, "not yet when", "renew it"},
};

static void
test_rule(gconstpointer data)
{
    const Rule *rule = data;
    for (int proof = 0; proof < 2; proof++) {
        if (!(rule->proofs & (1 << proof)))
            continue;
        Case c;
        begin(&c, proof == 0 ? VMF_PEER_PROVEN_BY_TICKET : VMF_PEER_PROVEN_BY_SERVICE_KEY);
        g_autoptr(GError) before = NULL, error = NULL;
        /* the case is right but for the one thing */
        g_assert_true(vmf_peer_judge_facts(c.peer, &c.facts, &before));
        g_assert_no_error(before);
        rule->change(&c);
        g_assert_false(vmf_peer_judge_facts(c.peer, &c.facts, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_DENIED);
        if (!strstr(error->message, rule->why) || !strstr(error->message, rule->cure) ||
            !strstr(error->message, c.peer->principal) || !strstr(error->message, "'HV1$'"))
            g_error("message '%s' lacks '%s', '%s', '%s' or 'HV1$'", error->message, rule->why,
                    rule->cure, c.peer->principal);
        end(&c);
    }
}

/* What a host that was refused sees of it in the directory: its account's faults, no ticket's. */
static void
test_own_account(void)
{
    static const char *const own[] = {"disabled", "expired", "domain-controller", "not-in-group"};
    guint found = 0;
    for (gsize i = 0; i < G_N_ELEMENTS(rules); i++) {
        if (!g_strv_contains((const gchar *const[]){own[0], own[1], own[2], own[3], NULL},
                             rules[i].name))
            continue;
        Case c;
        g_autoptr(GError) error = NULL;
        begin(&c, VMF_PEER_PROVEN_BY_TICKET);
        g_assert_true(vmf_peer_judge_account(&c.facts, &error));
        g_assert_no_error(error);
        rules[i].change(&c);
        g_assert_false(vmf_peer_judge_account(&c.facts, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_DENIED);
        g_assert_nonnull(strstr(error->message, "'HV2$'"));
        if (strcmp(rules[i].name, "domain-controller") != 0) {
            g_assert_nonnull(strstr(error->message, rules[i].why));
            g_assert_nonnull(strstr(error->message, rules[i].cure));
        }
        end(&c);
        found++;
    }
    g_assert_cmpuint(found, ==, G_N_ELEMENTS(own));
}

static void
test_messages_differ(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (gsize i = 0; i < G_N_ELEMENTS(rules); i++)
        g_hash_table_add(seen, (gpointer)rules[i].why);
    g_assert_cmpuint(g_hash_table_size(seen), >=, 19);
}

/* As the directory has it: 100 ns since 1601. */
static void
test_expiry(void)
{
    g_assert_cmpint(vmf_directory_expiry(NULL), ==, 0);
    g_assert_cmpint(vmf_directory_expiry("0"), ==, 0);
    g_assert_cmpint(vmf_directory_expiry("9223372036854775807"), ==, 0);
    g_assert_cmpint(vmf_directory_expiry("132539328000000000"), ==, 1609459200); /* 2021-01-01 */
    g_assert_cmpint(vmf_directory_expiry("1"), ==, 1);
    g_assert_cmpint(vmf_directory_expiry("soon"), ==, -1);
    g_assert_cmpint(vmf_directory_expiry("-1"), ==, -1);

    Case c;
    begin(&c, VMF_PEER_PROVEN_BY_TICKET);
    c.computer->expires = NOW + 1;
    g_assert_true(vmf_peer_judge_facts(c.peer, &c.facts, NULL));
    end(&c);
}

static void
test_accepted(void)
{
    for (int proof = 0; proof < 2; proof++) {
        Case c;
        begin(&c, proof == 0 ? VMF_PEER_PROVEN_BY_TICKET : VMF_PEER_PROVEN_BY_SERVICE_KEY);
        g_autoptr(GError) error = NULL;
        g_assert_true(vmf_peer_judge_facts(c.peer, &c.facts, &error));
        g_assert_no_error(error);
        /* all AES types, and an account in other letters */
        static const gint good[] = {17, 18, 19, 20};
        for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
            c.peer->session_enctype = good[i];
            if (proof == 0)
                c.peer->ticket_enctype = good[i];
            g_assert_true(vmf_peer_judge_facts(c.peer, &c.facts, NULL));
        }
        if (proof == 0) {
            set(&c.peer->account, "hv2$");
            g_assert_true(vmf_peer_judge_facts(c.peer, &c.facts, NULL));
        }
        end(&c);
    }
}

static void
test_copy(void)
{
    Case c;
    begin(&c, VMF_PEER_PROVEN_BY_TICKET);
    VmfPeerIdentity *copy = vmf_peer_identity_copy(c.peer);
    vmf_peer_identity_free(c.peer);
    c.peer = copy;
    g_assert_true(vmf_peer_judge_facts(c.peer, &c.facts, NULL));
    end(&c);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peer/member-host/accepted", test_accepted);
    g_test_add_func("/peer/copy/judged-alike", test_copy);
    g_test_add_func("/peer/account-expires/read", test_expiry);
    g_test_add_func("/peer/own-account/explained", test_own_account);
    g_test_add_func("/peer/messages/differ", test_messages_differ);
    for (gsize i = 0; i < G_N_ELEMENTS(rules); i++) {
        g_autofree gchar *path = g_strdup_printf("/peer/%s/denied", rules[i].name);
        g_test_add_data_func(path, &rules[i], test_rule);
    }
    return g_test_run();
}
