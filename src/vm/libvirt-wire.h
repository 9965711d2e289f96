/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pure half of libvirt-rpc.h: frames and messages of libvirt's protocol as bytes.
 * Procedure numbers and message shapes: src/remote/remote_protocol.x; the frame and the error:
 * src/rpc/virnetprotocol.x (libvirt 9.0; both are stable ABI).
 */
#pragma once

#include <glib.h>

enum {
    VMF_PROC_CONNECT_OPEN = 1,
    VMF_PROC_LOOKUP_BY_UUID = 24,
    VMF_PROC_AUTH_LIST = 66,
    VMF_PROC_CONNECT_GET_LIB_VERSION = 157,
    VMF_PROC_MIGRATE_BEGIN = 302, /* …3_PARAMS, like the next */
    VMF_PROC_MIGRATE_PREPARE = 303,
    VMF_PROC_MIGRATE_PERFORM = 305,
    VMF_PROC_MIGRATE_FINISH = 306,
    VMF_PROC_MIGRATE_CONFIRM = 307,
};

#define VMF_WIRE_FRAME_MAX  (32 * 1024 * 1024 + 4)   /* VIR_NET_MESSAGE_MAX and the length word */
#define VMF_WIRE_STRING_MAX ((gsize)4 * 1024 * 1024) /* REMOTE_STRING_MAX, _MIGRATE_COOKIE_MAX */

/* @args (nullable): encoded arguments. Returns: (transfer full) */
GByteArray *vmf_wire_encode_call(guint32 procedure, guint32 serial, const GByteArray *args);

/**
 * vmf_wire_frame_length() - how long is the frame that starts here
 * @length: (out): bytes, length word included; 0: not even the length word is here yet
 *
 * FALSE, VMF_ERROR_PROTOCOL: no frame has such a length.
 */
gboolean vmf_wire_frame_length(const void *data, gsize available, gsize *length, GError **error);

typedef enum {
    VMF_WIRE_REPLY,
    VMF_WIRE_ERROR,
    VMF_WIRE_OTHER,     /* an event, or a reply to another call: not for us */
    VMF_WIRE_MALFORMED, /* VMF_ERROR_PROTOCOL */
} VmfWireKind;

typedef struct {
    GBytes *body;   /* REPLY: (transfer full) */
    gint32 code;    /* ERROR: libvirt's error number */
    gint32 domain;  /* ERROR: libvirt's error domain */
    gchar *message; /* ERROR: (nullable) (transfer full) */
} VmfWireReply;

/* @frame: one whole frame. @reply is written on REPLY and ERROR only. */
VmfWireKind vmf_wire_decode_reply(GBytes *frame, guint32 procedure, guint32 serial,
                                  VmfWireReply *reply, GError **error);

/* Typed parameters: the same field twice is the caller's fault. */
typedef struct {
    const char *field;
    enum { VMF_TYPED_INT = 1, VMF_TYPED_ULLONG = 4, VMF_TYPED_STRING = 7 } type;
    gint32 i;
    guint64 ul;
    const char *s;
} VmfTypedParam;

void vmf_wire_put_uuid(GByteArray *out, const char *uuid);
void vmf_wire_put_domain(GByteArray *out, const char *name, const char *uuid);
void vmf_wire_put_params(GByteArray *out, const VmfTypedParam *params, guint n_params);
/* NULL: an empty one */
void vmf_wire_put_cookie(GByteArray *out, GBytes *cookie);

/*
 * Decoders of the phases' replies. FALSE with VMF_ERROR_PROTOCOL; outputs are written on TRUE only.
 * Cookies may be empty (zero bytes) here; the caller judges.
 */
gboolean vmf_wire_get_cookie_xml(GBytes *body, GBytes **cookie, gchar **xml, GError **error);
/* Prepare's: the URI it may change is read and dropped, as a unix:// one is never changed. */
gboolean vmf_wire_get_cookie_uri(GBytes *body, GBytes **cookie, GError **error);
gboolean vmf_wire_get_cookie(GBytes *body, GBytes **cookie, GError **error);
gboolean
vmf_wire_get_domain_cookie(GBytes *body, const char *uuid, GBytes **cookie, GError **error);
/* LOOKUP_BY_UUID: TRUE in @active when the domain has a process. */
gboolean
vmf_wire_get_domain_active(GBytes *body, const char *uuid, gboolean *active, GError **error);
/* AUTH_LIST: TRUE in @none when the daemon wants no authentication of this client. */
gboolean vmf_wire_get_auth_none(GBytes *body, gboolean *none, GError **error);
