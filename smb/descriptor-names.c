/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/descriptor-names.h"

#include <string.h>

/* Of "OWNER:who", "GROUP:who" or "ACL:who:type/flags/mask"; FALSE: nobody is named in it. */
static gboolean
find_who(const char *item, const char **who, gsize *length)
{
    gboolean entry = g_str_has_prefix(item, "ACL:");
    if (!entry && !g_str_has_prefix(item, "OWNER:") && !g_str_has_prefix(item, "GROUP:"))
        return FALSE;
    *who = strchr(item, ':') + 1;
    const char *end = entry ? strrchr(*who, ':') : *who + strlen(*who);
    *length = end != NULL ? (gsize)(end - *who) : 0;
    return *length > 0;
}

GHashTable *
vmf_descriptor_names_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

/* The same item but for who is named. */
static gboolean
is_same_but_who(const char *a, const char *who_a, gsize length_a, const char *b, const char *who_b,
                gsize length_b)
{
    return who_a - a == who_b - b && strncmp(a, b, (gsize)(who_a - a)) == 0 &&
           strcmp(who_a + length_a, who_b + length_b) == 0;
}

void
vmf_descriptor_names_learn(GHashTable *known, const char *sids, const char *names)
{
    g_auto(GStrv) numeric = g_strsplit(sids, ",", -1);
    g_auto(GStrv) named = g_strsplit(names, ",", -1);
    if (g_strv_length(numeric) != g_strv_length(named))
        return;
    for (guint i = 0; numeric[i] != NULL; i++) {
        const char *sid, *name;
        gsize sid_length, name_length;
        if (find_who(numeric[i], &sid, &sid_length) && find_who(named[i], &name, &name_length) &&
            is_same_but_who(numeric[i], sid, sid_length, named[i], name, name_length))
            g_hash_table_replace(known, g_strndup(sid, sid_length), g_strndup(name, name_length));
    }
}

gchar *
vmf_descriptor_names_write(GHashTable *known, const char *sids)
{
    g_auto(GStrv) items = g_strsplit(sids, ",", -1);
    for (guint i = 0; items[i] != NULL; i++) {
        const char *who;
        gsize length;
        if (!find_who(items[i], &who, &length))
            continue;
        g_autofree gchar *sid = g_strndup(who, length);
        const char *name = g_hash_table_lookup(known, sid);
        if (name == NULL)
            return NULL;
        gchar *fresh = g_strdup_printf("%.*s%s%s", (int)(who - items[i]), items[i], name,
                                       who + length);
        g_free(items[i]);
        items[i] = fresh;
    }
    return g_strjoinv(",", items);
}
