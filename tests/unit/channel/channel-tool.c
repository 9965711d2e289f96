/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * channel-tool - auth/ and src/channel/ by hand, on hosts of a real domain. Built, never installed.
 *
 * The lab test (tests/unit/channel/lab-test) drives it; every answer is one line that begins with a
 * word to match: "ok …", "refused CODE TEXT", "failed CODE TEXT".
 *
 * Over an accepted control channel, the connecting side says what it wants by one byte:
 *   'e' everything comes back, until its end     's' swallow everything, then 8 bytes: how much
 *   'n' one name of a stream comes back (32 bytes); streams are swallowed like 's'
 */
#include "auth/gss.h"
#include "auth/ticket-keeper.h"
#include "src/base/error.h"
#include "src/channel/channel.h"
#include "src/channel/connection-limits.h"
#include "src/channel/door.h"
#include "src/channel/greeting.h"
#include "tests/unit/channel/delegate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK (1024 * 1024)

static gchar *opt_keytab, *opt_ccache, *opt_group = (gchar *)"VM Hosts", *opt_as, *opt_fqdn,
                                       *opt_record, *opt_door;
static gint opt_count = -1, opt_streams = 1, opt_mib = 64;
static gint64 opt_cut = -1, opt_flip = -1;
static gboolean opt_nojudge;

static VmfHostIdentity *me;
static VmfDirectory *directory;
static VmfChannelStreams *streams;
static VmfChannelLimits *limits;
static VmfDoor *door; /* with --door */

static int
report(const char *word, GError *error)
{
    printf("%s %s %s\n", word, vmf_error_code_name(error), error->message);
    g_error_free(error);
    return 1;
}

static double
now_ms(void)
{
    return (double)g_get_monotonic_time() / 1000.0;
}

/* Processor time of this process so far, in ms: on a busy machine the better measure. */
static double
cpu_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000.0 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000.0;
}

static gboolean
judge(const VmfPeerIdentity *peer, gpointer data, GError **error)
{
    if (opt_nojudge)
        return TRUE;
    double start = now_ms();
    gboolean ok = vmf_peer_judge(peer, me, opt_group, directory, NULL, error);
    g_autofree gchar *server = vmf_directory_server(directory);
    printf("judged in %.1f ms by %s\n", now_ms() - start, server);
    return ok;
}

static VmfChannelConfig
config(void)
{
    return (VmfChannelConfig){me, opt_keytab, opt_ccache, judge, NULL, 0, door};
}

static gboolean
write_all(int fd, const void *data, gsize size)
{
    for (const guint8 *at = data; size > 0;) {
        gssize n = send(fd, at, size, MSG_NOSIGNAL);
        if (n < 0)
            return FALSE;
        at += n;
        size -= (gsize)n;
    }
    return TRUE;
}

static gboolean
read_all(int fd, void *data, gsize size)
{
    for (guint8 *at = data; size > 0;) {
        gssize n = read(fd, at, size);
        if (n <= 0)
            return FALSE;
        at += n;
        size -= (gsize)n;
    }
    return TRUE;
}

static int
dial(const char *address, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int fd = -1;
    if (getaddrinfo(address, port, &hints, &found) == 0) {
        fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
        freeaddrinfo(found);
    }
    if (fd < 0)
        printf("failed unreachable %s:%s: %s\n", address, port, g_strerror(errno));
    return fd;
}

static int
listen_on(const char *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((guint16)atoi(port))};
    if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0 || listen(fd, 64) != 0) {
        perror("listen");
        exit(2);
    }
    printf("listening %s\n", port);
    return fd;
}

/* ---- accepting side ---- */

static guint64
swallow(int fd)
{
    g_autofree guint8 *block = g_malloc(BLOCK);
    guint64 total = 0;
    for (gssize n; (n = read(fd, block, BLOCK)) > 0;)
        total += (guint64)n;
    return total;
}

static void
echo(int fd)
{
    g_autofree guint8 *block = g_malloc(BLOCK);
    for (gssize n; (n = read(fd, block, BLOCK)) > 0;)
        if (!write_all(fd, block, (gsize)n))
            return;
}

