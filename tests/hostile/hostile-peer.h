/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gio/gio.h>

#include "src/channel/channel.h"

/* The parts of hostile-peer; its commands are told in hostile-peer.c. */

#define BLOCK          ((gsize)1024 * 1024)
#define HOSTILE_LIFE_S 100 /* nothing that it waits for may keep the test */

/** What all commands speak through */
typedef struct {
    VmfHostIdentity *me;
    VmfChannelStreams *streams;
    VmfChannel *control;  /* NULL before connect, take */
    int plain;            /* its plain socket, until "bus" takes it */
    gboolean serving;     /* it was taken, not made */
    GDBusConnection *bus; /* over it; NULL before "bus" */
} HostilePeer;

extern HostilePeer hostile;

/** wrong() - "line N: …", and the end */
void wrong(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;

/** value() - of $@name, which there must be */
const char *value(const char *name);

/** set() - $@name; @taken: (transfer full) */
void set(const char *name, gchar *taken);

/** patience() - @word in seconds; empty: as long as usual */
guint patience(const char *word);

/* hostile-channel.c: TCP, the control channel, memory streams */
void do_until(const char *text);
void do_connect(const char *rest);
void do_listen(const char *rest);
void do_take(const char *rest);
void do_accept_raw(const char *rest);
void do_cut_raw(const char *rest);
void do_pour_raw(const char *rest);
void do_gone(const char *rest);
void do_expect_stream(const char *rest);
void do_take_stream(const char *rest);
void do_stream(const char *rest);
void do_reject_stream(const char *rest);
void do_pour(const char *rest);
void do_drain(const char *rest);
void do_drain_state(const char *rest);
void do_shut_return_path(const char *rest);
void do_cut_stream(const char *rest);
void do_end_stream(const char *rest);
void do_cut(const char *rest);
void do_raw(const char *rest);
void do_closed(const char *rest);
void do_open(const char *rest);

/* hostile-bus.c: D-Bus over the control channel */
void do_bus(const char *rest);
void do_call(const char *rest);
void do_post(const char *rest);
void do_flood(const char *rest);
void do_ok(const char *rest);
void do_error(const char *rest);
void do_keep(const char *rest);
void do_await(const char *rest);
void do_answer(const char *rest);
void do_fail(const char *rest);
void do_tell_facts(const char *rest);
