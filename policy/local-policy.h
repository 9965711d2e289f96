/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/finding.h"

/*
 * The local policy: what this host's administrator allows, /etc/vmferry/vmferry.conf.
 *
 * A key file as GLib reads it. examples/vmferry.conf names every key with its default and reason.
 * An unknown group or key is an error, never ignored: a misspelt rule would be a missing rule.
 */

#define VMF_LOCAL_POLICY_FILE "/etc/vmferry/vmferry.conf"

typedef enum { VMF_ENCRYPTION_REQUIRE, VMF_ENCRYPTION_PREFER } VmfEncryptionRule;
typedef enum { VMF_STATED_NOTHING, VMF_STATED_YES, VMF_STATED_NO } VmfStatement;

/**
 * VmfShareRule - a share VMs' files may lie on, and what its administrator states about it
 * @encryption: require: the server must refuse connections without it; prefer: it need not
 * @durable:    each write the server answered survives its crash (no client can see this)
 * @dead_client_seconds: how long the server keeps the locks of a host that died; 0: not stated
 * @quarantine_seconds:  how long to wait, after a host died, before its VMs' files are written:
 *              longer than the server may still carry out that host's writes; 0: not stated
 */
typedef struct {
    gchar *server; /* "fs1.lab.test", lower case */
    gchar *share;  /* "vms", lower case: share names compare without case (MS-SMB2 2.2.9) */
    VmfEncryptionRule encryption;
    VmfStatement durable;
    guint dead_client_seconds;
    guint quarantine_seconds;
} VmfShareRule;

/** VmfCheckRule - [checks]: what a check that does not pass means here */
typedef enum {
    VMF_CHECK_AS_JUDGED,
    VMF_CHECK_WARN,  /* a failure, or an unknown, is only a warning */
    VMF_CHECK_BLOCK, /* a warning is a failure */
} VmfCheckRule;

typedef struct {
    gchar *group;          /* allowed AD group: name or SID */
    guint16 port;          /* TCP port on which peers are met */
    GPtrArray *shares;     /* of VmfShareRule: where a VM's files may lie */
    gchar **kernels;       /* NULL-terminated: kernel and initrd paths a guest may boot directly */
    guint max_downtime_ms; /* what the guest's pause may cost, first try */
    guint bandwidth_mib;   /* MiB/s, 0: no limit */
    guint parallel_jobs;   /* moves at a time, each way */
    gchar *disk_user;      /* whom the disk process runs as */
    gchar *qemu_user;      /* whom libvirt runs QEMU as: owner of the NBD sockets */
    gchar *keytab;         /* absolute path */
    gchar *libvirt_socket; /* absolute path */
    gchar **networks;      /* networks and bridges VMs may use; empty: any */
    guint memory_reserve_mib; /* to stay free at the destination */
    guint min_speed_mbit;     /* of the migration network; less is a warning */
    gboolean unknown_warns;   /* what could not be judged is a warning, not a block */
    GHashTable *checks;       /* "SMB-150" → VmfCheckRule */
} VmfLocalPolicy;

/**
 * vmf_local_policy_parse() - read a policy file's content
 * @text: the whole file, @size bytes
 * @name: its name, for messages
 *
 * Returns: (transfer full): the policy with defaults filled in; VMF_ERROR_CONFIG names file, group
 *   and key, and says what is allowed there.
 */
VmfLocalPolicy *
vmf_local_policy_parse(const char *text, gsize size, const char *name, GError **error);
void vmf_local_policy_free(VmfLocalPolicy *policy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfLocalPolicy, vmf_local_policy_free)

/**
 * vmf_local_policy_judge_share() - may a VM's file lie on this share?
 *
 * Returns: %TRUE, or %FALSE with VMF_ERROR_DENIED naming the share, @url and the key to change.
 */
gboolean vmf_local_policy_judge_share(const VmfLocalPolicy *policy, const char *server,
                                      const char *share, const char *url, GError **error);

/** vmf_local_policy_share() - Returns: (transfer none) (nullable): its rule; %NULL: not allowed */
const VmfShareRule *
vmf_local_policy_share(const VmfLocalPolicy *policy, const char *server, const char *share);

/** vmf_local_policy_weigh() - what a result of check @id counts as here */
VmfResult vmf_local_policy_weigh(const VmfLocalPolicy *policy, const char *id, VmfResult judged);
