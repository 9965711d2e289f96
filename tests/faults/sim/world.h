/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "tests/faults/sim/tasks.h"

#include "smb/disk-set.h"
#include "src/migrate/context.h"
#include "src/migrate/incoming.h"
#include "src/migrate/job.h"

/*
 * The simulated world: two hosts, a file server, a network, one VM that moves from host 0 to
 * host 1. What decides (who owns, who runs, what is written) is the product's own code; what it
 * talks to is here:
 *
 *   server.c   the file server, as VmfShare: share modes, late writes, restarts
 *   disks.c    the disk process and the way to it: VmfDiskClient, around the real VmfDiskSet
 *   keeper.c   vmferryd's watch over the disk process
 *   libvirt.c  libvirtd, QEMU, the guest: VmfPhases, VmfHost, VmfQemuProcess
 *   peers.c    the network between the hosts, vmferryd's Peer1 object, journal, start and restart
 *   faults.c   what may go wrong, and when
 *   judge.c    the invariants I1–I6
 */

#define SIM_HOSTS       2
#define SIM_DISKS       2
#define SIM_BLOCKS      4                            /* of 8 bytes, per disk */
#define SIM_META_SLOT   (SIM_DISKS * SIM_BLOCKS - 1) /* stands for qcow2's metadata */
#define SIM_VM          "6f2f3d5e-0c1a-4b7e-9d55-1f0e2a3b4c5d"
#define SIM_NAME        "demo"
#define SIM_MIGRATION   "0b54c6a2-97f3-4f3c-8d8e-3c1f8ab01234"
#define SIM_QUARANTINE  30000 /* ms */
#define SIM_LATE_MAX    (10 * G_USEC_PER_SEC)
#define SIM_DEAD_CLIENT (5 * G_USEC_PER_SEC)

/* --- faults --- */

typedef enum {
    FAULT_NONE,
    FAULT_KILL_VMFERRYD, /* SIGKILL; started again soon */
    FAULT_KILL_LIBVIRTD, /* SIGKILL; started again soon */
    FAULT_TERM_LIBVIRTD, /* SIGTERM; the next one resumes a source left in the window */
    FAULT_KILL_QEMU,
    FAULT_KILL_DISKS,    /* the disk process */
    FAULT_STOP_VMFERRYD, /* SIGSTOP for 60 s */
    FAULT_STOP_DISKS,
    FAULT_STOP_QEMU,
    FAULT_STOP_LIBVIRTD,
    FAULT_POWER,            /* power loss without FIN; boots again after 40 s */
    FAULT_CUT_PEERS,        /* the network between the hosts, for 20 s */
    FAULT_DROP_PEERS,       /* the connections between the hosts end; new ones work */
    FAULT_DROP_PEERS_LATE,  /* … and what was sent on them is still read, 3 s later */
    FAULT_CUT_SERVER_SHORT, /* host–server, 2 s: TCP survives it */
    FAULT_CUT_SERVER,       /* 20 s: the server drops the client */
    FAULT_CUT_SERVER_LONG,  /* 200 s: the client's requests time out */
    FAULT_ISOLATE,          /* the host from everything, 30 s */
    FAULT_DROP_SMB,         /* smbd child killed: what it was about to write is lost */
    FAULT_DROP_SMB_LATE,    /* … or lands seconds later */
    FAULT_DROP_SMB_ANSWER,  /* … or was written, and only the answer is lost */
    FAULT_RESTART_SMBD,     /* all sessions, all share modes; down for 1 s */
    FAULT_RESTART_SMBD_LATE,
    FAULT_FREEZE_SMBD,      /* 60 s without an answer */
    FAULT_DISK_FULL,        /* for 5 s */
    FAULT_DENY,             /* the ACL forbids this host to write, for 20 s */
    FAULT_THIRD_PARTY,      /* somebody opens a disk for writing as soon as it is free, 5 s */
    FAULT_JOURNAL,          /* this host's journal cannot be written, for 10 s */
    FAULT_JOURNAL_OLD,      /* vmferryd is killed, and its journal set back by one state */
    FAULT_JOURNAL_OLDER,    /* … by three */
    FAULT_JOURNAL_LOST,     /* … or it is gone as a whole */
    FAULT_LOSE_PHASE_REPLY, /* libvirtd's next answer to a phase is lost, its connection with it */
    FAULT_REPEAT_CALL,      /* the next call between the hosts comes twice, the second time late */
    FAULT_CANCEL,           /* the user cancels the job */
    SIM_N_FAULTS
} SimFaultKind;

