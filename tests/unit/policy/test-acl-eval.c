/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <gio/gio.h>
#include <string.h>

/* "vmferry acl eval" as a user runs it: the program is the first argument. */

#define QUESTION "{\"sddl\": \"O:SYD:(A;;FR;;;WD)\", \"token\": [\"S-1-1-0\"], \"desired\": 1}\n"
#define GRANTED  "{\"verdict\": \"grant\", \"granted\": \"0x00120089\", \"ace\": 0, "

static const char *program;

typedef struct {
    int status;
    gchar *out, *err;
} Result;

static void
clear_result(Result *result)
{
    g_free(result->out);
    g_free(result->err);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Result, clear_result)

static Result
run(const char *input, gssize size, const char *const *arguments)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    Result result = {0};
    g_ptr_array_add(argv, (gpointer)program);
    g_ptr_array_add(argv, (gpointer) "acl");
    g_ptr_array_add(argv, (gpointer) "eval");
    for (; *arguments != NULL; arguments++)
        g_ptr_array_add(argv, (gpointer)*arguments);
    g_ptr_array_add(argv, NULL);
    g_autoptr(GSubprocess)
        process = g_subprocess_newv((const gchar *const *)argv->pdata,
                                    G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                                        G_SUBPROCESS_FLAGS_STDERR_PIPE,
                                    &error);
    g_assert_no_error(error);
    g_autoptr(GBytes)
        bytes = g_bytes_new_static(input ? input : "", size < 0 ? strlen(input) : (gsize)size);
    g_autoptr(GBytes) out = NULL, err = NULL;
    g_subprocess_communicate(process, bytes, NULL, &out, &err, &error);
    g_assert_no_error(error);
    g_assert_true(g_subprocess_get_if_exited(process));
    result.status = g_subprocess_get_exit_status(process);
    result.out = g_strndup(g_bytes_get_data(out, NULL), g_bytes_get_size(out));
    result.err = g_strndup(g_bytes_get_data(err, NULL), g_bytes_get_size(err));
    return result;
}

#define RUN(input, ...) run(input, input ? -1 : 0, (const char *const[]){__VA_ARGS__, NULL})

static guint
count_lines(const char *text)
{
    guint lines = 0;
    for (; (text = strchr(text, '\n')) != NULL; text++)
        lines++;
    return lines;
}

static void
assert_says(const char *text, const char *says)
{
    if (strstr(text, says) == NULL)
        g_error("'%s' does not say '%s'", text, says);
}

static void
test_one(void)
{
    const char *sddl = "O:SYD:(A;;FR;;;WD)(A;;FA;;;BU)";
    g_auto(Result) grant = RUN(NULL, "--sddl", sddl, "--sid", "S-1-1-0", "--desired", "0x120089");
    g_assert_cmpint(grant.status, ==, 0);
    assert_says(grant.out, "grant    0x00120089 (read data, ");
    assert_says(grant.out, "\nbecause  ace 0 (allow S-1-1-0 0x00120089) grants");

    g_auto(Result) unknown = RUN(NULL, "--sddl", sddl, "--sid", "S-1-1-0");
    g_assert_cmpint(unknown.status, ==, 3);
    assert_says(unknown.out, "unknown  0x0012019f (");
    assert_says(unknown.out, "\nmissing  0x00000116 (write data, ");

    g_auto(Result) deny = RUN(NULL, "--sddl", sddl, "--sid", "S-1-5-7", "--sid", "S-1-1-0",
                              "--complete", "--json");
    g_assert_cmpint(deny.status, ==, 1);
    assert_says(deny.out, "{\"verdict\": \"deny\", \"granted\": \"0x00120089\", \"ace\": null, ");

    g_auto(Result) text = RUN(NULL, "--sid", "S-1-1-0", "--desired", "1", "--text",
                              "REVISION:1,OWNER:S-1-5-18,ACL:S-1-1-0:0/0/0x00000001");
    g_assert_cmpint(text.status, ==, 0);
    g_auto(Result) hex = RUN(NULL, "--sid", "S-1-1-0", "--desired", "1", "--sd",
                             "0100048014000000000000000000000000000000010100000000000512000000");
    g_assert_cmpint(hex.status, ==, 0);
    assert_says(hex.out, "NULL");
}

