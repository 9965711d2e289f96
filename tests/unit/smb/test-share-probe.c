/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vmferryd's side of the share probe, with programs in its place that misbehave: whatever they do,
 * every file gets its facts or the reason why there are none. The real one is asked in tests/lab.
 */
#include "smb/probe-kept.h"
#include "smb/share-probe.h"
#include "smb/share-probe-wire.h"
#include "src/base/error.h"

#include <glib/gstdio.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    gchar *folder;
    gchar *program;
    VmfLocalPolicy *policy;
    VmfFactVm *vm;
    VmfFactView *view;
    gboolean brief;
} Fixture;

static void
add_file(Fixture *f, VmfFactRole role, const char *url, gboolean writable)
{
    VmfFactFile *file = vmf_fact_file_new();
    file->role = role;
    file->writable = writable;
    vmf_fact_set(&file->url, url);
    vmf_fact_set(&file->place, url);
    g_ptr_array_add(f->vm->files, file);
}

static void
set_up(Fixture *f, gconstpointer unused)
{
    static const char policy[] = "[vmferry]\ngroup=VM Hosts\n[shares]\nallow=//fs1.lab.test/vms\n";
    g_autoptr(GError) error = NULL;
    f->folder = g_dir_make_tmp("vmferry-probe-XXXXXX", &error);
    g_assert_no_error(error);
    f->program = g_build_filename(f->folder, "program", NULL);
    f->policy = vmf_local_policy_parse(policy, strlen(policy), "test.conf", &error);
    g_assert_no_error(error);
    f->vm = vmf_fact_vm_new();
    f->view = vmf_fact_view_new();
    vmf_fact_set(&f->vm->uuid, "11111111-2222-4333-8444-555555555555");
}

static void
tear_down(Fixture *f, gconstpointer unused)
{
    g_remove(f->program);
    g_assert_cmpint(g_rmdir(f->folder), ==, 0); /* nothing else was left in it */
    g_free(f->folder);
    g_free(f->program);
    vmf_local_policy_free(f->policy);
    vmf_fact_vm_free(f->vm);
    vmf_fact_view_free(f->view);
}

/* @script: what the program does with the request on its standard input */
static void
run(Fixture *f, const char *script, guint timeout_ms)
{
    g_autofree gchar *text = g_strconcat("#!/bin/sh\n", script, "\n", NULL);
    g_assert_true(
        g_file_set_contents_full(f->program, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0700, NULL));
    const VmfShareProbe probe = {.program = f->program,
                                 .run_dir = f->folder,
                                 .timeout_ms = timeout_ms,
                                 .brief = f->brief,
                                 .run_uid = getuid(),
                                 .run_gid = getgid()};
    vmf_share_probe_run(&probe, f->policy, f->vm, f->view);
}

static const VmfFactProbe *
nth(const Fixture *f, guint i)
{
    g_assert_cmpuint(i, <, f->view->probes->len);
    return g_ptr_array_index(f->view->probes, i);
}

static void
assert_reason(const char *reason, const char *says)
{
    if (strstr(reason, says) == NULL)
        g_error("'%s' does not say '%s'", reason, says);
}

