/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/local-policy-private.h"

#include <string.h>

#include "policy/catalogue.h"
#include "src/base/error.h"

#define SHARE_GROUP "share "

gboolean
vmf_policy_terms_group(const char *group)
{
    return strcmp(group, "checks") == 0 || g_str_has_prefix(group, SHARE_GROUP);
}

static gboolean
bad(const char *name, const char *group, const char *key, GError **error, const char *why)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "%s: [%s]%s%s: %s", name, group, key ? " " : "",
                key ? key : "", why);
    return FALSE;
}

/* The index of @text in @words, or -1. */
static gint
word_index(const char *const *words, const char *text)
{
    for (gint i = 0; words[i]; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    return -1;
}

/* ---- [share //server/share] ---- */

static const char *const encryption_words[] = {"require", "prefer", NULL};
static const char *const durable_words[] = {"", "yes", "no", NULL};
G_STATIC_ASSERT(G_N_ELEMENTS(encryption_words) == VMF_ENCRYPTION_PREFER + 2);
G_STATIC_ASSERT(G_N_ELEMENTS(durable_words) == VMF_STATED_NO + 2);

static gboolean
read_share_key(const char *key, const char *text, VmfShareRule *rule, const char **why)
{
    guint64 seconds = 0;
    gint word;
    *why = "is not known";
    if (strcmp(key, "encryption") == 0) {
        *why = "must be 'require' or 'prefer'";
        word = word_index(encryption_words, text);
        rule->encryption = (VmfEncryptionRule)MAX(word, 0);
        return word >= 0;
    }
    if (strcmp(key, "durable") == 0) {
        *why = "must be 'yes' or 'no'";
        word = word_index(durable_words, text);
        rule->durable = (VmfStatement)MAX(word, 0);
        return word > 0;
    }
    guint *number = strcmp(key, "dead-client-seconds") == 0  ? &rule->dead_client_seconds
                    : strcmp(key, "quarantine-seconds") == 0 ? &rule->quarantine_seconds
                                                             : NULL;
    if (number == NULL)
        return FALSE;
    *why = "must be a number of seconds from 1 to 86400";
    gboolean ok = g_ascii_string_to_unsigned(text, 10, 1, 86400, &seconds, NULL);
    *number = (guint)seconds;
    return ok;
}

static VmfShareRule *
rule_of_group(const VmfLocalPolicy *policy, const char *group)
{
    VmfShareRule *named = vmf_share_rule_parse(group + strlen(SHARE_GROUP)), *rule = NULL;
    for (guint i = 0; named && !rule && i < policy->shares->len; i++) {
        VmfShareRule *candidate = policy->shares->pdata[i];
        if (strcmp(candidate->server, named->server) == 0 &&
            strcmp(candidate->share, named->share) == 0)
            rule = candidate;
    }
    if (named)
        vmf_share_rule_free(named);
    return rule;
}

static gboolean
read_share_group(GKeyFile *file, const char *name, const char *group, VmfLocalPolicy *policy,
                 GError **error)
{
    VmfShareRule *rule = rule_of_group(policy, group);
    if (rule == NULL)
        return bad(name, group, NULL, error,
                   "is no share of [shares] allow; write [share //server.domain/share]");
    g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);
    for (gsize i = 0; keys && keys[i]; i++) {
        const char *why;
        g_autofree gchar *text = g_key_file_get_string(file, group, keys[i], NULL);
        if (text == NULL || !read_share_key(keys[i], g_strstrip(text), rule, &why))
            return bad(name, group, keys[i], error, text ? why : "is not UTF-8");
    }
    return TRUE;
}

/* ---- [checks] ---- */

static const char *const check_words[] = {"", "warn", "block", NULL};
G_STATIC_ASSERT(G_N_ELEMENTS(check_words) == VMF_CHECK_BLOCK + 2);

static gboolean
read_checks(GKeyFile *file, const char *name, VmfLocalPolicy *policy, GError **error)
{
    g_auto(GStrv) keys = g_key_file_get_keys(file, "checks", NULL, NULL);
    for (gsize i = 0; keys && keys[i]; i++) {
        g_autofree gchar *text = g_key_file_get_string(file, "checks", keys[i], NULL);
        gint rule = text ? word_index(check_words, g_strstrip(text)) : -1;
        gboolean unknown = strcmp(keys[i], "unknown") == 0;
        if (!unknown && vmf_catalogue_find(keys[i]) == NULL)
            return bad(name, "checks", keys[i], error,
                       "is no check; 'vmferry check --help' lists them");
        if (rule <= 0)
            return bad(name, "checks", keys[i], error, "must be 'warn' or 'block'");
        if (unknown)
            policy->unknown_warns = rule == VMF_CHECK_WARN;
        else
            g_hash_table_insert(policy->checks, g_strdup(keys[i]), GINT_TO_POINTER(rule));
    }
    return TRUE;
}

gboolean
vmf_policy_read_terms(GKeyFile *file, const char *name, VmfLocalPolicy *policy, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (gsize i = 0; groups[i]; i++)
        if (g_str_has_prefix(groups[i], SHARE_GROUP) &&
            !read_share_group(file, name, groups[i], policy, error))
            return FALSE;
    return read_checks(file, name, policy, error);
}

VmfResult
vmf_local_policy_weigh(const VmfLocalPolicy *policy, const char *id, VmfResult judged)
{
    VmfCheckRule rule = GPOINTER_TO_INT(g_hash_table_lookup(policy->checks, id));
    switch (judged) {
    case VMF_RESULT_PASS:
    case VMF_RESULT_NOT_APPLICABLE:
        return judged;
    case VMF_RESULT_WARN:
        return rule == VMF_CHECK_BLOCK ? VMF_RESULT_FAIL : VMF_RESULT_WARN;
    case VMF_RESULT_FAIL:
        return rule == VMF_CHECK_WARN ? VMF_RESULT_WARN : VMF_RESULT_FAIL;
    case VMF_RESULT_UNKNOWN:
        if (rule == VMF_CHECK_WARN || (policy->unknown_warns && rule != VMF_CHECK_BLOCK))
            return VMF_RESULT_WARN;
        return VMF_RESULT_UNKNOWN;
    }
    g_assert_not_reached();
}
