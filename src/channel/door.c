/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/door-private.h"

#include "src/base/error.h"
#include "src/channel/line.h"
#include "src/channel/owned-fd.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define WAIT_S           5 /* for a vmferry-door that is being started */
#define SHORT_LIFE_S     5 /* one that ended sooner has a trouble that stays */
#define PAUSE_S          2 /* before the next one, then */
#define ARRIVALS_AT_ONCE 128
#define WAITED_FOR_MOST  16 /* of one account, which has not said whether it accepts us */

struct _VmfDoor {
    VmfKeys *keys;
    gchar *program;
    VmfHelperUser user;
    VmfDoorHandler arrived; /* set before anybody can arrive, as is the next */
    gpointer data;
    gint arrivals; /* atomic: handlers that do not know yet who it is, or judge */

    GMutex lock;
    GCond changed;
    int control;            /* guarded by @lock; of the present vmferry-door; -1: none */
    int listener;           /* guarded by @lock; -1: nobody is let in */
    GHashTable *waited_for; /* guarded by @lock; SID → how many */
};

/* One vmferry-door from its start to its end; there may be two while one is succeeded. */
typedef struct {
    VmfDoor *door;
    VmfHelper helper;
    gboolean succeeded;
} Shift;

void
vmf_arrival_free(VmfArrival *arrival)
{
    if (arrival == NULL)
        return;
    if (arrival->line >= 0)
        close(arrival->line);
    if (arrival->control >= 0)
        close(arrival->control);
    g_atomic_int_add(&arrival->door->arrivals, -1);
    g_free(arrival->address);
    g_free(arrival);
}

const char *
vmf_arrival_address(const VmfArrival *arrival)
{
    return arrival->address;
}

void
vmf_arrival_tell(const VmfArrival *arrival, int type)
{
    VmfLineDraft draft = vmf_line_draft((VmfLineType)type);
    vmf_line_add_number(&draft, arrival->number);
    vmf_line_send(arrival->control, &draft, NULL, NULL);
}

/* The lock is held. @by: 1 or -1 */
static guint
count_account(VmfDoor *door, const VmfPeerIdentity *peer, int by)
{
    const char *sid = peer->sid ? peer->sid : peer->principal;
    guint now = GPOINTER_TO_UINT(g_hash_table_lookup(door->waited_for, sid)) + (guint)by;
    if (now == 0)
        g_hash_table_remove(door->waited_for, sid);
    else
        g_hash_table_insert(door->waited_for, g_strdup(sid), GUINT_TO_POINTER(now));
    return now;
}

gboolean
vmf_door_enter_account(VmfDoor *door, const VmfPeerIdentity *peer, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&door->lock);
    if (count_account(door, peer, 1) <= WAITED_FOR_MOST)
        return TRUE;
    count_account(door, peer, -1);
    g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                "'%s' has %d connections that wait for it to say whether it accepts this host",
                peer->principal, WAITED_FOR_MOST);
    return FALSE;
}

void
vmf_door_leave_account(VmfDoor *door, const VmfPeerIdentity *peer)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&door->lock);
    count_account(door, peer, -1);
}

VmfKeys *
vmf_door_keys(VmfDoor *door)
{
    return door->keys;
}

static gpointer
handle(gpointer data)
{
    VmfArrival *arrival = data;
    VmfDoor *door = arrival->door;
    door->arrived(arrival, door->data);
    return NULL;
}

static void
on_arrived(Shift *shift, VmfLineMessage *message)
{
    VmfDoor *door = shift->door;
    g_autoptr(VmfArrival) arrival = g_new0(VmfArrival, 1);
    gint before = g_atomic_int_add(&door->arrivals, 1);
    *arrival = (VmfArrival){.door = door,
                            .line = vmf_line_take_fd(message, 0),
                            .control = fcntl(shift->helper.line, F_DUPFD_CLOEXEC, 3),
                            .number = vmf_line_number(message, 0),
                            .address = vmf_line_text(message, 1)};
    if (before >= ARRIVALS_AT_ONCE || arrival->control < 0)
        g_message("connection from %s refused: %d others are being looked at", arrival->address,
                  before);
    else
        g_thread_unref(g_thread_new("vmf-meet", handle, g_steal_pointer(&arrival)));
}

static void start_shift(VmfDoor *door);

/* The present vmferry-door takes no orders any more. */
static void
retire(Shift *shift)
{
    VmfDoor *door = shift->door;
    g_mutex_lock(&door->lock);
    if (door->control == shift->helper.line)
        door->control = -1;
    g_mutex_unlock(&door->lock);
}

