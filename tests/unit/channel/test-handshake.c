/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vmf_channel_connect() against vmf_channel_accept(), Kerberos and TLS as they are; only the KDC is a
 * forger, and the judge's directory is made up. In between sits, where wanted, somebody in the middle.
 */
#include "src/base/error.h"
#include "src/channel/channel.h"
#include "src/channel/handshake.h"
#include "tests/unit/auth/forge.h"
#include "tests/unit/channel/pair.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static VmfHostIdentity *hv1, *hv2;
static gchar *hv1_keytab, *hv2_keytab;
static GBytes *hv1_logon;

/* ---- the two ends ---- */

typedef struct {
    VmfChannelConfig config;
    int sock;
    const char *peer_fqdn; /* NULL: accepts */
    VmfChannel *channel;
    GError *error;
    gint64 took_us;
    guint judged;
    const VmfHostIdentity *judge_me;
    const char *refuse_with; /* the judge's words; NULL: by vmf_peer_judge_ticket() */
} End;

static gboolean
judge(const VmfPeerIdentity *peer, gpointer data, GError **error)
{
    End *end = data;
    end->judged++;
    if (end->refuse_with) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_DENIED, end->refuse_with);
        return FALSE;
    }
    return vmf_peer_judge_ticket(peer, end->judge_me, error);
}

static gpointer
run_end(gpointer data)
{
    End *end = data;
    gint64 start = g_get_monotonic_time();
    if (end->peer_fqdn)
        end->channel = vmf_channel_connect(&end->config, end->sock, end->peer_fqdn, &end->error);
    else
        end->channel = vmf_channel_accept(&end->config, end->sock, NULL, &end->error);
    end->took_us = g_get_monotonic_time() - start;
    g_assert_true((end->channel == NULL) == (end->error != NULL));
    return NULL;
}

static void
init_end(End *end, const VmfHostIdentity *me, const char *keytab, const char *ccache,
         const char *peer_fqdn)
{
    *end = (End){.config = {me, keytab, ccache, judge, end, 5},
                 .sock = -1,
                 .peer_fqdn = peer_fqdn,
                 .judge_me = me};
}

static void
clear_end(End *end)
{
    vmf_channel_unref(end->channel);
    g_clear_error(&end->error);
}

static ForgedTicket
hv1_ticket(void)
{
    return (ForgedTicket){
        .client = "HV1$@LAB.TEST", .server = "host/hv2.lab.test@LAB.TEST", .logon = hv1_logon};
}

/* Both ends over a socketpair, to the end of both. */
static void
run_both(End *one, End *two)
{
    int wire[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), ==, 0);
    one->sock = wire[0];
    two->sock = wire[1];
    GThread *thread = g_thread_new("end", run_end, two);
    run_end(one);
    g_thread_join(thread);
}

static void
test_good(void)
{
    const ForgedTicket ticket = hv1_ticket();
    g_autofree gchar *cache = forge_ccache("good.cc", &ticket);
    End one, two;
    char got[3] = "";
    init_end(&one, hv1, NULL, cache, "hv2.lab.test");
    init_end(&two, hv2, hv2_keytab, NULL, NULL);
    run_both(&one, &two);
    g_assert_no_error(one.error);
    g_assert_no_error(two.error);
    g_assert_cmpuint(one.judged, ==, 1);
    g_assert_cmpuint(two.judged, ==, 1);
    g_assert_cmpstr(vmf_channel_peer(one.channel)->fqdn, ==, "hv2.lab.test");
    g_assert_cmpstr(vmf_channel_peer(two.channel)->account, ==, "HV1$");
    g_assert_cmpstr(vmf_channel_peer(two.channel)->sid, ==, FORGED_DOMAIN_SID "-1105");
    g_assert_false(vmf_channel_is_stream(two.channel));
    int a = vmf_channel_steal_fd(one.channel, NULL), b = vmf_channel_steal_fd(two.channel, NULL);
    pair_write(a, "hi", 2);
    pair_read(b, got, 2);
    g_assert_cmpstr(got, ==, "hi");
    close(a);
    pair_expect_end(b);
    close(b);
    g_assert_true(vmf_channel_wait(one.channel, NULL));
    g_assert_true(vmf_channel_wait(two.channel, NULL));
    clear_end(&one);
    clear_end(&two);
}

