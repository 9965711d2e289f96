/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/smb/disk-set-lab.h"

#include <string.h>

/* --- a long random life: moves with any request lost, under a guest that checks its disk --- */

#define GUESTS 3
#define MOVES  150

typedef struct {
    GMutex lock;
    GCond changed;
    VmfDiskSet *set; /* where the VM runs; NULL: paused */
    guint incarnation;
    guint active;
    gboolean end;
    guint8 acknowledged[GUESTS][8];
    guint writes;
} World;

typedef struct {
    World *world;
    guint number;
} Guest;

static gpointer
guest_thread(gpointer data)
{
    const Guest *guest = data;
    World *world = guest->world;
    g_autoptr(GRand) rand = g_rand_new_with_seed(guest->number);
    VmfGateLease lease;
    guint incarnation = 0;

    g_mutex_lock(&world->lock);
    while (!world->end) {
        if (world->set == NULL) {
            g_cond_wait(&world->changed, &world->lock);
            continue;
        }
        VmfDiskSet *set = world->set;
        world->active++;
        if (incarnation != world->incarnation) /* a new QEMU, a new connection */
            vmf_gate_lease_init(vmf_disk_set_gate(set), &lease, NULL, NULL);
        incarnation = world->incarnation;
        guint slot = (guint)g_rand_int_range(rand, 0, 8);
        guint8 *acknowledged = &world->acknowledged[guest->number][slot];
        guint disk = slot % 2, block = guest->number * 8 + slot;
        guint8 value = (guint8)(*acknowledged + 1);
        g_mutex_unlock(&world->lock);

        g_assert_cmpint(read_block(set, &lease, disk, block), ==, *acknowledged);
        g_assert_cmpint(write_block(set, &lease, disk, block, value), ==, 0);

        g_mutex_lock(&world->lock);
        *acknowledged = value;
        world->writes++;
        world->active--;
        g_cond_broadcast(&world->changed);
    }
    g_mutex_unlock(&world->lock);
    return NULL;
}

static void
work_on(const Lab *lab)
{
    /* a late write lands some time before the quarantine for it is over */
    memory_server_land_late_writes(lab->server);
    vmf_disk_set_work(lab->sets[0]);
    vmf_disk_set_work(lab->sets[1]);
}

static void
set_random_fault(const Lab *lab, GRand *rand)
{
    static const MemoryKind kinds[] = {MEMORY_OPEN_READ,   MEMORY_OPEN_OWN,     MEMORY_READ,
                                       MEMORY_WRITE_DISK,  MEMORY_WRITE_RECORD, MEMORY_CLOSE_DISK,
                                       MEMORY_CLOSE_OTHER, MEMORY_CONNECT};
    MemoryKind kind = kinds[g_rand_int_range(rand, 0, G_N_ELEMENTS(kinds))];
    gboolean write = kind == MEMORY_WRITE_DISK || kind == MEMORY_WRITE_RECORD;
    MemoryFault fault = (MemoryFault)g_rand_int_range(
        rand, MEMORY_LOSE_BEFORE, write ? MEMORY_LOSE_LATE + 1 : MEMORY_LOSE_LATE);
    memory_server_set_fault(lab->server, accounts[g_rand_int_range(rand, 0, 2)], kind, fault,
                            (guint)g_rand_int_range(rand, 0, 4));
}

static void
run_guest(World *world, VmfDiskSet *set, gboolean new_incarnation)
{
    g_mutex_lock(&world->lock);
    world->incarnation += new_incarnation ? 1 : 0;
    world->set = set;
    g_cond_broadcast(&world->changed);
    g_mutex_unlock(&world->lock);
}

/* As QEMU does: no new requests, and those that run are waited for. */
static void
pause_guest(World *world, const Lab *lab)
{
    g_mutex_lock(&world->lock);
    world->set = NULL;
    while (world->active > 0) {
        g_mutex_unlock(&world->lock);
        work_on(lab);
        g_usleep(100);
        g_mutex_lock(&world->lock);
    }
    g_mutex_unlock(&world->lock);
}

