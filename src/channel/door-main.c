/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vmferry-door - meets strangers for vmferryd; see door.h
 *
 * Operations. Descriptor 3 is the line to vmferryd; the listening socket comes over it and becomes 4.
 * Libraries are loaded and every right given up before the first connection. One thread, one loop: connections, orders,
 * children that have ended, children whose time is up. It never reads from a connection.
 *
 * Places. A connection that came in takes one among the unproven ones, of its address and in all, from its
 * accept to vmferryd's SETTLED or its child's end. Who gets none is closed unread, and said so.
 *
 * Failure model. See door.h. When it cannot accept (no descriptors), it says so once and waits for a child to
 * end. SIGCHLD is blocked but in ppoll(), so that no end of a child is missed.
 */
#include "src/base/error.h"
#include "src/channel/connection-limits.h"
#include "src/channel/door-child.h"
#include "src/channel/helper.h"
#include "src/channel/line.h"
#include "src/channel/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE     VMF_HELPER_LINE_FD
#define LISTENER VMF_HELPER_FILE_FD

#define UNPROVEN_S   ((gint64)12) /* the child's own deadline is 10 s */
#define MOST_AT_ONCE 512
#define DESCRIPTORS  64

typedef struct {
    pid_t pid;
    guint32 number;
    GInetAddress *place; /* taken among the unproven; NULL: none */
    gchar *address;
    gint64 until; /* monotonic; 0: no end of its time here */
    gboolean late;
} Child;

typedef struct {
    VmfChannelLimits *limits;
    GHashTable *children; /* pid → Child */
    guint32 last_number;
    guint64 data_now;
    gboolean listening, renewed;
} Door;

static void
child_free(gpointer data)
{
    Child *child = data;
    g_clear_object(&child->place);
    g_free(child->address);
    g_free(child);
}

static void
tell_about(VmfLineType type, const char *address, const char *what)
{
    VmfLineDraft draft = vmf_line_draft(type);
    vmf_line_add_text(&draft, address);
    vmf_line_add_text(&draft, what);
    vmf_line_send(LINE, &draft, NULL, NULL);
}

/* ---- children ---- */

/* Only @sock and @line are left open; signals are as they were before main() changed them. */
static G_NORETURN void
become_child(Door *door, int sock, int line, gboolean accepted)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* 3 and 4 are the line and the listener of the parent */
    if (dup3(sock, LINE, O_CLOEXEC) < 0 || dup3(line, LISTENER, O_CLOEXEC) < 0)
        _exit(1);
    close_range(LISTENER + 1, ~0u, 0);
    vmf_door_child_run(LINE, LISTENER, accepted, door->data_now);
}

/* Returns: (transfer none): the child, or NULL. Takes neither descriptor. */
static Child *
make_child(Door *door, int sock, int line, gboolean accepted)
{
    pid_t pid = fork();
    if (pid == 0)
        become_child(door, sock, line, accepted);
    if (pid < 0)
        return NULL;
    Child *child = g_new0(Child, 1);
    child->pid = pid;
    child->number = ++door->last_number;
    g_hash_table_insert(door->children, GINT_TO_POINTER(pid), child);
    return child;
}

static void
leave_place(Door *door, Child *child)
{
    if (child->place)
        vmf_channel_limits_leave(door->limits, child->place);
    g_clear_object(&child->place);
}

static void
on_child_signalled(Door *door, const Child *child, int sig)
{
    const char *address = child->address ? child->address : "a host we connected to";
    if (sig == SIGKILL && child->late) {
        tell_about(VMF_LINE_DIED, address,
                   "its time was up before the other end had proven who it is");
        return;
    }
    g_autofree gchar *how = g_strdup_printf("signal %d (%s)", sig, strsignal(sig));
    tell_about(VMF_LINE_DIED, address, how);
    /* its memory was laid out like ours and every other child's: nobody gets to try twice */
    if (!door->renewed)
        vmf_line_tell(LINE, VMF_LINE_RENEW, NULL, NULL);
    door->renewed = TRUE;
}

