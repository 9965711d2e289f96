/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * TLS 1.3 between memory buffers: whoever owns the socket moves the bytes.
 *
 *   plain ──seal──► output ──(socket)──►     input ──open──► plain
 *
 * External PSK with ECDHE (psk_dhe_ke), TLS_AES_128_GCM_SHA256 only: GnuTLS before 3.8 computes the
 * binder of an external PSK with SHA-256 whatever the suite. No certificates, tickets, resumption,
 * early data, renegotiation. Keys are updated by GnuTLS itself after 2^24 records (256 GiB); neither end
 * asks the other to update (GnuTLS fails when two such requests cross).
 *
 * Threads: one may seal and take output, another may feed input and open, at once. GnuTLS lets a key
 * update in one direction touch state of the other, so one mutex is around each call into it; no call
 * blocks, as there is only memory underneath.
 *
 * Failure model: after the first failure the session is dead, each further call fails too.
 */

#define VMF_TLS_KEY_BYTES 32

typedef struct _VmfTls VmfTls;

typedef enum {
    VMF_TLS_OK,     /* done, or some bytes */
    VMF_TLS_AGAIN,  /* more input is needed */
    VMF_TLS_END,    /* the peer has said that its stream ends here (close_notify) */
    VMF_TLS_FAILED, /* see the GError */
} VmfTlsResult;

/**
 * vmf_tls_new() - a session that has not begun yet
 * @server: we are the server
 * @key:    the PSK; copied, and zeroed when the handshake is over
 */
VmfTls *vmf_tls_new(gboolean server, const guint8 key[VMF_TLS_KEY_BYTES], GError **error);
void vmf_tls_free(VmfTls *tls);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfTls, vmf_tls_free)

/**
 * vmf_tls_handshake() - go as far as the input allows; take the output after each call
 *
 * Returns: VMF_TLS_OK when done: the peer holds the key. VMF_TLS_AGAIN; VMF_TLS_FAILED and
 *   VMF_ERROR_AUTH         the peer does not hold the key
 *   VMF_ERROR_UNREACHABLE  the input ended
 *   VMF_ERROR_PROTOCOL     anything else
 */
VmfTlsResult vmf_tls_handshake(VmfTls *tls, GError **error);

/** vmf_tls_seal() - encrypt all of @data to the output */
gboolean vmf_tls_seal(VmfTls *tls, const guint8 *data, gsize size, GError **error);

/** vmf_tls_seal_end() - say to the peer that our stream ends here; nothing may be sealed after it */
gboolean vmf_tls_seal_end(VmfTls *tls, GError **error);

/**
 * vmf_tls_take_output() - swap what is to be sent for an empty array
 * @out: (inout): empty; then the output
 */
void vmf_tls_take_output(VmfTls *tls, GByteArray **out);

/**
 * vmf_tls_input_room() - where to put received bytes
 * @size: (out): room there, at least 64 KiB once all input is used up
 */
guint8 *vmf_tls_input_room(VmfTls *tls, gsize *size);
/** vmf_tls_input_added() - @size bytes have been put there; 0: the connection has ended */
void vmf_tls_input_added(VmfTls *tls, gsize size);

/**
 * vmf_tls_open() - decrypt as much input as @size allows
 * @used: (out): plain bytes, with VMF_TLS_OK
 *
 * Returns: as above; VMF_TLS_FAILED and
 *   VMF_ERROR_UNREACHABLE  the connection ended without the peer's close_notify: truncated
 *   VMF_ERROR_PROTOCOL     a record is not authentic, or the peer reported a failure
 */
VmfTlsResult vmf_tls_open(VmfTls *tls, guint8 *data, gsize size, gsize *used, GError **error);

/**
 * vmf_tls_export() - a key that both ends of this session and nobody else can derive (RFC 8446, 7.5)
 * @context: text; another one, another key
 */
gboolean
vmf_tls_export(VmfTls *tls, const char *context, guint8 key[VMF_TLS_KEY_BYTES], GError **error);

/** vmf_tls_update_keys() - change the keys we send with now; GnuTLS does so by itself too */
gboolean vmf_tls_update_keys(VmfTls *tls, GError **error);
