/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * hostile-peer SCRIPT [NAME=VALUE | NAME@FILE]... - a peer that has proven who it is, and lies.
 *
 * It speaks through src/channel with the real keytab of its host, and then says what the script
 * says: as a source that offers a VM, or as a destination that is offered one. One command a line,
 * '#' begins a comment; $NAME is replaced, and "$NAME" by a GVariant string.
 *
 *   connect HOST            a control channel to HOST, port $port
 *   listen / take           be a destination: listen on $port, take a control channel
 *   bus                     D-Bus over it, as client; after take: as server
 *   raw TEXT                bytes instead of D-Bus (\ooo, \r, \n)
 *   call METHOD (…)         of org.vmferry.Peer1, wait up to $patience s for the answer
 *   post METHOD (…)         without waiting;  repeat N post …
 *   ok [REGEX]              the last call was answered, and its text matches
 *   error CODE [REGEX]      the last call failed with org.vmferry.Error.CODE, or org.… in full; a REGEX too
 *   keep NAME REGEX         the first group in the last answer
 *   await METHOD            the next call, as destination, is METHOD; it can be answered
 *   tell-facts FACTS        answer GatherFacts with them from now on
 *   answer (…) | fail CODE TEXT
 *   accept-raw; say-raw TEXT, pour-raw MIB, cut-raw, gone [SECONDS]   TCP without a channel
 *   expect-stream / take-stream      name in $stream; the memory stream has come
 *   stream NAME             open a memory stream;  reject-stream NAME: it must not open
 *   pour MIB | drain MIB    write to, read from the stream; 0: until it ends
 *   drain-idle MS           read from it until nothing has come for that long
 *   shut-return-path        say in the stream that QEMU has taken all
 *   cut-stream | end-stream | cut    close without and with an end mark; the control channel
 *   closed [SECONDS]        the other end closes the control channel by then
 *   open                    it has not
 *   say WORD                for whoever drives this: "say WORD" on standard output
 *   set NAME VALUE | fill NAME BYTES | crowd NAME ENTRIES | save NAME FILE | edit NAME OLD => NEW
 *
 * Exit status 0: everything went as the script says; 1: "line N: …" says what did not; 2: usage.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gio/gio.h>

#include "src/base/error.h"
#include "src/channel/channel.h"

#define INTERFACE "org.vmferry.Peer1"
#define PATH      "/org/vmferry/Peer1"
#define BLOCK     ((gsize)1024 * 1024)
#define PATIENCE  "20"
#define LIFE_S    100

static GHashTable *names;
static VmfHostIdentity *me;
static VmfChannelStreams *streams;
static VmfChannel *control, *stream;
static GDBusConnection *bus;
static int plain = -1, stream_fd = -1, listener = -1;
static gboolean serving;
static gchar *last, *last_error;
static GAsyncQueue *calls; /* of GDBusMessage */
static GDBusMessage *call;
static guint line_number;
static gchar *told_facts; /* atomic */

static void wrong(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;

static void
wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree gchar *said = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    printf("line %u: %.2000s\n", line_number, said);
    exit(1);
}

static const char *
value(const char *name)
{
    const char *found = g_hash_table_lookup(names, name);
    if (found == NULL)
        wrong("there is no $%s", name);
    return found;
}

static void
set(const char *name, gchar *taken)
{
    g_hash_table_insert(names, g_strdup(name), taken);
}

static guint
patience(const char *word)
{
    return (guint)atoi(word != NULL && word[0] != '\0' ? word : value("patience"));
}

static gboolean
accept_everybody(const VmfPeerIdentity *peer, gpointer data, GError **error)
{
    return TRUE;
}

static VmfChannelConfig
config(void)
{
    return (VmfChannelConfig){.me = me, .judge = accept_everybody};
}

static int
dial(const char *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *found = NULL;
    if (getaddrinfo(host, value("port"), &hints, &found) != 0)
        wrong("no address of %s", host);
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        wrong("cannot connect to %s: %s", host, g_strerror(errno));
    freeaddrinfo(found);
    return fd;
}

/* ---- channels ---- */

static void
do_connect(const char *host)
{
    g_autoptr(GError) error = NULL;
    VmfChannelConfig with = config();
    control = vmf_channel_connect(&with, dial(host), host, &error);
    if (control == NULL)
        wrong("%s", error->message);
    set("host", g_strdup(host));
    plain = vmf_channel_steal_fd(control, NULL);
}

