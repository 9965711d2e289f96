/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/daemon/authority.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "src/base/error.h"

#define CALLS_AT_MOST     4
#define POLKIT_TIMEOUT_MS 30000  /* the bus gives up starting it after 25 s */
#define DIALOG_TIMEOUT_MS 300000 /* somebody types a password */
#define GROUPS_AT_MOST    4096
#define GROUP_BYTES       (16 * 1024 * 1024)

typedef enum {
    ACTION_READ,
    ACTION_CHECK,
    ACTION_MIGRATE,
    ACTION_CANCEL,
    ACTION_DEFINE,
    ACTION_RECOVER,
    ACTION_HOOK, /* root's alone: no action of polkit */
} Action;

static const struct {
    const char *id;
    const char *what; /* "may not ..." */
} actions[] = {
    [ACTION_READ] = {"org.vmferry1.read", "see the state of"},
    [ACTION_CHECK] = {"org.vmferry1.check", "have a VM's move checked on"},
    [ACTION_MIGRATE] = {"org.vmferry1.migrate", "move VMs away from"},
    [ACTION_CANCEL] = {"org.vmferry1.cancel", "cancel moves of"},
    [ACTION_DEFINE] = {"org.vmferry1.define", "define VMs or attach disks on"},
    [ACTION_RECOVER] = {"org.vmferry1.recover", "recover VMs of a dead host on"},
    [ACTION_HOOK] = {NULL, "speak for libvirt on"},
};
G_STATIC_ASSERT(G_N_ELEMENTS(actions) == ACTION_HOOK + 1);

static const struct {
    const char *interface, *method;
    Action action;
} methods[] = {
    {"org.vmferry1.Manager", "ListVms", ACTION_READ},
    {"org.vmferry1.Manager", "Hosts", ACTION_READ},
    {"org.vmferry1.Manager", "Doctor", ACTION_READ},
    {"org.vmferry1.Manager", "Jobs", ACTION_READ},
    {"org.vmferry1.Manager", "Check", ACTION_CHECK},
    {"org.vmferry1.Manager", "Migrate", ACTION_MIGRATE},
    {"org.vmferry1.Manager", "Cancel", ACTION_CANCEL},
    {"org.vmferry1.Job", "Cancel", ACTION_CANCEL},
    {"org.vmferry1.Manager", "Define", ACTION_DEFINE},
    {"org.vmferry1.Manager", "Attach", ACTION_DEFINE},
    {"org.vmferry1.Manager", "Recover", ACTION_RECOVER},
    {"org.vmferry1.Manager", "Hook", ACTION_HOOK},
};

struct _VmfAuthority {
    gchar *group, *host;
    GMutex lock;
    GHashTable
        *calls; /* uid -> how many are under way; of those outside the group. Guarded by lock */
};

typedef struct {
    uid_t uid;
    gchar *name; /* "uid 1000" when the user database does not know it */
    gboolean member;
} Caller;

