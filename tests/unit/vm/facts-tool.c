/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs one gatherer of facts and prints what it found as JSON, for the lab's tests and for people:
 *
 *   facts-tool definition FILE.xml            what the XML tells
 *   facts-tool share FILE.xml PROGRAM         this host's account on the VM's files; as root
 *   facts-tool machine                        the host as libvirt and the kernel tell it
 *   facts-tool vm NAME                        a VM that libvirt has
 *   facts-tool fit FILE.xml                   whether this host could run it
 *   facts-tool route ADDRESS                  the way to a peer
 *   facts-tool keytab                         this host's keys
 *   facts-tool directory GROUP                this host in the directory
 *   facts-tool computer NAME                  an account in the directory
 *
 * "ms" is how long the gatherer took.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-glib/json-glib.h>

#include "smb/share-probe.h"
#include "src/vm/definition-facts.h"

static void
print(const char *name, GVariant *dict, gint64 since_us)
{
    g_autoptr(GVariant) fact = g_variant_ref_sink(dict);
    g_autofree gchar *json = json_gvariant_serialize_data(fact, NULL);
    printf("{\"ms\": %.1f, \"%s\": %s}\n", (double)(g_get_monotonic_time() - since_us) / 1000, name,
           json);
}

static gboolean
definition(const char *path, const VmfDomainRules *rules, VmfFactVm *vm, VmfDomain **domain,
           GError **error)
{
    g_autofree gchar *xml = NULL;
    gsize length;
    if (!g_file_get_contents(path, &xml, &length, error))
        return FALSE;
    *domain = vmf_definition_facts(xml, length, rules, vm);
    return TRUE;
}

static gboolean
policy_of(VmfLocalPolicy **policy, GError **error)
{
    g_autofree gchar *text = NULL;
    gsize size;
    if (!g_file_get_contents(VMF_LOCAL_POLICY_FILE, &text, &size, error))
        return FALSE;
    *policy = vmf_local_policy_parse(text, size, VMF_LOCAL_POLICY_FILE, error);
    return *policy != NULL;
}

static gboolean
run_definition(char **args, GError **error)
{
    static const VmfDomainRules rules = {.run_dir = "/run/vmferry", .as_written = TRUE};
    g_autoptr(VmfFactVm) vm = vmf_fact_vm_new();
    g_autoptr(VmfDomain) domain = NULL;
    gint64 since_us = g_get_monotonic_time();
    if (!definition(args[0], &rules, vm, &domain, error))
        return FALSE;
    print("vm", vmf_fact_vm_to_variant(vm), since_us);
    return TRUE;
}

static gboolean
run_share(char **args, GError **error)
{
    static const VmfDomainRules rules = {.run_dir = "/run/vmferry", .as_written = TRUE};
    g_autoptr(VmfFactVm) vm = vmf_fact_vm_new();
    g_autoptr(VmfFactView) view = vmf_fact_view_new();
    g_autoptr(VmfDomain) domain = NULL;
    g_autoptr(VmfLocalPolicy) policy = NULL;
    if (!definition(args[0], &rules, vm, &domain, error) || !policy_of(&policy, error))
        return FALSE;
    const struct passwd *user = getpwnam(policy->disk_user);
    if (user == NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "no user '%s'", policy->disk_user);
        return FALSE;
    }
    const VmfShareProbe probe = {
        .program = args[1],
        .run_uid = user->pw_uid,
        .run_gid = user->pw_gid,
        .timeout_ms = args[1] != NULL && args[2] != NULL ? (guint)atoi(args[2]) : 0,
    };
    gint64 since_us = g_get_monotonic_time();
    vmf_share_probe_run(&probe, policy, vm, view);
    print("view", vmf_fact_view_to_variant(view), since_us);
    return TRUE;
}

static const struct {
    const char *name;
    int arguments;
    gboolean (*run)(char **args, GError **error);
} verbs[] = {
    {"definition", 1, run_definition},
    {"share", 2, run_share},
};

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    for (gsize i = 0; argc >= 2 && i < G_N_ELEMENTS(verbs); i++) {
        if (strcmp(verbs[i].name, argv[1]) != 0 || argc - 2 < verbs[i].arguments)
            continue;
        if (verbs[i].run(argv + 2, &error))
            return 0;
        fprintf(stderr, "facts-tool: %s\n", error->message);
        return 1;
    }
    fprintf(stderr, "usage: see the head of facts-tool.c\n");
    return 2;
}
