/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is left to a process in vmf_sandbox_enter(): each forbidden act is tried in a process of its own,
 * which either is told no or is ended by the kernel. What is needed is tried as well.
 */
#include "src/base/error.h"
#include "src/channel/line.h"
#include "src/channel/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKED = 0, REFUSED = 1, NO_SANDBOX = 2, KILLED = 1000 };

typedef int (*Act)(void); /* 0: it worked; else refused */

/* Returns: WORKED, REFUSED, or KILLED + signal */
static int
try_in(VmfSandboxRole role, Act act)
{
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        guint64 data = vmf_sandbox_data_now();
        if (!vmf_sandbox_enter(role == VMF_SANDBOX_HOLDER ? role : VMF_SANDBOX_PARENT, NULL) ||
            (role == VMF_SANDBOX_CHILD && (!vmf_sandbox_limit(data, 8 << 20, NULL) ||
                                           !vmf_sandbox_enter(VMF_SANDBOX_CHILD, NULL))))
            _exit(NO_SANDBOX);
        _exit(act() == 0 ? WORKED : REFUSED);
    }
    int status;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFSIGNALED(status))
        return KILLED + WTERMSIG(status);
    g_assert_cmpint(WEXITSTATUS(status), !=, NO_SANDBOX);
    return WEXITSTATUS(status);
}

static int
act_open(void)
{
    return open("/etc/passwd", O_RDONLY) < 0 && errno == ENOENT;
}
static int
act_create(void)
{
    return open("/tmp/vmferry-sandbox", O_CREAT | O_WRONLY, 0600) < 0;
}
static int
act_stat(void)
{
    struct stat facts;
    return stat("/", &facts) != 0;
}
static int
act_mkdir(void)
{
    return mkdir("/tmp/vmferry-sandbox.d", 0700) != 0;
}
static int
act_unlink(void)
{
    return unlink("/tmp/nothing") != 0 && errno == EPERM;
}
static int
act_chdir(void)
{
    return chdir("/") != 0;
}
static int
act_chroot(void)
{
    return chroot("/") != 0;
}
static int
act_exec(void)
{
    return execl("/bin/true", "true", NULL);
}
static int
act_fork(void)
{
    return fork() < 0;
}
static int
act_clone3(void)
{
    return syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS;
}
static int
act_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0;
}
static int
act_socketpair(void)
{
    int ends[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0;
}
static int
act_kill(void)
{
    return kill(getppid(), 0) != 0;
}
static int
act_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0;
}
static int
act_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1) != 0;
}
static int
act_executable(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
           MAP_FAILED;
}
static int
act_make_executable(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(at, 4096, PROT_READ | PROT_EXEC) != 0;
}
static int
act_memfd(void)
{
    return memfd_create("x", 0) < 0;
}
static int
act_setuid(void)
{
    return setuid(0) != 0;
}
static int
act_raise_limit(void)
{
    struct rlimit more = {1024, 1024};
    return setrlimit(RLIMIT_NOFILE, &more) != 0;
}
static int
act_many_descriptors(void)
{
    for (int i = 0; i < 64; i++)
        if (fcntl(0, F_DUPFD, 3) < 0)
            return errno == EMFILE;
    return 0;
}
static int
act_much_memory(void)
{
    return mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
           MAP_FAILED;
}
static int
act_io_uring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL) < 0;
}
static int
act_seccomp_again(void)
{
    return syscall(SYS_seccomp, 0, 0, NULL) < 0;
}
static int
act_mount(void)
{
    return syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL) != 0;
}

