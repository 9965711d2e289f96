/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/turns.h"

#include "src/base/error.h"

#define VM    "9f0f2cba-6dd5-4f1e-a1c9-5b8a2f0a1111"
#define OTHER "9f0f2cba-6dd5-4f1e-a1c9-5b8a2f0a2222"

static void
assert_busy(VmfTurns *turns, const char *uuid, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(vmf_turns_offer_begin(turns, uuid, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, says));
}

static void
test_offers_keep_out(void)
{
    VmfTurns *turns = vmf_turns_new();
    g_autoptr(GError) error = NULL;
    vmf_turns_own_begin(turns, VM);
    vmf_turns_own_begin(turns, VM); /* libvirt's hook, in a recovery */
    assert_busy(turns, "9F0F2CBA-6DD5-4F1E-A1C9-5B8A2F0A1111", "recovered");
    g_assert_true(vmf_turns_offer_begin(turns, OTHER, &error));
    assert_busy(turns, OTHER, "offered");
    vmf_turns_own_end(turns, VM);
    assert_busy(turns, VM, "recovered");
    vmf_turns_own_end(turns, VM);
    g_assert_true(vmf_turns_offer_begin(turns, VM, &error));
    g_assert_no_error(error);
    vmf_turns_offer_end(turns, VM);
    vmf_turns_offer_end(turns, OTHER);
    vmf_turns_free(turns);
}

typedef struct {
    VmfTurns *turns;
    gint began; /* atomic */
} Own;

static gpointer
begin_own(gpointer data)
{
    Own *own = data;
    vmf_turns_own_begin(own->turns, VM);
    g_atomic_int_set(&own->began, TRUE);
    return NULL;
}

/* The host's own waits for the verdict, and no further offer comes in between. */
static void
test_own_waits_for_the_verdict(void)
{
    Own own = {vmf_turns_new(), FALSE};
    g_autoptr(GError) error = NULL;
    g_assert_true(vmf_turns_offer_begin(own.turns, VM, &error));
    GThread *thread = g_thread_new("own", begin_own, &own);
    for (gboolean waits = FALSE; !waits;) {
        g_clear_error(&error);
        g_assert_false(vmf_turns_offer_begin(own.turns, VM, &error));
        waits = strstr(error->message, "recovered") != NULL;
    }
    g_assert_false(g_atomic_int_get(&own.began));
    vmf_turns_offer_end(own.turns, VM);
    g_thread_join(thread);
    assert_busy(own.turns, VM, "recovered");
    vmf_turns_own_end(own.turns, VM);
    vmf_turns_free(own.turns);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/turns/own/offers-keep-out", test_offers_keep_out);
    g_test_add_func("/turns/offer/own-waits-for-the-verdict", test_own_waits_for_the_verdict);
    return g_test_run();
}