static void
test_unreadable(void)
{
    g_auto(Result) sddl = RUN(NULL, "--sddl", "O:SYD:(A;;FA;;;QQ)", "--sid", "S-1-1-0");
    g_assert_cmpint(sddl.status, ==, 3);
    assert_says(sddl.err, "bad SDDL at byte 16");
    g_auto(Result) hex = RUN(NULL, "--sd", "01zz", "--sid", "S-1-1-0");
    g_assert_cmpint(hex.status, ==, 3);
    g_auto(Result) domain = RUN(NULL, "--sddl", "O:DA", "--sid", "S-1-1-0");
    g_assert_cmpint(domain.status, ==, 3);
    assert_says(domain.err, "'DA' is relative to a domain");
}

static void
test_usage(void)
{
    g_auto(Result) none = RUN(NULL, NULL);
    g_assert_cmpint(none.status, ==, 2);
    assert_says(none.err, "--sddl");
    g_auto(Result) both = RUN(NULL, "--sddl", "D:", "--sd", "00", "--sid", "S-1-1-0");
    g_assert_cmpint(both.status, ==, 2);
    g_auto(Result) nobody = RUN(NULL, "--sddl", "D:");
    g_assert_cmpint(nobody.status, ==, 2);
    assert_says(nobody.err, "--sid");
    g_auto(Result) sid = RUN(NULL, "--sddl", "D:", "--sid", "HV2$");
    g_assert_cmpint(sid.status, ==, 2);
    assert_says(sid.err, "HV2$");
    g_auto(Result) mask = RUN(NULL, "--sddl", "D:", "--sid", "S-1-1-0", "--desired", "write");
    g_assert_cmpint(mask.status, ==, 2);
    g_auto(Result) mixed = RUN("", "--batch", "-", "--sid", "S-1-1-0");
    g_assert_cmpint(mixed.status, ==, 2);
    g_auto(Result) extra = RUN(NULL, "--sddl", "D:", "--sid", "S-1-1-0", "more");
    g_assert_cmpint(extra.status, ==, 2);
}

static void
test_batch(void)
{
    g_auto(Result) good = RUN(QUESTION QUESTION, "--batch", "-");
    g_assert_cmpint(good.status, ==, 0);
    g_assert_cmpuint(count_lines(good.out), ==, 2);
    g_assert_true(g_str_has_prefix(good.out, GRANTED));

    g_auto(Result) bad = RUN(QUESTION "{\"sd\": 1}\n\n" QUESTION, "--batch", "-");
    g_assert_cmpint(bad.status, ==, 3);
    g_assert_cmpuint(count_lines(bad.out), ==, 4);
    assert_says(bad.out, "line 2: byte 8: \\\"sd\\\": a string is expected");
    assert_says(bad.out, "line 3: byte 1: an object is expected");
    assert_says(bad.err, "2 of 4 lines");

    g_auto(Result) open_end = run(QUESTION, (gssize)strlen(QUESTION) - 1,
                                  (const char *const[]){"--batch", "-", NULL});
    g_assert_cmpint(open_end.status, ==, 0);
    g_assert_cmpuint(count_lines(open_end.out), ==, 1);
}

static void
test_nothing(void)
{
    g_auto(Result) empty = RUN("", "--batch", "-");
    g_assert_cmpint(empty.status, ==, 3);
    assert_says(empty.err, "nothing was judged");
    g_auto(Result) missing = RUN(NULL, "--batch", "/nonexistent/batch");
    g_assert_cmpint(missing.status, ==, 3);
    assert_says(missing.err, "/nonexistent/batch");
    g_auto(Result) folder = RUN(NULL, "--batch", "/");
    g_assert_cmpint(folder.status, ==, 3);
    assert_says(folder.err, "'/': ");
}

