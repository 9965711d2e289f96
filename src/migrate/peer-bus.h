/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gio/gio.h>

/*
 * D-Bus between two vmferryds, over the plain fd of a channel, and what a peer may cost.
 *
 * A peer has proven who it is; it may lie all the same. GDBus reads a message of up to 128 MiB, a
 * line of its authentication of any length, waits for the end of that for ever, and takes any
 * number of calls before the first one is answered. What it has to say it keeps until the peer reads
 * it, without end, and it has something to say to each call, also where nothing is served. Here a
 * message has an end, the authentication too; a peer that has too many calls open is refused the next;
 * and who does not even read the refusals, or says what its end of the connection has no reason to say
 * (a call to the client, a signal), is not listened to any longer.
 *
 * Failure model: who goes over a limit of bytes or time, or says what has no place, loses the connection,
 * as if it were cut. The latter, and who reads no refusals, is told in the log, once.
 */

#define VMF_PEER_MESSAGE_MAX ((gsize)16 * 1024 * 1024) /* a definition, and room */
#define VMF_PEER_AUTH_MAX    ((gsize)16 * 1024)        /* bytes before the first message */
#define VMF_PEER_AUTH_S      10
#define VMF_PEER_CALLS_MAX   32 /* not answered yet, of one connection */
#define VMF_PEER_LARGE       ((gsize)256 * 1024)
#define VMF_PEER_LARGE_MAX   2 /* of them with a body larger than that */
#define VMF_PEER_ANSWERS_MAX                                                                       \
    128 /* refusals among them: not taken by the peer yet; then it is cut */

/**
 * vmf_peer_bus_over() - at either end
 * @fd:     (transfer full): closed on failure too
 * @server: the end that accepted the channel: answers calls, within the limit; processing of
 *          messages is to be started by the caller
 * @peer:   whom the log names
 *
 * Returns: (transfer full): the connection; %NULL and GIO's errors
 */
GDBusConnection *vmf_peer_bus_over(int fd, gboolean server, const char *peer, GError **error);

/** vmf_peer_bus_was_cut() - what the peer did that ended it: "has sent …"; %NULL: nothing that was seen */
const char *vmf_peer_bus_was_cut(GDBusConnection *bus);

/**
 * VmfPeerFrames - where a message ends in a stream of bytes; zeroed at first. Pure
 */
typedef struct {
    guint8 header[16];
    gsize have;       /* of the header */
    gsize left;       /* of the message after its header */
    gsize auth;       /* bytes of the authentication so far */
    gboolean started; /* messages have begun */
    gsize line;       /* bytes of the authentication's present line */
    gsize matched;    /* of them, from its beginning, as in the line that ends the authentication */
    gboolean ending;  /* its CR has come */
} VmfPeerFrames;

/**
 * vmf_peer_frames_feed() - the next bytes that a peer has sent
 * @client: this end began: the peer's authentication ends with a line "OK …", else with a line "BEGIN"
 *
 * Returns: %FALSE and G_IO_ERROR_MESSAGE_TOO_LARGE or _INVALID_DATA
 */
gboolean vmf_peer_frames_feed(VmfPeerFrames *frames, gboolean client, const guint8 *data,
                              gsize size, GError **error);
