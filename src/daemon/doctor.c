/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/daemon/doctor.h"

#include <string.h>
#include <unistd.h>

#include "smb/disk-client.h"
#include "src/migrate/peer-link.h"
#include "src/migrate/vm-disks.h"
#include "src/migrate/waiting.h"

#define HOOK_FILE "/etc/libvirt/hooks/qemu.d/vmferry"

typedef struct {
    GVariantBuilder list;
} Findings;

static void add(Findings *findings, const char *id, const char *result, const char *subject,
                const char *fix, const char *format, ...) G_GNUC_PRINTF(6, 7);

static void
add(Findings *findings, const char *id, const char *result, const char *subject, const char *fix,
    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree gchar *message = g_strdup_vprintf(format, args);
    va_end(args);
    GVariantDict out;
    g_variant_dict_init(&out, NULL);
    g_variant_dict_insert(&out, "id", "s", id);
    g_variant_dict_insert(&out, "result", "s", result);
    g_variant_dict_insert(&out, "subject", "s", subject);
    g_variant_dict_insert(&out, "message", "s", message);
    g_variant_dict_insert(&out, "fix", "s", fix ? fix : "");
    g_variant_builder_add_value(&findings->list, g_variant_dict_end(&out));
}

static void
examine_ticket(VmfDaemon *daemon, Findings *findings)
{
    const VmfHostIdentity *me = daemon->context.me;
    g_autoptr(GError) error = NULL;
    if (vmf_ticket_keeper_refresh(daemon->context.smb_ticket, &error))
        add(findings, "DIR-010", "pass", me->principal, NULL,
            "keytab '%s' gives a ticket for %.1f hours", daemon->context.policy->keytab,
            (double)(vmf_ticket_keeper_end_time(daemon->context.smb_ticket) -
                     g_get_real_time() / G_USEC_PER_SEC) /
                3600);
    else
        add(findings, "DIR-010", "fail", me->principal,
            "join the domain again: net ads join -U Administrator", "%s", error->message);
}

static gboolean
in_group(const VmfComputer *computer, const char *group)
{
    for (guint i = 0; i < computer->group_sids->len; i++)
        if (g_ascii_strcasecmp(computer->group_sids->pdata[i], group) == 0)
            return TRUE;
    return FALSE;
}

static void
examine_directory(VmfDaemon *daemon, Findings *findings)
{
    const VmfContext *context = &daemon->context;
    g_autoptr(GError) error = NULL;
    g_autofree gchar *group = vmf_directory_group_sid(context->directory, context->policy->group,
                                                      &error);
    g_autoptr(VmfComputer)
        self = group ? vmf_directory_computer(context->directory, context->me->account, &error)
                     : NULL;
    if (self == NULL) {
        add(findings, "DIR-020", "fail", context->me->realm, NULL, "%s", error->message);
        return;
    }
    g_autofree gchar *server = vmf_directory_server(context->directory);
    add(findings, "DIR-020", "pass", context->me->realm, NULL, "%s answers", server);
    if (in_group(self, group)) {
        add(findings, "DIR-040", "pass", self->account, NULL, "is in '%s' (%s)",
            context->policy->group, group);
        return;
    }
    g_autofree gchar *fix = g_strdup_printf("samba-tool group addmembers '%s' '%s', then restart "
                                            "vmferryd",
                                            context->policy->group, self->account);
    add(findings, "DIR-040", "fail", self->account, fix, "is not in '%s' (%s)",
        context->policy->group, group);
}

static void
examine_libvirt(VmfDaemon *daemon, Findings *findings)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfHostFacts) facts = vmf_host_facts(daemon->context.host, &error);
    if (facts)
        add(findings, "HOST-360", "pass", facts->hostname, NULL,
            "libvirt %" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT ", QEMU %" G_GUINT64_FORMAT
            ".%" G_GUINT64_FORMAT,
            facts->libvirt_version / 1000000, facts->libvirt_version / 1000 % 1000,
            facts->qemu_version / 1000000, facts->qemu_version / 1000 % 1000);
    else
        add(findings, "HOST-360", "fail", "libvirt", "systemctl start libvirtd", "%s",
            error->message);
    if (access(HOOK_FILE, X_OK) == 0)
        add(findings, "HOST-370", "pass", HOOK_FILE, NULL, "libvirt's hook is installed");
    else
        add(findings, "HOST-370", "fail", HOOK_FILE,
            "install vmferry's hook there, executable, and restart libvirtd",
            "is missing: VMs would start without their disks");
}

