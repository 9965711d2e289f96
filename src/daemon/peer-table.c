/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/daemon/peer-table.h"

#include <string.h>

#include "src/base/error.h"
#include "src/base/text.h"
#include "src/channel/greeting.h"
#include "src/daemon/own-threads.h"
#include "src/migrate/gather.h"
#include "src/migrate/peer-bus.h"
#include "src/migrate/peer-link.h"
#include "src/migrate/recover.h"

/* Finished migrations that a source which lost its connection may still ask about. */
#define REMEMBERED         32
#define GATHERINGS_AT_MOST 8
#define SESSIONS_PER_PEER  16
#define SEARCHES_APART_US  (G_USEC_PER_SEC / 2)
#define SILENCE_LOOK_S     5

struct _VmfPeerTable {
    const VmfContext *context;
    GMutex lock;
    gint gathering;       /* atomic: calls of GatherFacts that run */
    GPtrArray *incoming;  /* of VmfIncoming, oldest first, also the last ones that are over */
    GHashTable *sessions; /* SID → how many */
    gboolean searching;   /* for the VM of a migration that is known to nobody */
    gint64 searched_us;
};

/* One connected peer: lives until its connection is closed and its last call has been answered. */
typedef struct {
    VmfPeerTable *table;
    VmfChannel *channel;
    gchar *fqdn;
    GDBusConnection *bus;
    VmfPeer1 *skeleton;
    guint filter;
    gboolean exported; /* of the thread that reads */
    gchar *sid;
    gulong on_closed;
    gint closed;    /* atomic */
    gboolean ended; /* guarded by the table's lock */
} Session;

static void
session_clear(gpointer data)
{
    Session *session = data;
    g_object_unref(session->bus);
    vmf_channel_unref(session->channel);
    g_free(session->fqdn);
    g_free(session->sid);
}

static void
session_release(gpointer session)
{
    g_atomic_rc_box_release_full(session, session_clear);
}

static GPtrArray *all_incoming(VmfPeerTable *table);

/* Giving up asks libvirt and the share: not in the main loop. */
static gpointer
watch_silence(gpointer data)
{
    for (VmfPeerTable *table = data;;) {
        g_usleep(SILENCE_LOOK_S * G_USEC_PER_SEC);
        g_autoptr(GPtrArray) all = all_incoming(table);
        for (guint i = 0; i < all->len; i++)
            vmf_incoming_end_silence(all->pdata[i]);
    }
    return NULL;
}

VmfPeerTable *
vmf_peer_table_new(const VmfContext *context)
{
    VmfPeerTable *table = g_new0(VmfPeerTable, 1);
    table->context = context;
    g_mutex_init(&table->lock);
    table->sessions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    table->incoming = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_incoming_unref);
    g_thread_unref(g_thread_new("vmf-silence", watch_silence, table));
    return table;
}

/* (transfer full): the migration, if the session's own peer offered it */
static VmfIncoming *
find(Session *session, const char *migration)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&session->table->lock);
    for (guint i = 0; i < session->table->incoming->len; i++) {
        VmfIncoming *incoming = session->table->incoming->pdata[i];
        if (strcmp(vmf_incoming_migration(incoming), migration) == 0 &&
            strcmp(vmf_incoming_peer_fqdn(incoming), session->fqdn) == 0)
            return vmf_incoming_ref(incoming);
    }
    return NULL;
}

static VmfIncoming *
find_or_error(Session *session, const char *migration, GDBusMethodInvocation *call)
{
    VmfIncoming *incoming = find(session, migration);
    if (incoming == NULL)
        g_dbus_method_invocation_return_error(
            call, VMF_ERROR, VMF_ERROR_PROTOCOL, "%s knows no migration '%.*s'",
            session->table->context->me->fqdn, vmf_text_head(migration, 40), migration);
    return incoming;
}

