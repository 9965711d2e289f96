/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a killed disk process left behind: any bytes. Another host's uptime counts for nothing. */
#include "smb/disk-ledger.h"
#include "tests/fuzz/folder.h"

#include <string.h>

#define BOOT_ID "01234567-89ab-4cde-8f01-23456789abcd"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    const char *path = fuzz_file("ledger", data, size);
    g_autoptr(GError) error = NULL;
    vmf_disk_ledger_tells_open_write(fuzz_folder());
    VmfDiskLedger *ledger = vmf_disk_ledger_map(fuzz_folder(), BOOT_ID, &error);
    g_assert_no_error(error);
    /* as it is mapped: zeros up to the page's size */
    gchar page[sizeof *ledger + 8 + 40] = {0};
    memcpy(page, data, MIN(size, sizeof page));
    gboolean own = memcmp(page + sizeof *ledger, "VMFLEDG2", 8) == 0 &&
                   memcmp(page + sizeof *ledger + 8, BOOT_ID, sizeof BOOT_ID) == 0;
    if (!own)
        g_assert_true(ledger->epoch == 0 && !vmf_disk_ledger_write_is_open(ledger));
    vmf_disk_ledger_unmap(ledger);
    g_unlink(path);
    g_assert_true(vmf_disk_ledger_tells_open_write(fuzz_folder()));
    return 0;
}
