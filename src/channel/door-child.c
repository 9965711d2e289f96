/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/door-child.h"

#include "auth/gss.h"
#include "src/base/error.h"
#include "src/channel/handshake.h"
#include "src/channel/line.h"
#include "src/channel/relay.h"
#include "src/channel/sandbox.h"
#include "src/channel/session.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Beyond what the parent has: TLS buffers 0.5 MiB, blocks of the relay 0.5, what waits to be sent 1 */
#define MORE_DATA ((guint64)8 * 1024 * 1024)

/* A vmferryd that has not answered by then has lost interest. */
#define ANSWER_S ((gint64)12)
/* Its directory may be slow (auth/directory.h), and the peer's as well. */
#define VERDICT_S ((gint64)60)

typedef struct {
    int line;
    gboolean control_out; /* we connected, by Kerberos: vmferryd cannot see the session */
} Child;

static gint64
in_seconds(gint64 seconds)
{
    return g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
}

/* The rest of the process sees an identity with this name only: vmferryd has the whole one. */
static VmfPeerIdentity *
named(const VmfLineMessage *message, guint field)
{
    VmfPeerIdentity *peer = vmf_peer_identity_new();
    peer->principal = vmf_line_text(message, field);
    return peer;
}

static gboolean
ask_exchange(gpointer data, GBytes *token, GBytes **answer, guint8 key[VMF_TLS_KEY_BYTES],
             VmfPeerIdentity **peer, GError **error)
{
    const Child *child = data;
    gsize size;
    const void *bytes = g_bytes_get_data(token, &size);
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_TOKEN);
    vmf_line_add(&draft, bytes, size);
    g_auto(VmfLineMessage) message = {0};
    if (!vmf_line_send(child->line, &draft, NULL, error) ||
        !vmf_line_receive(child->line, in_seconds(ANSWER_S), &message, error, VMF_LINE_ANSWER, 0))
        return FALSE;
    if (message.fields[1].size > 0)
        *answer = g_bytes_new(message.fields[1].data, message.fields[1].size);
    if (!vmf_line_verdict(&message, 0, error))
        return FALSE;
    memcpy(key, message.fields[2].data, VMF_TLS_KEY_BYTES);
    *peer = named(&message, 3);
    return TRUE;
}

static gboolean
ask_look_up(gpointer data, const char *name, guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity **peer,
            GError **error)
{
    const Child *child = data;
    g_auto(VmfLineMessage) message = {0};
    if (!vmf_line_tell(child->line, VMF_LINE_NAME, name, error) ||
        !vmf_line_receive(child->line, in_seconds(ANSWER_S), &message, error, VMF_LINE_KEY, 0) ||
        !vmf_line_verdict(&message, 0, error))
        return FALSE;
    memcpy(key, message.fields[1].data, VMF_TLS_KEY_BYTES);
    *peer = named(&message, 2);
    return TRUE;
}

static gboolean
ask_judge(gpointer data, const VmfPeerIdentity *peer, const char *stream_name, GError **error)
{
    const Child *child = data;
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_CONFIRMED);
    vmf_line_add_number(&draft, child->control_out ? (guint32)peer->session_enctype : 0);
    g_auto(VmfLineMessage) message = {0};
    return vmf_line_send(child->line, &draft, NULL, error) &&
           vmf_line_receive(child->line, in_seconds(VERDICT_S), &message, error, VMF_LINE_VERDICT,
                            0) &&
           vmf_line_verdict(&message, 0, error);
}

