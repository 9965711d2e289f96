/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/directory-facts.h"
#include "auth/ticket-cache.h"
#include "policy/access-batch.h"
#include "policy/access-check.h"
#include "policy/descriptor-text.h"
#include "smb/share-probe.h"
#include "smb/share-url.h"
#include "src/base/error.h"
#include "src/cli/acl.h"

/*
 * vmferry acl show: the access list of a file on a share, and what accounts may do with it. No
 * daemon. The share and the directory are asked as whoever the ticket cache is of: KRB5CCNAME, or,
 * for root without one, this host's computer account by vmferryd's cache.
 *
 * Exit status: 0 shown, and every --account is granted what is asked; 1 one is denied; 3 one cannot
 * be judged, or the list could not be read.
 */

#define HOST_RUN_DIR "/run/vmferry"
#define HOST_CACHE   HOST_RUN_DIR "/smb.cc"
#define NO_RECORD    "00000000-0000-0000-0000-000000000000"

typedef struct {
    gchar **accounts;
    gchar *desired;
    gboolean json;
    guint32 mask;
} Options;

/* As whom. */
typedef struct {
    gchar *cache;
    VmfHostIdentity *me;
    VmfDirectory *directory;
} Reader;

/* What was read. */
typedef struct {
    VmfShareUrl *url;
    gchar *unc;
    VmfFactView *view;
    const VmfFactProbe *probe, *above; /* @above: the folder it lies in; NULL: not read */
    VmfSecurityDescriptor *sd, *folder;
} Shown;

/* What one account may. */
typedef struct {
    VmfFactComputer *computer;
    VmfAccess access;
    gchar *because;
} Answer;

static void
options_clear(Options *options)
{
    g_strfreev(options->accounts);
    g_free(options->desired);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static void
reader_clear(Reader *reader)
{
    g_free(reader->cache);
    g_clear_pointer(&reader->directory, vmf_directory_free);
    g_clear_pointer(&reader->me, vmf_host_identity_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Reader, reader_clear)

static void
shown_clear(Shown *shown)
{
    g_clear_pointer(&shown->url, vmf_share_url_free);
    g_clear_pointer(&shown->view, vmf_fact_view_free);
    g_clear_pointer(&shown->sd, vmf_security_descriptor_free);
    g_clear_pointer(&shown->folder, vmf_security_descriptor_free);
    g_free(shown->unc);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Shown, shown_clear)

static void
answer_free(gpointer data)
{
    Answer *answer = data;
    vmf_fact_computer_free(answer->computer);
    g_free(answer->because);
    g_free(answer);
}

/* ---- as whom ---- */

static gboolean
become_reader(Reader *reader, GError **error)
{
    const char *name = g_getenv("KRB5CCNAME");
    if (name && g_str_has_prefix(name, "FILE:"))
        reader->cache = g_strdup(name + strlen("FILE:"));
    else if (name && name[0] == '/')
        reader->cache = g_strdup(name);
    else if (name) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "KRB5CCNAME is '%s', which libsmbclient cannot read; use a FILE: cache: "
                    "KRB5CCNAME=FILE:/tmp/cc kinit",
                    name);
        return FALSE;
    } else if (geteuid() == 0)
        reader->cache = g_strdup(HOST_CACHE);
    else
        reader->cache = g_strdup_printf("/tmp/krb5cc_%u", (guint)geteuid());
    g_autoptr(GError) why = NULL;
    reader->me = vmf_ticket_cache_owner(reader->cache, &why);
    if (reader->me == NULL) {
        /* kinit into the host's own cache would make this host somebody else */
        if (strcmp(reader->cache, HOST_CACHE) == 0)
            g_set_error(error, why->domain, why->code,
                        "%s; vmferryd keeps it: systemctl start vmferryd; or get a ticket of your "
                        "own: export KRB5CCNAME=FILE:/tmp/cc; kinit USER@REALM",
                        why->message);
        else
            g_set_error(error, why->domain, why->code,
                        "%s; get a ticket: kinit -c FILE:%s USER@REALM", why->message,
                        reader->cache);
        return FALSE;
    }
    reader->directory = vmf_directory_new(reader->me, reader->cache);
    return TRUE;
}

/* ---- the list ---- */

static void
want(VmfFactVm *vm, VmfFactRole role, const char *url)
{
    VmfFactFile *file = vmf_fact_file_new();
    file->role = role;
    vmf_fact_set(&file->url, url);
    g_ptr_array_add(vm->files, file);
}

