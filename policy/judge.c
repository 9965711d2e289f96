/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/judge-private.h"

#include <string.h>

#define ONLY_A_DEFINITION "only the definition is judged, without a host"

/* ---- sides ---- */

/* Until a host has told its account: HV2$ for hv2.lab.test, as every join makes it. */
static const char *
guess_account(const char *fqdn, gchar buffer[64])
{
    gsize length = MIN(strcspn(fqdn, "."), 15);
    if (length == 0)
        return "";
    for (gsize i = 0; i < length; i++)
        buffer[i] = g_ascii_toupper(fqdn[i]);
    buffer[length] = '$';
    buffer[length + 1] = '\0';
    return buffer;
}

VmfJudgeSide
vmf_judge_side(const VmfJudge *judge, gboolean source)
{
    static _Thread_local gchar guessed[2][64];
    const VmfCheckCase *facts = judge->facts;
    VmfJudgeSide side = {
        .is_source = source,
        .fqdn = source ? facts->from : facts->to,
        .host = source ? facts->source : facts->destination,
        .peer = source ? facts->source_peer : facts->destination_peer,
        .view = source ? facts->source_view : facts->destination_view,
        .missing = "was not asked",
    };
    if (!source && facts->unreachable)
        side.missing = facts->unreachable;
    side.account = side.host && side.host->account[0]
                       ? side.host->account
                       : guess_account(side.fqdn, guessed[source ? 0 : 1]);
    return side;
}

/* ---- findings ---- */

VmfFinding *
vmf_judge_add(VmfJudge *judge, VmfResult result, const VmfJudgeSide *side, const char *object,
              const char *format, ...)
{
    va_list args;
    VmfFinding *finding = vmf_fact_new(&vmf_finding_shape);
    vmf_fact_set(&finding->id, judge->check->id);
    finding->judged = result;
    finding->result = judge->facts->policy
                          ? vmf_local_policy_weigh(judge->facts->policy, judge->check->id, result)
                          : result;
    if (side) {
        vmf_fact_set(&finding->account, side->account);
        vmf_fact_set(&finding->host, side->fqdn);
    }
    vmf_fact_set(&finding->object, object);
    va_start(args, format);
    g_free(finding->message);
    finding->message = g_strdup_vprintf(format, args);
    va_end(args);
    g_ptr_array_add(judge->report->findings, finding);
    return finding;
}

gboolean
vmf_judge_known(VmfJudge *judge, const VmfJudgeSide *side, const char *object, gconstpointer fact,
                const char *reason)
{
    if (fact != NULL && (reason == NULL || reason[0] == '\0'))
        return TRUE;
    vmf_judge_add(judge, VMF_RESULT_UNKNOWN, side, object, "not known: %s",
                  fact ? reason : side->missing);
    return FALSE;
}

/* ---- small things the families share ---- */

/* Returns: (nullable): %XX to text; NULL: it stands for bytes that are none, or for a control character */
static gchar *
decode(const char *part)
{
    g_autofree gchar *text = g_uri_unescape_string(part, NULL);
    if (text == NULL || !g_utf8_validate(text, -1, NULL))
        return NULL;
    for (const char *at = text; *at; at++)
        if (g_ascii_iscntrl(*at))
            return NULL;
    return g_steal_pointer(&text);
}

gboolean
vmf_judge_split_url(const char *url, gchar **server, gchar **share, gchar **path)
{
    if (!g_str_has_prefix(url, "smb://"))
        return FALSE;
    g_auto(GStrv) parts = g_strsplit(url + strlen("smb://"), "/", 3);
    if (g_strv_length(parts) != 3)
        return FALSE;
    g_autofree gchar *its_share = decode(parts[1]), *its_path = decode(parts[2]);
    if (its_share == NULL || its_path == NULL)
        return FALSE;
    *server = g_strdup(parts[0]);
    *share = g_steal_pointer(&its_share);
    *path = g_steal_pointer(&its_path);
    return TRUE;
}

gchar *
vmf_judge_unc(const char *url)
{
    g_autofree gchar *server = NULL, *share = NULL, *path = NULL;
    if (!vmf_judge_split_url(url, &server, &share, &path))
        return g_strdup(url);
    return g_strdup_printf("//%s/%s/%s", server, share, path);
}

const VmfFactProbe *
vmf_judge_probe(const VmfFactView *view, const char *url)
{
    for (guint i = 0; view && i < view->probes->len; i++) {
        const VmfFactProbe *probe = view->probes->pdata[i];
        if (strcmp(probe->url, url) == 0)
            return probe;
    }
    return NULL;
}

gchar *
vmf_judge_file_name(const VmfFactFile *file)
{
    static const char *const names[] = {
        [VMF_FACT_ROLE_DISK] = "disk",
        [VMF_FACT_ROLE_CDROM] = "CD image",
        [VMF_FACT_ROLE_BACKING] = "backing file of",
        [VMF_FACT_ROLE_NVRAM] = "NVRAM",
        [VMF_FACT_ROLE_TPM] = "TPM state",
        [VMF_FACT_ROLE_BOOT] = "kernel or initrd",
        [VMF_FACT_ROLE_DEFINITION] = "definition",
        [VMF_FACT_ROLE_RECORD] = "owner record",
        [VMF_FACT_ROLE_FOLDER] = "folder",
    };
    if (file->role == VMF_FACT_ROLE_BOOT && file->target[0])
        return g_strdup(file->target); /* "kernel", "initrd" */
    return g_strconcat(names[file->role], file->target[0] ? " " : "", file->target, NULL);
}

