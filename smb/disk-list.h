/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/share-url.h"

#include <glib.h>

/*
 * The writable disks of one VM, checked and in the order in which they are acquired. Pure.
 *
 * All disks lie in one folder of one share, the VM's folder; its owner record is
 * `.vmferry/UUID.own` there. Sorted by URL, so that two hosts that want the same VM meet at its
 * first disk.
 */

typedef enum { VMF_DISK_RAW, VMF_DISK_QCOW2 } VmfDiskFormat;

typedef struct {
    gchar *target; /* "vda": the NBD export's name */
    gchar *format; /* "raw" or "qcow2" */
    gchar *url;    /* smb://server/share/path */
} VmfDiskSpec;

typedef struct {
    gchar *target;
    VmfDiskFormat format;
    VmfShareUrl *url;
} VmfDiskEntry;

typedef struct {
    gchar vm_uuid[37];
    VmfDiskEntry *entries; /* sorted by URL */
    guint n_entries;
    VmfShareUrl *record_url;
    VmfShareUrl *record_folder_url; /* .vmferry */
    guint8 digest[32];              /* SHA-256 of targets, formats and URLs in that order */
} VmfDiskList;

#define VMF_MAX_DISKS 64

/**
 * vmf_disk_spec_parse() - "vda:raw:smb://fs1.lab.test/vms/web1/vda.raw"
 *
 * Returns: %FALSE with VMF_ERROR_CONFIG when there are not three parts; their content is judged by
 *   vmf_disk_list_new(). Free @spec's members with vmf_disk_spec_clear().
 */
gboolean vmf_disk_spec_parse(const char *text, VmfDiskSpec *spec, GError **error);
void vmf_disk_spec_clear(VmfDiskSpec *spec);

/**
 * vmf_disk_list_new() - check and sort
 * @vm_uuid: 36 characters; lower case in the result
 *
 * Returns: NULL with VMF_ERROR_CONFIG: no disk or more than VMF_MAX_DISKS, a bad UUID, target or
 *   URL, two disks with one target or file, disks in different folders;
 *   VMF_ERROR_UNSUPPORTED: a format other than raw and qcow2.
 */
VmfDiskList *
vmf_disk_list_new(const char *vm_uuid, const VmfDiskSpec *specs, guint n_specs, GError **error);

void vmf_disk_list_free(VmfDiskList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfDiskList, vmf_disk_list_free)

/** vmf_disk_list_find() - the entry's index, or -1 */
int vmf_disk_list_find(const VmfDiskList *list, const char *target);