static VmfChannel *
meet(const VmfSessionHost *host, int sock, int line, GError **error)
{
    g_auto(VmfLineMessage) order = {0};
    if (!vmf_line_receive(line, in_seconds(ANSWER_S), &order, error, VMF_LINE_CONTROL,
                          VMF_LINE_STREAM, 0))
        return NULL;
    if (order.type == VMF_LINE_STREAM) {
        g_autofree gchar *name = vmf_line_text(&order, 0);
        g_autoptr(VmfPeerIdentity) peer = named(&order, 2);
        return vmf_session_stream(host, sock, name, order.fields[1].data, peer, error);
    }
    ((Child *)host->host)->control_out = TRUE;
    g_autofree gchar *account = vmf_line_text(&order, 0), *realm = vmf_line_text(&order, 1),
                     *fqdn = vmf_line_text(&order, 2), *peer_fqdn = vmf_line_text(&order, 3);
    g_autoptr(VmfHostIdentity) me = vmf_host_identity_new(account, realm, fqdn);
    g_autoptr(GBytes) ticket = g_bytes_new(order.fields[4].data, order.fields[4].size);
    g_autoptr(VmfGss) gss = vmf_gss_initiator_with(me, ticket, peer_fqdn, error);
    return gss ? vmf_session_connect(host, gss, sock, error) : NULL;
}

/* ---- relaying ---- */

typedef struct {
    VmfChannel *channel;
    int line;
} Watch;

/* Whether vmferryd still wants it: the end of its line says no. */
static void *
watch_line(void *data)
{
    const Watch *watch = data;
    struct pollfd one = {watch->line, POLLIN, 0};
    while (poll(&one, 1, -1) < 0)
        ;
    vmf_channel_close(watch->channel); /* it is never told anything more: an end, or nonsense */
    return NULL;
}

static VmfRelayCounters *
map_counters(int fd, GError **error)
{
    void *at = mmap(NULL, sizeof(VmfRelayCounters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        return at;
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INTERNAL, "no shared memory for counters");
    return NULL;
}

static gboolean
relay(VmfChannel *channel, VmfLineMessage *pump, int line, GError **error)
{
    VmfRelayCounters *counters = map_counters(vmf_line_take_fd(pump, 1), error);
    static Watch watch; /* the thread outlives this function, if not by much */
    pthread_t watcher;
    pthread_attr_t small;
    if (counters == NULL)
        return FALSE;
    vmf_session_count_in(channel, counters);
    if (!vmf_channel_pump(channel, vmf_line_take_fd(pump, 0), error))
        return FALSE;
    watch = (Watch){channel, line};
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    if (pthread_create(&watcher, &small, watch_line, &watch) != 0) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INTERNAL, "no thread to watch a line");
        return FALSE;
    }
    return vmf_channel_wait(channel, error);
}

static void
tell_end(int line, VmfLineType type, const GError *error)
{
    VmfLineDraft draft = vmf_line_draft(type);
    vmf_line_add_verdict(&draft, error);
    vmf_line_send(line, &draft, NULL, NULL);
}

void
vmf_door_child_run(int sock, int line, gboolean accepted, guint64 data_now)
{
    g_autoptr(GError) error = NULL;
    Child child = {.line = line};
    const VmfSessionHost host = {
        .exchange = ask_exchange, .look_up = ask_look_up, .judge = ask_judge, .host = &child};
    VmfChannel *channel = NULL;
    if (vmf_sandbox_limit(data_now, MORE_DATA, &error) &&
        vmf_sandbox_enter(VMF_SANDBOX_CHILD, &error))
        channel = accepted ? vmf_session_accept(&host, sock, &error)
                           : meet(&host, sock, line, &error);
    if (channel == NULL) {
        tell_end(line, VMF_LINE_REFUSED, error);
        _exit(0);
    }
    VmfLineDraft open = vmf_line_draft(VMF_LINE_OPEN);
    vmf_line_add(&open, channel->stream_secret, sizeof channel->stream_secret);
    g_auto(VmfLineMessage) pump = {0};
    if (vmf_line_send(line, &open, NULL, NULL) &&
        vmf_line_receive(line, -1, &pump, NULL, VMF_LINE_PUMP, 0)) {
        gboolean ok = relay(channel, &pump, line, &error);
        tell_end(line, VMF_LINE_ENDED, ok ? NULL : error);
    }
    _exit(0);
}

void
vmf_door_child_warm_up(void)
{
    static const guint8 any_key[VMF_TLS_KEY_BYTES] = {0};
    g_autoptr(VmfTls) tls = vmf_tls_new(TRUE, any_key, NULL);
    vmf_gss_warm_up();
}
