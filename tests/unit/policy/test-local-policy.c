/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/local-policy.h"

#include <string.h>

#include "src/base/error.h"

static VmfLocalPolicy *
parse(const char *text, GError **error)
{
    return vmf_local_policy_parse(text, strlen(text), "test.conf", error);
}

static void
test_example(void)
{
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "examples", "vmferry.conf", NULL);
    g_autofree gchar *text = NULL;
    gsize size;
    g_autoptr(GError) error = NULL;
    g_assert_true(g_file_get_contents(path, &text, &size, &error));
    g_autoptr(VmfLocalPolicy) policy = vmf_local_policy_parse(text, size, path, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(policy->group, ==, "VM Hosts");
    g_assert_cmpuint(policy->port, ==, 16016);
    g_assert_cmpuint(policy->shares->len, ==, 1);
    g_assert_null(policy->kernels[0]);
}

static void
test_defaults(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfLocalPolicy) policy = parse("[vmferry]\ngroup=S-1-5-21-1-2-3-1105\n", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(policy->port, ==, 16016);
    g_assert_cmpuint(policy->max_downtime_ms, ==, 50);
    g_assert_cmpuint(policy->parallel_jobs, ==, 2);
    g_assert_cmpuint(policy->shares->len, ==, 0);
    g_assert_cmpstr(policy->libvirt_socket, ==, "/run/libvirt/libvirt-sock");
}

static void
test_share_rules(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfLocalPolicy) policy = parse(
        "[vmferry]\ngroup=g\n[shares]\nallow=//FS1.lab.test/VMs;//fs2/iso/\n", &error);
    g_assert_no_error(error);
    g_assert_true(vmf_local_policy_judge_share(policy, "fs1.LAB.test", "vms", "u", &error));
    g_assert_true(vmf_local_policy_judge_share(policy, "fs2", "ISO", "u", &error));
    g_assert_false(vmf_local_policy_judge_share(policy, "fs3", "vms", "smb://fs3/vms/x", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_DENIED);
    g_assert_nonnull(strstr(error->message, "smb://fs3/vms/x"));
    g_assert_nonnull(strstr(error->message, "allow="));
}

static void
test_refused(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "group"},
        {"group=x", "test.conf"},
        {"[vmferry]\ngroup=\n", "empty"},
        {"[vmferry]\ngroup=g\nprot=1\n", "'prot'"},
        {"[vmferry]\ngroup=g\n[share]\nallow=\n", "[share]"},
        {"[vmferry]\ngroup=g\nport=0\n", "'0'"},
        {"[vmferry]\ngroup=g\nport=65536\n", "65536"},
        {"[vmferry]\ngroup=g\nport=1x\n", "1x"},
        {"[vmferry]\ngroup=g\nkeytab=krb5.keytab\n", "absolute"},
        {"[vmferry]\ngroup=g\n[shares]\nallow=smb://fs1/vms\n", "smb://fs1/vms"},
        {"[vmferry]\ngroup=g\n[shares]\nallow=//fs1\n", "//server"},
        {"[vmferry]\ngroup=g\n[shares]\nallow=//*/vms\n", "//server"},
        {"[vmferry]\ngroup=g\n[guests]\nkernels=/boot/../etc/shadow\n", "'..'"},
        {"[vmferry]\ngroup=g\n[guests]\nkernels=vmlinuz\n", "absolute"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(parse(cases[i].text, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
        g_assert_nonnull(strstr(error->message, cases[i].says));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/local-policy/example-file/parsed", test_example);
    g_test_add_func("/local-policy/only-group/defaults", test_defaults);
    g_test_add_func("/local-policy/share-rules/judged", test_share_rules);
    g_test_add_func("/local-policy/bad-files/refused-by-name", test_refused);
    return g_test_run();
}