static void
examine_users(VmfDaemon *daemon, Findings *findings)
{
    const struct {
        const char *name, *key, *fix;
    } users[] = {
        {daemon->context.policy->disk_user, "[vmferry] disk-user",
         "systemd-sysusers vmferry.conf makes 'vmferry-disk'; name that one"},
        {daemon->context.policy->qemu_user, "[libvirt] qemu-user",
         "name the one that libvirt runs QEMU as: user in /etc/libvirt/qemu.conf"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(users); i++) {
        uid_t uid;
        gid_t gid;
        g_autoptr(GError) error = NULL;
        if (vmf_local_user(users[i].name, users[i].key, &uid, &gid, &error))
            add(findings, "HOST-380", "pass", users[i].name, NULL, "user of %s exists",
                users[i].key);
        else
            add(findings, "HOST-380", "fail", users[i].name, users[i].fix, "%s", error->message);
    }
}

static void
examine_shares(VmfDaemon *daemon, Findings *findings)
{
    const GPtrArray *shares = daemon->context.policy->shares;
    if (shares->len == 0)
        add(findings, "SMB-100", "fail", VMF_LOCAL_POLICY_FILE,
            "[shares] allow=//server.domain/share", "no share is allowed: no VM can be here");
    for (guint i = 0; i < shares->len; i++) {
        const VmfShareRule *rule = shares->pdata[i];
        g_autofree gchar *name = g_strdup_printf("//%s/%s", rule->server, rule->share);
        if (rule->durable == VMF_STATED_YES && rule->dead_client_seconds > 0)
            add(findings, "SMB-150", "pass", name, NULL,
                "is stated to make answered writes durable, and to drop a dead host in %u s",
                rule->dead_client_seconds);
        else
            add(findings, "SMB-150", "warn", name,
                "Samba: sync always = yes, strict sync = yes, and socket options = TCP_NODELAY "
                "SO_KEEPALIVE TCP_KEEPIDLE=2 TCP_KEEPINTVL=1 TCP_KEEPCNT=3; Windows: a "
                "continuously available share; then state it in vmferry.conf: [share //server/"
                "share] durable=yes, dead-client-seconds=N",
                "no client can see whether the share makes each answered write durable and drops a "
                "dead host soon: until it is stated, no VM moves");
    }
}

/* (transfer full): "since 08:15:02 (40 s)" */
static gchar *
format_since(gint64 since_us)
{
    g_autoptr(GDateTime) when = g_date_time_new_from_unix_local(since_us / G_USEC_PER_SEC);
    g_autofree gchar *clock = g_date_time_format(when, "%H:%M:%S");
    return g_strdup_printf("since %s (%" G_GINT64_FORMAT " s)", clock,
                           MAX(g_get_real_time() - since_us, 0) / G_USEC_PER_SEC);
}

static const char *
find_trouble(const GPtrArray *cares, const char *uuid)
{
    for (guint i = 0; i < cares->len; i++) {
        const VmfDiskCare *care = cares->pdata[i];
        if (g_ascii_strcasecmp(care->uuid, uuid) == 0)
            return care->trouble;
    }
    return NULL;
}

/* What their disk processes wait for, or have done to them. */
static void
examine_cares(const GPtrArray *cares, Findings *findings)
{
    for (guint i = 0; i < cares->len; i++) {
        const VmfDiskCare *care = cares->pdata[i];
        g_autofree gchar *since = format_since(care->since_us);
        add(findings, "SMB-140", "warn", care->name, care->help, "%s, %s", care->trouble, since);
    }
}

static void
examine_vms(VmfDaemon *daemon, Findings *findings)
{
    g_autoptr(GPtrArray) vms = vmf_host_list(daemon->context.host, NULL);
    g_autoptr(GPtrArray) cares = vmf_disk_keeper_look(daemon->keeper);
    for (guint i = 0; vms && i < vms->len; i++) {
        const VmfVmInfo *vm = vms->pdata[i];
        g_autoptr(VmfDiskClient)
            disks = vmf_disk_client_connect(daemon->context.run_dir, vm->uuid, NULL);
        g_autoptr(VmfDiskState) state = disks ? vmf_disk_client_describe(disks, NULL) : NULL;
        if (state && find_trouble(cares, vm->uuid) == NULL)
            add(findings, "SMB-140", state->trouble[0] ? "warn" : "pass", vm->name, NULL,
                "gate %s, epoch %" G_GUINT64_FORMAT "%s%s", vmf_gate_state_name(state->gate),
                state->epoch, state->trouble[0] ? ": " : "", state->trouble);
    }
    examine_cares(cares, findings);
}

/* Moves that are not decided yet: their texts say what would help. */
static void
examine_moves(Findings *findings)
{
    g_autoptr(GPtrArray) waiting = vmf_waiting_list();
    for (guint i = 0; i < waiting->len; i++) {
        const VmfWaiting *move = waiting->pdata[i];
        g_autofree gchar *since = format_since(move->since_us);
        add(findings, "MOVE-100", "warn", move->name,
            "see: vmferry jobs; the move ends by itself when what it waits for is there",
            "its move waits %s: %s", since, move->what);
    }
}

GVariant *
vmf_doctor_examine(VmfDaemon *daemon)
{
    Findings findings;
    g_variant_builder_init(&findings.list, G_VARIANT_TYPE("aa{sv}"));
    examine_ticket(daemon, &findings);
    examine_directory(daemon, &findings);
    examine_libvirt(daemon, &findings);
    examine_users(daemon, &findings);
    examine_shares(daemon, &findings);
    examine_vms(daemon, &findings);
    examine_moves(&findings);
    return g_variant_builder_end(&findings.list);
}

/* ---- hosts ---- */

typedef struct {
    VmfDaemon *daemon;
    const VmfComputer *computer;
    gboolean self, reachable;
    gchar *problem;
    GThread *thread;
} Host;

static gpointer
try_host(gpointer data)
{
    Host *host = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfPeerLink)
        link = host->computer->fqdn
                   ? vmf_peer_link_open(&host->daemon->context, host->computer->fqdn, &error)
                   : NULL;
    host->reachable = link != NULL;
    if (link == NULL)
        host->problem = g_strdup(error ? error->message : "has no dNSHostName in the directory");
    return NULL;
}