static gchar *
folder_of(const VmfShareUrl *url)
{
    if (strchr(url->path, '/') == NULL)
        return NULL; /* the share's root has no URL of its own */
    return g_strndup(url->url, (gsize)(strrchr(url->url, '/') - url->url));
}

static void
probe(const Reader *reader, const VmfLocalPolicy *policy, Shown *shown, VmfFactRole role)
{
    g_autoptr(VmfFactVm) vm = vmf_fact_vm_new();
    g_autofree gchar *folder = folder_of(shown->url);
    gboolean host = strcmp(reader->cache, HOST_CACHE) == 0;
    struct stat cache;
    VmfShareProbe how = {
        .run_dir = host ? HOST_RUN_DIR : g_get_tmp_dir(),
        .ccache = reader->cache,
        .run_uid = geteuid(),
        .run_gid = getegid(),
    };
    if (host &&
        stat(reader->cache, &cache) == 0) { /* no need of root: as the disk process's user */
        how.run_uid = cache.st_uid;
        how.run_gid = cache.st_gid;
    }
    vmf_fact_set(&vm->uuid, NO_RECORD);
    want(vm, role, shown->url->url);
    if (folder)
        want(vm, VMF_FACT_ROLE_FOLDER, folder);
    g_clear_pointer(&shown->view, vmf_fact_view_free);
    shown->view = vmf_fact_view_new();
    vmf_share_probe_run(&how, policy, vm, shown->view);
    shown->probe = shown->view->probes->len > 0 ? shown->view->probes->pdata[0] : NULL;
    shown->above = shown->view->probes->len > 1 ? shown->view->probes->pdata[1] : NULL;
}

/* Whoever runs this command chooses the server: it is his own ticket that goes there. */
static VmfLocalPolicy *
allow_only(const VmfShareUrl *url, GError **error)
{
    g_autofree gchar *text = g_strdup_printf("[vmferry]\ngroup=-\n[shares]\nallow=//%s/%s\n",
                                             url->server, url->share);
    return vmf_local_policy_parse(text, strlen(text), url->url, error);
}

static const char *
problem_of(const Shown *shown)
{
    if (shown->probe == NULL)
        return "nothing was answered";
    if (shown->probe->reason[0])
        return shown->probe->reason;
    if (shown->probe->read == VMF_FACT_ANSWER_MISSING)
        return "there is no such file or folder";
    if (shown->probe->read == VMF_FACT_ANSWER_DENIED)
        return "the server refuses it; the account needs at least to read attributes and "
               "permissions, or the share itself keeps it out";
    return shown->probe->descriptor_problem[0] ? shown->probe->descriptor_problem
                                               : shown->probe->problem;
}

static gboolean
read_list(const Reader *reader, const char *text, Shown *shown, GError **error)
{
    shown->url = vmf_share_url_parse(text, error);
    g_autoptr(VmfLocalPolicy) policy = shown->url ? allow_only(shown->url, error) : NULL;
    if (policy == NULL)
        return FALSE;
    shown->unc = vmf_share_url_unc(shown->url);
    probe(reader, policy, shown, VMF_FACT_ROLE_DISK);
    if (shown->probe == NULL || shown->probe->descriptor[0] == '\0')
        probe(reader, policy, shown, VMF_FACT_ROLE_FOLDER); /* it may be one */
    if (shown->probe == NULL || shown->probe->descriptor[0] == '\0') {
        g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                    "%s: its access list cannot be read as %s: %s", shown->unc, reader->me->account,
                    problem_of(shown));
        return FALSE;
    }
    shown->sd = vmf_descriptor_text_parse(shown->probe->descriptor, error);
    if (shown->sd && shown->above && shown->above->descriptor[0])
        shown->folder = vmf_descriptor_text_parse(shown->above->descriptor, NULL);
    return shown->sd != NULL;
}

/* ---- accounts ---- */

