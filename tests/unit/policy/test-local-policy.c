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
    const VmfShareRule *rule = vmf_local_policy_share(policy, "fs1.lab.test", "vms");
    g_assert_cmpint(rule->encryption, ==, VMF_ENCRYPTION_REQUIRE);
    g_assert_cmpint(rule->durable, ==, VMF_STATED_YES);
    g_assert_cmpuint(rule->dead_client_seconds, ==, 5);
}

/* Every key that may be written is named in the example, so that nobody has to guess. */
static void
test_example_names_all(void)
{
    static const char *const keys[] = {
        "group=",         "port=",
        "keytab=",        "disk-user=",
        "allow=",         "encryption=",
        "durable=",       "dead-client-seconds=",
        "kernels=",       "socket=",
        "qemu-user=",     "quarantine-seconds=",
        "bandwidth-mib=", "max-downtime-ms=",
        "parallel-jobs=", "memory-reserve-mib=",
        "unknown=",       "min-speed-mbit=",
        "SMB-150=",       "[networks]",
    };
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "examples", "vmferry.conf", NULL);
    g_autofree gchar *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        if (strstr(text, keys[i]) == NULL)
            g_error("the example does not name %s", keys[i]);
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
test_share_terms(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfLocalPolicy) policy = parse(
        "[vmferry]\ngroup=g\n[shares]\nallow=//fs1.lab.test/VMs;//fs2/iso\n"
        "[share //FS1.lab.test/vms/]\nencryption=prefer\ndurable=no\ndead-client-seconds=5\n"
        "quarantine-seconds=90\n",
        &error);
    g_assert_no_error(error);
    const VmfShareRule *rule = vmf_local_policy_share(policy, "fs1.LAB.test", "VMS");
    g_assert_cmpint(rule->encryption, ==, VMF_ENCRYPTION_PREFER);
    g_assert_cmpint(rule->durable, ==, VMF_STATED_NO);
    g_assert_cmpuint(rule->dead_client_seconds, ==, 5);
    g_assert_cmpuint(rule->quarantine_seconds, ==, 90);
    const VmfShareRule *other = vmf_local_policy_share(policy, "fs2", "iso");
    g_assert_cmpint(other->encryption, ==, VMF_ENCRYPTION_REQUIRE);
    g_assert_cmpint(other->durable, ==, VMF_STATED_NOTHING);
    g_assert_null(vmf_local_policy_share(policy, "fs2", "vms"));
}

