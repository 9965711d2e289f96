/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/judge-private.h"

#include <string.h>

#include "src/base/text.h"

#define LIBVIRT_MIN 9000000
#define QEMU_MIN    7002000

#define VM(judge) ((judge)->facts->vm)

static const VmfFactMachine *
machine_of(const VmfJudgeSide *side)
{
    return side->host ? &side->host->machine : NULL;
}

/* Both machines are known, or a finding says which is not. */
static gboolean
know_both(VmfJudge *judge, const VmfJudgeSide *source, const VmfJudgeSide *destination)
{
    const VmfFactMachine *here = machine_of(source), *there = machine_of(destination);
    return vmf_judge_known(judge, source, NULL, here, here ? here->reason : NULL) &&
           vmf_judge_known(judge, destination, NULL, there, there ? there->reason : NULL);
}

/* ---- HOST-300 ---- */

static gchar *
cpu_fault(VmfJudge *judge, const VmfFactMachine *here, const VmfFactMachine *there,
          const VmfFactFit *fit)
{
    const VmfFactVm *vm = VM(judge);
    gboolean kvm = strcmp(vm->type, "kvm") == 0;
    gboolean passthrough = strcmp(vm->cpu_mode, "host-passthrough") == 0;
    if (strcmp(here->cpu_arch, there->cpu_arch) != 0)
        return g_strdup_printf("architectures differ: %s here, %s there", here->cpu_arch,
                               there->cpu_arch);
    if (kvm && strcmp(here->cpu_vendor, there->cpu_vendor) != 0)
        return g_strdup_printf("CPU vendors differ: %s here, %s there", here->cpu_vendor,
                               there->cpu_vendor);
    if (passthrough && !kvm)
        return g_strdup("host-passthrough does not start without KVM");
    if (passthrough && strcmp(here->cpu_model, there->cpu_model) != 0)
        return g_strdup_printf("the VM has this host's very own CPU (host-passthrough), and they "
                               "differ: %s here, %s there",
                               here->cpu_model, there->cpu_model);
    if (fit->cpu == VMF_FACT_CPU_INCOMPATIBLE)
        return g_strdup_printf("the hypervisor there cannot run the guest's CPU (%s)%s%s",
                               vm->cpu_model[0]  ? vm->cpu_model
                               : vm->cpu_mode[0] ? vm->cpu_mode
                                                 : "default",
                               fit->cpu_problem[0] ? ": " : "", fit->cpu_problem);
    return NULL;
}

void
vmf_judge_host_300(VmfJudge *judge)
{
    VmfJudgeSide source = vmf_judge_side(judge, TRUE), side = vmf_judge_side(judge, FALSE);
    const VmfFactFit *fit = side.view ? &side.view->fit : NULL;
    if (!know_both(judge, &source, &side) ||
        !vmf_judge_known(judge, &side, NULL, fit, fit ? fit->reason : NULL))
        return;
    const VmfFactMachine *here = machine_of(&source), *there = machine_of(&side);
    g_autofree gchar *fault = cpu_fault(judge, here, there, fit);
    VmfFinding *finding;
    if (fault)
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, &side, NULL, "%s", fault);
    else if (fit->cpu == VMF_FACT_CPU_UNKNOWN)
        finding = vmf_judge_add(judge, VMF_RESULT_UNKNOWN, &side, NULL,
                                "whether it can run the guest's CPU is not known: %s",
                                fit->cpu_problem);
    else
        finding = vmf_judge_add(judge, VMF_RESULT_PASS, &side, NULL,
                                "can run the guest's CPU (%s, %s)", there->cpu_vendor,
                                there->cpu_model);
    vmf_finding_text(finding, "source-cpu", here->cpu_model);
    vmf_finding_text(finding, "destination-cpu", there->cpu_model);
    if (fault && strcmp(here->cpu_arch, there->cpu_arch) != 0)
        vmf_finding_fix(finding, "choose another host: vmferry check %s --to all", VM(judge)->name);
    else if (fault)
        vmf_finding_fix(finding,
                        "virsh edit %s: a <cpu mode='custom'> model that both have (virsh "
                        "hypervisor-cpu-baseline); it counts from the next start",
                        VM(judge)->name);
}

