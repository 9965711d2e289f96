/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Both of the file server's texts of a descriptor, a line each: what was learned of them writes the same
 * text again, with the names in their places and the rest as it was. A third line is one that was not
 * learned of.
 */
#include "smb/descriptor-names.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static guint
items(const char *text)
{
    g_auto(GStrv) list = g_strsplit(text, ",", -1);
    return g_strv_length(list);
}

/* What is written with names teaches the same names. */
static void
check_written(GHashTable *known, const char *sids)
{
    g_autofree gchar *written = vmf_descriptor_names_write(known, sids);
    if (written == NULL)
        return;
    g_assert_cmpuint(items(written), ==, items(sids));
    g_autoptr(GHashTable) fresh = vmf_descriptor_names_new();
    vmf_descriptor_names_learn(fresh, sids, written);
    g_autofree gchar *again = vmf_descriptor_names_write(fresh, sids);
    g_assert_cmpstr(again, ==, written);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    g_autofree gchar *text = g_strndup(size ? (const gchar *)data : "", size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", 3);
    if (g_strv_length(lines) < 2)
        return 0;
    g_autoptr(GHashTable) known = vmf_descriptor_names_new();
    vmf_descriptor_names_learn(known, lines[0], lines[1]);
    g_assert_cmpuint(g_hash_table_size(known), <=, items(lines[0]));
    check_written(known, lines[0]);
    if (lines[2])
        check_written(known, lines[2]);
    return 0;
}
