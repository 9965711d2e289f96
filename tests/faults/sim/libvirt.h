/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "tests/faults/sim/world.h"

#include "src/vm/phase-file.h"
#include "src/vm/phases.h"
#include "src/vm/qemu-process.h"

/* What libvirt.c (libvirtd), phases.c (its migration phases) and qemu.c (QEMU, the guest) share. */

#define SIM_MAX_CONNS   64
#define SIM_MAX_HOLDERS 4

typedef struct {
    SimHost *host;
    guint generation; /* of libvirtd */
    gpointer holders[SIM_MAX_HOLDERS];
    gboolean open;
} SimConn;

struct VmfPhases {
    int conn;
    SimHost *host;
};

struct VmfQemuProcess {
    SimHost *host;
    guint64 id;
};

typedef struct {
    VmfVmEventFunc func;
    gpointer data;
    GDestroyNotify destroy;
    gboolean used;
} SimSubscription;

/* One for both hosts. */
typedef struct {
    SimConn conns[SIM_MAX_CONNS];
    int n_conns;
    SimSubscription subscriptions[SIM_HOSTS][8];
    gboolean defined[SIM_HOSTS];
    gboolean hook_pending[SIM_HOSTS];
    gboolean term[SIM_HOSTS]; /* libvirtd was ended by SIGTERM */
} SimLibvirt;

extern SimLibvirt libvirt;

/* libvirt.c */
void sim_libvirt_tell(SimHost *host, VmfVmEvent event);
void sim_libvirt_run_hook(SimHost *host);
gboolean sim_conn_is_open(int conn);
/** sim_conn_closed() - what libvirtd does when the connection that drives a migration is closed */
void sim_conn_closed(SimConn *conn, int number);

/* qemu.c */
void sim_qemu_send(SimHost *host, guint slot, guint64 number);
gboolean sim_qemu_connect(SimHost *host);
/** sim_qemu_let_resume() - libvirt says cont: carried out when QEMU is not stopped */
gboolean sim_qemu_let_resume(SimHost *host, const char *why);
