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
 *   flood MIB METHOD (…)    as many bytes of calls, without "bus": nobody reads the answers
 *   ok [REGEX]              the last call was answered, and its text matches
 *   error CODE [REGEX]      the last call failed with org.vmferry.Error.CODE, or org.… in full; a REGEX too
 *   keep NAME REGEX         the first group in the last answer
 *   until SECONDS STATE     Query says STATE of $migration by then
 *   await METHOD            the next call, as destination, is METHOD; it can be answered
 *   tell-facts FACTS        answer GatherFacts with them from now on
 *   answer (…) | fail CODE TEXT      with org.vmferry.Error.CODE, or org.… in full
 *   accept-raw; say-raw TEXT, pour-raw MIB, cut-raw, gone [SECONDS]   TCP without a channel
 *   expect-stream / take-stream      name in $stream; the memory stream has come
 *   stream NAME             open a memory stream;  reject-stream NAME: it must not open
 *   pour MIB | drain MIB    write to, read from the stream; 0: until it ends
 *   drain-state             read from it until QEMU has sent all, and waits for an answer
 *   shut-return-path        say in the stream that QEMU has taken all
 *   cut-stream | end-stream | cut    close without and with an end mark; the control channel
 *   closed [SECONDS]        the other end closes the control channel by then
 *   open                    it has not
 *   say WORD                for whoever drives this: "say WORD" on standard output
 *   run COMMAND             on this host; it ends with 0
 *   set NAME VALUE | fill NAME BYTES | crowd NAME ENTRIES | save NAME FILE | edit NAME OLD => NEW
 *
 * Exit status 0: everything went as the script says; 1: "line N: …" says what did not; 2: usage.
 */
#include "tests/hostile/hostile-peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE "20"
HostilePeer hostile = {.plain = -1};

static GHashTable *names;
static guint line_number;

void
wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree gchar *said = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    printf("line %u: %.2000s\n", line_number, said);
    exit(1);
}

const char *
value(const char *name)
{
    const char *found = g_hash_table_lookup(names, name);
    if (found == NULL)
        wrong("there is no $%s", name);
    return found;
}

void
set(const char *name, gchar *taken)
{
    g_hash_table_insert(names, g_strdup(name), taken);
}

guint
patience(const char *word)
{
    return (guint)atoi(word != NULL && word[0] != '\0' ? word : value("patience"));
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

static void
do_run(const char *command)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *out = NULL, *err = NULL;
    int status = 0;
    if (!g_spawn_command_line_sync(command, &out, &err, &status, &error) ||
        !g_spawn_check_wait_status(status, &error))
        wrong("%s: %s: %s%s", command, error->message, out != NULL ? out : "",
              err != NULL ? err : "");
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
    {"flood", do_flood},
    {"ok", do_ok},
    {"error", do_error},
    {"keep", do_keep},
    {"until", do_until},
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
    {"run", do_run},
    {"expect-stream", do_expect_stream},
    {"take-stream", do_take_stream},
    {"stream", do_stream},
    {"reject-stream", do_reject_stream},
    {"pour", do_pour},
    {"drain", do_drain},
    {"drain-state", do_drain_state},
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
    alarm(HOSTILE_LIFE_S);
    if (argc < 2 || !g_file_get_contents(argv[1], &script, NULL, &error)) {
        fprintf(stderr, "usage: hostile-peer SCRIPT [NAME=VALUE | NAME@FILE]...\n");
        return 2;
    }
    names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    hostile.streams = vmf_channel_streams_new();
    set("port", g_strdup("16016"));
    set("patience", g_strdup(PATIENCE));
    hostile.me = vmf_host_identity_read(NULL, &error);
    if (hostile.me == NULL)
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
