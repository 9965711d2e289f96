/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The disks that a disk process is started with: a UUID, then a disk on each line. */
#include "smb/disk-list.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void
check_list(const VmfDiskList *list)
{
    g_assert_cmpuint(list->n_entries, <=, VMF_MAX_DISKS);
    for (guint i = 0; i < list->n_entries; i++) {
        const VmfDiskEntry *entry = &list->entries[i];
        g_assert_cmpint(vmf_disk_list_find(list, entry->target), ==, (int)i);
        g_assert_true(strstr(entry->url->url, "/../") == NULL);
        g_assert_cmpstr(entry->url->server, ==, list->record_url->server);
        g_assert_cmpstr(entry->url->share, ==, list->record_url->share);
    }
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autofree gchar *text = g_strndup((const char *)data, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", VMF_MAX_DISKS + 3);
    guint n = g_strv_length(lines);
    if (n == 0)
        return 0;
    g_autofree VmfDiskSpec *specs = g_new0(VmfDiskSpec, n);
    guint parsed = 0;
    for (guint i = 1; i < n; i++) {
        g_autoptr(GError) error = NULL;
        gboolean ok = vmf_disk_spec_parse(lines[i], &specs[parsed], &error);
        g_assert_true(ok == (error == NULL));
        parsed += ok;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDiskList) list = vmf_disk_list_new(lines[0], specs, parsed, &error);
    g_assert_true((list == NULL) == (error != NULL));
    if (list)
        check_list(list);
    for (guint i = 0; i < parsed; i++)
        vmf_disk_spec_clear(&specs[i]);
    return 0;
}
