/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/connection-limits.h"

static GInetAddress *
address(const char *text)
{
    GInetAddress *found = g_inet_address_new_from_string(text);
    g_assert_nonnull(found);
    return found;
}

static gboolean
enter(VmfChannelLimits *limits, const char *text)
{
    g_autoptr(GInetAddress) from = address(text);
    return vmf_channel_limits_enter(limits, from) == VMF_CHANNEL_LIMITS_OK;
}

static void
leave(VmfChannelLimits *limits, const char *text)
{
    g_autoptr(GInetAddress) from = address(text);
    vmf_channel_limits_leave(limits, from);
}

static void
test_per_address(void)
{
    g_autoptr(VmfChannelLimits) limits = vmf_channel_limits_new(2, 10);
    g_assert_true(enter(limits, "10.0.0.1"));
    g_assert_true(enter(limits, "10.0.0.1"));
    g_assert_false(enter(limits, "10.0.0.1"));
    g_assert_true(enter(limits, "10.0.0.2"));
    leave(limits, "10.0.0.1");
    g_assert_true(enter(limits, "10.0.0.1"));
    g_assert_false(enter(limits, "10.0.0.1"));
}

static void
test_in_all(void)
{
    g_autoptr(VmfChannelLimits) limits = vmf_channel_limits_new(0, 3);
    g_assert_true(enter(limits, "10.0.0.1"));
    g_assert_true(enter(limits, "10.0.0.2"));
    g_assert_true(enter(limits, "10.0.0.3"));
    g_assert_false(enter(limits, "10.0.0.4"));
    leave(limits, "10.0.0.2");
    g_assert_true(enter(limits, "10.0.0.4"));
}

/* One machine may own all 2^64 addresses of a network; two IPv4 hosts seen through IPv6 are two. */
static void
test_ipv6(void)
{
    g_autoptr(VmfChannelLimits) limits = vmf_channel_limits_new(1, 10);
    g_assert_true(enter(limits, "2001:db8:0:1::1"));
    g_assert_false(enter(limits, "2001:db8:0:1:ffff::2"));
    g_assert_true(enter(limits, "2001:db8:0:2::1"));
    g_assert_true(enter(limits, "::ffff:10.0.0.1"));
    g_assert_true(enter(limits, "::ffff:10.0.0.2"));
    g_assert_false(enter(limits, "::ffff:10.0.0.2"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/connection-limits/per-address/kept", test_per_address);
    g_test_add_func("/connection-limits/in-all/kept", test_in_all);
    g_test_add_func("/connection-limits/ipv6/by-network", test_ipv6);
    return g_test_run();
}
