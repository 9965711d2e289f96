/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/base/text.h"

#include <string.h>

/* Every head of a text of characters of one to four bytes is valid, and as long as it may be. */
static void
test_between_characters(void)
{
    static const char text[] = "a\u00e9\u20ac\U0001f600z";
    for (guint most = 0; most <= sizeof text + 2; most++) {
        int head = vmf_text_head(text, most);
        g_assert_cmpint(head, <=, (int)most);
        g_assert_true(g_utf8_validate(text, head, NULL));
        const char *next = text + head;
        g_assert_true(*next == '\0' || g_utf8_next_char(next) - text > (glong)most);
    }
    g_assert_cmpint(vmf_text_head(text, 100), ==, (int)strlen(text));
}

static void
test_empty(void)
{
    g_assert_cmpint(vmf_text_head("", 40), ==, 0);
    g_assert_cmpint(vmf_text_head("abc", 0), ==, 0);
}

/* What is no UTF-8 is cut as well, without an end. */
static void
test_only_continuations(void)
{
    g_assert_cmpint(vmf_text_head("\x80\x80\x80\x80\x80", 3), ==, 0);
}

static void
test_tame(void)
{
    static const struct {
        const char *text;
        guint most;
        const char *tamed;
    } cases[] = {{"", 10, ""},
                 {"two\nlines, \u00e9\u20ac", 100, "two\nlines, \u00e9\u20ac"},
                 {"\033[2J\r\x07\x7f\xc2\x9b\u202e", 100, "?[2J?????"},
                 {"ab\u20ac", 4, "ab"},
                 {"a\xff\xff", 3, "a"}};
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree gchar *tamed = vmf_text_tame(cases[i].text, cases[i].most);
        g_assert_cmpstr(tamed, ==, cases[i].tamed);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/text/head/between-characters", test_between_characters);
    g_test_add_func("/text/head/empty", test_empty);
    g_test_add_func("/text/head/only-continuations", test_only_continuations);
    g_test_add_func("/text/tame/nothing-steers", test_tame);
    return g_test_run();
}
