/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the kernel tells of memory, interfaces and routes, from copies of its files and answers.
 * libvirt's part and the real kernel are asked in tests/lab.
 */
#include "src/vm/machine-facts.h"

#include <glib/gstdio.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <string.h>

#include "src/vm/net-facts.h"
#include "src/vm/netlink.h"
#include "src/vm/route-facts.h"

/* ---- memory ---- */

static void
put(const char *root, const char *path, const char *text)
{
    g_autofree gchar *whole = g_build_filename(root, path, NULL);
    g_autofree gchar *folder = g_path_get_dirname(whole);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_true(g_file_set_contents(whole, text, -1, NULL));
}

static void
remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree gchar *inside = g_build_filename(path, name, NULL);
        remove_tree(inside);
    }
    g_remove(path);
}

static void
test_memory(void)
{
    g_autofree gchar *root = g_dir_make_tmp("vmferry-memory-XXXXXX", NULL);
    g_autoptr(VmfFactMachine) machine = vmf_fact_machine_new();
    put(root, "proc/meminfo",
        "MemTotal:       24683656 kB\nMemFree:         1000000 kB\nMemAvailable:   23000000 kB\n");
    put(root, "sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal:  100 kB\nNode 0 MemFree:   60 kB\nNode 0 Inactive:  9 kB\n"
        "Node 0 Inactive(file):   7 kB\n");
    put(root, "sys/devices/system/node/node2/meminfo", "Node 2 MemFree: 5 kB\n");
    put(root, "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512\n");
    put(root, "sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "12\n");
    put(root, "sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1\n");
    put(root, "sys/kernel/mm/hugepages/hugepages-1048576kB/resv_hugepages", "3\n");
    vmf_machine_facts_memory(root, machine);
    remove_tree(root);

    g_assert_cmpuint(machine->memory_kib, ==, 24683656);
    g_assert_cmpuint(machine->free_kib, ==, 23000000);
    g_assert_cmpuint(machine->nodes->len, ==, 2);
    const VmfFactNode *first = g_ptr_array_index(machine->nodes, 0);
    const VmfFactNode *second = g_ptr_array_index(machine->nodes, 1);
    g_assert_cmpuint(first->free_kib, ==, 67);
    g_assert_cmpuint(second->id, ==, 2);
    const VmfFactHugepages *small = g_ptr_array_index(machine->hugepages, 0);
    const VmfFactHugepages *large = g_ptr_array_index(machine->hugepages, 1);
    g_assert_cmpuint(small->size_kib, ==, 2048);
    g_assert_cmpuint(small->free_pages, ==, 500);
    g_assert_cmpuint(large->free_pages, ==, 0);
}

static void
test_macs(void)
{
    g_auto(GStrv) macs = vmf_machine_facts_macs(
        "<domain><devices><interface><mac address='52:54:00:BB:00:01'/></interface>"
        "<interface/><interface><mac address='52:54:00:aa:00:01'/></interface></devices></domain>");
    g_autofree gchar *text = g_strjoinv(" ", macs);
    g_assert_cmpstr(text, ==, "52:54:00:aa:00:01 52:54:00:bb:00:01");
    g_auto(GStrv) none = vmf_machine_facts_macs("not XML");
    g_assert_cmpuint(g_strv_length(none), ==, 0);
}

/* ---- interfaces ---- */

typedef struct {
    guint8 bytes[4096];
    gsize length;
} Answer;

static gsize
begin(Answer *answer, guint16 type, gconstpointer data, gsize size)
{
    gsize at = answer->length;
    struct nlmsghdr header = {.nlmsg_type = type};
    memcpy(answer->bytes + at, &header, sizeof header);
    memcpy(answer->bytes + at + sizeof header, data, size);
    answer->length += NLMSG_SPACE(size);
    return at;
}

static gsize
open_attribute(Answer *answer, guint16 type)
{
    gsize at = answer->length;
    struct rtattr header = {.rta_type = type};
    memcpy(answer->bytes + at, &header, sizeof header);
    answer->length += RTA_LENGTH(0);
    return at;
}

static void
close_attribute(Answer *answer, gsize at)
{
    guint16 length = (guint16)(answer->length - at);
    memcpy(answer->bytes + at, &length, sizeof length);
    answer->length = at + RTA_ALIGN(length);
}

static void
attribute(Answer *answer, guint16 type, gconstpointer data, gsize size)
{
    gsize at = open_attribute(answer, type);
    memcpy(answer->bytes + answer->length, data, size);
    answer->length += size;
    close_attribute(answer, at);
}

static void
finish(Answer *answer, gsize at)
{
    guint32 length = (guint32)(answer->length - at);
    memcpy(answer->bytes + at, &length, sizeof length);
}

static void
add_link(Answer *answer, int index, const char *name, const char *kind, guint32 master,
         guint16 vlan)
{
    const struct ifinfomsg info = {.ifi_index = index, .ifi_flags = IFF_UP};
    const guint32 mtu = 9000;
    gsize at = begin(answer, RTM_NEWLINK, &info, sizeof info);
    attribute(answer, IFLA_IFNAME, name, strlen(name) + 1);
    attribute(answer, IFLA_MTU, &mtu, sizeof mtu);
    if (master != 0)
        attribute(answer, IFLA_MASTER, &master, sizeof master);
    if (kind != NULL) {
        gsize link = open_attribute(answer, IFLA_LINKINFO | NLA_F_NESTED);
        attribute(answer, IFLA_INFO_KIND, kind, strlen(kind) + 1);
        gsize data = open_attribute(answer, IFLA_INFO_DATA);
        if (vlan != 0)
            attribute(answer, IFLA_VLAN_ID, &vlan, sizeof vlan);
        close_attribute(answer, data);
        close_attribute(answer, link);
    }
    finish(answer, at);
}

static void
make_links(Answer *answer)
{
    add_link(answer, 1, "eth0", NULL, 0, 0);
    add_link(answer, 2, "br100", "bridge", 0, 0);
    add_link(answer, 3, "eth0.100", "vlan", 2, 100);
    add_link(answer, 4, "eth0.42", "vlan", 2, 42);
    add_link(answer, 5, "vnet0", "tun", 2, 0);
    add_link(answer, 6, "eth0.7", "vlan", 0, 7);
}

static void
test_links(void)
{
    Answer answer = {.length = 0};
    make_links(&answer);
    g_autoptr(GPtrArray) links = vmf_links_parse(answer.bytes, answer.length);
    g_autoptr(VmfFactNet) net = vmf_fact_net_new();
    g_assert_cmpuint(links->len, ==, 6);
    g_assert_cmpstr(vmf_link_by_index(links, 1)->kind, ==, "");
    g_assert_true(vmf_link_by_name(links, "br100")->up);
    g_assert_null(vmf_link_by_name(links, "br1"));
    vmf_net_facts_bridge(
        links, "br100", "<network><name>n</name><vlan><tag id='42'/><tag id='9'/></vlan></network>",
        net);
    g_autofree gchar *tags = g_strjoinv(" ", net->vlans);
    g_assert_cmpstr(tags, ==, "9 42 100");
    g_assert_cmpuint(net->mtu, ==, 9000);
}

/* Bytes that are cut anywhere, or whose lengths lie, are never read past their end. */
static void
test_cut_links(void)
{
    Answer answer = {.length = 0};
    make_links(&answer);
    for (gsize cut = 0; cut < answer.length; cut++) {
        g_autofree guint8 *exact = g_memdup2(answer.bytes, cut);
        g_autoptr(GPtrArray) links = vmf_links_parse(exact, cut);
        g_assert_cmpuint(links->len, <, 6);
    }
    for (gsize at = 0; at < answer.length; at++) {
        g_autofree guint8 *exact = g_memdup2(answer.bytes, answer.length);
        exact[at] ^= 0xff;
        g_autoptr(GPtrArray) links = vmf_links_parse(exact, answer.length);
        g_assert_cmpuint(links->len, <=, 6);
    }
}

static void
test_real_links(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) links = vmf_netlink_links(&error);
    g_assert_no_error(error);
    g_assert_nonnull(vmf_link_by_name(links, "lo"));
}

