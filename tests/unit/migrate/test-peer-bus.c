/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/peer-bus.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BEGIN      "\0AUTH ANONYMOUS\r\nBEGIN\r\n"
#define BEGIN_SIZE (sizeof BEGIN - 1)

/* A header of a little-endian message with a body of that size and no fields. */
static void
header(guint8 out[16], guint32 body)
{
    const guint8 fixed[16] = {'l', 1, 0, 1, 0, 0, 0, 0, 1};
    memcpy(out, fixed, sizeof fixed);
    for (guint i = 0; i < 4; i++)
        out[4 + i] = (guint8)(body >> (8 * i));
}

static gboolean
feed(VmfPeerFrames *frames, const void *data, gsize size, gsize step, GError **error)
{
    const guint8 *at = data;
    for (gsize done = 0; done < size; done += step)
        if (!vmf_peer_frames_feed(frames, FALSE, at + done, MIN(step, size - done), error))
            return FALSE;
    return TRUE;
}

static void
test_split(void)
{
    guint8 message[16 + 1000] = {0};
    header(message, 1000);
    for (gsize step = 1; step < 40; step++) {
        VmfPeerFrames frames = {0};
        g_autoptr(GError) error = NULL;
        g_assert_true(feed(&frames, BEGIN, BEGIN_SIZE, step, &error));
        g_assert_true(frames.started);
        for (guint i = 0; i < 3; i++)
            g_assert_true(feed(&frames, message, sizeof message, step, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(frames.left + frames.have, ==, 0);
    }
}

static void
test_too_large(void)
{
    static const guint32 bodies[] = {VMF_PEER_MESSAGE_MAX, 0x07ffffff, 0x7fffffff, 0xffffffff};
    guint8 message[16];
    for (gsize i = 0; i < G_N_ELEMENTS(bodies); i++) {
        VmfPeerFrames frames = {0};
        g_autoptr(GError) error = NULL;
        header(message, bodies[i]);
        g_assert_true(feed(&frames, BEGIN, BEGIN_SIZE, 5, NULL));
        g_assert_false(feed(&frames, message, sizeof message, 3, &error));
        g_assert_nonnull(error);
    }
    VmfPeerFrames wrapped = {0};
    g_autoptr(GError) beyond = NULL;
    header(message, 1);
    memcpy(message + 12, "\xf6\xff\xff\xff", 4); /* the fields' length: with it, GLib gets 9 */
    g_assert_true(feed(&wrapped, BEGIN, BEGIN_SIZE, 5, NULL));
    g_assert_false(feed(&wrapped, message, sizeof message, 16, &beyond));
    g_assert_error(beyond, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
    VmfPeerFrames frames = {0};
    header(message, VMF_PEER_MESSAGE_MAX - 16);
    g_assert_true(feed(&frames, BEGIN, BEGIN_SIZE, 5, NULL));
    g_assert_true(feed(&frames, message, sizeof message, 16, NULL));
}

static void
test_auth_without_end(void)
{
    VmfPeerFrames frames = {0};
    g_autoptr(GError) error = NULL;
    g_autofree gchar *line = g_strnfill(VMF_PEER_AUTH_MAX + 1, 'B');
    line[0] = '\0';
    g_assert_false(feed(&frames, line, VMF_PEER_AUTH_MAX + 1, 1000, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE);
}

static void
test_client_auth(void)
{
    static const struct {
        const char *said;
        gboolean started;
    } cases[] = {{"OK 0123\r\n", TRUE},
                 {"REJECTED EXTERNAL ANONYMOUS\r\nOK 0123\r\n", TRUE},
                 {"OKAY\r\n", FALSE},
                 {"NOT OK \r\n", FALSE},
                 {"O K \r\n", FALSE}};
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        VmfPeerFrames frames = {0};
        g_assert_true(vmf_peer_frames_feed(&frames, TRUE, (const guint8 *)cases[i].said,
                                           strlen(cases[i].said), NULL));
        g_assert_cmpint(frames.started, ==, cases[i].started);
    }
}

/* What GDBus may divide into lines in another way than we do */
static void
test_no_lines(void)
{
    static const struct {
        gboolean client;
        const char said[24];
        gsize size;
    } cases[] = {
        {FALSE, "AUTH\r\n", 6},       {FALSE, "\0AUTH\n", 6},
        {FALSE, "\0AUTH\rX", 7},      {FALSE, "\0BEGIN\0x\r\n", 10},
        {FALSE, "\0\xc3\xa9\r\n", 5}, {FALSE, "\0A\r\r\n", 5},
        {TRUE, "OK \n", 4},           {TRUE, "OK \0\r\n", 6},
        {TRUE, "OK 0\r\r\n", 7},      {TRUE, "\x80", 1},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        VmfPeerFrames frames = {0};
        g_autoptr(GError) error = NULL;
        g_assert_false(vmf_peer_frames_feed(&frames, cases[i].client, (const guint8 *)cases[i].said,
                                            cases[i].size, &error));
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
    }
}

/* No other line begins the messages, whatever it holds. */
static void
test_other_lines(void)
{
    static const char *const lines[] = {"XBEGIN\r\n", "AUTH BEGIN\r\n", "BEGINBEGIN\r\n",
                                        "BEGIN \r\n", "BEGI\r\n"};
    for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
        VmfPeerFrames frames = {0};
        g_assert_true(feed(&frames, "", 1, 1, NULL));
        g_assert_true(feed(&frames, lines[i], strlen(lines[i]), 3, NULL));
        g_assert_false(frames.started);
        g_assert_true(feed(&frames, "BEGIN\r\n", 7, 3, NULL));
        g_assert_true(frames.started);
    }
}

/* ---- two real ends ---- */

typedef struct {
    GDBusConnection *server, *client;
} Ends;

static gpointer
serve(gpointer fd)
{
    g_autoptr(GError) error = NULL;
    GDBusConnection *bus = vmf_peer_bus_over(GPOINTER_TO_INT(fd), TRUE, "HV1$", &error);
    g_assert_no_error(error);
    return bus;
}

static Ends
both_ends(void)
{
    int pair[2];
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    GThread *thread = g_thread_new("serve", serve, GINT_TO_POINTER(pair[0]));
    GDBusConnection *client = vmf_peer_bus_over(pair[1], FALSE, "hv2.lab.test", &error);
    g_assert_no_error(error);
    return (Ends){g_thread_join(thread), client};
}

static void
end(Ends *ends)
{
    g_dbus_connection_close_sync(ends->client, NULL, NULL);
    g_object_unref(ends->client);
    g_object_unref(ends->server);
}

static GDBusMessage *
ping(gsize bytes)
{
    g_autofree gchar *text = g_strnfill(bytes, 'x');
    GDBusMessage *message = g_dbus_message_new_method_call(NULL, "/x", "x.y", "Z");
    if (bytes > 0)
        g_dbus_message_set_body(message, g_variant_new("(s)", text));
    return message;
}

static GDBusMessage *
asked(GDBusConnection *client, gsize bytes, GError **error)
{
    g_autoptr(GDBusMessage) message = ping(bytes);
    return g_dbus_connection_send_message_with_reply_sync(
        client, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, 20000, NULL, NULL, error);
}

static void
test_ends(void)
{
    g_autoptr(GError) error = NULL;
    Ends ends = both_ends();
    g_dbus_connection_start_message_processing(ends.server);
    g_autoptr(GDBusMessage) small = asked(ends.client, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_dbus_message_get_message_type(small), ==, G_DBUS_MESSAGE_TYPE_ERROR);
    g_autoptr(GDBusMessage) large = asked(ends.client, 10 * 1024 * 1024, &error);
    g_assert_no_error(error); /* an answer, if only that there is no such method */
    g_assert_false(g_dbus_connection_is_closed(ends.server));
    g_autoptr(GDBusMessage) larger = ping(VMF_PEER_MESSAGE_MAX);
    g_assert_true(g_dbus_connection_send_message(ends.client, larger,
                                                 G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL));
    while (!g_dbus_connection_is_closed(ends.server)) /* the test's own time limit ends it */
        g_thread_yield();
    end(&ends);
}

/* All that a peer says, without waiting for an answer; the writing ends with the connection. */
typedef struct {
    int fd;
    const guint8 *said;
    gsize size;
} Talker;

static gpointer
talk(gpointer data)
{
    const Talker *talker = data;
    gsize sent = 0;
    for (gssize n = 0; n >= 0 && sent < talker->size; sent += (gsize)MAX(n, 0))
        n = send(talker->fd, talker->said + sent, talker->size - sent, MSG_NOSIGNAL);
    return NULL;
}

static GDBusConnection *
hear_all(const GByteArray *said, int pair[2], GError **error)
{
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    Talker talker = {pair[1], said->data, said->len};
    GThread *thread = g_thread_new("talk", talk, &talker);
    GDBusConnection *bus = vmf_peer_bus_over(pair[0], TRUE, "HV1$", error);
    g_thread_join(thread); /* where there is no bus, that end is closed */
    return bus;
}

/*
 * A line that looks like the last one, and then no end of it: GDBus would take it for one line, and we
 * for messages.
 */
static void
test_endless_line(void)
{
    static const char said[] = "\0AUTH ANONYMOUS\r\nXBEGIN\r\n";
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    guint8 message[16 + 4096] = {0};
    int pair[2];
    header(message, 4096);
    g_byte_array_append(bytes, (const guint8 *)said, sizeof said - 1);
    for (guint i = 0; i < 64; i++)
        g_byte_array_append(bytes, message, sizeof message);
    g_autoptr(GDBusConnection) bus = hear_all(bytes, pair, &error);
    g_assert_null(bus);
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
    close(pair[1]);
}

/* Nothing of what comes behind the authentication is lost to GDBus: it is what was counted. */
static void
test_said_at_once(void)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusMessage) message = ping(3);
    int pair[2];
    gsize size;
    g_dbus_message_set_serial(message, 1);
    g_autofree guchar *blob = g_dbus_message_to_blob(message, &size, G_DBUS_CAPABILITY_FLAGS_NONE,
                                                     NULL);
    g_byte_array_append(bytes, (const guint8 *)BEGIN, BEGIN_SIZE);
    g_byte_array_append(bytes, blob, (guint)size);
    g_autoptr(GDBusConnection) bus = hear_all(bytes, pair, &error);
    g_assert_no_error(error);
    g_dbus_connection_start_message_processing(bus);
    g_autofree gchar *answers = g_malloc0(1024);
    gsize got = 0;
    while (memmem(answers, got, "UnknownMethod", 13) == NULL) { /* of x.y.Z: it was read */
        gssize n = recv(pair[1], answers + got, 1023 - got, 0);
        g_assert_cmpint(n, >, 0);
        got += (gsize)n;
    }
    close(pair[1]);
}

