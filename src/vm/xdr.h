/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * XDR (RFC 4506): the writer appends to a GByteArray, the reader is bounded and cannot run past
 * its end. After the first fault the reader answers zeros and FALSE for ever, so that a decoder
 * reads straight on and asks vmf_xdr_end() once.
 */
#pragma once

#include <glib.h>

void vmf_xdr_put_u32(GByteArray *out, guint32 value);
void vmf_xdr_put_u64(GByteArray *out, guint64 value);
void vmf_xdr_put_fixed(GByteArray *out, const void *data, gsize length);  /* opaque[length] */
void vmf_xdr_put_opaque(GByteArray *out, const void *data, gsize length); /* opaque<> */
void vmf_xdr_put_string(GByteArray *out, const char *string);             /* string<> */
void vmf_xdr_put_optional_string(GByteArray *out, const char *string); /* *string, NULL: absent */

typedef struct {
    const guint8 *data;
    gsize length;
    gsize at;
    gboolean failed;
} VmfXdrReader;

void vmf_xdr_init(VmfXdrReader *reader, const void *data, gsize length);
guint32 vmf_xdr_u32(VmfXdrReader *reader);
guint64 vmf_xdr_u64(VmfXdrReader *reader);
/* Fails on fewer than @length bytes, leaves @out alone then. */
gboolean vmf_xdr_fixed(VmfXdrReader *reader, void *out, gsize length);
/* At most @max bytes; NULL on failure. (transfer full) */
GBytes *vmf_xdr_opaque(VmfXdrReader *reader, gsize max);
/* At most @max bytes, valid UTF-8 without NUL; NULL on failure. (transfer full) */
gchar *vmf_xdr_string(VmfXdrReader *reader, gsize max);
/* A presence word, then a string. NULL when absent or failed. (transfer full) */
gchar *vmf_xdr_optional_string(VmfXdrReader *reader, gsize max);
/* TRUE when nothing failed and no byte is left. */
gboolean vmf_xdr_end(const VmfXdrReader *reader);