static gboolean
on_hello(VmfPeer1 *object, GDBusMethodInvocation *call, guint protocol, GVariant *facts,
         Session *session)
{
    GVariantDict mine;
    g_variant_dict_init(&mine, NULL);
    g_variant_dict_insert(&mine, "version", "s", VMF_VERSION);
    g_variant_dict_insert(&mine, "hostname", "s", session->table->context->me->fqdn);
    vmf_peer1_complete_hello(object, call, VMF_PEER_PROTOCOL, g_variant_dict_end(&mine));
    return TRUE;
}

/* Each gathering starts a process: a peer that asks without end gets "busy". */
static gboolean
on_gather_facts(VmfPeer1 *object, GDBusMethodInvocation *call, const char *migration,
                const char *definition, gboolean brief, gint64 now_us, Session *session)
{
    VmfPeerTable *table = session->table;
    VmfGatherPeer peer = {
        .fqdn = session->fqdn,
        .channel = session->channel,
        .clock_us = now_us,
        .received_us = g_get_monotonic_time(),
    };
    if (g_atomic_int_add(&table->gathering, 1) >= GATHERINGS_AT_MOST) {
        g_dbus_method_invocation_return_error(call, VMF_ERROR, VMF_ERROR_BUSY,
                                              "%s answers %d checks at a time; try again later",
                                              table->context->me->fqdn, GATHERINGS_AT_MOST);
    } else {
        g_autoptr(VmfFactSide)
            side = vmf_gather_as_destination(table->context, definition, migration, brief, &peer);
        vmf_peer1_complete_gather_facts(object, call, vmf_fact_side_to_variant(side),
                                        g_get_real_time());
    }
    g_atomic_int_add(&table->gathering, -1);
    return TRUE;
}

static gboolean
is_under_way(VmfIncoming *incoming)
{
    return !vmf_state_is_final(vmf_incoming_state(incoming));
}

/*
 * One migration of a VM at a time; the parallel limit of the policy file holds for all. The table's
 * lock is held.
 */
static gboolean
has_room(const Session *session, const char *uuid, GError **error)
{
    VmfPeerTable *table = session->table;
    guint under_way = 0;
    if (session->ended) { /* nobody would tell the migration that its source is gone */
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "the connection of %s has ended",
                    session->fqdn);
        return FALSE;
    }
    for (guint i = 0; i < table->incoming->len; i++) {
        VmfIncoming *other = table->incoming->pdata[i];
        if (!is_under_way(other))
            continue;
        under_way++;
        if (g_ascii_strcasecmp(vmf_incoming_uuid(other), uuid) == 0) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "this VM is on its way to %s already",
                        table->context->me->fqdn);
            return FALSE;
        }
    }
    if (under_way >= table->context->policy->parallel_jobs) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                    "%s takes %u VMs at a time ([migration] parallel-jobs); try again later",
                    table->context->me->fqdn, table->context->policy->parallel_jobs);
        return FALSE;
    }
    return TRUE;
}

/* Before anything is written down about it: refused offers leave nothing behind. */
static gboolean
may_offer(Session *session, const char *uuid, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&session->table->lock);
    return has_room(session, uuid, error);
}

static gboolean
admit(Session *session, VmfIncoming *incoming, GError **error)
{
    VmfPeerTable *table = session->table;
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&table->lock);
    if (!has_room(session, vmf_incoming_uuid(incoming), error))
        return FALSE;
    for (guint i = 0; table->incoming->len > REMEMBERED && i < table->incoming->len;)
        if (is_under_way(table->incoming->pdata[i]))
            i++;
        else
            g_ptr_array_remove_index(table->incoming, i);
    g_ptr_array_add(table->incoming, vmf_incoming_ref(incoming));
    return TRUE;
}

