/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/fact-codec.h"

#include <string.h>

#define MEMBER(Type, fact, field) (*(Type *)G_STRUCT_MEMBER_P(fact, (field)->offset))

/* ---- life ---- */

static void
list_free_element(gpointer fact, gpointer shape)
{
    vmf_fact_free(shape, fact);
}

static void
list_free(GPtrArray *list, const VmfFactShape *shape)
{
    if (list == NULL)
        return;
    g_ptr_array_foreach(list, list_free_element, (gpointer)shape);
    g_ptr_array_unref(list);
}

void
vmf_fact_init(const VmfFactShape *shape, gpointer fact)
{
    memset(fact, 0, shape->size);
    for (guint i = 0; i < shape->n_fields; i++) {
        const VmfFactField *field = &shape->fields[i];
        if (field->kind == VMF_FACT_TEXT)
            MEMBER(gchar *, fact, field) = g_strdup("");
        else if (field->kind == VMF_FACT_TEXTS)
            MEMBER(gchar **, fact, field) = g_new0(gchar *, 1);
        else if (field->kind == VMF_FACT_LIST)
            MEMBER(GPtrArray *, fact, field) = g_ptr_array_new();
        else if (field->kind == VMF_FACT_STRUCT)
            vmf_fact_init(field->shape, G_STRUCT_MEMBER_P(fact, field->offset));
    }
}

void
vmf_fact_clear(const VmfFactShape *shape, gpointer fact)
{
    for (guint i = 0; i < shape->n_fields; i++) {
        const VmfFactField *field = &shape->fields[i];
        if (field->kind == VMF_FACT_TEXT)
            g_clear_pointer(&MEMBER(gchar *, fact, field), g_free);
        else if (field->kind == VMF_FACT_TEXTS)
            g_clear_pointer(&MEMBER(gchar **, fact, field), g_strfreev);
        else if (field->kind == VMF_FACT_LIST)
            list_free(g_steal_pointer(&MEMBER(GPtrArray *, fact, field)), field->shape);
        else if (field->kind == VMF_FACT_STRUCT)
            vmf_fact_clear(field->shape, G_STRUCT_MEMBER_P(fact, field->offset));
    }
}

gpointer
vmf_fact_new(const VmfFactShape *shape)
{
    gpointer fact = g_malloc(shape->size);
    vmf_fact_init(shape, fact);
    return fact;
}

void
vmf_fact_free(const VmfFactShape *shape, gpointer fact)
{
    if (fact == NULL)
        return;
    vmf_fact_clear(shape, fact);
    g_free(fact);
}

void
vmf_fact_set(gchar **member, const char *text)
{
    gchar *copy = g_strdup(text ? text : "");
    g_free(*member);
    *member = copy;
}

void
vmf_fact_printf(gchar **member, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    gchar *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_free(*member);
    *member = text;
}

/* ---- writing ---- */

/* What libraries hand over as text need not be UTF-8, and a GVariant must. */
static GVariant *
text_to_variant(const char *text)
{
    if (text && g_utf8_validate(text, -1, NULL))
        return g_variant_new_string(text);
    return g_variant_new_take_string(g_utf8_make_valid(text ? text : "", -1));
}

static GVariant *
texts_to_variant(gchar *const *texts)
{
    GVariantBuilder out;
    g_variant_builder_init(&out, G_VARIANT_TYPE_STRING_ARRAY);
    for (; texts && *texts; texts++)
        g_variant_builder_add_value(&out, text_to_variant(*texts));
    return g_variant_builder_end(&out);
}

static GVariant *
list_to_variant(const VmfFactShape *shape, const GPtrArray *list)
{
    GVariantBuilder out;
    g_variant_builder_init(&out, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < list->len; i++)
        g_variant_builder_add_value(&out, vmf_fact_to_variant(shape, list->pdata[i]));
    return g_variant_builder_end(&out);
}

static const char *
word_of(const VmfFactField *field, gconstpointer fact)
{
    guint value = MEMBER(const guint, fact, field);
    g_assert(value < g_strv_length((gchar **)field->words));
    return field->words[value];
}

static GVariant *
field_to_variant(const VmfFactField *field, gconstpointer fact)
{
    switch (field->kind) {
    case VMF_FACT_FLAG:
        return g_variant_new_boolean(MEMBER(const gboolean, fact, field));
    case VMF_FACT_NUMBER:
        return g_variant_new_uint32(MEMBER(const guint, fact, field));
    case VMF_FACT_LARGE:
        return g_variant_new_uint64(MIN(MEMBER(const guint64, fact, field), (guint64)G_MAXINT64));
    case VMF_FACT_SIGNED:
        return g_variant_new_int64(MEMBER(const gint64, fact, field));
    case VMF_FACT_TEXT:
        return text_to_variant(MEMBER(gchar *const, fact, field));
    case VMF_FACT_TEXTS:
        return texts_to_variant(MEMBER(gchar * *const, fact, field));
    case VMF_FACT_WORD:
        return g_variant_new_string(word_of(field, fact));
    case VMF_FACT_STRUCT:
        return vmf_fact_to_variant(field->shape, G_STRUCT_MEMBER_P(fact, field->offset));
    case VMF_FACT_LIST:
        return list_to_variant(field->shape, MEMBER(GPtrArray *const, fact, field));
    }
    g_assert_not_reached();
}

GVariant *
vmf_fact_to_variant(const VmfFactShape *shape, gconstpointer fact)
{
    GVariantBuilder out;
    g_variant_builder_init(&out, G_VARIANT_TYPE_VARDICT);
    for (guint i = 0; i < shape->n_fields; i++)
        g_variant_builder_add(&out, "{sv}", shape->fields[i].name,
                              field_to_variant(&shape->fields[i], fact));
    return g_variant_builder_end(&out);
}
