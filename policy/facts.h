/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/fact-codec.h"

/*
 * What the checks rest on: plain facts, no verdicts. Each struct has a shape (fact-codec.h).
 *
 *   VmfFactVm     the VM                            gathered by the host that runs it
 *   VmfFactHost   a host about itself               by each host; holds for every VM
 *   VmfFactPeer   a host about another host         by each host
 *   VmfFactView   what a host sees of a VM          by each host, under its own computer account
 *   VmfFactSide   the latter three of one host: what org.vmferry.Peer1.GatherFacts answers
 *
 * Texts are never NULL. `reason`: see fact-codec.h. Times and sizes carry their unit in the name.
 */

/* ---- the directory, and identities ---- */

/* One key of the keytab. */
typedef struct {
    gchar *principal; /* "HV1$@LAB.TEST" */
    guint kvno;
    guint enctype; /* RFC 3961 number: 17, 18 (AES-SHA1), 19, 20 (AES-SHA2), 23 (RC4) */
} VmfFactKey;

typedef struct {
    gchar *reason;
    gchar *path;     /* "/etc/krb5.keytab" */
    GPtrArray *keys; /* of VmfFactKey */
    gboolean works;  /* an AS exchange with the newest key of COMPUTER$ gave a ticket */
    gchar *problem;  /* when it did not: Kerberos' text */
    guint kvno;      /* of the account in the directory (msDS-KeyVersionNumber); 0: not known */
} VmfFactKeytab;

/* A computer account, as the directory has it. */
typedef struct {
    gchar *reason;
    guint matches;      /* how many accounts answered to the name; the rest is of the first */
    gchar *account;     /* "HV2$" */
    gchar *fqdn;        /* dNSHostName, lower case; "" when it has none */
    gchar *sid;         /* "S-1-5-21-…-1104" */
    guint uac;          /* userAccountControl (MS-ADTS 2.2.16) */
    guint primary_rid;  /* primaryGroupID, 515 for every member that was not changed */
    gchar **group_sids; /* tokenGroups, all of them, primary group too */
    gchar **sid_history;
} VmfFactComputer;

typedef struct {
    gchar *reason;
    gchar *server; /* "dc1.lab.test": the domain controller that answered */
    gchar *domain; /* NetBIOS name, "LAB"; "" when not known */
    gchar *domain_sid;
    gboolean skew_known;
    gint64 skew_ms;    /* this host's clock less the domain controller's */
    gchar *group;      /* the allowed group as this host's policy file names it */
    gchar *group_sid;  /* "" with group_problem */
    gchar *group_name; /* its sAMAccountName, "VM Hosts"; "" when not known */
    gchar *group_problem;
    VmfFactComputer self;
} VmfFactDirectory;

/* What the connection between the two hosts has proven, at this end. */
typedef struct {
    gchar *reason;      /* no connection, or the peer was refused: why */
    gboolean mutual;    /* both ends have proven who they are */
    gboolean by_ticket; /* this end accepted: account, SID and groups are from the peer's ticket */
    gchar *principal;   /* "HV2$@LAB.TEST", "host/hv2.lab.test@LAB.TEST" */
    gchar *account;     /* "" where not by_ticket */
    gchar *sid;         /* "" where not by_ticket */
    gchar **group_sids; /* of the PAC */
    guint ticket_enctype; /* 0 where not by_ticket */
    guint session_enctype;
} VmfFactChannel;

/* ---- a host ---- */

typedef enum { VMF_FACT_NET_NETWORK, VMF_FACT_NET_BRIDGE } VmfFactNetKind;

typedef struct {
    VmfFactNetKind kind; /* a libvirt network, or a bridge device */
    gchar *name;
    gboolean active;
    guint mtu;     /* of its bridge; 0: not known */
    gchar **vlans; /* tags on it, as text, sorted; empty: none */
} VmfFactNet;

typedef struct {
    guint size_kib;
    guint64 free_pages;
} VmfFactHugepages;

typedef struct {
    guint id;
    guint64 free_kib;
} VmfFactNode;

/* A domain that libvirt knows there. */
typedef struct {
    gchar *uuid; /* lower case */
    gchar *name;
    gchar **macs; /* lower case */
    gboolean running;
    gboolean autostart;
} VmfFactDomain;