/* Calls that nobody answers: the server does not process them yet, and has no more of them than so. */
static GDBusMessage *
keep(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data)
{
    if (!incoming)
        return message;
    g_atomic_int_inc((gint *)data);
    g_object_unref(message);
    return NULL;
}

static void
test_calls(void)
{
    static gint kept;
    Ends ends = both_ends();
    g_dbus_connection_add_filter(ends.server, keep, &kept, NULL);
    g_dbus_connection_start_message_processing(ends.server);
    for (guint i = 0; i < VMF_PEER_CALLS_MAX; i++) {
        g_autoptr(GDBusMessage) message = ping(0);
        g_assert_true(g_dbus_connection_send_message(ends.client, message,
                                                     G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL));
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusMessage) refused = asked(ends.client, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(g_dbus_message_get_error_name(refused), ==, "org.vmferry.Error.Busy");
    g_assert_cmpint(g_atomic_int_get(&kept), ==, VMF_PEER_CALLS_MAX);
    end(&ends);
}

static void
test_large_calls(void)
{
    static gint kept;
    Ends ends = both_ends();
    g_dbus_connection_add_filter(ends.server, keep, &kept, NULL);
    g_dbus_connection_start_message_processing(ends.server);
    for (guint i = 0; i < VMF_PEER_LARGE_MAX; i++) {
        g_autoptr(GDBusMessage) message = ping(VMF_PEER_LARGE + 1);
        g_assert_true(g_dbus_connection_send_message(ends.client, message,
                                                     G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL));
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusMessage) refused = asked(ends.client, VMF_PEER_LARGE + 1, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(g_dbus_message_get_error_name(refused), ==, "org.vmferry.Error.Busy");
    g_assert_cmpint(g_atomic_int_get(&kept), ==, VMF_PEER_LARGE_MAX);
    end(&ends);
}

/* More, one after another, than may be open at a time. */
static void
test_large_calls_answered(void)
{
    Ends ends = both_ends();
    g_dbus_connection_start_message_processing(ends.server);
    for (guint i = 0; i < 3 * VMF_PEER_LARGE_MAX; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GDBusMessage) answer = asked(ends.client, VMF_PEER_LARGE + 1, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(g_dbus_message_get_error_name(answer), !=, "org.vmferry.Error.Busy");
    }
    end(&ends);
}

/* ---- one real end, and one that says what it likes and reads nothing ---- */

#define FLOOD_MIB 64

static gpointer
connect_end(gpointer fd)
{
    g_autoptr(GError) error = NULL;
    GDBusConnection *bus = vmf_peer_bus_over(GPOINTER_TO_INT(fd), FALSE, "hv2.lab.test", &error);
    g_assert_no_error(error);
    return bus;
}

static void
say(int fd, const char *text)
{
    g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, (gssize)strlen(text));
}

static void
hear_until(int fd, const char *end)
{
    g_autoptr(GString) heard = g_string_new(NULL);
    char byte;
    while (!g_str_has_suffix(heard->str, end)) {
        g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 1);
        if (byte != 0) /* the very first one of a client */
            g_string_append_c(heard, byte);
    }
}

