/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/world.h"

#include "sim-rules.h"

#include "smb/disk-client.h"
#include "smb/disk-set-internal.h"
#include "src/base/error.h"
#include "src/migrate/vm-disks.h"

#include <string.h>

/*
 * The disk process: the real VmfDiskSet, with an owner thread that does what disk-control.c's does
 * (orders one after the other, vmf_disk_set_work() when due), and vmferryd's way to it.
 */

#define QUICK_US   (10 * G_USEC_PER_SEC) /* as disk-client.c */
#define SHARE_US   (150 * G_USEC_PER_SEC)
#define RELEASE_US (600 * G_USEC_PER_SEC)

typedef enum {
    ORDER_READ_RECORD,
    ORDER_PROBE,
    ORDER_CLAIM,
    ORDER_TAKE,
    ORDER_RELEASE,
    ORDER_WRITE_FILE,
    ORDER_QUIT
} Verb;

typedef struct {
    Verb verb;
    VmfOwnerExpect expected;
    VmfOwnerNext next;
    gboolean given;
    guint wait_ms;
    gboolean done, ok, present;
    VmfOwnerRecord record;
    GError *error;
} Order;

struct SimDiskProc {
    SimProc proc;
    SimHost *host;
    VmfDiskSet *set;
    gboolean resume, serving, failed;
    guint launcher; /* which vmferryd */
    gboolean woken;
    GQueue orders;
    guint generation;
    GError *why;
};

struct _VmfDiskClient {
    gint references;
    SimDiskProc *process;
    guint generation;
};

static guint generations;

static void
wake(gpointer data)
{
    SimDiskProc *process = data;
    process->woken = TRUE;
    sim_wake(process);
}

void
sim_disks_wake(SimHost *host)
{
    if (host->disks != NULL)
        wake(host->disks);
}

/* disk-control.c: GateChanged */
static void
changed(gpointer data)
{
    SimDiskProc *process = data;
    sim_keeper_kick(process->host);
}

/* disk-plugin.c: remove_mark() */
static void
touched(gpointer data)
{
    SimDiskProc *process = data;
    if (!sim_off(SIM_RULE_MARK))
        process->host->marked = FALSE;
}

static VmfDiskSet *
make_set(SimDiskProc *process, GError **error)
{
    const VmfDiskSpec specs[] = {
        {(gchar *)"vda", (gchar *)"raw", (gchar *)"smb://fs1/vms/web1/vda.raw"},
        {(gchar *)"vdb", (gchar *)"raw", (gchar *)"smb://fs1/vms/web1/vdb.raw"},
    };
    const VmfDiskSetConfig config = {
        .list = vmf_disk_list_new(SIM_VM, specs, SIM_DISKS, NULL),
        .share = sim_server_share(process->host),
        .account = process->host->account,
        .owner_sid = process->host->sid,
        .boot_id = process->host->boot,
        .quarantine_ms = SIM_QUARANTINE,
        .ledger = &process->host->ledger,
        .resume = process->resume,
        .changed = changed,
        .wake = wake,
        .touched = touched,
        .data = process,
    };
    return vmf_disk_set_new(&config, error);
}

/* disk-verbs.c */
static void
run_order(SimDiskProc *process, Order *order)
{
    VmfDiskSet *set = process->set;
    switch (order->verb) {
    case ORDER_READ_RECORD:
        order->ok = vmf_disk_set_read_record(set, &order->present, &order->record, NULL,
                                             &order->error);
        break;
    case ORDER_PROBE:
        order->ok = vmf_disk_set_probe(set, &order->error);
        break;
    case ORDER_CLAIM:
        order->ok = vmf_disk_set_claim(set, &order->expected, &order->next, order->wait_ms, NULL,
                                       &order->error);
        break;
    case ORDER_TAKE:
        order->ok = vmf_disk_set_claim(set, &order->expected, &order->next, order->wait_ms, NULL,
                                       &order->error) &&
                    ((sim_off(SIM_RULE_GATE_BEFORE_FINISH) && process->host->index == 1) ||
                     vmf_disk_set_open_gate(set, order->next.epoch, &order->error));
        break;
    case ORDER_RELEASE:
        order->ok = vmf_disk_set_release(set, order->given ? &order->next : NULL, NULL,
                                         &order->error);
        break;
    case ORDER_QUIT: /* after what was ordered before: nothing is under way then */
        order->ok = TRUE;
        break;
    case ORDER_WRITE_FILE:
        order->ok = vmf_disk_set_write_file(set, "domain.xml", "<domain/>", &order->error);
        break;
    }
    order->done = TRUE;
    sim_wake(order);
}