/* What it leaves is removed, and nothing that it only names: it may have been taken over. */
static void
test_links_left(Fixture *f, gconstpointer unused)
{
    static const char *const links[] = {
        "ln -s ../victim \"$1/.smb\"; mkdir \"$1/clear\"; ln -s ../../victim "
        "\"$1/clear/.smb\"",
        "mkdir \"$1/.smb\"; ln -s ../../victim/smb.conf \"$1/.smb\"; ln -s ../victim "
        "\"$1/clear\"",
    };
    g_autofree gchar *victim = g_build_filename(f->folder, "victim", NULL);
    g_autofree gchar *nested = g_build_filename(victim, ".smb", NULL);
    g_autofree gchar *file = g_build_filename(victim, "smb.conf", NULL);
    g_autofree gchar *inner = g_build_filename(nested, "smb.conf", NULL);
    g_assert_cmpint(g_mkdir_with_parents(nested, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, "mine", -1, NULL));
    g_assert_true(g_file_set_contents(inner, "mine", -1, NULL));
    add_file(f, VMF_FACT_ROLE_DISK, "smb://fs1.lab.test/vms/web1/a.raw", TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(links); i++) {
        g_autofree gchar *script = g_strconcat(links[i], " && : >\"$1/../made\"", NULL);
        g_autofree gchar *made = g_build_filename(f->folder, "made", NULL);
        run(f, script, 20000);
        g_assert_cmpint(g_remove(made), ==, 0); /* the links were there */
        g_assert_true(g_file_test(file, G_FILE_TEST_IS_REGULAR));
        g_assert_true(g_file_test(inner, G_FILE_TEST_IS_REGULAR));
    }
    g_remove(inner);
    g_remove(nested);
    g_remove(file);
    g_remove(victim);
}

static void
test_silent(Fixture *f, gconstpointer unused)
{
    add_file(f, VMF_FACT_ROLE_DISK, "smb://fs1.lab.test/vms/web1/a.raw", TRUE);
    gint64 since = g_get_monotonic_time();
    run(f, "exec sleep 60", 200);
    g_assert_cmpint(g_get_monotonic_time() - since, <, 20 * G_USEC_PER_SEC);
    assert_reason(nth(f, 0)->reason, "no answer in time from the file server");
    assert_reason(f->view->owner.reason, "no answer in time");
    const VmfFactShare *share = g_ptr_array_index(f->view->shares, 0);
    assert_reason(share->reason, "no answer in time");
    g_assert_cmpstr(share->server, ==, "fs1.lab.test");
}

static void
test_bad_answers(Fixture *f, gconstpointer unused)
{
    static const struct {
        const char *script, *says;
    } cases[] = {
        {"exit 3", "it ended without an answer; it ended with status 3"},
        {"kill -9 $$", "it ended by signal 9"},
        {"echo hello", "its answer is not of its form"},
        {"head -c 17000000 /dev/zero", "it says too much"},
        {"printf '\\000'", "its answer is not of its form"},
    };
    add_file(f, VMF_FACT_ROLE_DISK, "smb://fs1.lab.test/vms/web1/a.raw", TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        vmf_fact_view_free(f->view);
        f->view = vmf_fact_view_new();
        run(f, cases[i].script, 10000);
        assert_reason(nth(f, 0)->reason, cases[i].says);
    }
}

/* The computer account goes to no server that the policy file does not name, and nowhere else. */
static void
test_not_allowed(Fixture *f, gconstpointer unused)
{
    add_file(f, VMF_FACT_ROLE_DISK, "smb://evil.example.com/vms/web1/a.raw", TRUE);
    add_file(f, VMF_FACT_ROLE_FOLDER, "smb://fs1.lab.test/other", TRUE);
    add_file(f, VMF_FACT_ROLE_DISK, "smb://fs1.lab.test/vms/../other/x", TRUE);
    add_file(f, VMF_FACT_ROLE_CDROM, "", FALSE);
    g_autofree gchar *trace = g_build_filename(f->folder, "was-run", NULL);
    g_autofree gchar *script = g_strdup_printf("touch '%s'", trace);
    run(f, script, 10000);
    g_assert_false(g_file_test(trace, G_FILE_TEST_EXISTS));
    g_assert_cmpuint(f->view->probes->len, ==, 3);
    for (guint i = 0; i < 3; i++) {
        g_assert_false(nth(f, i)->allowed);
        g_assert_cmpstr(nth(f, i)->reason, !=, "");
    }
    g_assert_cmpuint(f->view->shares->len, ==, 2);
    assert_reason(f->view->owner.reason, "no file of the VM is on a share that may be asked");
}

