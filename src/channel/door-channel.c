/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/door-private.h"

#include "auth/gss.h"
#include "src/base/error.h"
#include "src/base/fault-point.h"
#include "src/channel/channel-private.h"
#include "src/channel/greeting.h"
#include "src/channel/handshake.h"
#include "src/channel/line.h"
#include "src/channel/owned-fd.h"
#include "src/channel/relay.h"
#include "src/channel/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* A child's own deadlines come first; these are for one that does not keep them. */
#define HANDSHAKE_S (VMF_HANDSHAKE_TIMEOUT_S + 2)

typedef struct {
    VmfChannel base;
    int line;
    gchar *address;
    VmfRelayCounters *counters; /* shared with the child, which alone writes; NULL before pump */

    pthread_mutex_t lock; /* see tls.c for why not GMutex; guards what follows */
    gboolean started;     /* pump has been called */
    pthread_mutex_t wait_lock;
    gboolean ended; /* guarded by @wait_lock, as is the next */
    GError *error;  /* how it ended; NULL: in order */
} Remote;

static gint64
in_seconds(gint64 seconds)
{
    return g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
}

/* One page that the child counts in: it can lie in it, and nothing else. */
static VmfRelayCounters *
share_counters(int *fd, GError **error)
{
    g_auto(VmfOwnedFd) page = memfd_create("vmferry-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *at = MAP_FAILED;
    if (page >= 0 && ftruncate(page, sizeof(VmfRelayCounters)) == 0 &&
        fcntl(page, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        at = mmap(NULL, sizeof(VmfRelayCounters), PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    if (at == MAP_FAILED) {
        int saved = errno;
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "no memory to share: %s",
                    g_strerror(saved));
        return NULL;
    }
    *fd = vmf_owned_fd_steal(&page);
    return at;
}

static gboolean
remote_pump(VmfChannel *channel, int local_fd, GError **error)
{
    Remote *remote = (Remote *)channel;
    g_auto(VmfOwnedFd) local = local_fd;
    g_auto(VmfOwnedFd) page = -1;
    pthread_mutex_lock(&remote->lock);
    gboolean first = !remote->started, ok = FALSE;
    remote->started = TRUE;
    if (first)
        remote->counters = share_counters(&page, error);
    if (remote->counters && first) {
        const int fds[] = {local, page};
        VmfLineDraft draft = vmf_line_draft(VMF_LINE_PUMP);
        ok = vmf_line_send(remote->line, &draft, fds, error);
        if (channel->stream_name)
            vmf_fault_point_share(&remote->counters->hold, TRUE);
    }
    pthread_mutex_unlock(&remote->lock);
    if (!first)
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                            "this channel is relayed, or was closed, already");
    return ok;
}

static gboolean
remote_wait(VmfChannel *channel, GError **error)
{
    Remote *remote = (Remote *)channel;
    pthread_mutex_lock(&remote->lock);
    gboolean started = remote->counters != NULL;
    pthread_mutex_unlock(&remote->lock);
    if (!started) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INTERNAL, "this channel was never relayed");
        return FALSE;
    }
    pthread_mutex_lock(&remote->wait_lock);
    g_auto(VmfLineMessage) message = {0};
    if (!remote->ended &&
        vmf_line_receive(remote->line, -1, &message, &remote->error, VMF_LINE_ENDED, 0))
        vmf_line_verdict(&message, 0, &remote->error);
    remote->ended = TRUE;
    gboolean ok = remote->error == NULL;
    if (!ok)
        g_propagate_error(error, g_error_copy(remote->error));
    pthread_mutex_unlock(&remote->wait_lock);
    return ok;
}

/* The child sees the end of its line, and cuts; its last message can still be read. */
static void
remote_close(VmfChannel *channel)
{
    Remote *remote = (Remote *)channel;
    pthread_mutex_lock(&remote->lock);
    remote->started = TRUE;
    shutdown(remote->line, SHUT_WR);
    pthread_mutex_unlock(&remote->lock);
}

static guint64
remote_bytes(VmfChannel *channel, gboolean in)
{
    Remote *remote = (Remote *)channel;
    pthread_mutex_lock(&remote->lock);
    const VmfRelayCounters *counters = remote->counters;
    pthread_mutex_unlock(&remote->lock);
    if (counters == NULL)
        return 0;
    return in ? counters->in : counters->out;
}

