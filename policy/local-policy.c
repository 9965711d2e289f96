/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/local-policy-private.h"

#include <string.h>

#include "src/base/error.h"

typedef enum { KEY_STRING, KEY_PATH, KEY_NUMBER, KEY_SHARES, KEY_PATHS, KEY_NAMES } KeyKind;

typedef struct {
    const char *group, *key;
    KeyKind kind;
    gsize offset;
    guint64 min, max, fallback; /* numbers */
    const char *text;           /* default of strings and paths; NULL: none, and required */
} KeyRow;

#define AT(member) G_STRUCT_OFFSET(VmfLocalPolicy, member)

static const KeyRow rows[] = {
    {"vmferry", "group", KEY_STRING, AT(group)},
    {"vmferry", "port", KEY_NUMBER, AT(port), 1, G_MAXUINT16, 16016},
    {"vmferry", "keytab", KEY_PATH, AT(keytab), .text = "/etc/krb5.keytab"},
    {"vmferry", "disk-user", KEY_STRING, AT(disk_user), .text = "vmferry-disk"},
    {"shares", "allow", KEY_SHARES, AT(shares)},
    {"guests", "kernels", KEY_PATHS, AT(kernels)},
    {"libvirt", "socket", KEY_PATH, AT(libvirt_socket), .text = "/run/libvirt/libvirt-sock"},
    {"libvirt", "qemu-user", KEY_STRING, AT(qemu_user), .text = "libvirt-qemu"},
    {"migration", "max-downtime-ms", KEY_NUMBER, AT(max_downtime_ms), 1, 60000, 50},
    {"migration", "bandwidth-mib", KEY_NUMBER, AT(bandwidth_mib), 0, 1000000, 0},
    {"migration", "parallel-jobs", KEY_NUMBER, AT(parallel_jobs), 1, 64, 2},
    {"networks", "allow", KEY_NAMES, AT(networks)},
    {"limits", "memory-reserve-mib", KEY_NUMBER, AT(memory_reserve_mib), 0, 1 << 20, 256},
    {"limits", "min-speed-mbit", KEY_NUMBER, AT(min_speed_mbit), 0, 1000000, 1000},
};

static gboolean
bad_value(const char *name, const KeyRow *row, const char *why, GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "%s: [%s] %s: %s", name, row->group, row->key,
                why);
    return FALSE;
}

void
vmf_share_rule_free(gpointer data)
{
    VmfShareRule *rule = data;
    g_free(rule->server);
    g_free(rule->share);
    g_free(rule);
}

/* "//server/share", one slash at the end forgiven. */
VmfShareRule *
vmf_share_rule_parse(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", -1);
    guint n = g_strv_length(parts);
    if (n == 5 && parts[4][0] == '\0')
        n = 4;
    if (n != 4 || parts[0][0] || parts[1][0] || !parts[2][0] || !parts[3][0] ||
        strpbrk(text, "*?\\:@") != NULL)
        return NULL;
    VmfShareRule *rule = g_new0(VmfShareRule, 1);
    rule->server = g_ascii_strdown(parts[2], -1);
    rule->share = g_utf8_strdown(parts[3], -1);
    return rule;
}

static gboolean
read_shares(GKeyFile *file, const char *name, const KeyRow *row, VmfLocalPolicy *policy,
            GError **error)
{
    g_auto(GStrv) list = g_key_file_get_string_list(file, row->group, row->key, NULL, NULL);
    for (gsize i = 0; list && list[i]; i++) {
        VmfShareRule *rule = vmf_share_rule_parse(g_strstrip(list[i]));
        if (rule == NULL) {
            g_autofree gchar *why = g_strdup_printf("'%s' is no share; write //server.domain/share",
                                                    list[i]);
            return bad_value(name, row, why, error);
        }
        g_ptr_array_add(policy->shares, rule);
    }
    return TRUE;
}

static gboolean
read_paths(GKeyFile *file, const char *name, const KeyRow *row, gchar ***list, GError **error)
{
    *list = g_key_file_get_string_list(file, row->group, row->key, NULL, NULL);
    if (*list == NULL)
        *list = g_new0(gchar *, 1);
    for (gsize i = 0; (*list)[i]; i++)
        if (!g_path_is_absolute(g_strstrip((*list)[i])) || strstr((*list)[i], "/../"))
            return bad_value(name, row, "each path must be absolute, without '..'", error);
    return TRUE;
}

static gboolean
read_names(GKeyFile *file, const char *name, const KeyRow *row, gchar ***list, GError **error)
{
    *list = g_key_file_get_string_list(file, row->group, row->key, NULL, NULL);
    if (*list == NULL)
        *list = g_new0(gchar *, 1);
    for (gsize i = 0; (*list)[i]; i++)
        if (g_strstrip((*list)[i])[0] == '\0')
            return bad_value(name, row, "has an empty name", error);
    return TRUE;
}