static void
serve_plain(VmfChannel *channel)
{
    int fd = vmf_channel_steal_fd(channel, NULL);
    char what = 's';
    gboolean more = TRUE;
    while (more && (vmf_channel_is_stream(channel) || read_all(fd, &what, 1))) {
        more = what == 'n';
        if (what == 'e') {
            echo(fd);
        } else if (what == 's') {
            guint64 total = swallow(fd);
            write_all(fd, &total, sizeof total);
        } else if (what == 'n') {
            g_autofree gchar *name = NULL;
            if (vmf_channel_stream_expect(channel, streams, 0, &name, NULL))
                write_all(fd, name, 32);
        }
    }
    close(fd);
    g_autoptr(GError) error = NULL;
    if (vmf_channel_wait(channel, &error))
        printf("ended in order, in %" G_GUINT64_FORMAT " out %" G_GUINT64_FORMAT
               "; CPU so far %.0f ms\n",
               vmf_channel_bytes_in(channel), vmf_channel_bytes_out(channel), cpu_ms());
    else
        printf("ended %s %s\n", vmf_error_code_name(error), error->message);
}

static void
report_accepted(VmfChannel *channel, double start)
{
    const VmfPeerIdentity *peer = vmf_channel_peer(channel);
    printf("accepted %s %s sid %s enctypes %d/%d groups %u in %.1f ms\n",
           vmf_channel_is_stream(channel) ? "stream of" : "control of", peer->principal, peer->sid,
           peer->ticket_enctype, peer->session_enctype, peer->group_sids->len, now_ms() - start);
}

static void
on_arrival(VmfArrival *arrival, gpointer data)
{
    VmfChannelConfig with = config();
    double start = now_ms();
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfChannel) channel = vmf_door_accept(&with, arrival, streams, &error);
    if (channel == NULL) {
        printf("refused %s %s (%.0f ms)\n", vmf_error_code_name(error), error->message,
               now_ms() - start);
        return;
    }
    report_accepted(channel, start);
    serve_plain(channel);
}

static gpointer
serve(gpointer data)
{
    int sock = GPOINTER_TO_INT(data);
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    getpeername(sock, (struct sockaddr *)&from, &size);
    g_autoptr(GInetAddress) address = g_inet_address_new_from_bytes((const guint8 *)&from.sin_addr,
                                                                    G_SOCKET_FAMILY_IPV4);
    if (vmf_channel_limits_enter(limits, address) != VMF_CHANNEL_LIMITS_OK) {
        printf("refused busy too many connections\n");
        close(sock);
        return NULL;
    }
    VmfChannelConfig with = config();
    double start = now_ms();
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfChannel) channel = vmf_channel_accept(&with, sock, streams, &error);
    vmf_channel_limits_leave(limits, address);
    if (channel == NULL) {
        printf("refused %s %s (%.0f ms)\n", vmf_error_code_name(error), error->message,
               now_ms() - start);
        return NULL;
    }
    report_accepted(channel, start);
    serve_plain(channel);
    return NULL;
}

static int
cmd_accept(char **args)
{
    int fd = listen_on(args[0]);
    if (door) {
        vmf_door_listen(door, fd, on_arrival, NULL);
        for (;;)
            pause();
    }
    GPtrArray *threads = g_ptr_array_new();
    for (gint i = 0; opt_count < 0 || i < opt_count; i++) {
        int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        g_ptr_array_add(threads, g_thread_new("serve", serve, GINT_TO_POINTER(sock)));
    }
    for (guint i = 0; i < threads->len; i++)
        g_thread_join(threads->pdata[i]);
    g_ptr_array_unref(threads);
    close(fd);
    return 0;
}

/* ---- connecting side ---- */

static VmfChannel *
connect_control(char **args, double *ms)
{
    int sock = dial(args[1], args[2]);
    if (sock < 0)
        exit(1);
    VmfChannelConfig with = config();
    GError *error = NULL;
    double start = now_ms();
    VmfChannel *channel = vmf_channel_connect(&with, sock, args[0], &error);
    *ms = now_ms() - start;
    if (channel == NULL)
        exit(report("failed", error));
    return channel;
}

static int
finish(VmfChannel *channel)
{
    GError *error = NULL;
    return vmf_channel_wait(channel, &error) ? 0 : report("ended", error);
}

/* connect FQDN ADDRESS PORT: a channel, one echo */
static int
cmd_connect(char **args)
{
    double ms;
    g_autoptr(VmfChannel) channel = connect_control(args, &ms);
    int fd = vmf_channel_steal_fd(channel, NULL);
    char back[5] = "";
    double start = now_ms();
    gboolean same = write_all(fd, "eping", 5) && read_all(fd, back, 4) && strcmp(back, "ping") == 0;
    double echo_ms = now_ms() - start;
    shutdown(fd, SHUT_WR);
    char rest;
    gboolean ended = read(fd, &rest, 1) == 0;
    close(fd);
    int rc = finish(channel);
    if (rc == 0 && same && ended)
        printf("ok %s session enctype %d handshake %.1f ms echo %.2f ms\n",
               vmf_channel_peer(channel)->principal, vmf_channel_peer(channel)->session_enctype, ms,
               echo_ms);
    return rc || !same || !ended;
}