static void
reap(Door *door)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        Child *child = g_hash_table_lookup(door->children, GINT_TO_POINTER(pid));
        if (child == NULL)
            continue;
        leave_place(door, child);
        if (WIFSIGNALED(status))
            on_child_signalled(door, child, WTERMSIG(status));
        g_hash_table_remove(door->children, GINT_TO_POINTER(pid));
    }
}

/* Ends those whose time is up. Returns: ms until the next one's is; -1: nobody's. */
static int
end_late(Door *door)
{
    gint64 now = g_get_monotonic_time(), next = G_MAXINT64;
    GHashTableIter all;
    gpointer value;
    g_hash_table_iter_init(&all, door->children);
    while (g_hash_table_iter_next(&all, NULL, &value)) {
        Child *child = value;
        if (child->until == 0)
            continue;
        if (child->until <= now) {
            child->late = TRUE;
            child->until = 0;
            kill(child->pid, SIGKILL);
        } else {
            next = MIN(next, child->until);
        }
    }
    return next == G_MAXINT64 ? -1 : (int)((next - now) / 1000 + 1);
}

static gboolean
has_unproven(Door *door)
{
    GHashTableIter all;
    gpointer value;
    g_hash_table_iter_init(&all, door->children);
    while (g_hash_table_iter_next(&all, NULL, &value))
        if (((Child *)value)->place)
            return TRUE;
    return FALSE;
}

/* ---- strangers ---- */

/* Without getnameinfo(), which opens a socket for an IPv6 address that is good on one link only. */
static gchar *
text_of(GInetAddress *from)
{
    static const char mapped[] = "::ffff:"; /* IPv4 on a socket for both (RFC 4291 2.5.5.2) */
    g_autofree gchar *text = g_inet_address_to_string(from);
    return g_strdup(g_str_has_prefix(text, mapped) && strchr(text, '.') ? text + strlen(mapped)
                                                                        : text);
}

static GInetAddress *
address_of(const struct sockaddr_storage *from)
{
    if (from->ss_family == AF_INET6)
        return g_inet_address_new_from_bytes(
            (const guint8 *)&((const struct sockaddr_in6 *)from)->sin6_addr, G_SOCKET_FAMILY_IPV6);
    if (from->ss_family == AF_INET)
        return g_inet_address_new_from_bytes(
            (const guint8 *)&((const struct sockaddr_in *)from)->sin_addr, G_SOCKET_FAMILY_IPV4);
    return NULL;
}

/* Returns: why it may not be met; NULL: it may, and has its place. */
static const char *
refuse(Door *door, GInetAddress *from)
{
    if (g_hash_table_size(door->children) >= MOST_AT_ONCE)
        return "there are 512 connections, which is the most at once";
    switch (vmf_channel_limits_enter(door->limits, from)) {
    case VMF_CHANNEL_LIMITS_OK:
        return NULL;
    case VMF_CHANNEL_LIMITS_ADDRESS:
        return "this address has 16 connections that have not proven who they are, which is the "
               "most";
    case VMF_CHANNEL_LIMITS_ALL:
        return "there are 64 connections that have not proven who they are, which is the most";
    }
    return NULL;
}

static void
let_in(Door *door, int sock, GInetAddress *from, const char *address)
{
    int ends[2];
    if (!vmf_line_pair(ends, NULL)) {
        vmf_channel_limits_leave(door->limits, from);
        tell_about(VMF_LINE_LIMIT, address, "there are no descriptors left");
        return;
    }
    Child *child = make_child(door, sock, ends[1], TRUE);
    if (child) {
        child->place = g_object_ref(from);
        child->address = g_strdup(address);
        child->until = g_get_monotonic_time() + UNPROVEN_S * G_USEC_PER_SEC;
        VmfLineDraft draft = vmf_line_draft(VMF_LINE_ARRIVED);
        vmf_line_add_number(&draft, child->number);
        vmf_line_add_text(&draft, address);
        vmf_line_send(LINE, &draft, &ends[0], NULL);
    } else {
        vmf_channel_limits_leave(door->limits, from);
        tell_about(VMF_LINE_LIMIT, address, "no process can be made for it");
    }
    close(ends[0]);
    close(ends[1]);
}

