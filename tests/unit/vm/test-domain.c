/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Definitions from real libvirts (corpus/domain: virt-install's, dumped live, --migratable and
 * --inactive --migratable) pass and keep everything; hostile ones are refused, each with its text.
 */
#include "src/vm/domain.h"

#include <string.h>

#include <json-glib/json-glib.h>

#include "src/base/error.h"
#include "src/vm/domain-table.h"
#include "tests/unit/vm/definitions.h"

#define EMULATOR "/usr/bin/qemu-local"
#define UUID     "11111111-2222-4333-8444-555555555555"

static const char *const boot_files[] = {"/boot/lab/vmlinuz", "/boot/lab/initrd", NULL};
static const VmfDomainRules rules = {
    .emulator = EMULATOR, .run_dir = "/run/vmferry", .boot_files = boot_files};

static gchar *
load(const char *base)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "corpus", "domain", base, NULL);
    gchar *xml = NULL;
    g_file_get_contents(path, &xml, NULL, &error);
    g_assert_no_error(error);
    return xml;
}

static VmfDomain *
rebuild(const char *xml, const VmfDomainRules *by, GError **error)
{
    return vmf_domain_rebuild(xml, strlen(xml), by, error);
}

/* @xml with the first @old replaced. */
static gchar *
with(const char *xml, const char *old, const char *fresh)
{
    const char *at = strstr(xml, old);
    if (at == NULL)
        g_error("the corpus has no '%s'", old);
    return g_strdup_printf("%.*s%s%s", (int)(at - xml), xml, fresh, at + strlen(old));
}

/* ---- what passes ---- */

static void
check_real(const char *base)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *xml = load(base);
    g_autoptr(VmfDomain) domain = rebuild(xml, &rules, &error);
    g_assert_no_error(error);
    g_autofree gchar *once = vmf_domain_to_xml(domain);
    g_autoptr(VmfDomain) again = rebuild(once, &rules, &error);
    g_assert_no_error(error);
    g_autofree gchar *twice = vmf_domain_to_xml(again);
    g_assert_cmpstr(once, ==, twice);
    g_assert_nonnull(strstr(once, "<emulator>" EMULATOR "</emulator>"));
    g_assert_null(strstr(once, "/var/lib/libvirt"));
    g_assert_null(strstr(once, "/dev/pts"));
    g_assert_null(strstr(once, "seclabel"));
    if (strstr(base, ".live.") == NULL) /* a live one names what libvirt chose: that is dropped */
        definitions_same(xml, once);
}

