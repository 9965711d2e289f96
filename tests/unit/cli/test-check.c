/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "vmferry check" as a user runs it, as far as it needs no vmferryd: the program is argument 1. */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>

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

static gchar *
as_text(GBytes *bytes)
{
    gsize size;
    const gchar *data = g_bytes_get_data(bytes, &size);
    return size ? g_strndup(data, size) : g_strdup("");
}

static Result
run(const char *input, gsize size, const char *const *arguments)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    Result result = {0};
    g_ptr_array_add(argv, (gpointer)program);
    g_ptr_array_add(argv, (gpointer) "check");
    for (; *arguments != NULL; arguments++)
        g_ptr_array_add(argv, (gpointer)*arguments);
    g_ptr_array_add(argv, NULL);
    g_autoptr(GSubprocess)
        process = g_subprocess_newv((const gchar *const *)argv->pdata,
                                    G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                                        G_SUBPROCESS_FLAGS_STDERR_PIPE,
                                    &error);
    g_assert_no_error(error);
    g_autoptr(GBytes) bytes = g_bytes_new_static(input ? input : "", size);
    g_autoptr(GBytes) out = NULL, err = NULL;
    g_subprocess_communicate(process, bytes, NULL, &out, &err, &error);
    g_assert_no_error(error);
    g_assert_true(g_subprocess_get_if_exited(process));
    result.status = g_subprocess_get_exit_status(process);
    result.out = as_text(out);
    result.err = as_text(err);
    return result;
}

#define RUN(...)          run(NULL, 0, (const char *const[]){__VA_ARGS__, NULL})
#define JUDGE(input, ...) run(input, strlen(input), (const char *const[]){__VA_ARGS__, NULL})

static void
assert_says(const char *text, const char *says)
{
    if (strstr(text, says) == NULL)
        g_error("'%s' does not say '%s'", text, says);
}

static gchar *
corpus(const char *name)
{
    return g_test_build_filename(G_TEST_DIST, "tests", "unit", "vm", "corpus", "domain", name,
                                 NULL);
}

static gchar *
temporary_file(const char *text)
{
    g_autoptr(GError) error = NULL;
    gchar *path = NULL;
    int fd = g_file_open_tmp("vmferry-check-XXXXXX", &path, &error);
    g_assert_no_error(error);
    g_assert_true(g_close(fd, NULL));
    g_assert_true(g_file_set_contents(path, text, -1, &error));
    return path;
}

/* The worst result of a check in a vmferry.check/1 object. */
static gchar *
result_of(const char *json, const char *id)
{
    static const char *const order[] = {"not-applicable", "pass", "warn", "unknown", "fail", NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) root = json_from_string(json, &error);
    g_assert_no_error(error);
    JsonArray *reports = json_object_get_array_member(json_node_get_object(root), "reports");
    JsonArray *findings = json_object_get_array_member(json_array_get_object_element(reports, 0),
                                                       "findings");
    guint worst = 0, seen = 0;
    for (guint i = 0; i < json_array_get_length(findings); i++) {
        JsonObject *finding = json_array_get_object_element(findings, i);
        if (strcmp(json_object_get_string_member(finding, "id"), id) != 0)
            continue;
        seen++;
        for (guint k = 0; order[k]; k++)
            if (strcmp(order[k], json_object_get_string_member(finding, "result")) == 0)
                worst = MAX(worst, k);
    }
    g_assert_cmpuint(seen, >, 0);
    return g_strdup(order[worst]);
}

static void
assert_result(const char *json, const char *id, const char *expected)
{
    g_autofree gchar *result = result_of(json, id);
    if (strcmp(result, expected) != 0)
        g_error("%s is '%s', not '%s'", id, result, expected);
}

static void
test_good_definition(void)
{
    g_autofree gchar *path = corpus("web1.live.xml");
    g_auto(Result) result = RUN("--definition", path, "--json");
    g_assert_cmpint(result.status, ==, 0);
    assert_says(result.out, "\"schema\": \"vmferry.check/1\"");
    assert_says(result.out, "is on a share; which ones are allowed, --policy FILE tells");
    assert_result(result.out, "SMB-100", "pass");
    assert_result(result.out, "VM-210", "pass");
    assert_result(result.out, "VM-230", "pass");
    assert_result(result.out, "HOST-300", "not-applicable");
    g_assert_cmpstr(result.err, ==, "");
}

#define BAD_DEFINITION                                                                             \
    "<domain type='kvm'>\n<name>bad</name>\n<memory>1024</memory>\n"                               \
    "<os><type arch='x86_64' machine='q35'>hvm</type></os>\n<devices>\n"                           \
    "<disk type='file' device='disk'>\n<driver name='qemu' type='raw' cache='writeback'/>\n"       \
    "<source file='/var/lib/x.raw'/>\n<target dev='vda'/>\n</disk>\n"                              \
    "<hostdev mode='subsystem' type='pci'/>\n<surprise/>\n</devices>\n</domain>\n"

