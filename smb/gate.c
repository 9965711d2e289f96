/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/gate.h"

#define ALIVE_CHECK_US G_USEC_PER_SEC

static const char *const state_names[] = {
    [VMF_GATE_CLOSED] = "closed",
    [VMF_GATE_OPEN] = "open",
    [VMF_GATE_DRAINING] = "draining",
    [VMF_GATE_FENCED] = "fenced",
};
G_STATIC_ASSERT(G_N_ELEMENTS(state_names) == VMF_N_GATE_STATES);

/* may_follow[from][to]; the conditions of each move are with the function that makes it */
static const gboolean may_follow[VMF_N_GATE_STATES][VMF_N_GATE_STATES] = {
    [VMF_GATE_CLOSED] = {[VMF_GATE_OPEN] = TRUE, [VMF_GATE_CLOSED] = TRUE},
    [VMF_GATE_OPEN] = {[VMF_GATE_DRAINING] = TRUE, [VMF_GATE_FENCED] = TRUE},
    [VMF_GATE_DRAINING] =
        {
            [VMF_GATE_OPEN] = TRUE,
            [VMF_GATE_CLOSED] = TRUE,
            [VMF_GATE_FENCED] = TRUE,
        },
    [VMF_GATE_FENCED] = {[VMF_GATE_OPEN] = TRUE, [VMF_GATE_CLOSED] = TRUE},
};

struct _VmfGate {
    GMutex lock; /* innermost: nothing is called with it held */
    GCond changed;
    VmfGateState state;
    guint64 epoch;
    gboolean foreign;
    gboolean offline;
    gboolean ending;
    guint in_flight;
    guint stalled; /* of those in flight */
    guint waiting;
    guint64 writes_passed;
    guint64 releases;     /* how often the disks were given up */
    guint64 stale_before; /* leases born with fewer releases are stale */
};

const char *
vmf_gate_state_name(VmfGateState state)
{
    return (guint)state < VMF_N_GATE_STATES ? state_names[state] : "invalid";
}

gboolean
vmf_gate_state_from_name(const char *name, VmfGateState *state)
{
    for (guint i = 0; i < VMF_N_GATE_STATES; i++)
        if (g_strcmp0(name, state_names[i]) == 0) {
            *state = i;
            return TRUE;
        }
    return FALSE;
}

VmfGate *
vmf_gate_new(void)
{
    VmfGate *gate = g_new0(VmfGate, 1);
    g_mutex_init(&gate->lock);
    g_cond_init(&gate->changed);
    return gate;
}

void
vmf_gate_free(VmfGate *gate)
{
    if (gate == NULL)
        return;
    g_assert(gate->in_flight == 0 && gate->stalled == 0 && gate->waiting == 0);
    g_mutex_clear(&gate->lock);
    g_cond_clear(&gate->changed);
    g_free(gate);
}

VmfGateFacts
vmf_gate_facts(VmfGate *gate)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    return (VmfGateFacts){
        .state = gate->state,
        .epoch = gate->epoch,
        .foreign = gate->foreign,
        .offline = gate->offline,
        .in_flight = gate->in_flight - gate->stalled,
        .waiting = gate->waiting + gate->stalled,
        .writes_passed = gate->writes_passed,
    };
}

/* The one setter; the lock is held. */
static void
move_to(VmfGate *gate, VmfGateState next)
{
    g_assert(may_follow[gate->state][next]);
    g_assert(next == VMF_GATE_CLOSED || gate->epoch != 0);
    g_assert(next != VMF_GATE_OPEN || !gate->foreign);
    gate->state = next;
    g_cond_broadcast(&gate->changed);
}

/* --- requests --- */

void
vmf_gate_lease_init(VmfGate *gate, VmfGateLease *lease, gboolean (*alive)(gpointer data),
                    gpointer data)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    *lease = (VmfGateLease){.born = gate->releases, .alive = alive, .data = data};
}

static gboolean
is_gone(const VmfGate *gate, const VmfGateLease *lease)
{
    return gate->ending || lease->born < gate->stale_before;
}

static gboolean
may_pass(const VmfGate *gate, VmfGateAccess access)
{
    switch (gate->state) {
    case VMF_GATE_CLOSED:
        return access == VMF_GATE_FLUSH || (access == VMF_GATE_READ && !gate->offline);
    case VMF_GATE_OPEN:
        return TRUE;
    case VMF_GATE_DRAINING:
    case VMF_GATE_FENCED:
        return FALSE;
    case VMF_N_GATE_STATES:
        break;
    }
    g_assert_not_reached();
}

static VmfGatePass
pass(VmfGate *gate, VmfGateAccess access)
{
    gate->in_flight++;
    if (access == VMF_GATE_WRITE)
        gate->writes_passed++;
    return gate->state == VMF_GATE_OPEN ? VMF_PASS_OWNER : VMF_PASS_READER;
}

/* The lock is held, and let go while the client is asked for. */
static gboolean
hung_up(VmfGate *gate, const VmfGateLease *lease)
{
    if (lease->alive == NULL)
        return FALSE;
    g_mutex_unlock(&gate->lock);
    gboolean alive = lease->alive(lease->data);
    g_mutex_lock(&gate->lock);
    return !alive;
}

