/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gio/gio.h>

#include "src/vm/host.h"
#include "src/vm/phase-file.h"
#include "src/vm/phases.h"
#include "tests/unit/vm/relay.h"

/* libvirtd's socket, below a host's root folder */
#define SOCKET "run/libvirt/libvirt-sock"

/* One move between two libvirtds, phase by phase, and a look at what libvirt makes of it. */

typedef struct {
    gchar **boot_files; /* a definition may name them */
    gchar *capture;     /* folder for cookies and XML; NULL: they are not kept */
    gboolean quiet;     /* no line per phase */
} PhaseOptions;

extern PhaseOptions phase_options;

typedef struct {
    gchar *root;
    VmfHost *host;
    VmfPhases *phases;
} Side;

typedef struct {
    Side source, destination;
    gchar *uuid, *name;
    gchar *portable; /* rebuilt inactive definition */
    gchar *uri_out, *uri_in;
    Relay *relay;
    VmfPhaseParams params;
    GBytes *begun, *prepared, *performed, *finished;
    gchar *xml;                      /* rebuilt live definition */
    gint64 suspended_us, resumed_us; /* from the events; atomic enough: read after both */
    gint stopped;                    /* STOPPED events at the destination */
    guint subscriptions[3];
} Move;

/** check() - ends the process when it is not @right */
void check(gboolean right, const char *what, GError *error);

/** must() - the same for how a phase ended */
void must(VmfPhaseResult result, VmfPhaseResult wanted, const char *phase);

/** keep() - @data as file @base, where that is wanted */
void keep(const char *base, const char *data);

/* VmfHostEvent: when the guest paused and went on (gint64 us); how often it stopped (gint) */
void on_event(const char *uuid, VmfVmEvent event, gint64 monotonic_us, gpointer data);
void on_stopped(const char *uuid, VmfVmEvent event, gint64 monotonic_us, gpointer data);

/* The phases, each with what stands between two hosts */
VmfPhaseResult move_begin(Move *move);
VmfPhaseResult move_prepare(Move *move);
VmfPhaseResult move_perform(Move *move);
VmfPhaseResult move_finish(Move *move, gboolean cancelled);
VmfPhaseResult move_confirm(Move *move, gboolean cancelled);
void move_define(Move *move);

/** side_open() - (transfer full): a connection for phases */
VmfPhases *side_open(Side *side);

/** side_go_deaf() - the next call is sent and its answer never read; libvirtd then sees the end */
void side_go_deaf(Side *side);
void side_lose(Side *side);
void side_lose_and_open(Side *side);

/** side_adopt() - the same connection, by its descriptor alone */
void side_adopt(Side *side);

/** side_wait_for_phase() - what libvirtd does by itself has to end before the next phase is called */
void side_wait_for_phase(Side *side, const char *name, VmfLibvirtPhase wanted);

typedef gboolean (*Judge)(Move *move);

/** move_watch() - until it is so; by looking, as libvirt has no event for a job's stages */
void move_watch(Move *move, Judge judge, const char *what);
gboolean is_copying(Move *move);
gboolean source_waits(Move *move);
gboolean source_runs(Move *move);
gboolean source_is_gone(Move *move);
gboolean destination_is_gone(Move *move);
gboolean destination_was_destroyed(Move *move);
gboolean destination_runs(Move *move);
gboolean destination_has_settled(Move *move);
