/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/peer-answers.h"

#include <string.h>

#include "src/base/error.h"

#define PEER     "hv2.lab.test"
#define UNMAPPED "org.gtk.GDBus.UnmappedGError.Quark._"

/* What GDBus makes of a peer's error. */
static GError *
said(const char *name, const char *text)
{
    return g_dbus_error_new_for_dbus_error(name, text);
}

static void
assert_told(GError *error, gboolean by_it, int code, const char *text)
{
    g_assert_true(vmf_peer_answer_error(&error, PEER) == by_it);
    g_assert_error(error, VMF_ERROR, code);
    g_assert_cmpstr(error->message, ==, text);
    g_error_free(error);
}

static void
test_own_errors(void)
{
    assert_told(said("org.vmferry.Error.Denied", "not in the group"), TRUE, VMF_ERROR_DENIED,
                PEER ": not in the group");
    assert_told(said("org.vmferry.Error.Unreachable", "libvirtd is away"), TRUE,
                VMF_ERROR_UNREACHABLE, PEER ": libvirtd is away");
}

static void
test_no_answer(void)
{
    assert_told(g_error_new(G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Timeout was reached"), FALSE,
                VMF_ERROR_UNREACHABLE, PEER " does not answer: Timeout was reached");
    assert_told(g_error_new(G_IO_ERROR, G_IO_ERROR_CLOSED, "closed"), FALSE, VMF_ERROR_UNREACHABLE,
                PEER " does not answer: closed");
}

/* GDBus decodes these names to errors of any domain, with any code. */
static void
test_forged(void)
{
    GError *error = said(UNMAPPED "g_2dio_2derror_2dquark.Code19", "x");
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED); /* or this test tells nothing */
    assert_told(error, FALSE, VMF_ERROR_INTERNAL, PEER " failed: x");
    error = said(UNMAPPED "g_2dio_2derror_2dquark.Code18", "x");
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CLOSED);
    assert_told(error, FALSE, VMF_ERROR_INTERNAL, PEER " failed: x");
    error = said(UNMAPPED "vmf_2derror_2dquark.Code999", "x");
    g_assert_error(error, VMF_ERROR, 999);
    assert_told(error, FALSE, VMF_ERROR_INTERNAL, PEER " failed: x");
    assert_told(said("com.example.Error", "x"), FALSE, VMF_ERROR_INTERNAL, PEER " failed: x");
}

static void
test_text(void)
{
    assert_told(said("org.vmferry.Error.Busy", "a\033[2J\nb\u202e\xc2\x9b\u00e9"), TRUE,
                VMF_ERROR_BUSY, PEER ": a?[2J\nb??\u00e9");
    g_autofree gchar *long_text = g_strnfill(VMF_ERROR_SAID_MAX * 2, 'x');
    GError *error = said("org.vmferry.Error.Busy", long_text);
    vmf_peer_answer_error(&error, PEER);
    g_assert_cmpuint(strlen(error->message), ==, VMF_ERROR_SAID_MAX + strlen(PEER ": "));
    g_error_free(error);
}

/* What a failed call is taken for, else: never for a success. */
static void
test_cancelled(void)
{
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GError) forged = said(UNMAPPED "g_2dio_2derror_2dquark.Code19", "x");
    g_autoptr(GError) other = said("org.vmferry.Error.Busy", "x");
    g_assert_false(vmf_peer_answer_cancelled(forged, cancellable));
    g_cancellable_cancel(cancellable);
    g_assert_true(vmf_peer_answer_cancelled(forged, cancellable)); /* true whoever says it */
    g_assert_false(vmf_peer_answer_cancelled(other, cancellable));
}

static void
test_grant(void)
{
    const VmfPeerAsked asked = {PEER, "u", "demo", 7};
    static const guint64 wrong[] = {0, 7, 9, G_MAXUINT64};
    g_assert_true(vmf_peer_answer_grant(&asked, 8, NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(vmf_peer_answer_grant(&asked, wrong[i], &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
        g_assert_nonnull(strstr(error->message, PEER));
    }
}

static void
test_clock(void)
{
    const gint64 now = G_GINT64_CONSTANT(1795310573238000);
    gint64 ahead_ms = 0;
    g_assert_true(vmf_peer_answer_clock(now, now - 2500000, &ahead_ms));
    g_assert_cmpint(ahead_ms, ==, 2500);
    g_assert_true(vmf_peer_answer_clock(now, G_MAXINT64, &ahead_ms));
    g_assert_cmpint(ahead_ms, <, 0);
    g_assert_false(vmf_peer_answer_clock(now, 0, &ahead_ms));
    g_assert_false(vmf_peer_answer_clock(now, G_MININT64, &ahead_ms));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peer-answers/own-errors/kept", test_own_errors);
    g_test_add_func("/peer-answers/no-answer/unreachable", test_no_answer);
    g_test_add_func("/peer-answers/forged-error/the-peers-word", test_forged);
    g_test_add_func("/peer-answers/text/tamed", test_text);
    g_test_add_func("/peer-answers/cancelled/only-here", test_cancelled);
    g_test_add_func("/peer-answers/grant/next-epoch-only", test_grant);
    g_test_add_func("/peer-answers/clock/out-of-bounds-unknown", test_clock);
    return g_test_run();
}
