/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-client.h"

#include "smb/disk-folder.h"
#include "smb/unprivileged.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Starting a disk process.
 *
 * Operations. Its folder is made; a lock file in it, which the process inherits, says as long as it
 * lives that there is one. nbdkit is started as the disk process's user and makes itself a daemon:
 * the child that is waited for is the one it forks from. Its NBD socket is there by then and is
 * given to QEMU's user. The plugin says on a pipe whether it came up.
 *
 * Failure model. Whatever goes wrong, nothing is left running: the daemon ends by itself when it
 * did not come up, and is ended by the pid in its pid file when it says nothing. What nbdkit says
 * before it is a daemon goes to disk.log, and its end into the error.
 */

#define DEFAULT_RUN_DIR "/run/vmferry"
#define COME_UP_MS      90000 /* connecting to a server that does not answer ends before */
#define MAX_REPORT      4096
#define LOG_TAIL        1000
#define PID_MAX         20

/* the descriptors' numbers in the child */
enum { READY_FD = 3, LOCK_FD = 4 };

typedef struct {
    const VmfDiskLaunch *launch;
    gchar *folder;
    int folder_fd;
    int lock_fd;
    int log_fd;
    int ready_read;
    int ready_write;
} Start;

static gboolean
fail(const Start *start, VmfError code, GError **error, const char *what)
{
    int saved = errno;
    g_set_error(error, VMF_ERROR, code, "disk process of VM %s: %s (in '%s'): %s",
                start->launch->vm_uuid, what, start->folder, g_strerror(saved));
    return FALSE;
}

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void
start_clear(Start *start)
{
    close_fd(&start->folder_fd);
    close_fd(&start->lock_fd);
    close_fd(&start->log_fd);
    close_fd(&start->ready_read);
    close_fd(&start->ready_write);
    g_clear_pointer(&start->folder, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Start, start_clear)

/* 0711: QEMU has to pass through it to its socket, and need not see more. */
static gboolean
make_folder(Start *start, GError **error)
{
    const VmfDiskLaunch *launch = start->launch;
    if (mkdir(start->folder, 0711) != 0 && errno != EEXIST)
        return fail(start, VMF_ERROR_INTERNAL, error, "cannot make its folder");
    start->folder_fd = open(start->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (start->folder_fd < 0 || fchown(start->folder_fd, launch->run_uid, launch->run_gid) != 0 ||
        fchmod(start->folder_fd, 0711) != 0)
        return fail(start, VMF_ERROR_INTERNAL, error, "cannot prepare its folder");
    return TRUE;
}

static gboolean
take_lock(Start *start, GError **error)
{
    start->lock_fd = openat(start->folder_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
                            0600);
    if (start->lock_fd < 0)
        return fail(start, VMF_ERROR_INTERNAL, error, "cannot make its lock file");
    if (flock(start->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return TRUE;
    if (errno != EWOULDBLOCK)
        return fail(start, VMF_ERROR_INTERNAL, error, "cannot lock its lock file");
    g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "a disk process of VM %s runs here already",
                start->launch->vm_uuid);
    return FALSE;
}

/* With the lock held, what is there was left by a process that was killed. */
static gboolean
clear_folder(Start *start, GError **error)
{
    static const char *const leftovers[] = {"nbd", "control", "pid"};
    for (gsize i = 0; i < G_N_ELEMENTS(leftovers); i++)
        if (unlinkat(start->folder_fd, leftovers[i], 0) != 0 && errno != ENOENT)
            return fail(start, VMF_ERROR_INTERNAL, error, "cannot remove what an earlier one left");
    start->log_fd = openat(start->folder_fd, "disk.log",
                           O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                           0600);
    if (start->log_fd < 0 || !vmf_disk_folder_is_plain(start->log_fd) ||
        fchown(start->log_fd, start->launch->run_uid, start->launch->run_gid) != 0)
        return fail(start, VMF_ERROR_INTERNAL, error, "cannot open its log");
    return TRUE;
}

static void add(GPtrArray *array, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
add(GPtrArray *array, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_ptr_array_add(array, g_strdup_vprintf(format, args));
    va_end(args);
}

static GPtrArray *
make_arguments(const Start *start)
{
    const VmfDiskLaunch *launch = start->launch;
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    add(argv, "%s", launch->nbdkit_path != NULL ? launch->nbdkit_path : "nbdkit");
    add(argv, "--unix=%s/nbd", start->folder);
    add(argv, "--pidfile=%s/pid", start->folder);
    add(argv, "--threads=%d", VMF_NBDKIT_THREADS);
    add(argv, "%s", launch->plugin_path != NULL ? launch->plugin_path : VMF_DISK_PLUGIN);
    add(argv, "vm-uuid=%s", launch->vm_uuid);
    add(argv, "control=%s/control", start->folder);
    add(argv, "account=%s", launch->account);
    add(argv, "owner-sid=%s", launch->owner_sid);
    add(argv, "log=%s/disk.log", start->folder);
    add(argv, "ready-fd=%d", READY_FD);
    if (launch->resume)
        add(argv, "resume=yes");
    if (launch->quarantine_ms != 0)
        add(argv, "quarantine-ms=%u", launch->quarantine_ms);
    for (guint i = 0; i < launch->n_disks; i++)
        add(argv, "disk=%s:%s:%s", launch->disks[i].target, launch->disks[i].format,
            launch->disks[i].url);
    g_ptr_array_add(argv, NULL);
    return argv;
}

static gchar **
make_environment(const VmfDiskLaunch *launch)
{
    const char *run_dir = launch->run_dir != NULL ? launch->run_dir : DEFAULT_RUN_DIR;
    gchar **environment = vmf_unprivileged_environment(launch->ccache, run_dir);
    /* A host runs hundreds of them: large buffers go back to the kernel, and there is one heap. */
    environment = g_environ_setenv(environment, "MALLOC_ARENA_MAX", "1", TRUE);
    environment = g_environ_setenv(environment, "MALLOC_MMAP_THRESHOLD_", "131072", TRUE);
    environment = g_environ_setenv(environment, "MALLOC_TRIM_THRESHOLD_", "131072", TRUE);
    return environment;
}

static gboolean
spawn(Start *start, GPid *child, GError **error)
{
    const VmfDiskLaunch *launch = start->launch;
    g_autoptr(GPtrArray) argv = make_arguments(start);
    g_auto(GStrv) environment = make_environment(launch);
    VmfUnprivileged user = {launch->run_uid, launch->run_gid};
    g_autoptr(GError) cause = NULL;
    const gint sources[] = {start->ready_write, start->lock_fd};
    const gint targets[] = {READY_FD, LOCK_FD};

    if (g_spawn_async_with_pipes_and_fds(
            "/", (const gchar *const *)argv->pdata, (const gchar *const *)environment,
            G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH, vmf_unprivileged_become, &user, -1,
            start->log_fd, start->log_fd, sources, targets, G_N_ELEMENTS(sources), child, NULL,
            NULL, NULL, &cause))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                "disk process of VM %s: nbdkit cannot be started: %s; install nbdkit",
                launch->vm_uuid, cause->message);
    return FALSE;
}

static gchar *
read_log_tail(const Start *start)
{
    gsize length = 0;
    g_autofree gchar *tail = vmf_disk_folder_read_end(start->folder, "disk.log", LOG_TAIL, &length);
    return tail != NULL ? vmf_text_tame(g_strstrip(tail), LOG_TAIL) : g_strdup("");
}

/* The process that becomes a daemon ends once the daemon runs. */
static gboolean
wait_for_daemon(const Start *start, GPid child, GError **error)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return fail(start, VMF_ERROR_INTERNAL, error, "cannot wait for nbdkit");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    g_autofree gchar *tail = read_log_tail(start);
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                "disk process of VM %s: nbdkit did not start; the end of '%s/disk.log': %s",
                start->launch->vm_uuid, start->folder, tail);
    return FALSE;
}

/* Through a descriptor of the very file: the folder belongs to the disk process's user. */
static gboolean
give_nbd_socket_to_qemu(const Start *start, GError **error)
{
    const VmfDiskLaunch *launch = start->launch;
    struct stat facts;
    int fd = openat(start->folder_fd, "nbd", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    g_autofree gchar *self = g_strdup_printf("/proc/self/fd/%d", fd);
    gboolean ok = fd >= 0 && fstat(fd, &facts) == 0 && S_ISSOCK(facts.st_mode) &&
                  facts.st_uid == launch->run_uid && chmod(self, 0600) == 0 &&
                  fchownat(fd, "", launch->qemu_uid, launch->qemu_gid, AT_EMPTY_PATH) == 0;
    if (!ok)
        fail(start, VMF_ERROR_INTERNAL, error, "cannot give the NBD socket to QEMU's user");
    if (fd >= 0)
        close(fd);
    return ok;
}

/* "ok", or the error's code and message */
static gboolean
judge_report(const Start *start, const char *report, GError **error)
{
    gchar *message = NULL;
    if (strcmp(report, "ok") == 0)
        return TRUE;
    guint64 code = g_ascii_strtoull(report, &message, 10);
    if (message != report && *message == ' ' && code <= VMF_ERROR_INTERNAL) {
        g_autofree gchar *told = vmf_text_tame(message + 1, MAX_REPORT);
        g_set_error_literal(error, VMF_ERROR, (int)code, told);
        return FALSE;
    }
    g_autofree gchar *tail = read_log_tail(start);
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                "disk process of VM %s ended before it served; the end of '%s/disk.log': %s",
                start->launch->vm_uuid, start->folder, tail);
    return FALSE;
}

/* Until the plugin closes the pipe, by reporting or by dying. */
static gboolean
wait_until_up(const Start *start, GError **error)
{
    gchar report[MAX_REPORT + 1];
    gsize length = 0;
    gint64 until = g_get_monotonic_time() + (gint64)COME_UP_MS * 1000;

    while (length < MAX_REPORT) {
        struct pollfd watch = {.fd = start->ready_read, .events = POLLIN};
        gint64 left_ms = (until - g_get_monotonic_time()) / 1000;
        int ready = poll(&watch, 1, (int)MAX(left_ms, 0));
        if (ready == 0) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                        "disk process of VM %s has not come up within %d s", start->launch->vm_uuid,
                        COME_UP_MS / 1000);
            return FALSE;
        }
        ssize_t got = ready > 0 ? read(start->ready_read, report + length, MAX_REPORT - length)
                                : -1;
        if (got < 0 && errno != EINTR)
            return fail(start, VMF_ERROR_INTERNAL, error, "cannot hear whether it came up");
        if (got == 0)
            break;
        length += (gsize)MAX(got, 0);
    }
    report[length] = '\0';
    return judge_report(start, report, error);
}

