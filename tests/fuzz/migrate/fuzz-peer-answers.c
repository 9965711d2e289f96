/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a destination answers to a source, as it comes over the wire; the first byte picks which call it
 * answers. An error is GDBus's to decode, by a name that the peer chooses, and then ours; a return is held
 * against org.vmferry.Peer1, as GDBus does, and judged. An error of the peer's is never taken for one of
 * our own, its text steers no terminal, and nothing that is not understood is used.
 */
#include "src/migrate/peer-answers.h"

#include <string.h>

#include "policy/facts.h"
#include "src/base/error.h"
#include "src/channel/greeting.h"
#include "src/migrate/vmf-peer1.h"

#define LARGEST ((gsize)128 * 1024)
#define PEER    "hv2.lab.test"
#define EPOCH   G_GUINT64_CONSTANT(7)

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static const VmfPeerAsked asked = {PEER, "11111111-2222-4333-8444-555555555555", "demo", EPOCH};

static void
check_text(const char *text, gsize most)
{
    g_assert_true(g_utf8_validate(text, -1, NULL));
    g_assert_cmpuint(strlen(text), <=, most);
    for (const char *at = text; *at; at = g_utf8_next_char(at))
        g_assert_true(*at == '\n' || g_unichar_isprint(g_utf8_get_char(at)));
}

/* GLib keeps each name of a domain for ever, and a peer answers a few calls: only those that exist. */
static gboolean
keeps_nothing(const char *name)
{
    static const char *const known[] = {"g_2dio_2derror_2dquark.", "g_2ddbus_2derror_2dquark.",
                                        "vmf_2derror_2dquark.", "g_2dfile_2derror_2dquark."};
    static const char prefix[] = "org.gtk.GDBus.UnmappedGError.Quark._";
    if (name == NULL || !g_str_has_prefix(name, prefix))
        return TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
        if (g_str_has_prefix(name + sizeof prefix - 1, known[i]))
            return TRUE;
    return FALSE;
}

static void
check_error(GDBusMessage *message)
{
    GError *error = NULL;
    if (!keeps_nothing(g_dbus_message_get_error_name(message)))
        return;
    g_assert_true(g_dbus_message_to_gerror(message, &error));
    int code = error->code;
    gboolean theirs = error->domain == VMF_ERROR;
    gboolean said = vmf_peer_answer_error(&error, PEER);
    g_assert_true(error->domain == VMF_ERROR);
    g_assert_cmpint(error->code, >=, 0);
    g_assert_cmpint(error->code, <=, VMF_ERROR_INTERNAL);
    g_assert_true(!said || (theirs && error->code == code));
    g_assert_true(g_str_has_prefix(error->message, PEER));
    check_text(error->message, VMF_ERROR_SAID_MAX + 100);
    g_error_free(error);
}

static void
check_cookie(VmfPeerAsked whose, GBytes *(*read)(const VmfPeerAsked *, GVariant *, GError **),
             GVariant *answer)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) cookie = read(&whose, answer, &error);
    if (error)
        check_text(error->message, 4096);
    g_assert_true(cookie == NULL || error == NULL);
    if (cookie == NULL)
        return;
    gsize size;
    const char *text = g_bytes_get_data(cookie, &size);
    g_assert_cmpuint(strlen(text) + 1, ==, size);
    g_assert_null(strstr(text, "<domain"));
    g_autoptr(GVariant) again = g_variant_ref_sink(
        g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, cookie, TRUE));
    g_autoptr(GBytes) same = read(&whose, again, &error);
    g_assert_no_error(error);
    g_assert_true(g_bytes_equal(cookie, same));
}

static GBytes *
read_finished(const VmfPeerAsked *whose, GVariant *answer, GError **error)
{
    return vmf_peer_answer_finished(whose, answer);
}