static gchar *
remote_address(VmfChannel *channel)
{
    return g_strdup(((Remote *)channel)->address);
}

static void
remote_free(VmfChannel *channel)
{
    Remote *remote = (Remote *)channel;
    close(remote->line);
    if (remote->counters)
        vmf_fault_point_share(&remote->counters->hold, FALSE);
    if (remote->counters)
        munmap(remote->counters, sizeof *remote->counters);
    g_clear_error(&remote->error);
    pthread_mutex_destroy(&remote->lock);
    pthread_mutex_destroy(&remote->wait_lock);
    g_free(remote->address);
    g_free(remote);
}

static const VmfChannelOps remote_ops = {
    .pump = remote_pump,
    .wait = remote_wait,
    .close = remote_close,
    .bytes = remote_bytes,
    .address = remote_address,
    .free = remote_free,
};

static VmfChannel *
remote_new(VmfDoor *door, int line, const char *address, VmfPeerIdentity *peer,
           const char *stream_name, const guint8 *secret)
{
    Remote *remote = g_new0(Remote, 1);
    vmf_channel_init(&remote->base, &remote_ops, peer, stream_name, secret);
    remote->base.door = door;
    remote->line = line;
    remote->address = g_strdup(address);
    pthread_mutex_init(&remote->lock, NULL);
    pthread_mutex_init(&remote->wait_lock, NULL);
    return &remote->base;
}

/* ---- the handshake, as seen from here ---- */

/* The next message, of the wanted type; REFUSED becomes its error. */
static gboolean
hear(int line, gint64 deadline, VmfLineType wanted, VmfLineMessage *message, GError **error)
{
    if (!vmf_line_receive(line, deadline, message, error, wanted, VMF_LINE_REFUSED, 0))
        return FALSE;
    if (message->type == wanted)
        return TRUE;
    if (vmf_line_verdict(message, 0, error))
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "refused without a reason");
    return FALSE;
}

/* Tells our verdict; when it is no, @refusal becomes the error, and the child learns its number. */
static gboolean
tell_verdict(int line, GError **refusal, GError **error)
{
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_VERDICT);
    g_autoptr(GError) told = NULL;
    if (*refusal) {
        vmf_refusal_number(refusal);
        told = vmf_refusal_public(*refusal);
    }
    vmf_line_add_verdict(&draft, told);
    gboolean sent = vmf_line_send(line, &draft, NULL, *refusal ? NULL : error);
    if (*refusal == NULL)
        return sent;
    g_propagate_error(error, g_steal_pointer(refusal));
    return FALSE;
}

static void
judge(const VmfChannelConfig *config, const VmfPeerIdentity *peer, GError **refusal)
{
    if (!config->judge(peer, config->judge_data, refusal) && *refusal == NULL)
        g_set_error(refusal, VMF_ERROR, VMF_ERROR_DENIED, "'%s' is not accepted as a peer",
                    peer->principal);
}

static gint64
verdict_deadline(const VmfChannelConfig *config)
{
    return in_seconds((config && config->timeout_s ? config->timeout_s : VMF_VERDICT_TIMEOUT_S) +
                      2);
}

/*
 * The end of either answer to a child: the key, and whose it is; after a refusal, nobody's. @peer and
 * @refusal: one of them, transfer full. Returns: (transfer full): @peer, when the child has it.
 */
static VmfPeerIdentity *
send_key(int line, VmfLineDraft *draft, guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity *peer,
         GError *refusal, GError **error)
{
    vmf_line_add(draft, key, VMF_TLS_KEY_BYTES);
    vmf_line_add_text(draft, peer && peer->principal ? peer->principal : "");
    explicit_bzero(key, VMF_TLS_KEY_BYTES);
    gboolean told = vmf_line_send(line, draft, NULL, peer ? error : NULL);
    if (peer == NULL)
        g_propagate_error(error, refusal);
    else if (!told)
        g_clear_pointer(&peer, vmf_peer_identity_free);
    return peer;
}

