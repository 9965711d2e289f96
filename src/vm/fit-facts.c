/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/fit-facts.h"

#include <string.h>
#include <sys/stat.h>

#include <libvirt/virterror.h>

#include "src/base/error.h"
#include "src/vm/definition-files.h"
#include "src/vm/host-private.h"
#include "src/vm/libvirt-error.h"

#define CAPABILITIES_MAX ((gsize)4 * 1024 * 1024)
#define FIRMWARE_MAX     ((goffset)64 * 1024 * 1024)

typedef struct {
    const char *type, *arch, *machine; /* machine NULL: any */
} Question;

/* ---- type, machine, emulator ---- */

static char *
get_domain_capabilities(virConnect *conn, gconstpointer data)
{
    const Question *question = data;
    return virConnectGetDomainCapabilities(conn, NULL, question->arch, question->machine,
                                           question->type, 0);
}

/* Returns: the emulator's path, or NULL: libvirt's "no", or that it was not to be asked. */
static gchar *
ask_emulator(VmfHost *host, virConnect *conn, const Question *question, GError **error)
{
    g_autofree gchar *name = g_strdup_printf("domain capabilities (%s, %s, %s)", question->type,
                                             question->arch,
                                             question->machine != NULL ? question->machine : "any");
    g_autofree gchar *xml = vmf_host_remembered(host, conn, name, get_domain_capabilities, question,
                                                error);
    g_autoptr(xmlDoc)
        doc = xml != NULL ? vmf_xml_read(name, xml, strlen(xml), CAPABILITIES_MAX, error) : NULL;
    return doc != NULL ? vmf_xml_text(vmf_xml_child(xmlDocGetRootElement(doc), "path")) : NULL;
}

/* Returns: FALSE: libvirt did not answer. */
static gboolean
judge_machine(VmfHost *host, virConnect *conn, const Question *question, VmfFactFit *fit,
              GError **error)
{
    g_autoptr(GError) no = NULL, none = NULL;
    const Question any = {question->type, question->arch, NULL};
    g_autofree gchar *emulator = ask_emulator(host, conn, question, &no);
    g_autofree gchar *other = emulator == NULL ? ask_emulator(host, conn, &any, &none) : NULL;
    GError *unreachable = no != NULL && no->code == VMF_ERROR_UNREACHABLE       ? no
                          : none != NULL && none->code == VMF_ERROR_UNREACHABLE ? none
                                                                                : NULL;
    if (unreachable != NULL) {
        g_propagate_error(error, g_error_copy(unreachable));
        return FALSE;
    }
    fit->machine = emulator != NULL;
    fit->type = fit->machine || other != NULL;
    vmf_fact_set(&fit->emulator, emulator != NULL ? emulator : other);
    const GError *why = fit->type ? no : none;
    if (!fit->machine && why != NULL) /* there always is one; said for gcc's analyzer */
        vmf_fact_set(&fit->problem, why->message);
    return TRUE;
}

/* ---- CPU ---- */

static void
judge_cpu(virConnect *conn, const VmfDomain *domain, const Question *question, VmfFactFit *fit)
{
    g_autofree gchar *cpu = vmf_domain_cpu_xml(domain);
    if (cpu == NULL) {
        fit->cpu = VMF_FACT_CPU_SUPERSET; /* QEMU's plain default: every host can */
        return;
    }
    int verdict = virConnectCompareHypervisorCPU(conn, fit->emulator, question->arch,
                                                 question->machine, question->type, cpu,
                                                 VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE);
    if (verdict == VIR_CPU_COMPARE_IDENTICAL || verdict == VIR_CPU_COMPARE_SUPERSET) {
        fit->cpu = verdict == VIR_CPU_COMPARE_IDENTICAL ? VMF_FACT_CPU_IDENTICAL
                                                        : VMF_FACT_CPU_SUPERSET;
        return;
    }
    if (verdict == VIR_CPU_COMPARE_INCOMPATIBLE ||
        virGetLastErrorCode() == VIR_ERR_CPU_INCOMPATIBLE)
        fit->cpu = VMF_FACT_CPU_INCOMPATIBLE;
    vmf_fact_set(&fit->cpu_problem, virGetLastErrorMessage());
}

