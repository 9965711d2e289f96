/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <json-glib/json-glib.h>

#include "policy/access-batch.h"
#include "policy/sddl.h"

/*
 * Descriptors that Windows wrote: SDDL and the bytes it made of it. They are not part of the
 * source tree: VMFERRY_VECTORS names the file, or it lies in ../shared/vectors.
 */

#define EXPECTED_ORDINARY    1454
#define EXPECTED_CONDITIONAL 70

/* One of them has 4 zero bytes behind the last entry of its DACL, which we do not write. */
#define EXPECTED_PADDED 1

/* Of the Windows that wrote them: LG is its local guest. */
#define DOMAIN "S-1-5-21-2457507606-2709100691-398136650"

typedef struct {
    const char *sddl;
    guint8 *bytes;
    gsize size;
    gboolean conditional;
} Vector;

static GPtrArray *vectors;
static gchar *text;

static void
free_vector(gpointer data)
{
    Vector *vector = data;
    g_free(vector->bytes);
    g_free(vector);
}

static Vector *
read_vector(JsonObject *object)
{
    const char *hex = json_object_get_string_member(object, "sd");
    Vector *vector = g_new0(Vector, 1);
    vector->sddl = g_intern_string(json_object_get_string_member(object, "sddl"));
    vector->conditional = g_strcmp0(json_object_get_string_member(object, "kind"), "conditional") ==
                          0;
    vector->size = strlen(hex) / 2;
    vector->bytes = g_malloc(vector->size);
    g_assert_true(vmf_hex_decode(hex, strlen(hex), vector->bytes));
    return vector;
}

/* Returns %FALSE after it has skipped the test. */
static gboolean
load(void)
{
    const char *named = g_getenv("VMFERRY_VECTORS");
    g_autofree gchar *path = named ? g_strdup(named)
                                   : g_test_build_filename(G_TEST_DIST, "..", "shared", "vectors",
                                                           "security-descriptors.jsonl", NULL);
    if (vectors != NULL)
        return TRUE;
    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        g_autofree gchar *why = g_strdup_printf("there are no vectors in %s", path);
        g_test_skip(why);
        return FALSE;
    }
    vectors = g_ptr_array_new_with_free_func(free_vector);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (gsize i = 0; lines[i] != NULL; i++) {
        if (lines[i][0] == '\0')
            continue;
        g_autoptr(JsonNode) node = json_from_string(lines[i], NULL);
        g_assert_nonnull(node);
        g_ptr_array_add(vectors, read_vector(json_node_get_object(node)));
    }
    return TRUE;
}

static gchar *
to_hex(const guint8 *data, gsize size)
{
    GString *out = g_string_new(NULL);
    for (gsize i = 0; i < size; i++)
        g_string_append_printf(out, "%02x", data[i]);
    return g_string_free(out, FALSE);
}

/* Byte 0 of each list is its revision: Windows writes 4 there also without object entries. */
static void
forget_revisions(guint8 *data, gsize size)
{
    for (gsize at = 12; at <= 16; at += 4) {
        guint32 offset = data[at] | (guint32)data[at + 1] << 8 | (guint32)data[at + 2] << 16;
        if (offset != 0 && offset < size)
            data[offset] = 0;
    }
}

/* The vector's bytes, less what is behind the last entry of a list. (transfer full) */
static guint8 *
without_padding(const Vector *v, guint index, gsize *size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfSecurityDescriptor)
        sd = vmf_security_descriptor_from_bytes(v->bytes, v->size, &error);
    if (sd == NULL)
        g_error("vector %u: %s: %s", index, v->sddl, error->message);
    GBytes *bytes = vmf_security_descriptor_to_bytes(sd, &error);
    g_assert_no_error(error);
    return g_bytes_unref_to_data(bytes, size);
}

static void
test_bytes(void)
{
    guint ordinary = 0, conditional = 0, padded = 0;
    if (!load())
        return;
    for (guint i = 0; i < vectors->len; i++) {
        const Vector *v = vectors->pdata[i];
        gsize size;
        g_autofree guint8 *again = without_padding(v, i, &size);
        *(v->conditional ? &conditional : &ordinary) += 1;
        if (size == v->size - 4)
            padded++;
        else
            g_assert_cmpmem(again, size, v->bytes, v->size);
    }
    g_assert_cmpuint(ordinary, ==, EXPECTED_ORDINARY);
    g_assert_cmpuint(conditional, ==, EXPECTED_CONDITIONAL);
    g_assert_cmpuint(padded, ==, EXPECTED_PADDED);
}

static void
test_truncations(void)
{
    guint64 refused = 0;
    if (!load())
        return;
    g_autoptr(VmfSecurityDescriptor) sd = vmf_security_descriptor_new();
    for (guint i = 0; i < vectors->len; i++) {
        const Vector *v = vectors->pdata[i];
        for (gsize cut = 0; cut < v->size; cut++) {
            g_autofree guint8 *exact = cut ? g_memdup2(v->bytes, cut) : g_malloc(1);
            if (vmf_security_descriptor_read(sd, exact, cut, NULL))
                g_error("vector %u (%s) was read from %u of %u bytes", i, v->sddl, (guint)cut,
                        (guint)v->size);
            refused++;
        }
    }
    g_test_message("%" G_GUINT64_FORMAT " truncations", refused);
}

