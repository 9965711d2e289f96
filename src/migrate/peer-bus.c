/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/peer-bus.h"

#include <string.h>
#include <unistd.h>

/* ---- where messages end ---- */

static gboolean
too_large(GError **error, const char *what, gsize bytes)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
                "the peer sends %s of %" G_GSIZE_FORMAT " bytes or more: too large", what, bytes);
    return FALSE;
}

static gboolean
no_line(GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                "the peer does not begin with D-Bus: its authentication is no lines of text");
    return FALSE;
}

/*
 * The server's end reads "\0AUTH …\r\n", perhaps more lines, and "BEGIN\r\n"; the client's reads lines, of
 * which the last begins with "OK ". (No fds are passed, so the client sends BEGIN next.) GDBus must see
 * the same lines, or a limit would be kept on what it does not take for a message: so whatever it might
 * divide in another way (NUL, CR or LF alone, other than ASCII) is refused.
 */
static gboolean
feed_auth(VmfPeerFrames *frames, gboolean client, guint8 byte, GError **error)
{
    const char *wanted = client ? "OK " : "BEGIN";
    if (++frames->auth > VMF_PEER_AUTH_MAX)
        return too_large(error, "an authentication", VMF_PEER_AUTH_MAX);
    if (!client && frames->auth == 1)
        return byte == '\0' || no_line(error);
    if (frames->ending && byte != '\n')
        return no_line(error);
    if (frames->ending) {
        frames->started = frames->matched == strlen(wanted) &&
                          (client || frames->line == frames->matched);
        frames->ending = FALSE;
        frames->line = frames->matched = 0;
        return TRUE;
    }
    frames->ending = byte == '\r';
    if (frames->ending)
        return TRUE;
    if (!g_ascii_isprint(byte))
        return no_line(error);
    if (frames->line == frames->matched && byte == (guint8)wanted[frames->matched])
        frames->matched++;
    frames->line++;
    return TRUE;
}

static gboolean
begin_message(VmfPeerFrames *frames, GError **error)
{
    gssize bytes = g_dbus_message_bytes_needed(frames->header, sizeof frames->header, error);
    if (bytes < 0)
        return FALSE;
    if ((gsize)bytes < sizeof frames->header) { /* GLib adds the lengths in 32 bits */
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    "the peer sends a message whose lengths are beyond numbers");
        return FALSE;
    }
    if ((gsize)bytes > VMF_PEER_MESSAGE_MAX)
        return too_large(error, "a message", (gsize)bytes);
    frames->left = (gsize)bytes - sizeof frames->header;
    frames->have = 0;
    return TRUE;
}

gboolean
vmf_peer_frames_feed(VmfPeerFrames *frames, gboolean client, const guint8 *data, gsize size,
                     GError **error)
{
    while (size > 0) {
        gsize used = 1;
        if (!frames->started) {
            if (!feed_auth(frames, client, *data, error))
                return FALSE;
        } else if (frames->left > 0) {
            used = MIN(size, frames->left);
            frames->left -= used;
        } else {
            used = MIN(size, sizeof frames->header - frames->have);
            memcpy(frames->header + frames->have, data, used);
            frames->have += used;
            if (frames->have == sizeof frames->header && !begin_message(frames, error))
                return FALSE;
        }
        data += used;
        size -= used;
    }
    return TRUE;
}

/* ---- streams around the socket's, polled as those are ---- */

/*
 * GDBus takes a connection whose streams are a socket's for one that may pass fds, and reads and
 * writes past anything in between: so both directions are wrapped, and the input is looked at.
 */

#define VMF_TYPE_PEER_INPUT (vmf_peer_input_get_type())
G_DECLARE_FINAL_TYPE(VmfPeerInput, vmf_peer_input, VMF, PEER_INPUT, GFilterInputStream)

struct _VmfPeerInput {
    GFilterInputStream parent_instance;
    VmfPeerFrames frames;
    gboolean client;
};

static GInputStream *
input_base(gpointer stream)
{
    return g_filter_input_stream_get_base_stream(G_FILTER_INPUT_STREAM(stream));
}

