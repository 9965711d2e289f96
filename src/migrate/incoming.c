/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/incoming-private.h"

#include <string.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/base/fault-point.h"
#include "src/migrate/move-note.h"
#include "src/migrate/qemu-socket.h"
#include "src/migrate/vm-disks.h"
#include "src/migrate/waiting.h"
#include "src/vm/cookie.h"

#define STREAM_LIFE_S     60
#define WAITING_AT_MOST   2   /* calls for one thing */
#define SILENT_CHECKED_S  300 /* the source checks meanwhile: its patience, and more */
#define SILENT_COPYING_S  120
#define BANDWIDTH_MIB_MAX ((guint64)16 * 1024 * 1024)

static VmfIncoming *
incoming_from_entry(const VmfContext *context, const VmfJournalEntry *entry, gint64 job)
{
    VmfIncoming *incoming = g_new0(VmfIncoming, 1);
    g_atomic_ref_count_init(&incoming->refs);
    incoming->context = context;
    incoming->migration = g_strdup(entry->migration);
    incoming->uuid = g_ascii_strdown(entry->vm_uuid, -1);
    incoming->name = g_strdup(entry->vm_name);
    incoming->peer_fqdn = g_strdup(entry->peer);
    incoming->epoch = entry->epoch;
    incoming->job = job;
    incoming->state = vmf_role_first_state(VMF_ROLE_DESTINATION);
    incoming->params = (VmfPhaseParams){.uuid = incoming->uuid, .name = incoming->name};
    g_mutex_init(&incoming->verbs);
    g_mutex_init(&incoming->lock);
    g_cond_init(&incoming->changed);
    return incoming;
}

/* It is in messages and logs before any definition is judged: one line, nothing that hides. */
static gboolean
is_plain_name(const char *name)
{
    gboolean plain = name[0] != '\0' && strlen(name) <= 255;
    for (const char *at = name; plain && *at != '\0'; at = g_utf8_next_char(at))
        plain = g_unichar_isprint(g_utf8_get_char(at));
    return plain;
}

VmfIncoming *
vmf_incoming_new(const VmfContext *context, const VmfIncomingVm *vm, const char *peer_sid,
                 const char *peer_fqdn, VmfChannel *control, GError **error)
{
    if (!g_uuid_string_is_valid(vm->migration) || !g_uuid_string_is_valid(vm->uuid) ||
        !is_plain_name(vm->name) || vm->epoch == 0 || vm->epoch > G_MAXINT64 - 16) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "%s offers a VM whose UUID, name, epoch or migration id is not of its form",
                    peer_fqdn);
        return NULL;
    }
    VmfJournalEntry entry = {
        .migration = (gchar *)vm->migration,
        .role = VMF_ROLE_DESTINATION,
        .vm_uuid = (gchar *)vm->uuid,
        .vm_name = (gchar *)vm->name,
        .peer = (gchar *)peer_fqdn,
        .epoch = vm->epoch,
    };
    gint64 job = vmf_journal_begin(context->journal, &entry, error);
    if (job == 0)
        return NULL;
    VmfIncoming *incoming = incoming_from_entry(context, &entry, job);
    incoming->peer_sid = g_strdup(peer_sid);
    incoming->persistent = vm->persistent;
    incoming->autostart = vm->autostart;
    incoming->control = vmf_channel_ref(control);
    return incoming;
}

VmfIncoming *
vmf_incoming_resume(const VmfContext *context, const VmfJournalEntry *entry)
{
    VmfIncoming *incoming = incoming_from_entry(context, entry, entry->job);
    incoming->state = entry->state;
    incoming->recovering = incoming->let_in = incoming->marked = TRUE;
    incoming->disks_text = g_strdup(entry->disks);
    incoming->persistent = TRUE; /* a definition too many is harmless, one too few is not */
    return incoming;
}

VmfIncoming *
vmf_incoming_ref(VmfIncoming *incoming)
{
    g_atomic_ref_count_inc(&incoming->refs);
    return incoming;
}