VmfGatePass
vmf_gate_enter(VmfGate *gate, const VmfGateLease *lease, VmfGateAccess access)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);

    gate->waiting++;
    gboolean gone = is_gone(gate, lease);
    while (!gone && !may_pass(gate, access)) {
        g_cond_wait_until(&gate->changed, &gate->lock, g_get_monotonic_time() + ALIVE_CHECK_US);
        gone = hung_up(gate, lease) || is_gone(gate, lease);
    }
    gate->waiting--;
    return gone ? VMF_PASS_GONE : pass(gate, access);
}

void
vmf_gate_leave(VmfGate *gate)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    g_assert(gate->in_flight > 0);
    gate->in_flight--;
    if (gate->in_flight == 0 && gate->state != VMF_GATE_OPEN)
        g_cond_broadcast(&gate->changed);
}

gboolean
vmf_gate_stall(VmfGate *gate, const VmfGateLease *lease, guint milliseconds)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    gint64 until = g_get_monotonic_time() + (gint64)milliseconds * 1000;

    gate->stalled++;
    g_cond_broadcast(&gate->changed); /* a drain need not wait for it */
    while (gate->state != VMF_GATE_FENCED && !gate->ending &&
           g_cond_wait_until(&gate->changed, &gate->lock, until))
        continue;
    gate->stalled--;
    return gate->state != VMF_GATE_FENCED && !hung_up(gate, lease) && !is_gone(gate, lease);
}

gboolean
vmf_gate_client_is_gone(VmfGate *gate, const VmfGateLease *lease)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    return is_gone(gate, lease) || hung_up(gate, lease);
}

/* --- the owner thread --- */

void
vmf_gate_own(VmfGate *gate, guint64 epoch, gboolean continuous)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    g_assert(gate->state == VMF_GATE_CLOSED || gate->epoch != 0);
    g_assert(epoch > 0 && epoch >= gate->epoch);
    if (gate->epoch == 0) {
        gate->writes_passed = 0;
        if (!continuous)
            gate->stale_before = gate->releases;
    }
    gate->epoch = epoch;
    g_cond_broadcast(&gate->changed);
}

void
vmf_gate_note_written(VmfGate *gate)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    gate->writes_passed++;
}

gboolean
vmf_gate_open(VmfGate *gate, guint64 epoch)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    if (gate->state != VMF_GATE_CLOSED || gate->epoch == 0 || gate->epoch != epoch)
        return FALSE;
    move_to(gate, VMF_GATE_OPEN);
    return TRUE;
}

VmfDrain
vmf_gate_drain(VmfGate *gate, guint timeout_ms)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    gint64 until = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

    if (gate->state == VMF_GATE_CLOSED)
        return VMF_DRAIN_DONE;
    if (gate->state == VMF_GATE_OPEN)
        move_to(gate, VMF_GATE_DRAINING);
    while (gate->state == VMF_GATE_DRAINING && gate->in_flight > 0) {
        gboolean stalled = gate->in_flight == gate->stalled;
        if (!stalled && (g_cond_wait_until(&gate->changed, &gate->lock, until) ||
                         gate->in_flight == 0 || gate->state == VMF_GATE_FENCED))
            continue;
        move_to(gate, VMF_GATE_OPEN);
        return stalled ? VMF_DRAIN_STALLED : VMF_DRAIN_TIMEOUT;
    }
    return gate->state == VMF_GATE_FENCED ? VMF_DRAIN_FENCED : VMF_DRAIN_DONE;
}

gboolean
vmf_gate_resume(VmfGate *gate)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    if (gate->state == VMF_GATE_FENCED)
        return FALSE;
    g_assert(gate->state == VMF_GATE_DRAINING);
    move_to(gate, VMF_GATE_OPEN);
    return TRUE;
}

void
vmf_gate_close(VmfGate *gate)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    g_assert(gate->state != VMF_GATE_OPEN);
    g_assert(gate->state != VMF_GATE_FENCED || gate->foreign);
    /* at a CLOSED gate only reads are in flight, by a handle that stays */
    while (gate->state != VMF_GATE_CLOSED && gate->in_flight > 0)
        g_cond_wait(&gate->changed, &gate->lock);
    if (gate->epoch != 0)
        gate->releases++;
    gate->epoch = 0;
    gate->foreign = FALSE;
    move_to(gate, VMF_GATE_CLOSED);
}

gboolean
vmf_gate_unfence(VmfGate *gate, guint64 epoch)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    if (gate->state != VMF_GATE_FENCED || gate->foreign || gate->epoch != epoch)
        return FALSE;
    move_to(gate, VMF_GATE_OPEN);
    return TRUE;
}

void
vmf_gate_set_foreign(VmfGate *gate)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    g_assert(gate->state == VMF_GATE_FENCED);
    gate->foreign = TRUE;
}

/* --- any thread --- */

void
vmf_gate_fence(VmfGate *gate)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    if (gate->state == VMF_GATE_OPEN || gate->state == VMF_GATE_DRAINING)
        move_to(gate, VMF_GATE_FENCED);
}

void
vmf_gate_set_offline(VmfGate *gate, gboolean offline)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    gate->offline = offline;
    g_cond_broadcast(&gate->changed);
}

void
vmf_gate_end(VmfGate *gate)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&gate->lock);
    gate->ending = TRUE;
    g_cond_broadcast(&gate->changed);
}
