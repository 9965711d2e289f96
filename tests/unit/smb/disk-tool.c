/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Drives disk processes from scripts and lab tests, by vmferryd's own client code. One line of
 * JSON per order; exit status 1 and {"error": …, "message": …} when it failed.
 *
 *   disk-tool launch RUN_DIR UUID ACCOUNT SID CCACHE PLUGIN UID GID QUARANTINE_MS DISK...
 *   disk-tool describe|record|probe|quit RUN_DIR UUID
 *   disk-tool claim RUN_DIR UUID EXPECTED_SID EXPECTED_EPOCH EPOCH [STATE [WAIT_MS]]
 *   disk-tool open RUN_DIR UUID EPOCH
 *   disk-tool release RUN_DIR UUID [STATE EPOCH [SID ACCOUNT]]
 *   disk-tool write|read RUN_DIR UUID NAME [CONTENT]
 *   disk-tool orders RUN_DIR UUID
 *       Verbs with their last arguments, one a line, quoted as in a shell, from standard input.
 *   disk-tool pingpong RUN_DIR_1 SID_1 RUN_DIR_2 SID_2 UUID EPOCH N PAUSE_MS
 *       N handovers between two processes of one VM; the first holds the disks with EPOCH.
 *       Prints the epoch reached and the median, 99 % and maximum of each part in microseconds.
 */

#include "smb/disk-client.h"
#include "src/base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
finish(gboolean ok, GError *error)
{
    if (ok)
        return 0;
    g_autofree gchar *text = g_strescape(error->message, NULL);
    printf("{\"error\": \"%s\", \"message\": \"%s\"}\n", vmf_error_code_name(error), text);
    g_error_free(error);
    return 1;
}

static guint64
number(const char *text)
{
    return g_ascii_strtoull(text, NULL, 10);
}

static const char *
argument(char **argv, int argc, int i, const char *otherwise)
{
    return i < argc ? argv[i] : otherwise;
}

static int
do_launch(int argc, char **argv)
{
    GError *error = NULL;
    g_autofree VmfDiskSpec *specs = g_new0(VmfDiskSpec, (gsize)argc);
    guint n = 0;
    for (int i = 11; i < argc; i++)
        if (!vmf_disk_spec_parse(argv[i], &specs[n++], &error))
            return finish(FALSE, error);
    const VmfDiskLaunch launch = {
        .vm_uuid = argv[3],
        .account = argv[4],
        .owner_sid = argv[5],
        .disks = specs,
        .n_disks = n,
        .plugin_path = argv[7],
        .run_dir = argv[2],
        .ccache = argv[6],
        .quarantine_ms = (guint)number(argv[10]),
        .run_uid = (uid_t)number(argv[8]),
        .run_gid = (gid_t)number(argv[9]),
    };
    g_autoptr(VmfDiskClient) client = vmf_disk_client_launch(&launch, &error);
    for (guint i = 0; i < n; i++)
        vmf_disk_spec_clear(&specs[i]);
    if (client != NULL)
        printf("{\"nbd\": \"%s\"}\n", vmf_disk_client_nbd_socket(client));
    return finish(client != NULL, error);
}

static int
do_describe(VmfDiskClient *client)
{
    GError *error = NULL;
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(client, &error);
    if (state == NULL)
        return finish(FALSE, error);
    g_autofree gchar *trouble = g_strescape(state->trouble, NULL);
    printf("{\"gate\": \"%s\", \"held\": %s, \"epoch\": %" G_GUINT64_FORMAT
           ", \"foreign\": %s, \"trouble\": \"%s\", \"in_flight\": %u, \"waiting\": %u, "
           "\"ticket_end\": %" G_GINT64_FORMAT ", \"read_bytes\": %" G_GUINT64_FORMAT
           ", \"written_bytes\": %" G_GUINT64_FORMAT ", \"written_since_open\": %" G_GUINT64_FORMAT
           ", \"sessions\": %u, \"pid\": %d, \"disks\": {",
           vmf_gate_state_name(state->gate), state->held ? "true" : "false", state->epoch,
           state->foreign ? "true" : "false", trouble, state->in_flight, state->waiting,
           state->ticket_end, state->read_bytes, state->written_bytes, state->written_since_open,
           state->sessions, (int)state->pid);
    for (guint i = 0; i < state->n_disks; i++)
        printf("%s\"%s\": %" G_GUINT64_FORMAT, i > 0 ? ", " : "", state->disks[i].target,
               state->disks[i].size);
    printf("}}\n");
    return 0;
}

