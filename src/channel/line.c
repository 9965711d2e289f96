/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/line.h"

#include "auth/reader.h"
#include "src/base/error.h"
#include "src/channel/greeting.h"
#include "src/channel/tls.h"
#include "src/channel/wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_PACKET    (192 * 1024)
#define MAX_TEXT      2048
#define MAX_NAME      512
#define MAX_ADDRESS   64
#define MAX_KEPT_NAME 128
#define MAX_RETAINED  (128 * 1024)
#define MAX_IDENTITY  (96 * 1024)
#define TOKEN         VMF_CHANNEL_TOKEN_BYTES
#define KEY           VMF_TLS_KEY_BYTES
#define STREAM        VMF_STREAM_NAME_CHARS

typedef struct {
    guint32 least, most;
} Bounds;

typedef struct {
    Bounds fields[VMF_LINE_MAX_FIELDS];
    guint n_fields, n_fds;
} Shape;

#define VERDICT                                                                                    \
    {                                                                                              \
        1, 1 + MAX_TEXT                                                                            \
    }

static const Shape shapes[] = {
    [VMF_LINE_TOKEN] = {{{1, TOKEN}}, 1, 0},
    [VMF_LINE_NAME] = {{{STREAM, STREAM}}, 1, 0},
    [VMF_LINE_CONFIRMED] = {{{4, 4}}, 1, 0},
    [VMF_LINE_OPEN] = {{{KEY, KEY}}, 1, 0},
    [VMF_LINE_REFUSED] = {{VERDICT}, 1, 0},
    [VMF_LINE_ENDED] = {{VERDICT}, 1, 0},
    [VMF_LINE_CONTROL] = {{{1, MAX_NAME}, {1, MAX_NAME}, {1, MAX_NAME}, {1, MAX_NAME}, {1, TOKEN}},
                          5,
                          0},
    [VMF_LINE_STREAM] = {{{STREAM, STREAM}, {KEY, KEY}, {1, MAX_NAME}}, 3, 0},
    [VMF_LINE_ANSWER] = {{VERDICT, {0, TOKEN}, {KEY, KEY}, {0, MAX_NAME}}, 4, 0},
    [VMF_LINE_KEY] = {{VERDICT, {KEY, KEY}, {0, MAX_NAME}}, 3, 0},
    [VMF_LINE_VERDICT] = {{VERDICT}, 1, 0},
    [VMF_LINE_PUMP] = {{{0, 0}}, 0, 2},
    [VMF_LINE_ARRIVED] = {{{4, 4}, {1, MAX_ADDRESS}}, 2, 1},
    [VMF_LINE_LIMIT] = {{{1, MAX_ADDRESS}, {1, MAX_TEXT}}, 2, 0},
    [VMF_LINE_DIED] = {{{1, MAX_ADDRESS}, {1, MAX_TEXT}}, 2, 0},
    [VMF_LINE_RENEW] = {{{0, 0}}, 0, 0},
    [VMF_LINE_PROVEN] = {{{4, 4}}, 1, 0},
    [VMF_LINE_SETTLED] = {{{4, 4}}, 1, 0},
    [VMF_LINE_OUTGOING] = {{{0, 0}}, 0, 2},
    [VMF_LINE_LISTEN] = {{{0, 0}}, 0, 1},
    [VMF_LINE_EXCHANGE] = {{{0, 0}}, 0, 1},
    [VMF_LINE_ACCEPT] = {{{1, TOKEN}}, 1, 0},
    [VMF_LINE_ACCEPTED] = {{VERDICT, {0, TOKEN}, {KEY, KEY}, {0, MAX_IDENTITY}}, 4, 0},
    [VMF_LINE_KEEP] = {{{1, MAX_KEPT_NAME}}, 1, 1},
    [VMF_LINE_TAKE] = {{{1, MAX_KEPT_NAME}}, 1, 0},
    [VMF_LINE_DROP] = {{{1, MAX_KEPT_NAME}}, 1, 0},
    [VMF_LINE_RETAIN] = {{{1, MAX_RETAINED}}, 1, 0},
    [VMF_LINE_HELD] = {{VERDICT, {4, 4}}, 2, 0},
    [VMF_LINE_TAKEN] = {{VERDICT}, 1, 1},
};
G_STATIC_ASSERT(G_N_ELEMENTS(shapes) == VMF_LINE_TYPES);

