/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The messages between vmferryd and the processes that speak with strangers; see line.h. */
#include "src/base/error.h"
#include "src/channel/line.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char key[32] = "thirty-two bytes of a secret key";

/* The packet of a draft as it goes over the line. */
static GBytes *
packet_of(VmfLineDraft *draft)
{
    GBytes *bytes = g_bytes_new(draft->packet->data, draft->packet->len);
    g_byte_array_unref(draft->packet);
    return bytes;
}

static GBytes *
an_answer(void)
{
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_ANSWER);
    vmf_line_add_verdict(&draft, NULL);
    vmf_line_add_text(&draft, "token");
    vmf_line_add(&draft, key, sizeof key);
    vmf_line_add_text(&draft, "HV1$@LAB.TEST");
    return packet_of(&draft);
}

static gboolean
decode(GBytes *packet, gsize size, guint n_fds, VmfLineMessage *message, GError **error)
{
    /* an exact-size copy: a read beyond it is seen by the sanitizers */
    g_autofree guint8 *copy = g_memdup2(g_bytes_get_data(packet, NULL), size);
    return vmf_line_decode(copy, size, n_fds, message, error);
}

static void
test_good(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) packet = an_answer();
    g_auto(VmfLineMessage) message = {0};
    g_assert_true(decode(packet, g_bytes_get_size(packet), 0, &message, &error));
    g_assert_no_error(error);
    g_assert_cmpint(message.type, ==, VMF_LINE_ANSWER);
    g_assert_true(vmf_line_verdict(&message, 0, &error));
    g_assert_cmpmem(message.fields[1].data, message.fields[1].size, "token", 5);
    g_assert_cmpmem(message.fields[2].data, message.fields[2].size, key, sizeof key);
    g_autofree gchar *text = vmf_line_text(&message, 3);
    g_assert_cmpstr(text, ==, "HV1$@LAB.TEST");
}

