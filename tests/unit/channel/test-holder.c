/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vmf_holder_*() with vmferry-holder as it is built. A successor of vmferryd is a VmfHolder of its own.
 */
#include "src/base/error.h"
#include "src/channel/holder.h"
#include "src/channel/line.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static gchar *folder, *path, *program;

static VmfHolder *
open_holder(void)
{
    return vmf_holder_new(path, program);
}

/* @ours: what stands for libvirtd's end. Returns: the other one */
static int
make_pair(int *ours)
{
    int ends[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    *ours = ends[0];
    return ends[1];
}

static int
keep_one(VmfHolder *holder, const char *name)
{
    g_autoptr(GError) error = NULL;
    int ours, theirs = make_pair(&ours);
    vmf_holder_keep(holder, name, theirs, &error);
    g_assert_no_error(error);
    close(theirs);
    return ours;
}

static void
assert_kept(int ours, int taken)
{
    char byte = 0;
    g_assert_cmpint(taken, >=, 0);
    g_assert_cmpint(write(taken, "x", 1), ==, 1);
    g_assert_cmpint(read(ours, &byte, 1), ==, 1);
    g_assert_cmpint(byte, ==, 'x');
    close(taken);
}

static void
assert_closed(int ours)
{
    char byte;
    g_assert_cmpint(read(ours, &byte, 1), ==, 0);
    close(ours);
}

/* Returns: the one that lives, as a child of this process (it has left its parent); 0: none */
static pid_t
find_holder(void)
{
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    g_autofree gchar *parent = g_strdup_printf("\nPPid:\t%d\n", (int)getpid());
    for (const char *entry; (entry = g_dir_read_name(proc)) != NULL;) {
        g_autofree gchar *file = g_build_filename("/proc", entry, "status", NULL);
        g_autofree gchar *status = NULL;
        if (g_file_get_contents(file, &status, NULL, NULL) &&
            g_str_has_prefix(status, "Name:\tvmferry-holder\n") && strstr(status, parent) &&
            strstr(status, "\nState:\tZ") == NULL)
            return (pid_t)atoi(entry);
    }
    return 0;
}

static void
wait_for_end(void)
{
    while (find_holder() != 0) /* the test's own time limit ends it */
        g_thread_yield();
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

static void
test_successors(void)
{
    VmfHolder *first = open_holder();
    struct stat facts;
    int ours = keep_one(first, "m1");
    g_assert_cmpint(stat(path, &facts), ==, 0);
    g_assert_cmpint(facts.st_mode & 0777, ==, 0600);
    vmf_holder_free(first);
    for (guint i = 0; i < 2;
         i++) { /* a successor takes it, and is killed; its successor takes it again */
        g_autoptr(GError) error = NULL;
        VmfHolder *next = open_holder();
        assert_kept(ours, vmf_holder_take(next, "m1", &error));
        g_assert_no_error(error);
        g_assert_cmpint(vmf_holder_take(next, "m2", &error), ==, -1);
        g_assert_no_error(error);
        vmf_holder_free(next);
    }
    VmfHolder *last = open_holder();
    vmf_holder_drop(last, "unknown");
    vmf_holder_drop(last, "m1");
    assert_closed(ours); /* the last one who had it is gone */
    g_assert_cmpint(access(path, F_OK), !=, 0);
    wait_for_end();
    vmf_holder_drop(last, "m1");
    g_assert_cmpint(vmf_holder_take(last, "m1", NULL), ==, -1);
    vmf_holder_free(last);
}

static void
test_many(void)
{
    VmfHolder *holder = open_holder();
    g_autoptr(GError) error = NULL;
    int ends[VMF_HOLDER_MAX], ours, theirs = make_pair(&ours);
    for (guint i = 0; i < VMF_HOLDER_MAX; i++) {
        g_autofree gchar *name = g_strdup_printf("m%u", i);
        ends[i] = keep_one(holder, name);
    }
    g_assert_false(vmf_holder_keep(holder, "one-more", theirs, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_BUSY);
    g_clear_error(&error);
    g_assert_true(vmf_holder_keep(holder, "m3", theirs, &error)); /* replaced */
    assert_closed(ends[3]);
    assert_kept(ours, vmf_holder_take(holder, "m3", NULL));

    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_ptr_array_add(names, (gpointer) "m1");
    g_ptr_array_add(names, (gpointer) "m");
    vmf_holder_retain(holder, names);
    for (guint i = 0; i < VMF_HOLDER_MAX; i++)
        if (i != 1 && i != 3)
            assert_closed(ends[i]);
    close(theirs);
    assert_closed(ours);
    assert_kept(ends[1], vmf_holder_take(holder, "m1", NULL));
    close(ends[1]); /* libvirtd's end */
    wait_for_end();
    vmf_holder_drop(holder, "m1");
    vmf_holder_free(holder);
}

static gpointer
keep_and_drop(gpointer holder)
{
    g_autofree gchar *name = g_strdup_printf("%p", (void *)g_thread_self());
    for (guint i = 0; i < 50; i++) {
        int ours = keep_one(holder, name);
        assert_kept(ours, vmf_holder_take(holder, name, NULL));
        vmf_holder_drop(holder, name);
        assert_closed(ours);
    }
    return NULL;
}

/* Each drop may be the end of the holder that the next keep speaks with. */
static void
test_many_lives(void)
{
    VmfHolder *holder = open_holder();
    GThread *threads[3];
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("mover", keep_and_drop, holder);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    wait_for_end();
    vmf_holder_free(holder);
}

static void
test_killed(void)
{
    VmfHolder *holder = open_holder();
    int ours = keep_one(holder, "m1");
    kill(find_holder(), SIGKILL);
    assert_closed(ours);
    g_assert_cmpint(vmf_holder_take(holder, "m1", NULL), ==, -1);
    ours = keep_one(holder, "m1");
    assert_kept(ours, vmf_holder_take(holder, "m1", NULL));
    vmf_holder_drop(holder, "m1");
    assert_closed(ours);
    wait_for_end();
    vmf_holder_free(holder);
}

/* Another user, who would get past the socket's mode, is not heard. */
static void
test_another_user(void)
{
    if (geteuid() != 0) {
        g_test_skip("only root can be another user");
        return;
    }
    static VmfHolder *holder; /* the other user's process has it as well */
    holder = open_holder();
    int ours = keep_one(holder, "m1");
    g_assert_cmpint(chmod(path, 0666), ==, 0);
    g_assert_cmpint(chmod(folder, 0755), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        g_strlcpy(address.sun_path, path, sizeof address.sun_path);
        int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        g_auto(VmfLineMessage) answer = {0};
        if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0 ||
            connect(sock, (struct sockaddr *)&address, sizeof address) != 0)
            _exit(2);
        VmfLineDraft draft = vmf_line_draft(VMF_LINE_TAKE);
        vmf_line_add_text(&draft, "m1");
        vmf_line_send(sock, &draft, NULL, NULL);
        _exit(vmf_line_receive(sock, -1, &answer, NULL, VMF_LINE_TAKEN, VMF_LINE_HELD, 0) ? 1 : 0);
    }
    int status = -1;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0); /* closed without an answer */
    assert_kept(ours, vmf_holder_take(holder, "m1", NULL));
    vmf_holder_drop(holder, "m1");
    assert_closed(ours);
    wait_for_end();
    vmf_holder_free(holder);
}

/* What it is, and has open */
static void
test_no_rights(void)
{
    VmfHolder *holder = open_holder();
    int ours = keep_one(holder, "m1");
    g_autofree gchar *file = g_strdup_printf("/proc/%d/status", (int)find_holder());
    g_autofree gchar *status = NULL;
    g_assert_true(g_file_get_contents(file, &status, NULL, NULL));
    g_assert_nonnull(strstr(status, "\nCapPrm:\t0000000000000000\n"));
    g_assert_nonnull(strstr(status, "\nCapEff:\t0000000000000000\n"));
    g_assert_nonnull(strstr(status, "\nNoNewPrivs:\t1\n"));
    if (g_strcmp0(g_getenv("VMF_TEST_SANDBOX"), "1") == 0)
        g_assert_nonnull(strstr(status, "\nSeccomp:\t2\n"));
    vmf_holder_drop(holder, "m1");
    assert_closed(ours);
    wait_for_end();
    vmf_holder_free(holder);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    folder = g_dir_make_tmp("vmferry-holder-XXXXXX", NULL);
    path = g_build_filename(folder, "holder", NULL);
    program = g_build_filename(g_getenv("VMF_TEST_HELPERS"), "vmferry-holder", NULL);
    g_test_add_func("/holder/vmferryd-is-killed/successors-take", test_successors);
    g_test_add_func("/holder/many/limited", test_many);
    g_test_add_func("/holder/it-ends-with-the-last/another", test_many_lives);
    g_test_add_func("/holder/it-is-killed/another", test_killed);
    g_test_add_func("/holder/another-user/not-heard", test_another_user);
    g_test_add_func("/holder/rights/none", test_no_rights);
    int rc = g_test_run();
    g_assert_cmpint(g_rmdir(folder), ==, 0); /* nothing is left in it */
    return rc;
}