/* disk-control.c: the owner thread's loop */
static void
owner_thread(gpointer data)
{
    SimDiskProc *process = data;
    process->set = make_set(process, &process->why);
    gboolean needed = process->launcher == process->host->vmferryd.generation ||
                      process->host->ledger.epoch != 0;
    process->serving = process->set != NULL && needed;
    process->failed = !process->serving;
    sim_wake(process);
    if (process->failed) {
        sim_sleep(100); /* whoever started it is told why, if it still lives */
        if (process->host->disks == process)
            sim_disks_kill(process->host);
        return;
    }
    while (TRUE) {
        Order *order = g_queue_pop_head(&process->orders);
        if (order != NULL)
            run_order(process, order);
        process->woken = FALSE;
        gint64 next = vmf_disk_set_work(process->set);
        if (process->woken || !g_queue_is_empty(&process->orders))
            sim_sleep(0);
        else if (next > sim_now())
            sim_wait(process, next);
        else
            sim_sleep(10);
    }
}

static SimDiskProc *
new_process(SimHost *host, gboolean resume)
{
    SimDiskProc *process = g_new0(SimDiskProc, 1);
    process->proc = (SimProc){.name = "disks", .host = host->index, .alive = TRUE};
    process->host = host;
    process->resume = resume;
    process->generation = ++generations;
    process->launcher = host->vmferryd.generation;
    g_queue_init(&process->orders);
    host->disks = process;
    host->disks_told_end = FALSE;
    host->vm_ended = FALSE;
    sim_spawn(&process->proc, 0, owner_thread, process);
    return process;
}

/* Its locks, its open sockets and its memory go; the server sees the end of its connections. */
void
sim_disks_kill(SimHost *host)
{
    SimDiskProc *process = host->disks;
    if (process == NULL)
        return;
    host->disks = NULL;
    sim_trace("the disk process of hv%d ends", host->index + 1);
    sim_server_host_is_gone(host);
    sim_qemu_nbd_lost(host);
    sim_keeper_kick(host);
    sim_wake(process); /* who waits for its answers */
    for (GList *at = process->orders.head; at != NULL; at = at->next)
        sim_wake(at->data);
    sim_kill_tasks(&process->proc);
}

SimProc *
sim_disks_proc(SimHost *host)
{
    return host->disks ? &host->disks->proc : NULL;
}

VmfDiskSet *
sim_disks_set(SimHost *host)
{
    return host->disks && host->disks->serving ? host->disks->set : NULL;
}

guint
sim_disks_generation(SimHost *host)
{
    return host->disks && host->disks->serving ? host->disks->generation : 0;
}

/* The source's at the beginning: as after a start by libvirt's hook. */
void
sim_disks_boot(SimHost *host)
{
    SimDiskProc *process = new_process(host, FALSE);
    while (!process->serving && !process->failed)
        sim_wait(process, G_MAXINT64);
    g_assert(process->serving);
    VmfDiskClient client = {1, process, process->generation};
    VmfOwnerExpect expected = {"", 0};
    VmfOwnerNext next = {.epoch = 1, .state = VMF_OWNER_RUNNING, .reason = "started"};
    g_autoptr(GError) error = NULL;
    vmf_disk_client_take(&client, &expected, &next, 0, NULL, &error);
    g_assert_no_error(error);
}

/* vmf_vm_disks_launch() */
gboolean
sim_disks_launch(SimHost *host, gboolean resume, GError **error)
{
    if (host->disks != NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "a disk process runs already");
        return FALSE;
    }
    SimDiskProc *process = new_process(host, resume);
    while (process->proc.alive && !process->serving && !process->failed)
        sim_wait(process, G_MAXINT64);
    if (process->serving)
        return TRUE;
    if (process->why) /* its memory outlives it */
        g_propagate_error(error, g_error_copy(process->why));
    else
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "the disk process ended");
    if (host->disks == process)
        sim_disks_kill(host);
    return FALSE;
}

