/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/libvirt-wire.h"

#include <string.h>

#include "src/base/error.h"
#include "src/vm/xdr.h"

#define PROGRAM        0x20008086u
#define VERSION        1u
#define HEADER_WORDS   7 /* length and the six of virNetMessageHeader */
#define HEADER_BYTES   (HEADER_WORDS * 4)
#define AUTH_TYPES_MAX 20
#define UUID_BYTES     16

enum { TYPE_CALL = 0, TYPE_REPLY = 1, TYPE_MESSAGE = 2 };
enum { STATUS_OK = 0, STATUS_ERROR = 1 };

GByteArray *
vmf_wire_encode_call(guint32 procedure, guint32 serial, const GByteArray *args)
{
    guint body = args != NULL ? args->len : 0;
    GByteArray *frame = g_byte_array_sized_new(HEADER_BYTES + body);
    const guint32 words[HEADER_WORDS] = {HEADER_BYTES + body, PROGRAM, VERSION,  procedure,
                                         TYPE_CALL,           serial,  STATUS_OK};
    for (guint i = 0; i < HEADER_WORDS; i++)
        vmf_xdr_put_u32(frame, words[i]);
    if (body > 0)
        g_byte_array_append(frame, args->data, body);
    return frame;
}

static gboolean
malformed(GError **error, const char *what)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "libvirtd's answer makes no sense (%s): whether the call was done is unknown",
                what);
    return FALSE;
}

gboolean
vmf_wire_frame_length(const void *data, gsize available, gsize *length, GError **error)
{
    *length = 0;
    if (available < 4)
        return TRUE;
    VmfXdrReader reader;
    vmf_xdr_init(&reader, data, 4);
    guint32 stated = vmf_xdr_u32(&reader);
    if (stated < HEADER_BYTES || stated > VMF_WIRE_FRAME_MAX)
        return malformed(error, "impossible frame length");
    *length = stated;
    return TRUE;
}

/* virNetMessageDomain and virNetMessageNetwork, both unused: optional name, UUID and id. */
static void
skip_object(VmfXdrReader *reader, gboolean has_id)
{
    guint8 uuid[UUID_BYTES];
    guint32 present = vmf_xdr_u32(reader);
    if (present > 1)
        reader->failed = TRUE;
    if (present != 1)
        return;
    g_free(vmf_xdr_string(reader, VMF_WIRE_STRING_MAX)); /* name */
    vmf_xdr_fixed(reader, uuid, sizeof uuid);
    if (has_id)
        vmf_xdr_u32(reader);
}

/* struct virNetMessageError */
static VmfWireKind
decode_error(VmfXdrReader *reader, VmfWireReply *reply, GError **error)
{
    gint32 code = (gint32)vmf_xdr_u32(reader);
    gint32 domain = (gint32)vmf_xdr_u32(reader);
    g_autofree gchar *message = vmf_xdr_optional_string(reader, VMF_WIRE_STRING_MAX);
    vmf_xdr_u32(reader); /* level */
    skip_object(reader, TRUE);
    for (guint i = 0; i < 3; i++)
        g_free(vmf_xdr_optional_string(reader, VMF_WIRE_STRING_MAX));
    vmf_xdr_u32(reader); /* int1 */
    vmf_xdr_u32(reader); /* int2 */
    skip_object(reader, FALSE);
    if (!vmf_xdr_end(reader)) {
        malformed(error, "its error is cut short or too long");
        return VMF_WIRE_MALFORMED;
    }
    reply->code = code;
    reply->domain = domain;
    reply->message = g_steal_pointer(&message);
    return VMF_WIRE_ERROR;
}

static VmfWireKind
malformed_kind(GError **error, const char *what)
{
    malformed(error, what);
    return VMF_WIRE_MALFORMED;
}

VmfWireKind
vmf_wire_decode_reply(GBytes *frame, guint32 procedure, guint32 serial, VmfWireReply *reply,
                      GError **error)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(frame, &size);
    VmfXdrReader reader;
    guint32 word[HEADER_WORDS];
    vmf_xdr_init(&reader, data, size);
    for (guint i = 0; i < HEADER_WORDS; i++)
        word[i] = vmf_xdr_u32(&reader);
    if (reader.failed || word[0] != size)
        return malformed_kind(error, "a frame of another length than stated");
    if (word[1] != PROGRAM || word[2] != VERSION || word[4] == TYPE_MESSAGE)
        return VMF_WIRE_OTHER;
    if (word[4] != TYPE_REPLY)
        return malformed_kind(error, "neither reply nor event");
    if (word[5] != serial)
        return VMF_WIRE_OTHER;
    if (word[3] != procedure)
        return malformed_kind(error, "the reply of another procedure");
    if (word[6] == STATUS_ERROR)
        return decode_error(&reader, reply, error);
    if (word[6] != STATUS_OK)
        return malformed_kind(error, "unknown status");
    reply->body = g_bytes_new_from_bytes(frame, HEADER_BYTES, size - HEADER_BYTES);
    return VMF_WIRE_REPLY;
}

static gboolean
uuid_bytes(const char *uuid, guint8 out[UUID_BYTES])
{
    if (!g_uuid_string_is_valid(uuid))
        return FALSE;
    guint n = 0;
    for (const char *at = uuid; *at != '\0'; at++) {
        if (*at == '-')
            continue;
        guint8 digit = (guint8)g_ascii_xdigit_value(*at);
        out[n / 2] = n % 2 == 0 ? (guint8)(digit << 4) : (guint8)(out[n / 2] | digit);
        n++;
    }
    return TRUE;
}