void
vmf_incoming_unref(VmfIncoming *incoming)
{
    if (incoming == NULL || !g_atomic_ref_count_dec(&incoming->refs))
        return;
    g_clear_pointer(&incoming->memory, vmf_memory_stream_free);
    g_clear_pointer(&incoming->control, vmf_channel_unref);
    g_clear_pointer(&incoming->domain, vmf_domain_free);
    g_clear_pointer(&incoming->disks, vmf_disk_client_unref);
    g_clear_pointer(&incoming->phases, vmf_phases_free);
    g_clear_pointer(&incoming->announce, vmf_announce_free);
    g_clear_pointer(&incoming->prepare_cookie, g_bytes_unref);
    g_clear_pointer(&incoming->perform_cookie, g_bytes_unref);
    g_clear_pointer(&incoming->finish_cookie, g_bytes_unref);
    g_clear_error(&incoming->failure);
    g_clear_error(&incoming->announce_error);
    g_mutex_clear(&incoming->verbs);
    g_mutex_clear(&incoming->lock);
    g_cond_clear(&incoming->changed);
    g_free(incoming->stream);
    g_free(incoming->migration);
    g_free(incoming->uuid);
    g_free(incoming->name);
    g_free(incoming->peer_sid);
    g_free(incoming->peer_fqdn);
    g_free(incoming->disks_text);
    g_free(incoming);
}

const char *
vmf_incoming_migration(VmfIncoming *incoming)
{
    return incoming->migration;
}

const char *
vmf_incoming_uuid(VmfIncoming *incoming)
{
    return incoming->uuid;
}

const char *
vmf_incoming_peer_fqdn(VmfIncoming *incoming)
{
    return incoming->peer_fqdn;
}

VmfChannel *
vmf_incoming_control(VmfIncoming *incoming)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    return incoming->control;
}

const char *
vmf_incoming_stream_name(VmfIncoming *incoming)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    return incoming->stream;
}

gboolean
vmf_incoming_is_let_in(VmfIncoming *incoming)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    return incoming->let_in;
}

VmfState
vmf_incoming_state(VmfIncoming *incoming)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    return incoming->state;
}

static void
set_state(VmfIncoming *incoming, VmfState next)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    incoming->state = next;
    g_cond_broadcast(&incoming->changed);
}

gboolean
vmf_incoming_enter(VmfIncoming *incoming, VmfState next, GError **error)
{
    VmfState state = vmf_incoming_state(incoming);
    g_assert(vmf_state_may_follow(state, next) ||
             (incoming->recovering && vmf_state_may_be_found(state, next)));
    if (!vmf_journal_enter(incoming->context->journal, incoming->job, next, error))
        return FALSE;
    set_state(incoming, next);
    return TRUE;
}

static void
remove_note(VmfIncoming *incoming)
{
    if (vmf_state_is_final(vmf_incoming_state(incoming)))
        vmf_move_note_remove(incoming->context, incoming->uuid, incoming->migration);
}

/* Until it is written: an entry that stays open would be recovered again. */
static gpointer
note_later(gpointer data)
{
    g_autoptr(VmfIncoming) incoming = data;
    for (guint wait_ms = 500;; wait_ms = MIN(wait_ms * 2, 5000)) {
        g_usleep((gulong)wait_ms * 1000);
        VmfState state = vmf_incoming_state(incoming);
        if (!vmf_journal_enter(incoming->context->journal, incoming->job, state, NULL) ||
            state != vmf_incoming_state(incoming))
            continue;
        remove_note(incoming);
        return NULL;
    }
}

void
vmf_incoming_enter_last(VmfIncoming *incoming, VmfState next)
{
    g_autoptr(GError) error = NULL;
    if (vmf_state_is_final(next))
        vmf_holder_drop(incoming->context->holder, incoming->migration);
    if (vmf_incoming_enter(incoming, next, &error)) {
        remove_note(incoming);
        return;
    }
    g_warning("%s; it is tried again", error->message);
    set_state(incoming, next);
    g_thread_unref(g_thread_new("vmf-note", note_later, vmf_incoming_ref(incoming)));
}

void
vmf_incoming_say_waiting(VmfIncoming *incoming, const char *what)
{
    vmf_waiting_set(incoming->uuid, incoming->name, what);
}

gboolean
vmf_incoming_must_be(VmfIncoming *incoming, VmfState wanted, const char *verb, GError **error)
{
    VmfState state = vmf_incoming_state(incoming);
    if (state == wanted)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "%s of '%s' does not fit: it is %s here",
                verb, incoming->name, vmf_state_name(state));
    return FALSE;
}

