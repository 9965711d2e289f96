/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A shell that waits on its input stands for QEMU: what counts are its arguments and its life. */
#include "src/vm/qemu-process.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/error.h"

#define UUID "11111111-2222-4333-8444-555555555555"

typedef struct {
    gchar *dir;
    GPid pid;
    int input; /* its end lets the process end */
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    static const char *const arguments[] = {"/bin/sh", "-c",    "read line", "-name",
                                            "web1",    "-uuid", UUID,        NULL};
    g_autoptr(GError) error = NULL;
    fixture->dir = g_dir_make_tmp("vmf-XXXXXX", NULL);
    g_spawn_async_with_pipes(NULL, (gchar **)arguments, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                             &fixture->pid, &fixture->input, NULL, NULL, &error);
    g_assert_no_error(error);
    g_autofree gchar *file = g_build_filename(fixture->dir, "web1.pid", NULL);
    g_autofree gchar *text = g_strdup_printf("%d\n", fixture->pid);
    g_assert_true(g_file_set_contents(file, text, -1, NULL));
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    g_autofree gchar *file = g_build_filename(fixture->dir, "web1.pid", NULL);
    if (fixture->input >= 0)
        close(fixture->input);
    waitpid(fixture->pid, NULL, 0);
    g_unlink(file);
    g_rmdir(fixture->dir);
    g_free(fixture->dir);
}

static VmfQemuProcess *
find(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    VmfQemuProcess *process = vmf_qemu_process_find(fixture->dir, "web1", UUID, &error);
    g_assert_no_error(error);
    return process;
}

/* The state letter of /proc/PID/stat, once it is @wanted. */
static void
wait_for_state(GPid pid, char wanted)
{
    g_autofree gchar *path = g_strdup_printf("/proc/%d/stat", pid);
    char state = '?';
    while (state != wanted) {
        g_autofree gchar *text = NULL;
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        state = strrchr(text, ')')[2];
        g_thread_yield();
    }
}

static void
test_kill(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfQemuProcess) process = find(fixture);
    g_assert_cmpint(vmf_qemu_process_pid(process), ==, fixture->pid);
    g_assert_cmpuint(vmf_qemu_process_start_time(process), >, 0);
    g_assert_true(vmf_qemu_process_alive(process));
    g_assert_true(vmf_qemu_process_stop(process, TRUE, &error));
    wait_for_state(fixture->pid, 'T');
    g_assert_true(vmf_qemu_process_kill(process, 5000, &error)); /* a stopped one, too */
    g_assert_no_error(error);
    g_assert_false(vmf_qemu_process_alive(process)); /* not reaped yet: a zombie has ended */
    g_assert_true(vmf_qemu_process_kill(process, 5000, &error));
    g_assert_false(vmf_qemu_process_alive(process));
}

static void
test_stop_and_go_on(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfQemuProcess) process = find(fixture);
    g_assert_true(vmf_qemu_process_stop(process, TRUE, &error));
    wait_for_state(fixture->pid, 'T');
    g_assert_true(vmf_qemu_process_stop(process, FALSE, &error));
    wait_for_state(fixture->pid, 'S');
    g_assert_no_error(error);
}

static void
test_wait_stopped(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfQemuProcess) process = find(fixture);
    g_assert_false(vmf_qemu_process_wait_stopped(process, 1, &error)); /* it runs */
    g_assert_error(error, VMF_ERROR, VMF_ERROR_BUSY);
    g_clear_error(&error);
    g_assert_true(vmf_qemu_process_stop(process, TRUE, NULL));
    g_assert_true(vmf_qemu_process_wait_stopped(process, 10000, &error));
    g_assert_no_error(error);
    wait_for_state(fixture->pid, 'T'); /* at the first look */
    g_assert_true(vmf_qemu_process_kill(process, 5000, NULL));
    g_assert_false(vmf_qemu_process_wait_stopped(process, 10000, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_INTERNAL);
}

/* As libvirtd ends a QEMU that does not take its signals: SIGTERM first, and it waits. */
static void
test_told_to_end(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VmfQemuProcess) process = find(fixture);
    g_assert_true(vmf_qemu_process_stop(process, TRUE, NULL));
    g_assert_true(vmf_qemu_process_wait_stopped(process, 10000, NULL));
    g_assert_false(vmf_qemu_process_is_told_to_end(process));
    g_assert_cmpint(kill(fixture->pid, SIGHUP), ==, 0);
    g_assert_false(vmf_qemu_process_is_told_to_end(process));
    g_assert_cmpint(kill(fixture->pid, SIGTERM), ==, 0);
    g_assert_true(vmf_qemu_process_is_told_to_end(process));
    g_assert_true(vmf_qemu_process_alive(process));
    g_assert_true(vmf_qemu_process_kill(process, 5000, NULL));
    g_assert_false(vmf_qemu_process_is_told_to_end(process));
}

/* The pid is free again: nobody else is hit. */
static void
test_ended_and_reaped(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfQemuProcess) process = find(fixture);
    close(fixture->input);
    fixture->input = -1;
    g_assert_cmpint(waitpid(fixture->pid, NULL, 0), ==, fixture->pid);
    g_assert_false(vmf_qemu_process_alive(process));
    g_assert_true(vmf_qemu_process_kill(process, 5000, &error));
    g_assert_false(vmf_qemu_process_stop(process, TRUE, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_INTERNAL);
}

static void
check_not_found(Fixture *fixture, const char *name, const char *uuid)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(vmf_qemu_process_find(fixture->dir, name, uuid, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

static void
test_not_found(Fixture *fixture, gconstpointer data)
{
    check_not_found(fixture, "web1", "11111111-2222-4333-8444-555555555556");
    check_not_found(fixture, "web2", UUID);
    check_not_found(fixture, "../web1", UUID);
    g_autofree gchar *file = g_build_filename(fixture->dir, "web1.pid", NULL);
    static const char *const nonsense[] = {"", "0", "-1", "1", "x", "99999999999"};
    for (gsize i = 0; i < G_N_ELEMENTS(nonsense); i++) {
        g_assert_true(g_file_set_contents(file, nonsense[i], -1, NULL));
        check_not_found(fixture, "web1", UUID);
    }
}

#define ADD(path, func) g_test_add(path, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/qemu-process/stopped/killed", test_kill);
    ADD("/qemu-process/stopped/goes-on", test_stop_and_go_on);
    ADD("/qemu-process/stopped/is-waited-for", test_wait_stopped);
    ADD("/qemu-process/stopped/told-to-end", test_told_to_end);
    ADD("/qemu-process/ended-and-reaped/nobody-hit", test_ended_and_reaped);
    ADD("/qemu-process/other-vm-or-nonsense/not-found", test_not_found);
    return g_test_run();
}
