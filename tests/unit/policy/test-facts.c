/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/facts.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "src/base/error.h"

#define MEMBER(Type, fact, field) (*(Type *)G_STRUCT_MEMBER_P(fact, (field)->offset))

/* Every member of every struct with a value of its own, two elements in every list. */
static void
fill(const VmfFactShape *shape, gpointer fact, guint *next)
{
    for (guint i = 0; i < shape->n_fields; i++) {
        const VmfFactField *field = &shape->fields[i];
        guint n = ++*next;
        switch (field->kind) {
        case VMF_FACT_FLAG:
            MEMBER(gboolean, fact, field) = TRUE;
            break;
        case VMF_FACT_NUMBER:
            MEMBER(guint, fact, field) = n;
            break;
        case VMF_FACT_LARGE:
            MEMBER(guint64, fact, field) = G_MAXINT64 - n;
            break;
        case VMF_FACT_SIGNED:
            MEMBER(gint64, fact, field) = -(gint64)n;
            break;
        case VMF_FACT_TEXT:
            vmf_fact_printf(&MEMBER(gchar *, fact, field), "text %u", n);
            break;
        case VMF_FACT_TEXTS: {
            g_autofree gchar *joined = g_strdup_printf("a %u\nb %u", n, n);
            g_strfreev(MEMBER(gchar **, fact, field));
            MEMBER(gchar **, fact, field) = g_strsplit(joined, "\n", -1);
            break;
        }
        case VMF_FACT_WORD:
            MEMBER(guint, fact, field) = 1;
            break;
        case VMF_FACT_STRUCT:
            fill(field->shape, G_STRUCT_MEMBER_P(fact, field->offset), next);
            break;
        case VMF_FACT_LIST:
            for (guint k = 0; k < 2; k++) {
                gpointer item = vmf_fact_new(field->shape);
                fill(field->shape, item, next);
                g_ptr_array_add(MEMBER(GPtrArray *, fact, field), item);
            }
            break;
        }
    }
}

static VmfFactCase *
full_case(void)
{
    guint next = 0;
    VmfFactCase *facts = vmf_fact_case_new();
    fill(&vmf_fact_case_shape, facts, &next);
    return facts;
}

static gsize
size_of(const VmfFactField *field)
{
    switch (field->kind) {
    case VMF_FACT_FLAG:
    case VMF_FACT_NUMBER:
    case VMF_FACT_WORD:
        return 4;
    case VMF_FACT_LARGE:
    case VMF_FACT_SIGNED:
    case VMF_FACT_TEXT:
    case VMF_FACT_TEXTS:
    case VMF_FACT_LIST:
        return 8;
    case VMF_FACT_STRUCT:
        return field->shape->size;
    }
    g_assert_not_reached();
}

/* No member without a row: rows follow each other as members do, and the last ends the struct. */
static void
judge_shape(const VmfFactShape *shape)
{
    gsize at = 0;
    for (guint i = 0; i < shape->n_fields; i++) {
        const VmfFactField *field = &shape->fields[i];
        gsize align = field->kind == VMF_FACT_STRUCT ? 8 : size_of(field);
        at = (at + align - 1) / align * align;
        if (field->offset != at)
            g_error("%s: a member before '%s' has no row", shape->name, field->name);
        at += size_of(field);
        if (field->shape)
            judge_shape(field->shape);
        g_assert_true((field->shape != NULL) ==
                      (field->kind == VMF_FACT_STRUCT || field->kind == VMF_FACT_LIST));
        g_assert_true((field->words != NULL) == (field->kind == VMF_FACT_WORD));
    }
    if ((at + 7) / 8 * 8 != (shape->size + 7) / 8 * 8)
        g_error("%s: the last member has no row", shape->name);
}

static void
test_tables(void)
{
    judge_shape(&vmf_fact_case_shape);
}

