/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What passes the allow-list passes it again, as the same words; and the listing of all refusals is
 * empty just then. The facts of any definition travel.
 */
#include "src/vm/definition-facts.h"

#include <string.h>

static void
check_facts(const guint8 *data, gsize size)
{
    static const VmfDomainRules rules = {.run_dir = "/run/vmferry", .as_written = TRUE};
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfFactVm) vm = vmf_fact_vm_new();
    g_autoptr(VmfDomain) domain = vmf_definition_facts((const char *)data, size, &rules, vm);
    g_assert_true((domain == NULL) == (vm->reason[0] != '\0'));
    g_autoptr(GVariant) dict = g_variant_ref_sink(vmf_fact_vm_to_variant(vm));
    g_autoptr(VmfFactVm) back = vmf_fact_vm_from_variant(dict, &error);
    g_assert_true(back != NULL || size > VMF_FACT_TEXT_MAX);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static const char *const boot_files[] = {"/boot/lab/vmlinuz", "/boot/lab/initrd", NULL};
    static const VmfDomainRules rules = {
        .emulator = "/usr/bin/qemu", .run_dir = "/run/vmferry", .boot_files = boot_files};
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDomain) domain = vmf_domain_rebuild((const char *)data, size, &rules, &error);
    g_assert_true((domain == NULL) == (error != NULL));
    check_facts(data, size);
    g_autoptr(VmfDomain) seen = vmf_domain_examine((const char *)data, size, &rules, NULL);
    g_assert_true(domain == NULL || seen != NULL);
    if (seen != NULL)
        g_assert_true((domain != NULL) == (vmf_domain_refusals(seen)->list->len == 0));
    if (domain == NULL) {
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        return 0;
    }
    g_autofree gchar *once = vmf_domain_to_xml(domain);
    g_autoptr(VmfDomain) again = vmf_domain_rebuild(once, strlen(once), &rules, &error);
    g_assert_no_error(error);
    g_autofree gchar *twice = vmf_domain_to_xml(again);
    g_assert_cmpstr(once, ==, twice);
    return 0;
}
