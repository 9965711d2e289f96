/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/gate.h"

#include <stdatomic.h>

/* One request of one client, in a thread of its own. */
typedef struct {
    VmfGate *gate;
    VmfGateLease lease;
    VmfGateAccess access;
    VmfGatePass pass;
    GThread *thread;
} Request;

static gpointer
request_thread(gpointer data)
{
    Request *request = data;
    request->pass = vmf_gate_enter(request->gate, &request->lease, request->access);
    return NULL;
}

static void
start(Request *request)
{
    request->thread = g_thread_new("request", request_thread, request);
}

static Request
request_of(VmfGate *gate, VmfGateAccess access)
{
    Request request = {.gate = gate, .access = access};
    vmf_gate_lease_init(gate, &request.lease, NULL, NULL);
    return request;
}

static VmfGatePass
finish(Request *request)
{
    g_thread_join(request->thread);
    if (request->pass != VMF_PASS_GONE)
        vmf_gate_leave(request->gate);
    return request->pass;
}

static void
wait_until_waiting(VmfGate *gate, guint n)
{
    while (vmf_gate_facts(gate).waiting != n)
        g_usleep(500);
}

static VmfGatePass
enter_now(VmfGate *gate, VmfGateAccess access)
{
    VmfGateLease lease;
    vmf_gate_lease_init(gate, &lease, NULL, NULL);
    return vmf_gate_enter(gate, &lease, access);
}

static void
own_and_open(VmfGate *gate, guint64 epoch)
{
    vmf_gate_own(gate, epoch, FALSE);
    g_assert_true(vmf_gate_open(gate, epoch));
}

static void
release(VmfGate *gate)
{
    g_assert_cmpint(vmf_gate_drain(gate, 60000), ==, VMF_DRAIN_DONE);
    vmf_gate_close(gate);
}

static void
test_closed(void)
{
    g_autoptr(VmfGate) gate = vmf_gate_new();
    Request write = request_of(gate, VMF_GATE_WRITE);
    g_assert_cmpint(enter_now(gate, VMF_GATE_READ), ==, VMF_PASS_READER);
    vmf_gate_leave(gate);
    start(&write);
    wait_until_waiting(gate, 1);
    /* owning alone lets no write through */
    vmf_gate_own(gate, 5, FALSE);
    wait_until_waiting(gate, 1);
    g_assert_cmpuint(vmf_gate_facts(gate).writes_passed, ==, 0);
    g_assert_true(vmf_gate_open(gate, 5));
    g_assert_cmpint(finish(&write), ==, VMF_PASS_OWNER);
    g_assert_cmpuint(vmf_gate_facts(gate).writes_passed, ==, 1);
    release(gate);
}

static void
test_open_needs_epoch(void)
{
    g_autoptr(VmfGate) gate = vmf_gate_new();
    g_assert_false(vmf_gate_open(gate, 0));
    g_assert_false(vmf_gate_open(gate, 5));
    vmf_gate_own(gate, 5, FALSE);
    g_assert_false(vmf_gate_open(gate, 4));
    g_assert_false(vmf_gate_open(gate, 6));
    g_assert_cmpint(vmf_gate_facts(gate).state, ==, VMF_GATE_CLOSED);
    g_assert_true(vmf_gate_open(gate, 5));
    g_assert_false(vmf_gate_open(gate, 5));
    release(gate);
    /* what was owned once is not owned now */
    g_assert_false(vmf_gate_open(gate, 5));
}

static void
test_drain_waits(void)
{
    g_autoptr(VmfGate) gate = vmf_gate_new();
    own_and_open(gate, 1);
    g_assert_cmpint(enter_now(gate, VMF_GATE_WRITE), ==, VMF_PASS_OWNER);
    g_assert_cmpint(vmf_gate_drain(gate, 1), ==, VMF_DRAIN_TIMEOUT);
    g_assert_cmpint(vmf_gate_facts(gate).state, ==, VMF_GATE_OPEN);
    vmf_gate_leave(gate);
    g_assert_cmpint(vmf_gate_drain(gate, 1), ==, VMF_DRAIN_DONE);

    Request write = request_of(gate, VMF_GATE_WRITE), read = request_of(gate, VMF_GATE_READ);
    start(&write);
    start(&read);
    wait_until_waiting(gate, 2);
    g_assert_true(vmf_gate_resume(gate));
    g_assert_cmpint(finish(&write), ==, VMF_PASS_OWNER);
    g_assert_cmpint(finish(&read), ==, VMF_PASS_OWNER);
    release(gate);
}