static VmfIncoming *
incoming_from_offer(Session *session, const char *migration, GVariant *vm, GError **error)
{
    const char *uuid = "", *name = "";
    VmfIncomingVm facts = {.migration = migration};
    g_variant_lookup(vm, "uuid", "&s", &uuid);
    g_variant_lookup(vm, "name", "&s", &name);
    g_variant_lookup(vm, "epoch", "t", &facts.epoch);
    g_variant_lookup(vm, "persistent", "b", &facts.persistent);
    g_variant_lookup(vm, "autostart", "b", &facts.autostart);
    facts.uuid = uuid;
    facts.name = name;
    if (!may_offer(session, uuid, error))
        return NULL;
    return vmf_incoming_new(session->table->context, &facts,
                            vmf_channel_peer(session->channel)->sid, session->fqdn,
                            session->channel, error);
}

static gboolean
on_offer(VmfPeer1 *object, GDBusMethodInvocation *call, const char *migration, GVariant *vm,
         const char *definition, Session *session)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfIncoming) incoming = incoming_from_offer(session, migration, vm, &error);
    gboolean admitted = incoming && admit(session, incoming, &error);
    if (incoming && !admitted)
        vmf_incoming_abort(incoming, error->message, NULL); /* its entry in the journal ends */
    if (admitted && vmf_incoming_offer(incoming, definition, &error))
        vmf_peer1_complete_offer(object, call);
    else
        g_dbus_method_invocation_return_gerror(call, error);
    return TRUE;
}

static GVariant *
bytes_to_variant(GBytes *bytes)
{
    return g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
}

static gboolean
on_prepare(VmfPeer1 *object, GDBusMethodInvocation *call, const char *migration,
           GVariant *parameters, GVariant *begin_cookie, Session *session)
{
    g_autoptr(VmfIncoming) incoming = find_or_error(session, migration, call);
    if (incoming == NULL)
        return TRUE;
    gboolean auto_converge = FALSE;
    guint64 bandwidth = 0;
    g_variant_lookup(parameters, "auto-converge", "b", &auto_converge);
    g_variant_lookup(parameters, "bandwidth-mib", "t", &bandwidth);
    g_autoptr(GBytes) cookie = g_variant_get_data_as_bytes(begin_cookie), answer = NULL;
    g_autofree gchar *stream = NULL;
    g_autoptr(GError) error = NULL;
    if (vmf_incoming_prepare(incoming, auto_converge, bandwidth, cookie, &answer, &stream, &error))
        vmf_peer1_complete_prepare(object, call, bytes_to_variant(answer), stream);
    else
        g_dbus_method_invocation_return_gerror(call, error);
    return TRUE;
}

static gboolean
on_grant(VmfPeer1 *object, GDBusMethodInvocation *call, const char *migration, guint64 epoch,
         GVariant *perform_cookie, Session *session)
{
    g_autoptr(VmfIncoming) incoming = find_or_error(session, migration, call);
    if (incoming == NULL)
        return TRUE;
    g_autoptr(GBytes) cookie = g_variant_get_data_as_bytes(perform_cookie);
    guint64 new_epoch, acquire_us;
    g_autoptr(GError) error = NULL;
    if (vmf_incoming_grant(incoming, epoch, cookie, &new_epoch, &acquire_us, &error))
        vmf_peer1_complete_grant(object, call, new_epoch, acquire_us);
    else
        g_dbus_method_invocation_return_gerror(call, error);
    return TRUE;
}

/*
 * A source that was cut off asks again, perhaps a vmferryd that was started since, and so may this
 * one be: what has ended before is known by the journal. Returns: %FALSE: not from there
 */
static gboolean
journal_answers(Session *session, const char *migration, GError **error)
{
    g_autoptr(VmfJournalEntry)
        entry = vmf_journal_find(session->table->context->journal, migration);
    if (entry == NULL || entry->role != VMF_ROLE_DESTINATION ||
        strcmp(entry->peer, session->fqdn) != 0 || !vmf_state_is_final(entry->state))
        return FALSE;
    if (entry->state != VMF_STATE_RUNNING)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "the move of '%s' is %s on %s",
                    entry->vm_name, vmf_state_name(entry->state),
                    session->table->context->me->fqdn);
    return TRUE;
}

