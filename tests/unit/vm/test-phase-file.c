/* SPDX-License-Identifier: GPL-3.0-or-later */
/* State files of a real libvirt 9.0 (corpus/status), less their lists of QEMU's capabilities. */
#include "src/vm/phase-file.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/error.h"

typedef struct {
    gchar *dir, *file;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->dir = g_dir_make_tmp("vmf-XXXXXX", NULL);
    fixture->file = g_build_filename(fixture->dir, "demo.xml", NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    g_unlink(fixture->file);
    g_rmdir(fixture->dir);
    g_free(fixture->dir);
    g_free(fixture->file);
}

static gchar *
load(const char *base)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "corpus", "status", base, NULL);
    gchar *xml = NULL;
    g_file_get_contents(path, &xml, NULL, &error);
    g_assert_no_error(error);
    return xml;
}

static VmfLibvirtPhase
read_as(Fixture *fixture, const char *xml)
{
    VmfLibvirtPhase phase = (VmfLibvirtPhase)-1;
    g_autoptr(GError) error = NULL;
    g_assert_true(g_file_set_contents(fixture->file, xml, -1, NULL));
    g_assert_true(vmf_phase_file_read(fixture->dir, "demo", &phase, &error));
    g_assert_no_error(error);
    return phase;
}

static void
test_real(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *base;
        VmfLibvirtPhase phase;
    } cases[] = {
        {"begun.source.xml", VMF_LIBVIRT_BEGUN},
        {"prepared.dest.xml", VMF_LIBVIRT_PREPARED},
        {"performed.source.xml", VMF_LIBVIRT_PERFORMED},
        {"finished.dest.xml", VMF_LIBVIRT_IDLE},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree gchar *xml = load(cases[i].base);
        g_assert_cmpint(read_as(fixture, xml), ==, cases[i].phase);
    }
}

static void
test_under_way(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *base, *stated, *instead;
        VmfLibvirtPhase phase;
    } cases[] = {
        {"performed.source.xml", "perform3_done", "perform3", VMF_LIBVIRT_PERFORMING},
        {"performed.source.xml", "perform3_done", "confirm3", VMF_LIBVIRT_CONFIRMING},
        {"performed.source.xml", "perform3_done", "confirm3_cancelled", VMF_LIBVIRT_CONFIRMING},
        {"prepared.dest.xml", "'prepare'", "'finish3'", VMF_LIBVIRT_FINISHING},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        VmfLibvirtPhase phase;
        g_autoptr(GError) error = NULL;
        g_autofree gchar *xml = load(cases[i].base);
        g_autoptr(GString) changed = g_string_new(xml);
        g_assert_cmpuint(g_string_replace(changed, cases[i].stated, cases[i].instead, 1), ==, 1);
        g_assert_cmpint(read_as(fixture, changed->str), ==, cases[i].phase);
        g_assert_false(vmf_phase_file_wait(fixture->dir, "demo", 30, &phase, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_BUSY);
    }
}

typedef struct {
    const char *file, *next;
} Replacement;

static gpointer
replace(gpointer data)
{
    const Replacement *replacement = data;
    g_assert_true(g_file_set_contents(replacement->file, replacement->next, -1, NULL));
    return NULL;
}

static void
test_wait(Fixture *fixture, gconstpointer data)
{
    VmfLibvirtPhase phase;
    g_autoptr(GError) error = NULL;
    g_autofree gchar *done = load("performed.source.xml");
    g_autoptr(GString) running = g_string_new(done);
    g_string_replace(running, "perform3_done", "perform3", 1);
    g_assert_cmpint(read_as(fixture, running->str), ==, VMF_LIBVIRT_PERFORMING);
    Replacement replacement = {fixture->file, done};
    GThread *thread = g_thread_new("libvirtd", replace, &replacement);
    g_assert_true(vmf_phase_file_wait(fixture->dir, "demo", 10000, &phase, &error));
    g_thread_join(thread);
    g_assert_no_error(error);
    g_assert_cmpint(phase, ==, VMF_LIBVIRT_PERFORMED);
}

static void
test_no_file(Fixture *fixture, gconstpointer data)
{
    VmfLibvirtPhase phase = VMF_LIBVIRT_PERFORMED;
    g_autoptr(GError) error = NULL;
    g_assert_true(vmf_phase_file_wait(fixture->dir, "demo", 0, &phase, &error));
    g_assert_no_error(error);
    g_assert_cmpint(phase, ==, VMF_LIBVIRT_IDLE);
}

static void
check_not_understood(Fixture *fixture, const char *xml, VmfError code)
{
    VmfLibvirtPhase phase;
    g_autoptr(GError) error = NULL;
    g_assert_true(g_file_set_contents(fixture->file, xml, -1, NULL));
    g_assert_false(vmf_phase_file_read(fixture->dir, "demo", &phase, &error));
    g_assert_error(error, VMF_ERROR, (gint)code);
}

static void
test_not_understood(Fixture *fixture, gconstpointer data)
{
    check_not_understood(fixture, "<domstatus><job async='backup' phase='none'/></domstatus>",
                         VMF_ERROR_BUSY);
    check_not_understood(fixture, "<domstatus><job async='migration out' phase='new'/></domstatus>",
                         VMF_ERROR_BUSY);
    check_not_understood(fixture, "<domain/>", VMF_ERROR_PROTOCOL);
}

static void
test_every_truncation(Fixture *fixture, gconstpointer data)
{
    g_autofree gchar *xml = g_strchomp(load("performed.source.xml"));
    g_assert_cmpint(read_as(fixture, xml), ==, VMF_LIBVIRT_PERFORMED);
    for (gsize cut = strlen(xml); cut-- > 0;) {
        VmfLibvirtPhase phase;
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(truncate(fixture->file, (off_t)cut), ==, 0);
        g_assert_false(vmf_phase_file_read(fixture->dir, "demo", &phase, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

#define ADD(path, func) g_test_add(path, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/phase-file/real/read", test_real);
    ADD("/phase-file/under-way/busy", test_under_way);
    ADD("/phase-file/ends-meanwhile/waited-for", test_wait);
    ADD("/phase-file/none/idle", test_no_file);
    ADD("/phase-file/not-understood/said", test_not_understood);
    ADD("/phase-file/every-truncation/not-understood", test_every_truncation);
    return g_test_run();
}
