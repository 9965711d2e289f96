/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vmferryd's side of the search, with a program in its place that answers what it is told to. The
 * real one searches in tests/lab.
 */
#include "smb/share-find.h"
#include "src/base/error.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define WEB1 "11111111-2222-4333-8444-555555555555"
#define WEB2 "22222222-2222-4333-8444-555555555555"

typedef struct {
    gchar *folder, *program, *asked;
    VmfLocalPolicy *policy;
    GVariantBuilder found, troubles;
} Fixture;

static void
set_up(Fixture *f, gconstpointer unused)
{
    static const char policy[] =
        "[vmferry]\ngroup=VM Hosts\n[shares]\nallow=//fs1.lab.test/vms;//fs2.lab.test/more\n";
    g_autoptr(GError) error = NULL;
    f->folder = g_dir_make_tmp("vmferry-find-XXXXXX", &error);
    g_assert_no_error(error);
    f->program = g_build_filename(f->folder, "program", NULL);
    f->asked = g_build_filename(f->folder, "asked", NULL);
    f->policy = vmf_local_policy_parse(policy, strlen(policy), "test.conf", &error);
    g_assert_no_error(error);
    g_variant_builder_init(&f->found, G_VARIANT_TYPE("a(sssays)"));
    g_variant_builder_init(&f->troubles, G_VARIANT_TYPE("as"));
}

static void
tear_down(Fixture *f, gconstpointer unused)
{
    g_remove(f->program);
    g_remove(f->asked);
    g_assert_cmpint(g_rmdir(f->folder), ==, 0); /* nothing else was left in it */
    g_free(f->folder);
    g_free(f->program);
    g_free(f->asked);
    vmf_local_policy_free(f->policy);
    g_variant_builder_clear(&f->found);
    g_variant_builder_clear(&f->troubles);
}

static void
add(Fixture *f, const char *folder, const char *uuid, const char *definition)
{
    VmfOwnerRecord record = {.state = VMF_OWNER_RUNNING, .sequence = 1, .epoch = 7};
    guint8 file[VMF_OWNER_FILE_SIZE] = {0};
    g_autoptr(GError) error = NULL;
    g_strlcpy(record.vm_uuid, uuid, sizeof record.vm_uuid);
    g_strlcpy(record.boot_id, WEB1, sizeof record.boot_id);
    g_strlcpy(record.owner_sid, "S-1-5-21-1-2-3-1105", sizeof record.owner_sid);
    g_strlcpy(record.owner_account, "HV1$", sizeof record.owner_account);
    g_assert_true(vmf_owner_record_encode(&record, file, &error));
    g_variant_builder_add(&f->found, "(sss@ays)", folder, uuid, definition,
                          g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, file, sizeof file, 1), "");
}

/* What the program is asked ends in ->asked; it answers what was added. */
static VmfFoundVm *
find(Fixture *f, const char *vm, GError **error)
{
    g_autofree gchar *path = g_build_filename(f->folder, "answer", NULL);
    g_autofree gchar *script = g_strdup_printf(
        "#!/bin/sh\n[ \"$2\" = find ] || exit 9\ncat >'%s'\ncat '%s'\nrm '%s'\n", f->asked, path,
        path);
    g_autoptr(GVariant)
        answer = g_variant_ref_sink(g_variant_new("(a(sssays)as)", &f->found, &f->troubles));
    g_assert_true(g_file_set_contents(path, g_variant_get_data(answer),
                                      (gssize)g_variant_get_size(answer), NULL));
    g_assert_true(g_file_set_contents_full(f->program, script, -1, G_FILE_SET_CONTENTS_CONSISTENT,
                                           0700, NULL));
    const VmfShareProbe probe = {
        .program = f->program, .run_dir = f->folder, .run_uid = getuid(), .run_gid = getgid()};
    VmfFoundVm *found = vmf_share_find_vm(&probe, f->policy, vm, error);
    g_remove(path);
    return found;
}

static void
assert_asked(Fixture *f, const char *expected)
{
    g_autofree gchar *bytes = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(f->asked, &bytes, &size, NULL));
    g_autoptr(GVariant) request = g_variant_ref_sink(
        g_variant_new_from_data(G_VARIANT_TYPE(VMF_FIND_REQUEST), bytes, size, FALSE, NULL, NULL));
    g_autofree gchar *text = g_variant_print(request, FALSE);
    g_assert_cmpstr(text, ==, expected);
}

static void
test_by_name(Fixture *f, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    add(f, "smb://fs1.lab.test/vms/web2", WEB2,
        "<domain><title><name>web1</name></title></domain>");
    add(f, "smb://fs1.lab.test/vms/web1", WEB1, "<domain><name>web&amp;1</name></domain>");
    g_autoptr(VmfFoundVm) found = find(f, "web&1", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found->folder, ==, "smb://fs1.lab.test/vms/web1");
    g_assert_cmpstr(found->uuid, ==, WEB1);
    g_assert_cmpuint(found->record.epoch, ==, 7);
    g_assert_cmpstr(found->problem, ==, "");
    assert_asked(f, "('web&1', ['smb://fs1.lab.test/vms', 'smb://fs2.lab.test/more'])");
}

