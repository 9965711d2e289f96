/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who may call what, on a bus of its own, by processes of other users. Needs root, to be others.
 * polkit's own answers are tried where polkitd runs: tests/lab/test_authority.py.
 */
#include "src/daemon/authority.h"

#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/daemon/vmf-dbus.h"

/* Debian's base-passwd has them everywhere; each is in the group of its name only. */
#define MEMBER         "daemon"
#define STRANGER       "games"
#define OTHER_STRANGER "news"
#define REACHED        "the handler was reached"

typedef struct {
    gchar *folder, *address;
    GSubprocess *daemon;
    GDBusConnection *bus;
    VmfAuthority *authority;
    VmfDbusManager *object;
    GMutex lock;
    GPtrArray *held; /* calls that wait to be answered; guarded by lock */
} Bench;

static const struct {
    const char *method, *arguments[5];
    gboolean reads;
} verbs[] = {
    {"ListVms", {0}, TRUE},
    {"Hosts", {0}, TRUE},
    {"Doctor", {0}, TRUE},
    {"Jobs", {"5"}, TRUE},
    {"Check", {"demo", "[]", "{}"}, FALSE},
    {"Migrate", {"demo", "hv2", "{}"}, FALSE},
    {"Cancel", {"7"}, FALSE},
    {"Define", {"<domain/>"}, FALSE},
    {"Attach", {"demo", "vda", "smb://s/s/f", "raw"}, FALSE},
    {"Recover", {"demo"}, FALSE},
    {"Hook", {"prepare", "begin", "<domain/>"}, FALSE},
};

static gboolean
reached(VmfDbusManager *object, GDBusMethodInvocation *call)
{
    g_dbus_method_invocation_return_error_literal(call, VMF_ERROR, VMF_ERROR_INTERNAL, REACHED);
    return TRUE;
}

static gboolean
hold(VmfDbusManager *object, GDBusMethodInvocation *call, Bench *bench)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&bench->lock);
    g_ptr_array_add(bench->held, call);
    return TRUE;
}

