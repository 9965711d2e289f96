/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/hostile/hostile-peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "src/base/error.h"

#define INTERFACE "org.vmferry.Peer1"
#define PATH      "/org/vmferry/Peer1"

static gchar *last, *last_error;
static GAsyncQueue *calls; /* of GDBusMessage */
static GDBusMessage *call;
static gchar *told_facts; /* atomic */

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

void
do_bus(const char *ignored)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocket) socket = g_socket_new_from_fd(hostile.plain, &error);
    g_autoptr(GSocketConnection) over = g_socket_connection_factory_create_connection(socket);
    g_autoptr(GDBusAuthObserver) observer = g_dbus_auth_observer_new();
    g_autofree gchar *guid = hostile.serving ? g_dbus_generate_guid() : NULL;
    g_signal_connect(observer, "allow-mechanism", G_CALLBACK(allow_mechanism), NULL);
    g_signal_connect(observer, "authorize-authenticated-peer", G_CALLBACK(allow_peer), NULL);
    hostile.bus = g_dbus_connection_new_sync(
        G_IO_STREAM(over), guid,
        hostile.serving ? G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
                              G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_ALLOW_ANONYMOUS |
                              G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING
                        : G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT,
        observer, NULL, &error);
    if (hostile.bus == NULL)
        wrong("%s", error->message);
    g_dbus_connection_set_exit_on_close(hostile.bus, FALSE);
    if (hostile.serving) {
        calls = g_async_queue_new();
        g_dbus_connection_add_filter(hostile.bus, note_call, NULL, NULL);
        g_dbus_connection_start_message_processing(hostile.bus);
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

void
do_call(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusMessage) message = message_of(text);
    g_autoptr(GDBusMessage) reply = g_dbus_connection_send_message_with_reply_sync(
        hostile.bus, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, (gint)patience(NULL) * 1000, NULL,
        NULL, &error);
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

void
do_until(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    guint seconds = patience(words[0]);
    g_autofree gchar *query = g_strdup_printf("Query (\"%s\",)", value("migration"));
    g_autofree gchar *said = g_strdup_printf("'%s'", words[1]);
    alarm(HOSTILE_LIFE_S + seconds);
    for (guint waited = 0; waited < seconds; waited++) {
        do_call(query);
        if (last_error == NULL && strstr(last, said) != NULL)
            return;
        g_usleep(G_USEC_PER_SEC);
    }
    wrong("after %u s: %s", seconds, last);
}

void
do_post(const char *text)
{
    g_autoptr(GDBusMessage) message = message_of(text);
    g_dbus_connection_send_message(hostile.bus, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL,
                                   NULL);
}

/* "MIB METHOD (…)": the call again and again, as bytes; nobody reads what is said to it. */
void
do_flood(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    g_autoptr(GDBusMessage) message = message_of(words[1]);
    gsize size, left = (gsize)atoi(words[0]) * BLOCK;
    g_dbus_message_set_serial(message, 1);
    g_autofree guchar *blob = g_dbus_message_to_blob(message, &size, G_DBUS_CAPABILITY_FLAGS_NONE,
                                                     NULL);
    gsize all = BLOCK / size * size;
    g_autofree guchar *many = g_malloc(all);
    for (gsize at = 0; at < all; at += size)
        memcpy(many + at, blob, size);
    for (gsize at = 0; left > 0;) {
        gssize n = send(hostile.plain, many + at, all - at, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* "closed" asks for it */
        at = (at + (gsize)n) % all;
        left -= MIN(left, (gsize)n);
    }
}

static void
matches(const char *pattern)
{
    if (pattern[0] != '\0' && !g_regex_match_simple(pattern, last, G_REGEX_DOTALL, 0))
        wrong("'%s' is not in: %s", pattern, last);
}

void
do_ok(const char *pattern)
{
    if (last_error != NULL)
        wrong("%s: %s", last_error, last);
    matches(pattern);
}

void
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

void
do_keep(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    g_autoptr(GRegex) regex = g_regex_new(words[1], G_REGEX_DOTALL, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    if (!g_regex_match(regex, last, 0, &match))
        wrong("'%s' is not in: %s", words[1], last);
    set(words[0], g_match_info_fetch(match, 1));
}

void
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

void
do_answer(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_reply(call);
    GVariant *body = g_variant_parse(NULL, text, NULL, NULL, &error);
    if (body == NULL)
        wrong("%.200s is no value: %s", text, error->message);
    g_dbus_message_set_body(reply, body);
    g_dbus_connection_send_message(hostile.bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

void
do_fail(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);
    gboolean in_full = g_str_has_prefix(words[0], "org.");
    g_autofree gchar *name = g_strconcat(in_full ? "" : "org.vmferry.Error.", words[0], NULL);
    g_autoptr(GDBusMessage)
        reply = g_dbus_message_new_method_error_literal(call, name, words[1] ? words[1] : "");
    g_dbus_connection_send_message(hostile.bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

void
do_tell_facts(const char *facts)
{
    g_atomic_pointer_set(&told_facts, g_strdup(facts));
}
