/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The real Kerberos library at both ends; only the KDC is a forger (forge.h). What a real KDC would
 * and would not issue is the lab's to show (tests/unit/channel/lab-test).
 */
#include "auth/gss.h"
#include "auth/pac.h"
#include "src/base/error.h"
#include "tests/unit/auth/forge.h"

#include <string.h>

static const krb5_enctype all_keys[] = {ENCTYPE_AES256_CTS_HMAC_SHA1_96,
                                        ENCTYPE_AES128_CTS_HMAC_SHA1_96, ENCTYPE_ARCFOUR_HMAC, 0};
static gchar *keytab;
static VmfHostIdentity *hv1, *hv2;
static GBytes *logon;

typedef struct {
    GBytes *request, *answer;
    VmfGss *initiator, *acceptor;
    GError *refused; /* by the acceptor */
} Exchange;

static void
clear(Exchange *x)
{
    g_clear_pointer(&x->request, g_bytes_unref);
    g_clear_pointer(&x->answer, g_bytes_unref);
    vmf_gss_free(x->initiator);
    vmf_gss_free(x->acceptor);
    g_clear_error(&x->refused);
}

/* One token each way, from @who's forged ticket for hv2. */
static void
run(Exchange *x, const VmfHostIdentity *who, const ForgedTicket *ticket)
{
    g_autofree gchar *cache = forge_ccache("exchange.cc", ticket);
    g_autoptr(GError) error = NULL;
    gboolean done;
    x->initiator = vmf_gss_initiator(who, NULL, cache, "hv2.lab.test", &error);
    g_assert_no_error(error);
    g_assert_true(vmf_gss_step(x->initiator, NULL, &x->request, &done, &error));
    g_assert_no_error(error);
    g_assert_false(done);
    x->acceptor = vmf_gss_acceptor(hv2, keytab, &error);
    g_assert_no_error(error);
    if (vmf_gss_step(x->acceptor, x->request, &x->answer, &done, &x->refused))
        g_assert_true(done);
}

static ForgedTicket
good_ticket(void)
{
    return (ForgedTicket){
        .client = "HV1$@LAB.TEST", .server = "host/hv2.lab.test@LAB.TEST", .logon = logon};
}

static VmfPeerIdentity *
peer_of(const ForgedTicket *ticket)
{
    Exchange x = {0};
    g_autoptr(GError) error = NULL;
    run(&x, hv1, ticket);
    g_assert_no_error(x.refused);
    VmfPeerIdentity *peer = vmf_gss_peer(x.acceptor, &error);
    g_assert_no_error(error);
    clear(&x);
    return peer;
}

