/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The first bytes of a stranger: greeting and GSS token as they come from a socket that is then closed,
 * the token given to an acceptor. The forger's keys are always the same: a ticket of the corpus opens, and is
 * too old.
 */
#include "src/base/error.h"
#include "src/channel/exchange.h"
#include "src/channel/handshake.h"
#include "src/channel/wire.h"
#include "tests/unit/auth/forge.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static VmfHostIdentity *me;
static gchar *keytab;

static void
set_up(void)
{
    static const krb5_enctype enctypes[] = {ENCTYPE_AES256_CTS_HMAC_SHA1_96, 0};
    g_autoptr(GError) error = NULL;
    forge_begin();
    atexit(forge_end);
    keytab = forge_keytab("hv2.keytab", enctypes, "HV2$@LAB.TEST", "host/hv2.lab.test@LAB.TEST",
                          NULL);
    me = vmf_host_identity_read(keytab, &error);
    g_assert_no_error(error);
}

static GBytes *
read_token(int sock, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + VMF_HANDSHAKE_TIMEOUT_S * G_USEC_PER_SEC;
    guint8 greeting[VMF_GREETING_BYTES];
    VmfChannelKind kind;
    guint32 length;
    if (!vmf_wire_read(sock, greeting, sizeof greeting, deadline, error) ||
        !vmf_greeting_decode(greeting, sizeof greeting, &kind, &length, error))
        return NULL;
    return vmf_handshake_read_token(sock, length, deadline, error);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    int pair[2];
    if (me == NULL)
        set_up();
    if (size > VMF_GREETING_BYTES + VMF_CHANNEL_TOKEN_BYTES)
        return 0;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    g_assert_cmpint(write(pair[1], data, size), ==, (gssize)size);
    close(pair[1]);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) token = read_token(pair[0], &error), answer = NULL;
    close(pair[0]);
    g_assert_true((token == NULL) == (error != NULL));
    if (token == NULL)
        return 0;
    guint8 key[VMF_TLS_KEY_BYTES];
    g_autoptr(VmfPeerIdentity) peer = NULL;
    g_autoptr(VmfGss) gss = vmf_gss_acceptor(me, keytab, &error);
    g_assert_no_error(error);
    gboolean accepted = vmf_exchange_accept(gss, token, &answer, key, &peer, &error);
    g_assert_true(accepted == (error == NULL) && accepted == (peer != NULL));
    g_assert_true(accepted || error->domain == VMF_ERROR);
    return 0;
}
