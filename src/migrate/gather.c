/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/gather.h"

#include <string.h>

#include "auth/directory-facts.h"
#include "auth/keytab-facts.h"
#include "smb/disk-client.h"
#include "smb/share-probe.h"
#include "src/migrate/peer-answers.h"
#include "src/migrate/vm-disks.h"
#include "src/vm/definition-facts.h"
#include "src/vm/fit-facts.h"
#include "src/vm/live-facts.h"
#include "src/vm/machine-facts.h"
#include "src/vm/route-facts.h"

/* What lets a definition in here. */
static VmfDomainRules
rules_of(const VmfContext *context)
{
    return (VmfDomainRules){
        .run_dir = context->run_dir,
        .boot_files = (const char *const *)context->policy->kernels,
    };
}

VmfFactVm *
vmf_gather_vm(const VmfContext *context, const char *uuid, gchar **definition)
{
    VmfFactVm *vm = vmf_fact_vm_new();
    VmfDomainRules rules = rules_of(context);
    *definition = NULL;
    vmf_vm_facts_gather(context->host, uuid, &rules, vm, definition);
    return vm;
}

/* ---- a host ---- */

/* The moves under way here, both ways; without @except. */
static GPtrArray *
open_moves(const VmfContext *context, const char *except, GError **error)
{
    GPtrArray *moves = vmf_journal_list(context->journal, G_MAXINT, TRUE, error);
    for (guint i = moves ? moves->len : 0; i-- > 0;) {
        const VmfJournalEntry *entry = moves->pdata[i];
        if (except && strcmp(entry->migration, except) == 0)
            g_ptr_array_remove_index(moves, i);
    }
    return moves;
}

static void
gather_queue(const VmfContext *context, const char *migration, VmfFactQueue *queue)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) moves = open_moves(context, migration, &error);
    queue->slots = context->policy->parallel_jobs;
    queue->used = moves ? moves->len : 0;
    if (moves == NULL)
        vmf_fact_set(&queue->reason, error->message);
}

/* A move under way has made its own copy of the VM here: that is no other domain. */
static gboolean
is_own_copy(const VmfContext *context, const char *migration, const VmfFactVm *vm,
            const VmfFactDomain *domain)
{
    if (strcmp(domain->uuid, vm->uuid) != 0 || migration == NULL || migration[0] == '\0')
        return FALSE;
    g_autoptr(VmfJournalEntry) entry = vmf_journal_find(context->journal, migration);
    return entry && entry->role == VMF_ROLE_DESTINATION && entry->state != VMF_STATE_ABORTED &&
           g_ascii_strcasecmp(entry->vm_uuid, vm->uuid) == 0;
}

static gboolean
share_a_mac(const VmfFactDomain *domain, const VmfFactVm *vm)
{
    for (guint i = 0; i < vm->nics->len; i++) {
        const VmfFactNic *nic = vm->nics->pdata[i];
        if (g_strv_contains((const char *const *)domain->macs, nic->mac))
            return TRUE;
    }
    return FALSE;
}

/* All others have no part in it: no other host needs to know of them, and they may come and go. */
static void
keep_what_meets(const VmfContext *context, const char *migration, const VmfFactVm *vm,
                GPtrArray *domains)
{
    for (guint i = domains->len; i-- > 0;) {
        const VmfFactDomain *domain = domains->pdata[i];
        gboolean meets = strcmp(domain->uuid, vm->uuid) == 0 ||
                         strcmp(domain->name, vm->name) == 0 || share_a_mac(domain, vm);
        if (!meets || is_own_copy(context, migration, vm, domain))
            g_ptr_array_remove_index(domains, i);
    }
}

static void
gather_machine(const VmfContext *context, const VmfFactVm *vm, const char *migration,
               VmfFactHost *host)
{
    vmf_fact_set(&host->fqdn, context->me->fqdn);
    vmf_fact_set(&host->account, context->me->account);
    vmf_machine_facts_gather(context->host, &host->machine);
    keep_what_meets(context, migration, vm, host->machine.domains);
}

void
vmf_gather_host(const VmfContext *context, const VmfFactVm *vm, const char *migration,
                gboolean brief, VmfFactHost *host)
{
    gather_machine(context, vm, migration, host);
    vmf_fact_set(&host->realm, context->me->realm);
    vmf_fact_set(&host->version, VMF_VERSION);
    vmf_directory_facts_gather(context->directory, context->policy->group, &host->directory,
                               &host->keytab.kvno);
    vmf_keytab_facts_gather(context->me, context->policy->keytab, brief, &host->keytab);
    gather_queue(context, migration, &host->queue);
}

/* ---- another host ---- */

static void
gather_channel(const VmfGatherPeer *peer, VmfFactChannel *facts)
{
    if (peer->channel == NULL) {
        vmf_fact_set(&facts->reason, peer->unreachable ? peer->unreachable : "not connected");
        return;
    }
    const VmfPeerIdentity *who = vmf_channel_peer(peer->channel);
    facts->mutual = TRUE; /* there is no channel otherwise */
    facts->by_ticket = who->proof == VMF_PEER_PROVEN_BY_TICKET;
    facts->ticket_enctype = (guint)who->ticket_enctype;
    facts->session_enctype = (guint)who->session_enctype;
    vmf_fact_set(&facts->principal, who->principal);
    if (!facts->by_ticket)
        return;
    vmf_fact_set(&facts->account, who->account);
    vmf_fact_set(&facts->sid, who->sid);
    g_autoptr(GStrvBuilder) groups = g_strv_builder_new();
    for (guint i = 0; i < who->group_sids->len; i++)
        g_strv_builder_add(groups, who->group_sids->pdata[i]);
    g_strfreev(facts->group_sids);
    facts->group_sids = g_strv_builder_end(groups);
}