gchar *
vmf_judge_size(guint64 kib)
{
    if (kib >= 10 * 1024 * 1024)
        return g_strdup_printf("%.1f GiB", (double)kib / (1024 * 1024));
    return g_strdup_printf("%" G_GUINT64_FORMAT " MiB", kib / 1024);
}

gchar *
vmf_judge_version(guint64 version)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT,
                           version / 1000000, version / 1000 % 1000, version % 1000);
}

gchar *
vmf_judge_virsh(const VmfJudgeSide *side)
{
    if (side->is_source)
        return g_strdup("virsh");
    return g_strdup_printf("virsh -c qemu+ssh://%s/system", side->fqdn);
}

gboolean
vmf_judge_has(gchar *const *list, const char *text)
{
    for (; *list; list++)
        if (g_ascii_strcasecmp(*list, text) == 0)
            return TRUE;
    return FALSE;
}

const char *
vmf_judge_vm_name(const VmfJudge *judge)
{
    const char *name = judge->facts->vm->name;
    return name[0] ? name : "the definition";
}

/* ---- the whole ---- */

VmfCheckCase
vmf_check_case(const VmfLocalPolicy *policy, const VmfFactCase *facts)
{
    return (VmfCheckCase){
        .policy = policy,
        .vm = &facts->vm,
        .source = &facts->source.host,
        .destination = &facts->destination.host,
        .source_peer = &facts->source.peer,
        .destination_peer = &facts->destination.peer,
        .source_view = &facts->source.view,
        .destination_view = &facts->destination.view,
        .from = facts->source.host.fqdn,
        .to = facts->destination.host.fqdn,
    };
}

/* What a definition that cannot be read leaves in the dark; VM-210 says what is wrong with it. */
static gboolean
rests_on_definition(const VmfCatalogueEntry *check)
{
    static const char *const ids[] = {"VM-230",   "HOST-300", "HOST-310", "HOST-320",
                                      "HOST-330", "HOST-350", NULL};
    return check->family == VMF_FAMILY_SHARE || g_strv_contains(ids, check->id);
}

static void
judge_one(VmfJudge *judge, gboolean definition_only)
{
    const VmfFactVm *vm = judge->facts->vm;
    if (definition_only && !judge->check->offline)
        vmf_judge_add(judge, VMF_RESULT_NOT_APPLICABLE, NULL, NULL, ONLY_A_DEFINITION);
    else if (vm->reason[0] && rests_on_definition(judge->check))
        vmf_judge_add(judge, VMF_RESULT_UNKNOWN, NULL, vmf_judge_vm_name(judge), "not known: %s",
                      vm->reason);
    else
        judge->check->judge(judge);
}

/* What the host that a VM comes to decides for itself, whatever the source has judged. */
static gboolean
is_the_arrivals(const VmfCatalogueEntry *check)
{
    static const char *const ids[] = {"SMB-150", "HOST-320", "HOST-330", "HOST-350", NULL};
    return g_strv_contains(ids, check->id);
}

typedef enum { EVERY_CHECK, ONLY_DEFINITION, ONLY_ARRIVAL } Which;

static VmfReport *
judge_all(const VmfCheckCase *facts, Which which)
{
    VmfReport *report = vmf_report_new();
    VmfJudgeCache cache;
    vmf_judge_cache_init(&cache);
    vmf_fact_set(&report->vm, facts->vm->name);
    vmf_fact_set(&report->from, facts->from);
    vmf_fact_set(&report->to, facts->to);
    for (gsize i = 0; i < vmf_catalogue_rows; i++) {
        VmfJudge judge = {facts, report, &vmf_catalogue[i], &cache};
        guint before = report->findings->len;
        if (which == ONLY_ARRIVAL && !is_the_arrivals(&vmf_catalogue[i]))
            continue;
        judge_one(&judge, which == ONLY_DEFINITION);
        g_assert(report->findings->len > before);
    }
    vmf_judge_cache_clear(&cache);
    return report;
}

VmfReport *
vmf_judge(const VmfCheckCase *facts)
{
    return judge_all(facts, EVERY_CHECK);
}

VmfReport *
vmf_judge_definition(const VmfLocalPolicy *policy, const VmfFactVm *vm)
{
    VmfCheckCase facts = {.policy = policy, .vm = vm, .from = "", .to = ""};
    return judge_all(&facts, ONLY_DEFINITION);
}

/* Which shares a VM's files are on: what the policy file states of them needs no look at them. */
static void
add_share(VmfFactView *view, const char *url)
{
    g_autofree gchar *server = NULL, *share = NULL, *path = NULL;
    if (!vmf_judge_split_url(url, &server, &share, &path))
        return;
    for (guint i = 0; i < view->shares->len; i++) {
        const VmfFactShare *there = view->shares->pdata[i];
        if (strcmp(there->server, server) == 0 && strcmp(there->share, share) == 0)
            return;
    }
    VmfFactShare *added = vmf_fact_share_new();
    vmf_fact_set(&added->server, server);
    vmf_fact_set(&added->share, share);
    g_ptr_array_add(view->shares, added);
}

VmfReport *
vmf_judge_arrival(const VmfLocalPolicy *policy, const VmfFactVm *vm, const VmfFactHost *here)
{
    g_autoptr(VmfFactView) view = vmf_fact_view_new();
    for (guint i = 0; i < vm->files->len; i++)
        add_share(view, ((const VmfFactFile *)vm->files->pdata[i])->url);
    VmfCheckCase facts = {
        .policy = policy,
        .vm = vm,
        .destination = here,
        .source_view = view,
        .from = "",
        .to = here->fqdn,
    };
    return judge_all(&facts, ONLY_ARRIVAL);
}