/* An answer about another file is none. */
static void
test_other_file(Fixture *f, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *path = g_build_filename(f->folder, "answer", NULL);
    g_autofree gchar *script = g_strdup_printf("cat '%s'; rm '%s'", path, path);
    g_autoptr(VmfFactProbe) probe = vmf_fact_probe_new();
    g_autoptr(VmfFactOwner) owner = vmf_fact_owner_new();
    GVariantBuilder shares, probes;
    vmf_fact_set(&probe->url, "smb://fs1.lab.test/vms/web1/b.raw");
    g_variant_builder_init(&shares, G_VARIANT_TYPE("aa{sv}"));
    g_variant_builder_init(&probes, G_VARIANT_TYPE("a(sa{sv})"));
    g_variant_builder_add(&probes, "(s@a{sv})", "", vmf_fact_probe_to_variant(probe));
    g_autoptr(GVariant) answer = g_variant_ref_sink(g_variant_new(
        "(aa{sv}a(sa{sv})@a{sv})", &shares, &probes, vmf_fact_owner_to_variant(owner)));
    g_assert_true(g_file_set_contents(path, g_variant_get_data(answer),
                                      (gssize)g_variant_get_size(answer), &error));
    add_file(f, VMF_FACT_ROLE_DISK, "smb://fs1.lab.test/vms/web1/a.raw", TRUE);
    run(f, script, 10000);
    assert_reason(nth(f, 0)->reason, "says nothing about 'smb://fs1.lab.test/vms/web1/a.raw'");
}

static void
test_too_many(Fixture *f, gconstpointer unused)
{
    for (guint i = 0; i < VMF_SHARE_PROBE_MAX_FILES + 5; i++) {
        g_autofree gchar *url = g_strdup_printf("smb://fs1.lab.test/vms/web1/%u.raw", i);
        add_file(f, VMF_FACT_ROLE_DISK, url, TRUE);
    }
    run(f, "exit 1", 10000);
    g_assert_true(nth(f, VMF_SHARE_PROBE_MAX_FILES - 1)->allowed);
    assert_reason(nth(f, VMF_SHARE_PROBE_MAX_FILES)->reason, "at most 256 files");
}

/* What the program is told, as text. (transfer full) */
static gchar *
told(Fixture *f, gboolean brief)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *path = g_build_filename(f->folder, "request", NULL);
    g_autofree gchar *script = g_strdup_printf("cat > '%s'", path);
    g_autofree gchar *bytes = NULL;
    gsize size;
    f->brief = brief;
    vmf_fact_view_free(f->view);
    f->view = vmf_fact_view_new();
    run(f, script, 10000);
    g_assert_true(g_file_get_contents(path, &bytes, &size, &error));
    g_remove(path);
    g_autoptr(GVariant) request = g_variant_ref_sink(
        g_variant_new_from_data(G_VARIANT_TYPE(VMF_PROBE_REQUEST), bytes, size, FALSE, NULL, NULL));
    return g_variant_print(request, FALSE);
}

#define UUID    "'11111111-2222-4333-8444-555555555555', "
#define A_RAW   "('file', 'smb://fs1.lab.test/vms/web1/a.raw', 'fs1.lab.test', 'vms', true, "
#define B_RAW   "('file', 'smb://fs1.lab.test/vms/web1/b.raw', 'fs1.lab.test', 'vms', false, "
#define THE_VMS "('folder', 'smb://fs1.lab.test/vms', 'fs1.lab.test', 'vms', false, "

static void
add_three(Fixture *f)
{
    add_file(f, VMF_FACT_ROLE_DISK, "smb://fs1.lab.test/vms/web1/a.raw", TRUE);
    add_file(f, VMF_FACT_ROLE_BACKING, "smb://fs1.lab.test/vms/web1/b.raw", FALSE);
    add_file(f, VMF_FACT_ROLE_FOLDER, "smb://fs1.lab.test/vms", TRUE);
}

static void
test_request(Fixture *f, gconstpointer unused)
{
    add_three(f);
    g_autofree gchar *text = told(f, FALSE);
    g_assert_cmpstr(text, ==,
                    "(" UUID "true, [" A_RAW "'read'), " B_RAW "'read'), " THE_VMS "'read')])");
}