/* @refused knows that, and a number; @refusing has the words and the same number. */
static void
expect_refusal(const End *refused, const End *refusing)
{
    g_assert_error(refusing->error, VMF_ERROR, VMF_ERROR_DENIED);
    g_assert_nonnull(strstr(refusing->error->message, refusing->refuse_with));
    g_assert_error(refused->error, VMF_ERROR, VMF_ERROR_DENIED);
    g_assert_null(strstr(refused->error->message, refusing->refuse_with));
    g_assert_null(strstr(refused->error->message, "group"));
    const char *number = strstr(refused->error->message, "--grep=");
    g_assert_nonnull(number);
    number += strlen("--grep=");
    g_assert_cmpuint(strlen(number), ==, VMF_REFERENCE_CHARS);
    g_autofree gchar *record = g_strdup_printf("(record %s)", number);
    g_assert_true(g_str_has_suffix(refusing->error->message, record));
}

/* Each side's no reaches the other without its words; nobody gets a channel. */
static void
test_refused_by_acceptor(void)
{
    const ForgedTicket ticket = hv1_ticket();
    g_autofree gchar *cache = forge_ccache("refused.cc", &ticket);
    End one, two;
    init_end(&one, hv1, NULL, cache, "hv2.lab.test");
    init_end(&two, hv2, hv2_keytab, NULL, NULL);
    two.refuse_with = "'HV1$' is not in the group; add it";
    run_both(&one, &two);
    expect_refusal(&one, &two);
    g_assert_nonnull(strstr(one.error->message, "hv2.lab.test"));
    clear_end(&one);
    clear_end(&two);
}

static void
test_refused_by_initiator(void)
{
    const ForgedTicket ticket = hv1_ticket();
    g_autofree gchar *cache = forge_ccache("refused.cc", &ticket);
    End one, two;
    init_end(&one, hv1, NULL, cache, "hv2.lab.test");
    init_end(&two, hv2, hv2_keytab, NULL, NULL);
    one.refuse_with = "'HV2$' is not in the group; add it";
    run_both(&one, &two);
    expect_refusal(&two, &one);
    clear_end(&one);
    clear_end(&two);
}

static void
test_user_ticket(void)
{
    ForgedTicket ticket = hv1_ticket();
    ticket.client = "alice@LAB.TEST";
    g_autofree gchar *cache = forge_ccache("alice.cc", &ticket);
    g_autoptr(VmfHostIdentity)
        alice = vmf_host_identity_new("alice", "LAB.TEST", "nowhere.lab.test");
    End one, two;
    init_end(&one, alice, NULL, cache, "hv2.lab.test");
    init_end(&two, hv2, hv2_keytab, NULL, NULL);
    run_both(&one, &two);
    g_assert_error(two.error, VMF_ERROR, VMF_ERROR_DENIED);
    g_assert_nonnull(strstr(two.error->message, "alice@LAB.TEST"));
    g_assert_error(one.error, VMF_ERROR, VMF_ERROR_DENIED);
    clear_end(&one);
    clear_end(&two);
}

static void
test_oneself(void)
{
    g_autoptr(GError) error = NULL;
    End one;
    init_end(&one, hv1, hv1_keytab, NULL, "HV1.lab.test");
    g_assert_null(vmf_channel_connect(&one.config, dup(0), "HV1.lab.test", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    static const char *const bad[] = {
        "", "hv2", "hv2.lab.test@OTHER", "host/hv2.lab.test", "10.0.0.1/24", "hv2.lab.test\n"};
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) refused = NULL;
        g_assert_null(vmf_channel_connect(&one.config, dup(0), bad[i], &refused));
        g_assert_error(refused, VMF_ERROR, VMF_ERROR_CONFIG);
    }
}