static void
on_message(Shift *shift, VmfLineMessage *message)
{
    if (message->type == VMF_LINE_ARRIVED) {
        on_arrived(shift, message);
    } else if (message->type == VMF_LINE_RENEW) {
        retire(shift);
        shift->succeeded = TRUE;
        start_shift(shift->door);
    } else {
        g_autofree gchar *address = vmf_line_text(message, 0), *what = vmf_line_text(message, 1);
        if (message->type == VMF_LINE_LIMIT)
            g_message("connection from %s refused: %s", address, what);
        else
            g_warning("the process that spoke with %s has ended: %s", address, what);
    }
}

static gpointer
run_shift(gpointer data)
{
    Shift *shift = data;
    gint64 start = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;
    while (error == NULL) {
        g_auto(VmfLineMessage) message = {0};
        if (vmf_line_receive(shift->helper.line, -1, &message, &error, VMF_LINE_ARRIVED,
                             VMF_LINE_LIMIT, VMF_LINE_DIED, VMF_LINE_RENEW, 0))
            on_message(shift, &message);
    }
    retire(shift);
    g_autofree gchar *how = vmf_helper_end(&shift->helper);
    if (!shift->succeeded) {
        g_warning("vmferry-door has ended (%s; %s): another one is started", error->message, how);
        if (g_get_monotonic_time() - start < SHORT_LIFE_S * G_USEC_PER_SEC)
            g_usleep(PAUSE_S * G_USEC_PER_SEC);
        start_shift(shift->door);
    }
    g_free(shift);
    return NULL;
}

/* The lock is held. If it has ended, the next one will be told. */
static void
order_to_listen(VmfDoor *door)
{
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_LISTEN);
    vmf_line_send(door->control, &draft, &door->listener, NULL);
}

static gboolean
try_shift(VmfDoor *door, GError **error)
{
    Shift *shift = g_new0(Shift, 1);
    shift->door = door;
    const char *argv[] = {door->program, NULL};
    if (!vmf_helper_start(argv, &door->user, -1, &shift->helper, error)) {
        g_free(shift);
        return FALSE;
    }
    g_mutex_lock(&door->lock);
    door->control = shift->helper.line;
    if (door->listener >= 0)
        order_to_listen(door);
    g_cond_broadcast(&door->changed);
    g_mutex_unlock(&door->lock);
    g_thread_unref(g_thread_new("vmf-door", run_shift, shift));
    return TRUE;
}

static void
start_shift(VmfDoor *door)
{
    g_autoptr(GError) error = NULL;
    while (!try_shift(door, &error)) {
        g_warning("%s", error->message);
        g_clear_error(&error);
        g_usleep(PAUSE_S * G_USEC_PER_SEC);
    }
}

int
vmf_door_child(VmfDoor *door, int sock, GError **error)
{
    g_auto(VmfOwnedFd) owned = sock;
    int ends[2];
    if (!vmf_line_pair(ends, error))
        return -1;
    const int fds[] = {sock, ends[1]};
    gint64 until = g_get_monotonic_time() + WAIT_S * G_USEC_PER_SEC;
    gboolean sent = FALSE;
    g_mutex_lock(&door->lock);
    while (!sent) {
        while (door->control < 0 && g_cond_wait_until(&door->changed, &door->lock, until))
            ;
        if (door->control < 0)
            break;
        VmfLineDraft draft = vmf_line_draft(VMF_LINE_OUTGOING);
        sent = vmf_line_send(door->control, &draft, fds, NULL);
        if (!sent) /* it has ended, which its thread will see */
            door->control = -1;
    }
    g_mutex_unlock(&door->lock);
    close(ends[1]);
    if (sent)
        return ends[0];
    close(ends[0]);
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                        "vmferry-door does not run; the journal of vmferryd says why");
    return -1;
}

VmfDoor *
vmf_door_open(const VmfDoorSettings *settings, GError **error)
{
    const char *folder = settings->folder ? settings->folder : VMF_HELPERS;
    g_autofree gchar *keys = g_build_filename(folder, "vmferry-keys", NULL);
    VmfDoor *door = g_new0(VmfDoor, 1);
    door->keys = vmf_keys_new(settings->me, settings->keytab, keys, &settings->user);
    door->program = g_build_filename(folder, "vmferry-door", NULL);
    door->user = settings->user;
    door->control = door->listener = -1;
    door->waited_for = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_mutex_init(&door->lock);
    g_cond_init(&door->changed);
    if (vmf_keys_ensure(door->keys, error) && try_shift(door, error))
        return door;
    vmf_keys_free(door->keys);
    g_hash_table_unref(door->waited_for);
    g_free(door->program);
    g_free(door);
    return NULL;
}

void
vmf_door_listen(VmfDoor *door, int listener, VmfDoorHandler handler, gpointer data)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&door->lock);
    door->arrived = handler;
    door->data = data;
    door->listener = listener;
    if (door->control >= 0)
        order_to_listen(door);
}