/* Answers each file with @stamp, and with @descriptor; the share refuses who offers no encryption. */
static void
write_answer(Fixture *f, const char *path, const char *stamp, const char *descriptor)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfFactShare) share = vmf_fact_share_new();
    g_autoptr(VmfFactOwner) owner = vmf_fact_owner_new();
    GVariantBuilder shares, probes;
    vmf_fact_set(&share->server, "fs1.lab.test");
    vmf_fact_set(&share->share, "vms");
    share->smb3 = TRUE;
    share->encryption = f->brief ? VMF_FACT_CRYPT_UNKNOWN : VMF_FACT_CRYPT_REQUIRED;
    g_variant_builder_init(&shares, G_VARIANT_TYPE("aa{sv}"));
    g_variant_builder_add_value(&shares, vmf_fact_share_to_variant(share));
    g_variant_builder_init(&probes, G_VARIANT_TYPE("a(sa{sv})"));
    for (guint i = 0; i < f->vm->files->len; i++) {
        const VmfFactFile *file = f->vm->files->pdata[i];
        g_autoptr(VmfFactProbe) probe = vmf_fact_probe_new();
        vmf_fact_set(&probe->url, file->url);
        probe->read = VMF_FACT_ANSWER_OK;
        probe->folder = file->role == VMF_FACT_ROLE_FOLDER;
        vmf_fact_set(&probe->descriptor, descriptor);
        g_variant_builder_add(&probes, "(s@a{sv})", stamp, vmf_fact_probe_to_variant(probe));
    }
    g_autoptr(GVariant) whole = g_variant_ref_sink(g_variant_new(
        "(aa{sv}a(sa{sv})@a{sv})", &shares, &probes, vmf_fact_owner_to_variant(owner)));
    g_assert_true(g_file_set_contents(path, g_variant_get_data(whole),
                                      (gssize)g_variant_get_size(whole), &error));
}

static void
answer(Fixture *f, const char *stamp, const char *descriptor)
{
    g_autofree gchar *path = g_build_filename(f->folder, "answer", NULL);
    g_autofree gchar *script = g_strdup_printf("cat '%s'; rm '%s'", path, path);
    write_answer(f, path, stamp, descriptor);
    vmf_fact_view_free(f->view);
    f->view = vmf_fact_view_new();
    run(f, script, 10000);
    g_assert_cmpstr(nth(f, 0)->reason, ==, "");
}

/* A move asks for less, and only once something was learnt; what has changed is read anew. */
static void
test_brief(Fixture *f, gconstpointer unused)
{
    add_three(f);
    g_autofree gchar *first = told(f, TRUE);
    g_assert_cmpstr(first, ==,
                    "(" UUID "true, [" A_RAW "'denied'), " B_RAW "'denied'), " THE_VMS "'read')])");

    f->brief = FALSE;
    answer(f, "7:1.000000002", "REVISION:1,OWNER:S-1-1-0");
    g_autofree gchar *second = told(f, TRUE);
    g_assert_cmpstr(second, ==,
                    "(" UUID "false, [" A_RAW "'denied'), " B_RAW "'denied'), " THE_VMS
                    "'7:1.000000002')])");

    answer(f, "7:1.000000002", "");
    const VmfFactShare *share = g_ptr_array_index(f->view->shares, 0);
    g_assert_cmpint(share->encryption, ==, VMF_FACT_CRYPT_REQUIRED);
    g_assert_cmpstr(nth(f, 2)->descriptor, ==, "REVISION:1,OWNER:S-1-1-0");

    answer(f, "7:9.000000000", "");
    g_assert_cmpstr(nth(f, 2)->descriptor, ==, "");
    assert_reason(nth(f, 2)->descriptor_problem, "changed just now");
}

/* ---- a process that stays ---- */