/* ---- somebody in the middle ---- */

typedef struct {
    int client, server;   /* sockets towards them */
    gsize flip;           /* change this byte of the client's; G_MAXSIZE: none */
    GByteArray *recorded; /* what the client said */
} Middle;

static gpointer
run_middle(gpointer data)
{
    Middle *middle = data;
    struct pollfd fds[2] = {{middle->client, POLLIN, 0}, {middle->server, POLLIN, 0}};
    guint8 block[65536];
    for (;;) {
        poll(fds, 2, -1);
        int from = fds[0].revents ? 0 : 1;
        gssize n = recv(fds[from].fd, block, sizeof block, 0);
        if (n <= 0)
            break;
        if (from == 0) {
            gsize at = middle->recorded->len;
            g_byte_array_append(middle->recorded, block, (guint)n);
            if (middle->flip >= at && middle->flip < at + (gsize)n)
                block[middle->flip - at] ^= 1;
        }
        if (send(fds[!from].fd, block, (gsize)n, MSG_NOSIGNAL) != n)
            break;
    }
    close(middle->client);
    close(middle->server);
    return NULL;
}

static void
run_through(End *one, End *two, Middle *middle)
{
    int left[2], right[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, left), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, right), ==, 0);
    one->sock = left[0];
    two->sock = right[0];
    middle->client = left[1];
    middle->server = right[1];
    middle->recorded = g_byte_array_new();
    GThread *other = g_thread_new("end", run_end, two);
    GThread *between = g_thread_new("middle", run_middle, middle);
    run_end(one);
    g_thread_join(other);
    g_clear_pointer(&one->channel, vmf_channel_unref);
    g_clear_pointer(&two->channel, vmf_channel_unref);
    g_thread_join(between);
}

/* Of this run: an AP-REQ with other times may be a byte longer or shorter than the last. */
static guint
token_bytes(const Middle *middle)
{
    return GUINT32_FROM_BE(*(guint32 *)(gpointer)(middle->recorded->data + 12));
}

/* The ClientHello's legacy_record_version means nothing (RFC 8446, 5.1). */
static gboolean
is_record_version(const Middle *middle)
{
    gsize record = VMF_GREETING_BYTES + token_bytes(middle);
    return middle->flip == record + 1 || middle->flip == record + 2;
}

/* Any byte of what the client says, changed on the way: no channel, and the judge is not asked. */
static void
test_changed_byte(void)
{
    const ForgedTicket ticket = hv1_ticket();
    g_autofree gchar *cache = forge_ccache("changed.cc", &ticket);
    Middle honest = {.flip = G_MAXSIZE};
    End one, two;
    init_end(&one, hv1, NULL, cache, "hv2.lab.test");
    init_end(&two, hv2, hv2_keytab, NULL, NULL);
    run_through(&one, &two, &honest);
    g_assert_no_error(one.error);
    g_assert_no_error(two.error);
    /* what it says: greeting, token, ClientHello (the rest is in TLS, see test-channel) */
    gsize clear = VMF_GREETING_BYTES + token_bytes(&honest) + 100;
    g_assert_cmpuint(clear, <, honest.recorded->len);
    g_byte_array_unref(honest.recorded);

    for (gsize at = 0; at < clear; at += at < 40 ? 1 : 23) {
        if (at >= 12 && at < 16)
            continue; /* a longer length only waits for bytes that do not come: test_slow */
        Middle middle = {.flip = at};
        init_end(&one, hv1, NULL, cache, "hv2.lab.test");
        init_end(&two, hv2, hv2_keytab, NULL, NULL);
        run_through(&one, &two, &middle);
        if (!is_record_version(&middle)) {
            if (two.error == NULL)
                g_error("byte %" G_GSIZE_FORMAT " was not missed; the token has %u", at,
                        token_bytes(&middle));
            g_assert_nonnull(one.error);
            g_assert_cmpuint(two.judged, ==, 0);
            g_assert_cmpuint(one.judged, ==, 0);
        }
        g_byte_array_unref(middle.recorded);
        clear_end(&one);
        clear_end(&two);
    }
}