typedef struct {
    SimFaultKind kind;
    int host;
    guint point; /* at which interaction it happens, from 1 */
} SimFault;

#define SIM_MAX_FAULTS 8

typedef struct {
    guint64 seed; /* 0: every delay is its usual one */
    guint n_faults;
    SimFault faults[SIM_MAX_FAULTS];
    gboolean qcow2;    /* Perform and Finish write */
    gboolean trailing; /* Perform returns while its last write is under way */
} SimPlan;

const char *sim_fault_name(SimFaultKind kind);
gboolean sim_fault_from_name(const char *name, SimFaultKind *kind);
/** sim_fault_has_host() - whether it matters which host it hits */
gboolean sim_fault_has_host(SimFaultKind kind);

/* --- the world --- */

typedef enum { DOM_NONE, DOM_RUNNING, DOM_PAUSED_MIGRATION, DOM_IOERROR, DOM_PREPARED } SimDomState;

typedef struct {
    SimProc proc;
    SimDomState state;
    gboolean cpus;                           /* the guest's CPUs run */
    gboolean memory_here;                    /* prepared and complete, or of a guest that ran */
    guint64 version;                         /* of the guest's state that this process holds */
    guint in_flight;                         /* requests to the disk process */
    guint64 metadata;                        /* the image's, as this process has it in memory */
    gboolean broken[SIM_DISKS * SIM_BLOCKS]; /* requests that failed: to be made again */
    gboolean resume_pending;                 /* libvirt says cont to a stopped process */
    gboolean term_pending;                   /* it was sent SIGTERM while stopped */
    gboolean frozen, signalled;              /* why it is stopped: by a fault; by vmferryd */
    guint lease_generation; /* of the disk process it is connected to; 0: not connected */
    VmfGateLease *lease;
    guint64 id;
} SimQemu;

typedef struct {
    guint64 state; /* VmfLibvirtPhase */
    int conn;      /* which connection drives it; -1: none */
    gboolean abort, lost;
} SimLibvirtJob;

typedef struct {
    VmfJournalEntry entry;
    VmfState older[3]; /* states before the present one */
    gboolean used;
} SimJournalRow;

typedef struct SimDiskProc SimDiskProc;

typedef struct {
    int index;
    VmfContext context;
    VmfHostIdentity me;
    VmfLocalPolicy policy;
    gchar sid[32], account[16], fqdn[32], boot[40];
    gboolean up, lost_power;
    gboolean vmferryd_killed, disks_killed; /* by faults, in this run */
    guint boots;

    SimProc vmferryd;
    gboolean serves; /* peers: after it has listed what is to be recovered */
    SimProc libvirtd;
    SimQemu qemu;
    SimLibvirtJob libvirt;
    SimDiskProc *disks; /* NULL: none */
    int kept[1];        /* connections to libvirtd that vmferry-holder has */
    guint n_kept;
    VmfDiskLedger ledger;
    gboolean disks_told_end, vm_ended, io_error, kicked; /* keeper.c */
    guint ends;
    gboolean marked; /* vm-disks.h: of an incoming VM that has not been let run */

    SimJournalRow rows[4];
    SimJournalRow note; /* move-note.h */
    gint64 journal_broken_until;
    VmfIncoming *incoming[8];
    guint n_incoming;

    gboolean server_cut; /* no packet between this host and the server */
    gint64 server_cut_at;
    gint64 denied_until;
} SimHost;

typedef struct {
    SimPlan plan;
    guint64 random;
    SimHost hosts[SIM_HOSTS];
    guint points; /* interactions so far */
    guint faults_done;
    gint64 faults_over; /* when the last fault has healed */
    gboolean peers_cut, repeat_call;
    gboolean started, ended;
    gboolean cancelled;
    VmfJob *job;
    guint64 conn_ids;

    /* the guest: one, whoever runs it */
    guint64 version;
    guint64 before_run; /* the version that was let run last, until the guest has written there */
    guint64 next_number;
    guint64 acked[SIM_DISKS * SIM_BLOCKS];
    guint64 sent[SIM_DISKS * SIM_BLOCKS];
    gboolean busy[SIM_DISKS * SIM_BLOCKS];
    guint64 qemu_ids;
    gint64 write_gap;
    gboolean struck[SIM_N_FAULTS];
    gboolean striking;    /* a fault happens at this moment */
    gboolean memory_lost; /* a fault ended the last process that held the guest's memory */
    guint64 writes_acked;

    /* stage marks: the interaction at which each state was entered, for the explorer */
    guint mark[VMF_N_STATES];

    gboolean tracing;
    gchar violation[512];
    gchar rule[16];
} World;

