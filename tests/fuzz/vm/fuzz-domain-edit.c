/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What libvirt's hook and `vmferry define` hand over: a definition that is read for its disks, UUID and
 * name, and whose disks are put behind share connections. A definition that came out is read again alike.
 */
#include "src/vm/domain-edit.h"
#include "src/vm/domain.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void
check_edit(const char *xml)
{
    static const VmfDiskEdit edits[] = {
        {"vda", NULL, "smb://fs1.lab.test/vms/demo/vda.raw", "raw"},
        {"sdb", "scsi", "smb://fs1.lab.test/vms/demo/b.qcow2", "qcow2"},
    };
    g_autoptr(GError) error = NULL;
    g_autofree gchar *edited = vmf_domain_edit_disks(xml, "/run/vmferry", edits,
                                                     G_N_ELEMENTS(edits), &error);
    g_assert_true((edited == NULL) == (error != NULL));
    if (edited == NULL)
        return;
    g_autoptr(GPtrArray) urls = vmf_domain_edit_urls(edited, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(urls->len, >=, G_N_ELEMENTS(edits));
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autofree gchar *xml = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) urls = vmf_domain_edit_urls(xml, &error);
    g_assert_true((urls == NULL) == (error != NULL));
    g_clear_error(&error);
    g_auto(GStrv) others = vmf_domain_edit_other_disks(xml, &error);
    g_assert_true((others == NULL) == (error != NULL));
    g_clear_error(&error);
    g_autofree gchar *uuid = vmf_domain_edit_uuid(xml, NULL);
    g_autofree gchar *name = vmf_domain_edit_name(xml, NULL);
    if (uuid)
        g_assert_true(g_uuid_string_is_valid(uuid));
    check_edit(xml);
    return 0;
}
