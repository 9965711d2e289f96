/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/daemon/daemon.h"
#include "src/daemon/listener.h"
#include "src/daemon/manager.h"
#include "src/daemon/vm-admin.h"
#include "src/migrate/recover.h"
#include "src/migrate/vm-disks.h"
#include "src/vm/machine-facts.h"

/*
 * vmferryd: start everything in order, say so, and serve.
 *
 * Failure model. What is missing at the start (policy file, keytab, domain controller, libvirt's
 * socket is not needed yet) stops it with one message that says what and what to do; systemd starts
 * it again. Its end harms no VM: the disk processes stay, and the next vmferryd finds them.
 */

#define RUN_DIR        "/run/vmferry"
#define STATE_DIR      "/var/lib/vmferry"
#define ADMIN_GROUP    "vmferry"
#define TICKET_CHECK_S 60
#define SID_KEY        "owner-sid"

static gboolean
make_folder(const char *path, mode_t mode, GError **error)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST) {
        if (chmod(path, mode) == 0)
            return TRUE;
    }
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "cannot make '%s': %s", path,
                g_strerror(errno));
    return FALSE;
}

static VmfLocalPolicy *
load_policy(const char *path, GError **error)
{
    g_autofree gchar *text = NULL;
    gsize size;
    g_autoptr(GError) local = NULL;
    if (g_file_get_contents(path, &text, &size, &local))
        return vmf_local_policy_parse(text, size, path, error);
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                "%s; write the policy file (an example comes with vmferry)", local->message);
    return NULL;
}

/* The account's SID never changes while it exists: the last known one serves when no DC answers. */
static gboolean
find_own_sid(VmfContext *context, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VmfComputer)
        self = vmf_directory_computer(context->directory, context->me->account, &local);
    g_autofree gchar *known = vmf_journal_get_meta(context->journal, SID_KEY);
    if (self) {
        context->sid = g_strdup(self->sid);
        return g_strcmp0(known, self->sid) == 0 ||
               vmf_journal_set_meta(context->journal, SID_KEY, self->sid, error);
    }
    if (known && g_error_matches(local, VMF_ERROR, VMF_ERROR_UNREACHABLE)) {
        g_warning("%s; going on with what is known: no new move until it answers", local->message);
        context->sid = g_steal_pointer(&known);
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

typedef struct {
    VmfTicketKeeper *keepers[2]; /* the disk processes', ours */
} Tickets;

/* A new ticket at half of the old one's life: before the disk processes rotate onto it. */
static gpointer
keep_tickets(gpointer data)
{
    Tickets *tickets = data;
    for (;;) {
        for (gsize i = 0; i < G_N_ELEMENTS(tickets->keepers); i++) {
            VmfTicketKeeper *keeper = tickets->keepers[i];
            gint64 life = vmf_ticket_keeper_end_time(keeper) - vmf_ticket_keeper_start_time(keeper);
            g_autoptr(GError) error = NULL;
            if (!vmf_ticket_keeper_ensure(keeper, life / 2, &error))
                g_warning("ticket: %s", error->message);
        }
        g_usleep(TICKET_CHECK_S * G_USEC_PER_SEC);
    }
    return NULL;
}

static gboolean
start_tickets(VmfContext *context, GError **error)
{
    uid_t uid;
    gid_t gid;
    if (!vmf_local_user(context->policy->disk_user, "[vmferry] disk-user", &uid, &gid, error))
        return FALSE;
    context->smb_ticket = vmf_ticket_keeper_new(context->me, context->policy->keytab,
                                                RUN_DIR "/smb.cc", uid, gid);
    Tickets *tickets = g_new0(Tickets, 1);
    tickets->keepers[0] = context->smb_ticket;
    tickets->keepers[1] = vmf_ticket_keeper_new(context->me, context->policy->keytab,
                                                RUN_DIR "/daemon.cc", (uid_t)-1, (gid_t)-1);
    for (gsize i = 0; i < G_N_ELEMENTS(tickets->keepers); i++) {
        g_autoptr(GError) local = NULL;
        if (!vmf_ticket_keeper_ensure(tickets->keepers[i], 600, &local)) {
            if (vmf_ticket_keeper_end_time(tickets->keepers[i]) == 0) {
                g_propagate_error(error, g_steal_pointer(&local));
                return FALSE;
            }
            g_warning("ticket: %s", local->message);
        }
    }
    context->directory = vmf_directory_new(context->me, RUN_DIR "/daemon.cc");
    g_thread_unref(g_thread_new("vmf-tickets", keep_tickets, tickets));
    return TRUE;
}

/* What a vmferryd before this one left unfinished; each move waits for its own fault to heal. */
typedef struct {
    VmfDaemon *daemon;
    VmfJournalEntry *entry; /* of a source, or */
    VmfIncoming *incoming;
} Unfinished;

static gpointer
recover(gpointer data)
{
    Unfinished *move = data;
    g_autofree gchar *uuid = g_strdup(move->entry ? move->entry->vm_uuid
                                                  : vmf_incoming_uuid(move->incoming));
    vmf_vm_admin_wait_for_libvirt(move->daemon);
    if (move->entry) {
        vmf_recover_source(&move->daemon->context, move->entry);
        vmf_turns_own_end(move->daemon->context.turns, uuid);
    } else {
        vmf_incoming_recover(move->incoming);
    }
    vmf_vm_admin_reconcile(move->daemon, uuid);
    g_clear_pointer(&move->entry, vmf_journal_entry_free);
    g_clear_pointer(&move->incoming, vmf_incoming_unref);
    g_free(move);
    return NULL;
}

typedef struct {
    VmfDaemon *daemon;
    GPtrArray *uuids;
} Leftovers;

static gpointer
reconcile(gpointer data)
{
    Leftovers *left = data;
    for (guint i = 0; i < left->uuids->len; i++)
        vmf_vm_admin_reconcile(left->daemon, left->uuids->pdata[i]);
    g_ptr_array_unref(left->uuids);
    g_free(left);
    return NULL;
}

static void
forget_uuid(GPtrArray *uuids, const char *uuid)
{
    for (guint i = uuids->len; i-- > 0;)
        if (strcmp(uuids->pdata[i], uuid) == 0)
            g_ptr_array_remove_index(uuids, i);
}

/* Of a move that has ended since, and nobody could say so: libvirt would go on with it for ever. */
static void
forget_connections(const VmfContext *context, const GPtrArray *open)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < open->len; i++)
        g_ptr_array_add(names, ((VmfJournalEntry *)open->pdata[i])->migration);
    vmf_holder_retain(context->holder, names);
}