static int
hold(char **args, char first)
{
    double ms;
    g_autoptr(VmfChannel) channel = connect_control(args, &ms);
    int fd = vmf_channel_steal_fd(channel, NULL);
    write_all(fd, &first, 1);
    printf("holding\n");
    struct pollfd fds[2] = {{fd, POLLIN, 0}, {0, POLLIN, 0}};
    double start = now_ms();
    while (poll(fds, 2, -1) > 0 && !fds[0].revents) {
        char line[100];
        gssize n = read(0, line, sizeof line);
        if (n > 0 && write_all(fd, line, (gsize)n))
            start = now_ms();
        else
            fds[1].fd = -1;
    }
    printf("lost after %.0f ms\n", now_ms() - start);
    close(fd);
    return finish(channel);
}

/* hold FQDN ADDRESS PORT: a channel that stays open; a line on stdin is sent; says when it ended */
static int
cmd_hold(char **args)
{
    return hold(args, 'e'); /* "accept" echoes */
}

/* hold-bus FQDN ADDRESS PORT: as hold, at a vmferryd, to which it begins as D-Bus does */
static int
cmd_hold_bus(char **args)
{
    return hold(args, '\0');
}

typedef struct {
    VmfChannel *control;
    char **args;
    char name[33];
    double ms;
} Stream;

static gpointer
run_stream(gpointer data)
{
    Stream *stream = data;
    GError *error = NULL;
    double start = now_ms();
    g_autoptr(VmfChannel) channel = vmf_channel_stream_connect(
        stream->control, dial(stream->args[1], stream->args[2]), stream->name, &error);
    stream->ms = now_ms() - start;
    if (channel == NULL)
        exit(report("failed", error));
    int fd = vmf_channel_steal_fd(channel, NULL);
    g_autofree guint8 *block = g_malloc0(BLOCK);
    guint64 total = 0;
    for (gint i = 0; i < opt_mib; i++)
        if (!write_all(fd, block, BLOCK))
            exit(finish(channel));
    shutdown(fd, SHUT_WR);
    gboolean ok = read_all(fd, &total, sizeof total) && total == (guint64)opt_mib * (guint64)BLOCK;
    close(fd);
    if (finish(channel) != 0 || !ok)
        exit(1);
    return NULL;
}

/* send FQDN ADDRESS PORT: --streams memory streams of --mib each */
static int
cmd_send(char **args)
{
    double ms;
    g_autoptr(VmfChannel) channel = connect_control(args, &ms);
    int fd = vmf_channel_steal_fd(channel, NULL);
    g_autofree Stream *all = g_new0(Stream, opt_streams);
    g_autofree GThread **threads = g_new0(GThread *, opt_streams);
    for (gint i = 0; i < opt_streams; i++) {
        all[i].control = channel;
        all[i].args = args;
        if (!write_all(fd, "n", 1) || !read_all(fd, all[i].name, 32))
            exit(finish(channel));
    }
    double start = now_ms();
    for (gint i = 0; i < opt_streams; i++)
        threads[i] = g_thread_new("stream", run_stream, &all[i]);
    for (gint i = 0; i < opt_streams; i++)
        g_thread_join(threads[i]);
    double took = now_ms() - start;
    close(fd);
    int rc = finish(channel);
    printf("ok %d streams %d MiB in %.0f ms: %.0f MiB/s; stream handshake %.1f ms; CPU %.0f ms\n",
           opt_streams, opt_mib * opt_streams, took, opt_mib * opt_streams / took * 1000, all[0].ms,
           cpu_ms());
    return rc;
}

/* swallow PORT: plain TCP, the measure of what a channel costs */
static int
cmd_swallow(char **args)
{
    int fd = listen_on(args[0]);
    for (gint i = 0; opt_count < 0 || i < opt_count; i++) {
        int sock = accept(fd, NULL, NULL);
        guint64 total = swallow(sock);
        write_all(sock, &total, sizeof total);
        close(sock);
        printf("swallowed %" G_GUINT64_FORMAT " MiB; CPU so far %.0f ms\n", total >> 20, cpu_ms());
    }
    close(fd);
    return 0;
}

