/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-list.h"

#include "src/base/error.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TARGET 32

gboolean
vmf_disk_spec_parse(const char *text, VmfDiskSpec *spec, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", 3);
    if (g_strv_length(parts) != 3) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "disk '%s' does not read TARGET:FORMAT:smb://SERVER/SHARE/PATH", text);
        return FALSE;
    }
    spec->target = g_steal_pointer(&parts[0]);
    spec->format = g_steal_pointer(&parts[1]);
    spec->url = g_steal_pointer(&parts[2]);
    return TRUE;
}

void
vmf_disk_spec_clear(VmfDiskSpec *spec)
{
    g_clear_pointer(&spec->target, g_free);
    g_clear_pointer(&spec->format, g_free);
    g_clear_pointer(&spec->url, g_free);
}

static gboolean
refuse(const char *vm_uuid, const char *why, const char *object, GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "disks of VM %s: %s '%s'", vm_uuid, why,
                object);
    return FALSE;
}

static gboolean
target_is_good(const char *target)
{
    gsize length = strlen(target);
    return length > 0 && length <= MAX_TARGET &&
           strspn(target, "abcdefghijklmnopqrstuvwxyz0123456789") == length;
}

static gboolean
read_entry(const char *vm_uuid, const VmfDiskSpec *spec, VmfDiskEntry *entry, GError **error)
{
    if (!target_is_good(spec->target))
        return refuse(vm_uuid, "not a disk's target (lower-case letters and digits):", spec->target,
                      error);
    if (strcmp(spec->format, "raw") == 0) {
        entry->format = VMF_DISK_RAW;
    } else if (strcmp(spec->format, "qcow2") == 0) {
        entry->format = VMF_DISK_QCOW2;
    } else {
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNSUPPORTED,
                    "disk '%s' of VM %s has format '%s'; raw and qcow2 are supported: convert it "
                    "with qemu-img convert",
                    spec->target, vm_uuid, spec->format);
        return FALSE;
    }
    entry->url = vmf_share_url_parse(spec->url, error);
    if (entry->url == NULL) {
        g_prefix_error(error, "disk '%s' of VM %s: ", spec->target, vm_uuid);
        return FALSE;
    }
    entry->target = g_strdup(spec->target);
    return TRUE;
}

static int
compare_entries(const void *a, const void *b)
{
    return strcmp(((const VmfDiskEntry *)a)->url->url, ((const VmfDiskEntry *)b)->url->url);
}

static gboolean
entries_fit_together(const VmfDiskList *list, GError **error)
{
    for (guint i = 0; i < list->n_entries; i++)
        for (guint j = i + 1; j < list->n_entries; j++) {
            const VmfDiskEntry *a = &list->entries[i];
            const VmfDiskEntry *b = &list->entries[j];
            if (strcmp(a->target, b->target) == 0)
                return refuse(list->vm_uuid, "two have the target", a->target, error);
            if (strcmp(a->url->url, b->url->url) == 0)
                return refuse(list->vm_uuid, "two are the file", a->url->url, error);
            if (!vmf_share_url_same_folder(a->url, b->url))
                return refuse(list->vm_uuid,
                              "all have to lie in one folder, the VM's; elsewhere lies",
                              b->url->url, error);
        }
    return TRUE;
}

static void
compute_digest(VmfDiskList *list)
{
    static const char *const format_names[] = {[VMF_DISK_RAW] = "raw", [VMF_DISK_QCOW2] = "qcow2"};
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    for (guint i = 0; i < list->n_entries; i++) {
        const VmfDiskEntry *entry = &list->entries[i];
        const char *parts[] = {entry->target, format_names[entry->format], entry->url->url};
        for (guint j = 0; j < G_N_ELEMENTS(parts); j++)
            g_checksum_update(sum, (const guchar *)parts[j], (gssize)strlen(parts[j]) + 1);
    }
    gsize size = sizeof list->digest;
    g_checksum_get_digest(sum, list->digest, &size);
}

VmfDiskList *
vmf_disk_list_new(const char *vm_uuid, const VmfDiskSpec *specs, guint n_specs, GError **error)
{
    if (!g_uuid_string_is_valid(vm_uuid)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "'%s' is not a VM's UUID", vm_uuid);
        return NULL;
    }
    if (n_specs == 0 || n_specs > VMF_MAX_DISKS) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "VM %s has %u disks on a share; 1 to %d are supported", vm_uuid, n_specs,
                    VMF_MAX_DISKS);
        return NULL;
    }

    g_autoptr(VmfDiskList) list = g_new0(VmfDiskList, 1);
    g_autofree gchar *lower = g_ascii_strdown(vm_uuid, -1);
    g_strlcpy(list->vm_uuid, lower, sizeof list->vm_uuid);
    list->entries = g_new0(VmfDiskEntry, n_specs);
    for (list->n_entries = 0; list->n_entries < n_specs; list->n_entries++)
        if (!read_entry(vm_uuid, &specs[list->n_entries], &list->entries[list->n_entries], error))
            return NULL;
    qsort(list->entries, list->n_entries, sizeof *list->entries, compare_entries);
    if (!entries_fit_together(list, error))
        return NULL;

    g_autofree gchar *record = g_strdup_printf(".vmferry/%s.own", list->vm_uuid);
    const VmfShareUrl *first = list->entries[0].url;
    list->record_url = vmf_share_url_sibling(first, record, error);
    list->record_folder_url = vmf_share_url_sibling(first, ".vmferry", error);
    if (list->record_url == NULL || list->record_folder_url == NULL)
        return NULL;
    compute_digest(list);
    return g_steal_pointer(&list);
}

void
vmf_disk_list_free(VmfDiskList *list)
{
    if (list == NULL)
        return;
    for (guint i = 0; i < list->n_entries; i++) {
        g_free(list->entries[i].target);
        vmf_share_url_free(list->entries[i].url);
    }
    g_free(list->entries);
    vmf_share_url_free(list->record_url);
    vmf_share_url_free(list->record_folder_url);
    g_free(list);
}

int
vmf_disk_list_find(const VmfDiskList *list, const char *target)
{
    for (guint i = 0; i < list->n_entries; i++)
        if (strcmp(list->entries[i].target, target) == 0)
            return (int)i;
    return -1;
}
