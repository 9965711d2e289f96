/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <json-glib/json-glib.h>

#include "policy/access-batch.h"

#define SD                                                                                         \
    "0100048030000000000000000000000014000000"                                                     \
    "02001c0001000000"                                                                             \
    "0000140089001200010100000000000100000000"                                                     \
    "010100000000000512000000"
#define GOOD  "{\"sd\": \"" SD "\", \"token\": [\"S-1-5-21-1-2-3-1104\", \"S-1-1-0\"], "
#define TOKEN "\"token\": [\"S-1-5-21-1-2-3-1104\"], \"desired\": 1}"

/* The answer to @line, and whether it was understood. (transfer full) */
static JsonNode *
answer(const char *line, gsize size, gboolean *understood)
{
    g_autoptr(VmfAccessBatch) batch = vmf_access_batch_new();
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *copy = g_malloc(size + 1);
    memcpy(copy, line, size);
    copy[size] = '\0';
    *understood = vmf_access_batch_line(batch, copy, size, 7, out);
    g_assert_true(g_str_has_suffix(out->str, "}\n"));
    g_assert_cmpuint(strcspn(out->str, "\n"), ==, out->len - 1);
    JsonNode *node = json_from_string(out->str, NULL);
    g_assert_nonnull(node);
    g_assert_cmpuint(json_object_get_size(json_node_get_object(node)), ==, 4);
    return node;
}

static const char *
member(JsonNode *node, const char *name)
{
    return json_object_get_string_member(json_node_get_object(node), name);
}

static void
test_answers(void)
{
    static const struct {
        const char *line, *verdict, *granted;
        gint64 ace;
    } cases[] = {
        {GOOD "\"desired\": \"0x00120089\"}", "grant", "0x00120089", 0},
        {GOOD "\"desired\": \"0X00120089\"}", "grant", "0x00120089", 0},
        {GOOD "\"desired\": 1179785}", "grant", "0x00120089", 0},
        {GOOD "\"desired\": \"2\"}", "deny", "0x00120089", -1},
        {GOOD "\"desired\": \"0x80000000\"}", "grant", "0x00120089", 0},
        {" { \"desired\" :1,\t\"sddl\":\"O:SYD:(A;;FA;;;WD)\" , \"token\":[ \"S-1-1-0\" ] } ",
         "grant", "0x001f01ff", 0},
        {"{\"sddl\": \"O:SYD:(A;;FA;;;BU)\", " TOKEN, "unknown", "0x00000000", 0},
        {"{\"complete\": true, \"sddl\": \"O:SYD:(A;;FA;;;BU)\", " TOKEN, "deny", "0x00000000", -1},
        {"{\"complete\": false, \"sddl\": \"O:SYD:(A;;FA;;;BU)\", " TOKEN, "unknown", "0x00000000",
         0},
        {"{\"domain\": \"S-1-5-21-1-2-3\", \"sddl\": \"O:SYD:(D;;1;;;DC)(A;;FA;;;DC)\", "
         "\"token\": [\"S-1-5-21-1-2-3-515\"], \"desired\": 1}",
         "deny", "0x001f01fe", 0},
        {"{\"s\\u0064dl\": \"O:S\\u0059D:(A;;FA;;;WD)\", \"token\": [\"S\\u002D1-1-0\"], "
         "\"desired\": \"\\u0031\"}\r",
         "grant", "0x001f01ff", 0},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        gboolean understood;
        g_autoptr(JsonNode) node = answer(cases[i].line, strlen(cases[i].line), &understood);
        g_test_message("%s: %s", cases[i].line, member(node, "reason"));
        g_assert_true(understood);
        g_assert_cmpstr(member(node, "verdict"), ==, cases[i].verdict);
        g_assert_cmpstr(member(node, "granted"), ==, cases[i].granted);
        JsonObject *object = json_node_get_object(node);
        if (cases[i].ace < 0)
            g_assert_true(json_object_get_null_member(object, "ace"));
        else
            g_assert_cmpint(json_object_get_int_member(object, "ace"), ==, cases[i].ace);
    }
}