static gboolean
read_number(GKeyFile *file, const char *name, const KeyRow *row, guint64 *value, GError **error)
{
    *value = row->fallback;
    g_autofree gchar *text = g_key_file_get_string(file, row->group, row->key, NULL);
    if (text == NULL || g_ascii_string_to_unsigned(text, 10, row->min, row->max, value, NULL))
        return TRUE;
    g_autofree gchar *why = g_strdup_printf("'%s' is no number from %" G_GUINT64_FORMAT
                                            " to %" G_GUINT64_FORMAT,
                                            text, row->min, row->max);
    return bad_value(name, row, why, error);
}

static gboolean
read_text(GKeyFile *file, const char *name, const KeyRow *row, gchar **value, GError **error)
{
    *value = g_key_file_get_string(file, row->group, row->key, NULL);
    if (*value == NULL && row->text == NULL)
        return bad_value(name, row,
                         "is missing; it names the AD group whose members may exchange VMs", error);
    if (*value == NULL)
        *value = g_strdup(row->text);
    if (g_strstrip(*value)[0] == '\0')
        return bad_value(name, row, "is empty", error);
    if (row->kind == KEY_PATH && !g_path_is_absolute(*value))
        return bad_value(name, row, "must be an absolute path", error);
    return TRUE;
}

static gboolean
read_row(GKeyFile *file, const char *name, const KeyRow *row, VmfLocalPolicy *policy,
         GError **error)
{
    gpointer member = G_STRUCT_MEMBER_P(policy, row->offset);
    guint64 number;
    switch (row->kind) {
    case KEY_STRING:
    case KEY_PATH:
        return read_text(file, name, row, member, error);
    case KEY_PATHS:
        return read_paths(file, name, row, member, error);
    case KEY_NAMES:
        return read_names(file, name, row, member, error);
    case KEY_SHARES:
        return read_shares(file, name, row, policy, error);
    case KEY_NUMBER:
        if (!read_number(file, name, row, &number, error))
            return FALSE;
        if (row->offset == AT(port))
            policy->port = (guint16)number;
        else
            *(guint *)member = (guint)number;
        return TRUE;
    }
    g_assert_not_reached();
}

static gboolean
is_known(const char *group, const char *key)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strcmp(rows[i].group, group) == 0 && (key == NULL || strcmp(rows[i].key, key) == 0))
            return TRUE;
    return FALSE;
}

static gboolean
refuse_unknown(GKeyFile *file, const char *name, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (gsize g = 0; groups[g]; g++) {
        if (vmf_policy_terms_group(groups[g]))
            continue;
        g_auto(GStrv) keys = g_key_file_get_keys(file, groups[g], NULL, NULL);
        if (!is_known(groups[g], NULL)) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "%s: unknown group [%s]", name,
                        groups[g]);
            return FALSE;
        }
        for (gsize k = 0; keys && keys[k]; k++)
            if (!is_known(groups[g], keys[k])) {
                g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "%s: [%s] has no key '%s'", name,
                            groups[g], keys[k]);
                return FALSE;
            }
    }
    return TRUE;
}

VmfLocalPolicy *
vmf_local_policy_parse(const char *text, gsize size, const char *name, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) local = NULL;
    if (!g_key_file_load_from_data(file, text, size, G_KEY_FILE_NONE, &local)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "%s: %s", name, local->message);
        return NULL;
    }
    if (!refuse_unknown(file, name, error))
        return NULL;

    g_autoptr(VmfLocalPolicy) policy = g_new0(VmfLocalPolicy, 1);
    policy->shares = g_ptr_array_new_with_free_func(vmf_share_rule_free);
    policy->checks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!read_row(file, name, &rows[i], policy, error))
            return NULL;
    if (!vmf_policy_read_terms(file, name, policy, error))
        return NULL;
    return g_steal_pointer(&policy);
}

void
vmf_local_policy_free(VmfLocalPolicy *policy)
{
    if (policy == NULL)
        return;
    g_free(policy->group);
    g_clear_pointer(&policy->shares, g_ptr_array_unref);
    g_clear_pointer(&policy->checks, g_hash_table_unref);
    g_strfreev(policy->kernels);
    g_strfreev(policy->networks);
    g_free(policy->disk_user);
    g_free(policy->qemu_user);
    g_free(policy->keytab);
    g_free(policy->libvirt_socket);
    g_free(policy);
}

const VmfShareRule *
vmf_local_policy_share(const VmfLocalPolicy *policy, const char *server, const char *share)
{
    g_autofree gchar *low_server = g_ascii_strdown(server, -1);
    g_autofree gchar *low_share = g_utf8_strdown(share, -1);
    for (guint i = 0; i < policy->shares->len; i++) {
        const VmfShareRule *rule = policy->shares->pdata[i];
        if (strcmp(rule->server, low_server) == 0 && strcmp(rule->share, low_share) == 0)
            return rule;
    }
    return NULL;
}

gboolean
vmf_local_policy_judge_share(const VmfLocalPolicy *policy, const char *server, const char *share,
                             const char *url, GError **error)
{
    if (vmf_local_policy_share(policy, server, share) != NULL)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                "'%s' lies on //%s/%s, which is not among the allowed shares of %s; if VMs may "
                "lie there, add it: [shares] allow=...;//%s/%s",
                url, server, share, VMF_LOCAL_POLICY_FILE, server, share);
    return FALSE;
}