/* Before the first hook or peer is served. */
static gboolean
recover_all(VmfDaemon *daemon, GError **error)
{
    const VmfContext *context = &daemon->context;
    g_autoptr(GPtrArray) open = vmf_recover_list(context, error);
    if (open)
        forget_connections(context, open);
    Leftovers *left = g_new0(Leftovers, 1);
    *left = (Leftovers){daemon, vmf_vm_admin_find_disks(daemon)};
    for (guint i = 0; i < left->uuids->len; i++)
        vmf_disk_keeper_adopt(daemon->keeper, left->uuids->pdata[i]);
    for (guint i = 0; open && i < open->len; i++)
        forget_uuid(left->uuids, ((VmfJournalEntry *)open->pdata[i])->vm_uuid);
    g_thread_unref(g_thread_new("vmf-reconcile", reconcile, left));
    while (open && open->len > 0) {
        VmfJournalEntry *entry = g_ptr_array_steal_index(open, open->len - 1);
        Unfinished *move = g_new0(Unfinished, 1);
        move->daemon = daemon;
        if (entry->role == VMF_ROLE_SOURCE) {
            move->entry = entry;
            vmf_turns_own_begin(context->turns, entry->vm_uuid);
        } else {
            move->incoming = vmf_incoming_resume(context, entry);
            vmf_peer_table_adopt(daemon->peers, move->incoming);
            vmf_journal_entry_free(entry);
        }
        g_thread_unref(g_thread_new("vmf-recover", recover, move));
    }
    return open != NULL;
}

/* libvirtd's first answer about this host's CPU takes most of a second: not in the first check. */
static gpointer
warm_up(gpointer host)
{
    g_autoptr(VmfFactMachine) machine = vmf_fact_machine_new();
    vmf_machine_facts_gather(host, machine);
    return NULL;
}

