/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-session.h"

#include "smb/qcow2-facts.h"
#include "src/base/error.h"

static gboolean
fail(const VmfDiskSession *session, VmfShareAnswer answer, const char *what, const VmfShareUrl *url,
     gboolean write, GError **error)
{
    vmf_share_set_error(error, session->share, answer, what, url, session->account, write);
    return FALSE;
}

VmfDiskSession *
vmf_disk_session_new(VmfShare *share, const VmfDiskList *list, const char *account, GError **error)
{
    VmfShareSession *connection = vmf_share_session_new(share, error);
    if (connection == NULL)
        return NULL;
    VmfDiskSession *session = g_new0(VmfDiskSession, 1);
    session->share = connection;
    session->list = list;
    session->account = account;
    session->readers = g_new0(VmfShareFile *, list->n_entries);
    session->owners = g_new0(VmfShareFile *, list->n_entries);

    for (guint i = 0; i < list->n_entries; i++) {
        const VmfShareUrl *url = list->entries[i].url;
        VmfShareAnswer answer = vmf_share_open(connection, url, VMF_SHARE_READ,
                                               &session->readers[i]);
        if (answer.status != VMF_SHARE_OK) {
            fail(session, answer, "cannot open", url, FALSE, error);
            vmf_disk_session_free(session);
            return NULL;
        }
    }
    return session;
}

/* A qcow2 disk's head, VMF_QCOW2_HEAD_SIZE bytes or all there is. (transfer full) */
static guint8 *
read_head(VmfDiskSession *session, VmfShareFile *file, const VmfDiskEntry *entry, gsize *got,
          GError **error)
{
    g_autofree guint8 *head = g_malloc(VMF_QCOW2_HEAD_SIZE);
    VmfShareAnswer answer = vmf_share_read(file, head, VMF_QCOW2_HEAD_SIZE, 0, got);
    if (answer.status == VMF_SHARE_OK)
        return g_steal_pointer(&head);
    fail(session, answer, "cannot read", entry->url, FALSE, error);
    return NULL;
}

static gboolean
measure(VmfDiskSession *session, guint i, guint64 *size, GError **error)
{
    const VmfDiskEntry *entry = &session->list->entries[i];
    guint64 file_size = 0;
    gsize got = 0;
    VmfQcow2Facts facts;

    VmfShareAnswer answer = vmf_share_size(session->readers[i], &file_size);
    if (answer.status != VMF_SHARE_OK)
        return fail(session, answer, "cannot tell the size of", entry->url, FALSE, error);
    *size = file_size;
    if (entry->format == VMF_DISK_RAW)
        return TRUE;

    g_autofree guint8 *head = read_head(session, session->readers[i], entry, &got, error);
    if (head == NULL)
        return FALSE;
    if (!vmf_qcow2_facts_read(head, got, &facts, error)) {
        g_prefix_error(error, "disk '%s' (%s): ", entry->target, entry->url->url);
        return FALSE;
    }
    *size = vmf_qcow2_export_size(&facts, file_size);
    return TRUE;
}

gboolean
vmf_disk_session_measure(VmfDiskSession *session, guint64 *sizes, GError **error)
{
    for (guint i = 0; i < session->list->n_entries; i++)
        if (!measure(session, i, &sizes[i], error))
            return FALSE;
    return TRUE;
}

gboolean
vmf_disk_session_judge_head(const VmfDiskEntry *entry, const guint8 *head, gsize size,
                            GError **error)
{
    if (vmf_qcow2_still_alone(head, MIN(size, VMF_QCOW2_HEAD_SIZE), error))
        return TRUE;
    g_prefix_error(error,
                   "disk '%s' (%s) was changed on the share while it was in use: ", entry->target,
                   entry->url->url);
    return FALSE;
}

gboolean
vmf_disk_session_judge(VmfDiskSession *session, GError **error)
{
    g_assert(session->held);
    for (guint i = 0; i < session->list->n_entries; i++) {
        const VmfDiskEntry *entry = &session->list->entries[i];
        gsize got = 0;
        if (entry->format == VMF_DISK_RAW)
            continue;
        g_autofree guint8 *head = read_head(session, session->owners[i], entry, &got, error);
        if (head == NULL || !vmf_disk_session_judge_head(entry, head, got, error))
            return FALSE;
    }
    return TRUE;
}

static VmfShareAnswer
close_all(VmfShareFile **files, guint n)
{
    VmfShareAnswer first_bad = {VMF_SHARE_OK, 0};
    for (guint i = 0; i < n; i++) {
        if (files[i] == NULL)
            continue;
        first_bad = vmf_share_first_bad(first_bad, vmf_share_close(files[i]));
        files[i] = NULL;
    }
    return first_bad;
}

void
vmf_disk_session_free(VmfDiskSession *session)
{
    if (session == NULL)
        return;
    /* Closing on a lost connection could wait for an answer: it is cut first. */
    if (session->share->dead)
        vmf_share_session_break(session->share);
    vmf_owner_store_close(&session->store);
    close_all(session->owners, session->list->n_entries);
    close_all(session->readers, session->list->n_entries);
    vmf_share_session_free(session->share);
    g_free(session->owners);
    g_free(session->readers);
    g_free(session);
}

gboolean
vmf_disk_session_acquire(VmfDiskSession *session, GError **error)
{
    g_assert(!session->held);
    for (guint i = 0; i < session->list->n_entries; i++) {
        const VmfShareUrl *url = session->list->entries[i].url;
        VmfShareAnswer answer = vmf_share_open(session->share, url, VMF_SHARE_OWN,
                                               &session->owners[i]);
        if (answer.status != VMF_SHARE_OK) {
            close_all(session->owners, i);
            return fail(session, answer, "cannot become owner of", url, TRUE, error);
        }
    }
    session->held = TRUE;
    return TRUE;
}

VmfShareAnswer
vmf_disk_session_release(VmfDiskSession *session)
{
    vmf_owner_store_close(&session->store);
    session->held = FALSE;
    return close_all(session->owners, session->list->n_entries);
}

static gboolean
probe_file(VmfDiskSession *session, const VmfShareUrl *url, gboolean may_be_missing, GError **error)
{
    VmfShareFile *file = NULL;
    VmfShareAnswer answer = vmf_share_open(session->share, url, VMF_SHARE_OWN, &file);
    if (answer.status == VMF_SHARE_OK)
        answer = vmf_share_close(file);
    else if (answer.status == VMF_SHARE_BUSY ||
             (may_be_missing && answer.status == VMF_SHARE_MISSING))
        return TRUE;
    if (answer.status != VMF_SHARE_OK)
        return fail(session, answer, "cannot open read-write", url, TRUE, error);
    return TRUE;
}

gboolean
vmf_disk_session_probe(VmfDiskSession *session, GError **error)
{
    for (guint i = 0; i < session->list->n_entries; i++)
        if (!probe_file(session, session->list->entries[i].url, FALSE, error))
            return FALSE;
    return probe_file(session, session->list->record_url, TRUE, error);
}
