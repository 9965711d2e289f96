/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/waiting.h"

#define UUID_A "9f0f2cba-6dd5-4f1e-a1c9-5b8a2f0a1111"
#define UUID_B "9f0f2cba-6dd5-4f1e-a1c9-5b8a2f0a2222"

/* The reason may change; since when is of the first. */
static void
test_order(void)
{
    gint64 before = g_get_real_time();
    vmf_waiting_set(UUID_A, "a", "the file server");
    vmf_waiting_set(UUID_B, "b", "the other host");
    vmf_waiting_set("9F0F2CBA-6DD5-4F1E-A1C9-5B8A2F0A1111", "a", "libvirtd");
    g_autoptr(GPtrArray) both = vmf_waiting_list();
    g_assert_cmpuint(both->len, ==, 2);
    const VmfWaiting *first = both->pdata[0], *second = both->pdata[1];
    g_assert_cmpstr(first->uuid, ==, UUID_A);
    g_assert_cmpstr(first->what, ==, "libvirtd");
    g_assert_cmpint(first->since_us, >=, before);
    g_assert_cmpint(second->since_us, >=, first->since_us);
    g_assert_cmpstr(second->name, ==, "b");

    vmf_waiting_set(UUID_A, "a", NULL);
    vmf_waiting_set(UUID_A, "a", NULL);
    g_autoptr(GPtrArray) one = vmf_waiting_list();
    g_assert_cmpuint(one->len, ==, 1);
    vmf_waiting_set(UUID_B, "b", NULL);
    g_autoptr(GPtrArray) none = vmf_waiting_list();
    g_assert_cmpuint(none->len, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/waiting/two-vms/longest-first", test_order);
    return g_test_run();
}
