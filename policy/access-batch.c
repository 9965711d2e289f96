/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/access-batch.h"

#include "policy/json-line.h"
#include "policy/sddl.h"
#include "src/base/error.h"
#include "src/base/text.h"

struct _VmfAccessBatch {
    VmfSecurityDescriptor *sd;
    VmfToken *token;
};

/* A line as it was read. */
typedef struct {
    const char *key; /* the name that is being read; NULL before the first and behind the last */
    const char *sd, *sddl, *domain;
    gsize sd_size;
    guint32 desired;
    gboolean has_token, has_desired, has_complete, complete;
} Question;

VmfAccessBatch *
vmf_access_batch_new(void)
{
    VmfAccessBatch *batch = g_new0(VmfAccessBatch, 1);
    batch->sd = vmf_security_descriptor_new();
    batch->token = vmf_token_new();
    return batch;
}

void
vmf_access_batch_free(VmfAccessBatch *batch)
{
    if (batch == NULL)
        return;
    vmf_security_descriptor_free(batch->sd);
    vmf_token_free(batch->token);
    g_free(batch);
}

/* A digit's value plus 1; 0 for every other byte. */
static const guint8 hex_digits[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

gboolean
vmf_hex_decode(const char *text, gsize size, guint8 *out)
{
    gboolean good = size % 2 == 0;
    for (gsize i = 0; i + 1 < size; i += 2) {
        guint high = hex_digits[(guchar)text[i]], low = hex_digits[(guchar)text[i + 1]];
        good &= high != 0 && low != 0;
        out[i / 2] = (guint8)((high - 1) << 4 | (low - 1));
    }
    return good;
}

gboolean
vmf_access_parse_mask(const char *text, guint32 *mask)
{
    gboolean hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    guint base = hex ? 16 : 10;
    guint64 value = 0;
    const char *p = text + (hex ? 2 : 0);
    if (*p == '\0')
        return FALSE;
    for (; *p != '\0'; p++) {
        guint digit = hex_digits[(guchar)*p];
        if (digit == 0 || digit > base)
            return FALSE;
        value = value * base + digit - 1;
        if (value > G_MAXUINT32)
            return FALSE;
    }
    *mask = (guint32)value;
    return TRUE;
}

static gboolean
read_token(VmfAccessBatch *batch, VmfJsonLine *line)
{
    gboolean first = TRUE;
    if (!vmf_json_line_open(line, '['))
        return FALSE;
    while (vmf_json_line_next(line, ']', &first)) {
        const char *sid;
        gsize size;
        if (batch->token->n_sids == VMF_ACCESS_BATCH_MAX_SIDS)
            return vmf_json_line_fail(line, "more than 4096 SIDs");
        if (!vmf_json_line_string(line, &sid, &size))
            return FALSE;
        if (!vmf_token_add(batch->token, sid, NULL))
            return vmf_json_line_fail(line, "a string that is no SID");
    }
    if (line->why == NULL && batch->token->n_sids == 0)
        return vmf_json_line_fail(line, "it is empty: nobody asks");
    return line->why == NULL;
}

static gboolean
read_desired(VmfJsonLine *line, guint32 *desired)
{
    const char *text;
    gsize size;
    if (vmf_json_line_peek(line) != '"')
        return vmf_json_line_u32(line, desired);
    if (!vmf_json_line_string(line, &text, &size))
        return FALSE;
    if (!vmf_access_parse_mask(text, desired))
        return vmf_json_line_fail(line, "no mask of 32 bits, decimal or 0x…");
    return TRUE;
}

static gboolean
once(VmfJsonLine *line, gboolean already)
{
    return !already || vmf_json_line_fail(line, "it comes twice");
}

static gboolean
read_member(VmfAccessBatch *batch, VmfJsonLine *line, const char *key, Question *q)
{
    gsize size;
    if (strcmp(key, "sd") == 0)
        return once(line, q->sd != NULL) && vmf_json_line_string(line, &q->sd, &q->sd_size);
    if (strcmp(key, "sddl") == 0)
        return once(line, q->sddl != NULL) && vmf_json_line_string(line, &q->sddl, &size);
    if (strcmp(key, "domain") == 0)
        return once(line, q->domain != NULL) && vmf_json_line_string(line, &q->domain, &size);
    if (strcmp(key, "token") == 0) {
        gboolean already = q->has_token;
        q->has_token = TRUE;
        return once(line, already) && read_token(batch, line);
    }
    if (strcmp(key, "desired") == 0) {
        gboolean already = q->has_desired;
        q->has_desired = TRUE;
        return once(line, already) && read_desired(line, &q->desired);
    }
    if (strcmp(key, "complete") == 0) {
        gboolean already = q->has_complete;
        q->has_complete = TRUE;
        return once(line, already) && vmf_json_line_boolean(line, &q->complete);
    }
    return vmf_json_line_fail(
        line, "an unknown name; there are sd, sddl, domain, token, desired, complete");
}

static gboolean
read_question(VmfAccessBatch *batch, VmfJsonLine *line, Question *q)
{
    gboolean first = TRUE;
    if (!vmf_json_line_open(line, '{'))
        return FALSE;
    while (vmf_json_line_next(line, '}', &first))
        if (!vmf_json_line_key(line, &q->key) || !read_member(batch, line, q->key, q))
            return FALSE;
    q->key = NULL;
    if (!vmf_json_line_end(line))
        return FALSE;
    if ((q->sd == NULL) == (q->sddl == NULL))
        return vmf_json_line_fail(line, "one of \"sd\" and \"sddl\" is needed");
    if (!q->has_token)
        return vmf_json_line_fail(line, "\"token\" is missing");
    if (!q->has_desired)
        return vmf_json_line_fail(line, "\"desired\" is missing");
    if (q->domain != NULL && !vmf_sid_is_valid(q->domain))
        return vmf_json_line_fail(line, "\"domain\" is no SID");
    return TRUE;
}

/* The bytes are decoded over the digits they come from. */
static gboolean
read_descriptor(VmfAccessBatch *batch, const Question *q, GError **error)
{
    if (q->sddl != NULL)
        return vmf_sddl_read(batch->sd, q->sddl, q->domain, error);
    guint8 *bytes = (guint8 *)q->sd;
    if (vmf_hex_decode(q->sd, q->sd_size, bytes))
        return vmf_security_descriptor_read(batch->sd, bytes, q->sd_size / 2, error);
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "it is not made of pairs of hexadecimal digits");
    return FALSE;
}