static const struct {
    const char *name;
    Act act;
    int child, parent; /* what it comes to there; -1: not tried */
} forbidden[] = {
    {"open", act_open, REFUSED, REFUSED},
    {"create", act_create, REFUSED, REFUSED},
    {"stat", act_stat, REFUSED, REFUSED},
    {"mkdir", act_mkdir, REFUSED, REFUSED},
    {"unlink", act_unlink, REFUSED, REFUSED},
    {"chdir", act_chdir, REFUSED, REFUSED},
    {"chroot", act_chroot, REFUSED, REFUSED},
    {"memfd", act_memfd, REFUSED, REFUSED},
    {"exec", act_exec, KILLED + SIGSYS, KILLED + SIGSYS},
    {"fork", act_fork, REFUSED, -1},
    {"clone3", act_clone3, REFUSED, REFUSED},
    {"socket", act_socket, KILLED + SIGSYS, KILLED + SIGSYS},
    {"socketpair", act_socketpair, REFUSED, -1},
    {"kill", act_kill, REFUSED, -1},
    {"ptrace", act_ptrace, KILLED + SIGSYS, KILLED + SIGSYS},
    {"become-dumpable", act_dumpable, REFUSED, -1},
    {"executable-memory", act_executable, REFUSED, REFUSED},
    {"make-executable", act_make_executable, REFUSED, REFUSED},
    {"setuid", act_setuid, KILLED + SIGSYS, KILLED + SIGSYS},
    {"raise-limit", act_raise_limit, REFUSED, -1},
    {"many-descriptors", act_many_descriptors, REFUSED, -1},
    {"much-memory", act_much_memory, REFUSED, -1},
    {"io-uring", act_io_uring, KILLED + SIGSYS, KILLED + SIGSYS},
    {"another-filter", act_seccomp_again, REFUSED, -1},
    {"mount", act_mount, KILLED + SIGSYS, KILLED + SIGSYS},
};

static void
test_child_forbidden(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_assert_cmpint(try_in(VMF_SANDBOX_CHILD, forbidden[i].act), ==, forbidden[i].child);
}

static void
test_parent_forbidden(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_assert_cmpint(try_in(VMF_SANDBOX_PARENT, forbidden[i].act), ==, forbidden[i].parent);
}

/* The holder's is a child's, but that it is given no limits of its own. */
static void
test_holder_forbidden(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    if (forbidden[i].act != act_many_descriptors && forbidden[i].act != act_much_memory)
        g_assert_cmpint(try_in(VMF_SANDBOX_HOLDER, forbidden[i].act), ==, forbidden[i].child);
}

/* ---- what is needed ---- */

static void *
in_thread(void *data)
{
    pthread_setname_np(pthread_self(), "channel-in");
    *(int *)data = 1;
    return NULL;
}

static int
act_thread(void)
{
    pthread_t thread;
    pthread_attr_t small;
    int ran = 0;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 * 1024);
    return pthread_create(&thread, &small, in_thread, &ran) != 0 ||
           pthread_join(thread, NULL) != 0 || !ran;
}

static int
act_fork_and_wait(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid < 0 || waitpid(pid, NULL, 0) != pid;
}

static int
act_line(void)
{
    int ends[2];
    g_auto(VmfLineMessage) message = {0};
    return !vmf_line_pair(ends, NULL) || !vmf_line_tell(ends[0], VMF_LINE_RENEW, NULL, NULL) ||
           !vmf_line_receive(ends[1], -1, &message, NULL, VMF_LINE_RENEW, 0);
}

static int
act_abort(void)
{
    abort();
}

static void
test_needed(void)
{
    g_assert_cmpint(try_in(VMF_SANDBOX_CHILD, act_thread), ==, WORKED);
    g_assert_cmpint(try_in(VMF_SANDBOX_PARENT, act_thread), ==, WORKED);
    g_assert_cmpint(try_in(VMF_SANDBOX_PARENT, act_fork_and_wait), ==, WORKED);
    g_assert_cmpint(try_in(VMF_SANDBOX_PARENT, act_line), ==, WORKED);
    g_assert_cmpint(try_in(VMF_SANDBOX_CHILD, act_abort), ==, KILLED + SIGABRT);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sandbox/needed/works", test_needed);
    for (gsize i = 0; i < G_N_ELEMENTS(forbidden); i++) {
        g_autofree gchar *child = g_strdup_printf("/sandbox/child/%s", forbidden[i].name);
        g_autofree gchar *parent = g_strdup_printf("/sandbox/parent/%s", forbidden[i].name);
        g_autofree gchar *holder = g_strdup_printf("/sandbox/holder/%s", forbidden[i].name);
        g_test_add_data_func(child, GSIZE_TO_POINTER(i), test_child_forbidden);
        g_test_add_data_func(holder, GSIZE_TO_POINTER(i), test_holder_forbidden);
        if (forbidden[i].parent >= 0)
            g_test_add_data_func(parent, GSIZE_TO_POINTER(i), test_parent_forbidden);
    }
    return g_test_run();
}