/* The token goes to vmferry-keys, the answer down. Returns: (transfer full): who it says it is. */
static VmfPeerIdentity *
answer_token(const VmfArrival *arrival, const VmfLineMessage *token, GError **error)
{
    VmfPeerIdentity *peer = NULL;
    g_autoptr(GBytes) answer = NULL;
    GError *refusal = NULL;
    guint8 key[VMF_TLS_KEY_BYTES] = {0};
    if (!vmf_keys_exchange(vmf_door_keys(arrival->door), token->fields[0].data,
                           token->fields[0].size, &answer, key, &peer, &refusal))
        g_clear_pointer(&peer, vmf_peer_identity_free);
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_ANSWER);
    gsize size = 0;
    const void *data = answer ? g_bytes_get_data(answer, &size) : NULL;
    vmf_line_add_verdict(&draft, refusal);
    vmf_line_add(&draft, data, size);
    return send_key(arrival->line, &draft, key, peer, refusal, error);
}

static VmfPeerIdentity *
answer_name(const VmfArrival *arrival, VmfChannelStreams *streams, const char *name, GError **error)
{
    VmfPeerIdentity *peer = NULL;
    GError *refusal = NULL;
    guint8 key[VMF_TLS_KEY_BYTES] = {0};
    if (streams == NULL)
        g_set_error_literal(&refusal, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "a stream was opened where none is expected");
    else if (!vmf_channel_streams_look_up(streams, name, key, &peer, &refusal))
        g_clear_pointer(&peer, vmf_peer_identity_free);
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_KEY);
    vmf_line_add_verdict(&draft, refusal);
    return send_key(arrival->line, &draft, key, peer, refusal, error);
}

/* Both sides accepted: the child has opened the channel. */
static VmfChannel *
opened(VmfDoor *door, VmfOwnedFd *line, const char *address, VmfPeerIdentity **peer,
       const char *stream_name, gint64 deadline, GError **error)
{
    g_auto(VmfLineMessage) open = {0};
    if (!hear(*line, deadline, VMF_LINE_OPEN, &open, error))
        return NULL;
    return remote_new(door, vmf_owned_fd_steal(line), address, g_steal_pointer(peer), stream_name,
                      open.fields[0].data);
}

/*
 * We have said yes. A peer that never says its own takes nobody's place but its account's: the arrival
 * ends here, and who waits is counted among that account's.
 */
static VmfChannel *
await_peer(const VmfChannelConfig *config, VmfArrival **arrival, VmfPeerIdentity **peer,
           const char *stream_name, GError **error)
{
    VmfDoor *door = (*arrival)->door;
    g_auto(VmfOwnedFd) line = (*arrival)->line;
    g_autofree gchar *address = g_strdup((*arrival)->address);
    (*arrival)->line = -1;
    vmf_arrival_tell(*arrival, VMF_LINE_SETTLED);
    g_clear_pointer(arrival, vmf_arrival_free);
    return opened(door, &line, address, peer, stream_name, verdict_deadline(config), error);
}

static VmfChannel *
judge_and_open(const VmfChannelConfig *config, VmfArrival **arrival, VmfPeerIdentity **peer,
               GError **error)
{
    VmfDoor *door = (*arrival)->door;
    g_autoptr(VmfPeerIdentity) counted = vmf_peer_identity_copy(*peer);
    g_autoptr(GError) refusal = NULL;
    VmfChannel *channel = NULL;
    gboolean enters = FALSE;
    judge(config, *peer, &refusal);
    if (refusal == NULL)
        enters = vmf_door_enter_account(door, counted, &refusal);
    if (tell_verdict((*arrival)->line, &refusal, error))
        channel = await_peer(config, arrival, peer, NULL, error);
    if (enters)
        vmf_door_leave_account(door, counted);
    return channel;
}

/* At most one for each name, which this host has given out. */
static VmfChannel *
open_stream(const VmfChannelConfig *config, VmfArrival **arrival, VmfPeerIdentity **peer,
            VmfChannelStreams *streams, const char *name, GError **error)
{
    g_autoptr(GError) refusal = NULL;
    vmf_channel_streams_use_up(streams, name, &refusal);
    return tell_verdict((*arrival)->line, &refusal, error)
               ? await_peer(config, arrival, peer, name, error)
               : NULL;
}

