/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/take-over.h"

#include <string.h>

#include "smb/share-find.h"
#include "smb/share-url.h"
#include "src/base/error.h"
#include "src/migrate/let-in.h"
#include "src/migrate/peer-link.h"
#include "src/migrate/vm-disks.h"

#define CLAIM_TRY_MS          1000
#define DEAD_CLIENT_MARGIN_S  15
#define DEFAULT_DEAD_CLIENT_S 120 /* where nobody has stated it */
#define DEFAULT_QUARANTINE_S  30  /* as of the disk process (disk-client.h) */

typedef struct {
    const VmfContext *context;
    VmfTakeOverTell tell;
    gpointer tell_data;
    VmfFoundVm *found;
    VmfDomain *domain;
    VmfDiskClient *disks;
    guint dead_client_s, quarantine_s; /* as the shares' rules say */
} TakeOver;

static void
take_over_clear(TakeOver *job)
{
    g_clear_pointer(&job->found, vmf_found_vm_free);
    g_clear_pointer(&job->domain, vmf_domain_free);
    g_clear_pointer(&job->disks, vmf_disk_client_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TakeOver, take_over_clear)

static const char *
name_of(const TakeOver *job)
{
    return vmf_domain_name(job->domain);
}

G_GNUC_PRINTF(2, 3)
static void
tell(const TakeOver *job, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    g_autofree gchar *text = g_strdup_vprintf(format, list);
    va_end(list);
    g_message("recover '%s': %s", job->found ? job->found->folder : "", text);
    job->tell(text, job->tell_data);
}

/* ---- find ---- */

static gboolean
find(TakeOver *job, const char *vm, GError **error)
{
    VmfShareProbe probe = {
        .run_dir = job->context->run_dir,
        .ccache = vmf_ticket_keeper_cache_path(job->context->smb_ticket),
    };
    if (!vmf_local_user(job->context->policy->disk_user, "[vmferry] disk-user", &probe.run_uid,
                        &probe.run_gid, error))
        return FALSE;
    job->found = vmf_share_find_vm(&probe, job->context->policy, vm, error);
    if (job->found == NULL)
        return FALSE;
    if (job->found->problem[0] == '\0')
        return TRUE;
    g_set_error(
        error, VMF_ERROR, VMF_ERROR_CONFIG,
        "the VM %s in %s cannot be recovered from what lies there: %s; restore that file, or "
        "define the VM by hand: vmferry define VM.xml",
        job->found->uuid, job->found->folder, job->found->problem);
    return FALSE;
}

static gboolean
must_not_run(const TakeOver *job, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VmfVmInfo) here = vmf_host_lookup(job->context->host, job->found->uuid, &local);
    if (here == NULL && !g_error_matches(local, VMF_ERROR, VMF_ERROR_CONFIG)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (here == NULL || here->state == VMF_VM_OFF || here->state == VMF_VM_CRASHED)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "'%s' is on this host already: it is %s",
                here->name, vmf_vm_state_name(here->state));
    return FALSE;
}

static void
read_rules(TakeOver *job)
{
    for (guint i = 0; i < vmf_domain_n_disks(job->domain); i++) {
        const VmfDomainDisk *disk = vmf_domain_disk(job->domain, i);
        g_autoptr(VmfShareUrl) url = vmf_share_url_parse(disk->url, NULL);
        const VmfShareRule *rule = url ? vmf_local_policy_share(job->context->policy, url->server,
                                                                url->share)
                                       : NULL;
        guint quarantine_s = rule ? rule->quarantine_seconds : 0;
        job->quarantine_s = MAX(job->quarantine_s,
                                quarantine_s ? quarantine_s : DEFAULT_QUARANTINE_S);
        guint dead_client_s = rule ? rule->dead_client_seconds : 0;
        job->dead_client_s = MAX(job->dead_client_s,
                                 dead_client_s ? dead_client_s : DEFAULT_DEAD_CLIENT_S);
    }
}