/* All that is wrong, each with its line: not only the first. */
static void
test_bad_definition(void)
{
    g_auto(Result) result = JUDGE(BAD_DEFINITION, "--definition", "-");
    g_assert_cmpint(result.status, ==, 1);
    assert_says(result.out, "FAIL  SMB-100  /var/lib/x.raw\n      disk vda is on no share");
    assert_says(result.out, "line 11, <domain/devices/hostdev>");
    assert_says(result.out, "line 12, <domain/devices/surprise>");
    assert_says(result.out, "FAIL  VM-230  bad, disk vda\n      cache is writeback");
    assert_says(result.out, "bad cannot move as it is: ");

    g_auto(Result) junit = JUDGE(BAD_DEFINITION, "--definition", "-", "--junit");
    g_assert_cmpint(junit.status, ==, 1);
    assert_says(junit.out, "<failure message=\"disk vda is on no share");
}

static void
test_policy_counts(void)
{
    g_autofree gchar *definition = corpus("web1.live.xml");
    g_autofree gchar *policy = temporary_file(
        "[vmferry]\ngroup=g\n[shares]\nallow=//other.lab.test/vms\n");
    g_auto(Result) result = RUN("--definition", definition, "--policy", policy);
    g_assert_cmpint(result.status, ==, 1);
    assert_says(result.out, "which is not among the allowed shares");
    g_assert_true(g_file_set_contents(policy, "[vmferry]\ngroup=g\nprot=1\n", -1, NULL));
    g_auto(Result) broken = RUN("--definition", definition, "--policy", policy);
    g_assert_cmpint(broken.status, ==, 3);
    assert_says(broken.err, "[vmferry] has no key 'prot'");
    g_unlink(policy);
}

/* What cannot be read is a failure with its reason, and quickly so. */
static void
test_hostile(void)
{
    static const struct {
        const char *what;
        const char *says;
    } cases[] = {
        {"", "cannot be read"},
        {"<domain>", "cannot be read"},
        {"<!DOCTYPE d [<!ENTITY a 'b'>]><domain><name>&a;</name></domain>", "document type"},
        {"<network/>", "cannot be read"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(Result) result = JUDGE(cases[i].what, "--definition", "-");
        g_assert_cmpint(result.status, ==, 1);
        assert_says(result.out, "FAIL  VM-210");
        assert_says(result.out, cases[i].says);
    }
    g_autoptr(GString) deep = g_string_new(NULL);
    for (guint i = 0; i < 10000; i++)
        g_string_append(deep, "<a>");
    g_auto(Result) nested = JUDGE(deep->str, "--definition", "-");
    g_assert_cmpint(nested.status, ==, 1);
    assert_says(nested.out, "cannot be read");
    g_autofree gchar *huge = g_strnfill(11 * 1024 * 1024, 'x'), *path = temporary_file(huge);
    g_auto(Result) large = RUN("--definition", path);
    g_unlink(path);
    g_assert_cmpint(large.status, ==, 1);
    assert_says(large.out, "at most 10485760");
}

static void
test_usage(void)
{
    static const char *const wrong[][5] = {
        {NULL},
        {"web1"},
        {"--to", "hv2"},
        {"web1", "--to", "all", "--save=x"},
        {"web1", "--to=hv2", "--to=hv3", "--save=x"},
        {"web1", "--to=hv2", "--to=all"},
        {"web1", "--to=hv2", "--json", "--junit"},
        {"web1", "--definition=x"},
        {"--definition=x", "--save=y"},
        {"web1", "--to=hv2", "--policy=x"},
        {"web1", "--to=hv2", "--surprise"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_auto(Result) result = run(NULL, 0, wrong[i]);
        g_assert_cmpint(result.status, ==, 2);
        assert_says(result.err, "vmferry check --help");
        g_assert_cmpstr(result.out, ==, "");
    }
    g_auto(Result) missing = RUN("--definition", "/nonexistent/vm.xml");
    g_assert_cmpint(missing.status, ==, 3);
    assert_says(missing.err, "cannot read '/nonexistent/vm.xml'");
}

static void
test_help(void)
{
    g_auto(Result) result = RUN("--help");
    g_assert_cmpint(result.status, ==, 0);
    assert_says(result.out, "SMB-120   each host may read and write each writable file");
    assert_says(result.out, "JOB-400");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 2);
    program = argv[1];
    g_test_add_func("/check/good-definition/passes", test_good_definition);
    g_test_add_func("/check/bad-definition/all-that-is-wrong", test_bad_definition);
    g_test_add_func("/check/policy-file/counts", test_policy_counts);
    g_test_add_func("/check/hostile-definition/clear-error", test_hostile);
    g_test_add_func("/check/wrong-usage/status-2", test_usage);
    g_test_add_func("/check/help/lists-the-checks", test_help);
    return g_test_run();
}
