/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/daemon/own-threads.h"

/* An emission that goes on in another thread: the handler, and what it is called with */
typedef struct {
    GClosure *closure;
    GArray *values;
} Call;

static void
value_clear(gpointer value)
{
    g_value_unset(value);
}

static void
run(gpointer data, gpointer ignored)
{
    Call *call = data;
    g_auto(GValue) handled = G_VALUE_INIT;
    g_value_init(&handled, G_TYPE_BOOLEAN);
    g_closure_invoke(call->closure, &handled, call->values->len, (GValue *)call->values->data,
                     NULL);
    g_array_unref(call->values);
    g_closure_unref(call->closure);
    g_free(call);
}

static GThreadPool *
threads(void)
{
    static gsize pool;
    if (g_once_init_enter(&pool))
        g_once_init_leave(&pool, (gsize)g_thread_pool_new(run, NULL, -1, FALSE, NULL));
    return (GThreadPool *)pool;
}

/* @closure's data is the handler's own closure. */
static void
hand_over(GClosure *closure, GValue *handled, guint n_values, const GValue *values, gpointer hint,
          gpointer data)
{
    Call *call = g_new0(Call, 1);
    call->closure = g_closure_ref(closure->data);
    call->values = g_array_sized_new(FALSE, TRUE, sizeof(GValue), n_values);
    g_array_set_clear_func(call->values, value_clear);
    g_array_set_size(call->values, n_values);
    for (guint i = 0; i < n_values; i++) {
        GValue *copy = &g_array_index(call->values, GValue, i);
        g_value_init(copy, G_VALUE_TYPE(&values[i]));
        g_value_copy(&values[i], copy);
    }
    g_value_set_boolean(handled, TRUE);
    g_thread_pool_push(threads(), call, NULL);
}

void
vmf_own_threads_connect(gpointer skeleton, const char *signal, GCallback handler, gpointer data,
                        GClosureNotify destroy)
{
    GClosure *inner = g_closure_ref(g_cclosure_new(handler, data, destroy));
    g_closure_sink(inner);
    g_closure_set_marshal(inner, g_cclosure_marshal_generic);
    GClosure *outer = g_closure_new_simple(sizeof(GClosure), inner);
    g_closure_add_finalize_notifier(outer, inner, (GClosureNotify)(void (*)(void))g_closure_unref);
    g_closure_set_marshal(outer, hand_over);
    g_signal_connect_closure(skeleton, signal, outer, FALSE);
}