/* One host or the other becomes owner; as vmferryd does, the record decides which. */
static guint
decide_owner(const Lab *lab, guint source, guint64 *epoch)
{
    guint destination = 1 - source;
    guint64 e = *epoch;
    if (claim(lab, destination, sids[source], e, e + 1, NULL)) {
        *epoch = e + 1;
        return destination;
    }
    while (TRUE) {
        gboolean present = FALSE;
        VmfOwnerRecord record;
        work_on(lab);
        if (!vmf_disk_set_read_record(lab->sets[source], &present, &record, NULL, NULL))
            continue;
        g_assert_true(present);
        gboolean went = record.epoch == e + 1;
        guint winner = went ? destination : source;
        guint64 next = went ? e + 1 : e + 2;
        if (claim(lab, winner, sids[source], e, next, NULL)) {
            *epoch = next;
            return winner;
        }
    }
}

typedef struct {
    const Lab *lab;
    gint end;
} Worker;

/* as the disk process's own: a connection lost in the last move may be noticed by the next read */
static gpointer
worker_thread(gpointer data)
{
    Worker *worker = data;
    while (!g_atomic_int_get(&worker->end)) {
        work_on(worker->lab);
        g_usleep(100);
    }
    return NULL;
}

static void
assert_nothing_lost(const Lab *lab, guint owner, const World *world)
{
    Worker worker = {.lab = lab};
    GThread *thread = g_thread_new("worker", worker_thread, &worker);
    for (guint i = 0; i < GUESTS; i++)
        for (guint slot = 0; slot < 8; slot++)
            g_assert_cmpint(read_now(lab, owner, slot % 2, i * 8 + slot), ==,
                            world->acknowledged[i][slot]);
    g_atomic_int_set(&worker.end, TRUE);
    g_thread_join(thread);
}

static void
test_random_life(void)
{
    Lab lab = lab_new(1);
    World world = {0};
    Guest guests[GUESTS];
    GThread *threads[GUESTS];
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)g_test_rand_int());
    guint owner = 0, moved = 0;
    guint64 epoch = 1, seen = 1;

    g_mutex_init(&world.lock);
    g_cond_init(&world.changed);
    own(&lab, 0, "", 0, 1);
    run_guest(&world, lab.sets[0], TRUE);
    for (guint i = 0; i < GUESTS; i++) {
        guests[i] = (Guest){&world, i};
        threads[i] = g_thread_new("guest", guest_thread, &guests[i]);
    }
    for (guint i = 0; i < MOVES; i++) {
        for (gint n = g_rand_int_range(rand, 0, 4); n > 0; n--)
            set_random_fault(&lab, rand);
        for (gint n = g_rand_int_range(rand, 0, 10); n > 0; n--) {
            work_on(&lab);
            g_usleep(100);
        }
        pause_guest(&world, &lab);
        if (!vmf_disk_set_release(lab.sets[owner], NULL, NULL, NULL)) {
            run_guest(&world, lab.sets[owner], FALSE); /* not released: it goes on */
            continue;
        }
        guint winner = decide_owner(&lab, owner, &epoch);
        while (!vmf_disk_set_open_gate(lab.sets[winner], epoch, NULL)) {
            work_on(&lab);
            claim(&lab, winner, sids[owner], epoch - 1, epoch, NULL);
        }
        g_assert_cmpuint(record_of(&lab).epoch, >, seen);
        seen = record_of(&lab).epoch;
        moved += winner != owner ? 1 : 0;
        run_guest(&world, lab.sets[winner], winner != owner);
        owner = winner;
    }
    memory_server_clear_faults(lab.server);
    pause_guest(&world, &lab);
    g_mutex_lock(&world.lock);
    world.end = TRUE;
    g_cond_broadcast(&world.changed);
    g_mutex_unlock(&world.lock);
    for (guint i = 0; i < GUESTS; i++)
        g_thread_join(threads[i]);
    g_test_message("%u moves, epoch %" G_GUINT64_FORMAT ", %u writes", moved, epoch, world.writes);
    g_assert_cmpuint(moved, >, MOVES / 4);
    assert_nothing_lost(&lab, owner, &world);
    lab_clear(&lab);
    g_mutex_clear(&world.lock);
    g_cond_clear(&world.changed);
}

int
main(int argc, char **argv)
{
    lab_begin(&argc, &argv);
    g_test_add_func("/disk-set/random-life/no-write-lost", test_random_life);
    return g_test_run();
}
