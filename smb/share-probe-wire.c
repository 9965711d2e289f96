/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/share-probe-wire.h"

#include "src/base/error.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static GVariant *
fail(GError **error, VmfError code, const char *why)
{
    g_set_error(error, VMF_ERROR, code, "vmferry-share-probe: %s", why);
    return NULL;
}

/* Returns: FALSE when the time is up. */
static gboolean
wait_readable(int fd, gint64 deadline_us)
{
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    if (deadline_us == 0)
        return TRUE;
    for (;;) {
        gint64 left_ms = (deadline_us - g_get_monotonic_time() + 999) / 1000;
        int ready = poll(&watch, 1, (int)CLAMP(left_ms, 0, G_MAXINT));
        if (ready != -1 || errno != EINTR)
            return ready > 0;
    }
}

static GByteArray *
read_all(int fd, gsize max, gint64 deadline_us, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    guint8 chunk[16384];
    while (wait_readable(fd, deadline_us)) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            return g_steal_pointer(&bytes);
        if (got < 0 || bytes->len + (gsize)got > max) {
            fail(error, VMF_ERROR_PROTOCOL, got < 0 ? g_strerror(errno) : "it says too much");
            return NULL;
        }
        g_byte_array_append(bytes, chunk, (guint)got);
    }
    fail(error, VMF_ERROR_UNREACHABLE, "no answer in time");
    return NULL;
}

GVariant *
vmf_probe_read(int fd, const char *type, gsize max, gint64 deadline_us, GError **error)
{
    GByteArray *bytes = read_all(fd, max, deadline_us, error);
    if (bytes == NULL)
        return NULL;
    gboolean empty = bytes->len == 0;
    g_autoptr(GBytes) data = g_byte_array_free_to_bytes(bytes);
    g_autoptr(GVariant)
        value = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(type), data, FALSE));
    if (empty || !g_variant_is_normal_form(value))
        return fail(error, VMF_ERROR_PROTOCOL,
                    empty ? "it ended without an answer" : "its answer is not of its form");
    return g_steal_pointer(&value);
}

gboolean
vmf_probe_write(int fd, GVariant *value, GError **error)
{
    const guint8 *at = g_variant_get_data(value);
    gsize left = g_variant_get_size(value);
    while (left > 0) {
        ssize_t done = write(fd, at, left);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            fail(error, VMF_ERROR_INTERNAL, g_strerror(errno));
            return FALSE;
        }
        at += done;
        left -= (gsize)done;
    }
    return TRUE;
}

int
vmf_probe_request_file(GVariant *request, GError **error)
{
    int fd = memfd_create("share-probe", MFD_CLOEXEC);
    if (fd >= 0 && vmf_probe_write(fd, request, error) && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    if (error != NULL && *error == NULL)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "vmferry-share-probe: no request: %s",
                    g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* ---- further questions ---- */

/* One byte with room for two descriptors beside it */
typedef struct {
    char mark;
    struct iovec data;
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } passed;
    struct msghdr message;
} Envelope;

static void
envelope_init(Envelope *envelope)
{
    *envelope = (Envelope){.mark = '?'};
    envelope->data = (struct iovec){&envelope->mark, 1};
    envelope->message = (struct msghdr){.msg_iov = &envelope->data,
                                        .msg_iovlen = 1,
                                        .msg_control = envelope->passed.bytes,
                                        .msg_controllen = sizeof envelope->passed.bytes};
}

gboolean
vmf_probe_pass(int control, int in, int out)
{
    const int fds[2] = {in, out};
    Envelope envelope;
    envelope_init(&envelope);
    struct cmsghdr *head = CMSG_FIRSTHDR(&envelope.message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(head), fds, sizeof fds);
    return sendmsg(control, &envelope.message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

gboolean
vmf_probe_take(int control, int *in, int *out)
{
    int fds[2];
    Envelope envelope;
    envelope_init(&envelope);
    ssize_t got;
    while ((got = recvmsg(control, &envelope.message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        continue;
    struct cmsghdr *head = got == 1 ? CMSG_FIRSTHDR(&envelope.message) : NULL;
    if (head == NULL || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(sizeof fds))
        return FALSE;
    memcpy(fds, CMSG_DATA(head), sizeof fds);
    *in = fds[0];
    *out = fds[1];
    return TRUE;
}