/* An acceptor that is sent @bytes, and then nothing but the end. */
static void
accept_bytes(const guint8 *bytes, gsize size, gboolean end_after, End *two)
{
    int wire[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), ==, 0);
    init_end(two, hv2, hv2_keytab, NULL, NULL);
    two->sock = wire[1];
    GThread *other = g_thread_new("end", run_end, two);
    if (size > 0)
        (void)!send(wire[0], bytes, size, MSG_NOSIGNAL);
    if (end_after)
        shutdown(wire[0], SHUT_WR);
    g_thread_join(other);
    close(wire[0]);
    g_assert_null(two->channel);
    g_assert_cmpuint(two->judged, ==, 0);
}

/* All that a client ever said, said again: libkrb5 knows the authenticator. */
static void
test_replay(void)
{
    const ForgedTicket ticket = hv1_ticket();
    g_autofree gchar *cache = forge_ccache("replay.cc", &ticket);
    Middle middle = {.flip = G_MAXSIZE};
    End one, two;
    init_end(&one, hv1, NULL, cache, "hv2.lab.test");
    init_end(&two, hv2, hv2_keytab, NULL, NULL);
    run_through(&one, &two, &middle);
    g_assert_no_error(two.error);
    accept_bytes(middle.recorded->data, middle.recorded->len, TRUE, &two);
    g_assert_error(two.error, VMF_ERROR, VMF_ERROR_AUTH);
    clear_end(&two);
    g_byte_array_unref(middle.recorded);
}

/*
 * The same without libkrb5's replay cache: the AP-REQ never reached its addressee. Who has it lacks its
 * session key, so key confirmation fails.
 */
static void
test_stolen_ap_req(void)
{
    const ForgedTicket ticket = hv1_ticket();
    g_autofree gchar *cache = forge_ccache("stolen.cc", &ticket);
    End one, two;
    int wire[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), ==, 0);
    init_end(&one, hv1, NULL, cache, "hv2.lab.test");
    one.sock = wire[0];
    GThread *thread = g_thread_new("end", run_end, &one);
    guint8 stolen[VMF_GREETING_BYTES + 65536];
    pair_read(wire[1], stolen, VMF_GREETING_BYTES);
    VmfChannelKind kind;
    guint32 length;
    g_assert_true(vmf_greeting_decode(stolen, VMF_GREETING_BYTES, &kind, &length, NULL));
    pair_read(wire[1], stolen + VMF_GREETING_BYTES, length);
    close(wire[1]);
    g_thread_join(thread);
    g_assert_error(one.error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    clear_end(&one);

    /* the thief brings it, takes the answer, and goes on with TLS under a key of its own making */
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), ==, 0);
    init_end(&two, hv2, hv2_keytab, NULL, NULL);
    two.sock = wire[1];
    thread = g_thread_new("end", run_end, &two);
    pair_write(wire[0], stolen, VMF_GREETING_BYTES + length);
    pair_read(wire[0], stolen, VMF_ANSWER_BYTES);
    g_assert_true(vmf_answer_decode(stolen, VMF_ANSWER_BYTES, &length, NULL));
    pair_read(wire[0], stolen, length);
    static const guint8 guess[VMF_TLS_KEY_BYTES] = {0};
    g_autoptr(GError) refused = NULL;
    g_assert_null(vmf_handshake_tls(wire[0], FALSE, guess,
                                    g_get_monotonic_time() + 5 * G_USEC_PER_SEC, &refused));
    g_assert_error(refused, VMF_ERROR, VMF_ERROR_AUTH);
    close(wire[0]);
    g_thread_join(thread);
    g_assert_error(two.error, VMF_ERROR, VMF_ERROR_AUTH);
    g_assert_nonnull(strstr(two.error->message, "relayed, repeated or changed"));
    g_assert_cmpuint(two.judged, ==, 0);
    clear_end(&two);
}

