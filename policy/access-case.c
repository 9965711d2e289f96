/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/judge-access-private.h"

#include <string.h>

#include "policy/descriptor-text.h"

#define DOMAIN_COMPUTERS 515

/* The account's groups as its own host asked for them, else as the other host did. */
static const VmfFactComputer *
computer_of(VmfJudge *judge, const VmfJudgeSide *side)
{
    if (side->host && side->host->directory.reason[0] == '\0' &&
        side->host->directory.self.reason[0] == '\0')
        return &side->host->directory.self;
    VmfJudgeSide other = vmf_judge_side(judge, !side->is_source);
    if (other.peer && other.peer->computer.reason[0] == '\0' && other.peer->computer.matches == 1)
        return &other.peer->computer;
    return NULL;
}

static void
free_descriptor(gpointer sd)
{
    vmf_security_descriptor_free(sd);
}

void
vmf_judge_cache_init(VmfJudgeCache *cache)
{
    *cache = (VmfJudgeCache){
        .descriptors = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_descriptor),
    };
}

void
vmf_judge_cache_clear(VmfJudgeCache *cache)
{
    g_hash_table_unref(cache->descriptors);
    for (guint i = 0; i < G_N_ELEMENTS(cache->tokens); i++)
        g_clear_pointer(&cache->tokens[i], vmf_token_free);
}

static const VmfToken *
make_token(VmfAccessCase *item)
{
    VmfToken **token = &item->judge->cache->tokens[item->side.is_source ? 1 : 0];
    const VmfFactComputer *computer = computer_of(item->judge, &item->side);
    g_autoptr(GError) error = NULL;
    if (computer == NULL) {
        item->unread = g_strdup_printf("the groups of %s are not known", item->side.account);
        return NULL;
    }
    if (*token == NULL)
        *token = vmf_token_new_computer(
            computer->sid, computer->primary_rid ? computer->primary_rid : DOMAIN_COMPUTERS,
            (const char *const *)computer->group_sids, (const char *const *)computer->sid_history,
            &error);
    if (*token == NULL)
        item->unread = g_strdup(error->message);
    return *token;
}

/* Files of one VM, and both hosts' answers, mostly have the same list: it is read once. */
static const VmfSecurityDescriptor *
read_descriptor(VmfAccessCase *item, const VmfFactProbe *probe, gchar **why)
{
    GHashTable *known = item->judge->cache->descriptors;
    g_autoptr(GError) error = NULL;
    if (probe == NULL || probe->reason[0] || probe->descriptor[0] == '\0') {
        const char *problem = probe == NULL      ? "it was not asked for"
                              : probe->reason[0] ? probe->reason
                                                 : probe->descriptor_problem;
        *why = g_strdup_printf("the access list could not be read: %s", problem);
        return NULL;
    }
    VmfSecurityDescriptor *sd = g_hash_table_lookup(known, probe->descriptor);
    if (sd)
        return sd;
    sd = vmf_descriptor_text_parse(probe->descriptor, &error);
    if (sd)
        g_hash_table_insert(known, probe->descriptor, sd);
    else
        *why = g_strdup_printf("the access list cannot be judged: %s", error->message);
    return sd;
}

/* Who could read the descriptor: whoever lacks READ_CONTROL could not. */
static const VmfFactProbe *
readable_probe(VmfAccessCase *item, const char *url)
{
    const VmfFactProbe *own = vmf_judge_probe(item->side.view, url);
    VmfJudgeSide other = vmf_judge_side(item->judge, !item->side.is_source);
    const VmfFactProbe *others = vmf_judge_probe(other.view, url);
    if (own && own->reason[0] == '\0' && own->descriptor[0])
        return own;
    return others && others->reason[0] == '\0' && others->descriptor[0] ? others : own;
}

static gchar *
folder_url(const char *url)
{
    const char *slash = strrchr(url, '/');
    return slash ? g_strndup(url, (gsize)(slash - url)) : g_strdup("");
}

static void
judge_statically(VmfAccessCase *item)
{
    item->listed = readable_probe(item, item->url);
    item->sd = read_descriptor(item, item->listed, &item->unread);
    if (item->sd == NULL)
        return;
    item->token = make_token(item);
    if (item->token == NULL)
        return;
    if (item->folder) {
        item->access = vmf_access_check(item->sd, item->token, item->desired);
        return;
    }
    g_autofree gchar *parent_url = folder_url(item->url), *why = NULL;
    const VmfFactProbe *above = readable_probe(item, parent_url);
    const VmfSecurityDescriptor *parent = above ? read_descriptor(item, above, &why) : NULL;
    item->access = vmf_access_check_file(item->sd, parent, item->listed->read_only, item->token,
                                         item->desired);
}