/*
 * Up to the first message a byte at a time: GDBus buffers what it reads of the authentication, and what lay
 * behind it would be lost there, and counted here.
 */
static gsize
input_room(gpointer stream, gsize count)
{
    const VmfPeerInput *input = stream;
    return input->frames.started ? count : MIN(count, 1);
}

static gssize
input_take(gpointer stream, const void *buffer, gssize size, GError **error)
{
    VmfPeerInput *input = stream;
    if (size > 0 &&
        !vmf_peer_frames_feed(&input->frames, input->client, buffer, (gsize)size, error))
        return -1;
    return size;
}

static gssize
input_read(GInputStream *stream, void *buffer, gsize count, GCancellable *cancellable,
           GError **error)
{
    gssize size = g_input_stream_read(input_base(stream), buffer, input_room(stream, count),
                                      cancellable, error);
    return input_take(stream, buffer, size, error);
}

static gboolean
input_is_readable(GPollableInputStream *stream)
{
    return g_pollable_input_stream_is_readable(G_POLLABLE_INPUT_STREAM(input_base(stream)));
}

static GSource *
input_source(GPollableInputStream *stream, GCancellable *cancellable)
{
    g_autoptr(GSource) base = g_pollable_input_stream_create_source(
        G_POLLABLE_INPUT_STREAM(input_base(stream)), cancellable);
    return g_pollable_source_new_full(stream, base, NULL);
}

static gssize
input_read_now(GPollableInputStream *stream, void *buffer, gsize count, GError **error)
{
    gssize size = g_pollable_input_stream_read_nonblocking(
        G_POLLABLE_INPUT_STREAM(input_base(stream)), buffer, input_room(stream, count), NULL,
        error);
    return input_take(stream, buffer, size, error);
}

static void
input_pollable_init(GPollableInputStreamInterface *interface)
{
    interface->is_readable = input_is_readable;
    interface->create_source = input_source;
    interface->read_nonblocking = input_read_now;
}

G_DEFINE_TYPE_WITH_CODE(VmfPeerInput, vmf_peer_input, G_TYPE_FILTER_INPUT_STREAM,
                        G_IMPLEMENT_INTERFACE(G_TYPE_POLLABLE_INPUT_STREAM, input_pollable_init))

static void
vmf_peer_input_init(VmfPeerInput *input)
{
}

static void
vmf_peer_input_class_init(VmfPeerInputClass *class)
{
    G_INPUT_STREAM_CLASS(class)->read_fn = input_read;
}

#define VMF_TYPE_PEER_OUTPUT (vmf_peer_output_get_type())
G_DECLARE_FINAL_TYPE(VmfPeerOutput, vmf_peer_output, VMF, PEER_OUTPUT, GFilterOutputStream)

struct _VmfPeerOutput {
    GFilterOutputStream parent_instance;
};

static GPollableOutputStream *
output_base(gpointer stream)
{
    return G_POLLABLE_OUTPUT_STREAM(
        g_filter_output_stream_get_base_stream(G_FILTER_OUTPUT_STREAM(stream)));
}

static gboolean
output_is_writable(GPollableOutputStream *stream)
{
    return g_pollable_output_stream_is_writable(output_base(stream));
}

static GSource *
output_source(GPollableOutputStream *stream, GCancellable *cancellable)
{
    g_autoptr(GSource)
        base = g_pollable_output_stream_create_source(output_base(stream), cancellable);
    return g_pollable_source_new_full(stream, base, NULL);
}

static gssize
output_write_now(GPollableOutputStream *stream, const void *buffer, gsize count, GError **error)
{
    return g_pollable_output_stream_write_nonblocking(output_base(stream), buffer, count, NULL,
                                                      error);
}

static void
output_pollable_init(GPollableOutputStreamInterface *interface)
{
    interface->is_writable = output_is_writable;
    interface->create_source = output_source;
    interface->write_nonblocking = output_write_now;
}

