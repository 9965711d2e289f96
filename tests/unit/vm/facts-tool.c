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
 *   facts-tool keytab [FILE]                  this host's keys
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

#include "auth/directory-facts.h"
#include "auth/keytab-facts.h"
#include "smb/share-probe.h"
#include "src/vm/definition-facts.h"
#include "src/vm/fit-facts.h"
#include "src/vm/live-facts.h"
#include "src/vm/machine-facts.h"
#include "src/vm/route-facts.h"

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

/* Twice: the second time shows what is remembered. */
static gboolean
run_machine(char **args, GError **error)
{
    g_autoptr(VmfHost) host = vmf_host_new(NULL);
    for (guint i = 0; i < 2; i++) {
        g_autoptr(VmfFactMachine) machine = vmf_fact_machine_new();
        gint64 since_us = g_get_monotonic_time();
        vmf_machine_facts_gather(host, machine);
        print("machine", vmf_fact_machine_to_variant(machine), since_us);
    }
    return TRUE;
}

static gboolean
run_vm(char **args, GError **error)
{
    static const VmfDomainRules rules = {.run_dir = "/run/vmferry"};
    g_autoptr(VmfHost) host = vmf_host_new(NULL);
    for (guint i = 0; i < 2; i++) {
        g_autoptr(VmfFactVm) vm = vmf_fact_vm_new();
        gint64 since_us = g_get_monotonic_time();
        vmf_vm_facts_gather(host, args[0], &rules, vm, NULL);
        print("vm", vmf_fact_vm_to_variant(vm), since_us);
    }
    return TRUE;
}

static gboolean
run_fit(char **args, GError **error)
{
    g_autoptr(VmfHost) host = vmf_host_new(NULL);
    g_autoptr(VmfLocalPolicy) policy = NULL;
    if (!policy_of(&policy, error))
        return FALSE;
    const char *const *kernels = (const char *const *)policy->kernels;
    const VmfDomainRules rules = {.run_dir = "/run/vmferry", .boot_files = kernels};
    for (guint i = 0; i < 2; i++) {
        g_autoptr(VmfFactVm) vm = vmf_fact_vm_new();
        g_autoptr(VmfDomain) domain = NULL;
        g_autoptr(VmfFactFit) fit = vmf_fact_fit_new();
        if (!definition(args[0], &rules, vm, &domain, error))
            return FALSE;
        gint64 since_us = g_get_monotonic_time();
        if (domain != NULL)
            vmf_fit_facts_gather(host, domain, vm, kernels, fit);
        print("fit", vmf_fact_fit_to_variant(fit), since_us);
    }
    return TRUE;
}

static gboolean
run_route(char **args, GError **error)
{
    g_autoptr(VmfFactRoute) route = vmf_fact_route_new();
    gint64 since_us = g_get_monotonic_time();
    vmf_route_facts_gather(args[0], route);
    print("route", vmf_fact_route_to_variant(route), since_us);
    return TRUE;
}

static gboolean
run_keytab(char **args, GError **error)
{
    g_autoptr(VmfHostIdentity) me = vmf_host_identity_read(args[0], error);
    g_clear_error(error); /* the facts say it */
    g_autoptr(VmfFactKeytab) keytab = vmf_fact_keytab_new();
    gint64 since_us = g_get_monotonic_time();
    vmf_keytab_facts_gather(me, args[0], FALSE, keytab);
    print("keytab", vmf_fact_keytab_to_variant(keytab), since_us);
    return TRUE;
}

static gboolean
run_directory(char **args, GError **error)
{
    g_autoptr(VmfHostIdentity) me = vmf_host_identity_read(NULL, error);
    if (me == NULL)
        return FALSE;
    g_autoptr(VmfDirectory) directory = vmf_directory_new(me, "/run/vmferry/daemon.cc");
    for (guint i = 0; i < 2; i++) {
        g_autoptr(VmfFactDirectory) facts = vmf_fact_directory_new();
        guint kvno;
        gint64 since_us = g_get_monotonic_time();
        vmf_directory_facts_gather(directory, args[0], facts, &kvno);
        print("directory", vmf_fact_directory_to_variant(facts), since_us);
        printf("{\"kvno\": %u}\n", kvno);
    }
    return TRUE;
}

static gboolean
run_computer(char **args, GError **error)
{
    g_autoptr(VmfHostIdentity) me = vmf_host_identity_read(NULL, error);
    if (me == NULL)
        return FALSE;
    g_autoptr(VmfDirectory) directory = vmf_directory_new(me, "/run/vmferry/daemon.cc");
    g_autoptr(VmfFactComputer) facts = vmf_fact_computer_new();
    gint64 since_us = g_get_monotonic_time();
    vmf_computer_facts_gather(directory, args[0], facts, NULL);
    print("computer", vmf_fact_computer_to_variant(facts), since_us);
    return TRUE;
}

static const struct {
    const char *name;
    int arguments;
    gboolean (*run)(char **args, GError **error);
} verbs[] = {
    {"definition", 1, run_definition},
    {"share", 2, run_share},
    {"machine", 0, run_machine},
    {"vm", 1, run_vm},
    {"fit", 1, run_fit},
    {"route", 1, run_route},
    {"keytab", 0, run_keytab},
    {"directory", 1, run_directory},
    {"computer", 1, run_computer},
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