typedef struct {
    gchar *reason;
    guint64 libvirt_version; /* 9000000: 9.0.0 */
    guint64 qemu_version;    /* 7002000: 7.2.0 */
    gchar *cpu_arch, *cpu_vendor, *cpu_model;
    guint cpus;         /* online */
    guint64 memory_kib; /* of the host */
    guint64 free_kib;
    GPtrArray *hugepages; /* of VmfFactHugepages */
    GPtrArray *nodes;     /* of VmfFactNode: NUMA */
    GPtrArray *nets;      /* of VmfFactNet */
    GPtrArray *domains;   /* of VmfFactDomain */
} VmfFactMachine;

typedef struct {
    gchar *reason;
    guint slots; /* [migration] parallel-jobs */
    guint used;
} VmfFactQueue;

typedef struct {
    gchar *fqdn;    /* "hv2.lab.test" */
    gchar *account; /* "HV2$" */
    gchar *realm;   /* "LAB.TEST" */
    gchar *version; /* of vmferry */
    VmfFactKeytab keytab;
    VmfFactDirectory directory;
    VmfFactMachine machine;
    VmfFactQueue queue;
} VmfFactHost;

/* ---- a host about another ---- */

/* How packets get to the peer. */
typedef struct {
    gchar *reason;
    gchar *interface; /* "eth1" */
    gchar *address;   /* ours on it, "10.0.0.1" */
    gchar *peer_address;
    guint prefix;           /* bits of the subnet */
    gboolean on_link;       /* the peer is in that subnet: no router between */
    gboolean default_route; /* the default route leaves by the same interface */
    guint mtu;
    guint speed_mbit; /* 0: not known (virtual) */
} VmfFactRoute;

typedef struct {
    gchar *fqdn; /* of the peer */
    VmfFactComputer computer;
    VmfFactChannel channel;
    VmfFactRoute route;
    gboolean skew_known;
    gint64 skew_ms; /* this host's clock less the peer's */
} VmfFactPeer;

/* ---- a VM ---- */

typedef enum {
    VMF_FACT_ROLE_DISK,
    VMF_FACT_ROLE_CDROM,
    VMF_FACT_ROLE_BACKING, /* of a disk's chain */
    VMF_FACT_ROLE_NVRAM,
    VMF_FACT_ROLE_TPM,
    VMF_FACT_ROLE_BOOT,       /* kernel, initrd, dtb: local on each host, [guests] kernels */
    VMF_FACT_ROLE_DEFINITION, /* domain.xml beside the disks */
    VMF_FACT_ROLE_RECORD,     /* .vmferry/UUID.own */
    VMF_FACT_ROLE_FOLDER,     /* the VM's folder */
} VmfFactRole;

/* A file the VM needs. */
typedef struct {
    VmfFactRole role;
    gchar *target;       /* "vda"; "" where there is none */
    gchar *place;        /* as the definition has it: "smb://…", "/var/lib/…", "rbd:pool/x" */
    gchar *url;          /* canonical smb://…; "" when it is on no share */
    gboolean writable;   /* by the VM */
    gchar *format;       /* "raw", "qcow2", "" */
    gchar *cache;        /* of disks: "none", "writeback", "" when not stated */
    gchar *error_policy; /* of disks: "stop", "report", "" when not stated */
    guint line;          /* in the definition; 0: not known */
} VmfFactFile;

/* Something of the definition that does not move. */
typedef struct {
    gchar *element; /* "domain/devices/hostdev" */
    guint line;
    gchar *why; /* "a host device cannot be moved: …" */
} VmfFactRefusal;

typedef struct {
    VmfFactNetKind kind;
    gchar *name; /* of the network or bridge */
    gchar *mac;
    guint mtu;     /* 0: not stated */
    gchar **vlans; /* tags the interface asks for, as text, sorted */
} VmfFactNic;

/* What libvirt tells of a VM that is there; a definition in a file has none of it. */
typedef struct {
    gchar *reason;      /* also "only its definition is judged" */
    gchar *state;       /* "running", … */
    gchar *job;         /* libvirt's job: "migration", "backup"; "" when none */
    gchar **io_errors;  /* targets of disks that met an I/O error */
    gchar **block_jobs; /* "vda: copy" */
    gchar **snapshots;
    gchar **checkpoints;
    gboolean persistent;
    gboolean autostart;
} VmfFactLive;