static void
test_real(void)
{
    guint n = 0;
    const char *base;
    g_autofree gchar *folder = g_test_build_filename(G_TEST_DIST, "corpus", "domain", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_assert_nonnull(dir);
    while ((base = g_dir_read_name(dir)) != NULL) {
        g_test_message("%s", base);
        check_real(base);
        n++;
    }
    g_assert_cmpuint(n, >=, 15);
}

static void
test_model(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *xml = load("srv1.migratable.xml");
    g_autoptr(VmfDomain) domain = rebuild(xml, &rules, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(vmf_domain_name(domain), ==, "srv1");
    g_assert_cmpstr(vmf_domain_uuid(domain), ==, "73cc2ce1-93c7-4a6c-90d8-eb5542c35dc8");
    g_assert_cmpstr(vmf_domain_type(domain), ==, "qemu");
    g_assert_cmpstr(vmf_domain_arch(domain), ==, "x86_64");
    g_assert_cmpstr(vmf_domain_machine(domain), ==, "pc-q35-7.2");
    g_assert_cmpstr(vmf_domain_cpu_mode(domain), ==, "custom");
    g_assert_cmpuint(vmf_domain_memory_kib(domain), ==, 2 * 1024 * 1024);
    g_assert_cmpuint(vmf_domain_vcpus(domain), ==, 4);
    g_assert_cmpuint(vmf_domain_n_disks(domain), ==, 2);
    const VmfDomainDisk *disk = vmf_domain_disk(domain, 1);
    g_assert_cmpstr(disk->target, ==, "sdb");
    g_assert_cmpstr(disk->bus, ==, "scsi");
    g_assert_cmpstr(disk->format, ==, "raw");
    g_assert_cmpstr(disk->url, ==, "smb://fs1.lab.test/vms/srv1/sdb.raw");
    g_assert_cmpstr(disk->cache, ==, "none");
    g_assert_cmpuint(vmf_domain_n_interfaces(domain), ==, 1);
    const VmfDomainInterface *interface = vmf_domain_interface(domain, 0);
    g_assert_cmpstr(interface->kind, ==, "bridge");
    g_assert_cmpstr(interface->source, ==, "br0");
    g_assert_true(g_str_has_prefix(interface->mac, "52:54:00:"));
}

static void
test_units(void)
{
    static const struct {
        const char *unit;
        guint64 kib;
    } cases[] = {
        {"unit='KiB'", 131072},
        {"", 131072},
        {"unit='k'", 131072},
        {"unit='KB'", 128000},
        {"unit='bytes'", 128},
        {"unit='MiB'", 134217728},
        {"unit='GB'", G_GUINT64_CONSTANT(128000000000)},
    };
    g_autofree gchar *base = load("demo.begin.xml");
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree gchar *memory = g_strdup_printf("<memory %s>131072", cases[i].unit);
        g_autofree gchar *xml = with(base, "<memory unit='KiB'>131072", memory);
        g_autoptr(VmfDomain) domain = rebuild(xml, &rules, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(vmf_domain_memory_kib(domain), ==, cases[i].kib);
    }
}

/* ---- what does not ---- */

/*
 * corpus/refused.json: "old" in demo.begin.xml is replaced by "new" (without "old": put before </devices>),
 * and the text of the refusal "says" each of those. tests/hostile offers the same to a real vmferryd.
 */
static JsonNode *refused_json;

static JsonArray *
refused_definitions(void)
{
    g_autoptr(GError) error = NULL;
    if (refused_json == NULL) {
        g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "corpus", "refused.json", NULL);
        g_autofree gchar *text = NULL;
        g_file_get_contents(path, &text, NULL, &error);
        g_assert_no_error(error);
        refused_json = json_from_string(text, &error);
        g_assert_no_error(error);
    }
    return json_node_get_array(refused_json);
}

static void
check_refused(const char *xml, const VmfDomainRules *by, VmfError code, const char *const *says,
              gsize n)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDomain) domain = rebuild(xml, by, &error);
    g_assert_null(domain);
    g_test_message("%s", error->message);
    for (gsize i = 0; i < n && says[i] != NULL; i++) {
        if (strstr(error->message, says[i]) == NULL)
            g_error("'%s' does not say '%s'", error->message, says[i]);
    }
    g_assert_error(error, VMF_ERROR, (gint)code);
    /* of a document that could be read: line and path */
    const char *line = strstr(error->message, ", line ");
    g_assert_true(line == NULL || strstr(line + 1, ", domain") != NULL);
}

static gchar *
refused_xml(JsonObject *one)
{
    g_autofree gchar *base = load("demo.begin.xml");
    const char *fresh = json_object_get_string_member(one, "new");
    g_autofree gchar *inserted = g_strconcat(fresh, "</devices>", NULL);
    return json_object_get_null_member(one, "old")
               ? with(base, "</devices>", inserted)
               : with(base, json_object_get_string_member(one, "old"), fresh);
}

