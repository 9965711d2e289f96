/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/fact-codec.h"

#include <string.h>

#define MEMBER(Type, fact, field) (*(Type *)G_STRUCT_MEMBER_P(fact, (field)->offset))
#define SHOWN_CHARACTERS          120

static void compare(const VmfFactShape *shape, gconstpointer then, gconstpointer now,
                    const char *path, GPtrArray *out);

static gchar *
shown(const char *text)
{
    if (g_utf8_strlen(text, -1) <= SHOWN_CHARACTERS)
        return g_strdup_printf("'%s'", text);
    g_autofree gchar *head = g_utf8_substring(text, 0, SHOWN_CHARACTERS);
    return g_strdup_printf("'%s...'", head);
}

static void
note(GPtrArray *out, const char *path, const char *then, const char *now)
{
    g_autofree gchar *was = shown(then), *is = shown(now);
    g_ptr_array_add(out, g_strdup_printf("%s was %s, is %s", path, was, is));
}

static gchar *
scalar_text(const VmfFactField *field, gconstpointer fact)
{
    switch (field->kind) {
    case VMF_FACT_FLAG:
        return g_strdup(MEMBER(const gboolean, fact, field) ? "yes" : "no");
    case VMF_FACT_NUMBER:
        return g_strdup_printf("%u", MEMBER(const guint, fact, field));
    case VMF_FACT_LARGE:
        return g_strdup_printf("%" G_GUINT64_FORMAT, MEMBER(const guint64, fact, field));
    case VMF_FACT_SIGNED:
        return g_strdup_printf("%" G_GINT64_FORMAT, MEMBER(const gint64, fact, field));
    case VMF_FACT_TEXT:
        return g_strdup(MEMBER(gchar *const, fact, field));
    case VMF_FACT_TEXTS:
        return g_strjoinv(", ", MEMBER(gchar * *const, fact, field));
    case VMF_FACT_WORD:
        return g_strdup(field->words[MEMBER(const guint, fact, field)]);
    case VMF_FACT_STRUCT:
    case VMF_FACT_LIST:
        break;
    }
    g_assert_not_reached();
}

static void
compare_lists(const VmfFactField *field, const GPtrArray *then, const GPtrArray *now,
              const char *path, GPtrArray *out)
{
    if (then->len != now->len) {
        g_ptr_array_add(out,
                        g_strdup_printf("%s had %u elements, has %u", path, then->len, now->len));
        return;
    }
    for (guint i = 0; i < then->len; i++) {
        g_autofree gchar *at = g_strdup_printf("%s[%u]", path, i);
        compare(field->shape, then->pdata[i], now->pdata[i], at, out);
    }
}

static void
compare_field(const VmfFactField *field, gconstpointer then, gconstpointer now, const char *path,
              GPtrArray *out)
{
    if (field->kind == VMF_FACT_STRUCT) {
        compare(field->shape, G_STRUCT_MEMBER_P(then, field->offset),
                G_STRUCT_MEMBER_P(now, field->offset), path, out);
        return;
    }
    if (field->kind == VMF_FACT_LIST) {
        compare_lists(field, MEMBER(GPtrArray *const, then, field),
                      MEMBER(GPtrArray *const, now, field), path, out);
        return;
    }
    g_autofree gchar *was = scalar_text(field, then), *is = scalar_text(field, now);
    if (strcmp(was, is) != 0)
        note(out, path, was, is);
}

static void
compare(const VmfFactShape *shape, gconstpointer then, gconstpointer now, const char *path,
        GPtrArray *out)
{
    for (guint i = 0; i < shape->n_fields; i++) {
        const VmfFactField *field = &shape->fields[i];
        g_autofree gchar *at = path[0] ? g_strdup_printf("%s.%s", path, field->name)
                                       : g_strdup(field->name);
        if (!field->fleeting)
            compare_field(field, then, now, at, out);
    }
}

GPtrArray *
vmf_fact_differences(const VmfFactShape *shape, gconstpointer then, gconstpointer now)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
    compare(shape, then, now, "", out);
    return out;
}
