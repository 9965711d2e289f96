/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-ledger.h"

#include "smb/disk-folder.h"
#include "src/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC "VMFLEDG2"

/* In the file. The one who reads it is of the same build or a later one: the magic says which. */
typedef struct {
    VmfDiskLedger ledger; /* first: the pointer handed out is this one */
    gchar magic[8];
    gchar boot_id[40];
} Page;
G_STATIC_ASSERT(sizeof(Page) <= 4096);

static Page *
fail(const char *path, const char *what, GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "cannot %s '%s': %s", what, path,
                g_strerror(errno));
    return NULL;
}

static Page *
map_file(const char *path, GError **error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(path, "open", error);
    Page *page = MAP_FAILED;
    if (ftruncate(fd, sizeof(Page)) == 0)
        page = mmap(NULL, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int saved = errno;
    close(fd);
    errno = saved;
    return page != MAP_FAILED ? page : fail(path, "map", error);
}

VmfDiskLedger *
vmf_disk_ledger_map(const char *folder, const char *boot_id, GError **error)
{
    g_autofree gchar *path = g_build_filename(folder, "ledger", NULL);
    Page *page = map_file(path, error);
    if (page == NULL)
        return NULL;
    if (memcmp(page->magic, MAGIC, sizeof page->magic) != 0 ||
        strncmp(page->boot_id, boot_id, sizeof page->boot_id) != 0) {
        memset(page, 0, sizeof *page);
        g_strlcpy(page->boot_id, boot_id, sizeof page->boot_id);
        memcpy(page->magic, MAGIC, sizeof page->magic);
    }
    return &page->ledger;
}

gboolean
vmf_disk_ledger_tells_open_write(const char *folder)
{
    gsize size = 0;
    g_autofree gchar *text = vmf_disk_folder_read_end(folder, "ledger", sizeof(Page), &size);
    if (text == NULL || size < sizeof(Page))
        return TRUE;
    const Page *page = (const Page *)(gpointer)text;
    return memcmp(page->magic, MAGIC, sizeof page->magic) != 0 ||
           vmf_disk_ledger_write_is_open(&page->ledger);
}

void
vmf_disk_ledger_unmap(VmfDiskLedger *ledger)
{
    if (ledger != NULL)
        munmap(ledger, sizeof(Page));
}
