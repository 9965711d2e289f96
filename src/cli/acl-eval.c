/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/access-batch.h"
#include "policy/descriptor-text.h"
#include "policy/sddl.h"
#include "src/base/error.h"
#include "src/cli/acl.h"

/*
 * vmferry acl eval: the access check alone. No daemon, no network, no privilege.
 *
 * Exit status of one check: 0 grant, 1 deny, 3 unknown or unreadable. Of a batch: 0 when every
 * line was understood, whatever the verdicts; 3 when one was not, or when there was none.
 */

typedef struct {
    gchar *sddl, *sd, *text, *domain, *desired, *batch;
    gchar **sids;
    gboolean complete, json;
} Options;

static void
free_options(Options *o)
{
    g_free(o->sddl);
    g_free(o->sd);
    g_free(o->text);
    g_free(o->domain);
    g_free(o->desired);
    g_free(o->batch);
    g_strfreev(o->sids);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, free_options)

/*
 * The lines of a batch: a buffer that is filled from @fd and given out line by line. A line longer
 * than the buffer is given out as NULL and skipped up to its end, so memory stays bounded.
 */
typedef struct {
    int fd;
    char *data;
    gsize start, filled;
    gboolean ended, skipping;
    int failed; /* errno of a read that failed */
} Lines;

#define BUFFER_SIZE (2 * VMF_ACCESS_BATCH_MAX_LINE)

/* Returns %FALSE when nothing more comes. */
static gboolean
fill(Lines *lines)
{
    memmove(lines->data, lines->data + lines->start, lines->filled - lines->start);
    lines->filled -= lines->start;
    lines->start = 0;
    ssize_t n;
    do {
        n = read(lines->fd, lines->data + lines->filled, BUFFER_SIZE - lines->filled);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        lines->filled += (gsize)n;
    else
        lines->ended = TRUE;
    if (n < 0)
        lines->failed = errno;
    return n > 0;
}

typedef enum {
    LINE,
    TOO_LONG,
    MORE_NEEDED,
    END,
} LineResult;

/* The next whole line of what is in the buffer. */
static LineResult
take_line(Lines *lines, char **line, gsize *size)
{
    char *start = lines->data + lines->start;
    gsize left = lines->filled - lines->start;
    char *end = memchr(start, '\n', left);
    if (end == NULL && !lines->ended) {
        if (left <= VMF_ACCESS_BATCH_MAX_LINE)
            return MORE_NEEDED;
        lines->skipping = TRUE;
        lines->start = lines->filled;
        return MORE_NEEDED;
    }
    if (end == NULL && left == 0 && !lines->skipping)
        return END;
    *line = start;
    *size = end ? (gsize)(end - start) : left;
    start[*size] = '\0';
    lines->start += *size + (end != NULL);
    gboolean too_long = lines->skipping || *size > VMF_ACCESS_BATCH_MAX_LINE;
    lines->skipping = FALSE;
    return too_long ? TOO_LONG : LINE;
}

static gboolean
flush(GString *out)
{
    gboolean good = fwrite(out->str, 1, out->len, stdout) == out->len && fflush(stdout) == 0;
    g_string_truncate(out, 0);
    return good;
}

/* Returns whether all answers could be written; counts the lines and those not understood. */
static gboolean
answer_lines(Lines *lines, guint64 *number, guint64 *bad)
{
    g_autoptr(VmfAccessBatch) batch = vmf_access_batch_new();
    g_autoptr(GString) out = g_string_new(NULL);
    for (;;) {
        char *line = NULL;
        gsize size = 0;
        switch (take_line(lines, &line, &size)) {
        case LINE:
            if (!vmf_access_batch_line(batch, line, size, ++*number, out))
                ++*bad;
            break;
        case TOO_LONG:
            vmf_access_batch_refuse(++*number, "longer than 1 MiB", out);
            ++*bad;
            break;
        case MORE_NEEDED:
            /* what is answered is shown before it waits for more */
            if (!flush(out))
                return FALSE;
            fill(lines);
            break;
        case END:
            return flush(out);
        }
        if (out->len > 256 * 1024 && !flush(out))
            return FALSE;
    }
}

static int
eval_batch(const char *name)
{
    gboolean standard = strcmp(name, "-") == 0;
    Lines lines = {.fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC)};
    guint64 number = 0, bad = 0;
    if (lines.fd < 0) {
        g_printerr("vmferry acl eval: '%s': %s\n", name, g_strerror(errno));
        return VMF_EXIT_UNKNOWN;
    }
    g_autofree char *data = lines.data = g_malloc(BUFFER_SIZE + 1);
    gboolean written = answer_lines(&lines, &number, &bad);
    int write_error = errno;
    if (!standard)
        close(lines.fd);
    if (!written)
        g_printerr("vmferry acl eval: the answers cannot be written: %s\n",
                   g_strerror(write_error));
    if (lines.failed != 0)
        g_printerr("vmferry acl eval: '%s': %s\n", name, g_strerror(lines.failed));
    if (number == 0)
        g_printerr("vmferry acl eval: '%s' holds no line: nothing was judged\n", name);
    else if (bad > 0)
        g_printerr("vmferry acl eval: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                   " lines could not be read; their answers say why\n",
                   bad, number);
    return written && lines.failed == 0 && number > 0 && bad == 0 ? VMF_EXIT_DONE
                                                                  : VMF_EXIT_UNKNOWN;
}