static void
test_truncated(void)
{
    g_autoptr(GBytes) packet = an_answer();
    for (gsize size = 0; size < g_bytes_get_size(packet); size++) {
        g_auto(VmfLineMessage) message = {0};
        g_autoptr(GError) error = NULL;
        g_assert_false(decode(packet, size, 0, &message, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
        g_assert_null(message.packet);
    }
}

static void
expect_refused(GBytes *packet_taken, guint n_fds)
{
    g_autoptr(GBytes) packet = packet_taken;
    g_auto(VmfLineMessage) message = {0};
    g_autoptr(GError) error = NULL;
    g_assert_false(decode(packet, g_bytes_get_size(packet), n_fds, &message, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

static void
test_trailing(void)
{
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_RENEW);
    vmf_line_add_text(&draft, "");
    expect_refused(packet_of(&draft), 0);
}

static void
test_bounds(void)
{
    g_autofree gchar *long_token = g_strnfill(65537, 'x');
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_TOKEN);
    vmf_line_add_text(&draft, long_token);
    expect_refused(packet_of(&draft), 0);
    draft = vmf_line_draft(VMF_LINE_TOKEN);
    vmf_line_add_text(&draft, "");
    expect_refused(packet_of(&draft), 0);
    draft = vmf_line_draft(VMF_LINE_NAME);
    vmf_line_add_text(&draft, "0123456789abcdef0123456789abcde");
    expect_refused(packet_of(&draft), 0);
    draft = vmf_line_draft(VMF_LINE_OPEN);
    vmf_line_add(&draft, key, sizeof key - 1);
    expect_refused(packet_of(&draft), 0);
}

static void
test_types(void)
{
    for (guint type = 0; type < 256; type++) {
        guint8 byte = (guint8)type;
        if (type == VMF_LINE_RENEW)
            continue; /* the one that is a byte and nothing else */
        expect_refused(g_bytes_new(&byte, 1), 0);
    }
}

/* As many descriptors as the table says, no fewer and no more. */
static void
test_descriptors(void)
{
    for (guint n_fds = 0; n_fds <= 3; n_fds++) {
        VmfLineDraft draft = vmf_line_draft(VMF_LINE_PUMP);
        if (n_fds != 2)
            expect_refused(packet_of(&draft), n_fds);
        else
            g_byte_array_unref(draft.packet);
        draft = vmf_line_draft(VMF_LINE_TOKEN);
        vmf_line_add_text(&draft, "t");
        if (n_fds != 0)
            expect_refused(packet_of(&draft), n_fds);
        else
            g_byte_array_unref(draft.packet);
    }
}

static void
test_verdict(void)
{
    g_autoptr(GError) refusal = g_error_new(VMF_ERROR, VMF_ERROR_DENIED, "not in the group");
    g_autoptr(GError) error = NULL;
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_VERDICT);
    vmf_line_add_verdict(&draft, refusal);
    g_autoptr(GBytes) packet = packet_of(&draft);
    g_auto(VmfLineMessage) message = {0};
    g_assert_true(decode(packet, g_bytes_get_size(packet), 0, &message, &error));
    g_assert_false(vmf_line_verdict(&message, 0, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_DENIED);
    g_assert_cmpstr(error->message, ==, "not in the group");
}

/* A reason from somebody who has been taken over: any code, any bytes. */
static void
test_verdict_hostile(void)
{
    g_autoptr(GError) error = NULL;
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_REFUSED);
    vmf_line_add(&draft, "\xff\x1b[2Jroot: \xc3\nok", 14);
    g_autoptr(GBytes) packet = packet_of(&draft);
    g_auto(VmfLineMessage) message = {0};
    g_assert_true(decode(packet, g_bytes_get_size(packet), 0, &message, &error));
    g_assert_false(vmf_line_verdict(&message, 0, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_INTERNAL);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    for (const char *p = error->message; *p; p++)
        g_assert_false(g_ascii_iscntrl(*p));
}

/* ---- over a line ---- */

static void
test_sent(void)
{
    int line[2], pipe_ends[2];
    g_autoptr(GError) error = NULL;
    g_assert_true(vmf_line_pair(line, &error));
    g_assert_cmpint(pipe(pipe_ends), ==, 0);
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_OUTGOING);
    g_assert_true(vmf_line_send(line[0], &draft, pipe_ends, &error));
    g_auto(VmfLineMessage) message = {0};
    g_assert_true(
        vmf_line_receive(line[1], -1, &message, &error, VMF_LINE_RENEW, VMF_LINE_OUTGOING, 0));
    int end = vmf_line_take_fd(&message, 1);
    g_assert_cmpint(fcntl(end, F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint(write(end, "x", 1), ==, 1);
    char byte = 0;
    g_assert_cmpint(read(pipe_ends[0], &byte, 1), ==, 1);
    close(end);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    close(line[0]);
    close(line[1]);
}

static void
test_largest(void)
{
    int line[2];
    g_autoptr(GError) error = NULL;
    g_autofree gchar *token = g_strnfill(65536, 'x'), *identity = g_strnfill(96 * 1024, 'y');
    g_assert_true(vmf_line_pair(line, &error));
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_ACCEPTED);
    vmf_line_add_verdict(&draft, NULL);
    vmf_line_add_text(&draft, token);
    vmf_line_add(&draft, key, sizeof key);
    vmf_line_add_text(&draft, identity);
    g_assert_true(vmf_line_send(line[0], &draft, NULL, &error));
    g_assert_no_error(error);
    g_auto(VmfLineMessage) message = {0};
    g_assert_true(vmf_line_receive(line[1], -1, &message, &error, VMF_LINE_ACCEPTED, 0));
    g_assert_cmpuint(message.fields[3].size, ==, 96 * 1024);
    close(line[0]);
    close(line[1]);
}

static void
test_out_of_turn(void)
{
    int line[2], pipe_ends[2];
    g_autoptr(GError) error = NULL;
    g_auto(VmfLineMessage) message = {0};
    g_assert_true(vmf_line_pair(line, NULL));
    g_assert_cmpint(pipe(pipe_ends), ==, 0);
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_OUTGOING);
    vmf_line_send(line[0], &draft, pipe_ends, NULL);
    close(pipe_ends[1]);
    g_assert_false(vmf_line_receive(line[1], -1, &message, &error, VMF_LINE_RENEW, 0));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    char byte; /* what came with it has been closed */
    g_assert_cmpint(read(pipe_ends[0], &byte, 1), ==, 0);
    close(pipe_ends[0]);
    close(line[0]);
    close(line[1]);
}

static void
test_closed_and_late(void)
{
    int line[2];
    g_autoptr(GError) late = NULL, closed = NULL, broken = NULL;
    g_auto(VmfLineMessage) message = {0};
    g_assert_true(vmf_line_pair(line, NULL));
    g_assert_false(vmf_line_receive(line[1], g_get_monotonic_time() + 20000, &message, &late,
                                    VMF_LINE_RENEW, 0));
    g_assert_error(late, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    close(line[0]);
    g_assert_false(vmf_line_receive(line[1], -1, &message, &closed, VMF_LINE_RENEW, 0));
    g_assert_error(closed, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    g_assert_false(vmf_line_tell(line[1], VMF_LINE_RENEW, NULL, &broken));
    g_assert_error(broken, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    close(line[1]);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/line/good/read", test_good);
    g_test_add_func("/line/every-truncation/refused", test_truncated);
    g_test_add_func("/line/trailing-bytes/refused", test_trailing);
    g_test_add_func("/line/out-of-bounds/refused", test_bounds);
    g_test_add_func("/line/unknown-type/refused", test_types);
    g_test_add_func("/line/descriptors/counted", test_descriptors);
    g_test_add_func("/line/verdict/kept", test_verdict);
    g_test_add_func("/line/hostile-verdict/made-harmless", test_verdict_hostile);
    g_test_add_func("/line/with-descriptors/sent", test_sent);
    g_test_add_func("/line/largest/sent", test_largest);
    g_test_add_func("/line/out-of-turn/refused", test_out_of_turn);
    g_test_add_func("/line/closed-and-late/told", test_closed_and_late);
    return g_test_run();
}
