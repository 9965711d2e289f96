/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A VM's definition, as far as one host believes another.
 *
 * Theory of operation. libvirtd turns a domain definition into processes, open files, sockets and
 * devices as root. So a definition that comes from a peer is parsed (no DTD, no entities, no
 * network, limits on bytes and elements; the table bounds the depth), read into a model by one table of what may occur
 * (domain-table.c), checked as a whole, and written anew from the model. What the table does not
 * list is refused with its name and line; what it lists as refused is refused with the reason.
 * A few host-specific things (aliases, labels, the tap's name, paths libvirt chose itself) are
 * listed as dropped: the destination's libvirt chooses its own.
 *
 * The definitions an administrator hands to `define` and `attach` are trusted and edited in
 * place; see domain-edit.h.
 */
#pragma once

#include <glib.h>

#include "src/vm/xml-rules.h"

#define VMF_DOMAIN_XML_MAX   ((gsize)10 * 1024 * 1024) /* bytes */
#define VMF_DOMAIN_NAMESPACE "urn:vmferry:1"

typedef struct {
    gchar *target; /* "vda" */
    gchar *bus;    /* "virtio" */
    gchar *format; /* "raw" or "qcow2" */
    gchar *url;    /* "smb://…" from the metadata, as written there: not yet judged */
    gchar *cache;  /* "none", "directsync", …, "" when the definition does not say */
} VmfDomainDisk;

void vmf_domain_disk_free(VmfDomainDisk *disk);

typedef struct {
    gchar *kind;   /* "network" or "bridge" */
    gchar *source; /* the network's or bridge's name */
    gchar *mac;    /* lower case, "52:54:00:…" */
    guint mtu;     /* 0: not stated */
} VmfDomainInterface;

/**
 * VmfDomainRules - what this host lets in
 * @emulator:   the local QEMU for this machine; replaces whatever the definition names.
 *              NULL: no <emulator> is written and libvirt takes its own default
 * @run_dir:    "/run/vmferry": disks must be on @run_dir/UUID/nbd
 * @boot_files: (nullable): NULL-terminated paths that <kernel>, <initrd> and <dtb> may name
 * @loaders:    (nullable): NULL-terminated firmware paths that <loader> and the template of
 *              <nvram> may name; NULL: those below /usr/share/OVMF/ and /usr/share/qemu/
 * @uuid, @name: (nullable): the VM that was announced; another one is refused
 * @as_written: for vmf_domain_examine(): an administrator's own file. What libvirt and 'vmferry
 *              define' would add may be missing (UUID, machine type, MACs), and a disk may name its
 *              share as <source file='smb://…'>
 */
typedef struct {
    const char *emulator;
    const char *run_dir;
    const char *const *boot_files;
    const char *const *loaders;
    const char *uuid;
    const char *name;
    gboolean as_written;
} VmfDomainRules;

typedef struct VmfDomain VmfDomain;

/**
 * vmf_domain_rebuild() - read an untrusted definition
 * @xml, @length: bytes; need not be terminated
 *
 * Returns: (transfer full), or NULL with
 *   VMF_ERROR_PROTOCOL     not XML, over a limit, DTD, or a value that is not of its kind
 *   VMF_ERROR_UNSUPPORTED  an element, attribute, namespace or value that may not come from
 *                          another host: named, with its line and the reason
 *   VMF_ERROR_CONFIG       the whole does not fit together: a disk without its metadata, …
 */
VmfDomain *
vmf_domain_rebuild(const char *xml, gsize length, const VmfDomainRules *rules, GError **error);

/**
 * vmf_domain_examine() - everything that stands in the way of moving a VM, not only the first thing
 * @xml, @length, @rules: as for vmf_domain_rebuild()
 *
 * The model holds what is left: the name, the type and so on may be NULL or 0 when they were
 * refused. It is for looking at, never for handing to libvirt.
 *
 * Returns: (transfer full): also with refusals, see vmf_domain_refusals(); NULL when it cannot be
 *   read at all: VMF_ERROR_PROTOCOL: not XML, over a limit, a DTD, another root
 */
VmfDomain *
vmf_domain_examine(const char *xml, gsize length, const VmfDomainRules *rules, GError **error);

/** vmf_domain_refusals() - of vmf_domain_examine(); NULL for a rebuilt one. Owned by @domain */
const VmfXmlRefusals *vmf_domain_refusals(const VmfDomain *domain);

void vmf_domain_free(VmfDomain *domain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfDomain, vmf_domain_free)

/** vmf_domain_to_xml() - written from the model alone. Returns: (transfer full), never NULL */
gchar *vmf_domain_to_xml(const VmfDomain *domain);

/* All owned by @domain; of a rebuilt one never NULL. */
const char *vmf_domain_uuid(const VmfDomain *domain);
const char *vmf_domain_name(const VmfDomain *domain);
const char *vmf_domain_type(const VmfDomain *domain);     /* "kvm" or "qemu" */
const char *vmf_domain_arch(const VmfDomain *domain);     /* "x86_64" */
const char *vmf_domain_machine(const VmfDomain *domain);  /* "pc-q35-7.2" */
const char *vmf_domain_cpu_mode(const VmfDomain *domain); /* "custom", …, "" when not stated */
guint64 vmf_domain_memory_kib(const VmfDomain *domain);
guint vmf_domain_vcpus(const VmfDomain *domain);
guint vmf_domain_n_disks(const VmfDomain *domain);
const VmfDomainDisk *vmf_domain_disk(const VmfDomain *domain, guint index);
guint vmf_domain_n_interfaces(const VmfDomain *domain);
const VmfDomainInterface *vmf_domain_interface(const VmfDomain *domain, guint index);

/** vmf_domain_cpu_xml() - the <cpu> element from the model. Returns: (transfer full) (nullable) */
gchar *vmf_domain_cpu_xml(const VmfDomain *domain);

/* Firmware that the rules allow, by its path on the host; NULL: none. Owned by @domain */
const char *vmf_domain_loader(const VmfDomain *domain);
const char *vmf_domain_nvram_template(const VmfDomain *domain);

/** vmf_domain_unit_bytes() - bytes of a unit libvirt knows; NULL: KiB; K without B is 1024 */
guint64 vmf_domain_unit_bytes(const char *unit);
