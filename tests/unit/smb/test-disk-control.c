/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-client.h"
#include "smb/disk-control.h"
#include "smb/disk-line.h"
#include "smb/disk-order.h"
#include "src/base/error.h"
#include "tests/unit/smb/share-memory.h"

#include <gio/gunixfdlist.h>
#include <glib/gstdio.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Both ends of org.vmferry.Disk1 in one process, over a real socket; the share is in memory. */

#define VM  "6f2f3d5e-0c1a-4b7e-9d55-1f0e2a3b4c5d"
#define SID "S-1-5-21-1-2-3-1104"

typedef struct {
    gchar *run_dir;
    gchar *folder;
    MemoryServer *server;
    VmfDiskControl *control;
    VmfDiskSet *set;
    VmfDiskClient *client;
} Lab;

static atomic_int quits;

static void
count_quit(void)
{
    atomic_fetch_add(&quits, 1);
}

static Lab
lab_new(void)
{
    Lab lab = {.run_dir = g_dir_make_tmp("vmferry-XXXXXX", NULL), .server = memory_server_new(VM)};
    const VmfDiskSpec spec = {(gchar *)"vda", (gchar *)"raw",
                              (gchar *)"smb://fs1/vms/web1/vda.raw"};
    g_autoptr(GError) error = NULL;
    lab.folder = g_build_filename(lab.run_dir, VM, NULL);
    g_assert_cmpint(g_mkdir(lab.folder, 0700), ==, 0);
    memory_server_add_disk(lab.server, "web1/vda.raw", 65536);
    lab.control = vmf_disk_control_new(count_quit);
    const VmfDiskSetConfig config = {
        .list = vmf_disk_list_new(VM, &spec, 1, NULL),
        .share = memory_server_share(lab.server, "HV1$", SID),
        .account = "HV1$",
        .owner_sid = SID,
        .boot_id = "00000000-0000-0000-0000-000000000001",
        .changed = vmf_disk_control_changed,
        .wake = vmf_disk_control_wake,
        .data = lab.control,
    };
    lab.set = vmf_disk_set_new(&config, &error);
    g_assert_no_error(error);
    g_autofree gchar *socket = g_build_filename(lab.folder, "control", NULL);
    vmf_disk_control_serve(lab.control, lab.set, socket, &error);
    g_assert_no_error(error);
    lab.client = vmf_disk_client_connect(lab.run_dir, VM, &error);
    g_assert_no_error(error);
    return lab;
}

static void
lab_clear(Lab *lab)
{
    g_autofree gchar *socket = g_build_filename(lab->folder, "control", NULL);
    vmf_disk_client_unref(lab->client);
    vmf_disk_control_free(lab->control);
    vmf_disk_set_free(lab->set);
    memory_server_free(lab->server);
    g_unlink(socket);
    g_rmdir(lab->folder);
    g_rmdir(lab->run_dir);
    g_free(lab->folder);
    g_free(lab->run_dir);
}

