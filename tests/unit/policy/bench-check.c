/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long it takes to judge many VMs against many hosts, from facts that are there: 1,000 VMs × 16
 * hosts by default. Every VM has two disks and a CD image with access lists of eight entries; each
 * host has 63 other domains; one host in four is wrong in some way. The facts travel once through
 * their variant, as between hosts. Prints seconds of processor time, cases per second and the most memory held.
 *
 *   bench-check [VMS [HOSTS]]
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "case.h"

#define OTHER_DOMAINS 63

typedef struct {
    VmfFactVm *vm;
    VmfFactView *here;
    VmfFactView **there; /* per host */
} Guest;

typedef struct {
    VmfLocalPolicy *policy;
    VmfFactCase *model;
    VmfFactHost **hosts;
    VmfFactPeer **peers; /* of the source about each host */
    Guest *guests;
    guint n_hosts, n_guests;
} Fleet;

/* Through the codec, as facts come from a peer; also the way to copy them. */
static gpointer
copy(const VmfFactShape *shape, gconstpointer fact)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) dict = g_variant_ref_sink(vmf_fact_to_variant(shape, fact));
    gpointer result = vmf_fact_from_variant(shape, dict, &error);
    g_assert_no_error(error);
    return result;
}

static void
set_url(gchar **url, guint guest)
{
    g_auto(GStrv) parts = g_strsplit(*url, "/web1", 2);
    if (parts[1])
        vmf_fact_printf(url, "%s/web%u%s", parts[0], guest, parts[1]);
}

static void
long_list(VmfFactProbe *probe)
{
    case_descriptor(probe, "LAB\\Administrator=500:0/0/0x001f01ff",
                    "LAB\\Backup=1201:0/0/0x001200a9", "LAB\\Audit=1202:0/0/0x00120089",
                    "LAB\\Web=1203:0/16/0x001301bf", "LAB\\Helpdesk=1204:0/16/0x001200a9",
                    "LAB\\Storage=1205:0/16/0x001f01ff", "LAB\\VM Hosts=1105:0/16/0x001f01ff",
                    "BUILTIN\\Users=S-1-5-32-545:0/16/0x001200a9", NULL);
}

static VmfFactView *
view_of(const VmfFactView *model, guint guest)
{
    VmfFactView *view = copy(&vmf_fact_view_shape, model);
    VmfFactProbe *second = copy(&vmf_fact_probe_shape, view->probes->pdata[0]);
    vmf_fact_set(&second->url, CASE_FOLDER "/data.raw");
    g_ptr_array_add(view->probes, second);
    for (guint i = 0; i < view->probes->len; i++) {
        VmfFactProbe *probe = view->probes->pdata[i];
        set_url(&probe->url, guest);
        long_list(probe);
    }
    return view;
}

static void
make_guest(Fleet *fleet, guint index)
{
    Guest *guest = &fleet->guests[index];
    guest->vm = copy(&vmf_fact_vm_shape, &fleet->model->vm);
    VmfFactFile *second = copy(&vmf_fact_file_shape, guest->vm->files->pdata[0]);
    vmf_fact_set(&second->url, CASE_FOLDER "/data.raw");
    g_ptr_array_add(guest->vm->files, second);
    for (guint i = 0; i < guest->vm->files->len; i++)
        set_url(&((VmfFactFile *)guest->vm->files->pdata[i])->url, index);
    vmf_fact_printf(&guest->vm->name, "web%u", index);
    vmf_fact_printf(&guest->vm->uuid, "%08x-2222-4333-8444-555555555555", index);
    guest->here = view_of(&fleet->model->source.view, index);
    guest->there = g_new(VmfFactView *, fleet->n_hosts);
    for (guint h = 0; h < fleet->n_hosts; h++) {
        guest->there[h] = view_of(&fleet->model->destination.view, index);
        if (h % 4 == 1)
            ((VmfFactProbe *)guest->there[h]->probes->pdata[0])->write = VMF_FACT_ANSWER_DENIED;
    }
}

static void
make_host(Fleet *fleet, guint index)
{
    VmfFactHost *host = copy(&vmf_fact_host_shape, &fleet->model->destination.host);
    vmf_fact_printf(&host->fqdn, "hv%u.lab.test", index + 2);
    for (guint i = 0; i < OTHER_DOMAINS; i++) {
        VmfFactDomain *domain = vmf_fact_domain_new();
        vmf_fact_printf(&domain->uuid, "ffff%04x-2222-4333-8444-5555%08x", index, i);
        vmf_fact_printf(&domain->name, "other%u-%u", index, i);
        case_texts(&domain->macs, "52:54:00:00:00:01 52:54:00:00:00:02");
        g_ptr_array_add(host->machine.domains, domain);
    }
    vmf_fact_printf(&((VmfFactKey *)host->keytab.keys->pdata[1])->principal, "host/%s@LAB.TEST",
                    host->fqdn);
    fleet->hosts[index] = host;
    fleet->peers[index] = copy(&vmf_fact_peer_shape, &fleet->model->source.peer);
    vmf_fact_set(&fleet->peers[index]->fqdn, host->fqdn);
}

static void
judge_pair(const Fleet *fleet, const Guest *guest, guint host, guint counts[4])
{
    VmfCheckCase check = vmf_check_case(fleet->policy, fleet->model);
    check.vm = guest->vm;
    check.source_view = guest->here;
    check.destination = fleet->hosts[host];
    check.source_peer = fleet->peers[host];
    check.destination_view = guest->there[host];
    check.to = fleet->hosts[host]->fqdn;
    g_autoptr(VmfReport) report = vmf_judge(&check);
    guint status = vmf_report_status(report);
    counts[status]++;
    if ((status == 0) == (host % 4 == 1)) {
        g_autofree gchar *text = vmf_report_to_text(report, FALSE);
        g_error("not what was made: %s", text);
    }
}

/* Processor time: what else the machine does matters little. */
static double
processor_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

int
main(int argc, char **argv)
{
    Fleet fleet = {
        .policy = case_policy(""),
        .model = case_good(),
        .n_guests = argc > 1 ? (guint)atoi(argv[1]) : 1000,
        .n_hosts = argc > 2 ? (guint)atoi(argv[2]) : 16,
    };
    guint counts[4] = {0};
    fleet.hosts = g_new(VmfFactHost *, fleet.n_hosts);
    fleet.peers = g_new(VmfFactPeer *, fleet.n_hosts);
    fleet.guests = g_new0(Guest, fleet.n_guests);
    double start = processor_seconds();
    for (guint h = 0; h < fleet.n_hosts; h++)
        make_host(&fleet, h);
    for (guint g = 0; g < fleet.n_guests; g++)
        make_guest(&fleet, g);
    double made = processor_seconds();
    for (guint g = 0; g < fleet.n_guests; g++)
        for (guint h = 0; h < fleet.n_hosts; h++)
            judge_pair(&fleet, &fleet.guests[g], h, counts);
    double seconds = processor_seconds() - made;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    g_print("%u VMs x %u hosts: judged in %.2f s of processor time (%.0f cases/s), %.0f MiB; %u "
            "can move, %u cannot, "
            "%u unknown; facts made in %.2f s\n",
            fleet.n_guests, fleet.n_hosts, seconds,
            (double)fleet.n_guests * fleet.n_hosts / seconds, (double)usage.ru_maxrss / 1024,
            counts[0], counts[1], counts[3], made - start);
    return seconds <= 10 && usage.ru_maxrss <= 200 * 1024 ? 0 : 1; /* the aim, see docs/BENCH.md */
}