/* ---- routes ---- */

static void
test_subnet(void)
{
    static const guint8 a[] = {10, 0, 1, 1}, b[] = {10, 0, 1, 130}, c[] = {10, 0, 2, 1};
    g_assert_true(vmf_same_subnet(a, b, 4, 24));
    g_assert_false(vmf_same_subnet(a, b, 4, 25));
    g_assert_true(vmf_same_subnet(a, c, 4, 22));
    g_assert_false(vmf_same_subnet(a, c, 4, 23));
    g_assert_false(vmf_same_subnet(a, b, 4, 32));
    g_assert_true(vmf_same_subnet(a, a, 4, 32));
    g_assert_true(vmf_same_subnet(a, c, 4, 0));
}

static void
test_real_route(void)
{
    g_autoptr(VmfFactRoute) route = vmf_fact_route_new();
    g_autoptr(VmfFactRoute) wrong = vmf_fact_route_new();
    vmf_route_facts_gather("::ffff:127.0.0.1", route);
    g_assert_cmpstr(route->reason, ==, "");
    g_assert_cmpstr(route->interface, ==, "lo");
    g_assert_cmpstr(route->address, ==, "127.0.0.1");
    g_assert_true(route->on_link);
    g_assert_false(route->default_route);
    vmf_route_facts_gather("hv2.lab.test", wrong);
    g_assert_cmpstr(wrong->reason, ==, "'hv2.lab.test' is no address");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine-facts/memory/what-a-vm-could-get", test_memory);
    g_test_add_func("/machine-facts/macs/sorted", test_macs);
    g_test_add_func("/netlink/links/bridge-and-tags", test_links);
    g_test_add_func("/netlink/links-cut-or-wrong/within-bounds", test_cut_links);
    g_test_add_func("/netlink/this-machine/has-lo", test_real_links);
    g_test_add_func("/route-facts/subnet/by-bits", test_subnet);
    g_test_add_func("/route-facts/this-machine/loopback", test_real_route);
    return g_test_run();
}