void
vmf_wire_put_uuid(GByteArray *out, const char *uuid)
{
    guint8 raw[UUID_BYTES] = {0};
    uuid_bytes(uuid, raw);
    vmf_xdr_put_fixed(out, raw, sizeof raw);
}

void
vmf_wire_put_domain(GByteArray *out, const char *name, const char *uuid)
{
    vmf_xdr_put_string(out, name);
    vmf_wire_put_uuid(out, uuid);
    vmf_xdr_put_u32(out, G_MAXUINT32); /* id: libvirtd looks domains up by UUID */
}

void
vmf_wire_put_params(GByteArray *out, const VmfTypedParam *params, guint n_params)
{
    vmf_xdr_put_u32(out, n_params);
    for (guint i = 0; i < n_params; i++) {
        vmf_xdr_put_string(out, params[i].field);
        vmf_xdr_put_u32(out, params[i].type);
        switch (params[i].type) {
        case VMF_TYPED_INT:
            vmf_xdr_put_u32(out, (guint32)params[i].i);
            break;
        case VMF_TYPED_ULLONG:
            vmf_xdr_put_u64(out, params[i].ul);
            break;
        case VMF_TYPED_STRING:
            vmf_xdr_put_string(out, params[i].s);
            break;
        }
    }
}

void
vmf_wire_put_cookie(GByteArray *out, GBytes *cookie)
{
    gsize size = 0;
    const void *data = cookie != NULL ? g_bytes_get_data(cookie, &size) : NULL;
    vmf_xdr_put_opaque(out, data, size);
}

static void
open_body(VmfXdrReader *reader, GBytes *body)
{
    gsize size;
    const void *data = g_bytes_get_data(body, &size);
    vmf_xdr_init(reader, data, size);
}

gboolean
vmf_wire_get_cookie_xml(GBytes *body, GBytes **cookie, gchar **xml, GError **error)
{
    VmfXdrReader reader;
    open_body(&reader, body);
    g_autoptr(GBytes) read_cookie = vmf_xdr_opaque(&reader, VMF_WIRE_STRING_MAX);
    g_autofree gchar *read_xml = vmf_xdr_string(&reader, VMF_WIRE_STRING_MAX);
    if (!vmf_xdr_end(&reader))
        return malformed(error, "cookie and definition");
    *cookie = g_steal_pointer(&read_cookie);
    *xml = g_steal_pointer(&read_xml);
    return TRUE;
}

gboolean
vmf_wire_get_cookie_uri(GBytes *body, GBytes **cookie, GError **error)
{
    VmfXdrReader reader;
    open_body(&reader, body);
    g_autoptr(GBytes) read_cookie = vmf_xdr_opaque(&reader, VMF_WIRE_STRING_MAX);
    g_free(vmf_xdr_optional_string(&reader, VMF_WIRE_STRING_MAX));
    if (!vmf_xdr_end(&reader))
        return malformed(error, "cookie and URI");
    *cookie = g_steal_pointer(&read_cookie);
    return TRUE;
}

gboolean
vmf_wire_get_cookie(GBytes *body, GBytes **cookie, GError **error)
{
    VmfXdrReader reader;
    open_body(&reader, body);
    g_autoptr(GBytes) read_cookie = vmf_xdr_opaque(&reader, VMF_WIRE_STRING_MAX);
    if (!vmf_xdr_end(&reader))
        return malformed(error, "cookie");
    *cookie = g_steal_pointer(&read_cookie);
    return TRUE;
}

/* remote_nonnull_domain, which must be @uuid. Fails the reader otherwise. Returns: its id */
static gint32
take_domain(VmfXdrReader *reader, const char *uuid)
{
    guint8 stated[UUID_BYTES] = {0}, wanted[UUID_BYTES] = {0};
    g_free(vmf_xdr_string(reader, VMF_WIRE_STRING_MAX)); /* name */
    vmf_xdr_fixed(reader, stated, sizeof stated);
    gint32 id = (gint32)vmf_xdr_u32(reader);
    if (!uuid_bytes(uuid, wanted) || memcmp(stated, wanted, sizeof wanted) != 0)
        reader->failed = TRUE;
    return id;
}

gboolean
vmf_wire_get_domain_cookie(GBytes *body, const char *uuid, GBytes **cookie, GError **error)
{
    VmfXdrReader reader;
    open_body(&reader, body);
    take_domain(&reader, uuid);
    g_autoptr(GBytes) read_cookie = vmf_xdr_opaque(&reader, VMF_WIRE_STRING_MAX);
    if (!vmf_xdr_end(&reader))
        return malformed(error, "this domain and a cookie");
    *cookie = g_steal_pointer(&read_cookie);
    return TRUE;
}

gboolean
vmf_wire_get_domain_active(GBytes *body, const char *uuid, gboolean *active, GError **error)
{
    VmfXdrReader reader;
    open_body(&reader, body);
    gint32 id = take_domain(&reader, uuid);
    if (!vmf_xdr_end(&reader))
        return malformed(error, "this domain");
    *active = id != -1;
    return TRUE;
}

gboolean
vmf_wire_get_auth_none(GBytes *body, gboolean *none, GError **error)
{
    VmfXdrReader reader;
    open_body(&reader, body);
    guint32 n = vmf_xdr_u32(&reader);
    if (n > AUTH_TYPES_MAX)
        reader.failed = TRUE;
    gboolean found = n == 0;
    for (guint32 i = 0; i < n && !reader.failed; i++)
        found |= vmf_xdr_u32(&reader) == 0; /* REMOTE_AUTH_NONE */
    if (!vmf_xdr_end(&reader))
        return malformed(error, "list of authentications");
    *none = found;
    return TRUE;
}
