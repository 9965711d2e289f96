/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>
#include <string.h>

/*
 * Security identifiers (MS-DTYP 2.4.2).
 *
 * Text form "S-1-5-21-…" (2.4.2.1) is what the rest of the program carries; binary form
 * (2.4.2.2: revision, sub-authority count, 6 bytes authority big-endian, sub-authorities
 * little-endian) is what a PAC, a directory attribute and a security descriptor hold.
 */

#define VMF_SID_MAX_SUB_AUTHORITIES 15
#define VMF_SID_MAX_BYTES           (8 + 4 * VMF_SID_MAX_SUB_AUTHORITIES)

/**
 * vmf_sid_from_bytes() - read one binary SID from the start of @data
 * @data:     bytes; need not be aligned
 * @size:     bytes available
 * @consumed: (out) (optional): bytes the SID took
 *
 * Returns: (transfer full): its text form, or %NULL when @data holds no whole SID of revision 1.
 */
gchar *vmf_sid_from_bytes(const guint8 *data, gsize size, gsize *consumed);

/**
 * vmf_sid_to_bytes() - write @text in binary form
 * @out: room for VMF_SID_MAX_BYTES bytes
 *
 * Returns: the bytes written, or 0 when @text is no SID (@out is then untouched).
 */
gsize vmf_sid_to_bytes(const char *text, guint8 out[VMF_SID_MAX_BYTES]);

/** vmf_sid_is_valid() - whether @text is a SID in text form */
gboolean vmf_sid_is_valid(const char *text);

/**
 * vmf_sid_with_rid() - the SID of an account of a domain
 *
 * Returns: (transfer full): "@domain-@rid".
 */
gchar *vmf_sid_with_rid(const char *domain, guint32 rid);

/**
 * vmf_sid_domain() - the SID less its last sub-authority
 *
 * Returns: (transfer full): "S-1-5-21-a-b-c" for "S-1-5-21-a-b-c-1104"; %NULL when @sid has no RID.
 */
gchar *vmf_sid_domain(const char *sid);

/**
 * VmfSid - a SID by value, in its binary form; the bytes behind the last sub-authority are zero
 *
 * An all-zero VmfSid is no SID (its revision is 0).
 */
typedef struct {
    guint8 data[VMF_SID_MAX_BYTES];
} VmfSid;

/** vmf_sid_size() - bytes of the binary form */
static inline gsize
vmf_sid_size(const VmfSid *sid)
{
    return 8 + 4 * (gsize)sid->data[1];
}

/** vmf_sid_equal() - whether both are the same SID */
static inline gboolean
vmf_sid_equal(const VmfSid *a, const VmfSid *b)
{
    return memcmp(a->data, b->data, 8) == 0 &&
           memcmp(a->data + 8, b->data + 8, 4 * a->data[1]) == 0;
}

/**
 * vmf_sid_parse() - read text form
 *
 * Returns: %FALSE when @text is no SID (@out is then untouched).
 */
gboolean vmf_sid_parse(const char *text, VmfSid *out);

/** vmf_sid_format() - write text form. (transfer full) */
gchar *vmf_sid_format(const VmfSid *sid);