static void
die_with_parent(gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void
start_bus(Bench *bench)
{
    g_autoptr(GError) error = NULL;
    bench->folder = g_dir_make_tmp("vmferry-authority-XXXXXX", &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_chmod(bench->folder, 0755), ==, 0);
    g_autofree gchar *config = g_build_filename(bench->folder, "bus.conf", NULL);
    g_autofree gchar *text = g_strdup_printf(
        "<busconfig><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>"
        "<policy context='default'><allow user='*'/><allow own='*'/><allow send_destination='*'/>"
        "<allow receive_sender='*'/></policy></busconfig>",
        bench->folder);
    g_assert_true(g_file_set_contents(config, text, -1, NULL));
    g_autofree gchar *option = g_strconcat("--config-file=", config, NULL);
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(
        G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
    g_subprocess_launcher_set_child_setup(launcher, die_with_parent, NULL, NULL);
    bench->daemon = g_subprocess_launcher_spawn(launcher, &error, "dbus-daemon", option, "--nofork",
                                                "--print-address", NULL);
    g_assert_no_error(error);
    g_autoptr(GDataInputStream)
        out = g_data_input_stream_new(g_subprocess_get_stdout_pipe(bench->daemon));
    bench->address = g_data_input_stream_read_line(out, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(bench->address);
}

static GDBusConnection *
connect_to(Bench *bench)
{
    g_autoptr(GError) error = NULL;
    GDBusConnection *bus = g_dbus_connection_new_for_address_sync(
        bench->address,
        G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
            G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
        NULL, NULL, &error);
    g_assert_no_error(error);
    return bus;
}

static void
own_name(GDBusConnection *bus, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer = g_dbus_connection_call_sync(
        bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
        g_variant_new("(su)", name, 4), NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
    g_assert_no_error(error);
}

static void
set_up(Bench *bench, gconstpointer data)
{
    if (geteuid() != 0)
        return;
    start_bus(bench);
    bench->bus = connect_to(bench);
    bench->held = g_ptr_array_new();
    bench->authority = vmf_authority_new(MEMBER, "hv1.lab.test");
    bench->object = vmf_dbus_manager_skeleton_new();
    static const char *const signals[] = {"list-vms", "hosts",  "doctor", "jobs",   "check",
                                          "migrate",  "cancel", "define", "attach", "recover"};
    for (gsize i = 0; i < G_N_ELEMENTS(signals); i++) {
        g_autofree gchar *name = g_strconcat("handle-", signals[i], NULL);
        gboolean holds = data && strcmp(signals[i], data) == 0;
        g_signal_connect(bench->object, name, holds ? G_CALLBACK(hold) : G_CALLBACK(reached),
                         bench);
    }
    g_signal_connect(bench->object, "handle-hook", G_CALLBACK(reached), NULL);
    g_dbus_interface_skeleton_set_flags(
        G_DBUS_INTERFACE_SKELETON(bench->object),
        G_DBUS_INTERFACE_SKELETON_FLAGS_HANDLE_METHOD_INVOCATIONS_IN_THREAD);
    vmf_authority_guard(bench->authority, G_DBUS_INTERFACE_SKELETON(bench->object));
    g_autoptr(GError) error = NULL;
    g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(bench->object), bench->bus,
                                     "/org/vmferry1", &error);
    g_assert_no_error(error);
    own_name(bench->bus, "org.vmferry1");
}

static void
tear_down(Bench *bench, gconstpointer data)
{
    if (bench->bus == NULL)
        return;
    g_dbus_interface_skeleton_unexport(G_DBUS_INTERFACE_SKELETON(bench->object));
    g_dbus_connection_close_sync(bench->bus, NULL, NULL);
    g_object_unref(bench->bus);
    g_object_unref(bench->object);
    g_subprocess_send_signal(bench->daemon, SIGTERM);
    g_subprocess_wait(bench->daemon, NULL, NULL);
    g_object_unref(bench->daemon);
    g_ptr_array_unref(bench->held);
    vmf_authority_free(bench->authority);
    g_autofree gchar *remove = g_strdup_printf("rm -r '%s'", bench->folder);
    g_spawn_command_line_sync(remove, NULL, NULL, NULL, NULL);
    g_free(bench->folder);
    g_free(bench->address);
}

static uid_t
uid_of(const char *name)
{
    const struct passwd *user = getpwnam(name);
    g_assert_nonnull(user);
    return user->pw_uid;
}

static void
become(gpointer uid)
{
    gid_t gid = (gid_t)GPOINTER_TO_UINT(uid);
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
        setresuid(GPOINTER_TO_UINT(uid), GPOINTER_TO_UINT(uid), GPOINTER_TO_UINT(uid)) != 0)
        _exit(99);
}

static GSubprocess *
start_call(Bench *bench, const char *user, gsize verb)
{
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(
        G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
    g_subprocess_launcher_set_child_setup(launcher, become, GUINT_TO_POINTER(uid_of(user)), NULL);
    g_autofree gchar *method = g_strconcat("org.vmferry1.Manager.", verbs[verb].method, NULL);
    const char *argv[16] = {"gdbus",    "call",         "--address",     bench->address,
                            "--dest",   "org.vmferry1", "--object-path", "/org/vmferry1",
                            "--method", method};
    for (gsize i = 0; verbs[verb].arguments[i]; i++)
        argv[10 + i] = verbs[verb].arguments[i];
    g_autoptr(GError) error = NULL;
    GSubprocess *caller = g_subprocess_launcher_spawnv(launcher, argv, &error);
    g_assert_no_error(error);
    return caller;
}

typedef struct {
    gchar *text;
    gboolean ended;
} Answer;

static void
on_answer(GObject *caller, GAsyncResult *result, gpointer data)
{
    Answer *answer = data;
    g_subprocess_communicate_utf8_finish(G_SUBPROCESS(caller), result, &answer->text, NULL, NULL);
    answer->ended = TRUE;
}

/* (transfer full): what a caller was told */
static gchar *
finish_call(GSubprocess *caller)
{
    Answer answer = {0};
    g_subprocess_communicate_utf8_async(caller, NULL, NULL, on_answer, &answer);
    while (!answer.ended)
        g_main_context_iteration(NULL, TRUE);
    g_object_unref(caller);
    return answer.text;
}

static gchar *
call_as(Bench *bench, const char *user, gsize verb)
{
    return finish_call(start_call(bench, user, verb));
}

static gboolean
cannot_run(Bench *bench)
{
    if (bench->bus)
        return FALSE;
    g_test_skip("needs root, to be other users");
    return TRUE;
}

static void
assert_says(const char *text, const char *what)
{
    if (strstr(text, what) == NULL)
        g_error("'%s' does not say '%s'", text, what);
}

static void
test_root(Bench *bench, gconstpointer data)
{
    for (gsize i = 0; !cannot_run(bench) && i < G_N_ELEMENTS(verbs); i++) {
        g_autofree gchar *told = call_as(bench, "root", i);
        assert_says(told, REACHED);
    }
}

static void
test_member(Bench *bench, gconstpointer data)
{
    for (gsize i = 0; !cannot_run(bench) && i < G_N_ELEMENTS(verbs); i++) {
        g_autofree gchar *told = call_as(bench, MEMBER, i);
        assert_says(told, strcmp(verbs[i].method, "Hook") == 0 ? "root's alone" : REACHED);
    }
}

static void
test_stranger(Bench *bench, gconstpointer data)
{
    for (gsize i = 0; !cannot_run(bench) && i < G_N_ELEMENTS(verbs); i++) {
        g_autofree gchar *told = call_as(bench, STRANGER, i);
        if (verbs[i].reads) {
            assert_says(told, REACHED);
            continue;
        }
        g_assert_null(strstr(told, REACHED));
        assert_says(told, "org.vmferry.Error.Denied");
        assert_says(told, "'games' may not ");
        assert_says(told, "hv1.lab.test");
        if (strcmp(verbs[i].method, "Hook") == 0)
            continue;
        assert_says(told, "(org.vmferry1.");
        assert_says(told, "be root or in the group '" MEMBER "'");
    }
}

static guint
count_held(Bench *bench)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&bench->lock);
    return bench->held->len;
}

/* Somebody who leaves calls unanswered behind keeps nobody else from being served. */
static void
test_many_calls(Bench *bench, gconstpointer data)
{
    if (cannot_run(bench))
        return;
    const gsize hosts = 1, doctor = 2;
    GSubprocess *waiting[4];
    for (gsize i = 0; i < G_N_ELEMENTS(waiting); i++)
        waiting[i] = start_call(bench, STRANGER, doctor);
    while (count_held(bench) < G_N_ELEMENTS(waiting))
        g_main_context_iteration(NULL, FALSE);
    g_autofree gchar *fifth = call_as(bench, STRANGER, hosts);
    assert_says(fifth, "org.vmferry.Error.Busy");
    assert_says(fifth, "has 4 calls under way");
    g_autofree gchar *other = call_as(bench, OTHER_STRANGER, hosts);
    assert_says(other, REACHED);
    g_autofree gchar *root = call_as(bench, "root", hosts);
    assert_says(root, REACHED);
    for (gsize i = 0; i < G_N_ELEMENTS(waiting); i++) /* not in the order of the callers */
        reached(NULL, bench->held->pdata[i]);
    for (gsize i = 0; i < G_N_ELEMENTS(waiting); i++) {
        g_autofree gchar *told = finish_call(waiting[i]);
        assert_says(told, REACHED);
    }
    g_autofree gchar *after = call_as(bench, STRANGER, hosts);
    assert_says(after, REACHED);
}

/* ---- polkits that are of no use ---- */

typedef struct {
    GDBusConnection *bus;
    GDBusMethodInvocation *asked; /* not answered yet; of the last question */
} Polkit;

static void
answer_nonsense(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                const char *method, GVariant *arguments, GDBusMethodInvocation *call, gpointer data)
{
    g_dbus_method_invocation_return_dbus_error(call, "org.freedesktop.PolicyKit1.Error.Failed",
                                               "Action is not registered");
}

static void
answer_later(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
             const char *method, GVariant *arguments, GDBusMethodInvocation *call, gpointer data)
{
    Polkit *polkit = data;
    polkit->asked = call;
}

/* It is served by this process's main loop, as the calls are that have not been judged. */
static void
start_polkit(Bench *bench, GDBusInterfaceMethodCallFunc answer, Polkit *polkit)
{
    static const char document[] =
        "<node><interface name='org.freedesktop.PolicyKit1.Authority'>"
        "<method name='CheckAuthorization'><arg type='(sa{sv})' direction='in'/>"
        "<arg type='s' direction='in'/><arg type='a{ss}' direction='in'/>"
        "<arg type='u' direction='in'/><arg type='s' direction='in'/>"
        "<arg type='(bba{ss})' direction='out'/></method></interface></node>";
    static GDBusInterfaceVTable table; /* GDBus keeps the pointer */
    table = (GDBusInterfaceVTable){.method_call = answer};
    *polkit = (Polkit){.bus = connect_to(bench)};
    g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(document, NULL);
    g_dbus_connection_register_object(polkit->bus, "/org/freedesktop/PolicyKit1/Authority",
                                      node->interfaces[0], &table, polkit, NULL, NULL);
    own_name(polkit->bus, "org.freedesktop.PolicyKit1");
}

static void
stop_polkit(Polkit *polkit)
{
    g_dbus_connection_close_sync(polkit->bus, NULL, NULL);
    g_object_unref(polkit->bus);
}

/* polkit is there and does not know our actions: nobody is let in but root. */
static void
test_polkit_fails(Bench *bench, gconstpointer data)
{
    Polkit polkit;
    if (cannot_run(bench))
        return;
    start_polkit(bench, answer_nonsense, &polkit);
    static const char *const callers[] = {MEMBER, STRANGER};
    for (gsize i = 0; i < G_N_ELEMENTS(callers); i++) {
        g_autofree gchar *told = call_as(bench, callers[i], 0);
        assert_says(told, "org.vmferry.Error.Unreachable");
        assert_says(told, "(org.vmferry1.read) is unknown");
        assert_says(told, "Action is not registered");
    }
    g_autofree gchar *root = call_as(bench, "root", 0);
    assert_says(root, REACHED);
    stop_polkit(&polkit);
}

/* polkit waits for somebody to type a password: the main loop and everybody else go on. */
static void
test_polkit_waits(Bench *bench, gconstpointer data)
{
    Polkit polkit;
    if (cannot_run(bench))
        return;
    start_polkit(bench, answer_later, &polkit);
    GSubprocess *waiting = start_call(bench, STRANGER, 0);
    while (polkit.asked == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_autofree gchar *root = call_as(bench, "root", 0);
    assert_says(root, REACHED);
    g_dbus_method_invocation_return_value(polkit.asked,
                                          g_variant_new_parsed("((true, false, @a{ss} {}),)"));
    g_autofree gchar *told = finish_call(waiting);
    assert_says(told, REACHED);
    stop_polkit(&polkit);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/authority/root/everything", Bench, NULL, set_up, test_root, tear_down);
    g_test_add("/authority/member/all-but-the-hook", Bench, NULL, set_up, test_member, tear_down);
    g_test_add("/authority/stranger/reads-and-nothing-else", Bench, NULL, set_up, test_stranger,
               tear_down);
    g_test_add("/authority/stranger/few-calls-at-a-time", Bench, "doctor", set_up, test_many_calls,
               tear_down);
    g_test_add("/authority/polkit/fails", Bench, NULL, set_up, test_polkit_fails, tear_down);
    g_test_add("/authority/polkit/waits-for-a-person", Bench, NULL, set_up, test_polkit_waits,
               tear_down);
    return g_test_run();
}