static void
assert_equal(const VmfFactCase *a, const VmfFactCase *b)
{
    g_autoptr(GVariant) one = g_variant_ref_sink(vmf_fact_case_to_variant(a));
    g_autoptr(GVariant) two = g_variant_ref_sink(vmf_fact_case_to_variant(b));
    g_assert_true(g_variant_equal(one, two));
    g_autoptr(GPtrArray) changed = vmf_fact_differences(&vmf_fact_case_shape, a, b);
    g_assert_cmpuint(changed->len, ==, 0);
}

static void
test_round_trip(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfFactCase) facts = full_case();
    g_autoptr(GVariant) dict = g_variant_ref_sink(vmf_fact_case_to_variant(facts));
    g_autoptr(VmfFactCase) back = vmf_fact_case_from_variant(dict, &error);
    g_assert_no_error(error);
    assert_equal(facts, back);
}

static void
test_empty(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfFactCase) facts = vmf_fact_case_new();
    g_assert_cmpstr(facts->source.view.disks.gate, ==, "");
    g_autoptr(GVariant) dict = g_variant_ref_sink(vmf_fact_case_to_variant(facts));
    g_autoptr(VmfFactCase) back = vmf_fact_case_from_variant(dict, &error);
    g_assert_no_error(error);
    assert_equal(facts, back);
}

static void
test_json(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfFactCase) facts = full_case();
    g_autoptr(GVariant) dict = g_variant_ref_sink(vmf_fact_case_to_variant(facts));
    gsize length;
    g_autofree gchar *text = json_gvariant_serialize_data(dict, &length);
    g_autoptr(GVariant)
        read = json_gvariant_deserialize_data(text, (gssize)length, "a{sv}", &error);
    g_assert_no_error(error);
    g_assert_null(vmf_fact_case_from_variant(read, NULL));
    g_autoptr(VmfFactCase) back = vmf_fact_from_json_variant(&vmf_fact_case_shape, read, &error);
    g_assert_no_error(error);
    assert_equal(facts, back);
}

static GVariant *
queue(const char *text)
{
    g_autoptr(GError) error = NULL;
    GVariant *dict = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error);
    g_assert_no_error(error);
    return dict;
}

static void
test_refused(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{'reason': <''>, 'slots': <uint32 2>}", "'queue.used' is missing"},
        {"{'reason': <''>, 'slots': <uint32 2>, 'used': <uint32 0>, 'x': <true>}",
         "'queue.x' is not a field of 'queue'"},
        {"{'reason': <''>, 'slots': <int32 2>, 'used': <uint32 0>}",
         "'queue.slots' is of type 'i', not 'u'"},
        {"{'reason': <uint32 1>, 'slots': <uint32 2>, 'used': <uint32 0>}",
         "'queue.reason' is of type 'u', not 's'"},
        {"{'reason': <''>, 'reason': <''>, 'slots': <uint32 2>, 'used': <uint32 0>}",
         "'queue.reason' is there twice"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) dict = queue(cases[i].text);
        g_assert_null(vmf_fact_queue_from_variant(dict, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
        if (strstr(error->message, cases[i].says) == NULL)
            g_error("'%s' does not say: %s", error->message, cases[i].says);
    }
}

static void
test_path_in_lists(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfFactKeytab) keytab = vmf_fact_keytab_new();
    g_ptr_array_add(keytab->keys, vmf_fact_key_new());
    g_ptr_array_add(keytab->keys, vmf_fact_key_new());
    g_autoptr(GVariant) good = g_variant_ref_sink(vmf_fact_keytab_to_variant(keytab));
    g_autofree gchar *text = g_variant_print(good, TRUE);
    gchar *second = g_strrstr(text, "'kvno': <uint32 0>, 'enctype'");
    g_assert_nonnull(second);
    memcpy(second, "'kvna'", 6);
    g_autoptr(GVariant) bad = queue(text);
    g_assert_null(vmf_fact_keytab_from_variant(bad, &error));
    g_assert_nonnull(strstr(error->message, "'keytab.keys[1].kvna' is not a field of 'key'"));
}

