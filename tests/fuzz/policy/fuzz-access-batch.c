/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdint.h>

#include <json-glib/json-glib.h>

#include "policy/access-batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One answer, of the promised shape, for whatever stands in a line. */
static void
check_answer(const GString *out, gboolean understood)
{
    g_assert_cmpuint(strcspn(out->str, "\n"), ==, out->len - 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) node = json_from_string(out->str, &error);
    g_assert_no_error(error);
    JsonObject *object = json_node_get_object(node);
    g_assert_cmpuint(json_object_get_size(object), ==, 4);
    const char *verdict = json_object_get_string_member(object, "verdict");
    g_assert_true(understood || g_strcmp0(verdict, "unknown") == 0);
    g_assert_true(g_utf8_validate(json_object_get_string_member(object, "reason"), -1, NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(VmfAccessBatch) batch = vmf_access_batch_new();
    guint64 number = 0;
    for (size_t start = 0; start <= size;) {
        const uint8_t *end = start < size ? memchr(data + start, '\n', size - start) : NULL;
        size_t length = end ? (size_t)(end - data) - start : size - start;
        g_autofree char *line = g_malloc(length + 1);
        if (length)
            memcpy(line, data + start, length);
        line[length] = '\0';
        g_autoptr(GString) out = g_string_new(NULL);
        gboolean understood = vmf_access_batch_line(batch, line, length, ++number, out);
        check_answer(out, understood);
        start += length + 1;
    }
    return 0;
}
