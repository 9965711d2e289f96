/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cookies of real moves (corpus/cookie, libvirt 9.0) and hostile ones. */
#include "src/vm/cookie.h"

#include <string.h>

#include "src/base/error.h"

#define UUID "11111111-2222-4333-8444-555555555555"

static const char *const kind_names[] = {"begin", "prepare", "perform", "finish"};

static gchar *
load(const char *vm, VmfCookieKind kind)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = g_strdup_printf("%s.%s.xml", vm, kind_names[kind]);
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "corpus", "cookie", base, NULL);
    gchar *xml = NULL;
    g_file_get_contents(path, &xml, NULL, &error);
    g_assert_no_error(error);
    return xml;
}

static GBytes *
rebuild(VmfCookieKind kind, const char *xml, const char *uuid, const char *name, GError **error)
{
    g_autoptr(GBytes) cookie = g_bytes_new(xml, strlen(xml) + 1);
    return vmf_cookie_rebuild(kind, cookie, uuid, name, error);
}

static gchar *
with(const char *xml, const char *old, const char *fresh)
{
    const char *at = strstr(xml, old);
    if (at == NULL)
        g_error("the corpus has no '%s'", old);
    return g_strdup_printf("%.*s%s%s", (int)(at - xml), xml, fresh, at + strlen(old));
}

/* Which parts libvirt asks for in which phase, and what must be gone. */
static void
check_parts(const char *given, const char *written, VmfCookieKind kind)
{
    gboolean begin = kind == VMF_COOKIE_BEGIN, prepare = kind == VMF_COOKIE_PREPARE;
    /* libvirt sends a CPU only when it has changed what was asked for. */
    g_assert_cmpint(strstr(written, "<cpu") != NULL, ==, strstr(given, "<cpu") != NULL);
    g_assert_cmpint(strstr(written, "<capabilities") != NULL, ==, begin || prepare);
    g_assert_cmpint(strstr(written, "<statistics") != NULL, ==, !begin && !prepare);
    g_assert_null(strstr(written, "lockstate"));
    g_assert_null(strstr(written, "graphics"));
    g_assert_nonnull(strstr(written, "<hostuuid>00000000-0000-4000-8000-00000000000"));
}