G_DEFINE_TYPE_WITH_CODE(VmfPeerOutput, vmf_peer_output, G_TYPE_FILTER_OUTPUT_STREAM,
                        G_IMPLEMENT_INTERFACE(G_TYPE_POLLABLE_OUTPUT_STREAM, output_pollable_init))

static void
vmf_peer_output_init(VmfPeerOutput *output)
{
}

static void
vmf_peer_output_class_init(VmfPeerOutputClass *class)
{
}

static GIOStream *
wrapped(GSocketConnection *connection, gboolean client)
{
    GIOStream *stream = G_IO_STREAM(connection);
    g_autoptr(VmfPeerInput) input = g_object_new(VMF_TYPE_PEER_INPUT, "base-stream",
                                                 g_io_stream_get_input_stream(stream), NULL);
    g_autoptr(VmfPeerOutput) output = g_object_new(VMF_TYPE_PEER_OUTPUT, "base-stream",
                                                   g_io_stream_get_output_stream(stream), NULL);
    input->client = client;
    GIOStream *both = g_simple_io_stream_new(G_INPUT_STREAM(input), G_OUTPUT_STREAM(output));
    /* it owns the socket */
    g_object_set_data_full(G_OBJECT(both), "connection", g_object_ref(connection), g_object_unref);
    return both;
}

/* ---- what a peer may say, and how many calls ---- */

#define GUARD "vmferry-guard"

typedef struct {
    gchar *peer;
    GSocket *socket;
    gint open;         /* calls that wait for their answer; of GDBus's own thread, as filters are */
    GHashTable *large; /* serials of the large ones among them */
    const char *cut;   /* atomic: what ended it; NULL: nothing here did */
} Guard;

static void
guard_free(gpointer data)
{
    Guard *guard = data;
    g_free(guard->peer);
    g_object_unref(guard->socket);
    g_hash_table_unref(guard->large);
    g_free(guard);
}

/*
 * What has come behind it is dropped as well, unanswered: an answer would wait in GDBus until it is
 * read. The socket's end is what both directions notice at once; GDBus's own closing leaves it open
 * until the last call has been answered.
 */
static GDBusMessage *
cut(Guard *guard, GDBusMessage *message, const char *what)
{
    if (guard->cut == NULL) {
        g_message("the connection with %s is closed: it %s", guard->peer, what);
        g_atomic_pointer_set(&guard->cut, what);
        g_socket_shutdown(guard->socket, TRUE, TRUE, NULL);
    }
    g_object_unref(message);
    return NULL;
}

static gboolean
is_answer(GDBusMessageType type)
{
    return type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN || type == G_DBUS_MESSAGE_TYPE_ERROR;
}

static gboolean
is_large(GDBusMessage *message)
{
    GVariant *body = g_dbus_message_get_body(message);
    return body != NULL && g_variant_get_size(body) > VMF_PEER_LARGE;
}

static gpointer
serial_of(guint32 serial)
{
    return GUINT_TO_POINTER(serial);
}