void
vmf_access_case_init(VmfAccessCase *item, VmfJudge *judge, gboolean source, const char *url,
                     gboolean folder, guint32 desired)
{
    *item = (VmfAccessCase){.judge = judge, .url = url, .folder = folder, .desired = desired};
    item->side = vmf_judge_side(judge, source);
    item->object = vmf_judge_unc(url);
    item->probe = vmf_judge_probe(item->side.view, url);
    if (item->probe && item->probe->reason[0] == '\0')
        item->live = desired == VMF_ACCESS_READ_WRITE ? item->probe->write : item->probe->read;
    judge_statically(item);
}

void
vmf_access_case_clear(VmfAccessCase *item)
{
    g_clear_pointer(&item->object, g_free);
    g_clear_pointer(&item->unread, g_free);
}

gboolean
vmf_access_case_permitted(const VmfAccessCase *item)
{
    return item->live == VMF_FACT_ANSWER_OK || item->live == VMF_FACT_ANSWER_HELD;
}

gboolean
vmf_access_case_contradiction(const VmfAccessCase *item)
{
    if (item->unread)
        return FALSE;
    if (item->live == VMF_FACT_ANSWER_DENIED)
        return item->folder ? (item->access.granted & VMF_ACCESS_READ_ONLY) == VMF_ACCESS_READ_ONLY
                            : item->access.verdict == VMF_VERDICT_GRANT;
    if (!vmf_access_case_permitted(item) || item->access.verdict != VMF_VERDICT_DENY)
        return FALSE;
    return !item->folder || (item->access.missing & VMF_RIGHT_READ_DATA) != 0;
}

/* ---- words ---- */

gchar *
vmf_access_case_entry_name(const VmfAccessCase *item, guint index)
{
    gchar *name = vmf_descriptor_text_entry_name(item->listed->descriptor_names, index);
    if (name == NULL)
        name = vmf_descriptor_text_entry_name(item->listed->descriptor, index);
    return name ? name : g_strdup("");
}

/* Of all that is missing, what people ask about: data. */
static gchar *
missing_rights(const VmfAccess *access)
{
    guint32 data = access->missing &
                   (VMF_RIGHT_READ_DATA | VMF_RIGHT_WRITE_DATA | VMF_RIGHT_DELETE_CHILD);
    return vmf_access_rights_name(data ? data : access->missing);
}

gchar *
vmf_access_case_why(const VmfAccessCase *item)
{
    const VmfAccess *access = &item->access;
    const char *what = item->folder ? "folder" : "file";
    if (item->unread)
        return g_strdup(item->unread);
    g_autofree gchar *rights = missing_rights(access);
    if (access->reason == VMF_ACCESS_NO_ENTRY)
        return g_strdup_printf("no entry of the %s's ACL grants %s to %s or its groups", what,
                               rights, item->side.account);
    if (access->reason == VMF_ACCESS_READONLY)
        return g_strdup("the file has the attribute READONLY");
    g_autofree gchar *described = vmf_access_describe(item->sd, access);
    if (access->ace < 0 || access->reason == VMF_ACCESS_PARENT)
        return g_steal_pointer(&described);
    g_autofree gchar *name = vmf_access_case_entry_name(item, (guint)access->ace);
    guint32 mask = item->sd->dacl.aces[access->ace].mask;
    if (access->reason == VMF_ACCESS_DENIED_ENTRY)
        return g_strdup_printf("ace %d of the %s's ACL denies it: %s, 0x%08x", access->ace, what,
                               name, mask);
    if (access->reason == VMF_ACCESS_ENTRIES)
        return g_strdup_printf("ace %d of the %s's ACL grants it: %s, 0x%08x", access->ace, what,
                               name, mask);
    return g_strdup_printf("%s (%s)", described, name);
}

void
vmf_access_case_evidence(const VmfAccessCase *item, VmfFinding *finding)
{
    static const char *const answers[] = {"not tried", "ok", "held", "denied", "missing", "failed"};
    g_autofree gchar *desired = g_strdup_printf("0x%08x", item->desired);
    vmf_finding_text(finding, "desired", desired);
    vmf_finding_text(finding, "live", answers[item->live]);
    vmf_finding_text(finding, "static",
                     item->unread ? "unknown" : vmf_verdict_name(item->access.verdict));
    if (item->unread)
        return;
    g_autofree gchar *granted = g_strdup_printf("0x%08x", item->access.granted);
    vmf_finding_text(finding, "granted", granted);
    if (item->access.ace < 0)
        return;
    g_autofree gchar *name = vmf_access_case_entry_name(item, (guint)item->access.ace);
    g_autofree gchar *entry = vmf_ace_describe(&item->sd->dacl.aces[item->access.ace]);
    vmf_finding_number(finding, "ace", item->access.ace);
    vmf_finding_text(finding, "ace-text", entry);
    vmf_finding_text(finding, "ace-name", name);
}
