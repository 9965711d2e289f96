/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The local libvirtd through its API: everything but the five phases.
 *
 * One VmfHost per process. Thread-safe: calls block the calling thread only. Events need the
 * default GMainContext to run (libvirt-glib). When libvirtd restarts, the next call connects
 * again and the event subscriptions are renewed; a call that was under way fails with
 * VMF_ERROR_UNREACHABLE.
 *
 * Every function: FALSE/NULL with VMF_ERROR_UNREACHABLE (no libvirtd), _CONFIG (no such VM, or
 * libvirt says the request does not fit its state), _BUSY (a job holds the VM), _DENIED,
 * _INTERNAL otherwise, with libvirt's text.
 */
#pragma once

#include <glib.h>

typedef struct VmfHost VmfHost;

typedef enum {
    VMF_VM_RUNNING,
    VMF_VM_PAUSED,           /* by an administrator, or for another reason that is not listed */
    VMF_VM_PAUSED_MIGRATION, /* performed, or prepared: "paused (migrating)" */
    VMF_VM_PAUSED_IOERROR,
    VMF_VM_SHUTDOWN, /* shutting down */
    VMF_VM_OFF,
    VMF_VM_CRASHED,
} VmfVmState;

typedef struct {
    gchar *uuid;
    gchar *name;
    VmfVmState state;
    gboolean persistent;
    gboolean autostart;
} VmfVmInfo;

void vmf_vm_info_free(VmfVmInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfVmInfo, vmf_vm_info_free)
const char *vmf_vm_state_name(VmfVmState state);

/** vmf_host_new() - @uri: NULL: "qemu:///system"; connects at the first call */
VmfHost *vmf_host_new(const char *uri);
VmfHost *vmf_host_ref(VmfHost *host);
void vmf_host_unref(VmfHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfHost, vmf_host_unref)

/** vmf_host_list() - Returns: (transfer full) (element-type VmfVmInfo): sorted by name */
GPtrArray *vmf_host_list(VmfHost *host, GError **error);

/** vmf_host_lookup() - by UUID or name. VMF_ERROR_CONFIG: there is none */
VmfVmInfo *vmf_host_lookup(VmfHost *host, const char *uuid_or_name, GError **error);

typedef enum {
    VMF_XML_LIVE,       /* as it runs */
    VMF_XML_INACTIVE,   /* as it will start the next time */
    VMF_XML_MIGRATABLE, /* as it runs, without what the source's libvirt chose: for another host */
    VMF_XML_PORTABLE,   /* inactive and migratable: for domain.xml on the share and for define */
} VmfXmlForm;
gchar *vmf_host_dump_xml(VmfHost *host, const char *uuid, VmfXmlForm form, GError **error);

/** vmf_host_define() - also makes a running transient domain persistent. @uuid: (out) (optional) */
gboolean vmf_host_define(VmfHost *host, const char *xml, gchar **uuid, GError **error);
gboolean
vmf_host_undefine(VmfHost *host, const char *uuid, GError **error); /* done if not defined */
gboolean vmf_host_start(VmfHost *host, const char *uuid, gboolean paused, GError **error);
gboolean vmf_host_resume(VmfHost *host, const char *uuid, GError **error);
gboolean vmf_host_suspend(VmfHost *host, const char *uuid, GError **error);
gboolean
vmf_host_destroy(VmfHost *host, const char *uuid, GError **error); /* done if not running */
gboolean vmf_host_set_autostart(VmfHost *host, const char *uuid, gboolean on, GError **error);

/* ---- the job of a migrating source ---- */

typedef enum {
    VMF_JOB_NONE,
    VMF_JOB_SETUP,      /* begun, no byte counted yet */
    VMF_JOB_MEMORY,     /* copying while the guest runs */
    VMF_JOB_SWITCHOVER, /* guest paused: last pages and device state */
    VMF_JOB_COMPLETED,  /* performed; waits for confirm */
    VMF_JOB_FAILED,
} VmfJobStage;