static void
test_both_ends(void)
{
    Exchange x = {0};
    const ForgedTicket ticket = good_ticket();
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) nothing = NULL;
    gboolean done;
    run(&x, hv1, &ticket);
    g_assert_no_error(x.refused);
    g_assert_true(vmf_gss_step(x.initiator, x.answer, &nothing, &done, &error));
    g_assert_no_error(error);
    g_assert_true(done);
    g_assert_null(nothing);

    guint8 ours[VMF_GSS_KEY_BYTES], theirs[VMF_GSS_KEY_BYTES], other[VMF_GSS_KEY_BYTES];
    g_assert_true(vmf_gss_derive(x.initiator, (const guint8 *)"label", 5, ours, &error));
    g_assert_true(vmf_gss_derive(x.acceptor, (const guint8 *)"label", 5, theirs, &error));
    g_assert_true(vmf_gss_derive(x.acceptor, (const guint8 *)"Label", 5, other, &error));
    g_assert_cmpmem(ours, sizeof ours, theirs, sizeof theirs);
    g_assert_cmpint(memcmp(ours, other, sizeof ours), !=, 0);

    g_autoptr(VmfPeerIdentity) hv1_seen = vmf_gss_peer(x.acceptor, &error);
    g_assert_no_error(error);
    g_assert_cmpint(hv1_seen->proof, ==, VMF_PEER_PROVEN_BY_TICKET);
    g_assert_cmpstr(hv1_seen->account, ==, "HV1$");
    g_assert_cmpstr(hv1_seen->realm, ==, "LAB.TEST");
    g_assert_cmpstr(hv1_seen->principal, ==, "HV1$@LAB.TEST");
    g_assert_cmpstr(hv1_seen->sid, ==, FORGED_DOMAIN_SID "-1105");
    g_assert_cmpint(hv1_seen->ticket_enctype, ==, 18);
    g_assert_cmpint(hv1_seen->session_enctype, ==, 18);
    g_assert_false(hv1_seen->transited || hv1_seen->forwarded || hv1_seen->s4u ||
                   hv1_seen->delegated);
    g_assert_cmpint(hv1_seen->end_time - hv1_seen->auth_time, ==, 3600);
    g_assert_true(vmf_peer_judge_ticket(hv1_seen, hv2, &error));

    g_autoptr(VmfPeerIdentity) hv2_seen = vmf_gss_peer(x.initiator, &error);
    g_assert_no_error(error);
    g_assert_cmpint(hv2_seen->proof, ==, VMF_PEER_PROVEN_BY_SERVICE_KEY);
    g_assert_cmpstr(hv2_seen->fqdn, ==, "hv2.lab.test");
    g_assert_cmpint(hv2_seen->session_enctype, ==, 18);
    g_assert_true(vmf_peer_judge_ticket(hv2_seen, hv1, &error));
    clear(&x);
}

