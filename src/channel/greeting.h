/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * The bytes of a channel outside TLS, and the verdict inside it. Pure. All numbers big-endian.
 *
 *   greeting  initiator → acceptor
 *      0  8  "VMFERRY1"
 *      8  1  kind: 1 control, 2 stream
 *      9  3  zero
 *     12  4  length of what follows: a GSS token (1 … 65536), or a stream's name (32)
 *   answer    acceptor → initiator, control only
 *      0  4  length of the GSS token that follows (1 … 65536)
 *   verdict   both ways, the first bytes inside TLS
 *      0  1  0 accepted, 1 refused
 *      1  1  refused: VmfError, why
 *      2  2  length of the UTF-8 text that follows (0 … 1024; 0 when accepted)
 *
 * Anything else ends the connection.
 */

#define VMF_GREETING_BYTES      16
#define VMF_ANSWER_BYTES        4
#define VMF_VERDICT_BYTES       4
#define VMF_STREAM_NAME_CHARS   32
#define VMF_VERDICT_TEXT_MAX    1024
#define VMF_CHANNEL_TOKEN_BYTES 65536

typedef enum {
    VMF_CHANNEL_CONTROL = 1,
    VMF_CHANNEL_STREAM = 2,
} VmfChannelKind;

void vmf_greeting_encode(VmfChannelKind kind, guint32 length, guint8 out[VMF_GREETING_BYTES]);

/**
 * vmf_greeting_decode() - check all 16 bytes, the length included
 *
 * Returns: %TRUE, or %FALSE and VMF_ERROR_PROTOCOL.
 */
gboolean vmf_greeting_decode(const guint8 *data, gsize size, VmfChannelKind *kind, guint32 *length,
                             GError **error);

void vmf_answer_encode(guint32 length, guint8 out[VMF_ANSWER_BYTES]);
gboolean vmf_answer_decode(const guint8 *data, gsize size, guint32 *length, GError **error);

/** vmf_stream_name_valid() - 32 lower-case hex digits */
gboolean vmf_stream_name_valid(const char *name);

/**
 * vmf_verdict_encode() - "accepted" for %NULL, else "refused" with @refusal's code and message
 *
 * The message is cut at a character's end to fit. Returns: (transfer full).
 */
GBytes *vmf_verdict_encode(const GError *refusal);

/**
 * vmf_verdict_head_decode() - the first four bytes
 * @text_length: (out): how many bytes of text follow
 */
gboolean vmf_verdict_head_decode(const guint8 *data, gsize size, gboolean *accepted, gint *code,
                                 guint16 *text_length, GError **error);

/**
 * vmf_verdict_text() - the peer's words, made harmless: valid UTF-8, control characters replaced
 *
 * Returns: (transfer full).
 */
gchar *vmf_verdict_text(const guint8 *data, gsize size);
