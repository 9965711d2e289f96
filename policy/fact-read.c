/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/fact-codec.h"

#include <string.h>

#include "src/base/error.h"
#include "src/base/text.h"

#define MEMBER(Type, fact, field) (*(Type *)G_STRUCT_MEMBER_P(fact, (field)->offset))

/* Where the reader is, for messages: a chain on the stack. */
typedef struct Path {
    const struct Path *above;
    const char *name;
    gint index; /* in a list; -1: not in one */
} Path;

typedef struct {
    gboolean json;
    GError **error;
} Reader;

static void
append_path(GString *out, const Path *path)
{
    if (path == NULL)
        return;
    append_path(out, path->above);
    if (path->index >= 0)
        g_string_append_printf(out, "[%d]", path->index);
    else
        g_string_append_printf(out, "%s%s", out->len ? "." : "", path->name);
}

static gboolean fail(Reader *reader, const Path *path, const char *format, ...) G_GNUC_PRINTF(3, 4);

static gboolean
fail(Reader *reader, const Path *path, const char *format, ...)
{
    g_autoptr(GString) where = g_string_new(NULL);
    append_path(where, path);
    va_list args;
    va_start(args, format);
    g_autofree gchar *why = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(reader->error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "facts: '%s' %s; both hosts must run the same version of vmferry", where->str, why);
    return FALSE;
}

static gboolean read_struct(Reader *reader, const VmfFactShape *shape, const Path *path,
                            GVariant *dict, gpointer fact);

static gboolean
is_text(const char *text)
{
    return strlen(text) <= VMF_FACT_TEXT_MAX;
}

static gboolean
must_be(Reader *reader, const Path *path, GVariant *value, const char *type)
{
    if (g_variant_is_of_type(value, G_VARIANT_TYPE(type)))
        return TRUE;
    return fail(reader, path, "is of type '%s', not '%s'", g_variant_get_type_string(value), type);
}

static gboolean
read_integer(Reader *reader, const VmfFactField *field, const Path *path, GVariant *value,
             gpointer fact)
{
    gboolean small = field->kind == VMF_FACT_NUMBER, is_signed = field->kind == VMF_FACT_SIGNED;
    const char *type = reader->json || is_signed ? "x" : small ? "u" : "t";
    if (!must_be(reader, path, value, type))
        return FALSE;
    gint64 number;
    if (type[0] == 'u')
        number = g_variant_get_uint32(value);
    else if (type[0] == 't')
        number = (gint64)MIN(g_variant_get_uint64(value), (guint64)G_MAXINT64);
    else
        number = g_variant_get_int64(value);
    if ((!is_signed && number < 0) || (small && number > G_MAXUINT32))
        return fail(reader, path, "is out of range");
    if (type[0] == 't' && g_variant_get_uint64(value) > (guint64)G_MAXINT64)
        return fail(reader, path, "is out of range");
    if (small)
        MEMBER(guint, fact, field) = (guint)number;
    else if (is_signed)
        MEMBER(gint64, fact, field) = number;
    else
        MEMBER(guint64, fact, field) = (guint64)number;
    return TRUE;
}

static gboolean
read_text(Reader *reader, const Path *path, GVariant *value, gchar **text)
{
    if (!must_be(reader, path, value, "s"))
        return FALSE;
    if (!is_text(g_variant_get_string(value, NULL)))
        return fail(reader, path, "is longer than %d bytes", VMF_FACT_TEXT_MAX);
    vmf_fact_set(text, g_variant_get_string(value, NULL));
    return TRUE;
}

/* Element of a list; in JSON's variants each is boxed. */
static GVariant *
element(Reader *reader, GVariant *list, gsize index)
{
    GVariant *value = g_variant_get_child_value(list, index);
    if (!reader->json)
        return value;
    GVariant *inner = g_variant_get_variant(value);
    g_variant_unref(value);
    return inner;
}

static gboolean
read_list_type(Reader *reader, const Path *path, GVariant *value, const char *type)
{
    if (!must_be(reader, path, value, reader->json ? "av" : type))
        return FALSE;
    if (g_variant_n_children(value) > VMF_FACT_LIST_MAX)
        return fail(reader, path, "has more than %d elements", VMF_FACT_LIST_MAX);
    return TRUE;
}

static gboolean
read_texts(Reader *reader, const Path *path, GVariant *value, gchar ***texts)
{
    if (!read_list_type(reader, path, value, "as"))
        return FALSE;
    gsize n = g_variant_n_children(value);
    g_auto(GStrv) list = g_new0(gchar *, n + 1);
    for (gsize i = 0; i < n; i++) {
        Path at = {path, NULL, (gint)i};
        g_autoptr(GVariant) item = element(reader, value, i);
        if (!read_text(reader, &at, item, &list[i]))
            return FALSE;
    }
    g_strfreev(*texts);
    *texts = g_steal_pointer(&list);
    return TRUE;
}

