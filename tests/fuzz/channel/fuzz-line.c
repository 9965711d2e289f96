/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a process that speaks with strangers tells vmferryd, and the other way round. The first byte is
 * the number of descriptors that are said to come with it.
 */
#include "src/channel/line.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void
read_fields(const VmfLineMessage *message)
{
    for (guint i = 0; i < VMF_LINE_MAX_FIELDS; i++) {
        const VmfLineField *field = &message->fields[i];
        if (field->data == NULL)
            continue;
        g_assert_true(field->data >= message->packet &&
                      field->data + field->size <= message->packet + message->size);
        g_autofree gchar *text = vmf_line_text(message, i);
        g_assert_true(g_utf8_validate(text, -1, NULL));
        if (field->size >= 4)
            vmf_line_number(message, i);
        g_autoptr(GError) error = NULL;
        if (field->size >= 1)
            g_assert_true(vmf_line_verdict(message, i, &error) == (error == NULL));
    }
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    if (size == 0)
        return 0;
    g_auto(VmfLineMessage) message = {.fds = {-1, -1}};
    g_autoptr(GError) error = NULL;
    gboolean ok = vmf_line_decode(data + 1, size - 1, data[0] % 4, &message, &error);
    g_assert_true(ok == (error == NULL));
    if (ok)
        read_fields(&message);
    return 0;
}
