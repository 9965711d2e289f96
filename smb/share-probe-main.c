/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/descriptor-names.h"
#include "smb/owner-record.h"
#include "smb/share-find-scan.h"
#include "smb/share-find.h"
#include "smb/share-probe-wire.h"
#include "smb/smbc-context.h"
#include "src/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * vmferry-share-probe FOLDER: what this account may do with some files (share-probe.h).
 *
 * Theory of operation. Two processes work side by side. One goes through the files by sessions as
 * the disk process makes them. Its child sees for each share whether the server also lets in who
 * offers no encryption: that takes another configuration of libsmbclient, which is a process's
 * (smbc-context.h). No errno of libsmbclient tells why a connection failed, but its call with a new
 * connection tells that one came about (facts.md), so "connected" is known and not guessed.
 *
 * Started with "stay" it answers further questions, each put to the server anew over the same
 * sessions, until the socket they come from has ended (probe-kept.h).
 *
 * Failure model. It holds nothing and changes nothing: it may be killed at any instant.
 */

#define REQUEST_TIMEOUT_MS 8000
#define CLEAR_PATIENCE_MS  3000  /* for the child, once the files are done */
#define DESCRIPTOR_MAX     65536 /* VMF_FACT_TEXT_MAX */
#define NOT_ASKED          (-2)  /* in place of the child's answers */

typedef struct {
    VmfFactShare *fact;
    gboolean usable; /* files on it can be asked for */
} Share;

typedef struct {
    const char *role, *url, *server, *share;
    gboolean write;
    const char *list; /* how the descriptor is wanted (share-probe-wire.h) */
} File;

/* What the child has seen of one share. */
typedef struct {
    gboolean connected;
    int code; /* errno when not */
} Clear;

typedef struct {
    SMBCCTX *context;
    smbc_add_cached_srv_fn add_server;
    gboolean connected;  /* since it was last cleared, to a share other than IPC$ */
    GHashTable *reached; /* "//server/share" that it has been connected to */
    GPtrArray *shares;   /* of Share, in order of their first file */
    GHashTable *names;   /* what servers call a SID (descriptor-names.h) */
} Probe;

static int
note_server(SMBCCTX *context, SMBCSRV *server, const char *name, const char *share,
            const char *workgroup, const char *user)
{
    Probe *probe = smbc_getOptionUserData(context);
    if (strncmp(share, "IPC$", 4) != 0)
        probe->connected = TRUE;
    return probe->add_server(context, server, name, share, workgroup, user);
}

/* What libsmbclient says is not for a log: each answer says it in our words. */
static void
say_nothing(void *data, int level, const char *message)
{
}

static SMBCCTX *
make_context(Probe *probe, VmfSmbcKind kind)
{
    SMBCCTX *context = vmf_smbc_context_new(REQUEST_TIMEOUT_MS, kind, probe);
    if (context == NULL)
        return NULL;
    smbc_setLogCallback(context, NULL, say_nothing);
    probe->add_server = smbc_getFunctionAddCachedServer(context);
    smbc_setFunctionAddCachedServer(context, note_server);
    return context;
}

/* ---- shares ---- */

/* Returns: 0, or errno. */
static int
look_at(SMBCCTX *context, const char *url, struct stat *facts)
{
    errno = 0;
    return smbc_getFunctionStat(context)(context, url, facts) == 0 ? 0 : errno;
}

static void
explain_no_connection(VmfFactShare *fact, int code)
{
    if (code == ENOSYS) {
        vmf_fact_set(&fact->smb3_problem, "the server speaks no SMB 3");
        return;
    }
    const char *hint = code == EACCES || code == EPERM
                           ? ": the share's own permissions, 'valid users', or the clocks"
                       : code == EINVAL || code == ENOENT || code == ENODEV
                           ? ": no such share, or the server refused the Kerberos ticket"
                           : "";
    vmf_fact_printf(&fact->reason, "cannot connect to //%s/%s: %s%s", fact->server, fact->share,
                    g_strerror(code), hint);
}

static void
connect_share(Probe *probe, Share *share, const File *file)
{
    g_autoptr(GError) error = NULL;
    VmfTicketTimes times;
    struct stat facts;
    if (!vmf_smbc_server_is_ready(file->server, &times, &error)) {
        vmf_fact_set(&share->fact->reason, error->message);
        return;
    }
    gchar *name = g_strdup_printf("//%s/%s", file->server, file->share);
    /* of a question before: if it is lost meanwhile, each file says so */
    probe->connected = g_hash_table_contains(probe->reached, name);
    int code = look_at(probe->context, file->url, &facts);
    if (probe->connected)
        g_hash_table_add(probe->reached, g_steal_pointer(&name));
    g_free(name);
    share->usable = share->fact->smb3 = probe->connected;
    if (!probe->connected)
        explain_no_connection(share->fact, code);
}