static void
test_real(void)
{
    static const struct {
        const char *name, *uuid;
    } vms[] = {
        {"demo", UUID},
        {"web1", "ad895143-a077-4e80-9a56-5bdff67b33b9"},
        {"win1", "83c67327-2819-4c7e-aa30-aba04c34e29a"},
        {"old1", "6b712720-7165-4813-a70b-0eeb68ac79a8"},
        {"srv1", "73cc2ce1-93c7-4a6c-90d8-eb5542c35dc8"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(vms) * 4; i++) {
        g_autoptr(GError) error = NULL;
        VmfCookieKind kind = (VmfCookieKind)(i % 4);
        const char *name = vms[i / 4].name, *uuid = vms[i / 4].uuid;
        g_autofree gchar *xml = load(name, kind);
        g_autoptr(GBytes) once = rebuild(kind, xml, uuid, name, &error);
        g_assert_no_error(error);
        gsize size;
        const char *written = g_bytes_get_data(once, &size);
        g_assert_cmpuint(size, ==, strlen(written) + 1);
        check_parts(xml, written, kind);
        g_autoptr(GBytes) twice = vmf_cookie_rebuild(kind, once, uuid, name, &error);
        g_assert_no_error(error);
        g_assert_true(g_bytes_equal(once, twice));
    }
}

/* The CPU is what the destination gives its guest: it must come through whole. */
static void
test_cpu_kept(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *xml = load("srv1", VMF_COOKIE_BEGIN);
    g_autoptr(GBytes) cookie = rebuild(VMF_COOKIE_BEGIN, xml,
                                       "73cc2ce1-93c7-4a6c-90d8-eb5542c35dc8", "srv1", &error);
    g_assert_no_error(error);
    const char *written = g_bytes_get_data(cookie, NULL);
    g_auto(GStrv) had = g_strsplit(xml, "<feature policy=", -1);
    g_auto(GStrv) has = g_strsplit(written, "<feature policy=", -1);
    g_assert_cmpuint(g_strv_length(had), >, 3);
    g_assert_cmpuint(g_strv_length(has), ==, g_strv_length(had));
}

static void
test_hotplug_feature_kept(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = load("demo", VMF_COOKIE_BEGIN);
    g_autofree gchar *xml = with(base, "<feature name='lockstate'/>",
                                 "<feature name='lockstate'/><feature name='memory-hotplug'/>");
    g_autoptr(GBytes) cookie = rebuild(VMF_COOKIE_BEGIN, xml, UUID, "demo", &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(g_bytes_get_data(cookie, NULL), "<feature name='memory-hotplug'/>"));
}

static void
test_newer_statistic_dropped(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = load("demo", VMF_COOKIE_PERFORM);
    g_autofree gchar *xml = with(base, "<statistics>",
                                 "<statistics><memory_wonder>1</memory_wonder>");
    g_autoptr(GBytes) cookie = rebuild(VMF_COOKIE_PERFORM, xml, UUID, "demo", &error);
    g_assert_no_error(error);
    g_assert_null(strstr(g_bytes_get_data(cookie, NULL), "wonder"));
}

typedef struct {
    const char *outcome;
    VmfCookieKind kind;
    const char *old, *fresh;
    VmfError code;
    const char *says;
} Hostile;

/* clang-format off */
static const Hostile hostile[] = {
    {"domain-for-finish", VMF_COOKIE_PERFORM, "<statistics>", "<domain type='kvm'/><statistics>", VMF_ERROR_UNSUPPORTED, "<domain> may not come from there: a persistent definition"},
    {"persistent-feature", VMF_COOKIE_BEGIN, "'lockstate'", "'persistent'", VMF_ERROR_UNSUPPORTED, "'name' of <feature> is 'persistent'"},
    {"lock-leases", VMF_COOKIE_BEGIN, "<capabilities>", "<lockstate driver='sanlock'><leases>x</leases></lockstate><capabilities>", VMF_ERROR_UNSUPPORTED, "<lockstate>"},
    {"disk-copy", VMF_COOKIE_PREPARE, "<capabilities>", "<nbd port='1'/><capabilities>", VMF_ERROR_UNSUPPORTED, "<nbd>"},
    {"dirty-bitmaps", VMF_COOKIE_BEGIN, "<capabilities>", "<blockDirtyBitmaps/><capabilities>", VMF_ERROR_UNSUPPORTED, "<blockDirtyBitmaps>"},
    {"switch-port-data", VMF_COOKIE_PERFORM, "<statistics>", "<network><interface index='0' vporttype='openvswitch'><portdata>x</portdata></interface></network><statistics>", VMF_ERROR_UNSUPPORTED, "<interface> in <network>"},
    {"unknown-element", VMF_COOKIE_FINISH, "<statistics>", "<x/><statistics>", VMF_ERROR_UNSUPPORTED, "<x> in <qemu-migration>"},
    {"statistic-not-a-number", VMF_COOKIE_PERFORM, "<started>", "<started>x", VMF_ERROR_PROTOCOL, "the text of <started>"},
    {"capability-with-markup", VMF_COOKIE_BEGIN, "name='xbzrle'", "name='&lt;x/&gt;'", VMF_ERROR_PROTOCOL, "'name' of <cap>"},
    {"cpu-with-markup", VMF_COOKIE_BEGIN, ">qemu64<", ">qemu64,+x<", VMF_ERROR_PROTOCOL, "the text of <model>"},
    {"other-vm", VMF_COOKIE_BEGIN, UUID, "11111111-2222-4333-8444-555555555556", VMF_ERROR_PROTOCOL, "is of 'demo' (11111111-2222-4333-8444-555555555556)"},
    {"other-name", VMF_COOKIE_BEGIN, "<name>demo", "<name>dem0", VMF_ERROR_PROTOCOL, "is of 'dem0'"},
    {"no-host-uuid", VMF_COOKIE_BEGIN, "<hostuuid>00000000-0000-4000-8000-000000000002</hostuuid>", "", VMF_ERROR_PROTOCOL, "has no <hostuuid>"},
    {"doctype", VMF_COOKIE_BEGIN, "<qemu-migration>", "<!DOCTYPE x SYSTEM 'file:///etc/shadow'><qemu-migration>", VMF_ERROR_PROTOCOL, "document type"},
};
/* clang-format on */

static void
test_hostile(gconstpointer data)
{
    const Hostile *one = data;
    g_autoptr(GError) error = NULL;
    g_autofree gchar *base = load("demo", one->kind);
    g_autofree gchar *xml = with(base, one->old, one->fresh);
    g_assert_null(rebuild(one->kind, xml, UUID, "demo", &error));
    g_test_message("%s", error->message);
    if (strstr(error->message, one->says) == NULL)
        g_error("'%s' does not say '%s'", error->message, one->says);
    g_assert_error(error, VMF_ERROR, (gint)one->code);
}

static void
test_not_terminated(void)
{
    g_autofree gchar *xml = load("demo", VMF_COOKIE_BEGIN);
    g_autoptr(GBytes) cookie = g_bytes_new(xml, strlen(xml)), empty = g_bytes_new("", 0);
    g_autoptr(GError) error = NULL;
    g_assert_null(vmf_cookie_rebuild(VMF_COOKIE_BEGIN, cookie, UUID, "demo", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_clear_error(&error);
    g_assert_null(vmf_cookie_rebuild(VMF_COOKIE_BEGIN, empty, UUID, "demo", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

static void
test_too_long(void)
{
    g_autofree gchar *blanks = g_strnfill(VMF_COOKIE_MAX, ' ');
    g_autofree gchar *xml = g_strconcat("<qemu-migration/>", blanks, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(rebuild(VMF_COOKIE_BEGIN, xml, UUID, "demo", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

static void
test_every_truncation(void)
{
    for (VmfCookieKind kind = VMF_COOKIE_BEGIN; kind <= VMF_COOKIE_FINISH; kind++) {
        g_autofree gchar *xml = load("demo", kind);
        gsize length = strlen(g_strchomp(xml));
        for (gsize cut = 0; cut < length; cut++) {
            g_autoptr(GError) error = NULL;
            g_autofree gchar *part = g_strndup(xml, cut);
            g_assert_null(rebuild(kind, part, UUID, "demo", &error));
            g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cookie/real/rebuilt", test_real);
    g_test_add_func("/cookie/cpu/kept", test_cpu_kept);
    g_test_add_func("/cookie/hotplug-feature/kept", test_hotplug_feature_kept);
    g_test_add_func("/cookie/newer-statistic/dropped", test_newer_statistic_dropped);
    for (gsize i = 0; i < G_N_ELEMENTS(hostile); i++) {
        g_autofree gchar *path = g_strdup_printf("/cookie/hostile/%s", hostile[i].outcome);
        g_test_add_data_func(path, &hostile[i], test_hostile);
    }
    g_test_add_func("/cookie/not-terminated/refused", test_not_terminated);
    g_test_add_func("/cookie/too-long/refused", test_too_long);
    g_test_add_func("/cookie/every-truncation/refused", test_every_truncation);
    return g_test_run();
}
