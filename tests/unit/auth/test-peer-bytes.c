/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/peer-bytes.h"
#include "src/base/error.h"

#include <string.h>

static VmfPeerIdentity *
somebody(void)
{
    VmfPeerIdentity *peer = vmf_peer_identity_new();
    peer->proof = VMF_PEER_PROVEN_BY_TICKET;
    peer->account = g_strdup("HV1$");
    peer->realm = g_strdup("LAB.TEST");
    peer->principal = g_strdup("HV1$@LAB.TEST");
    peer->sid = g_strdup("S-1-5-21-1-2-3-1105");
    peer->domain_sid = g_strdup("S-1-5-21-1-2-3");
    peer->pac_account = g_strdup("hv1$");
    peer->pac_uac = 0x80;
    g_ptr_array_add(peer->group_sids, g_strdup("S-1-5-21-1-2-3-515"));
    g_ptr_array_add(peer->group_sids, g_strdup("S-1-5-21-1-2-3-1103"));
    peer->ticket_enctype = 18;
    peer->session_enctype = -133;
    peer->auth_time = 1795342000;
    peer->end_time = G_GINT64_CONSTANT(5000000000);
    return peer;
}

static VmfPeerIdentity *
there_and_back(const VmfPeerIdentity *peer)
{
    g_autoptr(GError) error = NULL;
    gsize size;
    g_autoptr(GBytes) bytes = vmf_peer_identity_to_bytes(peer, &error);
    g_assert_no_error(error);
    const guint8 *data = g_bytes_get_data(bytes, &size);
    VmfPeerIdentity *back = vmf_peer_identity_from_bytes(data, size, &error);
    g_assert_no_error(error);
    return back;
}

static void
test_round_trip(void)
{
    g_autoptr(VmfPeerIdentity) peer = somebody(), back = there_and_back(peer);
    g_assert_cmpint(back->proof, ==, peer->proof);
    g_assert_cmpstr(back->account, ==, peer->account);
    g_assert_cmpstr(back->realm, ==, peer->realm);
    g_assert_cmpstr(back->principal, ==, peer->principal);
    g_assert_null(back->fqdn);
    g_assert_cmpstr(back->sid, ==, peer->sid);
    g_assert_cmpstr(back->domain_sid, ==, peer->domain_sid);
    g_assert_cmpstr(back->pac_account, ==, peer->pac_account);
    g_assert_cmpuint(back->pac_uac, ==, peer->pac_uac);
    g_assert_cmpuint(back->group_sids->len, ==, 2);
    g_assert_cmpstr(back->group_sids->pdata[1], ==, "S-1-5-21-1-2-3-1103");
    g_assert_cmpint(back->ticket_enctype, ==, 18);
    g_assert_cmpint(back->session_enctype, ==, -133);
    g_assert_cmpint(back->auth_time, ==, peer->auth_time);
    g_assert_cmpint(back->end_time, ==, peer->end_time);
    g_assert_false(back->transited || back->forwarded || back->s4u || back->delegated);
}

/* Each fact that refuses a peer arrives as itself, and as no other. */
static void
test_flags(void)
{
    for (guint bit = 0; bit < 4; bit++) {
        g_autoptr(VmfPeerIdentity) peer = somebody();
        peer->transited = bit == 0;
        peer->forwarded = bit == 1;
        peer->s4u = bit == 2;
        peer->delegated = bit == 3;
        g_autoptr(VmfPeerIdentity) back = there_and_back(peer);
        g_assert_cmpint(back->transited, ==, bit == 0);
        g_assert_cmpint(back->forwarded, ==, bit == 1);
        g_assert_cmpint(back->s4u, ==, bit == 2);
        g_assert_cmpint(back->delegated, ==, bit == 3);
    }
}

static void
test_no_pac(void)
{
    g_autoptr(VmfPeerIdentity) peer = vmf_peer_identity_new(), back = there_and_back(peer);
    g_assert_null(back->sid);
    g_assert_null(back->account);
    g_assert_cmpuint(back->group_sids->len, ==, 0);
}

static gboolean
reads(const guint8 *data, gsize size)
{
    g_autofree guint8 *exact = g_memdup2(data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfPeerIdentity) peer = vmf_peer_identity_from_bytes(exact, size, &error);
    if (peer == NULL)
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    return peer != NULL;
}

static void
test_truncated(void)
{
    g_autoptr(VmfPeerIdentity) peer = somebody();
    g_autoptr(GBytes) bytes = vmf_peer_identity_to_bytes(peer, NULL);
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    for (gsize cut = 0; cut < size; cut++)
        g_assert_false(reads(data, cut));
    g_autofree guint8 *longer = g_malloc0(size + 1);
    memcpy(longer, data, size);
    g_assert_false(reads(longer, size + 1));
}

static void
test_not_text(void)
{
    g_autoptr(VmfPeerIdentity) peer = somebody();
    g_autoptr(GBytes) bytes = vmf_peer_identity_to_bytes(peer, NULL);
    gsize size;
    g_autofree guint8 *data = g_memdup2(g_bytes_get_data(bytes, &size), g_bytes_get_size(bytes));
    size = g_bytes_get_size(bytes);
    guint8 *account = memmem(data, size, "HV1$", 4);
    account[3] = 0; /* "HV1" and a NUL would be another account to most */
    g_assert_false(reads(data, size));
    account[3] = 0xff;
    g_assert_false(reads(data, size));
    account[3] = '$';
    g_assert_true(reads(data, size));
    data[0] |= 0x20;
    g_assert_false(reads(data, size));
}

static void
test_limits(void)
{
    g_autoptr(GError) many = NULL, length = NULL;
    g_autoptr(VmfPeerIdentity) peer = somebody();
    for (guint i = 0; i < VMF_PEER_MAX_GROUPS; i++)
        g_ptr_array_add(peer->group_sids, g_strdup("S-1-5-32-544"));
    g_assert_null(vmf_peer_identity_to_bytes(peer, &many));
    g_assert_error(many, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_autoptr(VmfPeerIdentity) other = somebody();
    g_free(other->principal);
    other->principal = g_strnfill(VMF_PEER_MAX_TEXT + 1, 'x');
    g_assert_null(vmf_peer_identity_to_bytes(other, &length));
    g_assert_error(length, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peer-bytes/whole/there-and-back", test_round_trip);
    g_test_add_func("/peer-bytes/flags/there-and-back", test_flags);
    g_test_add_func("/peer-bytes/no-pac/there-and-back", test_no_pac);
    g_test_add_func("/peer-bytes/every-truncation/refused", test_truncated);
    g_test_add_func("/peer-bytes/not-text/refused", test_not_text);
    g_test_add_func("/peer-bytes/beyond-limits/refused", test_limits);
    return g_test_run();
}