static void
test_hostile(gconstpointer data)
{
    JsonObject *one = (JsonObject *)data;
    JsonArray *wanted = json_object_get_array_member(one, "says");
    g_autofree gchar *xml = refused_xml(one);
    const char *code = json_object_get_string_member(one, "code");
    const char *says[8] = {NULL};
    for (guint i = 0; i < json_array_get_length(wanted); i++)
        says[i] = json_array_get_string_element(wanted, i);
    check_refused(xml, &rules,
                  g_str_equal(code, "protocol")      ? VMF_ERROR_PROTOCOL
                  : g_str_equal(code, "unsupported") ? VMF_ERROR_UNSUPPORTED
                                                     : VMF_ERROR_CONFIG,
                  says, G_N_ELEMENTS(says));
}

/* "line N, domain/devices/hostdev: …" */
static void
note_path(GHashTable *seen, JsonObject *one)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *xml = refused_xml(one);
    g_autoptr(VmfDomain) domain = rebuild(xml, &rules, &error);
    const char *line = strstr(error->message, ", line ");
    const char *path = line != NULL ? strstr(line, ", domain") : NULL;
    if (path != NULL)
        g_hash_table_add(seen, g_strndup(path + 2, strcspn(path + 2, ":")));
}

/* What the table refuses by name is in refused.json, so that a real vmferryd is offered it. */
static void
test_each_refusal(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    JsonArray *all = refused_definitions();
    guint missing = 0;
    for (guint i = 0; i < json_array_get_length(all); i++)
        note_path(seen, json_array_get_object_element(all, i));
    for (gsize i = 0; i < vmf_domain_table_rows; i++) {
        const VmfXmlRule *rule = &vmf_domain_table[i];
        if (!g_str_has_prefix(rule->path, "domain"))
            continue;
        g_auto(GStrv) items = g_strsplit(rule->attributes != NULL ? rule->attributes : "", " ", -1);
        for (guint k = 0; items[k] != NULL; k++) {
            g_autofree gchar *path = g_strdup_printf("%s/@%s", rule->path, items[k] + 1);
            if (items[k][0] == '!' && !g_hash_table_contains(seen, path) && ++missing)
                g_test_message("nothing is refused at %s", path);
        }
        if (rule->act == VMF_XML_REFUSE && !g_hash_table_contains(seen, rule->path) && ++missing)
            g_test_message("nothing is refused at %s", rule->path);
    }
    g_assert_cmpuint(missing, ==, 0);
}

/* What libvirt writes by itself into a VM that runs: with each security driver, and with control groups. */
static void
test_labels_of_a_run(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = load("demo.begin.xml");
    g_autofree gchar *live = with(
        base, "<os>",
        "<resource><partition>/machine</partition></resource>"
        "<seclabel type='dynamic' model='apparmor' relabel='yes'><label>libvirt-1</label>"
        "<imagelabel>libvirt-1</imagelabel></seclabel>"
        "<seclabel type='dynamic' model='dac' relabel='yes'><label>+64055:+64055</label></seclabel>"
        "<os>");
    g_autoptr(VmfDomain) plain = rebuild(base, &rules, &error);
    g_assert_no_error(error);
    g_autoptr(VmfDomain) domain = rebuild(live, &rules, &error);
    g_assert_no_error(error);
    g_autofree gchar *wanted = vmf_domain_to_xml(plain), *xml = vmf_domain_to_xml(domain);
    g_assert_cmpstr(xml, ==, wanted);
}

static void
test_announced(void)
{
    g_autofree gchar *xml = load("demo.begin.xml");
    VmfDomainRules by = rules;
    by.uuid = "11111111-2222-4333-8444-555555555556";
    const char *uuid_says[] = {"not 11111111-2222-4333-8444-555555555556 as announced"};
    check_refused(xml, &by, VMF_ERROR_PROTOCOL, uuid_says, 1);
    by.uuid = UUID;
    by.name = "web1";
    const char *name_says[] = {"the name is 'demo', not 'web1' as announced"};
    check_refused(xml, &by, VMF_ERROR_PROTOCOL, name_says, 1);
}