static VmfSecurityDescriptor *
read_hex(const char *hex, GError **error)
{
    gsize size = strlen(hex);
    g_autofree guint8 *bytes = g_malloc(size / 2 + 1);
    if (vmf_hex_decode(hex, size, bytes))
        return vmf_security_descriptor_from_bytes(bytes, size / 2, error);
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "--sd is not made of pairs of hexadecimal digits");
    return NULL;
}

static VmfSecurityDescriptor *
read_descriptor(const Options *o, GError **error)
{
    if (o->sddl)
        return vmf_sddl_parse(o->sddl, o->domain, error);
    return o->sd ? read_hex(o->sd, error) : vmf_descriptor_text_parse(o->text, error);
}

static VmfToken *
read_token(const Options *o, GError **error)
{
    g_autoptr(VmfToken) token = vmf_token_new();
    token->complete = o->complete;
    for (gsize i = 0; o->sids[i] != NULL; i++)
        if (!vmf_token_add(token, o->sids[i], error))
            return NULL;
    return g_steal_pointer(&token);
}

static void
print_mask(const char *name, guint32 mask)
{
    g_autofree gchar *rights = vmf_access_rights_name(mask);
    g_print("%-8s 0x%08x (%s)\n", name, mask, rights);
}

static void
print_answer(const VmfSecurityDescriptor *sd, const VmfAccess *access, gboolean json)
{
    g_autofree gchar *reason = vmf_access_describe(sd, access);
    if (json) {
        g_autoptr(GString) out = g_string_new(NULL);
        vmf_access_append_answer(sd, access, out);
        g_print("%s\n", out->str);
        return;
    }
    print_mask(vmf_verdict_name(access->verdict), access->desired);
    g_print("%-8s %s\n", "because", reason);
    print_mask("granted", access->granted);
    if (access->missing)
        print_mask("missing", access->missing);
}

static int
eval_one(const Options *o, guint32 desired)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfToken) token = read_token(o, &error);
    if (token == NULL) {
        g_printerr("vmferry acl eval: %s\n", error->message);
        return VMF_EXIT_USAGE;
    }
    g_autoptr(VmfSecurityDescriptor) sd = read_descriptor(o, &error);
    if (sd == NULL) {
        g_printerr("vmferry acl eval: %s\n", error->message);
        return VMF_EXIT_UNKNOWN;
    }
    VmfAccess access = vmf_access_check(sd, token, desired);
    print_answer(sd, &access, o->json);
    switch (access.verdict) {
    case VMF_VERDICT_GRANT:
        return VMF_EXIT_DONE;
    case VMF_VERDICT_DENY:
        return VMF_EXIT_FAILED;
    case VMF_VERDICT_UNKNOWN:
        break;
    }
    return VMF_EXIT_UNKNOWN;
}

static int
usage(const char *what)
{
    g_printerr("vmferry acl eval: %s; vmferry acl eval --help tells more\n", what);
    return VMF_EXIT_USAGE;
}

static int
run(const Options *o)
{
    guint32 desired = VMF_ACCESS_READ_WRITE;
    guint descriptors = (o->sddl != NULL) + (o->sd != NULL) + (o->text != NULL);
    gboolean single = descriptors || o->sids || o->desired || o->domain || o->complete || o->json;
    if (o->batch)
        return single ? usage("--batch stands alone: its lines say the rest")
                      : eval_batch(o->batch);
    if (descriptors != 1)
        return usage("one of --sddl, --sd, --text and --batch is needed");
    if (o->sids == NULL)
        return usage("at least one --sid is needed: the account's own, then its groups'");
    if (o->desired && !vmf_access_parse_mask(o->desired, &desired))
        return usage("--desired is a mask of 32 bits, decimal or 0x...");
    if (o->domain && !vmf_sid_is_valid(o->domain))
        return usage("--domain is a SID");
    return eval_one(o, desired);
}

int
vmf_acl_eval(int argc, char **argv)
{
    g_auto(Options) o = {0};
    const GOptionEntry entries[] = {
        {"sddl", 0, 0, G_OPTION_ARG_STRING, &o.sddl, "Descriptor as SDDL", "SDDL"},
        {"sd", 0, 0, G_OPTION_ARG_STRING, &o.sd, "Descriptor as self-relative bytes", "HEX"},
        {"text", 0, 0, G_OPTION_ARG_STRING, &o.text,
         "Descriptor as libsmbclient gives it (system.nt_sec_desc.*)", "TEXT"},
        {"sid", 0, 0, G_OPTION_ARG_STRING_ARRAY, &o.sids,
         "The account's SID, then those of its groups; many", "SID"},
        {"desired", 0, 0, G_OPTION_ARG_STRING, &o.desired,
         "Rights asked for; without it 0x0012019f, what a VM's disk needs", "MASK"},
        {"domain", 0, 0, G_OPTION_ARG_STRING, &o.domain, "For DA, DU ... in SDDL", "SID"},
        {"complete", 0, 0, G_OPTION_ARG_NONE, &o.complete,
         "The SIDs include the file server's own groups", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &o.json, "Answer as a batch does", NULL},
        {"batch", 0, 0, G_OPTION_ARG_FILENAME, &o.batch,
         "JSON lines {\"sd\": HEX, \"token\": [SID...], \"desired\": \"0x...\"}", "FILE|-"},
        {NULL},
    };
    return vmf_cli_parse(&argc, &argv, entries, "- the access check alone, offline", 0)
               ? run(&o)
               : VMF_EXIT_USAGE;
}
