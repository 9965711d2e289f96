/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a real libvirtd makes of a definition before and after it has been rebuilt:
 *
 *   rebuild-tool variants CORPUS      each variant of corpus/allowed.xml: defined, dumped, rebuilt
 *                                     from the dump as from a peer's, defined, dumped
 *   rebuild-tool examine FILE…        what stands in the way of moving it; as an administrator's own
 *
 * One line of JSON for each. Nothing stays defined.
 */
#include <stdio.h>
#include <string.h>

#include <json-glib/json-glib.h>

#include "src/base/error.h"
#include "src/vm/domain.h"
#include "src/vm/host.h"
#include "tests/unit/vm/definitions.h"

static const char *const boot_files[] = {"/boot/lab/vmlinuz", "/boot/lab/initrd", NULL};

static void
print(JsonBuilder *builder)
{
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree gchar *text = json_to_string(root, FALSE);
    printf("%s\n", text);
}

static void
add(JsonBuilder *builder, const char *name, const char *value)
{
    if (value == NULL)
        return;
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, value);
}

/* As vmf_let_in_rebuild(): the first time tells for which machine an emulator is needed. */
static gchar *
rebuild(VmfHost *host, const char *xml, GError **error)
{
    VmfDomainRules rules = {.run_dir = "/run/vmferry", .boot_files = boot_files};
    g_autoptr(VmfDomain) first = vmf_domain_rebuild(xml, strlen(xml), &rules, error);
    if (first == NULL)
        return NULL;
    g_autofree gchar *emulator = vmf_host_emulator(
        host, vmf_domain_type(first), vmf_domain_arch(first), vmf_domain_machine(first), error);
    if (emulator == NULL)
        return NULL;
    rules.emulator = emulator;
    g_autoptr(VmfDomain) domain = vmf_domain_rebuild(xml, strlen(xml), &rules, error);
    return domain != NULL ? vmf_domain_to_xml(domain) : NULL;
}

static gchar *
define_and_dump(VmfHost *host, const char *xml, GError **error)
{
    g_autofree gchar *uuid = NULL;
    if (!vmf_host_define(host, xml, &uuid, error))
        return NULL;
    g_autofree gchar *dump = vmf_host_dump_xml(host, uuid, VMF_XML_PORTABLE, error);
    return vmf_host_undefine(host, uuid, error) ? g_steal_pointer(&dump) : NULL;
}

static void
round_trip(VmfHost *host, const Definition *one)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autofree gchar *xml = definitions_text(one->doc);
    g_autofree gchar *before = define_and_dump(host, xml, &error);
    g_autofree gchar *written = before != NULL ? rebuild(host, before, &error) : NULL;
    g_autofree gchar *after = written != NULL ? define_and_dump(host, written, &error) : NULL;
    json_builder_begin_object(builder);
    add(builder, "name", one->name);
    add(builder, "before", before);
    add(builder, "rebuilt", written);
    add(builder, "after", after);
    add(builder, "error", error != NULL ? error->message : NULL);
    print(builder);
}

static void
examine(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(VmfDomain) domain = NULL;
    g_autofree gchar *xml = NULL;
    gsize size;
    const VmfDomainRules rules = {.run_dir = "/run/vmferry", .as_written = TRUE};
    json_builder_begin_object(builder);
    add(builder, "name", path);
    if (g_file_get_contents(path, &xml, &size, &error))
        domain = vmf_domain_examine(xml, size, &rules, &error);
    add(builder, "error", error != NULL ? error->message : NULL);
    json_builder_set_member_name(builder, "refusals");
    json_builder_begin_array(builder);
    const VmfXmlRefusals *refusals = domain != NULL ? vmf_domain_refusals(domain) : NULL;
    for (guint i = 0; refusals != NULL && i < refusals->list->len; i++) {
        const VmfXmlRefusal *refusal = g_ptr_array_index(refusals->list, i);
        g_autofree gchar *said = g_strdup_printf("line %u, %s: %s", refusal->line, refusal->path,
                                                 refusal->reason);
        json_builder_add_string_value(builder, said);
    }
    json_builder_end_array(builder);
    print(builder);
}

int
main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "variants") == 0) {
        g_autoptr(VmfHost) host = vmf_host_new(NULL);
        g_autoptr(GPtrArray) all = definitions_read(argv[2]);
        for (guint i = 0; i < all->len; i++)
            round_trip(host, all->pdata[i]);
        return 0;
    }
    if (argc >= 3 && strcmp(argv[1], "examine") == 0) {
        for (int i = 2; i < argc; i++)
            examine(argv[i]);
        return 0;
    }
    fprintf(stderr, "usage: rebuild-tool variants CORPUS | examine FILE…\n");
    return 2;
}
