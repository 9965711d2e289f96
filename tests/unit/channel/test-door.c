/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vmf_door_*() with the programs as they are built, Kerberos and TLS as they are, over TCP; only the
 * KDC is a forger. As root, the programs run as nobody, as they would as vmferry-door.
 */
#include "src/base/error.h"
#include "src/channel/door.h"
#include "src/channel/greeting.h"
#include "tests/unit/auth/forge.h"
#include "tests/unit/channel/pair.h"

#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOME_BYTES (3 * 1024 * 1024)

static VmfHostIdentity *hv1, *hv2;
static gchar *hv1_keytab, *hv2_keytab;
static GBytes *hv1_logon, *hv3_logon;
static VmfDoor *hv1_door, *hv2_door;
static VmfChannelStreams *streams;
static struct sockaddr_in hv2_address;

/* ---- hv2, which is connected to ---- */

/* What became of one arrival */
typedef struct {
    VmfChannel *channel;
    GError *error;
} Met;

static GAsyncQueue *met;
static const char *refuse_with; /* hv2's judge; NULL: by vmf_peer_judge_ticket() */
static guint verdict_s = 5;
static GAsyncQueue *thinkers; /* one entry for each of those judges that has begun */
static GMutex thinking;       /* they have no verdict as long as somebody has it */

static gboolean
judge(const VmfPeerIdentity *peer, gpointer me, GError **error)
{
    if (refuse_with == NULL || me != hv2)
        return vmf_peer_judge_ticket(peer, me, error);
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_DENIED, refuse_with);
    return FALSE;
}

static void
arrived(VmfArrival *arrival, gpointer data)
{
    VmfChannelConfig config = {
        .me = hv2, .judge = judge, .judge_data = hv2, .timeout_s = verdict_s};
    Met *result = g_new0(Met, 1);
    g_assert_cmpstr(vmf_arrival_address(arrival), ==, "127.0.0.1");
    result->channel = vmf_door_accept(&config, arrival, streams, &result->error);
    g_async_queue_push(met, result);
}

/* The next arrival's channel (the caller's), or its error. */
static VmfChannel *
next_met(GError **error)
{
    Met *result = g_async_queue_timeout_pop(met, 20 * G_USEC_PER_SEC);
    g_assert_nonnull(result);
    VmfChannel *channel = result->channel;
    if (result->error)
        g_propagate_error(error, result->error);
    g_free(result);
    return channel;
}

/* ---- hv1, which connects ---- */

static int
dial(void)
{
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(sock, (struct sockaddr *)&hv2_address, sizeof hv2_address), ==, 0);
    return sock;
}

static gchar *
make_cache(const char *client, GBytes *logon)
{
    const ForgedTicket ticket = {
        .client = client, .server = "host/hv2.lab.test@LAB.TEST", .logon = logon};
    return forge_ccache("door.cc", &ticket);
}

static VmfChannel *
connect_from(const char *cache, const char *account, VmfChannelJudge judged_by, GError **error)
{
    g_autoptr(VmfHostIdentity) me = vmf_host_identity_new(account, "LAB.TEST", "hv1.lab.test");
    VmfChannelConfig config = {.me = me,
                               .ccache = cache,
                               .judge = judged_by,
                               .judge_data = hv1,
                               .timeout_s = 5,
                               .door = hv1_door};
    return vmf_channel_connect(&config, dial(), "hv2.lab.test", error);
}

static VmfChannel *
connect_as(const char *client, GError **error)
{
    g_autofree gchar *cache = make_cache(client, hv1_logon);
    g_auto(GStrv) parts = g_strsplit(client, "@", 2);
    return connect_from(cache, parts[0], judge, error);
}

typedef struct {
    VmfChannel *ours, *theirs;
    int a, b; /* plain ends */
} Both;

static Both
make_both(void)
{
    g_autoptr(GError) error = NULL;
    Both both = {.ours = connect_as("HV1$@LAB.TEST", &error)};
    g_assert_no_error(error);
    both.theirs = next_met(&error);
    g_assert_no_error(error);
    both.a = vmf_channel_steal_fd(both.ours, &error);
    g_assert_no_error(error);
    both.b = vmf_channel_steal_fd(both.theirs, &error);
    g_assert_no_error(error);
    return both;
}

