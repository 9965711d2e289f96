/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A real bridge in a network namespace of this test's own: port "near" (the guest's side of the
 * tap is played by its veth peer "guest"), port "far" (the way to the other host, "wire").
 */
#include "src/vm/announce.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/base/error.h"

#define MAC     "52:54:00:AA:bb:01"
#define WAIT_MS 10000

static const guint8 mac_bytes[] = {0x52, 0x54, 0x00, 0xaa, 0xbb, 0x01};

static const char set_up_script[] =
    "set -e; ip link add br0 type bridge; ip link set br0 up;"
    "ip link add near type veth peer name guest; ip link add far type veth peer name wire;"
    "for p in near far; do ip link set $p master br0; done;"
    "for p in near far guest wire; do ip link set $p up; done;"
    "ip link add lonely type veth peer name other";

static gboolean
enter_own_network(void)
{
    int flags = geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET;
    g_autofree gchar *map = g_strdup_printf("0 %d 1", (int)geteuid());
    if (unshare(flags) < 0)
        return FALSE;
    if ((flags & CLONE_NEWUSER) != 0 &&
        !g_file_set_contents_full("/proc/self/uid_map", map, -1, 0, 0600, NULL))
        return FALSE;
    static const char *const arguments[] = {"/bin/sh", "-c", set_up_script, NULL};
    int status = 0;
    return g_spawn_sync(NULL, (gchar **)arguments, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL,
                        &status, NULL) &&
           status == 0;
}

/* RARP, as QEMU announces: broadcast from the guest's address. */
static void
send_frame(const char *from)
{
    struct {
        struct ether_header header;
        guint8 body[46];
    } frame = {.header = {.ether_type = GUINT16_TO_BE(ETHERTYPE_REVARP)}};
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(from)};
    memset(frame.header.ether_dhost, 0xff, ETH_ALEN);
    memcpy(frame.header.ether_shost, mac_bytes, ETH_ALEN);
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(sendto(fd, &frame, sizeof frame, 0, (struct sockaddr *)&to, sizeof to), ==,
                    sizeof frame);
    close(fd);
}

static VmfAnnounce *
expect(const char *port)
{
    g_autoptr(GError) error = NULL;
    VmfAnnounce *announce = vmf_announce_open(&error);
    g_assert_no_error(error);
    g_assert_true(vmf_announce_expect(announce, port, MAC, &error));
    return announce;
}

static void
check_unheard(VmfAnnounce *announce, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(vmf_announce_wait(announce, 50, NULL, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, says));
}

/* On a carrier's own time the port begins to forward: send until the bridge has learnt. */
static void
hear(VmfAnnounce *announce, const char *from)
{
    gint64 heard = 0;
    for (int i = 0; i < 100; i++) {
        send_frame(from);
        if (vmf_announce_wait(announce, WAIT_MS / 100, &heard, NULL)) {
            g_assert_cmpint(heard, <=, g_get_monotonic_time());
            g_assert_cmpint(heard, >, 0);
            return;
        }
    }
    g_error("never heard from '%s'", from);
}

static void
test_moves(void)
{
    g_autoptr(VmfAnnounce) far = expect("far");
    check_unheard(far, "52:54:00:aa:bb:01 was not heard on 'far' within 50 ms:");
    hear(far, "wire");
    g_autoptr(VmfAnnounce) near = expect("near");
    check_unheard(near, "'near'"); /* it is known, at the other port */
    hear(near, "guest");
    g_autoptr(VmfAnnounce) late = expect("near"); /* opened after the news: the table knows */
    g_autoptr(GError) error = NULL;
    g_assert_true(vmf_announce_wait(late, 0, NULL, &error));
    g_assert_no_error(error);
}

static gpointer
send_once(gpointer from)
{
    send_frame(from);
    return NULL;
}

/* Already forwarding (test_moves ran): one frame, sent while the wait is under way, is enough. */
static void
test_one_frame(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfAnnounce) far = expect("far");
    GThread *sender = g_thread_new("sender", send_once, (gpointer)(guintptr) "wire");
    g_assert_true(vmf_announce_wait(far, WAIT_MS, NULL, &error));
    g_assert_no_error(error);
    g_thread_join(sender);
}

static void
test_wrong_ones(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfAnnounce) lonely = vmf_announce_open(&error);
    g_assert_true(vmf_announce_expect(lonely, "lonely", MAC, &error));
    check_unheard(lonely, "which is no port of a bridge");
    g_assert_false(vmf_announce_expect(lonely, "nosuch", MAC, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_clear_error(&error);
    g_assert_false(vmf_announce_expect(lonely, "near", "52:54:00:aa:bb", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_clear_error(&error);
    g_assert_false(vmf_announce_expect(lonely, "near", "52:54:00:aa:bb-01", &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

static void
test_live_definition(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfAnnounce) announce = vmf_announce_open(&error);
    g_assert_true(vmf_announce_expect_all(
        announce,
        "<domain><devices><disk/><interface type='bridge'><mac address='" MAC "'/>"
        "<target dev='near'/></interface><interface type='hostdev'><mac address='" MAC "'/>"
        "</interface></devices></domain>",
        &error));
    hear(announce, "guest");
    g_assert_false(vmf_announce_expect_all(announce,
                                           "<domain><devices><interface><mac address='" MAC
                                           "'/><target dev='nosuch'/></interface>"
                                           "</devices></domain>",
                                           &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

static void
test_none(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfAnnounce) announce = vmf_announce_open(&error);
    g_assert_true(vmf_announce_expect_all(announce, "<domain><devices/></domain>", &error));
    g_assert_true(vmf_announce_wait(announce, 0, NULL, &error));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!enter_own_network()) {
        g_print("1..0 # SKIP no network namespace of its own, or no ip(8), for this user\n");
        return 0;
    }
    g_test_add_func("/announce/address/moves-to-the-port", test_moves);
    g_test_add_func("/announce/one-frame/enough", test_one_frame);
    g_test_add_func("/announce/wrong-port-or-address/said", test_wrong_ones);
    g_test_add_func("/announce/live-definition/expected", test_live_definition);
    g_test_add_func("/announce/no-interface/nothing-to-hear", test_none);
    return g_test_run();
}