/* ---- files ---- */

typedef struct {
    gint64 inode, size, changed_ns;
    gchar *sha256;
} Hashed;

/* Firmware changes with a package upgrade and is megabytes long: hashed again only then. */
static gchar *
hash_of(const char *path, const struct stat *facts)
{
    static GMutex lock;
    static GHashTable *known; /* path → Hashed; paths are those of firmware packages: few */
    gint64 changed_ns = (gint64)facts->st_mtim.tv_sec * 1000000000 + facts->st_mtim.tv_nsec;
    g_mutex_lock(&lock);
    if (known == NULL)
        known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Hashed *had = g_hash_table_lookup(known, path);
    gchar *sha256 = had != NULL && had->inode == (gint64)facts->st_ino &&
                            had->size == facts->st_size && had->changed_ns == changed_ns
                        ? g_strdup(had->sha256)
                        : NULL;
    g_mutex_unlock(&lock);
    g_autoptr(GMappedFile) file = sha256 == NULL ? g_mapped_file_new(path, FALSE, NULL) : NULL;
    if (file == NULL)
        return sha256 != NULL ? sha256 : g_strdup("");
    g_autoptr(GBytes) bytes = g_mapped_file_get_bytes(file);
    sha256 = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes);
    g_mutex_lock(&lock);
    had = g_hash_table_lookup(known, path);
    if (had == NULL) {
        had = g_new0(Hashed, 1);
        g_hash_table_insert(known, g_strdup(path), had);
    }
    g_free(had->sha256);
    *had = (Hashed){(gint64)facts->st_ino, facts->st_size, changed_ns, g_strdup(sha256)};
    g_mutex_unlock(&lock);
    return sha256;
}

static void
hash_firmware(const char *path, gchar **member)
{
    struct stat facts;
    if (path == NULL || stat(path, &facts) != 0 || !S_ISREG(facts.st_mode) ||
        facts.st_size > FIRMWARE_MAX)
        return;
    g_free(*member);
    *member = hash_of(path, &facts);
}

/* A path that is not on the list is not looked at: it may be a peer's curiosity. */
static void
judge_boot_files(const VmfFactVm *vm, const char *const *kernels, VmfFactFit *fit)
{
    g_autoptr(GStrvBuilder) missing = g_strv_builder_new();
    for (guint i = 0; i < vm->files->len; i++) {
        const VmfFactFile *file = g_ptr_array_index(vm->files, i);
        if (file->role == VMF_FACT_ROLE_BOOT &&
            (kernels == NULL || !g_strv_contains(kernels, file->place) ||
             !g_file_test(file->place, G_FILE_TEST_IS_REGULAR)))
            g_strv_builder_add(missing, file->place);
    }
    g_strfreev(fit->boot_missing);
    fit->boot_missing = g_strv_builder_end(missing);
}

void
vmf_fit_facts_gather(VmfHost *host, const VmfDomain *domain, const VmfFactVm *vm,
                     const char *const *kernels, VmfFactFit *fit)
{
    g_autoptr(GError) error = NULL;
    const Question question = {vmf_domain_type(domain), vmf_domain_arch(domain),
                               vmf_domain_machine(domain)};
    if (question.type == NULL || question.arch == NULL) {
        vmf_fact_set(&fit->reason, "the definition names no type or architecture that moves");
        return;
    }
    g_autoptr(virConnect) conn = vmf_host_connection(host, &error);
    if (conn == NULL || !judge_machine(host, conn, &question, fit, &error)) {
        vmf_fact_set(&fit->reason, error->message);
        return;
    }
    if (fit->machine)
        judge_cpu(conn, domain, &question, fit);
    hash_firmware(vmf_domain_loader(domain), &fit->loader_sha256);
    hash_firmware(vmf_domain_nvram_template(domain), &fit->nvram_template_sha256);
    judge_boot_files(vm, kernels, fit);
}