static void
say_something(const Both *both)
{
    char got[3] = "";
    pair_write(both->a, "hi", 2);
    pair_read(both->b, got, 2);
    g_assert_cmpstr(got, ==, "hi");
}

static void
end_in_order(Both *both)
{
    g_autoptr(GError) error = NULL;
    close(both->a);
    pair_expect_end(both->b);
    close(both->b);
    vmf_channel_wait(both->ours, &error);
    g_assert_no_error(error);
    vmf_channel_wait(both->theirs, &error);
    g_assert_no_error(error);
    vmf_channel_unref(both->ours);
    vmf_channel_unref(both->theirs);
}

static void
test_good(void)
{
    Both both = make_both();
    g_assert_cmpstr(vmf_channel_peer(both.ours)->fqdn, ==, "hv2.lab.test");
    g_assert_cmpint(vmf_channel_peer(both.ours)->session_enctype, ==, 18);
    const VmfPeerIdentity *peer = vmf_channel_peer(both.theirs);
    g_assert_cmpstr(peer->account, ==, "HV1$");
    g_assert_cmpstr(peer->sid, ==, FORGED_DOMAIN_SID "-1105");
    g_assert_true(
        g_ptr_array_find_with_equal_func(peer->group_sids, FORGED_GROUP_SID, g_str_equal, NULL));
    g_autofree gchar *address = vmf_channel_peer_address(both.theirs);
    g_assert_cmpstr(address, ==, "127.0.0.1");
    say_something(&both);
    vmf_channel_ref(both.ours);
    vmf_channel_ref(both.theirs);
    end_in_order(&both);
    g_assert_cmpuint(vmf_channel_bytes_out(both.ours), ==, 2);
    g_assert_cmpuint(vmf_channel_bytes_in(both.theirs), ==, 2);
    vmf_channel_unref(both.ours);
    vmf_channel_unref(both.theirs);
}

static gpointer
write_some(gpointer fd)
{
    g_autofree guint8 *block = g_malloc(SOME_BYTES);
    for (gsize i = 0; i < SOME_BYTES; i++)
        block[i] = (guint8)(i * 7);
    pair_write(GPOINTER_TO_INT(fd), block, SOME_BYTES);
    close(GPOINTER_TO_INT(fd));
    return NULL;
}