typedef struct {
    VmfJobStage stage;
    guint64 elapsed_ms;
    guint64 bytes_total;     /* the guest's memory */
    guint64 bytes_processed; /* sent so far; passes the total when pages are dirtied again */
    guint64 bytes_remaining;
    guint64 bytes_per_s;
    guint64 dirty_bytes_per_s;
    guint64 iteration;
    guint64 expected_downtime_ms; /* 0: not known */
    guint throttle_percent;       /* auto-converge */
} VmfJobProgress;

/** vmf_host_job_progress() - @out is all zero (VMF_JOB_NONE) when no job runs: not an error */
gboolean
vmf_host_job_progress(VmfHost *host, const char *uuid, VmfJobProgress *out, GError **error);

/** vmf_host_abort_job() - the memory copy; Perform then answers code 78. Not in the window. */
gboolean vmf_host_abort_job(VmfHost *host, const char *uuid, GError **error);
/** vmf_host_set_max_downtime() - of the migration that Perform runs; call it while it copies */
gboolean vmf_host_set_max_downtime(VmfHost *host, const char *uuid, guint64 ms, GError **error);
gboolean vmf_host_set_bandwidth(VmfHost *host, const char *uuid, guint64 mib_per_s, GError **error);

/* ---- events ---- */

typedef enum {
    VMF_EVENT_STARTED,
    VMF_EVENT_SUSPENDED, /* but for: */
    VMF_EVENT_IO_ERROR,  /* a disk's error has paused it */
    VMF_EVENT_RESUMED,
    VMF_EVENT_STOPPED,
    VMF_EVENT_DEFINED,
    VMF_EVENT_UNDEFINED,
    VMF_EVENT_LIBVIRT_LOST,     /* the connection ended; @uuid is NULL for host-wide subscribers */
    VMF_EVENT_LIBVIRT_RETURNED, /* connected again: look at every VM anew */
} VmfVmEvent;

/**
 * VmfVmEventFunc - called in the thread of the default main context
 * @monotonic_us: when the event reached this process (g_get_monotonic_time)
 */
typedef void (*VmfVmEventFunc)(const char *uuid, VmfVmEvent event, gint64 monotonic_us,
                               gpointer data);

/**
 * vmf_host_subscribe() - @uuid: (nullable): one VM, or all of them
 *
 * Returns: an id > 0 for vmf_host_unsubscribe(). The subscription outlives libvirtd's restarts.
 */
guint vmf_host_subscribe(VmfHost *host, const char *uuid, VmfVmEventFunc func, gpointer data,
                         GDestroyNotify destroy);
/** vmf_host_unsubscribe() - after its return @func runs no more, and @destroy has been called */
void vmf_host_unsubscribe(VmfHost *host, guint id);

/* ---- facts ---- */

typedef struct {
    gchar *hostname;
    gchar *host_uuid;
    guint64 libvirt_version; /* 9000000: 9.0.0 */
    guint64 qemu_version;    /* 7002000: 7.2.0 */
    gchar *cpu_arch, *cpu_model, *cpu_vendor;
    guint cpus;
    guint64 memory_kib, memory_free_kib;
} VmfHostFacts;

VmfHostFacts *vmf_host_facts(VmfHost *host, GError **error);
void vmf_host_facts_free(VmfHostFacts *facts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfHostFacts, vmf_host_facts_free)

/**
 * vmf_host_emulator() - the local QEMU for such a VM
 * @type: "kvm" or "qemu"; @arch: "x86_64"; @machine: "pc-q35-7.2"
 *
 * Returns: (transfer full): its path; VMF_ERROR_UNSUPPORTED: this host cannot run it, and why
 */
gchar *vmf_host_emulator(VmfHost *host, const char *type, const char *arch, const char *machine,
                         GError **error);

/** vmf_host_has_network() - a libvirt network of that name that is active. CONFIG: none, or off */
gboolean vmf_host_has_network(VmfHost *host, const char *name, GError **error);
/** vmf_host_has_bridge() - a bridge device of that name (sysfs). CONFIG: none */
gboolean vmf_host_has_bridge(const char *name, GError **error);
