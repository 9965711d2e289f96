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
 *      1  2  zero
 *      3  1  length of the reference that follows: 8 when refused, or 0
 *   reference: 8 lower-case hex digits, by which the refusing host's log is searched for the reason
 *
 * Anything else ends the connection. Why somebody is refused is for the log of who refuses: a verdict has no
 * room for a rule, a group or a cure, whatever error it is made of.
 */

#define VMF_GREETING_BYTES      16
#define VMF_ANSWER_BYTES        4
#define VMF_VERDICT_BYTES       4
#define VMF_STREAM_NAME_CHARS   32
#define VMF_REFERENCE_CHARS     8
#define VMF_PEER_TEXT_MAX       1024
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
 * vmf_refusal_number() - gives a refusal the reference by which log and refused host mean the same
 * @refusal: (inout): its message ends in " (record 3f2a91c0)" then
 */
void vmf_refusal_number(GError **refusal);

/**
 * vmf_refusal_public() - of a numbered refusal, what may be known outside: VMF_ERROR_DENIED, "(record 3f2a91c0)"
 *
 * Returns: (transfer full).
 */
GError *vmf_refusal_public(const GError *refusal);

/**
 * vmf_verdict_encode() - "accepted" for %NULL, else "refused" with the reference of @refusal, if it has one
 *
 * Returns: (transfer full).
 */
GBytes *vmf_verdict_encode(const GError *refusal);

/**
 * vmf_verdict_head_decode() - the first four bytes
 * @length: (out): how many bytes of a reference follow: 0 or VMF_REFERENCE_CHARS
 */
gboolean vmf_verdict_head_decode(const guint8 *data, gsize size, gboolean *accepted, gsize *length,
                                 GError **error);

/** vmf_reference_valid() - eight lower-case hex digits; @text needs no NUL behind them */
gboolean vmf_reference_valid(const char *text, gsize size);

/**
 * vmf_peer_text() - words of a peer, made harmless: valid UTF-8, control characters replaced
 *
 * Returns: (transfer full).
 */
gchar *vmf_peer_text(const guint8 *data, gsize size);