static int
do_record(VmfDiskClient *client)
{
    GError *error = NULL;
    gboolean present = FALSE;
    VmfOwnerRecord record;
    if (!vmf_disk_client_read_record(client, &present, &record, &error))
        return finish(FALSE, error);
    if (!present)
        printf("{\"present\": false}\n");
    else
        printf("{\"present\": true, \"epoch\": %" G_GUINT64_FORMAT
               ", \"sequence\": %" G_GUINT64_FORMAT
               ", \"owner\": \"%s\", \"sid\": \"%s\", \"state\": \"%s\"}\n",
               record.epoch, record.sequence, record.owner_account, record.owner_sid,
               vmf_owner_state_name(record.state));
    return 0;
}

static void
print_times(const VmfDiskTimes *times)
{
    printf("{\"open_us\": %" G_GUINT64_FORMAT ", \"record_us\": %" G_GUINT64_FORMAT
           ", \"drain_us\": %" G_GUINT64_FORMAT ", \"close_us\": %" G_GUINT64_FORMAT "}\n",
           times->open_us, times->record_us, times->drain_us, times->close_us);
}

static int
do_claim(VmfDiskClient *client, int argc, char **argv)
{
    GError *error = NULL;
    VmfDiskTimes times;
    const VmfOwnerExpect expected = {argv[4], number(argv[5])};
    VmfOwnerNext next = {.epoch = number(argv[6]), .state = VMF_OWNER_RUNNING, .reason = "test"};
    vmf_owner_state_from_name(argument(argv, argc, 7, "running"), &next.state);
    guint wait_ms = (guint)number(argument(argv, argc, 8, "0"));
    gboolean ok = vmf_disk_client_claim(client, &expected, &next, wait_ms, &times, &error);
    if (ok)
        print_times(&times);
    return finish(ok, error);
}

static int
do_release(VmfDiskClient *client, int argc, char **argv)
{
    GError *error = NULL;
    VmfDiskTimes times;
    VmfOwnerNext next = {.reason = "test"};
    gboolean given = argc > 5 && vmf_owner_state_from_name(argv[4], &next.state);
    if (given)
        next.epoch = number(argv[5]);
    next.owner_sid = argument(argv, argc, 6, NULL);
    next.owner_account = argument(argv, argc, 7, NULL);
    gboolean ok = vmf_disk_client_release(client, given ? &next : NULL, &times, &error);
    if (ok)
        print_times(&times);
    return finish(ok, error);
}

static int
do_read(VmfDiskClient *client, const char *name)
{
    GError *error = NULL;
    g_autofree gchar *content = vmf_disk_client_read_file(client, name, &error);
    if (content != NULL)
        fputs(content, stdout);
    return finish(content != NULL, error);
}

/* --- pingpong --- */

static int
compare_u64(const void *a, const void *b)
{
    guint64 x = *(const guint64 *)a, y = *(const guint64 *)b;
    return x < y ? -1 : x > y;
}

static void
print_percentiles(const char *name, guint64 *values, guint n)
{
    qsort(values, n, sizeof *values, compare_u64);
    printf(", \"%s\": [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "]", name,
           values[n / 2], values[MIN(n - 1, n * 99 / 100)], values[n - 1]);
}

typedef struct {
    VmfDiskClient *client;
    const char *sid;
} Side;

typedef struct {
    guint64 *release, *claim, *open, *window;   /* as the caller waits */
    guint64 *close_disks, *open_disks, *record; /* as the processes say */
} Samples;

static guint64
elapsed(gint64 *mark)
{
    gint64 now = g_get_monotonic_time();
    guint64 spent = (guint64)(now - *mark);
    *mark = now;
    return spent;
}

static gboolean
hand_over(const Side *from, const Side *to, guint64 epoch, Samples *samples, guint i,
          GError **error)
{
    const VmfOwnerExpect expected = {from->sid, epoch};
    const VmfOwnerNext next = {
        .epoch = epoch + 1, .state = VMF_OWNER_RUNNING, .migration_id = "test", .reason = "test"};
    gint64 begin = g_get_monotonic_time(), mark = begin;
    VmfDiskTimes times;
    if (!vmf_disk_client_release(from->client, NULL, &times, error))
        return FALSE;
    samples->close_disks[i] = times.close_us;
    samples->release[i] = elapsed(&mark);
    if (!vmf_disk_client_claim(to->client, &expected, &next, 5000, &times, error))
        return FALSE;
    samples->open_disks[i] = times.open_us;
    samples->record[i] = times.record_us;
    samples->claim[i] = elapsed(&mark);
    if (!vmf_disk_client_open_gate(to->client, epoch + 1, error))
        return FALSE;
    samples->open[i] = elapsed(&mark);
    samples->window[i] = (guint64)(mark - begin);
    return TRUE;
}