static void
test_weigh(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfLocalPolicy) plain = parse("[vmferry]\ngroup=g\n", &error);
    g_autoptr(VmfLocalPolicy) policy = parse(
        "[vmferry]\ngroup=g\n[checks]\nunknown=warn\nSMB-150=warn\nHOST-340=block\n", &error);
    g_assert_no_error(error);
    static const struct {
        const char *id;
        VmfResult judged, plain, changed;
    } rows[] = {
        {"SMB-120", VMF_RESULT_PASS, VMF_RESULT_PASS, VMF_RESULT_PASS},
        {"SMB-120", VMF_RESULT_FAIL, VMF_RESULT_FAIL, VMF_RESULT_FAIL},
        {"SMB-120", VMF_RESULT_UNKNOWN, VMF_RESULT_UNKNOWN, VMF_RESULT_WARN},
        {"SMB-120", VMF_RESULT_NOT_APPLICABLE, VMF_RESULT_NOT_APPLICABLE,
         VMF_RESULT_NOT_APPLICABLE},
        {"SMB-150", VMF_RESULT_FAIL, VMF_RESULT_FAIL, VMF_RESULT_WARN},
        {"SMB-150", VMF_RESULT_UNKNOWN, VMF_RESULT_UNKNOWN, VMF_RESULT_WARN},
        {"HOST-340", VMF_RESULT_WARN, VMF_RESULT_WARN, VMF_RESULT_FAIL},
        {"HOST-340", VMF_RESULT_UNKNOWN, VMF_RESULT_UNKNOWN, VMF_RESULT_UNKNOWN},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpint(vmf_local_policy_weigh(plain, rows[i].id, rows[i].judged), ==,
                        rows[i].plain);
        g_assert_cmpint(vmf_local_policy_weigh(policy, rows[i].id, rows[i].judged), ==,
                        rows[i].changed);
    }
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
        {"[vmferry]\ngroup=g\n[checks]\nSMB-999=warn\n", "SMB-999: is no check"},
        {"[vmferry]\ngroup=g\n[checks]\nSMB-150=ignore\n", "'warn' or 'block'"},
        {"[vmferry]\ngroup=g\n[checks]\nunknown=pass\n", "'warn' or 'block'"},
        {"[vmferry]\ngroup=g\n[share //fs1/vms]\ndurable=yes\n", "is no share of [shares] allow"},
        {"[vmferry]\ngroup=g\n[share fs1]\ndurable=yes\n", "is no share of [shares] allow"},
        {"[vmferry]\ngroup=g\n[shares]\nallow=//fs1/vms\n[share //fs1/vms]\ndurable=maybe\n",
         "'yes' or 'no'"},
        {"[vmferry]\ngroup=g\n[shares]\nallow=//fs1/vms\n[share //fs1/vms]\ndurable=\n",
         "'yes' or 'no'"},
        {"[vmferry]\ngroup=g\n[shares]\nallow=//fs1/vms\n[share //fs1/vms]\nencryption=no\n",
         "'require' or 'prefer'"},
        {"[vmferry]\ngroup=g\n[shares]\nallow=//fs1/vms\n[share //fs1/vms]\nlocks=no\n",
         "[share //fs1/vms] locks: is not known"},
        {"[vmferry]\ngroup=g\n[shares]\nallow=//fs1/vms\n[share //fs1/vms]\n"
         "dead-client-seconds=0\n",
         "from 1 to 86400"},
        {"[vmferry]\ngroup=g\n[networks]\nallow=br0;;\n", "empty name"},
        {"[vmferry]\ngroup=g\n[limits]\nmemory-reserve-mib=-1\n", "'-1'"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(parse(cases[i].text, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
        g_assert_nonnull(strstr(error->message, cases[i].says));
    }
}

/* Of a line that is not whole, the value may be another one, but it is one; the rest is as it was. */
static void
test_every_truncation(void)
{
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "examples", "vmferry.conf", NULL);
    g_autofree gchar *text = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(path, &text, &size, NULL));
    for (gsize cut = 0; cut <= size; cut++) {
        g_autoptr(GError) error = NULL;
        g_autofree gchar *exact = cut ? g_memdup2(text, cut) : NULL;
        g_autoptr(VmfLocalPolicy) policy = vmf_local_policy_parse(exact, cut, "cut.conf", &error);
        g_assert_true((policy == NULL) == (error != NULL));
        if (policy == NULL) {
            g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
            continue;
        }
        g_assert_true(policy->group && policy->group[0] &&
                      g_str_has_prefix("VM Hosts", policy->group));
        g_assert_cmpuint(policy->port, >, 0);
        g_assert_cmpuint(policy->shares->len, <=, 1);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/local-policy/example-file/parsed", test_example);
    g_test_add_func("/local-policy/only-group/defaults", test_defaults);
    g_test_add_func("/local-policy/share-rules/judged", test_share_rules);
    g_test_add_func("/local-policy/example-file/names-every-key", test_example_names_all);
    g_test_add_func("/local-policy/share-terms/read", test_share_terms);
    g_test_add_func("/local-policy/checks/weighed", test_weigh);
    g_test_add_func("/local-policy/bad-files/refused-by-name", test_refused);
    g_test_add_func("/local-policy/every-truncation/consistent", test_every_truncation);
    return g_test_run();
}
