/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/ap-req.h"

#include "auth/reader.h"

#include <string.h>

/* DER tags of RFC 4120's KRB_AP_REQ, in their order */
enum {
    TAG_GSS_TOKEN = 0x60, /* [APPLICATION 0] */
    TAG_OID = 0x06,
    TAG_AP_REQ = 0x6e, /* [APPLICATION 14] */
    TAG_SEQUENCE = 0x30,
    TAG_PVNO = 0xa0,
    TAG_MSG_TYPE = 0xa1,
    TAG_AP_OPTIONS = 0xa2,
    TAG_TICKET_FIELD = 0xa3,
    TAG_AUTHENTICATOR = 0xa4,
    TAG_TICKET = 0x61, /* [APPLICATION 1] */
};

static const guint8 krb5_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02};
static const guint8 tok_id_ap_req[] = {0x01, 0x00};

/* The definite length of X.690 8.1.3, up to four bytes of it. */
static gsize
read_length(VmfReader *in)
{
    guint8 first = vmf_reader_u8(in);
    if (first < 0x80)
        return first;
    gsize bytes = first & 0x7f, length = 0;
    if (bytes == 0 || bytes > 4) {
        in->failed = TRUE;
        return 0;
    }
    while (bytes-- > 0)
        length = length << 8 | vmf_reader_u8(in);
    return length;
}

/* Takes one element with @tag out of @in; @inner then reads its contents. */
static gboolean
enter(VmfReader *in, guint8 tag, VmfReader *inner)
{
    guint8 found = vmf_reader_u8(in);
    gsize length = read_length(in);
    const guint8 *contents = vmf_reader_bytes(in, length);
    if (!vmf_reader_ok(in) || found != tag)
        return FALSE;
    *inner = vmf_reader(contents, length);
    return TRUE;
}

static gboolean
skip(VmfReader *in, guint8 tag)
{
    VmfReader ignored;
    return enter(in, tag, &ignored);
}

/* As enter(), and nothing may follow the element in @in. */
static gboolean
enter_only(VmfReader *in, guint8 tag, VmfReader *inner)
{
    return enter(in, tag, inner) && vmf_reader_left(in) == 0;
}

gboolean
vmf_ap_req_find_ticket(const guint8 *token, gsize size, const guint8 **ticket, gsize *ticket_size)
{
    VmfReader in = vmf_reader(token, size), frame, oid, ap_req, fields, field, inner;
    if (!enter_only(&in, TAG_GSS_TOKEN, &frame) || !enter(&frame, TAG_OID, &oid) ||
        oid.size != sizeof krb5_oid || memcmp(oid.data, krb5_oid, sizeof krb5_oid) != 0)
        return FALSE;
    const guint8 *token_id = vmf_reader_bytes(&frame, sizeof tok_id_ap_req);
    if (token_id == NULL || memcmp(token_id, tok_id_ap_req, sizeof tok_id_ap_req) != 0)
        return FALSE;
    if (!enter_only(&frame, TAG_AP_REQ, &ap_req) || !enter_only(&ap_req, TAG_SEQUENCE, &fields) ||
        !skip(&fields, TAG_PVNO) || !skip(&fields, TAG_MSG_TYPE) ||
        !skip(&fields, TAG_AP_OPTIONS) || !enter(&fields, TAG_TICKET_FIELD, &field) ||
        !skip(&fields, TAG_AUTHENTICATOR) || vmf_reader_left(&fields) != 0)
        return FALSE;

    VmfReader whole = field;
    if (!enter_only(&field, TAG_TICKET, &inner))
        return FALSE;
    *ticket = whole.data;
    *ticket_size = whole.size;
    return TRUE;
}