static int
do_pingpong(char **argv)
{
    GError *error = NULL;
    guint64 epoch = number(argv[7]);
    guint n = (guint)number(argv[8]), done = 0;
    gulong pause_us = (gulong)number(argv[9]) * 1000;
    Side sides[] = {
        {vmf_disk_client_connect(argv[2], argv[6], &error), argv[3]},
        {NULL, argv[5]},
    };
    if (sides[0].client != NULL)
        sides[1].client = vmf_disk_client_connect(argv[4], argv[6], &error);
    if (sides[1].client == NULL)
        return finish(FALSE, error);
    g_autofree guint64 *all = g_new0(guint64, n * 7);
    Samples samples = {all,         all + n,     all + 2 * n, all + 3 * n,
                       all + 4 * n, all + 5 * n, all + 6 * n};
    while (done < n &&
           hand_over(&sides[done % 2], &sides[(done + 1) % 2], epoch, &samples, done, &error)) {
        done++;
        epoch++;
        g_usleep(pause_us); /* the guest's turn */
    }
    if (done == n) {
        printf("{\"epoch\": %" G_GUINT64_FORMAT ", \"n\": %u", epoch, n);
        print_percentiles("release_us", samples.release, n);
        print_percentiles("claim_us", samples.claim, n);
        print_percentiles("open_gate_us", samples.open, n);
        print_percentiles("window_us", samples.window, n);
        print_percentiles("close_us", samples.close_disks, n);
        print_percentiles("open_us", samples.open_disks, n);
        print_percentiles("record_us", samples.record, n);
        printf("}\n");
    }
    vmf_disk_client_unref(sides[0].client);
    vmf_disk_client_unref(sides[1].client);
    return finish(done == n, error);
}

static int
do_verb(const char *verb, VmfDiskClient *client, int argc, char **argv)
{
    GError *error = NULL;
    gboolean ok;
    if (strcmp(verb, "describe") == 0)
        return do_describe(client);
    if (strcmp(verb, "record") == 0)
        return do_record(client);
    if (strcmp(verb, "claim") == 0 && argc >= 7)
        return do_claim(client, argc, argv);
    if (strcmp(verb, "release") == 0)
        return do_release(client, argc, argv);
    if (strcmp(verb, "read") == 0 && argc >= 5)
        return do_read(client, argv[4]);
    if (strcmp(verb, "probe") == 0)
        ok = vmf_disk_client_probe(client, &error);
    else if (strcmp(verb, "quit") == 0)
        ok = vmf_disk_client_quit(client, &error);
    else if (strcmp(verb, "open") == 0 && argc >= 5)
        ok = vmf_disk_client_open_gate(client, number(argv[4]), &error);
    else if (strcmp(verb, "write") == 0 && argc >= 6)
        ok = vmf_disk_client_write_file(client, argv[4], argv[5], &error);
    else
        return 2;
    if (ok)
        printf("{}\n");
    return finish(ok, error);
}

static int
do_orders(VmfDiskClient *client, char **argv)
{
    g_autofree char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        g_auto(GStrv) words = NULL;
        int n = 0;
        if (!g_shell_parse_argv(line, &n, &words, NULL))
            return 2;
        g_autoptr(GPtrArray) all = g_ptr_array_new();
        char *head[] = {argv[0], words[0], argv[2], argv[3]};
        for (guint i = 0; i < G_N_ELEMENTS(head); i++)
            g_ptr_array_add(all, head[i]);
        for (int i = 1; i < n; i++)
            g_ptr_array_add(all, words[i]);
        if (do_verb(words[0], client, (int)all->len, (char **)all->pdata) == 2)
            return 2;
        fflush(stdout);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    GError *error = NULL;
    if (argc >= 12 && strcmp(argv[1], "launch") == 0)
        return do_launch(argc, argv);
    if (argc == 10 && strcmp(argv[1], "pingpong") == 0)
        return do_pingpong(argv);
    if (argc < 4)
        return 2;
    g_autoptr(VmfDiskClient) client = vmf_disk_client_connect(argv[2], argv[3], &error);
    if (client == NULL)
        return finish(FALSE, error);
    return strcmp(argv[1], "orders") == 0 ? do_orders(client, argv)
                                          : do_verb(argv[1], client, argc, argv);
}