/* The peer's end after its authentication; @bus: the other one. */
static int
flooding_end(gboolean server, GDBusConnection **bus)
{
    int pair[2];
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    if (server) {
        GThread *thread = g_thread_new("serve", serve, GINT_TO_POINTER(pair[0]));
        g_assert_cmpint(send(pair[1], "\0AUTH ANONYMOUS\r\n", 17, MSG_NOSIGNAL), ==, 17);
        hear_until(pair[1], "\r\n");
        say(pair[1], "BEGIN\r\n");
        *bus = g_thread_join(thread);
        g_dbus_connection_start_message_processing(*bus);
    } else {
        GThread *thread = g_thread_new("connect", connect_end, GINT_TO_POINTER(pair[0]));
        hear_until(pair[1], "AUTH\r\n");
        say(pair[1], "REJECTED ANONYMOUS\r\n");
        hear_until(pair[1], "\r\n");
        say(pair[1], "OK 0123456789abcdef0123456789abcdef\r\n");
        hear_until(pair[1], "BEGIN\r\n");
        *bus = g_thread_join(thread);
    }
    return pair[1];
}

/* The same message again and again, until the other end has had enough. Returns: bytes that it took */
static gsize
flood(int fd, GDBusMessage *message)
{
    gsize size, most = (gsize)FLOOD_MIB * 1024 * 1024, sent = 0;
    g_dbus_message_set_serial(message, 7);
    g_autofree guchar *blob = g_dbus_message_to_blob(message, &size, G_DBUS_CAPABILITY_FLAGS_NONE,
                                                     NULL);
    for (gssize n = 0; sent < most && n >= 0; sent += (gsize)n)
        n = send(fd, blob, size, MSG_NOSIGNAL);
    return sent;
}

