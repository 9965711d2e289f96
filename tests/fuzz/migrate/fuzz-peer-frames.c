/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a peer says over its channel, as it arrives: the first byte picks the direction and how the rest
 * is cut into pieces. The pieces do not matter; a limit is kept; and what is taken for a message is
 * what GDBus takes for one, which reads lines up to CR LF and compares them as C strings.
 */
#include "src/migrate/peer-bus.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

/* Returns: whether all was taken; @begin: where the messages begin, or G_MAXSIZE */
static gboolean
feed(VmfPeerFrames *frames, gboolean client, const guint8 *data, gsize size, gsize piece,
     gsize *begin, GError **error)
{
    *begin = G_MAXSIZE;
    for (gsize at = 0; at < size; at += piece) {
        gsize n = MIN(piece, size - at);
        g_autofree guint8 *exact = g_memdup2(data + at, n);
        gboolean taken = vmf_peer_frames_feed(frames, client, exact, n, error);
        g_assert_true(taken == (error == NULL || *error == NULL));
        if (!taken)
            return FALSE;
        g_assert_true(frames->auth <= VMF_PEER_AUTH_MAX);
        g_assert_true(frames->left <= VMF_PEER_MESSAGE_MAX &&
                      frames->have <= sizeof frames->header);
        if (frames->started && *begin == G_MAXSIZE)
            *begin = at + n;
    }
    return TRUE;
}

/* Where GDBus begins with messages: a line "BEGIN" behind the first byte, or one with "OK " before all. */
static gsize
gdbus_begin(const guint8 *data, gsize size, gboolean client)
{
    for (gsize at = client ? 0 : 1; at < size;) {
        const guint8 *end = memmem(data + at, size - at, "\r\n", 2);
        if (end == NULL)
            return G_MAXSIZE;
        g_autofree gchar *line = g_strndup((const gchar *)data + at, (gsize)(end - data) - at);
        at = (gsize)(end - data) + 2;
        if (client ? g_str_has_prefix(line, "OK ") : strcmp(line, "BEGIN") == 0)
            return at;
    }
    return G_MAXSIZE;
}

/* From there on GDBus counts so, and stays within our limit. */
static void
check_messages(const VmfPeerFrames *frames, const guint8 *data, gsize size)
{
    while (size >= sizeof frames->header) {
        guint8 header[16];
        memcpy(header, data, sizeof header);
        gssize bytes = g_dbus_message_bytes_needed(header, sizeof header, NULL);
        g_assert_true(bytes >= 16 && (gsize)bytes <= VMF_PEER_MESSAGE_MAX);
        if ((gsize)bytes > size) {
            g_assert_cmpuint(frames->left, ==, (gsize)bytes - size);
            return;
        }
        data += bytes;
        size -= (gsize)bytes;
    }
    g_assert_cmpuint(frames->left, ==, 0);
    g_assert_cmpuint(frames->have, ==, size);
    g_assert_cmpmem(frames->header, frames->have, data, size);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    if (size == 0)
        return 0;
    gboolean client = data[0] & 1;
    gsize piece = (data[0] >> 1) + 2, begin, begin_in_pieces;
    VmfPeerFrames frames = {0}, in_pieces = {0};
    g_autoptr(GError) error = NULL, error_in_pieces = NULL;
    data++;
    size--;
    gboolean taken = feed(&frames, client, data, size, 1, &begin, &error);
    gboolean taken_in_pieces = feed(&in_pieces, client, data, size, piece, &begin_in_pieces,
                                    &error_in_pieces);
    g_assert_true(taken == taken_in_pieces);
    if (!taken) {
        g_assert_cmpstr(error->message, ==, error_in_pieces->message);
        g_assert_true(g_error_matches(error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE) ||
                      g_error_matches(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA) ||
                      g_error_matches(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT));
        return 0;
    }
    g_assert_true(frames.started == in_pieces.started && frames.left == in_pieces.left &&
                  frames.have == in_pieces.have && frames.auth == in_pieces.auth);
    g_assert_cmpuint(begin, ==, gdbus_begin(data, size, client));
    if (frames.started)
        check_messages(&frames, data + begin, size - begin);
    return 0;
}