/* ---- HOST-310 ---- */

static gchar *
fit_fault(const VmfFactVm *vm, const VmfFactFit *fit, const VmfFactFit *here)
{
    const char *said = fit->problem;
    if (!fit->type)
        return g_strdup_printf("has no virtualisation of type '%s'%s%s", vm->type,
                               said[0] ? ": " : "", said);
    if (!fit->machine)
        return g_strdup_printf("does not know the machine type '%s' for %s%s%s", vm->machine,
                               vm->arch, said[0] ? ": " : "", said);
    if (fit->emulator[0] == '\0')
        return g_strdup_printf("has no emulator for %s%s%s", vm->arch, said[0] ? ": " : "", said);
    if (vm->loader[0] && fit->loader_sha256[0] == '\0')
        return g_strdup_printf("has no firmware '%s'", vm->loader);
    if (vm->loader[0] && here && here->loader_sha256[0] &&
        strcmp(here->loader_sha256, fit->loader_sha256) != 0)
        return g_strdup_printf("has another firmware as '%s' (SHA-256 %.*s... there, %.*s... "
                               "here)",
                               vm->loader, vmf_text_head(fit->loader_sha256, 12),
                               fit->loader_sha256, vmf_text_head(here->loader_sha256, 12),
                               here->loader_sha256);
    return NULL;
}

void
vmf_judge_host_310(VmfJudge *judge)
{
    VmfJudgeSide source = vmf_judge_side(judge, TRUE), side = vmf_judge_side(judge, FALSE);
    const VmfFactFit *fit = side.view ? &side.view->fit : NULL;
    if (!vmf_judge_known(judge, &side, NULL, fit, fit ? fit->reason : NULL))
        return;
    const VmfFactFit *here = source.view && source.view->fit.reason[0] == '\0' ? &source.view->fit
                                                                               : NULL;
    const VmfFactVm *vm = VM(judge);
    g_autofree gchar *fault = fit_fault(vm, fit, here);
    VmfFinding *finding;
    if (fault) {
        finding = vmf_judge_add(judge, VMF_RESULT_FAIL, &side, NULL, "%s", fault);
        vmf_finding_fix(finding, "on %s: install the packages of the source: qemu-system-x86, ovmf",
                        side.fqdn);
    } else if (vm->loader[0] && (here == NULL || here->loader_sha256[0] == '\0')) {
        finding = vmf_judge_add(judge, VMF_RESULT_UNKNOWN, &side, NULL,
                                "the source's firmware '%s' could not be read, to compare it",
                                vm->loader);
    } else {
        finding = vmf_judge_add(judge, VMF_RESULT_PASS, &side, NULL, "has %s, %s, %s%s%s", vm->type,
                                vm->machine, fit->emulator, vm->loader[0] ? ", " : "", vm->loader);
    }
    vmf_finding_text(finding, "machine", vm->machine);
    vmf_finding_text(finding, "emulator", fit->emulator);
}

/* ---- HOST-320 ---- */

static gboolean
judge_hugepages(VmfJudge *judge, const VmfJudgeSide *side, const VmfFactMachine *there)
{
    const VmfFactVm *vm = VM(judge);
    guint64 free_pages = 0;
    for (guint i = 0; i < there->hugepages->len; i++) {
        const VmfFactHugepages *pages = there->hugepages->pdata[i];
        if (pages->size_kib == vm->hugepage_kib)
            free_pages = pages->free_pages;
    }
    guint64 wanted = (vm->memory_kib + vm->hugepage_kib - 1) / vm->hugepage_kib;
    if (free_pages >= wanted)
        return TRUE;
    VmfFinding *finding = vmf_judge_add(
        judge, VMF_RESULT_FAIL, side, NULL,
        "%" G_GUINT64_FORMAT " hugepages of %u KiB are free, the VM needs %" G_GUINT64_FORMAT,
        free_pages, vm->hugepage_kib, wanted);
    vmf_finding_fix(finding, "on %s: virsh allocpages %uKiB %" G_GUINT64_FORMAT " --add",
                    side->fqdn, vm->hugepage_kib, wanted - free_pages);
    return FALSE;
}