/* @vm: as asked for; where that is a name, it is the name the definition has to have */
static gboolean
let_in(TakeOver *job, const char *vm, GError **error)
{
    gboolean by_name = !g_str_has_prefix(vm, "smb://") && !g_uuid_string_is_valid(vm);
    job->domain = vmf_let_in_rebuild(job->context, job->found->definition, job->found->uuid,
                                     by_name ? vm : NULL, error);
    if (job->domain == NULL) {
        g_prefix_error(error, "%s/domain.xml: ", job->found->folder);
        return FALSE;
    }
    guint n = vmf_domain_n_disks(job->domain);
    g_autofree const VmfDomainDisk **disks = g_new0(const VmfDomainDisk *, n + 1);
    for (guint i = 0; i < n; i++)
        disks[i] = vmf_domain_disk(job->domain, i);
    VmfVmDisks all = {job->found->uuid, name_of(job), disks, n};
    if (!vmf_let_in_networks(job->context, job->domain, name_of(job), error))
        return FALSE;
    read_rules(job);
    job->disks = vmf_vm_disks_launch(job->context, &all, error);
    return job->disks != NULL;
}

/* ---- the owner ---- */

static gboolean
read_record(const TakeOver *job, VmfOwnerRecord *record, GError **error)
{
    gboolean present = FALSE;
    if (!vmf_disk_client_read_record(job->disks, &present, record, error))
        return FALSE;
    if (!present)
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "'%s' has no owner record in %s: nothing tells that its disks are unused; if "
                    "you know: vmferry define, and virsh start",
                    name_of(job), job->found->folder);
    return present;
}

static gboolean
is_ours(const TakeOver *job, const VmfOwnerRecord *record)
{
    return strcmp(record->owner_sid, job->context->sid) == 0;
}

/* Only by its SID is it the owner: a computer that was joined anew has another one. */
static gchar *
owner_fqdn(const TakeOver *job, const VmfOwnerRecord *record)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfComputer)
        owner = vmf_directory_computer(job->context->directory, record->owner_account, &error);
    if (owner && strcmp(owner->sid, record->owner_sid) == 0 && owner->fqdn)
        return g_strdup(owner->fqdn);
    tell(job, "%s cannot be asked: %s", record->owner_account,
         error ? error->message : "it is not in the directory any more");
    return NULL;
}

static gboolean
must_not_answer(const TakeOver *job, const VmfOwnerRecord *record, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree gchar *fqdn = owner_fqdn(job, record);
    if (fqdn == NULL)
        return TRUE; /* the file server judges */
    g_autoptr(VmfPeerLink) link = vmf_peer_link_open(job->context, fqdn, &local);
    if (link == NULL) {
        tell(job, "%s does not answer (%s)", fqdn, local->message);
        tell(job,
             "if it may be alive and only cut off, power it off now: the guest there would go on, "
             "without its disks, until that host can read the owner record again");
        return TRUE;
    }
    g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                "'%s' belongs to %s, and that host answers: it is not dead; move the VM from there "
                "(vmferry migrate %s --to %s), or shut it down there first",
                name_of(job), fqdn, name_of(job), job->context->me->fqdn);
    return FALSE;
}

/* The epoch moved on, or somebody else was faster. */
static gboolean
is_unchanged(const TakeOver *job, const VmfOwnerRecord *then, GError **error)
{
    VmfOwnerRecord now;
    if (!read_record(job, &now, error))
        return FALSE;
    if (now.epoch == then->epoch && strcmp(now.owner_sid, then->owner_sid) == 0)
        return TRUE;
    g_autofree gchar *owner = vmf_owner_record_describe(&now);
    g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "'%s' has a new owner meanwhile: %s",
                name_of(job), owner);
    return FALSE;
}