void
vmf_access_append_answer(const VmfSecurityDescriptor *sd, const VmfAccess *access, GString *out)
{
    g_autofree gchar *reason = vmf_access_describe(sd, access);
    g_string_append(out, "{\"verdict\": \"");
    g_string_append(out, vmf_verdict_name(access->verdict));
    g_string_append(out, "\", \"granted\": \"");
    vmf_access_append_mask(out, access->granted);
    g_string_append(out, "\", \"ace\": ");
    if (access->ace < 0)
        g_string_append(out, "null");
    else
        g_string_append_printf(out, "%d", access->ace);
    g_string_append(out, ", \"reason\": ");
    vmf_json_append_string(out, reason);
    g_string_append_c(out, '}');
}

void
vmf_access_batch_refuse(guint64 number, const char *why, GString *out)
{
    g_autofree gchar *valid = g_utf8_make_valid(why, -1);
    g_autofree gchar *reason = g_strdup_printf("line %" G_GUINT64_FORMAT ": %s", number, valid);
    g_string_append(out, "{\"verdict\": \"unknown\", \"granted\": \"0x00000000\", \"ace\": null, "
                         "\"reason\": ");
    vmf_json_append_string(out, reason);
    g_string_append(out, "}\n");
}

gboolean
vmf_access_batch_line(VmfAccessBatch *batch, char *text, gsize size, guint64 number, GString *out)
{
    VmfJsonLine line;
    Question question = {0};
    vmf_json_line_init(&line, text, size);
    vmf_token_clear(batch->token);
    if (!read_question(batch, &line, &question)) {
        g_autofree gchar *key = question.key
                                    ? g_strdup_printf("\"%.*s\": ", vmf_text_head(question.key, 64),
                                                      question.key)
                                    : NULL;
        g_autofree gchar *why = g_strdup_printf("byte %u: %s%s", (guint)(line.at - line.start) + 1,
                                                key ? key : "", line.why);
        vmf_access_batch_refuse(number, why, out);
        return FALSE;
    }
    g_autoptr(GError) error = NULL;
    if (!read_descriptor(batch, &question, &error)) {
        g_autofree gchar *why = g_strdup_printf("\"%s\": %s", question.sddl ? "sddl" : "sd",
                                                error->message);
        vmf_access_batch_refuse(number, why, out);
        return FALSE;
    }
    batch->token->complete = question.complete;
    VmfAccess access = vmf_access_check(batch->sd, batch->token, question.desired);
    vmf_access_append_answer(batch->sd, &access, out);
    g_string_append_c(out, '\n');
    return TRUE;
}