/* --- QEMU's requests --- */

typedef struct {
    SimDiskProc *process;
    VmfGateLease *lease;
    guint disk, block;
    guint64 number, qemu;
    gboolean write;
    void (*done)(SimHost *host, guint slot, guint64 qemu, guint64 number, int result);
} Request;

static void
request(gpointer data)
{
    Request *mine = data;
    SimHost *host = mine->process->host;
    guint64 number = mine->number;
    int result = mine->write ? vmf_disk_set_write(mine->process->set, mine->lease, mine->disk,
                                                  &number, sizeof number, mine->block * 8)
                             : vmf_disk_set_read(mine->process->set, mine->lease, mine->disk,
                                                 &number, sizeof number, mine->block * 8);
    mine->done(host, mine->disk * SIM_BLOCKS + mine->block, mine->qemu, mine->number, result);
    g_free(mine);
}

void
sim_disks_request(SimHost *host, VmfGateLease *lease, guint disk, guint block, guint64 number,
                  gboolean write,
                  void (*done)(SimHost *host, guint slot, guint64 qemu, guint64 number, int result),
                  guint64 qemu)
{
    Request *mine = g_new(Request, 1);
    *mine = (Request){host->disks, lease, disk, block, number, qemu, write, done};
    sim_spawn(&host->disks->proc, sim_delay(20), request, mine);
}

/* --- VmfDiskClient --- */

static gboolean
is_there(const VmfDiskClient *client)
{
    return client->process->proc.alive;
}

static gboolean
unreachable(GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE, "the disk process does not answer");
    return FALSE;
}

static SimHost *
host_of_run_dir(const char *run_dir)
{
    return &world.hosts[run_dir[strlen(run_dir) - 1] - '1'];
}

VmfDiskClient *
vmf_disk_client_connect(const char *run_dir, const char *vm_uuid, GError **error)
{
    SimHost *host = host_of_run_dir(run_dir);
    if (host->disks == NULL || !host->disks->serving) {
        unreachable(error);
        return NULL;
    }
    VmfDiskClient *client = g_new0(VmfDiskClient, 1);
    *client = (VmfDiskClient){1, host->disks, host->disks->generation};
    return client;
}

VmfDiskClient *
vmf_disk_client_ref(VmfDiskClient *client)
{
    client->references++;
    return client;
}

void
vmf_disk_client_unref(VmfDiskClient *client)
{
    if (client != NULL && --client->references == 0)
        g_free(client);
}

/* Returns: %TRUE: @order is done. It may be carried out later though nobody waits any more. */
static gboolean
give_order(VmfDiskClient *client, Order *order, gint64 patience, GError **error)
{
    SimDiskProc *process = client->process;
    gint64 until = sim_now() + patience;
    sim_travel(60);
    if (!is_there(client))
        return unreachable(error);
    g_queue_push_tail(&process->orders, order);
    wake(process);
    while (!order->done && is_there(client) && sim_now() < until)
        sim_wait(order, MIN(until, sim_now() + G_USEC_PER_SEC));
    if (!order->done || !is_there(client))
        return unreachable(error); /* the order's memory stays with the process */
    sim_travel(60);
    if (!order->ok)
        g_propagate_error(error, g_steal_pointer(&order->error));
    return order->ok;
}

/* g_free() of an order only when it is done: else the process still points to it. */
static gboolean
finish_order(VmfDiskClient *client, Order *order, gint64 patience, GError **error)
{
    gboolean ok = give_order(client, order, patience, error);
    if (order->done)
        g_free(order);
    return ok;
}

/* Orders go no other way by it, only faster. */
void
vmf_disk_client_open_line(VmfDiskClient *client)
{
}