static void
test_no_boot_files(void)
{
    g_autofree gchar *xml = load("demo.begin.xml");
    VmfDomainRules by = rules;
    by.boot_files = NULL;
    const char *says[] = {"the text of <kernel> is '/boot/lab/vmlinuz'"};
    check_refused(xml, &by, VMF_ERROR_UNSUPPORTED, says, 1);
}

static void
test_loaders(void)
{
    static const char *const none[] = {NULL};
    g_autofree gchar *xml = load("win1.migratable.xml");
    VmfDomainRules by = rules;
    by.loaders = none;
    const char *says[] = {"the text of <loader> is '/usr/share/OVMF/"};
    check_refused(xml, &by, VMF_ERROR_UNSUPPORTED, says, 1);
}

static void
test_dropped(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = load("demo.begin.xml");
    g_autofree gchar *xml = with(
        base, "</domain>", "<seclabel type='dynamic'><label>evil</label></seclabel></domain>");
    g_autofree gchar *tap = with(xml, "<source bridge='br0'/>",
                                 "<source bridge='br0'/><target dev='evil0'/>"
                                 "<alias name='evil'/><!-- evil -->");
    g_autofree gchar *channel = with(tap, "<channel type='unix'>",
                                     "<channel type='unix'><source mode='bind' path='/evil'/>");
    g_autofree gchar *emulator = with(channel, "<emulator>/usr/bin/qemu-system-x86_64",
                                      "<emulator>/evil");
    g_autoptr(VmfDomain) domain = rebuild(emulator, &rules, &error);
    g_assert_no_error(error);
    g_autofree gchar *written = vmf_domain_to_xml(domain);
    g_assert_null(strstr(written, "evil"));
}

static void
test_user_alias_kept(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = load("demo.begin.xml");
    g_autofree gchar *xml = with(base, "<source bridge='br0'/>",
                                 "<source bridge='br0'/><alias name='ua-lan'/>");
    g_autoptr(VmfDomain) domain = rebuild(xml, &rules, &error);
    g_assert_no_error(error);
    g_autofree gchar *written = vmf_domain_to_xml(domain);
    g_assert_nonnull(strstr(written, "<alias name='ua-lan'/>"));
}