static GVariant *
host_to_variant(const Host *host)
{
    GVariantDict out;
    g_variant_dict_init(&out, NULL);
    g_variant_dict_insert(&out, "fqdn", "s", host->computer->fqdn ? host->computer->fqdn : "");
    g_variant_dict_insert(&out, "account", "s", host->computer->account);
    g_variant_dict_insert(&out, "sid", "s", host->computer->sid);
    g_variant_dict_insert(&out, "enabled", "b", host->computer->enabled);
    g_variant_dict_insert(&out, "this", "b", host->self);
    g_variant_dict_insert(&out, "reachable", "b", host->reachable);
    g_variant_dict_insert(&out, "error", "s", host->problem ? host->problem : "");
    return g_variant_dict_end(&out);
}

GVariant *
vmf_doctor_hosts(VmfDaemon *daemon, GError **error)
{
    const VmfContext *context = &daemon->context;
    g_autofree gchar *group = vmf_directory_group_sid(context->directory, context->policy->group,
                                                      error);
    g_autoptr(GPtrArray)
        computers = group ? vmf_directory_group_computers(context->directory, group, error) : NULL;
    if (computers == NULL)
        return NULL;
    g_autofree Host *hosts = g_new0(Host, computers->len);
    for (guint i = 0; i < computers->len; i++) {
        Host *host = &hosts[i];
        *host = (Host){.daemon = daemon, .computer = computers->pdata[i]};
        host->self = g_ascii_strcasecmp(host->computer->account, context->me->account) == 0;
        host->reachable = host->self;
        if (!host->self)
            host->thread = g_thread_new("vmf-try", try_host, host);
    }
    GVariantBuilder list;
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < computers->len; i++) {
        if (hosts[i].thread)
            g_thread_join(hosts[i].thread);
        g_variant_builder_add_value(&list, host_to_variant(&hosts[i]));
        g_free(hosts[i].problem);
    }
    return g_variant_builder_end(&list);
}