static void
claim_and_open(const Lab *lab)
{
    g_autoptr(GError) error = NULL;
    const VmfOwnerExpect nobody = {"", 0};
    const VmfOwnerNext next = {
        .epoch = 1, .state = VMF_OWNER_RUNNING, .migration_id = "m1", .reason = "started"};
    VmfDiskTimes times = {0};
    vmf_disk_client_claim(lab->client, &nobody, &next, 0, &times, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(times.open_us + times.record_us, >, 0);
    vmf_disk_client_open_gate(lab->client, 1, &error);
    g_assert_no_error(error);
}

static void
test_life(void)
{
    Lab lab = lab_new();
    g_autoptr(GError) error = NULL;
    gboolean present = TRUE;
    VmfOwnerRecord record;

    g_autoptr(VmfDiskState) before = vmf_disk_client_describe(lab.client, &error);
    g_assert_no_error(error);
    g_assert_cmpint(before->gate, ==, VMF_GATE_CLOSED);
    g_assert_false(before->held);
    g_assert_cmpuint(before->n_disks, ==, 1);
    g_assert_cmpstr(before->disks[0].target, ==, "vda");
    g_assert_cmpstr(before->disks[0].url, ==, "smb://fs1/vms/web1/vda.raw");
    g_assert_cmpuint(before->disks[0].size, ==, 65536);
    g_assert_cmpint(before->pid, ==, getpid());
    g_assert_true(vmf_disk_client_read_record(lab.client, &present, &record, &error));
    g_assert_false(present);
    g_assert_true(vmf_disk_client_probe(lab.client, &error));

    claim_and_open(&lab);
    g_autoptr(VmfDiskState) open = vmf_disk_client_describe(lab.client, &error);
    g_assert_cmpint(open->gate, ==, VMF_GATE_OPEN);
    g_assert_true(open->held);
    g_assert_cmpuint(open->epoch, ==, 1);
    g_assert_true(vmf_disk_client_read_record(lab.client, &present, &record, &error));
    g_assert_true(present);
    g_assert_cmpstr(record.owner_account, ==, "HV1$");
    g_assert_cmpstr(record.migration_id, ==, "m1");
    g_assert_cmpstr(record.reason, ==, "started");
    g_assert_cmpint(record.state, ==, VMF_OWNER_RUNNING);
    g_assert_cmpuint(record.disks_digest[0], ==, vmf_disk_set_list(lab.set)->digest[0]);

    g_assert_true(vmf_disk_client_write_file(lab.client, "domain.xml", "<domain/>", &error));
    g_autofree gchar *content = vmf_disk_client_read_file(lab.client, "domain.xml", &error);
    g_assert_cmpstr(content, ==, "<domain/>");

    /* it does not end while it holds the disks */
    g_assert_false(vmf_disk_client_quit(lab.client, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_BUSY);
    g_clear_error(&error);
    const VmfOwnerNext stopped = {.epoch = 1, .state = VMF_OWNER_STOPPED};
    g_assert_true(vmf_disk_client_release(lab.client, &stopped, NULL, &error));
    lab_clear(&lab);
}

static void
test_errors_keep_their_code(void)
{
    Lab lab = lab_new();
    const VmfOwnerExpect nobody = {"", 0};
    VmfOwnerNext next = {.epoch = 1, .state = VMF_OWNER_STOPPED};
    static const struct {
        MemoryFault fault;
        int code;
    } cases[] = {
        {MEMORY_BUSY, VMF_ERROR_BUSY},
        {MEMORY_DENIED, VMF_ERROR_DENIED},
        {MEMORY_LOSE_BEFORE, VMF_ERROR_UNREACHABLE},
    };
    g_autoptr(GError) error = NULL;
    g_assert_false(vmf_disk_client_claim(lab.client, &nobody, &next, 0, NULL, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_clear_error(&error);
    g_assert_false(vmf_disk_client_open_gate(lab.client, 7, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_CONFIG);
    g_clear_error(&error);
    next.state = VMF_OWNER_RUNNING;
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        memory_server_set_fault(lab.server, "HV1$", MEMORY_OPEN_OWN, cases[i].fault, 0);
        g_assert_false(vmf_disk_client_claim(lab.client, &nobody, &next, 0, NULL, &error));
        g_assert_error(error, VMF_ERROR, cases[i].code);
        g_assert_nonnull(strstr(error->message, "//fs1/vms/web1/vda.raw"));
        g_assert_nonnull(strstr(error->message, "HV1$"));
        g_assert_null(strstr(error->message, "GDBus"));
        g_clear_error(&error);
    }
    lab_clear(&lab);
}

/* Each connection that has ended makes room for another. */
static void
test_many_clients(void)
{
    Lab lab = lab_new();
    for (guint i = 0; i < 200; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfDiskState) state = NULL;
        while (state == NULL) {
            g_clear_error(&error);
            g_autoptr(VmfDiskClient) other = vmf_disk_client_connect(lab.run_dir, VM, &error);
            if (other != NULL)
                state = vmf_disk_client_describe(other, &error);
            if (state == NULL) /* the ends of the last ones have not been heard of yet */
                g_usleep(1000);
        }
    }
    lab_clear(&lab);
}

static void
test_no_process(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(vmf_disk_client_connect("/nonexistent", VM, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    g_assert_nonnull(strstr(error->message, VM));
}

static void
on_gate_changed(GDBusConnection *connection, const gchar *sender, const gchar *path,
                const gchar *interface, const gchar *name, GVariant *parameters, gpointer data)
{
    const char *gate;
    g_variant_get(parameters, "(&sb&s)", &gate, NULL, NULL);
    *(guint *)data += strcmp(gate, "open") == 0 ? 1 : 0;
}

/* A lost session is told, and healed by the owner thread without being asked. */
static void
test_signal_and_healing(void)
{
    Lab lab = lab_new();
    guint opened = 0;
    g_autoptr(GMainContext)
        context = g_main_context_new(); /* the control thread runs the default */
    g_main_context_push_thread_default(context);
    guint id = g_dbus_connection_signal_subscribe(
        vmf_disk_client_connection(lab.client), NULL, VMF_DISK_INTERFACE, "GateChanged",
        VMF_DISK_OBJECT_PATH, NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_gate_changed, &opened, NULL);
    claim_and_open(&lab);
    while (opened < 1)
        g_main_context_iteration(context, TRUE);
    memory_server_break(lab.server, NULL); /* hangs up: nobody has to read or write */
    while (vmf_disk_set_facts(lab.set).sessions < 2)
        g_usleep(1000);
    /* what is told is the state at the time of telling: the fence may be over by then */
    while (opened < 2)
        g_main_context_iteration(context, TRUE);
    g_main_context_pop_thread_default(context);
    g_dbus_connection_signal_unsubscribe(vmf_disk_client_connection(lab.client), id);
    lab_clear(&lab);
}

static void
on_ending(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
          const char *signal, GVariant *parameters, gpointer heard)
{
    *(gboolean *)heard = TRUE;
}

/* Another connection than the one that orders it hears that it is meant to end. */
static void
test_quit(void)
{
    Lab lab = lab_new();
    g_autoptr(GError) error = NULL;
    gboolean heard = FALSE;
    g_autoptr(GMainContext) context = g_main_context_new();
    g_main_context_push_thread_default(context);
    VmfDiskClient *other = vmf_disk_client_connect(lab.run_dir, VM, &error);
    g_assert_no_error(error);
    guint id = g_dbus_connection_signal_subscribe(
        vmf_disk_client_connection(other), NULL, VMF_DISK_INTERFACE, "Ending", VMF_DISK_OBJECT_PATH,
        NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_ending, &heard, NULL);
    g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
        vmf_disk_client_connection(lab.client), NULL, VMF_DISK_OBJECT_PATH, VMF_DISK_INTERFACE,
        "Quit", NULL, NULL, G_DBUS_CALL_FLAGS_NONE, 5000, NULL, &error);
    g_assert_no_error(error);
    while (atomic_load(&quits) == 0)
        g_usleep(1000);
    while (!heard)
        g_main_context_iteration(context, TRUE);
    g_dbus_connection_signal_unsubscribe(vmf_disk_client_connection(other), id);
    vmf_disk_client_unref(other);
    g_main_context_pop_thread_default(context);
    lab_clear(&lab);
}

/* --- lines --- */

static int
open_line(const Lab *lab, GError **error)
{
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_with_unix_fd_list_sync(
        vmf_disk_client_connection(lab->client), NULL, VMF_DISK_OBJECT_PATH, VMF_DISK_INTERFACE,
        "OpenLine", NULL, G_VARIANT_TYPE("(h)"), G_DBUS_CALL_FLAGS_NONE, 5000, NULL, &fds, NULL,
        error);
    return reply != NULL ? g_unix_fd_list_get(fds, 0, error) : -1;
}

/* The handover's orders, said on a line: the same results and the same errors. */
static void
test_line(void)
{
    Lab lab = lab_new();
    g_autoptr(GError) error = NULL;
    const VmfOwnerExpect me = {SID, 1}, stranger = {"S-1-5-21-1-2-3-9", 7};
    const VmfOwnerNext next = {
        .epoch = 2, .state = VMF_OWNER_RUNNING, .migration_id = "m2", .reason = "moved"};
    const VmfOwnerNext eighth = {
        .epoch = 8, .state = VMF_OWNER_RUNNING, .migration_id = "m2", .reason = "moved"};
    VmfDiskTimes times = {0};
    vmf_disk_client_open_line(lab.client);
    vmf_disk_client_open_line(lab.client); /* once */
    claim_and_open(&lab);
    g_assert_true(vmf_disk_client_release(lab.client, NULL, &times, &error));
    g_assert_no_error(error);
    g_autoptr(VmfDiskState) released = vmf_disk_client_describe(lab.client, &error);
    g_assert_false(released->held);
    g_assert_false(vmf_disk_client_take(lab.client, &stranger, &eighth, 0, &times, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "expected was"));
    g_clear_error(&error);
    g_assert_true(vmf_disk_client_take(lab.client, &me, &next, 0, &times, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(times.open_us + times.record_us, >, 0);
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(lab.client, &error);
    g_assert_cmpint(state->gate, ==, VMF_GATE_OPEN);
    g_assert_cmpuint(state->epoch, ==, 2);
    lab_clear(&lab);
}

static void
expect_refusal(int line, const void *datagram, gsize size)
{
    guint8 room[VMF_DISK_ORDER_MAX];
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(send(line, datagram, size, 0), ==, size);
    gssize got = recv(line, room, sizeof room, 0);
    g_assert_cmpint(got, >, 0);
    g_autoptr(GBytes) answer = g_bytes_new(room, (gsize)got);
    g_assert_null(vmf_disk_answer_decode(answer, "(a{sv})", &error));
    g_dbus_error_strip_remote_error(error);
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

/* What is no order, what is none for a line, what is too large, and too many of them. */
static void
test_line_hostile(void)
{
    Lab lab = lab_new();
    g_autoptr(GError) error = NULL;
    int line = open_line(&lab, &error);
    g_assert_no_error(error);
    expect_refusal(line, "?", 1);
    g_autoptr(GBytes) quit = vmf_disk_order_encode("Quit", g_variant_new("()"), NULL);
    g_autoptr(GBytes) wrong = vmf_disk_order_encode("Release", g_variant_new("(s)", "now"), NULL);
    for (gsize cut = 1; cut <= g_bytes_get_size(wrong); cut++)
        expect_refusal(line, g_bytes_get_data(wrong, NULL), cut);
    expect_refusal(line, g_bytes_get_data(quit, NULL), g_bytes_get_size(quit));
    g_autofree guint8 *large = g_malloc0(VMF_DISK_ORDER_MAX + 1);
    g_assert_cmpint(send(line, large, VMF_DISK_ORDER_MAX + 1, 0), ==, VMF_DISK_ORDER_MAX + 1);
    g_assert_cmpint(recv(line, large, 1, 0), ==, 0); /* hung up */
    close(line);

    int lines[VMF_DISK_LINES_MAX];
    for (guint i = 0; i < VMF_DISK_LINES_MAX; i++)
        g_assert_cmpint(lines[i] = open_line(&lab, &error), >=, 0);
    g_assert_cmpint(open_line(&lab, &error), <, 0);
    g_dbus_error_strip_remote_error(error);
    g_assert_error(error, VMF_ERROR, VMF_ERROR_BUSY);
    vmf_disk_client_open_line(lab.client); /* there is none: by D-Bus then */
    claim_and_open(&lab);
    for (guint i = 0; i < VMF_DISK_LINES_MAX; i++)
        close(lines[i]);
    lab_clear(&lab);
}

/* The process is gone: who has asked on the line is told as by D-Bus, and the connection knows. */
static void
test_line_lost(void)
{
    Lab lab = lab_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GMainContext) context = g_main_context_new();
    g_main_context_push_thread_default(context);
    vmf_disk_client_open_line(lab.client);
    claim_and_open(&lab);
    vmf_disk_control_free(g_steal_pointer(&lab.control));
    g_assert_false(vmf_disk_client_release(lab.client, NULL, NULL, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE);
    g_main_context_pop_thread_default(context);
    lab_clear(&lab);
}

/* Claims from several clients at once: one after the other, so one wins. */
typedef struct {
    const Lab *lab;
    atomic_int won;
    atomic_int busy;
} Race;

static gpointer
race_thread(gpointer data)
{
    Race *race = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDiskClient) client = vmf_disk_client_connect(race->lab->run_dir, VM, &error);
    g_assert_no_error(error);
    g_autofree gchar *id = g_strdup_printf("%p", g_thread_self());
    const VmfOwnerExpect nobody = {"", 0};
    const VmfOwnerNext next = {.epoch = 1, .state = VMF_OWNER_RUNNING, .migration_id = id};
    if (vmf_disk_client_claim(client, &nobody, &next, 0, NULL, &error)) {
        atomic_fetch_add(&race->won, 1);
        return NULL;
    }
    g_assert_error(error, VMF_ERROR, VMF_ERROR_BUSY);
    atomic_fetch_add(&race->busy, 1);
    return NULL;
}

static void
test_racing_claims(void)
{
    for (guint round = 0; round < 20; round++) {
        Lab lab = lab_new();
        Race race = {.lab = &lab};
        GThread *threads[8];
        for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
            threads[i] = g_thread_new("claim", race_thread, &race);
        for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
            g_thread_join(threads[i]);
        g_assert_cmpint(race.won, ==, 1);
        g_assert_cmpint(race.busy, ==, 7);
        lab_clear(&lab);
    }
}

static GLogWriterOutput
quiet(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
    return level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)
               ? g_log_writer_default(level, fields, n, data)
               : G_LOG_WRITER_HANDLED;
}

/* ---- the dictionaries, cut ---- */

typedef gboolean (*ReadDict)(GVariant *facts, GError **error);

static gboolean
read_state(GVariant *facts, GError **error)
{
    g_autoptr(VmfDiskState) state = vmf_disk_wire_to_state(facts, error);
    g_assert_true(state == NULL || state->trouble != NULL);
    return state != NULL;
}

static gboolean
read_record(GVariant *facts, GError **error)
{
    VmfOwnerRecord record = {0};
    gboolean present = FALSE;
    gboolean ok = vmf_disk_wire_to_record(facts, &present, &record, error);
    g_assert_true(!ok || !present || record.epoch == 7);
    return ok;
}

static gboolean
read_next(GVariant *facts, GError **error)
{
    VmfOwnerNext next = {0};
    gboolean given = FALSE;
    gboolean ok = vmf_disk_wire_to_next(facts, &given, &next, error);
    g_assert_true(!ok || !given || (next.epoch == 7 && next.state == VMF_OWNER_RUNNING));
    return ok;
}

static gboolean
read_expected(GVariant *facts, GError **error)
{
    VmfOwnerExpect expected = {0};
    gboolean ok = vmf_disk_wire_to_expected(facts, &expected, error);
    g_assert_true(!ok || expected.epoch == 7);
    return ok;
}

static void
cut_everywhere(GVariant *floating, ReadDict read)
{
    g_autoptr(GVariant) whole = g_variant_ref_sink(floating);
    gsize size = g_variant_get_size(whole);
    for (gsize cut = 0; cut <= size; cut++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) part = g_bytes_new(g_variant_get_data(whole), cut);
        g_autoptr(GVariant) facts = g_variant_ref_sink(
            g_variant_new_from_bytes(G_VARIANT_TYPE_VARDICT, part, FALSE));
        gboolean ok = read(facts, &error);
        g_assert_true(ok == (error == NULL));
        g_assert_true(ok || cut < size);
    }
}

static void
test_every_truncation(void)
{
    const VmfOwnerExpect expected = {SID, 7};
    const VmfOwnerNext next = {
        .epoch = 7, .state = VMF_OWNER_RUNNING, .migration_id = VM, .reason = "moved"};
    VmfOwnerRecord record = {.epoch = 7, .sequence = 3, .state = VMF_OWNER_RUNNING};
    VmfDiskFact disk = {(gchar *)"vda", (gchar *)"smb://fs1/vms/web1/vda.raw", 65536};
    const VmfDiskState state = {.epoch = 7, .trouble = (gchar *)"", .disks = &disk, .n_disks = 1};
    g_strlcpy(record.vm_uuid, VM, sizeof record.vm_uuid);
    g_strlcpy(record.owner_sid, SID, sizeof record.owner_sid);
    cut_everywhere(vmf_disk_wire_from_state(&state), read_state);
    cut_everywhere(vmf_disk_wire_from_record(&record, TRUE), read_record);
    cut_everywhere(vmf_disk_wire_from_next(&next), read_next);
    cut_everywhere(vmf_disk_wire_from_expected(&expected), read_expected);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_writer_func(quiet, NULL, NULL);
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
    g_test_add_func("/disk-control/life/all-verbs", test_life);
    g_test_add_func("/disk-control/errors/keep-their-code", test_errors_keep_their_code);
    g_test_add_func("/disk-control/clients/come-and-go", test_many_clients);
    g_test_add_func("/disk-control/clients/no-process", test_no_process);
    g_test_add_func("/disk-control/signal/loss-and-healing", test_signal_and_healing);
    g_test_add_func("/disk-control/quit/called", test_quit);
    g_test_add_func("/disk-control/line/orders", test_line);
    g_test_add_func("/disk-control/line/hostile", test_line_hostile);
    g_test_add_func("/disk-control/line/lost", test_line_lost);
    g_test_add_func("/disk-control/claims/one-wins", test_racing_claims);
    g_test_add_func("/disk-control/wire/every-truncation", test_every_truncation);
    return g_test_run();
}