extern World world;

/** sim_point() - an interaction between two parts: where a fault may happen */
void sim_point(const char *format, ...) G_GNUC_PRINTF(1, 2);
void sim_trace(const char *format, ...) G_GNUC_PRINTF(1, 2);

/** sim_violation() - @rule (I1…I6) does not hold; the run ends */
void sim_violation(const char *rule, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** sim_delay() - about @us, by the seed; now and then much longer */
gint64 sim_delay(gint64 us);
guint64 sim_random(void);
void sim_travel(gint64 us);

/* --- server.c --- */

void sim_server_reset(void);
VmfShare *sim_server_share(SimHost *host);
typedef enum { LATE_LOST, LATE_LANDS, LATE_ANSWER } SimLate;
void sim_server_drop_sessions(int host, SimLate late); /* -1: of all */
void sim_server_restart(SimLate late);
void sim_server_freeze(gint64 us);
void sim_server_full(gint64 us);
void sim_server_third_party(gint64 us);
void sim_server_host_is_gone(SimHost *host);
void sim_server_cut(SimHost *host, gboolean cut);
guint64 sim_server_metadata(void);
guint64 sim_server_block(guint disk, guint block);
/** sim_server_owner() - which host the record names; -1: nobody, -2: damaged or none */
int sim_server_owner(guint64 *epoch, VmfOwnerState *state);
gboolean sim_server_session_holds(const VmfShareSession *session);
gboolean sim_server_nobody_waits(void);

/* --- disks.c --- */

gboolean sim_disks_launch(SimHost *host, gboolean resume, GError **error);
void sim_disks_boot(SimHost *host); /* the source's at the beginning: owned, gate open */
void sim_disks_kill(SimHost *host);
/** sim_holder_kill() - what vmferry-holder has is closed */
void sim_holder_kill(SimHost *host);
SimProc *sim_disks_proc(SimHost *host);
VmfDiskSet *sim_disks_set(SimHost *host); /* NULL: none */
void sim_disks_wake(SimHost *host);
gboolean sim_disks_keep_conn(SimHost *host, int conn);
guint sim_disks_generation(SimHost *host);
/** sim_disks_request() - of QEMU; @done is told 0 or an error, in nobody's task */
void
sim_disks_request(SimHost *host, VmfGateLease *lease, guint disk, guint block, guint64 number,
                  gboolean write,
                  void (*done)(SimHost *host, guint slot, guint64 qemu, guint64 number, int result),
                  guint64 qemu);
gboolean vmf_vm_disks_stop(const VmfContext *context, const char *uuid, GError **error);

/* --- keeper.c --- */

void sim_keeper(gpointer host);
/** sim_keeper_kick() - something has happened to the disk process, or to a guest by it */
void sim_keeper_kick(SimHost *host);
void sim_keeper_end(SimHost *host);

/* --- libvirt.c --- */

void sim_qemu_start(SimHost *host, gboolean incoming);
void sim_qemu_gone(SimHost *host, gboolean fault, const char *why);
void sim_host_lost(const SimHost *host);
void sim_qemu_cpus(SimHost *host, gboolean run, const char *why);
void sim_qemu_frozen(SimHost *host, gboolean stop);
void sim_qemu_nbd_lost(SimHost *host);
void sim_libvirtd_start(SimHost *host, gboolean after_term);
void sim_libvirtd_kill(SimHost *host, gboolean term);
void sim_conn_release(int conn, gpointer holder);
void sim_conn_release_all(gpointer holder);
void sim_conn_hold(int conn, gpointer holder);
void sim_libvirt_reset(void);
void sim_libvirt_tell_lost(SimHost *host);

/* --- peers.c --- */

void sim_peers_reset(void);
void sim_vmferryd_start(SimHost *host);
void sim_vmferryd_kill(SimHost *host);
void sim_peers_break_all(gboolean late);
void sim_peers_host_gone(SimHost *host, gboolean says_so);
void sim_journal_set_back(SimHost *host, guint states);
void sim_journal_lose(SimHost *host);
SimHost *sim_host_of_context(const VmfContext *context);
gboolean sim_hook_ended(SimHost *host);

/* --- faults.c --- */

void sim_fault_happens(const SimFault *fault);

/* --- judge.c --- */

void sim_judge(void);
/** sim_judge_settled() - nothing more will happen, and all is as it may be */
gboolean sim_judge_settled(void);
void sim_judge_end(void);

/* --- world.c --- */

/** sim_world_run() - one run. Returns: %TRUE: no violation */
gboolean sim_world_run(const SimPlan *plan);