static void
do_listen(const char *ignored)
{
    int one = 1;
    struct sockaddr_in any = {.sin_family = AF_INET,
                              .sin_port = htons((guint16)patience(value("port")))};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) != 0 || listen(listener, 16) != 0)
        wrong("cannot listen: %s", g_strerror(errno));
    printf("listening\n");
}

static VmfChannel *
take(const char *seconds)
{
    g_autoptr(GError) error = NULL;
    VmfChannelConfig with = config();
    struct pollfd one = {listener, POLLIN, 0};
    if (poll(&one, 1, (int)patience(seconds) * 1000) != 1)
        wrong("nobody connects");
    VmfChannel *taken = vmf_channel_accept(&with, accept4(listener, NULL, NULL, SOCK_CLOEXEC),
                                           streams, &error);
    if (taken == NULL)
        wrong("%s", error->message);
    return taken;
}

static void
do_take(const char *seconds)
{
    control = take(seconds);
    if (vmf_channel_is_stream(control))
        wrong("a stream came where a control channel was awaited");
    plain = vmf_channel_steal_fd(control, NULL);
    serving = TRUE;
}

/* A plain connection, on which the other end finds no channel. */
static void
do_accept_raw(const char *seconds)
{
    struct pollfd one = {listener, POLLIN, 0};
    if (poll(&one, 1, (int)patience(seconds) * 1000) != 1)
        wrong("nobody connects");
    plain = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static void
do_cut_raw(const char *ignored)
{
    close(plain);
}

static void
do_pour_raw(const char *mib)
{
    g_autofree guint8 *block = g_malloc0(BLOCK);
    for (int left = atoi(mib); left > 0; left--)
        if (send(plain, block, BLOCK, MSG_NOSIGNAL) <= 0)
            return; /* "gone" asks for it */
}

static void
do_gone(const char *seconds)
{
    guint8 block[4096];
    gint64 until = g_get_monotonic_time() + (gint64)patience(seconds) * G_USEC_PER_SEC;
    for (;;) {
        struct pollfd one = {plain, POLLIN, 0};
        gint64 left = (until - g_get_monotonic_time()) / 1000;
        if (left <= 0 || poll(&one, 1, (int)left) != 1)
            wrong("the connection is still open");
        if (recv(plain, block, sizeof block, 0) <= 0)
            return;
    }
}

static void
do_expect_stream(const char *ignored)
{
    gchar *name = NULL;
    if (!vmf_channel_stream_expect(control, streams, 0, &name, NULL))
        wrong("no stream can be expected");
    set("stream", name);
}

static void
do_take_stream(const char *seconds)
{
    stream = take(seconds);
    if (!vmf_channel_is_stream(stream))
        wrong("a control channel came where a stream was awaited");
    stream_fd = vmf_channel_steal_fd(stream, NULL);
}

static void
do_stream(const char *name)
{
    g_autoptr(GError) error = NULL;
    stream = vmf_channel_stream_connect(control, dial(value("host")), name, &error);
    if (stream == NULL)
        wrong("%s", error->message);
    stream_fd = vmf_channel_steal_fd(stream, NULL);
}

static void
do_reject_stream(const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfChannel)
        opened = vmf_channel_stream_connect(control, dial(value("host")), name, &error);
    if (opened != NULL)
        wrong("a stream '%s' was opened", name);
}