/* In the program's place: answers its first question, and what it is passed as @rest says. */
static void
run_staying(Fixture *f, const char *answer, const char *rest)
{
    g_autofree gchar *script = g_strdup_printf(
        "[ \"$2\" = stay ] || exit 9\necho x >> '%s/starts'\ncat '%s'\nexec >&-\n%s", f->folder,
        answer, rest);
    vmf_fact_view_free(f->view);
    f->view = vmf_fact_view_new();
    run(f, script, 8000);
}

static gsize
starts(const Fixture *f)
{
    g_autofree gchar *path = g_build_filename(f->folder, "starts", NULL);
    g_autofree gchar *text = NULL;
    gsize size = 0;
    g_assert_true(g_file_get_contents(path, &text, &size, NULL));
    return size / 2;
}

/* Whoever stays and is of no use is not asked twice, and costs no question its answer. */
static void
test_kept_useless(Fixture *f, gconstpointer unused)
{
    static const char *const rests[] = {"exit 0", "kill -9 $$", "exec sleep 60",
                                        "read x <&3; exit 1"};
    g_autofree gchar *path = g_build_filename(f->folder, "answers", NULL);
    g_autofree gchar *log = g_build_filename(f->folder, "starts", NULL);
    add_three(f);
    f->brief = FALSE;
    answer(f, "7:1.000000002",
           "REVISION:1,OWNER:S-1-1-0"); /* what a brief question needs not ask */
    f->brief = TRUE;
    write_answer(f, path, "7:1.000000002", "");
    for (gsize i = 0; i < G_N_ELEMENTS(rests); i++) {
        run_staying(f, path, rests[i]);
        g_assert_cmpuint(starts(f), ==, i + 1);
        g_assert_cmpstr(nth(f, 0)->reason, ==, "");
        g_assert_cmpint(nth(f, 0)->read, ==, VMF_FACT_ANSWER_OK);
        g_assert_cmpuint(f->view->probes->len, ==, 3);
        g_assert_cmpuint(f->view->shares->len, ==, 1);
    }
    g_remove(path);
    g_remove(log);
}

/* A process to be ended. */
static pid_t
fork_nothing(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause();
        _exit(0);
    }
    return pid;
}

/* One that answers from then on, whatever the file holds: see below for its other end. */
static gpointer
serve(gpointer data)
{
    const gchar *const *what = data;
    int control = atoi(what[0]), in, out;
    while (vmf_probe_take(control, &in, &out)) {
        g_autofree gchar *bytes = NULL;
        gsize size = 0;
        if (g_file_get_contents(what[1], &bytes, &size, NULL))
            g_assert_cmpint(write(out, bytes, size), ==, (gssize)size);
        close(in);
        close(out);
    }
    close(control);
    return NULL;
}

/* A good answer of a kept one is taken; a bad one makes the question anew. */
static void
test_kept_asked(Fixture *f, gconstpointer unused)
{
    g_autofree gchar *path = g_build_filename(f->folder, "answers", NULL);
    g_autofree gchar *log = g_build_filename(f->folder, "starts", NULL);
    int ends[2];
    pid_t first = fork_nothing(), second = fork_nothing(); /* without the sockets */
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), ==, 0);
    g_autofree gchar *number = g_strdup_printf("%d", ends[1]);
    const gchar *what[] = {number, path};
    g_autoptr(GThread) server = g_thread_new("serve", serve, what);
    const VmfShareProbe probe = {
        .program = f->program, .run_dir = f->folder, .run_uid = getuid(), .run_gid = getgid()};
    add_three(f);
    f->brief = FALSE;
    answer(f, "7:1.000000002", "REVISION:1,OWNER:S-1-1-0");
    f->brief = TRUE;
    write_answer(f, path, "7:1.000000002", "");
    vmf_probe_kept_put(vmf_probe_kept_new(&probe, first, ends[0], g_get_monotonic_time()));
    run_staying(f, "/dev/null", "exit 0");
    run_staying(f, "/dev/null", "exit 0");
    g_assert_false(g_file_test(log, G_FILE_TEST_EXISTS)); /* none was started */
    g_assert_cmpint(nth(f, 2)->read, ==, VMF_FACT_ANSWER_OK);
    g_assert_cmpstr(nth(f, 2)->descriptor, ==, "REVISION:1,OWNER:S-1-1-0");

    /* it says that the folder has changed, without its list: not entirely well */
    write_answer(f, path, "7:9.000000000", "");
    run_staying(f, "/dev/null", "exit 3");
    g_assert_cmpuint(starts(f), ==, 1);
    assert_reason(nth(f, 0)->reason, "it ended without an answer");

    /* another takes its place, whose control socket is none: it is done with */
    int file = open(path, O_RDONLY | O_CLOEXEC);
    vmf_probe_kept_put(vmf_probe_kept_new(&probe, second, file, g_get_monotonic_time()));
    g_thread_join(g_steal_pointer(&server));
    run_staying(f, path, "exit 0");
    g_assert_cmpuint(starts(f), ==, 2);
    g_assert_cmpint(kill(second, 0), ==, -1);
    g_remove(path);
    g_remove(log);
}

