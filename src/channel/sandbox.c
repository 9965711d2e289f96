/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/sandbox.h"

#include "src/base/error.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHILD_DESCRIPTORS 16

static gboolean
fail(GError **error, const char *what, int code)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "cannot give up rights: %s: %s", what,
                g_strerror(code));
    return FALSE;
}

/* ---- seccomp ---- */

/* Both roles: memory, time, what is open already, threads, the process's own end. */
static const int allowed[] = {
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    /* descriptors that are there */
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(close),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(fstat),
    SCMP_SYS(close_range),
    SCMP_SYS(dup3),
    SCMP_SYS(fcntl),
    SCMP_SYS(lseek),
    /* time and chance */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(nanosleep),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(times),
    SCMP_SYS(restart_syscall),
    /* threads and signals */
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(membarrier),
    /* who am I */
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

/* The parent's own: to meet strangers, and to make, hear of and end children. */
static const int parents[] = {
    SCMP_SYS(accept4),
    SCMP_SYS(socketpair),
    SCMP_SYS(clone),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(wait4),
    SCMP_SYS(waitid),
    SCMP_SYS(kill),
    /* a child's own filter and limits */
    SCMP_SYS(seccomp),
    SCMP_SYS(prctl),
    SCMP_SYS(prlimit64),
    SCMP_SYS(setrlimit),
    SCMP_SYS(alarm),
    SCMP_SYS(setitimer),
};

/* Libraries look for files and do without. */
static const int no_such_file[] = {
    SCMP_SYS(open),      SCMP_SYS(openat),     SCMP_SYS(openat2),  SCMP_SYS(stat),
    SCMP_SYS(lstat),     SCMP_SYS(newfstatat), SCMP_SYS(statx),    SCMP_SYS(access),
    SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
};

/* Deadly too, but in a build with fault points, each of which connects to a socket of the test. */
static const int outward[] = {SCMP_SYS(socket), SCMP_SYS(connect)};
#ifdef VMF_FAULT_POINTS
#define OUTWARD SCMP_ACT_ALLOW
#else
#define OUTWARD SCMP_ACT_KILL_PROCESS
#endif

/* ASan makes many calls of its own, and needs memory: what its builds are run for is other faults. */
#ifdef VMF_SANITIZED
static const gboolean sanitized = TRUE;
#else
static const gboolean sanitized = FALSE;
#endif

/* What only somebody who has taken over the process would call; the rest is refused. */
static const int deadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(bpf),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(mount),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(setuid),
    SCMP_SYS(setresuid),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
};

static int
add_all(scmp_filter_ctx filter, uint32_t action, const int *calls, gsize count)
{
    int rc = 0;
    for (gsize i = 0; rc == 0 && i < count; i++) {
        rc = seccomp_rule_add(filter, action, calls[i], 0);
        if (rc == -EDOM) /* this architecture has no such call */
            rc = 0;
    }
    return rc;
}

/* Memory is never both written and executed, or made executable. */
static int
add_memory(scmp_filter_ctx filter)
{
    static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(mprotect)};
    int rc = 0;
    for (gsize i = 0; rc == 0 && i < G_N_ELEMENTS(calls); i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (rc == -EDOM)
            rc = 0;
    }
    return rc;
}

/* Threads yes, processes no. glibc asks by clone3 first, whose flags a filter cannot see. */
static int
add_threads(scmp_filter_ctx filter, VmfSandboxRole role)
{
    int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == 0 && role == VMF_SANDBOX_CHILD)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (rc == 0 && role == VMF_SANDBOX_CHILD) /* names of threads, and of memory */
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                              SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    if (rc == 0) /* abort() */
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    return rc;
}

static gboolean
filter_calls(VmfSandboxRole role, GError **error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return fail(error, "seccomp", ENOMEM);
    int rc = add_all(filter, SCMP_ACT_ALLOW, allowed, G_N_ELEMENTS(allowed));
    if (rc == 0 && role == VMF_SANDBOX_PARENT)
        rc = add_all(filter, SCMP_ACT_ALLOW, parents, G_N_ELEMENTS(parents));
    if (rc == 0 && role == VMF_SANDBOX_HOLDER)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(accept4), 0);
    if (rc == 0)
        rc = add_all(filter, SCMP_ACT_ERRNO(ENOENT), no_such_file, G_N_ELEMENTS(no_such_file));
    if (rc == 0)
        rc = add_all(filter, SCMP_ACT_KILL_PROCESS, deadly, G_N_ELEMENTS(deadly));
    if (rc == 0)
        rc = add_all(filter, OUTWARD, outward, G_N_ELEMENTS(outward));
    if (rc == 0)
        rc = add_memory(filter);
    if (rc == 0)
        rc = add_threads(filter, role);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc == 0 || fail(error, "seccomp", -rc);
}

/* ---- Landlock ---- */

/* Every right that the kernel at hand knows is handled, and none is given. */
static void
forget_files(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return; /* an older kernel, or it is off: the filter stands alone */
    struct landlock_ruleset_attr all = {
        .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1, /* version 1 */
    };
    if (version >= 2)
        all.handled_access_fs |= 1ULL << 13; /* REFER */
    if (version >= 3)
        all.handled_access_fs |= 1ULL << 14; /* TRUNCATE */
    int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (rules < 0)
        return;
    (void)syscall(SYS_landlock_restrict_self, rules, 0);
    close(rules);
}

/* ---- limits ---- */

static gboolean
set_limit(int what, guint64 most, GError **error)
{
    struct rlimit limit = {most, most};
    return setrlimit(what, &limit) == 0 || fail(error, "setrlimit", errno);
}

guint64
vmf_sandbox_data_now(void)
{
    unsigned long kib = 0;
    char line[128];
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmData: %lu kB", &kib) == 1)
            break;
    if (status)
        fclose(status);
    return (guint64)kib * 1024;
}

gboolean
vmf_sandbox_limit(guint64 data_now, guint64 more_data, GError **error)
{
    return (sanitized || set_limit(RLIMIT_DATA, data_now + more_data, error)) &&
           set_limit(RLIMIT_NOFILE, CHILD_DESCRIPTORS, error);
}

gboolean
vmf_sandbox_drop_capabilities(GError **error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    return syscall(SYS_capset, &header, none) == 0 || fail(error, "capset", errno);
}

gboolean
vmf_sandbox_enter(VmfSandboxRole role, GError **error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
        return fail(error, "prctl", errno);
    if (role != VMF_SANDBOX_CHILD) {
        signal(SIGXFSZ, SIG_IGN); /* a word to a log that is a file is lost, and nothing else */
        if (!set_limit(RLIMIT_CORE, 0, error) || !set_limit(RLIMIT_FSIZE, 0, error))
            return FALSE;
        if (!sanitized) /* the filter's "no such file" is what libkrb5 lives with, not "denied" */
            forget_files();
    }
    return sanitized || filter_calls(role, error);
}