/* What a ticket says about its origin arrives in the identity, and the judge refuses it. */
static void
test_origins(void)
{
    static const struct {
        const char *what;
        krb5_flags flags;
        const char *transited;
        gboolean pac_delegated;
        gsize field;
    } origins[] = {
        {"another realm", TKT_FLG_TRANSIT_POLICY_CHECKED, "OTHER.TEST", FALSE,
         G_STRUCT_OFFSET(VmfPeerIdentity, transited)},
        {"forwarded", TKT_FLG_FORWARDED, NULL, FALSE, G_STRUCT_OFFSET(VmfPeerIdentity, forwarded)},
        {"forwarded", TKT_FLG_PROXY, NULL, FALSE, G_STRUCT_OFFSET(VmfPeerIdentity, forwarded)},
        {"S4U", 0, NULL, TRUE, G_STRUCT_OFFSET(VmfPeerIdentity, s4u)},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(origins); i++) {
        ForgedTicket ticket = good_ticket();
        ticket.flags = origins[i].flags;
        ticket.transited = origins[i].transited;
        ticket.pac_delegated = origins[i].pac_delegated;
        g_autoptr(VmfPeerIdentity) peer = peer_of(&ticket);
        g_autoptr(GError) error = NULL;
        g_assert_true(G_STRUCT_MEMBER(gboolean, peer, origins[i].field));
        g_assert_false(vmf_peer_judge_ticket(peer, hv2, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_DENIED);
        g_assert_nonnull(strstr(error->message, origins[i].what));
    }
}

static void
test_s4u_self(void)
{
    static const char *const asserted[] = {"S-1-18-2", NULL};
    const ForgedLogon forged = {
        .account = "HV1$", .domain_sid = FORGED_DOMAIN_SID, .rid = 1105, .extra = asserted};
    g_autoptr(GBytes) info = forge_logon(&forged);
    ForgedTicket ticket = good_ticket();
    ticket.logon = info;
    g_autoptr(VmfPeerIdentity) peer = peer_of(&ticket);
    g_assert_true(peer->s4u);
}

/* A PAC that its own KDC has not signed with our key is as good as none. */
static void
test_pac_not_signed(void)
{
    ForgedTicket ticket = good_ticket();
    ticket.pac_forged = TRUE;
    g_autoptr(VmfPeerIdentity) forged = peer_of(&ticket);
    g_assert_null(forged->sid);
    g_assert_cmpuint(forged->group_sids->len, ==, 0);

    ticket.pac_forged = FALSE;
    ticket.pac_client = "HV9$@LAB.TEST";
    g_autoptr(VmfPeerIdentity) others = peer_of(&ticket);
    g_assert_null(others->sid);

    ticket.logon = NULL;
    g_autoptr(VmfPeerIdentity) none = peer_of(&ticket);
    g_autoptr(GError) error = NULL;
    g_assert_null(none->sid);
    g_assert_false(vmf_peer_judge_ticket(none, hv2, &error));
    g_assert_nonnull(strstr(error->message, "PAC"));
}

static void
test_pac_malformed(void)
{
    Exchange x = {0};
    g_autoptr(GBytes) garbage = g_bytes_new_static("no NDR at all", 13);
    g_autoptr(GError) error = NULL;
    ForgedTicket ticket = good_ticket();
    ticket.logon = garbage;
    run(&x, hv1, &ticket);
    g_assert_no_error(x.refused);
    g_assert_null(vmf_gss_peer(x.acceptor, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    clear(&x);
}

/* Which of them would be the one that the KDC checked? */
static void
test_two_pacs(void)
{
    Exchange x = {0};
    g_autoptr(GError) error = NULL;
    ForgedTicket ticket = good_ticket();
    ticket.pac_twice = TRUE;
    run(&x, hv1, &ticket);
    if (x.refused == NULL)
        g_assert_null(vmf_gss_peer(x.acceptor, &error));
    g_assert_true(x.refused || g_error_matches(error, VMF_ERROR, VMF_ERROR_PROTOCOL));
    clear(&x);
}

/* The keytab has an RC4 key of this name; the acceptor must not use it. */
static void
test_rc4_ticket(void)
{
    Exchange x = {0};
    ForgedTicket ticket = good_ticket();
    ticket.ticket_enctype = ENCTYPE_ARCFOUR_HMAC;
    run(&x, hv1, &ticket);
    g_assert_error(x.refused, VMF_ERROR, VMF_ERROR_AUTH);
    g_assert_nonnull(strstr(x.refused->message, "arcfour"));
    g_assert_nonnull(strstr(x.refused->message, "AES"));
    clear(&x);
}

/* The initiator must not even begin with an RC4 session key. */
static void
test_rc4_session(void)
{
    ForgedTicket ticket = good_ticket();
    ticket.session_enctype = ENCTYPE_ARCFOUR_HMAC;
    g_autofree gchar *cache = forge_ccache("rc4-session.cc", &ticket);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) token = NULL;
    gboolean done;
    g_autoptr(VmfGss) gss = vmf_gss_initiator(hv1, NULL, cache, "hv2.lab.test", &error);
    g_assert_no_error(error);
    g_assert_false(vmf_gss_step(gss, NULL, &token, &done, &error));
    g_assert_nonnull(error);
}

/* Expired, and not valid yet: whichever end notices, there is no session. */
static void
test_not_valid_now(void)
{
    static const gint64 times[][2] = {{-7200, -3600}, {3600, 7200}};
    for (gsize i = 0; i < G_N_ELEMENTS(times); i++) {
        ForgedTicket ticket = good_ticket();
        ticket.starts = times[i][0];
        ticket.ends = times[i][1];
        g_autofree gchar *cache = forge_ccache("not-now.cc", &ticket);
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) token = NULL, answer = NULL;
        gboolean done;
        g_autoptr(VmfGss) initiator = vmf_gss_initiator(hv1, NULL, cache, "hv2.lab.test", &error);
        g_autoptr(VmfGss) acceptor = vmf_gss_acceptor(hv2, keytab, NULL);
        if (initiator && vmf_gss_step(initiator, NULL, &token, &done, &error))
            g_assert_false(vmf_gss_step(acceptor, token, &answer, &done, &error));
        g_assert_nonnull(error);
        g_test_message("%s", error->message);
    }
}

/* The authenticator says when it was made, by the initiator's clock: five minutes off are the most. */
static void
test_clock_off(void)
{
    static const struct {
        gint ahead_s;
        gboolean good;
    } clocks[] = {{0, TRUE}, {240, TRUE}, {-240, TRUE}, {600, FALSE}, {-600, FALSE}};
    for (gsize i = 0; i < G_N_ELEMENTS(clocks); i++) {
        ForgedTicket ticket = good_ticket();
        ticket.starts = -3600;
        g_autoptr(GBytes) token = forge_token(&ticket, clocks[i].ahead_s), answer = NULL;
        g_autoptr(GError) error = NULL;
        gboolean done = FALSE;
        g_autoptr(VmfGss) acceptor = vmf_gss_acceptor(hv2, keytab, NULL);
        gboolean ok = vmf_gss_step(acceptor, token, &answer, &done, &error);
        g_test_message("%+d s: %s", clocks[i].ahead_s, ok ? "accepted" : error->message);
        g_assert_cmpint(ok && done, ==, clocks[i].good);
        if (ok)
            continue;
        g_assert_error(error, VMF_ERROR, VMF_ERROR_AUTH);
        g_assert_nonnull(strstr(error->message, "Clock skew"));
        g_assert_nonnull(strstr(error->message, "timedatectl"));
    }
}

/* A ticket for another service, made with a key that our keytab has too. */
static void
test_other_service(void)
{
    static const krb5_enctype aes[] = {ENCTYPE_AES256_CTS_HMAC_SHA1_96, 0};
    g_autofree gchar *both = forge_keytab("both", aes, "host/hv2.lab.test@LAB.TEST",
                                          "cifs/hv2.lab.test@LAB.TEST", "HV2$@LAB.TEST", NULL);
    static const char *const servers[] = {"cifs/hv2.lab.test@LAB.TEST", "HV2$@LAB.TEST"};
    for (gsize i = 0; i < G_N_ELEMENTS(servers); i++) {
        /* asks for host/hv2, gets the other ticket under that name from the forger's cache */
        ForgedTicket ticket = good_ticket();
        ticket.server = servers[i];
        g_autofree gchar *cache = forge_ccache("other.cc", &ticket);
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) token = NULL;
        gboolean done;
        g_autoptr(VmfGss) initiator = vmf_gss_initiator(hv1, NULL, cache, "hv2.lab.test", &error);
        g_assert_no_error(error);
        g_assert_false(vmf_gss_step(initiator, NULL, &token, &done, &error));
        g_assert_nonnull(error); /* no ticket for host/hv2 and no KDC */
    }
}