static void
test_stream(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *name = NULL;
    g_autofree guint8 *got = g_malloc(SOME_BYTES);
    Both both = make_both();
    g_assert_true(vmf_channel_stream_expect(both.theirs, streams, 0, &name, &error));
    g_autoptr(VmfChannel) out = vmf_channel_stream_connect(both.ours, dial(), name, &error);
    g_assert_no_error(error);
    g_autoptr(VmfChannel) in = next_met(&error);
    g_assert_no_error(error);
    g_assert_cmpstr(vmf_channel_stream_name(in), ==, name);
    g_assert_cmpstr(vmf_channel_peer(in)->account, ==, "HV1$");
    int a = vmf_channel_steal_fd(out, NULL), b = vmf_channel_steal_fd(in, NULL);
    GThread *writer = g_thread_new("write", write_some, GINT_TO_POINTER(a));
    pair_read(b, got, SOME_BYTES);
    for (gsize i = 0; i < SOME_BYTES; i++)
        g_assert_cmpuint(got[i], ==, (guint8)(i * 7));
    pair_expect_end(b);
    close(b);
    g_thread_join(writer);
    g_assert_true(vmf_channel_wait(out, NULL));
    g_assert_true(vmf_channel_wait(in, NULL));
    g_assert_cmpuint(vmf_channel_bytes_in(in), ==, SOME_BYTES);

    /* the name is used up */
    g_assert_null(vmf_channel_stream_connect(both.ours, dial(), name, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_null(next_met(&error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_DENIED);
    end_in_order(&both);
}

static void
test_refused(void)
{
    g_autoptr(GError) error = NULL, theirs = NULL;
    refuse_with = "'HV1$' is not in the group; add it";
    g_assert_null(connect_as("HV1$@LAB.TEST", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_DENIED);
    g_assert_null(strstr(error->message, "group"));
    g_assert_null(next_met(&theirs));
    g_assert_error(theirs, VMF_ERROR, VMF_ERROR_DENIED);
    g_assert_true(g_str_has_prefix(theirs->message, refuse_with));
    refuse_with = NULL;

    /* the number that one was told is in what the other one logs */
    const char *number = strstr(error->message, "--grep=");
    g_assert_nonnull(number);
    number += strlen("--grep=");
    g_assert_cmpuint(strlen(number), ==, 8);
    g_assert_nonnull(strstr(theirs->message, number));
}

/* ---- who never says whether it accepts ---- */

#define WAITED_FOR 16

static gboolean
think(const VmfPeerIdentity *peer, gpointer me, GError **error)
{
    g_async_queue_push(thinkers, hv1);
    g_mutex_lock(&thinking);
    g_mutex_unlock(&thinking);
    return vmf_peer_judge_ticket(peer, me, error);
}

static guint
unref_if(VmfChannel *channel)
{
    if (channel)
        vmf_channel_unref(channel);
    return channel ? 1 : 0;
}

static gpointer
connect_thinking(gpointer cache)
{
    return connect_from(cache, "HV1$", think, NULL);
}

/* An account has so many places; another one has its own. They are there again when they are left. */
static void
test_no_verdict(void)
{
    GThread *members[WAITED_FOR + 1];
    guint open = 0;
    g_autoptr(GError) error = NULL;
    g_autofree gchar *cache = make_cache("HV1$@LAB.TEST", hv1_logon);
    verdict_s = 60;
    g_mutex_lock(&thinking);
    for (guint i = 0; i <= WAITED_FOR;
         i++) { /* one after the other: an address has only so many places for who is not proven */
        members[i] = g_thread_new("member", connect_thinking, cache);
        g_assert_nonnull(g_async_queue_timeout_pop(thinkers, 20 * G_USEC_PER_SEC));
    }
    g_assert_null(next_met(&error)); /* the one too many; the others wait */
    g_assert_error(error, VMF_ERROR, VMF_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "'HV1$@LAB.TEST' has 16 connections"));
    g_clear_error(&error);

    g_autofree gchar *its_cache = make_cache("HV3$@LAB.TEST", hv3_logon);
    g_autoptr(VmfChannel) ours = connect_from(its_cache, "HV3$", judge, &error);
    g_assert_no_error(error);
    g_autoptr(VmfChannel) theirs = next_met(&error);
    g_assert_no_error(error);
    g_assert_cmpstr(vmf_channel_peer(theirs)->account, ==, "HV3$");

    g_mutex_unlock(&thinking);
    for (guint i = 0; i <= WAITED_FOR; i++)
        open += unref_if(g_thread_join(members[i]));
    g_assert_cmpuint(open, ==, WAITED_FOR);
    for (guint i = 0; i < WAITED_FOR; i++) {
        g_autoptr(VmfChannel) one = next_met(&error);
        g_assert_no_error(error);
    }
    Both again = make_both();
    end_in_order(&again);
    verdict_s = 5;
}

static void
test_user_ticket(void)
{
    g_autoptr(GError) error = NULL, theirs = NULL;
    g_assert_null(connect_as("alice@LAB.TEST", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_DENIED);
    g_assert_null(next_met(&theirs));
    g_assert_error(theirs, VMF_ERROR, VMF_ERROR_DENIED);
    g_assert_nonnull(strstr(theirs->message, "only hosts are peers"));
}

static void
test_garbage(void)
{
    g_autoptr(GError) error = NULL;
    char byte;
    int sock = dial();
    pair_write(sock, "GET / HTTP/1.1\r\n\r\n", 18);
    g_assert_cmpint(read(sock, &byte, 1), <=, 0);
    close(sock);
    g_assert_null(next_met(&error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

/* The record that vmferryd makes of it says which rule, and the cure. */
static void
test_clock_off(void)
{
    const ForgedTicket ticket = {.client = "HV1$@LAB.TEST",
                                 .server = "host/hv2.lab.test@LAB.TEST",
                                 .logon = hv1_logon,
                                 .starts = -3600};
    g_autoptr(GBytes) token = forge_token(&ticket, -600);
    g_autoptr(GError) error = NULL;
    guint8 greeting[VMF_GREETING_BYTES];
    gsize size;
    const void *data = g_bytes_get_data(token, &size);
    int sock = dial();
    vmf_greeting_encode(VMF_CHANNEL_CONTROL, (guint32)size, greeting);
    pair_write(sock, greeting, sizeof greeting);
    pair_write(sock, data, size);
    g_assert_null(next_met(&error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_AUTH);
    g_assert_nonnull(strstr(error->message, "Clock skew"));
    g_assert_nonnull(strstr(error->message, "timedatectl"));
    close(sock);
}

/* A token that libkrb5 refuses: the exchange failed in vmferry-keys, and says why. */
static void
test_bad_token(void)
{
    g_autoptr(GError) error = NULL;
    char byte;
    int sock = dial();
    pair_write(sock, "VMFERRY1\1\0\0\0\0\0\0\4oops", 20);
    g_assert_cmpint(read(sock, &byte, 1), <=, 0);
    close(sock);
    g_assert_null(next_met(&error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_assert_nonnull(strstr(error->message, "AP-REQ"));
}

static void
test_close_cuts(void)
{
    g_autoptr(GError) error = NULL;
    Both both = make_both();
    vmf_channel_close(both.ours);
    g_assert_false(vmf_channel_wait(both.ours, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_INTERNAL);
    g_clear_error(&error);
    pair_expect_end(both.b);
    g_assert_false(vmf_channel_wait(both.theirs, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    close(both.a);
    close(both.b);
    vmf_channel_unref(both.ours);
    vmf_channel_unref(both.theirs);
}

static void
test_unref_cuts(void)
{
    g_autoptr(GError) error = NULL;
    Both both = make_both();
    vmf_channel_unref(both.ours);
    pair_expect_end(both.a);
    g_assert_false(vmf_channel_wait(both.theirs, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    close(both.a);
    close(both.b);
    vmf_channel_unref(both.theirs);
}

/* ---- processes that end ---- */

/* Processes of the program that are children of @parent */
static GArray *
find_processes(const char *program, pid_t parent)
{
    GArray *found = g_array_new(FALSE, FALSE, sizeof(pid_t));
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(proc));) {
        g_autofree gchar *path = g_strdup_printf("/proc/%s/stat", entry->d_name), *text = NULL;
        pid_t pid = (pid_t)atoi(entry->d_name);
        int its_parent;
        char state;
        if (pid <= 0 || !g_file_get_contents(path, &text, NULL, NULL))
            continue;
        g_autofree gchar *name = g_strdup_printf("(%s) ", program);
        const char *at = strstr(text, name);
        if (at && sscanf(at + strlen(name), "%c %d", &state, &its_parent) == 2 && state != 'Z' &&
            its_parent == parent)
            g_array_append_val(found, pid);
    }
    closedir(proc);
    return found;
}

/* None of @old is left: what is said to them from now on is known not to be heard. */
static void
wait_for_ends(const char *program, const GArray *old)
{
    gint64 until = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    for (guint left = 1; left > 0;) {
        g_autoptr(GArray) now = find_processes(program, getpid());
        left = 0;
        for (guint i = 0; i < now->len; i++)
            for (guint j = 0; j < old->len; j++)
                left += g_array_index(now, pid_t, i) == g_array_index(old, pid_t, j);
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(10000);
    }
}

static void
kill_all(const char *program)
{
    g_autoptr(GArray) found = find_processes(program, getpid());
    g_assert_cmpuint(found->len, >, 0);
    for (guint i = 0; i < found->len; i++)
        kill(g_array_index(found, pid_t, i), SIGKILL);
    wait_for_ends(program, found);
}

/* vmferry-door's that end are a warning, which must not end the test. */
static gboolean
not_fatal(const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
    return FALSE;
}

static void
test_keys_end(void)
{
    kill_all("vmferry-keys");
    Both both = make_both();
    end_in_order(&both);
}

/* A keytab that is written anew (the machine's password was renewed) is read anew. */
static void
test_keytab_changes(void)
{
    gsize size;
    g_autofree gchar *bytes = NULL;
    g_autoptr(GArray) before = find_processes("vmferry-keys", getpid());
    g_assert_true(g_file_get_contents(hv2_keytab, &bytes, &size, NULL));
    g_assert_true(g_file_set_contents(hv2_keytab, bytes, (gssize)size, NULL));
    Both both = make_both();
    end_in_order(&both);
    g_autoptr(GArray) after = find_processes("vmferry-keys", getpid());
    guint same = 0;
    for (guint i = 0; i < before->len; i++)
        for (guint j = 0; j < after->len; j++)
            same += g_array_index(before, pid_t, i) == g_array_index(after, pid_t, j);
    g_assert_cmpuint(before->len, ==, 2);
    g_assert_cmpuint(after->len, ==, 2);
    g_assert_cmpuint(same, ==, 1); /* hv1's */
}

static void
test_door_ends(void)
{
    Both before = make_both();
    kill_all("vmferry-door");
    say_something(&before); /* its children do without it */
    Both after = make_both();
    say_something(&after);
    end_in_order(&after);
    end_in_order(&before);
}

/* Children of our own two vmferry-door: this machine may run others. */
static GArray *
find_children(const GArray *doors)
{
    GArray *found = g_array_new(FALSE, FALSE, sizeof(pid_t));
    for (guint i = 0; i < doors->len; i++) {
        g_autoptr(GArray) some = find_processes("vmferry-door", g_array_index(doors, pid_t, i));
        g_array_append_vals(found, some->data, some->len);
    }
    return found;
}

static void
signal_new(const GArray *now, const GArray *before, int sig)
{
    for (guint i = 0; i < now->len; i++) {
        pid_t pid = g_array_index(now, pid_t, i);
        gboolean is_new = TRUE;
        for (guint j = 0; j < before->len; j++)
            is_new = is_new && g_array_index(before, pid_t, j) != pid;
        if (is_new)
            kill(pid, sig);
    }
}

/* One connection's process is ended by a signal: it alone is cut, and the rest is succeeded. */
static void
test_child_crashes(void)
{
    g_autoptr(GError) error = NULL;
    Both before = make_both();
    g_autoptr(GArray) doors = find_processes("vmferry-door", getpid());
    g_autoptr(GArray) all = find_children(doors);
    Both doomed = make_both();
    g_autoptr(GArray) now = find_children(doors);
    signal_new(now, all, SIGSTOP); /* or the second one would end by itself when the first has */
    signal_new(now, all, SIGKILL); /* as SIGSEGV would be, which a sanitizer catches */
    g_assert_false(vmf_channel_wait(doomed.ours, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    g_clear_error(&error);
    pair_expect_end(doomed.a);
    g_assert_false(vmf_channel_wait(doomed.theirs, &error));
    say_something(&before);
    Both after = make_both();
    wait_for_ends("vmferry-door", doors); /* each has seen to its unproven connections */
    end_in_order(&after);
    end_in_order(&before);
    close(doomed.a);
    close(doomed.b);
    vmf_channel_unref(doomed.ours);
    vmf_channel_unref(doomed.theirs);
}

/* ---- */

/* Whether somebody else can start programs that lie there: not below /root, for example */
static gboolean
is_open_to_all(const char *folder)
{
    g_autofree gchar *path = g_canonicalize_filename(folder, NULL);
    struct stat facts;
    while (stat(path, &facts) == 0 && (facts.st_mode & S_IXOTH) && strcmp(path, "/") != 0) {
        gchar *parent = g_path_get_dirname(path);
        g_free(path);
        path = parent;
    }
    return strcmp(path, "/") == 0;
}

static VmfDoor *
open_door(const VmfHostIdentity *me, const char *keytab)
{
    g_autoptr(GError) error = NULL;
    VmfHelperUser user = {(uid_t)-1, (gid_t)-1};
    if (geteuid() == 0 && is_open_to_all(g_getenv("VMF_TEST_HELPERS")))
        user = (VmfHelperUser){65534, 65534};
    VmfDoorSettings settings = {
        .me = me, .keytab = keytab, .user = user, .folder = g_getenv("VMF_TEST_HELPERS")};
    VmfDoor *door = vmf_door_open(&settings, &error);
    g_assert_no_error(error);
    return door;
}

static void
listen_hv2(void)
{
    socklen_t size = sizeof hv2_address;
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    hv2_address = (struct sockaddr_in){.sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    g_assert_cmpint(bind(sock, (struct sockaddr *)&hv2_address, size), ==, 0);
    g_assert_cmpint(listen(sock, 64), ==, 0);
    getsockname(sock, (struct sockaddr *)&hv2_address, &size);
    vmf_door_listen(hv2_door, sock, arrived, NULL);
}

int
main(int argc, char **argv)
{
    static const krb5_enctype enctypes[] = {ENCTYPE_AES256_CTS_HMAC_SHA1_96, 0};
    static const guint32 groups[] = {515, FORGED_GROUP_RID, 0};
    forge_begin();
    g_test_init(&argc, &argv, NULL);
    g_test_log_set_fatal_handler(not_fatal, NULL);
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
    hv1 = vmf_host_identity_new("HV1$", "LAB.TEST", "hv1.lab.test");
    hv2 = vmf_host_identity_new("HV2$", "LAB.TEST", "hv2.lab.test");
    hv1_keytab = forge_keytab("hv1.keytab", enctypes, "HV1$@LAB.TEST", "host/hv1.lab.test@LAB.TEST",
                              NULL);
    hv2_keytab = forge_keytab("hv2.keytab", enctypes, "HV2$@LAB.TEST", "host/hv2.lab.test@LAB.TEST",
                              NULL);
    hv1_logon = forge_logon(&(ForgedLogon){.account = "HV1$",
                                           .domain_sid = FORGED_DOMAIN_SID,
                                           .rid = 1105,
                                           .uac = 0x80,
                                           .groups = groups});
    hv3_logon = forge_logon(&(ForgedLogon){.account = "HV3$",
                                           .domain_sid = FORGED_DOMAIN_SID,
                                           .rid = 1107,
                                           .uac = 0x80,
                                           .groups = groups});
    met = g_async_queue_new();
    thinkers = g_async_queue_new();
    streams = vmf_channel_streams_new();
    hv1_door = open_door(hv1, hv1_keytab);
    hv2_door = open_door(hv2, hv2_keytab);
    listen_hv2();

    g_test_add_func("/door/good/both-ends", test_good);
    g_test_add_func("/door/stream/both-ends", test_stream);
    g_test_add_func("/door/judge-refuses/reason-stays-here", test_refused);
    g_test_add_func("/door/no-verdict/others-are-met", test_no_verdict);
    g_test_add_func("/door/clock-off/refused", test_clock_off);
    g_test_add_func("/door/user-ticket/refused", test_user_ticket);
    g_test_add_func("/door/garbage/refused", test_garbage);
    g_test_add_func("/door/bad-token/refused", test_bad_token);
    g_test_add_func("/door/close/cuts", test_close_cuts);
    g_test_add_func("/door/last-unref/cuts", test_unref_cuts);
    g_test_add_func("/door/keytab-changes/read-anew", test_keytab_changes);
    g_test_add_func("/door/vmferry-keys-ends/another", test_keys_end);
    g_test_add_func("/door/vmferry-door-ends/another", test_door_ends);
    g_test_add_func("/door/child-crashes/succeeded", test_child_crashes);
    int rc = g_test_run();
    vmf_channel_streams_unref(streams);
    forge_end();
    return rc;
}