/* Before the point of no return. The verbs' lock is held, or nobody else knows the object. */
void
vmf_incoming_give_up(VmfIncoming *incoming, const char *why)
{
    g_autoptr(GError) error = NULL;
    g_message("move of '%s' from %s given up: %s", incoming->name, incoming->peer_fqdn, why);
    if (incoming->stream)
        vmf_channel_stream_forget(incoming->context->streams, incoming->stream);
    if (incoming->phases && vmf_phases_finish(incoming->phases, &incoming->params, NULL, TRUE, NULL,
                                              &error) != VMF_PHASE_DONE)
        g_warning("'%s': libvirt did not end the prepared copy: %s", incoming->name,
                  error->message);
    g_clear_error(&error);
    g_mutex_lock(&incoming->lock);
    g_clear_pointer(&incoming->memory, vmf_memory_stream_free);
    g_mutex_unlock(&incoming->lock);
    /* libvirt's hook leaves the disk process of an incoming VM to us. */
    if (incoming->disks && !vmf_vm_disks_stop(incoming->context, incoming->uuid, &error))
        g_warning("'%s': %s", incoming->name, error->message);
    if (incoming->marked)
        vmf_vm_disks_unmark(incoming->context, incoming->uuid);
    vmf_incoming_enter_last(incoming, VMF_STATE_ABORTED);
}

gboolean
vmf_incoming_failed(VmfIncoming *incoming, GError **error)
{
    vmf_incoming_give_up(incoming, error && *error ? (*error)->message : "error");
    return FALSE;
}

gboolean
vmf_incoming_offer(VmfIncoming *incoming, const char *definition, GError **error)
{
    g_autoptr(GMutexLocker) verbs = g_mutex_locker_new(&incoming->verbs);
    if (!vmf_incoming_must_be(incoming, VMF_STATE_NEW, "Offer", error))
        return FALSE;
    if (!vmf_incoming_check(incoming, definition, error) ||
        !vmf_incoming_enter(incoming, VMF_STATE_CHECKED, error))
        return vmf_incoming_failed(incoming, error);
    return TRUE;
}

/* The memory stream need not notice: libvirt at the source may be held up. */
static gpointer
abort_without_qemu(gpointer data)
{
    g_autoptr(VmfIncoming) incoming = data;
    vmf_incoming_abort(incoming, "its QEMU has ended here", NULL);
    return NULL;
}

static void
note_event(const char *uuid, VmfVmEvent event, gint64 monotonic_us, gpointer data)
{
    VmfIncoming *incoming = data;
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    if (event == VMF_EVENT_RESUMED && incoming->state == VMF_STATE_COMMITTED) {
        incoming->running = TRUE;
        g_cond_broadcast(&incoming->changed);
    }
    if (event == VMF_EVENT_STOPPED && incoming->state == VMF_STATE_ALLOCATED)
        g_thread_unref(g_thread_new("vmf-abort", abort_without_qemu, vmf_incoming_ref(incoming)));
}

static gboolean
keep_phases_socket(VmfIncoming *incoming, GError **error)
{
    int fd = vmf_phases_dup_fd(incoming->phases, error);
    if (fd < 0)
        return FALSE;
    gboolean kept = vmf_holder_keep(incoming->context->holder, incoming->migration, fd, error);
    close(fd);
    return kept;
}

/* What the guest will be heard by; a VM whose announce cannot be watched still moves. */
static void
watch_announce(VmfIncoming *incoming)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *live = vmf_host_dump_xml(incoming->context->host, incoming->uuid,
                                               VMF_XML_LIVE, &error);
    incoming->announce = live ? vmf_announce_open(&error) : NULL;
    if (incoming->announce && vmf_announce_expect_all(incoming->announce, live, &error))
        return;
    g_clear_pointer(&incoming->announce, vmf_announce_free);
    incoming->announce_error = g_steal_pointer(&error);
}

/* QEMU says "Input/output error" of a disk that is not read: its disk process knows why. */
static void
let_disks_explain(VmfIncoming *incoming, GError **error)
{
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(incoming->disks, NULL);
    if (state != NULL && state->trouble[0] != '\0')
        g_prefix_error(error, "%s: ", state->trouble);
}

static gboolean
allocate(VmfIncoming *incoming, GBytes *begin_cookie, GError **error)
{
    g_autoptr(GBytes) cookie = vmf_cookie_rebuild(VMF_COOKIE_BEGIN, begin_cookie, incoming->uuid,
                                                  incoming->name, error);
    if (cookie == NULL)
        return FALSE;
    incoming->phases = vmf_phases_open(incoming->context->policy->libvirt_socket, error);
    if (incoming->phases == NULL)
        return FALSE;
    g_autofree gchar *path = vmf_qemu_socket_in(incoming->context->run_dir, incoming->uuid);
    g_autofree gchar *uri = g_strconcat("unix://", path, NULL);
    g_autofree gchar *xml = vmf_domain_to_xml(incoming->domain);
    unlink(path);
    if (vmf_phases_prepare(incoming->phases, &incoming->params, uri, xml, cookie,
                           &incoming->prepare_cookie, error) != VMF_PHASE_DONE) {
        let_disks_explain(incoming, error);
        return FALSE;
    }
    return keep_phases_socket(incoming, error);
}