typedef struct {
    gchar *reason; /* the definition cannot be read at all */
    gchar *uuid, *name;
    gchar *type;      /* "kvm", "qemu" */
    gchar *arch;      /* "x86_64" */
    gchar *machine;   /* "pc-q35-7.2" */
    gchar *cpu_mode;  /* "custom", "host-model", "host-passthrough", "maximum", "" */
    gchar *cpu_model; /* of mode custom */
    guint vcpus;
    guint64 memory_kib;
    guint hugepage_kib;    /* 0: none asked for */
    gchar **nodes;         /* NUMA nodes of the host it is bound to, as text; empty: none */
    gchar *loader;         /* firmware, "" : BIOS */
    gchar *nvram_template; /* "" : none */
    GPtrArray *files;      /* of VmfFactFile */
    GPtrArray *nics;       /* of VmfFactNic */
    GPtrArray *refusals;   /* of VmfFactRefusal: all there are */
    VmfFactLive live;
} VmfFactVm;

/* ---- what a host sees of a VM ---- */

/* How the file server answered an open under this host's computer account. */
typedef enum {
    VMF_FACT_ANSWER_NOT_TRIED,
    VMF_FACT_ANSWER_OK,
    VMF_FACT_ANSWER_HELD,    /* EBUSY: permitted; another holds it (access is judged first) */
    VMF_FACT_ANSWER_DENIED,  /* EACCES */
    VMF_FACT_ANSWER_MISSING, /* ENOENT, ENOTDIR */
    VMF_FACT_ANSWER_FAILED,  /* anything else: see ->problem */
} VmfFactAnswer;

typedef struct {
    gchar *reason;
    gchar *url;       /* canonical, as in VmfFactFile */
    gboolean allowed; /* [shares] allow of this host has its share */
    gboolean folder;
    VmfFactAnswer read;  /* open for reading; of a folder: list it */
    VmfFactAnswer write; /* open read-write; of a folder: NOT_TRIED */
    gchar *problem;      /* of the answer that FAILED */
    guint64 size_bytes;
    gchar *file_id;     /* as text: 64 bits; "" when not known */
    gboolean read_only; /* attribute */
    gchar *descriptor;  /* system.nt_sec_desc.*: "REVISION:1,OWNER:S-…"; "" with the problem */
    gchar *descriptor_names; /* system.nt_sec_desc.*+: the same with names; "" when not known */
    gchar *descriptor_problem;
} VmfFactProbe;

typedef enum {
    VMF_FACT_CRYPT_UNKNOWN,
    VMF_FACT_CRYPT_REQUIRED, /* a connection without encryption was refused */
    VMF_FACT_CRYPT_OPTIONAL, /* it was not */
} VmfFactCrypt;

typedef struct {
    gchar *reason; /* no connection to it at all */
    gchar *server; /* lower case */
    gchar *share;
    gboolean smb3; /* a connection limited to SMB 3.0 and later worked */
    gchar *smb3_problem;
    VmfFactCrypt encryption;
    gchar *encryption_problem; /* of UNKNOWN */
} VmfFactShare;

typedef struct {
    gchar *reason;
    gboolean present;
    gchar *owner_account, *owner_sid;
    guint64 epoch;
    gchar *state; /* "owned", "running", "returned", "stopped" */
    gchar *boot_id;
} VmfFactOwner;

/* The disk process of the VM on this host. */
typedef struct {
    gchar *reason; /* "" : there is one, and it answered */
    gboolean held; /* all handles open, writable ones deny-write */
    gchar *gate;   /* "open", "closed", … */
    guint64 epoch;
    gchar *trouble;
} VmfFactDisks;

typedef enum {
    VMF_FACT_CPU_UNKNOWN,
    VMF_FACT_CPU_INCOMPATIBLE,
    VMF_FACT_CPU_IDENTICAL,
    VMF_FACT_CPU_SUPERSET,
} VmfFactCpu;

/* Whether this host's hypervisor can run it. */
typedef struct {
    gchar *reason;
    gboolean type;    /* virtualisation type is there (KVM) */
    gboolean machine; /* machine type for that type and architecture is there */
    gchar *emulator;  /* path; "" when none */
    gchar *problem;   /* of the first FALSE or "" above: libvirt's text */
    VmfFactCpu cpu;   /* virConnectCompareHypervisorCPU of the VM's CPU */
    gchar *cpu_problem;
    gchar *loader_sha256; /* of the file VmfFactVm.loader on this host; "" when it is missing */
    gchar *nvram_template_sha256;
    gchar **boot_missing; /* kernel, initrd, dtb: not on this host or not in [guests] kernels */
} VmfFactFit;

