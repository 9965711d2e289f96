/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A peer's D-Bus messages, one behind the other, to a migration that is in the state that the first byte
 * says: decoded as they come over the wire, held against org.vmferry.Peer1, and given to the destination.
 * libvirt and the share are away here, so nothing can go well: a call leaves the state as it was, or
 * gives the migration up, which only one before its point of no return can be. A Grant that would fit is
 * left out: what it does needs a share (tests/lab, tests/faults).
 */
#include <string.h>

#include "src/migrate/incoming-private.h"
#include "src/migrate/vmf-peer1.h"
#include "tests/fuzz/folder.h"

#define UUID     "11111111-2222-4333-8444-555555555555"
#define EPOCH    G_GUINT64_CONSTANT(7)
#define MESSAGES 8
#define LARGEST  ((gssize)128 * 1024)

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static VmfContext context;
static gint64 job;

static GLogWriterOutput
be_quiet(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
    return G_LOG_WRITER_HANDLED;
}

static void
set_up(void)
{
    static const char policy[] =
        "[vmferry]\ngroup=VM Hosts\n[libvirt]\nsocket=/nonexistent/libvirt\n";
    static VmfHostIdentity me = {.fqdn = (gchar *)"hv2.lab.test", .account = (gchar *)"HV2$"};
    g_autoptr(GError) error = NULL;
    g_log_set_writer_func(be_quiet, NULL, NULL);
    const char *folder = fuzz_folder();
    g_autofree gchar *path = g_build_filename(folder, "journal.db", NULL);
    context.run_dir = folder;
    context.me = &me;
    context.sid = "S-1-5-21-1-2-3-1105";
    context.policy = vmf_local_policy_parse(policy, strlen(policy), "fuzz", &error);
    g_assert_no_error(error);
    context.journal = vmf_journal_open(path, &error);
    g_assert_no_error(error);
    context.host = vmf_host_new("nothing:///");
    context.streams = vmf_channel_streams_new();
    g_autofree gchar *holder = g_build_filename(folder, "holder", NULL); /* nobody listens there */
    context.holder = vmf_holder_new(holder, "/nonexistent/vmferry-holder");
}

static VmfIncoming *
incoming_in(VmfState state)
{
    VmfJournalEntry entry = {
        .job = job,
        .migration = (gchar *)UUID,
        .role = VMF_ROLE_DESTINATION,
        .state = state,
        .vm_uuid = (gchar *)UUID,
        .vm_name = (gchar *)"demo",
        .peer = (gchar *)"hv1.lab.test",
        .epoch = EPOCH,
    };
    if (job == 0)
        entry.job = job = vmf_journal_begin(context.journal, &entry, NULL);
    g_assert_cmpint(job, >, 0);
    VmfIncoming *incoming = vmf_incoming_resume(&context, &entry);
    incoming->recovering = FALSE;
    incoming->running = incoming->finished = incoming->announced = state == VMF_STATE_RUNNING;
    return incoming;
}