static void
test_fence_holds_everything(void)
{
    g_autoptr(VmfGate) gate = vmf_gate_new();
    own_and_open(gate, 3);
    g_assert_cmpint(enter_now(gate, VMF_GATE_WRITE), ==, VMF_PASS_OWNER);
    vmf_gate_fence(gate);
    g_assert_cmpint(vmf_gate_drain(gate, 60000), ==, VMF_DRAIN_FENCED);
    Request write = request_of(gate, VMF_GATE_WRITE), read = request_of(gate, VMF_GATE_READ);
    start(&write);
    start(&read);
    wait_until_waiting(gate, 2);
    vmf_gate_leave(gate);
    g_assert_false(vmf_gate_open(gate, 3));
    g_assert_false(vmf_gate_unfence(gate, 4));
    g_assert_false(vmf_gate_resume(gate));
    wait_until_waiting(gate, 2);
    g_assert_true(vmf_gate_unfence(gate, 3));
    g_assert_cmpint(finish(&write), ==, VMF_PASS_OWNER);
    g_assert_cmpint(finish(&read), ==, VMF_PASS_OWNER);
    release(gate);
}

static void
test_foreign(void)
{
    g_autoptr(VmfGate) gate = vmf_gate_new();
    own_and_open(gate, 3);
    Request old = request_of(gate, VMF_GATE_WRITE);
    vmf_gate_fence(gate);
    start(&old);
    wait_until_waiting(gate, 1);
    vmf_gate_set_foreign(gate);
    g_assert_false(vmf_gate_unfence(gate, 3));
    vmf_gate_close(gate);
    own_and_open(gate, 9);
    g_assert_cmpint(finish(&old), ==, VMF_PASS_GONE);
    release(gate);
}

/* A write that waited under one ownership must not run under a later one. */
static void
test_stale_lease(void)
{
    g_autoptr(VmfGate) gate = vmf_gate_new();
    own_and_open(gate, 1);
    g_assert_cmpint(vmf_gate_drain(gate, 0), ==, VMF_DRAIN_DONE);
    Request old = request_of(gate, VMF_GATE_WRITE);
    start(&old);
    wait_until_waiting(gate, 1);
    vmf_gate_close(gate);
    Request fresh = request_of(gate, VMF_GATE_WRITE);
    start(&fresh);
    wait_until_waiting(gate, 2);
    vmf_gate_own(gate, 4, FALSE);
    g_assert_true(vmf_gate_open(gate, 4));
    g_assert_cmpint(finish(&old), ==, VMF_PASS_GONE);
    g_assert_cmpint(finish(&fresh), ==, VMF_PASS_OWNER);
    /* and never again */
    g_assert_cmpint(vmf_gate_enter(gate, &old.lease, VMF_GATE_READ), ==, VMF_PASS_GONE);
    release(gate);
}

/* The abort of a move: nobody else has written, so the guest goes on. */
static void
test_continuous_lease(void)
{
    g_autoptr(VmfGate) gate = vmf_gate_new();
    own_and_open(gate, 1);
    Request write = request_of(gate, VMF_GATE_WRITE);
    release(gate);
    start(&write);
    wait_until_waiting(gate, 1);
    vmf_gate_own(gate, 3, TRUE);
    g_assert_true(vmf_gate_open(gate, 3));
    g_assert_cmpint(finish(&write), ==, VMF_PASS_OWNER);
    release(gate);
}

static gboolean
is_alive(gpointer data)
{
    return atomic_load((atomic_int *)data) != 0;
}