/* plain ADDRESS PORT: --mib over plain TCP */
static int
cmd_plain(char **args)
{
    int fd = dial(args[0], args[1]);
    g_autofree guint8 *block = g_malloc0(BLOCK);
    guint64 total = 0;
    double start = now_ms();
    gboolean ok = TRUE;
    for (gint i = 0; ok && i < opt_mib; i++)
        ok = write_all(fd, block, BLOCK);
    shutdown(fd, SHUT_WR);
    ok = ok && read_all(fd, &total, sizeof total);
    double took = now_ms() - start;
    close(fd);
    printf("%s plain %d MiB in %.0f ms: %.0f MiB/s; CPU %.0f ms\n", ok ? "ok" : "failed", opt_mib,
           took, opt_mib / took * 1000, cpu_ms());
    return !ok;
}

/* ---- somebody in the middle, and other enemies ---- */

/*
 * Forwards, half-closes too; writes to --record what came from the client; after --cut bytes from it
 * closes both; changes byte --flip.
 */
typedef struct {
    int fds[2]; /* client, server */
    int record;
    gint64 seen; /* bytes of the client */
} Middle;

/* Returns: FALSE when direction @from has ended; *cut: and the other one must as well. */
static gboolean
forward_some(Middle *middle, int from, gboolean *cut)
{
    guint8 block[65536];
    gssize n = read(middle->fds[from], block, sizeof block);
    if (n <= 0) {
        shutdown(middle->fds[!from], SHUT_WR);
        return FALSE;
    }
    if (from == 0) {
        if (opt_cut >= 0 && middle->seen + n >= opt_cut) {
            n = (gssize)(opt_cut - middle->seen);
            *cut = TRUE;
        }
        if (opt_flip >= middle->seen && opt_flip < middle->seen + n)
            block[opt_flip - middle->seen] ^= 1;
        if (middle->record >= 0 && write(middle->record, block, (gsize)n) != n)
            perror("record");
        middle->seen += n;
    }
    return write_all(middle->fds[!from], block, (gsize)n) && !*cut;
}

static gpointer
forward(gpointer data)
{
    Middle *middle = data;
    gboolean open[2] = {TRUE, TRUE}, cut = FALSE;
    while (!cut && (open[0] || open[1])) {
        struct pollfd fds[2] = {{open[0] ? middle->fds[0] : -1, POLLIN, 0},
                                {open[1] ? middle->fds[1] : -1, POLLIN, 0}};
        poll(fds, 2, -1);
        for (int from = 0; from < 2 && !cut; from++)
            if (fds[from].revents)
                open[from] = forward_some(middle, from, &cut);
    }
    printf("middle ended after %" G_GINT64_FORMAT " bytes of the client\n", middle->seen);
    close(middle->fds[0]);
    close(middle->fds[1]);
    if (middle->record >= 0)
        close(middle->record);
    g_free(middle);
    return NULL;
}

/* middle PORT ADDRESS PORT */
static int
cmd_middle(char **args)
{
    int fd = listen_on(args[0]);
    for (gint i = 0; opt_count < 0 || i < opt_count; i++) {
        Middle *middle = g_new0(Middle, 1);
        middle->fds[0] = accept(fd, NULL, NULL);
        middle->fds[1] = dial(args[1], args[2]);
        middle->record = opt_record ? open(opt_record, O_CREAT | O_TRUNC | O_WRONLY, 0600) : -1;
        g_thread_unref(g_thread_new("forward", forward, middle));
    }
    close(fd);
    return 0;
}

/* How long until the other end closes, and how much it said first. */
static int
tell_end(int fd, double start)
{
    guint8 block[4096];
    gsize said = 0;
    gssize n;
    while ((n = read(fd, block, sizeof block)) > 0)
        said += (gsize)n;
    printf("closed after %.0f ms, %" G_GSIZE_FORMAT " bytes said\n", now_ms() - start, said);
    close(fd);
    return 0;
}

/* raw ADDRESS PORT FILE: send a file's bytes as they are, then listen */
static int
cmd_raw(char **args)
{
    g_autofree gchar *bytes = NULL;
    gsize size;
    if (!g_file_get_contents(args[2], &bytes, &size, NULL))
        return 2;
    int fd = dial(args[0], args[1]);
    double start = now_ms();
    write_all(fd, bytes, size);
    return tell_end(fd, start);
}