static gboolean
fail(GError **error, const char *what)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "a helper process of vmferryd sent a message that does not follow its format: %s",
                what);
    return FALSE;
}

/* ---- received ---- */

static void
close_fds(int fds[VMF_LINE_MAX_FDS])
{
    for (guint i = 0; i < VMF_LINE_MAX_FDS; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

void
vmf_line_message_clear(VmfLineMessage *message)
{
    if (message->packet) {
        explicit_bzero(message->packet, message->size);
        g_clear_pointer(&message->packet, g_free);
    }
    if (message->type != 0)
        close_fds(message->fds);
    message->type = 0;
}

int
vmf_line_take_fd(VmfLineMessage *message, guint index)
{
    int fd = message->fds[index];
    message->fds[index] = -1;
    return fd;
}

gchar *
vmf_line_text(const VmfLineMessage *message, guint field)
{
    g_autofree gchar *text = g_strndup((const gchar *)message->fields[field].data,
                                       message->fields[field].size);
    return g_utf8_make_valid(text, -1);
}

guint32
vmf_line_number(const VmfLineMessage *message, guint field)
{
    VmfReader in = vmf_reader(message->fields[field].data, message->fields[field].size);
    return vmf_reader_be32(&in);
}

gboolean
vmf_line_verdict(const VmfLineMessage *message, guint field, GError **error)
{
    const VmfLineField *verdict = &message->fields[field];
    if (verdict->data[0] == 0)
        return TRUE;
    gint code = verdict->data[0] - 1;
    g_autofree gchar *text = vmf_peer_text(verdict->data + 1, verdict->size - 1);
    g_set_error_literal(error, VMF_ERROR, code <= VMF_ERROR_INTERNAL ? code : VMF_ERROR_INTERNAL,
                        text);
    return FALSE;
}

gboolean
vmf_line_decode(const guint8 *packet, gsize size, guint n_fds, VmfLineMessage *message,
                GError **error)
{
    *message = (VmfLineMessage){.fds = {-1, -1}};
    if (size < 1 || packet[0] == 0 || packet[0] >= VMF_LINE_TYPES)
        return fail(error, "type");
    const Shape *shape = &shapes[packet[0]];
    if (n_fds != shape->n_fds)
        return fail(error, "file descriptors");
    g_autofree guint8 *copy = g_memdup2(packet, size);
    VmfReader in = vmf_reader(copy, size);
    vmf_reader_u8(&in);
    for (guint i = 0; i < shape->n_fields; i++) {
        guint32 length = vmf_reader_be32(&in);
        if (length < shape->fields[i].least || length > shape->fields[i].most)
            return fail(error, "length of a field");
        message->fields[i] = (VmfLineField){vmf_reader_bytes(&in, length), length};
    }
    if (!vmf_reader_ok(&in) || vmf_reader_left(&in) != 0)
        return fail(error, "size");
    message->type = packet[0];
    message->packet = g_steal_pointer(&copy);
    message->size = size;
    return TRUE;
}

/* Descriptors that came with a packet. Returns: how many; too many are closed and counted. */
static guint
collect_fds(struct msghdr *header, int fds[VMF_LINE_MAX_FDS])
{
    guint count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        guint n = (guint)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (guint i = 0; i < n; i++, count++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (count < VMF_LINE_MAX_FDS)
                fds[count] = fd;
            else
                close(fd);
        }
    }
    return header->msg_flags & MSG_CTRUNC ? VMF_LINE_MAX_FDS + 1 : count;
}

static gboolean
receive_any(int line, gint64 deadline, VmfLineMessage *message, GError **error)
{
    g_autofree guint8 *buffer = NULL;
    int fds[VMF_LINE_MAX_FDS] = {-1, -1};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * VMF_LINE_MAX_FDS)];
    } control;
    if (deadline >= 0 && !vmf_wire_wait(line, POLLIN, deadline, error))
        return FALSE;
    /* how long it is, first: most are short, and a child has little memory */
    gssize length;
    do
        length = recv(line, NULL, 0, MSG_PEEK | MSG_TRUNC);
    while (length < 0 && errno == EINTR);
    if (length == 0)
        errno = EPIPE;
    if (length > 0 && length <= MAX_PACKET) {
        buffer = g_malloc((gsize)length);
        struct iovec vector = {buffer, (gsize)length};
        struct msghdr header = {.msg_iov = &vector,
                                .msg_iovlen = 1,
                                .msg_control = &control,
                                .msg_controllen = sizeof control};
        do
            length = recvmsg(line, &header, MSG_CMSG_CLOEXEC);
        while (length < 0 && errno == EINTR);
        guint n_fds = length >= 0 ? collect_fds(&header, fds) : 0;
        gboolean ok = length > 0 && vmf_line_decode(buffer, (gsize)length, n_fds, message, error);
        explicit_bzero(buffer, vector.iov_len);
        if (ok) {
            memcpy(message->fds, fds, sizeof fds);
            return TRUE;
        }
        close_fds(fds);
        if (length > 0)
            return FALSE;
    }
    if (length > MAX_PACKET)
        return fail(error, "size");
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                        "the process that speaks with the other host has ended");
    return FALSE;
}

