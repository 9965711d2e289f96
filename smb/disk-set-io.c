/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-set-internal.h"

#include "smb/qcow2-facts.h"

#include <errno.h>
#include <string.h>

/* Guest requests: many threads, one at a time through the session. */

#define FULL_RETRY_MS  1000
#define ALIVE_CHECK_US G_USEC_PER_SEC

static const VmfShareAnswer not_sent = {VMF_SHARE_DEAD, ENOTCONN};

/* The share lock is held. NULL: there is no session, or it holds no disks. */
static VmfShareFile *
file_for(const VmfDiskSet *set, VmfGatePass pass, guint disk)
{
    if (set->current == NULL)
        return NULL;
    return pass == VMF_PASS_OWNER ? set->current->owners[disk] : set->current->readers[disk];
}

typedef struct {
    guint disk;
    void *buffer;
    gsize count;
    guint64 offset;
    gsize got;
    gboolean refused; /* the head names another file: nobody is to see it */
} Read;

/* The share lock is held. */
static void
note_head(VmfDiskSet *set, const GError *refusal)
{
    if (refusal != NULL)
        vmf_disk_set_say(set, "%s; QEMU gets an input/output error", refusal->message);
    else if (set->head_refused)
        vmf_disk_set_say(set, NULL);
    set->head_refused = refusal != NULL;
}

/*
 * QEMU opens what the head of a qcow2 disk names, as its user. It reads the head when it starts, while
 * another host may write it still, and when it gets the disk or has it back: so the very bytes that it
 * gets are judged, each time.
 */
static VmfShareAnswer
read_head(VmfDiskSet *set, VmfShareFile *file, Read *read)
{
    gsize size = MAX(VMF_QCOW2_HEAD_SIZE, read->offset + read->count), had = 0;
    g_autofree guint8 *head = g_malloc(size);
    g_autoptr(GError) refusal = NULL;
    VmfShareAnswer answer = vmf_share_read(file, head, size, 0, &had);
    if (answer.status != VMF_SHARE_OK)
        return answer;
    vmf_disk_session_judge_head(&set->list->entries[read->disk], head, had, &refusal);
    note_head(set, refusal);
    read->refused = refusal != NULL;
    if (read->refused)
        return answer;
    read->got = had > read->offset ? MIN(had - read->offset, read->count) : 0;
    memcpy(read->buffer, head + read->offset, read->got);
    return answer;
}

static VmfShareAnswer
read_once(VmfDiskSet *set, VmfShareFile *file, Read *read)
{
    if (read->offset < VMF_QCOW2_HEADER_SIZE &&
        set->list->entries[read->disk].format == VMF_DISK_QCOW2)
        return read_head(set, file, read);
    return vmf_share_read(file, read->buffer, read->count, read->offset, &read->got);
}

int
vmf_disk_set_read(VmfDiskSet *set, const VmfGateLease *lease, guint disk, void *buffer, gsize count,
                  guint64 offset)
{
    Read read = {.disk = disk, .buffer = buffer, .count = count, .offset = offset};
    while (TRUE) {
        VmfGatePass pass = vmf_gate_enter(set->gate, lease, VMF_GATE_READ);
        if (pass == VMF_PASS_GONE)
            return ESHUTDOWN;

        g_mutex_lock(&set->share_lock);
        VmfShareFile *file = file_for(set, pass, disk);
        VmfShareAnswer answer = file != NULL ? read_once(set, file, &read) : not_sent;
        if (answer.status != VMF_SHARE_OK)
            vmf_disk_set_note_lost(set);
        g_mutex_unlock(&set->share_lock);
        vmf_gate_leave(set->gate);

        if (answer.status == VMF_SHARE_OK && read.refused)
            return EIO;
        if (answer.status == VMF_SHARE_OK) {
            memset((char *)buffer + read.got, 0, count - read.got);
            set->read_bytes += count;
            return 0;
        }
    }
}

/*
 * The share lock is held, and let go while waiting. The gate was left: a fenced gate's writes wait
 * here to be made again by the recovery, in the order in which they were lost.
 */
static int
wait_until_made_again(VmfDiskSet *set, const VmfGateLease *lease, VmfUnansweredWrite *write)
{
    while (!write->done && !write->dropped) {
        g_cond_wait_until(&set->unanswered_changed, &set->share_lock,
                          g_get_monotonic_time() + ALIVE_CHECK_US);
        if (!write->done && vmf_gate_client_is_gone(set->gate, lease))
            break;
    }
    g_queue_remove(&set->unanswered, write);
    set->n_unanswered--;
    return write->done ? 0 : ESHUTDOWN;
}