/* Each VM's record is read: one search at a time, a while apart. The others' sources ask again. */
static gboolean
may_search(VmfPeerTable *table, const char *migration, GError **error)
{
    if (!g_uuid_string_is_valid(migration)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "%s knows no migration '%.*s'",
                    table->context->me->fqdn, vmf_text_head(migration, 40), migration);
        return FALSE;
    }
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&table->lock);
    gint64 now = g_get_monotonic_time();
    if (table->searching || now - table->searched_us < SEARCHES_APART_US) {
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_TIMEOUT, "another search is under way");
        return FALSE;
    }
    table->searching = TRUE;
    return TRUE;
}

static gboolean
search(VmfPeerTable *table, const char *migration)
{
    gboolean runs = vmf_recover_runs_by(table->context, migration);
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&table->lock);
    table->searching = FALSE;
    table->searched_us = g_get_monotonic_time();
    return runs;
}

static gboolean
on_await_running(VmfPeer1 *object, GDBusMethodInvocation *call, const char *migration,
                 Session *session)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfIncoming) incoming = NULL;
    gboolean runs = FALSE;
    if (journal_answers(session, migration, &error))
        runs = error == NULL;
    else if ((incoming = find(session, migration)) != NULL)
        runs = vmf_incoming_await_running(incoming, &session->closed, &error);
    else if (!may_search(session->table, migration, &error))
        runs = FALSE;
    else if (search(session->table, migration))
        runs = TRUE; /* the journal has lost it */
    else
        g_set_error(&error, VMF_ERROR, VMF_ERROR_PROTOCOL, "%s knows no migration '%.*s'",
                    session->table->context->me->fqdn, vmf_text_head(migration, 40), migration);
    if (runs)
        vmf_peer1_complete_await_running(object, call);
    else
        g_dbus_method_invocation_return_gerror(call, error);
    return TRUE;
}

static gboolean
on_await_finished(VmfPeer1 *object, GDBusMethodInvocation *call, const char *migration,
                  Session *session)
{
    g_autoptr(VmfIncoming) incoming = find_or_error(session, migration, call);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) cookie = NULL;
    if (incoming && vmf_incoming_await_finished(incoming, &session->closed, &cookie, &error))
        vmf_peer1_complete_await_finished(object, call, bytes_to_variant(cookie));
    else if (incoming)
        g_dbus_method_invocation_return_gerror(call, error);
    return TRUE;
}

static gboolean
on_await_announced(VmfPeer1 *object, GDBusMethodInvocation *call, const char *migration,
                   Session *session)
{
    g_autoptr(VmfIncoming) incoming = find_or_error(session, migration, call);
    g_autoptr(GError) error = NULL;
    if (incoming && vmf_incoming_await_announced(incoming, &session->closed, &error))
        vmf_peer1_complete_await_announced(object, call);
    else if (incoming)
        g_dbus_method_invocation_return_gerror(call, error);
    return TRUE;
}

static gboolean
on_abort(VmfPeer1 *object, GDBusMethodInvocation *call, const char *migration, const char *reason,
         Session *session)
{
    g_autoptr(VmfIncoming) incoming = find_or_error(session, migration, call);
    g_autoptr(GError) error = NULL;
    g_autofree gchar *plain = vmf_peer_text((const guint8 *)reason,
                                            MIN(strlen(reason), VMF_PEER_TEXT_MAX));
    if (incoming && vmf_incoming_abort(incoming, plain, &error))
        vmf_peer1_complete_abort(object, call);
    else if (incoming)
        g_dbus_method_invocation_return_gerror(call, error);
    return TRUE;
}

static gboolean
on_query(VmfPeer1 *object, GDBusMethodInvocation *call, const char *migration, Session *session)
{
    g_autoptr(VmfIncoming) incoming = find(session, migration);
    vmf_peer1_complete_query(object, call,
                             incoming ? vmf_state_name(vmf_incoming_state(incoming)) : "unknown");
    return TRUE;
}

/* ---- connections ---- */