VmfDiskState *
vmf_disk_client_describe(VmfDiskClient *client, GError **error)
{
    sim_travel(60);
    while (is_there(client) && client->process->proc.stopped)
        sim_sleep(G_USEC_PER_SEC);
    if (!is_there(client)) {
        unreachable(error);
        return NULL;
    }
    VmfDiskSetFacts facts = vmf_disk_set_facts(client->process->set);
    VmfDiskState *state = g_new0(VmfDiskState, 1);
    *state = (VmfDiskState){
        .gate = facts.gate.state,
        .held = facts.gate.epoch != 0,
        .epoch = facts.gate.epoch,
        .trouble = g_strdup(""),
        .foreign = facts.gate.foreign,
        .written_since_open = facts.written_since_open,
        .pid = (pid_t)client->generation,
    };
    return state;
}

void
vmf_disk_state_free(VmfDiskState *state)
{
    if (state != NULL)
        g_free(state->trouble);
    g_free(state);
}

gboolean
vmf_disk_client_read_record(VmfDiskClient *client, gboolean *present, VmfOwnerRecord *record,
                            GError **error)
{
    Order *order = g_new0(Order, 1);
    order->verb = ORDER_READ_RECORD;
    if (!give_order(client, order, SHARE_US, error))
        return FALSE;
    *present = order->present;
    if (order->present)
        *record = order->record;
    g_free(order);
    return TRUE;
}

gboolean
vmf_disk_client_probe(VmfDiskClient *client, GError **error)
{
    Order *order = g_new0(Order, 1);
    order->verb = ORDER_PROBE;
    return finish_order(client, order, SHARE_US, error);
}

static void
copy_next(Order *order, const VmfOwnerNext *next)
{
    order->given = next != NULL;
    if (next == NULL)
        return;
    order->next = *next;
    order->next.migration_id = g_intern_string(next->migration_id);
    order->next.reason = g_intern_string(next->reason);
    order->next.owner_sid = g_intern_string(next->owner_sid);
    order->next.owner_account = g_intern_string(next->owner_account);
}

static gboolean
claim_or_take(VmfDiskClient *client, Verb verb, const VmfOwnerExpect *expected,
              const VmfOwnerNext *next, guint wait_ms, GError **error)
{
    Order *order = g_new0(Order, 1);
    order->verb = verb;
    order->expected = (VmfOwnerExpect){g_intern_string(expected->owner_sid), expected->epoch};
    copy_next(order, next);
    order->wait_ms = wait_ms;
    return finish_order(client, order, SHARE_US + (gint64)wait_ms * 1000, error);
}

gboolean
vmf_disk_client_claim(VmfDiskClient *client, const VmfOwnerExpect *expected,
                      const VmfOwnerNext *next, guint wait_ms, VmfDiskTimes *times, GError **error)
{
    return claim_or_take(client, ORDER_CLAIM, expected, next, wait_ms, error);
}

gboolean
vmf_disk_client_take(VmfDiskClient *client, const VmfOwnerExpect *expected,
                     const VmfOwnerNext *next, guint wait_ms, VmfDiskTimes *times, GError **error)
{
    return claim_or_take(client, ORDER_TAKE, expected, next, wait_ms, error);
}

gboolean
vmf_disk_client_release(VmfDiskClient *client, const VmfOwnerNext *next, VmfDiskTimes *times,
                        GError **error)
{
    Order *order = g_new0(Order, 1);
    order->verb = ORDER_RELEASE;
    copy_next(order, next);
    sim_point("hv%d orders the release", client->process->host->index + 1);
    return finish_order(client, order, RELEASE_US, error);
}

gboolean
vmf_disk_client_write_file(VmfDiskClient *client, const char *name, const char *content,
                           GError **error)
{
    Order *order = g_new0(Order, 1);
    order->verb = ORDER_WRITE_FILE;
    return finish_order(client, order, SHARE_US, error);
}

/*
 * vmferry-holder: a number of a libvirt connection stands for its descriptor. All of them are of the
 * one migration.
 */

static SimHost *
host_of_holder(VmfHolder *holder)
{
    return (SimHost *)holder;
}

void
sim_holder_kill(SimHost *host)
{
    host->n_kept = 0;
    sim_conn_release_all(host->kept);
}

gboolean
vmf_holder_keep(VmfHolder *holder, const char *name, int fd, GError **error)
{
    SimHost *host = host_of_holder(holder);
    sim_travel(60);
    if (sim_off(SIM_RULE_KEEP_SOCKETS))
        return TRUE;
    sim_holder_kill(host); /* what had that name */
    sim_conn_hold(fd, host->kept);
    host->kept[host->n_kept++] = fd;
    return TRUE;
}

