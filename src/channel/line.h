/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * What vmferryd and its unprivileged helpers say to each other, over SOCK_SEQPACKET pairs.
 *
 *   vmferryd ═control═ vmferry-door            one for its life
 *   vmferryd ══line═══ child of vmferry-door   one for each connection with another host
 *   vmferryd ═control═ vmferry-keys            one for its life
 *   vmferryd ══line═══ child of vmferry-keys   one for each Kerberos exchange
 *   vmferryd ══line═══ vmferry-holder          one for each request; not a pair: it listens
 *
 * A message is one packet: its type (1 byte), then its fields, each a big-endian length of 4 bytes
 * and that many bytes. One table (line.c) says of each type how many fields it has, how long each may be,
 * and how many file descriptors come with it. Anything else, and anything behind the last field, is an
 * error: whoever speaks with strangers may be theirs by now, and is believed nothing more.
 *
 * A verdict is a field: one byte, 0 for yes, or 1 + VmfError and the reason in UTF-8.
 *
 * Failure model: an end that has closed reads as VMF_ERROR_UNREACHABLE; what does not fit the table as
 * VMF_ERROR_PROTOCOL. After either, close the line.
 */

#define VMF_LINE_MAX_FIELDS 5
#define VMF_LINE_MAX_FDS    2

typedef enum {
    /* child of vmferry-door → vmferryd */
    VMF_LINE_TOKEN = 1, /* the stranger's GSS token */
    VMF_LINE_NAME,      /* the stream's name it came with */
    VMF_LINE_CONFIRMED, /* TLS has confirmed the key; session enctype (4 bytes, 0: not known) */
    VMF_LINE_OPEN,      /* both accepted; secret of streams */
    VMF_LINE_REFUSED,   /* verdict: why it ended */
    VMF_LINE_ENDED,     /* verdict: how the relay ended */

    /* vmferryd → child of vmferry-door */
    VMF_LINE_CONTROL, /* go and meet: my account, realm, fqdn; peer's fqdn; ticket */
    VMF_LINE_STREAM,  /* go and open a stream: its name, key, peer's principal */
    VMF_LINE_ANSWER,  /* to TOKEN: verdict, our token (may be empty), key, principal */
    VMF_LINE_KEY,     /* to NAME: verdict, key, principal */
    VMF_LINE_VERDICT, /* to CONFIRMED: verdict */
    VMF_LINE_PUMP,    /* + local fd, fd of VmfRelayCounters */

    /* vmferry-door → vmferryd */
    VMF_LINE_ARRIVED, /* number, address; + line */
    VMF_LINE_LIMIT,   /* address, which limit: closed unread */
    VMF_LINE_DIED,    /* address, how: a child was ended by a signal */
    VMF_LINE_RENEW, /* start another vmferry-door; this one ends when its unproven peers are gone */

    /* vmferryd → vmferry-door */
    VMF_LINE_PROVEN,   /* number: its time is not limited here any more */
    VMF_LINE_SETTLED,  /* number: it takes no place among the unproven any more */
    VMF_LINE_OUTGOING, /* + socket, line: start a child */
    VMF_LINE_LISTEN,   /* + listening socket */

    /* vmferryd → vmferry-keys and its child, and back */
    VMF_LINE_EXCHANGE, /* + line: start a child */
    VMF_LINE_ACCEPT,   /* the stranger's token */
    VMF_LINE_ACCEPTED, /* verdict, our token (may be empty), key, identity (auth/peer-bytes.h) */

    /* vmferryd → vmferry-holder, and back */
    VMF_LINE_KEEP,   /* name; + socket */
    VMF_LINE_TAKE,   /* name */
    VMF_LINE_DROP,   /* name */
    VMF_LINE_RETAIN, /* "\nNAME\nNAME\n": those that are not dropped */
    VMF_LINE_HELD, /* verdict: it was done; to TAKE: there is none of that name; how many there are */
    VMF_LINE_TAKEN, /* verdict (yes); + socket */
    VMF_LINE_TYPES,
} VmfLineType;

typedef struct {
    const guint8 *data;
    gsize size;
} VmfLineField;

/** VmfLineMessage - as received; fields point into @packet */
typedef struct {
    VmfLineType type;
    VmfLineField fields[VMF_LINE_MAX_FIELDS];
    int fds[VMF_LINE_MAX_FDS]; /* -1 when taken or none */
    guint8 *packet;
    gsize size;
} VmfLineMessage;

/** vmf_line_message_clear() - zero and free the packet, close fds that nobody took */
void vmf_line_message_clear(VmfLineMessage *message);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmfLineMessage, vmf_line_message_clear)

/** vmf_line_take_fd() - the caller's from now on */
int vmf_line_take_fd(VmfLineMessage *message, guint index);

/** vmf_line_text() - a field as text, NUL-terminated, valid UTF-8. Returns: (transfer full) */
gchar *vmf_line_text(const VmfLineMessage *message, guint field);

/** vmf_line_number() - a field of 4 bytes, big-endian */
guint32 vmf_line_number(const VmfLineMessage *message, guint field);

/** vmf_line_verdict() - %TRUE for yes, %FALSE and the reason */
gboolean vmf_line_verdict(const VmfLineMessage *message, guint field, GError **error);

/** vmf_line_pair() - two ends, close-on-exec. Returns: %FALSE and VMF_ERROR_INTERNAL */
gboolean vmf_line_pair(int ends[2], GError **error);

/**
 * VmfLineDraft - a message to be sent; the functions below add its fields in order
 */
typedef struct {
    VmfLineType type;
    GByteArray *packet;
} VmfLineDraft;

VmfLineDraft vmf_line_draft(VmfLineType type);
void vmf_line_add(VmfLineDraft *draft, const void *data, gsize size);
void vmf_line_add_text(VmfLineDraft *draft, const char *text);
void vmf_line_add_number(VmfLineDraft *draft, guint32 number);
void vmf_line_add_verdict(VmfLineDraft *draft, const GError *refusal);

/**
 * vmf_line_send() - send @draft and free it, zeroed
 * @fds: as many as the table says; they stay the caller's
 *
 * Blocks while the other end is slow to read. Returns: %FALSE and VMF_ERROR_UNREACHABLE.
 */
gboolean vmf_line_send(int line, VmfLineDraft *draft, const int *fds, GError **error);

/** vmf_line_tell() - a message of one text or no field */
gboolean vmf_line_tell(int line, VmfLineType type, const char *text, GError **error);

/**
 * vmf_line_receive() - the next message
 * @deadline: g_get_monotonic_time() value; -1: none
 * @...:      types that may come now, 0 at the end
 *
 * Returns: %FALSE and VMF_ERROR_UNREACHABLE (closed, or the deadline) or VMF_ERROR_PROTOCOL.
 */
gboolean vmf_line_receive(int line, gint64 deadline, VmfLineMessage *message, GError **error, ...);

/**
 * vmf_line_decode() - check a packet; pure
 * @message: (out): @packet is its own copy
 * @n_fds:   that came with it; not looked at otherwise
 */
gboolean vmf_line_decode(const guint8 *packet, gsize size, guint n_fds, VmfLineMessage *message,
                         GError **error);
