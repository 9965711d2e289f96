/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/channel/channel.h"
#include "src/channel/helper.h"

/*
 * Everything that another host can send bytes to runs outside of vmferryd.
 *
 *                      ┌─ vmferry-door ─ accepts, counts, forks ── listening socket
 *   vmferryd ──────────┤        └─ child ─ greeting, TLS, relay ── one connection ◄──► QEMU, vmferryd's D-Bus
 *    judges, acts      └─ vmferry-keys ─ holds the key of host/FQDN
 *                               └─ child ─ one token in; answer, PSK, identity out
 *
 * Operations. vmferry-door gives up every right (sandbox.h) and is given the listening socket. For each
 * connection it forks a child and passes the child's line (line.h) to vmferryd. The child reads greeting
 * and token; the token goes up, vmferryd has it opened by vmferry-keys (keys.h), and sends back the answer
 * and the PSK. TLS runs in the child; when it has confirmed the key, vmferryd judges the identity that it
 * had from vmferry-keys, and sends its verdict. Once both accepted, the child hands up the secret of the
 * streams' keys, gets a plain fd, and relays until one side ends. Connections to other hosts are made by
 * vmferryd, which asks the KDC for a ticket, and given with it to such a child.
 *
 * What a child is: a user without rights, one socket, one line, no file system, no way to make processes or
 * sockets, 8 MiB at most. What somebody could do who took one over: speak for the host that its key
 * stands for, if it had got that far; refuse service to that one connection. What he could not: touch other
 * connections, learn this host's key, open anything.
 *
 * Limits before the proof (vmferry-door): 16 connections from an address, 64 in all, 12 s, of which the
 * handshake itself takes 10 at most; 16 + 65536 bytes of greeting and token, 16 KiB of TLS. 512 connections
 * at once in all. After it, 16 connections of an account may wait for that host's own verdict (vmferryd); who
 * waits takes nobody else's place. Each refusal is one record in the log, which names the limit.
 *
 * Failure model. A child that ends cuts its connection, and no other. One that was ended by a signal may
 * have been probed for a way in: vmferry-door then makes room for a successor, whose memory is
 * laid out anew, and itself ends when its unproven connections have. Established connections go on without
 * their vmferry-door. The end of vmferryd ends all of them, as it cuts their lines.
 */

typedef struct _VmfArrival VmfArrival;

/**
 * VmfDoorSettings
 * @me, @keytab: as in VmfChannelConfig; copied
 * @user:        whom the processes run as
 * @folder:      where vmferry-door and vmferry-keys are; %NULL: where they are installed
 */
typedef struct {
    const VmfHostIdentity *me;
    const char *keytab;
    VmfHelperUser user;
    const char *folder;
} VmfDoorSettings;

/**
 * vmf_door_open() - start both programs, and keep them; connections to other hosts can be made
 *
 * Returns: (transfer full): lives until the process ends; %NULL and
 *   VMF_ERROR_CONFIG    the keytab has no usable key
 *   VMF_ERROR_INTERNAL  a program cannot be started
 */
VmfDoor *vmf_door_open(const VmfDoorSettings *settings, GError **error);

/**
 * VmfDoorHandler - somebody is at the door; called on a thread of its own, 128 at once at most
 *   that are not told our verdict yet
 * @arrival: (transfer full): for vmf_door_accept()
 */
typedef void (*VmfDoorHandler)(VmfArrival *arrival, gpointer data);

/**
 * vmf_door_listen() - let others connect; once
 * @listener: (transfer full): listening socket
 */
void vmf_door_listen(VmfDoor *door, int listener, VmfDoorHandler handler, gpointer data);

/**
 * vmf_door_accept() - hear who it is, and judge
 * @config:  @judge and @timeout_s are used
 * @arrival: (transfer full)
 * @streams: (nullable)
 *
 * Blocking. Returns: as vmf_channel_accept().
 */
VmfChannel *vmf_door_accept(const VmfChannelConfig *config, VmfArrival *arrival,
                            VmfChannelStreams *streams, GError **error);

/** vmf_arrival_address() - numeric, of the other end */
const char *vmf_arrival_address(const VmfArrival *arrival);

/** vmf_door_connect() - vmf_channel_connect(), through @config->door; @sock: (transfer full) */
VmfChannel *
vmf_door_connect(const VmfChannelConfig *config, int sock, const char *peer_fqdn, GError **error);

/** vmf_door_stream() - vmf_channel_stream_connect() of a channel that came through @door */
VmfChannel *vmf_door_stream(VmfDoor *door, int sock, const char *name, const guint8 *key,
                            const VmfPeerIdentity *peer, GError **error);