/* The pid file lies in the other user's folder: only a process of that user is ever ended by it. */
static void
end_daemon(const Start *start)
{
    gsize length = 0;
    g_autofree gchar *text = vmf_disk_folder_read_end(start->folder, "pid", PID_MAX, &length);
    struct stat facts;
    if (text == NULL)
        return;
    pid_t pid = (pid_t)g_ascii_strtoll(text, NULL, 10);
    int process = pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    g_autofree gchar *proc = g_strdup_printf("/proc/%d", (int)pid);
    if (process >= 0 && stat(proc, &facts) == 0 && facts.st_uid == start->launch->run_uid)
        syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
    if (process >= 0)
        close(process);
}

static gboolean
start_daemon(Start *start, GError **error)
{
    GPid child = 0;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail(start, VMF_ERROR_INTERNAL, error, "no pipe");
    start->ready_read = ends[0];
    start->ready_write = ends[1];
    if (!spawn(start, &child, error))
        return FALSE;
    close_fd(&start->ready_write);
    close_fd(&start->lock_fd);
    if (!wait_for_daemon(start, child, error))
        return FALSE;
    if (give_nbd_socket_to_qemu(start, error) && wait_until_up(start, error))
        return TRUE;
    end_daemon(start);
    return FALSE;
}

VmfDiskClient *
vmf_disk_client_launch(const VmfDiskLaunch *launch, GError **error)
{
    const char *run_dir = launch->run_dir != NULL ? launch->run_dir : DEFAULT_RUN_DIR;
    g_auto(Start) start = {
        .launch = launch,
        .folder = g_build_filename(run_dir, launch->vm_uuid, NULL),
        .folder_fd = -1,
        .lock_fd = -1,
        .log_fd = -1,
        .ready_read = -1,
        .ready_write = -1,
    };
    /* names and URLs are judged before they become a path or an argument */
    g_autoptr(VmfDiskList)
        list = vmf_disk_list_new(launch->vm_uuid, launch->disks, launch->n_disks, error);
    if (list == NULL || !make_folder(&start, error) || !take_lock(&start, error) ||
        !clear_folder(&start, error) || !start_daemon(&start, error))
        return NULL;
    return vmf_disk_client_connect(run_dir, launch->vm_uuid, error);
}
