/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/owner-store.h"

#include "src/base/error.h"

#include <string.h>

static gboolean
fail(VmfShareSession *session, VmfShareAnswer answer, const char *what, const VmfDiskList *list,
     const char *account, gboolean write, GError **error)
{
    vmf_share_set_error(error, session, answer, what, list->record_url, account, write);
    return FALSE;
}

static gboolean
read_file(VmfShareFile *file, const VmfDiskList *list, const char *account, VmfOwnerStore *store,
          GError **error)
{
    guint8 bytes[VMF_OWNER_FILE_SIZE + 1];
    gsize size = 0;
    VmfShareAnswer answer = vmf_share_read(file, bytes, sizeof bytes, 0, &size);
    if (answer.status != VMF_SHARE_OK)
        return fail(file->session, answer, "cannot read owner record", list, account, FALSE, error);
    store->present = FALSE;
    /* An empty file is what is left when its maker died between making and writing it. */
    if (size == 0)
        return TRUE;
    store->present = vmf_owner_record_decode_file(bytes, size, list->vm_uuid, &store->record,
                                                  &store->slot, error);
    store->settled = store->present && vmf_owner_record_is_settled(bytes, size);
    return store->present;
}

gboolean
vmf_owner_store_peek(VmfShareSession *session, const VmfDiskList *list, const char *account,
                     VmfOwnerStore *store, GError **error)
{
    VmfShareFile *file = NULL;
    *store = (VmfOwnerStore){0};
    VmfShareAnswer answer = vmf_share_open(session, list->record_url, VMF_SHARE_READ, &file);
    if (answer.status == VMF_SHARE_MISSING)
        return TRUE;
    if (answer.status != VMF_SHARE_OK)
        return fail(session, answer, "cannot open owner record", list, account, FALSE, error);
    gboolean ok = read_file(file, list, account, store, error);
    answer = vmf_share_close(file);
    if (ok && answer.status != VMF_SHARE_OK)
        return fail(session, answer, "cannot read owner record", list, account, FALSE, error);
    return ok;
}

gboolean
vmf_owner_store_open(VmfShareSession *session, const VmfDiskList *list, const char *account,
                     VmfOwnerStore *store, GError **error)
{
    VmfShareFile *file = NULL;
    *store = (VmfOwnerStore){0};
    VmfShareAnswer answer = vmf_share_open(session, list->record_url, VMF_SHARE_OWN, &file);
    if (answer.status == VMF_SHARE_MISSING)
        return TRUE;
    if (answer.status != VMF_SHARE_OK)
        return fail(session, answer, "cannot open owner record", list, account, TRUE, error);
    if (!read_file(file, list, account, store, error)) {
        vmf_share_close(file);
        return FALSE;
    }
    store->file = file;
    return TRUE;
}

gboolean
vmf_owner_store_read_again(VmfOwnerStore *store, const VmfDiskList *list, const char *account,
                           GError **error)
{
    g_assert(store->file != NULL);
    return read_file(store->file, list, account, store, error);
}

/* Folder and file of the first record. Somebody may have made them: then they are not empty. */
static gboolean
make_file(VmfShareSession *session, VmfOwnerStore *store, const VmfDiskList *list,
          const char *account, GError **error)
{
    VmfShareAnswer answer = vmf_share_make_folder(session, list->record_folder_url);
    if (answer.status != VMF_SHARE_OK && answer.status != VMF_SHARE_EXISTS) {
        vmf_share_set_error(error, session, answer, "cannot make folder", list->record_folder_url,
                            account, TRUE);
        return FALSE;
    }
    answer = vmf_share_open(session, list->record_url, VMF_SHARE_CREATE, &store->file);
    if (answer.status != VMF_SHARE_OK)
        return fail(session, answer, "cannot make owner record", list, account, TRUE, error);
    return TRUE;
}