void
vmf_gather_peer(const VmfContext *context, const VmfGatherPeer *peer, VmfFactPeer *facts)
{
    vmf_fact_set(&facts->fqdn, peer->fqdn);
    vmf_computer_facts_gather(context->directory, peer->fqdn, &facts->computer, NULL);
    gather_channel(peer, &facts->channel);
    g_autofree gchar *address = peer->channel ? vmf_channel_peer_address(peer->channel) : NULL;
    if (address && address[0])
        vmf_route_facts_gather(address, &facts->route);
    else
        vmf_fact_set(&facts->route.reason, peer->unreachable ? peer->unreachable : "not connected");
    facts->skew_known = vmf_peer_answer_clock(g_get_real_time() -
                                                  (g_get_monotonic_time() - peer->received_us),
                                              peer->clock_us, &facts->skew_ms);
}

/* ---- a VM ---- */

static void
gather_files(const VmfContext *context, const VmfFactVm *vm, gboolean brief, VmfFactView *view)
{
    VmfShareProbe probe = {
        .run_dir = context->run_dir,
        .ccache = vmf_ticket_keeper_cache_path(context->smb_ticket),
        .brief = brief,
    };
    g_autoptr(GError) error = NULL;
    if (vmf_local_user(context->policy->disk_user, "[vmferry] disk-user", &probe.run_uid,
                       &probe.run_gid, &error))
        vmf_share_probe_run(&probe, context->policy, vm, view);
    else
        vmf_fact_set(&view->owner.reason, error->message);
}

static void
gather_disks(const VmfContext *context, const VmfFactVm *vm, VmfFactDisks *facts)
{
    g_autoptr(GError) error = NULL;
    if (!g_uuid_string_is_valid(vm->uuid)) { /* it becomes a path */
        vmf_fact_set(&facts->reason, "the VM's UUID is none");
        return;
    }
    g_autoptr(VmfDiskClient) disks = vmf_disk_client_connect(context->run_dir, vm->uuid, &error);
    g_autoptr(VmfDiskState) state = disks ? vmf_disk_client_describe(disks, &error) : NULL;
    if (state == NULL) {
        vmf_fact_set(&facts->reason, error->message);
        return;
    }
    facts->held = state->held;
    facts->epoch = state->epoch;
    vmf_fact_set(&facts->gate, vmf_gate_state_name(state->gate));
    vmf_fact_set(&facts->trouble, state->trouble);
}

static void
gather_job(const VmfContext *context, const VmfFactVm *vm, const char *migration, gchar **job)
{
    g_autoptr(GPtrArray) moves = open_moves(context, migration, NULL);
    for (guint i = 0; moves && i < moves->len; i++) {
        const VmfJournalEntry *entry = moves->pdata[i];
        if (g_ascii_strcasecmp(entry->vm_uuid, vm->uuid) == 0)
            vmf_fact_printf(job, "job %" G_GINT64_FORMAT ", %s %s", entry->job,
                            entry->role == VMF_ROLE_SOURCE ? "to" : "from", entry->peer);
    }
}

static void
gather_view(const VmfContext *context, const VmfFactVm *vm, const VmfDomain *domain,
            const char *migration, gboolean brief, VmfFactView *view)
{
    gather_files(context, vm, brief, view);
    gather_job(context, vm, migration, &view->job);
    if (domain)
        vmf_fit_facts_gather(context->host, domain, vm,
                             (const char *const *)context->policy->kernels, &view->fit);
    else
        vmf_fact_set(&view->fit.reason, vm->reason[0] ? vm->reason : "its definition is not known");
}

void
vmf_gather_view(const VmfContext *context, const VmfFactVm *vm, const char *definition,
                const char *migration, gboolean brief, VmfFactView *view)
{
    VmfDomainRules rules = rules_of(context);
    g_autoptr(VmfFactVm) again = vmf_fact_vm_new();
    g_autoptr(VmfDomain)
        domain = vmf_definition_facts(definition, strlen(definition), &rules, again);
    gather_disks(context, vm, &view->disks);
    gather_view(context, vm, domain, migration, brief, view);
}

/* ---- at the destination ---- */

VmfFactSide *
vmf_gather_as_destination(const VmfContext *context, const char *definition, const char *migration,
                          gboolean brief, const VmfGatherPeer *peer)
{
    VmfFactSide *side = vmf_fact_side_new();
    VmfDomainRules rules = rules_of(context);
    g_autoptr(VmfFactVm) vm = vmf_fact_vm_new();
    g_autoptr(VmfDomain) domain = vmf_definition_facts(definition, strlen(definition), &rules, vm);
    vmf_gather_host(context, vm, migration, brief, &side->host);
    vmf_gather_peer(context, peer, &side->peer);
    vmf_fact_set(&side->view.disks.reason, "a destination has none before it takes the VM");
    gather_view(context, vm, domain, migration, brief, &side->view);
    return side;
}

void
vmf_gather_arrival(const VmfContext *context, const char *definition, const char *migration,
                   VmfFactVm *vm, VmfFactHost *here)
{
    VmfDomainRules rules = rules_of(context);
    g_autoptr(VmfDomain) domain = vmf_definition_facts(definition, strlen(definition), &rules, vm);
    gather_machine(context, vm, migration, here);
}
