/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "src/cli/acl.h"

static const VmfVerb verbs[] = {
    {"show", "smb://SERVER/SHARE/FILE [--account 'HOST$']", "who may do what with a file",
     vmf_acl_show},
    {"eval", "--sddl SDDL --sid SID... | --batch FILE|-", "the access check alone, offline",
     vmf_acl_eval},
};

static void
print_help(void)
{
    g_print("Usage: vmferry acl VERB [ARGUMENT...]\n\n");
    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++)
        g_print("  %-5s %-44s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].summary);
    g_print("\nvmferry acl VERB --help tells more.\n");
}

int
vmf_verb_acl(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        print_help();
        return VMF_EXIT_DONE;
    }
    for (gsize i = 0; argc >= 2 && i < G_N_ELEMENTS(verbs); i++) {
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        g_autofree gchar *name = g_strconcat("acl ", argv[1], NULL);
        argv[1] = name;
        return verbs[i].run(argc - 1, argv + 1);
    }
    if (argc >= 2)
        g_printerr("vmferry acl: no verb '%s'; vmferry acl --help lists them\n", argv[1]);
    else
        print_help();
    return VMF_EXIT_USAGE;
}
