/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <locale.h>
#include <string.h>

#include "src/cli/cli.h"

static const VmfVerb verbs[] = {
    {"check", "VM --to HOST|all", "can it move, and if not, why and what to do", vmf_verb_check},
    {"migrate", "VM --to HOST", "move a running VM", vmf_verb_migrate},
    {"list", "", "the VMs of this host", vmf_verb_list},
    {"hosts", "", "the hosts VMs can move to", vmf_verb_hosts},
    {"doctor", "", "is this host set up right", vmf_verb_doctor},
    {"define", "VM.xml", "define a VM whose disks are on shares", vmf_verb_define},
    {"attach", "VM DEV smb://...", "put a disk of a VM behind a share connection", vmf_verb_attach},
    {"jobs", "", "the newest moves of this host", vmf_verb_jobs},
    {"job", "ID", "one move in full", vmf_verb_job},
    {"cancel", "ID", "stop a move; the VM stays where it is", vmf_verb_cancel},
    {"recover", "VM", "start a VM from the share after its host died", vmf_verb_recover},
    {"acl", "show|eval ...", "who may do what with a file, and which entry decides", vmf_verb_acl},
};

static void
print_help(void)
{
    g_print("Usage: vmferry VERB [ARGUMENT...]\n\n"
            "Moves running VMs between hosts of one Active Directory domain, their disks on SMB 3\n"
            "shares. Talks to the vmferryd of this host.\n\n");
    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++)
        g_print("  %-8s %-17s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].summary);
    g_print(
        "\nvmferry VERB --help tells more. Exit status: 0 done; 1 failed, the VM goes on at the\n"
        "source; 2 wrong usage; 3 could not be judged; 4 the VM is paused, or down, and needs\n"
        "attention. The manual: man vmferry.\n");
}

int
main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        g_print("vmferry %s\n", VMF_VERSION);
        return VMF_EXIT_DONE;
    }
    if (argc == 3 && strcmp(argv[1], "help") == 0) { /* help VERB: VERB --help */
        argv[1] = argv[2];
        argv[2] = (char *)"--help";
    }
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        print_help();
        return VMF_EXIT_DONE;
    }
    for (gsize i = 0; argc >= 2 && i < G_N_ELEMENTS(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    if (argc >= 2)
        g_printerr("vmferry: no verb '%s'; vmferry --help lists them\n", argv[1]);
    else
        print_help();
    return VMF_EXIT_USAGE;
}