static gboolean
is_on(const VmfFactShare *fact, const File *file)
{
    return strcmp(fact->server, file->server) == 0 &&
           g_ascii_strcasecmp(fact->share, file->share) == 0;
}

/* @fresh: (out): seen for the first time */
static Share *
find_share(Probe *probe, const File *file, gboolean *fresh)
{
    *fresh = FALSE;
    for (guint i = 0; i < probe->shares->len; i++) {
        Share *share = g_ptr_array_index(probe->shares, i);
        if (is_on(share->fact, file))
            return share;
    }
    Share *share = g_new0(Share, 1);
    share->fact = vmf_fact_share_new();
    vmf_fact_set(&share->fact->server, file->server);
    vmf_fact_set(&share->fact->share, file->share);
    g_ptr_array_add(probe->shares, share);
    *fresh = TRUE;
    return share;
}

/* ---- without encryption: the child ---- */

static Clear
try_clear(Probe *probe, const File *file)
{
    static const VmfSmbcKind kinds[] = {VMF_SMBC_CLEAR_311, VMF_SMBC_CLEAR_210};
    Clear clear = {.code = EIO};
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        struct stat facts;
        SMBCCTX *context = make_context(probe, kinds[i]);
        if (context == NULL)
            break;
        probe->connected = FALSE;
        clear.code = look_at(context, file->url, &facts);
        clear.connected = probe->connected;
        /* the context is left to the process's end: freeing it would wait for a logoff */
        if (clear.connected || clear.code == EACCES || clear.code == EPERM)
            break;
    }
    return clear;
}

static gboolean
next_file(GVariantIter *files, File *file)
{
    return g_variant_iter_next(files, "(&s&s&s&sb&s)", &file->role, &file->url, &file->server,
                               &file->share, &file->write, &file->list);
}

/* Writes a Clear for each share, in order of their first file. */
static void
child(GVariant *request, const char *folder, int out)
{
    Probe probe = {.shares = g_ptr_array_new()};
    g_autofree gchar *own = g_build_filename(folder, "clear", NULL);
    g_autoptr(GVariantIter) files = NULL;
    const char *uuid;
    gboolean fresh;
    File file;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    g_variant_get(request, VMF_PROBE_REQUEST_ITER, &uuid, NULL, &files);
    if (!vmf_smbc_configure(own, TRUE, NULL))
        return;
    while (next_file(files, &file)) {
        find_share(&probe, &file, &fresh);
        if (!fresh)
            continue;
        Clear clear = try_clear(&probe, &file);
        if (write(out, &clear, sizeof clear) != sizeof clear)
            return;
    }
}

/* The process that asks without encryption: its Clears come from @answers; -1: there is none */
typedef struct {
    pid_t pid;
    int answers;
} ClearChild;