/* At the server's end; in GDBus's own thread, for each message in each direction. */
static GDBusMessage *
guard_server(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data)
{
    Guard *guard = data;
    GDBusMessageType type = g_dbus_message_get_message_type(message);
    if (!incoming) {
        guard->open -= is_answer(type) ? 1 : 0; /* it is about to be written */
        if (is_answer(type))
            g_hash_table_remove(guard->large, serial_of(g_dbus_message_get_reply_serial(message)));
        return message;
    }
    if (guard->cut || type != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
        return cut(guard, message, "has sent what is no call");
    if (g_dbus_message_get_flags(message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED)
        return cut(guard, message, "wants no answer to a call");
    if (guard->open >= VMF_PEER_ANSWERS_MAX)
        return cut(guard, message, "calls on and on, and does not read the answers");
    gpointer serial = serial_of(g_dbus_message_get_serial(message));
    /* its answer would be taken for the large one's */
    if (g_hash_table_contains(guard->large, serial))
        return cut(guard, message, "gives two calls one serial number");
    gboolean large = is_large(message);
    gboolean room = !large || g_hash_table_size(guard->large) < VMF_PEER_LARGE_MAX;
    if (guard->open++ < VMF_PEER_CALLS_MAX && room) {
        if (large)
            g_hash_table_add(guard->large, serial);
        return message;
    }
    g_autoptr(GDBusMessage) refusal = g_dbus_message_new_method_error(
        message, "org.vmferry.Error.Busy",
        "%d calls of this connection, or %d large ones, wait for their answer: no more before one "
        "has it",
        VMF_PEER_CALLS_MAX, VMF_PEER_LARGE_MAX);
    g_dbus_connection_send_message(bus, refusal, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
    g_object_unref(message);
    return NULL;
}

/* At the client's end, which serves nothing: GDBus would answer each call that there is no such method. */
static GDBusMessage *
guard_client(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data)
{
    Guard *guard = data;
    if (incoming && (guard->cut || !is_answer(g_dbus_message_get_message_type(message))))
        return cut(guard, message, "has sent what is no answer");
    return message;
}

const char *
vmf_peer_bus_was_cut(GDBusConnection *bus)
{
    Guard *guard = g_object_get_data(G_OBJECT(bus), GUARD);
    return g_atomic_pointer_get(&guard->cut);
}

/* ---- the connection ---- */

static gboolean
allow_anonymous_only(GDBusAuthObserver *observer, const char *mechanism, gpointer data)
{
    return strcmp(mechanism, "ANONYMOUS") == 0;
}

static gboolean
allow_channel_peer(GDBusAuthObserver *observer, GIOStream *stream, GCredentials *credentials,
                   gpointer data)
{
    return TRUE;
}

static gboolean
give_up(gpointer cancellable)
{
    g_cancellable_cancel(cancellable);
    return G_SOURCE_CONTINUE; /* destroyed by who made it */
}

GDBusConnection *
vmf_peer_bus_over(int fd, gboolean server, const char *peer, GError **error)
{
    g_autoptr(GSocket) socket = g_socket_new_from_fd(fd, error);
    if (socket == NULL) {
        close(fd);
        return NULL;
    }
    g_autoptr(GSocketConnection) connection = g_socket_connection_factory_create_connection(socket);
    g_autoptr(GIOStream) stream = wrapped(connection, !server);
    g_autoptr(GDBusAuthObserver) observer = g_dbus_auth_observer_new();
    g_signal_connect(observer, "allow-mechanism", G_CALLBACK(allow_anonymous_only), NULL);
    g_signal_connect(observer, "authorize-authenticated-peer", G_CALLBACK(allow_channel_peer),
                     NULL);
    g_autofree gchar *guid = server ? g_dbus_generate_guid() : NULL;
    g_autoptr(GCancellable) patience = g_cancellable_new();
    g_autoptr(GSource) timer = g_timeout_source_new_seconds(VMF_PEER_AUTH_S);
    g_source_set_callback(timer, give_up, g_object_ref(patience), g_object_unref);
    g_source_attach(timer, NULL);
    GDBusConnection *bus = g_dbus_connection_new_sync(
        stream, guid,
        (server ? G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_ALLOW_ANONYMOUS
                : G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT) |
            G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
        observer, patience, error);
    g_source_destroy(timer);
    if (bus == NULL && g_cancellable_is_cancelled(patience)) {
        g_clear_error(error);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                    "it has not begun with D-Bus within %d s", VMF_PEER_AUTH_S);
    }
    if (bus == NULL)
        return NULL;
    Guard *guard = g_new0(Guard, 1);
    guard->peer = g_strdup(peer);
    guard->socket = g_object_ref(socket);
    guard->large = g_hash_table_new(NULL, NULL);
    g_object_set_data_full(G_OBJECT(bus), GUARD, guard, guard_free);
    g_dbus_connection_add_filter(bus, server ? guard_server : guard_client, guard, NULL);
    if (!server)
        g_dbus_connection_start_message_processing(bus);
    return bus;
}