static void
do_pour(const char *mib)
{
    g_autofree guint8 *block = g_malloc(BLOCK);
    for (gsize i = 0; i < BLOCK; i++)
        block[i] = (guint8)(i * 7 + 1);
    guint64 wanted = (guint64)atoi(mib) * BLOCK, done = 0;
    while (wanted == 0 || done < wanted) {
        gssize n = send(stream_fd, block, BLOCK, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        done += (guint64)n;
    }
    printf("poured %" G_GUINT64_FORMAT "\n", done);
    set("poured", g_strdup_printf("%" G_GUINT64_FORMAT, done));
}

static void
do_drain(const char *mib)
{
    g_autofree guint8 *block = g_malloc(BLOCK);
    guint64 wanted = (guint64)atoi(mib) * BLOCK, done = 0;
    gssize n = 1;
    for (; n > 0 && (wanted == 0 || done < wanted); done += n > 0 ? (guint64)n : 0)
        n = recv(stream_fd, block, BLOCK, 0);
    printf("drained %" G_GUINT64_FORMAT "\n", done);
}

/* Until nothing has come for @ms: the other QEMU waits for an answer. */
static void
do_drain_idle(const char *ms)
{
    g_autofree guint8 *block = g_malloc(BLOCK);
    struct pollfd one = {stream_fd, POLLIN, 0};
    guint64 done = 0;
    gssize n = 1;
    while (n > 0 && poll(&one, 1, done > 0 ? atoi(ms) : -1) == 1) {
        n = recv(stream_fd, block, BLOCK, 0);
        done += n > 0 ? (guint64)n : 0;
    }
    printf("drained %" G_GUINT64_FORMAT ", and is waited for\n", done);
}

/* What QEMU says when it has taken all: MIG_RP_MSG_SHUT, no error (its migration/migration.h). */
static void
do_shut_return_path(const char *ignored)
{
    static const guint8 shut[] = {0, 1, 0, 4, 0, 0, 0, 0};
    if (send(stream_fd, shut, sizeof shut, MSG_NOSIGNAL) != sizeof shut)
        wrong("the stream has ended");
}

static void
do_cut_stream(const char *ignored)
{
    vmf_channel_close(stream);
    close(stream_fd);
    g_clear_pointer(&stream, vmf_channel_unref);
}

static void
do_end_stream(const char *ignored)
{
    shutdown(stream_fd, SHUT_WR);
}

static void
do_cut(const char *ignored)
{
    vmf_channel_close(control);
}

/* Text in which \ooo, \r and \n stand for bytes. */
static GByteArray *
bytes_of(const char *text)
{
    GByteArray *out = g_byte_array_new();
    for (const char *at = text; *at != '\0';) {
        gboolean octal = at[0] == '\\' && g_ascii_isdigit(at[1]) && at[2] != '\0' && at[3] != '\0';
        gboolean letter = at[0] == '\\' && (at[1] == 'r' || at[1] == 'n');
        guint8 byte = octal    ? (guint8)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'))
                      : letter ? (at[1] == 'r' ? '\r' : '\n')
                               : (guint8)*at;
        g_byte_array_append(out, &byte, 1);
        at += octal ? 4 : letter ? 2 : 1;
    }
    return out;
}

static void
do_raw(const char *text)
{
    g_autoptr(GByteArray) bytes = bytes_of(g_str_has_prefix(text, "$") ? value(text + 1) : text);
    for (gsize at = 0; at < bytes->len;) {
        gssize n = send(plain, bytes->data + at, bytes->len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* "closed" asks for it */
        at += (gsize)n;
    }
}

/* ---- D-Bus ---- */

/* tell-facts: GatherFacts comes when it will, beside the rest. */
static void
tell_facts(GDBusConnection *connection, GDBusMessage *asked, const char *facts)
{
    g_autofree gchar *text = g_strdup_printf("(%s, int64 %" G_GINT64_FORMAT ")", facts,
                                             g_get_real_time());
    g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_reply(asked);
    g_dbus_message_set_body(reply,
                            g_variant_parse(G_VARIANT_TYPE("(a{sv}x)"), text, NULL, NULL, NULL));
    g_dbus_connection_send_message(connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
    g_object_unref(asked);
}

static GDBusMessage *
note_call(GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer data)
{
    if (!incoming || g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
        return message;
    const char *facts = g_atomic_pointer_get(&told_facts);
    if (facts != NULL && strcmp(g_dbus_message_get_member(message), "GatherFacts") == 0)
        tell_facts(connection, message, facts);
    else
        g_async_queue_push(calls, message);
    return NULL;
}

static gboolean
allow_mechanism(GDBusAuthObserver *observer, const char *mechanism, gpointer data)
{
    return strcmp(mechanism, "ANONYMOUS") == 0;
}

static gboolean
allow_peer(GDBusAuthObserver *observer, GIOStream *peer, GCredentials *credentials, gpointer data)
{
    return TRUE;
}

static void
do_bus(const char *ignored)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocket) socket = g_socket_new_from_fd(plain, &error);
    g_autoptr(GSocketConnection) over = g_socket_connection_factory_create_connection(socket);
    g_autoptr(GDBusAuthObserver) observer = g_dbus_auth_observer_new();
    g_autofree gchar *guid = serving ? g_dbus_generate_guid() : NULL;
    g_signal_connect(observer, "allow-mechanism", G_CALLBACK(allow_mechanism), NULL);
    g_signal_connect(observer, "authorize-authenticated-peer", G_CALLBACK(allow_peer), NULL);
    bus = g_dbus_connection_new_sync(
        G_IO_STREAM(over), guid,
        serving ? G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_ALLOW_ANONYMOUS |
                      G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING
                : G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT,
        observer, NULL, &error);
    if (bus == NULL)
        wrong("%s", error->message);
    g_dbus_connection_set_exit_on_close(bus, FALSE);
    if (serving) {
        g_dbus_connection_add_filter(bus, note_call, NULL, NULL);
        g_dbus_connection_start_message_processing(bus);
    }
}

/* "METHOD (…)": a message with that body. */
static GDBusMessage *
message_of(const char *text)
{
    g_autoptr(GError) error = NULL;
    gsize length = strcspn(text, " ");
    g_autofree gchar *method = g_strndup(text, length);
    gboolean elsewhere = strchr(method, ':') != NULL; /* PATH:INTERFACE:METHOD */
    g_auto(GStrv) words = g_strsplit(method, ":", 3);
    GDBusMessage *message = elsewhere
                                ? g_dbus_message_new_method_call(NULL, words[0], words[1], words[2])
                                : g_dbus_message_new_method_call(NULL, PATH, INTERFACE, method);
    if (text[length] != '\0') {
        GVariant *body = g_variant_parse(NULL, text + length, NULL, NULL, &error);
        if (body == NULL)
            wrong("%.200s is no value: %s", text + length, error->message);
        g_dbus_message_set_body(message, body);
    }
    return message;
}

static void
do_call(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusMessage) message = message_of(text);
    g_autoptr(GDBusMessage) reply = g_dbus_connection_send_message_with_reply_sync(
        bus, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, (gint)patience(NULL) * 1000, NULL, NULL,
        &error);
    g_clear_pointer(&last, g_free);
    g_clear_pointer(&last_error, g_free);
    if (reply == NULL) {
        last_error = g_strdup("none");
        last = g_strdup(error->message);
    } else if (g_dbus_message_get_message_type(reply) == G_DBUS_MESSAGE_TYPE_ERROR) {
        last_error = g_strdup(g_dbus_message_get_error_name(reply));
        GVariant *body = g_dbus_message_get_body(reply);
        last = body != NULL ? g_variant_print(body, FALSE) : g_strdup("");
    } else {
        GVariant *body = g_dbus_message_get_body(reply);
        last = body != NULL ? g_variant_print(body, FALSE) : g_strdup("()");
    }
    printf("%s: %.300s\n", last_error != NULL ? last_error : "answer", last);
}

static void
do_post(const char *text)
{
    g_autoptr(GDBusMessage) message = message_of(text);
    g_dbus_connection_send_message(bus, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

static void
matches(const char *pattern)
{
    if (pattern[0] != '\0' && !g_regex_match_simple(pattern, last, G_REGEX_DOTALL, 0))
        wrong("'%s' is not in: %s", pattern, last);
}

static void
do_ok(const char *pattern)
{
    if (last_error != NULL)
        wrong("%s: %s", last_error, last);
    matches(pattern);
}

static void
do_error(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    g_autofree gchar *name = g_str_has_prefix(words[0], "org.")
                                 ? g_strdup_printf("^%s$", words[0])
                                 : g_strdup_printf("^org\\.vmferry\\.Error\\.%s$", words[0]);
    if (last_error == NULL || !g_regex_match_simple(name, last_error, 0, 0))
        wrong("wanted the error %s, but: %s: %s", name, last_error != NULL ? last_error : "answer",
              last);
    matches(words[1] != NULL ? words[1] : "");
}

static void
do_keep(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    g_autoptr(GRegex) regex = g_regex_new(words[1], G_REGEX_DOTALL, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    if (!g_regex_match(regex, last, 0, &match))
        wrong("'%s' is not in: %s", words[1], last);
    set(words[0], g_match_info_fetch(match, 1));
}

static void
do_await(const char *method)
{
    g_clear_object(&call);
    call = g_async_queue_timeout_pop(calls, (guint64)patience(NULL) * G_USEC_PER_SEC);
    const char *member = call != NULL ? g_dbus_message_get_member(call) : "nothing";
    GVariant *body = call != NULL ? g_dbus_message_get_body(call) : NULL;
    g_free(last);
    last = body != NULL ? g_variant_print(body, FALSE) : g_strdup("()");
    printf("called: %s %.100s\n", member, last);
    if (strcmp(member, method) != 0)
        wrong("%s was called, not %s", member, method);
}

static void
do_answer(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_reply(call);
    GVariant *body = g_variant_parse(NULL, text, NULL, NULL, &error);
    if (body == NULL)
        wrong("%.200s is no value: %s", text, error->message);
    g_dbus_message_set_body(reply, body);
    g_dbus_connection_send_message(bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

static void
do_fail(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    g_autofree gchar *name = g_strconcat("org.vmferry.Error.", words[0], NULL);
    g_autoptr(GDBusMessage)
        reply = g_dbus_message_new_method_error_literal(call, name, words[1] ? words[1] : "");
    g_dbus_connection_send_message(bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

/* ---- the end of the control channel ---- */

typedef struct {
    GMutex lock;
    GCond changed;
    gboolean ended;
} Ending;

static Ending ending;

static gpointer
watch_ending(gpointer data)
{
    if (bus == NULL) {
        gchar block[4096];
        while (recv(plain, block, sizeof block, 0) > 0)
            continue;
        /* An end is the other side's; that it takes nothing more either shows when it is sent something. */
        while (send(plain, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
            g_usleep(50000);
    }
    vmf_channel_wait(control, NULL);
    g_mutex_lock(&ending.lock);
    ending.ended = TRUE;
    g_cond_broadcast(&ending.changed);
    g_mutex_unlock(&ending.lock);
    return NULL;
}

static gboolean
has_ended(guint seconds)
{
    static GThread *watcher;
    gint64 until = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
    if (bus != NULL) {
        while (!g_dbus_connection_is_closed(bus) && g_get_monotonic_time() < until)
            g_usleep(10000);
        return g_dbus_connection_is_closed(bus);
    }
    if (watcher == NULL)
        watcher = g_thread_new("ending", watch_ending, NULL);
    g_mutex_lock(&ending.lock);
    while (!ending.ended && g_cond_wait_until(&ending.changed, &ending.lock, until))
        continue;
    gboolean ended = ending.ended;
    g_mutex_unlock(&ending.lock);
    return ended;
}

static void
do_closed(const char *seconds)
{
    if (!has_ended(patience(seconds)))
        wrong("the control channel is still open");
}

static void
do_open(const char *ignored)
{
    if (has_ended(0))
        wrong("the control channel was closed");
}

/* ---- names ---- */

static void
do_set(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    set(words[0], g_strdup(words[1] != NULL ? words[1] : ""));
}

static void
do_fill(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    set(words[0], g_strnfill((gsize)atol(words[1]), 'x'));
}

static void
do_edit(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    g_auto(GStrv) sides = g_strsplit(words[1], " => ", 2);
    const char *old = value(words[0]), *at = strstr(old, sides[0]);
    if (at == NULL || sides[1] == NULL)
        wrong("$%s has no '%s'", words[0], sides[0]);
    set(words[0],
        g_strdup_printf("%.*s%s%s", (int)(at - old), old, sides[1], at + strlen(sides[0])));
}

static void
do_crowd(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    GString *out = g_string_new("{");
    for (int i = 0; i < atoi(words[1]); i++)
        g_string_append_printf(out, "%s'k%d': <%d>", i > 0 ? ", " : "", i, i);
    g_string_append_c(out, '}');
    set(words[0], g_string_free(out, FALSE));
}

/* ---- scripts ---- */

static void run(const char *command);

static void
do_repeat(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    for (int i = atoi(words[0]); i > 0; i--)
        run(words[1]);
}

static void
do_tell_facts(const char *facts)
{
    g_atomic_pointer_set(&told_facts, g_strdup(facts));
}

static void
do_save(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    if (!g_file_set_contents(words[1], value(words[0]), -1, NULL))
        wrong("cannot write '%s'", words[1]);
}

static void
do_say(const char *word)
{
    printf("say %s\n", word);
}

static const struct {
    const char *name;
    void (*act)(const char *rest);
} commands[] = {
    {"connect", do_connect},
    {"listen", do_listen},
    {"take", do_take},
    {"bus", do_bus},
    {"raw", do_raw},
    {"call", do_call},
    {"post", do_post},
    {"repeat", do_repeat},
    {"ok", do_ok},
    {"error", do_error},
    {"keep", do_keep},
    {"await", do_await},
    {"answer", do_answer},
    {"fail", do_fail},
    {"accept-raw", do_accept_raw},
    {"cut-raw", do_cut_raw},
    {"say-raw", do_raw},
    {"pour-raw", do_pour_raw},
    {"gone", do_gone},
    {"tell-facts", do_tell_facts},
    {"save", do_save},
    {"say", do_say},
    {"expect-stream", do_expect_stream},
    {"take-stream", do_take_stream},
    {"stream", do_stream},
    {"reject-stream", do_reject_stream},
    {"pour", do_pour},
    {"drain", do_drain},
    {"drain-idle", do_drain_idle},
    {"shut-return-path", do_shut_return_path},
    {"cut-stream", do_cut_stream},
    {"end-stream", do_end_stream},
    {"cut", do_cut},
    {"closed", do_closed},
    {"open", do_open},
    {"set", do_set},
    {"fill", do_fill},
    {"edit", do_edit},
    {"crowd", do_crowd},
};

static void
run(const char *command)
{
    gsize length = strcspn(command, " ");
    const char *rest = command[length] != '\0' ? command + length + 1 : "";
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strlen(commands[i].name) == length && memcmp(commands[i].name, command, length) == 0) {
            commands[i].act(rest);
            return;
        }
    }
    wrong("there is no command '%.*s'", (int)length, command);
}

/* $NAME, and "$NAME" as the text of a GVariant string; 'raw $NAME' is not copied around. */
static gchar *
expanded(const char *line)
{
    GString *out = g_string_new(NULL);
    for (const char *at = line; *at != '\0';) {
        gboolean quoted = g_str_has_prefix(at, "\"$");
        const char *name = *at == '$' ? at + 1 : quoted ? at + 2 : NULL;
        gsize length = name != NULL ? strspn(name, "abcdefghijklmnopqrstuvwxyz_") : 0;
        if (length == 0 || g_str_has_prefix(line, "raw $")) {
            g_string_append_c(out, *at++);
            continue;
        }
        g_autofree gchar *key = g_strndup(name, length);
        g_autoptr(GVariant) string = g_variant_ref_sink(g_variant_new_string(value(key)));
        g_autofree gchar *text = quoted ? g_variant_print(string, FALSE) : g_strdup(value(key));
        g_string_append(out, text);
        at = name + length + (quoted ? 1 : 0);
    }
    return g_string_free(out, FALSE);
}

static void
take_name(const char *argument)
{
    gsize length = strcspn(argument, "=@");
    g_autofree gchar *name = g_strndup(argument, length);
    gchar *text = NULL;
    if (argument[length] == '@')
        g_file_get_contents(argument + length + 1, &text, NULL, NULL);
    else
        text = g_strdup(argument + length + 1);
    if (text == NULL)
        wrong("cannot read %s", argument);
    set(name, text);
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *script = NULL;
    setlinebuf(stdout);
    alarm(LIFE_S); /* nothing that it waits for may keep the test */
    if (argc < 2 || !g_file_get_contents(argv[1], &script, NULL, &error)) {
        fprintf(stderr, "usage: hostile-peer SCRIPT [NAME=VALUE | NAME@FILE]...\n");
        return 2;
    }
    names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    calls = g_async_queue_new();
    streams = vmf_channel_streams_new();
    set("port", g_strdup("16016"));
    set("patience", g_strdup(PATIENCE));
    me = vmf_host_identity_read(NULL, &error);
    if (me == NULL)
        wrong("%s", error->message);
    for (int i = 2; i < argc; i++)
        take_name(argv[i]);
    g_auto(GStrv) lines = g_strsplit(script, "\n", -1);
    for (line_number = 1; lines[line_number - 1] != NULL; line_number++) {
        const char *line = g_strstrip(lines[line_number - 1]);
        if (line[0] == '\0' || line[0] == '#')
            continue;
        g_autofree gchar *command = expanded(line);
        run(command);
    }
    return 0;
}