/* The first record fills both slots with one request: there is no older one to fall back to. */
static gboolean
write_first(VmfShareSession *session, VmfOwnerStore *store, const VmfDiskList *list,
            const char *account, VmfOwnerRecord *record, GError **error)
{
    guint8 bytes[VMF_OWNER_FILE_SIZE];
    record->sequence = 1;
    if (!vmf_owner_record_encode(record, bytes, error))
        return FALSE;
    record->sequence = 2;
    if (!vmf_owner_record_encode(record, bytes + VMF_OWNER_SLOT_SIZE, error))
        return FALSE;
    if (store->file == NULL && !make_file(session, store, list, account, error))
        return FALSE;
    VmfShareAnswer answer = vmf_share_write(store->file, bytes, sizeof bytes, 0);
    if (answer.status != VMF_SHARE_OK)
        return fail(session, answer, "cannot write owner record", list, account, TRUE, error);
    store->slot = 1;
    return TRUE;
}

static gboolean
write_slot(VmfShareSession *session, VmfOwnerStore *store, const VmfDiskList *list,
           const char *account, guint slot, const VmfOwnerRecord *next, GError **error)
{
    guint8 bytes[VMF_OWNER_SLOT_SIZE];
    VmfOwnerRecord record = *next;
    record.sequence = store->record.sequence + 1;
    if (!vmf_owner_record_encode(&record, bytes, error))
        return FALSE;
    VmfShareAnswer answer = vmf_share_write(store->file, bytes, sizeof bytes,
                                            slot * VMF_OWNER_SLOT_SIZE);
    if (answer.status == VMF_SHARE_OK)
        answer = vmf_share_flush(store->file);
    if (answer.status != VMF_SHARE_OK)
        return fail(session, answer, "cannot write owner record", list, account, TRUE, error);
    store->settled = slot != store->slot && next == &store->record;
    store->slot = slot;
    store->record = record;
    return TRUE;
}

gboolean
vmf_owner_store_settle(VmfShareSession *session, VmfOwnerStore *store, const VmfDiskList *list,
                       const char *account, GError **error)
{
    return store->settled ||
           write_slot(session, store, list, account, 1 - store->slot, &store->record, error);
}

/* Which slot, and why: owner-record.h */
static gboolean
write_either_slot(VmfShareSession *session, VmfOwnerStore *store, const VmfDiskList *list,
                  const char *account, const VmfOwnerRecord *next, GError **error)
{
    if (next->epoch <= store->record.epoch + 1)
        return write_slot(session, store, list, account, 1 - store->slot, next, error);
    return vmf_owner_store_settle(session, store, list, account, error) &&
           write_slot(session, store, list, account, store->slot, next, error);
}

gboolean
vmf_owner_store_write_once(VmfShareSession *session, VmfOwnerStore *store, const VmfDiskList *list,
                           const char *account, const VmfOwnerRecord *next, GError **error)
{
    if (store->present)
        return write_either_slot(session, store, list, account, next, error);
    VmfOwnerRecord record = *next;
    if (!write_first(session, store, list, account, &record, error))
        return FALSE;
    store->record = record;
    store->present = TRUE;
    store->settled = TRUE;
    return TRUE;
}

gboolean
vmf_owner_store_write(VmfShareSession *session, VmfOwnerStore *store, const VmfDiskList *list,
                      const char *account, const VmfOwnerRecord *next, GError **error)
{
    GError *cause = NULL;
    if (!vmf_owner_store_write_once(session, store, list, account, next, error))
        return FALSE;
    if (vmf_owner_store_settle(session, store, list, account, &cause))
        return TRUE;
    cause->code = VMF_ERROR_UNREACHABLE; /* whyever: the record may say @next by now */
    g_propagate_error(error, cause);
    return FALSE;
}

void
vmf_owner_store_close(VmfOwnerStore *store)
{
    if (store->file != NULL)
        vmf_share_close(store->file);
    store->file = NULL;
}