/* hv1's own connection to hv2 comes back to hv1: the ticket is not for it. */
static void
test_reflected(void)
{
    const ForgedTicket ticket = hv1_ticket();
    g_autofree gchar *cache = forge_ccache("reflected.cc", &ticket);
    End one, two;
    init_end(&one, hv1, NULL, cache, "hv2.lab.test");
    init_end(&two, hv1, hv1_keytab, NULL, NULL);
    run_both(&one, &two);
    g_assert_error(two.error, VMF_ERROR, VMF_ERROR_AUTH);
    g_assert_nonnull(one.error);
    g_assert_cmpuint(one.judged + two.judged, ==, 0);
    clear_end(&one);
    clear_end(&two);
}

/* A ticket of hv1 for itself, which the KDC would give: identity is proven, the judge says no. */
static void
test_own_ticket(void)
{
    ForgedTicket ticket = hv1_ticket();
    ticket.server = "host/hv1.lab.test@LAB.TEST";
    g_autofree gchar *cache = forge_ccache("own.cc", &ticket);
    g_autoptr(VmfHostIdentity)
        disguised = vmf_host_identity_new("HV1$", "LAB.TEST", "other.lab.test");
    End one, two;
    init_end(&one, disguised, NULL, cache, "hv1.lab.test");
    init_end(&two, hv1, hv1_keytab, NULL, NULL);
    run_both(&one, &two);
    g_assert_error(two.error, VMF_ERROR, VMF_ERROR_DENIED);
    g_assert_nonnull(strstr(two.error->message, "this host itself"));
    clear_end(&one);
    clear_end(&two);
}