static void
test_by_url(Fixture *f, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    add(f, "smb://fs1.lab.test/vms/a/b", WEB1, "<domain/>");
    g_autoptr(VmfFoundVm) found = find(f, "smb://FS1.lab.test/vms/a/b/", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found->uuid, ==, WEB1);
    assert_asked(f, "('', ['smb://fs1.lab.test/vms/a/b'])");
}

/* The computer account goes to no server that the policy file does not name. */
static void
test_not_allowed(Fixture *f, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(find(f, "smb://evil.example.com/vms/web1", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_DENIED);
    g_assert_false(g_file_test(f->asked, G_FILE_TEST_EXISTS));
}

static void
test_several(Fixture *f, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    add(f, "smb://fs1.lab.test/vms/web1", WEB1, "<name>web1</name>");
    add(f, "smb://fs2.lab.test/more/web1", WEB2, "<name>web1</name>");
    g_assert_null(find(f, "web1", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "there are 2 VMs"));
    g_assert_nonnull(strstr(error->message, "smb://fs2.lab.test/more/web1 (" WEB2 ")"));
}

static void
test_none(Fixture *f, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(find(f, "web1", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "//fs1.lab.test/vms, //fs2.lab.test/more"));
}

static void
test_unreachable(Fixture *f, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_variant_builder_add(&f->troubles, "s", "smb://fs2.lab.test/more: Connection refused");
    g_assert_null(find(f, "web1", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    g_assert_nonnull(strstr(error->message, "Connection refused"));
}

/* A record that is about another VM, or torn in both slots, is told with the VM. */
static void
test_bad_record(Fixture *f, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    guint8 file[VMF_OWNER_FILE_SIZE] = {1, 2, 3};
    g_variant_builder_add(&f->found, "(sss@ays)", "smb://fs1.lab.test/vms/web1", WEB1,
                          "<name>web1</name>",
                          g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, file, sizeof file, 1), "");
    g_autoptr(VmfFoundVm) found = find(f, "web1", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found->problem, !=, "");
}

/* As vmf_probe_read() reads them: of its form or not at all, and then consistent. */
static void
test_every_truncation(Fixture *f, gconstpointer unused)
{
    add(f, "smb://fs1.lab.test/vms/web1", WEB1, "<domain><name>web1</name></domain>");
    add(f, "smb://fs1.lab.test/vms/web2", WEB2, "<domain><name>web2</name></domain>");
    g_variant_builder_add(&f->troubles, "s", "smb://fs2.lab.test/more: Connection refused");
    g_autoptr(GVariant)
        answer = g_variant_ref_sink(g_variant_new("(a(sssays)as)", &f->found, &f->troubles));
    gsize size = g_variant_get_size(answer);
    for (gsize cut = 0; cut <= size; cut++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) part = g_bytes_new(g_variant_get_data(answer), cut);
        g_autoptr(GVariant) read = g_variant_ref_sink(
            g_variant_new_from_bytes(G_VARIANT_TYPE(VMF_FIND_ANSWER), part, FALSE));
        if (!g_variant_is_normal_form(read))
            continue;
        g_autoptr(VmfFoundVm) found = vmf_share_find_answer(f->policy, "web1", read, &error);
        g_assert_true((found == NULL) == (error != NULL));
        g_assert_true(found != NULL || cut < size);
        if (found)
            g_assert_cmpstr(found->uuid, ==, WEB1);
    }
}

/* Whoever may write to a share may make as many as he likes: a message names some of them. */
static void
test_very_many(Fixture *f, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i < 3000; i++)
        add(f, "smb://fs1.lab.test/vms/copy", WEB1, "<name>web1</name>");
    g_assert_null(find(f, "web1", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "there are 3000 VMs"));
    g_assert_nonnull(strstr(error->message, "and 2990 more"));
    g_assert_cmpuint(strlen(error->message), <, 5000);
}

#define ADD(name, test) g_test_add(name, Fixture, NULL, set_up, test, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/share-find/by-name/that-one", test_by_name);
    ADD("/share-find/by-url/only-that-folder", test_by_url);
    ADD("/share-find/url-not-allowed/never-asked", test_not_allowed);
    ADD("/share-find/several/named", test_several);
    ADD("/share-find/none/where-was-searched", test_none);
    ADD("/share-find/not-all-searched/unreachable", test_unreachable);
    ADD("/share-find/bad-record/problem", test_bad_record);
    ADD("/share-find/every-truncation/refused-or-consistent", test_every_truncation);
    ADD("/share-find/very-many/some-named", test_very_many);
    return g_test_run();
}