static void
test_sddl_to_bytes(void)
{
    guint equal = 0;
    if (!load())
        return;
    for (guint i = 0; i < vectors->len; i++) {
        const Vector *v = vectors->pdata[i];
        if (v->conditional)
            continue;
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfSecurityDescriptor) sd = vmf_sddl_parse(v->sddl, DOMAIN, &error);
        if (sd == NULL)
            g_error("vector %u: %s: %s", i, v->sddl, error->message);
        g_autoptr(GBytes) bytes = vmf_security_descriptor_to_bytes(sd, &error);
        g_assert_no_error(error);
        gsize size;
        g_autofree guint8 *got = g_bytes_unref_to_data(g_steal_pointer(&bytes), &size);
        forget_revisions(got, size);
        gsize expected_size;
        g_autofree guint8 *expected = without_padding(v, i, &expected_size);
        forget_revisions(expected, expected_size);
        if (size != expected_size || memcmp(got, expected, size) != 0) {
            g_autofree gchar *a = to_hex(got, size), *b = to_hex(expected, expected_size);
            g_error("vector %u: %s\n ours    %s\n Windows %s", i, v->sddl, a, b);
        }
        equal++;
    }
    g_assert_cmpuint(equal, ==, EXPECTED_ORDINARY);
}

static void
assert_same_lists(const VmfAcl *a, const VmfAcl *b, const char *sddl)
{
    g_assert_cmpint(a->state, ==, b->state);
    g_assert_cmpuint(a->n_aces, ==, b->n_aces);
    for (guint i = 0; i < a->n_aces; i++) {
        const VmfAce *x = &a->aces[i], *y = &b->aces[i];
        if (x->type != y->type || x->flags != y->flags || x->mask != y->mask ||
            !vmf_sid_equal(&x->sid, &y->sid))
            g_error("ace %u differs: %s", i, sddl);
        g_assert_true(y->extra_unread == vmf_ace_has_extra(y->type));
    }
}

/* A condition is not read from SDDL, but all around it is, and the entry is marked. */
static void
test_conditional(void)
{
    guint marked = 0;
    if (!load())
        return;
    for (guint i = 0; i < vectors->len; i++) {
        const Vector *v = vectors->pdata[i];
        if (!v->conditional)
            continue;
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfSecurityDescriptor)
            bytes = vmf_security_descriptor_from_bytes(v->bytes, v->size, &error);
        g_assert_no_error(error);
        g_autoptr(VmfSecurityDescriptor) sd = vmf_sddl_parse(v->sddl, DOMAIN, &error);
        if (sd == NULL)
            g_error("vector %u: %s: %s", i, v->sddl, error->message);
        g_assert_cmphex(sd->control, ==, bytes->control);
        assert_same_lists(&bytes->dacl, &sd->dacl, v->sddl);
        assert_same_lists(&bytes->sacl, &sd->sacl, v->sddl);
        marked++;
    }
    g_assert_cmpuint(marked, ==, EXPECTED_CONDITIONAL);
}

/* What we write as SDDL is read as the same bytes. */
static void
test_sddl_round_trip(void)
{
    guint written = 0;
    if (!load())
        return;
    for (guint i = 0; i < vectors->len; i++) {
        const Vector *v = vectors->pdata[i];
        g_autoptr(VmfSecurityDescriptor)
            sd = vmf_security_descriptor_from_bytes(v->bytes, v->size, NULL);
        g_autofree gchar *sddl = vmf_sddl_format(sd, NULL);
        if (sddl == NULL)
            continue;
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfSecurityDescriptor) again = vmf_sddl_parse(sddl, NULL, &error);
        if (again == NULL)
            g_error("vector %u: %s: %s", i, sddl, error->message);
        again->dacl.revision = sd->dacl.revision;
        again->sacl.revision = sd->sacl.revision;
        g_autoptr(GBytes) bytes = vmf_security_descriptor_to_bytes(again, &error);
        g_assert_no_error(error);
        gsize size;
        g_autofree guint8 *expected = without_padding(v, i, &size);
        g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), expected, size);
        written++;
    }
    g_assert_cmpuint(written, >=, EXPECTED_ORDINARY);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/descriptor-vectors/bytes/all-read", test_bytes);
    g_test_add_func("/descriptor-vectors/every-truncation/refused", test_truncations);
    g_test_add_func("/descriptor-vectors/ordinary-sddl/windows-bytes", test_sddl_to_bytes);
    g_test_add_func("/descriptor-vectors/conditional-sddl/marked", test_conditional);
    g_test_add_func("/descriptor-vectors/sddl-written/read-again", test_sddl_round_trip);
    int status = g_test_run();
    g_clear_pointer(&vectors, g_ptr_array_unref);
    g_free(text);
    return status;
}