/* @by: 1 or -1. Returns: FALSE: there are as many as one peer may have */
static gboolean
count_session(VmfPeerTable *table, const char *sid, gint by)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&table->lock);
    gint open = GPOINTER_TO_INT(g_hash_table_lookup(table->sessions, sid));
    if (by > 0 && open >= SESSIONS_PER_PEER)
        return FALSE;
    if (open + by == 0)
        g_hash_table_remove(table->sessions, sid);
    else
        g_hash_table_insert(table->sessions, g_strdup(sid), GINT_TO_POINTER(open + by));
    return TRUE;
}

static GPtrArray *
all_incoming(VmfPeerTable *table)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&table->lock);
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_incoming_unref);
    for (guint i = 0; i < table->incoming->len; i++)
        g_ptr_array_add(all, vmf_incoming_ref(table->incoming->pdata[i]));
    return all;
}

static gpointer
session_end(gpointer data)
{
    Session *session = data;
    VmfPeerTable *table = session->table;
    g_mutex_lock(&table->lock);
    session->ended = TRUE;
    g_mutex_unlock(&table->lock);

    g_autoptr(GPtrArray) all = all_incoming(table);
    for (guint i = 0; i < all->len; i++)
        vmf_incoming_wake(all->pdata[i]); /* calls of this session */
    for (guint i = all->len; i-- > 0;)
        if (vmf_incoming_control(all->pdata[i]) == session->channel)
            vmf_incoming_peer_lost(all->pdata[i]);
    count_session(table, session->sid, -1);

    g_dbus_connection_remove_filter(session->bus, session->filter);
    if (g_dbus_interface_skeleton_get_connection(G_DBUS_INTERFACE_SKELETON(session->skeleton)))
        g_dbus_interface_skeleton_unexport(G_DBUS_INTERFACE_SKELETON(session->skeleton));
    g_object_unref(session->skeleton); /* with it go its handlers, and their hold on the session */
    g_signal_handler_disconnect(session->bus, session->on_closed);
    session_release(session);
    return NULL;
}

/* Aborting asks libvirt and the share: not in the main loop. */
static void
on_closed(GDBusConnection *bus, gboolean vanished, GError *error, Session *session)
{
    if (g_atomic_int_compare_and_exchange(&session->closed, FALSE, TRUE))
        g_thread_unref(g_thread_new("vmf-peer-end", session_end, session));
}

static void
let_go(gpointer session, GClosure *closure)
{
    session_release(session);
}

static void
connect_verbs(Session *session)
{
    static const struct {
        const char *signal;
        GCallback handler;
    } verbs[] = {
        {"handle-hello", G_CALLBACK(on_hello)},
        {"handle-gather-facts", G_CALLBACK(on_gather_facts)},
        {"handle-offer", G_CALLBACK(on_offer)},
        {"handle-prepare", G_CALLBACK(on_prepare)},
        {"handle-grant", G_CALLBACK(on_grant)},
        {"handle-await-running", G_CALLBACK(on_await_running)},
        {"handle-await-finished", G_CALLBACK(on_await_finished)},
        {"handle-await-announced", G_CALLBACK(on_await_announced)},
        {"handle-abort", G_CALLBACK(on_abort)},
        {"handle-query", G_CALLBACK(on_query)},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++)
        vmf_own_threads_connect(session->skeleton, verbs[i].signal, verbs[i].handler,
                                g_atomic_rc_box_acquire(session), let_go);
}

/*
 * GDBus hands each call to the context in which its object was exported, and own-threads.c from there
 * to a thread of its own. Exported here, in the thread that reads the messages, before the first of them, a
 * call does not go by the main loop: one way less in the guest's pause, and no waiting for what the
 * main loop is doing. (Should GLib read elsewhere one day, it is the main loop again.)
 */