static void
on_connection(Door *door)
{
    struct sockaddr_storage who;
    socklen_t size = sizeof who;
    int sock = accept4(LISTENER, (struct sockaddr *)&who, &size, SOCK_CLOEXEC);
    if (sock < 0)
        return; /* it has gone again */
    g_autoptr(GInetAddress) from = address_of(&who);
    if (from) {
        g_autofree gchar *address = text_of(from);
        const char *why = refuse(door, from);
        if (why)
            tell_about(VMF_LINE_LIMIT, address, why);
        else
            let_in(door, sock, from, address);
    }
    close(sock);
}

/* ---- orders ---- */

static Child *
find(Door *door, guint32 number)
{
    GHashTableIter all;
    gpointer value;
    g_hash_table_iter_init(&all, door->children);
    while (g_hash_table_iter_next(&all, NULL, &value))
        if (((Child *)value)->number == number)
            return value;
    return NULL;
}

/* Returns: FALSE when vmferryd is gone. */
static gboolean
on_order(Door *door)
{
    g_auto(VmfLineMessage) order = {0};
    if (!vmf_line_receive(LINE, -1, &order, NULL, VMF_LINE_PROVEN, VMF_LINE_SETTLED,
                          VMF_LINE_OUTGOING, VMF_LINE_LISTEN, 0))
        return FALSE;
    if (order.type == VMF_LINE_LISTEN) {
        door->listening = dup3(order.fds[0], LISTENER, O_CLOEXEC) == LISTENER &&
                          fcntl(LISTENER, F_SETFL, O_NONBLOCK) == 0;
        return TRUE;
    }
    if (order.type == VMF_LINE_OUTGOING) {
        if (g_hash_table_size(door->children) < MOST_AT_ONCE)
            make_child(door, order.fds[0], order.fds[1], FALSE);
        return TRUE; /* without a child, its line ends here, which vmferryd hears */
    }
    Child *child = find(door, vmf_line_number(&order, 0));
    if (child)
        child->until = 0;
    if (child && order.type == VMF_LINE_SETTLED)
        leave_place(door, child);
    return TRUE;
}

static int
serve(Door *door)
{
    sigset_t in_poll;
    sigprocmask(SIG_SETMASK, NULL, &in_poll);
    sigdelset(&in_poll, SIGCHLD);
    while (!door->renewed || has_unproven(door)) {
        int ms = end_late(door);
        struct timespec most = {ms / 1000, (long)(ms % 1000) * 1000000};
        struct pollfd fds[2] = {{LINE, POLLIN, 0}, {-1, POLLIN, 0}};
        if (door->listening && !door->renewed)
            fds[1].fd = LISTENER;
        int ready = ppoll(fds, 2, ms < 0 ? NULL : &most, &in_poll);
        reap(door);
        if (ready > 0 && fds[0].revents && !on_order(door))
            return 0;
        if (ready > 0 && fds[1].revents && !door->renewed)
            on_connection(door);
    }
    return 0;
}

static void
on_sigchld(int sig)
{
    /* its arrival is what ends ppoll() */
}

int
main(int argc, char **argv)
{
    sigset_t children;
    g_autoptr(GError) error = NULL;
    if (argc != 1 || fcntl(LINE, F_GETFD) < 0) {
        g_printerr("vmferry-door is started by vmferryd\n");
        return 2;
    }
    (void)dup3(0, LISTENER, O_CLOEXEC); /* until it comes, nothing else gets its number */
    struct rlimit descriptors = {DESCRIPTORS, DESCRIPTORS};
    setrlimit(RLIMIT_NOFILE, &descriptors);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, on_sigchld);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);

    Door door = {.limits = vmf_channel_limits_new(0, 0),
                 .children = g_hash_table_new_full(NULL, NULL, NULL, child_free)};
    vmf_door_child_warm_up();
    door.data_now = vmf_sandbox_data_now();
    if (!vmf_sandbox_enter(VMF_SANDBOX_PARENT, &error)) {
        g_printerr("vmferry-door: %s\n", error->message);
        return 1;
    }
    _exit(serve(&door)); /* nothing is left that an exit could do */
}