static gboolean
judge_memory(VmfJudge *judge, const VmfJudgeSide *side, const VmfFactMachine *there)
{
    const VmfFactVm *vm = VM(judge);
    guint64 reserve = (guint64)judge->facts->policy->memory_reserve_mib * 1024;
    guint64 wanted = reserve + (vm->hugepage_kib ? 0 : vm->memory_kib);
    if (there->free_kib >= wanted)
        return TRUE;
    g_autofree gchar *has = vmf_judge_size(there->free_kib);
    g_autofree gchar *needs = vmf_judge_size(vm->memory_kib), *spare = vmf_judge_size(reserve);
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, NULL,
                                        "%s of memory are free; the VM needs %s, and %s must stay "
                                        "free",
                                        has, needs, spare);
    vmf_finding_number(finding, "free-kib", (gint64)there->free_kib);
    vmf_finding_number(finding, "needed-kib", (gint64)wanted);
    vmf_finding_fix(finding,
                    "move another VM away, or choose another host: vmferry check %s --to "
                    "all",
                    vm->name);
    return FALSE;
}

static gboolean
judge_nodes(VmfJudge *judge, const VmfJudgeSide *side, const VmfFactMachine *there)
{
    gboolean ok = TRUE;
    for (guint i = 0; VM(judge)->nodes[i]; i++) {
        gboolean found = FALSE;
        for (guint k = 0; k < there->nodes->len; k++) {
            const VmfFactNode *node = there->nodes->pdata[k];
            found |= g_ascii_strtoull(VM(judge)->nodes[i], NULL, 10) == node->id;
        }
        if (found)
            continue;
        VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, NULL,
                                            "has no NUMA node %s, to which the VM is bound",
                                            VM(judge)->nodes[i]);
        vmf_finding_fix(finding, "virsh edit %s: <numatune> with nodes that each host has",
                        VM(judge)->name);
        ok = FALSE;
    }
    return ok;
}

void
vmf_judge_host_320(VmfJudge *judge)
{
    VmfJudgeSide side = vmf_judge_side(judge, FALSE);
    const VmfFactMachine *there = machine_of(&side);
    const VmfFactVm *vm = VM(judge);
    if (!vmf_judge_known(judge, &side, NULL, there, there ? there->reason : NULL))
        return;
    gboolean ok = judge_memory(judge, &side, there);
    if (vm->hugepage_kib)
        ok &= judge_hugepages(judge, &side, there);
    ok &= judge_nodes(judge, &side, there);
    if (vm->vcpus > there->cpus) {
        vmf_judge_add(judge, VMF_RESULT_WARN, &side, NULL,
                      "the VM has %u CPUs, more than the %u of this host: they will wait for each "
                      "other",
                      vm->vcpus, there->cpus);
        ok = FALSE;
    }
    if (!ok)
        return;
    g_autofree gchar *has = vmf_judge_size(there->free_kib),
                     *needs = vmf_judge_size(vm->memory_kib);
    vmf_judge_add(judge, VMF_RESULT_PASS, &side, NULL,
                  "%s of memory are free for the VM's %s, %u CPUs for its %u", has, needs,
                  there->cpus, vm->vcpus);
}

/* ---- HOST-350 ---- */

static const char *
clash(const VmfFactVm *vm, const VmfFactDomain *domain, const char **value)
{
    *value = vm->uuid;
    if (vm->uuid[0] && strcmp(domain->uuid, vm->uuid) == 0)
        return "UUID";
    *value = vm->name;
    if (strcmp(domain->name, vm->name) == 0)
        return "name";
    for (guint i = 0; i < vm->nics->len; i++) {
        const VmfFactNic *nic = vm->nics->pdata[i];
        *value = nic->mac;
        if (nic->mac[0] && vmf_judge_has(domain->macs, nic->mac))
            return "MAC address";
    }
    return NULL;
}