int
vmf_holder_take(VmfHolder *holder, const char *name, GError **error)
{
    SimHost *host = host_of_holder(holder);
    sim_travel(60);
    return host->n_kept > 0 ? host->kept[0] : -1;
}

void
vmf_holder_drop(VmfHolder *holder, const char *name)
{
    sim_travel(60);
    sim_holder_kill(host_of_holder(holder));
}

/* disk-control.c: verb_quit() */
gboolean
vmf_disk_client_quit(VmfDiskClient *client, GError **error)
{
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(client, error);
    if (state == NULL)
        return FALSE;
    if (state->held && !state->foreign) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "the disks have to be released first");
        return FALSE;
    }
    Order *order = g_new0(Order, 1);
    order->verb = ORDER_QUIT;
    if (!finish_order(client, order, SHARE_US, error))
        return FALSE;
    VmfGateFacts gate = vmf_disk_set_facts(client->process->set).gate;
    if (gate.epoch != 0 && !gate.foreign) { /* by an order before it */
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "the disks have to be released first");
        return FALSE;
    }
    client->process->host->disks_told_end = TRUE;
    if (client->process->host->disks == client->process)
        sim_disks_kill(client->process->host);
    return TRUE;
}

/* --- vm-disks.c --- */

VmfDiskClient *
vmf_vm_disks_find(const VmfContext *context, const char *uuid, const char *name, const char *text,
                  GError **error)
{
    SimHost *host = host_of_run_dir(context->run_dir);
    if (host->disks == NULL) {
        g_autoptr(GError) local = NULL;
        g_autoptr(VmfVmInfo) known = text ? NULL : vmf_host_lookup(context->host, uuid, &local);
        if (text == NULL && known == NULL) {
            g_propagate_error(error, g_steal_pointer(&local));
            return NULL;
        }
        if (!sim_disks_launch(host, TRUE, error))
            return NULL;
    }
    return vmf_disk_client_connect(context->run_dir, uuid, error);
}

gchar **
vmf_vm_disks_list(const VmfContext *context)
{
    gchar **list = g_new0(gchar *, 2);
    if (host_of_run_dir(context->run_dir)->disks != NULL)
        list[0] = g_strdup(SIM_VM);
    return list;
}

gboolean
vmf_vm_disks_has_ended(VmfDiskClient *disks)
{
    return disks == NULL || !is_there(disks);
}

gboolean
vmf_vm_disks_write_was_lost(const VmfContext *context, const char *uuid)
{
    return vmf_disk_ledger_write_is_open(&host_of_run_dir(context->run_dir)->ledger);
}

gboolean
vmf_vm_disks_mark(const VmfContext *context, const char *uuid, GError **error)
{
    host_of_run_dir(context->run_dir)->marked = TRUE;
    return TRUE;
}

gboolean
vmf_vm_disks_is_marked(const VmfContext *context, const char *uuid)
{
    return host_of_run_dir(context->run_dir)->marked;
}

void
vmf_vm_disks_unmark(const VmfContext *context, const char *uuid)
{
    host_of_run_dir(context->run_dir)->marked = FALSE;
}

static gboolean
stop(const VmfContext *context, const char *uuid, GError **error)
{
    g_autoptr(VmfDiskClient) disks = vmf_disk_client_connect(context->run_dir, uuid, NULL);
    if (disks == NULL)
        return TRUE;
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(disks, error);
    if (state == NULL)
        return FALSE;
    VmfOwnerNext next = {.epoch = state->epoch, .state = VMF_OWNER_STOPPED, .reason = "stopped"};
    if (state->held && !vmf_disk_client_release(disks, state->foreign ? NULL : &next, NULL, error))
        return FALSE;
    return vmf_disk_client_quit(disks, error);
}

gboolean
vmf_vm_disks_stop(const VmfContext *context, const char *uuid, GError **error)
{
    gboolean stopped = stop(context, uuid, error);
    sim_keeper_end(host_of_run_dir(context->run_dir));
    return stopped;
}