static Answer *
judge(const Reader *reader, const Shown *shown, const char *account, guint32 mask, GError **error)
{
    g_autoptr(VmfFactComputer) computer = vmf_fact_computer_new();
    vmf_computer_facts_gather(reader->directory, account, computer, NULL);
    if (computer->reason[0] || computer->matches != 1) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "%s: %s", account,
                    computer->reason[0] ? computer->reason
                    : computer->matches ? "more than one computer account is called so"
                                        : "the directory has no computer account of this name");
        return NULL;
    }
    g_autoptr(VmfToken) token = vmf_token_new_computer(
        computer->sid, computer->primary_rid, (const char *const *)computer->group_sids,
        (const char *const *)computer->sid_history, error);
    if (token == NULL)
        return NULL;
    Answer *answer = g_new0(Answer, 1);
    answer->access = shown->probe->folder
                         ? vmf_access_check(shown->sd, token, mask)
                         : vmf_access_check_file(shown->sd, shown->folder, shown->probe->read_only,
                                                 token, mask);
    answer->because = vmf_access_describe(shown->sd, &answer->access);
    answer->computer = g_steal_pointer(&computer);
    return answer;
}

static GPtrArray *
judge_all(const Reader *reader, const Shown *shown, const Options *options, GError **error)
{
    g_autoptr(GPtrArray) answers = g_ptr_array_new_with_free_func(answer_free);
    for (gsize i = 0; options->accounts && options->accounts[i]; i++) {
        Answer *answer = judge(reader, shown, options->accounts[i], options->mask, error);
        if (answer == NULL)
            return NULL;
        g_ptr_array_add(answers, answer);
    }
    return g_steal_pointer(&answers);
}

static int
status_of(const GPtrArray *answers)
{
    int status = VMF_EXIT_DONE;
    for (guint i = 0; i < answers->len; i++) {
        const Answer *answer = answers->pdata[i];
        if (answer->access.verdict == VMF_VERDICT_DENY)
            return VMF_EXIT_FAILED;
        if (answer->access.verdict == VMF_VERDICT_UNKNOWN)
            status = VMF_EXIT_UNKNOWN;
    }
    return status;
}

/* ---- output ---- */

static gchar *
name_of_entry(const Shown *shown, guint index)
{
    gchar *name = vmf_descriptor_text_entry_name(shown->probe->descriptor_names, index);
    return name ? name : vmf_sid_format(&shown->sd->dacl.aces[index].sid);
}

static const char *
kind_of(const VmfAce *ace)
{
    switch (ace->type) {
    case VMF_ACE_ALLOWED:
        return "allow";
    case VMF_ACE_DENIED:
        return "deny";
    default:
        return "other";
    }
}

