/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/owner-record.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
seal(guint8 *slot)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize digest_size = 32;
    g_checksum_update(sum, slot, VMF_OWNER_SLOT_SIZE - 32);
    g_checksum_get_digest(sum, slot + VMF_OWNER_SLOT_SIZE - 32, &digest_size);
}

/* The file as it is; then with right checksums, behind which the other checks would hide. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree guint8 *file = g_memdup2(data, size);
    VmfOwnerRecord record;
    guint slot;
    vmf_owner_record_decode_file(file, size, "6f2f3d5e-0c1a-4b7e-9d55-1f0e2a3b4c5d", &record, &slot,
                                 NULL);

    for (gsize at = 0; at + VMF_OWNER_SLOT_SIZE <= size; at += VMF_OWNER_SLOT_SIZE) {
        guint8 again[VMF_OWNER_SLOT_SIZE];
        seal(file + at);
        if (!vmf_owner_record_decode(file + at, VMF_OWNER_SLOT_SIZE, &record, NULL))
            continue;
        /* whatever is read is written back as the same bytes */
        g_assert_true(vmf_owner_record_encode(&record, again, NULL));
        g_assert_cmpmem(again, sizeof again, file + at, VMF_OWNER_SLOT_SIZE);
        g_autofree gchar *text = vmf_owner_record_describe(&record);
        vmf_owner_record_decode_file(file, size, record.vm_uuid, &record, &slot, NULL);
    }
    return 0;
}