/* Whether the message is what the interface's document says of its method */
static gboolean
fits_the_document(GDBusMessage *message)
{
    const char *member = g_dbus_message_get_member(message);
    GVariant *body = g_dbus_message_get_body(message);
    GDBusMethodInfo *method = member ? g_dbus_interface_info_lookup_method(
                                           vmf_peer1_interface_info(), member)
                                     : NULL;
    if (method == NULL ||
        g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
        return FALSE;
    g_autoptr(GString) type = g_string_new("(");
    for (guint i = 0; method->in_args && method->in_args[i]; i++)
        g_string_append(type, method->in_args[i]->signature);
    g_string_append_c(type, ')');
    return strcmp(type->str, body ? g_variant_get_type_string(body) : "()") == 0;
}

static void
check_answer(gboolean ok, const GError *error)
{
    g_assert_true(ok == (error == NULL));
    if (error)
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
}

static void
call_prepare(VmfIncoming *incoming, GVariant *body)
{
    g_autoptr(GVariant) bytes = g_variant_get_child_value(body, 2);
    g_autoptr(GBytes) cookie = g_variant_get_data_as_bytes(bytes), answer = NULL;
    g_autofree gchar *stream = NULL;
    g_autoptr(GError) error = NULL;
    /* there is no libvirt */
    g_assert_false(vmf_incoming_prepare(incoming, TRUE, 0, cookie, &answer, &stream, &error));
    check_answer(FALSE, error);
}

static void
call_grant(VmfIncoming *incoming, GVariant *body)
{
    guint64 epoch, new_epoch = 0, acquire_us;
    g_autoptr(GVariant) bytes = g_variant_get_child_value(body, 2);
    g_autoptr(GBytes) cookie = g_variant_get_data_as_bytes(bytes);
    g_autoptr(GError) error = NULL;
    VmfState before = vmf_incoming_state(incoming);
    g_variant_get_child(body, 1, "t", &epoch);
    if (epoch == EPOCH && before == VMF_STATE_ALLOCATED)
        return;
    gboolean granted = vmf_incoming_grant(incoming, epoch, cookie, &new_epoch, &acquire_us, &error);
    check_answer(granted, error);
    g_assert_true(granted == (epoch == EPOCH &&
                              (before == VMF_STATE_COMMITTED || before == VMF_STATE_RUNNING)));
    g_assert_true(!granted || new_epoch == EPOCH + 1);
}

/* It would wait for as long as the migration lasts. */
static void
call_await(VmfIncoming *incoming, const char *member)
{
    g_autoptr(GBytes) cookie = NULL;
    g_autoptr(GError) error = NULL;
    VmfState state = vmf_incoming_state(incoming);
    gboolean ok;
    if (!vmf_state_is_final(state))
        return;
    if (strcmp(member, "AwaitFinished") == 0)
        ok = vmf_incoming_await_finished(incoming, NULL, &cookie, &error);
    else if (strcmp(member, "AwaitRunning") == 0)
        ok = vmf_incoming_await_running(incoming, NULL, &error);
    else
        ok = vmf_incoming_await_announced(incoming, NULL, &error);
    check_answer(ok, error);
    g_assert_true(ok == (state == VMF_STATE_RUNNING));
}

static void
call(VmfIncoming *incoming, GDBusMessage *message)
{
    const char *member = g_dbus_message_get_member(message);
    GVariant *body = g_dbus_message_get_body(message);
    const char *text;
    g_autoptr(GError) error = NULL;
    if (strcmp(member, "Offer") == 0) {
        g_variant_get_child(body, 2, "&s", &text);
        g_assert_false(vmf_incoming_offer(incoming, text, &error));
        check_answer(FALSE, error);
    } else if (strcmp(member, "Prepare") == 0) {
        call_prepare(incoming, body);
    } else if (strcmp(member, "Grant") == 0) {
        call_grant(incoming, body);
    } else if (strcmp(member, "Abort") == 0) {
        g_variant_get_child(body, 1, "&s", &text);
        gboolean ok = vmf_incoming_abort(incoming, text, &error);
        check_answer(ok, error);
    } else if (g_str_has_prefix(member, "Await")) {
        call_await(incoming, member);
    }
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static const VmfState states[] = {VMF_STATE_NEW,       VMF_STATE_CHECKED,   VMF_STATE_ALLOCATED,
                                      VMF_STATE_ACQUIRING, VMF_STATE_COMMITTED, VMF_STATE_RUNNING,
                                      VMF_STATE_ABORTED,   VMF_STATE_RETURNED,  VMF_STATE_DOWN};
    if (context.journal == NULL)
        set_up();
    if (size == 0)
        return 0;
    g_autoptr(VmfIncoming) incoming = incoming_in(states[data[0] % G_N_ELEMENTS(states)]);
    data++;
    size--;
    for (guint i = 0; i < MESSAGES && size >= 16; i++) {
        gssize needed = g_dbus_message_bytes_needed((guchar *)data, size, NULL);
        if (needed < 16 || needed > LARGEST || (gsize)needed > size)
            break;
        g_autofree guchar *exact = g_memdup2(data, (gsize)needed);
        g_autoptr(GDBusMessage) message = g_dbus_message_new_from_blob(
            exact, (gsize)needed, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
        VmfState before = vmf_incoming_state(incoming);
        if (message && fits_the_document(message))
            call(incoming, message);
        VmfState after = vmf_incoming_state(incoming);
        g_assert_true(before == after ||
                      (after == VMF_STATE_ABORTED && vmf_state_may_follow(before, after)));
        data += needed;
        size -= (gsize)needed;
    }
    vmf_incoming_unsubscribe(incoming);
    return 0;
}