static void
test_refused(void)
{
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"", "byte 1: an object is expected"},
        {"null", "an object is expected"},
        {"[]", "an object is expected"},
        {"{", "ends too early"},
        {"{}", "one of \"sd\" and \"sddl\" is needed"},
        {"{\"sd\"", "':' is expected"},
        {"{\"sd\":", "\"sd\": a string is expected"},
        {"{\"sd\": \"00\", }", "a string is expected"},
        {"{\"sd\": \"00\" \"token\": []}", "a comma"},
        {"{\"sd\": 5}", "\"sd\": a string is expected"},
        {"{\"sd\": null}", "\"sd\": a string is expected"},
        {"{\"sd\": \"00\", \"sddl\": \"D:\", " TOKEN, "one of"},
        {"{\"sd\": \"00\", \"sd\": \"00\", " TOKEN, "\"sd\": it comes twice"},
        {GOOD "\"desired\": 1, \"desired\": 1}", "\"desired\": it comes twice"},
        {GOOD "\"desired\": 1, \"token\": []}", "\"token\": it comes twice"},
        {GOOD "\"desired\": 1, \"verbose\": true}", "\"verbose\": an unknown name"},
        {GOOD "\"desired\": 1, \"a\\n\\u0001\\\"\": true}", "\"a\n\001\"\": an unknown name"},
        {"{\"sd\": \"" SD "\", \"desired\": 1}", "\"token\" is missing"},
        {"{\"sd\": \"" SD "\", \"token\": [\"S-1-1-0\"]}", "\"desired\" is missing"},
        {"{\"sd\": \"00\", \"token\": {}}", "\"token\": a list is expected"},
        {"{\"sd\": \"00\", \"token\": []}", "\"token\": it is empty"},
        {"{\"sd\": \"00\", \"token\": [[]]}", "\"token\": a string is expected"},
        {"{\"sd\": \"00\", \"token\": [\"HV2$\"]}", "\"token\": a string that is no SID"},
        {"{\"sd\": \"00\", \"token\": [\"S-1-1-0\",]}", "\"token\": a string is expected"},
        {GOOD "\"desired\": -1}", "\"desired\": a number without sign"},
        {GOOD "\"desired\": 1.5}", "whole number"},
        {GOOD "\"desired\": 1e3}", "whole number"},
        {GOOD "\"desired\": 01}", "whole number"},
        {GOOD "\"desired\": 4294967296}", "4294967295"},
        {GOOD "\"desired\": \"0x100000000\"}", "no mask"},
        {GOOD "\"desired\": \"0x\"}", "no mask"},
        {GOOD "\"desired\": \"\"}", "no mask"},
        {GOOD "\"desired\": \" 1\"}", "no mask"},
        {GOOD "\"desired\": \"1f\"}", "no mask"},
        {GOOD "\"desired\": true}", "without sign"},
        {GOOD "\"desired\": 1, \"complete\": 1}", "true or false"},
        {GOOD "\"desired\": 1, \"domain\": \"LAB\"}", "\"domain\" is no SID"},
        {GOOD "\"desired\": 1} {}", "something follows"},
        {GOOD "\"desired\": 1}}", "something follows"},
        {"{\"sd\": \"0\", " TOKEN, "\"sd\": it is not made of pairs"},
        {"{\"sd\": \"0g\", " TOKEN, "\"sd\": it is not made of pairs"},
        {"{\"sd\": \"00\", " TOKEN, "\"sd\": bad security descriptor: 1 bytes"},
        {"{\"sddl\": \"D:(A;;FA;;;QQ)\", " TOKEN, "\"sddl\": bad SDDL at byte 12"},
        {"{\"sddl\": \"D:(A;;FA;;;DA)\", " TOKEN, "no domain's SID is given"},
        {"{\"sd", "does not end"},
        {"{\"sd\\", "does not end"},
        {"{\"sd\\u12", "bad \\u escape"},
        {"{\"sd\\u0000\"", "bad \\u escape"},
        {"{\"sd\\q\"", "unknown escape"},
        {"{\"\\ud800\"", "surrogate"},
        {"{\"\\udc00\\udc00\"", "surrogate"},
        {"{\"s\td\"", "control character"},
        {"{\"\xff\"", "not UTF-8"},
        {"\xef\xbb\xbf{}", "an object is expected"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        gboolean understood;
        g_autoptr(JsonNode) node = answer(cases[i].line, strlen(cases[i].line), &understood);
        const char *reason = member(node, "reason");
        g_assert_false(understood);
        g_assert_cmpstr(member(node, "verdict"), ==, "unknown");
        g_assert_cmpstr(member(node, "granted"), ==, "0x00000000");
        g_assert_true(g_str_has_prefix(reason, "line 7: "));
        if (strstr(reason, cases[i].says) == NULL)
            g_error("'%s': '%s' does not say '%s'", cases[i].line, reason, cases[i].says);
    }
}