static gboolean
read_list(Reader *reader, const VmfFactShape *shape, const Path *path, GVariant *value,
          GPtrArray *list)
{
    if (!read_list_type(reader, path, value, "aa{sv}"))
        return FALSE;
    for (gsize i = 0; i < g_variant_n_children(value); i++) {
        Path at = {path, NULL, (gint)i};
        g_autoptr(GVariant) item = element(reader, value, i);
        gpointer fact = vmf_fact_new(shape);
        g_ptr_array_add(list, fact);
        if (!read_struct(reader, shape, &at, item, fact))
            return FALSE;
    }
    return TRUE;
}

static gboolean
read_word(Reader *reader, const VmfFactField *field, const Path *path, GVariant *value,
          gpointer fact)
{
    if (!must_be(reader, path, value, "s"))
        return FALSE;
    const char *word = g_variant_get_string(value, NULL);
    for (guint i = 0; field->words[i]; i++)
        if (strcmp(field->words[i], word) == 0) {
            MEMBER(guint, fact, field) = i;
            return TRUE;
        }
    return fail(reader, path, "is the unknown word '%.*s'", vmf_text_head(word, 40), word);
}

static gboolean
read_field(Reader *reader, const VmfFactField *field, const Path *path, GVariant *value,
           gpointer fact)
{
    gpointer member = G_STRUCT_MEMBER_P(fact, field->offset);
    switch (field->kind) {
    case VMF_FACT_FLAG:
        if (!must_be(reader, path, value, "b"))
            return FALSE;
        *(gboolean *)member = g_variant_get_boolean(value);
        return TRUE;
    case VMF_FACT_NUMBER:
    case VMF_FACT_LARGE:
    case VMF_FACT_SIGNED:
        return read_integer(reader, field, path, value, fact);
    case VMF_FACT_TEXT:
        return read_text(reader, path, value, member);
    case VMF_FACT_TEXTS:
        return read_texts(reader, path, value, member);
    case VMF_FACT_WORD:
        return read_word(reader, field, path, value, fact);
    case VMF_FACT_STRUCT:
        return read_struct(reader, field->shape, path, value, member);
    case VMF_FACT_LIST:
        return read_list(reader, field->shape, path, value, *(GPtrArray **)member);
    }
    g_assert_not_reached();
}

static gint
find_field(const VmfFactShape *shape, const char *name)
{
    for (guint i = 0; i < shape->n_fields; i++)
        if (strcmp(shape->fields[i].name, name) == 0)
            return (gint)i;
    return -1;
}

static gboolean
read_struct(Reader *reader, const VmfFactShape *shape, const Path *path, GVariant *dict,
            gpointer fact)
{
    GVariantIter iter;
    const char *name;
    GVariant *value;
    guint64 seen = 0;
    g_assert(shape->n_fields < 64);
    if (!must_be(reader, path, dict, "a{sv}"))
        return FALSE;
    g_variant_iter_init(&iter, dict);
    while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
        g_autoptr(GVariant) owned G_GNUC_UNUSED = value;
        Path at = {path, name, -1};
        gint index = find_field(shape, name);
        if (index < 0)
            return fail(reader, &at, "is not a field of '%s'", shape->name);
        if (seen & (G_GUINT64_CONSTANT(1) << index))
            return fail(reader, &at, "is there twice");
        seen |= G_GUINT64_CONSTANT(1) << index;
        if (!read_field(reader, &shape->fields[index], &at, value, fact))
            return FALSE;
    }
    for (guint i = 0; i < shape->n_fields; i++) {
        Path at = {path, shape->fields[i].name, -1};
        if (!(seen & (G_GUINT64_CONSTANT(1) << i)))
            return fail(reader, &at, "is missing");
    }
    return TRUE;
}

static gpointer
read_whole(const VmfFactShape *shape, GVariant *dict, gboolean json, GError **error)
{
    Reader reader = {json, error};
    Path path = {NULL, shape->name, -1};
    gpointer fact = vmf_fact_new(shape);
    if (read_struct(&reader, shape, &path, dict, fact))
        return fact;
    vmf_fact_free(shape, fact);
    return NULL;
}

gpointer
vmf_fact_from_variant(const VmfFactShape *shape, GVariant *dict, GError **error)
{
    return read_whole(shape, dict, FALSE, error);
}

gpointer
vmf_fact_from_json_variant(const VmfFactShape *shape, GVariant *dict, GError **error)
{
    return read_whole(shape, dict, TRUE, error);
}
