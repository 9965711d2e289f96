/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/qemu-process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "src/base/error.h"

#define DEFAULT_STATE_DIR "/run/libvirt/qemu"
#define YIELDS            200 /* looks for the stop of a process before sleeping between them */
#define LOOK_US           200
#define START_TIME_FIELD  22 /* of /proc/PID/stat; proc(5) */

struct VmfQemuProcess {
    gint64 pid;
    guint64 start_time;
    int pidfd;
    gchar *name;
};

static gint64
read_pid_file(const char *state_dir, const char *name)
{
    guint64 pid;
    g_autofree gchar *base = g_strconcat(name, ".pid", NULL);
    g_autofree gchar *path = g_build_filename(state_dir, base, NULL);
    g_autofree gchar *text = NULL;
    if (strchr(name, '/') != NULL || !g_file_get_contents(path, &text, NULL, NULL) ||
        !g_ascii_string_to_unsigned(g_strstrip(text), 10, 2, G_MAXINT32, &pid, NULL))
        return 0;
    return (gint64)pid;
}

/* "-uuid", then the UUID, among the NUL-separated arguments. */
static gboolean
runs_vm(gint64 pid, const char *uuid)
{
    g_autofree gchar *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/cmdline", pid);
    g_autofree gchar *arguments = NULL;
    gsize length;
    if (!g_file_get_contents(path, &arguments, &length, NULL))
        return FALSE;
    const char *before = "";
    for (gsize at = 0; at < length; at += strlen(arguments + at) + 1) {
        if (strcmp(before, "-uuid") == 0)
            return g_ascii_strcasecmp(arguments + at, uuid) == 0;
        before = arguments + at;
    }
    return FALSE;
}

/* The command's name may contain anything: fields are counted from its last ')'. */
static guint64
read_start_time(gint64 pid)
{
    g_autofree gchar *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/stat", pid);
    g_autofree gchar *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    const char *at = strrchr(text, ')');
    for (guint field = 2; at != NULL && field < START_TIME_FIELD; field++)
        at = strchr(at + 1, ' ');
    return at != NULL ? g_ascii_strtoull(at + 1, NULL, 10) : 0;
}

VmfQemuProcess *
vmf_qemu_process_find(const char *state_dir, const char *name, const char *uuid, GError **error)
{
    gint64 pid = read_pid_file(state_dir != NULL ? state_dir : DEFAULT_STATE_DIR, name);
    int fd = pid > 0 ? pidfd_open((pid_t)pid, 0) : -1;
    /* Looked at after the descriptor was taken: what it refers to is what was looked at. */
    if (fd < 0 || !runs_vm(pid, uuid)) {
        if (fd >= 0)
            close(fd);
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "no QEMU process of libvirt runs the VM '%s' (%s) on this host", name, uuid);
        return NULL;
    }
    VmfQemuProcess *process = g_new0(VmfQemuProcess, 1);
    process->pid = pid;
    process->pidfd = fd;
    process->start_time = read_start_time(pid);
    process->name = g_strdup(name);
    return process;
}

void
vmf_qemu_process_free(VmfQemuProcess *process)
{
    if (process == NULL)
        return;
    close(process->pidfd);
    g_free(process->name);
    g_free(process);
}

gint64
vmf_qemu_process_pid(const VmfQemuProcess *process)
{
    return process->pid;
}

guint64
vmf_qemu_process_start_time(const VmfQemuProcess *process)
{
    return process->start_time;
}

/* A pidfd becomes readable when its process has ended, reaped or not. */
static gboolean
ended_within(const VmfQemuProcess *process, gint64 timeout_ms)
{
    gint64 until = g_get_monotonic_time() + timeout_ms * 1000;
    for (;;) {
        struct pollfd ended = {.fd = process->pidfd, .events = POLLIN};
        gint64 left_ms = MAX(0, (until - g_get_monotonic_time()) / 1000);
        int ready = poll(&ended, 1, (int)left_ms);
        if (ready > 0)
            return TRUE;
        if (ready == 0 || errno != EINTR)
            return FALSE;
    }
}

gboolean
vmf_qemu_process_alive(const VmfQemuProcess *process)
{
    return !ended_within(process, 0);
}

static gboolean
send_signal(VmfQemuProcess *process, int signal_number, GError **error)
{
    if (pidfd_send_signal(process->pidfd, signal_number, NULL, 0) == 0)
        return TRUE;
    int err = errno;
    g_set_error(error, VMF_ERROR, err == EPERM ? VMF_ERROR_DENIED : VMF_ERROR_INTERNAL,
                "cannot send %s to QEMU of '%s' (process %" G_GINT64_FORMAT "): %s",
                g_strsignal(signal_number), process->name, process->pid, g_strerror(err));
    return FALSE;
}

gboolean
vmf_qemu_process_stop(VmfQemuProcess *process, gboolean stop, GError **error)
{
    return send_signal(process, stop ? SIGSTOP : SIGCONT, error);
}

/* The state letter of /proc/PID/stat, proc(5); 0: it is gone. */
static char
state_of(const VmfQemuProcess *process)
{
    g_autofree gchar *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/stat", process->pid);
    g_autofree gchar *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL) || !vmf_qemu_process_alive(process))
        return 0;
    const char *at = strrchr(text, ')');
    return at != NULL && at[1] == ' ' ? at[2] : 0;
}

gboolean
vmf_qemu_process_wait_stopped(VmfQemuProcess *process, guint timeout_ms, GError **error)
{
    gint64 until = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    char state;
    /* Only a parent is told of a stop; it takes some microseconds. */
    for (guint looks = 0; (state = state_of(process)) != 'T'; looks++) {
        if (state == 0) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "QEMU of '%s' has ended",
                        process->name);
            return FALSE;
        }
        if (g_get_monotonic_time() >= until) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                        "QEMU of '%s' (process %" G_GINT64_FORMAT
                        ") does not stop within %u ms: the kernel holds it (state %c)",
                        process->name, process->pid, timeout_ms, state);
            return FALSE;
        }
        if (looks < YIELDS)
            g_thread_yield();
        else
            g_usleep(LOOK_US);
    }
    return TRUE;
}

/* "ShdPnd:\t0000000000004000": signals sent to the process, or to its main thread (SigPnd). */
static gboolean
is_pending(const char *status, const char *field)
{
    const char *at = strstr(status, field);
    guint64 set = at != NULL ? g_ascii_strtoull(at + strlen(field), NULL, 16) : 0;
    return (set & (G_GUINT64_CONSTANT(1) << (SIGTERM - 1))) != 0;
}

gboolean
vmf_qemu_process_is_told_to_end(const VmfQemuProcess *process)
{
    g_autofree gchar *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/status", process->pid);
    g_autofree gchar *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) && vmf_qemu_process_alive(process) &&
           (is_pending(text, "\nSigPnd:") || is_pending(text, "\nShdPnd:"));
}

gboolean
vmf_qemu_process_kill(VmfQemuProcess *process, guint timeout_ms, GError **error)
{
    if (!vmf_qemu_process_alive(process))
        return TRUE;
    if (!send_signal(process, SIGKILL, error)) {
        if (vmf_qemu_process_alive(process))
            return FALSE;
        g_clear_error(error);
        return TRUE;
    }
    if (ended_within(process, timeout_ms))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                "QEMU of '%s' (process %" G_GINT64_FORMAT ") was killed and has not ended after "
                "%u ms: its storage may hold it in the kernel",
                process->name, process->pid, timeout_ms);
    return FALSE;
}