void
vmf_disk_set_drop_unanswered(VmfDiskSet *set)
{
    for (GList *at = set->unanswered.head; at != NULL; at = at->next)
        ((VmfUnansweredWrite *)at->data)->dropped = TRUE;
    g_cond_broadcast(&set->unanswered_changed);
}

static void
note_full(VmfDiskSet *set, gboolean full, guint disk)
{
    if (full == set->full)
        return;
    set->full = full;
    if (full)
        vmf_disk_set_say(set, "no room on the share for '%s': its writes wait and are tried again",
                         set->list->entries[disk].url->url);
    else
        vmf_disk_set_say(set, NULL);
}

/* The share lock is held. What is told here outlives this process, whose memory may not. */
static void
note_touched(VmfDiskSet *set)
{
    if (!set->touched && set->touch != NULL)
        set->touch(set->data);
    set->touched = TRUE;
}

/* The write has passed the gate, and does not leave it with FULL: it waits for room. */
static VmfShareAnswer
write_once(VmfDiskSet *set, VmfUnansweredWrite *write)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    VmfShareFile *file = file_for(set, VMF_PASS_OWNER, write->disk);
    VmfShareAnswer answer = not_sent;
    if (file != NULL) {
        note_touched(set);
        set->ledger->written = TRUE;
        set->ledger->late_since = g_get_monotonic_time();
        answer = vmf_share_write(file, write->buffer, write->count, write->offset);
        vmf_disk_set_note_late(set, answer.status == VMF_SHARE_LOST || set->late_write_possible);
    }
    if (vmf_share_is_lost(answer))
        vmf_disk_set_note_lost(set);
    if (answer.status == VMF_SHARE_LOST) {
        g_queue_push_tail(&set->unanswered, write);
        set->n_unanswered++;
    }
    if (answer.status == VMF_SHARE_OK || answer.status == VMF_SHARE_FULL)
        note_full(set, answer.status == VMF_SHARE_FULL, write->disk);
    return answer;
}

/* Returns: -1 when the write has to go through the gate again */
static int
write_through(VmfDiskSet *set, const VmfGateLease *lease, VmfUnansweredWrite *write)
{
    VmfShareAnswer answer;
    do
        answer = write_once(set, write);
    while (answer.status == VMF_SHARE_FULL && vmf_gate_stall(set->gate, lease, FULL_RETRY_MS));
    vmf_gate_leave(set->gate);
    if (answer.status != VMF_SHARE_LOST)
        return answer.status == VMF_SHARE_OK ? 0 : -1;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    return wait_until_made_again(set, lease, write);
}

static int
write_until_done(VmfDiskSet *set, const VmfGateLease *lease, VmfUnansweredWrite *write)
{
    int result = -1;
    while (result < 0) {
        if (vmf_gate_enter(set->gate, lease, VMF_GATE_WRITE) == VMF_PASS_GONE)
            return ESHUTDOWN;
        result = write_through(set, lease, write);
    }
    return result;
}

int
vmf_disk_set_write(VmfDiskSet *set, const VmfGateLease *lease, guint disk, const void *buffer,
                   gsize count, guint64 offset)
{
    VmfUnansweredWrite write = {
        .disk = disk,
        .buffer = buffer,
        .count = count,
        .offset = offset,
    };
    set->ledger->unanswered++;
    int result = write_until_done(set, lease, &write);
    if (result == 0) {
        set->written_bytes += count;
        set->written_since_open += count;
    } else {
        set->ledger->dropped = TRUE;
    }
    set->ledger->unanswered--;
    return result;
}

int
vmf_disk_set_flush(VmfDiskSet *set, const VmfGateLease *lease, guint disk)
{
    while (TRUE) {
        VmfGatePass pass = vmf_gate_enter(set->gate, lease, VMF_GATE_FLUSH);
        if (pass == VMF_PASS_GONE)
            return ESHUTDOWN;

        VmfShareAnswer answer = {VMF_SHARE_OK, 0};
        if (pass == VMF_PASS_OWNER) {
            g_mutex_lock(&set->share_lock);
            VmfShareFile *file = file_for(set, pass, disk);
            answer = file != NULL ? vmf_share_flush(file) : not_sent;
            if (answer.status != VMF_SHARE_OK)
                vmf_disk_set_note_lost(set);
            g_mutex_unlock(&set->share_lock);
        }
        vmf_gate_leave(set->gate);
        if (answer.status == VMF_SHARE_OK)
            return 0;
    }
}