static void
caller_clear(Caller *caller)
{
    g_free(caller->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Caller, caller_clear)

VmfAuthority *
vmf_authority_new(const char *group, const char *host)
{
    VmfAuthority *authority = g_new0(VmfAuthority, 1);
    authority->group = g_strdup(group);
    authority->host = g_strdup(host);
    g_mutex_init(&authority->lock);
    authority->calls = g_hash_table_new(NULL, NULL);
    return authority;
}

void
vmf_authority_free(VmfAuthority *authority)
{
    g_hash_table_unref(authority->calls);
    g_mutex_clear(&authority->lock);
    g_free(authority->group);
    g_free(authority->host);
    g_free(authority);
}

/* ---- who calls ---- */

/* A group's entry names its members: as long as a directory makes it. */
static gboolean
find_group(const char *name, gid_t *gid)
{
    struct group entry, *found = NULL;
    int status = ERANGE;
    for (gsize size = 4096; status == ERANGE && size <= GROUP_BYTES; size *= 4) {
        g_autofree char *buffer = g_malloc(size);
        status = getgrnam_r(name, &entry, buffer, size, &found);
        if (status == 0 && found)
            *gid = found->gr_gid;
    }
    return status == 0 && found;
}

static gboolean
is_in_group(const struct passwd *user, const char *group)
{
    gid_t wanted = 0;
    int n = GROUPS_AT_MOST;
    g_autofree gid_t *of = g_new(gid_t, n);
    if (!find_group(group, &wanted))
        return FALSE;
    if (getgrouplist(user->pw_name, user->pw_gid, of, &n) < 0)
        return FALSE; /* in more groups than anyone is */
    for (int i = 0; i < n; i++)
        if (of[i] == wanted)
            return TRUE;
    return FALSE;
}

static void
look_up_user(VmfAuthority *authority, Caller *caller)
{
    char buffer[16384];
    struct passwd entry, *user = NULL;
    if (getpwuid_r(caller->uid, &entry, buffer, sizeof buffer, &user) != 0 || user == NULL) {
        caller->name = g_strdup_printf("uid %u", caller->uid);
        return;
    }
    caller->name = g_strdup(user->pw_name);
    caller->member = is_in_group(user, authority->group);
}

static gboolean
find_caller(VmfAuthority *authority, GDBusMethodInvocation *call, Caller *caller, GError **error)
{
    g_autoptr(GVariant) answer = g_dbus_connection_call_sync(
        g_dbus_method_invocation_get_connection(call), "org.freedesktop.DBus",
        "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser",
        g_variant_new("(s)", g_dbus_method_invocation_get_sender(call)), G_VARIANT_TYPE("(u)"),
        G_DBUS_CALL_FLAGS_NONE, POLKIT_TIMEOUT_MS, NULL, error);
    if (answer == NULL) {
        vmf_error_from_dbus(error, "the system bus");
        return FALSE;
    }
    guint32 uid;
    g_variant_get(answer, "(u)", &uid);
    caller->uid = uid;
    if (uid != 0)
        look_up_user(authority, caller);
    return TRUE;
}

/* ---- how many calls ---- */

typedef struct {
    VmfAuthority *authority;
    uid_t uid;
} Turn;

static void
end_turn(gpointer data)
{
    Turn *turn = data;
    GHashTable *calls = turn->authority->calls;
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&turn->authority->lock);
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(calls, GUINT_TO_POINTER(turn->uid))) - 1;
    if (n == 0)
        g_hash_table_remove(calls, GUINT_TO_POINTER(turn->uid));
    else
        g_hash_table_insert(calls, GUINT_TO_POINTER(turn->uid), GUINT_TO_POINTER(n));
    g_free(turn);
}

/* Ends when the call has been answered. */
static gboolean
take_turn(VmfAuthority *authority, const Caller *caller, GDBusMethodInvocation *call,
          GError **error)
{
    gpointer key = GUINT_TO_POINTER(caller->uid);
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&authority->lock);
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(authority->calls, key));
    if (n >= CALLS_AT_MOST) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                    "'%s' has %u calls under way on %s, as many as one may who is not in the group "
                    "'%s'; try again when one has ended",
                    caller->name, n, authority->host, authority->group);
        return FALSE;
    }
    g_hash_table_insert(authority->calls, key, GUINT_TO_POINTER(n + 1));
    Turn *turn = g_new(Turn, 1);
    *turn = (Turn){authority, caller->uid};
    g_object_set_data_full(G_OBJECT(call), "vmf-turn", turn, end_turn);
    return TRUE;
}

/* ---- the verdict ---- */

typedef enum {
    POLKIT_YES,
    POLKIT_NO,
    POLKIT_ASKS, /* an administrator would have to say yes, and cannot be asked */
    POLKIT_ABSENT,
    POLKIT_FAILED,
} Polkit;

static Polkit
read_failure(GError *error, GError **out)
{
    if (g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
        g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER)) {
        g_error_free(error);
        return POLKIT_ABSENT;
    }
    g_dbus_error_strip_remote_error(error);
    g_set_error(out, VMF_ERROR, VMF_ERROR_UNREACHABLE, "polkit gives no answer (%s)",
                error->message);
    g_error_free(error);
    return POLKIT_FAILED;
}

static Polkit
ask_polkit(GDBusMethodInvocation *call, const char *action, GError **error)
{
    GDBusMessage *message = g_dbus_method_invocation_get_message(call);
    gboolean may_ask = g_dbus_message_get_flags(message) &
                       G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION;
    GVariantBuilder subject;
    g_variant_builder_init(&subject, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&subject, "{sv}", "name",
                          g_variant_new_string(g_dbus_method_invocation_get_sender(call)));
    GError *local = NULL;
    g_autoptr(GVariant) answer = g_dbus_connection_call_sync(
        g_dbus_method_invocation_get_connection(call), "org.freedesktop.PolicyKit1",
        "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority",
        "CheckAuthorization",
        g_variant_new("((sa{sv})s@a{ss}us)", "system-bus-name", &subject, action,
                      g_variant_new_array(G_VARIANT_TYPE("{ss}"), NULL, 0), may_ask ? 1 : 0, ""),
        G_VARIANT_TYPE("((bba{ss}))"), G_DBUS_CALL_FLAGS_NONE,
        may_ask ? DIALOG_TIMEOUT_MS : POLKIT_TIMEOUT_MS, NULL, &local);
    if (answer == NULL)
        return read_failure(local, error);
    gboolean authorized, challenge;
    g_variant_get(answer, "((bba{ss}))", &authorized, &challenge, NULL);
    return authorized ? POLKIT_YES : challenge ? POLKIT_ASKS : POLKIT_NO;
}

