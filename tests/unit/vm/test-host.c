/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VmfHost against libvirt's own test driver, which runs in this process: no daemon, no QEMU. */
#include "src/vm/host.h"

#include <string.h>

#include "src/base/error.h"

#define UUID "11111111-2222-4333-8444-555555555555"

static const char definition[] = "<domain type='test'><name>web1</name><uuid>" UUID
                                 "</uuid><memory>4096</memory>"
                                 "<os><type>hvm</type></os></domain>";

static VmfHost *
open_host(void)
{
    return vmf_host_new("test:///default");
}

static void
test_life(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfHost) host = open_host();
    g_autofree gchar *uuid = NULL;
    g_assert_true(vmf_host_define(host, definition, &uuid, &error));
    g_assert_cmpstr(uuid, ==, UUID);
    g_autoptr(VmfVmInfo) defined = vmf_host_lookup(host, "web1", &error);
    g_assert_no_error(error);
    g_assert_cmpint(defined->state, ==, VMF_VM_OFF);
    g_assert_true(defined->persistent);
    g_assert_true(vmf_host_start(host, UUID, FALSE, &error));
    g_autoptr(VmfVmInfo) started = vmf_host_lookup(host, UUID, &error);
    g_assert_cmpint(started->state, ==, VMF_VM_RUNNING);
    g_assert_true(vmf_host_suspend(host, UUID, &error));
    g_autoptr(VmfVmInfo) paused = vmf_host_lookup(host, UUID, &error);
    g_assert_cmpint(paused->state, ==, VMF_VM_PAUSED);
    g_assert_true(vmf_host_resume(host, UUID, &error));
    g_autofree gchar *xml = vmf_host_dump_xml(host, UUID, VMF_XML_INACTIVE, &error);
    g_assert_nonnull(strstr(xml, "<name>web1</name>"));
    g_assert_true(vmf_host_destroy(host, UUID, &error));
    g_assert_true(vmf_host_destroy(host, UUID, &error)); /* it is off */
    g_assert_true(vmf_host_undefine(host, UUID, &error));
    g_assert_true(vmf_host_undefine(host, UUID, &error)); /* it is gone */
    g_assert_true(vmf_host_destroy(host, UUID, &error));
    g_assert_no_error(error);
}

static void
test_unknown(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfHost) host = open_host();
    g_assert_null(vmf_host_lookup(host, "nobody", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "'nobody'"));
    g_clear_error(&error);
    g_assert_false(vmf_host_start(host, UUID, FALSE, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

static void
test_wrong_state(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfHost) host = open_host();
    g_assert_false(vmf_host_start(host, "test", FALSE, &error)); /* the driver's own, running */
    g_assert_nonnull(strstr(error->message, "cannot start 'test': libvirt: "));
    g_assert_nonnull(strstr(error->message, "already running"));
    g_clear_error(&error);
    g_assert_false(vmf_host_define(host, "<domain/>", NULL, &error));
    g_assert_nonnull(error);
}

static void
test_list(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfHost) host = open_host();
    g_assert_true(vmf_host_define(host, definition, NULL, &error));
    g_autoptr(GPtrArray) list = vmf_host_list(host, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(list->len, ==, 2);
    g_assert_cmpstr(((VmfVmInfo *)g_ptr_array_index(list, 0))->name, ==, "test");
    g_assert_cmpstr(((VmfVmInfo *)g_ptr_array_index(list, 1))->name, ==, "web1");
    g_assert_true(vmf_host_undefine(host, UUID, &error));
}

static void
test_networks(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfHost) host = open_host();
    g_assert_true(vmf_host_has_network(host, "default", &error));
    g_assert_false(vmf_host_has_network(host, "nowhere", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_clear_error(&error);
    g_assert_false(vmf_host_has_bridge("../../etc", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

static void
test_no_libvirtd(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfHost) host = vmf_host_new("qemu+unix:///system?socket=/nonexistent/sock");
    g_assert_null(vmf_host_list(host, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    g_assert_nonnull(strstr(error->message, "/nonexistent/sock"));
}

/* ---- events ---- */

typedef struct {
    GMainLoop *loop;
    VmfVmEvent wanted;
    gint64 at_us;
    guint seen, destroyed;
} Listener;

static void
on_event(const char *uuid, VmfVmEvent event, gint64 monotonic_us, gpointer data)
{
    Listener *listener = data;
    g_assert_cmpstr(uuid, ==, UUID);
    listener->seen++;
    if (event == listener->wanted) {
        listener->at_us = monotonic_us;
        g_main_loop_quit(listener->loop);
    }
}

static void
on_destroy(gpointer data)
{
    ((Listener *)data)->destroyed++;
}

static gboolean
on_time_out(gpointer data)
{
    g_assert_not_reached(); /* the event did not come */
    return G_SOURCE_REMOVE;
}

static void
test_events(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfHost) host = open_host();
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Listener one = {.loop = loop, .wanted = VMF_EVENT_SUSPENDED}, other = {.loop = loop};
    g_assert_true(vmf_host_define(host, definition, NULL, &error));
    guint id = vmf_host_subscribe(host, UUID, on_event, &one, on_destroy);
    guint deaf = vmf_host_subscribe(host, "11111111-2222-4333-8444-555555555556", on_event, &other,
                                    on_destroy);
    gint64 before = g_get_monotonic_time();
    g_assert_true(vmf_host_start(host, UUID, FALSE, &error));
    g_assert_true(vmf_host_suspend(host, UUID, &error));
    guint timer = g_timeout_add_seconds(10, on_time_out, NULL);
    g_main_loop_run(loop);
    g_source_remove(timer);
    g_assert_cmpint(one.at_us, >=, before);
    g_assert_cmpint(one.at_us, <=, g_get_monotonic_time());
    g_assert_cmpuint(one.seen, >=, 2);
    g_assert_cmpuint(other.seen, ==, 0);
    vmf_host_unsubscribe(host, id);
    vmf_host_unsubscribe(host, id); /* once is enough */
    g_assert_cmpuint(one.destroyed, ==, 1);
    vmf_host_unsubscribe(host, deaf);
    g_assert_true(vmf_host_destroy(host, UUID, &error));
    g_assert_true(vmf_host_undefine(host, UUID, &error));
}

static void
test_state_names(void)
{
    g_assert_cmpstr(vmf_vm_state_name(VMF_VM_RUNNING), ==, "running");
    g_assert_cmpstr(vmf_vm_state_name(VMF_VM_PAUSED_MIGRATION), ==, "paused (migrating)");
    g_assert_cmpstr(vmf_vm_state_name(VMF_VM_CRASHED), ==, "crashed");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/host/vm/life", test_life);
    g_test_add_func("/host/vm/unknown", test_unknown);
    g_test_add_func("/host/vm/wrong-state", test_wrong_state);
    g_test_add_func("/host/vms/listed-by-name", test_list);
    g_test_add_func("/host/network/judged", test_networks);
    g_test_add_func("/host/no-libvirtd/unreachable", test_no_libvirtd);
    g_test_add_func("/host/events/subscribed-only", test_events);
    g_test_add_func("/host/states/named", test_state_names);
    return g_test_run();
}
