/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/owner-record.h"

#include "src/base/error.h"

#include <string.h>

#define MAGIC       "VMFOWNER"
#define VERSION     1
#define DIGEST_SIZE 32

enum {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_STATE = 12,
    AT_SEQUENCE = 16,
    AT_EPOCH = 24,
    AT_VM_UUID = 32,
    AT_BOOT_ID = 48,
    AT_MIGRATION_ID = 64,
    AT_ZERO_1 = 112,
    AT_DISKS_DIGEST = 120,
    AT_OWNER_SID = 152,
    AT_OWNER_ACCOUNT = 280,
    AT_REASON = 312,
    AT_WRITTEN_AT = 440,
    AT_ZERO_2 = 448,
    AT_CHECKSUM = 480,
};
G_STATIC_ASSERT(AT_CHECKSUM + DIGEST_SIZE == VMF_OWNER_SLOT_SIZE);

static const char *const state_names[] = {
    [VMF_OWNER_OWNED] = "owned",
    [VMF_OWNER_RUNNING] = "running",
    [VMF_OWNER_RETURNED] = "returned",
    [VMF_OWNER_STOPPED] = "stopped",
};
G_STATIC_ASSERT(G_N_ELEMENTS(state_names) == VMF_OWNER_STOPPED + 1);

static gboolean
state_is_known(guint32 state)
{
    return state >= VMF_OWNER_OWNED && state <= VMF_OWNER_STOPPED;
}

const char *
vmf_owner_state_name(VmfOwnerState state)
{
    return state_is_known(state) ? state_names[state] : "invalid";
}

gboolean
vmf_owner_state_from_name(const char *name, VmfOwnerState *state)
{
    for (guint32 i = VMF_OWNER_OWNED; i <= VMF_OWNER_STOPPED; i++)
        if (g_strcmp0(name, state_names[i]) == 0) {
            *state = i;
            return TRUE;
        }
    return FALSE;
}

/* Texts: the field in the slot has `room` bytes, the record's array one more for the zero. */
typedef struct {
    guint at;
    guint room;
    gsize offset;
    gboolean required;
    const char *name;
} TextField;

static const TextField text_fields[] = {
    {AT_MIGRATION_ID, 48, G_STRUCT_OFFSET(VmfOwnerRecord, migration_id), FALSE, "migration id"},
    {AT_OWNER_SID, 128, G_STRUCT_OFFSET(VmfOwnerRecord, owner_sid), TRUE, "owner's SID"},
    {AT_OWNER_ACCOUNT, 32, G_STRUCT_OFFSET(VmfOwnerRecord, owner_account), TRUE, "owner's account"},
    {AT_REASON, 128, G_STRUCT_OFFSET(VmfOwnerRecord, reason), FALSE, "reason"},
};
G_STATIC_ASSERT(sizeof(((VmfOwnerRecord *)NULL)->migration_id) == 48 + 1);
G_STATIC_ASSERT(sizeof(((VmfOwnerRecord *)NULL)->owner_sid) == 128 + 1);
G_STATIC_ASSERT(sizeof(((VmfOwnerRecord *)NULL)->owner_account) == 32 + 1);
G_STATIC_ASSERT(sizeof(((VmfOwnerRecord *)NULL)->reason) == 128 + 1);

static gboolean
text_is_good(const char *text, gsize length, gboolean required)
{
    for (gsize i = 0; i < length; i++)
        if (!g_ascii_isprint(text[i]))
            return FALSE;
    return length > 0 || !required;
}

static void
put_u32(guint8 *slot, guint at, guint32 value)
{
    value = GUINT32_TO_LE(value);
    memcpy(slot + at, &value, sizeof value);
}

static void
put_u64(guint8 *slot, guint at, guint64 value)
{
    value = GUINT64_TO_LE(value);
    memcpy(slot + at, &value, sizeof value);
}

static guint32
get_u32(const guint8 *slot, guint at)
{
    guint32 value;
    memcpy(&value, slot + at, sizeof value);
    return GUINT32_FROM_LE(value);
}

static guint64
get_u64(const guint8 *slot, guint at)
{
    guint64 value;
    memcpy(&value, slot + at, sizeof value);
    return GUINT64_FROM_LE(value);
}