static ClearChild
start_child(GVariant *request, const char *folder, int answer)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return (ClearChild){-1, -1};
    pid_t pid = fork();
    if (pid == 0) {
        close(answer);
        close(ends[0]);
        child(request, folder, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    if (pid > 0)
        return (ClearChild){pid, ends[0]};
    close(ends[0]);
    return (ClearChild){-1, -1};
}

/* It has told what it found, or is too late: a server may keep it waiting for long. */
static void
end_child(ClearChild clear)
{
    if (clear.answers < 0)
        return;
    close(clear.answers);
    kill(clear.pid, SIGKILL);
    while (waitpid(clear.pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* The child began before the files did: a server that lets it wait for longer says nothing. */
static gboolean
hear_clear(int from, Clear *clear)
{
    struct pollfd watch = {.fd = from, .events = POLLIN};
    return from >= 0 && poll(&watch, 1, CLEAR_PATIENCE_MS) == 1 &&
           read(from, clear, sizeof *clear) == sizeof *clear;
}

static void
take_clear(int from, VmfFactShare *fact, gboolean usable)
{
    Clear clear;
    if (!hear_clear(from, &clear)) {
        vmf_fact_set(&fact->encryption_problem,
                     "the server did not answer a connection without encryption in time");
        return;
    }
    if (clear.connected)
        fact->encryption = VMF_FACT_CRYPT_OPTIONAL;
    else if (usable && (clear.code == EACCES || clear.code == EPERM))
        fact->encryption = VMF_FACT_CRYPT_REQUIRED;
    else
        vmf_fact_printf(&fact->encryption_problem,
                        "a connection without encryption gave no verdict: %s",
                        g_strerror(clear.code));
}

/* ---- files ---- */

static VmfFactAnswer
answer_of(int code, VmfFactProbe *fact)
{
    switch (code) {
    case 0:
        return VMF_FACT_ANSWER_OK;
    case EBUSY:
    case ETXTBSY:
        return VMF_FACT_ANSWER_HELD;
    case EACCES:
    case EPERM:
    case EROFS:
        return VMF_FACT_ANSWER_DENIED;
    case ENOENT:
    case ENOTDIR:
        return VMF_FACT_ANSWER_MISSING;
    default:
        vmf_fact_set(&fact->problem, g_strerror(code));
        return VMF_FACT_ANSWER_FAILED;
    }
}

/*
 * It denies nobody: both hosts of a check open the same files at the same time, and neither must find the
 * other. Whoever holds a file deny-write is found all the same. Returns: 0, or errno.
 */
static int
try_open(SMBCCTX *context, const char *url, gboolean write)
{
    smbc_setOptionOpenShareMode(context, SMBC_SHAREMODE_DENY_NONE);
    errno = 0;
    SMBCFILE *file = smbc_getFunctionOpen(context)(context, url, write ? O_RDWR : O_RDONLY, 0);
    if (file == NULL)
        return errno != 0 ? errno : EIO;
    smbc_getFunctionClose(context)(context, file);
    return 0;
}

static int
try_list(SMBCCTX *context, const char *url)
{
    errno = 0;
    SMBCFILE *folder = smbc_getFunctionOpendir(context)(context, url);
    if (folder == NULL)
        return errno != 0 ? errno : EIO;
    smbc_getFunctionClosedir(context)(context, folder);
    return 0;
}

/* Returns: (transfer full): NULL with errno; "" for a text that is too long to be a fact */
static gchar *
read_attribute(SMBCCTX *context, const char *url, const char *name)
{
    g_autofree gchar *text = g_malloc0(DESCRIPTOR_MAX + 1);
    errno = 0;
    int length = smbc_getFunctionGetxattr(context)(context, url, name, text, DESCRIPTOR_MAX);
    if (length < 0)
        return NULL;
    gboolean fits = length < DESCRIPTOR_MAX && g_utf8_validate(text, -1, NULL);
    return g_strdup(fits ? text : "");
}

static void
read_descriptor(Probe *probe, const char *url, VmfFactProbe *fact)
{
    g_autofree gchar *text = read_attribute(probe->context, url, "system.nt_sec_desc.*");
    if (text == NULL || text[0] == '\0') {
        vmf_fact_set(&fact->descriptor_problem,
                     text == NULL ? g_strerror(errno) : "it is too long, or empty");
        return;
    }
    vmf_fact_set(&fact->descriptor, text);
    g_autofree gchar *names = vmf_descriptor_names_write(probe->names, text);
    if (names == NULL) {
        names = read_attribute(probe->context, url, "system.nt_sec_desc.*+");
        vmf_descriptor_names_learn(probe->names, text, names != NULL ? names : "");
    }
    vmf_fact_set(&fact->descriptor_names, names);
}

static void
want_descriptor(Probe *probe, const File *file, const char *stamp, VmfFactProbe *fact)
{
    gboolean denied = fact->read == VMF_FACT_ANSWER_DENIED || fact->write == VMF_FACT_ANSWER_DENIED;
    if (fact->read == VMF_FACT_ANSWER_MISSING)
        return;
    if (denied || strcmp(file->list, VMF_PROBE_LIST_READ) == 0)
        read_descriptor(probe, file->url, fact);
    else if (strcmp(file->list, VMF_PROBE_LIST_DENIED) == 0)
        vmf_fact_set(&fact->descriptor_problem, "not read: for a move the server's answer decides");
    else if (strcmp(file->list, stamp) != 0)
        read_descriptor(probe, file->url, fact);
}

/* @stamp: (out) (transfer full) */
static VmfFactProbe *
ask(Probe *probe, const File *file, gchar **stamp)
{
    VmfFactProbe *fact = vmf_fact_probe_new();
    struct stat facts = {0};
    *stamp = g_strdup("");
    vmf_fact_set(&fact->url, file->url);
    gboolean fresh;
    Share *share = find_share(probe, file, &fresh);
    if (fresh)
        connect_share(probe, share, file);
    if (!share->usable) {
        vmf_fact_set(&fact->reason, share->fact->reason[0] != '\0' ? share->fact->reason
                                                                   : share->fact->smb3_problem);
        return fact;
    }
    fact->folder = strcmp(file->role, "folder") == 0;
    int code = look_at(probe->context, file->url, &facts);
    if (code == 0) {
        fact->size_bytes = facts.st_size > 0 ? (guint64)facts.st_size : 0;
        vmf_fact_printf(&fact->file_id, "%" G_GUINT64_FORMAT, (guint64)facts.st_ino);
        vmf_fact_printf(stamp, "%s:%" G_GINT64_FORMAT ".%09ld", fact->file_id,
                        (gint64)facts.st_ctim.tv_sec, facts.st_ctim.tv_nsec);
        fact->read_only = !fact->folder && (facts.st_mode & S_IWUSR) == 0;
    }
    code = fact->folder ? try_list(probe->context, file->url)
                        : try_open(probe->context, file->url, FALSE);
    fact->read = answer_of(code, fact);
    if (file->write)
        fact->write = answer_of(try_open(probe->context, file->url, TRUE), fact);
    want_descriptor(probe, file, *stamp, fact);
    return fact;
}

/* ---- the owner record ---- */

static ssize_t
read_file(SMBCCTX *context, const char *url, guint8 *buffer, gsize size)
{
    gsize done = 0;
    smbc_setOptionOpenShareMode(context, SMBC_SHAREMODE_DENY_NONE);
    errno = 0;
    SMBCFILE *file = smbc_getFunctionOpen(context)(context, url, O_RDONLY, 0);
    if (file == NULL)
        return -1;
    ssize_t got = 1;
    while (got > 0 && done < size) {
        got = smbc_getFunctionRead(context)(context, file, buffer + done, size - done);
        done += got > 0 ? (gsize)got : 0;
    }
    int code = errno;
    smbc_getFunctionClose(context)(context, file);
    errno = code;
    return got < 0 ? -1 : (ssize_t)done;
}

static void
read_owner(Probe *probe, const File *file, const VmfFactProbe *seen, const char *uuid,
           VmfFactOwner *owner)
{
    g_autoptr(GError) error = NULL;
    guint8 bytes[VMF_OWNER_FILE_SIZE + 1];
    VmfOwnerRecord record;
    guint slot;
    vmf_fact_set(&owner->reason, seen->reason);
    if (seen->reason[0] != '\0' || seen->read == VMF_FACT_ANSWER_MISSING)
        return; /* not known, or there is none yet */
    ssize_t size = read_file(probe->context, file->url, bytes, sizeof bytes);
    if (size < 0) {
        vmf_fact_printf(&owner->reason, "cannot read the owner record: %s", g_strerror(errno));
        return;
    }
    if (!vmf_owner_record_decode_file(bytes, (gsize)size, uuid, &record, &slot, &error)) {
        vmf_fact_set(&owner->reason, error->message);
        return;
    }
    owner->present = TRUE;
    owner->epoch = MIN(record.epoch, (guint64)G_MAXINT64);
    vmf_fact_set(&owner->owner_account, record.owner_account);
    vmf_fact_set(&owner->owner_sid, record.owner_sid);
    vmf_fact_set(&owner->state, vmf_owner_state_name(record.state));
    vmf_fact_set(&owner->boot_id, record.boot_id);
}

/* ---- the whole ---- */

static GVariant *
answer_all(Probe *probe, GVariant *request, int clear)
{
    g_autoptr(VmfFactOwner) owner = vmf_fact_owner_new();
    g_autoptr(GVariantIter) files = NULL;
    const char *uuid;
    GVariantBuilder probes, shares;
    File file;

    vmf_fact_set(&owner->reason, "the VM has no owner record on a share");
    g_variant_builder_init(&probes, G_VARIANT_TYPE("a(sa{sv})"));
    g_variant_builder_init(&shares, G_VARIANT_TYPE("aa{sv}"));
    g_variant_get(request, VMF_PROBE_REQUEST_ITER, &uuid, NULL, &files);
    while (next_file(files, &file)) {
        g_autofree gchar *stamp = NULL;
        g_autoptr(VmfFactProbe) fact = ask(probe, &file, &stamp);
        if (strcmp(file.role, "record") == 0)
            read_owner(probe, &file, fact, uuid, owner);
        g_variant_builder_add(&probes, "(s@a{sv})", stamp, vmf_fact_probe_to_variant(fact));
    }
    for (guint i = 0; i < probe->shares->len; i++) {
        const Share *share = g_ptr_array_index(probe->shares, i);
        if (clear != NOT_ASKED)
            take_clear(clear, share->fact, share->usable);
        g_variant_builder_add_value(&shares, vmf_fact_share_to_variant(share->fact));
    }
    return g_variant_ref_sink(g_variant_new("(aa{sv}a(sa{sv})@a{sv})", &shares, &probes,
                                            vmf_fact_owner_to_variant(owner)));
}

static gboolean
begin(Probe *probe, const char *folder, GError **error)
{
    if (!vmf_smbc_configure(folder, FALSE, error))
        return FALSE;
    probe->context = make_context(probe, VMF_SMBC_SEALED);
    if (probe->context != NULL)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "libsmbclient makes no context: %s",
                g_strerror(errno));
    return FALSE;
}

static gboolean
find_all(const char *folder, int out, GError **error)
{
    Probe probe = {.shares = NULL};
    g_autoptr(GVariant)
        request = vmf_probe_read(STDIN_FILENO, VMF_FIND_REQUEST, VMF_PROBE_REQUEST_MAX, 0, error);
    if (request == NULL || !begin(&probe, folder, error))
        return FALSE;
    g_autoptr(GVariant) answer = vmf_share_find_scan(probe.context, request);
    return vmf_probe_write(out, answer, error);
}

static void
free_share(gpointer data)
{
    Share *share = data;
    vmf_fact_share_free(share->fact);
    g_free(share);
}

/* One question, and with the first one the beginning. */
static gboolean
answer_one(Probe *probe, const char *folder, int in, int out, GError **error)
{
    gboolean ask_clear, first = probe->context == NULL;
    g_autoptr(GVariant)
        request = vmf_probe_read(in, VMF_PROBE_REQUEST, VMF_PROBE_REQUEST_MAX, 0, error);
    if (request == NULL)
        return FALSE;
    g_variant_get_child(request, 1, "b", &ask_clear);
    if (ask_clear && !first) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                    "whether a share wants encryption is asked before all else");
        return FALSE;
    }
    ClearChild clear = ask_clear ? start_child(request, folder, out) : (ClearChild){-1, NOT_ASKED};
    if (first && !begin(probe, folder, error)) {
        end_child(clear);
        return FALSE;
    }
    probe->shares = g_ptr_array_new_with_free_func(free_share);
    probe->names = vmf_descriptor_names_new();
    g_autoptr(GVariant) answer = answer_all(probe, request, clear.answers);
    end_child(clear);
    g_clear_pointer(&probe->shares, g_ptr_array_unref);
    g_clear_pointer(&probe->names, g_hash_table_unref);
    return vmf_probe_write(out, answer, error);
}

/* @stay: then goes on until nobody can ask any more */
static gboolean
probe_all(const char *folder, int out, gboolean stay, GError **error)
{
    Probe probe = {.reached = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    int in = STDIN_FILENO;
    for (;;) {
        gboolean answered = answer_one(&probe, folder, in, out, error);
        close(in);
        close(out);
        if (!answered || !stay)
            return answered;
        if (!vmf_probe_take(VMF_PROBE_CONTROL_FD, &in, &out))
            return TRUE;
    }
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    /* libsmbclient talks on standard output: the answer has a descriptor of its own. */
    int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, VMF_PROBE_CONTROL_FD + 1);
    const char *mode = argc == 3 ? argv[2] : "";
    gboolean find = strcmp(mode, "find") == 0, stay = strcmp(mode, VMF_PROBE_MODE_STAY) == 0;
    if (argc != 2 && !find && !stay) {
        fprintf(stderr, "usage: vmferry-share-probe FOLDER [find | stay]: started by vmferryd\n");
        return 2;
    }
    /* Who stays outlives the thread that started it, and ends with its control socket. */
    if (!stay)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
        !(find ? find_all(argv[1], out, &error) : probe_all(argv[1], out, stay, &error))) {
        fprintf(stderr, "vmferry-share-probe: %s\n",
                error != NULL ? error->message : g_strerror(errno));
        return 1;
    }
    fflush(NULL);
    _exit(0); /* the connections end with the process: no logoff is waited for */
}