VmfChannel *
vmf_door_accept(const VmfChannelConfig *config, VmfArrival *arrival_taken,
                VmfChannelStreams *streams, GError **error)
{
    g_autoptr(VmfArrival) arrival = arrival_taken;
    g_auto(VmfLineMessage) first = {0};
    g_auto(VmfLineMessage) confirmed = {0};
    g_autoptr(VmfPeerIdentity) peer = NULL;
    g_autofree gchar *name = NULL;
    gint64 deadline = in_seconds(HANDSHAKE_S);

    if (!vmf_line_receive(arrival->line, deadline, &first, error, VMF_LINE_TOKEN, VMF_LINE_NAME,
                          VMF_LINE_REFUSED, 0))
        return NULL;
    if (first.type == VMF_LINE_REFUSED) {
        vmf_line_verdict(&first, 0, error);
        return NULL;
    }
    if (first.type == VMF_LINE_NAME)
        name = vmf_line_text(&first, 0);
    peer = name ? answer_name(arrival, streams, name, error) : answer_token(arrival, &first, error);
    if (peer == NULL || !hear(arrival->line, deadline, VMF_LINE_CONFIRMED, &confirmed, error))
        return NULL;
    vmf_arrival_tell(arrival, VMF_LINE_PROVEN);

    return name ? open_stream(config, &arrival, &peer, streams, name, error)
                : judge_and_open(config, &arrival, &peer, error);
}

VmfChannel *
vmf_door_connect(const VmfChannelConfig *config, int sock, const char *peer_fqdn, GError **error)
{
    g_auto(VmfOwnedFd) owned = sock;
    const VmfHostIdentity *me = config->me;
    g_autoptr(GBytes) ticket = vmf_gss_ticket(me, config->keytab, config->ccache, peer_fqdn, error);
    if (ticket == NULL)
        return NULL;
    g_autofree gchar *address = vmf_channel_address_of(sock);
    g_auto(VmfOwnedFd) line = vmf_door_child(config->door, vmf_owned_fd_steal(&owned), error);
    if (line < 0)
        return NULL;
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_CONTROL);
    gsize size;
    const void *data = g_bytes_get_data(ticket, &size);
    vmf_line_add_text(&draft, me->account);
    vmf_line_add_text(&draft, me->realm);
    vmf_line_add_text(&draft, me->fqdn);
    vmf_line_add_text(&draft, peer_fqdn);
    vmf_line_add(&draft, data, size);
    g_auto(VmfLineMessage) confirmed = {0};
    if (!vmf_line_send(line, &draft, NULL, error) ||
        !hear(line, in_seconds(HANDSHAKE_S), VMF_LINE_CONFIRMED, &confirmed, error))
        return NULL;

    g_autoptr(VmfPeerIdentity) peer = vmf_peer_identity_new();
    peer->proof = VMF_PEER_PROVEN_BY_SERVICE_KEY;
    peer->realm = g_strdup(me->realm);
    peer->fqdn = g_ascii_strdown(peer_fqdn, -1);
    peer->principal = g_strdup_printf("host/%s@%s", peer->fqdn, me->realm);
    peer->session_enctype = (gint)vmf_line_number(&confirmed, 0);
    g_autoptr(GError) refusal = NULL;
    judge(config, peer, &refusal);
    if (!tell_verdict(line, &refusal, error))
        return NULL;
    return opened(config->door, &line, address, &peer, NULL, verdict_deadline(config), error);
}

VmfChannel *
vmf_door_stream(VmfDoor *door, int sock, const char *name, const guint8 *key,
                const VmfPeerIdentity *peer, GError **error)
{
    g_autofree gchar *address = vmf_channel_address_of(sock);
    g_auto(VmfOwnedFd) line = vmf_door_child(door, sock, error);
    if (line < 0)
        return NULL;
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_STREAM);
    vmf_line_add_text(&draft, name);
    vmf_line_add(&draft, key, VMF_TLS_KEY_BYTES);
    vmf_line_add_text(&draft, peer->principal);
    g_auto(VmfLineMessage) confirmed = {0};
    g_autoptr(VmfPeerIdentity) copy = vmf_peer_identity_copy(peer);
    g_autoptr(GError) no_refusal = NULL;
    if (!vmf_line_send(line, &draft, NULL, error) ||
        !hear(line, in_seconds(HANDSHAKE_S), VMF_LINE_CONFIRMED, &confirmed, error) ||
        !tell_verdict(line, &no_refusal, error))
        return NULL;
    return opened(door, &line, address, &copy, name, verdict_deadline(NULL), error);
}
