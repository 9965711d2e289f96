/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * Structs that travel: one table of fields per struct, and by it a{sv} and back.
 *
 * A field is a member of the struct with a name and a kind. Members of the kinds TEXT, TEXTS and
 * LIST are owned by the struct and never NULL (vmf_fact_new() sees to it); an empty text is "".
 * Reading is strict: each field must be there, of its type, and no other; counts and lengths are
 * bounded. So two hosts that disagree about the format find out by the field's name, not by a
 * wrong verdict.
 *
 * "Not known": a struct whose gathering can fail has a text `reason`. "" means that the other
 * members are facts; any other text says why they are not known, and they must then not be looked
 * at. A check that rests on them becomes "unknown" with that reason.
 */

typedef enum {
    VMF_FACT_FLAG,   /* gboolean            b */
    VMF_FACT_NUMBER, /* guint               u */
    VMF_FACT_LARGE,  /* guint64             t   up to G_MAXINT64: JSON has no more */
    VMF_FACT_SIGNED, /* gint64              x */
    VMF_FACT_TEXT,   /* gchar *             s */
    VMF_FACT_TEXTS,  /* gchar **            as */
    VMF_FACT_WORD,   /* an enum from 0 on   s   one of ->words */
    VMF_FACT_STRUCT, /* the struct itself   a{sv} */
    VMF_FACT_LIST,   /* GPtrArray * of struct *   aa{sv} */
} VmfFactKind;

typedef struct VmfFactShape VmfFactShape;

/**
 * VmfFactField - a row of a struct's table
 * @fleeting: differs from one moment to the next without meaning anything (free memory, clocks);
 *            vmf_fact_differences() does not look at it
 * @shape:    of STRUCT and of LIST's elements
 * @words:    of WORD: NULL-terminated, by enum value
 */
typedef struct {
    const char *name;
    VmfFactKind kind;
    gsize offset;
    gboolean fleeting;
    const VmfFactShape *shape;
    const char *const *words;
} VmfFactField;

struct VmfFactShape {
    const char *name; /* "file", for messages */
    gsize size;
    const VmfFactField *fields;
    guint n_fields;
};

#define VMF_FACT_LIST_MAX 20000       /* elements of a list */
#define VMF_FACT_TEXT_MAX (64 * 1024) /* bytes of a text */

/** vmf_fact_new() - zeros, empty texts, empty lists */
gpointer vmf_fact_new(const VmfFactShape *shape);
void vmf_fact_free(const VmfFactShape *shape, gpointer fact);
/** vmf_fact_init(), vmf_fact_clear() - for a struct that lives in another or on the stack */
void vmf_fact_init(const VmfFactShape *shape, gpointer fact);
void vmf_fact_clear(const VmfFactShape *shape, gpointer fact);

/** vmf_fact_set() - free the old text of a TEXT member, copy @text (NULL: "") into it */
void vmf_fact_set(gchar **member, const char *text);
void vmf_fact_printf(gchar **member, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** vmf_fact_to_variant() - Returns: (transfer floating): a{sv} with every field */
GVariant *vmf_fact_to_variant(const VmfFactShape *shape, gconstpointer fact);

/**
 * vmf_fact_from_variant() - the reverse
 *
 * Returns: (transfer full): to be freed with vmf_fact_free(), or %NULL with VMF_ERROR_PROTOCOL: a
 *   field is missing, unknown, twice, mistyped or over a limit; named with its path.
 */
gpointer vmf_fact_from_variant(const VmfFactShape *shape, GVariant *dict, GError **error);

/**
 * vmf_fact_from_json_variant() - like vmf_fact_from_variant(), for what json_gvariant_deserialize()
 *   makes of such a dictionary: all numbers are x, all lists av. As strict otherwise.
 */
gpointer vmf_fact_from_json_variant(const VmfFactShape *shape, GVariant *dict, GError **error);

/**
 * vmf_fact_differences() - what changed between two gatherings
 *
 * Returns: (transfer full) (element-type utf8): a line for each steady field that differs, by its
 *   path: "destination.host.machine.cpu-model was 'EPYC', is 'Cascadelake'". Empty: nothing.
 */
GPtrArray *vmf_fact_differences(const VmfFactShape *shape, gconstpointer then, gconstpointer now);