static gboolean
start(VmfDaemon *daemon, const char *policy_file, GError **error)
{
    VmfContext *context = &daemon->context;
    context->run_dir = RUN_DIR;
    context->policy = load_policy(policy_file, error);
    if (context->policy == NULL || !make_folder(RUN_DIR, 0755, error) ||
        !make_folder(STATE_DIR, 0700, error))
        return FALSE;
    context->me = vmf_host_identity_read(context->policy->keytab, error);
    if (context->me == NULL)
        return FALSE;
    context->journal = vmf_journal_open_or_renew(STATE_DIR "/journal.db", error);
    if (context->journal == NULL || !start_tickets(context, error) || !find_own_sid(context, error))
        return FALSE;
    context->host = vmf_host_new(NULL);
    g_thread_unref(g_thread_new("vmf-warm", warm_up, context->host));
    context->streams = vmf_channel_streams_new();
    context->holder = vmf_holder_new(RUN_DIR "/holder", NULL);
    context->door = vmf_listener_door(context, error);
    if (context->door == NULL)
        return FALSE;
    context->keeper = daemon->keeper = vmf_disk_keeper_new(context);
    context->disks_started = vmf_disk_keeper_watch;
    context->disks_ended = vmf_disk_keeper_end;
    daemon->bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
    if (daemon->bus == NULL) {
        g_prefix_error(error, "the system bus: ");
        return FALSE;
    }
    g_mutex_init(&daemon->hooks);
    daemon->hooked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    daemon->authority = vmf_authority_new(ADMIN_GROUP, context->me->fqdn);
    daemon->jobs = vmf_job_table_new(context, daemon->bus, daemon->authority);
    context->turns = vmf_turns_new();
    daemon->peers = vmf_peer_table_new(context);
    return recover_all(daemon, error) && vmf_manager_export(daemon, error) &&
           vmf_listener_start(context, daemon->peers, error);
}

typedef struct {
    GMainLoop *loop;
    VmfDaemon *daemon;
    int status;
} Run;

static void
on_name(GDBusConnection *bus, const char *name, gpointer data)
{
    Run *run = data;
    g_message("vmferryd %s serves as %s (%s)", VMF_VERSION, run->daemon->context.me->account,
              run->daemon->context.sid);
    sd_notifyf(0, "READY=1\nSTATUS=Serving as %s", run->daemon->context.me->account);
}

static void
on_name_lost(GDBusConnection *bus, const char *name, gpointer data)
{
    Run *run = data;
    g_critical("cannot have the name %s on the system bus: another vmferryd runs, or its policy "
               "(org.vmferry1.conf) is not installed",
               name);
    run->status = 1;
    g_main_loop_quit(run->loop);
}

static gboolean
on_terminate(gpointer loop)
{
    sd_notify(0, "STOPPING=1");
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

/* Each move and each check has threads of its own: without a bound each leaves a heap behind. */
static void
bound_heap(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}

int
main(int argc, char **argv)
{
    g_autofree gchar *policy_file = g_strdup(VMF_LOCAL_POLICY_FILE);
    gboolean version = FALSE;
    const GOptionEntry options[] = {
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &policy_file, "Policy file", "FILE"},
        {"version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version and end", NULL},
        {NULL},
    };
    g_autoptr(GOptionContext)
        parser = g_option_context_new("- live migration between domain-joined hosts");
    g_option_context_add_main_entries(parser, options, NULL);
    g_autoptr(GError) error = NULL;
    if (!g_option_context_parse(parser, &argc, &argv, &error)) {
        g_printerr("vmferryd: %s\n", error->message);
        return 2;
    }
    if (version) {
        g_print("vmferryd %s\n", VMF_VERSION);
        return 0;
    }
    umask(0077);
    bound_heap();
    prctl(PR_SET_DUMPABLE, 0);
    signal(SIGPIPE, SIG_IGN);

    VmfDaemon daemon = {0};
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Run run = {loop, &daemon, 0};
    if (!start(&daemon, policy_file, &error)) {
        g_printerr("vmferryd: %s\n", error->message);
        return 1;
    }
    g_bus_own_name_on_connection(daemon.bus, "org.vmferry1", G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE,
                                 on_name, on_name_lost, &run, NULL);
    g_unix_signal_add(SIGTERM, on_terminate, loop);
    g_unix_signal_add(SIGINT, on_terminate, loop);
    g_main_loop_run(loop);
    return run.status; /* threads end with the process; the journal is durable at each state */
}