static void
test_nul(void)
{
    static const char line[] = "{\"sddl\": \"D:\0\", " TOKEN;
    gboolean understood;
    g_autoptr(JsonNode) node = answer(line, sizeof line - 1, &understood);
    g_assert_false(understood);
    static const char before[] = "\0{}";
    g_autoptr(JsonNode) second = answer(before, sizeof before - 1, &understood);
    g_assert_false(understood);
}

static void
test_nesting(void)
{
    g_autofree char *deep = g_strnfill(VMF_ACCESS_BATCH_MAX_LINE, '[');
    gboolean understood;
    g_autoptr(JsonNode) first = answer(deep, VMF_ACCESS_BATCH_MAX_LINE, &understood);
    g_assert_false(understood);
    memcpy(deep, "{\"token\":", 9);
    g_autoptr(JsonNode) second = answer(deep, VMF_ACCESS_BATCH_MAX_LINE, &understood);
    g_assert_false(understood);
}

static void
test_too_many_sids(void)
{
    g_autoptr(GString) line = g_string_new("{\"sddl\": \"O:SYD:(A;;FA;;;WD)\", \"desired\": 1, "
                                           "\"token\": [\"S-1-1-0\"");
    gboolean understood;
    for (guint i = 1; i < VMF_ACCESS_BATCH_MAX_SIDS; i++)
        g_string_append(line, ",\"S-1-5-11\"");
    gsize most = line->len;
    g_string_append(line, "]}");
    g_autoptr(JsonNode) good = answer(line->str, line->len, &understood);
    g_assert_true(understood);
    g_string_truncate(line, most);
    g_string_append(line, ",\"S-1-5-11\"]}");
    g_autoptr(JsonNode) bad = answer(line->str, line->len, &understood);
    g_assert_false(understood);
    g_assert_nonnull(strstr(member(bad, "reason"), "4096"));
}

static void
test_every_truncation(void)
{
    static const char whole[] =
        "{\"domain\": \"S-1-5-21-1-2-3\", \"sddl\": \"O:SYD:(A;;FA;;;DC)\", \"complete\": true, "
        "\"token\": [\"S-1-5-21-1-2-3-\\u0035\", \"S-1-1-0\"], \"desired\": \"0x00120089\"}";
    gboolean understood;
    for (gsize cut = 0; cut < sizeof whole - 1; cut++) {
        g_autoptr(JsonNode) node = answer(whole, cut, &understood);
        g_assert_false(understood);
    }
    g_autoptr(JsonNode) node = answer(whole, sizeof whole - 1, &understood);
    g_assert_true(understood);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/access-batch/questions/answered", test_answers);
    g_test_add_func("/access-batch/bad-lines/refused-by-name", test_refused);
    g_test_add_func("/access-batch/nul-bytes/refused", test_nul);
    g_test_add_func("/access-batch/deep-nesting/refused", test_nesting);
    g_test_add_func("/access-batch/too-many-sids/refused", test_too_many_sids);
    g_test_add_func("/access-batch/every-truncation/refused", test_every_truncation);
    return g_test_run();
}
