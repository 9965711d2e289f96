/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/world.h"

#include "src/base/error.h"
#include "src/migrate/incoming-private.h"
#include "src/migrate/move-note.h"
#include "src/migrate/recover.h"
#include "src/migrate/source-private.h"
#include "src/migrate/vm-disks.h"

#include <string.h>

/*
 * The connections between two vmferryds, and what vmferryd does with them (src/daemon/peer-table.c).
 *
 * A call travels, runs in a thread of the other vmferryd, its answer travels; the connection may
 * end at any of these. What was sent before it ended may still be read ("late").
 */

#define LATE_US    (3 * G_USEC_PER_SEC)
#define NOTICE_CUT (4 * G_USEC_PER_SEC)

typedef struct _VmfChannel Channel;

struct _VmfChannel {
    int dummy;
};

struct _VmfPeerLink {
    SimHost *from, *to;
    guint from_generation, to_generation;
    gboolean broken;
    gboolean late;  /* what is under way is still delivered */
    gboolean ended; /* the other end's session is over */
    VmfChannel channel;
};

static GPtrArray *links;

void
sim_peers_reset(void)
{
    if (links == NULL)
        links = g_ptr_array_new();
    g_ptr_array_set_size(links, 0);
}

SimHost *
sim_host_of_context(const VmfContext *context)
{
    for (int i = 0; i < SIM_HOSTS; i++)
        if (context == &world.hosts[i].context)
            return &world.hosts[i];
    g_assert_not_reached();
}

/* --- connections --- */

/* peer-table.c: session_end() */
static void
session_end(gpointer data)
{
    VmfPeerLink *link = data;
    SimHost *host = link->to;
    link->ended = TRUE;
    for (guint i = 0; i < host->n_incoming; i++)
        if (vmf_incoming_control(host->incoming[i]) == &link->channel)
            vmf_incoming_peer_lost(host->incoming[i]);
    for (guint i = 0; i < host->n_incoming; i++)
        vmf_incoming_wake(host->incoming[i]);
}

static void
break_link(VmfPeerLink *link, gint64 notice)
{
    if (link->broken)
        return;
    link->broken = TRUE;
    sim_trace("the connection hv%d-hv%d ends", link->from->index + 1, link->to->index + 1);
    sim_wake(link);
    if (link->to->vmferryd.alive && link->to->vmferryd.generation == link->to_generation)
        sim_spawn(&link->to->vmferryd, notice + sim_delay(200), session_end, link);
}

void
sim_peers_break_all(gboolean late)
{
    for (guint i = 0; i < links->len; i++) {
        VmfPeerLink *link = links->pdata[i];
        link->late = late;
        break_link(link, late ? LATE_US + G_USEC_PER_SEC / 2 : 0);
    }
}

static void
notice(gpointer data)
{
    break_link(data, 0);
}

void
sim_peers_host_gone(SimHost *host, gboolean says_so)
{
    for (guint i = 0; i < links->len; i++) {
        VmfPeerLink *link = links->pdata[i];
        if (link->from == host || link->to == host)
            sim_spawn(NULL, says_so && !world.peers_cut ? 0 : NOTICE_CUT, notice, link);
    }
}

VmfPeerLink *
vmf_peer_link_open(const VmfContext *context, const char *fqdn, GError **error)
{
    SimHost *from = sim_host_of_context(context);
    SimHost *to = strcmp(fqdn, world.hosts[0].fqdn) == 0 ? &world.hosts[0] : &world.hosts[1];
    sim_travel(500);
    if (world.peers_cut || !to->up || !to->vmferryd.alive || to->vmferryd.stopped || !to->serves) {
        sim_travel(2000);
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "%s does not answer", fqdn);
        return NULL;
    }
    VmfPeerLink *link = g_new0(VmfPeerLink, 1);
    *link = (VmfPeerLink){.from = from,
                          .to = to,
                          .from_generation = from->vmferryd.generation,
                          .to_generation = to->vmferryd.generation};
    g_ptr_array_add(links, link);
    return link;
}

/* Its memory stays: a call under way may still look at it. */
void
vmf_peer_link_free(VmfPeerLink *link)
{
    if (link != NULL)
        break_link(link, 0);
}

