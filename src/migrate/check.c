/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/check.h"

#include <string.h>

#include "src/base/error.h"

struct _VmfCheck {
    const VmfContext *context;
    gchar *migration; /* "" : a check alone */
    gchar *definition;
    VmfFactVm *vm;
    VmfFactHost *host;
    VmfFactView *view;
    gboolean brief;
    GMutex lock;
    gboolean started;
    GThread *gatherer; /* of ->host and ->view; joined by whoever needs them first */
};

static gpointer
gather_own(gpointer data)
{
    VmfCheck *check = data;
    vmf_gather_host(check->context, check->vm, check->migration, check->brief, check->host);
    vmf_gather_view(check->context, check->vm, check->definition ? check->definition : "",
                    check->migration, check->brief, check->view);
    return NULL;
}

VmfCheck *
vmf_check_begin(const VmfContext *context, const char *uuid, const char *migration, gboolean brief)
{
    VmfCheck *check = g_new0(VmfCheck, 1);
    check->context = context;
    check->migration = g_strdup(migration ? migration : "");
    check->brief = brief;
    check->vm = vmf_gather_vm(context, uuid, &check->definition);
    check->host = vmf_fact_host_new();
    check->view = vmf_fact_view_new();
    g_mutex_init(&check->lock);
    return check;
}

/* With the first destination, not before: until then a move has other things to do. */
static void
start_own(VmfCheck *check)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&check->lock);
    if (!check->started)
        check->gatherer = g_thread_new("vmf-gather", gather_own, check);
    check->started = TRUE;
}

static void
wait_for_own(VmfCheck *check)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&check->lock);
    if (check->gatherer)
        g_thread_join(g_steal_pointer(&check->gatherer));
}

void
vmf_check_free(VmfCheck *check)
{
    if (check == NULL)
        return;
    wait_for_own(check);
    g_mutex_clear(&check->lock);
    vmf_fact_vm_free(check->vm);
    vmf_fact_host_free(check->host);
    vmf_fact_view_free(check->view);
    g_free(check->migration);
    g_free(check->definition);
    g_free(check);
}

void
vmf_check_result_free(VmfCheckResult *result)
{
    if (result == NULL)
        return;
    g_free(result->to);
    g_free(result->unreachable);
    g_clear_pointer(&result->source_peer, vmf_fact_peer_free);
    g_clear_pointer(&result->destination, vmf_fact_side_free);
    g_clear_pointer(&result->report, vmf_report_free);
    g_free(result);
}

/* A gathering has an end of its own, sooner than this (gather.c). */
#define FACTS_PATIENCE_S 180

/* ---- one destination ---- */

static VmfFactSide *
ask(VmfCheck *check, VmfPeerLink *link, VmfGatherPeer *peer, GCancellable *cancelled,
    GError **error)
{
    g_autoptr(GVariant) side = NULL;
    if (!vmf_peer1_call_gather_facts_sync(
            vmf_peer_link_proxy(link), check->migration, check->definition ? check->definition : "",
            check->brief, g_get_real_time(), &side, &peer->clock_us, cancelled, error)) {
        vmf_peer_link_explain(link, error);
        return NULL;
    }
    peer->received_us = g_get_monotonic_time();
    return vmf_fact_side_from_variant(side, error);
}

static VmfReport *
judge(const VmfCheck *check, const VmfCheckResult *result)
{
    const VmfFactSide *there = result->destination;
    VmfCheckCase facts = {
        .policy = check->context->policy,
        .vm = check->vm,
        .source = check->host,
        .source_peer = result->source_peer,
        .source_view = check->view,
        .destination = there ? &there->host : NULL,
        .destination_peer = there ? &there->peer : NULL,
        .destination_view = there ? &there->view : NULL,
        .from = check->context->me->fqdn,
        .to = result->to,
        .unreachable = result->unreachable,
    };
    return vmf_judge(&facts);
}

VmfCheckResult *
vmf_check_against(VmfCheck *check, const char *fqdn, VmfPeerLink *link, GCancellable *cancelled)
{
    VmfCheckResult *result = g_new0(VmfCheckResult, 1);
    VmfGatherPeer peer = {.fqdn = fqdn};
    g_autoptr(VmfPeerLink) own = NULL;
    g_autoptr(GError) error = NULL;

    result->to = g_strdup(fqdn);
    start_own(check);
    if (link == NULL)
        link = own = vmf_peer_link_open(check->context, fqdn, &error);
    if (own)
        vmf_peer_link_set_patience(own, FACTS_PATIENCE_S);
    if (link)
        result->destination = ask(check, link, &peer, cancelled, &error);
    if (result->destination == NULL)
        result->unreachable = g_strdup(error->message);
    peer.channel = link ? vmf_peer_link_channel(link) : NULL;
    peer.unreachable = result->unreachable;
    result->source_peer = vmf_fact_peer_new();
    vmf_gather_peer(check->context, &peer, result->source_peer);
    wait_for_own(check);
    result->report = judge(check, result);
    return result;
}

/* ---- facts ---- */

/* All of it in one struct, for a moment: nothing in it is owned. */
static VmfFactCase
borrow_case(const VmfCheck *check, const VmfCheckResult *result)
{
    return (VmfFactCase){
        .vm = *check->vm,
        .source = {.host = *check->host, .peer = *result->source_peer, .view = *check->view},
        .destination = *result->destination,
    };
}

GVariant *
vmf_check_facts(VmfCheck *check, const VmfCheckResult *result)
{
    if (result->destination == NULL)
        return NULL;
    wait_for_own(check);
    VmfFactCase facts = borrow_case(check, result);
    return vmf_fact_case_to_variant(&facts);
}