/* A line above 1 MiB, also one above what is held in memory, is answered and left behind. */
static void
test_long_lines(void)
{
    static const gsize sizes[] = {1024 * 1024 + 1, 3 * 1024 * 1024, 9 * 1024 * 1024};
    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(GString) input = g_string_new(QUESTION);
        g_autofree gchar *filling = g_strnfill(sizes[i], '[');
        g_string_append(input, filling);
        g_string_append(input, "\n" QUESTION);
        g_auto(Result) result = run(input->str, (gssize)input->len,
                                    (const char *const[]){"--batch", "-", NULL});
        g_assert_cmpint(result.status, ==, 3);
        g_assert_cmpuint(count_lines(result.out), ==, 3);
        assert_says(result.out, "line 2: longer than 1 MiB");
        g_assert_true(g_str_has_suffix(result.out, "still missing\"}\n"));

        /* the same at the end, without a line break */
        g_string_truncate(input, strlen(QUESTION) + sizes[i]);
        g_auto(Result)
            last = run(input->str, (gssize)input->len, (const char *const[]){"--batch", "-", NULL});
        g_assert_cmpuint(count_lines(last.out), ==, 2);
        assert_says(last.out, "line 2: longer than 1 MiB");
    }
}

/* Who asks one question at a time gets each answer before the next question. */
static void
test_conversation(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSubprocess)
        process = g_subprocess_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE,
                                   &error, program, "acl", "eval", "--batch", "-", NULL);
    g_assert_no_error(error);
    GOutputStream *in = g_subprocess_get_stdin_pipe(process);
    g_autoptr(GDataInputStream)
        out = g_data_input_stream_new(g_subprocess_get_stdout_pipe(process));
    for (guint i = 0; i < 3; i++) {
        g_assert_true(g_output_stream_write_all(in, QUESTION, strlen(QUESTION), NULL, NULL, NULL));
        g_assert_true(g_output_stream_flush(in, NULL, NULL));
        g_autofree gchar *line = g_data_input_stream_read_line(out, NULL, NULL, NULL);
        g_assert_nonnull(line);
        g_assert_true(g_str_has_prefix(line, GRANTED));
    }
    g_assert_true(g_output_stream_close(in, NULL, NULL));
    g_assert_true(g_subprocess_wait_check(process, NULL, &error));
    g_assert_no_error(error);
}

static void
test_full_disk(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(
        G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
    g_subprocess_launcher_set_stdout_file_path(launcher, "/dev/full");
    g_autoptr(GSubprocess) process = g_subprocess_launcher_spawn(launcher, &error, program, "acl",
                                                                 "eval", "--batch", "-", NULL);
    g_assert_no_error(error);
    g_autofree gchar *err = NULL;
    g_assert_true(g_subprocess_communicate_utf8(process, QUESTION, NULL, NULL, &err, &error));
    g_assert_cmpint(g_subprocess_get_exit_status(process), ==, 3);
    assert_says(err, "the answers cannot be written: No space left on device");
}

int
main(int argc, char **argv)
{
    g_setenv("LC_ALL", "C.UTF-8", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 2);
    program = argv[1];
    g_test_add_func("/acl-eval/one-check/verdict-and-status", test_one);
    g_test_add_func("/acl-eval/unreadable-descriptor/status-3", test_unreadable);
    g_test_add_func("/acl-eval/wrong-usage/status-2", test_usage);
    g_test_add_func("/acl-eval/batch/one-answer-a-line", test_batch);
    g_test_add_func("/acl-eval/nothing-judged/status-3", test_nothing);
    g_test_add_func("/acl-eval/long-lines/answered", test_long_lines);
    g_test_add_func("/acl-eval/conversation/answered-at-once", test_conversation);
    g_test_add_func("/acl-eval/full-disk/status-3", test_full_disk);
    return g_test_run();
}