/* Until the server has dropped whoever has the disks open. */
static gboolean
claim(TakeOver *job, const VmfOwnerRecord *record, GError **error)
{
    g_autofree gchar *reason = g_strdup_printf("taken over from %s, which did not answer",
                                               record->owner_account);
    VmfOwnerExpect expected = {record->owner_sid, record->epoch};
    VmfOwnerNext next = {.epoch = record->epoch + 1, .state = VMF_OWNER_OWNED, .reason = reason};
    gint64 until = g_get_monotonic_time() +
                   (job->dead_client_s + DEAD_CLIENT_MARGIN_S) * G_USEC_PER_SEC;
    for (gboolean told = FALSE;; told = TRUE) {
        g_autoptr(GError) local = NULL;
        if (vmf_disk_client_claim(job->disks, &expected, &next, CLAIM_TRY_MS, NULL, &local))
            return TRUE;
        if (!g_error_matches(local, VMF_ERROR, VMF_ERROR_BUSY)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        if (!is_unchanged(job, record, error))
            return FALSE;
        if (g_get_monotonic_time() >= until) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                        "'%s' is still open at the file server by %s: that host lives, though it "
                        "does not answer here; end it (power), or mend its network; if it is "
                        "dead, the server has not noticed: close its session there (smbstatus; "
                        "Close-SmbOpenFile), and see dead-client-seconds in vmferry.conf(5)",
                        name_of(job), record->owner_account);
            return FALSE;
        }
        if (!told)
            tell(job, "waiting for the file server to drop the files that %s has open",
                 record->owner_account);
    }
}

static void
wait_quarantine(const TakeOver *job)
{
    tell(job, "waiting %u s: the server may still carry out the last writes of the dead host",
         job->quarantine_s);
    g_usleep(job->quarantine_s * G_USEC_PER_SEC);
}

/* Returns: %TRUE: the VM may be started here, by the record; the gate is open, or opens at the start. */
static gboolean
become_owner(TakeOver *job, GError **error)
{
    VmfOwnerRecord record;
    if (!read_record(job, &record, error))
        return FALSE;
    gboolean unended = record.state == VMF_OWNER_OWNED && is_ours(job, &record);
    if (record.state == VMF_OWNER_STOPPED || (is_ours(job, &record) && !unended))
        return TRUE;
    if (!unended && (!must_not_answer(job, &record, error) || !claim(job, &record, error)))
        return FALSE;
    wait_quarantine(job);
    guint64 owned = record.epoch + (unended ? 0 : 1);
    VmfOwnerExpect expected = {job->context->sid, owned};
    VmfOwnerNext next = {
        .epoch = owned + 1, .state = VMF_OWNER_RUNNING, .reason = "recovered from a dead host"};
    return vmf_disk_client_take(job->disks, &expected, &next, CLAIM_TRY_MS, NULL, error);
}

/* ---- start ---- */

static gboolean
start(TakeOver *job, GError **error)
{
    g_autofree gchar *xml = vmf_domain_to_xml(job->domain);
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(job->disks, error);
    if (state == NULL)
        return FALSE;
    if (!state->held) /* libvirt's hook starts its own, as for any start */
        vmf_disk_client_quit(job->disks, NULL);
    if (!vmf_host_define(job->context->host, xml, NULL, error))
        return FALSE;
    if (vmf_host_start(job->context->host, job->found->uuid, FALSE, error))
        return TRUE;
    g_prefix_error(error,
                   "'%s' is defined on %s and owned by it, but does not start: ", name_of(job),
                   job->context->me->fqdn);
    vmf_vm_disks_stop(job->context, job->found->uuid, NULL);
    return FALSE;
}

static gboolean
take_over(TakeOver *job, const char *vm, GError **error)
{
    if (!must_not_run(job, error) || !let_in(job, vm, error))
        return FALSE;
    if (become_owner(job, error))
        return start(job, error);
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(job->disks, NULL);
    if (state && !state->held)
        vmf_disk_client_quit(job->disks, NULL);
    return FALSE;
}

gchar *
vmf_take_over(const VmfContext *context, const char *vm, VmfTakeOverTell tell_func, gpointer data,
              GError **error)
{
    g_auto(TakeOver) job = {.context = context, .tell = tell_func, .tell_data = data};
    if (!find(&job, vm, error))
        return NULL;
    g_autofree gchar *before = vmf_owner_record_describe(&job.found->record);
    vmf_turns_own_begin(context->turns, job.found->uuid);
    gboolean ok = take_over(&job, vm, error);
    vmf_turns_own_end(context->turns, job.found->uuid);
    if (!ok)
        return NULL;
    return g_strdup_printf("%s now runs on %s; its owner was %s", name_of(&job), context->me->fqdn,
                           before);
}
