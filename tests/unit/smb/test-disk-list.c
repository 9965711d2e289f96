/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-list.h"
#include "smb/ticket-times.h"
#include "src/base/error.h"

#include <string.h>

#define VM "6F2F3D5E-0c1a-4b7e-9d55-1f0e2a3b4c5d"

static VmfDiskSpec
spec(const char *target, const char *format, const char *url)
{
    return (VmfDiskSpec){(gchar *)target, (gchar *)format, (gchar *)url};
}

static void
test_sorted(void)
{
    const VmfDiskSpec specs[] = {
        spec("vda", "raw", "smb://fs1/vms/web1/root.raw"),
        spec("vdb", "qcow2", "smb://fs1/vms/web1/data.qcow2"),
    };
    const VmfDiskSpec swapped[] = {specs[1], specs[0]};
    g_autoptr(VmfDiskList) list = vmf_disk_list_new(VM, specs, 2, NULL);
    g_autoptr(VmfDiskList) same = vmf_disk_list_new(VM, swapped, 2, NULL);
    g_autoptr(VmfDiskList) fewer = vmf_disk_list_new(VM, specs, 1, NULL);

    g_assert_cmpuint(list->n_entries, ==, 2);
    g_assert_cmpstr(list->entries[0].target, ==, "vdb");
    g_assert_cmpint(list->entries[0].format, ==, VMF_DISK_QCOW2);
    g_assert_cmpint(vmf_disk_list_find(list, "vda"), ==, 1);
    g_assert_cmpint(vmf_disk_list_find(list, "vdc"), ==, -1);
    g_assert_cmpstr(list->record_url->path, ==,
                    "web1/.vmferry/6f2f3d5e-0c1a-4b7e-9d55-1f0e2a3b4c5d.own");
    g_assert_cmpmem(list->digest, 32, same->digest, 32);
    g_assert_cmpint(memcmp(list->digest, fewer->digest, 32), !=, 0);
}

static void
test_refused(void)
{
    const struct {
        VmfDiskSpec specs[2];
        guint n;
        int code;
    } cases[] = {
        {{spec("vda", "raw", "smb://fs1/vms/a")}, 0, VMF_ERROR_CONFIG},
        {{spec("vda", "vmdk", "smb://fs1/vms/w/a")}, 1, VMF_ERROR_UNSUPPORTED},
        {{spec("../a", "raw", "smb://fs1/vms/w/a")}, 1, VMF_ERROR_CONFIG},
        {{spec("", "raw", "smb://fs1/vms/w/a")}, 1, VMF_ERROR_CONFIG},
        {{spec("vda", "raw", "smb://fs1/vms/../a")}, 1, VMF_ERROR_CONFIG},
        {{spec("vda", "raw", "smb://fs1/vms/w/a"), spec("vda", "raw", "smb://fs1/vms/w/b")},
         2,
         VMF_ERROR_CONFIG},
        {{spec("vda", "raw", "smb://fs1/vms/w/a"), spec("vdb", "raw", "smb://FS1/vms/w/%61")},
         2,
         VMF_ERROR_CONFIG},
        {{spec("vda", "raw", "smb://fs1/vms/w/a"), spec("vdb", "raw", "smb://fs1/vms/x/b")},
         2,
         VMF_ERROR_CONFIG},
        {{spec("vda", "raw", "smb://fs1/vms/w/a"), spec("vdb", "raw", "smb://fs2/vms/w/b")},
         2,
         VMF_ERROR_CONFIG},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(vmf_disk_list_new(VM, cases[i].specs, cases[i].n, &error));
        g_test_message("%s", error->message);
        g_assert_error(error, VMF_ERROR, cases[i].code);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(vmf_disk_list_new("not-a-uuid", cases[1].specs, 1, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

static void
test_spec(void)
{
    VmfDiskSpec parsed = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(vmf_disk_spec_parse("vda:raw:smb://fs1/vms/a:b", &parsed, &error));
    g_assert_cmpstr(parsed.target, ==, "vda");
    g_assert_cmpstr(parsed.url, ==, "smb://fs1/vms/a:b");
    vmf_disk_spec_clear(&parsed);
    g_assert_false(vmf_disk_spec_parse("vda:raw", &parsed, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

static void
test_every_truncation(void)
{
    static const char text[] = "vda:qcow2:smb://fs1.lab.test/vms/web1/a%20b.qcow2";
    for (gsize cut = 0; cut < sizeof text; cut++) {
        VmfDiskSpec parsed = {0};
        g_autoptr(GError) error = NULL;
        g_autofree gchar *exact = g_strndup(text, cut);
        if (!vmf_disk_spec_parse(exact, &parsed, &error)) {
            g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
            continue;
        }
        g_autoptr(VmfDiskList) list = vmf_disk_list_new(VM, &parsed, 1, &error);
        g_assert_true((list == NULL) == (error != NULL));
        g_assert_true(list == NULL || (list->entries[0].format == VMF_DISK_QCOW2 &&
                                       g_str_has_prefix(text + 10, list->entries[0].url->url)));
        g_assert_true(list != NULL || cut < sizeof text - 1);
        vmf_disk_spec_clear(&parsed);
    }
}

static void
test_rotation(void)
{
    const gint64 hour = 3600, start = 1700000000;
    g_assert_cmpint(vmf_ticket_rotation_due((VmfTicketTimes){start, start + 10 * hour}), ==,
                    start + 8 * hour);
    g_assert_cmpint(vmf_ticket_rotation_due((VmfTicketTimes){start, start + 5 * hour}), ==,
                    start + 4 * hour);
    g_assert_cmpint(vmf_ticket_rotation_due((VmfTicketTimes){start, start + 240}), ==, start + 192);
    for (gint64 life = 60; life < 24 * hour; life += 61) {
        gint64 due = vmf_ticket_rotation_due((VmfTicketTimes){start, start + life});
        g_assert_cmpint(due, >, start);
        g_assert_cmpint(due, <, start + life);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disk-list/any-order/sorted", test_sorted);
    g_test_add_func("/disk-list/bad/refused", test_refused);
    g_test_add_func("/disk-list/spec/three-parts", test_spec);
    g_test_add_func("/disk-list/every-truncation/refused-or-a-shorter-url", test_every_truncation);
    g_test_add_func("/ticket/rotation/in-time", test_rotation);
    return g_test_run();
}