gboolean
vmf_line_receive(int line, gint64 deadline, VmfLineMessage *message, GError **error, ...)
{
    *message = (VmfLineMessage){0};
    if (!receive_any(line, deadline, message, error))
        return FALSE;
    va_list types;
    va_start(types, error);
    int type;
    while ((type = va_arg(types, int)) != 0 && (VmfLineType)type != message->type)
        ;
    va_end(types);
    if (type != 0)
        return TRUE;
    vmf_line_message_clear(message);
    return fail(error, "out of turn");
}

/* ---- sent ---- */

gboolean
vmf_line_pair(int ends[2], GError **error)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        int saved = errno;
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "cannot make a socket pair: %s",
                    g_strerror(saved));
        return FALSE;
    }
    for (int i = 0; i < 2; i++) {
        int room = MAX_PACKET; /* the kernel doubles it */
        (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    }
    return TRUE;
}

VmfLineDraft
vmf_line_draft(VmfLineType type)
{
    VmfLineDraft draft = {type, g_byte_array_sized_new(1024)};
    guint8 byte = (guint8)type;
    g_byte_array_append(draft.packet, &byte, 1);
    return draft;
}

void
vmf_line_add(VmfLineDraft *draft, const void *data, gsize size)
{
    guint32 length = GUINT32_TO_BE((guint32)size);
    g_byte_array_append(draft->packet, (const guint8 *)&length, sizeof length);
    if (size > 0)
        g_byte_array_append(draft->packet, data, (guint)size);
}

void
vmf_line_add_text(VmfLineDraft *draft, const char *text)
{
    vmf_line_add(draft, text, strlen(text));
}

void
vmf_line_add_number(VmfLineDraft *draft, guint32 number)
{
    guint32 big = GUINT32_TO_BE(number);
    vmf_line_add(draft, &big, sizeof big);
}

void
vmf_line_add_verdict(VmfLineDraft *draft, const GError *refusal)
{
    g_autoptr(GByteArray) verdict = g_byte_array_new();
    gint code = refusal == NULL                ? 0
                : refusal->domain == VMF_ERROR ? 1 + refusal->code
                                               : 1 + VMF_ERROR_INTERNAL;
    guint8 byte = (guint8)code;
    g_byte_array_append(verdict, &byte, 1);
    if (refusal)
        g_byte_array_append(verdict, (const guint8 *)refusal->message,
                            (guint)MIN(strlen(refusal->message), MAX_TEXT));
    vmf_line_add(draft, verdict->data, verdict->len);
}

gboolean
vmf_line_send(int line, VmfLineDraft *draft, const int *fds, GError **error)
{
    guint n_fds = shapes[draft->type].n_fds;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * VMF_LINE_MAX_FDS)];
    } control = {0};
    struct iovec vector = {draft->packet->data, draft->packet->len};
    struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
    if (n_fds > 0) {
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    gssize sent;
    do
        sent = sendmsg(line, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    int saved = errno;
    explicit_bzero(draft->packet->data, draft->packet->len);
    g_clear_pointer(&draft->packet, g_byte_array_unref);
    if (sent >= 0)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                "the process that speaks with the other host has ended: %s", g_strerror(saved));
    return FALSE;
}

gboolean
vmf_line_tell(int line, VmfLineType type, const char *text, GError **error)
{
    VmfLineDraft draft = vmf_line_draft(type);
    if (text)
        vmf_line_add_text(&draft, text);
    return vmf_line_send(line, &draft, NULL, error);
}
