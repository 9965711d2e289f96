/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/catalogue.h"
#include "policy/judge.h"
#include "src/base/error.h"
#include "src/cli/cli.h"
#include "src/cli/plan.h"
#include "src/vm/definition-facts.h"

#define RUN_DIR "/run/vmferry"

typedef struct {
    gchar **to;
    gchar *save, *definition, *policy;
    gboolean json, junit, all;
    const char *vm; /* of the command line; NULL with --definition */
} Options;

static void
options_clear(Options *options)
{
    g_strfreev(options->to);
    g_free(options->save);
    g_free(options->definition);
    g_free(options->policy);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

/* ---- output ---- */

static int
print_reports(const Options *options, const VmfReportSet *set)
{
    g_autofree gchar *text = NULL;
    if (options->json)
        text = vmf_report_set_to_json(set);
    else if (options->junit)
        text = vmf_report_set_to_junit(set);
    else if (set->reports->len != 1 || (options->to && strcmp(options->to[0], "all") == 0))
        text = vmf_report_set_to_matrix(set);
    else
        text = vmf_report_to_text(set->reports->pdata[0], options->all);
    g_print("%s", text);
    if (set->reports->len == 0 && !options->json && !options->junit)
        g_printerr("vmferry check: no host was judged; vmferry hosts lists them\n");
    return (int)vmf_report_set_status(set);
}

/* ---- a definition alone ---- */

/* At most one byte more than a definition may have, so that the limit is the reader's to tell. */
static GString *
read_file(const char *path, GError **error)
{
    gboolean standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    g_autoptr(GString) text = g_string_new(NULL);
    gchar buffer[65536];
    size_t got;
    if (file == NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "cannot read '%s': %s", path,
                    g_strerror(errno));
        return NULL;
    }
    while (text->len <= VMF_DOMAIN_XML_MAX && (got = fread(buffer, 1, sizeof buffer, file)) > 0)
        g_string_append_len(text, buffer, (gssize)got);
    int failed = ferror(file) ? errno : 0;
    if (!standard)
        fclose(file);
    if (failed) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "cannot read '%s': %s", path,
                    g_strerror(failed));
        return NULL;
    }
    return g_steal_pointer(&text);
}

static VmfLocalPolicy *
read_policy(const char *path, GError **error)
{
    g_autofree gchar *text = NULL;
    gsize size;
    return g_file_get_contents(path, &text, &size, error)
               ? vmf_local_policy_parse(text, size, path, error)
               : NULL;
}

/* Kernels that the definition names: without a policy file nobody can say which are allowed. */
static gchar **
named_kernels(const VmfFactVm *vm)
{
    g_autoptr(GStrvBuilder) list = g_strv_builder_new();
    for (guint i = 0; i < vm->files->len; i++) {
        const VmfFactFile *file = vm->files->pdata[i];
        if (file->role == VMF_FACT_ROLE_BOOT)
            g_strv_builder_add(list, file->place);
    }
    return g_strv_builder_end(list);
}

static VmfFactVm *
definition_facts(const GString *xml, const VmfLocalPolicy *policy)
{
    VmfDomainRules rules = {.run_dir = RUN_DIR, .as_written = TRUE};
    g_auto(GStrv) kernels = NULL;
    if (policy == NULL) {
        g_autoptr(VmfFactVm) first = vmf_fact_vm_new();
        g_autoptr(VmfDomain) seen = vmf_definition_facts(xml->str, xml->len, &rules, first);
        kernels = seen ? named_kernels(first) : NULL;
    }
    rules.boot_files = policy ? (const char *const *)policy->kernels : (const char *const *)kernels;
    VmfFactVm *vm = vmf_fact_vm_new();
    g_autoptr(VmfDomain) domain = vmf_definition_facts(xml->str, xml->len, &rules, vm);
    return vm;
}

static int
check_definition(const Options *options)
{
    GError *error = NULL;
    g_autoptr(VmfLocalPolicy) policy = NULL;
    g_autoptr(GString) xml = read_file(options->definition, &error);
    if (xml && options->policy)
        policy = read_policy(options->policy, &error);
    if (error) {
        g_printerr("vmferry check: %s\n", error->message);
        g_error_free(error);
        return VMF_EXIT_UNKNOWN;
    }
    g_autoptr(VmfFactVm) vm = definition_facts(xml, policy);
    g_autoptr(VmfReportSet) set = vmf_report_set_new();
    vmf_fact_set(&set->vm, vm->name);
    g_ptr_array_add(set->reports, vmf_judge_definition(policy, vm));
    return print_reports(options, set);
}

/* ---- a VM, by vmferryd ---- */