static void
say_denied(VmfAuthority *authority, const Caller *caller, Action action, const char *cure,
           GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED, "'%s' may not %s %s (%s): %s", caller->name,
                actions[action].what, authority->host, actions[action].id, cure);
}

static gboolean
judge_other(VmfAuthority *authority, const Caller *caller, Action action,
            GDBusMethodInvocation *call, GError **error)
{
    g_autofree gchar *cure = NULL;
    switch (ask_polkit(call, actions[action].id, error)) {
    case POLKIT_YES:
        return TRUE;
    case POLKIT_NO:
        cure = g_strdup_printf("be root or in the group '%s', or have an administrator grant it "
                               "with a rule in /etc/polkit-1/rules.d, see vmferryd(8)",
                               authority->group);
        break;
    case POLKIT_ASKS:
        cure = g_strdup_printf("an administrator has to confirm it, and could not be asked from "
                               "here; be root or in the group '%s', or have it granted with a rule "
                               "in /etc/polkit-1/rules.d, see vmferryd(8)",
                               authority->group);
        break;
    case POLKIT_ABSENT:
        if (caller->member || action == ACTION_READ)
            return TRUE;
        cure = g_strdup_printf("be root or in the group '%s'; nothing else can grant it while this "
                               "host has no polkit",
                               authority->group);
        break;
    case POLKIT_FAILED:
        g_prefix_error(error, "whether '%s' may %s %s (%s) is unknown: ", caller->name,
                       actions[action].what, authority->host, actions[action].id);
        return FALSE;
    }
    say_denied(authority, caller, action, cure, error);
    return FALSE;
}

static gboolean
judge(VmfAuthority *authority, Action action, GDBusMethodInvocation *call, GError **error)
{
    g_auto(Caller) caller = {0};
    if (!find_caller(authority, call, &caller, error))
        return FALSE;
    if (caller.uid == 0)
        return TRUE;
    if (action == ACTION_HOOK) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                    "'%s' may not %s %s: libvirt's hook is root's alone", caller.name,
                    actions[action].what, authority->host);
        return FALSE;
    }
    if (!caller.member && !take_turn(authority, &caller, call, error))
        return FALSE;
    if (!judge_other(authority, &caller, action, call, error))
        return FALSE;
    if (action != ACTION_READ)
        g_message("'%s' (uid %u) is granted %s", caller.name, caller.uid, actions[action].id);
    return TRUE;
}

static Action
find_action(const char *interface, const char *method)
{
    for (gsize i = 0; i < G_N_ELEMENTS(methods); i++)
        if (strcmp(methods[i].interface, interface) == 0 && strcmp(methods[i].method, method) == 0)
            return methods[i].action;
    g_error("%s.%s has no action", interface,
            method); /* vmf_authority_guard() would have said so */
}

static gboolean
on_authorize(GDBusInterfaceSkeleton *skeleton, GDBusMethodInvocation *call, gpointer data)
{
    Action action = find_action(g_dbus_method_invocation_get_interface_name(call),
                                g_dbus_method_invocation_get_method_name(call));
    g_autoptr(GError) error = NULL;
    if (judge(data, action, call, &error))
        return TRUE;
    g_message("refused: %s", error->message);
    g_dbus_method_invocation_return_gerror(call, error);
    return FALSE;
}

void
vmf_authority_guard(VmfAuthority *authority, GDBusInterfaceSkeleton *skeleton)
{
    const GDBusInterfaceInfo *info = g_dbus_interface_skeleton_get_info(skeleton);
    for (guint i = 0; info->methods && info->methods[i]; i++)
        find_action(info->name, info->methods[i]->name);
    g_signal_connect(skeleton, "g-authorize-method", G_CALLBACK(on_authorize), authority);
}