/* A copy of an AP-REQ that has been accepted once. */
static void
test_replay(void)
{
    Exchange x = {0};
    const ForgedTicket ticket = good_ticket();
    run(&x, hv1, &ticket);
    g_assert_no_error(x.refused);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) answer = NULL;
    gboolean done;
    g_autoptr(VmfGss) again = vmf_gss_acceptor(hv2, keytab, NULL);
    g_assert_false(vmf_gss_step(again, x.request, &answer, &done, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_AUTH);
    g_assert_nonnull(strstr(error->message, "copy"));
    clear(&x);
}

static void
test_garbage(void)
{
    Exchange x = {0};
    const ForgedTicket ticket = good_ticket();
    run(&x, hv1, &ticket);
    gsize size;
    const guint8 *data = g_bytes_get_data(x.request, &size);
    /* every truncation, and some changed byte of each sixteen */
    for (gsize i = 0; i < size + size / 16; i++) {
        g_autoptr(VmfGss) gss = vmf_gss_acceptor(hv2, keytab, NULL);
        g_autofree guint8 *copy = g_memdup2(data, size);
        gsize length = i < size ? i : size;
        if (i >= size)
            copy[(i - size) * 16] ^= 0x11;
        g_autoptr(GBytes) token = g_bytes_new(copy, length);
        g_autoptr(GBytes) answer = NULL;
        g_autoptr(GError) error = NULL;
        gboolean done;
        g_assert_false(vmf_gss_step(gss, token, &answer, &done, &error));
        g_assert_nonnull(error);
    }
    clear(&x);
}