/* What a host keeps whose VM was taken over while it was dead: the move brings it up to date. */
static gboolean
is_the_vm_itself(const VmfFactVm *vm, const VmfFactDomain *domain)
{
    return !domain->running && strcmp(domain->uuid, vm->uuid) == 0 &&
           strcmp(domain->name, vm->name) == 0;
}

void
vmf_judge_host_350(VmfJudge *judge)
{
    VmfJudgeSide side = vmf_judge_side(judge, FALSE);
    const VmfFactMachine *there = machine_of(&side);
    if (!vmf_judge_known(judge, &side, NULL, there, there ? there->reason : NULL))
        return;
    guint before = judge->report->findings->len;
    for (guint i = 0; i < there->domains->len; i++) {
        const VmfFactDomain *domain = there->domains->pdata[i];
        const char *value, *what = clash(VM(judge), domain, &value);
        if (what == NULL)
            continue;
        if (is_the_vm_itself(VM(judge), domain)) {
            vmf_judge_add(judge, VMF_RESULT_PASS, &side, NULL,
                          "has an older definition of it, not running: the move replaces it");
            continue;
        }
        g_autofree gchar *virsh = vmf_judge_virsh(&side);
        VmfFinding *finding = vmf_judge_add(
            judge, VMF_RESULT_FAIL, &side, NULL, "already has a VM with the %s '%s': '%s' (%s), %s",
            what, value, domain->name, domain->uuid, domain->running ? "running" : "not running");
        vmf_finding_text(finding, "uuid", domain->uuid);
        if (domain->running)
            vmf_finding_fix(finding, "see which of the two is wanted; a clone needs a UUID, a name "
                                     "and MACs of its own: virt-clone");
        else
            vmf_finding_fix(finding, "if it is a leftover: %s undefine --keep-nvram %s", virsh,
                            domain->name);
    }
    if (judge->report->findings->len == before)
        vmf_judge_add(judge, VMF_RESULT_PASS, &side, NULL,
                      "has no other VM with this UUID, name or MAC");
}

/* ---- HOST-360 ---- */

static gboolean
is_new_enough(VmfJudge *judge, const VmfJudgeSide *side)
{
    const VmfFactMachine *machine = machine_of(side);
    gboolean libvirt = machine->libvirt_version >= LIBVIRT_MIN;
    if (libvirt && machine->qemu_version >= QEMU_MIN)
        return TRUE;
    g_autofree gchar *has = vmf_judge_version(libvirt ? machine->qemu_version
                                                      : machine->libvirt_version);
    VmfFinding *finding = vmf_judge_add(judge, VMF_RESULT_FAIL, side, NULL,
                                        "has %s %s; vmferry needs %s or later",
                                        libvirt ? "QEMU" : "libvirt", has, libvirt ? "7.2" : "9.0");
    vmf_finding_fix(finding, "on %s: update to Debian 12 or later", side->fqdn);
    return FALSE;
}

void
vmf_judge_host_360(VmfJudge *judge)
{
    VmfJudgeSide source = vmf_judge_side(judge, TRUE), side = vmf_judge_side(judge, FALSE);
    if (!know_both(judge, &source, &side))
        return;
    gboolean both = is_new_enough(judge, &source);
    both &= is_new_enough(judge, &side);
    if (!both)
        return;
    const VmfFactMachine *here = machine_of(&source), *there = machine_of(&side);
    g_autofree gchar *libvirt = vmf_judge_version(there->libvirt_version);
    g_autofree gchar *qemu = vmf_judge_version(there->qemu_version);
    g_autofree gchar *ours = vmf_judge_version(here->qemu_version);
    if (there->qemu_version / 1000 >= here->qemu_version / 1000) {
        vmf_judge_add(judge, VMF_RESULT_PASS, &side, NULL, "libvirt %s, QEMU %s (here: QEMU %s)",
                      libvirt, qemu, ours);
        return;
    }
    VmfFinding *finding = vmf_judge_add(
        judge, VMF_RESULT_WARN, &side, NULL,
        "QEMU %s is older than the source's %s: QEMU promises moves "
        "only towards newer versions",
        qemu, ours);
    vmf_finding_fix(finding, "on %s: update QEMU", side.fqdn);
}