static void
check_prepare(GVariant *body)
{
    const char *stream;
    g_autoptr(GVariant) answer = g_variant_get_child_value(body, 0);
    check_cookie(asked, vmf_peer_answer_prepare, answer);
    g_variant_get_child(body, 1, "&s", &stream);
    g_assert_true(!vmf_stream_name_valid(stream) || strlen(stream) == 32);
}

static void
check_grant(GVariant *body)
{
    guint64 epoch;
    g_autoptr(GError) error = NULL;
    g_variant_get_child(body, 0, "t", &epoch);
    gboolean ok = vmf_peer_answer_grant(&asked, epoch, &error);
    g_assert_true(ok == (epoch == EPOCH + 1) && ok == (error == NULL));
}

static void
check_facts(GVariant *body)
{
    gint64 clock_us, ahead_ms = 0;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) dict = g_variant_get_child_value(body, 0);
    g_variant_get_child(body, 1, "x", &clock_us);
    if (vmf_peer_answer_clock(g_get_real_time(), clock_us, &ahead_ms))
        g_assert_true(clock_us > 0 && ABS(ahead_ms) <= G_MAXINT64 / 1000);
    g_autoptr(VmfFactSide) side = vmf_fact_side_from_variant(dict, &error);
    g_assert_true((side == NULL) == (error != NULL));
    if (side == NULL)
        return;
    g_autoptr(GVariant) again = g_variant_ref_sink(vmf_fact_side_to_variant(side));
    g_autoptr(VmfFactSide) same = vmf_fact_side_from_variant(again, &error);
    g_assert_no_error(error);
    g_autoptr(GPtrArray) changed = vmf_fact_differences(&vmf_fact_side_shape, side, same);
    g_assert_cmpuint(changed->len, ==, 0);
}

static void
check_return(const GDBusMethodInfo *method, GVariant *body)
{
    g_autoptr(GString) type = g_string_new("(");
    for (guint i = 0; method->out_args && method->out_args[i]; i++)
        g_string_append(type, method->out_args[i]->signature);
    g_string_append_c(type, ')');
    if (body == NULL || !g_variant_is_of_type(body, G_VARIANT_TYPE(type->str)))
        return; /* GDBus refuses it */
    if (strcmp(method->name, "Hello") == 0) {
        guint protocol;
        g_autoptr(GError) error = NULL;
        g_variant_get_child(body, 0, "u", &protocol);
        gboolean ok = vmf_peer_answer_hello(protocol, PEER, &error);
        g_assert_true(ok == (protocol == VMF_PEER_PROTOCOL) && ok == (error == NULL));
    } else if (strcmp(method->name, "GatherFacts") == 0) {
        check_facts(body);
    } else if (strcmp(method->name, "Prepare") == 0) {
        check_prepare(body);
    } else if (strcmp(method->name, "Grant") == 0) {
        check_grant(body);
    } else if (strcmp(method->name, "AwaitFinished") == 0) {
        g_autoptr(GVariant) answer = g_variant_get_child_value(body, 0);
        check_cookie(asked, read_finished, answer);
    }
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    GDBusMethodInfo *const *methods = vmf_peer1_interface_info()->methods;
    guint n = 0;
    while (methods[n])
        n++;
    if (size < 17 || size > LARGEST)
        return 0;
    g_autofree guchar *blob = g_memdup2(data + 1, size - 1);
    gssize bytes = g_dbus_message_bytes_needed(blob, size - 1, NULL);
    if (bytes < 0 || (gsize)bytes > size - 1)
        return 0;
    g_autoptr(GDBusMessage) message = g_dbus_message_new_from_blob(
        blob, (gsize)bytes, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
    if (message == NULL)
        return 0;
    if (g_dbus_message_get_message_type(message) == G_DBUS_MESSAGE_TYPE_ERROR)
        check_error(message);
    else if (g_dbus_message_get_message_type(message) == G_DBUS_MESSAGE_TYPE_METHOD_RETURN)
        check_return(methods[data[0] % n], g_dbus_message_get_body(message));
    return 0;
}
