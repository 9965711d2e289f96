/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/peer-bytes.h"

#include "auth/reader.h"
#include "src/base/error.h"

#include <string.h>

#define NO_TEXT 0xffff

enum { BY_SERVICE_KEY = 1, TRANSITED = 2, FORWARDED = 4, S4U = 8, DELEGATED = 16, ALL_FLAGS = 31 };

static gboolean
fail(GError **error, const char *what)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "a peer's identity has an impossible %s",
                what);
    return FALSE;
}

/* The seven texts, in their order. */
static void
list_texts(VmfPeerIdentity *peer, gchar **texts[7])
{
    gchar **all[7] = {&peer->account, &peer->realm,      &peer->principal,  &peer->fqdn,
                      &peer->sid,     &peer->domain_sid, &peer->pac_account};
    memcpy(texts, all, sizeof all);
}

/* ---- written ---- */

static void
put(GByteArray *out, guint64 number, guint bytes)
{
    for (guint i = bytes; i-- > 0;) {
        guint8 byte = (guint8)(number >> (8 * i));
        g_byte_array_append(out, &byte, 1);
    }
}

static gboolean
put_text(GByteArray *out, const char *text)
{
    gsize length = text ? strlen(text) : 0;
    if (length > VMF_PEER_MAX_TEXT)
        return FALSE;
    put(out, text ? length : NO_TEXT, 2);
    if (text)
        g_byte_array_append(out, (const guint8 *)text, (guint)length);
    return TRUE;
}

GBytes *
vmf_peer_identity_to_bytes(const VmfPeerIdentity *peer, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    gchar **texts[7];
    put(out,
        (peer->proof == VMF_PEER_PROVEN_BY_SERVICE_KEY ? BY_SERVICE_KEY : 0u) |
            (peer->transited ? TRANSITED : 0u) | (peer->forwarded ? FORWARDED : 0u) |
            (peer->s4u ? S4U : 0u) | (peer->delegated ? DELEGATED : 0u),
        1);
    put(out, peer->pac_uac, 4);
    put(out, (guint32)peer->ticket_enctype, 4);
    put(out, (guint32)peer->session_enctype, 4);
    put(out, (guint64)peer->auth_time, 8);
    put(out, (guint64)peer->end_time, 8);
    list_texts((VmfPeerIdentity *)peer, texts);
    gboolean ok = peer->group_sids->len <= VMF_PEER_MAX_GROUPS;
    for (gsize i = 0; ok && i < G_N_ELEMENTS(texts); i++)
        ok = put_text(out, *texts[i]);
    put(out, peer->group_sids->len, 2);
    for (guint i = 0; ok && i < peer->group_sids->len; i++)
        ok = put_text(out, peer->group_sids->pdata[i]);
    if (ok && out->len <= VMF_PEER_MAX_BYTES)
        return g_byte_array_free_to_bytes(g_steal_pointer(&out));
    fail(error, "length");
    return NULL;
}

/* ---- read ---- */

static guint64
get_be64(VmfReader *in)
{
    guint64 high = vmf_reader_be32(in);
    return high << 32 | vmf_reader_be32(in);
}

/* Returns: %FALSE: not as it must be. */
static gboolean
get_text(VmfReader *in, gboolean may_lack, gchar **text)
{
    guint16 length = vmf_reader_be16(in);
    if (length == NO_TEXT)
        return may_lack && vmf_reader_ok(in);
    const guint8 *bytes = length <= VMF_PEER_MAX_TEXT ? vmf_reader_bytes(in, length) : NULL;
    if (bytes == NULL || !g_utf8_validate((const char *)bytes, length, NULL))
        return FALSE;
    *text = g_strndup((const char *)bytes, length);
    return TRUE;
}

static gboolean
read_identity(VmfReader *in, VmfPeerIdentity *peer, GError **error)
{
    gchar **texts[7];
    guint8 flags = vmf_reader_u8(in);
    peer->proof = flags & BY_SERVICE_KEY ? VMF_PEER_PROVEN_BY_SERVICE_KEY
                                         : VMF_PEER_PROVEN_BY_TICKET;
    peer->transited = (flags & TRANSITED) != 0;
    peer->forwarded = (flags & FORWARDED) != 0;
    peer->s4u = (flags & S4U) != 0;
    peer->delegated = (flags & DELEGATED) != 0;
    peer->pac_uac = vmf_reader_be32(in);
    peer->ticket_enctype = (gint)vmf_reader_be32(in);
    peer->session_enctype = (gint)vmf_reader_be32(in);
    peer->auth_time = (gint64)get_be64(in);
    peer->end_time = (gint64)get_be64(in);
    if (flags & ~ALL_FLAGS)
        return fail(error, "flag");
    list_texts(peer, texts);
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        if (!get_text(in, TRUE, texts[i]))
            return fail(error, "text");
    guint16 groups = vmf_reader_be16(in);
    if (groups > VMF_PEER_MAX_GROUPS)
        return fail(error, "number of groups");
    for (guint i = 0; i < groups; i++) {
        gchar *sid = NULL;
        if (!get_text(in, FALSE, &sid))
            return fail(error, "group");
        g_ptr_array_add(peer->group_sids, sid);
    }
    return (vmf_reader_ok(in) && vmf_reader_left(in) == 0) || fail(error, "size");
}

VmfPeerIdentity *
vmf_peer_identity_from_bytes(const guint8 *data, gsize size, GError **error)
{
    g_autoptr(VmfPeerIdentity) peer = vmf_peer_identity_new();
    VmfReader in = vmf_reader(data, size);
    return read_identity(&in, peer, error) ? g_steal_pointer(&peer) : NULL;
}