static GDBusMessage *
some_call(void)
{
    return ping(0);
}

static GDBusMessage *
call_without_answer(void)
{
    GDBusMessage *message = ping(0);
    g_dbus_message_set_flags(message, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
    return message;
}

static GDBusMessage *
some_signal(void)
{
    return g_dbus_message_new_signal("/x", "x.y", "Z");
}

static GDBusMessage *
some_answer(void)
{
    g_autoptr(GDBusMessage) asked = ping(0);
    g_dbus_message_set_serial(asked, 3);
    return g_dbus_message_new_method_reply(asked);
}

typedef struct {
    const char *name;
    gboolean server; /* the end that is flooded */
    GDBusMessage *(*make)(void);
    const char *cut;
} Flood;

static const Flood floods[] = {
    {"calls", TRUE, some_call, "calls on and on, and does not read the answers"},
    {"calls-without-answer", TRUE, call_without_answer, "wants no answer to a call"},
    {"signals", TRUE, some_signal, "has sent what is no call"},
    {"answers", TRUE, some_answer, "has sent what is no call"},
    {"calls", FALSE, some_call, "has sent what is no answer"},
    {"calls-without-answer", FALSE, call_without_answer, "has sent what is no answer"},
    {"signals", FALSE, some_signal, "has sent what is no answer"},
};

static void
test_flood(gconstpointer data)
{
    const Flood *kind = data;
    GDBusConnection *bus;
    g_autoptr(GDBusMessage) message = kind->make();
    int fd = flooding_end(kind->server, &bus);
    g_assert_null(vmf_peer_bus_was_cut(bus));
    g_assert_cmpuint(flood(fd, message), <, (gsize)FLOOD_MIB * 1024 * 1024);
    while (!g_dbus_connection_is_closed(bus)) /* the test's own time limit ends it */
        g_thread_yield();
    g_assert_cmpstr(vmf_peer_bus_was_cut(bus), ==, kind->cut);
    close(fd);
    g_object_unref(bus);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peer-bus/messages-in-pieces/counted", test_split);
    g_test_add_func("/peer-bus/message-too-large/refused", test_too_large);
    g_test_add_func("/peer-bus/authentication-without-end/refused", test_auth_without_end);
    g_test_add_func("/peer-bus/servers-answers/understood", test_client_auth);
    g_test_add_func("/peer-bus/no-lines/refused", test_no_lines);
    g_test_add_func("/peer-bus/other-lines/begin-nothing", test_other_lines);
    g_test_add_func("/peer-bus/two-ends/speak", test_ends);
    g_test_add_func("/peer-bus/endless-line/cut", test_endless_line);
    g_test_add_func("/peer-bus/said-at-once/nothing-lost", test_said_at_once);
    g_test_add_func("/peer-bus/calls-without-answer/limited", test_calls);
    g_test_add_func("/peer-bus/large-calls-without-answer/limited", test_large_calls);
    g_test_add_func("/peer-bus/large-calls-answered/served", test_large_calls_answered);
    for (gsize i = 0; i < G_N_ELEMENTS(floods); i++) {
        g_autofree gchar *path = g_strdup_printf(
            "/peer-bus/flood/%s/%s", floods[i].server ? "server" : "client", floods[i].name);
        g_test_add_data_func(path, &floods[i], test_flood);
    }
    return g_test_run();
}