static gboolean
put_uuid(guint8 *slot, guint at, const char *text)
{
    if (!g_uuid_string_is_valid(text))
        return FALSE;
    guint nibble = 0;
    for (; *text != '\0'; text++) {
        if (*text == '-')
            continue;
        slot[at + nibble / 2] |= (guint8)(g_ascii_xdigit_value(*text) << (nibble % 2 == 0 ? 4 : 0));
        nibble++;
    }
    return TRUE;
}

static void
get_uuid(const guint8 *slot, guint at, gchar text[37])
{
    gchar *out = text;
    for (guint i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = "0123456789abcdef"[slot[at + i] >> 4];
        *out++ = "0123456789abcdef"[slot[at + i] & 15];
    }
    *out = '\0';
}

static void
checksum(const guint8 *slot, guint8 digest[DIGEST_SIZE])
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize size = DIGEST_SIZE;
    g_checksum_update(sum, slot, AT_CHECKSUM);
    g_checksum_get_digest(sum, digest, &size);
}

static const char *
put_texts(guint8 *slot, const VmfOwnerRecord *record)
{
    for (gsize i = 0; i < G_N_ELEMENTS(text_fields); i++) {
        const TextField *field = &text_fields[i];
        const char *text = (const char *)record + field->offset;
        gsize length = strnlen(text, field->room + 1);
        if (length > field->room || !text_is_good(text, length, field->required))
            return field->name;
        memcpy(slot + field->at, text, length);
    }
    return NULL;
}

gboolean
vmf_owner_record_encode(const VmfOwnerRecord *record, guint8 *slot, GError **error)
{
    guint8 out[VMF_OWNER_SLOT_SIZE] = {0};
    const char *bad = put_texts(out, record);
    if (!put_uuid(out, AT_VM_UUID, record->vm_uuid))
        bad = "VM's UUID";
    if (!put_uuid(out, AT_BOOT_ID, record->boot_id))
        bad = "boot id";
    if (!state_is_known(record->state))
        bad = "state";
    if (record->epoch == 0)
        bad = "epoch";
    if (record->sequence == 0)
        bad = "sequence";
    if (bad != NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                    "owner record of VM %.36s cannot be written: its %s is out of bounds",
                    record->vm_uuid, bad);
        return FALSE;
    }
    memcpy(out + AT_MAGIC, MAGIC, strlen(MAGIC));
    put_u32(out, AT_VERSION, VERSION);
    put_u32(out, AT_STATE, record->state);
    put_u64(out, AT_SEQUENCE, record->sequence);
    put_u64(out, AT_EPOCH, record->epoch);
    memcpy(out + AT_DISKS_DIGEST, record->disks_digest, DIGEST_SIZE);
    put_u64(out, AT_WRITTEN_AT, (guint64)record->written_at_us);
    checksum(out, out + AT_CHECKSUM);
    memcpy(slot, out, sizeof out);
    return TRUE;
}

static gboolean
all_zero(const guint8 *bytes, gsize size)
{
    for (gsize i = 0; i < size; i++)
        if (bytes[i] != 0)
            return FALSE;
    return TRUE;
}

static gboolean
get_texts(const guint8 *slot, VmfOwnerRecord *record)
{
    for (gsize i = 0; i < G_N_ELEMENTS(text_fields); i++) {
        const TextField *field = &text_fields[i];
        const char *text = (const char *)slot + field->at;
        gsize length = strnlen(text, field->room);
        if (!text_is_good(text, length, field->required) ||
            !all_zero(slot + field->at + length, field->room - length))
            return FALSE;
        memcpy((char *)record + field->offset, text, length);
    }
    return TRUE;
}

/* Returns: what is wrong with the slot, NULL when it has been read */
static const char *
decode_slot(const guint8 *slot, VmfOwnerRecord *record)
{
    guint8 digest[DIGEST_SIZE];
    VmfOwnerRecord out = {0};

    if (memcmp(slot + AT_MAGIC, MAGIC, strlen(MAGIC)) != 0)
        return "it is not an owner record";
    checksum(slot, digest);
    if (memcmp(slot + AT_CHECKSUM, digest, DIGEST_SIZE) != 0)
        return "its checksum is wrong";
    if (get_u32(slot, AT_VERSION) != VERSION)
        return "its version is not 1";
    if (!state_is_known(get_u32(slot, AT_STATE)))
        return "its state is unknown";
    out.state = get_u32(slot, AT_STATE);
    out.sequence = get_u64(slot, AT_SEQUENCE);
    out.epoch = get_u64(slot, AT_EPOCH);
    if (out.sequence == 0 || out.epoch == 0)
        return "its epoch or sequence is 0";
    if (!get_texts(slot, &out))
        return "a text in it is not printable";
    if (!all_zero(slot + AT_ZERO_1, AT_DISKS_DIGEST - AT_ZERO_1) ||
        !all_zero(slot + AT_ZERO_2, AT_CHECKSUM - AT_ZERO_2))
        return "bytes that have to be 0 are not";
    get_uuid(slot, AT_VM_UUID, out.vm_uuid);
    get_uuid(slot, AT_BOOT_ID, out.boot_id);
    memcpy(out.disks_digest, slot + AT_DISKS_DIGEST, DIGEST_SIZE);
    out.written_at_us = (gint64)get_u64(slot, AT_WRITTEN_AT);
    *record = out;
    return NULL;
}