gboolean
vmf_incoming_prepare(VmfIncoming *incoming, gboolean auto_converge, guint64 bandwidth_mib,
                     GBytes *begin_cookie, GBytes **prepare_cookie, gchar **stream, GError **error)
{
    g_autoptr(GMutexLocker) verbs = g_mutex_locker_new(&incoming->verbs);
    if (!vmf_incoming_must_be(incoming, VMF_STATE_CHECKED, "Prepare", error))
        return FALSE;
    if (bandwidth_mib > BANDWIDTH_MIB_MAX) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "a bandwidth of %" G_GUINT64_FORMAT " MiB/s for '%s' is out of bounds",
                    bandwidth_mib, incoming->name);
        return vmf_incoming_failed(incoming, error);
    }
    vmf_fault_point("destination.setup.middle");
    incoming->params.auto_converge = auto_converge;
    incoming->params.bandwidth_mib = bandwidth_mib;
    incoming->subscription = vmf_host_subscribe(incoming->context->host, incoming->uuid, note_event,
                                                vmf_incoming_ref(incoming),
                                                (GDestroyNotify)vmf_incoming_unref);
    g_autofree gchar *name = NULL;
    incoming->marked = TRUE;
    if (!vmf_vm_disks_mark(incoming->context, incoming->uuid, error) ||
        !allocate(incoming, begin_cookie, error) ||
        !vmf_channel_stream_expect(incoming->control, incoming->context->streams, STREAM_LIFE_S,
                                   &name, error) ||
        !vmf_incoming_enter(incoming, VMF_STATE_ALLOCATED, error))
        return vmf_incoming_failed(incoming, error);
    vmf_fault_point("destination.setup.end");
    vmf_disk_client_open_line(incoming->disks); /* for Grant's Take */
    watch_announce(incoming);
    g_mutex_lock(&incoming->lock);
    incoming->stream = g_strdup(name);
    g_mutex_unlock(&incoming->lock);
    *prepare_cookie = g_bytes_ref(incoming->prepare_cookie);
    *stream = g_steal_pointer(&name);
    return TRUE;
}

gboolean
vmf_incoming_join_stream(VmfIncoming *incoming, VmfChannel *stream, GError **error)
{
    g_autofree gchar *path = vmf_qemu_socket_in(incoming->context->run_dir, incoming->uuid);
    uid_t uid;
    gid_t gid;
    if (!vmf_local_user(incoming->context->policy->qemu_user, "[libvirt] qemu-user", &uid, &gid,
                        error)) {
        vmf_channel_unref(stream);
        return FALSE;
    }
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    if (incoming->state != VMF_STATE_ALLOCATED || incoming->memory != NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "a memory stream of '%s' does not fit: it is %s here", incoming->name,
                    vmf_state_name(incoming->state));
        vmf_channel_unref(stream);
        return FALSE;
    }
    incoming->memory = vmf_memory_stream_join(stream, path, uid, error);
    return incoming->memory != NULL;
}

/* ---- waiting ---- */

enum { FOR_RUNNING, FOR_FINISHED, FOR_ANNOUNCED };

/*
 * Each takes a thread. A source asks for each thing once at a time, and again over a new connection
 * while the call of the old one is on its way out.
 */
static gboolean
await(VmfIncoming *incoming, guint what_for, const gboolean *what, const gint *gone, GError **error)
{
    guint *waiting = &incoming->waiting[what_for];
    if (*waiting >= WAITING_AT_MOST) {
        /* not one of our errors: those are taken for the answer itself (source-verdict.c) */
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_TIMEOUT, "%u calls wait for that already",
                    *waiting);
        return FALSE;
    }
    ++*waiting;
    /* RUNNING is entered before all that can be awaited has come; the other ends are the end. */
    while (!*what && incoming->failure == NULL && !(gone && g_atomic_int_get(gone)) &&
           (incoming->state == VMF_STATE_RUNNING || !vmf_state_is_final(incoming->state)))
        g_cond_wait(&incoming->changed, &incoming->lock);
    --*waiting;
    if (*what)
        return TRUE;
    if (gone && g_atomic_int_get(gone))
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_DISCONNECTED, "the connection has ended");
    else if (incoming->failure)
        g_propagate_error(error, g_error_copy(incoming->failure));
    else
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "the move of '%s' is %s on %s",
                    incoming->name, vmf_state_name(incoming->state), incoming->context->me->fqdn);
    return FALSE;
}