typedef struct {
    GPtrArray *shares; /* of VmfFactShare: each share of the VM once */
    GPtrArray *probes; /* of VmfFactProbe: each file of the VM on a share, and its folder */
    VmfFactOwner owner;
    VmfFactDisks disks;
    VmfFactFit fit;
    gchar *job; /* of vmferry on this host that has the VM: "job 3, to hv2.lab.test"; "" */
} VmfFactView;

typedef struct {
    VmfFactHost host;
    VmfFactPeer peer;
    VmfFactView view;
} VmfFactSide;

/**
 * VmfFactCase - one VM, one way: all that a check rests on; what `check --save` writes
 *
 * @source: the host that runs it; @destination: the host it would go to, as it told itself
 */
typedef struct {
    VmfFactVm vm;
    VmfFactSide source;
    VmfFactSide destination;
} VmfFactCase;

/* VmfFactX *vmf_fact_x_new(void), vmf_fact_x_free(), _to_variant(), _from_variant(), g_autoptr */
#define VMF_FACT_DECLARE(Type, name)                                                               \
    extern const VmfFactShape vmf_##name##_shape;                                                  \
    static inline G_GNUC_UNUSED Type *vmf_##name##_new(void)                                       \
    {                                                                                              \
        return vmf_fact_new(&vmf_##name##_shape);                                                  \
    }                                                                                              \
    static inline G_GNUC_UNUSED void vmf_##name##_free(Type *fact)                                 \
    {                                                                                              \
        vmf_fact_free(&vmf_##name##_shape, fact);                                                  \
    }                                                                                              \
    static inline G_GNUC_UNUSED GVariant *vmf_##name##_to_variant(const Type *f)                   \
    {                                                                                              \
        return vmf_fact_to_variant(&vmf_##name##_shape, f);                                        \
    }                                                                                              \
    static inline G_GNUC_UNUSED Type *vmf_##name##_from_variant(GVariant *dict, GError **error)    \
    {                                                                                              \
        return vmf_fact_from_variant(&vmf_##name##_shape, dict, error);                            \
    }                                                                                              \
    G_DEFINE_AUTOPTR_CLEANUP_FUNC(Type, vmf_##name##_free)

VMF_FACT_DECLARE(VmfFactKey, fact_key)
VMF_FACT_DECLARE(VmfFactKeytab, fact_keytab)
VMF_FACT_DECLARE(VmfFactComputer, fact_computer)
VMF_FACT_DECLARE(VmfFactDirectory, fact_directory)
VMF_FACT_DECLARE(VmfFactChannel, fact_channel)
VMF_FACT_DECLARE(VmfFactNet, fact_net)
VMF_FACT_DECLARE(VmfFactHugepages, fact_hugepages)
VMF_FACT_DECLARE(VmfFactNode, fact_node)
VMF_FACT_DECLARE(VmfFactDomain, fact_domain)
VMF_FACT_DECLARE(VmfFactMachine, fact_machine)
VMF_FACT_DECLARE(VmfFactQueue, fact_queue)
VMF_FACT_DECLARE(VmfFactHost, fact_host)
VMF_FACT_DECLARE(VmfFactRoute, fact_route)
VMF_FACT_DECLARE(VmfFactPeer, fact_peer)
VMF_FACT_DECLARE(VmfFactFile, fact_file)
VMF_FACT_DECLARE(VmfFactRefusal, fact_refusal)
VMF_FACT_DECLARE(VmfFactNic, fact_nic)
VMF_FACT_DECLARE(VmfFactLive, fact_live)
VMF_FACT_DECLARE(VmfFactVm, fact_vm)
VMF_FACT_DECLARE(VmfFactProbe, fact_probe)
VMF_FACT_DECLARE(VmfFactShare, fact_share)
VMF_FACT_DECLARE(VmfFactOwner, fact_owner)
VMF_FACT_DECLARE(VmfFactDisks, fact_disks)
VMF_FACT_DECLARE(VmfFactFit, fact_fit)
VMF_FACT_DECLARE(VmfFactView, fact_view)
VMF_FACT_DECLARE(VmfFactSide, fact_side)
VMF_FACT_DECLARE(VmfFactCase, fact_case)