static void
test_dead_client(void)
{
    g_autoptr(VmfGate) gate = vmf_gate_new();
    atomic_int alive = 1;
    Request write = request_of(gate, VMF_GATE_WRITE);
    vmf_gate_lease_init(gate, &write.lease, is_alive, &alive);
    start(&write);
    wait_until_waiting(gate, 1);
    atomic_store(&alive, 0);
    own_and_open(gate, 1);
    g_assert_cmpint(finish(&write), ==, VMF_PASS_GONE);
    g_assert_cmpuint(vmf_gate_facts(gate).writes_passed, ==, 0);
    g_assert_true(vmf_gate_client_is_gone(gate, &write.lease));
    release(gate);
}

static void
test_offline(void)
{
    g_autoptr(VmfGate) gate = vmf_gate_new();
    vmf_gate_set_offline(gate, TRUE);
    Request read = request_of(gate, VMF_GATE_READ);
    start(&read);
    wait_until_waiting(gate, 1);
    vmf_gate_fence(gate); /* a closed gate is not fenced */
    g_assert_cmpint(vmf_gate_facts(gate).state, ==, VMF_GATE_CLOSED);
    vmf_gate_set_offline(gate, FALSE);
    g_assert_cmpint(finish(&read), ==, VMF_PASS_READER);
}

static void
test_end(void)
{
    g_autoptr(VmfGate) gate = vmf_gate_new();
    Request write = request_of(gate, VMF_GATE_WRITE);
    start(&write);
    wait_until_waiting(gate, 1);
    vmf_gate_end(gate);
    g_assert_cmpint(finish(&write), ==, VMF_PASS_GONE);
    g_assert_cmpint(enter_now(gate, VMF_GATE_READ), ==, VMF_PASS_GONE);
}

typedef struct {
    VmfGate *gate;
    VmfGateLease lease;
    atomic_int room;
} Stalled;

static gpointer
write_without_room(gpointer data)
{
    Stalled *mine = data;
    VmfGatePass pass = vmf_gate_enter(mine->gate, &mine->lease, VMF_GATE_WRITE);
    g_assert_cmpint(pass, ==, VMF_PASS_OWNER);
    while (!atomic_load(&mine->room) && vmf_gate_stall(mine->gate, &mine->lease, 60000))
        continue;
    vmf_gate_leave(mine->gate);
    return NULL;
}

/* A request that has passed and cannot be carried out: no drain, and none waits for it. */
static void
test_stalled(void)
{
    g_autoptr(VmfGate) gate = vmf_gate_new();
    own_and_open(gate, 1);
    Stalled write = {.gate = gate};
    vmf_gate_lease_init(gate, &write.lease, NULL, NULL);
    GThread *thread = g_thread_new("stalled", write_without_room, &write);
    wait_until_waiting(gate, 1);
    g_assert_cmpuint(vmf_gate_facts(gate).in_flight, ==, 0);
    g_assert_cmpint(vmf_gate_drain(gate, 60000), ==, VMF_DRAIN_STALLED);
    g_assert_cmpint(vmf_gate_facts(gate).state, ==, VMF_GATE_OPEN);
    vmf_gate_fence(gate); /* its session has broken: it goes back to the gate */
    g_thread_join(thread);
    g_assert_true(vmf_gate_unfence(gate, 1));
    release(gate);
}

/* Stalled while the gate drains already */
static gpointer
drain_it(gpointer gate)
{
    return GINT_TO_POINTER(vmf_gate_drain(gate, 60000));
}

static void
test_stalls_while_draining(void)
{
    g_autoptr(VmfGate) gate = vmf_gate_new();
    own_and_open(gate, 1);
    VmfGateLease lease;
    vmf_gate_lease_init(gate, &lease, NULL, NULL);
    g_assert_cmpint(vmf_gate_enter(gate, &lease, VMF_GATE_WRITE), ==, VMF_PASS_OWNER);
    GThread *drainer = g_thread_new("drain", drain_it, gate);
    while (vmf_gate_facts(gate).state != VMF_GATE_DRAINING)
        g_thread_yield();
    g_assert_true(vmf_gate_stall(gate, &lease, 100));
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(drainer)), ==, VMF_DRAIN_STALLED);
    vmf_gate_leave(gate);
    release(gate);
}

