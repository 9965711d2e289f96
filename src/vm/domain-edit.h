/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Editing a definition that the local administrator trusts: `vmferry define` and `attach`.
 * Everything that is not a disk of ours stays as it is written.
 */
#pragma once

#include <glib.h>

typedef struct {
    const char *target; /* "vda" */
    const char *bus; /* NULL: the one there is, else by the target's name (vd… virtio, sd… scsi) */
    const char *url;    /* canonical smb:// URL */
    const char *format; /* "raw" or "qcow2" */
} VmfDiskEdit;

/**
 * vmf_domain_edit_disks() - put disks behind the VM's NBD socket, and their URLs into the metadata
 * @xml:     a complete definition; a missing <uuid> is made up
 * @run_dir: "/run/vmferry"
 *
 * A disk of that target is replaced (its address, alias, serial and boot order stay), else added.
 * Driver: cache none, io threads, error policy stop.
 *
 * Returns: (transfer full): the definition, or NULL with VMF_ERROR_CONFIG.
 */
gchar *vmf_domain_edit_disks(const char *xml, const char *run_dir, const VmfDiskEdit *disks,
                             guint n_disks, GError **error);

/**
 * vmf_domain_edit_urls() - the disks a definition for `vmferry define` asks to put on shares
 *
 * Those with <source file='smb://…'/>, and those the metadata already names.
 *
 * Returns: (transfer full) (element-type VmfDomainDisk): possibly empty; NULL: VMF_ERROR_CONFIG
 */
GPtrArray *vmf_domain_edit_urls(const char *xml, GError **error);

/**
 * vmf_domain_edit_other_disks() - the disks which are not behind a share, as "vdb: /var/…/x.img"
 *
 * A CD-ROM or floppy without medium is none. Returns: (transfer full): NULL-terminated; NULL: error
 */
gchar **vmf_domain_edit_other_disks(const char *xml, GError **error);

/** vmf_domain_edit_uuid() - Returns: (transfer full) (nullable): the definition's, valid, in lower case */
gchar *vmf_domain_edit_uuid(const char *xml, GError **error);

/** vmf_domain_edit_name() - Returns: (transfer full) (nullable): the definition's; libvirt judges it */
gchar *vmf_domain_edit_name(const char *xml, GError **error);