/* oversized ADDRESS PORT: a greeting that promises 65537 bytes of token */
static int
cmd_oversized(char **args)
{
    guint8 greeting[VMF_GREETING_BYTES];
    vmf_greeting_encode(VMF_CHANNEL_CONTROL, VMF_CHANNEL_TOKEN_BYTES + 1, greeting);
    int fd = dial(args[0], args[1]);
    double start = now_ms();
    write_all(fd, greeting, sizeof greeting);
    return tell_end(fd, start);
}

/* slow ADDRESS PORT: a good greeting, then one byte of its 60000 at a time, for ever */
static int
cmd_slow(char **args)
{
    guint8 greeting[VMF_GREETING_BYTES];
    vmf_greeting_encode(VMF_CHANNEL_CONTROL, 60000, greeting);
    int fd = dial(args[0], args[1]);
    double start = now_ms();
    gboolean open = write_all(fd, greeting, sizeof greeting);
    while (open) {
        struct pollfd one = {fd, POLLIN, 0};
        open = poll(&one, 1, 200) == 0 && write_all(fd, "x", 1);
    }
    return tell_end(fd, start);
}

/* ---- auth/ alone ---- */

static int
cmd_identity(char **args)
{
    printf("ok %s %s %s\n", me->account, me->principal, me->fqdn);
    return 0;
}

/* ticket CACHE UID GID */
static int
cmd_ticket(char **args)
{
    g_autoptr(VmfTicketKeeper) keeper = vmf_ticket_keeper_new(
        me, opt_keytab, args[0], (uid_t)atoi(args[1]), (gid_t)atoi(args[2]));
    GError *error = NULL;
    gint64 before = vmf_ticket_keeper_end_time(keeper);
    double start = now_ms();
    if (!vmf_ticket_keeper_refresh(keeper, &error))
        return report("failed", error);
    printf("ok before %" G_GINT64_FORMAT " life %" G_GINT64_FORMAT " s in %.1f ms\n", before,
           vmf_ticket_keeper_end_time(keeper) - vmf_ticket_keeper_start_time(keeper),
           now_ms() - start);
    return 0;
}

static int
cmd_computer(char **args)
{
    GError *error = NULL;
    double start = now_ms();
    g_autoptr(VmfComputer) computer = vmf_directory_computer(directory, args[0], &error);
    if (computer == NULL)
        return report("failed", error);
    printf("ok %s %s %s uac 0x%x enabled %d workstation %d groups %u in %.1f ms\n",
           computer->account, computer->fqdn, computer->sid, computer->uac, computer->enabled,
           computer->workstation, computer->group_sids->len, now_ms() - start);
    return 0;
}

static int
cmd_group(char **args)
{
    GError *error = NULL;
    g_autofree gchar *sid = vmf_directory_group_sid(directory, args[0], &error);
    if (sid == NULL)
        return report("failed", error);
    g_autoptr(GPtrArray) members = vmf_directory_group_computers(directory, sid, &error);
    if (members == NULL)
        return report("failed", error);
    printf("ok %s:", sid);
    for (guint i = 0; i < members->len; i++)
        printf(" %s", ((VmfComputer *)members->pdata[i])->fqdn);
    printf("\n");
    return 0;
}

/* again NAME: asks, waits for a line on stdin, asks again (the server may have gone meanwhile) */
static int
cmd_again(char **args)
{
    int rc = cmd_computer(args);
    printf("waiting\n");
    getchar();
    return rc | cmd_computer(args);
}

static const struct {
    const char *name;
    int args;
    int (*run)(char **args);
    gboolean needs_directory;
} commands[] = {
    {"identity", 0, cmd_identity, FALSE},   {"ticket", 3, cmd_ticket, FALSE},
    {"computer", 1, cmd_computer, TRUE},    {"again", 1, cmd_again, TRUE},
    {"group", 1, cmd_group, TRUE},          {"accept", 1, cmd_accept, TRUE},
    {"connect", 3, cmd_connect, TRUE},      {"hold", 3, cmd_hold, TRUE},
    {"hold-bus", 3, cmd_hold_bus, TRUE},    {"send", 3, cmd_send, TRUE},
    {"swallow", 1, cmd_swallow, FALSE},     {"plain", 2, cmd_plain, FALSE},
    {"middle", 3, cmd_middle, FALSE},       {"raw", 3, cmd_raw, FALSE},
    {"oversized", 2, cmd_oversized, FALSE}, {"slow", 2, cmd_slow, FALSE},
};