static GVariant *
ask(const Options *options, int *status)
{
    GError *error = NULL;
    GVariant *answer = NULL;
    static const char *const everyone[] = {NULL};
    gboolean all = strcmp(options->to[0], "all") == 0;
    g_autoptr(VmfDbusManager) manager = vmf_cli_manager_to_act();
    *status = VMF_EXIT_UNKNOWN;
    if (manager == NULL)
        return NULL;
    GVariantDict wanted;
    g_variant_dict_init(&wanted, NULL);
    if (options->save)
        g_variant_dict_insert(&wanted, "facts", "b", TRUE);
    if (!vmf_dbus_manager_call_check_sync(manager, options->vm,
                                          all ? everyone : (const char *const *)options->to,
                                          g_variant_dict_end(&wanted), &answer, NULL, &error)) {
        vmf_cli_fail(error);
        return NULL; /* nothing was judged, whatever the reason */
    }
    return answer;
}

static int
save_plan(const Options *options, const VmfReportSet *set, GVariant *answer)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) facts = g_variant_lookup_value(answer, "facts", G_VARIANT_TYPE_VARDICT);
    if (facts && set->reports->len == 1 && vmf_cli_plan_write(options->save, set, facts, &error))
        return VMF_EXIT_DONE;
    g_printerr("vmferry check: no plan was saved in '%s': %s\n", options->save,
               error ? error->message : "the other host told no facts");
    return VMF_EXIT_UNKNOWN;
}

static int
check_vm(const Options *options)
{
    int status;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer = ask(options, &status);
    if (answer == NULL)
        return status;
    g_autoptr(GVariant) dict = g_variant_lookup_value(answer, "report", G_VARIANT_TYPE_VARDICT);
    g_autoptr(VmfReportSet) set = dict ? vmf_report_set_from_variant(dict, &error) : NULL;
    if (set == NULL) {
        g_printerr("vmferry check: vmferryd's answer is no report: %s\n",
                   error ? error->message : "there is none in it");
        return VMF_EXIT_UNKNOWN;
    }
    int judged = print_reports(options, set);
    int saved = options->save ? save_plan(options, set, answer) : VMF_EXIT_DONE;
    return judged == VMF_EXIT_DONE ? saved : judged;
}

/* ---- the command line ---- */

static gboolean
parse(int *argc, char ***argv, Options *options, GError **error)
{
    const GOptionEntry entries[] = {
        {"to", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->to,
         "Host it would go to; repeat it, or say all, for a table of hosts", "HOST|all"},
        {"all", 'a', 0, G_OPTION_ARG_NONE, &options->all,
         "Print each finding: what passed and what does not apply, too", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &options->json, "Print a vmferry.check/1 object", NULL},
        {"junit", 0, 0, G_OPTION_ARG_NONE, &options->junit, "Print JUnit's XML", NULL},
        {"save", 0, 0, G_OPTION_ARG_FILENAME, &options->save,
         "Write findings and facts, for: vmferry migrate --plan", "PLAN"},
        {"definition", 0, 0, G_OPTION_ARG_FILENAME, &options->definition,
         "Judge a definition alone, without a host; - is standard input", "FILE.xml"},
        {"policy", 0, 0, G_OPTION_ARG_FILENAME, &options->policy,
         "With --definition: a vmferry.conf whose shares and kernels count", "FILE"},
        {NULL}};
    g_autofree gchar *checks = vmf_catalogue_to_help();
    g_autoptr(GOptionContext) context = g_option_context_new(
        "VM --to HOST | --definition FILE.xml - can it move? Nothing is changed");
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_description(context, checks);
    g_set_prgname("vmferry check");
    return g_option_context_parse(context, argc, argv, error);
}

/* What does not go together. NULL: all is well. */
static const char *
misuse(const Options *options, int argc)
{
    gboolean alone = options->definition != NULL;
    guint hosts = options->to ? g_strv_length(options->to) : 0;
    if (alone && (argc > 1 || hosts || options->save))
        return "--definition goes with neither a VM, --to nor --save";
    if (!alone && options->policy)
        return "--policy goes with --definition only: a host has its own";
    if (!alone && (argc != 2 || hosts == 0))
        return "name one VM, and a host with --to";
    if (options->json && options->junit)
        return "--json and --junit exclude each other";
    if (options->save && (hosts != 1 || strcmp(options->to[0], "all") == 0))
        return "--save goes with one host";
    if (hosts > 1 && g_strv_contains((const char *const *)options->to, "all"))
        return "--to all stands alone";
    return NULL;
}

int
vmf_verb_check(int argc, char **argv)
{
    g_auto(Options) options = {0};
    g_autoptr(GError) error = NULL;
    gboolean parsed = parse(&argc, &argv, &options, &error);
    const char *wrong = parsed ? misuse(&options, argc) : error->message;
    if (wrong) {
        g_printerr("vmferry check: %s; vmferry check --help tells more\n", wrong);
        return VMF_EXIT_USAGE;
    }
    options.vm = argc == 2 ? argv[1] : NULL;
    return options.definition ? check_definition(&options) : check_vm(&options);
}