VmfPeer1 *
vmf_peer_link_proxy(VmfPeerLink *link)
{
    return (VmfPeer1 *)link;
}

/* Here a peer either answers or its link breaks. */
void
vmf_peer_link_set_patience(VmfPeerLink *link, guint seconds)
{
}

gboolean
vmf_peer_link_is_lost(VmfPeerLink *link)
{
    return link->broken;
}

gboolean
vmf_peer_link_was_cut(VmfPeerLink *link, GError **error)
{
    return FALSE;
}

void
vmf_peer_link_explain(VmfPeerLink *link, GError **error)
{
    vmf_peer_answer_error(error, "the peer");
}

VmfChannel *
vmf_peer_link_stream(VmfPeerLink *link, const char *name, GError **error)
{
    sim_travel(500);
    if (!link->broken)
        return &link->channel;
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "the connection has ended");
    return NULL;
}

VmfChannel *
vmf_channel_ref(VmfChannel *channel)
{
    return channel;
}

void
vmf_channel_unref(VmfChannel *channel)
{
}

/* --- calls of Peer1 --- */

typedef enum { OFFER, PREPARE, GRANT, AWAIT_RUNNING, AWAIT_FINISHED, AWAIT_ANNOUNCED, ABORT } Verb;

static const char *const verb_names[] = {"Offer",         "Prepare",        "Grant", "AwaitRunning",
                                         "AwaitFinished", "AwaitAnnounced", "Abort"};

typedef struct {
    Verb verb;
    VmfPeerLink *link;
    guint64 epoch, new_epoch;
    gboolean done, ok;
    GError *error;
} Call;

/* peer-table.c: find_or_error() */
static VmfIncoming *
find(SimHost *host, GError **error)
{
    for (guint i = 0; i < host->n_incoming; i++)
        if (strcmp(vmf_incoming_migration(host->incoming[i]), SIM_MIGRATION) == 0)
            return vmf_incoming_ref(host->incoming[i]);
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "%s knows no such migration", host->fqdn);
    return NULL;
}

/* peer-table.c: admit() */
static gboolean
admit(Call *call, GError **error)
{
    SimHost *host = call->link->to;
    if (call->link->ended) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "the connection has ended");
        return FALSE;
    }
    for (guint i = 0; i < host->n_incoming; i++)
        if (!vmf_state_is_final(vmf_incoming_state(host->incoming[i]))) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "this VM is on its way already");
            return FALSE;
        }
    return TRUE;
}

/* peer-table.c: on_offer(), incoming_from_offer() */
static gboolean
offer(Call *call, GError **error)
{
    SimHost *host = call->link->to;
    VmfIncomingVm vm = {.migration = SIM_MIGRATION,
                        .uuid = SIM_VM,
                        .name = SIM_NAME,
                        .epoch = call->epoch,
                        .persistent = TRUE};
    VmfIncoming *incoming = vmf_incoming_new(&host->context, &vm, call->link->from->sid,
                                             call->link->from->fqdn, &call->link->channel, error);
    if (incoming == NULL)
        return FALSE;
    if (!admit(call, error)) {
        vmf_incoming_abort(incoming, (*error)->message, NULL);
        return FALSE;
    }
    g_assert(host->n_incoming < G_N_ELEMENTS(host->incoming));
    host->incoming[host->n_incoming++] = vmf_incoming_ref(incoming);
    return vmf_incoming_offer(incoming, "<domain/>", error);
}

/* peer-table.c: journal_answers() */
static gboolean
journal_answers(SimHost *host, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(host->rows); i++) {
        const VmfJournalEntry *entry = &host->rows[i].entry;
        if (!host->rows[i].used || entry->role != VMF_ROLE_DESTINATION ||
            !vmf_state_is_final(entry->state))
            continue;
        if (entry->state != VMF_STATE_RUNNING)
            g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "the move is %s",
                        vmf_state_name(entry->state));
        return TRUE;
    }
    return FALSE;
}

static gboolean
prepare(VmfIncoming *incoming, GError **error)
{
    g_autoptr(GBytes) given = g_bytes_new_static("cookie", 6), answer = NULL;
    g_autofree gchar *stream = NULL;
    return vmf_incoming_prepare(incoming, TRUE, 0, given, &answer, &stream, error);
}