static gchar *
flags_of(const VmfAce *ace)
{
    g_autoptr(GString) out = g_string_new(ace->flags & VMF_ACE_INHERITED ? "inherited" : "");
    if (ace->flags & VMF_ACE_INHERIT_ONLY)
        g_string_append(out, out->len ? ", only for what is in it" : "only for what is in it");
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static gchar *
rights_in_words(guint32 mask)
{
    if ((mask & VMF_ACCESS_FULL) == VMF_ACCESS_FULL)
        return g_strdup("everything");
    if (mask == VMF_ACCESS_READ_WRITE || mask == VMF_ACCESS_READ_ONLY)
        return g_strdup(mask == VMF_ACCESS_READ_ONLY ? "read" : "read and write");
    return vmf_access_rights_name(mask);
}

static void
print_text(const Reader *reader, const Shown *shown, const GPtrArray *answers)
{
    static const char *const head[] = {"ace", "", "who", "may", "", NULL};
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    g_autofree gchar *owner = shown->sd->has_owner ? vmf_sid_format(&shown->sd->owner)
                                                   : g_strdup("nobody");
    g_print("%s, read as %s\nowner %s\n\n", shown->unc, reader->me->account, owner);
    for (guint i = 0; i < shown->sd->dacl.n_aces; i++) {
        const VmfAce *ace = &shown->sd->dacl.aces[i];
        gchar **row = g_new0(gchar *, 6);
        g_autofree gchar *rights = rights_in_words(ace->mask);
        row[0] = g_strdup_printf("%u", i);
        row[1] = g_strdup(kind_of(ace));
        row[2] = name_of_entry(shown, i);
        row[3] = g_strdup_printf("%s (0x%08x)", rights, ace->mask);
        row[4] = flags_of(ace);
        g_ptr_array_add(rows, row);
    }
    vmf_cli_table(head, rows);
    for (guint i = 0; i < answers->len; i++) {
        const Answer *answer = answers->pdata[i];
        g_autofree gchar *most = rights_in_words(answer->access.granted);
        g_print("\n%s: %s: %s\n  at most: %s (0x%08x)\n", answer->computer->account,
                vmf_verdict_name(answer->access.verdict), answer->because, most,
                answer->access.granted);
    }
}

static void
add_text(JsonBuilder *out, const char *name, const char *value)
{
    json_builder_set_member_name(out, name);
    json_builder_add_string_value(out, value);
}

static void
add_mask(JsonBuilder *out, const char *name, guint32 mask)
{
    g_autofree gchar *text = g_strdup_printf("0x%08x", mask);
    add_text(out, name, text);
}

static void
add_aces(JsonBuilder *out, const Shown *shown)
{
    json_builder_set_member_name(out, "aces");
    json_builder_begin_array(out);
    for (guint i = 0; i < shown->sd->dacl.n_aces; i++) {
        const VmfAce *ace = &shown->sd->dacl.aces[i];
        g_autofree gchar *name = name_of_entry(shown, i);
        g_autofree gchar *sid = vmf_sid_format(&ace->sid);
        json_builder_begin_object(out);
        json_builder_set_member_name(out, "type");
        json_builder_add_int_value(out, ace->type);
        json_builder_set_member_name(out, "flags");
        json_builder_add_int_value(out, ace->flags);
        add_mask(out, "mask", ace->mask);
        add_text(out, "sid", sid);
        add_text(out, "name", name);
        json_builder_end_object(out);
    }
    json_builder_end_array(out);
}

static void
add_answers(JsonBuilder *out, const GPtrArray *answers)
{
    json_builder_set_member_name(out, "accounts");
    json_builder_begin_array(out);
    for (guint i = 0; i < answers->len; i++) {
        const Answer *answer = answers->pdata[i];
        json_builder_begin_object(out);
        add_text(out, "account", answer->computer->account);
        add_text(out, "sid", answer->computer->sid);
        add_text(out, "verdict", vmf_verdict_name(answer->access.verdict));
        add_mask(out, "granted", answer->access.granted);
        json_builder_set_member_name(out, "ace");
        if (answer->access.ace >= 0)
            json_builder_add_int_value(out, answer->access.ace);
        else
            json_builder_add_null_value(out);
        add_text(out, "reason", answer->because);
        json_builder_end_object(out);
    }
    json_builder_end_array(out);
}

static void
print_json(const Reader *reader, const Shown *shown, const GPtrArray *answers)
{
    g_autoptr(JsonBuilder) out = json_builder_new();
    g_autofree gchar *owner = shown->sd->has_owner ? vmf_sid_format(&shown->sd->owner)
                                                   : g_strdup("");
    json_builder_begin_object(out);
    add_text(out, "schema", "vmferry.acl/1");
    add_text(out, "url", shown->url->url);
    add_text(out, "read-as", reader->me->account);
    add_text(out, "owner", owner);
    add_aces(out, shown);
    add_answers(out, answers);
    json_builder_end_object(out);
    g_autoptr(JsonNode) root = json_builder_get_root(out);
    g_autofree gchar *text = json_to_string(root, TRUE);
    g_print("%s\n", text);
}

static int
show(const Options *options, const char *url)
{
    g_auto(Reader) reader = {0};
    g_auto(Shown) shown = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) answers = NULL;
    if (become_reader(&reader, &error) && read_list(&reader, url, &shown, &error))
        answers = judge_all(&reader, &shown, options, &error);
    if (answers == NULL) {
        g_printerr("vmferry acl show: %s\n", error->message);
        return VMF_EXIT_UNKNOWN;
    }
    if (options->json)
        print_json(&reader, &shown, answers);
    else
        print_text(&reader, &shown, answers);
    return status_of(answers);
}

int
vmf_acl_show(int argc, char **argv)
{
    g_auto(Options) options = {.mask = VMF_ACCESS_READ_WRITE};
    const GOptionEntry entries[] = {
        {"account", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options.accounts,
         "What this computer account may do, and which entry decides; many", "'HOST$'"},
        {"desired", 0, 0, G_OPTION_ARG_STRING, &options.desired,
         "Rights asked for; without it 0x0012019f, what a VM's disk needs", "MASK"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &options.json, "Print a vmferry.acl/1 object", NULL},
        {NULL},
    };
    if (!vmf_cli_parse(&argc, &argv, entries, "smb://SERVER/SHARE/FILE - who may do what with it",
                       1))
        return VMF_EXIT_USAGE;
    if (options.desired && !vmf_access_parse_mask(options.desired, &options.mask)) {
        g_printerr("vmferry acl show: --desired is a mask of 32 bits, decimal or 0x...\n");
        return VMF_EXIT_USAGE;
    }
    return show(&options, argv[1]);
}