gboolean
vmf_owner_record_decode(const guint8 *slot, gsize size, VmfOwnerRecord *record, GError **error)
{
    const char *why = size == VMF_OWNER_SLOT_SIZE ? decode_slot(slot, record)
                                                  : "its size is not 512 bytes";
    if (why != NULL)
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "slot of an owner record: %s", why);
    return why == NULL;
}

static gboolean
refuse_file(const char *vm_uuid, const char *why, GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "owner record '.vmferry/%s.own' is damaged: %s; who owns the VM cannot be told. "
                "Restore the file, or remove it once no host runs the VM",
                vm_uuid, why);
    return FALSE;
}

static int
compare_age(const VmfOwnerRecord *a, const VmfOwnerRecord *b)
{
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

gboolean
vmf_owner_record_decode_file(const guint8 *bytes, gsize size, const char *vm_uuid,
                             VmfOwnerRecord *record, guint *slot_index, GError **error)
{
    VmfOwnerRecord slots[2] = {0};
    const char *why[2];

    if (size > VMF_OWNER_FILE_SIZE)
        return refuse_file(vm_uuid, "it is longer than two slots", error);
    for (guint i = 0; i < 2; i++) {
        gboolean whole = size >= (i + 1) * (gsize)VMF_OWNER_SLOT_SIZE;
        why[i] = whole ? decode_slot(bytes + i * VMF_OWNER_SLOT_SIZE, &slots[i])
                       : "a slot is missing";
        if (why[i] == NULL && g_ascii_strcasecmp(slots[i].vm_uuid, vm_uuid) != 0)
            return refuse_file(vm_uuid, "it is another VM's", error);
    }
    if (why[0] != NULL && why[1] != NULL)
        return refuse_file(vm_uuid, why[0], error);

    guint newest = why[0] != NULL ? 1 : 0;
    if (why[0] == NULL && why[1] == NULL) {
        int order = compare_age(&slots[0], &slots[1]);
        if (order == 0 && memcmp(bytes, bytes + VMF_OWNER_SLOT_SIZE, VMF_OWNER_SLOT_SIZE) != 0)
            return refuse_file(vm_uuid, "its slots contradict each other", error);
        newest = order < 0 ? 1 : 0;
    }
    *record = slots[newest];
    *slot_index = newest;
    return TRUE;
}

/* But for sequence and time, as each is written anew. */
gboolean
vmf_owner_record_is_settled(const guint8 *bytes, gsize size)
{
    VmfOwnerRecord a, b;
    guint8 same[VMF_OWNER_SLOT_SIZE];
    if (size != VMF_OWNER_FILE_SIZE || decode_slot(bytes, &a) != NULL ||
        decode_slot(bytes + VMF_OWNER_SLOT_SIZE, &b) != NULL)
        return FALSE;
    a.sequence = b.sequence;
    a.written_at_us = b.written_at_us;
    return vmf_owner_record_encode(&a, same, NULL) &&
           memcmp(same, bytes + VMF_OWNER_SLOT_SIZE, sizeof same) == 0;
}

gboolean
vmf_owner_record_names(const VmfOwnerRecord *record, const char *owner_sid, const char *boot_id,
                       guint64 epoch)
{
    return record->epoch == epoch && strcmp(record->owner_sid, owner_sid) == 0 &&
           g_ascii_strcasecmp(record->boot_id, boot_id) == 0;
}

gchar *
vmf_owner_record_describe(const VmfOwnerRecord *record)
{
    return g_strdup_printf("%s (%s), epoch %" G_GUINT64_FORMAT ", %s", record->owner_account,
                           record->owner_sid, record->epoch, vmf_owner_state_name(record->state));
}