static gboolean
grant(Call *call, VmfIncoming *incoming, GError **error)
{
    g_autoptr(GBytes) given = g_bytes_new_static("cookie", 6);
    guint64 acquire_us;
    return vmf_incoming_grant(incoming, call->epoch, given, &call->new_epoch, &acquire_us, error);
}

static gboolean
serve_incoming(Call *call, VmfIncoming *incoming, GError **error)
{
    g_autoptr(GBytes) answer = NULL;
    switch (call->verb) {
    case PREPARE:
        return prepare(incoming, error);
    case GRANT:
        return grant(call, incoming, error);
    case AWAIT_RUNNING:
        return vmf_incoming_await_running(incoming, &call->link->ended, error);
    case AWAIT_FINISHED:
        return vmf_incoming_await_finished(incoming, &call->link->ended, &answer, error);
    case AWAIT_ANNOUNCED:
        return vmf_incoming_await_announced(incoming, &call->link->ended, error);
    case ABORT:
        return vmf_incoming_abort(incoming, "aborted", error);
    case OFFER:
        break;
    }
    g_assert_not_reached();
}

static void
serve(gpointer data)
{
    Call *call = data;
    SimHost *host = call->link->to;
    if (call->verb == OFFER) {
        call->ok = offer(call, &call->error);
    } else if (call->verb == AWAIT_RUNNING && journal_answers(host, &call->error)) {
        call->ok = call->error == NULL;
    } else {
        g_autoptr(VmfIncoming) incoming = find(host, &call->error);
        call->ok = incoming ? serve_incoming(call, incoming, &call->error)
                            : call->verb == AWAIT_RUNNING &&
                                  vmf_recover_runs_by(&host->context, SIM_MIGRATION);
    }
    call->done = TRUE;
    sim_wake(call->link);
}

static gboolean
closed(GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_CLOSED, "The connection is closed");
    return FALSE;
}

static gboolean
call_peer(VmfPeer1 *proxy, Verb verb, guint64 epoch, guint64 *new_epoch, GError **error)
{
    VmfPeerLink *link = (VmfPeerLink *)proxy;
    SimHost *to = link->to;
    sim_point("hv%d calls %s", link->from->index + 1, verb_names[verb]);
    if (link->broken)
        return closed(error);
    gint64 delay = sim_delay(300);
    sim_wait(link, sim_now() + delay);
    if (link->broken && !link->late)
        return closed(error);
    Call *call = g_new0(Call, 1);
    *call = (Call){.verb = verb, .link = link, .epoch = epoch};
    if (to->vmferryd.alive && to->vmferryd.generation == link->to_generation && !world.peers_cut)
        sim_spawn(&to->vmferryd, link->broken ? LATE_US : 0, serve, call);
    if (world.repeat_call) {
        Call *again = g_new(Call, 1);
        *again = *call;
        world.repeat_call = FALSE;
        sim_spawn(&to->vmferryd, sim_delay(LATE_US), serve, again);
    }
    while ((!call->done || world.peers_cut) && !link->broken)
        sim_wait(link, G_MAXINT64);
    if (!link->broken)
        sim_wait(link, sim_now() + sim_delay(300));
    if (link->broken)
        return closed(error);
    if (new_epoch)
        *new_epoch = call->new_epoch;
    gboolean ok = call->ok;
    sim_trace("hv%d: %s: %s", link->from->index + 1, verb_names[verb],
              ok ? "done" : call->error->message);
    if (!ok)
        g_propagate_error(error, call->error);
    g_free(call);
    return ok;
}

static void
consume(GVariant *variant)
{
    g_variant_unref(g_variant_ref_sink(variant));
}

gboolean
vmf_peer1_call_offer_sync(VmfPeer1 *proxy, const gchar *migration, GVariant *vm,
                          const gchar *definition, GCancellable *cancellable, GError **error)
{
    guint64 epoch = 0;
    g_variant_lookup(vm, "epoch", "t", &epoch);
    consume(vm);
    return call_peer(proxy, OFFER, epoch, NULL, error);
}