gboolean
vmf_check_compare(VmfCheck *check, const VmfCheckResult *result, GVariant *plan, GError **error)
{
    g_autoptr(VmfFactCase) then = vmf_fact_case_from_variant(plan, error);
    if (then == NULL) {
        g_prefix_error(error, "the plan: ");
        return FALSE;
    }
    if (strcmp(then->vm.uuid, check->vm->uuid) != 0 ||
        g_ascii_strcasecmp(then->destination.host.fqdn, result->to) != 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "the plan is for '%s' to %s, not for '%s' to %s", then->vm.name,
                    then->destination.host.fqdn, check->vm->name, result->to);
        return FALSE;
    }
    if (result->destination == NULL)
        return TRUE; /* the verdict says so */
    VmfFactCase now = borrow_case(check, result);
    g_autoptr(GPtrArray) changed = vmf_fact_differences(&vmf_fact_case_shape, then, &now);
    if (changed->len == 0)
        return TRUE;
    g_ptr_array_add(changed, NULL);
    g_autofree gchar *list = g_strjoinv("\n      ", (gchar **)changed->pdata);
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                "%u facts have changed since the plan was made:\n      %s\n fix  look at them, and "
                "make a new plan: vmferry check %s --to %s --save PLAN",
                changed->len - 1, list, check->vm->name, result->to);
    return FALSE;
}

gboolean
vmf_check_verdict(const VmfReport *report, GError **error)
{
    guint blocking = 0;
    gboolean denied = FALSE;
    g_autofree gchar *text = vmf_report_blockers_to_text(report);
    for (guint i = 0; i < report->findings->len; i++) {
        const VmfFinding *finding = report->findings->pdata[i];
        if (!vmf_finding_blocks(finding))
            continue;
        denied = denied || g_str_has_prefix(finding->id, "DIR-") ||
                 g_str_has_prefix(finding->id, "SMB-12");
        blocking++;
    }
    if (blocking == 0)
        return TRUE;
    g_set_error(error, VMF_ERROR, denied ? VMF_ERROR_DENIED : VMF_ERROR_CONFIG,
                "'%s' cannot move to %s, %u check%s in the way:\n%s", report->vm, report->to,
                blocking, blocking == 1 ? " is" : "s are", g_strchomp(text));
    return FALSE;
}

/* ---- several destinations ---- */

static gchar *
resolve(const VmfContext *context, const char *name, GError **error)
{
    g_autoptr(VmfComputer) computer = vmf_peer_computer(context, name, error);
    if (computer == NULL)
        return NULL;
    if (g_ascii_strcasecmp(computer->account, context->me->account) != 0 && computer->fqdn)
        return g_strdup(computer->fqdn);
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                computer->fqdn ? "'%s' is this host; name another one"
                               : "'%s' has no dNSHostName in the directory; join it again",
                name);
    return NULL;
}

static GPtrArray *
all_members(const VmfContext *context, GError **error)
{
    g_autofree gchar *group = vmf_directory_group_sid(context->directory, context->policy->group,
                                                      error);
    g_autoptr(GPtrArray)
        computers = group ? vmf_directory_group_computers(context->directory, group, error) : NULL;
    if (computers == NULL)
        return NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < computers->len; i++) {
        const VmfComputer *computer = computers->pdata[i];
        if (computer->fqdn && g_ascii_strcasecmp(computer->account, context->me->account) != 0)
            g_ptr_array_add(names, g_strdup(computer->fqdn));
    }
    if (names->len > 0)
        return g_steal_pointer(&names);
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                "the group '%s' has no other host in it; add one: samba-tool group addmembers '%s' "
                "'HOST$'",
                context->policy->group, context->policy->group);
    return NULL;
}

static GPtrArray *
destinations(const VmfContext *context, const char *const *hosts, GError **error)
{
    if (hosts == NULL || hosts[0] == NULL)
        return all_members(context, error);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; hosts[i]; i++) {
        gchar *fqdn = resolve(context, hosts[i], error);
        if (fqdn == NULL)
            return NULL;
        g_ptr_array_add(names, fqdn);
    }
    return g_steal_pointer(&names);
}

typedef struct {
    VmfCheck *check;
    const char *to;
    GThread *thread;
} Asked;

static gpointer
ask_one(gpointer data)
{
    const Asked *asked = data;
    return vmf_check_against(asked->check, asked->to, NULL, NULL);
}

VmfReportSet *
vmf_check_all(const VmfContext *context, const VmfVmInfo *vm, const char *const *hosts,
              GVariant **facts, GError **error)
{
    g_autoptr(GPtrArray) names = destinations(context, hosts, error);
    if (names == NULL)
        return NULL;
    g_autoptr(VmfCheck) check = vmf_check_begin(context, vm->uuid, NULL, FALSE);
    VmfReportSet *set = vmf_report_set_new();
    vmf_fact_set(&set->vm, vm->name);
    vmf_fact_set(&set->from, context->me->fqdn);

    g_autofree Asked *asked = g_new0(Asked, names->len);
    for (guint i = 0; i < names->len; i++) {
        asked[i] = (Asked){.check = check, .to = names->pdata[i]};
        asked[i].thread = g_thread_new("vmf-check", ask_one, &asked[i]);
    }
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(VmfCheckResult) result = g_thread_join(asked[i].thread);
        if (facts && names->len == 1) {
            GVariant *told = vmf_check_facts(check, result);
            *facts = told ? g_variant_ref_sink(told) : NULL;
        }
        g_ptr_array_add(set->reports, g_steal_pointer(&result->report));
    }
    return set;
}