static void
test_garbage(void)
{
    guint8 bytes[VMF_GREETING_BYTES + 200];
    End two;
    /* every truncation of a greeting with a token that is none */
    vmf_greeting_encode(VMF_CHANNEL_CONTROL, 200, bytes);
    memset(bytes + VMF_GREETING_BYTES, 0x60, 200);
    for (gsize size = 0; size <= sizeof bytes; size += size < 20 ? 1 : 36) {
        accept_bytes(bytes, size, TRUE, &two);
        g_assert_true(g_error_matches(two.error, VMF_ERROR, VMF_ERROR_UNREACHABLE) ||
                      g_error_matches(two.error, VMF_ERROR, VMF_ERROR_PROTOCOL));
        clear_end(&two);
    }
    accept_bytes((const guint8 *)"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, FALSE, &two);
    g_assert_error(two.error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_assert_cmpint(two.took_us, <, 5 * G_USEC_PER_SEC);
    clear_end(&two);
}

/* Refused by its length alone: nothing of the token is waited for. */
static void
test_oversized(void)
{
    guint8 bytes[VMF_GREETING_BYTES];
    End two;
    vmf_greeting_encode(VMF_CHANNEL_CONTROL, VMF_CHANNEL_TOKEN_BYTES + 1, bytes);
    accept_bytes(bytes, sizeof bytes, FALSE, &two);
    g_assert_error(two.error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_assert_cmpint(two.took_us, <, 5 * G_USEC_PER_SEC);
    clear_end(&two);
}

/* A byte now and then gains no time: the deadline is for the whole. Takes those 10 s. */
static void
test_slow(void)
{
    int wire[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), ==, 0);
    End two;
    init_end(&two, hv2, hv2_keytab, NULL, NULL);
    two.sock = wire[1];
    GThread *other = g_thread_new("end", run_end, &two);
    guint8 bytes[VMF_GREETING_BYTES];
    vmf_greeting_encode(VMF_CHANNEL_CONTROL, 60000, bytes);
    pair_write(wire[0], bytes, sizeof bytes);
    struct pollfd one = {wire[0], 0, 0};
    while (poll(&one, 1, 100) == 0 && send(wire[0], "x", 1, MSG_NOSIGNAL) == 1)
        ;
    g_thread_join(other);
    close(wire[0]);
    g_assert_error(two.error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    g_assert_cmpint(two.took_us, >, 9 * G_USEC_PER_SEC);
    g_assert_cmpint(two.took_us, <, 12 * G_USEC_PER_SEC);
    clear_end(&two);
}

static void
test_no_leaks(void)
{
    static void (*const rounds[])(void) = {
        test_good,   test_refused_by_acceptor, test_oneself,    test_garbage,
        test_replay, test_stolen_ap_req,       test_own_ticket, test_reflected};
    rounds[0]();
    guint fds = pair_count_fds(), threads = pair_count_threads();
    for (gsize i = 0; i < G_N_ELEMENTS(rounds); i++)
        rounds[i]();
    g_assert_cmpuint(pair_count_fds(), ==, fds);
    g_assert_cmpuint(pair_count_threads(), ==, threads);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    forge_begin();
    static const krb5_enctype keys[] = {ENCTYPE_AES256_CTS_HMAC_SHA1_96, ENCTYPE_ARCFOUR_HMAC, 0};
    static const guint32 groups[] = {FORGED_GROUP_RID, 0};
    const ForgedLogon logon = {.account = "HV1$",
                               .domain_sid = FORGED_DOMAIN_SID,
                               .rid = 1105,
                               .uac = 0x80,
                               .groups = groups};
    hv1 = vmf_host_identity_new("HV1$", "LAB.TEST", "hv1.lab.test");
    hv2 = vmf_host_identity_new("HV2$", "LAB.TEST", "hv2.lab.test");
    hv1_keytab = forge_keytab("hv1", keys, "HV1$@LAB.TEST", "host/hv1.lab.test@LAB.TEST", NULL);
    hv2_keytab = forge_keytab("hv2", keys, "HV2$@LAB.TEST", "host/hv2.lab.test@LAB.TEST", NULL);
    hv1_logon = forge_logon(&logon);

    g_test_add_func("/handshake/good/channel", test_good);
    g_test_add_func("/handshake/refused-by-acceptor/reason-stays-there", test_refused_by_acceptor);
    g_test_add_func("/handshake/refused-by-initiator/reason-stays-there",
                    test_refused_by_initiator);
    g_test_add_func("/handshake/user-ticket/denied", test_user_ticket);
    g_test_add_func("/handshake/oneself-or-no-name/config-error", test_oneself);
    g_test_add_func("/handshake/changed-byte/no-channel", test_changed_byte);
    g_test_add_func("/handshake/replay/refused", test_replay);
    g_test_add_func("/handshake/stolen-ap-req/worthless", test_stolen_ap_req);
    g_test_add_func("/handshake/reflected/refused", test_reflected);
    g_test_add_func("/handshake/own-ticket/denied", test_own_ticket);
    g_test_add_func("/handshake/garbage/refused", test_garbage);
    g_test_add_func("/handshake/oversized/refused-at-once", test_oversized);
    g_test_add_func("/handshake/slow/cut-at-the-deadline", test_slow);
    g_test_add_func("/handshake/all/nothing-left-behind", test_no_leaks);
    int rc = g_test_run();
    g_bytes_unref(hv1_logon);
    g_free(hv1_keytab);
    g_free(hv2_keytab);
    vmf_host_identity_free(hv1);
    vmf_host_identity_free(hv2);
    forge_end();
    return rc;
}