gboolean
vmf_peer1_call_prepare_sync(VmfPeer1 *proxy, const gchar *migration, GVariant *parameters,
                            GVariant *given, GVariant **answer, gchar **stream,
                            GCancellable *cancellable, GError **error)
{
    consume(parameters);
    consume(given);
    if (!call_peer(proxy, PREPARE, 0, NULL, error))
        return FALSE;
    *answer = g_variant_ref_sink(g_variant_new_bytestring("cookie"));
    *stream = g_strdup("stream");
    return TRUE;
}

gboolean
vmf_peer1_call_grant_sync(VmfPeer1 *proxy, const gchar *migration, guint64 epoch, GVariant *given,
                          guint64 *new_epoch, guint64 *acquire_us, GCancellable *cancellable,
                          GError **error)
{
    consume(given);
    *acquire_us = 0;
    return call_peer(proxy, GRANT, epoch, new_epoch, error);
}

gboolean
vmf_peer1_call_await_running_sync(VmfPeer1 *proxy, const gchar *migration,
                                  GCancellable *cancellable, GError **error)
{
    return call_peer(proxy, AWAIT_RUNNING, 0, NULL, error);
}

gboolean
vmf_peer1_call_await_finished_sync(VmfPeer1 *proxy, const gchar *migration, GVariant **cookie,
                                   GCancellable *cancellable, GError **error)
{
    if (!call_peer(proxy, AWAIT_FINISHED, 0, NULL, error))
        return FALSE;
    *cookie = g_variant_ref_sink(g_variant_new_bytestring("cookie"));
    return TRUE;
}

gboolean
vmf_peer1_call_await_announced_sync(VmfPeer1 *proxy, const gchar *migration,
                                    GCancellable *cancellable, GError **error)
{
    return call_peer(proxy, AWAIT_ANNOUNCED, 0, NULL, error);
}

gboolean
vmf_peer1_call_abort_sync(VmfPeer1 *proxy, const gchar *migration, const gchar *reason,
                          GCancellable *cancellable, GError **error)
{
    return call_peer(proxy, ABORT, 0, NULL, error);
}

/* --- incoming-check.c, without the XML --- */

static gboolean
must_be_free(VmfIncoming *incoming, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VmfVmInfo) there = vmf_host_lookup(incoming->context->host, incoming->uuid, &local);
    if (there == NULL && g_error_matches(local, VMF_ERROR, VMF_ERROR_CONFIG))
        return TRUE;
    if (there == NULL)
        g_propagate_error(error, g_steal_pointer(&local));
    else
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "already has a VM with that UUID");
    return FALSE;
}

static gboolean
check_owner(VmfIncoming *incoming, GError **error)
{
    VmfOwnerRecord record;
    gboolean present;
    if (!vmf_disk_client_read_record(incoming->disks, &present, &record, error))
        return FALSE;
    if (present && strcmp(record.owner_sid, incoming->peer_sid) == 0 &&
        record.epoch == incoming->epoch)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED, "the record names another owner or epoch");
    return FALSE;
}

gboolean
vmf_incoming_check(VmfIncoming *incoming, const char *definition, GError **error)
{
    SimHost *host = sim_host_of_context(incoming->context);
    if (!must_be_free(incoming, error))
        return FALSE;
    incoming->disks_text = g_strdup("disks");
    VmfJournalEntry note = {.migration = incoming->migration,
                            .role = VMF_ROLE_DESTINATION,
                            .vm_uuid = incoming->uuid,
                            .vm_name = incoming->name,
                            .peer = incoming->peer_fqdn,
                            .epoch = incoming->epoch,
                            .disks = incoming->disks_text};
    vmf_move_note_write(incoming->context, &note, NULL);
    if (!vmf_journal_set_disks(incoming->context->journal, incoming->job, incoming->disks_text,
                               error) ||
        !sim_disks_launch(host, FALSE, error))
        return FALSE;
    incoming->disks = vmf_disk_client_connect(incoming->context->run_dir, incoming->uuid, error);
    return incoming->disks != NULL && check_owner(incoming, error) &&
           vmf_disk_client_probe(incoming->disks, error);
}