static void
test_out_of_turn(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) reply = NULL, token = g_bytes_new_static("x", 1);
    g_autofree guint8 *zeros = g_malloc0(VMF_GSS_MAX_TOKEN + 1);
    g_autoptr(GBytes) large = g_bytes_new(zeros, VMF_GSS_MAX_TOKEN + 1);
    gboolean done;
    g_autoptr(VmfGss) one = vmf_gss_acceptor(hv2, keytab, NULL);
    g_assert_false(vmf_gss_step(one, NULL, &reply, &done, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_clear_error(&error);
    g_autoptr(VmfGss) two = vmf_gss_acceptor(hv2, keytab, NULL);
    g_assert_false(vmf_gss_step(two, large, &reply, &done, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_clear_error(&error);
    g_autoptr(VmfGss) three = vmf_gss_acceptor(hv2, keytab, NULL);
    g_assert_false(vmf_gss_step(three, token, &reply, &done, NULL));
    g_assert_false(vmf_gss_step(three, token, &reply, &done, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

static void
test_no_usable_key(void)
{
    static const krb5_enctype rc4[] = {ENCTYPE_ARCFOUR_HMAC, 0};
    g_autofree gchar *weak = forge_keytab("rc4-only", rc4, "host/hv2.lab.test@LAB.TEST", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(vmf_gss_acceptor(hv2, weak, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_clear_error(&error);
    g_assert_null(vmf_gss_acceptor(hv2, "/nonexistent", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

static void
test_no_kdc(void)
{
    static const krb5_enctype aes[] = {ENCTYPE_AES256_CTS_HMAC_SHA1_96, 0};
    g_autofree gchar *mine = forge_keytab("mine", aes, "HV1$@LAB.TEST", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(vmf_gss_initiator(hv1, mine, NULL, "hv2.lab.test", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    g_assert_nonnull(strstr(error->message, "HV1$@LAB.TEST"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    forge_begin();
    hv1 = vmf_host_identity_new("HV1$", "LAB.TEST", "hv1.lab.test");
    hv2 = vmf_host_identity_new("HV2$", "LAB.TEST", "hv2.lab.test");
    keytab = forge_keytab("hv2", all_keys, "host/hv2.lab.test@LAB.TEST", NULL);
    static const guint32 groups[] = {FORGED_GROUP_RID, 0};
    const ForgedLogon forged = {.account = "HV1$",
                                .domain_sid = FORGED_DOMAIN_SID,
                                .rid = 1105,
                                .uac = VMF_PAC_UAC_WORKSTATION_TRUST,
                                .groups = groups};
    logon = forge_logon(&forged);

    g_test_add_func("/gss/good-ticket/both-ends-agree", test_both_ends);
    g_test_add_func("/gss/origin/seen", test_origins);
    g_test_add_func("/gss/s4u-self/seen", test_s4u_self);
    g_test_add_func("/gss/pac-not-signed/ignored", test_pac_not_signed);
    g_test_add_func("/gss/pac-malformed/refused", test_pac_malformed);
    g_test_add_func("/gss/two-pacs/refused", test_two_pacs);
    g_test_add_func("/gss/rc4-ticket/refused", test_rc4_ticket);
    g_test_add_func("/gss/rc4-session/refused", test_rc4_session);
    g_test_add_func("/gss/not-valid-now/refused", test_not_valid_now);
    g_test_add_func("/gss/clock-off/refused", test_clock_off);
    g_test_add_func("/gss/other-service/refused", test_other_service);
    g_test_add_func("/gss/replay/refused", test_replay);
    g_test_add_func("/gss/garbage/refused", test_garbage);
    g_test_add_func("/gss/out-of-turn/refused", test_out_of_turn);
    g_test_add_func("/gss/no-usable-key/refused", test_no_usable_key);
    g_test_add_func("/gss/no-kdc/unreachable", test_no_kdc);
    int rc = g_test_run();
    g_bytes_unref(logon);
    g_free(keytab);
    vmf_host_identity_free(hv1);
    vmf_host_identity_free(hv2);
    forge_end();
    return rc;
}