static const GOptionEntry options[] = {
    {"keytab", 0, 0, G_OPTION_ARG_STRING, &opt_keytab, NULL, NULL},
    {"ccache", 0, 0, G_OPTION_ARG_STRING, &opt_ccache, "initiate from this cache", NULL},
    {"group", 0, 0, G_OPTION_ARG_STRING, &opt_group, NULL, NULL},
    {"as", 0, 0, G_OPTION_ARG_STRING, &opt_as, "account[@REALM] to be, with --ccache", NULL},
    {"fqdn", 0, 0, G_OPTION_ARG_STRING, &opt_fqdn, "host to be, with --as", NULL},
    {"no-judge", 0, 0, G_OPTION_ARG_NONE, &opt_nojudge, "accept everybody", NULL},
    {"delegate", 0, 0, G_OPTION_ARG_NONE, &delegate_credentials, "--ccache's ticket as well", NULL},
    {"count", 0, 0, G_OPTION_ARG_INT, &opt_count, "connections, then exit", NULL},
    {"streams", 0, 0, G_OPTION_ARG_INT, &opt_streams, NULL, NULL},
    {"mib", 0, 0, G_OPTION_ARG_INT, &opt_mib, "to send over each stream", NULL},
    {"door", 0, 0, G_OPTION_ARG_STRING, &opt_door, "speak through the programs in this folder",
     NULL},
    {"record", 0, 0, G_OPTION_ARG_STRING, &opt_record, NULL, NULL},
    {"cut", 0, 0, G_OPTION_ARG_INT64, &opt_cut, NULL, NULL},
    {"flip", 0, 0, G_OPTION_ARG_INT64, &opt_flip, NULL, NULL},
    {NULL},
};

static gboolean
find_identity(GError **error)
{
    if (opt_as) {
        g_auto(GStrv) words = g_strsplit(opt_as, "@", 2);
        me = vmf_host_identity_new(words[0], words[1] ? words[1] : "LAB.TEST",
                                   opt_fqdn ? opt_fqdn : "nowhere.lab.test");
    } else {
        me = vmf_host_identity_read(opt_keytab, error);
    }
    return me != NULL;
}

/* As vmferryd does: the programs run as somebody without rights */
static gboolean
open_door(GError **error)
{
    VmfDoorSettings settings = {
        .me = me, .keytab = opt_keytab, .user = {65534, 65534}, .folder = opt_door};
    door = vmf_door_open(&settings, error);
    return door != NULL;
}

/* The directory is asked as this host, from a cache of its own. */
static gboolean
open_directory(GError **error)
{
    g_autofree gchar *cache = g_strdup_printf("/tmp/channel-tool-%d.cc", (int)getpid());
    g_autoptr(VmfHostIdentity) host = vmf_host_identity_read(opt_keytab, error);
    if (host == NULL)
        return FALSE;
    g_autoptr(VmfTicketKeeper)
        keeper = vmf_ticket_keeper_new(host, opt_keytab, cache, (uid_t)-1, (gid_t)-1);
    if (!vmf_ticket_keeper_refresh(keeper, error))
        return FALSE;
    directory = vmf_directory_new(host, cache);
    return TRUE;
}

int
main(int argc, char **argv)
{
    setlinebuf(stdout);
    g_autoptr(GOptionContext) context = g_option_context_new("COMMAND ARG…");
    GError *error = NULL;
    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error))
        return report("failed", error);
    for (gsize i = 0; argc > 1 && i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(argv[1], commands[i].name) != 0 || argc != commands[i].args + 2)
            continue;
        gboolean enemy = commands[i].run == cmd_middle || commands[i].run == cmd_raw ||
                         commands[i].run == cmd_oversized || commands[i].run == cmd_slow;
        if (!enemy && !find_identity(&error))
            return report("failed", error);
        if (commands[i].needs_directory && !opt_nojudge && !open_directory(&error))
            return report("failed", error);
        if (opt_door && !open_door(&error))
            return report("failed", error);
        streams = vmf_channel_streams_new();
        limits = vmf_channel_limits_new(0, 0);
        int rc = commands[i].run(argv + 2);
        vmf_channel_limits_free(limits);
        vmf_channel_streams_unref(streams);
        vmf_directory_free(directory);
        vmf_host_identity_free(me);
        return rc;
    }
    fprintf(stderr, "usage: channel-tool [OPTION…] COMMAND ARG…\n");
    return 2;
}