static GDBusMessage *
export_first(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data)
{
    Session *session = data;
    g_autoptr(GError) error = NULL;
    if (session->exported)
        return message;
    session->exported = TRUE;
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&session->table->lock);
    if (!session->ended && /* or its skeleton has gone */
        !g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(session->skeleton), bus,
                                          VMF_PEER_PATH, &error))
        g_warning("%s cannot be served: %s", session->fqdn, error->message);
    return message;
}

gboolean
vmf_peer_table_serve(VmfPeerTable *table, VmfChannel *channel, GError **error)
{
    g_autoptr(VmfChannel) owned = channel;
    g_autoptr(VmfComputer) computer = vmf_directory_computer(
        table->context->directory, vmf_channel_peer(channel)->account, error);
    if (computer == NULL)
        return FALSE;
    const char *sid = vmf_channel_peer(channel)->sid;
    if (!count_session(table, sid, 1)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "%s has %d connections already",
                    computer->account, SESSIONS_PER_PEER);
        return FALSE;
    }
    int fd = vmf_channel_steal_fd(channel, error);
    g_autoptr(GDBusConnection) bus = fd >= 0 ? vmf_peer_bus_over(fd, TRUE, computer->account, error)
                                             : NULL;
    if (bus == NULL) {
        count_session(table, sid, -1);
        g_prefix_error(
            error, "'%s' is accepted as a peer, but its connection failed: ", computer->account);
        return FALSE;
    }

    Session *session = g_atomic_rc_box_new0(Session);
    session->table = table;
    session->channel = g_steal_pointer(&owned);
    session->fqdn = g_strdup(computer->fqdn ? computer->fqdn : computer->account);
    session->sid = g_strdup(sid);
    session->bus = g_steal_pointer(&bus);
    session->skeleton = vmf_peer1_skeleton_new();
    gpointer held = g_atomic_rc_box_acquire(session); /* it may end at any time */
    connect_verbs(session);
    session->filter = g_dbus_connection_add_filter(
        session->bus, export_first, g_atomic_rc_box_acquire(session), session_release);
    g_dbus_connection_set_exit_on_close(session->bus, FALSE);
    g_mutex_lock(&table->lock); /* session_end() takes it, and then needs to know the handler */
    session->on_closed = g_signal_connect_data(session->bus, "closed", G_CALLBACK(on_closed),
                                               g_atomic_rc_box_acquire(session), let_go,
                                               G_CONNECT_DEFAULT);
    g_mutex_unlock(&table->lock);
    if (g_dbus_connection_is_closed(session->bus)) /* perhaps before there was a handler */
        on_closed(session->bus, TRUE, NULL, session);
    g_dbus_connection_start_message_processing(session->bus);
    session_release(held);
    return TRUE;
}

void
vmf_peer_table_adopt(VmfPeerTable *table, VmfIncoming *incoming)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&table->lock);
    g_ptr_array_add(table->incoming, vmf_incoming_ref(incoming));
}

gboolean
vmf_peer_table_join_stream(VmfPeerTable *table, VmfChannel *stream, GError **error)
{
    g_autoptr(VmfIncoming) found = NULL;
    g_mutex_lock(&table->lock);
    for (guint i = 0; i < table->incoming->len && found == NULL; i++)
        if (g_strcmp0(vmf_incoming_stream_name(table->incoming->pdata[i]),
                      vmf_channel_stream_name(stream)) == 0)
            found = vmf_incoming_ref(table->incoming->pdata[i]);
    g_mutex_unlock(&table->lock);
    if (found)
        return vmf_incoming_join_stream(found, stream, error);
    vmf_channel_unref(stream);
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "a memory stream came for no migration");
    return FALSE;
}

gboolean
vmf_peer_table_expects(VmfPeerTable *table, const char *uuid)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&table->lock);
    for (guint i = 0; i < table->incoming->len; i++)
        if (is_under_way(table->incoming->pdata[i]) &&
            vmf_incoming_is_let_in(table->incoming->pdata[i]) &&
            g_ascii_strcasecmp(vmf_incoming_uuid(table->incoming->pdata[i]), uuid) == 0)
            return TRUE;
    return FALSE;
}
