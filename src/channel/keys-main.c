/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vmferry-keys ACCOUNT REALM FQDN - opens strangers' Kerberos tickets; see keys.h
 *
 * Operations. Descriptor 3 is the line to vmferryd, descriptor 4 the keytab. The key is taken into memory
 * and everything else given up before the first order. Each order brings a line, for which a child is
 * forked: one token, one answer, the end. Nothing of one exchange is there in the next.
 *
 * libkrb5 keeps no record of replays here (KRB5RCACHENAME=none:, see helper.c), which would be a file: who
 * repeats somebody's token has no session key, and TLS, which comes next, needs it.
 *
 * Failure model. The parent reads nothing but empty orders. A child has 10 s of time and of processor, then
 * it is ended by the kernel; its line ends with it.
 */
#include "auth/gss.h"
#include "auth/peer-bytes.h"
#include "src/base/error.h"
#include "src/channel/exchange.h"
#include "src/channel/helper.h"
#include "src/channel/line.h"
#include "src/channel/sandbox.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYTAB    "/proc/self/fd/4"
#define MORE_DATA ((guint64)4 * 1024 * 1024)

static void
answer_token(VmfGss *gss, const VmfLineMessage *message, int line)
{
    g_autoptr(GBytes) token = g_bytes_new(message->fields[0].data, message->fields[0].size);
    g_autoptr(GBytes) answer = NULL, identity = NULL;
    g_autoptr(VmfPeerIdentity) peer = NULL;
    g_autoptr(GError) error = NULL;
    guint8 key[VMF_TLS_KEY_BYTES] = {0};
    if (vmf_exchange_accept(gss, token, &answer, key, &peer, &error))
        identity = vmf_peer_identity_to_bytes(peer, &error);
    if (identity == NULL)
        explicit_bzero(key, sizeof key);

    VmfLineDraft draft = vmf_line_draft(VMF_LINE_ACCEPTED);
    gsize size = 0;
    vmf_line_add_verdict(&draft, identity ? NULL : error);
    const void *data = answer ? g_bytes_get_data(answer, &size) : NULL;
    vmf_line_add(&draft, data, size);
    vmf_line_add(&draft, key, sizeof key);
    size = 0;
    data = identity ? g_bytes_get_data(identity, &size) : NULL;
    vmf_line_add(&draft, data, size);
    vmf_line_send(line, &draft, NULL, NULL);
}

static G_NORETURN void
run_child(VmfGss *gss, int line, guint64 data_now)
{
    g_auto(VmfLineMessage) message = {0};
    close(VMF_HELPER_LINE_FD);
    alarm(10); /* the default of SIGALRM ends it */
    if (!vmf_sandbox_limit(data_now, MORE_DATA, NULL) ||
        !vmf_sandbox_enter(VMF_SANDBOX_CHILD, NULL))
        _exit(1);
    if (vmf_line_receive(line, -1, &message, NULL, VMF_LINE_ACCEPT, 0))
        answer_token(gss, &message, line);
    _exit(0);
}

static int
serve(VmfGss *gss)
{
    guint64 data_now = vmf_sandbox_data_now();
    g_autoptr(GError) error = NULL;
    signal(SIGCHLD, SIG_IGN); /* nobody asks how they ended: the line tells */
    close(VMF_HELPER_FILE_FD);
    if (!vmf_sandbox_enter(VMF_SANDBOX_PARENT, &error)) {
        g_printerr("vmferry-keys: %s\n", error->message);
        return 1;
    }
    for (;;) {
        g_auto(VmfLineMessage) order = {0};
        if (!vmf_line_receive(VMF_HELPER_LINE_FD, -1, &order, NULL, VMF_LINE_EXCHANGE, 0))
            return 0; /* vmferryd has ended, or wants another one */
        if (fork() == 0)
            run_child(gss, order.fds[0], data_now);
    }
}

int
main(int argc, char **argv)
{
    if (argc != 4) {
        g_printerr("vmferry-keys is started by vmferryd\n");
        return 2;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfHostIdentity) me = vmf_host_identity_new(argv[1], argv[2], argv[3]);
    g_autoptr(VmfGss) gss = vmf_gss_acceptor(me, KEYTAB, &error);
    if (gss == NULL) {
        g_printerr("vmferry-keys: %s\n", error->message);
        return 1;
    }
    return serve(gss);
}