static void
test_limits(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfFactQueue) facts = vmf_fact_queue_new();
    g_free(facts->reason);
    facts->reason = g_strnfill(VMF_FACT_TEXT_MAX + 1, 'x');
    g_autoptr(GVariant) dict = g_variant_ref_sink(vmf_fact_queue_to_variant(facts));
    g_assert_null(vmf_fact_queue_from_variant(dict, &error));
    g_assert_nonnull(strstr(error->message, "'queue.reason' is longer than 65536 bytes"));

    g_clear_error(&error);
    g_autoptr(VmfFactKeytab) keytab = vmf_fact_keytab_new();
    for (guint i = 0; i < VMF_FACT_LIST_MAX + 1; i++)
        g_ptr_array_add(keytab->keys, vmf_fact_key_new());
    g_autoptr(GVariant) many = g_variant_ref_sink(vmf_fact_keytab_to_variant(keytab));
    g_assert_null(vmf_fact_keytab_from_variant(many, &error));
    g_assert_nonnull(strstr(error->message, "'keytab.keys' has more than 20000 elements"));
}

/* A GVariant that is cut has other values where it has none: it is as strict with those. */
static void
test_every_truncation(void)
{
    g_autoptr(VmfFactCase) facts = full_case();
    g_autoptr(GVariant) dict = g_variant_ref_sink(vmf_fact_case_to_variant(facts));
    gsize size = g_variant_get_size(dict);
    for (gsize cut = 0; cut <= size; cut++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) part = g_bytes_new(g_variant_get_data(dict), cut);
        g_autoptr(GVariant) read = g_variant_ref_sink(
            g_variant_new_from_bytes(G_VARIANT_TYPE_VARDICT, part, FALSE));
        g_autoptr(VmfFactCase) back = vmf_fact_case_from_variant(read, &error);
        g_assert_true((back == NULL) == (error != NULL));
        g_assert_true((back != NULL) == (cut == size));
        if (error)
            g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

static void
test_not_utf8(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfFactQueue) facts = vmf_fact_queue_new();
    vmf_fact_set(&facts->reason, "libvirt said \xff");
    g_autoptr(GVariant) dict = g_variant_ref_sink(vmf_fact_queue_to_variant(facts));
    g_autoptr(VmfFactQueue) back = vmf_fact_queue_from_variant(dict, &error);
    g_assert_no_error(error);
    g_assert_true(g_str_has_prefix(back->reason, "libvirt said "));
}

static void
test_differences(void)
{
    g_autoptr(VmfFactCase) then = full_case(), now = full_case();
    vmf_fact_set(&now->destination.host.machine.cpu_model, "EPYC");
    now->source.view.owner.epoch = 7;
    now->destination.host.machine.free_kib = 1; /* fleeting */
    g_ptr_array_add(now->vm.nics, vmf_fact_nic_new());
    g_autoptr(GPtrArray) changed = vmf_fact_differences(&vmf_fact_case_shape, then, now);
    g_assert_cmpuint(changed->len, ==, 3);
    g_assert_cmpstr(changed->pdata[0], ==, "vm.nics had 2 elements, has 3");
    g_assert_true(g_str_has_prefix(changed->pdata[1], "source.view.owner.epoch was '"));
    g_assert_true(g_str_has_suffix(changed->pdata[1], "', is '7'"));
    g_assert_true(
        g_str_has_prefix(changed->pdata[2], "destination.host.machine.cpu-model was 'text "));
    g_assert_true(g_str_has_suffix(changed->pdata[2], "', is 'EPYC'"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/facts/tables/every-member-has-a-row", test_tables);
    g_test_add_func("/facts/all-filled/round-trip", test_round_trip);
    g_test_add_func("/facts/all-empty/round-trip", test_empty);
    g_test_add_func("/facts/json/round-trip", test_json);
    g_test_add_func("/facts/bad-dictionaries/refused-by-name", test_refused);
    g_test_add_func("/facts/bad-element/path-with-index", test_path_in_lists);
    g_test_add_func("/facts/limits/refused", test_limits);
    g_test_add_func("/facts/every-truncation/refused", test_every_truncation);
    g_test_add_func("/facts/not-utf8/made-valid", test_not_utf8);
    g_test_add_func("/facts/differences/by-path", test_differences);
    return g_test_run();
}