static void
test_names(void)
{
    for (VmfGateState state = VMF_GATE_CLOSED; state < VMF_N_GATE_STATES; state++) {
        VmfGateState back;
        g_assert_true(vmf_gate_state_from_name(vmf_gate_state_name(state), &back));
        g_assert_cmpint(back, ==, state);
    }
    VmfGateState untouched;
    g_assert_false(vmf_gate_state_from_name("ajar", &untouched));
    g_assert_false(vmf_gate_state_from_name(NULL, &untouched));
}

/* --- many threads: whoever has passed is never overtaken by a change of ownership --- */

typedef struct {
    VmfGate *gate;
    atomic_uint owner_epoch; /* what the owner thread guarantees now; 0: nothing */
    atomic_int stop;
    atomic_uint passed;
} Storm;

static gpointer
storm_client(gpointer data)
{
    Storm *storm = data;
    VmfGateLease lease;
    vmf_gate_lease_init(storm->gate, &lease, NULL, NULL);
    guint mine = 0;
    while (!atomic_load(&storm->stop)) {
        VmfGatePass pass = vmf_gate_enter(storm->gate, &lease, VMF_GATE_WRITE);
        if (pass == VMF_PASS_GONE) {
            vmf_gate_lease_init(storm->gate, &lease, NULL, NULL); /* a new client */
            mine = 0;
            continue;
        }
        g_assert_cmpint(pass, ==, VMF_PASS_OWNER);
        guint epoch = atomic_load(&storm->owner_epoch);
        g_assert_cmpuint(epoch, !=, 0);
        /* every second epoch is a stranger's: a lease never spans it */
        g_assert_true(mine == 0 || epoch / 4 == mine / 4);
        mine = epoch;
        g_thread_yield();
        g_assert_cmpuint(atomic_load(&storm->owner_epoch), ==, epoch);
        atomic_fetch_add(&storm->passed, 1);
        vmf_gate_leave(storm->gate);
    }
    return NULL;
}

static void
test_storm(void)
{
    Storm storm = {.gate = vmf_gate_new()};
    GThread *threads[6];
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("client", storm_client, &storm);
    for (guint epoch = 1; epoch < 2000; epoch++) {
        vmf_gate_own(storm.gate, epoch, epoch % 4 != 0);
        atomic_store(&storm.owner_epoch, epoch);
        g_assert_true(vmf_gate_open(storm.gate, epoch));
        guint before = atomic_load(&storm.passed);
        while (epoch % 8 == 0 && atomic_load(&storm.passed) == before)
            g_thread_yield();
        if (epoch % 3 == 0) {
            vmf_gate_fence(storm.gate);
            g_assert_true(vmf_gate_unfence(storm.gate, epoch));
        }
        g_assert_cmpint(vmf_gate_drain(storm.gate, 60000), ==, VMF_DRAIN_DONE);
        atomic_store(&storm.owner_epoch, 0);
        vmf_gate_close(storm.gate);
    }
    atomic_store(&storm.stop, 1);
    vmf_gate_end(storm.gate);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    g_test_message("%u writes passed", storm.passed);
    g_assert_cmpuint(storm.passed, >, 200);
    vmf_gate_free(storm.gate);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gate/closed/writes-wait", test_closed);
    g_test_add_func("/gate/open/only-with-owned-epoch", test_open_needs_epoch);
    g_test_add_func("/gate/drain/waits-and-resumes", test_drain_waits);
    g_test_add_func("/gate/fenced/everything-waits", test_fence_holds_everything);
    g_test_add_func("/gate/foreign/never-opens", test_foreign);
    g_test_add_func("/gate/lease/stale-is-gone", test_stale_lease);
    g_test_add_func("/gate/lease/continuous-goes-on", test_continuous_lease);
    g_test_add_func("/gate/lease/dead-client-is-gone", test_dead_client);
    g_test_add_func("/gate/offline/reads-wait", test_offline);
    g_test_add_func("/gate/stall/no-drain", test_stalled);
    g_test_add_func("/gate/stall/while-draining", test_stalls_while_draining);
    g_test_add_func("/gate/end/all-gone", test_end);
    g_test_add_func("/gate/names/round-trip", test_names);
    g_test_add_func("/gate/storm/no-pass-spans-owners", test_storm);
    return g_test_run();
}