gboolean
vmf_incoming_await_running(VmfIncoming *incoming, const gint *gone, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    return await(incoming, FOR_RUNNING, &incoming->running, gone, error);
}

gboolean
vmf_incoming_await_finished(VmfIncoming *incoming, const gint *gone, GBytes **finish_cookie,
                            GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    if (!await(incoming, FOR_FINISHED, &incoming->finished, gone, error))
        return FALSE;
    *finish_cookie = incoming->finish_cookie ? g_bytes_ref(incoming->finish_cookie)
                                             : g_bytes_new(NULL, 0);
    return TRUE;
}

gboolean
vmf_incoming_await_announced(VmfIncoming *incoming, const gint *gone, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    if (!await(incoming, FOR_ANNOUNCED, &incoming->announced, gone, error))
        return FALSE;
    if (incoming->announce_error == NULL)
        return TRUE;
    g_propagate_error(error, g_error_copy(incoming->announce_error));
    return FALSE;
}

/* ---- ends ---- */

static gboolean
is_committed(VmfState state)
{
    return state == VMF_STATE_COMMITTED || state == VMF_STATE_RUNNING ||
           state == VMF_STATE_RETURNED || state == VMF_STATE_DOWN;
}

gboolean
vmf_incoming_abort(VmfIncoming *incoming, const char *reason, GError **error)
{
    g_autoptr(GMutexLocker) verbs = g_mutex_locker_new(&incoming->verbs);
    VmfState state = vmf_incoming_state(incoming);
    if (incoming->recovering && !vmf_state_is_final(state)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                    "'%s' is being recovered on %s: the owner record decides", incoming->name,
                    incoming->context->me->fqdn);
        return FALSE;
    }
    if (is_committed(state)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                    "'%s' can no longer be aborted: the owner record names %s", incoming->name,
                    incoming->context->me->fqdn);
        return FALSE;
    }
    if (state != VMF_STATE_ABORTED)
        vmf_incoming_give_up(incoming, reason);
    return TRUE;
}

/* What the peer does is to be seen here: calls change the state, memory comes. */
static gboolean
is_silent(VmfIncoming *incoming)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    guint64 bytes = incoming->memory ? vmf_memory_stream_bytes(incoming->memory) : 0;
    gint64 now = g_get_monotonic_time();
    if (incoming->state != incoming->heard_state || bytes != incoming->heard_bytes ||
        incoming->heard_us == 0) {
        incoming->heard_state = incoming->state;
        incoming->heard_bytes = bytes;
        incoming->heard_us = now;
    }
    gint64 silence_s = (now - incoming->heard_us) / G_USEC_PER_SEC;
    return (incoming->state == VMF_STATE_CHECKED && silence_s > SILENT_CHECKED_S) ||
           (incoming->state == VMF_STATE_ALLOCATED && silence_s > SILENT_COPYING_S);
}

void
vmf_incoming_end_silence(VmfIncoming *incoming)
{
    if (incoming->recovering || !g_mutex_trylock(&incoming->verbs)) /* a call is under way */
        return;
    gboolean silent = is_silent(incoming);
    if (silent)
        vmf_incoming_give_up(incoming, "its source has gone silent");
    g_mutex_unlock(&incoming->verbs);
    if (silent)
        vmf_incoming_unsubscribe(incoming);
}

void
vmf_incoming_wake(VmfIncoming *incoming)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    g_cond_broadcast(&incoming->changed);
}

void
vmf_incoming_unsubscribe(VmfIncoming *incoming)
{
    g_mutex_lock(&incoming->lock);
    guint subscription = incoming->subscription;
    incoming->subscription = 0;
    g_mutex_unlock(&incoming->lock);
    if (subscription)
        vmf_host_unsubscribe(incoming->context->host, subscription);
}

void
vmf_incoming_peer_lost(VmfIncoming *incoming)
{
    vmf_incoming_abort(incoming, "its connection ended", NULL);
    if (vmf_incoming_state(incoming) == VMF_STATE_ABORTED)
        vmf_incoming_unsubscribe(incoming);
    g_mutex_lock(&incoming->verbs); /* a verb that is under way still needs it */
    g_mutex_lock(&incoming->lock);
    g_autoptr(VmfChannel) control = g_steal_pointer(&incoming->control);
    g_mutex_unlock(&incoming->lock);
    g_mutex_unlock(&incoming->verbs);
}