/* Markup in values comes out as text again. */
static void
test_escaping(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = load("demo.begin.xml");
    g_autofree gchar *xml = with(
        base, "<os>", "<description>&lt;hostdev/&gt; &amp; 'x'\n\"y\"</description><os>");
    g_autofree gchar *both = with(xml, "smb://fs1.lab.test", "smb://&quot;&apos;&lt;&gt;&amp;");
    g_autoptr(VmfDomain) domain = rebuild(both, &rules, &error);
    g_assert_no_error(error);
    g_autofree gchar *written = vmf_domain_to_xml(domain);
    g_assert_null(strstr(written, "<hostdev"));
    g_autoptr(VmfDomain) again = rebuild(written, &rules, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(vmf_domain_disk(again, 0)->url, ==, "smb://\"'<>&/vms/demo/vda.raw");
}

/* ---- limits ---- */

static void
test_limits(void)
{
    const char *too_long[] = {"bytes; at most 10485760"};
    const char *too_many[] = {"more than 20000 elements"};
    g_autofree gchar *base = load("demo.begin.xml");
    g_autofree gchar *blanks = g_strnfill(VMF_DOMAIN_XML_MAX, ' ');
    g_autofree gchar *longer = with(base, "</domain>", "</domain>\n");
    g_autofree gchar *huge = g_strconcat(longer, blanks, NULL);
    check_refused(huge, &rules, VMF_ERROR_PROTOCOL, too_long, 1);

    g_autoptr(GString) inputs = g_string_new(NULL);
    for (guint i = 0; i < VMF_XML_ELEMENTS_MAX; i++)
        g_string_append(inputs, "<input type='mouse' bus='ps2'/>");
    g_string_append(inputs, "</devices>");
    g_autofree gchar *crowd = with(base, "</devices>", inputs->str);
    check_refused(crowd, &rules, VMF_ERROR_PROTOCOL, too_many, 1);

    g_autoptr(GString) deep = g_string_new(NULL);
    for (guint i = 0; i < 100000; i++)
        g_string_append(deep, "<a>");
    const char *too_deep[] = {"more than 64 levels of elements: line 1"};
    check_refused(deep->str, &rules, VMF_ERROR_PROTOCOL, too_deep, 1);

    g_autoptr(GString) wide = g_string_new("<domain");
    for (guint i = 0; i < 400000; i++)
        g_string_append_printf(wide, " a%u='/>'", i);
    g_string_append(wide, "/>");
    const char *too_wide[] = {"more than 200000 attributes: line 1"};
    check_refused(wide->str, &rules, VMF_ERROR_PROTOCOL, too_wide, 1);
}

static void
test_not_text(void)
{
    static const char latin[] = "<domain type='\xe4'/>";
    static const char utf16[] = "\xff\xfe<\0d\0/\0>\0";
    static const char nul[] = "<domain/>\0<domain/>";
    static const struct {
        const char *data;
        gsize length;
    } cases[] = {
        {latin, sizeof latin - 1}, {utf16, sizeof utf16 - 1}, {nul, sizeof nul - 1}, {"", 0}};
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(vmf_domain_rebuild(cases[i].data, cases[i].length, &rules, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

/* The claimed encoding is not believed: these bytes are UTF-8, whatever they say. */
static void
test_claimed_encoding(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = load("demo.begin.xml");
    g_autofree gchar *xml = g_strconcat("<?xml version='1.0' encoding='UTF-7'?>", base, NULL);
    g_autoptr(VmfDomain) domain = rebuild(xml, &rules, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(vmf_domain_name(domain), ==, "demo");
}

static void
test_every_truncation(void)
{
    g_autofree gchar *xml = load("demo.begin.xml");
    gsize length = strlen(g_strchomp(xml));
    for (gsize cut = 0; cut < length; cut++) {
        g_autoptr(GError) error = NULL;
        g_autofree gchar *exact = g_memdup2(xml, cut);
        g_assert_null(vmf_domain_rebuild(exact, cut, &rules, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/domain/real-definitions/kept", test_real);
    g_test_add_func("/domain/model/read", test_model);
    g_test_add_func("/domain/memory/units", test_units);
    g_test_add_func("/domain/host-s-own-choices/dropped", test_dropped);
    g_test_add_func("/domain/user-alias/kept", test_user_alias_kept);
    g_test_add_func("/domain/markup-in-values/escaped", test_escaping);
    g_test_add_func("/domain/labels-of-a-run/dropped", test_labels_of_a_run);
    g_test_add_func("/domain/not-as-announced/refused", test_announced);
    g_test_add_func("/domain/boot-files-none-listed/refused", test_no_boot_files);
    g_test_add_func("/domain/loader-not-listed/refused", test_loaders);
    JsonArray *hostile = refused_definitions();
    for (guint i = 0; i < json_array_get_length(hostile); i++) {
        JsonObject *one = json_array_get_object_element(hostile, i);
        g_autofree gchar *path = g_strdup_printf("/domain/hostile/%s",
                                                 json_object_get_string_member(one, "name"));
        g_test_add_data_func(path, one, test_hostile);
    }
    g_test_add_func("/domain/each-refusal/in-the-corpus", test_each_refusal);
    g_test_add_func("/domain/limits/kept", test_limits);
    g_test_add_func("/domain/not-utf8/refused", test_not_text);
    g_test_add_func("/domain/claimed-encoding/ignored", test_claimed_encoding);
    g_test_add_func("/domain/every-truncation/refused", test_every_truncation);
    int failed = g_test_run();
    json_node_unref(refused_json);
    return failed;
}