/* What the process has not said to its end is no answer. */
static void
test_every_truncation(void)
{
    g_autoptr(VmfFactShare) share = vmf_fact_share_new();
    g_autoptr(VmfFactProbe) probe = vmf_fact_probe_new();
    g_autoptr(VmfFactOwner) owner = vmf_fact_owner_new();
    GVariantBuilder shares, files;
    g_variant_builder_init(&shares, G_VARIANT_TYPE("aa{sv}"));
    g_variant_builder_add_value(&shares, vmf_fact_share_to_variant(share));
    g_variant_builder_init(&files, G_VARIANT_TYPE("a(sa{sv})"));
    g_variant_builder_add(&files, "(s@a{sv})", "7:9.0", vmf_fact_probe_to_variant(probe));
    g_autoptr(GVariant) answer = g_variant_ref_sink(g_variant_new(
        "(aa{sv}a(sa{sv})@a{sv})", &shares, &files, vmf_fact_owner_to_variant(owner)));
    gsize size = g_variant_get_size(answer);
    int fd = memfd_create("answer", MFD_CLOEXEC);
    for (gsize cut = 0; cut <= size; cut++) {
        g_autoptr(GError) error = NULL;
        g_assert_true(ftruncate(fd, 0) == 0 &&
                      pwrite(fd, g_variant_get_data(answer), cut, 0) == (gssize)cut &&
                      lseek(fd, 0, SEEK_SET) == 0);
        g_autoptr(GVariant)
            read = vmf_probe_read(fd, VMF_PROBE_ANSWER, VMF_PROBE_ANSWER_MAX, 0, &error);
        g_assert_true((read == NULL) == (error != NULL));
        g_assert_true(read == NULL || g_variant_is_normal_form(read));
        g_assert_true((read != NULL && g_variant_equal(read, answer)) == (cut == size));
    }
    close(fd);
}

#define ADD(name, test) g_test_add(name, Fixture, NULL, set_up, test, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/share-probe/links-left/not-followed", test_links_left);
    ADD("/share-probe/silent-program/killed-in-time", test_silent);
    ADD("/share-probe/bad-answers/reason", test_bad_answers);
    ADD("/share-probe/share-not-allowed/never-asked", test_not_allowed);
    ADD("/share-probe/answer-about-another-file/reason", test_other_file);
    ADD("/share-probe/too-many-files/reason", test_too_many);
    ADD("/share-probe/request/complete", test_request);
    ADD("/share-probe/brief-request/what-is-not-known", test_brief);
    ADD("/share-probe/kept-and-useless/another-is-asked", test_kept_useless);
    ADD("/share-probe/kept/asked-and-believed-when-all-is-well", test_kept_asked);
    g_test_add_func("/share-probe/answer/every-truncation", test_every_truncation);
    return g_test_run();
}
